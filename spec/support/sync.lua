-- What the specs of scripts/sync-*.lua have in common: a stream of changes by which the database must come out equal.
--
--   sync.state(url)                          -- what the stream adds up to: { type = { key = value } }
--   sync.kill(node, url, cmd, seconds)       -- workers, one after the other; how many events they had

local paths = require "support.paths"
local process = require "support.process"

local weir = require "weir"

local sync = {}

local KILLS = tonumber(os.getenv "WEIR_KILLS") or 10
local PART = 40 -- events

local TYPES = { "users", "Orders", "line items", 'a"b', "select", "ünï" }

-- A random history of so many events of several types and operations, as lines of JSON.
local function random_events(count, seed)
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

--- The state of a stream, as weir itself has it: weir.json.encode of type -> key -> value.
function sync.state(url)
  local done = process.run { cmd = { paths.weir, "state", url } }
  assert(done.code == 0, done.stderr)
  return weir.json.decode(done.stdout)
end

--- Workers started with cmd, each killed within so many seconds, while the server `node` gets the stream's events.
function sync.kill(node, url, cmd, seconds)
  local events = random_events(KILLS * PART, 11)
  for first = 1, #events, PART do
    local child = process.spawn { cmd = cmd, timeout = 60 }
    node:append(url, "[" .. table.concat(events, ",", first, first + PART - 1) .. "]")
    child:kill_within(seconds)
  end
  return #events
end

return sync
