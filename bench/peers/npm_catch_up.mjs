// The npm client and MaterializedState up to the end of a stream.
//
//   node npm_catch_up.mjs URL
//
// Prints the seconds from before the request to the last change applied: without the start of node and the loading of
// the packages.
import { MaterializedState, stream } from "./packages.mjs"

const state = new MaterializedState()
const start = performance.now()
const response = await stream({ url: process.argv[2], offset: "-1", live: false })
const events = await response.json()
state.applyBatch(events)
const seconds = (performance.now() - start) / 1000

const entities = state.types.reduce((sum, type) => sum + state.getType(type).size, 0)
console.log(`seconds=${seconds.toFixed(6)} events=${events.length} entities=${entities}`)
