-- Derived streams end to end: each output once and in order, whatever happens to the worker, to connections and to
-- the target. What scripts may write to one, and when, is spec/derived_lua_spec.lua's.

local kills = require "support.kills"
local paths = require "support.paths"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local json
local s

setup(function()
  json = require("weir").json
  s = server.start()
end)

teardown(function()
  s:stop()
end)

-- Of each value that no 3 divides: the value, and, of even ones, how often its key came so far (which the state knows).
local SCRIPT = [[
  local weir = require "weir"
  local out = weir.sink.stream { url = weir.env "OUT", name = "out", create = weir.env("CREATE", "yes") == "yes" }
  local sinks = { out }
  if weir.env("DB", "") ~= "" then
    sinks[2] = weir.sink.sqlite { path = weir.env "DB" }
  end
  local room = weir.stream {
    url = weir.env "URL", name = "room", live = weir.env("LIVE", "no") == "yes", sinks = sinks,
    onInvalid = weir.env("POLICY", "stop"), deadletter = weir.env("LETTERS", "/dev/null"),
    limits = { sinkRows = 20, connect = "5m", outage = weir.env("OUTAGE", "5m") },
  }
  room:onChange(function(_, event)
    local n = event.value.n
    if n % 3 ~= 0 then
      out:append { n = n }
      if n % 2 == 0 then out:append { n = n, before = event.old and event.old.n or 0 } end
    end
  end)
]]

local function lines(first, last)
  local list = {}
  for n = first, last do
    list[#list + 1] = ('{"type":"t","key":"k%d","value":{"n":%d},"headers":{"operation":"upsert"}}'):format(n % 7, n)
  end
  return "[" .. table.concat(list, ",") .. "]"
end

local function expected(count)
  local list = {}
  for n = 1, count do
    if n % 3 ~= 0 then
      list[#list + 1] = tostring(n)
      if n % 2 == 0 then
        list[#list + 1] = ("%d<%d"):format(n, n > 7 and n - 7 or 0)
      end
    end
  end
  return table.concat(list, " ")
end

local function stored(url)
  local list = {}
  for i, each in ipairs(json.decode(s:read(url).body)) do
    list[i] = each.before and ("%d<%d"):format(each.n, each.before) or tostring(each.n)
  end
  return table.concat(list, " ")
end

local function options(set, args)
  return { script = SCRIPT, set = set, args = args, timeout = 40 }
end

local function run(set, args)
  return worker.run(options(set, args))
end

local function succeeds(set, args)
  local done = run(set, args)
  assert.equal(0, done.code, done.stderr)
  return done
end

local fresh = 0

-- A stream that is not there yet.
local function target()
  fresh = fresh + 1
  return ("%s/v1/stream/derived-%d"):format(s.url, fresh)
end

describe("a derived stream", function()
  it("is made, gets what is emitted, and no more when it is emitted again", function()
    local url, out = s:stream("room"), target()
    s:append(url, lines(1, 60))
    succeeds { URL = url, OUT = out }
    assert.equal(expected(60), stored(out))
    succeeds { URL = url, OUT = out }
    assert.equal(expected(60), stored(out))
    s:append(url, lines(61, 90))
    succeeds { URL = url, OUT = out }
    assert.equal(expected(90), stored(out))
  end)

  -- What has been stored is the beginning of what is to be.
  local function check(out, count)
    local answer = s:request("GET", out .. "?offset=-1")
    local now = answer.status ~= 404 and stored(out) or ""
    local whole = expected(count)
    assert.equal(now, whole:sub(1, #now))
    assert.is_true(now == "" or now == whole or whole:sub(#now + 1, #now + 1) == " ")
    return #now, now == whole
  end

  -- Workers are killed at random instants while the source grows. begin() gives the database and the arguments of those
  -- that are to go on where the ones before were killed.
  local function survives(case, begin)
    local seen = { nothing = 0, ["a part"] = 0, everything = 0 }
    local kept, set, args, count, length, whole
    local function finish()
      for _ = 1, 2 do
        succeeds(set, args)
        assert.equal(expected(count), stored(set.OUT))
      end
    end
    math.randomseed(kills.seed + case)
    for i = 1, (kills.count + 2) // 3 do
      if i % 20 == 1 then
        kept, args = begin()
        set = { URL = s:stream "room", OUT = target(), DB = kept }
        count, length = 0, 0
      end
      local all = options({ URL = set.URL, OUT = set.OUT, DB = set.DB, LIVE = "yes" }, args)
      all.killed = math.random() * (paths.sanitized and 1.2 or 0.2)
      local child = worker.spawn(all)
      for _ = 1, 2 do
        local more = math.random(150)
        s:append(set.URL, lines(count + 1, count + more))
        count = count + more
      end
      local done = child:wait(worker.patience(20))
      assert.equal(137, done.code, done.stderr)
      local before = length
      length, whole = check(set.OUT, count)
      local what = whole and "everything" or length == before and "nothing" or "a part"
      seen[what] = seen[what] + 1
      if i % 20 == 0 then
        finish()
      end
    end
    finish()
    kills.report(("weir.sink.stream, seed %d, case %d: killed when it had stored nothing new %d, a part %d, all %d")
      :format(kills.seed, case, seen.nothing, seen["a part"], seen.everything))
  end

  it("holds each output once, in order, after kill -9, with the place kept nowhere", function()
    survives(1, function() end)
  end)

  it("likewise with snapshots", function()
    survives(2, function() return nil, { "--data", tmp.dir(), "--snapshot-every", "20ms" } end)
  end)

  it("likewise with a database beside it, which keeps the place", function()
    survives(3, function() return tmp.file "room.db" end)
  end)

  it("likewise where connections break and the server is busy", function()
    local url, out = s:stream("room"), s:stream("out")
    s:append(url, lines(1, 120))
    s:inject(out, { dropConnection = true, method = "POST", count = 60, probability = 0.3 })
    succeeds { URL = url, OUT = out }
    assert.equal(expected(120), stored(out))
    s:append(url, lines(121, 180))
    s:inject(out, { status = 503, method = "POST", count = 5 })
    succeeds { URL = url, OUT = out }
    s:clear_faults()
    assert.equal(expected(180), stored(out))
  end)

  it("is stored once by two workers at once, each of which may hear of the other", function()
    local url, out = s:stream("room"), s:stream("out")
    local set = { URL = url, OUT = out, LIVE = "yes" }
    local one, two = worker.spawn(options(set)), worker.spawn(options(set))
    for i = 0, 9 do
      s:append(url, lines(i * 20 + 1, i * 20 + 20))
    end
    local whole = expected(200)
    wait.till(function() return stored(out) == whole end, worker.patience(20), "all outputs")
    one:signal "INT"
    two:signal "INT"
    assert.equal(130, one:wait(worker.patience(10)).code)
    assert.equal(130, two:wait(worker.patience(10)).code)
    assert.equal(whole, stored(out))
  end)

  it("takes what several streams emit", function()
    local first, second, out = s:stream("one"), s:stream("two"), s:stream("out")
    local script = [[
      local weir = require "weir"
      local out = weir.sink.stream { url = weir.env "OUT", name = "out" }
      for _, name in ipairs { "ONE", "TWO" } do
        weir.stream { url = weir.env(name), live = false, sinks = { out } }:onChange(function(_, event)
          out:append { from = name, n = event.value.n }
        end)
      end
    ]]
    s:append(first, lines(1, 40))
    s:append(second, lines(1, 30))
    for _ = 1, 2 do
      local done = worker.run { script = script, set = { ONE = first, TWO = second, OUT = out } }
      assert.equal(0, done.code, done.stderr)
    end
    local last = { ONE = 0, TWO = 0 }
    for _, each in ipairs(json.decode(s:read(out).body)) do
      assert.equal(last[each.from] + 1, each.n)
      last[each.from] = each.n
    end
    assert.same({ ONE = 40, TWO = 30 }, last)
  end)

  -- What a replay leaves out must not be taken for something that is stored.
  it("loses nothing where handlers emit only what is live", function()
    local url, out = s:stream("room"), s:stream("out")
    local script = [[
      local weir = require "weir"
      local out = weir.sink.stream { url = weir.env "OUT", name = "out" }
      local room = weir.stream { url = weir.env "URL", sinks = { out } }
      room:onChange(function(_, event)
        if event.live then out:append { n = event.value.n } end
      end)
      room:onUpToDate(function() print "ready" end)
    ]]
    for round = 1, 3 do
      local child = worker.spawn { script = script, set = { URL = url, OUT = out } }
      child:wait_for_output("ready", worker.patience(10))
      s:append(url, lines(round, round))
      wait.till(function() return stored(out):find(tostring(round), 1, true) end, worker.patience(10), "the output")
      child:kill()
    end
    assert.equal("1 2 3", stored(out))
  end)
end)

describe("a derived stream that cannot be written to", function()
  local function fails(set, reason)
    local done = run(set)
    assert.equal(1, done.code, done.stderr)
    assert.matches(reason, done.stderr:match "weir: ([^\n]*)\n$")
  end

  it("ends the worker by name", function()
    local url = s:stream("room")
    s:append(url, lines(1, 3))
    local closed, text = s:stream("closed"), s:stream("text", "text/plain")
    s:close(closed)
    fails({ URL = url, OUT = closed }, "room: out: http://[^ ]*closed[^ ]*: the stream is closed")
    fails({ URL = url, OUT = text }, "out: http://[^ ]*: its content type is text/plain, expected application/json")
    fails({ URL = url, OUT = target(), CREATE = "no" },
      "out: http://[^ ]*: 404: [^\n]*; create it, or leave out create = false")
    fails({ URL = url, OUT = "http://127.0.0.1:9/out", OUTAGE = "200ms" },
      "room: out: HEAD http://127.0.0.1:9/out: .*gave up after")
  end)

  it("because it was closed or deleted meanwhile, likewise", function()
    for what, reason in pairs { close = "closed", delete = "404" } do
      local url, out = s:stream("room"), s:stream("out")
      s:append(url, lines(1, 1))
      local child = worker.spawn(options { URL = url, OUT = out, LIVE = "yes" })
      wait.till(function() return stored(out) == "1" end, worker.patience(10), "the first output")
      s[what](s, out)
      s:append(url, lines(2, 2))
      local done = child:wait(worker.patience(10))
      assert.equal(1, done.code)
      assert.matches("weir: room: out: http://[^\n]*" .. reason, done.stderr)
    end
  end)

  it("for one event that is too large: that is a letter, the others are stored", function()
    local url, out, letters = s:stream("room"), s:stream("out"), tmp.file("letters")
    s:append(url, lines(1, 2))
    s:inject(out, { status = 413, method = "POST", count = 1 })
    fails({ URL = url, OUT = out }, "room: offset [^\n]*, message 1: out: [^\n]*413")
    s:inject(out, { status = 413, method = "POST", count = 1 })
    local done = run { URL = url, OUT = out, POLICY = "deadletter", LETTERS = letters }
    assert.equal(0, done.code, done.stderr)
    assert.equal("2 2<0", stored(out))
    local letter = json.decode(tmp.read(letters))
    assert.equal("out", letter.stream)
    assert.equal(out, letter.url)
    assert.equal(0, letter.sequence)
    assert.equal('{"n":1}', letter.event)
  end)
end)
