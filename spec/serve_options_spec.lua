-- weir serve as a program and as a library: options, tokens, https, its end.

local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local raw = require "support.raw"
local serve = require "support.serve"
local tmp = require "support.tmp"
local wait = require "support.wait"

local child, port

setup(function()
  local _
  child, _, port = serve.start()
end)

teardown(function()
  serve.stop(child)
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
    misuse("expected a numeric address", "--listen", "nowhere.example:0")
    misuse("--tls-cert and --tls-key belong together", "--tls-cert", "x")
    misuse("--cors-origin: expected", "--cors-origin", "example.org")
  end)

  it("that cannot be followed fail", function()
    local function fails(expected, ...)
      local done = process.run{cmd = {paths.weir, "serve", "--listen", "127.0.0.1:0", ...}}
      assert.equal(1, done.code, done.stderr)
      assert.matches(expected, done.stderr, 1, true)
    end
    fails("address already in use", "--listen", "127.0.0.1:" .. port)
    fails("--token-file", "--token-file", "/nowhere/token")
    local bad = tmp.file("bad.pem", "no certificate\n")
    fails("--token-file " .. bad .. ": expected a first line", "--token-file", bad)
    fails("--tls-cert " .. bad .. ": expected a certificate in PEM: no start line", "--tls-cert", bad, "--tls-key", bad)
    fails("--tls-cert /nowhere/cert.pem", "--tls-cert", "/nowhere/cert.pem", "--tls-key", bad)
    fails(bad, "--data", bad)
  end)

  it("without --tls-cert: clients that try https are told", function()
    local done = process.run{cmd = {paths.weir, "head", "https://127.0.0.1:" .. port .. "/a", "--retries", "0"}}
    assert.equal(1, done.code)
    assert.matches("no TLS is spoken there; is the URL an http:// one?", done.stderr, 1, true)
  end)

  it("--token-file: no answer without the token", function()
    local file = tmp.file("token", "s3cret\n")
    local other, at = serve.start("--token-file", file)
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
    local done = serve.stop(other)
    assert.is_nil(done.stderr:find("s3cret", 1, true))
  end)

  it("--cors-origin none and one origin", function()
    local other, at = serve.start("--cors-origin", "none")
    assert.is_nil(http.request{url = at .. "/"}.headers["access-control-allow-origin"])
    serve.stop(other)
    other, at = serve.start("--cors-origin", "https://app.example")
    local answer = http.request{url = at .. "/"}
    assert.equal("https://app.example", answer.headers["access-control-allow-origin"])
    assert.equal("Origin", answer.headers.vary)
    serve.stop(other)
  end)

  it("--max-connections: one more is told so", function()
    local other, _, its_port = serve.start("--max-connections", "1")
    local answers = raw.talk_all(its_port, {
      {{send = raw.request("GET", "/")}},
      {{pause = 200}, {send = raw.request("GET", "/")}},
    }, 5, 500)
    assert.matches("^HTTP/1.1 404", answers[1].text)
    assert.is_false(answers[1].closed)
    assert.matches("^HTTP/1.1 503.*%-%-max%-connections", answers[2].text)
    assert.is_true(answers[2].closed)
    serve.stop(other)
  end)

  it("--max-connections: never so many that no descriptor is left for files", function()
    local other = process.spawn{cmd = {"sh", "-c", 'ulimit -n 300; exec "$@"', "sh", paths.weir, "serve", "--listen",
      "127.0.0.1:0", "--max-connections", "1000"}}
    other:wait_for_output "150 connections at most: the system lets this process have no more descriptors"
    serve.stop(other)
  end)

  it("--max-output: above it, who takes least is cut off", function()
    local other, url = serve.start("--max-output", "1MB", "--log", "info")
    local stream = url .. "/v1/stream/long"
    local text = (("x"):rep(99) .. "\n"):rep(240000) -- more than the kernel takes for a client
    http.request{method = "PUT", url = stream, headers = {["Content-Type"] = "text/plain"}, body = text}
    local readers = {}
    for i = 1, 2 do
      readers[i] = process.spawn{cmd = {"curl", "-sN", "--limit-rate", "1", "-o", "/dev/null",
        stream .. "?offset=-1&live=sse"}}
    end
    other:wait_for_output "a connection was cut off"
    assert.equal(200, http.request{method = "HEAD", url = stream}.status)
    for _, reader in ipairs(readers) do
      reader:kill()
    end
    serve.stop(other)
  end)

  it("--tls-cert and --tls-key: https", function()
    local dir = tmp.dir()
    local made = process.run{cmd = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-keyout", dir .. "/key.pem", "-out", dir .. "/cert.pem"}}
    if made.code ~= 0 then
      return pending "openssl is not installed"
    end
    local other, at = serve.start("--tls-cert", dir .. "/cert.pem", "--tls-key", dir .. "/key.pem",
      "--long-poll-timeout", "300ms")
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
    serve.stop(other)
  end)
end)

describe("who listens to other machines", function()
  local function said(...)
    local other = process.spawn{cmd = {paths.weir, "serve", "--listen", "0.0.0.0:0", ...}}
    other:wait_for_output "listening"
    return serve.stop(other).stderr
  end

  it("is told what that means", function()
    assert.matches("warn .*every stream: give it a %-%-token%-file", said())
    local token = tmp.file("token", "s3cret\n")
    local text = said("--token-file", token)
    assert.matches("warn .*the token crosses the network for all to read: give it a %-%-tls%-cert", text)
    assert.is_nil(text:find("every stream", 1, true))
    assert.is_nil(said("--log", "error"):find "warn")
    local other = serve.start()
    assert.is_nil(serve.stop(other).stderr:find "warn")
  end)
end)

describe("the end", function()
  it("is quick, whatever clients are in the middle of", function()
    local other, at, its_port = serve.start("--long-poll-timeout", "60s")
    http.request{method = "PUT", url = at .. "/a", headers = {["Content-Type"] = "text/plain"}}
    local clients = process.spawn{cmd = {"node", "-e", ([[
      const net = require("node:net")
      const get = (query) => `GET /a?offset=now&${query} HTTP/1.1\r\nHost: x\r\n\r\n`
      const texts = [get("live=sse"), get("live=long-poll"), "", "GET /a HT", get("x=y")]
      let open = 20 * texts.length
      for (let i = 0; i < open; i++) {
        const socket = net.connect(%d, "127.0.0.1", () => {
          socket.write(texts[i %% texts.length])
          if (i === 99) console.log("all in")
        })
        socket.on("data", () => {})
        socket.on("error", () => {})
        socket.on("close", () => { if (--open === 0) console.log("all out") })
      }]]):format(its_port)}, timeout = 30}
    clients:wait_for_output "all in"
    local began = wait.now()
    other:signal "INT"
    assert.equal(0, other:wait(10).code)
    assert.is_true(wait.now() - began < 4) -- less than the time that bodies under way are given
    clients:wait_for_output "all out"
    clients:wait(5)
  end)

  it("is orderly: who waits is answered, SSE ends, and the port is free again", function()
    local other, at, its_port = serve.start("--long-poll-timeout", "60s")
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
    serve.stop(other)
  end)

  it("keeps what --data holds", function()
    local dir = tmp.dir() .. "/streams"
    local other, at = serve.start("--data", dir)
    local text = {["Content-Type"] = "text/plain"}
    http.request{method = "PUT", url = at .. "/v1/stream/a", headers = text, body = "one"}
    assert.equal(204, http.request{method = "POST", url = at .. "/v1/stream/a", headers = text, body = "two"}.status)
    local done = serve.stop(other)
    assert.matches("streams in " .. dir .. " (fsync batch)", done.stderr, 1, true)
    other, at = serve.start("--data", dir, "--fsync", "always")
    assert.equal("onetwo", http.request{url = at .. "/v1/stream/a"}.body)
    serve.stop(other)
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
