// The npm client (@durable-streams/client) and MaterializedState (@durable-streams/state) against a server, in all their
// modes. See spec/serve_npm_spec.lua.
//
//   node npm_client.mjs URL PART...     runs these parts, each on streams of its own below URL, at the same time
//
// Prints one JSON object: what each part saw, by its name.
import { webcrypto } from "node:crypto"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { MaterializedState, isChangeEvent } from "@durable-streams/state"

globalThis.crypto ??= webcrypto // which Node 18 has, but does not show

const [base, ...wanted] = process.argv.slice(2)
const json = "application/json"
const warnOnHttp = false

function create(name, contentType, more = {}) {
  return DurableStream.create({ url: `${base}/${name}`, contentType, warnOnHttp, ...more })
}

function read(handle, options) {
  return stream({ url: handle.url, offset: "-1", warnOnHttp, ...options })
}

async function fails(promise) {
  try {
    await promise
    return "nothing"
  } catch (error) {
    return `${error.name} ${error.status}`
  }
}

function inject(handle, fault) {
  const plan = { path: new URL(handle.url).pathname, ...fault }
  return fetch(new URL("/_test/inject-error", base), { method: "POST", body: JSON.stringify(plan) })
}

// The producer leaves it to its fetch to try again.
async function stubborn(url, options) {
  for (;;) {
    const response = await fetch(url, options).catch(() => undefined)
    if (response && response.status < 500) return response
  }
}

// Follows a stream in a live mode while it is written: everything from the begin to the close.
async function follow(name, contentType, live, pieces) {
  const handle = await create(name, contentType)
  await handle.append(pieces[0])
  const response = await read(handle, { live })
  const got = []
  const decoder = new TextDecoder()
  let heard = () => {}
  const count = (more) => {
    got.push(...more)
    heard()
  }
  if (contentType === json) response.subscribeJson((batch) => count(batch.items))
  else if (contentType.startsWith("text/")) response.subscribeText((chunk) => count([...chunk.text]))
  else response.subscribeBytes((chunk) => count(chunk.data))
  const size = (piece) => (contentType === json ? 1 : piece.length)
  let due = 0
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await handle.append(piece)
    due += size(piece)
    // So that each comes by the live mode; and the last one, too: at the stream's end the client says that it is closed,
    // whether or not a subscriber has had what came before.
    while (got.length < due) await new Promise((done) => (heard = done))
  }
  await handle.close()
  await response.closed
  if (contentType === json) return got
  return contentType.startsWith("text/") ? got.join("") : decoder.decode(Uint8Array.from(got))
}

const parts = {
  async handle() {
    const handle = await create("handle", json, { ttlSeconds: 3600 })
    const again = await fails(create("handle", json, { ttlSeconds: 3600 }))
    const other = await fails(create("handle", "text/plain"))
    await handle.append(JSON.stringify({ n: 1 }), { seq: "b" })
    await handle.append(JSON.stringify({ n: 2 }), { seq: "c" })
    const regression = await fails(handle.append(JSON.stringify({ n: 3 }), { seq: "a" }))
    const head = await handle.head()
    const connected = await DurableStream.connect({ url: handle.url, warnOnHttp })
    const closed = await connected.close({ body: JSON.stringify({ n: 4 }) })
    const late = await fails(handle.append(JSON.stringify({ n: 5 })))
    const items = await (await read(handle, { live: false })).json()
    const after = await DurableStream.head({ url: handle.url, warnOnHttp })
    await handle.delete()
    const gone = await fails(read(handle, { live: false }))
    const ended = { tail: closed.finalOffset === after.offset, closed: after.streamClosed }
    return { again, other, regression, type: head.contentType, exists: head.exists, ended, late, items, gone }
  },

  async catchup() {
    const handle = await create("catchup", json)
    const message = { text: "x".repeat(1000) }
    const body = JSON.stringify(Array.from({ length: 3000 }, () => message)) // three chunks of the server's
    await fetch(handle.url, { method: "POST", headers: { "Content-Type": json }, body })
    // With live: false this client takes the first chunk for all there is.
    const response = await read(handle, { live: true })
    const items = await response.json()
    const half = await read(handle, { live: false, offset: response.offset })
    const text = await create("catchup-text", "text/plain")
    await text.append("häl")
    await text.append("lo")
    const bytes = await create("catchup-bytes", "application/octet-stream")
    await bytes.append(Uint8Array.of(0, 255, 10, 13))
    return {
      count: items.length,
      same: items.every((item) => item.text === message.text),
      upToDate: response.upToDate,
      rest: (await half.json()).length,
      text: await (await read(text, { live: false })).text(),
      bytes: [...(await (await read(bytes, { live: false })).body())],
      now: await (await read(text, { live: false, offset: "now" })).text(),
    }
  },

  async live() {
    const objects = [1, 2, 3].map((n) => JSON.stringify({ n }))
    const lines = ["one\n", "two\n\n", "  thrée\r", "data: x\n"]
    const binary = [Uint8Array.of(104, 101), Uint8Array.of(108, 108), Uint8Array.of(111)]
    const found = {}
    const modes = { "long-poll": "long-poll", sse: "sse", auto: true }
    for (const [name, live] of Object.entries(modes)) {
      const seen = await Promise.all([
        follow(`live-json-${name}`, json, live, objects),
        follow(`live-text-${name}`, "text/plain", live, lines),
        follow(`live-bytes-${name}`, "application/octet-stream", live, binary),
      ])
      found[name] = { json: seen[0].map((item) => item.n), text: seen[1], bytes: seen[2] }
    }
    return found
  },

  async producer() {
    const handle = await create("producer", json)
    const errors = []
    const onError = (error) => errors.push(error.name)
    const options = { maxInFlight: 5, maxBatchBytes: 400, lingerMs: 1, onError }
    const producer = new IdempotentProducer(handle, "p", { ...options, fetch: stubborn })
    await inject(handle, { status: 503, count: 3, method: "POST", probability: 0.5 })
    for (let n = 0; n < 500; n++) producer.append(JSON.stringify({ n }))
    await producer.flush()
    await inject(handle, { dropConnection: true, count: 2, method: "POST" })
    for (let n = 500; n < 1000; n++) producer.append(JSON.stringify({ n }))
    await producer.flush()
    const second = new IdempotentProducer(handle, "p", { ...options, epoch: 1 })
    second.append(JSON.stringify({ n: 1000 }))
    await second.flush()
    const stale = new IdempotentProducer(handle, "p", options) // of an epoch that is over
    stale.append(JSON.stringify({ n: -1 }))
    await stale.flush().catch(() => {})
    const claiming = new IdempotentProducer(handle, "p", { ...options, autoClaim: true })
    claiming.append(JSON.stringify({ n: 1001 }))
    await claiming.flush()
    await claiming.close(JSON.stringify({ n: 1002 }))
    await claiming.close(JSON.stringify({ n: 1002 }))
    const items = await (await read(handle, { live: true })).json() // ends, as the stream is closed
    return { count: items.length, order: items.every((item, i) => item.n === i), errors, epoch: claiming.epoch }
  },

  async bytes() {
    const handle = await create("bytes", "application/octet-stream")
    await handle.appendStream(new Blob(["one ", "two "]).stream())
    const writer = handle.writable({ lingerMs: 1 }).getWriter()
    await writer.write("three")
    await writer.close()
    return new TextDecoder().decode(await (await read(handle, { live: false })).body())
  },

  async state() {
    const handle = await create("state", json)
    const event = (operation, key, value) => JSON.stringify({ type: "users", key, value, headers: { operation } })
    const state = new MaterializedState()
    const response = await read(handle, { live: "sse" })
    response.subscribeJson((batch) => batch.items.filter(isChangeEvent).forEach((item) => state.apply(item)))
    await handle.append(event("insert", "1", { name: "Ada", age: 36 }))
    await handle.append(event("insert", "2", { name: "Björn" }))
    await handle.append(event("update", "1", { name: "Ada", age: 37 }))
    await handle.append(event("delete", "2"))
    await handle.close()
    await response.closed
    return Object.fromEntries(state.getType("users"))
  },

  async token() {
    const url = `${base}/token`
    const without = await fails(DurableStream.create({ url, contentType: json, warnOnHttp }))
    const headers = { Authorization: () => "Bearer s3cret" }
    const handle = await DurableStream.create({ url, contentType: json, headers, warnOnHttp })
    await handle.append("1")
    return { without, items: await (await read(handle, { live: false, headers })).json() }
  },
}

const seen = await Promise.all(wanted.map((name) => parts[name]()))
console.log(JSON.stringify(Object.fromEntries(wanted.map((name, i) => [name, seen[i]]))))
process.exit(0)
