-- The databases that a sink may have, all asked the same: for specs of what holds for each of them. Every one is a
-- server of the spec's own, started when it is asked for first.
--
--   for kind, db in databases.each() do
--     local why = db.missing()             -- or nil
--     local place = db.new()               -- an empty one
--     place.set                            -- DB and PREFIX, for databases.SINK
--     place:sequence()                     -- messages before the sink's place; nil: it was never committed to
--     place:count()                        -- rows of type "t"
--     place:drop()                         -- what holds that type, behind the worker's back
--     place:fill(); place:room()           -- its disk is full soon; and is not
--     place:remove()                       -- afterwards
--   end
--   databases.stop()

local disk = require "support.disk"
local mariadb = require "support.mariadb"
local postgres = require "support.postgres"
local process = require "support.process"
local redis = require "support.redis"
local tmp = require "support.tmp"

local databases = {}

--- Lua: the sink that a script gets by its settings.
databases.SINK = [[
  local function the_sink()
    local kind = weir.env "KIND"
    if kind == "sqlite" then
      return weir.sink.sqlite { path = weir.env "DB" }
    end
    return weir.sink[kind] { url = weir.env "DB" }
  end
]]

local SMALL = "4m"

local number = 0

local function fresh(name)
  number = number + 1
  return name .. number
end

local function first_of(text)
  return tonumber(text:match "^%s*(%d+)")
end

---------------------------------------------------------------------------------------------------
-- What those have in common that are asked in SQL, by their method `ask`

local Sql = {}
Sql.__index = Sql

function Sql:count()
  return first_of(self:ask "SELECT count(*) FROM t") or 0
end

function Sql:room()
  self.disk:grow "64m"
end

---------------------------------------------------------------------------------------------------

local sqlite = {kind = "sqlite", gone = 'table "t" was dropped or altered'}

function sqlite.missing() end

local Sqlite = setmetatable({}, Sql)
Sqlite.__index = Sqlite

function sqlite.new()
  local folder = tmp.dir()
  return setmetatable({folder = folder, set = {KIND = "sqlite", DB = folder .. "/rows.db"}}, Sqlite)
end

function Sqlite:ask(sql)
  local done = process.run{cmd = {"sqlite3", "-batch", self.set.DB, ".timeout 5000", sql}}
  return done.code == 0 and done.stdout or ""
end

function Sqlite:sequence()
  return tmp.read(self.set.DB) and first_of(self:ask "SELECT sequence FROM _sync_state")
end

function Sqlite:drop()
  self:ask "DROP TABLE t"
end

function Sqlite:fill()
  self.disk = disk.small(self.folder, SMALL)
end

function Sqlite:remove()
  self.disk:remove()
end

---------------------------------------------------------------------------------------------------

local pg = {kind = "postgres", gone = "SQLSTATE 42P01"}

function pg.missing()
  local ok, why = postgres.available()
  return not ok and why or nil
end

local Pg = setmetatable({}, Sql)
Pg.__index = Pg

function pg.new()
  pg.server = pg.server or postgres.start()
  local name = fresh "d"
  return setmetatable({name = name, set = {KIND = "postgres", DB = pg.server:database(name)}}, Pg)
end

function Pg:ask(sql)
  local ok, value = pcall(pg.server.value, pg.server, sql, self.name)
  return ok and value or ""
end

function Pg:sequence()
  return first_of(self:ask "SELECT sequence FROM _sync_state WHERE commits > 0")
end

function Pg:drop()
  pg.server:query("DROP TABLE t", self.name)
end

function Pg:fill()
  local folder = tmp.dir()
  os.execute("chmod o+x " .. folder:match "^(.*)/")
  self.disk = disk.small(folder, SMALL, "postgres")
  pg.server:query(("CREATE TABLESPACE %s LOCATION '%s'"):format(self.name, folder))
  pg.server:query(("ALTER DATABASE %s SET default_tablespace = %s"):format(self.name, self.name))
end

function Pg:remove()
  pcall(pg.server.query, pg.server, ("DROP DATABASE %s WITH (FORCE)"):format(self.name))
  pcall(pg.server.query, pg.server, ("DROP TABLESPACE %s"):format(self.name))
  self.disk:remove()
end

---------------------------------------------------------------------------------------------------

local mysql = {kind = "mysql", gone = "Table '.-' doesn't exist"}

function mysql.missing()
  return mariadb.missing() and "there is no mariadbd on this machine" or nil
end

local My = setmetatable({}, Sql)
My.__index = My

function mysql.new()
  mysql.server = mysql.server or mariadb.start()
  local name = fresh "d"
  return setmetatable({name = name, set = {KIND = "mysql", DB = mysql.server:url(name)}}, My)
end

function My:ask(sql)
  local ok, value = pcall(mysql.server.ask, mysql.server, self.name, sql)
  return ok and value or ""
end

function My:sequence()
  return first_of(self:ask "SELECT sequence FROM _sync_state WHERE notes IS NOT NULL")
end

function My:drop()
  mysql.server:ask(self.name, "DROP TABLE t")
end

function My:fill()
  self.disk = disk.small(("%s/data/%s"):format(mysql.server.folder, self.name), SMALL, mysql.server.user)
end

--- InnoDB ends where it cannot write what it has promised to: then somebody has to start the server again.
function My:room()
  Sql.room(self)
  if not pcall(mysql.server.ask, mysql.server, "mysql", "SELECT 1") then
    mysql.server:kill()
    mysql.server:again()
  end
end

function My:remove()
  pcall(mysql.server.ask, mysql.server, self.name, "DROP TABLE t, _sync_state, _sync_tables")
  self.disk:remove()
end

---------------------------------------------------------------------------------------------------

local red = {kind = "redis", gone = "has 0 entities where weir has stored"}

function red.missing()
  local ok, why = redis.available()
  return not ok and why or nil
end

local Red = {}
Red.__index = Red

function red.new()
  red.server = red.server or redis.start()
  red.server:ask "FLUSHALL"
  return setmetatable({set = {KIND = "redis", DB = red.server.url}}, Red)
end

local function key(pattern)
  return (red.server:ask("KEYS", pattern))
end

function Red:sequence()
  local name = key "weir:*:sync"
  return name ~= "" and first_of(red.server:ask("HGET", name, "sequence")) or nil
end

function Red:count()
  local name = key "weir:*:t:t"
  return name ~= "" and first_of(red.server:ask("HLEN", name)) or 0
end

function Red:drop()
  red.server:ask("DEL", key "weir:*:t:t")
end

function Red:fill()
  local used = red.server:ask("INFO", "memory"):match "used_memory:(%d+)"
  red.server:ask("CONFIG", "SET", "maxmemory", tostring(tonumber(used) + (2 << 20)))
end

function Red:room()
  red.server:ask("CONFIG", "SET", "maxmemory", "0")
end

Red.remove = Red.room

---------------------------------------------------------------------------------------------------

--- Each of them, in this order.
function databases.each()
  local list, i = {sqlite, pg, mysql, red}, 0
  return function()
    i = i + 1
    if list[i] then
      return list[i].kind, list[i]
    end
  end
end

function databases.stop()
  for _, db in databases.each() do
    if db.server then
      (db.server.close or db.server.stop)(db.server)
      db.server = nil
    end
  end
end

return databases
