-- A handler that reads the key and one field. The same in plain Lua: bench/peers/lua_cjson.lua.

local weir = require "weir"

local events, sum = 0, 0
local stream = weir.stream { url = weir.env "EVENTS" }

stream:onChange(function(_, event)
  events = events + 1
  local value = event.value
  if value then
    sum = sum + #event.key + #value.author
  end
end)

weir.run()
print(("events=%d entities=%d sum=%d"):format(events, stream.state:size(), sum))
