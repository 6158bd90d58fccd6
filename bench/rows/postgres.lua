local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local postgres = require "support.postgres"
local weir = require "bench.lib.weir"

local ROWS = 10000 -- in one transaction

return {
  title = "into PostgreSQL, layout json",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(100000), keys = settings:count(20000)}
    local available, why = postgres.available()
    local missing = not available and why or not context.program "postgres_upserts" and "not built: libpq-dev" or nil
    local db = not missing and postgres.start{settings = {
      shared_buffers = "256MB", max_wal_size = "4GB", checkpoint_timeout = "1h", -- no checkpoint within a run
    }} or nil
    local databases = 0

    -- A new database for each run, made before its clock runs.
    local function run(cmd_of)
      databases = databases + 1
      local name = "run" .. databases
      local url = db:database(name)
      local result = command.run{cmd = cmd_of(url)}
      result.seconds = result.wall
      result.entities = 0
      for _, row in ipairs(db:query([[SELECT relname FROM pg_class WHERE relkind = 'r' AND relname NOT LIKE '\_sync%'
        AND relnamespace = 'public'::regnamespace]], name)) do
        result.entities = result.entities + tonumber(db:value(('SELECT count(*) FROM "%s"'):format(row[1]), name))
      end
      db:query(("DROP DATABASE %s"):format(name), "postgres")
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
              return weir.worker("postgres", {URL = file.path, DATABASE = url, ROWS = ROWS}, "--once")
            end)
          end,
        },
        {
          name = "C loop of single prepared upserts",
          missing = missing,
          versus = "weir",
          at_least = 5,
          run = function()
            return run(function(url)
              return {context.program "postgres_upserts", file.path, url, ROWS}
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
