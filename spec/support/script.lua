-- A script of scripts/ as its users run it: settings on the command line, several at once, on one stream.
--
--   local flags = script.open("flags", "FLAGS", node)     -- script, the setting of its stream, support.server
--   flags:renew()                                          -- a new, empty stream
--   flags:run{DO = "on dark"}                              -- to its end, as process.run
--   flags:prints("dark is on\n", {DO = "check dark"})      -- ends with code 0 and prints exactly that
--   flags:spawn{NAME = "ann"}                              -- at the same time as others, as process.spawn
--   flags:put("flags", "dark", '{...}', "update")          -- what somebody else writes, JSON text

local assert = require "luassert"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local script = {}

local Script = {}
Script.__index = Script

function script.open(name, setting, node)
  local path = paths.scripts .. "/" .. name .. ".lua"
  return setmetatable({name = name, path = path, setting = setting, node = node}, Script)
end

function Script:renew()
  self.url = self.node:stream(self.name)
end

function Script:command(settings)
  local cmd = {paths.weir, "run", self.path, "--set", self.setting .. "=" .. self.url}
  for name, value in pairs(settings or {}) do
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = name .. "=" .. tostring(value)
  end
  return cmd
end

function Script:run(settings)
  return process.run{cmd = self:command(settings)}
end

function Script:spawn(settings)
  return process.spawn{cmd = self:command(settings), timeout = 120}
end

--- Runs it, expects success, and returns what it printed.
function Script:succeeds(settings)
  local done = self:run(settings)
  assert.equal(0, done.code, done.stderr)
  return done.stdout, done.stderr
end

function Script:prints(expected, settings)
  assert.equal(expected, (self:succeeds(settings)))
end

--- Runs it, expects that it is refused with this text (plain).
function Script:fails(text, settings)
  local done = self:run(settings)
  assert.equal(1, done.code, done.stdout .. done.stderr)
  assert.is_truthy(done.stderr:find(text, 1, true), ("%q is not in:\n%s"):format(text, done.stderr))
end

--- A change as somebody else writes it; value is JSON text, nil for none.
function Script:put(kind, key, value, operation)
  self.node:append(self.url, ('{"type":"%s","key":"%s",%s"headers":{"operation":"%s"}}'):format(kind, key,
    value and '"value":' .. value .. "," or "", operation or "insert"))
end

--- How many messages the stream holds with this text (plain).
function Script:count(text)
  local count, at = 0, 1
  local body = self.node:read(self.url).body
  while true do
    local from, to = body:find(text, at, true)
    if not from then
      return count
    end
    count, at = count + 1, to + 1
  end
end

--- Runs the reusable half, what stands above the line of dashes, with other handlers below it.
function Script:with(text, settings)
  local top = assert(tmp.read(self.path)):match("^(.-\n)%-%-%-%-%-%-%-%-+\n")
  local mine = setmetatable({path = tmp.file("mine.lua", assert(top) .. text)}, {__index = self})
  return Script.run(mine, settings)
end

--- Ends a child as Ctrl-C does.
function script.interrupt(child)
  child:signal("INT")
  assert.equal(130, child:wait().code)
end

--- Waits for the ends of several; each must succeed.
function script.all_end(children)
  for _, child in ipairs(children) do
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
  end
end

--- Waits until calling `fn` gives `expected`.
function script.comes_to(expected, fn)
  local last
  wait.till(function()
    last = fn()
    return last == expected
  end, nil, function()
    return ("%q, is %q"):format(expected, tostring(last))
  end)
end

return script
