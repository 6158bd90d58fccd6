-- weir verify: sinks compared with their streams, and mended.

local paths = require "support.paths"
local postgres = require "support.postgres"
local process = require "support.process"
local tmp = require "support.tmp"
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

local function verify(set, ...)
  local cmd = {paths.weir, "verify", tmp.file("worker.lua", SCRIPT), ...}
  for name, value in pairs(set) do
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = name .. "=" .. value
  end
  return process.run{cmd = cmd, timeout = worker.patience(60)}
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

describe("weir verify", function()
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
