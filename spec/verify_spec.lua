-- weir verify: sinks compared with their streams, and mended.

local mariadb = require "support.mariadb"
local paths = require "support.paths"
local postgres = require "support.postgres"
local process = require "support.process"
local redis = require "support.redis"
local search = require "support.search"
local server = require "support.server"
local sqlite = require "support.sqlite"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local ROWS = 9000 -- of one type: more than a page

local SCRIPT = [[
local weir = require "weir"
local s = weir.schema

local sinks = {}
if weir.env("FILE") then
  sinks[#sinks + 1] = weir.sink.sqlite { path = weir.env("FILE"), layout = weir.env("LAYOUT", "json") }
end
if weir.env("DB") then
  sinks[#sinks + 1] = weir.sink.postgres { url = weir.env("DB"), layout = weir.env("LAYOUT", "json") }
end
local room = weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  onInvalid = "skip",
  schema = weir.defineStreamSchema {
    types = { rows = s.object { n = s.integer(), text = s.string(), more = s.any():optional() } },
  },
  sinks = sinks,
}
room:validate("rows", function(event) return not event.value or event.value.n ~= 13, "unlucky" end)
room:onChange("rows", function() print "handled" end)
room:onUpToDate(function() print "up to date" end)
]]

local function events()
  local lines = {}
  for i = 1, ROWS do
    lines[i] = ('{"type":"rows","key":"k%d","value":{"n":%d,"text":"t\\u00e9 %d","more":[1.0,1e2,{"b":1,"a":2}]},'
      .. '"headers":{"operation":"insert"}}'):format(i, i, i)
  end
  lines[#lines + 1] = '{"type":"loose","key":"x","value":null,"headers":{"operation":"insert"}}'
  lines[#lines + 1] = '{"type":"rows","key":"k5","headers":{"operation":"delete"}}'
  return tmp.file("events.jsonl", table.concat(lines, "\n") .. "\n")
end

local function verify_command(script, set, ...)
  local cmd = {paths.weir, "verify", tmp.file("worker.lua", script), ...}
  for name, value in pairs(set) do
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = name .. "=" .. value
  end
  return cmd
end

local function verify_script(script, set, ...)
  return process.run{cmd = verify_command(script, set, ...), timeout = worker.patience(60)}
end

local function verify(set, ...)
  return verify_script(SCRIPT, set, ...)
end

local function run(set)
  local done = worker.run{script = SCRIPT, set = set, args = {"--once"}, timeout = 60}
  assert.equal(0, done.code, done.stderr)
end

-- What every sink of tables has to be found out about. execute runs SQL in it.
local function examine(set, execute, name)
  run(set)
  local done = verify(set)
  assert.equal("", done.stderr)
  assert.equal(("room: %s: equal, %d rows\n"):format(name, ROWS - 1), done.stdout)
  assert.equal(0, done.code)
  execute "DELETE FROM rows WHERE id IN ('k1', 'k4321', 'k999')"
  execute [[UPDATE rows SET text = 'x' WHERE id = 'k7']]
  execute [[INSERT INTO rows (id, n, text) VALUES ('', 1, 'x'), ('k5', 1, 'x'), ('zz', 1, 'x')]]
  execute "DROP TABLE loose"
  local expected = {}
  for _, line in ipairs{"loose/x: missing", "rows/: extra", "rows/k1: missing", "rows/k4321: missing", "rows/k5: extra",
    "rows/k7: other", "rows/k999: missing", "rows/zz: extra"} do
    expected[#expected + 1] = ("room: %s: %s"):format(name, line)
  end
  expected[#expected + 1] = ("room: %s: 8 of %d rows differ (4 missing, 3 extra, 1 other)"):format(name, ROWS - 1)
  done = verify(set)
  assert.equal("", done.stderr)
  assert.same(expected, worker.lines(done.stdout))
  assert.equal(1, done.code)
  done = verify(set, "--repair")
  expected[#expected] = expected[#expected] .. ": mended"
  assert.same(expected, worker.lines(done.stdout))
  assert.equal(0, done.code, done.stderr)
  done = verify(set)
  assert.equal(("room: %s: equal, %d rows\n"):format(name, ROWS - 1), done.stdout)
  assert.equal(0, done.code)
end

-- Any sink: it is filled, then the stream is another one of the same length, which is what it has to be mended to.
local KINDS = [[
local weir = require "weir"
local s = weir.schema

local kind, options = weir.env "KIND", { name = "sink", layout = weir.env "LAYOUT", dialect = weir.env "DIALECT" }
options[kind == "sqlite" and "path" or "url"] = weir.env "DB"
weir.stream {
  name = "room",
  url = weir.env "STREAM",
  live = weir.env "LIVE" ~= nil,
  limits = { sinkRows = 200 },
  schema = weir.defineStreamSchema { types = { items = s.object { n = s.integer(), text = s.string() } } },
  sinks = { weir.sink[kind](options) },
}:validate("items", function(event)
  if weir.env "HOLD" and event.value and event.value.text == "hold" then
    io.open(weir.env "HOLD" .. ".reached", "w"):close()
    io.open(weir.env "HOLD"):read() -- until somebody writes
  end
  return true
end)
]]

local FORGET = "UPDATE _sync_state SET notes = NULL"

local function item(key, n, text)
  return ('{"type":"items","key":"%s","value":{"n":%d,"text":"%s"},"headers":{"operation":"upsert"}}'):format(key, n,
    text or "")
end

local function lines(count)
  local all = {}
  for i = 1, count do
    all[i] = item("k" .. i, i, "text")
  end
  all[#all + 1] = '{"type":"loose","key":"x","value":[1.0],"headers":{"operation":"upsert"}}'
  return all
end

local function sorted(list)
  table.sort(list)
  return list
end

local function verify_kind(set, ...)
  return verify_script(KINDS, set, ...)
end

local function fill(set)
  local done = worker.run{script = KINDS, set = set, args = {"--once"}, timeout = 60}
  assert.equal(0, done.code, done.stderr)
end

-- forget(): takes the digest of the stream out of the sink's notes, so that another stream will do.
local function mends(set, forget)
  local count = 1200
  local before, after = lines(count), lines(count)
  after[1], after[count // 2] = item("new", 1), item("between", 1)
  after[7] = item("k7", 8, "text")
  after[count + 1] = after[count + 1]:gsub("loose", "other")
  set.STREAM = tmp.file("events.jsonl", table.concat(before, "\n") .. "\n")
  local equal = ("room: sink: equal, %d rows\n"):format(count + 1)
  fill(set)
  local done = verify_kind(set)
  assert.equal("", done.stderr)
  assert.equal(equal, done.stdout)
  assert.equal(0, done.code)
  tmp.write(set.STREAM, table.concat(after, "\n") .. "\n")
  done = verify_kind(set)
  assert.matches("are not those that [^\n]+ was filled from", done.stderr)
  assert.equal(1, done.code)
  forget()
  local expected = sorted{"room: sink: items/between: missing", "room: sink: items/k1: extra",
    ("room: sink: items/k%d: extra"):format(count // 2), "room: sink: items/k7: other",
    "room: sink: items/new: missing",
    "room: sink: loose/x: extra", "room: sink: other/x: missing",
    ("room: sink: 7 of %d rows differ (3 missing, 3 extra, 1 other)"):format(count + 1)}
  done = verify_kind(set)
  assert.same(expected, sorted(worker.lines(done.stdout)))
  assert.equal(1, done.code, done.stderr)
  done = verify_kind(set, "--repair")
  assert.equal(0, done.code, done.stderr)
  done = verify_kind(set)
  assert.equal(equal, done.stdout)
  assert.equal(0, done.code, done.stderr)
end

describe("weir verify", function()
  it("mends a SQLite file of either layout", function()
    for _, layout in ipairs{"json", "columns"} do
      local path = tmp.dir() .. "/room.db"
      mends({KIND = "sqlite", DB = path, LAYOUT = layout}, function()
        sqlite.ask(path, FORGET)
      end)
    end
  end)

  it("mends search indexes", function()
    for _, dialect in ipairs{"elasticsearch", "typesense"} do
      local db = search.start()
      mends({KIND = "search", DB = db.url, DIALECT = dialect}, function()
        db:forget(dialect)
      end)
      db:stop()
    end
  end)

  it("passes over sinks of the script's own functions", function()
    local done = verify_script([[
      local weir = require "weir"
      weir.stream { name = "room", url = weir.env "STREAM", sinks = { weir.sink { write = print } } }
    ]], {STREAM = tmp.file("events.jsonl", item("k", 1) .. "\n")})
    assert.equal("", done.stdout)
    assert.truthy(done.stderr:find("it cannot be asked what it holds", 1, true), done.stderr)
    assert.equal(0, done.code)
  end)

  it("compares a sink whose worker was killed, up to its place", function()
    local path, hold = tmp.dir() .. "/room.db", tmp.dir() .. "/hold"
    assert(os.execute("mkfifo " .. hold))
    local all = lines(1200)
    all[700] = item("k700", 700, "hold")
    local set = {KIND = "sqlite", DB = path, STREAM = tmp.file("events.jsonl", table.concat(all, "\n") .. "\n")}
    local child = worker.spawn{script = KINDS, set = {KIND = "sqlite", DB = path, STREAM = set.STREAM, HOLD = hold}}
    wait.till(function()
      return process.run{cmd = {"sqlite3", path, "SELECT sequence FROM _sync_state"}}.stdout == "600\n"
    end, worker.patience(20), function() return child:stderr() end)
    child:kill()
    local done = verify_kind(set)
    assert.equal("room: sink: equal, 600 rows\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
  end)

  it("does not take what a worker commits meanwhile for a difference", function()
    local s = server.start()
    local stream, path, hold = s:stream "room", tmp.dir() .. "/room.db", tmp.dir() .. "/hold"
    local set = {KIND = "sqlite", DB = path, STREAM = stream, LIVE = "1"}
    local function has(sequence)
      wait.till(function()
        return process.run{cmd = {"sqlite3", path, "SELECT sequence FROM _sync_state"}}.stdout == sequence .. "\n"
      end, worker.patience(20), "the worker's commit")
    end
    assert(os.execute("mkfifo " .. hold))
    s:append(stream, item("k1", 1, "hold"))
    local child = worker.spawn{script = KINDS, set = set, timeout = 60}
    has(1)
    local done = verify_kind(set)
    assert.equal("room: sink: equal, 1 row\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
    set.HOLD = hold
    local checking = process.spawn{cmd = verify_command(KINDS, set), timeout = worker.patience(60)}
    wait.till(function()
      return tmp.read(hold .. ".reached")
    end, worker.patience(20), function() return checking:stderr() end)
    s:append(stream, item("k2", 2))
    has(2)
    tmp.write(hold, "go on")
    done = checking:wait(worker.patience(20))
    assert.equal(1, done.code, done.stdout)
    assert.truthy(done.stderr:find("sink: a worker has committed while it was compared: stop it, or try again", 1,
      true), done.stderr)
    assert.truthy(child:running())
    set.HOLD = nil
    done = verify_kind(set, "--repair")
    assert.equal(0, done.code, done.stderr)
    s:append(stream, item("k3", 3))
    done = child:wait(worker.patience(20))
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("another worker has taken over", 1, true), done.stderr)
    s:stop()
  end)

  it("finds and mends what differs in a SQLite file", function()
    local path = tmp.dir() .. "/room.db"
    examine({STREAM = events(), FILE = path, LAYOUT = "columns"}, function(sql)
      local done = process.run{cmd = {"sqlite3", path, sql}}
      assert.equal(0, done.code, done.stderr)
    end, "sqlite " .. path)
  end)

  it("says what it needs", function()
    local done = process.run{cmd = {paths.weir, "verify"}}
    assert.equal(2, done.code)
    assert.truthy(done.stderr:find("SCRIPT is missing", 1, true))
    done = verify({STREAM = events()})
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("declares no stream with sinks", 1, true), done.stderr)
  end)
end)

describe("weir verify with MariaDB", function()
  if mariadb.missing() then
    return pending "mariadb is not installed"
  end

  it("finds and mends what differs", function()
    local db = mariadb.start()
    for _, layout in ipairs{"json", "columns"} do
      mends({KIND = "mysql", DB = db:url(layout), LAYOUT = layout}, function()
        db:ask(layout, FORGET)
      end)
    end
    db:close()
  end)
end)

describe("weir verify with Redis", function()
  local available, why = redis.available()
  if not available then
    return pending(why)
  end

  it("finds and mends what differs", function()
    local db = redis.start()
    mends({KIND = "redis", DB = db.url}, function()
      db:ask("HDEL", db:ask("KEYS", "weir:*:sync"), "notes")
    end)
    db:stop()
  end)
end)

local available, why = postgres.available()
if not available then
  pending("weir verify with PostgreSQL: " .. why)
  return
end

describe("weir verify with PostgreSQL", function()
  local db

  setup(function()
    db = postgres.start()
  end)

  teardown(function()
    db:close()
  end)

  it("finds and mends what differs", function()
    examine({STREAM = events(), DB = db.url, LAYOUT = "columns"}, function(sql)
      db:query(sql)
    end, "postgres /weir")
  end)

  it("mends either layout", function()
    for _, layout in ipairs{"json", "columns"} do
      local name = "either_" .. layout
      mends({KIND = "postgres", DB = db:database(name), LAYOUT = layout}, function()
        db:query(FORGET, name)
      end)
    end
  end)

  it("compares values, not texts", function()
    local url = db:database "values"
    local stream = events()
    run{STREAM = stream, DB = url}
    db:query([[UPDATE rows SET data = '{"text":"té 8","more":[1,100.0,{"a":2,"b":1}],"n":8}' WHERE id = 'k8';
      UPDATE rows SET data = '{"text":"té 9","more":[1,100.0,{"a":2,"b":2}],"n":9}' WHERE id = 'k9']], "values")
    local done = verify{STREAM = stream, DB = url}
    assert.equal(("room: postgres /values: rows/k9: other\nroom: postgres /values: 1 of %d rows differs (0 missing, "
      .. "0 extra, 1 other)\n"):format(ROWS - 1), done.stdout)
  end)

  it("compares up to the sink's place, whatever has come since", function()
    local url = db:database "place"
    local stream = events()
    run{STREAM = stream, DB = url}
    local more = io.open(stream, "a")
    more:write('{"type":"rows","key":"later","value":{"n":1,"text":""},"headers":{"operation":"insert"}}\n')
    more:close()
    local done = verify{STREAM = stream, DB = url}
    assert.equal(("room: postgres /place: equal, %d rows\n"):format(ROWS - 1), done.stdout)
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
  end)
end)
