-- Ports for servers that have to be told one, or that come back on the one they had: nobody's at that moment, and none
-- of those that the system gives away by itself (from 32768 on), so that nobody gets them meanwhile either.
--
--   local port = ports.free()

local process = require "support.process"

local ports = {}

local FIRST, COUNT = 10000, 20000
local STEP = 61 -- between those of two processes that were started one after the other

local at

-- Ports of this machine's sockets, as a set.
local function taken()
  local set = {}
  for _, path in ipairs{"/proc/net/tcp", "/proc/net/tcp6"} do
    local file = io.open(path)
    for line in file and file:lines() or function() end do
      local port = line:match "^%s*%d+: %x+:(%x+) "
      set[port and tonumber(port, 16) or 0] = true
    end
    if file then
      file:close()
    end
  end
  return set
end

function ports.free()
  local set = taken()
  at = at or tonumber(process.own_pid()) * STEP
  repeat
    at = at + 1
  until not set[FIRST + at % COUNT]
  return FIRST + at % COUNT
end

return ports
