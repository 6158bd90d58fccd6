-- Worker scripts as specs run them: their text in the spec, their output captured.
--
--   local done = worker.run{script = [[...]], set = {URL = url}, args = {"--once"}}
--   local child = worker.spawn{script = [[...]], set = {URL = url}}     -- as process.spawn
--   worker.run{script = ..., killed = 0.25}                             -- kill -9 after so many seconds
--   worker.lua{script = ...}                                            -- in plain lua5.4, by require "weir"

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local worker = {}

--- Seconds that something may take which takes `seconds` in the release build on a machine with nothing else to do.
function worker.patience(seconds)
  return seconds * (paths.sanitized and 6 or 3)
end

local function environment(env)
  local all = {WEIR_LOG = false, WEIR_SOURCE = false, WEIR_DATA = false}
  for name, value in pairs(env or {}) do
    all[name] = value
  end
  return all
end

local function command(options)
  local path = options.path or tmp.file("worker.lua", options.script)
  local cmd = {}
  if options.killed then -- 0 would be never
    cmd = {"timeout", "-s", "KILL", ("%.4f"):format(math.max(options.killed, 0.0001))}
  end
  table.move({paths.weir, "run", path}, 1, 3, #cmd + 1, cmd)
  for name, value in pairs(options.set or {}) do
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = name .. "=" .. tostring(value)
  end
  for _, argument in ipairs(options.args or {}) do
    cmd[#cmd + 1] = argument
  end
  return {
    cmd = cmd,
    env = environment(options.env),
    stdin = options.stdin,
    cwd = options.cwd,
    timeout = worker.patience(options.timeout or 20),
  }
end

function worker.run(options)
  return process.run(command(options))
end

function worker.spawn(options)
  return process.spawn(command(options))
end

--- Runs a script in plain Lua; `set` becomes the environment.
function worker.lua(options)
  local env = environment(options.env)
  for name, value in pairs(paths.lua_env) do
    env[name] = value
  end
  for name, value in pairs(options.set or {}) do
    env[name] = value
  end
  local path = tmp.file("script.lua", options.script)
  return process.run{cmd = {paths.lua, path}, env = env, timeout = worker.patience(options.timeout or 20)}
end

--- The lines of a text, without their ends.
function worker.lines(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line
  end
  return lines
end

return worker
