-- Bytes over one TCP connection, as they are: see raw.mjs.
--
--   local text, closed = raw.talk(port, {{send = "GET / HTTP/1.1\r\n\r\n"}, {wait = "404"}}, 3)

local paths = require "support.paths"
local process = require "support.process"
local weir = require "weir"

local raw = {}

--- Returns what came, and whether the other side closed within `limit` seconds (5), or before nothing came for
--- `quiet` milliseconds.
function raw.talk(port, steps, limit, quiet)
  local done = process.run{
    cmd = {"node", paths.spec .. "/support/raw.mjs", tostring(port), tostring((limit or 5) * 1000),
      tostring(quiet or 0)},
    stdin = weir.json.encode(steps),
    timeout = (limit or 5) + 10,
  }
  assert(done.code == 0, done.stderr)
  local answer = weir.json.decode(done.stdout)
  return answer.text, answer.closed
end

--- One request, sent at once. Returns the status of the answer, all text, and whether the connection was closed.
function raw.ask(port, request)
  local text, closed = raw.talk(port, {{send = request}}, 5, 250)
  return tonumber(text:match "^HTTP/1.1 (%d+)"), text, closed
end

return raw
