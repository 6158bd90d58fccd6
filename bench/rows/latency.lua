local command = require "bench.lib.command"
local context = require "bench.lib.context"
local server = require "support.server"
local weir = require "bench.lib.weir"

return {
  title = "from an append to the handler, over SSE",
  prepare = function(settings)
    local node = server.start{longPollTimeout = 30000}
    local count = settings:count(1000, 20)
    local function contender(name, targets, follow)
      return {
        name = name,
        run = function()
          local url = node:stream "latency"
          return command.run{cmd = {context.program "latency", url, count, targets.ready or "ready",
            table.unpack(follow(url))}}
        end,
        lines = {
          {label = name .. ", p50", figure = "p50", unit = "us", versus = targets.versus and targets.versus .. ", p50",
            at_least = targets.at_least},
          {label = name .. ", p99", figure = "p99", unit = "us", versus = targets.versus and targets.versus .. ", p99"},
        },
      }
    end
    return {
      about = ("%d appends, one after the other, each waited for"):format(count),
      same = {"count"},
      done = function() node:stop() end,
      contenders = {
        contender("weir", {}, function(url) return weir.worker("follow", {URL = url}) end),
        contender("npm client", {versus = "weir", at_least = 2}, function(url)
          return {"node", context.file "peers/npm_follow.mjs", url}
        end),
        contender("curl -N", {versus = "weir", ready = "upToDate"}, function(url)
          return {"curl", "-sfN", url .. "?offset=-1&live=sse"}
        end),
      },
    }
  end,
}
