-- Changes into a MySQL or MariaDB database.

local weir = require "weir"

weir.stream {
  url = weir.env "URL",
  live = false,
  limits = { sinkRows = tonumber(weir.env "ROWS"), sinkBytes = "64MB", sinkDelay = "1h" },
  sinks = { weir.sink.mysql { url = weir.env "DATABASE" } },
}
