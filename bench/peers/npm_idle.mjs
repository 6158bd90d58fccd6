// The npm client following COUNT streams, named BASE1, BASE2 and so on, in which nothing happens.
//
//   node npm_idle.mjs BASE COUNT
//
// Prints its resident memory one second after the last of them was up to date, and ends.
import { MaterializedState, stream } from "./packages.mjs"

const [base, count] = process.argv.slice(2)
const states = []

async function follow(url) {
  const state = new MaterializedState()
  states.push(state)
  const response = await stream({ url, offset: "-1", live: "sse", json: true })
  await new Promise((upToDate) => {
    response.subscribeJson((batch) => {
      state.applyBatch(batch.items)
      if (batch.upToDate) upToDate()
    })
  })
}

await Promise.all(Array.from({ length: Number(count) }, (_, i) => follow(`${base}${i + 1}`)))
setTimeout(() => {
  console.log(`rss=${process.memoryUsage().rss} streams=${states.length}`)
  process.exit(0)
}, 1000)
