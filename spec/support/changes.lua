-- A stream of random changes for sinks, and what a table of rows is to hold at any place of it.
--
--   local stream = changes.new{count = 3000, seed = 7}
--   stream.text                        -- JSON lines, one message each
--   stream:rows(sequence)              -- "type/key value\n" a row, sorted: the state before that message
--
-- Resets among them, so that a sink has to clear what it holds.

local changes = {}

local Changes = {}
Changes.__index = Changes

local TYPES = {"users", "messages", "Users", 'x"; DROP TABLE users; --', "_sync_state", "größe 😀"}

local function quote(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

local function change(operation, type, key, value)
  return ('{"type":%s,"key":%s%s,"headers":{"operation":"%s"}}'):format(
    quote(type), quote(key), value and (',"value":' .. value) or "", operation)
end

--- options: count, seed, keys (of a type; 40).
function changes.new(options)
  local random = options.seed
  local function draw(n)
    random = (random * 6364136223846793005 + 1442695040888963407)
    return (random >> 33) % n + 1
  end
  local lines, steps = {}, {}
  for i = 1, options.count do
    local type, key = TYPES[draw(#TYPES)], "k'" .. draw(options.keys or 40)
    local pick = draw(400)
    if pick == 1 then
      lines[i], steps[i] = '{"headers":{"control":"reset"}}', "reset"
    elseif pick < 60 then
      lines[i], steps[i] = change("delete", type, key), {type, key}
    else
      local value = ('{"n":%d,"text":"%s"}'):format(i, ("y"):rep(draw(60)))
      lines[i], steps[i] = change(pick % 2 == 0 and "upsert" or "update", type, key, value), {type, key, value}
    end
  end
  return setmetatable({text = table.concat(lines, "\n") .. "\n", lines = lines, steps = steps, count = options.count},
    Changes)
end

function Changes:rows(sequence)
  local held = {}
  for i = 1, sequence do
    local step = self.steps[i]
    if step == "reset" then
      held = {}
    else
      held[step[1] .. "/" .. step[2]] = step[3]
    end
  end
  local rows = {}
  for name, value in pairs(held) do
    rows[#rows + 1] = name .. " " .. value
  end
  table.sort(rows)
  return table.concat(rows, "\n")
end

return changes
