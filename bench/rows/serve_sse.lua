local materialize = require "bench.lib.materialize"
local serve = require "bench.lib.serve"

return {
  title = "from an append to 2,000 SSE readers of weir serve and of the reference server",
  prepare = function(settings)
    local both = serve.both()
    local readers = settings:count(2000, 20)
    local events = settings:count(40, 10)
    local function contender(kind, p50, p99)
      local name = serve.names[kind]
      p50.label, p50.figure, p50.unit = name .. ", p50", "p50", "ms"
      p99.label, p99.figure, p99.unit = name .. ", p99", "p99", "ms"
      return {
        name = name,
        run = function() return serve.load("sse", both[kind]:stream "sse", readers, events) end,
        lines = {p50, p99},
      }
    end
    return {
      about = ("%d events, one after the other, each to %s readers of the stream"):format(events,
        materialize.thousands(readers)),
      same = {"count"},
      contenders = {
        contender("weir", {}, {}),
        contender("reference", {versus = "weir serve, p50"}, {versus = "weir serve, p99", at_least = 5}),
      },
      done = function() serve.stop(both) end,
    }
  end,
}
