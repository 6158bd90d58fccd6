// A guard in front of a reference server: only requests that carry the right Authorization header get through.
//
//   node guard.mjs --to URL --token FILE [--cert FILE --key FILE] [--parent PID]
//
// The right value is what FILE holds at that moment; everything else is answered 401. With a certificate it speaks
// https. Prints "listening URL" as its first line.
import { parseArgs } from "node:util"
import { readFileSync } from "node:fs"
import http from "node:http"
import https from "node:https"

const { values } = parseArgs({
  options: {
    to: { type: "string" },
    token: { type: "string" },
    cert: { type: "string" },
    key: { type: "string" },
    parent: { type: "string" },
  },
})
const upstream = new URL(values.to)

function guard(req, res) {
  if (req.headers.authorization !== readFileSync(values.token, "utf8").trim()) {
    req.resume()
    res.writeHead(401, { "Content-Type": "text/plain" })
    res.end("wrong token")
    return
  }
  const { authorization, ...headers } = req.headers
  const options = { host: upstream.hostname, port: upstream.port, method: req.method, path: req.url, headers, agent: false }
  const up = http.request(options, (answer) => {
    res.writeHead(answer.statusCode, answer.rawHeaders)
    res.flushHeaders()
    answer.pipe(res)
  })
  up.on("error", () => res.destroy())
  res.on("close", () => up.destroy())
  req.pipe(up)
}

const server = values.cert
  ? https.createServer({ cert: readFileSync(values.cert), key: readFileSync(values.key) }, guard)
  : http.createServer(guard)
process.on("SIGTERM", () => process.exit(0))
setInterval(() => {
  try {
    process.kill(Number(values.parent), 0)
  } catch (error) {
    if (error.code === "ESRCH") process.exit(0)
  }
}, 500).unref()
const scheme = values.cert ? "https" : "http"
server.listen(0, "127.0.0.1", () => console.log(`listening ${scheme}://127.0.0.1:${server.address().port}`))
