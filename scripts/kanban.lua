-- A board that many people move cards on: columns, and cards in an order of their own.
--
--   weir run scripts/kanban.lua                                     watch the board
--   weir run scripts/kanban.lua --set DO='column doing In progress' a column: its id, its name
--   weir run scripts/kanban.lua --set DO='add doing Buy milk'       a card, last in its column: its id is printed
--   weir run scripts/kanban.lua --set DO='move 1f0c32ab done 1'     to a column, to a place in it (else the last)
--   weir run scripts/kanban.lua --set DO='remove 1f0c32ab'          a card, or a column that is empty
--
-- BOARD is the stream's URL: it must exist. Cards are in the order of their positions, then of their ids. A card goes
-- half way between its new neighbours, so that a move writes one number; where none is left between them (after some
-- fifty moves to one place) the column is numbered anew. Moves are patches: one who moves a card and one who renames
-- it both get what they want. A command for which somebody else was too fast ends with the reason and code 1.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local text = s.string():min(1)
local schema = weir.createStateSchema {
  columns = { schema = s.object { id = text, name = text, position = s.number() } },
  cards = {
    index = { "columnId" },
    schema = s.object {
      id = text, columnId = text, title = text, description = s.string():optional(), position = s.number(),
      assigneeId = text:optional(), dueDate = s.datetime():optional(),
    },
  },
}

local stream = weir.stream {
  name = "board",
  url = weir.env("BOARD", "http://127.0.0.1:4437/v1/stream/board"),
  onInvalid = "skip",
  schema = schema,
}

stream:validate(function(event)
  return not event.new or event.new.id == event.key, "its id is another one than its key"
end)

stream:validate("cards", function(event, state)
  return not event.new or state:has("columns", event.new.columnId), "there is no such column"
end)

stream:validate("columns", function(event, state)
  return event.new or #state:where("cards", { columnId = event.key }) == 0, "there are cards in it"
end)

local board, STEP = {}, 1024.0

local function in_order(rows)
  table.sort(rows, function(a, b)
    return a.position < b.position or a.position == b.position and a.id < b.id
  end)
  return rows
end

function board.cards(columnId)
  return in_order(stream.state:where("cards", { columnId = columnId }))
end

--- A number between two others, either of which may be nil: none there. nil where there is no such number.
function board.between(before, after)
  local middle = before and after and before + (after - before) / 2 or before and before + STEP
    or after and after - STEP or STEP
  return (not before or before < middle) and (not after or middle < after) and middle or nil
end

--- The position for a card that is to be at a place of a column, 1 being the first one, without a place the last.
--- Where there is none left, all cards of the column get new ones.
function board.position(columnId, place, cardId)
  assert(stream.state:has("columns", columnId or ""), "there is no such column")
  local others = {}
  for _, card in ipairs(board.cards(columnId)) do
    others[#others + 1] = card.id ~= cardId and card or nil
  end
  place = math.max(1, math.min(place or math.huge, #others + 1))
  local before, after = others[place - 1] or {}, others[place] or {}
  local found = board.between(before.position, after.position)
  for i = 1, found and 0 or #others do
    stream:patch("cards", others[i].id, { position = (i < place and i or i + 1) * STEP })
  end
  return found or place * STEP
end

function board.add_column(columnId, columnName, headers)
  local columns = in_order(stream.state:rows("columns"))
  local column = { id = columnId, name = columnName, position = board.between((columns[#columns] or {}).position) }
  stream:append(schema.columns.insert { value = column, headers = headers })
end

--- Gives the id of the new card.
function board.add(columnId, title, place, headers)
  local card = { id = weir.uuid():sub(1, 8), columnId = columnId, title = title }
  card.position = board.position(columnId, place)
  stream:append(schema.cards.insert { value = card, headers = headers })
  return card.id
end

function board.move(cardId, columnId, place, headers)
  assert(stream.state:has("cards", cardId), "there is no such card")
  stream:patch("cards", cardId, { columnId = columnId, position = board.position(columnId, place, cardId) }, headers)
end

--- Removes a card, or a column without cards.
function board.remove(what, headers)
  local kind = stream.state:has("cards", what) and "cards" or "columns"
  assert(stream.state:has(kind, what) and #board.cards(what) == 0, "there is no such card and no such empty column")
  stream:delete(kind, what, headers)
end

---------------------------------------------------------------------------------------------------------------

local verb, what, rest = weir.env("DO", ""):match("^%s*(%a*)%s*(%S*)%s*(.-)%s*$")
local mine = { txid = weir.uuid() } -- by this the command knows its event when it comes back, or is refused
local verbs = {
  column = function() board.add_column(what, rest, mine) end,
  add = function() print(board.add(what, rest, nil, mine)) end,
  move = function(column, place) board.move(what, column, tonumber(place), mine) end,
  remove = function() board.remove(what, mine) end,
}

if verb ~= "" and not (verbs[verb] and what ~= "" and (rest == "") == (verb == "remove")) then
  error(("DO: expected 'column ID NAME', 'add COLUMN TITLE', 'move CARD COLUMN [PLACE]' or 'remove ID', got '%s'")
    :format(weir.env("DO")), 0)
end

local function show()
  for _, column in ipairs(in_order(stream.state:rows("columns"))) do
    print((column.name:gsub("%c", " ")))
    for _, card in ipairs(board.cards(column.id)) do
      print((("  %s  %s"):format(card.id, card.title):gsub("%c", " ")))
    end
  end
  print()
end

stream:onInvalid(function(event)
  return event.txid == mine.txid and "stop" or "skip"
end)

stream:onChange(function(_, event)
  return event.txid == mine.txid and weir.stop()
end)
local run = verbs[verb] or show
stream:onUpToDate(function()
  run(rest:match("^(%S+)%s*(%d*)$"))
  run = verb == "" and show or function() end -- a command once, the board again and again
end)
