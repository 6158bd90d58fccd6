-- A chat room: people, messages, reactions and read receipts in one stream, printed as they happen.
--
--   weir run scripts/chat.lua --source scripts/chat.jsonl --once          a recorded room
--   weir run scripts/chat.lua                                             a live one: it goes on until Ctrl-C
--   weir run scripts/chat.lua --set NAME=Ann                              the same, and be in it, reading, as Ann
--   weir run scripts/chat.lua --set NAME=Ann --set DO='say Hello!'
--   weir run scripts/chat.lua --set NAME=Ann --set DO='react 👍'          to the last message; again: take it back
-- ROOM is the stream's URL: it must exist. To change: what a message must look like (the schema), who may speak
-- (room:validate), what happens with an event (room:onChange), what is done when all is read (room:onUpToDate).

local weir = require "weir"
local s = weir.schema
local id, time = s.string():min(1), s.datetime():pattern("Z$") -- in UTC: such times are in order as texts, too
local schema = weir.createStateSchema {
  users = { schema = s.object { id = id, name = id, avatar = s.string():optional(), joinedAt = time } },
  messages = {
    index = { "userId" },
    schema = s.object { id = id, text = s.string(), userId = id, createdAt = time, editedAt = time:optional() },
  },
  reactions = {
    primaryKey = { "userId", "messageId", "emoji" }, index = { "messageId" },
    schema = s.object { id = id, messageId = id, userId = id, emoji = id },
  },
  read_receipts = { schema = s.object { id = id, userId = id, lastReadMessageId = id, lastReadAt = time } },
}
local room = weir.stream {
  name = "room", schema = schema, onInvalid = "skip", -- what does not belong here is logged and left out
  url = weir.env("ROOM", "http://127.0.0.1:4437/v1/stream/rooms/1"),
}

-- Rules that no schema can say. event.new is nothing when the event is a delete.
room:validate("messages", function(event, state)
  local author = (event.new or event.old or {}).userId
  return not event.new or state:has("users", author), ("%s has not joined the room"):format(author)
end)
room:validate("reactions", function(event) -- so that nobody reacts twice in the same way
  return not event.new or schema.reactions.insert({ value = event.new }).key == event.key, "its key is another one"
end)
room:validate("read_receipts", function(event)
  return not (event.new and event.old) or event.new.lastReadAt >= event.old.lastReadAt, "more has been read already"
end)
local me, command = weir.env("NAME", ""), weir.env("DO", "")
local verb, rest = command:match("^%s*(%a*)%s*(.-)%s*$")
if command ~= "" and (me == "" or rest == "" or verb ~= "say" and verb ~= "react") then
  error(("DO: expected 'say TEXT' or 'react EMOJI', with a NAME, got '%s'"):format(command), 0)
end
-- How it looks. Colours are for people: for a terminal, and not where NO_COLOR is set.
local colourful = weir.env("NO_COLOR", "") == "" and os.execute("test -t 1")
local function paint(code, text)
  return colourful and ("\27[%sm%s\27[0m"):format(code, text) or text
end

local function plain(text) -- what strangers write must not steer the terminal: no control characters
  return (text:gsub("%c", " "):gsub("\xC2[\x80-\x9F]", " "))
end

local function name(state, userId)
  local user = state:get("users", userId) or { name = userId }
  return paint(31 + (userId:byte(1) + userId:byte(-1)) % 6, plain(user.name))
end

-- The first words of a message, or what stands for one that is gone.
local function quote(state, messageId)
  local message = state:get("messages", messageId)
  local text = plain(message and message.text or "")
  local cut = utf8.offset(text, 28)
  if cut and cut <= #text then
    text = text:sub(1, cut - 1):gsub("%s+%S*$", "") .. " …"
  end
  return message and "“" .. text .. "”" or "a message that is gone"
end

local function say(event, ...)
  return command == "" and print(paint(2, tostring(event.timestamp or ""):sub(12, 16)) .. "  " .. table.concat { ... })
end

-- What happens with each event, once it is applied. event.old is the value before, event.new the one after.
room:onChange("users", function(state, event)
  if not (event.old and event.new) then
    local who = event.old and paint(1, plain(event.old.name)) or name(state, event.key)
    say(event, who, event.new and " joined" or " left")
  elseif event.old.name ~= event.new.name then
    say(event, plain(event.old.name), " is now ", name(state, event.key))
  end
end)
room:onChange("messages", function(state, event)
  local one = event.new or event.old
  if one then
    say(event, name(state, one.userId), event.new and ": " .. plain(one.text) or paint(2, " deleted a message"),
      event.new and event.old and paint(2, " (edited)") or "")
  end
end)
room:onChange("reactions", function(state, event)
  local one = event.new or event.old
  if one then
    local all = state:where("reactions", { messageId = one.messageId, emoji = one.emoji })
    say(event, name(state, one.userId), event.new and " reacted " or " took back ", plain(one.emoji),
      paint(2, " to " .. quote(state, one.messageId)), (" (%d)"):format(#all))
  end
end)
room:onChange("read_receipts", function(state, event)
  if event.new then
    say(event, name(state, event.new.userId), paint(2, " has read up to " .. quote(state, event.new.lastReadMessageId)))
  end
end)

-- The room in a few lines. It is told each time that everything there is has been handled: once is enough.
local shown, read = command ~= "", nil -- read: the message that was marked as read last
room:onUpToDate(function(state)
  if shown then
    return
  end
  shown = true
  local people, messages, reactions = state:size("users"), state:size("messages"), state:size("reactions")
  print(("\nPeople: %d  Messages: %d  Reactions: %d"):format(people, messages, reactions))
  for userId in state:each("users") do
    local receipt = state:get("read_receipts", userId)
    local written, unread = #state:where("messages", { userId = userId }), 0
    for _, message in state:each("messages") do
      unread = unread + ((message.userId == userId or receipt and message.createdAt <= receipt.lastReadAt) and 0 or 1)
    end
    print(("  %s: %d written, %d unread"):format(name(state, userId), written, unread))
  end
end)
-- What I do in it, then. A file of events is only looked at.
room:onUpToDate(function(state)
  if me == "" or not room.url:find("^http") then
    return
  end
  local now, last = weir.del("users", me).timestamp, nil -- a new event has the time of now
  for _, message in state:each("messages") do
    last = last and last.createdAt > message.createdAt and last or message
  end
  if not state:has("users", me) then
    room:insert("users", me, { id = me, name = me, joinedAt = now })
  end
  if verb == "say" then
    local message = { id = weir.uuid(), text = rest, userId = me, createdAt = now }
    room:insert("messages", message.id, message)
  elseif verb == "react" and last then
    local one = { id = me .. ":" .. last.id .. ":" .. rest, messageId = last.id, userId = me, emoji = rest }
    local key = schema.reactions.insert({ value = one }).key
    local _ = state:has("reactions", key) and room:delete("reactions", key) or room:insert("reactions", key, one)
  elseif last and last.id ~= read and (state:get("read_receipts", me) or {}).lastReadMessageId ~= last.id then
    read = last.id
    room:upsert("read_receipts", me, { id = me, userId = me, lastReadMessageId = last.id, lastReadAt = now })
  end
  return command ~= "" and weir.stop()
end)
