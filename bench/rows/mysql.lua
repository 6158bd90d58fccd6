local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local mariadb = require "support.mariadb"
local materialize = require "bench.lib.materialize"
local weir = require "bench.lib.weir"

local ROWS = 10000 -- in one transaction

return {
  title = "into MariaDB, layout json",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(100000), keys = settings:count(20000)}
    local missing = mariadb.missing() and "mariadb is not installed" or
      not context.program "mysql_upserts" and "not built: libmariadb-dev" or nil
    local db = not missing and mariadb.start{arguments = {
      "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=1G", -- no checkpoint within a run
    }} or nil
    local databases = 0

    -- A new database for each run, made before its clock runs.
    local function run(cmd_of)
      databases = databases + 1
      local name = "run" .. databases
      local url = db:url(name)
      local result = command.run{cmd = cmd_of(url, name)}
      result.seconds = result.wall
      result.entities = 0
      local tables = db:ask("information_schema", ([[SELECT table_name FROM tables WHERE table_schema = '%s'
        AND table_name NOT LIKE '\_sync%%']]):format(name))
      for table in tables:gmatch "[^\n]+" do
        result.entities = result.entities + tonumber(db:ask(name, ("SELECT count(*) FROM `%s`"):format(table)))
      end
      db:ask("mysql", "DROP DATABASE " .. name)
      return result
    end

    return {
      about = ("%s changes, %.1f MB, into a new database by a unix socket, %s a transaction; whole processes"):format(
        materialize.thousands(file.events), file.bytes / 1e6, materialize.thousands(ROWS)),
      same = {"entities"},
      contenders = {
        {
          name = "weir",
          missing = missing,
          run = function()
            return run(function(url)
              return weir.worker("mysql", {URL = file.path, DATABASE = url, ROWS = ROWS}, "--once")
            end)
          end,
        },
        {
          name = "C loop of single prepared upserts",
          missing = missing,
          versus = "weir",
          at_least = 5,
          run = function()
            return run(function(_, name)
              return {context.program "mysql_upserts", file.path, db.socket, name, ROWS}
            end)
          end,
        },
      },
      done = function()
        if db then
          db:close()
        end
      end,
    }
  end,
}
