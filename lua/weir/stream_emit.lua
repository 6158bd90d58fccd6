-- What handlers write to a derived stream: the methods of weir.sink.stream. An event is kept until the handler has
-- returned, and leaves with the batch of the event that is handled.

local _, weir = ...
local native = weir._sink
local encode = weir.json.encode
local events = weir._state.events
local Sink = native.class

-- The headers of what is written. Without a timestamp it gets that of the event that is handled, so that the same
-- event makes the same output whenever it is handled.
local function headers_of(given, handled)
  if given ~= nil and type(given) ~= "table" then
    return given
  end
  local headers = {}
  for name, value in pairs(given or {}) do
    headers[name] = value
  end
  if headers.timestamp == nil then
    headers.timestamp = handled and handled.timestamp or false
  end
  return headers
end

-- insert and its like end with a call of this, which takes their place on the stack: level 2 is the script.
local function emit_change(self, operation, kind, key, value, options)
  local ok, handled = native.handled(self)
  if not ok then
    error(operation .. ": " .. handled, 2)
  elseif kind == nil then
    error(("%s: type: expected a non-empty string, got nil"):format(operation), 2)
  end
  local headers = headers_of(options, handled)
  local old_value
  if type(headers) == "table" then
    old_value = headers.old_value
    headers.old_value = nil
  end
  native.emit(self, encode(events.checked(operation, kind, key, value, old_value, headers, operation, 2)))
end

---@class weir.DerivedStream: weir.Sink

---Writes an insert to the derived stream. Within a handler of a stream that lists it in its sinks.
---@param kind string the type
---@param key string
---@param value any
---@param options? { txid: string?, timestamp: string?, old_value: any } and more headers
function Sink:insert(kind, key, value, options)
  return emit_change(self, "insert", kind, key, value, options)
end

---Writes an update.
---@param kind string
---@param key string
---@param value any
---@param options? table
function Sink:update(kind, key, value, options)
  return emit_change(self, "update", kind, key, value, options)
end

---Writes an upsert.
---@param kind string
---@param key string
---@param value any
---@param options? table
function Sink:upsert(kind, key, value, options)
  return emit_change(self, "upsert", kind, key, value, options)
end

---Writes a patch.
---@param kind string
---@param key string
---@param value table
---@param options? table
function Sink:patch(kind, key, value, options)
  return emit_change(self, "patch", kind, key, value, options)
end

---Writes a delete.
---@param kind string
---@param key string
---@param options? table
function Sink:delete(kind, key, options)
  return emit_change(self, "delete", kind, key, nil, options)
end

---Writes any value, or an event that was made with weir.insert and its like.
---@param value any
function Sink:append(value)
  local ok, why = native.handled(self)
  if not ok then
    error("append: " .. why, 2)
  elseif value == nil then
    error("append: value is missing (weir.null is a value)", 2)
  end
  native.emit(self, encode(value))
end
