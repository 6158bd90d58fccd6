-- An audit log: who did what to what, and when. Entries are added; what would change or remove one is refused and told.
--
--   weir run scripts/audit.lua                                    print entries as they come, and what was refused
--   weir run scripts/audit.lua --set ACTOR=ann --set DO='record document.deleted document d17 {"reason":"old"}'
--   weir run scripts/audit.lua --set DO='find actorId=ann action=document.deleted'     none: all; FROM, TO: when
--   weir run scripts/audit.lua --set DO=verify                    ends with code 1 where anything was refused
--
-- AUDIT is the stream's URL: it must exist. REFUSED is a file in which refused messages are kept as evidence, one JSON
-- object a line, each time that the stream is read. The server stores whatever it is sent: that entries cannot be
-- changed is what all who read the log by these rules agree on. Updates, upserts, patches, deletes, and a second
-- insert of an id are left out. A reset (which empties the state of every reader) stops the script: what follows it
-- is no complete log any more.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local text = s.string():min(1)
local schema = weir.createStateSchema {
  events = {
    index = { "actorId", "action", "targetId" },
    schema = s.object {
      id = text,
      action = text, -- "user.created", "document.deleted"
      actorId = text,
      targetType = text,
      targetId = text,
      metadata = s.record(s.any()),
      timestamp = s.datetime():pattern("Z$"), -- in UTC: such times are in order as texts, too
    }:strict(),
  },
}

local refused_file = weir.env("REFUSED")
local log = weir.stream {
  name = "audit",
  url = weir.env("AUDIT", "http://127.0.0.1:4437/v1/stream/audit"),
  deadletter = refused_file,
  schema = schema,
}

log:validate(function(event)
  if event.type ~= "events" then
    return false, "this log holds events only"
  elseif event.operation ~= "insert" then
    return false, ("%s: entries of an audit log are never changed or removed"):format(event.operation)
  elseif event.old then
    return false, "there is an entry of this id already, and it stays as it is"
  elseif event.new.id ~= event.key then
    return false, "its id is another one than its key"
  end
end)

local audit = { refused = 0 }

log:onInvalid(function()
  audit.refused = audit.refused + 1
  return refused_file and "deadletter" or "skip" -- either way it is logged, with its place in the stream
end)

log:onControl(function(event)
  if event.control == "reset" then
    error("somebody has reset the log: what was in it before is to be read from the stream by hand (weir read)", 0)
  end
end)

--- Adds an entry, and gives its id. To repeat one that may have failed, give it the same id: the first one counts.
function audit.record(entry)
  local value = { id = weir.uuid(), metadata = {}, timestamp = tostring(os.date("!%Y-%m-%dT%H:%M:%SZ")) }
  for field, given in pairs(entry) do
    value[field] = given
  end
  log:append(schema.events.insert { value = value })
  return value.id
end

--- The entries that have these values, oldest first; from and to (texts as timestamps are) limit the time.
function audit.find(fields, from, to)
  local found = {}
  for _, entry in ipairs(log.state:where("events", fields)) do
    if entry.timestamp >= (from or "") and entry.timestamp < (to or "~") then
      found[#found + 1] = entry
    end
  end
  table.sort(found, function(a, b)
    return a.timestamp < b.timestamp or a.timestamp == b.timestamp and a.id < b.id
  end)
  return found
end

---------------------------------------------------------------------------------------------------------------

local command = weir.env("DO", "")
local verb, rest = command:match("^%s*(%a*)%s*(.-)%s*$")

local function show(entry)
  local line = ("%s  %s  %s  %s %s  %s"):format(entry.timestamp, entry.actorId, entry.action, entry.targetType,
    entry.targetId, weir.json.encode(entry.metadata))
  print((line:gsub("%c", " "):gsub("\xC2[\x80-\x9F]", " "))) -- what strangers write must not steer the terminal
end

local verbs = {}

function verbs.record()
  local action, kind, id, metadata = rest:match("^(%S+)%s+(%S+)%s+(%S+)%s*(.*)$")
  print(audit.record { action = action, targetType = kind, targetId = id, actorId = weir.env("ACTOR"),
    metadata = metadata ~= "" and weir.json.decode(metadata) or nil })
end

function verbs.find()
  local fields = {}
  for word in rest:gmatch("%S+") do
    local field, value = word:match("^(%w+)=(.+)$")
    fields[field or error("DO: find: expected FIELD=VALUE, got " .. word, 0)] = value
  end
  for _, entry in ipairs(audit.find(fields, weir.env("FROM"), weir.env("TO"))) do
    show(entry)
  end
end

function verbs.verify()
  print(("%d entries, %d refused"):format(log.state:size("events"), audit.refused))
  if audit.refused > 0 then
    error("the log holds what does not belong there, see above", 0)
  end
end

local fits = { record = "^%S+%s+%S+%s+%S+", find = "", verify = "^$", [""] = "^$" }
if not fits[verb] or not rest:find(fits[verb]) then
  error(("DO: expected 'record ACTION TYPE ID [JSON]', 'find [FIELD=VALUE ...]' or 'verify', got '%s'")
    :format(command), 0)
end

log:onChange("events", function(_, event)
  if verb == "" then
    show(event.new)
  end
end)

log:onUpToDate(function()
  if verb ~= "" then
    verbs[verb]()
    weir.stop()
  end
end)
