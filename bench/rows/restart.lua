local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local tmp = require "support.tmp"
local weir = require "bench.lib.weir"

return {
  title = "loading a snapshot, against reading everything again",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(1000000), keys = settings:count(100000)}
    local missing = not weir.has("state", "--data") and "not built in" or nil
    local folder = tmp.dir()
    if not missing then
      weir.state(file.path, "--data", folder) -- leaves the snapshot
    end
    return {
      about = ("%s changes, %.1f MB; the seconds of --stats, without the start of the process"):format(
        materialize.thousands(file.events), file.bytes / 1e6),
      same = {"entities"},
      contenders = {
        {
          name = "snapshot",
          missing = missing,
          run = function() return weir.state(file.path, "--data", folder) end,
        },
        {name = "replay", versus = "snapshot", at_least = 20, run = function() return weir.state(file.path) end},
      },
    }
  end,
}
