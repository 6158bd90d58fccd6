-- weir.sink.mysql from end to end, with a MariaDB server: workers that are killed, a server that is killed in their
-- commits, two workers at once, schemas that change, and types that were made to break out of SQL.

local changes = require "support.changes"
local cli = require "support.cli"
local kills = require "support.kills"
local mariadb = require "support.mariadb"
local paths = require "support.paths"
local process = require "support.process"
local wait = require "support.wait"
local worker = require "support.worker"

local change, insert = cli.change, cli.insert

local SCRIPT = [[
  local weir = require "weir"
  weir.stream {
    url = weir.env "SOURCE",
    sinks = { weir.sink.mysql { url = weir.env "DB" } },
    limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), sinkDelay = "20ms" },
  }
]]

describe("weir.sink.mysql", function()
  if mariadb.missing() then
    pending "there is no mariadbd on this machine"
    return
  end

  local server
  setup(function() server = mariadb.start() end)
  teardown(function() server:close() end)

  local function options(source, url, more)
    local all = {script = SCRIPT, set = {SOURCE = source, DB = url}, args = {"--once"}, timeout = 60}
    for name, value in pairs(more or {}) do
      all[name] = value
    end
    return all
  end

  local function run(source, url, more)
    return worker.run(options(source, url, more))
  end

  it("keeps a database equal to the stream, and goes on behind its place", function()
    local url = server:url "plain"
    local source = changes.file{insert("users", "u1", [[{"name": "O'Neil \\ \"x\""}]]),
      insert("users", "u1 ", "1e2"), insert("users", "U1", "3")}
    local done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    assert.equal([[U1	3
u1	{"name": "O'Neil \\ \"x\""}
u1 	1e2]], server:ask("plain", "SELECT id, data FROM users ORDER BY id"))
    changes.append(source, change("users", "u1", "delete"), change("users", "U1", "update", '{"a":1}'),
      change("users", "U1", "patch", '{"b":2}'))
    done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    assert.equal('U1\t{"a":1,"b":2}\nu1 \t1e2', server:ask("plain", "SELECT id, data FROM users ORDER BY id"))
    assert.equal("6\t2", server:ask("plain", "SELECT sequence, epoch FROM _sync_state"))
    assert.not_matches("root", done.stderr)
  end)

  it("lets no type break out of its quotes", function()
    local stream = changes.new{count = 2000, seed = 3}
    local url = server:url "hostile"
    local source = changes.file(stream.lines)
    changes.append(source, insert("`; DROP TABLE users; --", "'; --"))
    local done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    local rows, place = server:held "hostile"
    assert.equal(2001, place.sequence)
    assert.equal(stream:rows(2000), (rows:gsub("`; DROP TABLE users; %-%-/'; %-%- 1\n?", "")))
    assert.equal("7", server:ask("hostile", "SELECT count(DISTINCT table_name) FROM _sync_tables"))
  end)

  it("refuses what it cannot keep by name, and stores the rest", function()
    local url = server:url "refused"
    local source = changes.file{insert("users", "a\\u0000b", "1"), insert("users", ("k"):rep(769), "2"),
      insert("users", "good", "3")}
    local done = run(source, url)
    assert.equal(1, done.code)
    assert.matches('table "users": the key holds the character NUL', done.stderr)
    done = run(source, url, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =', 1)})
    assert.equal(0, done.code, done.stderr)
    assert.matches("the key has more than 768 characters", done.stderr)
    assert.equal("good\t3", server:ask("refused", "SELECT id, data FROM users"))
    server:ask("refused", "ALTER TABLE users ADD CHECK (data <> 'null')")
    changes.append(source, insert("users", "g2"),
      change("users", "g2", "update", "null"), insert("users", "g3", "3"))
    done = run(source, url, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =', 1)})
    assert.equal(0, done.code, done.stderr)
    assert.matches("CONSTRAINT", done.stderr)
    assert.equal("g2\t1\ng3\t3\ngood\t3", server:ask("refused", "SELECT id, data FROM users ORDER BY id"))
  end)

  kills.of{
    sink = 'weir.sink.mysql { url = weir.env "DB", layout = weir.env("LAYOUT", "json") }',
    layouts = true,
    fresh = function(name) return server:url(name) end,
    held = function(name) return server:held(name) end,
    undone = function() return server:undone() end,
  }

  it("goes on when the server is killed in its commits", function()
    local stream = changes.new{count = 4000, seed = kills.seed}
    local source, url = changes.file(stream.lines), server:url "restarted"
    math.randomseed(kills.seed)
    for _ = 1, math.max(2, kills.count // 5) do
      local child = worker.spawn(options(source, url, {set = {SOURCE = source, DB = url, ROWS = 50}}))
      wait.within(0.5)
      server:kill()
      server:again()
      local done = child:wait(worker.patience(60))
      assert.equal(0, done.code, done.stderr)
      local rows, place = server:held "restarted"
      assert.equal(stream.count, place.sequence)
      assert.equal(stream:rows(stream.count), rows)
      url = server:url "restarted"
    end
  end)

  it("goes on when its connection is cut", function()
    local url = server:url "cut"
    local source = changes.file{insert("users", "u0", "0")}
    local child = worker.spawn(options(source, url, {args = {}}))
    finally(function() child:kill() end)
    local function count(n)
      wait.till(function()
        return server:ask("cut", "SHOW TABLES LIKE 'users'") ~= "" and
          server:ask("cut", "SELECT count(*) FROM users") == tostring(n)
      end, worker.patience(15), function() return n .. " rows: " .. child:stderr() end)
    end
    count(1)
    for i = 1, 3 do
      local id
      wait.till(function() -- those that are gone may be on the list for a while
        id = server:ask("cut", "SELECT id FROM information_schema.processlist WHERE db = 'cut' AND " ..
          "command <> 'Killed' AND id <> connection_id()")
        return id:find "^%d+$"
      end, nil, "the worker's connection, and no other")
      server:ask("cut", "KILL " .. id)
      changes.append(source, insert("users", "u" .. i, "1"))
      count(i + 1)
    end
  end)

  it("gives up where the server takes connections, and nothing else, for limits.outage", function()
    local url = server:url("closed"):gsub("root@", "app@")
    server:ask("closed", "CREATE USER IF NOT EXISTS app@localhost; " ..
      "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON closed.* TO app@localhost")
    local source = changes.file{insert("users", "u0", "0")}
    local script = SCRIPT:gsub("limits = {", '%0 outage = "1s",')
    local child = worker.spawn(options(source, url, {args = {}, script = script}))
    finally(function()
      child:kill()
      server:ask("mysql", "SET GLOBAL read_only = 0")
    end)
    wait.till(function()
      return server:ask("closed", "SHOW TABLES LIKE 'users'") ~= ""
    end, worker.patience(15), function() return "the first row: " .. child:stderr() end)
    server:ask("mysql", "SET GLOBAL read_only = 1")
    changes.append(source, insert("users", "u1", "1"))
    local done = child:wait(worker.patience(30))
    assert.equal(1, done.code, done.stderr)
    assert.matches("a server that takes writes %(read_only%); gave up after [%d.]+ s %(limits%.outage%)", done.stderr)
    assert.not_matches("works again", done.stderr)
    assert.equal("1", server:ask("closed", "SELECT count(*) FROM users"))
  end)

  it("is taken over by the newer of two workers", function()
    local url = server:url "fence"
    local source = changes.file{insert("users", "u0", "0")}
    local older = worker.spawn(options(source, url, {args = {}}))
    finally(function() older:kill() end)
    local function epoch(n)
      wait.till(function()
        return server:ask("fence", "SHOW TABLES LIKE 'users'") ~= "" and
          server:ask("fence", "SELECT epoch FROM _sync_state") == n
      end, worker.patience(15), "epoch " .. n)
    end
    epoch "1"
    local newer = worker.spawn(options(source, url, {args = {}}))
    finally(function() newer:kill() end)
    epoch "2"
    changes.append(source, insert("users", "u1", "1"))
    local done = older:wait(worker.patience(15))
    assert.equal(1, done.code)
    assert.matches("another worker has taken over stream .-events%.jsonl %(its epoch is 2, ours 1%)", done.stderr)
    wait.till(function()
      return server:ask("fence", "SELECT count(*) FROM users") == "2"
    end, worker.patience(15), "the row by the newer")
  end)

  it("is taken over also while both make the same table", function()
    local url = server:url "tables"
    local source = changes.file{}
    local older = worker.spawn(options(source, url, {args = {}}))
    finally(function() older:kill() end)
    local function epoch(n)
      wait.till(function()
        return server:ask("tables", "SHOW TABLES LIKE '\\_sync\\_state'") ~= "" and
          server:ask("tables", "SELECT epoch FROM _sync_state") == n
      end, worker.patience(15), "epoch " .. n)
    end
    epoch "1"
    local newer = worker.spawn(options(source, url, {args = {}}))
    finally(function()
      newer:signal "CONT"
      newer:kill()
    end)
    epoch "2"
    newer:signal "STOP" -- it has seen that there are no tables; the older one makes some before it is told to stop
    changes.append(source, insert("users", "u1", "1"))
    local done = older:wait(worker.patience(15))
    assert.matches("another worker has taken over stream .-events%.jsonl %(its epoch is 2, ours 1%)", done.stderr)
    newer:signal "CONT"
    wait.till(function()
      return server:ask("tables", "SHOW TABLES LIKE 'users'") ~= "" and
        server:ask("tables", "SELECT count(*) FROM users") == "1"
    end, worker.patience(15), function() return "the row by the newer: " .. newer:stderr() end)
  end)

  it("makes columns of the schema, and adds those of a changed one", function()
    local script = [[
      local weir = require "weir"
      local s = weir.schema
      weir.stream {
        url = weir.env "SOURCE",
        schema = weir.defineStreamSchema { types = { users = { schema = s.object { %s } , index = { "name" } } } },
        sinks = { weir.sink.mysql { url = weir.env "DB", layout = "columns" } },
      }
    ]]
    local url = server:url "typed"
    local source = changes.file{insert("users", "u1", '{"id":"u1","name":"Ada","age":36,"ok":true,"r":1.5}')}
    local function try(fields)
      return run(source, url, {script = script:format(fields)})
    end
    local fields = "id = s.string(), name = s.string(), age = s.integer(), ok = s.boolean():optional(), " ..
      "r = s.number():optional()"
    local done = try(fields)
    assert.equal(0, done.code, done.stderr)
    assert.equal("u1\t36\tAda\t1\t1.5", server:ask("typed", "SELECT * FROM users"))
    changes.append(source, insert("users", "u2", '{"id":"u2","name":"Bo","age":7,"mail":"bo@x.org","tags":["a", "b"]}'))
    done = try(fields .. ", mail = s.email()")
    assert.equal(1, done.code)
    assert.matches('column "mail" is missing, and cannot be added', done.stderr)
    done = try(fields .. ", mail = s.email():optional(), tags = s.array(s.string()):optional()")
    assert.equal(0, done.code, done.stderr)
    assert.equal('Ada\tNULL\tNULL\nBo\tbo@x.org\t["a", "b"]',
      server:ask("typed", "SELECT name, mail, tags FROM users ORDER BY id"))
    changes.append(source, insert("users", "u4", '{"id":"u4","name":"Di","age":9}'))
    done = try(fields .. ", Name = s.string():optional()")
    assert.equal(1, done.code)
    assert.matches('column "name" differs from a property of the schema in nothing but case', done.stderr)
    changes.append(source, insert("users", "u3", '{"id":"u3","name":"Cy","age":"8"}'))
    done = try "id = s.string(), name = s.string(), age = s.any()"
    assert.equal(1, done.code)
    assert.matches('column "age" has another type', done.stderr)
  end)

  it("stops by name where only somebody can help", function()
    local url = server:url "stops"
    local source = changes.file{insert("users", "u0", "0")}
    server:ask("stops", "CREATE TABLE users (id INT)")
    local done = run(source, url)
    assert.equal(1, done.code)
    assert.matches('there is a table "users" already, which weir did not make', done.stderr)
    server:ask("stops", "DROP TABLE users")
    assert.equal(0, run(source, url).code)
    server:ask("stops", "DROP TABLE users")
    changes.append(source, insert("users", "u1", "1"))
    done = run(source, url)
    assert.equal(1, done.code)
    assert.matches('table "users" is gone', done.stderr)
    done = run(source, (url:gsub("/stops", "/nowhere")))
    assert.equal(1, done.code)
    assert.matches("Unknown database 'nowhere'; create the database first", done.stderr)
    done = run(source, (url:gsub("root@", "nobody:s3cret@")))
    assert.equal(1, done.code)
    assert.matches("Access denied for user 'nobody'", done.stderr)
    assert.not_matches("s3cret", done.stderr)
  end)

  it("compares and mends, and can be closed at any time", function()
    local done = process.run{cmd = {paths.build .. "/unit/sink_mysql_test"},
      env = {WEIR_TEST_MYSQL = server:url "unit"}, timeout = worker.patience(60)}
    assert.equal(0, done.code, done.stdout .. done.stderr)
    assert.not_matches("SKIPPED", done.stdout .. done.stderr)
  end)
end)
