-- weir.sink.mysql from end to end, with a MariaDB server: workers that are killed, a server that is killed in their
-- commits, two workers at once, schemas that change, and types that were made to break out of SQL.

local changes = require "support.changes"
local kills = require "support.kills"
local mariadb = require "support.mariadb"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

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

  local function append(path, text)
    local file = assert(io.open(path, "ab"))
    assert(file:write(text))
    assert(file:close())
  end

  local function line(type, key, value)
    return ('{"type":"%s","key":"%s","value":%s,"headers":{"operation":"upsert"}}\n'):format(type, key, value)
  end

  --- "type/key value" a row, sorted, and the place: of one moment.
  local function dump(database)
    if server:ask(database, "SHOW TABLES LIKE '\\_sync\\_tables'") == "" then
      return "", 0
    end
    local selects = {"SELECT 0, coalesce((SELECT sequence FROM _sync_state), 0)"}
    local names = server:ask(database, "SELECT hex(type), hex(table_name) FROM _sync_tables WHERE made")
    for type, name in names:gmatch "(%x+)\t(%x+)" do
      name = name:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
      selects[#selects + 1] = ("SELECT 1, concat(CONVERT(x'%s' USING utf8mb4), '/', id, ' ', data) FROM `%s`"):format(
        type, name:gsub("`", "``"))
    end
    local rows, sequence = {}, nil
    for kind, text in (server:ask(database, table.concat(selects, " UNION ALL ")) .. "\n"):gmatch "(%d)\t([^\n]*)\n" do
      if kind == "0" then
        sequence = tonumber(text)
      else
        rows[#rows + 1] = text
      end
    end
    table.sort(rows)
    return table.concat(rows, "\n"), sequence
  end

  it("keeps a database equal to the stream, and goes on behind its place", function()
    local url = server:url "plain"
    local source = tmp.file("events.jsonl", line("users", "u1", [[{"name": "O'Neil \\ \"x\""}]]) ..
      line("users", "u1 ", "1e2") .. line("users", "U1", "3"))
    local done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    assert.equal([[U1	3
u1	{"name": "O'Neil \\ \"x\""}
u1 	1e2]], server:ask("plain", "SELECT id, data FROM users ORDER BY id"))
    append(source, '{"type":"users","key":"u1","headers":{"operation":"delete"}}\n' ..
      '{"type":"users","key":"U1","value":{"a":1},"headers":{"operation":"update"}}\n' ..
      '{"type":"users","key":"U1","value":{"b":2},"headers":{"operation":"patch"}}\n')
    done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    assert.equal('U1\t{"a":1,"b":2}\nu1 \t1e2', server:ask("plain", "SELECT id, data FROM users ORDER BY id"))
    assert.equal("6\t2", server:ask("plain", "SELECT sequence, epoch FROM _sync_state"))
    assert.not_matches("root", done.stderr)
  end)

  it("lets no type break out of its quotes", function()
    local stream = changes.new{count = 2000, seed = 3}
    local url = server:url "hostile"
    local done = run(tmp.file("events.jsonl", stream.text .. line("`; DROP TABLE users; --", "'; --", "1")), url)
    assert.equal(0, done.code, done.stderr)
    local rows, sequence = dump "hostile"
    assert.equal(2001, sequence)
    assert.equal(stream:rows(2000), (rows:gsub("`; DROP TABLE users; %-%-/'; %-%- 1\n?", "")))
    assert.equal("7", server:ask("hostile", "SELECT count(DISTINCT table_name) FROM _sync_tables"))
  end)

  it("refuses what it cannot keep by name, and stores the rest", function()
    local url = server:url "refused"
    local source = tmp.file("events.jsonl", line("users", "a\\u0000b", "1") .. line("users", ("k"):rep(769), "2") ..
      line("users", "good", "3"))
    local done = run(source, url)
    assert.equal(1, done.code)
    assert.matches('table "users": the key holds the character NUL', done.stderr)
    done = run(source, url, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =', 1)})
    assert.equal(0, done.code, done.stderr)
    assert.matches("the key has more than 768 characters", done.stderr)
    assert.equal("good\t3", server:ask("refused", "SELECT id, data FROM users"))
    server:ask("refused", "ALTER TABLE users ADD CHECK (data <> 'null')")
    append(source, line("users", "g2", "1") .. line("users", "g2", "null") .. line("users", "g3", "3"))
    done = run(source, url, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =', 1)})
    assert.equal(0, done.code, done.stderr)
    assert.matches("CONSTRAINT", done.stderr)
    assert.equal("g2\t1\ng3\t3\ngood\t3", server:ask("refused", "SELECT id, data FROM users ORDER BY id"))
  end)

  -- At any instant of the worker, or of the server.
  local function survives(database, kills, strike)
    local stream = changes.new{count = 4000, seed = 11}
    local source, url = tmp.file("events.jsonl", stream.text), server:url(database)
    local script, struck, longest = tmp.file("worker.lua", SCRIPT), 0, 0.5
    math.randomseed(tonumber(os.getenv "WEIR_SEED") or 20261122)
    for round = 1, kills * 20 do
      local cmd = {paths.weir, "run", script, "--once", "--set", "SOURCE=" .. source, "--set", "DB=" .. url, "--set",
        "ROWS=50"}
      local done, hit = strike(cmd, 0.02 + math.random() * longest)
      assert.not_matches("Sanitizer", done.stderr)
      struck = struck + (hit and 1 or 0)
      local rows, sequence = dump(database)
      assert.equal(stream:rows(sequence), rows, ("round %d, place %d: %s"):format(round, sequence, done.stderr))
      if sequence == stream.count then
        url = server:url(database)
        longest = hit and longest or longest * 0.8
      end
      if struck >= kills then
        break
      end
    end
    assert.is_true(struck >= kills)
    local done = run(source, url)
    assert.equal(0, done.code, done.stderr)
    assert.equal(stream:rows(stream.count), (dump(database)))
  end

  kills.of{
    sink = 'weir.sink.mysql { url = weir.env "DB", layout = weir.env("LAYOUT", "json") }',
    layouts = true,
    fresh = function(name) return server:url(name) end,
    held = function(name) return server:held(name) end,
    undone = function() return server:undone() end,
  }

  it("goes on when the server is killed in its commits", function()
    survives("restarted", math.max(2, kills.count // 5), function(cmd, delay)
      local child = process.spawn{cmd = cmd, timeout = worker.patience(60)}
      process.run{cmd = {"sleep", ("%.3f"):format(delay)}}
      local running = child:running()
      server:kill()
      server:again()
      local done = child:wait(worker.patience(60))
      assert.equal(0, done.code, done.stderr)
      return done, running
    end)
  end)

  it("goes on when its connection is cut", function()
    local url = server:url "cut"
    local source = tmp.file("events.jsonl", line("users", "u0", "0"))
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
      local id = server:ask("cut", "SELECT id FROM information_schema.processlist " ..
        "WHERE db = 'cut' AND id <> connection_id()")
      server:ask("cut", "KILL " .. id)
      append(source, line("users", "u" .. i, "1"))
      count(i + 1)
    end
  end)

  it("is taken over by the newer of two workers", function()
    local url = server:url "fence"
    local source = tmp.file("events.jsonl", line("users", "u0", "0"))
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
    append(source, line("users", "u1", "1"))
    local done = older:wait(worker.patience(15))
    assert.equal(1, done.code)
    assert.matches("another worker has taken over stream .-events%.jsonl %(its epoch is 2, ours 1%)", done.stderr)
    wait.till(function()
      return server:ask("fence", "SELECT count(*) FROM users") == "2"
    end, worker.patience(15), "the row by the newer")
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
    local source = tmp.file("events.jsonl", line("users", "u1", '{"id":"u1","name":"Ada","age":36,"ok":true,"r":1.5}'))
    local function try(fields)
      return run(source, url, {script = script:format(fields)})
    end
    local fields = "id = s.string(), name = s.string(), age = s.integer(), ok = s.boolean():optional(), " ..
      "r = s.number():optional()"
    local done = try(fields)
    assert.equal(0, done.code, done.stderr)
    assert.equal("u1\t36\tAda\t1\t1.5", server:ask("typed", "SELECT * FROM users"))
    append(source, line("users", "u2", '{"id":"u2","name":"Bo","age":7,"mail":"bo@x.org","tags":["a", "b"]}'))
    done = try(fields .. ", mail = s.email()")
    assert.equal(1, done.code)
    assert.matches('column "mail" is missing, and cannot be added', done.stderr)
    done = try(fields .. ", mail = s.email():optional(), tags = s.array(s.string()):optional()")
    assert.equal(0, done.code, done.stderr)
    assert.equal('Ada\tNULL\tNULL\nBo\tbo@x.org\t["a", "b"]',
      server:ask("typed", "SELECT name, mail, tags FROM users ORDER BY id"))
    append(source, line("users", "u3", '{"id":"u3","name":"Cy","age":"8"}'))
    done = try "id = s.string(), name = s.string(), age = s.any()"
    assert.equal(1, done.code)
    assert.matches('column "age" has another type', done.stderr)
  end)

  it("stops by name where only somebody can help", function()
    local url = server:url "stops"
    local source = tmp.file("events.jsonl", line("users", "u0", "0"))
    server:ask("stops", "CREATE TABLE users (id INT)")
    local done = run(source, url)
    assert.equal(1, done.code)
    assert.matches('there is a table "users" already, which weir did not make', done.stderr)
    server:ask("stops", "DROP TABLE users")
    assert.equal(0, run(source, url).code)
    server:ask("stops", "DROP TABLE users")
    append(source, line("users", "u1", "1"))
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
