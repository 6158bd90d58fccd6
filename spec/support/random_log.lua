-- Event logs at random, in as many ways to write them as there are. For what all readers agree on: no patches.
--
--   local events = random_log.events(seed)
--   random_log.array(events), random_log.lines(events), random_log.sse(events)

local random_log = {}

local random = math.random

local function one_of(list)
  return list[random(#list)]
end

-- ---- JSON text at random: as many ways to write a thing as there are ----

local CHARACTERS = {"a", "b", "Z", "0", " ", "/", "é", "ß", "€", "中", "\u{1F600}", "\u{10FFFF}", "\u{7F}",
  "\u{2028}", "<", "'"}
local ESCAPES = {'\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u001f", "\\u0041",
  "\\u00e9", "\\u00E9",
  "\\u20ac", "\\ud83d\\ude00", "\\uD83D\\uDE00", "\\ud800", "\\udfff", "\\uFFFF"}

local function space()
  return random(4) == 1 and one_of{" ", "\t", "  ", " \t "} or ""
end

local function text(longest)
  local parts = {}
  for i = 1, random(0, longest) do
    parts[i] = random(6) == 1 and one_of(ESCAPES) or one_of(CHARACTERS)
  end
  return '"' .. table.concat(parts) .. '"'
end

local function number()
  local digits = {}
  for i = 1, random(1, random(6) == 1 and 25 or 4) do
    digits[i] = random(0, 9)
  end
  local whole = table.concat(digits):gsub("^0+(%d)", "%1")
  local fraction = random(4) == 1 and ("." .. random(0, 99999)) or ""
  local exponent = random(8) == 1 and one_of{"e", "E", "e+", "E-"} .. random(0, 30) or ""
  return one_of{"", "", "-"} .. whole .. fraction .. exponent
end

local NAMES = {'"a"', '"b"', '"\\u0061"', '"id"', '"é"', '"\\u00e9"', '""', '"__proto__"', '"constructor"',
  '"type"', '"key"',
  '"headers"', '"\\n"', '"1"', '"0"'}

local value

local function list(open, close, depth, item)
  local parts = {}
  for i = 1, random(0, 4) do
    parts[i] = space() .. item(depth) .. space()
  end
  return open .. (parts[1] and table.concat(parts, ",") or space()) .. close
end

local function member(depth)
  return one_of(NAMES) .. space() .. ":" .. space() .. value(depth + 1)
end

function value(depth)
  local kind = random(depth > 4 and 6 or 9)
  if kind <= 2 then
    return text(12)
  elseif kind <= 4 then
    return number()
  elseif kind == 5 then
    return one_of{"true", "false", "null"}
  elseif kind == 6 then
    return one_of{"[]", "{}", "[ ]", '""', "[[]]"}
  elseif kind == 7 then
    return list("[", "]", depth, function(d) return value(d + 1) end)
  end
  return list("{", "}", depth, member)
end

-- ---- events ----

-- Few, so that they meet again; some are the same in other letters.
local TYPES = {'"users"', '"\\u0075sers"', '"messages"', '"tÿpe"', '"t\\u00ffpe"', '"__proto__"', '"toString"',
  '"default"',
  '"\u{1F600}"', '"\\ud83d\\ude00"'}
local KEYS = {'"1"', '"2"', '"10"', '"\\u0031"', '"a/b"', '"a\\/b"', '"é"', '"\\u00E9"', '"e\u{301}"', '"\u{1F600}"',
  '"\\uD83D\\uDE00"', '"\\ud83d"', '"\\u0000"', '"__proto__"', '"constructor"', '" "', '"user:123"'}

local function shuffle(parts)
  for i = #parts, 2, -1 do
    local j = random(i)
    parts[i], parts[j] = parts[j], parts[i]
  end
  return parts
end

local function object(members)
  for i, part in ipairs(members) do
    members[i] = space() .. part[1] .. space() .. ":" .. space() .. part[2] .. space()
  end
  return "{" .. table.concat(members, ",") .. "}"
end

local function control()
  local name = random(12) == 1 and '"reset"' or one_of{'"snapshot-start"', '"snapshot-end"'}
  local headers = {{'"control"', name}}
  if random(3) == 1 then
    headers[2] = {'"offset"', '"0_' .. random(99) .. '"'}
  end
  return object{{'"headers"', object(shuffle(headers))}}
end

local function change()
  local operation = one_of{"insert", "insert", "update", "upsert", "delete"}
  local headers = {{'"operation"', '"' .. operation .. '"'}}
  if random(3) == 1 then
    headers[#headers + 1] = {'"txid"', text(6)}
  end
  if random(3) == 1 then
    headers[#headers + 1] = {'"timestamp"', '"2025-01-15T10:30:00Z"'}
  end
  if random(6) == 1 then
    headers[#headers + 1] = {'"more"', value(1)}
  end
  local members = {{'"type"', one_of(TYPES)}, {'"key"', random(10) == 1 and '"k' .. random(1000) .. '"' or
    one_of(KEYS)},
    {'"headers"', object(shuffle(headers))}}
  if operation ~= "delete" or random(3) == 1 then
    members[#members + 1] = {'"value"', operation == "delete" and "null" or value(1)}
  end
  if random(5) == 1 then
    members[#members + 1] = {'"old_value"', value(2)}
  end
  if random(10) == 1 then
    members[#members + 1] = {'"more"', value(2)}
  end
  return object(shuffle(members))
end

--- The events of a log, each as JSON text with white space around it. `seed` decides everything.
function random_log.events(seed)
  math.randomseed(seed)
  local events = {}
  for i = 1, random(0, random(3) == 1 and 120 or 30) do
    events[i] = space() .. (random(10) == 1 and control() or change()) .. space()
  end
  return events
end

--- Events as a JSON array, with line ends between their tokens.
function random_log.array(events)
  local parts = {}
  for i, event in ipairs(events) do
    -- Tabs are between tokens only.
    parts[i] = event:gsub("\t", one_of{"\t", "\n", "\r\n\t"}) .. one_of{"", "\n", "\r\n"}
  end
  return one_of{"", "\n "} .. "[" .. table.concat(parts, ",") .. space() .. "]" .. one_of{"", "\n"}
end

--- Events one a line.
function random_log.lines(events)
  return table.concat(events, one_of{"\n", "\r\n", "\n\n"}) .. one_of{"", "\n"}
end

-- As lines of an SSE event, which has no other line ends.
local function data(payload, ending)
  local lines = {}
  for line in (payload .. "\n"):gsub("\r\n?", "\n"):gmatch("(.-)\n") do
    lines[#lines + 1] = one_of{"data:", "data: "} .. line .. ending
  end
  return table.concat(lines)
end

--- Events as the SSE of a stream that is closed behind them: some in each data event, a control event behind.
function random_log.sse(events)
  local parts = {}
  local ending = one_of{"\n", "\r\n", "\r"}
  local at = 1
  repeat
    local batch = table.move(events, at, math.min(#events, at + random(0, 5)), 1, {})
    at = at + #batch
    if #batch > 0 then
      parts[#parts + 1] = "event: data" .. ending .. data(random_log.array(batch), ending) .. ending
    end
    parts[#parts + 1] = one_of{"", ": a comment" .. ending, "id: 7" .. ending}
    local where = ('{"streamNextOffset":"1_%d",'):format(at)
    parts[#parts + 1] = "event: control" .. ending .. "data: " .. where ..
      (at > #events and '"streamClosed":true}' or '"streamCursor":"c","upToDate":true}') .. ending .. ending
  until at > #events
  return table.concat(parts)
end

return random_log
