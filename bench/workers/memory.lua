-- The resident memory of this process once everything has been applied, and the bytes of the keys and values that live.

local weir = require "weir"

local stream = weir.stream { url = weir.env "EVENTS" }

local function resident()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+) kB"
    if kilobytes then
      return kilobytes * 1024
    end
  end
end

weir.run()
local rss = resident()
local state, live, entities = stream.state, 0, 0
for _, type in ipairs(state:types()) do
  for _, key in ipairs(state:keys(type)) do
    live = live + #key + #state:json(type, key)
    entities = entities + 1
  end
end
print(("rss=%d live=%d entities=%d"):format(rss, live, entities))
