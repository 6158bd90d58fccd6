-- The program that all this is about.

local command = require "bench.lib.command"
local context = require "bench.lib.context"
local paths = require "support.paths"
local process = require "support.process"

local weir = {}

--- `weir state SOURCE --stats` with more arguments. Its seconds run from the first byte read to the last event applied;
--- what it prints goes nowhere.
function weir.state(source, ...)
  return command.run{cmd = {paths.weir, "state", source, "--stats", ...}, quiet = true}
end

--- The words of `weir run` with a script of bench/workers/ and settings for its weir.env.
function weir.worker(name, set, ...)
  local cmd = {paths.weir, "run", context.file("workers/" .. name .. ".lua"), ...}
  for key, value in pairs(set or {}) do
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = ("%s=%s"):format(key, value)
  end
  return cmd
end

--- Whether a command has an option.
function weir.has(subcommand, option)
  local help = process.run{cmd = {paths.weir, "help", subcommand}}
  return help.stdout:find(option, 1, true) ~= nil
end

return weir
