// Bytes over TCP connections, as they are: for requests that no client would send.
//
//   node raw.mjs PORT LIMIT_MS [QUIET_MS] < conversations.json
//
// The input is a list of conversations, each over a connection of its own, all at the same time. A conversation is a
// list of steps, in order: {"send": TEXT}, {"wait": TEXT} (until that came), {"pause": MS}, {"deaf": MS} (the same, and
// nothing is read meanwhile), {"end": true} (half closed), {"reset": true} (gone, at once). Then it waits until the other side closes, LIMIT_MS at most
// (from the beginning), or until something came and nothing more for QUIET_MS. Prints a list of what came:
// {text, closed}.
import net from "node:net"
import { readFileSync } from "node:fs"

const [port, limit, quiet] = process.argv.slice(2).map(Number)

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms))
}

function talk(steps) {
  return new Promise((finished) => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    let text = ""
    let seen = 0
    let over = false
    let said = false
    let silence
    let wake = () => {}

    function finish(closed) {
      if (over) return
      over = true
      clearTimeout(timer)
      clearTimeout(silence)
      socket.destroy()
      finished({ text, closed })
    }

    function settle() {
      clearTimeout(silence)
      if (quiet && said && text) silence = setTimeout(() => finish(false), quiet)
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

    async function say() {
      for (const step of steps) {
        if (step.send !== undefined) socket.write(Buffer.from(step.send, "latin1"))
        if (step.wait !== undefined) await come(step.wait)
        if (step.pause !== undefined) await sleep(step.pause)
        if (step.deaf !== undefined) {
          socket.pause()
          await sleep(step.deaf)
          socket.resume()
        }
        if (step.end) await new Promise((done) => socket.end(done))
        if (step.reset) {
          socket.resetAndDestroy()
          finish(false)
        }
      }
      said = true
      settle()
    }

    socket.setEncoding("latin1")
    socket.on("data", (piece) => {
      text += piece
      wake()
      settle()
    })
    socket.on("end", () => finish(true))
    socket.on("error", () => finish(true))
    const timer = setTimeout(() => finish(false), limit)
    say()
  })
}

const conversations = JSON.parse(readFileSync(0, "utf8"))
const answers = await Promise.all(conversations.map(talk))
process.stdout.write(JSON.stringify(answers), () => process.exit(0))
