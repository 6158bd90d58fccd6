-- weir serve as a program and as a library: options, tokens, https, its end.

local http = require "support.http"
local paths = require "support.paths"
local ports = require "support.ports"
local process = require "support.process"
local raw = require "support.raw"
local serve = require "support.serve"
local tmp = require "support.tmp"
local wait = require "support.wait"
local weir = require "weir"

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
    misuse("--fsync needs --data: streams in memory are not written to a disk", "--fsync", "none")
    misuse("--checkpoint-size needs --data", "--checkpoint-size", "1MB", "--memory")
    misuse("--tls-cert and --tls-key belong together", "--tls-cert", "x")
    misuse("--tls-cert and --tls-key belong together", "--tls-key", "x")
    misuse("--log loud: expected", "--log", "loud")
    misuse("unexpected argument x", "x")
    misuse("unknown option --frob", "--frob")
    misuse("expected a numeric address", "--listen", "nowhere.example:0")
    misuse("--cors-origin: expected", "--cors-origin", "example.org")
  end)

  it("that cannot be followed fail", function()
    local function fails(expected, ...)
      local done = process.run{cmd = serve.command({}, ...)}
      assert.equal(1, done.code, done.stderr)
      assert.matches(expected, done.stderr, 1, true)
    end
    fails("address already in use", "--listen", "127.0.0.1:" .. port)
    fails("--token-file", "--token-file", "/nowhere/token")
    local bad = tmp.file("bad.pem", "no certificate\n")
    local dir = tmp.dir()
    fails("--token-file " .. bad .. ": expected a first line", "--token-file", bad)
    fails("--token-file " .. dir .. ": Is a directory", "--token-file", dir)
    fails("--tls-cert " .. bad .. ": expected a certificate in PEM", "--tls-cert", bad, "--tls-key", bad)
    fails("--tls-cert " .. dir .. ": Is a directory", "--tls-cert", dir, "--tls-key", bad)
    fails("--tls-cert /nowhere/cert.pem: No such file", "--tls-cert", "/nowhere/cert.pem", "--tls-key", bad)
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

  describe("--access-log", function()
    local LINE = "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ 127%.0%.0%.1:%d+ (.*) (%d+) (%d+)$"

    -- "METHOD PATH STATUS" of each request.
    local function noted(text)
      local lines = {}
      for line in text:gmatch "[^\n]+" do
        local what, bytes = line:match(LINE)
        assert(what, line)
        assert.is_true(tonumber(bytes) > 0 or what:match " %-$" ~= nil, line)
        lines[#lines + 1] = what
      end
      return lines
    end

    it("has a line for each request, without anything secret", function()
      local token = tmp.file("token", "s3cret\n")
      local file = tmp.dir() .. "/access.log"
      local other, url, its_port = serve.start("--token-file", token, "--access-log", file)
      local function ask(method, path, body)
        http.request{method = method, url = url .. path, body = body,
          headers = {Authorization = "Bearer s3cret", ["Content-Type"] = "text/plain"}}
      end
      ask("PUT", "/v1/stream/a", "abc")
      ask("GET", "/v1/stream/a?offset=-1&key=s3cret")
      ask("DELETE", "/v1/stream/none")
      http.request{url = url .. "/v1/stream/a"}
      for _, request in ipairs{"GET /a%0A HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n",
        "PUT /twice HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        raw.request("GET", "/" .. ("x"):rep(3000), {Connection = "close"})} do
        raw.talk(its_port, {{send = request}})
      end
      local sse = raw.request("GET", "/v1/stream/a?offset=-1&live=sse", {Authorization = "Bearer s3cret"})
      raw.talk(its_port, {{send = sse}, {wait = "upToDate"}, {["end"] = true}})
      serve.stop(other)
      local text = assert(tmp.read(file))
      assert.is_nil(text:find("s3cret", 1, true))
      local lines = noted(text)
      assert.same({"PUT /v1/stream/a 201", "GET /v1/stream/a 200", "DELETE /v1/stream/none 404",
        "GET /v1/stream/a 401", "GET /a%0A 400"}, {table.unpack(lines, 1, 5)})
      assert.matches("^%- %S+ %d+$", lines[6])
      assert.equal("- - 400", lines[7])
      assert.equal("PUT /twice 400", lines[8])
      assert.equal("GET /" .. ("x"):rep(2047) .. "... 400", lines[9])
      assert.same({"GET /v1/stream/a 200"}, {table.unpack(lines, 10)})
    end)

    it("is on standard output with -, and refused where it cannot be written", function()
      local other, url = serve.start("--access-log", "-")
      http.request{url = url .. "/x"}
      assert.same({"GET /x 404"}, noted(serve.stop(other).stdout))
      local dir = tmp.dir()
      local done = process.run{cmd = serve.command({}, "--access-log", dir)}
      assert.equal(1, done.code)
      assert.matches("--access-log " .. dir .. ": Is a directory", done.stderr, 1, true)
    end)

    it("says once that it cannot be written, and the server goes on", function()
      local other, url = serve.start("--access-log", "/dev/full")
      for _ = 1, 3 do
        assert.equal(404, http.request{url = url .. "/x"}.status)
        other:wait_for_output "cannot write: No space left on device"
      end
      local _, said = serve.stop(other).stderr:gsub("cannot write", "")
      assert.equal(1, said)
    end)

    it("holds nobody up where nobody reads it, and says how much is left out", function()
      local fifo = tmp.dir() .. "/fifo"
      local other, _, its_port = serve.start_by({"sh", "-c", 'mkfifo "$1" && exec 3<>"$1" && shift && exec "$@"', "sh",
        fifo}, "--access-log", fifo)
      local asks = raw.request("GET", "/" .. ("x"):rep(1000)):rep(2000)
      local text = raw.talk(its_port, {{send = asks .. raw.request("GET", "/", {Connection = "close"})}})
      assert.equal(2001, select(2, text:gsub("HTTP/1.1 404", "")))
      local found = process.run{cmd = {"grep", "-n", "-m", "1", "# [0-9]* requests", fifo}}.stdout
      local line, lost = found:match "^(%d+):.* # (%d+) requests are not in this log"
      assert.equal(2001, line - 1 + lost)
      assert.is_true(tonumber(lost) > 0)
      serve.stop(other)
    end)
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
      {{send = raw.request("GET", "/")}, {["until"] = {2, "max-connections"}},
        {send = raw.request("GET", "/", {Connection = "close"})}},
      {{["until"] = {1, "404"}}, {send = raw.request("GET", "/")}},
    })
    assert.matches("^HTTP/1.1 404.*HTTP/1.1 404", answers[1].text) -- it is there still
    assert.matches("^HTTP/1.1 503.*%-%-max%-connections", answers[2].text)
    assert.is_true(answers[2].closed)
    serve.stop(other)
  end)

  it("--max-connections: never so many that no descriptor is left for files", function()
    local other = serve.start_by({"sh", "-c", 'ulimit -n 300; exec "$@"', "sh"}, "--max-connections", "1000")
    other:wait_for_output "150 connections at most: the system lets this process have no more descriptors"
    serve.stop(other)
  end)

  it("--max-input: above it, the longest body is refused, and others are taken", function()
    local other, url, its_port = serve.start("--max-body", "1MB", "--max-input", "1MB", "--request-timeout", "200s")
    local text = {["Content-Type"] = "text/plain"}
    http.request{method = "PUT", url = url .. "/a", headers = text}
    local begun = raw.request("POST", "/a", text, ("x"):rep(1000000)):sub(1, 900000)
    local slow = raw.spawn(its_port, {{{send = begun}}})
    local statuses = {}
    wait.till(function()
      local answer = http.request{method = "POST", url = url .. "/a", headers = text, body = ("y"):rep(700000)}
      statuses[answer.status] = true
      return not slow:running()
    end, nil, "the slow body's end")
    local told = raw.answers(slow)[1]
    assert.matches("^HTTP/1.1 503.*Retry%-After: 1\r\n.*%-%-max%-input", told.text)
    assert.is_true(told.closed)
    assert.is_true(statuses[204])
    assert.equal(204, http.request{method = "POST", url = url .. "/a", headers = text, body = ("z"):rep(900000)}.status)
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
    local key = dir .. "/locked.pem"
    process.run{cmd = {"openssl", "ec", "-in", dir .. "/key.pem", "-aes128", "-passout", "pass:p", "-out", key}}
    local function refused(expected, file)
      local done = process.run{cmd = serve.command({}, "--tls-cert", dir .. "/cert.pem", "--tls-key", file)}
      assert.equal(1, done.code)
      assert.matches(file .. ": " .. expected, done.stderr, 1, true)
    end
    refused("expected a private key in PEM, without a passphrase", key)
    refused("expected a private key in PEM", dir .. "/cert.pem")
    process.run{cmd = {"openssl", "genrsa", "-out", dir .. "/rsa.pem", "2048"}}
    refused("expected the key of the certificate", dir .. "/rsa.pem")
    process.run{cmd = {"openssl", "ecparam", "-genkey", "-name", "prime256v1", "-out", dir .. "/other.pem"}}
    refused("expected the key of the certificate", dir .. "/other.pem")
    -- A client that ends what it sends is still answered.
    local half, half_at, half_port = serve.start("--tls-cert", dir .. "/cert.pem", "--tls-key", dir .. "/key.pem",
      "--faults")
    assert.equal(0, process.run{cmd = {"curl", "-sSf", "--noproxy", "*", "--cacert", dir .. "/cert.pem",
      half_at .. "/_test/inject-error", "-d", '{"path":"/a","delayMs":500}'}}.code)
    local halved = process.run{cmd = {"node", "-e", [[
      const options = {port: process.argv[1], host: "127.0.0.1", rejectUnauthorized: false, allowHalfOpen: true}
      const socket = require("tls").connect(options, () => socket.end("PUT /a HTTP/1.1\r\nHost: x\r\n\r\n"))
      socket.pipe(process.stdout)
    ]], tostring(half_port)}}
    assert.matches("^HTTP/1.1 201", halved.stdout .. halved.stderr)
    serve.stop(half)
    local other, at = serve.start("--tls-cert", dir .. "/cert.pem", "--tls-key", dir .. "/key.pem",
      "--long-poll-timeout", "300ms")
    assert.matches("^https://", at)
    local function command(...)
      local done = process.run{cmd = {paths.weir, ...}}
      assert.equal(0, done.code, done.stderr)
      return done.stdout
    end
    local stream = at .. "/v1/stream/t"
    command("create", stream, "--ca-file", dir .. "/cert.pem")
    local file = tmp.file("big.json", "[" .. ('{"a":"' .. ("x"):rep(1000) .. '"},'):rep(3000) .. "1]")
    command("append", stream, "--file", file, "--ca-file", dir .. "/cert.pem")
    local _, lines = command("read", stream, "--ca-file", dir .. "/cert.pem"):gsub("\n", "\n")
    assert.equal(3001, lines)
    local sse = process.spawn{cmd = {"curl", "-sSN", "--noproxy", "*", "--cacert", dir .. "/cert.pem",
      stream .. "?offset=now&live=sse"}}
    sse:wait_for_output "upToDate"
    sse:kill()
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
  -- Seconds from the signal to the end, with a hundred clients in the middle of something.
  local function end_with_clients()
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
      }]]):format(its_port)}}
    clients:wait_for_output "all in"
    local began = wait.now()
    other:signal "INT"
    assert.equal(0, other:wait().code)
    local seconds = wait.now() - began
    clients:wait_for_output "all out"
    clients:wait()
    return seconds
  end

  it("is quick, whatever clients are in the middle of", function()
    -- Less than the time that bodies under way are given, unless the machine stands still: hardly three times.
    local least = end_with_clients()
    for _ = 1, 2 do
      least = least < 4 and least or end_with_clients()
    end
    assert.is_true(least < 4, least .. " s")
  end)

  it("is orderly: who waits is answered, SSE ends, and the port is free again", function()
    local listen = "127.0.0.1:" .. ports.free()
    local other, at, its_port = serve.start("--long-poll-timeout", "60s", "--listen", listen)
    http.request{method = "PUT", url = at .. "/a", headers = {["Content-Type"] = "text/plain"}}
    local send, sent, forget = raw.poll "/a"
    local clients = raw.spawn(its_port, {
      {send, sent, forget, {say = "the poll waits"}},
      {{send = raw.request("GET", "/a?offset=now&live=sse")}, {wait = "upToDate"}, {say = "SSE has begun"}},
    })
    clients:wait_for_output "the poll waits"
    clients:wait_for_output "SSE has begun"
    other:signal "INT"
    assert.equal(0, other:wait().code)
    local answers = raw.answers(clients)
    assert.matches("^HTTP/1.1 204", answers[1].text)
    assert.matches("\r\n0\r\n\r\n$", answers[2].text)
    other = process.spawn{cmd = {paths.weir, "serve", "--listen", listen}}
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
