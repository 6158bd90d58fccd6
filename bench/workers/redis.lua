-- Changes into a Redis server.

local weir = require "weir"

weir.stream {
  url = weir.env "URL",
  live = false,
  limits = { sinkRows = tonumber(weir.env "ROWS"), sinkBytes = "64MB", sinkDelay = "1h" },
  sinks = { weir.sink.redis { url = weir.env "DATABASE" } },
}
