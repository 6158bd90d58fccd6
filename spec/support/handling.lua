-- Scripts that handle the events of a file: what the specs of handlers have in common.
--
--   local events = handling.file(cli.line("insert", "t", "a", "1"), ...)   -- as weir.env "FILE"
--   local lines, done = handling.lines_of(events, handling.STREAM .. [[stream:onChange(...)]])
--   local done = handling.run{script = ..., set = {FILE = events}}         -- as worker.run
--
-- A script has weir, and show(value): the value's JSON, "-" for nil.

local assert = require "luassert"

local cli = require "support.cli"
local tmp = require "support.tmp"
local worker = require "support.worker"

local handling = {}

local PRELUDE = [[
local weir = require "weir"
local function show(value)
  return value == nil and "-" or weir.json.encode(value)
end
]]

--- Lua: the stream of the file.
handling.STREAM = [[
local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream" }
]]

--- Three events.
handling.THREE = cli.line("insert", "t", "a", "1") .. cli.line("insert", "t", "b", "2")
  .. cli.line("insert", "t", "c", "3")

function handling.file(...)
  return tmp.file("events.jsonl", table.concat{...})
end

function handling.run(options)
  return worker.run{
    script = PRELUDE .. options.script,
    set = options.set,
    env = options.env,
    args = options.args,
    timeout = options.timeout,
  }
end

--- The lines that a script with this file of events prints, and all that it left.
function handling.lines_of(events, script, expected_code)
  local done = handling.run{script = script, set = {FILE = events}}
  assert.equal(expected_code or 0, done.code, done.stderr)
  return worker.lines(done.stdout), done
end

return handling
