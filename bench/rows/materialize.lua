local materialize = require "bench.lib.materialize"

return {
  title = "materialize 1,000,000 changes of about 284 bytes",
  prepare = function(settings)
    return materialize.subject({shape = "changes", events = settings:count(1000000), keys = settings:count(100000)},
      {npm = 20, scan = 0.5})
  end,
}
