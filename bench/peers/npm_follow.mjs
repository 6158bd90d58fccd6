// The npm client and MaterializedState following a stream over SSE.
//
//   node npm_follow.mjs URL
//
// Prints "ready" once it is up to date, then the key of each change once it is applied.
import { writeSync } from "node:fs"
import { MaterializedState, stream } from "./packages.mjs"

const state = new MaterializedState()
let ready = false
const response = await stream({ url: process.argv[2], offset: "-1", live: "sse", json: true })
response.subscribeJson((batch) => {
  for (const event of batch.items) {
    state.apply(event)
    writeSync(1, `${event.key}\n`)
  }
  if (batch.upToDate && !ready) {
    ready = true
    writeSync(1, "ready\n")
  }
})
