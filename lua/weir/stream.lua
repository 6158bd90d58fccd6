-- weir.stream and what can be done with a stream: the StateStream of the State Protocol RFC.

local _, weir = ...
local native = weir._stream
local options_of = weir._options
local show, ON_ERROR, ON_INVALID = options_of.show, options_of.ON_ERROR, options_of.ON_INVALID
local check_self = options_of.check_self
local outgoing = weir._outgoing
local needs_lua = weir._schema.needsLua
local schemas = weir._state.schemas

---@class weir.StateStream
---@field state weir.State the materialized state
---@field url string
---@field name string
local StateStream = {}
native.class = StateStream -- for the files stream_*.lua

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

-- What else is said of a handler: true where it is for live events only.
local function is_live_only(options, where)
  if options == nil then
    return false
  elseif type(options) ~= "table" then
    error(("%s: options: expected a table, got %s"):format(where, show(options)), 3)
  end
  for name, value in pairs(options) do
    if name ~= "effects" then
      error(("%s: unknown option '%s': expected effects"):format(where, tostring(name)), 3)
    elseif value ~= "live" and value ~= "always" then
      error(('%s: effects: expected "live" or "always", got %s'):format(where, show(value)), 3)
    end
  end
  return options.effects == "live"
end

---Calls fn(state, event) after each change has been applied, for one type or (without a type) for all.
---Handlers of a type come before those for all; each in the order in which they were added. event.old is
---the value before, event.new the value after. With effects = "live" it is not called while the stream catches up:
---what it does to the world outside is not done again for events of the past.
---@param kind string|fun(state: weir.State, event: weir.Event) the type, or fn
---@param fn? fun(state: weir.State, event: weir.Event)
---@param options? { effects: "live"|"always" } behind fn
function StateStream:onChange(kind, fn, options)
  check_self(self, "onChange", 2)
  if type(kind) == "function" and type(fn) == "table" and options == nil then
    kind, fn, options = nil, kind, fn
  end
  kind, fn = type_and_function(kind, fn, "onChange")
  if is_live_only(options, "onChange") then
    local called = fn
    fn = function(state, event)
      if event.live then
        return called(state, event)
      end
    end
  end
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
  check_self(self, "validate", 2)
  kind, fn = type_and_function(kind, fn, "validate")
  if kind then
    add(self._handlers.rules, kind, fn)
  else
    table.insert(self._handlers.allRules, fn)
  end
  native.watch(self, "validate", kind)
end

---Calls fn(event) for each control event: event.control is "snapshot-start", "snapshot-end", "reset" or
---"up-to-date". A reset has cleared the state by then. With effects = "live" it is not called while the stream
---catches up.
---@param fn fun(event: weir.Event)
---@param options? { effects: "live"|"always" }
function StateStream:onControl(fn, options)
  check_self(self, "onControl", 2)
  check_function(fn, "onControl")
  if is_live_only(options, "onControl") then
    local called = fn
    fn = function(event)
      if event.live then
        return called(event)
      end
    end
  end
  table.insert(self._handlers.control, fn)
  native.watch(self, "control")
end

---Calls fn(state) when everything that exists has been handled: once after catching up, and again each
---time after new events were.
---@param fn fun(state: weir.State)
function StateStream:onUpToDate(fn)
  check_self(self, "onUpToDate", 2)
  check_function(fn, "onUpToDate")
  table.insert(self._handlers.upToDate, fn)
  native.watch(self, "up-to-date")
end

---What is done with a message that is not valid JSON, is no event, or is refused by its schema or a rule:
---"stop" (default: the worker ends, naming it), "skip" (logged), "deadletter" (kept where the option
---deadletter says), or fn(event, issues) returning one of these (nothing: "skip").
---@param what "stop"|"skip"|"deadletter"|fun(event: weir.Event, issues: weir.Issue[]): string?
function StateStream:onInvalid(what)
  check_self(self, "onInvalid", 2)
  if type(what) ~= "function" and not ON_INVALID[what] then
    error(("onInvalid: expected \"stop\", \"skip\", \"deadletter\" or a function, got %s"):format(show(what)), 2)
  end
  self._handlers.onInvalid = what
  native.policy(self, type(what) == "function" and "function" or what)
end

---What is done when a handler raises: "stop" (default: the worker ends with the traceback), "skip" (logged),
---"retry" (the handler is called again, with growing pauses), "deadletter", or fn(error, event) returning
---one of these (nothing: "stop"). The change stays applied in any case.
---
---A function is also asked about each request of the stream that failed, as fn(err) with err.transport = true and
---err.retrying (whether it will be tried again); err.code, status and message are those of an error object. It
---returns "retry", "stop", { headers = {...} } (put into this and all following requests, which then are tried
---again), or nothing: as it would have gone. It must not wait then.
---@param what "stop"|"skip"|"retry"|"deadletter"|fun(err: any, event: weir.Event?): (string|table)?
function StateStream:onError(what)
  check_self(self, "onError", 2)
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

---Creates the stream on the server. Waits; one that exists already with the same properties is a success, too.
---
---    contentType   default: "application/json"
---    ttl           a duration of whole seconds after which it expires
---    expiresAt     or the time when it does, RFC 3339
---    closed        true: closed from the start; data is all there will be
---    data          its first message; for streams that are not JSON a string
---    forkFrom      the path of a stream to fork
---    forkOffset    where to fork it; default: its tail
---    forkSubOffset how many messages behind forkOffset belong to the fork, too
---@param options? table
---@return { created: boolean, offset: string, closed: boolean } created: it is new
function StateStream:create(options)
  check_self(self, "create", 2)
  return native.create(self, options_of.create(options, 2))
end

---Asks the server about the stream. Waits.
---@return { offset: string, contentType: string?, closed: boolean, ttl: integer?, expiresAt: string? } ttl: seconds
function StateStream:head()
  return native.head(self)
end

---Closes the stream for good, with a last message if there is one. Waits. Closing a closed stream is a success,
---unless there is a message. This is not the end of reading: readers get what is there, then the end.
---@param value? any
---@return string offset the final offset
function StateStream:close(value)
  return native.close(self, value)
end

---Deletes the stream itself, with everything in it. Waits. (stream:delete is the RFC's delete of one entity.)
function StateStream:remove()
  native.remove(self)
end

-- What makes the key of a change that carries none: an answer of lane.lua's getKey. nil and the reason: it cannot.
local function key_function(maker)
  return function(value)
    local key, mistake = maker.make(value)
    if key then
      return key
    elseif mistake then
      return nil, "is missing, and cannot be made of the value: " .. mistake
    end
    return nil, "is missing, and the value lacks " .. maker.what
  end
end

local function declare_keys(stream, handlers, makers)
  for kind, maker in pairs(makers) do
    handlers.getKey[kind] = key_function(maker)
    native.watch(stream, maker.given and "getKey" or "id", kind)
  end
end

local StateStream_meta = { __index = StateStream }
local CONFIRM = "30s" -- what limits.confirm is unless it is given

local function declare_types(stream, handlers, form)
  for kind, type_schema in pairs(form.types) do
    native.schema(stream, kind, type_schema)
    if needs_lua(type_schema) then
      handlers.foreign[kind] = type_schema
    end
  end
  for kind, index in pairs(form.indexes) do
    for _, field in ipairs(index) do
      native.index(stream, kind, field)
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
---    schema      weir.defineStreamSchema{...} or weir.createStateSchema{...}
---    defaultType the type of changes that carry none; default: "default"
---    strict      true: hold to the published State Protocol
---    snapshot    "merge" (default): what a snapshot holds is applied as it comes; "replace": a snapshot, or what
---                follows a reset, takes the place of the state in one step, and handlers see only what differs
---    onInvalid   "stop" (default), "skip", "deadletter", or function(event, issues)
---    onError     "stop" (default), "skip", "retry", "deadletter", or function(error, event)
---    deadletter  the file, or the URL of a stream, that dead letters are appended to
---    headers     request headers: strings, functions or { file = PATH } (asked, read before every request)
---    params      query parameters, likewise
---    caFile      a file of certificates to trust
---    optimistic  true: writes are in the state before they come back on the stream, unless they say otherwise
---    sinks       { weir.sink.sqlite { path = ... }, ... }: where what becomes of the state goes
---    actions     function(ctx) returning { name = { onMutate = fn, mutationFn = fn } }, or that table
---    limits      { message = "64MB", connect = "5s", outage = "10m", append = "30s", confirm = "30s",
---                sinkRows = 10000, sinkBytes = "8MB", sinkDelay = "500ms", sinkBatch = "256MB" }
---@param options table
---@return weir.StateStream
function weir.stream(options)
  options = options_of.read(options, 2)
  local form = options.schema and schemas.form_or_raise(options.schema, "weir.stream", 2)
  if form and form.single then
    error("weir.stream: schema: expected { types = { name = schema, ... } }, got the schema of one type", 2)
  end
  local handlers = {
    change = {}, allChange = {}, rules = {}, allRules = {}, control = {}, upToDate = {}, foreign = {}, getKey = {},
    rollback = {}, beforeBatch = {}, batch = {}, transaction = {}, collected = {},
    onInvalid = options.onInvalid or "stop",
    onError = options.onError or "stop",
    optimistic = options.optimistic or false,
    confirm = options.limits and options.limits.confirm or CONFIRM,
    schemas = form and form.types, -- for `weir types`
  }
  local asked = outgoing.new(options.headers, options.params, function()
    return type(handlers.onError) == "function" and handlers.onError or nil
  end)
  local fields = setmetatable({ _handlers = handlers }, StateStream_meta)
  local stream = native.new({
    url = options.url,
    name = options.name or options.url,
    offset = options.offset,
    defaultType = options.defaultType,
    deadletter = options.deadletter,
    caFile = options.caFile,
    strict = options.strict,
    replace = options.snapshot == "replace",
    live = options_of.live(options.live),
    headers = asked.fixed,
    sinks = options.sinks and table.move(options.sinks, 1, #options.sinks, 1, {}),
    limits = options.limits or {},
    onInvalid = type(handlers.onInvalid) == "function" and "function" or handlers.onInvalid,
  }, fields)
  native.hooks(stream, asked, asked.changes, true)
  if form then
    declare_types(stream, handlers, form)
    declare_keys(stream, handlers, form.makers)
  end
  if options.actions ~= nil then
    fields.actions = native.makeActions(stream, options.actions)
  end
  native.declare(stream)
  return stream
end
