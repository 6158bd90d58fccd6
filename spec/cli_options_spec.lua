-- The protocol by hand: the options that weir create, head, read, append, close and delete share.

local by_hand = require "support.by_hand"
local cli = require "support.cli"
local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local fails, fresh, has = by_hand.fails, by_hand.fresh, by_hand.has
local misuse, ok, read = by_hand.misuse, by_hand.ok, by_hand.read
local PROMPT = by_hand.PROMPT

local s, p

by_hand.serve(function(...)
  s, p = ...
end)

describe("the options of all", function()
  local COMMANDS = {"read", "append", "create", "head", "close", "delete"}

  -- A guard with a token, and how to stop it.
  local function guard(token, to, ...)
    local child = process.spawn{cmd = {"node", paths.spec .. "/support/guard.mjs", "--to", to, "--token", token,
      "--parent", process.own_pid(), ...}, timeout = 300}
    return child, wait.till(function()
      return child:stdout():match("listening (%S+)\n")
    end, 30, "the guard")
  end

  local function by(base, url)
    return (url:gsub("^https?://[^/]+", base))
  end

  it("are in their help", function()
    for _, command in ipairs(COMMANDS) do
      local text = cli.run{"help", command}.stdout
      for _, option in ipairs{"--header, -H", "--ca-file", "--timeout", "--retries", "--quiet"} do
        has(text, "\n  " .. option)
      end
      assert.not_matches(("x"):rep(111), text:gsub("[^\n]", "x"))
    end
  end)

  it("are checked by each", function()
    local url = s:stream()
    for _, command in ipairs(COMMANDS) do
      misuse("--timeout: expected a duration such as 500ms, 30s or 5m, got 5", {command, url, "--timeout", "5"})
      misuse("--retries: expected a whole number, got x", {command, url, "--retries", "x"})
      misuse("--header: expected 'Name: value' or 'Name: @FILE'", {command, url, "-H", "nothing"})
      misuse("--header: expected 'Name: value' or 'Name: @FILE'", {command, url, "--header", "a b: c"})
      misuse("--header: the value of X holds a line end", {command, url, "-H", "X: a\nb"})
      misuse("-H needs a value", {command, url, "-H"})
      misuse("unknown option -x", {command, url, "-x"})
      has(fails{command, url, "-H", "X: @/no/such"}.stderr, "the header X: /no/such: cannot be opened")
    end
    local bad = cli.run({"head", url}, {env = {WEIR_LOG = "loud"}})
    assert.equal(1, bad.code)
    has(bad.stderr, "WEIR_LOG: expected debug, info, warn, error or off, got loud")
  end)

  it("send headers, from files too", function()
    local token = tmp.file("token", "Bearer one\n")
    local child, base = guard(token, s.url)
    finally(function() child:kill() end)
    local url = by(base, fresh())
    local done = fails{"create", url}
    has(done.stderr, url .. ": 401")
    has(done.stderr, "-H 'Authorization: @FILE'")
    local file = "Authorization: @" .. token
    ok{"create", url, "-H", "Authorization: Bearer one"}
    ok{"append", url, "1", "2", "--header=" .. file}
    assert.equal("1\n2\n", read(url, "-H", "X-Other: a", "-H", file))
    ok{"head", url, "-H", file}
    ok{"close", url, "-H", file}
    ok{"delete", url, "-H", file}
    for _, command in ipairs(COMMANDS) do
      done = fails{command, "-H", "Authorization: Bearer secret", url, command == "append" and "1" or nil}
      has(done.stderr, "401")
      assert.is_nil(done.stderr:find("secret", 1, true))
    end
    tmp.write(token, "")
    has(fails{"head", url, "-H", file}.stderr, "is empty")
  end)

  it("read the file of a header again while they go on", function()
    local token = tmp.file("token", "Bearer one\n")
    local child, base = guard(token, p.base)
    finally(function() child:kill() end)
    local url = s:stream()
    s:append(url, "1")
    local reader = cli.spawn({"read", by(base, url), "--live=long-poll", "-H", "Authorization: @" .. token})
    reader:wait_for_output("1\n")
    p:wait_for_request(url:match("/v1/.*") .. "?live=long-poll")
    tmp.write(token, "Bearer two\n")
    for i = 2, 4 do
      s:append(url, tostring(i))
      reader:wait_for_output(i .. "\n")
    end
    s:close(url)
    local done = reader:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal("1\n2\n3\n4\n", done.stdout)
  end)

  it("trust a CA file", function()
    local dir = tmp.dir()
    local made = process.run{cwd = dir, cmd = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj",
      "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"}}
    assert.equal(0, made.code, made.stderr)
    local token = tmp.file("token", "x")
    local child, base = guard(token, s.url, "--cert", dir .. "/cert.pem", "--key", dir .. "/key.pem")
    finally(function() child:kill() end)
    local url = by(base, s:stream())
    local ca, auth = "--ca-file=" .. dir .. "/cert.pem", "-HAuthorization: x"
    ok{"append", url, "1", ca, auth}
    assert.equal("1\n", read(url, ca, auth))
    has(fails{"head", url, auth, "--timeout", "1s"}.stderr, url)
  end)

  it("--timeout and --retries say when it gives up", function()
    local nobody = "http://127.0.0.1:9/x"
    for _, command in ipairs(COMMANDS) do
      local start = wait.now()
      local done = fails{command, nobody, "--retries", "1", command == "append" and "1" or nil}
      has(done.stderr, "gave up after 1 more tr")
      done = fails{command, nobody, "--timeout", "200ms", "--quiet", command == "append" and "1" or nil}
      has(done.stderr, nobody)
      assert.equal(1, #worker.lines(done.stderr))
      assert.is_true(wait.now() - start < PROMPT)
    end
    local url = s:stream()
    p:faults('[{"method":"POST","answer":{"status":503}},{"method":"POST","answer":{"status":503}}]')
    has(fails{"append", p:url(url), "1", "--retries", "0"}.stderr, "503")
    ok{"append", p:url(url), "1", "--retries", "1"}
    assert.equal("1\n", read(url))
  end)

  it("--quiet leaves only errors on stderr", function()
    local url = fresh()
    for _, args in ipairs{{"create", url}, {"append", url, "1"}, {"read", url}, {"head", url}, {"close", url},
      {"delete", url}} do
      args[#args + 1] = "--quiet"
      assert.equal("", ok(args).stderr)
    end
    has(fails{"head", url, "--quiet"}.stderr, "404")
  end)
end)

it("http(s) URLs alone are streams", function()
  assert.equal(200, http.request{url = s:stream()}.status)
  for _, command in ipairs{"read", "append", "create", "head", "close", "delete"} do
    for _, url in ipairs{"", "x", "-", "ftp://a/b", "/v1/stream/a"} do
      misuse(('expected the http(s) URL of a stream, got "%s"'):format(url), {command, url})
    end
  end
end)
