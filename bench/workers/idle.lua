-- Follows COUNT streams, named BASE1, BASE2 and so on, in which nothing happens. Prints the resident memory one second
-- after the last of them was up to date, and ends.

local weir = require "weir"

local base, count = weir.env "BASE", tonumber(weir.env "COUNT")
local up_to_date = 0

local function report()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+) kB"
    if kilobytes then
      print(("rss=%d streams=%d"):format(kilobytes * 1024, up_to_date))
    end
  end
  weir.stop()
end

for i = 1, count do
  local stream = weir.stream { url = base .. i, live = "sse" }
  local seen = false
  stream:onUpToDate(function()
    if not seen then
      seen = true
      up_to_date = up_to_date + 1
      if up_to_date == count then
        weir.after("1s", report)
      end
    end
  end)
end
