-- lua5.4 and lua-cjson over a file of one change a line: a tree for each event, a table for each type as the state,
-- and a handler that reads the key and one field.
--
--   lua5.4 lua_cjson.lua FILE
--
-- It does what bench/workers/handler.lua does in weir, and prints the same sum.

local cjson = require "cjson"

local state = {}
local events, sum = 0, 0

local function onChange(_, event)
  events = events + 1
  local value = event.value
  if value then
    sum = sum + #event.key + #value.author
  end
end

local function apply(event)
  local entities = state[event.type]
  if not entities then
    entities = {}
    state[event.type] = entities
  end
  local operation = event.headers.operation
  if operation == "delete" then
    entities[event.key] = nil
  elseif operation == "insert" or operation == "update" or operation == "upsert" then
    entities[event.key] = event.value
  end
end

for line in io.lines(arg[1]) do
  local event = cjson.decode(line)
  apply(event)
  onChange(state, event)
end

local entities = 0
for _, of_type in pairs(state) do
  for _ in pairs(of_type) do
    entities = entities + 1
  end
end
print(("events=%d entities=%d sum=%d"):format(events, entities, sum))
