-- `weir serve` for the specs that are about it.
--
--   local child, url, port = serve.start("--max-body", "1MB")
--   serve.stop(child)

local paths = require "support.paths"
local process = require "support.process"
local wait = require "support.wait"

local serve = {}

local LIFE = process.LIFE -- seconds after which a forgotten server is killed

--- Starts it with these arguments on a free port: the process, the URL, the port.
function serve.start(...)
  local child = process.spawn{cmd = {paths.weir, "serve", "--listen", "127.0.0.1:0", ...}, timeout = LIFE}
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
