local materialize = require "bench.lib.materialize"

return {
  title = "the same of small changes",
  prepare = function(settings)
    return materialize.subject{shape = "small", events = settings:count(1000000), keys = settings:count(100000)}
  end,
}
