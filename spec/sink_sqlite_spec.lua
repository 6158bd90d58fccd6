-- weir.sink.sqlite from end to end: workers over files, killed at any instant, two at once, with changed schemas and
-- with types that were made to break out of SQL. What SQLite itself says no to is in spec/unit/sink_sqlite_test.c.

local changes = require "support.changes"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local function ask(path, sql)
  local done = process.run{cmd = {"sqlite3", "-batch", "-separator", "|", path, sql}}
  assert.equal(0, done.code, done.stderr)
  return (done.stdout:gsub("\n$", ""))
end

local function quote(name)
  return '"' .. name:gsub('"', '""') .. '"'
end

--- "type/key value" a row, sorted, and the place.
local function dump(path)
  if ask(path, "SELECT count(*) FROM sqlite_master WHERE name = '_sync_state'") == "0" then
    return "", 0 -- it was killed before it had begun
  end
  local selects = {"SELECT 0, coalesce((SELECT sequence FROM _sync_state), 0)"}
  for line in ask(path, "SELECT hex(type) || '|' || table_name FROM _sync_tables"):gmatch "[^\n]+" do
    local type, name = line:match "^(%x*)|(.*)$"
    selects[#selects + 1] = ("SELECT 1, CAST(x'%s' AS TEXT) || '/' || id || ' ' || data FROM %s"):format(type,
      quote(name))
  end
  local rows, sequence = {}, nil
  for line in (ask(path, table.concat(selects, " UNION ALL ")) .. "\n"):gmatch "([^\n]*)\n" do
    local kind, text = line:match "^(%d)|(.*)$"
    if kind == "0" then
      sequence = tonumber(text)
    else
      rows[#rows + 1] = text
    end
  end
  table.sort(rows)
  return table.concat(rows, "\n"), sequence
end

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

local function append(path, text)
  local file = assert(io.open(path, "ab"))
  assert(file:write(text))
  assert(file:close())
end

local function line(type, key, value)
  return ('{"type":"%s","key":"%s","value":%s,"headers":{"operation":"upsert"}}\n'):format(type, key, value)
end

describe("weir.sink.sqlite", function()
  it("keeps a file equal to the stream, and goes on behind its place", function()
    local source = tmp.file("events.jsonl", line("users", "u1", '{"name": "Ada"}') .. line("users", "u2", "1e2"))
    local path = tmp.file "room.db"
    local done = run(source, path)
    assert.equal(0, done.code, done.stderr)
    assert.equal('u1|{"name": "Ada"}\nu2|1e2', ask(path, "SELECT id, data FROM users ORDER BY id"))
    assert.equal("2|1", ask(path, "SELECT sequence, epoch FROM _sync_state"))
    append(source, '{"type":"users","key":"u1","headers":{"operation":"delete"}}\n' ..
      '{"type":"users","key":"u3","value":{"a":1,"b":2},"headers":{"operation":"insert"}}\n' ..
      '{"type":"users","key":"u3","value":{"a":null,"c":3},"headers":{"operation":"patch"}}\n')
    done = run(source, path)
    assert.equal(0, done.code, done.stderr)
    assert.equal('u2|1e2\nu3|{"b":2,"c":3}', ask(path, "SELECT id, data FROM users ORDER BY id"))
    assert.equal("5|2", ask(path, "SELECT sequence, epoch FROM _sync_state"))
    assert.equal("ok", ask(path, "PRAGMA integrity_check"))
  end)

  it("lets no type break out of its quotes", function()
    local stream = changes.new{count = 2000, seed = 3}
    local path = tmp.file "room.db"
    local done = run(tmp.file("events.jsonl", stream.text), path)
    assert.equal(0, done.code, done.stderr)
    local rows, sequence = dump(path)
    assert.equal(2000, sequence)
    assert.equal(stream:rows(2000), rows)
    assert.equal("6|6", ask(path, "SELECT count(*), count(DISTINCT lower(table_name)) FROM _sync_tables"))
  end)

  it("refuses keys with NUL by name, and goes on where the script says so", function()
    local source = tmp.file("events.jsonl", line("users", "a\\u0000b", "1") .. line("users", "good", "2"))
    local path = tmp.file "room.db"
    local done = run(source, path)
    assert.equal(1, done.code)
    assert.matches('sqlite .-room%.db: table "users": the key holds the character NUL', done.stderr)
    done = run(source, path, {script = SCRIPT:gsub("url =", 'onInvalid = "skip", url =')})
    assert.equal(0, done.code, done.stderr)
    assert.equal("good|2", ask(path, "SELECT id, data FROM users"))
  end)

  it("is equal to an uninterrupted run after every kill -9", function()
    local kills = tonumber(os.getenv "WEIR_KILLS") or 10
    local stream = changes.new{count = 6000, seed = 11}
    local source, path = tmp.file("events.jsonl", stream.text), tmp.file "room.db"
    local all = options(source, path)
    all.set.ROWS = "20"
    local script = tmp.file("worker.lua", SCRIPT)
    local paths = require "support.paths"
    local longest, killed = 0.4, 0
    math.randomseed(tonumber(os.getenv "WEIR_SEED") or 20261122)
    for round = 1, kills * 20 do
      local delay = ("%.3f"):format(0.02 + math.random() * longest)
      local done = process.run{cmd = {"timeout", "-s", "KILL", delay, paths.weir, "run", script, "--once", "--set",
        "SOURCE=" .. source, "--set", "DB=" .. path, "--set", "ROWS=20"}, timeout = worker.patience(60)}
      assert.not_matches("Sanitizer", done.stderr)
      if done.code == 137 then
        killed = killed + 1
      else
        assert.equal(0, done.code, done.stderr)
      end
      if done.code == 0 or tmp.read(path) then
        local rows, sequence = dump(path)
        assert.equal(stream:rows(sequence), rows, ("round %d, place %d"):format(round, sequence))
        if sequence == stream.count then
          -- All is there: from the beginning, and not so long.
          os.remove(path)
          os.remove(path .. "-wal")
          os.remove(path .. "-shm")
          longest = done.code == 0 and longest * 0.8 or longest
        end
      end
      longest = done.code == 137 and longest * 1.05 or longest
      if killed == kills then
        break
      end
    end
    assert.equal(kills, killed)
    local done = worker.run(all)
    assert.equal(0, done.code, done.stderr)
    assert.equal(stream:rows(stream.count), (dump(path)))
    assert.equal("ok", ask(path, "PRAGMA integrity_check"))
  end)

  it("is taken over by the newer of two workers", function()
    local source, path = tmp.file("events.jsonl", line("users", "u0", "0")), tmp.file "room.db"
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
    append(source, line("users", "u1", "1"))
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
    local source = tmp.file("events.jsonl", line("users", "u1", '{"id":"u1","name":"Ada","age":36}') ..
      line("rooms", "r1", '{"any":1}'))
    local path = tmp.file "room.db"
    local function try(fields)
      return run(source, path, {script = COLUMNS:format(fields)})
    end
    local done = try "id = s.string(), name = s.string(), age = s.integer()"
    assert.equal(0, done.code, done.stderr)
    assert.equal("u1|36|Ada", ask(path, "SELECT * FROM users"))
    assert.equal('r1|{"any":1}', ask(path, "SELECT id, data FROM rooms"))
    assert.equal("1", ask(path, "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql LIKE '%(\"name\")'"))
    append(source, line("users", "u2", '{"id":"u2","name":"Bo","age":7,"mail":"bo@x.org","tags":["a", "b"]}'))
    done = try 's.any'
    assert.not_equal(0, done.code)
    local fields = "id = s.string(), name = s.string(), age = s.integer(), %s"
    done = try(fields:format "mail = s.email(), tags = s.array(s.string()):optional()")
    assert.equal(1, done.code)
    assert.matches('column "mail" is missing, and cannot be added', done.stderr)
    done = try(fields:format "mail = s.email():optional(), tags = s.array(s.string()):optional()")
    assert.equal(0, done.code, done.stderr)
    assert.equal('Ada|36||\nBo|7|bo@x.org|["a", "b"]', ask(path, "SELECT name, age, mail, tags FROM users ORDER BY id"))
    append(source, line("users", "u3", '{"id":"u3","name":"Cy","age":"8"}'))
    done = try "id = s.string(), name = s.string(), age = s.any()"
    assert.equal(1, done.code)
    assert.matches('column "age" has another type, expected JSON TEXT', done.stderr)
    assert.equal("2", ask(path, "SELECT count(*) FROM users"))
  end)

  it("stops by name when a table was dropped", function()
    local source, path = tmp.file("events.jsonl", line("users", "u0", "0")), tmp.file "room.db"
    assert.equal(0, run(source, path).code)
    ask(path, "DROP TABLE users")
    append(source, line("users", "u1", "1"))
    local done = run(source, path)
    assert.equal(1, done.code)
    assert.matches('table "users" is gone: somebody dropped it', done.stderr)
    assert.equal("1", ask(path, "SELECT sequence FROM _sync_state"))
  end)

  it("waits for a lock", function()
    local source, path = tmp.file("events.jsonl", line("users", "u0", "0")), tmp.file "room.db"
    assert.equal(0, run(source, path).code)
    append(source, line("users", "u1", "1"))
    os.execute("mkfifo " .. process.quote(path .. ".go"))
    local holder = process.spawn{cmd = {"sh", "-c",
      ("{ echo 'BEGIN IMMEDIATE; SELECT 1;'; cat %s; echo 'ROLLBACK;'; } | sqlite3 -batch %s"):format(
        process.quote(path .. ".go"), process.quote(path))}}
    finally(function() holder:kill() end)
    holder:wait_for_output("1", 10)
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
