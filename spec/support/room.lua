-- A long event log that can be made twice: by the spec that stores it, and by the script that checks what it is
-- given. Event n depends on n alone, but for its operation, which depends on those before it.
--
--   local log = room.log()
--   local json, expected = log()      -- event 1, then 2, ...
--   expected.type, .key, .operation, .value (nil for a delete)
--
-- It has what is easily got wrong: text of several bytes, escapes, numbers at the edges, empty arrays and objects,
-- null, deep and large values. Works without weir; null is what the caller calls it.

local room = {}

local TYPES = {"users", "messages", "reactions", "räume"}
local KEYS = 997 -- of each type, so that most events find an old value

local TEXTS = {
  {"plain", "plain"},
  {"", ""},
  {"Grüße, 世界, Привет", "Grüße, 世界, Привет"},
  {"😀👩‍👩‍👧", "😀👩‍👩‍👧"},
  {[[\ud83d\ude00\u00fc\u4e16]], "😀ü世"},
  {[[say \"hi\" \\ \/ \b\f\n\r\t]], 'say "hi" \\ / \b\f\n\r\t'},
  {[[a\u0000b\u001f\u007f]], "a\0b\31\127"},
  {"\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"},
  {"\u{2028}data: x", "\u{2028}data: x"},
  {[[line\r\n\r\nevent: control\ndata: {}]], "line\r\n\r\nevent: control\ndata: {}"},
}

-- Numbers that a server which reads them as doubles leaves as they are.
local NUMBERS = {
  {"0", 0}, {"-1", -1}, {"9007199254740991", 9007199254740991}, {"-9007199254740991", -9007199254740991},
  {"0.5", 0.5}, {"-2.5e-7", -2.5e-7}, {"1e+21", 1e21}, {"1.7976931348623157e+308", 1.7976931348623157e308},
  {"5e-324", 5e-324}, {"4294967296", 4294967296},
}

-- A value as JSON text and as Lua has it. Big ones are 1 MB of text.
local function value_of(n, null, big)
  local text, number = TEXTS[n % #TEXTS + 1], NUMBERS[n // #TEXTS % #NUMBERS + 1]
  if n % big == 0 then
    local filler = ("日本\\n"):rep(1 << 17)
    return ('{"n":%d,"big":"%s"}'):format(n, filler), {n = n, big = ("日本\n"):rep(1 << 17)}
  end
  local json = ('{"n":%d,"text":"%s","number":%s,"none":null,"list":[],"object":{},"flags":[true,false,[%d,[null]]]}')
    :format(n, text[1], number[1], n)
  return json, {
    n = n, text = text[2], number = number[2], none = null, list = {}, object = {},
    flags = {true, false, {n, {null}}},
  }
end

--- big: every so manieth value is a large one.
function room.log(null, big)
  local n, alive = 0, {}
  return function()
    n = n + 1
    local kind = TYPES[n % #TYPES + 1]
    local key = ("k%d%s"):format(n * 7919 % KEYS, n % 5 == 0 and "ü/\u{1F600}" or "")
    local id = kind .. "\0" .. key
    local operation
    if alive[id] then
      operation = n % 11 == 0 and "delete" or n % 3 == 0 and "upsert" or "update"
    else
      operation = n % 2 == 0 and "insert" or "upsert"
    end
    alive[id] = operation ~= "delete" or nil
    local headers = ('{"operation":"%s","txid":"tx-%d","timestamp":"2026-01-01T00:00:00Z"}'):format(operation, n)
    if operation == "delete" then
      return ('{"type":"%s","key":"%s","headers":%s}'):format(kind, key, headers),
        {n = n, type = kind, key = key, operation = operation}
    end
    local json, value = value_of(n, null, big or 10000)
    return ('{"type":"%s","key":"%s","value":%s,"headers":%s}'):format(kind, key, json, headers),
      {n = n, type = kind, key = key, operation = operation, value = value}
  end
end

--- Whether two Lua values are equal, numbers in type as well, where one and the other hold the same.
function room.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and math.type(a) == math.type(b)
  end
  for name, value in pairs(a) do
    if not room.same(value, b[name]) then
      return false
    end
  end
  for name in pairs(b) do
    if a[name] == nil then
      return false
    end
  end
  return true
end

return room
