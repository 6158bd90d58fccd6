local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local paths = require "support.paths"
local server = require "support.server"
local weir = require "bench.lib.weir"

return {
  title = "100,000 changes from the reference server",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(100000), keys = settings:count(10000)}
    local node = server.start{longPollTimeout = 30000}
    local url = node:stream "catch-up"
    command.run{cmd = {paths.weir, "append", url, "--file", file.path, "--quiet"}}
    local from_start = url .. "?offset=-1"
    return {
      about = ("%s changes, %.1f MB; whole processes, but for the npm client (without the start of node)"):format(
        materialize.thousands(file.events), file.bytes / 1e6),
      same = {"entities"},
      done = function() node:stop() end,
      contenders = {
        {
          name = "weir",
          versus = "curl to nowhere",
          at_most = 1.1,
          run = function() return command.whole(weir.worker("catch_up", {URL = url}, "--once")) end,
        },
        {
          name = "npm client + MaterializedState",
          versus = "weir",
          run = function() return command.run{cmd = {"node", context.file "peers/npm_catch_up.mjs", url}} end,
        },
        {
          name = "curl to nowhere",
          run = function() return command.whole{"curl", "-sf", "-o", "/dev/null", from_start} end,
        },
        {
          name = "curl --compressed to nowhere",
          run = function() return command.whole{"curl", "-sf", "--compressed", "-o", "/dev/null", from_start} end,
        },
      },
    }
  end,
}
