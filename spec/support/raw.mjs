// Bytes over one TCP connection, as they are: for requests that no client would send.
//
//   node raw.mjs PORT LIMIT_MS [QUIET_MS] < steps.json
//
// Steps, in order: {"send": TEXT}, {"wait": TEXT} (until that came), {"pause": MS}, {"end": true} (half closed).
// Then waits until the other side closes, LIMIT_MS at most, or until something came and nothing more for QUIET_MS. Prints what came as one JSON object: {text, closed}.
import net from "node:net"
import { readFileSync } from "node:fs"

const [port, limit, quiet] = process.argv.slice(2).map(Number)
const steps = JSON.parse(readFileSync(0, "utf8"))
const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
let text = ""
let seen = 0
let closed = false
let wake = () => {}

socket.setEncoding("latin1")
socket.on("data", (piece) => {
  text += piece
  wake()
  settle()
})
socket.on("end", () => finish(true))
socket.on("error", () => finish(true))
const timer = setTimeout(() => finish(false), limit)

function finish(ended) {
  if (closed) return
  closed = true
  clearTimeout(timer)
  process.stdout.write(JSON.stringify({ text, closed: ended }))
  socket.destroy()
  process.exit(0)
}

let steppedThrough = false
let silence

function settle() {
  clearTimeout(silence)
  if (quiet && steppedThrough && text) silence = setTimeout(() => finish(false), quiet)
}

function come(what) {
  return new Promise((done) => {
    wake = () => {
      const at = text.indexOf(what, seen)
      if (at >= 0) {
        seen = at + what.length
        done()
      }
    }
    wake()
  })
}

for (const step of steps) {
  if (step.send !== undefined) socket.write(Buffer.from(step.send, "latin1"))
  if (step.wait !== undefined) await come(step.wait)
  if (step.pause !== undefined) await new Promise((done) => setTimeout(done, step.pause))
  if (step.end) socket.end()
}
steppedThrough = true
settle()
