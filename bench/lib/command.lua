-- Running a program and taking what it says about itself.
--
--   local result = command.run{cmd = {"node", "peer.mjs"}}
--   result.seconds, result.events      -- from the words NAME=NUMBER that it printed
--   result.wall, result.maxrss         -- from outside: seconds from start to end, bytes
--   command.whole{"curl", url}.seconds -- from outside as well

local context = require "bench.lib.context"
local process = require "support.process"
local tmp = require "support.tmp"

local command = {}

local LIMIT = 1800 -- seconds a program may take

-- What the specs and users may have set must not be measured.
local CLEAN = {WEIR_LOG = false, WEIR_LOG_FORMAT = false, WEIR_SOURCE = false, WEIR_HANDLER_LIMIT = false}

local function numbers(text)
  local found = {}
  for name, value in text:gmatch "([%l_]%w*)=([%d.]+)" do
    found[name] = tonumber(value)
  end
  return found
end

--- options: cmd (list); pipe (a shell command whose output is its standard input); quiet (what it prints is not kept).
function command.run(options)
  local report = tmp.file "report"
  local from = options.pipe and options.pipe .. " | " or ""
  local script = from .. 'exec "$@"' .. (options.quiet and " >/dev/null" or "")
  local cmd = {"sh", "-c", script, "sh", context.program "measure", report}
  for _, word in ipairs(options.cmd) do
    cmd[#cmd + 1] = tostring(word)
  end
  local done = process.run{cmd = cmd, env = CLEAN, timeout = LIMIT}
  if done.code ~= 0 then
    error(("%s ended with code %d: %s"):format(table.concat(options.cmd, " "), done.code, done.stderr), 0)
  end
  local outside = numbers(tmp.read(report) or "")
  local result = numbers(done.stdout .. "\n" .. done.stderr)
  result.wall, result.maxrss = outside.seconds, outside.maxrss
  return result
end

--- Runs the words; its seconds are those of the whole process, from its start to its end.
function command.whole(words)
  local result = command.run{cmd = words}
  result.seconds = result.wall
  return result
end

return command
