-- The processor time between two changes of the type "mark", and how many entities lived at the second. Other types
-- have no handler. Time in which it waited for its source is not in it.

local weir = require "weir"

local stream = weir.stream { url = "-" }
local filled

stream:onChange("mark", function(state, event)
  if event.key == "filled" then
    filled = os.clock()
  else
    print(("seconds=%.6f entities=%d"):format(os.clock() - filled, state:size()))
  end
end)
