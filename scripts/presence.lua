-- Who is in a room: whoever runs this with a name is shown to all the others until they leave or fall silent.
--
--   weir run scripts/presence.lua                                 watch who comes and goes
--   weir run scripts/presence.lua --set NAME=ann                  the same, and be there as ann until Ctrl-C
--   weir run scripts/presence.lua --set NAME=ann --set DO=away    how ann is shown: online, away or busy
--   weir run scripts/presence.lua --set NAME=ann --set DO=leave   ann leaves: the one that runs as ann ends, too
--   weir run scripts/presence.lua --set DO=who                    who is there now
--
-- ROOM is the stream's URL: it must exist, and may be that of scripts/chat.lua. USER_ID is the key, if names are not
-- unique; BEAT how often one says "still here"; TIMEOUT after how many seconds of silence one counts as gone.
-- Whoever crashed or pressed Ctrl-C is left out by lastSeen and everybody's own clock: they should agree to a few
-- seconds. A beat is a patch of lastSeen alone: it neither takes back a status nor brings back somebody who left.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local room = weir.stream {
  name = "room",
  url = weir.env("ROOM", "http://127.0.0.1:4437/v1/stream/rooms/1"),
  onInvalid = "skip",
  schema = weir.defineStreamSchema {
    types = {
      presence = s.object {
        id = s.string():min(1),
        userName = s.string():min(1),
        status = s.enum("online", "away", "busy"),
        lastSeen = s.datetime():pattern("Z$"), -- in UTC: such times are in order as texts, too
        metadata = s.record(s.any()):optional(), -- where the cursor is, and the like
      },
    },
  },
}

room:validate("presence", function(event)
  return not event.new or event.new.id == event.key, "its id is another one than its key"
end)

local presence = { timeout = assert(math.tointeger(tonumber(weir.env("TIMEOUT", "60"))), "TIMEOUT: expected seconds") }

local function utc(time) -- as lastSeen has it
  return tostring(os.date("!%Y-%m-%dT%H:%M:%SZ", time))
end

--- Those who were seen in the last seconds, in order of their ids.
function presence.active(now)
  local since, active = utc((now or os.time()) - presence.timeout), {}
  for _, person in room.state:each("presence") do
    if person.lastSeen > since then
      active[#active + 1] = person
    end
  end
  return active
end

--- Comes in, or comes back.
function presence.join(id, name, metadata)
  room:upsert("presence", id,
    { id = id, userName = name, status = "online", lastSeen = utc(os.time()), metadata = metadata })
end

--- Still here; with fields (status, metadata, userName) these change, too.
function presence.beat(id, fields)
  local changes = { lastSeen = utc(os.time()) }
  for field, value in pairs(fields or {}) do
    changes[field] = value
  end
  room:patch("presence", id, changes)
end

function presence.leave(id)
  room:delete("presence", id)
end
---------------------------------------------------------------------------------------------------------------

local name, command = weir.env("NAME", ""), weir.env("DO", "")
local me = weir.env("USER_ID", name)
local verbs = { online = true, away = true, busy = true, leave = true, who = true }

if command ~= "" and (not verbs[command] or command ~= "who" and me == "") then
  error(("DO: expected online, away, busy or leave, each with a NAME, or who; got '%s'"):format(command), 0)
end

local function plain(text) -- what strangers write must not steer the terminal
  return (text:gsub("%c", " "):gsub("\xC2[\x80-\x9F]", " "))
end

-- Says what is different from what was said last: on each change, and each second, since time alone changes it.
local said = {} -- id -> { name, status }
local function tell()
  local here = {}
  for _, person in ipairs(presence.active()) do
    here[person.id] = true
    if not said[person.id] or said[person.id][2] ~= person.status then
      print(("%s is %s"):format(plain(person.userName), person.status))
    end
    said[person.id] = { person.userName, person.status }
  end
  for id, last in pairs(said) do
    if not here[id] then
      said[id] = nil
      print(plain(last[1]) .. (room.state:has("presence", id) and " is gone: not seen any more" or " left"))
    end
  end
end

local function run_command()
  if command == "who" then
    tell()
  elseif not room.state:has("presence", me) then
    weir.log.warn("%s is not in the room", me)
  elseif command == "leave" then
    presence.leave(me)
  else
    presence.beat(me, { status = command })
  end
  weir.stop()
end

local function beat()
  local ok, err = pcall(presence.beat, me) -- where it fails the next one may get through
  return ok or weir.log.warn("cannot say that %s is still here: %s", me, tostring(err))
end

local started = false
room:onUpToDate(function()
  if started then
    return
  end
  started = true
  if command ~= "" then
    return run_command()
  elseif me ~= "" then
    presence.join(me, name)
    weir.every(weir.env("BEAT", "20s"), beat)
  end
  tell()
  weir.every("1s", tell)
end)

room:onChange("presence", function(_, event)
  if started and command == "" then
    tell()
    if event.key == me and not event.new then
      weir.stop()
    end
  end
end)
