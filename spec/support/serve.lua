-- `weir serve` for the specs that are about it.
--
--   local child, url, port = serve.start("--max-body", "1MB")
--   local child, url, port = serve.start_by({"prlimit", "--fsize=400000"}, "--data", dir)
--   serve.stop(child)

local paths = require "support.paths"
local process = require "support.process"
local wait = require "support.wait"

local serve = {}

local LIFE = process.LIFE -- seconds after which a forgotten server is killed

--- What runs it with these arguments on a free port, by a command in front of it: a list.
function serve.command(before, ...)
  local cmd = {table.unpack(before)}
  for _, word in ipairs{paths.weir, "serve", "--listen", "127.0.0.1:0", ...} do
    cmd[#cmd + 1] = word
  end
  return cmd
end

--- Starts it with these arguments: the process, the URL, the port.
function serve.start(...)
  return serve.start_by({}, ...)
end

--- The same by a command in front of it.
function serve.start_by(before, ...)
  local child = process.spawn{cmd = serve.command(before, ...), timeout = LIFE}
  local url = wait.till(function()
    if not child:running() then
      error("weir serve ended: " .. child:stderr(), 0)
    end
    return child:stderr():match "listening on (http%S+),"
  end, nil, "weir serve")
  return child, url, tonumber(url:match ":(%d+)$")
end

--- Ends it in an orderly way; what it left.
function serve.stop(child)
  child:signal "TERM"
  local done = child:wait()
  assert(done.code == 0, done.stderr)
  return done
end

return serve
