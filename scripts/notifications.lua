-- A feed of notifications for one user: what is unread is the same on all devices.
--
--   weir run scripts/notifications.lua                          what there was, then what comes, with the unread count
--   weir run scripts/notifications.lua --set DO='send mention Ann mentioned you'     its id is printed
--   weir run scripts/notifications.lua --set DO=list            the unread ones, newest first; list all: all
--   weir run scripts/notifications.lua --set DO='read 1f0c32ab' mark one as read; unread 1f0c32ab, remove 1f0c32ab
--   weir run scripts/notifications.lua --set DO='read all'      all that there are at this moment
--
-- FEED is the URL of the user's stream, which must exist; BODY and LINK are what `send` adds. A notification comes
-- once: a second insert of the same id is refused, so that who sends again after a failure does not make it unread
-- again. All that changes later is `read`, by a patch: that is refused where the notification has been removed.
-- What comes in while all are marked as read stays unread.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local schema = weir.createStateSchema {
  notifications = {
    index = { "read" },
    schema = s.object {
      id = s.string():min(1),
      type = s.enum("mention", "reply", "like", "follow", "system"),
      title = s.string():min(1),
      body = s.string():optional(),
      link = s.string():optional(),
      read = s.boolean(),
      createdAt = s.datetime():pattern("Z$"), -- in UTC: such times are in order as texts, too
    },
  },
}

local stream = weir.stream {
  name = "feed",
  url = weir.env("FEED", "http://127.0.0.1:4437/v1/stream/notifications/me"),
  onInvalid = "skip",
  schema = schema,
}

stream:validate("notifications", function(event)
  local old, new = event.old, event.new
  if new and new.id ~= event.key then
    return false, "its id is another one than its key"
  elseif old and event.operation == "insert" then
    return false, "it is there already"
  elseif old and new and (new.type ~= old.type or new.title ~= old.title or new.createdAt ~= old.createdAt) then
    return false, "only whether it is read may change"
  end
end)

local feed = {}

--- Sends one. fields: id (to send again what may have failed), body, link. Gives the id.
function feed.send(kind, title, fields)
  local value = { type = kind, title = title, read = false, createdAt = tostring(os.date("!%Y-%m-%dT%H:%M:%SZ")) }
  for name, field in pairs(fields or {}) do
    value[name] = field
  end
  value.id = value.id or weir.uuid():sub(1, 8)
  stream:append(schema.notifications.insert { value = value })
  return value.id
end

--- How many are unread.
function feed.unread()
  return #stream.state:where("notifications", { read = false })
end

--- Those that are like the fields (none: all), newest first, and where two are of the same time by their ids.
function feed.list(fields)
  local rows = stream.state:where("notifications", fields or {})
  table.sort(rows, function(a, b)
    return a.createdAt > b.createdAt or a.createdAt == b.createdAt and a.id < b.id
  end)
  return rows
end

--- Marks one as read, or with false as unread. Does nothing where it is so already. False: there is none.
function feed.mark(id, read)
  local notification = stream.state:get("notifications", id)
  if notification and notification.read ~= (read ~= false) then
    stream:patch("notifications", id, { read = read ~= false })
  end
  return notification ~= nil
end

--- Marks all as read, and gives how many were not.
function feed.mark_all()
  local unread = feed.list { read = false }
  for _, notification in ipairs(unread) do
    feed.mark(notification.id)
  end
  return #unread
end

---------------------------------------------------------------------------------------------------------------

local verb, what, rest = weir.env("DO", ""):match("^%s*(%a*)%s*(%S*)%s*(.-)%s*$")

local function plain(text) -- what strangers write must not steer the terminal
  return (text:gsub("%c", " "):gsub("\xC2[\x80-\x9F]", " "))
end

local function line(notification)
  local more = (notification.body and ": " .. notification.body or "")
    .. (notification.link and " <" .. notification.link .. ">" or "")
  return plain(("%s %s  %s  %s%s"):format(notification.read and " " or "*", notification.id, notification.type,
    notification.title, more))
end

local verbs = {
  send = function() print(feed.send(what, rest, { body = weir.env("BODY"), link = weir.env("LINK") })) end,
  list = function()
    for _, notification in ipairs(feed.list(what == "" and { read = false } or nil)) do
      print(line(notification))
    end
  end,
  read = what == "all" and function() print(feed.mark_all() .. " marked as read") end
    or function() return feed.mark(what) end,
  unread = function() return feed.mark(what, false) end,
  remove = function() return stream.state:has("notifications", what) and stream:delete("notifications", what) end,
}

local ok = (what == "") == (verb == "list" or verb == "") and (rest == "") == (verb ~= "send")
if verb ~= "" and not (verbs[verb] and ok) and not (verb == "list" and what == "all" and rest == "") then
  error(("DO: expected 'send TYPE TITLE', 'list [all]', 'read ID|all', 'unread ID' or 'remove ID', got '%s'")
    :format(weir.env("DO")), 0)
end

local started = false
stream:onUpToDate(function()
  if verb == "" and not started then
    verbs.list()
    print(feed.unread() .. " unread")
  elseif verb ~= "" then
    local _ = verbs[verb]() ~= false or weir.log.warn("there is no notification %s", what)
    weir.stop()
  end
  started = true
end)

stream:onChange("notifications", function(_, event)
  if started and verb == "" and (event.new or event.old) then
    local text = event.new and line(event.new) or plain(("  %s  is removed"):format(event.key))
    print(("%s (%d unread)"):format(text, feed.unread()))
  end
end)
