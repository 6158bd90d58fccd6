-- URLs behind which there is no stream: exit code 1, without another try where that is of no use, with a message that
-- names the URL and the reason.

local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local wait = require "support.wait"
local worker = require "support.worker"

local pages, base, s

setup(function()
  s = server.start()
  pages = process.spawn{cmd = {"node", paths.spec .. "/support/pages.mjs"}, timeout = 900}
  base = wait.till(function() return pages:stdout():match("listening (%S+)\n") end, nil, "the web server")
end)

teardown(function()
  pages:signal("TERM")
  pages:wait()
  s:stop()
end)

-- Runs a worker and `weir state` on the URL: both say the same. Returns what they say.
local function failure(url, options)
  options = options or {}
  local run = worker.run{
    set = {URL = url},
    script = ([[
      local weir = require "weir"
      local stream = weir.stream { url = weir.env "URL", live = %s%s }
      stream:onChange(function(_, event) print(event.text) end)
      stream:onUpToDate(function() print "up to date" end)
    ]]):format(options.live or "true", options.more or ""),
  }
  assert.equal(1, run.code)
  assert.equal("", run.stdout)
  if options.at_once then
    assert.not_matches("trying again", run.stderr)
  end
  local last = run.stderr:match("([^\n]*)\n$")
  assert.matches("^weir: ", last)
  if not options.script_only then
    local state = process.run{cmd = {paths.weir, "state", url}, timeout = worker.patience(30)}
    assert.equal(1, state.code)
    assert.equal("", state.stdout)
    assert.equal((last:gsub("after %d.*", "")), (state.stderr:match("([^\n]*)\n$"):gsub("after %d.*", "")))
  end
  return last, run
end

describe("a URL", function()
  it("that refuses connections", function()
    local url = "http://127.0.0.1:9/v1/stream/x" -- nobody listens there
    local message, run = failure(url, {script_only = true})
    assert.matches(url, message, 1, true)
    assert.matches("connect to", message, 1, true)
    assert.is_true(tonumber(message:match "gave up after (%d+%.%d) s") >= 4)
    assert.matches("trying again in", run.stderr, 1, true)
  end)

  it("that refuses connections, tried again by a command", function()
    local done = process.run{cmd = {paths.weir, "head", "http://127.0.0.1:9/x", "--timeout", "300ms"}}
    assert.matches(" warn  HEAD http://127.0.0.1:9/x: [^\n]*; trying again in 0%.%d s\n", done.stderr)
  end)

  it("that refuses connections, with less patience", function()
    local least = math.huge -- of three: a busy machine may stand still for a while
    for _ = 1, 3 do
      local message = least < 4 and "" or failure("http://127.0.0.1:9/v1/stream/x",
        {more = ', limits = { connect = "200ms" }', script_only = true})
      least = math.min(least, tonumber(message:match "gave up after (%d+%.%d) s") or math.huge)
    end
    assert.is_true(least >= 0.2 and least < 4, least)
  end)

  it("of a stream that does not exist", function()
    local url = s.url .. "/v1/stream/none"
    local message = failure(url, {at_once = true})
    assert.equal("weir: " .. url .. " at offset -1: 404: there is no such stream: Stream not found", message)
  end)

  it("of a page", function()
    local message = failure(base .. "/html", {at_once = true})
    assert.matches(base .. "/html", message, 1, true)
    assert.matches("answered text/html; charset=utf-8: expected application/json; is this the URL of a stream?",
      message, 1, true)
  end)

  it("that redirects to a page, or for ever", function()
    assert.matches("/moved.*answered text/html", (failure(base .. "/moved", {at_once = true})))
    assert.matches("/loop.*redirect", (failure(base .. "/loop", {at_once = true})))
  end)

  it("of plain text, of something without a type, of JSON that is no stream", function()
    assert.matches("/text.*answered text/plain", (failure(base .. "/text", {at_once = true})))
    assert.matches("/none.*no content type", (failure(base .. "/none", {at_once = true})))
    assert.matches("/json%-object.*Stream%-Next%-Offset", (failure(base .. "/json-object", {at_once = true})))
  end)

  it("of a stream that is no JSON", function()
    local url = s:stream("bytes", "application/octet-stream")
    local message = failure(url, {at_once = true})
    assert.matches("answered application/octet-stream: expected application/json", message, 1, true)
  end)

  it("that wants credentials, or forbids", function()
    assert.matches("/401.*401: it asks for credentials", (failure(base .. "/401", {at_once = true})))
    assert.matches("/403.*403: the credentials do not allow", (failure(base .. "/403", {at_once = true})))
    assert.matches("/410.*410", (failure(base .. "/410", {at_once = true})))
    assert.matches("/400.*400", (failure(base .. "/400", {at_once = true})))
  end)

  it("of a server that keeps failing", function()
    local message = failure(base .. "/500", {more = ', limits = { connect = "500ms" }', script_only = true})
    assert.matches("/500.*500: the server failed.*gave up after", message)
  end)

  it("of a server that never answers, or not to the end", function()
    assert.matches("/silent.*gave up after", (failure(base .. "/silent",
      {more = ', limits = { connect = "500ms" }', script_only = true})))
    assert.matches("/half.*", (failure(base .. "/half",
      {more = ', limits = { connect = "500ms" }', script_only = true})))
  end)

  it("of something that does not speak HTTP", function()
    local message = failure(base .. "/no-http",
      {more = ', limits = { connect = "300ms" }', script_only = true})
    assert.matches(base .. "/no-http", message, 1, true)
  end)

  it("with TLS to a port without", function()
    local url = base:gsub("^http:", "https:") .. "/v1/stream/x"
    local message = failure(url, {more = ', limits = { connect = "500ms" }', script_only = true})
    assert.matches(url, message, 1, true)
    assert.matches("[Ss][Ss][Ll]", message)
  end)

  it("of a host that does not exist", function()
    local url = "http://no-such-host.invalid/v1/stream/x"
    local message = failure(url, {more = ', limits = { connect = "3s" }', script_only = true})
    assert.matches(url, message, 1, true)
    assert.matches("resolve host", message, 1, true)
  end)

  it("with a password keeps it to itself", function()
    local message, run = failure("http://user:secret@127.0.0.1:9/x",
      {more = ', limits = { connect = "200ms" }', script_only = true})
    assert.matches("127.0.0.1:9/x", message, 1, true)
    assert.not_matches("secret", run.stderr)
  end)

  it("of another scheme, or that is none", function()
    local run = worker.run{script = [[require("weir").stream { url = "ftp://127.0.0.1/x" }]]}
    assert.equal(1, run.code)
    assert.matches('got "ftp://127.0.0.1/x"', run.stderr, 1, true)
    for _, url in ipairs{"http://", "http://127.0.0.1:99999/x", "http://exa mple/x", "http://[::1/x"} do
      local message = failure(url, {at_once = true, script_only = true})
      assert.matches(url:gsub("^http://", ""), message, 1, true)
    end
  end)
end)

describe("two streams, one of which fails", function()
  it("end with the message of that one", function()
    local url = s:stream()
    local run = worker.run{
      set = {GOOD = url, BAD = s.url .. "/v1/stream/none"},
      script = [[
        local weir = require "weir"
        weir.stream { url = weir.env "GOOD", name = "good" }
        weir.stream { url = weir.env "BAD", name = "bad" }
      ]],
    }
    assert.equal(1, run.code)
    assert.matches("^weir: [^\n]*/v1/stream/none[^\n]*404[^\n]*\n$", run.stderr)
  end)
end)
