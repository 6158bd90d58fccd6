// A proxy in front of the reference server that breaks connections where it is told to, and remembers requests.
//
//   node proxy.mjs --to URL [--parent PID]
//
// Prints "listening URL" as its first line. Controlled by HTTP:
//
//   POST /_proxy/faults    a JSON array; the first fault whose method fits is used up by each request
//        {method?, path?, cut: N}   forwards the request; drops the connection after N bytes of the answer's
//                             body (0: the answer never arrives, though the server has done the work)
//        {method?, path?, stall: true}  forwards nothing and never answers
//        {method?, path?, stall: "after"}  forwards the request, but never answers
//        {method?, path?, answer: {status?, headers?, body?}}  forwards nothing and answers this
//        {method?, path?, hold: true}  forwards it when /_proxy/release is asked for, and not before
//        {method?, path?, piece: N} hands the body over in pieces of N bytes
//   POST /_proxy/release   lets go what is held
//   GET  /_proxy/requests  one line for each request so far: METHOD URL STATUS
//   GET  /_proxy/open      how many requests are under way
import { parseArgs } from "node:util"
import http from "node:http"

const { values } = parseArgs({
  options: { to: { type: "string" }, parent: { type: "string" } },
})
const upstream = new URL(values.to)
let faults = []
let requests = []
let held = []
let open = 0

function takeFault(req) {
  const path = req.url.replace(/\?.*/, "")
  const at = faults.findIndex((fault) => (fault.method ?? req.method) === req.method && (fault.path ?? path) === path)
  return at < 0 ? {} : faults.splice(at, 1)[0]
}

function body(req) {
  return new Promise((resolve) => {
    const parts = []
    req.on("data", (part) => parts.push(part))
    req.on("end", () => resolve(Buffer.concat(parts)))
  })
}

async function control(req, res) {
  if (req.url === "/_proxy/faults") {
    faults = JSON.parse(await body(req))
    res.end()
  } else if (req.url === "/_proxy/release") {
    for (const go of held.splice(0)) go()
    res.end()
  } else if (req.url === "/_proxy/requests") {
    res.end(requests.map((line) => line + "\n").join(""))
  } else {
    res.end(String(open))
  }
}

async function copyInPieces(part, size, res) {
  for (let at = 0; at < part.length; at += size) {
    res.write(part.subarray(at, at + size))
    await new Promise(setImmediate)
  }
}

async function answer(up, res, fault) {
  let left = fault.cut ?? Infinity
  if (left === 0 || fault.stall) {
    if (!fault.stall) res.socket.destroy()
    up.resume()
    return
  }
  res.writeHead(up.statusCode, up.rawHeaders)
  res.flushHeaders()
  try {
    for await (const part of up) {
      const now = part.subarray(0, Math.min(left, part.length))
      left -= now.length
      if (fault.piece) await copyInPieces(now, fault.piece, res)
      else if (!res.write(now) && !res.destroyed) await new Promise((go) => res.once("drain", go).once("close", go))
      if (left <= 0 || res.destroyed) break
    }
  } catch {
    left = 0 // the server went away in the middle: so does the proxy
  }
  if (left <= 0) setTimeout(() => res.socket?.destroy(), 1) // what was written leaves first
  else res.end()
}

function forward(req, res, fault) {
  const at = requests.push(`${req.method} ${req.url} -`) - 1
  if (fault.stall === true) return
  if (fault.hold) held.push(() => send(req, res, fault, at))
  else send(req, res, fault, at)
}

function send(req, res, fault, at) {
  if (fault.answer) {
    const { status = 200, headers = {}, body: text = "" } = fault.answer
    requests[at] = `${req.method} ${req.url} ${status}`
    req.resume()
    res.writeHead(status, headers)
    res.end(text)
    return
  }
  const up = http.request({
    host: upstream.hostname,
    port: upstream.port,
    method: req.method,
    path: req.url,
    headers: req.headers,
    agent: false,
  })
  up.on("response", (response) => {
    requests[at] = `${req.method} ${req.url} ${response.statusCode}`
    answer(response, res, fault)
  })
  up.on("error", () => res.socket?.destroy())
  res.on("close", () => fault.stall || up.destroy())
  req.pipe(up)
}

const server = http.createServer((req, res) => {
  if (req.url.startsWith("/_proxy/")) {
    control(req, res)
    return
  }
  open++
  res.on("close", () => open--)
  forward(req, res, takeFault(req))
})

function stop() {
  process.exit(0)
}
process.on("SIGTERM", stop)
process.on("SIGINT", stop)
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
