local materialize = require "bench.lib.materialize"

return {
  title = "the same bytes in values of 20 KB",
  prepare = function(settings)
    return materialize.subject{shape = "large", events = settings:count(14000), keys = settings:count(1400)}
  end,
}
