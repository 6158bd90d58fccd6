-- Events of the State Protocol made in Lua: weir.insert and its like, and what tells events apart. An event is a
-- plain table with the members that it has on the wire; as JSON they come in the order of the published protocol.

local _, weir = ...
local stamp = weir._stamp
local show, check_self = weir._options.show, weir._options.check_self
local encode = weir.json.encode
local null = weir.null

local events = {}

-- What the files state_*.lua share: each fills its own table. It is taken away once all are loaded.
weir._state = { events = events, items = {}, keys = {}, schemas = {}, states = {} }

---@class weir.EventHeaders
---@field operation "insert"|"update"|"upsert"|"patch"|"delete"
---@field txid string? names the transaction that the change belongs to
---@field timestamp string? RFC 3339

---A change. It is written as it is: { type, key, value, old_value, headers }.
---@class weir.ChangeEvent
---@field type string? nothing: an event of the RFC's first form, which has no type
---@field key string
---@field value any what is stored from now on; nothing in a delete
---@field old_value any what was stored before, where the writer says so
---@field headers weir.EventHeaders
---@field operation string headers.operation
---@field txid string? headers.txid
---@field timestamp string? headers.timestamp

---A control. It is written as it is: { headers = { control, offset } }.
---@class weir.ControlEvent
---@field headers { control: string, offset: string? }
---@field type string headers.control, the RFC's name
---@field offset string? headers.offset

---What else an event says.
---@class weir.EventOptions
---@field txid string? names the transaction; the RFC's older spelling txId is taken, too
---@field timestamp string|boolean|nil RFC 3339; true: now; false: none; default: now
---@field from string?
---@field offset string?

local OPERATIONS = { insert = true, update = true, upsert = true, patch = true, delete = true }
local CONTROLS = { ["snapshot-start"] = true, ["snapshot-end"] = true, reset = true, ["up-to-date"] = true }
events.OPERATIONS, events.CONTROLS = OPERATIONS, CONTROLS

---------------------------------------------------------------------------------------------------
-- On the wire

local MEMBERS = { "type", "key", "value", "old_value", "headers" }
local HEADERS = { "operation", "control", "txid", "timestamp", "from", "offset" }

-- A table's members as JSON: those in `order` first, then the others in byte order.
local function write(t, order, parts)
  local others, known = {}, {}
  for _, name in ipairs(order) do
    known[name] = true
  end
  for name in pairs(t) do
    if type(name) ~= "string" then
      error(("an event has the member %s: expected names"):format(show(name)), 0)
    elseif not known[name] then
      others[#others + 1] = name
    end
  end
  table.sort(others)
  local before = "{"
  for _, names in ipairs { order, others } do
    for _, name in ipairs(names) do
      local value = rawget(t, name)
      if value ~= nil then
        parts[#parts + 1] = before
        parts[#parts + 1] = encode(name)
        parts[#parts + 1] = ":"
        if name == "headers" and type(value) == "table" and order == MEMBERS then
          write(value, HEADERS, parts)
        else
          parts[#parts + 1] = encode(value)
        end
        before = ","
      end
    end
  end
  parts[#parts + 1] = before == "{" and "{}" or "}"
end

local function to_json(event)
  local parts = {}
  write(event, MEMBERS, parts)
  return table.concat(parts)
end

-- What handlers know an event's headers by (engine/script/api_event.h).
local HEADER_FIELDS = {
  operation = "operation", control = "control", txid = "txid", timestamp = "timestamp", from = "from",
  offset = "offset",
}

local function header_of(event, name)
  local headers = rawget(event, "headers")
  return type(headers) == "table" and headers[name] or nil
end

-- The RFC's older name can be read, too.
local headers_meta = {
  __index = function(headers, name)
    return name == "txId" and rawget(headers, "txid") or nil
  end,
}

local change_meta = {
  __name = "weir.change",
  __json = to_json,
  __index = function(event, name)
    return HEADER_FIELDS[name] and header_of(event, name)
  end,
  __tostring = function(event)
    return ("%s %s%s"):format(event.operation, event.type and event.type .. "/" or "", event.key)
  end,
}

local control_meta = {
  __name = "weir.control",
  __json = to_json,
  __index = function(event, name)
    return HEADER_FIELDS[name] and header_of(event, name) or name == "type" and header_of(event, "control") or nil
  end,
  __tostring = function(event)
    return tostring(event.control)
  end,
}

---------------------------------------------------------------------------------------------------
-- Making them

-- Raises where it is no text, or an empty one: `level` functions above this one.
local function check_text(value, name, where, level)
  if type(value) ~= "string" or value == "" then
    error(("%s: %s: expected a non-empty string, got %s"):format(where, name, show(value)), level + 1)
  end
end

-- What is wrong with a header, or nothing.
function events.header_mistake(name, value)
  if value == nil then
    return nil
  elseif name == "timestamp" and (type(value) ~= "string" or not stamp.isTime(value)) then
    return ('expected an RFC 3339 time such as "2025-01-15T10:30:00Z", got %s'):format(show(value))
  elseif name == "txid" and (type(value) ~= "string" or value == "") then
    return ("expected a non-empty string, got %s"):format(show(value))
  end
end

-- The headers of an event of that operation, unchecked. given: txid, timestamp and whatever else is to stand there.
-- stamped: the timestamp is now, where nothing is said.
function events.headers(operation, given, stamped)
  local headers = {}
  for name, value in pairs(given or {}) do
    headers[name] = value
  end
  headers.txid = headers.txid or headers.txId
  headers.txId = nil
  if headers.timestamp == true or headers.timestamp == nil and stamped then
    headers.timestamp = stamp.now()
  end
  headers.timestamp = headers.timestamp or nil -- false: none
  headers.operation = operation
  return setmetatable(headers, headers_meta)
end

-- The same, checked: mistakes are raised `level` functions above this one.
local function checked_headers(operation, given, stamped, where, level)
  if given ~= nil and type(given) ~= "table" then
    error(("%s: headers: expected a table, got %s"):format(where, show(given)), level + 1)
  end
  for name in pairs(given or {}) do
    if type(name) ~= "string" then
      error(("%s: headers: expected names, got %s"):format(where, show(name)), level + 1)
    end
  end
  local headers = events.headers(operation, given, stamped)
  for _, name in ipairs { "txid", "timestamp" } do
    local mistake = events.header_mistake(name, headers[name])
    if mistake then
      error(("%s: %s: %s"):format(where, name, mistake), level + 1)
    end
  end
  return headers
end
events.checked_headers = checked_headers

-- A change, unchecked.
function events.change(kind, key, value, old_value, headers)
  return setmetatable({ type = kind, key = key, value = value, old_value = old_value, headers = headers }, change_meta)
end

-- A change that is right, but for what a schema says of its value. kind nil: it is of the RFC's first form. given: its
-- headers.
function events.checked(operation, kind, key, value, old_value, given, where, level)
  if kind ~= nil then
    check_text(kind, "type", where, level + 1)
  end
  check_text(key, "key", where, level + 1)
  if value == nil and operation ~= "delete" then
    error(where .. ": value is missing (weir.null is a value)", level + 1)
  end
  local headers = checked_headers(operation, given, true, where, level + 1)
  return events.change(kind, key, value, old_value, headers)
end

local function need_type(operation, kind)
  if kind == nil then
    error(("%s: type: expected a non-empty string, got nil"):format(operation), 3)
  end
end

-- Gives the class insert, update, upsert, patch and delete (types/weir.lua). Each ends with a call of
-- change(self, operation, type, key, value, options), which takes its place on the stack: level 2 is the script.
function events.add_changes(class, change)
  for _, operation in ipairs { "insert", "update", "upsert", "patch" } do
    class[operation] = function(self, kind, key, value, options)
      check_self(self, operation, 2)
      need_type(operation, kind)
      return change(self, operation, kind, key, value, options)
    end
  end
  function class:delete(kind, key, options)
    check_self(self, "delete", 2)
    need_type("delete", kind)
    return change(self, "delete", kind, key, nil, options)
  end
end

local OPTION_NAMES = { txid = true, txId = true, timestamp = true, from = true, offset = true }

-- A typo in an option, or a value in its place, must not become a header.
function events.check_options(options, where, level)
  if options ~= nil and type(options) ~= "table" then
    error(("%s: options: expected a table, got %s"):format(where, show(options)), level + 1)
  end
  for name in pairs(options or {}) do
    if not OPTION_NAMES[name] then
      error(("%s: unknown option '%s': expected txid, timestamp, from or offset"):format(where, tostring(name)),
        level + 1)
    end
  end
end

-- Arguments with a type in front; or, as in the RFC's first form, without. Behind a type there is a key, which is a
-- string, and behind that a value.
local function with_type(...)
  local second = select(2, ...)
  if select("#", ...) >= 3 and (type(second) == "string" or second == nil) then
    return ...
  end
  return nil, ...
end

---------------------------------------------------------------------------------------------------
-- weir.insert and its like. Called with a key and a value only they make an event of the RFC's first form, without a
-- type; so they do where the second argument is no string. (The checks raise at level 2, the script.)

---An insert.
---@param kind string the type
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.insert(...)
  local kind, key, value, options = with_type(...)
  events.check_options(options, "insert", 2)
  return (events.checked("insert", kind, key, value, nil, options, "insert", 2))
end

---An update: value replaces what is stored.
---@param kind string the type
---@param key string
---@param value any
---@param old_value? any what is replaced, for readers that want to know
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.update(...)
  local kind, key, value, old_value, options = with_type(...)
  events.check_options(options, "update", 2)
  return (events.checked("update", kind, key, value, old_value, options, "update", 2))
end

---An upsert: stored whether or not there is a value.
---@param kind string the type
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.upsert(...)
  local kind, key, value, options = with_type(...)
  events.check_options(options, "upsert", 2)
  return (events.checked("upsert", kind, key, value, nil, options, "upsert", 2))
end

---A patch: merged into what is stored (RFC 7396); weir.null removes a member. Readers other than weir may not know it.
---@param kind string the type
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.patch(...)
  local kind, key, value, options = with_type(...)
  events.check_options(options, "patch", 2)
  return (events.checked("patch", kind, key, value, nil, options, "patch", 2))
end

---A delete. Two strings are a type and a key; one is a key, as in the RFC's first form.
---@param kind string the type
---@param key string
---@param old_value? any what is removed, for readers that want to know
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.del(...)
  local count, second = select("#", ...), select(2, ...)
  local kind, key, old_value, options
  if type(second) == "string" or count == 2 and second == nil then
    kind, key, old_value, options = ...
    check_text(key, "key", "del", 2)
  else
    key, old_value, options = ...
  end
  events.check_options(options, "del", 2)
  return (events.checked("delete", kind, key, nil, old_value, options, "del", 2))
end

---A control, in the published form: { headers = { control = ..., offset = ... } }.
---@param kind "snapshot-start"|"snapshot-end"|"reset"|"up-to-date" the last is the RFC's only
---@param offset? string the stream's offset that it is about
---@return weir.ControlEvent
function weir.control(kind, offset)
  if not CONTROLS[kind] then
    error(("control: type: expected snapshot-start, snapshot-end, reset or up-to-date, got %s"):format(show(kind)), 2)
  end
  if offset ~= nil then
    check_text(offset, "offset", "control", 2)
  end
  return setmetatable({ headers = { control = kind, offset = offset } }, control_meta)
end

---------------------------------------------------------------------------------------------------
-- Telling them apart

-- Whether it is an event as handlers get it: a userdata.
function events.is_native(value)
  local meta = type(value) == "userdata" and value ~= null and getmetatable(value)
  return type(meta) == "table" and meta.__name == "weir.event"
end

---Whether it is a change: a table (or an event that a handler got) with headers.operation.
---@param event any
---@return boolean
function weir.isChangeEvent(event)
  if events.is_native(event) then
    return event.operation ~= nil
  end
  local headers = type(event) == "table" and event.headers
  return type(headers) == "table" and headers.operation ~= nil
end

---Whether it is a control: with headers.control, or, in the RFC's form, of a control's type without key and headers.
---@param event any
---@return boolean
function weir.isControlEvent(event)
  if events.is_native(event) then
    return event.control ~= nil
  elseif type(event) ~= "table" then
    return false
  end
  local headers = event.headers
  if type(headers) == "table" then
    return headers.control ~= nil and headers.operation == nil
  end
  return headers == nil and event.key == nil and CONTROLS[event.type] == true
end
