-- weir.sink.search against a server that does what the documentation of Elasticsearch and Typesense says.

local changes = require "support.changes"
local cli = require "support.cli"
local kills = require "support.kills"
local paths = require "support.paths"
local process = require "support.process"
local search = require "support.search"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local weir = require "weir"

local SEED = kills.seed
local change, insert = cli.change, cli.insert

local SCRIPT = [[
local weir = require "weir"

weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  live = weir.env("LIVE") ~= nil,
  onInvalid = weir.env("INVALID", "stop"),
  deadletter = weir.env("LETTERS"),
  limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), outage = weir.env("OUTAGE", "5m") },
  sinks = {
    weir.sink.search {
      url = weir.env("DB"), dialect = weir.env("DIALECT"), prefix = "w-", apiKey = weir.env("KEY"),
    },
  },
}
]]

local function run(set)
  return worker.run{script = SCRIPT, set = set, args = {"--once"}, timeout = 60}
end

local function must(set)
  local done = run(set)
  assert.equal(0, done.code, done.stderr)
  return done
end

-- Types whose names are those of their indexes.
local function random_events(count, keys, seed)
  math.randomseed(seed)
  local lines = {}
  for i = 1, count do
    local kind, key = "t" .. math.random(3), "k " .. math.random(keys)
    local what = math.random(100)
    if i % 397 == 0 then
      lines[i] = '{"headers":{"control":"reset"}}'
    elseif what <= 70 then
      local text = ("x"):rep(math.random(60))
      lines[i] = change(kind, key, "upsert", ('{"n":%d,"id":"own","text":"%s"}'):format(i, text))
    elseif what <= 85 then
      lines[i] = change(kind, key, "patch", ('{"p":%d}'):format(i))
    else
      lines[i] = change(kind, key, "delete")
    end
  end
  return lines
end

-- The documents that a stream adds up to.
local function documents(stream, dialect)
  local done = process.run{cmd = {paths.weir, "state", stream}}
  assert.equal(0, done.code, done.stderr)
  local all = {}
  for kind, entities in pairs(weir.json.decode(done.stdout)) do
    local out = {}
    for key, value in pairs(entities) do
      local id = key
      if dialect == "typesense" then
        id = key:gsub("[^%w_.-]", function(c)
          return ("~%02X"):format(c:byte())
        end)
        value.id = id
      end
      out[id] = value
    end
    all["w-" .. kind] = out
  end
  return all
end

for _, dialect in ipairs{"elasticsearch", "typesense"} do
  describe("weir.sink.search, dialect " .. dialect, function()
    local db

    before_each(function()
      db = search.start()
    end)

    after_each(function()
      db:stop()
    end)

    local function set(more)
      local all = {DB = db.url, DIALECT = dialect}
      for name, value in pairs(more) do
        all[name] = value
      end
      return all
    end

    it("holds what the state is, and goes on where it was", function()
      local lines = random_events(1500, 60, SEED)
      local events = changes.file{table.unpack(lines, 1, 1000)}
      must(set{STREAM = events, ROWS = 100})
      assert.same({}, db:differences(documents(events, dialect)))
      tmp.write(events, table.concat(lines, "\n") .. "\n")
      must(set{STREAM = events, ROWS = 100})
      assert.same({}, db:differences(documents(events, dialect)))
    end)

    it("has a name of its own for each type, whatever it is called", function()
      local hostile = {"Users", "users", "_all", "..", "a,b", "a/../b", "*", "weir-sync-state", "users--1", "ü", "a b"}
      local lines = {}
      for i, kind in ipairs(hostile) do
        lines[i] = insert(kind, "../_all?x", ('{"n":%d}'):format(i))
      end
      must(set{STREAM = changes.file(lines)})
      local count = 0
      for name, docs in pairs(db:dump()) do
        if name ~= "w-weir-sync-state" then
          count = count + 1
          assert.truthy(name:find "^w%-[%l%d][%l%d_.-]*$", name)
          assert.truthy(docs[dialect == "typesense" and "..~2F_all~3Fx" or "../_all?x"])
        end
      end
      assert.equal(#hostile, count)
    end)

    it("endures a server that breaks off, is too busy, or takes only some of the rows", function()
      local events = changes.file(random_events(1500, 60, SEED))
      db:chaos(SEED, 0.15)
      must(set{STREAM = events, ROWS = 100})
      db:chaos()
      assert.same({}, db:differences(documents(events, dialect)), "seed " .. SEED)
    end)

    it("is that of an uninterrupted run after kill -9", function()
      local lines, events = random_events(3000, 60, SEED), changes.file{}
      for i = 1, kills.count do
        changes.append(events, table.unpack(lines, (i - 1) * #lines // kills.count + 1, i * #lines // kills.count))
        local done = worker.run{script = SCRIPT, set = set{STREAM = events, ROWS = 25}, args = {"--once"},
          killed = 0.03 + math.random() * 0.3, timeout = 60}
        assert.truthy(done.code == 137 or done.code == 0, done.stderr)
      end
      must(set{STREAM = events, ROWS = 25})
      assert.same({}, db:differences(documents(events, dialect)), "seed " .. SEED)
    end)

    it("lets the newer of two workers take over", function()
      local source = server.start()
      local url = source:stream "room"
      source:append(url, insert("t", "1", '{"n":1}'))
      local older = worker.spawn{script = SCRIPT, set = set{STREAM = url, LIVE = "1"}, timeout = 60}
      local function stored(count)
        wait.till(function()
          local all = db:dump()
          local docs, n = all["w-t"] or all["w-t--1"] or {}, 0
          for _ in pairs(docs) do
            n = n + 1
          end
          return n == count
        end, worker.patience(20), "row " .. count)
      end
      stored(1)
      local before = #db:requests()
      local newer = worker.spawn{script = SCRIPT, set = set{STREAM = url, LIVE = "1"}, timeout = 60}
      wait.till(function()
        return #db:requests() >= before + 2 and newer:running()
      end, worker.patience(20), "the second worker")
      wait.till(function()
        local _, place = next(db:dump()["w-weir-sync-state"])
        return place.epoch == 2
      end, worker.patience(20), "its epoch")
      source:append(url, insert("t", "2", '{"n":2}'))
      local done = older:wait(worker.patience(20))
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("another worker has taken over stream " .. url, 1, true), done.stderr)
      stored(2)
      newer:signal "INT"
      newer:wait(worker.patience(20))
      source:stop()
    end)

    it("hands rows that do not fit to the dead letters", function()
      local letters = tmp.file "letters.jsonl"
      local events = changes.file{
        insert("t", "1", '{"v":1}'),
        insert("t", "2", '{"v":{"not":"a number"}}'),
        insert("t", ("k"):rep(600), '{"v":3}'),
        insert("t", "4", '{"v":4}'),
      }
      must(set{STREAM = events, INVALID = "deadletter", LETTERS = letters})
      local text = tmp.read(letters)
      assert.truthy(text:find("does not take t/2: ", 1, true), text)
      assert.truthy(text:find("longer than 512 bytes", 1, true), text)
      local _, count = text:gsub("\n", "")
      assert.equal(2, count)
      local id = dialect == "typesense" and {["1"] = {v = 1, id = "1"}, ["4"] = {v = 4, id = "4"}}
        or {["1"] = {v = 1}, ["4"] = {v = 4}}
      assert.same({}, db:differences{["w-t"] = id})
      local done = run(set{STREAM = changes.file{insert("s", "1", '{"v":1}'),
        insert("s", "2", '{"v":{}}')}})
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("does not take s/2: ", 1, true), done.stderr)
    end)

    it("stops by name where what it stored in was removed", function()
      local events = changes.file{insert("t", "1", '{"n":1}')}
      must(set{STREAM = events})
      db:remove(dialect == "typesense" and "w-t" or "w-t--1")
      db:remove "w-weir-sync-state"
      must(set{STREAM = events}) -- everything gone: filled anew
      assert.same({}, db:differences(documents(events, dialect)))
    end)
  end)
end

describe("weir.sink.search", function()
  it("shows no key, and names what is not allowed", function()
    local db = search.start{key = "s3cret"}
    local events = changes.file{insert("t", "1", '{"n":1}')}
    for _, dialect in ipairs{"elasticsearch", "typesense"} do
      local done = run{STREAM = events, DB = db.url, DIALECT = dialect, KEY = "wr0ng"}
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("the server answered 401", 1, true), done.stderr)
      assert.falsy(done.stderr:find("wr0ng", 1, true))
    end
    must{STREAM = events, DB = db.url, DIALECT = "elasticsearch", KEY = "s3cret"}
    db:stop()
    local done = run{STREAM = events, DB = db.url, DIALECT = "elasticsearch", OUTAGE = "300ms"}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find "gave up after .* s %(limits.outage%)", done.stderr)
  end)
end)
