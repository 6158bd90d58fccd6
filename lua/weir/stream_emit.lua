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

events.add_changes(Sink, function(self, operation, kind, key, value, options)
  local ok, handled = native.handled(self)
  if not ok then
    error(operation .. ": " .. handled, 2)
  end
  local headers = headers_of(options, handled)
  local old_value
  if type(headers) == "table" then
    old_value = headers.old_value
    headers.old_value = nil
  end
  native.emit(self, encode(events.checked(operation, kind, key, value, old_value, headers, operation, 2)))
end)

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
