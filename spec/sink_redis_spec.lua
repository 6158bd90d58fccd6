-- weir.sink.redis against a real server: what arrives, and what is there after whatever happens.

local kills = require "support.kills"
local paths = require "support.paths"
local process = require "support.process"
local redis = require "support.redis"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local SEED = kills.seed

local SCRIPT = [[
local weir = require "weir"

weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  live = weir.env("LIVE") ~= nil,
  limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), outage = weir.env("OUTAGE", "20s") },
  sinks = { weir.sink.redis { url = weir.env("DB"), prefix = weir.env("PREFIX") } },
}
]]

local available, why = redis.available()
if not available then
  pending("weir.sink.redis: " .. why)
  return
end

local db

setup(function()
  db = redis.start()
end)

teardown(function()
  db:stop()
end)

before_each(function()
  db:ask "FLUSHALL"
end)

local function change(operation, kind, key, value)
  return ('{"type":%s,"key":%s,%s"headers":{"operation":"%s"}}'):format(kind, key,
    value and ('"value":%s,'):format(value) or "", operation)
end

local function file(lines)
  return tmp.file("events.jsonl", table.concat(lines, "\n") .. "\n")
end

local function run(options)
  return worker.run{
    script = options.script or SCRIPT,
    set = options.set,
    args = {"--once", table.unpack(options.args or {})},
    timeout = options.timeout or 60,
  }
end

local function must(options)
  local done = run(options)
  assert.equal(0, done.code, done.stderr)
  return done
end

local function random_events(count, keys, seed)
  math.randomseed(seed)
  local lines = {}
  for i = 1, count do
    local kind = ('"t%d"'):format(math.random(3))
    local key = ('"k%d"'):format(math.random(keys))
    local what = math.random(100)
    if i % 997 == 0 then
      lines[i] = '{"headers":{"control":"reset"}}'
    elseif what <= 70 then
      lines[i] = change("upsert", kind, key, ('{"n":%d,"text":"%s"}'):format(i, ("x"):rep(math.random(60))))
    elseif what <= 85 then
      lines[i] = change("patch", kind, key, ('{"p":%d}'):format(i))
    else
      lines[i] = change("delete", kind, key)
    end
  end
  return lines
end

describe("weir.sink.redis", function()
  it("holds what the state is", function()
    local events = file{
      change("insert", '"users"', '"1"', '{"name":"Ann","n":1.50}'),
      change("insert", '"users"', '"2"', '{"name":"Bob"}'),
      change("patch", '"users"', '"1"', '{"age":3}'),
      change("insert", '"things"', '"a"', "[1,null,true]"),
      change("delete", '"users"', '"2"'),
    }
    local expected = '== things\n"a" [1,null,true]\n== users\n"1" {"name":"Ann","n":1.50,"age":3}'
    must{set = {STREAM = events, DB = db.url}}
    assert.equal(expected, db:dump())
    local sync = "weir:{" .. events .. "}:sync"
    assert.equal(events .. "\n5\n1", db:ask("HMGET", sync, "stream_url", "sequence", "epoch"))
    assert.equal("1\n1", db:ask("HMGET", "weir:{" .. events .. "}:types", "things", "users"))
    must{set = {STREAM = events, DB = db.url}}
    assert.equal(expected, db:dump())
    assert.equal("2", db:ask("HGET", sync, "epoch"))
    must{set = {STREAM = events, DB = db.url, PREFIX = "other-"}}
    assert.equal(expected, db:dump "other-")
  end)

  it("takes a reset, and what is behind it", function()
    local events = file{
      change("insert", '"a"', '"1"', "1"),
      change("insert", '"b"', '"2"', "2"),
      '{"headers":{"control":"reset"}}',
      change("insert", '"a"', '"3"', "3"),
    }
    must{set = {STREAM = events, DB = db.url}}
    assert.equal('== a\n"3" 3', db:dump())
    must{set = {STREAM = events, DB = db.url, ROWS = 1, PREFIX = "one-"}}
    assert.equal('== a\n"3" 3', db:dump "one-")
  end)

  it("keeps every key of a stream under one hash tag, whatever types and keys are", function()
    local hostile = {[["}{"]], [["{x}"]], [["sync"]], [["types"]], [["Users"]], [["users"]], [["a b"]], [["%7B"]],
      [["\r\n*1\r\n$8\r\nFLUSHALL\r\n"]], [["\u0000\u0001"]], [["'\"\\"]], [["é中\ud83d\ude00"]]}
    local lines = {}
    for i, kind in ipairs(hostile) do
      lines[#lines + 1] = change("insert", kind, kind, tostring(i))
      lines[#lines + 1] = change("insert", kind, '"gone"', "1")
      lines[#lines + 1] = change("delete", kind, '"gone"')
    end
    local events = file(lines)
    must{set = {STREAM = events, DB = db.url, ROWS = 3}}
    local tag = "weir:{" .. events .. "}:"
    assert.equal(tostring(#hostile + 2), db:ask "DBSIZE")
    for key in (db:ask("KEYS", "*") .. "\n"):gmatch "([^\n]*)\n" do
      assert.equal(tag, key:sub(1, #tag))
      assert.falsy(key:sub(#tag + 1):find "[{}%s]")
    end
    local _, count = db:dump():gsub("== ", "")
    assert.equal(#hostile, count)
  end)

  it("is filled with a state that came from a snapshot", function()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = change("insert", '"t"', ('"k%d"'):format(i), ('{"n":%d}'):format(i))
    end
    local events = file(lines)
    local data = tmp.dir()
    must{script = SCRIPT:gsub("sinks = [^\n]*", ""), set = {STREAM = events}, args = {"--data", data}}
    must{set = {STREAM = events, DB = db.url}, args = {"--data", data}}
    must{set = {STREAM = events, DB = db.url, ROWS = 100, PREFIX = "o:"}}
    assert.equal(db:dump "o:", db:dump())
    assert.equal("3000", db:ask("HLEN", "weir:{" .. events .. "}:t:t"))
  end)

  kills.of{
    sink = 'weir.sink.redis { url = weir.env "DB" }',
    fresh = function()
      db:ask "FLUSHALL"
      return db.url
    end,
    held = function() return db:held() end,
  }

  it("goes on when a server that logs its writes is killed and comes back", function()
    local events = file(random_events(4000, 400, SEED))
    must{set = {STREAM = events, DB = db.url, ROWS = 25}}
    local other = redis.start{appendonly = "yes"}
    local child = worker.spawn{script = SCRIPT, set = {STREAM = events, DB = other.url, ROWS = 25}, args = {"--once"},
      timeout = 60}
    local sync = "weir:{" .. events .. "}:sync"
    wait.till(function()
      return (tonumber(other:ask("HGET", sync, "commit")) or 0) > 5
    end, 20, "the first commits")
    other:crash()
    other:launch()
    local done = child:wait(worker.patience(40))
    assert.equal(0, done.code, done.stderr)
    assert.truthy(done.stderr:find("trying again", 1, true), done.stderr)
    assert.equal(db:dump(), other:dump())
    other:stop()
  end)

  it("stops by name where the server comes back with nothing, and starts anew", function()
    local source = server.start()
    local url = source:stream "room"
    source:append(url, change("insert", '"t"', '"1"', "1"))
    local other = redis.start()
    local child = worker.spawn{script = SCRIPT, set = {STREAM = url, DB = other.url, LIVE = "1"}, timeout = 60}
    wait.till(function()
      return other:dump():find("== t", 1, true)
    end, 20, "the first row")
    other:crash()
    other:launch()
    source:append(url, change("insert", '"t"', '"2"', "2"))
    local done = child:wait(worker.patience(20))
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("the server has lost what it had stored of stream " .. url, 1, true), done.stderr)
    assert.equal("0", other:ask "DBSIZE")
    must{set = {STREAM = url, DB = other.url}}
    assert.equal('== t\n"1" 1\n"2" 2', other:dump())
    other:stop()
    source:stop()
  end)

  it("lets the newer of two workers take over", function()
    local source = server.start()
    local url = source:stream "room"
    source:append(url, change("insert", '"t"', '"1"', "1"))
    local set = {STREAM = url, DB = db.url, LIVE = "1"}
    local epoch = "weir:{" .. url .. "}:sync"
    local older = worker.spawn{script = SCRIPT, set = set, timeout = 60}
    wait.till(function()
      return db:dump():find("== t", 1, true)
    end, 20, "the first row")
    local newer = worker.spawn{script = SCRIPT, set = set, timeout = 60}
    wait.till(function()
      return db:ask("HGET", epoch, "epoch") == "2"
    end, 20, "the second worker")
    source:append(url, change("insert", '"t"', '"2"', "2"))
    local done = older:wait(worker.patience(20))
    assert.equal(1, done.code)
    local expected = "another worker has taken over stream " .. url .. " (its epoch is 2, ours 1)"
    assert.truthy(done.stderr:find(expected, 1, true), done.stderr)
    wait.till(function()
      return db:dump() == '== t\n"1" 1\n"2" 2'
    end, 20, "the second row")
    newer:signal "INT"
    newer:wait(worker.patience(20))
    source:stop()
  end)

  it("stops by name where a key was removed or is somebody else's", function()
    local events = file{change("insert", '"users"', '"1"', "1")}
    local key = "weir:{" .. events .. "}:t:users"
    must{set = {STREAM = events, DB = db.url}}
    db:ask("DEL", key)
    local more = io.open(events, "a")
    more:write(change("insert", '"users"', '"2"', "2"), "\n")
    more:close()
    local done = run{set = {STREAM = events, DB = db.url}}
    assert.equal(1, done.code)
    local expected = "the key " .. key .. " has 0 entities where weir has stored 1"
    assert.truthy(done.stderr:find(expected, 1, true), done.stderr)
    db:ask("SET", "o:{" .. events .. "}:t:users", "x")
    done = run{set = {STREAM = events, DB = db.url, PREFIX = "o:"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("}:t:users is not weir's (it is a string", 1, true), done.stderr)
    assert.equal("", db:dump())
  end)

  it("gives up by name when an outage lasts, and shows no password", function()
    local events = file{change("insert", '"users"', '"1"', "1")}
    local done = run{set = {STREAM = events, DB = "unix://:s3cret@/nowhere/s", OUTAGE = "300ms"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find "Redis at /nowhere/s: .*; gave up after .* s %(limits.outage%)", done.stderr)
    assert.falsy(done.stderr:find("s3cret", 1, true))
    done = run{set = {STREAM = events, DB = "redis://:s3cret@localhost/x"}}
    assert.truthy(done.stderr:find("the number of the database is wrong", 1, true), done.stderr)
    assert.falsy(done.stderr:find("s3cret", 1, true))
  end)
end)

describe("weir.sink.redis in a cluster", function()
  local function port()
    return math.random(20000, 45000)
  end

  -- A node of its own, which answers over TCP too.
  local function node()
    local number = port()
    local each = redis.start{arguments = {"--port", tostring(number), "--cluster-enabled", "yes", "--bind", "127.0.0.1",
      "--cluster-port", tostring(number + 10000)}}
    each.port = number
    return each
  end

  it("follows the stream's slot to the node that has it", function()
    local one, two = node(), node()
    local events = file(random_events(2000, 100, SEED))
    one:ask("CLUSTER", "MEET", "127.0.0.1", tostring(two.port))
    one:ask("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    two:ask("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    for _, each in ipairs{one, two} do
      wait.till(function()
        return each:ask("CLUSTER", "INFO"):find("cluster_state:ok", 1, true)
      end, 30, "the cluster")
    end
    local slot = tonumber(one:ask("CLUSTER", "KEYSLOT", "weir:{" .. events .. "}:sync"))
    local far, near = slot < 8192 and two or one, slot < 8192 and one or two
    local done = must{set = {STREAM = events, DB = "redis://127.0.0.1:" .. far.port, ROWS = 25}}
    assert.truthy(done.stderr:find("MOVED", 1, true), done.stderr)
    assert.equal("0", far:ask "DBSIZE")
    must{set = {STREAM = events, DB = db.url}}
    assert.equal(db:dump(), near:dump())
    one:stop()
    two:stop()
  end)
end)
