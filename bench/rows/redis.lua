local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local redis = require "support.redis"
local weir = require "bench.lib.weir"

local ROWS = 10000 -- stored in one

-- Entities in all hashes but those that tell a place.
local COUNT = [[
local count = 0
for _, key in ipairs(redis.call("KEYS", "*")) do
  if not key:find "^_sync_state$" and not key:find ":sync$" and not key:find ":types$" then
    count = count + redis.call("HLEN", key)
  end
end
return count
]]

return {
  title = "into Redis",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(100000), keys = settings:count(20000)}
    local available, why = redis.available()
    local missing = not available and why or not context.program "redis_sets" and "not built: libhiredis-dev" or nil
    local db = not missing and redis.start() or nil

    -- Into an empty server, which logs nothing.
    local function run(cmd)
      db:ask "FLUSHALL"
      local result = command.whole(cmd)
      result.entities = tonumber(db:ask("EVAL", COUNT, "0"))
      return result
    end

    local function peer(mode)
      return function()
        return run{context.program "redis_sets", file.path, db.socket, ROWS, mode}
      end
    end

    return {
      about = ("%s changes, %.1f MB, into an empty server without a log by a unix socket, %s at a time; whole "
        .. "processes"):format(materialize.thousands(file.events), file.bytes / 1e6, materialize.thousands(ROWS)),
      same = {"entities"},
      contenders = {
        {
          name = "weir",
          missing = missing,
          run = function()
            return run(weir.worker("redis", {URL = file.path, DATABASE = db.url, ROWS = ROWS}, "--once"))
          end,
        },
        {name = "C loop of single HSETs", missing = missing, versus = "weir", run = peer "single"},
        {name = "C loop of HSETs, pipelined in MULTI", missing = missing, versus = "weir", run = peer "pipelined"},
      },
      done = function()
        if db then
          db:stop()
        end
      end,
    }
  end,
}
