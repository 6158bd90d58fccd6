-- weir.stream and what can be done with a stream: the StateStream of the State Protocol RFC.

local _, weir = ...
local native = weir._stream
local schema_metatable = weir._schema.metatable
local null = weir.null

-- A value as it is shown in a message.
local function show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif value == nil or value == null or type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

---@class weir.StateStream
---@field state weir.State the materialized state
---@field url string
---@field name string
local StateStream = {}

local ON_ERROR = { stop = true, skip = true, retry = true, deadletter = true }
local ON_INVALID = { stop = true, skip = true, deadletter = true }
local LIVE = { [true] = "auto", [false] = "no", sse = "sse", ["long-poll"] = "long-poll" }

-- Options of weir.stream, with the check of each: true, or what was expected.
local function is(kind)
  local article = kind:find("^[aeiou]") and "an " or "a "
  return function(value)
    return type(value) == kind or article .. kind
  end
end

local function policy(set, names)
  return function(value)
    return type(value) == "function" or set[value] or names .. " or a function"
  end
end

local function strings(value)
  if type(value) ~= "table" then
    return "a table of strings"
  end
  for name, text in pairs(value) do
    if type(name) ~= "string" or type(text) ~= "string" then
      return ("a table of strings (%s is %s)"):format(tostring(name), type(text))
    end
    if name:find("[^%w!#$%%&'*+.^_`|~-]") or text:find("[%c]") then
      return ("names and values that fit into an HTTP header (%s does not)"):format(name)
    end
  end
  return true
end

local LIMITS = { message = true, connect = true, outage = true }

local function limits(value)
  if type(value) ~= "table" then
    return "a table"
  end
  for name in pairs(value) do
    if not LIMITS[name] then
      return ("message, connect or outage, not '%s',"):format(tostring(name))
    end
  end
  return true
end

local OPTIONS = {
  url = is "string",
  name = is "string",
  offset = is "string",
  defaultType = is "string",
  deadletter = is "string",
  caFile = is "string",
  strict = is "boolean",
  schema = is "table",
  headers = strings,
  limits = limits,
  live = function(value)
    return LIVE[value] ~= nil or 'true, false, "sse" or "long-poll"'
  end,
  onInvalid = policy(ON_INVALID, '"stop", "skip", "deadletter"'),
  onError = policy(ON_ERROR, '"stop", "skip", "retry", "deadletter"'),
}

local function sorted_names(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, ", ")
end

local function check_options(options, level)
  if type(options) ~= "table" then
    error("weir.stream: expected a table of options, got " .. type(options), level + 1)
  end
  for name, value in pairs(options) do
    local check = OPTIONS[name]
    if not check then
      error(("weir.stream: unknown option '%s': expected one of %s"):format(tostring(name), sorted_names(OPTIONS)),
        level + 1)
    end
    local expected = check(value)
    if expected ~= true then
      error(("weir.stream: %s: expected %s, got %s"):format(name, expected, show(value)), level + 1)
    end
  end
  if not options.url or options.url == "" then
    error("weir.stream: url is missing: expected the URL of a stream, a file, or \"-\"", level + 1)
  end
  for _, name in ipairs { "onInvalid", "onError" } do
    if options[name] == "deadletter" and not options.deadletter then
      error(("weir.stream: %s = \"deadletter\" needs the option deadletter, the file to write to"):format(name),
        level + 1)
    end
  end
end

-- What the configuration and the command line say wins over the script.
local function with_settings(options)
  local settings = native.settings(options.name or options.url)
  if not settings then
    return options
  end
  local merged = {}
  for name, value in pairs(options) do
    merged[name] = value
  end
  for name, value in pairs(weir.json.decode(settings)) do
    merged[name] = value
  end
  return merged
end

local function check_function(fn, where)
  if type(fn) ~= "function" then
    error(("%s: expected a function, got %s"):format(where, show(fn)), 3)
  end
end

-- Methods that take (fn) or (type, fn).
local function type_and_function(kind, fn, where)
  if fn == nil then
    kind, fn = nil, kind
  end
  if kind ~= nil and (type(kind) ~= "string" or kind == "") then
    error(("%s: expected the name of a type, got %s"):format(where, show(kind)), 3)
  end
  if type(fn) ~= "function" then
    error(("%s: expected a function, got %s"):format(where, show(fn)), 3)
  end
  return kind, fn
end

local function add(lists, kind, fn)
  lists[kind] = lists[kind] or {}
  table.insert(lists[kind], fn)
end

---Calls fn(state, event) after each change has been applied, for one type or (without a type) for all.
---Handlers of a type come before those for all; each in the order in which they were added. event.old is
---the value before, event.new the value after.
---@param kind string|fun(state: weir.State, event: weir.Event) the type, or fn
---@param fn? fun(state: weir.State, event: weir.Event)
function StateStream:onChange(kind, fn)
  kind, fn = type_and_function(kind, fn, "onChange")
  if kind then
    add(self._handlers.change, kind, fn)
  else
    table.insert(self._handlers.allChange, fn)
  end
  native.watch(self, "change", kind)
end

---A rule beyond the schema: fn(event, state) is asked before a change is applied, and refuses it with
---`return false, reason`. What it refuses is treated as onInvalid says.
---@param kind string|fun(event: weir.Event, state: weir.State): boolean?, string? the type, or fn
---@param fn? fun(event: weir.Event, state: weir.State): boolean?, string?
function StateStream:validate(kind, fn)
  kind, fn = type_and_function(kind, fn, "validate")
  if kind then
    add(self._handlers.rules, kind, fn)
  else
    table.insert(self._handlers.allRules, fn)
  end
  native.watch(self, "validate", kind)
end

---Calls fn(event) for each control event: event.control is "snapshot-start", "snapshot-end", "reset" or
---"up-to-date". A reset has cleared the state by then.
---@param fn fun(event: weir.Event)
function StateStream:onControl(fn)
  check_function(fn, "onControl")
  table.insert(self._handlers.control, fn)
  native.watch(self, "control")
end

---Calls fn(state) when everything that exists has been handled: once after catching up, and again each
---time after new events were.
---@param fn fun(state: weir.State)
function StateStream:onUpToDate(fn)
  check_function(fn, "onUpToDate")
  table.insert(self._handlers.upToDate, fn)
  native.watch(self, "up-to-date")
end

---What is done with a message that is not valid JSON, is no event, or is refused by its schema or a rule:
---"stop" (default: the worker ends, naming it), "skip" (logged), "deadletter" (written to the file of that
---option), or fn(event, issues) returning one of these (nothing: "skip").
---@param what "stop"|"skip"|"deadletter"|fun(event: weir.Event, issues: weir.Issue[]): string?
function StateStream:onInvalid(what)
  if type(what) ~= "function" and not ON_INVALID[what] then
    error(("onInvalid: expected \"stop\", \"skip\", \"deadletter\" or a function, got %s"):format(show(what)), 2)
  end
  self._handlers.onInvalid = what
  native.policy(self, type(what) == "function" and "function" or what)
end

---What is done when a handler raises: "stop" (default: the worker ends with the traceback), "skip" (logged),
---"retry" (the handler is called again, with growing pauses), "deadletter", or fn(error, event) returning
---one of these (nothing: "stop"). The change stays applied in any case.
---@param what "stop"|"skip"|"retry"|"deadletter"|fun(err: any, event: weir.Event?): string?
function StateStream:onError(what)
  if type(what) ~= "function" and not ON_ERROR[what] then
    error(("onError: expected \"stop\", \"skip\", \"retry\", \"deadletter\" or a function, got %s"):format(
      show(what)), 2)
  end
  self._handlers.onError = what
end

---Appends one message to the stream: an event, or any value that can be written as JSON. Waits until the
---server has it, exactly once whatever happens to the connection, and returns the stream's next offset.
---The state changes when the event comes back. Raises an error object {code, status, message}.
---@param event table|weir.Event
---@return string offset
function StateStream:append(event)
  return native.append(self, event)
end

-- insert, update, upsert, patch, delete: an event of that operation, appended.
local function change_event(self, operation, kind, key, value, options)
  if type(kind) ~= "string" or kind == "" then
    error(("%s: type: expected a non-empty string, got %s"):format(operation, show(kind)), 3)
  end
  if type(key) ~= "string" or key == "" then
    error(("%s: key: expected a non-empty string, got %s"):format(operation, show(key)), 3)
  end
  if value == nil and operation ~= "delete" then
    error(operation .. ": value is missing (weir.null is a value)", 3)
  end
  local headers = { operation = operation }
  for name, header in pairs(options or {}) do
    headers[name] = header
  end
  headers.timestamp = headers.timestamp or os.date("!%Y-%m-%dT%H:%M:%SZ")
  return native.append(self, { type = kind, key = key, value = value, headers = headers })
end

---Appends an insert. Waits as append does.
---@param kind string the type
---@param key string
---@param value any
---@param headers? { txid: string?, timestamp: string? } more headers
---@return string offset
function StateStream:insert(kind, key, value, headers)
  return change_event(self, "insert", kind, key, value, headers)
end

---Appends an update: value replaces what is stored.
---@param kind string
---@param key string
---@param value any
---@param headers? table
---@return string offset
function StateStream:update(kind, key, value, headers)
  return change_event(self, "update", kind, key, value, headers)
end

---Appends an upsert: stored whether or not there is a value.
---@param kind string
---@param key string
---@param value any
---@param headers? table
---@return string offset
function StateStream:upsert(kind, key, value, headers)
  return change_event(self, "upsert", kind, key, value, headers)
end

---Appends a patch: merged into what is stored (RFC 7396); weir.null removes a member.
---@param kind string
---@param key string
---@param value table
---@param headers? table
---@return string offset
function StateStream:patch(kind, key, value, headers)
  return change_event(self, "patch", kind, key, value, headers)
end

---Appends a delete.
---@param kind string
---@param key string
---@param headers? table
---@return string offset
function StateStream:delete(kind, key, headers)
  return change_event(self, "delete", kind, key, nil, headers)
end

-- getKey of a type is asked for changes that carry no key.
local function declare_keys(stream, handlers, get_key)
  for kind, fn in pairs(get_key or {}) do
    handlers.getKey[kind] = fn
    native.watch(stream, "getKey", kind)
  end
end

local StateStream_meta = { __index = StateStream }

local function declare_schema(stream, handlers, schema)
  if type(schema.types) ~= "table" then
    error("weir.stream: schema: expected weir.defineStreamSchema { types = { ... } }", 3)
  end
  for kind, type_schema in pairs(schema.types) do
    native.schema(stream, kind, type_schema)
    if getmetatable(type_schema) ~= schema_metatable then
      handlers.foreign[kind] = type_schema
    end
  end
end

---Declares a stream to read, materialize and react to.
---
---    url         the stream's http(s) URL, a file of events (a JSON array, or one a line), or "-"
---    name        how messages and the configuration call it; default: the url
---    live        true (default): catch up, then follow; "sse" or "long-poll": follow that way;
---                false: end when up to date
---    offset      where to start; default: the beginning
---    schema      weir.defineStreamSchema{...}
---    defaultType the type of changes that carry none; default: "default"
---    strict      true: hold to the published State Protocol
---    onInvalid   "stop" (default), "skip", "deadletter", or function(event, issues)
---    onError     "stop" (default), "skip", "retry", "deadletter", or function(error, event)
---    deadletter  the file that dead letters are appended to, one JSON object a line
---    headers     a table of request headers
---    caFile      a file of certificates to trust
---    limits      { message = "64MB", connect = "5s", outage = "10m" }
---@param options table
---@return weir.StateStream
function weir.stream(options)
  check_options(options, 2)
  options = with_settings(options)
  check_options(options, 2)
  local handlers = {
    change = {}, allChange = {}, rules = {}, allRules = {}, control = {}, upToDate = {}, foreign = {}, getKey = {},
    onInvalid = options.onInvalid or "stop",
    onError = options.onError or "stop",
  }
  local live = options.live
  if live == nil then
    live = true
  end
  local fields = setmetatable({ _handlers = handlers }, StateStream_meta)
  local stream = native.new({
    url = options.url,
    name = options.name or options.url,
    offset = options.offset,
    defaultType = options.defaultType,
    deadletter = options.deadletter,
    caFile = options.caFile,
    strict = options.strict,
    live = LIVE[live],
    headers = options.headers or {},
    limits = options.limits or {},
    onInvalid = type(handlers.onInvalid) == "function" and "function" or handlers.onInvalid,
  }, fields)
  if options.schema then
    declare_schema(stream, handlers, options.schema)
    declare_keys(stream, handlers, options.schema.getKey)
  end
  return stream
end

---Names the types that a stream carries, each with the schema of its values. getKey has, for a type, a
---function that makes the key of a change that carries none, from its value (or, for a delete, old_value).
---@param config { types: table<string, weir.Schema>, getKey: table<string, fun(value: any): string>? }
---@return { types: table<string, weir.Schema>, getKey: table<string, fun(value: any): string>? }
function weir.defineStreamSchema(config)
  if type(config) ~= "table" or type(config.types) ~= "table" then
    error("defineStreamSchema: expected { types = { name = schema, ... } }", 2)
  end
  for kind, schema in pairs(config.types) do
    if type(kind) ~= "string" or kind == "" then
      error(("defineStreamSchema: types: expected names, got %s"):format(show(kind)), 2)
    end
    if type(schema) ~= "table" or schema["~standard"] == nil then
      error(("defineStreamSchema: types.%s: expected a schema (weir.schema...), got %s"):format(kind,
        show(schema)), 2)
    end
  end
  for kind, fn in pairs(config.getKey or {}) do
    if not config.types[kind] then
      error(("defineStreamSchema: getKey.%s: there is no such type"):format(tostring(kind)), 2)
    end
    if type(fn) ~= "function" then
      error(("defineStreamSchema: getKey.%s: expected a function, got %s"):format(kind, show(fn)), 2)
    end
  end
  for name in pairs(config) do
    if name ~= "types" and name ~= "getKey" then
      error(("defineStreamSchema: unknown member '%s': expected types or getKey"):format(tostring(name)), 2)
    end
  end
  return config
end
