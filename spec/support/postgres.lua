-- A PostgreSQL server of a spec's own: a new cluster in a temporary folder, on a unix socket, as a user that is not
-- root.
--
--   local db = postgres.start{settings = {max_connections = 20}}
--   db.url                                     -- of its database "weir", for weir.sink.postgres
--   db:query "SELECT 1"                        -- {{"1"}}: rows of texts; NULL is nil
--   db:value "SELECT count(*) FROM users"
--   db:database "other"                        -- makes another one: its url
--   db:held "other"                            -- what is there of a stream: see support.held
--   db:restart(); db:crash(); db:start(); db:stop()
--   db:cut()                                   -- ends all connections but its own

local held = require "support.held"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local postgres = {}

local Postgres = {}
Postgres.__index = Postgres

local SEPARATOR, NULL = "\31", "\30"

local function capture(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "l"
  pipe:close()
  return line
end

local is_root = capture "id -u" == "0"

-- The newest version that is installed, as Debian lays them out; elsewhere what is on the path.
local folder = capture "ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1"

local function program(name)
  return folder and folder .. "/" .. name or name
end

--- False, and why, where there is no server to start.
function postgres.available()
  local found = capture("command -v " .. process.quote(program "initdb"))
  return found ~= nil and found ~= "", "postgresql is not installed"
end

-- As the user that owns the cluster: PostgreSQL does not run as root.
local function owned(cmd)
  if not is_root then
    return cmd
  end
  return {"runuser", "-u", "postgres", "--", table.unpack(cmd)}
end

local function execute(cmd, what)
  local done = process.run{cmd = cmd, timeout = 120, cwd = "/"}
  if done.code ~= 0 then
    error(("%s: %s%s"):format(what, done.stdout, done.stderr), 0)
  end
  return done.stdout
end

--- Starts a server. options: settings (names and values for postgresql.conf), url (what is added to URLs).
function postgres.start(options)
  options = options or {}
  local self = setmetatable({options = options, dir = tmp.dir(), port = 5432}, Postgres)
  if is_root then
    -- The folder above may be one that `dev` has made for itself alone.
    execute({"sh", "-c", 'chown postgres "$1" && chmod 755 "$1" && chmod o+x "${1%/*}"', "sh", self.dir}, "the folder")
  end
  self.data = self.dir .. "/data"
  execute(owned{program "initdb", "-D", self.data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
    "--no-sync"}, "initdb")
  self:start()
  self.url = self:database "weir"
  return self
end

function Postgres:start()
  local words = {"-k", self.dir, "-p", tostring(self.port), "-c", "listen_addresses=''"}
  local settings = {shared_buffers = "32MB", fsync = "on", max_connections = 40}
  for name, value in pairs(self.options.settings or {}) do
    settings[name] = value
  end
  for name, value in pairs(settings) do
    words[#words + 1] = "-c"
    words[#words + 1] = ("%s=%s"):format(name, value)
  end
  execute(owned{program "pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.dir .. "/log", "-o",
    table.concat(words, " "), "start"}, "pg_ctl start")
  self.running = true
end

--- mode: "fast" (connections are ended), "immediate" (as a crash), "smart".
function Postgres:stop(mode)
  if self.running then
    self.running = false
    execute(owned{program "pg_ctl", "-D", self.data, "-w", "-t", "60", "-m", mode or "fast", "stop"}, "pg_ctl stop")
  end
end

function Postgres:crash()
  self:stop "immediate"
end

function Postgres:restart()
  self:stop()
  self:start()
end

--- A URL of that database; user and more (after "&") may be given.
function Postgres:url_of(database, user, more)
  return ("postgresql:///%s?host=%s&port=%d&user=%s%s"):format(database, self.dir, self.port, user or "weir",
    more and "&" .. more or "")
end

--- Makes a database, or empties it, and gives its URL.
function Postgres:fresh(name)
  if self:value(("SELECT 1 FROM pg_database WHERE datname = '%s'"):format(name), "postgres") then
    self:query("DROP SCHEMA public CASCADE; CREATE SCHEMA public", name)
    return self:url_of(name)
  end
  return self:database(name)
end

--- Makes a database and gives its URL.
function Postgres:database(name)
  self:query(('CREATE DATABASE "%s"'):format(name), "postgres")
  return self:url_of(name)
end

--- The rows of a statement's answer, as lists of texts.
function Postgres:query(sql, database)
  local done = process.run{
    cmd = {program "psql", "-X", "-q", "-A", "-t", "-F", SEPARATOR, "-P", "null=" .. NULL, "-v", "ON_ERROR_STOP=1",
      self:url_of(database or "weir"), "-f", "-"},
    stdin = sql,
    timeout = 60,
  }
  if done.code ~= 0 then
    error(("%s: %s"):format(sql, done.stderr), 2)
  end
  local rows = {}
  for line in done.stdout:gmatch "([^\n]*)\n" do
    local row, column = {}, 0
    for cell in (line .. SEPARATOR):gmatch("([^" .. SEPARATOR .. "]*)" .. SEPARATOR) do
      column = column + 1
      row[column] = cell ~= NULL and cell or nil
    end
    rows[#rows + 1] = row
  end
  return rows
end

--- The first cell of the answer.
function Postgres:value(sql, database)
  local rows = self:query(sql, database)
  return rows[1] and rows[1][1]
end

local HELD = [=[
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT to_regclass('_sync_tables') IS NOT NULL AS there \gset
\if :there
SELECT concat_ws('|', 0, sequence, epoch, skip, coalesce("offset", ''), coalesce(notes::text, '')) FROM _sync_state;
SELECT format('SELECT concat(''1|'', %L, ''/'', id, '' '', %s) FROM %I', type, CASE WHEN EXISTS (SELECT FROM
  pg_attribute WHERE attrelid = quote_ident(table_name)::regclass AND attname = 'data') THEN 'data'
  ELSE 'concat_ws(''|'', n, coalesce(p::text, ''-''), text)' END, table_name) FROM _sync_tables \gexec
\endif
COMMIT;
]=]

--- What is there of a stream: see support.held. Of one moment, whatever the server still does meanwhile.
function Postgres:held(database)
  local lines = {}
  for i, row in ipairs(self:query(HELD, database)) do
    lines[i] = row[1]
  end
  return held.parse(table.concat(lines, "\n"))
end

--- How many transactions of a database it has undone.
function Postgres:undone(database)
  return tonumber(self:value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()", database))
end

--- Waits until the first cell of the answer is that text.
function Postgres:wait_for(sql, text, limit, database)
  return wait.till(function()
    local ok, value = pcall(self.value, self, sql, database)
    return ok and value == tostring(text)
  end, limit or 20, function()
    local _, value = pcall(self.value, self, sql, database)
    return ("%s to be %s (it is %s)"):format(sql, text, tostring(value))
  end)
end

--- Ends every connection to a database but the one that does it; gives how many.
function Postgres:cut(database)
  return tonumber(self:value([[SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend']], database))
end

--- Stops it for good.
function Postgres:close()
  self:stop "immediate"
  execute({"rm", "-rf", self.dir}, "removing the cluster")
end

return postgres
