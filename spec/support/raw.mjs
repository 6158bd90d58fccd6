// Bytes over TCP connections, as they are: for requests that no client would send.
//
//   node raw.mjs PORT LIMIT_MS < conversations.json
//
// The input is a list of conversations, each over a connection of its own, all at the same time. A conversation is a
// list of steps, in order:
//
//   {"send": TEXT}
//   {"wait": TEXT}                until that came
//   {"until": [N, TEXT]}          until that came in the conversation N, counted from 1. Before such a step at the
//                                 beginning is done, there is no connection
//   {"drip": TEXT, "till": TEXT}  sends the first again and again, until the second came; without it, until the other
//                                 side ends
//   {"forget": true}              what came so far, up to what was waited for, is not told
//   {"deaf": MS}                  nothing is read so long
//   {"deaf": true}                nothing is read any more. That the other side has cut the connection is found out by
//                                 sending line ends
//   {"say": TEXT}                 a line on standard error
//   {"end": true}                 half closed
//   {"reset": true}               gone, at once
//
// Then it waits until the other side closes: LIMIT_MS at most, from the beginning. Prints a list of what came:
// {text, closed}.
import net from "node:net"
import { readFileSync } from "node:fs"

const [port, limit] = process.argv.slice(2).map(Number)
const DRIP_MS = 50

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms))
}

const came = [] // of each conversation, all that ever came
let waiting = []

// Resolves when the condition holds; it is asked again when something came, wherever.
function holds(condition) {
  return new Promise((done) => {
    waiting.push({ condition, done })
    news()
  })
}

function news() {
  const all = waiting
  waiting = []
  for (const each of all) {
    if (each.condition()) each.done()
    else waiting.push(each)
  }
}

function talk(steps, number) {
  came[number] = ""
  return new Promise((finished) => {
    let socket
    let told = 0 // what is before it is not told
    let seen = 0
    let over = false

    function finish(closed) {
      if (over) return
      over = true
      clearTimeout(timer)
      socket?.destroy()
      finished({ text: came[number].slice(told), closed })
    }

    function connect() {
      socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.setEncoding("latin1")
      socket.on("data", (piece) => {
        came[number] += piece
        news()
      })
      socket.on("end", () => finish(true))
      socket.on("error", () => finish(true))
    }

    async function arrival(text) {
      let at
      await holds(() => (at = came[number].indexOf(text, seen)) >= 0)
      seen = at + text.length
    }

    async function drip(text, till) {
      while (!over && !(till && came[number].includes(till, seen))) {
        socket.write(Buffer.from(text, "latin1"))
        await sleep(DRIP_MS)
      }
    }

    async function take(step) {
      if (step.until) await holds(() => came[step.until[0] - 1].includes(step.until[1]))
      else if (!socket) connect()
      if (step.send !== undefined) socket.write(Buffer.from(step.send, "latin1"))
      if (step.wait !== undefined) await arrival(step.wait)
      if (step.drip !== undefined) await drip(step.drip, step.till)
      if (step.forget) told = seen
      if (step.deaf !== undefined) {
        socket.pause()
        if (step.deaf === true) await drip("\r\n")
        else await sleep(step.deaf)
        if (!over) socket.resume()
      }
      if (step.say !== undefined) console.error(step.say)
      if (step.end) await new Promise((done) => socket.end(done))
      if (step.reset) {
        socket.resetAndDestroy()
        finish(false)
      }
    }

    async function say() {
      for (const step of steps) {
        if (!over) await take(step)
      }
    }

    const timer = setTimeout(() => finish(false), limit)
    say()
  })
}

const conversations = JSON.parse(readFileSync(0, "utf8"))
const answers = await Promise.all(conversations.map(talk))
process.stdout.write(JSON.stringify(answers), () => process.exit(0))
