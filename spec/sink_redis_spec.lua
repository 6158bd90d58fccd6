-- weir.sink.redis against a real server: what arrives, and what is there after whatever happens.

local changes = require "support.changes"
local cli = require "support.cli"
local kills = require "support.kills"
local ports = require "support.ports"
local redis = require "support.redis"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local change, insert = cli.change, cli.insert

local SCRIPT = [[
local weir = require "weir"

weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  live = weir.env("LIVE") ~= nil,
  limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), outage = weir.env("OUTAGE", "5m") },
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

local function rows(prefix)
  return (db:held(prefix))
end

describe("weir.sink.redis", function()
  it("holds what the state is", function()
    local events = changes.file{
      insert("users", "1", '{"name":"Ann","n":1.50}'),
      insert("users", "2", '{"name":"Bob"}'),
      change("users", "1", "patch", '{"age":3}'),
      insert("things", "a", "[1,null,true]"),
      change("users", "2", "delete"),
    }
    local expected = 'things/a [1,null,true]\nusers/1 {"name":"Ann","n":1.50,"age":3}'
    must{set = {STREAM = events, DB = db.url}}
    assert.equal(expected, rows())
    local sync = "weir:{" .. events .. "}:sync"
    assert.equal(events .. "\n5\n1", db:ask("HMGET", sync, "stream_url", "sequence", "epoch"))
    assert.equal("1\n1", db:ask("HMGET", "weir:{" .. events .. "}:types", "things", "users"))
    must{set = {STREAM = events, DB = db.url}}
    assert.equal(expected, rows())
    assert.equal("2", db:ask("HGET", sync, "epoch"))
    must{set = {STREAM = events, DB = db.url, PREFIX = "other-"}}
    assert.equal(expected, rows "other-")
  end)

  it("takes a reset, and what is behind it", function()
    local events = changes.file{
      insert("a", "1", "1"),
      insert("b", "2", "2"),
      '{"headers":{"control":"reset"}}',
      insert("a", "3", "3"),
    }
    must{set = {STREAM = events, DB = db.url}}
    assert.equal("a/3 3", rows())
    must{set = {STREAM = events, DB = db.url, ROWS = 1, PREFIX = "one-"}}
    assert.equal("a/3 3", rows "one-")
  end)

  it("keeps every key of a stream under one hash tag, whatever types and keys are", function()
    local hostile = {"}{", "{x}", "sync", "types", "Users", "users", "a b", "%7B",
      [[\r\n*1\r\n$8\r\nFLUSHALL\r\n]], [[\u0000\u0001]], [['\"\\]], [[é中\ud83d\ude00]]}
    local lines = {}
    for i, kind in ipairs(hostile) do
      lines[#lines + 1] = insert(kind, kind, tostring(i))
      lines[#lines + 1] = insert(kind, "gone")
      lines[#lines + 1] = change(kind, "gone", "delete")
    end
    local events = changes.file(lines)
    must{set = {STREAM = events, DB = db.url, ROWS = 3}}
    local tag = "weir:{" .. events .. "}:"
    assert.equal(tostring(#hostile + 2), db:ask "DBSIZE")
    for key in (db:ask("KEYS", "*") .. "\n"):gmatch "([^\n]*)\n" do
      assert.equal(tag, key:sub(1, #tag))
      assert.falsy(key:sub(#tag + 1):find "[{}%s]")
    end
    assert.equal(tostring(#hostile), db:ask("HLEN", tag .. "types"))
  end)

  it("is filled with a state that came from a snapshot", function()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = insert("t", ("k%d"):format(i), ('{"n":%d}'):format(i))
    end
    local events = changes.file(lines)
    local data = tmp.dir()
    must{script = SCRIPT:gsub("sinks = [^\n]*", ""), set = {STREAM = events}, args = {"--data", data}}
    must{set = {STREAM = events, DB = db.url}, args = {"--data", data}}
    must{set = {STREAM = events, DB = db.url, ROWS = 100, PREFIX = "o:"}}
    assert.equal(rows "o:", rows())
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
    local stream = changes.new{count = 4000, keys = 200, seed = kills.seed}
    local half = stream.count // 2
    local events = changes.file{table.unpack(stream.lines, 1, half)}
    local other = redis.start{appendonly = "yes"}
    local child = worker.spawn{script = SCRIPT, set = {STREAM = events, DB = other.url, ROWS = 25, LIVE = "1"},
      timeout = 60}
    local sync = "weir:{" .. events .. "}:sync"
    wait.till(function()
      return (tonumber(other:ask("HGET", sync, "commit")) or 0) > 5
    end, nil, "the first commits")
    other:crash()
    changes.append(events, table.unpack(stream.lines, half + 1)) -- however far it had come: there is more to store
    child:wait_for_output "trying again"
    other:launch()
    wait.till(function()
      return other:ask("HGET", sync, "sequence") == tostring(stream.count)
    end, nil, "the last commit")
    child:signal "INT"
    local done = child:wait()
    assert.equal(130, done.code, done.stderr)
    assert.equal(stream:rows(stream.count), (other:held()))
    other:stop()
  end)

  it("stops by name where the server comes back with nothing, and starts anew", function()
    local source = server.start()
    local url = source:stream "room"
    source:append(url, insert("t", "1", "1"))
    local other = redis.start()
    local child = worker.spawn{script = SCRIPT, set = {STREAM = url, DB = other.url, LIVE = "1"}, timeout = 60}
    wait.till(function()
      return (other:held()) ~= ""
    end, nil, "the first row")
    other:crash()
    other:launch()
    source:append(url, insert("t", "2", "2"))
    local done = child:wait(worker.patience(20))
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("the server has lost what it had stored of stream " .. url, 1, true), done.stderr)
    assert.equal("0", other:ask "DBSIZE")
    must{set = {STREAM = url, DB = other.url}}
    assert.equal("t/1 1\nt/2 2", (other:held()))
    other:stop()
    source:stop()
  end)

  it("lets the newer of two workers take over", function()
    local source = server.start()
    local url = source:stream "room"
    source:append(url, insert("t", "1", "1"))
    local set = {STREAM = url, DB = db.url, LIVE = "1"}
    local epoch = "weir:{" .. url .. "}:sync"
    local older = worker.spawn{script = SCRIPT, set = set, timeout = 60}
    wait.till(function()
      return rows() ~= ""
    end, nil, "the first row")
    local newer = worker.spawn{script = SCRIPT, set = set, timeout = 60}
    wait.till(function()
      return db:ask("HGET", epoch, "epoch") == "2"
    end, nil, "the second worker")
    source:append(url, insert("t", "2", "2"))
    local done = older:wait(worker.patience(20))
    assert.equal(1, done.code)
    local expected = "another worker has taken over stream " .. url .. " (its epoch is 2, ours 1)"
    assert.truthy(done.stderr:find(expected, 1, true), done.stderr)
    wait.till(function()
      return rows() == "t/1 1\nt/2 2"
    end, nil, "the second row")
    newer:signal "INT"
    newer:wait(worker.patience(20))
    source:stop()
  end)

  it("stops by name where a key was removed or is somebody else's", function()
    local events = changes.file{insert("users", "1", "1")}
    local key = "weir:{" .. events .. "}:t:users"
    must{set = {STREAM = events, DB = db.url}}
    db:ask("DEL", key)
    changes.append(events, insert("users", "2", "2"))
    local done = run{set = {STREAM = events, DB = db.url}}
    assert.equal(1, done.code)
    local expected = "the key " .. key .. " has 0 entities where weir has stored 1"
    assert.truthy(done.stderr:find(expected, 1, true), done.stderr)
    db:ask("SET", "o:{" .. events .. "}:t:users", "x")
    done = run{set = {STREAM = events, DB = db.url, PREFIX = "o:"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("}:t:users is not weir's (it is a string", 1, true), done.stderr)
    assert.equal("", rows())
  end)

  it("gives up by name when an outage lasts, and shows no password", function()
    local events = changes.file{insert("users", "1", "1")}
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
  -- A node of its own, which answers over TCP too.
  local function node()
    local number, bus = ports.free(), ports.free()
    local each = redis.start{arguments = {"--port", tostring(number), "--cluster-enabled", "yes", "--bind", "127.0.0.1",
      "--cluster-port", tostring(bus)}}
    each.port, each.bus = number, bus
    return each
  end

  it("follows the stream's slot to the node that has it", function()
    local one, two = node(), node()
    local stream = changes.new{count = 2000, seed = kills.seed}
    local events = changes.file(stream.lines)
    one:ask("CLUSTER", "MEET", "127.0.0.1", tostring(two.port), tostring(two.bus))
    one:ask("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    two:ask("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    for _, each in ipairs{one, two} do
      wait.till(function()
        return each:ask("CLUSTER", "INFO"):find("cluster_state:ok", 1, true)
      end, nil, "the cluster")
    end
    local slot = tonumber(one:ask("CLUSTER", "KEYSLOT", "weir:{" .. events .. "}:sync"))
    local far, near = slot < 8192 and two or one, slot < 8192 and one or two
    local done = must{set = {STREAM = events, DB = "redis://127.0.0.1:" .. far.port, ROWS = 25}}
    assert.truthy(done.stderr:find("MOVED", 1, true), done.stderr)
    assert.equal("0", far:ask "DBSIZE")
    assert.equal(stream:rows(stream.count), (near:held()))
    one:stop()
    two:stop()
  end)
end)
