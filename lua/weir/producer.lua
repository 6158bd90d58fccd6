-- weir.producer: appends in batches, each message stored once.

local _, weir = ...
local native = weir._producer
local options_of = weir._options
local outgoing = weir._outgoing

---@class weir.Producer
---@field id string what the server knows it by
---@field epoch integer its epoch; it grows with autoClaim, and after appends that failed
---@field url string
local Producer = {}

---Queues one message and returns at once: any value for a stream of JSON, otherwise a string. It leaves with
---others in a batch. Whether it was stored is told by the next flush. Raises an error object: "limit" where
---64 MB wait already (flush, then go on), "http" once another producer has fenced this one, "closed" after close.
---@param value any
function Producer:append(value)
  options_of.check_self(self, "append", 2, "producer")
  if value == nil then
    error("append: value is missing (weir.null is a value)", 2)
  end
  native.append(self, value)
end

---Waits until everything appended so far is stored, each message once, and returns the stream's next offset (nil
---where the server did not tell it). Raises the first error since the last flush.
---@return string? offset
function Producer:flush()
  return native.flush(self)
end

---Flushes, then closes the stream for good, with a last message if there is one. Where the flush raises, the stream
---stays open. Repeating it after success does nothing.
---@param value? any
---@return string? offset the final offset
function Producer:close(value)
  native.flush(self)
  return native.close(self, value)
end

---Flushes, then ends the producer; the stream stays open. Appends after it raise.
---@return string? offset
function Producer:detach()
  return native.detach(self)
end

---How many messages were appended and are not acknowledged yet.
---@return integer
function Producer:pending()
  return native.pending(self)
end

local FIELDS = { id = native.id, epoch = native.epoch }

function native.metatable.__index(self, name)
  local field = FIELDS[name]
  if field then
    return field(self)
  end
  return Producer[name]
end

function native.metatable.__newindex(_, name)
  error(("a producer has no field '%s' that could be set"):format(tostring(name)), 2)
end

---Makes a producer of a stream.
---
---    url           the stream's http(s) URL
---    id            what the server knows this producer by; default: a random one
---    epoch         the higher one of two with the same id wins; default: 0
---    autoClaim     true: takes over from another producer of this id, instead of being fenced
---    lingerMs      how long the first message of a batch waits for others; default: 5
---    maxBatchBytes bytes of a batch at most; default: 1 MiB
---    maxBatchItems messages of a batch at most; default: no limit
---    maxInFlight   batches under way at the same time; default: 5
---    contentType   default: "application/json"
---    headers       request headers: strings, functions or { file = PATH }
---    params        query parameters, likewise
---    caFile        a file of certificates to trust
---    onError       function(err): asked about each request that failed
---@param options table
---@return weir.Producer
function weir.producer(options)
  options_of.check_producer(options, 2)
  local on_error = options.onError
  local asked = outgoing.new(options.headers, options.params, function()
    return on_error
  end)
  local given = {}
  for name, value in pairs(options) do
    given[name] = value
  end
  given.headers = asked.fixed
  local producer, mistake = native.new(given, asked, asked.changes, on_error ~= nil)
  if not producer then
    error("weir.producer: " .. mistake, 2)
  end
  return producer
end
