local command = require "bench.lib.command"
local context = require "bench.lib.context"
local materialize = require "bench.lib.materialize"
local process = require "support.process"
local server = require "support.server"
local weir = require "bench.lib.weir"

local function create(base, count)
  local done = process.run{
    cmd = {"curl", "-sf", "-X", "PUT", "-H", "Content-Type: application/json", "-o", "/dev/null",
      ("%s[1-%d]"):format(base, count)},
    timeout = 120,
  }
  assert(done.code == 0, "the streams could not be created: " .. done.stderr)
end

return {
  title = "resident memory by idle stream",
  prepare = function(settings)
    local count = settings:count(2000, 10)
    local node = server.start{longPollTimeout = 30000}
    local base = node.url .. "/v1/stream/idle-"
    create(base, count)
    local function each(measure)
      local one = measure(1).rss
      return function()
        local all = measure(count)
        assert(all.streams == count, "not all streams were followed")
        return {each = (all.rss - one) / (count - 1)}
      end
    end
    local function contender(name, versus, measure)
      return {name = name, run = each(measure), lines = {{figure = "each", unit = "KB", versus = versus}}}
    end
    return {
      about = ("%s empty streams of the reference server, each followed over SSE"):format(materialize.thousands(count)),
      runs = 3,
      done = function() node:stop() end,
      contenders = {
        contender("weir", nil, function(n)
          return command.run{cmd = weir.worker("idle", {BASE = base, COUNT = n})}
        end),
        contender("npm client", "weir", function(n)
          return command.run{cmd = {"node", context.file "peers/npm_idle.mjs", base, n}}
        end),
      },
    }
  end,
}
