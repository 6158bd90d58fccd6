-- weir serve --data: killed at any moment under load, restarted, with many streams, on a disk that is full, in folders
-- that it cannot use. The load and the checks are a program of their own: spec/crash.
--
--   WEIR_KILLS=1000     how often it is killed (8)
--   WEIR_SEED=7         the same load and moments again, as far as two programs can do the same again
--   WEIR_STREAMS=100000 how many streams a restart has (2,000)

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local worker = require "support.worker"

local CRASH = paths.build .. "/spec/serve_crash"

local function number(name, default)
  return math.tointeger(tonumber(os.getenv(name) or default))
end

-- The program's report, which is shown where it was asked for by the environment.
local function crash(seconds, shown, ...)
  local done = process.run{cmd = {CRASH, ...}, timeout = worker.patience(seconds)}
  if os.getenv(shown) then
    io.write(done.stdout)
  end
  return done
end

describe("weir serve --data", function()
  it("loses nothing acknowledged and doubles nothing, whenever it is killed", function()
    local kills = number("WEIR_KILLS", 8)
    local seed = number("WEIR_SEED", os.time())
    local done = crash(60 + kills * 3, "WEIR_KILLS", "kill", paths.weir, tmp.dir() .. "/data", kills, seed)
    assert.equal(0, done.code, ("WEIR_SEED=%d\n%s%s"):format(seed, done.stdout, done.stderr))
  end)

  it("has all of many streams again, in any state of its folder", function()
    local streams = number("WEIR_STREAMS", 2000)
    local done = crash(60 + streams / 500, "WEIR_STREAMS", "many", paths.weir, tmp.dir() .. "/data", streams)
    assert.equal(0, done.code, done.stdout .. done.stderr)
  end)
end)
