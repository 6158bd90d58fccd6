-- Every change into a SQLite file.

local weir = require "weir"

local stream = weir.stream {
  url = weir.env "URL",
  sinks = { weir.sink.sqlite { path = weir.env "DATABASE" } },
  limits = { sinkRows = tonumber(weir.env "ROWS"), sinkDelay = "1m", sinkBytes = "64MB" }, -- by rows alone
}

weir.run()
print(("entities=%d"):format(stream.state:size()))
