-- A chat room: people, messages, reactions and read receipts in one stream, printed as they happen.
--
--   weir run scripts/chat.lua --source scripts/chat.jsonl --once            a recorded room
--   weir run scripts/chat.lua                                               a live one: it goes on until Ctrl-C
--   weir run scripts/chat.lua --set ROOM=https://example.org/v1/stream/rooms/7
--
-- To change: what a message must look like (the schema), who may speak (room:validate), what happens with
-- an event (the room:onChange of its type) and what is shown in the end (room:onUpToDate).

local weir = require "weir"
local s = weir.schema

local id, time = s.string():min(1), s.datetime()

local room = weir.stream {
  name = "room",
  url = weir.env("ROOM", "http://127.0.0.1:4437/v1/stream/rooms/1"),
  onInvalid = "skip", -- what does not belong here is logged and left out
  schema = weir.defineStreamSchema {
    types = {
      users = s.object { id = id, name = s.string():min(1), avatar = s.string():optional(), joinedAt = time },
      messages = s.object { id = id, text = s.string(), userId = id, createdAt = time, editedAt = time:optional() },
      reactions = s.object { id = id, messageId = id, userId = id, emoji = s.string():min(1) },
      read_receipts = s.object { id = id, userId = id, lastReadMessageId = id, lastReadAt = time },
    },
  },
}

-- A rule that no schema can say: whoever speaks has joined before.
room:validate("messages", function(event, state)
  local message = event.new -- nothing, when the event is a delete
  if message and not state:has("users", message.userId) then
    return false, ("%s has not joined the room"):format(message.userId)
  end
end)

-- How it looks. Colours are for people: for a terminal, and not where NO_COLOR is set.
local colourful = weir.env("NO_COLOR", "") == "" and os.execute("test -t 1")

local function paint(code, text)
  return colourful and ("\27[%sm%s\27[0m"):format(code, text) or text
end

-- What strangers write must not steer the terminal: no control characters.
local function plain(text)
  return (text:gsub("%c", " "):gsub("\xC2[\x80-\x9F]", " "))
end

local function dim(text)
  return paint("2", text)
end

local function name(state, userId)
  local user = state:get("users", userId)
  local colour = 31 + (userId:byte(1) + userId:byte(-1)) % 6
  return paint(colour, plain(user and user.name or userId))
end

-- The first words of a message, or what stands for one that is gone.
local function quote(state, messageId)
  local message = state:get("messages", messageId)
  if not message then
    return "a message that is gone"
  end
  local text = plain(message.text)
  local cut = utf8.offset(text, 28)
  if cut and cut <= #text then
    text = text:sub(1, cut - 1):gsub("%s+%S*$", "") .. " …"
  end
  return "“" .. text .. "”"
end

local function say(event, ...)
  print(dim(tostring(event.timestamp or ""):sub(12, 16)) .. "  " .. table.concat({ ... }))
end

-- How many reacted to that message with that emoji.
local function count(state, like)
  local n = 0
  for _, reaction in state:each("reactions") do
    n = n + (reaction.messageId == like.messageId and reaction.emoji == like.emoji and 1 or 0)
  end
  return n
end

-- What happens with each event, once it is applied. event.old is the value before, event.new the one after.
room:onChange("users", function(state, event)
  if not event.new then
    say(event, paint("1", plain(event.old and event.old.name or event.key)), " left")
  elseif not event.old then
    say(event, name(state, event.key), " joined")
  elseif event.old.name ~= event.new.name then
    say(event, plain(event.old.name), " is now ", name(state, event.key))
  end
end)

room:onChange("messages", function(state, event)
  if event.new then
    say(event, name(state, event.new.userId), ": ", plain(event.new.text), event.old and dim(" (edited)") or "")
  elseif event.old then
    say(event, name(state, event.old.userId), dim(" deleted a message"))
  end
end)

room:onChange("reactions", function(state, event)
  local reaction = event.new or event.old
  if reaction then
    say(event, name(state, reaction.userId), event.new and " reacted " or " took back ", plain(reaction.emoji),
      dim(" to " .. quote(state, reaction.messageId)), (" (%d)"):format(count(state, reaction)))
  end
end)

room:onChange("read_receipts", function(state, event)
  if event.new then
    say(event, name(state, event.new.userId), dim(" has read up to " .. quote(state, event.new.lastReadMessageId)))
  end
end)

-- The room in a few lines. It is told each time that everything there is has been handled: once is enough.
local shown = false
room:onUpToDate(function(state)
  if shown then
    return
  end
  shown = true
  print(("\nPeople: %d  Messages: %d  Reactions: %d"):format(state:size("users"), state:size("messages"),
    state:size("reactions")))
  for userId in state:each("users") do
    local receipt = state:get("read_receipts", userId)
    local written, unread = 0, 0
    for _, message in state:each("messages") do
      if message.userId == userId then
        written = written + 1
      elseif not receipt or message.createdAt > receipt.lastReadAt then
        unread = unread + 1
      end
    end
    print(("  %s: %d written, %d unread"):format(name(state, userId), written, unread))
  end
end)
