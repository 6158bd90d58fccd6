-- The state of a stream, and nothing else.

local weir = require "weir"

local stream = weir.stream { url = weir.env "URL" }

weir.run()
print(("entities=%d"):format(stream.state:size()))
