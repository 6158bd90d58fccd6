-- weir.sink.sqlite from end to end: workers over files, killed at any instant, two at once, with changed schemas and
-- with types that were made to break out of SQL. What SQLite itself says no to is in spec/unit/sink_sqlite_test.c.

local changes = require "support.changes"
local cli = require "support.cli"
local kills = require "support.kills"
local paths = require "support.paths"
local process = require "support.process"
local sqlite = require "support.sqlite"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local ask = sqlite.ask
local change, insert = cli.change, cli.insert

local SCRIPT = [[
  local weir = require "weir"
  weir.stream {
    url = weir.env "SOURCE",
    sinks = { weir.sink.sqlite { path = weir.env "DB" } },
    limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), sinkDelay = "20ms" },
  }
]]

local function options(source, path, more)
  local all = {script = SCRIPT, set = {SOURCE = source, DB = path}, args = {"--once"}}
  for name, value in pairs(more or {}) do
    all[name] = value
  end
  return all
end

local function run(source, path, more)
  return worker.run(options(source, path, more))
end

describe("weir.sink.sqlite", function()
  local folder = tmp.dir()

  it("keeps a file equal to the stream, and goes on behind its place", function()
    local source = changes.file{insert("users", "u1", '{"name": "Ada"}'), insert("users", "u2", "1e2")}
    local path = tmp.file "room.db"
    local done = run(source, path)
    assert.equal(0, done.code, done.stderr)
    assert.equal('u1|{"name": "Ada"}\nu2|1e2', ask(path, "SELECT id, data FROM users ORDER BY id"))
    assert.equal("2|1", ask(path, "SELECT sequence, epoch FROM _sync_state"))
    changes.append(source, change("users", "u1", "delete"), insert("users", "u3", '{"a":1,"b":2}'),
      change("users", "u3", "patch", '{"a":null,"c":3}'))
    done = run(source, path)
    assert.equal(0, done.code, done.stderr)
    assert.equal('u2|1e2\nu3|{"b":2,"c":3}', ask(path, "SELECT id, data FROM users ORDER BY id"))
    assert.equal("5|2", ask(path, "SELECT sequence, epoch FROM _sync_state"))
    assert.equal("ok", ask(path, "PRAGMA integrity_check"))
  end)

  it("lets no type break out of its quotes", function()
    local stream = changes.new{count = 2000, seed = 3}
    local path = tmp.file "room.db"
    local done = run(changes.file(stream.lines), path)
    assert.equal(0, done.code, done.stderr)
    local rows, place = sqlite.held(path)
    assert.equal(2000, place.sequence)
    assert.equal(stream:rows(2000), rows)
    assert.equal("6|6", ask(path, "SELECT count(*), count(DISTINCT lower(table_name)) FROM _sync_tables"))
  end)

  it("refuses keys with NUL by name, and goes on where the script says so", function()
    local source = changes.file{insert("users", "a\\u0000b", "1"), insert("users", "good", "2")}
    local path = tmp.file "room.db"
    local done = run(source, path)
    assert.equal(1, done.code)
    assert.matches('sqlite .-room%.db: table "users": the key holds the character NUL', done.stderr)
    done = run(source, path, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =')})
    assert.equal(0, done.code, done.stderr)
    assert.equal("good|2", ask(path, "SELECT id, data FROM users"))
  end)

  it("waits at a limit of file sizes as at a full disk", function()
    local lines = {}
    for i = 1, 200 do
      lines[i] = insert("users", "u" .. i, '"' .. ("x"):rep(8000) .. '"')
    end
    local path, script = tmp.file "room.db", tmp.file("worker.lua", SCRIPT)
    local child = process.spawn{timeout = worker.patience(60), cmd = {"sh", "-c", 'ulimit -S -f 256; exec "$@"', "sh",
      paths.weir, "run", script, "--once", "--set", "SOURCE=" .. changes.file(lines), "--set", "DB=" .. path}}
    finally(function() child:kill() end)
    child:wait_for_output("trying again", worker.patience(15))
    local lifted = process.run{cmd = {"prlimit", "--pid", tostring(child.pid), "--fsize=unlimited"}}
    assert.equal(0, lifted.code, lifted.stderr)
    local done = child:wait(worker.patience(30))
    assert.equal(0, done.code, done.stderr)
    assert.equal("200", ask(path, "SELECT count(*) FROM users"))
  end)

  local function database(name)
    return folder .. "/" .. name .. ".db"
  end

  kills.of{
    sink = 'weir.sink.sqlite { path = weir.env "DB", layout = weir.env("LAYOUT", "json") }',
    layouts = true,
    fresh = function(name)
      sqlite.remove(database(name))
      return database(name)
    end,
    held = function(name) return sqlite.held(database(name)) end,
    intact = function(name) return ask(database(name), "PRAGMA integrity_check") == "ok" end,
  }

  it("is taken over by the newer of two workers", function()
    local source, path = changes.file{insert("users", "u0", "0")}, tmp.file "room.db"
    local older = worker.spawn(options(source, path, {args = {}}))
    finally(function() older:kill() end)
    wait.till(function()
      return tmp.read(path) and ask(path, "SELECT count(*) FROM sqlite_master WHERE name = 'users'") == "1"
    end, worker.patience(10), "the first commit")
    local newer = worker.spawn(options(source, path, {args = {}}))
    finally(function() newer:kill() end)
    wait.till(function()
      return ask(path, "SELECT epoch FROM _sync_state") == "2"
    end, worker.patience(10), "the second worker")
    changes.append(source, insert("users", "u1", "1"))
    local done = older:wait(worker.patience(10))
    assert.equal(1, done.code)
    assert.matches("another worker has taken over stream .-events%.jsonl %(its epoch is 2, ours 1%)", done.stderr)
    wait.till(function()
      return ask(path, "SELECT count(*) FROM users") == "2"
    end, worker.patience(10), "the row by the newer")
  end)

  local COLUMNS = [[
    local weir = require "weir"
    local s = weir.schema
    weir.stream {
      url = weir.env "SOURCE",
      schema = weir.defineStreamSchema { types = { users = { schema = s.object { %s } , index = { "name" } } } },
      sinks = { weir.sink.sqlite { path = weir.env "DB", layout = "columns" } },
    }
  ]]

  it("makes columns of the schema, and adds those of a changed one", function()
    local source = changes.file{insert("users", "u1", '{"id":"u1","name":"Ada","age":36}'),
      insert("rooms", "r1", '{"any":1}')}
    local path = tmp.file "room.db"
    local function try(fields)
      return run(source, path, {script = COLUMNS:format(fields)})
    end
    local done = try "id = s.string(), name = s.string(), age = s.integer()"
    assert.equal(0, done.code, done.stderr)
    assert.equal("u1|36|Ada", ask(path, "SELECT * FROM users"))
    assert.equal('r1|{"any":1}', ask(path, "SELECT id, data FROM rooms"))
    assert.equal("1", ask(path, "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql LIKE '%(\"name\")'"))
    changes.append(source, insert("users", "u2", '{"id":"u2","name":"Bo","age":7,"mail":"bo@x.org","tags":["a", "b"]}'))
    done = try 's.any'
    assert.not_equal(0, done.code)
    local fields = "id = s.string(), name = s.string(), age = s.integer(), %s"
    done = try(fields:format "mail = s.email(), tags = s.array(s.string()):optional()")
    assert.equal(1, done.code)
    assert.matches('column "mail" is missing, and cannot be added', done.stderr)
    done = try(fields:format "mail = s.email():optional(), tags = s.array(s.string()):optional()")
    assert.equal(0, done.code, done.stderr)
    assert.equal('Ada|36||\nBo|7|bo@x.org|["a", "b"]', ask(path, "SELECT name, age, mail, tags FROM users ORDER BY id"))
    changes.append(source, insert("users", "u4", '{"id":"u4","name":"Di","age":9}'))
    done = try(fields:format "Name = s.string():optional()")
    assert.equal(1, done.code)
    assert.matches('column "name" differs from a property of the schema in nothing but case', done.stderr)
    changes.append(source, insert("users", "u3", '{"id":"u3","name":"Cy","age":"8"}'))
    done = try "id = s.string(), name = s.string(), age = s.any()"
    assert.equal(1, done.code)
    assert.matches('column "age" has another type, expected JSON TEXT', done.stderr)
    assert.equal("2", ask(path, "SELECT count(*) FROM users"))
  end)

  it("stops by name when a table was dropped", function()
    local source, path = changes.file{insert("users", "u0", "0")}, tmp.file "room.db"
    assert.equal(0, run(source, path).code)
    ask(path, "DROP TABLE users")
    changes.append(source, insert("users", "u1", "1"))
    local done = run(source, path)
    assert.equal(1, done.code)
    assert.matches('table "users" is gone: somebody dropped it', done.stderr)
    assert.equal("1", ask(path, "SELECT sequence FROM _sync_state"))
  end)

  it("waits for a lock", function()
    local source, path = changes.file{insert("users", "u0", "0")}, tmp.file "room.db"
    assert.equal(0, run(source, path).code)
    changes.append(source, insert("users", "u1", "1"))
    os.execute("mkfifo " .. process.quote(path .. ".go"))
    local holder = process.spawn{cmd = {"sh", "-c",
      ("{ echo 'BEGIN IMMEDIATE; SELECT 1;'; cat %s; echo 'ROLLBACK;'; } | sqlite3 -batch %s"):format(
        process.quote(path .. ".go"), process.quote(path))}}
    finally(function() holder:kill() end)
    holder:wait_for_output("1")
    local child = worker.spawn(options(source, path))
    finally(function() child:kill() end)
    child:wait_for_output("database is locked", worker.patience(10))
    assert(io.open(path .. ".go", "w")):close()
    local done = child:wait(worker.patience(20))
    assert.equal(0, done.code, done.stderr)
    assert.matches("works again", done.stderr)
    assert.equal("2", ask(path, "SELECT count(*) FROM users"))
  end)
end)
