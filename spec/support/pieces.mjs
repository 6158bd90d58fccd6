// A server of streams that never change, for the specs: each file of a folder is one, handed over in pieces of
// random sizes.
//
//   node pieces.mjs --dir DIR [--parent PID]
//
// Prints "listening URL" as its first line. GET /NAME?largest=N&seed=S gives the file NAME, a JSON array that is
// the whole stream, in HTTP chunks of 1 to N bytes, which clients see one by one. With live=sse NAME.sse is given
// likewise. The answer itself comes in a few parts, cut anywhere.
import { readFileSync } from "node:fs"
import net from "node:net"
import { parseArgs } from "node:util"

const { values } = parseArgs({ options: { dir: { type: "string" }, parent: { type: "string" } } })
const PARTS = 8

// Numbers from 0 to below `end`, the same for the same seed.
function generator(seed) {
  let state = (seed * 2654435761) >>> 0 || 1
  return (end) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % end
  }
}

function chunked(body, largest, random) {
  const parts = []
  for (let at = 0; at < body.length; ) {
    const piece = body.subarray(at, at + 1 + random(largest))
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"))
    at += piece.length
  }
  parts.push(Buffer.from("0\r\n\r\n"))
  return Buffer.concat(parts)
}

function answer(url) {
  const live = url.searchParams.get("live") === "sse"
  const random = generator(Number(url.searchParams.get("seed") ?? 1))
  const body = readFileSync(`${values.dir}/${url.pathname.slice(1)}${live ? ".sse" : ""}`)
  const head = [
    "HTTP/1.1 200 OK",
    `Content-Type: ${live ? "text/event-stream" : "application/json"}`,
    "Stream-Next-Offset: 1_0",
    "Stream-Up-To-Date: true",
    "Transfer-Encoding: chunked",
    "Connection: close",
  ]
  const largest = Number(url.searchParams.get("largest") ?? 1)
  return { random, bytes: Buffer.concat([Buffer.from(head.join("\r\n") + "\r\n\r\n"), chunked(body, largest, random)]) }
}

async function respond(socket, path) {
  let reply
  try {
    reply = answer(new URL(path, "http://localhost"))
  } catch (error) {
    socket.end(`HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    return
  }
  for (let at = 0; at < reply.bytes.length; ) {
    const part = reply.bytes.subarray(at, at + 1 + reply.random(Math.ceil((2 * reply.bytes.length) / PARTS)))
    socket.write(part)
    at += part.length
    await new Promise(setImmediate)
  }
  socket.end()
}

const server = net.createServer((socket) => {
  let request = ""
  socket.setNoDelay(true)
  socket.on("error", () => socket.destroy())
  socket.on("data", (part) => {
    request += part.toString("latin1")
    if (request.endsWith("\r\n\r\n")) respond(socket, request.split(" ")[1])
  })
})

function stop() {
  process.exit(0)
}
process.on("SIGTERM", stop)
if (values.parent) {
  setInterval(() => {
    try {
      process.kill(Number(values.parent), 0)
    } catch (error) {
      if (error.code === "ESRCH") stop()
    }
  }, 500).unref()
}
server.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`))
