local postgres = require "support.postgres"
local upserts = require "bench.lib.upserts"

local TABLES = [[SELECT relname FROM pg_class WHERE relkind = 'r' AND relname NOT LIKE '\_sync%'
  AND relnamespace = 'public'::regnamespace]]

return upserts.row{
  title = "into PostgreSQL, layout json",
  kind = "postgres",
  library = "libpq-dev",
  available = postgres.available,
  start = function()
    return postgres.start{settings = {
      shared_buffers = "256MB", max_wal_size = "4GB", checkpoint_timeout = "1h", -- no checkpoint within a run
    }}
  end,
  database = function(server, name)
    return server:database(name)
  end,
  place = function(_, _, url)
    return {url}
  end,
  entities = function(server, name)
    local count = 0
    for _, row in ipairs(server:query(TABLES, name)) do
      count = count + tonumber(server:value(('SELECT count(*) FROM "%s"'):format(row[1]), name))
    end
    return count
  end,
  drop = function(server, name)
    server:query("DROP DATABASE " .. name, "postgres")
  end,
}
