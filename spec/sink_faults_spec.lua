-- What each sink does when its database has no room, loses what it had, or is started again: it waits, or stops by
-- name, and nothing is lost or doubled. What is covered where ("own": spec/sink_NAME_spec.lua):
--
--              server restarted   no room        connection cut    table dropped       letter waits
--   sqlite     own (locks)        here           own (kill -9)     own, here (live)    here
--   postgres   own                here, own      own               own, here (live)    here, twice
--   mysql      own                here           own               own, here (live)    here
--   redis      own                here           own (crash)       own, here (live)    -
--   search     -                  here           own (chaos)       own                 here
--   stream     here               -              own               own (deleted)       deadletter_spec
--   lua        sink_lua_spec: whatever its functions raise; deadletter_spec: letters

local cli = require "support.cli"
local databases = require "support.databases"
local disk = require "support.disk"
local json
local search = require "support.search"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local insert = cli.insert

local SCRIPT = "local weir = require 'weir'\n" .. databases.SINK .. [[
  local sinks = { the_sink() }
  local out
  if weir.env("OUT", "") ~= "" then
    out = weir.sink.stream { url = weir.env "OUT" }
    sinks[2] = out
  end
  local room = weir.stream { name = "room", url = weir.env "STREAM", live = weir.env("LIVE", "no") ~= "no",
    sinks = sinks, onInvalid = weir.env("INVALID", "stop"), deadletter = weir.env "LETTERS",
    limits = { sinkRows = 50, sinkDelay = "20ms", outage = weir.env("OUTAGE", "5m") } }
  if out then
    room:onChange(function(_, event) out:insert("copy", event.key, event.value) end)
  end
]]

local s
setup(function()
  json = require("weir").json
  s = server.start()
end)
teardown(function()
  databases.stop()
  s:stop()
end)

local function options(place, set)
  local all = {}
  for name, value in pairs(place.set) do
    all[name] = value
  end
  for name, value in pairs(set) do
    all[name] = value
  end
  return {script = SCRIPT, set = all, timeout = 60}
end

--- Rows of 8 kB that cannot be compressed to much less.
local function many(count)
  math.randomseed(7)
  local lines = {}
  for i = 1, count do
    local words = {}
    for w = 1, 500 do
      words[w] = ("%016x"):format(math.random(0))
    end
    lines[i] = insert("t", "k" .. i, '"' .. table.concat(words) .. '"')
  end
  return tmp.file("events.jsonl", table.concat(lines, "\n") .. "\n")
end

for kind, db in databases.each() do
  local why = db.missing()
  describe("weir.sink." .. kind, function()
    if why then
      pending(why)
      return
    end

    it("waits while there is no room, and goes on when there is", function()
      local possible, reason = disk.available(tmp.dir())
      if kind ~= "redis" and not possible then
        pending(reason)
        return
      end
      local place, count = db.new(), 1000
      place:fill()
      local child = worker.spawn(options(place, {STREAM = many(count)}))
      finally(function()
        child:kill()
        place:remove()
      end)
      wait.till(function()
        return child:stderr():find("trying again", 1, true)
      end, worker.patience(30), function() return "no room: " .. child:stderr() end)
      local sequence, rows, again
      wait.till(function() -- it tries again and again: of one moment
        sequence, rows, again = place:sequence() or 0, place:count(), place:sequence() or 0
        return sequence == again
      end)
      assert.is_true(sequence < count)
      assert.equal(sequence, rows)
      place:room()
      local done = child:wait(worker.patience(60))
      assert.equal(0, done.code, done.stderr)
      assert.equal(count, place:sequence())
      assert.equal(count, place:count())
    end)

    it("stops by name where what it stored in goes while it runs", function()
      local place, url = db.new(), s:stream()
      s:append(url, insert("t", "a"))
      local child = worker.spawn(options(place, {STREAM = url, LIVE = "yes"}))
      finally(function() child:kill() end)
      wait.till(function()
        return place:sequence() == 1
      end, worker.patience(15), function() return "the first row: " .. child:stderr() end)
      place:drop()
      s:append(url, insert("t", "b"))
      local done = child:wait(worker.patience(15))
      assert.equal(1, done.code, done.stderr)
      assert.matches("room: " .. kind .. ".*" .. db.gone, done.stderr)
      assert.equal(1, place:sequence())
    end)

    it("commits no place behind a refused row whose letter is not stored", function()
      local place, url, dead = db.new(), s:stream(), s:stream "dead"
      local set = {STREAM = url, LETTERS = dead, INVALID = "deadletter"}
      if kind == "redis" then
        return -- only what is longer than 512 MB is refused
      end
      s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b\\u0000") .. "," .. insert("t", "c") .. "]")
      s:inject(dead, {status = 503, count = 1000, method = "POST"})
      local child = worker.spawn(options(place, set))
      finally(function() child:kill() end)
      child:wait_for_output("trying again", worker.patience(15))
      assert.is_nil(place:sequence() ~= 0 and place:sequence() or nil)
      child:kill()
      s:clear_faults()
      local done = worker.run(options(place, set))
      assert.equal(0, done.code, done.stderr)
      assert.equal(3, place:sequence())
      assert.equal(2, place:count())
      assert.equal(1, #json.decode(s:read(dead).body))
    end)
  end)
end

-- Some rows are refused by the database only when it has them: it is found out which in a transaction of its own.
describe("weir.sink.postgres, where a constraint refuses a row,", function()
  local db
  for kind, each in databases.each() do
    db = kind == "postgres" and each or db
  end
  if db.missing() then
    pending(db.missing())
    return
  end

  it("commits no place behind it before its letter is stored", function()
    local place, url, dead = db.new(), s:stream(), s:stream "dead"
    local set = {STREAM = url, LETTERS = dead, INVALID = "deadletter"}
    s:append(url, insert("t", "a"))
    assert.equal(0, worker.run(options(place, set)).code)
    place:ask "ALTER TABLE t ADD CHECK (id <> 'no')"
    s:append(url, "[" .. insert("t", "b") .. "," .. insert("t", "no") .. "," .. insert("t", "c") .. "]")
    s:inject(dead, {status = 503, count = 1000, method = "POST"})
    local child = worker.spawn(options(place, set))
    finally(function() child:kill() end)
    child:wait_for_output("trying again", worker.patience(15))
    assert.equal(1, place:sequence())
    assert.equal("0", place:ask "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
    s:clear_faults()
    local done = child:wait(worker.patience(30))
    assert.equal(0, done.code, done.stderr)
    assert.equal(4, place:sequence())
    assert.equal(3, place:count())
    assert.equal(1, #json.decode(s:read(dead).body))
  end)
end)

describe("weir.sink.search", function()
  local SEARCH = [[
    local weir = require "weir"
    weir.stream { name = "room", url = weir.env "STREAM", live = false, onInvalid = weir.env("INVALID", "stop"),
      deadletter = weir.env "LETTERS", limits = { sinkRows = 2 },
      sinks = { weir.sink.search { url = weir.env "DB", dialect = weir.env "DIALECT", prefix = "w-" } } }
  ]]
  local full = {
    elasticsearch = '{"match":"^(PUT|POST) ","count":6,"status":403,' ..
      '"body":{"error":{"type":"cluster_block_exception"}}}',
    typesense = '{"match":"^POST ","count":6,"status":422,' ..
      '"body":{"message":"Rejecting write: running out of resource type: OUT_OF_DISK"}}',
  }
  for dialect, fault in pairs(full) do
    it("waits while its server has no room: " .. dialect, function()
      local db = search.start()
      finally(function() db:stop() end)
      local events = {insert("t", "a", '{"n":1}'), insert("t", "b", '{"n":2}'), insert("t", "c", '{"n":3}'), ""}
      local set = {DB = db.url, DIALECT = dialect, STREAM = tmp.file("events.jsonl", table.concat(events, "\n"))}
      db:faults("[" .. fault .. "]")
      local done = worker.run{script = SEARCH, set = set, timeout = 60}
      assert.equal(0, done.code, done.stderr)
      assert.matches("trying again", done.stderr)
      local count = 0
      for name, documents in pairs(db:dump()) do
        for _ in pairs(name:find "sync" and {} or documents) do
          count = count + 1
        end
      end
      assert.equal(3, count)
    end)

    it("commits no place behind a refused row whose letter is not stored: " .. dialect, function()
      local db, dead = search.start(), s:stream "dead"
      local set = {DB = db.url, DIALECT = dialect, LETTERS = dead, INVALID = "deadletter", STREAM = tmp.file(
        "events.jsonl", insert("t", "a", '{"n":1}') .. "\n" .. insert("t", ("k"):rep(600), '{"n":2}') .. "\n")}
      local function place()
        for name, documents in pairs(db:dump()) do
          local _, document = next(documents)
          if name:find "sync" then
            return document.sequence
          end
        end
      end
      s:inject(dead, {status = 503, count = 1000, method = "POST"})
      local child = worker.spawn{script = SEARCH, set = set, timeout = 60}
      finally(function()
        child:kill()
        db:stop()
      end)
      child:wait_for_output("trying again", worker.patience(15))
      assert.is_nil(place())
      child:kill()
      s:clear_faults()
      local done = worker.run{script = SEARCH, set = set, timeout = 60}
      assert.equal(0, done.code, done.stderr)
      assert.equal(2, tonumber(place()))
      assert.equal(1, #json.decode(s:read(dead).body))
    end)
  end
end)

describe("weir.sink.stream", function()
  it("waits while its server is down, and stores each output once", function()
    local target = server.start{kind = "weir", dataDir = tmp.dir()}
    local lines = {}
    for i = 1, 300 do
      lines[i] = insert("t", "k" .. i)
    end
    local place = {set = {KIND = "sqlite", DB = tmp.dir() .. "/db"}}
    local out = target.url .. "/v1/stream/out"
    local child = worker.spawn(options(place, {STREAM = tmp.file("events.jsonl", table.concat(lines, "\n") .. "\n"),
      OUT = out}))
    finally(function()
      child:kill()
      target:stop()
    end)
    local function stored()
      local answer = target:request("GET", out .. "?offset=-1")
      return answer.status == 200 and json.decode(answer.body) or {}
    end
    wait.till(function() return #stored() > 10 or not child:running() end, worker.patience(20), "some output")
    target:crash()
    target:restart()
    local done = child:wait(worker.patience(40))
    assert.equal(0, done.code, done.stderr)
    local list = stored()
    assert.equal(#lines, #list)
    for i, event in ipairs(list) do
      assert.equal("k" .. i, event.key)
    end
  end)
end)
