local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local tmp = require "support.tmp"
local weir = require "bench.lib.weir"

local ROWS = 10000 -- in one transaction

return {
  title = "into SQLite, layout json",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(400000), keys = settings:count(40000)}
    local missing = not context.program "sqlite_upserts" and "not built: libsqlite3-dev" or nil
    return {
      about = ("%s changes, %.1f MB, into a new file, %s a transaction; whole processes"):format(
        materialize.thousands(file.events), file.bytes / 1e6, materialize.thousands(ROWS)),
      same = {"entities"},
      contenders = {
        {
          name = "weir",
          missing = missing,
          versus = "bare C loop of prepared upserts",
          at_most = 1.3,
          run = function()
            local set = {URL = file.path, DATABASE = tmp.file "weir.db", ROWS = ROWS}
            return command.whole(weir.worker("sqlite", set, "--once"))
          end,
        },
        {
          name = "bare C loop of prepared upserts",
          missing = missing,
          run = function()
            return command.whole{context.program "sqlite_upserts", file.path, tmp.file "peer.db", ROWS}
          end,
        },
      },
    }
  end,
}
