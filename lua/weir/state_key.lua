-- Keys made from values: of a field, of several, by a function.

local _, weir = ...
local show = weir._options.show
local encode = weir.json.encode
local null = weir.null

local keys = weir._state.keys

-- A number as JavaScript's String() has it, so that the published package makes the same key of it.
local function number_text(value)
  local whole = math.tointeger(value)
  if whole and (math.type(value) == "integer" or math.abs(whole) < 1 << 53) then
    return ("%d"):format(whole)
  end
  return encode(value)
end

-- The text of what a key is made of. Nothing where there is nothing; nil and a mistake where it makes no key.
function keys.text(value)
  local kind = type(value)
  if value == nil or value == null or value == "" then
    return nil
  elseif kind == "string" then
    return value
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind == "number" and value == value and math.abs(value) ~= math.huge then
    return number_text(value)
  end
  return nil, ("expected a string, a number or a boolean, got %s"):format(show(value))
end

local ESCAPES = { ["%"] = "%25", [":"] = "%3A" }

-- The parts with ":" in between. A ":" inside a part becomes %3A and a "%" becomes %25, so that different parts never
-- make the same key.
function keys.join(parts)
  local escaped = {}
  for i, part in ipairs(parts) do
    escaped[i] = part:gsub("[%%:]", ESCAPES)
  end
  return table.concat(escaped, ":")
end

local function field_of(value, name)
  if type(value) ~= "table" then
    return nil
  end
  local text, mistake = keys.text(value[name])
  return text, mistake and ("%s: %s"):format(name, mistake)
end

local function by_field(name)
  return function(value)
    return field_of(value, name)
  end
end

local function by_fields(names)
  return function(value)
    local parts = {}
    for i, name in ipairs(names) do
      local text, mistake = field_of(value, name)
      if not text then
        return nil, mistake
      end
      parts[i] = text
    end
    return keys.join(parts)
  end
end

local function by_function(fn)
  return function(value)
    local key = value ~= nil and fn(value) or nil
    if key ~= nil and type(key) ~= "string" then
      return nil, ("getKey gave %s: expected a non-empty string"):format(show(key))
    end
    return keys.text(key)
  end
end

local function is_name(value)
  return type(value) == "string" and value ~= ""
end

local function is_list_of_names(value)
  if type(value) ~= "table" or #value == 0 then
    return false
  end
  local count = 0
  for _, name in pairs(value) do
    count = count + 1
    if not is_name(name) then
      return false
    end
  end
  return count == #value
end

keys.EXPECTED = "the name of a field, a list of such names, or a function"

-- What makes keys by `source`: a function of the value that gives the key; nil where there is nothing to make it of;
-- nil and a mistake. And a text that names it. Nothing where the source is none.
function keys.by(source)
  if is_name(source) then
    return by_field(source), ("a non-empty '%s' field"):format(source)
  elseif type(source) == "function" then
    return by_function(source), "what getKey makes a key of"
  elseif not is_list_of_names(source) then
    return nil
  elseif #source == 1 then
    return keys.by(source[1])
  end
  local names = {}
  for i, name in ipairs(source) do
    names[i] = ("'%s'"):format(name)
  end
  return by_fields({ table.unpack(source) }), ("non-empty %s fields"):format(table.concat(names, ", "))
end
