// What the npm MaterializedState makes of a list of events: a second opinion on `weir state`.
//
//   node npm_state.mjs [FILE]                   prints {"type":{"key":value}}, every object's keys in byte order
//   node npm_state.mjs --compare STATE [FILE]   exits 0 when the JSON object in STATE is the same, else 1 and the
//                                               first differences
//   node npm_state.mjs --compare-all DIR        the same for each NAME.events and NAME.state in DIR; each difference
//                                               begins with "NAME: "
//
// FILE (default: stdin) holds a JSON array or one event a line. Types without entities count as absent. Numbers are
// compared as JavaScript has them, so integers beyond 2^53 need another test.
import { readFileSync, readdirSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { MaterializedState, isChangeEvent, isControlEvent } from "@durable-streams/state"

function events(text) {
  if (text.trimStart().startsWith("[")) return JSON.parse(text)
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => JSON.parse(line))
}

function materialize(list) {
  const state = new MaterializedState()
  for (const event of list) {
    if (isControlEvent(event)) {
      if (event.headers.control === "reset") state.clear()
    } else if (isChangeEvent(event)) {
      state.apply(event)
    }
  }
  return new Map(state.types.map((type) => [type, state.getType(type)]).filter(([, map]) => map.size > 0))
}

const byBytes = ([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  const known = entries.filter(([, field]) => field !== undefined).sort(byBytes)
  return `{${known.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(",")}}`
}

function differences(expected, actual) {
  const found = []
  const types = new Set([...expected.keys(), ...Object.keys(actual)])
  for (const type of types) {
    const theirs = expected.get(type) ?? new Map()
    const ours = new Map(Object.entries(actual[type] ?? {}))
    for (const key of new Set([...theirs.keys(), ...ours.keys()])) {
      if (!theirs.has(key)) found.push(`${type}/${key}: not expected, got ${canonical(ours.get(key))}`)
      else if (!ours.has(key)) found.push(`${type}/${key}: missing, expected ${canonical(theirs.get(key))}`)
      else if (!isDeepStrictEqual(theirs.get(key), ours.get(key))) {
        found.push(`${type}/${key}: expected ${canonical(theirs.get(key))}, got ${canonical(ours.get(key))}`)
      }
    }
  }
  return found
}

function compare(statePath, eventsPath) {
  const state = materialize(events(readFileSync(eventsPath, "utf8")))
  return differences(state, JSON.parse(readFileSync(statePath, "utf8")))
}

// Of the pairs that cannot even be read the reason is the difference.
function compareAll(dir) {
  const names = readdirSync(dir).filter((file) => file.endsWith(".events")).map((file) => file.slice(0, -7)).sort()
  return names.flatMap((name) => {
    try {
      return compare(`${dir}/${name}.state`, `${dir}/${name}.events`).map((line) => `${name}: ${line}`)
    } catch (error) {
      return [`${name}: ${error.message}`]
    }
  })
}

function report(found) {
  for (const line of found.slice(0, 20)) console.log(line)
  if (found.length > 20) console.log(`... and ${found.length - 20} more`)
  process.exitCode = found.length > 0 ? 1 : 0
}

const [verb, path, other] = process.argv.slice(2)
if (verb === "--compare") {
  report(compare(path, other ?? 0))
} else if (verb === "--compare-all") {
  report(compareAll(path))
} else {
  console.log(canonical(materialize(events(readFileSync(verb ?? 0, "utf8")))))
}
