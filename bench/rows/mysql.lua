local mariadb = require "support.mariadb"
local upserts = require "bench.lib.upserts"

local TABLES = [[SELECT table_name FROM information_schema.tables WHERE table_schema = database()
  AND table_name NOT LIKE '\_sync%']]

return upserts.row{
  title = "into MariaDB, layout json",
  kind = "mysql",
  library = "libmariadb-dev",
  available = function()
    return not mariadb.missing(), "mariadb is not installed"
  end,
  start = function()
    return mariadb.start{arguments = {
      "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=1G", -- no checkpoint within a run
    }}
  end,
  database = function(server, name)
    return server:url(name)
  end,
  place = function(server, name)
    return {server.socket, name}
  end,
  entities = function(server, name)
    local count = 0
    for table in server:ask(name, TABLES):gmatch "[^\n]+" do
      count = count + tonumber(server:ask(name, ("SELECT count(*) FROM `%s`"):format(table)))
    end
    return count
  end,
  drop = function(server, name)
    server:ask("mysql", "DROP DATABASE " .. name)
  end,
}
