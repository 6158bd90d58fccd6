-- The npm MaterializedState, asked from Lua. See npm_state.mjs.

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local npm_state = {}

local PROGRAM = paths.spec .. "/support/npm_state.mjs"

--- events: the text of a JSON array, or one event a line. Returns the state as canonical JSON text.
function npm_state.materialize(events)
  local done = process.run{cmd = {"node", PROGRAM, tmp.file("events", events)}}
  assert(done.code == 0, done.stderr)
  return (done.stdout:gsub("\n$", ""))
end

--- Compares with `state`, the text `weir state` printed. Returns nil when they are the same, else what
--- differs.
function npm_state.differs(events, state)
  local done = process.run{
    cmd = {"node", PROGRAM, "--compare", tmp.file("state", state), tmp.file("events", events)},
  }
  assert(done.code == 0 or done.stdout ~= "", done.stderr)
  return done.code ~= 0 and done.stdout or nil
end

--- The same for every NAME.events and NAME.state in a folder, in one process. Each line of what differs begins
--- with "NAME: ".
function npm_state.all_differ(dir)
  local done = process.run{cmd = {"node", PROGRAM, "--compare-all", dir}}
  assert(done.code == 0 or done.stdout ~= "", done.stderr)
  return done.code ~= 0 and done.stdout or nil
end

return npm_state
