-- The options of weir.stream: what each may be, where it comes from (the script, then the configuration), and
-- what is said of a mistake.

local _, weir = ...
local native = weir._stream
local null = weir.null

local options = {}
weir._options = options

-- A value as it is shown in a message.
function options.show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif value == nil or value == null or type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

options.ON_ERROR = { stop = true, skip = true, retry = true, deadletter = true }
options.ON_INVALID = { stop = true, skip = true, deadletter = true }

local LIVE = { [true] = "auto", [false] = "no", sse = "sse", ["long-poll"] = "long-poll" }

-- Checks: nothing where the value is right, otherwise what was expected.

local function is(kind)
  return function(value)
    return type(value) ~= kind and "a " .. kind or nil
  end
end

local function one_of(set, expected)
  return function(value)
    return set[value] == nil and expected or nil
  end
end

local function policy(set, names)
  return function(value)
    return type(value) ~= "function" and not set[value] and names .. " or a function" or nil
  end
end

local function url(value)
  local scheme = type(value) == "string" and value:match "^(%a[%w+.-]*)://"
  if type(value) ~= "string" or value == "" or scheme and not scheme:lower():match "^https?$" then
    return 'an http(s) URL, a file, or "-"'
  end
end

local function headers(value)
  if type(value) ~= "table" then
    return "a table of strings"
  end
  for name, text in pairs(value) do
    if type(name) ~= "string" or type(text) ~= "string" then
      return ("a table of strings (%s is %s)"):format(tostring(name), type(text))
    end
    if name == "" or name:find "[^%w!#$%%&'*+.^_`|~-]" or text:find "[%c]" then
      return ("names and values that fit into an HTTP header (%s does not)"):format(name)
    end
  end
end

local DURATION = 'a duration (seconds, or text like "500ms", "30s", "5m")'
local LIMITS = {
  message = { native.isSize, 'a size (bytes, or text like "64KB", "10MB")' },
  connect = { native.isDuration, DURATION },
  outage = { native.isDuration, DURATION },
  append = { native.isDuration, DURATION },
}

-- A mistake inside the table names the limit.
local function limits(value)
  if type(value) ~= "table" then
    return "a table"
  end
  for name, limit in pairs(value) do
    local known = LIMITS[name]
    if not known then
      return "message, connect, outage or append", name
    end
    if not known[1](limit) then
      return known[2], name, limit
    end
  end
end

local CHECKS = {
  url = url,
  name = is "string",
  offset = is "string",
  defaultType = is "string",
  deadletter = is "string",
  caFile = is "string",
  strict = is "boolean",
  schema = is "table",
  headers = headers,
  limits = limits,
  live = one_of(LIVE, 'true, false, "sse" or "long-poll"'),
  onInvalid = policy(options.ON_INVALID, '"stop", "skip", "deadletter"'),
  onError = policy(options.ON_ERROR, '"stop", "skip", "retry", "deadletter"'),
}

local function sorted_names(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, ", ")
end

-- Raises the first mistake; where: what the message starts with; level as in error, 0 for no place.
local function check_each(given, where, level)
  local above = level > 0 and level + 1 or 0
  for name, value in pairs(given) do
    local check = CHECKS[name]
    if not check then
      error(("%s: unknown option '%s': expected one of %s"):format(where, tostring(name), sorted_names(CHECKS)), above)
    end
    local expected, inner, inner_value = check(value)
    if expected and inner ~= nil then
      local got = inner_value ~= nil and options.show(inner_value) or options.show(inner)
      local path = inner_value ~= nil and name .. "." .. tostring(inner) or name
      error(("%s: %s: expected %s, got %s"):format(where, path, expected, got), above)
    elseif expected then
      error(("%s: %s: expected %s, got %s"):format(where, name, expected, options.show(value)), above)
    end
  end
end

local function check_whole(given, level)
  if given.url == nil then
    error('weir.stream: url is missing: expected an http(s) URL, a file, or "-"', level + 1)
  end
  for _, name in ipairs { "onInvalid", "onError" } do
    if given[name] == "deadletter" and not given.deadletter then
      error(('weir.stream: %s = "deadletter" needs the option deadletter, the file to write to'):format(name), level + 1)
    end
  end
end

-- What the configuration and the command line say of this stream wins over the script.
local function with_settings(given)
  local settings, origin = native.settings(given.name or given.url or "")
  if not settings then
    return given
  end
  local merged = {}
  for name, value in pairs(given) do
    merged[name] = value
  end
  local said = weir.json.decode(settings)
  check_each(said, origin, 0)
  for name, value in pairs(said) do
    merged[name] = value
  end
  return merged
end

-- The options that hold; raises at the caller of weir.stream, `level` functions above this one.
function options.read(given, level)
  if type(given) ~= "table" then
    error("weir.stream: expected a table of options, got " .. type(given), level + 1)
  end
  check_each(given, "weir.stream", level + 1)
  local whole = with_settings(given)
  check_whole(whole, level + 1)
  return whole
end

-- Of the option live, as the native half has it.
function options.live(value)
  if value == nil then
    value = true
  end
  return LIVE[value]
end
