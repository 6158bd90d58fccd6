// JSON.parse and the npm MaterializedState over a file of one change a line.
//
//   node npm_materialize.mjs FILE
//
// Prints the seconds from the first byte read to the last change applied, and the resident memory after that. (Reading
// the whole file at once, splitting it, readline, and parsing a megabyte of lines as one array took the same time.)
import { openSync, readSync } from "node:fs"
import { MaterializedState } from "./packages.mjs"

const fd = openSync(process.argv[2])
const buffer = Buffer.allocUnsafe(1 << 20)
const decoder = new TextDecoder()
const state = new MaterializedState()
let events = 0
let rest = ""

const start = performance.now()
for (let n; (n = readSync(fd, buffer)) > 0; ) {
  const lines = (rest + decoder.decode(buffer.subarray(0, n), { stream: true })).split("\n")
  rest = lines.pop()
  for (const line of lines) {
    state.apply(JSON.parse(line))
  }
  events += lines.length
}
const seconds = (performance.now() - start) / 1000

const { rss } = process.memoryUsage()
const entities = state.types.reduce((sum, type) => sum + state.getType(type).size, 0)
console.log(`seconds=${seconds.toFixed(6)} events=${events} entities=${entities} rss=${rss}`)
