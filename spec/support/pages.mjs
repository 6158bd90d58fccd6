// A web server that knows nothing of streams, for the specs.
//
//   node pages.mjs [--parent PID]
//
// Prints "listening URL" as its first line. /html answers a page, /text plain text, /none no content type,
// /json-object a JSON object without an offset, /loop a redirect to itself, /moved a redirect to /html,
// /silent never answers, /half a head and never a body, /no-http closes without HTTP, /STATUS that status
// with a page.
import { parseArgs } from "node:util"
import http from "node:http"

const { values } = parseArgs({ options: { parent: { type: "string" } } })
const PAGE = "<!doctype html>\n<title>Hello</title>\n<p>This is no stream.\n"

function redirect(res, to) {
  res.writeHead(302, { Location: to })
  res.end()
}

const server = http.createServer((req, res) => {
  const path = req.url.replace(/\?.*/, "")
  const html = { "Content-Type": "text/html; charset=utf-8" }
  if (path === "/html") res.writeHead(200, html).end(PAGE)
  else if (path === "/text") res.writeHead(200, { "Content-Type": "text/plain" }).end("hello\n")
  else if (path === "/none") res.writeHead(200).end("[]")
  else if (path === "/json-object") res.writeHead(200, { "Content-Type": "application/json" }).end("{}")
  else if (path === "/loop") redirect(res, "/loop")
  else if (path === "/moved") redirect(res, "/html")
  else if (path === "/half") res.writeHead(200, { "Content-Type": "application/json", "Content-Length": 9 }).flushHeaders()
  else if (path === "/no-http") req.socket.end("\x15\x03\x01 what?\r\n")
  else if (/^\/\d\d\d$/.test(path)) res.writeHead(Number(path.slice(1)), html).end(PAGE)
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
