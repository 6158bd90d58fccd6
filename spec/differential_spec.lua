-- Random event logs: weir state makes of them what the npm MaterializedState makes of them.
--
-- WEIR_DIFF_LOGS: how many logs (300); WEIR_DIFF_SEED: the seed of the first, which a failure prints.

local npm_state = require "support.npm_state"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local LOGS = tonumber(os.getenv("WEIR_DIFF_LOGS")) or (paths.sanitized and 100 or 300)
local SEED = tonumber(os.getenv("WEIR_DIFF_SEED")) or os.time()
local BATCH = 150

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

local function log(seed)
  math.randomseed(seed)
  local events = {}
  for i = 1, random(0, random(3) == 1 and 120 or 30) do
    events[i] = space() .. (random(10) == 1 and control() or change()) .. space()
  end
  if random(2) == 1 then
    for i, event in ipairs(events) do
      events[i] = event:gsub("\t", one_of{"\t", "\n", "\r\n\t"}) ..
        one_of{"", "\n", "\r\n"} -- tabs are between tokens only
    end
    return one_of{"", "\n "} .. "[" .. table.concat(events, ",") .. space() .. "]" .. one_of{"", "\n"}
  end
  return table.concat(events, one_of{"\n", "\r\n", "\n\n"}) .. one_of{"", "\n"}
end

-- ---- comparing ----

-- One process of weir for each log, all started by one shell.
local EVERY = [[
for events in "$2"/*.events; do
  "$1" state "$events" >"${events%.events}.state" 2>"${events%.events}.stderr" || echo "${events##*/} code $?"
done
]]

local function compare(first, count)
  local dir = tmp.dir()
  for seed = first, first + count - 1 do
    tmp.write(("%s/%d.events"):format(dir, seed), log(seed))
  end
  local done = process.run{cmd = {"sh", "-c", EVERY, "sh", paths.weir, dir}, timeout = 120}
  if done.stdout ~= "" then
    local name = done.stdout:match("^(%d+)")
    error(done.stdout .. tmp.read(("%s/%s.stderr"):format(dir, name)) .. "\nWEIR_DIFF_SEED=" .. name)
  end
  local differences = npm_state.all_differ(dir)
  if differences then
    error(differences .. "\nWEIR_DIFF_SEED=" .. differences:match("^(%d+)"))
  end
end

describe(("random event logs (%d from WEIR_DIFF_SEED=%d)"):format(LOGS, SEED), function()
  for first = SEED, SEED + LOGS - 1, BATCH do
    local count = math.min(BATCH, SEED + LOGS - first)
    it(("%d to %d give the same state"):format(first, first + count - 1), function()
      compare(first, count)
    end)
  end

  it("are compared at all", function()
    local dir = tmp.dir()
    tmp.write(dir .. "/1.events", '{"type":"t","key":"k","value":[1.0],"headers":{"operation":"insert"}}')
    tmp.write(dir .. "/1.state", '{"t":{"k":[1]}}')
    assert.is_nil(npm_state.all_differ(dir))
    tmp.write(dir .. "/2.events", '{"type":"t","key":"k","value":[1.0],"headers":{"operation":"insert"}}')
    tmp.write(dir .. "/2.state", '{"t":{"k":[2]}}')
    assert.equal("2: t/k: expected [1], got [2]\n", npm_state.all_differ(dir))
    tmp.write(dir .. "/2.state", "{")
    assert.matches("^2: ", npm_state.all_differ(dir))
  end)
end)
