-- The options of weir.stream: each mistake names the option, what was expected and what was found, at the place
-- where the script made it; one in the configuration names the file and the key.

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local function check(script, config)
  local dir = tmp.dir()
  tmp.write(dir .. "/s.lua", script)
  local cmd = { paths.weir, "check", "s.lua" }
  if config then
    tmp.write(dir .. "/c.json", config)
    cmd[#cmd + 1] = "--config"
    cmd[#cmd + 1] = "c.json"
  end
  return process.run { cmd = cmd, cwd = dir }
end

local LIVES = 'live: expected true, false, "sse" or "long-poll", got "maybe"'
local SIZE = 'expected a size (bytes, or text like "64KB", "10MB")'
local OUTGOING = "expected a table of strings, functions and { file = PATH }"
local DURATION = 'expected a duration (seconds, or text like "500ms", "30s", "5m")'

describe("an option of weir.stream", function()
  local mistakes = {
    ['live = "maybe"'] = LIVES,
    ['url = "ftp://x/y"'] = 'url: expected an http(s) URL, a file, or "-", got "ftp://x/y"',
    ['limits = { message = "1XB" }'] = "limits.message: " .. SIZE .. ', got "1XB"',
    ["limits = { connect = -1 }"] = "limits.connect: " .. DURATION .. ", got -1",
    ["limits = { speed = 1 }"] =
      'limits: expected message, connect, outage, append, confirm, sinkBatch, sinkBytes, sinkDelay or sinkRows, ' ..
        'got "speed"',
    ["limits = 5"] = "limits: expected a table, got 5",
    ["headers = { a = 1 }"] = "headers: " .. OUTGOING .. " (a is number), got a table",
    ['headers = { ["a b"] = "c" }'] = "names and values that fit into an HTTP header (a b does not)",
    ['onInvalid = "deadletter"'] = 'onInvalid = "deadletter" needs the option deadletter',
    ['onError = "never"'] = 'onError: expected "stop", "skip", "retry", "deadletter" or a function, got "never"',
    ["strict = 1"] = "strict: expected a boolean, got 1",
    ["nope = 1"] = "unknown option 'nope': expected one of actions, caFile, ",
    ["schema = { types = {}, gtKey = 1 }"] = "schema: unknown member 'gtKey': expected types or getKey",
    ["schema = { types = {}, getKey = 5 }"] = "schema: getKey: expected { name = function, ... }, got 5",
    ['schema = { types = { a = "string" } }'] =
      'schema: types.a: expected a schema (weir.schema...) or { schema =, index = }, got "string"',
  }
  for option, message in pairs(mistakes) do
    it("is refused by name: " .. option, function()
      local done = check("local weir = require 'weir'\n\nweir.stream { url = 'e.jsonl', " .. option .. " }\n")
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("s.lua:3: weir.stream: ", 1, true), done.stderr)
      assert.truthy(done.stderr:find(message, 1, true), done.stderr)
    end)
  end

  it("must be in a table that has a url", function()
    assert.truthy(check("require('weir').stream {}").stderr:find("s.lua:1: weir.stream: url is missing", 1, true))
    assert.truthy(check("require('weir').stream(5)").stderr:find("expected a table of options, got number", 1, true))
  end)
end)

describe("an option in the configuration", function()
  local script = "require('weir').stream { url = 'e.jsonl', name = 'n' }"

  it("is refused with the file and the key", function()
    local done = check(script, '{"streams":{"n":{"live":"maybe"}}}')
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("c.json: streams.n: " .. LIVES, 1, true), done.stderr)
  end)

  it("wins over the script", function()
    local done = check(script, '{"streams":{"n":{"url":"other.jsonl","live":false}}}')
    assert.equal(0, done.code, done.stderr)
    assert.truthy(done.stdout:find("url: other.jsonl", 1, true))
  end)

  it("must be for a stream that the script declares", function()
    local done = check(script, '{"streams":{"m":{"live":false}}}')
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("options for the stream m, which s.lua does not declare", 1, true))
  end)
end)

describe("a worker in the foreground", function()
  it("ends when nobody reads its output any more", function()
    local dir = tmp.dir()
    tmp.write(dir .. "/s.lua", 'local weir = require "weir"\nweir.every("5ms", function() print("tick") end)\n')
    local done = process.run {
      cmd = { "sh", "-c", '{ "$1" run s.lua; echo "code=$?" >&2; } | head -n 1', "sh", paths.weir },
      cwd = dir,
    }
    assert.equal("tick\n", done.stdout)
    assert.truthy(done.stderr:find("weir: standard output was closed\ncode=1", 1, true), done.stderr)
  end)

  it("is interrupted in plain Lua by the first Ctrl-C", function()
    local dir = tmp.dir()
    tmp.write(dir .. "/s.lua", [[
      local weir = require "weir"
      weir.every("5ms", function() print("tick") end)
      print(pcall(weir.run))
    ]])
    local child = process.spawn { cmd = { paths.lua, "s.lua" }, env = paths.lua_env, cwd = dir }
    child:wait_for_output "tick"
    child:signal "INT"
    local done = child:wait()
    assert.truthy(done.stdout:find("false\tinterrupted", 1, true), done.stdout .. done.stderr)
    assert.equal(0, done.code)
  end)
end)
