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

--- Raises, `level` functions above this one, where a method was called with a dot, and so without its object, which is
--- a stream where `what` is not given.
function options.check_self(self, where, level, what)
  if type(self) ~= "userdata" then
    what = what or "stream"
    error(("%s: called on %s, not on a %s: write %s:%s(...) with a colon"):format(where, options.show(self), what, what,
      where), level + 1)
  end
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

local SOURCES = "a table of strings, functions and { file = PATH }"

-- Text, a function, or { file = PATH }: what a header or parameter may come from. Values are never shown.
local function is_source(value)
  if type(value) == "table" then
    return type(value.file) == "string" and value.file ~= "" and next(value, next(value)) == nil
  end
  return type(value) == "string" or type(value) == "function"
end

local function sources(value)
  if type(value) ~= "table" then
    return SOURCES
  end
  for name, source in pairs(value) do
    if type(name) ~= "string" or not is_source(source) then
      return ("%s (%s is %s)"):format(SOURCES, tostring(name), type(source))
    end
  end
end

local function headers(value)
  local mistake = sources(value)
  if mistake then
    return mistake
  end
  for name, source in pairs(value) do
    if name == "" or name:find "[^%w!#$%%&'*+.^_`|~-]" or type(source) == "string" and source:find "%c" then
      return ("names and values that fit into an HTTP header (%s does not)"):format(name)
    end
  end
end

local RESERVED = { offset = true, live = true, cursor = true }

local function params(value)
  local mistake = sources(value)
  if mistake then
    return mistake
  end
  for name in pairs(value) do
    if name == "" or RESERVED[name] or name:find "%z" then
      return ("names other than the protocol's own offset, live and cursor (%s)"):format(name)
    end
  end
end

local DURATION = 'a duration (seconds, or text like "500ms", "30s", "5m")'
local SIZE = 'a size (bytes, or text like "64KB", "10MB")'
local LIMITS = {
  message = { native.isSize, SIZE },
  connect = { native.isDuration, DURATION },
  outage = { native.isDuration, DURATION },
  append = { native.isDuration, DURATION },
  confirm = { native.isDuration, DURATION },
  sinkBatch = { native.isSize, SIZE },
  sinkRows = {
    function(value)
      return math.type(value) == "integer" and value > 0
    end,
    "a whole number of at least 1",
  },
  sinkBytes = { native.isSize, SIZE },
  sinkDelay = { native.isDuration, DURATION },
}

-- A mistake inside the table names the limit.
local function limits(value)
  if type(value) ~= "table" then
    return "a table"
  end
  for name, limit in pairs(value) do
    local known = LIMITS[name]
    if not known then
      return "message, connect, outage, append, confirm, sinkBatch, sinkBytes, sinkDelay or sinkRows", name
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
  optimistic = is "boolean",
  actions = function(value)
    return type(value) ~= "function" and type(value) ~= "table" and "a table or a function" or nil
  end,
  snapshot = one_of({ merge = true, replace = true }, '"merge" or "replace"'),
  schema = is "table",
  headers = headers,
  params = params,
  limits = limits,
  live = one_of(LIVE, 'true, false, "sse" or "long-poll"'),
  onInvalid = policy(options.ON_INVALID, '"stop", "skip", "deadletter"'),
  onError = policy(options.ON_ERROR, '"stop", "skip", "retry", "deadletter"'),
}

-- What makes the value of an option out of that of the configuration: fn(value, origin, the script's own value).
local FROM_CONFIGURATION = {}

-- An option of weir.stream that another file knows about.
function options.add(name, check, from_configuration)
  CHECKS[name], FROM_CONFIGURATION[name] = check, from_configuration
end

-- The names in these tables, in byte order: for messages.
function options.names(...)
  local names = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return table.concat(names, ", ")
end

-- Raises the first mistake; where: what the message starts with; level as in error, 0 for no place.
local function check_each(given, where, level, checks)
  local above = level > 0 and level + 1 or 0
  checks = checks or CHECKS
  for name, value in pairs(given) do
    local check = checks[name]
    if not check then
      error(("%s: unknown option '%s': expected one of %s"):format(where, tostring(name), options.names(checks)), above)
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
      error(('weir.stream: %s = "deadletter" needs the option deadletter: a file, or the URL of a stream'):format(name),
        level + 1)
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
  for name, made in pairs(FROM_CONFIGURATION) do
    said[name] = said[name] ~= nil and made(said[name], origin, given[name]) or nil
  end
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

local function text(value)
  return (type(value) ~= "string" or value == "" or value:find "%c") and "a non-empty string" or nil
end

local function whole(least)
  return function(value)
    return (type(value) ~= "number" or not math.tointeger(value) or value < least) and
      ("a whole number of at least %d"):format(least) or nil
  end
end

local function http_url(value)
  local scheme = type(value) == "string" and value:match "^(%a+)://."
  return not (scheme and scheme:lower():match "^https?$") and "the http(s) URL of a stream" or nil
end

local CREATE_CHECKS = {
  contentType = text,
  ttl = function(value)
    return not native.isDuration(value) and DURATION or nil
  end,
  expiresAt = text,
  closed = is "boolean",
  data = function() end,
  forkFrom = text,
  forkOffset = text,
  forkSubOffset = whole(0),
}

-- The options of stream:create, as the native half has them.
function options.create(given, level)
  if given ~= nil and type(given) ~= "table" then
    error("create: expected a table of options, got " .. options.show(given), level + 1)
  end
  local said = {}
  for name, value in pairs(given or {}) do
    said[name] = value
  end
  check_each(said, "create", level + 1, CREATE_CHECKS)
  if said.ttl and said.expiresAt then
    error("create: ttl and expiresAt: expected one of them", level + 1)
  end
  said.contentType = said.contentType or "application/json"
  local json = said.contentType:lower():match "^application/json%f[;%s\0]"
  if said.data ~= nil and not json and type(said.data) ~= "string" then
    error("create: data: expected a string, as the stream is not JSON, got " .. options.show(said.data), level + 1)
  end
  said.forkFrom = said.forkFrom and said.forkFrom:gsub("^%a+://[^/]*", "")
  return said
end

local PRODUCER_CHECKS = {
  url = http_url,
  id = text,
  epoch = whole(0),
  autoClaim = is "boolean",
  lingerMs = whole(0),
  maxBatchBytes = whole(1),
  maxBatchItems = whole(1),
  maxInFlight = whole(1),
  contentType = text,
  headers = headers,
  params = params,
  caFile = is "string",
  onError = is "function",
}

-- Raises a mistake in the options of weir.producer.
function options.check_producer(given, level)
  if type(given) ~= "table" then
    error("weir.producer: expected a table of options, got " .. options.show(given), level + 1)
  end
  check_each(given, "weir.producer", level + 1, PRODUCER_CHECKS)
  if given.url == nil then
    error("weir.producer: url is missing: expected the http(s) URL of a stream", level + 1)
  end
end

local function duration(value)
  return not native.isDuration(value) and DURATION or nil
end

local function size(value)
  return not native.isSize(value) and 'a size (bytes, or text like "64KB", "10MB")' or nil
end

local SERVE_CHECKS = {
  listen = text,
  data = text,
  fsync = one_of({ batch = true, always = true, none = true }, '"batch", "always" or "none"'),
  checkpointSize = size,
  longPollTimeout = duration,
  sseLifetime = duration,
  requestTimeout = duration,
  maxBody = size,
  maxConnections = whole(1),
  maxStreams = whole(1),
  maxBytes = size,
  maxInput = size,
  maxOutput = size,
  tokenFile = text,
  tlsCert = text,
  tlsKey = text,
  corsOrigin = text,
  accessLog = text,
  faults = is "boolean",
}

-- Raises a mistake in the options of weir.serve.
function options.check_serve(given, level)
  if type(given) ~= "table" then
    error("weir.serve: expected a table of options, got " .. options.show(given), level + 1)
  end
  check_each(given, "weir.serve", level + 1, SERVE_CHECKS)
end

-- Of the option live, as the native half has it.
function options.live(value)
  if value == nil then
    value = true
  end
  return LIVE[value]
end
