local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local weir = require "bench.lib.weir"

return {
  title = "a schema of seven fields for each value",
  prepare = function(settings)
    local file = data.file{shape = "objects", events = settings:count(1000000), keys = settings:count(100000)}
    return {
      about = ("%s changes, %.1f MB; without a schema is scanning and storing"):format(
        materialize.thousands(file.events), file.bytes / 1e6),
      same = {"events", "entities", "rejected"},
      contenders = {
        {name = "without a schema", run = function() return weir.state(file.path) end},
        {
          name = "with a schema",
          versus = "without a schema",
          at_most = 2,
          run = function() return weir.state(file.path, "--schema", context.file "workers/schema.lua") end,
        },
      },
    }
  end,
}
