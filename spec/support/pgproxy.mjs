// A proxy in front of a PostgreSQL server's unix socket that cuts connections.
//
//   node pgproxy.mjs SERVER_SOCKET OWN_SOCKET SEED CUTS
//
// The first CUTS connections are cut after a random number of bytes: half of them on the way to the server, half of
// them on the way back, where the server has done what it was asked to, and the answer is lost. What comes later goes
// through. Prints "listening", and a line for each cut.

import net from "node:net"
import fs from "node:fs"

const [server, own, seed, cuts] = process.argv.slice(2)
let state = Number(seed) >>> 0

function random(most) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 4294967296) * most)
}

let count = 0

function pipe(from, to, budget, cut) {
  let left = budget
  from.on("data", (bytes) => {
    if (bytes.length >= left) {
      to.write(bytes.subarray(0, left), cut)
      left = 0
      return
    }
    left -= bytes.length
    to.write(bytes)
  })
  from.on("end", () => to.end())
  from.on("error", () => to.destroy())
  from.on("close", () => to.destroy())
}

try {
  fs.unlinkSync(own)
} catch {}

net.createServer((client) => {
  const upstream = net.connect(server)
  const number = ++count
  const limit = number <= Number(cuts) ? 1 + random(number % 2 ? 60000 : 6000) : Infinity
  const cut = () => {
    console.log(`cut ${number} after ${limit} bytes to the ${number % 2 ? "server" : "client"}`)
    client.destroy()
    upstream.destroy()
  }
  pipe(client, upstream, number % 2 ? limit : Infinity, cut)
  pipe(upstream, client, number % 2 ? Infinity : limit, cut)
}).listen(own, () => {
  fs.chmodSync(own, 0o777)
  console.log("listening")
})

setInterval(() => process.ppid === 1 && process.exit(), 500)
