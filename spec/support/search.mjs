// What the sink "search" talks to, for the specs: the endpoints of Elasticsearch and of Typesense that it uses, in memory,
// as their documentation has them, and stricter where a real server would be lenient. With faults.
//
//   node search.mjs [--key KEY] [--gcDeletes MS] [--parent PID]
//
// Prints "listening URL" as its first line, stops on SIGTERM, and by itself when the process PID is gone.
//
//   POST /_test/faults   [{"match": REGEX of "METHOD PATH", "count": 1, "skip": 0, and one of
//                          "status": 429, "retryAfter": 0, "body": {} | "cut": "before" | "after" | "item": 429, "every": 3}]
//   POST /_test/chaos    {"seed": 1, "rate": 0.1}      such faults at random
//   POST /_test/equals   {INDEX: {ID: DOCUMENT}}       -> {"differences": [...]}, of all but the places
//   POST /_test/change   {"name": INDEX, "id": ID, "document": DOCUMENT or null}      behind the worker's back
//   GET  /_test/dump, GET /_test/requests, DELETE /_test/index/NAME
import http from "node:http"
import { isDeepStrictEqual, parseArgs } from "node:util"

const { values: options } = parseArgs({
  options: {
    key: { type: "string" },
    gcDeletes: { type: "string", default: "60000" },
    parent: { type: "string" },
  },
})

class Refusal extends Error {
  constructor(status, type, reason) {
    super(reason)
    this.status = status
    this.type = type
  }
}

function parse(text, what) {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Refusal(400, "parse_exception", `${what}: ${error.message}`)
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value)

// ---- indices and collections: name -> {docs: id -> {version, seq, source}, tombstones, seen, meta, fields}

const stores = new Map()
const aliases = new Map() // alias -> index

function newStore(more) {
  return { docs: new Map(), tombstones: new Map(), seen: new Map(), fields: new Map(), next: 0, ...more }
}

const kindOf = (value) =>
  Array.isArray(value) ? (value.length ? kindOf(value[0]) : null)
    : value === null ? null
    : typeof value === "object" ? "object"
    : typeof value === "number" ? (Number.isInteger(value) ? "long" : "float")
    : typeof value

// The first value decides what a field is. Returns the name of the one that does not fit.
function misfit(store, source) {
  for (const [name, value] of Object.entries(source)) {
    const kind = kindOf(value)
    const known = store.fields.get(name)
    if (kind === null || name === "id") continue
    if (!known) store.fields.set(name, kind)
    else if ((known === "object") !== (kind === "object") || (known === "long" && kind === "string" && isNaN(value))) {
      return name
    }
  }
}

// ---- Elasticsearch

function checkIndexName(name) {
  const bad = name === "" || name === "." || name === ".." || Buffer.byteLength(name) > 255 || /^[-_+]/.test(name) ||
    name !== name.toLowerCase() || /[\\/*?"<>| ,#:]/.test(name)
  if (bad) throw new Refusal(400, "invalid_index_name_exception", `Invalid index name [${name}]`)
}

function checkId(id) {
  if (id === "") throw new Refusal(400, "action_request_validation_exception", "if _id is specified it must not be empty")
  if (Buffer.byteLength(id) > 512) {
    throw new Refusal(400, "action_request_validation_exception",
      `id [${id}] is too long, must be no longer than 512 bytes but was: ${Buffer.byteLength(id)}`)
  }
}

function indexOf(name) {
  const store = stores.get(aliases.get(name) ?? name)
  if (!store) throw new Refusal(404, "index_not_found_exception", `no such index [${name}]`)
  return store
}

const conflict = (id, why) => new Refusal(409, "version_conflict_engine_exception", `[${id}]: version conflict, ${why}`)

// One writing of one document. op: {version (external), seq_no, primary_term, create}
function write(store, id, source, op) {
  const doc = store.docs.get(id)
  const tombstone = store.tombstones.get(id)
  const isOld = tombstone && Date.now() - tombstone.at > Number(options.gcDeletes)
  const current = doc?.version ?? (tombstone && !isOld ? tombstone.version : undefined)
  if (op.create && doc) throw conflict(id, "document already exists")
  if (op.version !== undefined && current !== undefined && (op.orEqual ? op.version < current : op.version <= current)) {
    throw conflict(id, `current version [${current}] is higher or equal to the one provided [${op.version}]`)
  }
  if (op.seq_no !== undefined && (!doc || doc.seq !== op.seq_no || op.primary_term !== 1)) {
    throw conflict(id, `required seqNo [${op.seq_no}], primary term [${op.primary_term}]`)
  }
  const version = op.version ?? (current ?? 0) + 1
  const seq = store.next++
  if (source === undefined) {
    store.docs.delete(id)
    store.tombstones.set(id, { version, at: Date.now() })
    return { status: doc ? 200 : 404, result: doc ? "deleted" : "not_found", version, seq }
  }
  if (!isObject(source)) throw new Refusal(400, "document_parsing_exception", "the document is no object")
  const field = misfit(store, source)
  if (field) throw new Refusal(400, "document_parsing_exception", `failed to parse field [${field}]`)
  store.docs.set(id, { version, seq, source })
  return { status: doc ? 200 : 201, result: doc ? "updated" : "created", version, seq }
}

const refresh = (store) => { store.seen = new Map(store.docs) }

function makeIndex(name, body) {
  checkIndexName(name)
  if (stores.has(name) || aliases.has(name)) {
    throw new Refusal(400, "resource_already_exists_exception", `index [${name}] already exists`)
  }
  for (const alias of Object.keys(body.aliases ?? {})) {
    checkIndexName(alias)
    if (stores.has(alias)) throw new Refusal(400, "invalid_alias_name_exception", `Invalid alias name [${alias}]`)
  }
  stores.set(name, newStore({ mappings: body.mappings ?? {} }))
  for (const alias of Object.keys(body.aliases ?? {})) aliases.set(alias, name)
}

const number = (text) => (text === null ? undefined : Number(text))

function documentRequest(method, index, kind, id, query, body) {
  checkId(id)
  if (method === "GET") {
    const doc = indexOf(index).docs.get(id)
    if (!doc) return [404, { _index: index, _id: id, found: false }]
    return [200, { _index: index, _id: id, _version: doc.version, _seq_no: doc.seq, _primary_term: 1, found: true,
      _source: doc.source }]
  }
  if (!stores.has(index)) makeIndex(index, {})
  const done = write(indexOf(index), id, body, {
    create: kind === "_create",
    seq_no: number(query.get("if_seq_no")),
    primary_term: number(query.get("if_primary_term")),
  })
  return [done.status, { _index: index, _id: id, _version: done.version, result: done.result, _seq_no: done.seq,
    _primary_term: 1 }]
}

function bulkItem(lines, at, query, fail) {
  const action = parse(lines[at], "Malformed action/metadata line")
  const [[kind, meta]] = Object.entries(action)
  const known = ["_index", "_id", "version", "version_type"]
  if (!["index", "delete"].includes(kind) || Object.keys(meta).some((name) => !known.includes(name)) ||
      !/^external(_gte)?$/.test(meta.version_type) || !Number.isSafeInteger(meta.version) || meta.version < 1) {
    throw new Refusal(400, "illegal_argument_exception", `Malformed action/metadata line: ${lines[at]}`)
  }
  checkId(meta._id)
  const item = (status, error) => ({ [kind]: { _index: meta._index, _id: meta._id, status, ...(error && { error }) } })
  const next = at + (kind === "delete" ? 1 : 2)
  if (fail) return [next, item(fail, { type: "es_rejected_execution_exception", reason: "queue is full" })]
  try {
    if (query.get("require_alias") === "true" && !aliases.has(meta._index)) {
      throw new Refusal(404, "index_not_found_exception",
        `no such index [${meta._index}] and [require_alias] request flag is [true] and [${meta._index}] is not an alias`)
    }
    const source = kind === "delete" ? undefined : parse(lines[at + 1], "failed to parse")
    const op = { version: meta.version, orEqual: meta.version_type === "external_gte" }
    return [next, item(write(indexOf(meta._index), meta._id, source, op).status)]
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return [next, item(error.status, { type: error.type, reason: error.message })]
  }
}

function bulk(text, query, failing) {
  if (!text.endsWith("\n")) throw new Refusal(400, "illegal_argument_exception", "must be terminated by a newline [\\n]")
  const lines = text.slice(0, -1).split("\n")
  const items = []
  for (let at = 0; at < lines.length;) {
    const [next, item] = bulkItem(lines, at, query, failing(items.length))
    items.push(item)
    at = next
  }
  return [200, { errors: items.some((item) => Object.values(item)[0].error !== undefined), items }]
}

// Finds what was there at the last refresh, and deletes what has not changed since.
function deleteByQuery(store, body) {
  const { lte } = body.query.range.weir_version
  let deleted = 0
  let conflicts = 0
  for (const [id, seen] of store.seen) {
    if (seen.source.weir_version > lte) continue
    const doc = store.docs.get(id)
    if (!doc || doc.seq !== seen.seq) conflicts++
    else {
      write(store, id, undefined, {})
      deleted++
    }
  }
  refresh(store)
  return [200, { deleted, version_conflicts: conflicts, failures: [] }]
}

function mappings(pattern) {
  const start = pattern.endsWith("*") ? pattern.slice(0, -1) : null
  const found = {}
  for (const [name, store] of stores) {
    if (start === null ? (aliases.get(pattern) ?? pattern) === name : name.startsWith(start)) {
      found[name] = { mappings: store.mappings }
    }
  }
  if (start === null && Object.keys(found).length === 0) indexOf(pattern)
  return [200, found]
}

const scrolls = new Map()

// Walks through what was there at the last refresh.
function searchRequest(method, index, query, body) {
  if (method === "DELETE") return [scrolls.delete(body.scroll_id) ? 200 : 404, { succeeded: true }]
  let id = body.scroll_id
  if (id === undefined) {
    id = `scroll${scrolls.size}`
    if (!query.get("scroll")) throw new Refusal(400, "illegal_argument_exception", "no scroll")
    scrolls.set(id, { ids: [...indexOf(index).seen.keys()], size: body.size })
  }
  const scroll = scrolls.get(id)
  if (!scroll) throw new Refusal(404, "search_context_missing_exception", `No search context found for id [${id}]`)
  const hits = scroll.ids.splice(0, scroll.size).map((_id) => ({ _id }))
  return [200, { _scroll_id: id, hits: { hits } }]
}

function mget(index, body) {
  const store = indexOf(index)
  return [200, { docs: body.ids.map((id) => {
    checkId(id)
    const doc = store.docs.get(id)
    return { _index: index, _id: id, found: doc !== undefined, ...(doc && { _source: doc.source }) }
  }) }]
}

function elastic(method, parts, query, text, type, failing) {
  const [index, kind, id] = parts
  if (parts.length === 1 && index === "_bulk" && method === "POST") {
    if (type !== "application/x-ndjson") throw new Refusal(406, "media_type_header_exception", type)
    return bulk(text, query, failing)
  }
  const body = text ? parse(text, "request body") : undefined
  if (body !== undefined && type !== "application/json") throw new Refusal(406, "media_type_header_exception", `${type}`)
  if (parts.length === 3 && ((kind === "_doc" && /GET|PUT/.test(method)) || (kind === "_create" && method === "PUT"))) {
    return documentRequest(method, index, kind, id, query, body)
  }
  if (parts.length === 1 && method === "PUT") {
    makeIndex(index, body ?? {})
    return [200, { acknowledged: true, shards_acknowledged: true, index }]
  }
  if (index === "_search" && kind === "scroll") return searchRequest(method, undefined, query, body)
  if (kind === "_search" && method === "POST") return searchRequest(method, index, query, body)
  if (kind === "_mget" && method === "POST") return mget(index, body)
  if (kind === "_mapping" && method === "GET") return mappings(index)
  if (kind === "_refresh" && method === "POST") {
    refresh(indexOf(index))
    return [200, {}]
  }
  if (kind === "_delete_by_query" && method === "POST" && query.get("conflicts") === "proceed") {
    return deleteByQuery(indexOf(index), body)
  }
  throw new Refusal(405, "method_not_allowed", `${method} /${parts.join("/")}`)
}

// ---- Typesense

const missing = (what) => new Refusal(404, "", what)

function collectionOf(name) {
  const store = stores.get(name)
  if (!store) throw missing("Not Found")
  return store
}

const described = (name, store) => ({ name, num_documents: store.docs.size, fields: store.schema.fields,
  ...(store.schema.metadata && { metadata: store.schema.metadata }) })

function makeCollection(body) {
  if (!body.name || !Array.isArray(body.fields) || body.fields.length === 0) throw new Refusal(400, "", "Bad schema.")
  if (stores.has(body.name)) throw new Refusal(409, "", `A collection with name \`${body.name}\` already exists.`)
  const store = newStore({ schema: body })
  for (const field of body.fields) if (field.name !== ".*") store.fields.set(field.name, "long")
  stores.set(body.name, store)
  return [201, described(body.name, store)]
}

function upsert(store, document) {
  if (!isObject(document)) throw new Refusal(400, "", "Bad JSON: not a properly formed document.")
  if (typeof document.id !== "string") throw new Refusal(400, "", "Document's `id` field should be a string.")
  if (encodeURIComponent(document.id) !== document.id) throw new Refusal(400, "", "an id that needs encoding")
  for (const field of store.schema.fields) {
    if (field.name !== ".*" && !(field.name in document)) {
      throw new Refusal(400, "", `Field \`${field.name}\` has been declared in the schema, but is not found.`)
    }
  }
  const field = misfit(store, document)
  if (field) throw new Refusal(400, "", `Field \`${field}\` has a wrong type.`)
  store.docs.set(document.id, { version: 1, seq: store.next++, source: document })
}

function importLine(store, line, fail) {
  if (fail) return { success: false, code: fail, error: "too busy", document: line }
  try {
    upsert(store, parse(line, "Bad JSON"))
    return { success: true }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { success: false, code: error.status, error: error.message, document: line }
  }
}

function exportLines(store, query) {
  let ids = [...store.docs.keys()]
  const filter = query.get("filter_by")
  if (filter !== null) {
    const [, list] = /^id:\[([\w.~,-]*)\]$/.exec(filter) ?? []
    if (list === undefined || filter.length > 4000) throw new Refusal(400, "", "Could not parse the filter query.")
    const wanted = new Set(list.split(","))
    ids = ids.filter((id) => wanted.has(id))
  }
  const fields = query.get("include_fields")
  return ids.map((id) => JSON.stringify(fields === "id" ? { id } : store.docs.get(id).source)).join("\n")
}

function typesenseDocuments(method, store, id, query, text, failing) {
  if (method === "GET" && id === "export") return [200, exportLines(store, query)]
  if (method === "POST" && id === "import" && query.get("action") === "upsert") {
    const lines = text.split("\n").filter((line) => line !== "")
    return [200, lines.map((line, i) => JSON.stringify(importLine(store, line, failing(i)))).join("\n")]
  }
  if (method === "POST" && id === undefined && query.get("action") === "upsert") {
    const document = parse(text, "Bad JSON")
    upsert(store, document)
    return [201, document]
  }
  if (method === "DELETE" && id === undefined) {
    const [, most] = /^weir_version:<=(\d+)$/.exec(query.get("filter_by")) ?? []
    if (!most) throw new Refusal(400, "", "Could not parse the filter query.")
    let count = 0
    for (const [key, doc] of store.docs) {
      if (doc.source.weir_version <= Number(most)) count += store.docs.delete(key)
    }
    return [200, { num_deleted: count }]
  }
  const doc = store.docs.get(id)
  if (!doc) throw missing(`Could not find a document with id: ${id}`)
  if (method === "DELETE") store.docs.delete(id)
  else if (method !== "GET") throw missing("Not Found")
  return [200, doc.source]
}

function typesense(method, parts, query, text, failing) {
  const [, name, kind, id] = parts
  if (parts.length === 1 && method === "GET") return [200, [...stores].map(([key, store]) => described(key, store))]
  if (parts.length === 1 && method === "POST") return makeCollection(parse(text, "Bad JSON"))
  const store = collectionOf(name)
  if (parts.length === 2 && method === "GET") return [200, described(name, store)]
  if (kind === "documents" && parts.length <= 4) return typesenseDocuments(method, store, id, query, text, failing)
  throw missing("Not Found")
}

// ---- faults

let faults = []
let chaos = null
let requests = []

function random() { // mulberry32
  chaos.seed = (chaos.seed + 0x6d2b79f5) | 0
  let t = Math.imul(chaos.seed ^ (chaos.seed >>> 15), 1 | chaos.seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const CHAOS = [{ status: 429, retryAfter: 0 }, { status: 503 }, { cut: "before" }, { cut: "after" },
  { item: 429, every: 3 }, { item: 503, every: 2 }]

function faultFor(line) {
  if (chaos && random() < chaos.rate) return CHAOS[Math.floor(random() * CHAOS.length)]
  for (const fault of faults) {
    if (!new RegExp(fault.match).test(line)) continue
    if (fault.skip > 0) fault.skip--
    else if (fault.count > 0) {
      fault.count--
      return fault
    }
  }
  return {}
}

// ---- the test's own requests

function difference(expected) {
  const found = {}
  for (const [name, store] of stores) {
    if (name.endsWith("weir-sync-state")) continue
    const key = [...aliases].find(([, index]) => index === name)?.[0] ?? name
    for (const [id, doc] of store.docs) {
      const { weir_version: _version, ...source } = doc.source
      ;(found[key] ??= {})[id] = source
    }
  }
  const differences = []
  for (const name of new Set([...Object.keys(found), ...Object.keys(expected)])) {
    for (const id of new Set([...Object.keys(found[name] ?? {}), ...Object.keys(expected[name] ?? {})])) {
      const [have, want] = [found[name]?.[id], expected[name]?.[id]]
      if (!isDeepStrictEqual(have, want)) differences.push({ name, id, have, want })
    }
  }
  return differences
}

function dump() {
  const all = {}
  for (const [name, store] of stores) {
    all[name] = Object.fromEntries([...store.docs].map(([id, doc]) => [id, doc.source]))
  }
  return all
}

function testRequest(method, parts, text) {
  switch (`${method} ${parts[1]}`) {
    case "POST faults":
      faults = JSON.parse(text).map((fault) => ({ count: 1, skip: 0, ...fault }))
      return [200, {}]
    case "POST chaos":
      chaos = JSON.parse(text)
      return [200, {}]
    case "POST equals":
      return [200, { differences: difference(JSON.parse(text)) }]
    case "POST change": {
      const { name, id, document } = JSON.parse(text)
      const store = stores.get(aliases.get(name) ?? name)
      if (document === null) store.docs.delete(id)
      else store.docs.set(id, { version: store.docs.get(id)?.version ?? 1, seq: store.next++, source: document })
      return [200, {}]
    }
    case "GET dump":
      return [200, dump()]
    case "GET requests":
      return [200, requests]
    case "DELETE index":
      for (const [alias, index] of aliases) if (index === parts[2]) aliases.delete(alias)
      return [200, { deleted: stores.delete(parts[2]) }]
  }
  return [404, {}]
}

// ---- HTTP

function authorized(headers) {
  return !options.key || headers["x-typesense-api-key"] === options.key ||
    headers.authorization === `ApiKey ${options.key}`
}

function answer(request, parts, query, text, fault) {
  const failing = (i) => (fault.item && i % (fault.every ?? 1) === 0 ? fault.item : 0)
  if (!authorized(request.headers)) throw new Refusal(401, "security_exception", "missing authentication credentials")
  return parts[0] === "collections"
    ? typesense(request.method, parts, query, text, failing)
    : elastic(request.method, parts, query, text, request.headers["content-type"], failing)
}

function refusalBody(error, parts) {
  return parts[0] === "collections" ? { message: error.message }
    : { error: { type: error.type, reason: error.message }, status: error.status }
}

function send(response, status, body, headers = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers })
  response.end(text)
}

function handle(request, response, text) {
  const url = new URL(request.url, "http://localhost")
  const parts = url.pathname.slice(1).split("/").map(decodeURIComponent)
  if (parts[0] === "_test") return send(response, ...testRequest(request.method, parts, text))
  const line = `${request.method} ${request.url}`
  const fault = faultFor(line)
  requests.push(line)
  if (fault.cut === "before") return request.socket.destroy()
  if (fault.status) {
    return send(response, fault.status, fault.body ?? { error: "on purpose" },
      fault.retryAfter === undefined ? {} : { "Retry-After": String(fault.retryAfter) })
  }
  let result
  try {
    result = answer(request, parts, url.searchParams, text, fault)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    result = [error.status, refusalBody(error, parts)]
  }
  if (fault.cut === "after") return request.socket.destroy()
  send(response, ...result)
}

const server = http.createServer((request, response) => {
  const pieces = []
  request.on("data", (piece) => pieces.push(piece))
  request.on("end", () => handle(request, response, Buffer.concat(pieces).toString("utf8")))
  request.on("error", () => {})
})

function parentIsGone() {
  try {
    process.kill(Number(options.parent), 0)
    return false
  } catch (error) {
    return error.code === "ESRCH"
  }
}

process.on("SIGTERM", () => process.exit(0))
if (options.parent) setInterval(() => parentIsGone() && process.exit(0), 500).unref()
server.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`))
