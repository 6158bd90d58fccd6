-- weir serve at the level of HTTP: what is refused and how, limits, connections, options, the end. What streams do is
-- told by the conformance suite (spec/conformance_spec.lua) and by the specs that run against it.

local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local raw = require "support.raw"
local tmp = require "support.tmp"
local wait = require "support.wait"

local LIFE = 300

-- Starts `weir serve` with these arguments on a free port: child, url, port.
local function serve(...)
  local child = process.spawn{cmd = {paths.weir, "serve", "--listen", "127.0.0.1:0", ...}, timeout = LIFE}
  local url = wait.till(function()
    if not child:running() then
      error("weir serve ended: " .. child:stderr(), 0)
    end
    return child:stderr():match "listening on (http%S+),"
  end, 20, "weir serve")
  return child, url, tonumber(url:match ":(%d+)$")
end

local function stop(child)
  child:signal "TERM"
  local done = child:wait(20)
  assert.equal(0, done.code, done.stderr)
  return done
end

local child, url, port

setup(function()
  child, url, port = serve("--request-timeout", "1s", "--long-poll-timeout", "300ms", "--max-body", "1MB")
  http.request{method = "PUT", url = url .. "/v1/stream/a", headers = {["Content-Type"] = "text/plain"}, body = "abc"}
end)

teardown(function()
  stop(child)
end)

local function head(lines)
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function expect(status, request, reason)
  local got, text, closed = raw.ask(port, request)
  assert.equal(status, got, text)
  if reason then
    assert.matches(reason, text, 1, true)
  end
  return text, closed
end

describe("a request that two servers could read in two ways", function()
  local function refused(status, request, reason)
    local _, closed = expect(status, request, reason)
    assert.is_true(closed, "the connection goes on")
  end

  it("has Content-Length and Transfer-Encoding", function()
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n" ..
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")
  end)

  it("has two lengths, or one that is none", function()
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nhello")
  end)

  it("has another transfer coding than chunked, or chunked in another disguise", function()
    refused(501, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n")
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n")
    refused(400, "POST /v1/stream/a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
  end)

  it("has a bare CR, a bare LF, a NUL or a folded field in its head", function()
    refused(400, "GET /v1/stream/a HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 5\r\n\r\n", "a CR stands without its LF")
    refused(400, "GET /v1/stream/a HTTP/1.1\nHost: x\n\n", "ends without a CR")
    refused(400, "GET /v1/stream/a HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", "NUL")
    refused(400, "GET /v1/stream/a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "folded")
    refused(400, "GET /v1/stream/a HTTP/1.1\r\n Host: x\r\n\r\n", "folded")
  end)

  it("has chunks that are none, or trailers", function()
    local begin = "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    refused(400, begin .. "zz\r\nhello\r\n0\r\n\r\n")
    refused(400, begin .. "5\r\nhello!\r\n0\r\n\r\n")
    refused(400, begin .. "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n")
    refused(400, begin .. "5\nhello\r\n0\r\n\r\n")
    refused(400, begin .. "5\r\nhello\r\n0\r\nHost: y\r\n\r\n", "trailer")
    refused(400, begin .. "5;" .. ("x"):rep(5000) .. "\r\nhello\r\n0\r\n\r\n", "chunk extensions")
  end)

  it("has no Host, two of them, or one that is none", function()
    refused(400, "GET /v1/stream/a HTTP/1.1\r\n\r\n", "Host is missing")
    refused(400, "GET /v1/stream/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "Host is there twice")
    refused(400, "GET /v1/stream/a HTTP/1.1\r\nHost: x/../y\r\n\r\n", "not a host name")
  end)

  it("has a field twice that may be there once", function()
    refused(400, "POST /v1/stream/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n" ..
      "Content-Length: 1\r\n\r\nx", "Content-Type is there twice")
  end)

  it("is not HTTP/1", function()
    refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    refused(400, "hello\r\n\r\n")
    refused(400, "\22\3\1\2\0\1\0\1\252\3\3\r\n\r\n") -- TLS
  end)
end)

describe("limits", function()
  it("a head of more than 32 KB: 431", function()
    local _, closed = expect(431, head{"GET /v1/stream/a HTTP/1.1", "Host: x", "A: " .. ("a"):rep(40000)}, "32 KB")
    assert.is_true(closed)
  end)

  it("more than 100 fields: 431", function()
    local lines = {"GET /v1/stream/a HTTP/1.1", "Host: x"}
    for i = 1, 101 do
      lines[#lines + 1] = ("A%d: b"):format(i)
    end
    expect(431, head(lines), "100 header fields")
  end)

  it("a body of more than --max-body: 413, before it is read or as it comes", function()
    expect(413, head{"POST /v1/stream/a HTTP/1.1", "Host: x", "Content-Length: 1048577"}, "--max-body")
    local chunk = ("10000\r\n%s\r\n"):format(("x"):rep(65536))
    expect(413, head{"POST /v1/stream/a HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"} .. chunk:rep(17), "--max-body")
  end)

  it("a path that is too long, or none", function()
    expect(400, head{"GET /" .. ("a"):rep(3000) .. " HTTP/1.1", "Host: x"}, "too long")
    expect(400, head{"GET /a%zz HTTP/1.1", "Host: x"}, "hexadecimal")
    expect(400, head{"GET /a%00b HTTP/1.1", "Host: x"}, "control character")
    expect(400, head{"GET /../a HTTP/1.1", "Host: x"}, "above the root")
    expect(400, head{"GET /%2e%2e/%2E%2E/etc/passwd HTTP/1.1", "Host: x"}, "above the root")
    expect(400, head{"GET //a HTTP/1.1", "Host: x"}, "empty segment")
    expect(400, head{"GET a HTTP/1.1", "Host: x"})
  end)

  it("a head that does not come, a body that stops coming: 408", function()
    local text, closed = raw.talk(port, {{send = "GET /v1/stream/a HTTP/1.1\r\nHo"}}, 5)
    assert.matches("^HTTP/1.1 408", text)
    assert.is_true(closed)
    text, closed = raw.talk(port, {{send = head{"POST /v1/stream/a HTTP/1.1", "Host: x", "Content-Length: 10"} .. "abc"}}, 5)
    assert.matches("^HTTP/1.1 408", text)
    assert.is_true(closed)
  end)
end)

describe("paths", function()
  it("have one spelling", function()
    for _, path in ipairs{"/v1/stream/a", "/v1/./stream/a", "/v1/x/../stream/a", "/v1/stream/%61", "/%761/stream/a"} do
      expect(200, head{"GET " .. path .. " HTTP/1.1", "Host: x"}, "abc")
    end
    expect(200, head{"GET http://elsewhere/v1/stream/a HTTP/1.1", "Host: x"}, "abc")
    expect(404, head{"GET /v1/stream/a/ HTTP/1.1", "Host: x"})
    expect(404, head{"GET /v1/stream%2Fa HTTP/1.1", "Host: x"})
  end)

  it("that are no streams say so", function()
    expect(404, head{"GET / HTTP/1.1", "Host: x"}, "/v1/stream/NAME")
    expect(501, head{"GET /v1/stream/__ds/subscriptions/x HTTP/1.1", "Host: x"}, "subscriptions")
    expect(404, head{"POST /_test/inject-error HTTP/1.1", "Host: x", "Content-Length: 2"} .. "{}")
    expect(405, head{"PATCH /v1/stream/a HTTP/1.1", "Host: x"}, "Allow: ")
  end)
end)

describe("connections", function()
  local get = head{"GET /v1/stream/a HTTP/1.1", "Host: x"}

  it("answer requests in their order, however they come", function()
    local post = head{"POST /v1/stream/p HTTP/1.1", "Host: x", "Content-Type: text/plain", "Content-Length: 2"}
    local put = head{"PUT /v1/stream/p HTTP/1.1", "Host: x", "Content-Type: text/plain"}
    local all = put .. post .. "ab" .. post .. "cd" ..
      head{"GET /v1/stream/p HTTP/1.1", "Host: x", "Connection: close"}
    local text, closed = raw.talk(port, {{send = all}}, 3)
    local statuses = {}
    for status in text:gmatch "HTTP/1.1 (%d+)" do
      statuses[#statuses + 1] = status
    end
    assert.same({"201", "204", "204", "200"}, statuses)
    assert.matches("\r\n\r\nabcd$", text)
    assert.is_true(closed)
    local steps = {}
    for byte in (get .. get):gmatch "." do
      steps[#steps + 1] = {send = byte}
    end
    steps[#steps + 1] = {wait = "\r\n\r\nabc"}
    steps[#steps + 1] = {wait = "\r\n\r\nabc"}
    steps[#steps + 1] = {["end"] = true}
    text = raw.talk(port, steps, 3)
    assert.equal(2, select(2, text:gsub("HTTP/1.1 200", "")))
  end)

  it("take many requests in one piece, behind one that waits", function()
    local poll = head{"GET /v1/stream/a?offset=now&live=long-poll HTTP/1.1", "Host: x"}
    local text = raw.talk(port, {{send = poll .. get:rep(500)}, {wait = "HTTP/1.1 204"}, {pause = 300}}, 1)
    assert.matches("^HTTP/1.1 204", text)
    assert.equal(500, select(2, text:gsub("HTTP/1.1 200", "")))
  end)

  it("that are half closed get their answer", function()
    local text, closed = raw.talk(port, {{send = get}, {["end"] = true}}, 3)
    assert.matches("\r\n\r\nabc$", text)
    assert.is_true(closed)
  end)

  it("end where the client asks, and with HTTP/1.0", function()
    local text, closed = expect(200, head{"GET /v1/stream/a HTTP/1.1", "Host: x", "Connection: close"}, "Connection: close")
    assert.is_true(closed, text)
    text, closed = expect(200, head{"GET /v1/stream/a HTTP/1.0"})
    assert.is_true(closed, text)
    text, closed = expect(200, head{"GET /v1/stream/a HTTP/1.0", "Connection: keep-alive"}, "Connection: keep-alive")
    assert.is_false(closed, text)
  end)

  it("with Expect: 100-continue are told to go on, or why not", function()
    local post = {"POST /v1/stream/a HTTP/1.1", "Host: x", "Content-Type: text/plain", "Expect: 100-continue"}
    post[5] = "Content-Length: 3"
    local text = raw.talk(port, {{send = head(post)}, {wait = "100 Continue\r\n\r\n"}, {send = "def"}, {wait = "204"}}, 2)
    assert.matches("^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204", text)
    post[5] = "Content-Length: 3000000"
    expect(413, head(post))
    post[4] = "Expect: the worst"
    expect(417, head(post))
  end)

  it("get no SSE with chunks where they speak HTTP/1.0", function()
    local text = raw.talk(port, {{send = head{"GET /v1/stream/a?offset=-1&live=sse HTTP/1.0"}}, {wait = "upToDate"}}, 1)
    assert.matches("\r\n\r\nevent: data\ndata:abc", text)
    assert.is_nil(text:find "chunked")
  end)
end)

describe("slow readers", function()
  it("are cut off, and cost nobody else anything", function()
    local big = ("x"):rep(1000000)
    http.request{method = "PUT", url = url .. "/big", headers = {["Content-Type"] = "text/plain"}}
    for _ = 1, 12 do
      http.request{method = "POST", url = url .. "/big", headers = {["Content-Type"] = "text/plain"}, body = big}
    end
    -- Never reads: node keeps the socket paused while the loop below waits.
    local reader = process.spawn{cmd = {"node", "-e", [[
      const net = require("node:net")
      const s = net.connect(]] .. port .. [[, "127.0.0.1", () => {
        s.pause()
        s.write("GET /big?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n")
        setTimeout(() => { s.resume() }, 4000)
      })
      let got = 0
      s.on("data", (d) => { got += d.length })
      s.on("error", () => {})
      s.on("close", () => { console.log("closed", got); process.exit() })
    ]]}, timeout = 20}
    assert.equal(200, http.request{url = url .. "/v1/stream/a"}.status)
    assert.matches("^closed", reader:wait(15).stdout)
  end)
end)

describe("answers", function()
  it("to browsers: CORS and security fields", function()
    local answer = http.request{url = url .. "/v1/stream/a"}
    assert.equal("nosniff", answer.headers["x-content-type-options"])
    assert.equal("*", answer.headers["access-control-allow-origin"])
    assert.equal("cross-origin", answer.headers["cross-origin-resource-policy"])
    local asked = http.request{method = "OPTIONS", url = url .. "/v1/stream/a",
      headers = {Origin = "http://page", ["Access-Control-Request-Method"] = "POST"}}
    assert.equal(204, asked.status)
    assert.matches("POST", asked.headers["access-control-allow-methods"])
    assert.matches("Producer%-Id", asked.headers["access-control-allow-headers"])
  end)

  it("that are the same again: 304", function()
    local first = http.request{url = url .. "/v1/stream/a?offset=-1"}
    local etag = assert(first.headers.etag)
    local same = http.request{url = url .. "/v1/stream/a?offset=-1", headers = {["If-None-Match"] = '"x", W/' .. etag}}
    assert.equal(304, same.status)
    assert.equal("", same.body)
    assert.equal(200, http.request{url = url .. "/v1/stream/a?offset=-1", headers = {["If-None-Match"] = '"x"'}}.status)
  end)

  it("name what was expected", function()
    local function reason(status, what, path, options)
      options = options or {}
      options.url = url .. path
      local answer = http.request(options)
      assert.equal(status, answer.status, answer.body)
      assert.matches(what, answer.body, 1, true)
      assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
    end
    reason(400, "offset to be -1, now, or an offset", "/v1/stream/a?offset=0")
    reason(400, "one offset parameter", "/v1/stream/a?offset=-1&offset=-1")
    reason(400, "live to be long-poll or sse", "/v1/stream/a?offset=-1&live=yes")
    reason(400, "an offset parameter beside live", "/v1/stream/a?live=sse")
    reason(404, "no such stream", "/v1/stream/nobody")
    reason(400, "Stream-TTL in whole seconds", "/t", {method = "PUT", headers = {["Stream-TTL"] = "01"}})
    reason(400, "RFC 3339", "/t", {method = "PUT", headers = {["Stream-Expires-At"] = "tomorrow"}})
    reason(400, "together", "/v1/stream/a", {method = "POST", body = "x",
      headers = {["Content-Type"] = "text/plain", ["Producer-Id"] = "p"}})
    reason(415, "Content-Encoding", "/v1/stream/a", {method = "POST", body = "x",
      headers = {["Content-Type"] = "text/plain", ["Content-Encoding"] = "gzip"}})
  end)
end)

describe("options", function()
  local function misuse(expected, ...)
    local done = process.run{cmd = {paths.weir, "serve", ...}}
    assert.equal(2, done.code, done.stderr)
    assert.matches(expected, done.stderr, 1, true)
  end

  it("that are wrong are told by name", function()
    misuse("--listen 4437: expected HOST:PORT", "--listen", "4437")
    misuse("--listen a:b: expected HOST:PORT", "--listen", "a:b")
    misuse("--fsync often: expected none, batch or always", "--fsync", "often")
    misuse("--long-poll-timeout 5: expected a duration", "--long-poll-timeout", "5")
    misuse("--max-body big: expected a size", "--max-body", "big")
    misuse("--max-connections 0: expected a whole number above 0", "--max-connections", "0")
    misuse("--memory and --data exclude each other", "--memory", "--data", "x")
    misuse("--log loud: expected", "--log", "loud")
    misuse("unexpected argument x", "x")
    misuse("unknown option --frob", "--frob")
  end)

  it("that cannot be followed fail", function()
    local function fails(expected, ...)
      local done = process.run{cmd = {paths.weir, "serve", "--listen", "127.0.0.1:0", ...}}
      assert.equal(1, done.code, done.stderr)
      assert.matches(expected, done.stderr, 1, true)
    end
    fails("address already in use", "--listen", "127.0.0.1:" .. port)
    fails("expected a numeric address", "--listen", "nowhere.example:0")
    fails("--token-file", "--token-file", "/nowhere/token")
    fails("--tls-cert and --tls-key belong together", "--tls-cert", "x")
    fails("--cors-origin: expected", "--cors-origin", "example.org")
  end)

  it("--token-file: no answer without the token", function()
    local file = tmp.file("token", "s3cret\n")
    local other, at = serve("--token-file", file)
    local function status(value, method)
      return http.request{method = method or "GET", url = at .. "/a",
        headers = {Authorization = value, ["Content-Type"] = "text/plain"}}.status
    end
    assert.equal(401, http.request{url = at .. "/a"}.status)
    assert.equal(401, status "Bearer s3cre")
    assert.equal(401, status "Bearer s3cret2")
    assert.equal(401, status "Basic s3cret")
    assert.equal(201, status("Bearer s3cret", "PUT"))
    assert.equal(200, status "bearer s3cret")
    assert.equal(204, http.request{method = "OPTIONS", url = at .. "/a"}.status)
    local done = stop(other)
    assert.is_nil(done.stderr:find("s3cret", 1, true))
  end)

  it("--cors-origin none and one origin", function()
    local other, at = serve("--cors-origin", "none")
    assert.is_nil(http.request{url = at .. "/"}.headers["access-control-allow-origin"])
    stop(other)
    other, at = serve("--cors-origin", "https://app.example")
    local answer = http.request{url = at .. "/"}
    assert.equal("https://app.example", answer.headers["access-control-allow-origin"])
    assert.equal("Origin", answer.headers.vary)
    stop(other)
  end)

  it("--max-connections: one more is told so", function()
    local other, _, its_port = serve("--max-connections", "1")
    local held = process.spawn{cmd = {"node", "-e", ([[
      const s = require("node:net").connect(%d, "127.0.0.1", () => s.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      s.on("data", () => console.log("in"))
      setTimeout(() => {}, 20000)]]):format(its_port)}, timeout = 20}
    held:wait_for_output("in")
    local status, text, closed = raw.ask(its_port, head{"GET / HTTP/1.1", "Host: x"})
    assert.equal(503, status, text)
    assert.is_true(closed)
    held:kill()
    stop(other)
  end)

  it("--tls-cert and --tls-key: https", function()
    local dir = tmp.dir()
    local made = process.run{cmd = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-keyout", dir .. "/key.pem", "-out", dir .. "/cert.pem"}}
    if made.code ~= 0 then
      return pending "openssl is not installed"
    end
    local other, at = serve("--tls-cert", dir .. "/cert.pem", "--tls-key", dir .. "/key.pem", "--long-poll-timeout", "300ms")
    assert.matches("^https://", at)
    local function weir(...)
      local done = process.run{cmd = {paths.weir, ...}}
      assert.equal(0, done.code, done.stderr)
      return done.stdout
    end
    local stream = at .. "/v1/stream/t"
    weir("create", stream, "--ca-file", dir .. "/cert.pem")
    local file = tmp.file("big.json", "[" .. ('{"a":"' .. ("x"):rep(1000) .. '"},'):rep(3000) .. "1]")
    weir("append", stream, "--file", file, "--ca-file", dir .. "/cert.pem")
    local _, lines = weir("read", stream, "--ca-file", dir .. "/cert.pem"):gsub("\n", "\n")
    assert.equal(3001, lines)
    assert.matches("upToDate", process.run{cmd = {"curl", "-sS", "--noproxy", "*", "--max-time", "1", "--cacert",
      dir .. "/cert.pem", stream .. "?offset=now&live=sse"}}.stdout)
    stop(other)
  end)
end)

describe("the end", function()
  it("is orderly: who waits is answered, SSE ends, and the port is free again", function()
    local other, at, its_port = serve("--long-poll-timeout", "60s")
    http.request{method = "PUT", url = at .. "/a", headers = {["Content-Type"] = "text/plain"}}
    local poll = process.spawn{cmd = {"curl", "-sS", "--noproxy", "*", "-w", "%{http_code}",
      at .. "/a?offset=now&live=long-poll"}}
    local sse = process.spawn{cmd = {"curl", "-sSN", "--noproxy", "*", at .. "/a?offset=now&live=sse"}}
    sse:wait_for_output "upToDate"
    wait.till(function()
      return poll:running()
    end)
    other:signal "INT"
    assert.equal(0, other:wait(10).code)
    assert.equal("204", poll:wait(5).stdout)
    assert.equal(0, sse:wait(5).code)
    other = process.spawn{cmd = {paths.weir, "serve", "--listen", "127.0.0.1:" .. its_port}, timeout = 20}
    other:wait_for_output "listening"
    stop(other)
  end)

  it("keeps what --data holds", function()
    local dir = tmp.dir() .. "/streams"
    local other, at = serve("--data", dir)
    local text = {["Content-Type"] = "text/plain"}
    http.request{method = "PUT", url = at .. "/v1/stream/a", headers = text, body = "one"}
    assert.equal(204, http.request{method = "POST", url = at .. "/v1/stream/a", headers = text, body = "two"}.status)
    local done = stop(other)
    assert.matches("streams in " .. dir .. " (fsync batch)", done.stderr, 1, true)
    other, at = serve("--data", dir, "--fsync", "always")
    assert.equal("onetwo", http.request{url = at .. "/v1/stream/a"}.body)
    stop(other)
  end)
end)

describe("weir.serve in a script", function()
  it("serves on the script's own loop", function()
    local script = tmp.file("serve.lua", [[
      local weir = require "weir"
      local server = weir.serve { listen = "127.0.0.1:0" }
      local out = weir.stream { url = server.url .. "/v1/stream/a", live = false }
      out:create()
      out:insert("users", "1", { name = "Ada" })
      out:onChange("users", function(state, event) print(event.type, event.key, event.value.name) end)
      out:onUpToDate(function()
        print(server.running)
        server:stop()
        print(server.running)
      end)
    ]])
    local done = process.run{cmd = {paths.weir, "run", script}}
    assert.equal(0, done.code, done.stderr)
    assert.equal("users\t1\tAda\ntrue\nfalse\n", done.stdout)
  end)

  it("names wrong options", function()
    local weir = require "weir"
    local function refused(expected, options)
      local ok, message = pcall(weir.serve, options)
      assert.is_false(ok)
      assert.matches(expected, tostring(message), 1, true)
    end
    refused("unknown option 'port'", {port = 1})
    refused('listen: expected a non-empty string', {listen = 1})
    refused('fsync: expected "batch", "always" or "none"', {fsync = "often"})
    refused("expected HOST:PORT", {listen = "here"})
    refused("address already in use", {listen = "127.0.0.1:" .. port})
  end)
end)
