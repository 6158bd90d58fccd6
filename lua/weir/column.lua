-- The text of a database's column to a Lua value, by the column's type, as PostgreSQL writes it. What scripts call is
-- weir.parser, which is loaded later; returns nothing itself.
--
-- Text is taken apart here and never run, and every reader goes over it once.

local _, weir = ...
local json, null = weir.json, weir.null

local NESTING_MAX = 6 -- of arrays, as in PostgreSQL
local SHOWN_MAX = 60 -- bytes of a value in a message

-- Text in quotes, control characters escaped, and cut where it is long.
local function quote(text)
  local cut = #text > SHOWN_MAX
  local shown = cut and text:sub(1, SHOWN_MAX):gsub("[\xC0-\xFF][\x80-\xBF]*$", "") or text
  shown = shown:gsub('[%c"\\]', function(char)
    return (char == '"' or char == "\\") and "\\" .. char or ("\\%d"):format(char:byte())
  end)
  if not utf8.len(shown) then
    shown = shown:gsub("[\x80-\xff]+", "?")
  end
  return '"' .. shown .. '"' .. (cut and ("... (%d bytes)"):format(#text) or "")
end

local function show(value)
  if type(value) == "string" then
    return quote(value)
  elseif value == nil or value == null or type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

---------------------------------------------------------------------------------------------------------------
-- The types. Each reader gives true and a Lua value, or false and what it expected, and sometimes why.

local function integer(name, least, most)
  local expected = ("%s (a whole number from %d to %d)"):format(name, least, most)
  return function(value)
    local number
    if type(value) == "number" then
      number = math.tointeger(value)
    elseif type(value) == "string" and value:find "^[+-]?%d+$" then
      number = tonumber(value) -- a float, where it does not fit
    end
    if math.type(number) ~= "integer" or number < least or number > most then
      return false, expected
    end
    return true, number
  end
end

local SPECIAL = { NaN = -(0 / 0), Infinity = math.huge, ["+Infinity"] = math.huge, ["-Infinity"] = -math.huge }

local function is_decimal(text)
  local digits, exponent = text:match "^[+-]?([%d.]+)(.*)$"
  return digits and (digits:find "^%d+%.?%d*$" or digits:find "^%.%d+$")
    and (exponent == "" or exponent:find "^[eE][+-]?%d+$") and true or false
end

local function float(name)
  local expected = name .. " (a number, NaN, Infinity or -Infinity)"
  return function(value)
    if type(value) == "number" then
      return true, value + 0.0
    elseif type(value) ~= "string" then
      return false, expected
    elseif SPECIAL[value] then
      return true, SPECIAL[value]
    end
    local number = is_decimal(value) and tonumber(value)
    if not number then
      return false, expected
    elseif number == math.huge or number == -math.huge then
      return false, expected, "it is out of range"
    end
    return true, number + 0.0
  end
end

local BOOLS = { t = true, ["true"] = true, f = false, ["false"] = false, [true] = true, [false] = false }

local function bool(value)
  if BOOLS[value] == nil then
    return false, 'bool ("t", "true", "f" or "false")'
  end
  return true, BOOLS[value]
end

-- What is no text has been decoded already.
local function json_text(name)
  return function(value)
    if type(value) ~= "string" then
      return true, value
    end
    local ok, decoded = pcall(json.decode, value)
    if not ok then
      return false, name .. " (a JSON text)", tostring(decoded)
    end
    return true, decoded
  end
end

local READERS = {
  int2 = integer("int2", -0x8000, 0x7fff),
  int4 = integer("int4", -0x80000000, 0x7fffffff),
  int8 = integer("int8", math.mininteger, math.maxinteger),
  float4 = float "float4",
  float8 = float "float8",
  bool = bool,
  json = json_text "json",
  jsonb = json_text "jsonb",
}

local function as_it_is(value)
  return true, value
end

-- A function that the user gave for a type.
local function own_reader(name, fn, info)
  return function(value)
    local ok, parsed = pcall(fn, value, info)
    if not ok then
      return false, name, "its parser raised: " .. tostring(parsed)
    end
    if parsed == nil then
      parsed = null
    end
    return true, parsed
  end
end

---------------------------------------------------------------------------------------------------------------
-- Arrays: {1,2,NULL}, {{"a \"quoted\" one",b},{}}, with bounds in front where they do not start at 1: [0:1]={1,2}

local function skip_space(text, at)
  return text:find("[^ \t\n\r\v\f]", at) or #text + 1
end

-- An element in quotes, which open at `at`: its text and the place behind it, or nil and what is wrong.
local function quoted_at(text, at)
  local pieces, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from)
    if not stop then
      return nil, "a quote is not closed"
    end
    pieces[#pieces + 1] = text:sub(from, stop - 1)
    if text:byte(stop) == 0x22 then
      return table.concat(pieces), stop + 1
    end
    if stop == #text then
      return nil, "it ends with a backslash"
    end
    pieces[#pieces + 1] = text:sub(stop + 1, stop + 1)
    from = stop + 2
  end
end

-- An element without quotes: its text, or null, and the place behind it.
local function bare_at(text, at)
  local element, behind = text:match('^([^{}",\\]+)()', at)
  if not element then
    return nil, at > #text and "it is not closed" or ("an element is missing at byte %d"):format(at)
  end
  element = element:match "^(.-)%s*$"
  return element == "NULL" and null or element, behind
end

local array_at

-- The element at `at`, read, and the place behind it, or nil and what is wrong.
local function element_at(column, text, at, depth)
  local first = text:byte(at)
  if first == 0x7b then
    return array_at(column, text, at, depth + 1)
  end
  local element, behind = (first == 0x22 and quoted_at or bare_at)(text, at)
  if element == nil then
    return nil, behind
  elseif element == null then
    if column.not_null then
      return nil, "it does not allow NULL values"
    end
    return null, behind
  end
  local ok, value, why = column.read(element)
  if not ok then
    return nil, ("the element %s is no %s%s"):format(quote(element), value, why and ": " .. why or "")
  end
  return value, behind
end

-- The array that opens at `at`, and the place behind it, or nil and what is wrong.
function array_at(column, text, at, depth)
  if depth > NESTING_MAX then
    return nil, ("it is nested deeper than %d levels"):format(NESTING_MAX)
  end
  local elements = json.array()
  at = skip_space(text, at + 1)
  if text:byte(at) == 0x7d then
    return elements, at + 1
  end
  while true do
    local element, behind = element_at(column, text, at, depth)
    if element == nil then
      return nil, behind
    end
    elements[#elements + 1] = element
    at = skip_space(text, behind)
    local byte = text:byte(at)
    if byte == 0x7d then
      return elements, at + 1
    elseif byte ~= 0x2c then
      return nil, byte and ("expected ',' or '}' at byte %d"):format(at) or "it is not closed"
    end
    at = skip_space(text, at + 1)
  end
end

-- Where the bounds end that may stand before an array.
local function skip_bounds(text)
  local at, behind = 1, nil
  repeat
    at, behind = behind or at, text:match("^%[[+-]?%d+:[+-]?%d+%]()", behind or at)
  until not behind
  return at > 1 and text:byte(at) == 0x3d and at + 1 or 1
end

local function read_array(column, text)
  local expected = ("an array of %s ({...,...})"):format(column.type)
  if type(text) ~= "string" then
    return false, expected
  end
  local at = skip_space(text, skip_bounds(text))
  if text:byte(at) ~= 0x7b then
    return false, expected
  end
  local elements, behind = array_at(column, text, at, 1)
  if elements and skip_space(text, behind) <= #text then
    elements, behind = nil, ("there is more behind it at byte %d"):format(behind)
  end
  if not elements then
    return false, expected, behind
  end
  return true, elements
end

---------------------------------------------------------------------------------------------------------------
-- Columns

-- What is wrong with what was said of a column (weir.Column, or its short form), or nothing.
local function column_mistake(said)
  if type(said) == "string" and said:find "^[^%[%]]" then
    return nil
  elseif type(said) ~= "table" or type(said.type) ~= "string" or said.type == "" then
    return 'expected a type ("int4", "text[]") or { type =, dims =, not_null = }, got ' .. show(said)
  end
  local dims, not_null = said.dims, said.not_null
  if dims ~= nil and dims ~= null and not (math.type(dims) and math.tointeger(dims) and dims >= 0) then
    return "dims: expected a whole number from 0, got " .. show(dims)
  elseif not_null ~= nil and not_null ~= null and type(not_null) ~= "boolean" then
    return "not_null: expected true or false, got " .. show(not_null)
  end
end

-- "int4[][]" is { type = "int4", dims = 2 }.
local function spelt_out(said)
  if type(said) == "table" then
    return said
  end
  local name, brackets = said:match "^(.-)([%[%]]*)$"
  return { type = name, dims = #brackets // 2 }
end

-- A column as it is read: `read` for one value, of an array for one element.
local function column_of(said, parsers)
  local info = spelt_out(said)
  local own = parsers[info.type]
  return {
    type = info.type,
    array = math.type(info.dims) ~= nil and info.dims > 0,
    not_null = info.not_null == true,
    read = own and own_reader(info.type, own, info) or READERS[info.type] or as_it_is,
  }
end

-- True and the value of a column, or false and the message. name: the column's, where it has one.
local function read(column, value, name)
  if value == nil or value == null then
    if column.not_null then
      return false, (name and "column " .. quote(name) or "the column") .. " does not allow NULL values"
    end
    return true, value
  end
  local ok, parsed, why
  if column.array then
    ok, parsed, why = read_array(column, value)
  else
    ok, parsed, why = column.read(value)
  end
  if ok then
    return true, parsed
  end
  local message = ("expected %s, got %s%s"):format(parsed, show(value), why and ": " .. why or "")
  return false, name and ("column %s: %s"):format(quote(name), message) or message
end

weir._column = { quote = quote, show = show, mistake = column_mistake, new = column_of, read = read }
