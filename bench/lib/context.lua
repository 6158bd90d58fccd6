-- What every row of a run shares: how often, how much, and which build.

local machine = require "bench.lib.machine"
local paths = require "support.paths"

local context = {}

local Context = {}
Context.__index = Context

local function number(name, default, least)
  local text = os.getenv(name)
  local value = tonumber(text or default)
  if not value or value < least then
    return nil, ("%s: expected a number of at least %s, got %s"):format(name, least, text)
  end
  return value
end

--- The settings of this run, or nil and what is wrong with the environment.
function context.new()
  local runs, no_runs = number("WEIR_BENCH_RUNS", 5, 1)
  local scale, no_scale = number("WEIR_BENCH_SCALE", 1, 0.0001)
  if not runs or not scale then
    return nil, no_runs or no_scale
  end
  return setmetatable({runs = math.floor(runs), scale = scale, load = machine.load()}, Context)
end

--- So many at this scale, and at least `least` (1).
function Context:count(n, least)
  return math.max(least or 1, math.floor(n * self.scale + 0.5))
end

--- The path of a program that the build made for the benchmarks, or nil where it did not.
function context.program(name)
  local path = paths.build .. "/bench/" .. name
  local file = io.open(path, "rb")
  return file and file:close() and path or nil
end

--- A file of this folder.
function context.file(name)
  return paths.root .. "/bench/" .. name
end

return context
