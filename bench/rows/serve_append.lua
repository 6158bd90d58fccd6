local serve = require "bench.lib.serve"

return {
  title = "appends to weir serve and to the reference server, in memory",
  prepare = function(settings)
    return serve.appending(settings, {counts = {weir = 200000, reference = 30000}, at_least = 10})
  end,
}
