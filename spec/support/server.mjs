// The reference Durable Streams server, for the specs.
//
//   node server.mjs [--port N] [--dataDir DIR] [--longPollTimeout MS] [--parent PID]
//
// Prints "listening URL" as its first line, stops on SIGTERM or SIGINT, and by itself when the process PID is gone.
import { parseArgs } from "node:util"
import { DurableStreamTestServer } from "@durable-streams/server"

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    dataDir: { type: "string" },
    longPollTimeout: { type: "string", default: "500" },
    parent: { type: "string" },
  },
})

const server = new DurableStreamTestServer({
  port: Number(values.port),
  longPollTimeout: Number(values.longPollTimeout),
  ...(values.dataDir ? { dataDir: values.dataDir } : {}),
})

let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  setTimeout(() => process.exit(0), 3000).unref() // a client that does not hang up must not keep it
  await server.stop()
  process.exit(0)
}

function parentIsGone() {
  try {
    process.kill(Number(values.parent), 0)
    return false
  } catch (error) {
    return error.code === "ESRCH"
  }
}

process.on("SIGTERM", stop)
process.on("SIGINT", stop)
if (values.parent) {
  setInterval(() => parentIsGone() && stop(), 500).unref()
}

const url = await server.start()
console.log(`listening ${url}`)
