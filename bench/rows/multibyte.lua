local materialize = require "bench.lib.materialize"

return {
  title = "the same, all of it multi-byte text",
  prepare = function(settings)
    return materialize.subject{shape = "multibyte", events = settings:count(1000000), keys = settings:count(100000)}
  end,
}
