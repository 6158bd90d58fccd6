-- Prints "ready" once the stream is up to date, then the key of each change in its handler.

local weir = require "weir"

local stream = weir.stream { url = weir.env "URL", live = "sse" }
local ready = false

stream:onChange(function(_, event)
  print(event.key)
end)

stream:onUpToDate(function()
  if not ready then
    ready = true
    print "ready"
  end
end)
