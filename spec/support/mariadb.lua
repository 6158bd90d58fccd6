-- A MariaDB server of the specs' own, in a temporary folder, on a socket.
--
--   local server = mariadb.start{arguments = {"--port=3307"}}
--   server:url("name")            -- a new database's URL for weir.sink.mysql
--   server:ask("name", SQL)       -- what it answers: columns by tabs, rows by line ends
--   server:held "name"            -- what is there of a stream: see support.held
--   server:stop(); server:kill(); server:again(); server:close()

local held = require "support.held"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local mariadb = {}

local Server = {}
Server.__index = Server

local function answer(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "l"
  pipe:close()
  return text
end

local function root()
  return answer "id -u" == "0"
end

--- Whether there is one on this machine.
function mariadb.missing()
  return os.execute "command -v mariadbd >/dev/null 2>&1 || test -x /usr/sbin/mariadbd" == nil
end

function Server:again()
  self.child = process.spawn{cmd = {self.program, "--no-defaults", "--datadir=" .. self.folder .. "/data",
    "--socket=" .. self.socket, "--skip-networking", "--pid-file=" .. self.folder .. "/pid", "--user=" .. self.user,
    "--tmpdir=" .. self.folder .. "/data",
    "--innodb-buffer-pool-size=32M", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=1",
    table.unpack(self.arguments)}, timeout = process.LIFE}
  wait.till(function()
    return pcall(self.ask, self, "mysql", "SELECT 1")
  end, 60, function() return "the MariaDB server: " .. self.child:stderr() end)
end

--- options: arguments (more of them).
function mariadb.start(options)
  local folder = tmp.dir()
  local user = answer "id -un"
  assert(os.execute("mkdir " .. folder .. "/data"))
  if root() then -- as which it does not run
    user = answer "id -un mysql 2>/dev/null" or "nobody"
    assert(os.execute(("cd %s && chmod 755 . && chmod o+x .. && chown -R %s ."):format(folder, user)))
  end
  local installed = process.run{cmd = {"mariadb-install-db", "--no-defaults", "--datadir=" .. folder .. "/data",
    "--user=" .. user, "--auth-root-authentication-method=normal", "--skip-test-db"},
    env = {TMPDIR = folder .. "/data"}}
  assert(installed.code == 0, installed.stderr .. installed.stdout)
  local program = answer "PATH=$PATH:/usr/sbin command -v mariadbd"
  local server = setmetatable({folder = folder, socket = folder .. "/s", user = user, program = program,
    arguments = options and options.arguments or {}}, Server)
  server:again()
  return server
end

function Server:ask(database, sql)
  local done = process.run{cmd = {"mariadb", "--no-defaults", "--socket=" .. self.socket, "--user=root", "--batch",
    "--raw", "--skip-column-names", "--default-character-set=utf8mb4", "--database=" .. database, "-e", sql}}
  assert(done.code == 0, done.stderr)
  return (done.stdout:gsub("\n$", ""))
end

--- Makes an empty database of that name.
function Server:url(database)
  self:ask("mysql", ("DROP DATABASE IF EXISTS `%s`; CREATE DATABASE `%s`"):format(database, database))
  return ("mysql://root@localhost/%s?socket=%s"):format(database, self.socket)
end

--- What is there of a stream: see support.held. Waits until the server is through with what workers that are gone have
--- asked it for.
function Server:held(database)
  wait.till(function()
    return self:ask(database, "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND " ..
      "id <> connection_id()") == "0"
  end, nil, "the server to end the worker's connection")
  if self:ask(database, "SHOW TABLES LIKE '\\_sync\\_tables'") == "" then
    return "", nil
  end
  local tables = {}
  local names = self:ask(database, [[SELECT hex(type), EXISTS (SELECT 1 FROM information_schema.columns c
    WHERE c.table_schema = database() AND c.table_name = t.table_name AND c.column_name = 'data'),
    replace(table_name, '`', '``') FROM _sync_tables t WHERE made]])
  for type, json, name in (names .. "\n"):gmatch "(%x+)\t(%d)\t([^\n]*)\n" do
    tables[#tables + 1] = {type, json, "`" .. name .. "`"}
  end
  return held.parse(self:ask(database, held.query{
    tables = tables,
    place = "SELECT concat_ws('|', 0, sequence, epoch, skip, coalesce(`offset`, ''), coalesce(notes, '')) " ..
      "FROM _sync_state",
    row = "SELECT concat('1|', CONVERT(x'%s' USING utf8mb4), '/', id, ' ', %s) FROM %s",
    cells = "concat_ws('|', n, coalesce(p, '-'), text)",
  }))
end

--- How many transactions it has undone.
function Server:undone()
  return tonumber(self:ask("mysql", "SHOW GLOBAL STATUS LIKE 'Handler_rollback'"):match "%d+$")
end

function Server:stop()
  self:ask("mysql", "SHUTDOWN")
  self.child:wait()
end

function Server:kill()
  self.child:kill()
end

function Server:close()
  self:kill()
end

return mariadb
