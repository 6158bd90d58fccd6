-- What the specs of scripts/sync-*.lua have in common: a stream of changes by which the database must come out equal.
--
--   sync.events(100, 7)                      -- a random history of so many events, as lines of JSON
--   sync.state(url, "users")                 -- what the stream adds up to: { key = value's text }

local paths = require "support.paths"
local process = require "support.process"

local weir = require "weir"

local sync = {}

local TYPES = { "users", "Orders", "line items", 'a"b', "select", "ünï" }

--- count events of several types and operations, in the order of the seed.
function sync.events(count, seed)
  math.randomseed(seed)
  local events, there = {}, {}
  for i = 1, count do
    local kind, key = TYPES[math.random(#TYPES)], ("k'%d"):format(math.random(20))
    local place = kind .. "\0" .. key
    local operation = not there[place] and "insert" or ({ "update", "patch", "delete", "upsert" })[math.random(4)]
    there[place] = operation ~= "delete" or nil
    events[i] = weir.json.encode {
      type = kind,
      key = key,
      value = operation ~= "delete" and { n = i, text = "it's \"" .. i .. "\" \\ ü" } or nil,
      headers = { operation = operation },
    }
  end
  return events
end

sync.types = TYPES

--- The state of a stream, as weir itself has it: weir.json.encode of type -> key -> value.
function sync.state(url)
  local done = process.run { cmd = { paths.weir, "state", url } }
  assert(done.code == 0, done.stderr)
  return weir.json.decode(done.stdout)
end

return sync
