local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local weir = require "bench.lib.weir"

-- Whole processes are timed: neither Lua has a clock that is fine enough.
local whole = command.whole

return {
  title = "an onChange that reads the key and one field of each change",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(1000000), keys = settings:count(100000)}
    return {
      about = ("%s changes, %.1f MB; whole processes"):format(materialize.thousands(file.events), file.bytes / 1e6),
      same = {"events", "entities", "sum"},
      contenders = {
        {name = "weir", run = function() return whole(weir.worker("handler", {EVENTS = file.path}, "--once")) end},
        {
          name = "lua5.4 + lua-cjson",
          versus = "weir",
          at_least = 10,
          run = function() return whole{"lua5.4", context.file "peers/lua_cjson.lua", file.path} end,
        },
      },
    }
  end,
}
