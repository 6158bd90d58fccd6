-- Streams with sinks: what a database holds after any end of a worker, and what handlers are called for again. The
-- sink is SQLite, or one of Lua functions.

local cli = require "support.cli"
local kills = require "support.kills"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local change, insert = cli.change, cli.insert

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

-- Prints the number of each message that it handles.
local SCRIPT = [[
  local weir = require "weir"
  io.stdout:setvbuf "line"
  local sinks = { weir.sink.sqlite { path = weir.env "DB" } }
  if weir.env("DB2", "") ~= "" then
    sinks[2] = weir.sink.sqlite { path = weir.env "DB2" }
  end
  local room = weir.stream { name = "room", url = weir.env "URL", live = weir.env("LIVE", "no") ~= "no",
    snapshot = weir.env("SNAPSHOT", "merge"), sinks = sinks, onInvalid = weir.env "POLICY", offset = weir.env "OFFSET",
    deadletter = weir.env "LETTERS",
    limits = { sinkRows = tonumber(weir.env("ROWS", "20")), sinkDelay = weir.env("DELAY", "10ms") } }
  local types = weir.env("RULES", "") ~= "" and { "t" } or {}
  for _, type in ipairs(types) do
    room:validate(type, function(event) return event.new == nil or event.new.n % 11 ~= 0, "eleven" end)
  end
  room:onChange(function(state, event)
    print(event.txid or event.key, event.live)
    if event.key == weir.env "WAIT" then weir.sleep "1h" end
    if event.key == weir.env "STOP" then error "stopped" end
  end)
  if weir.env("QUIET", "") ~= "" then room._handlers.allChange[1] = nil end
  room:onUpToDate(function(state) print("up to date", state:size()) end)
]]

local function options_of(url, db, options)
  options = options or {}
  local set = {URL = url, DB = db}
  for name, value in pairs(options.set or {}) do
    set[name] = value
  end
  return {script = options.script or SCRIPT, set = set, args = options.args, timeout = 60}
end

local function run(url, db, options)
  return (worker.run(options_of(url, db, options)))
end

local function expect(done, code)
  assert.equal(code or 0, done.code, done.stderr:sub(-2000))
  return done
end

local function sql(db, text)
  local done = process.run{cmd = {"sqlite3", db, ".timeout 5000", text}}
  assert.equal(0, done.code, done.stderr)
  return done.stdout
end

--- All rows of a type, one a line; "" where there is no such table.
local function rows(db, type)
  if sql(db, ("select name from sqlite_master where name = '%s'"):format(type)) == "" then
    return ""
  end
  return sql(db, ("select id, data from %s order by id"):format(type))
end

local function place(db)
  local text = sql(db, "select sequence, notes from _sync_state")
  return tonumber(text:match "^%d+"), text
end

local function lines(text)
  return #worker.lines(text)
end

describe("a stream with a sink", function()
  it("brings each change to it", function()
    local db, url = tmp.dir() .. "/room.db", s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b", '{"x":1,"y":2}') .. "," .. insert("u", "a") .. "]")
    s:append(url, "[" .. change("t", "b", "patch", '{"y":null,"z":[3]}') .. "," .. change("t", "a", "delete") .. "]")
    expect(run(url, db))
    assert.equal('b|{"x":1,"z":[3]}\n', rows(db, "t"))
    assert.equal("a|1\n", rows(db, "u"))
    assert.equal(5, (place(db)))
    s:append(url, '[{"headers":{"control":"reset"}},' .. insert("t", "c", "3") .. "]")
    local done = expect(run(url, db))
    assert.equal("c|3\n", rows(db, "t"))
    assert.equal("", rows(db, "u"))
    assert.equal("c\tnil\nup to date\t1\n", done.stdout)
  end)

  it("brings what a live stream gets, when it gets it", function()
    local db, url = tmp.dir() .. "/room.db", s:stream()
    local child = worker.spawn(options_of(url, db, {set = {LIVE = "yes", DELAY = "1h", ROWS = "100000"}}))
    child:wait_for_output "up to date\t0"
    s:append(url, insert("t", "a"))
    wait.till(function()
      return rows(db, "t") == "a|1\n"
    end, nil, "the row of a live event")
    assert.equal("a\ttrue\n", child:stdout():match "[^\n]*true\n")
    child:signal "INT"
    assert.equal(130, child:wait().code)
  end)

  it("commits what was handled when it is stopped, and no more", function()
    for name, case in pairs{
      interrupted = {set = {WAIT = "k1"}, code = 130, handled = 0},
      failed = {set = {STOP = "k3"}, code = 1, handled = 2},
    } do
      local db, url = tmp.dir() .. "/room.db", s:stream()
      s:append(url, "[" .. insert("t", "k1") .. "," .. insert("t", "k2") .. "," .. insert("t", "k3") .. "," ..
        insert("t", "k4") .. "]")
      case.set.ROWS, case.set.DELAY = "1000", "1h"
      local child = worker.spawn(options_of(url, db, {set = case.set}))
      if case.set.WAIT then
        child:wait_for_output "k1"
        child:signal "INT"
      end
      assert.equal(case.code, child:wait().code, name)
      assert.equal(case.handled, (place(db) or 0), name)
      assert.equal(case.handled, lines(rows(db, "t")), name)
      local done = expect(run(url, db))
      assert.equal(4 - case.handled + 1, lines(done.stdout), name)
      assert.equal(4, lines(rows(db, "t")), name)
    end
  end)

  it("commits what was handled before an event whose handler waits", function()
    local db, url = tmp.dir() .. "/room.db", s:stream()
    s:append(url, "[" .. insert("t", "k1") .. "," .. insert("t", "k2") .. "]")
    local child = worker.spawn(options_of(url, db, {set = {LIVE = "yes", WAIT = "k2", ROWS = "1000"}}))
    wait.till(function()
      return tmp.read(db) and rows(db, "t") == "k1|1\n"
    end, nil, "the first row")
    assert.equal(1, (place(db)))
    child:kill()
  end)

  it("hands on nothing again of what was refused before", function()
    local db, url, letters = tmp.dir() .. "/room.db", s:stream(), tmp.dir() .. "/letters"
    local set = {POLICY = "deadletter", LETTERS = letters, RULES = "yes"}
    s:append(url, "[" .. insert("t", "a", '{"n":1}') .. "," .. insert("t", "b", '{"n":11}') .. ',{"no":"event"}]')
    expect(run(url, db, {set = set}))
    assert.equal('a|{"n":1}\n', rows(db, "t"))
    assert.equal(2, lines(tmp.read(letters)))
    s:append(url, insert("t", "c", '{"n":22}'))
    local done = expect(run(url, db, {set = set}))
    assert.equal(3, lines(tmp.read(letters)))
    assert.equal(1, select(2, done.stderr:gsub("to the dead letters", "")))
    assert.equal(4, (place(db)))
  end)

  it("fills one that is new with a state that was restored", function()
    local dir, url = tmp.dir(), s:stream()
    local args = {"--data", dir .. "/data"}
    local texts = {}
    for i = 1, 95 do
      texts[i] = insert("t", "k" .. i)
    end
    s:append(url, "[" .. table.concat(texts, ",") .. "]")
    expect(run(url, dir .. "/one.db", {args = args}))
    s:append(url, insert("u", "z"))
    local done = expect(run(url, dir .. "/one.db", {args = args, set = {DB2 = dir .. "/two.db"}}))
    assert.matches("is filled with the state of message 95", done.stderr)
    assert.equal("z\tnil\nup to date\t96\n", done.stdout)
    assert.equal(95, lines(rows(dir .. "/two.db", "t")))
    for _, type in ipairs{"t", "u"} do
      assert.equal(rows(dir .. "/one.db", type), rows(dir .. "/two.db", type))
    end
  end)

  it("does without a snapshot that is ahead of it", function()
    local dir, url = tmp.dir(), s:stream()
    local args, db = {"--data", dir .. "/data"}, dir .. "/room.db"
    s:append(url, insert("t", "a"))
    expect(run(url, db, {args = args}))
    os.execute(("cp %s %s.old"):format(db, db))
    s:append(url, insert("t", "b"))
    expect(run(url, db, {args = args}))
    os.execute(("rm -f %s*; cp %s.old %s"):format(db .. "-", db, db))
    s:append(url, insert("t", "c"))
    local done = expect(run(url, db, {args = args}))
    assert.matches("it is ahead of sqlite .-: message 2 of the stream, the sink is at 1. The snapshot is not used",
      done.stderr)
    assert.equal("b\tnil\nc\tnil\nup to date\t3\n", done.stdout)
    assert.equal("a|1\nb|1\nc|1\n", rows(db, "t"))
  end)

  it("refuses a stream that cannot be the one it was filled from", function()
    local db, url = tmp.dir() .. "/room.db", s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "]")
    expect(run(url, db))
    s:request("DELETE", url)
    s:request("PUT", url, {headers = {["Content-Type"] = "application/json"}})
    s:append(url, insert("t", "c"))
    local done = expect(run(url, db), 1)
    assert.matches("room: the stream ends after 1 messages, and sqlite .* has come to message 2 of it before",
      done.stderr)
    assert.equal("a|1\nb|1\n", rows(db, "t"))
    done = expect(run(url, db, {set = {OFFSET = "now"}}), 1)
    assert.matches('room: a stream with sinks cannot be read from offset "now"', done.stderr)
    done = expect(run(url, db, {set = {OFFSET = "0000000000000000_0000000000000000"}}), 1)
    assert.matches("room: sqlite .* was filled from the stream read from offset %-1 on", done.stderr)
  end)

  it("refuses one that was made anew behind a snapshot, where a sink is further than that", function()
    local dir, url = tmp.dir(), s:stream()
    local db, args = dir .. "/room.db", {"--data", dir .. "/data"}
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "]")
    expect(run(url, db, {args = args}))
    assert(os.execute(("cp -r '%s/data' '%s/kept'"):format(dir, dir)))
    s:append(url, insert("t", "c"))
    expect(run(url, db, {args = args}))
    assert(os.execute(("rm -r '%s/data' && mv '%s/kept' '%s/data'"):format(dir, dir, dir)))
    s:request("DELETE", url)
    s:request("PUT", url, {headers = {["Content-Type"] = "application/json"}})
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "," .. insert("t", "x") .. "," ..
      insert("t", "d") .. "]")
    local done = expect(run(url, db, {args = args}), 1)
    assert.matches("goes on from the snapshot", done.stderr)
    assert.matches("the first 3 messages of the stream are not those that sqlite .* its snapshot out of %-%-data",
      done.stderr)
    assert.equal("a|1\nb|1\nc|1\n", rows(db, "t"))
  end)

  it("refuses one that was made anew, and is longer than it was", function()
    for _, case in ipairs{
      {first = insert("t", "a"), ends = true},
      {first = insert("t", "x")},
      {first = insert("t", "a", "2")},
      {first = change("t", "a", "delete")},
      {first = '{"no":"event"}'},
    } do
      local db, url = tmp.dir() .. "/room.db", s:stream()
      local set = {POLICY = "skip"}
      s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b", '{"a":\n1}') .. "]")
      expect(run(url, db, {set = set}))
      s:request("DELETE", url)
      s:request("PUT", url, {headers = {["Content-Type"] = "application/json"}})
      s:append(url, "[" .. case.first .. "," .. insert("t", "b", '{"a":1}') .. "," .. insert("t", "c") .. "]")
      local done = expect(run(url, db, {set = set}), case.ends and 0 or 1)
      assert.equal(case.ends and 3 or 2, (place(db)))
      if not case.ends then
        assert.matches("room: the first 2 messages of the stream are not those that sqlite .* was filled from: it " ..
          "has been made anew since, or its beginning is gone", done.stderr)
        assert.equal('a|1\nb|{"a":1}\n', rows(db, "t"))
        sql(db, "update _sync_state set notes = null") -- who knows better
        expect(run(url, db, {set = set}))
        assert.equal(3, (place(db)))
      end
    end
  end)

  it("needs sinks that can be opened, and names the one that cannot", function()
    local url = s:stream()
    local done = expect(run(url, "/no/such/folder/room.db"), 1)
    assert.matches("/no/such/folder/room.db", done.stderr)
  end)
end)

describe("a sink of Lua functions", function()
  -- Keeps its place in a file, and prints what it gets.
  local OWN = [[
    local weir = require "weir"
    io.stdout:setvbuf "line"
    local path = weir.env "DB"
    local room
    local function committed()
      if weir.env("AGAIN", "") ~= "" then
        weir.after(0, function() room:replay() print "again" weir.stop() end)
      end
    end
    local sink = weir.sink { name = "own",
      open = function()
        local file = io.open(path)
        local text = file and file:read "a"
        if file then file:close() end
        return text and weir.json.decode(text) or nil
      end,
      write = function(row)
        if row.key and row.key:find "^bad" then return false, "not this one" end
        print(row.op, row.type, row.key, row.value, row.sequence)
        if weir.env("SLOW", "") ~= "" then weir.sleep(0.2) end
      end,
      commit = function(place)
        local file = assert(io.open(path, "w"))
        file:write(weir.json.encode(place))
        file:close()
        print("commit", place.sequence)
        committed()
      end,
    }
    room = weir.stream { name = "room", url = weir.env "URL", live = weir.env("LIVE", "no") ~= "no",
      sinks = { sink }, onInvalid = weir.env "POLICY", snapshot = weir.env("SNAPSHOT", "merge"),
      deadletter = weir.env "LETTERS", limits = { sinkRows = 3, sinkDelay = "1h" } }
    if weir.env("ASK", "") ~= "" then
      room:onInvalid(function(event, issues)
        print("asked", event.type, event.key, event.value and event.value.x, event.operation, issues[1].message)
        if event.key == "bad" then weir.sleep(0.01) end
        if weir.env "ASK" == "raise" then error "no idea" end
        return weir.env "ASK"
      end)
    end
    if weir.env("BATCHES", "") ~= "" then
      room:onBatch(function(batch) print("batch", #batch.items) end)
    end
  ]]

  it("gets the rows in order, and is asked for its place", function()
    local path, url = tmp.dir() .. "/place", s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. ',{"headers":{"control":"reset"}},' ..
      insert("u", "c", '"x"') .. "," .. change("u", "d", "delete") .. "]")
    local done = expect(run(url, path, {script = OWN}))
    assert.equal("put\tt\ta\t1\t0\nput\tt\tb\t1\t1\nclear\tnil\tnil\tnil\t2\ncommit\t3\n" ..
      "put\tu\tc\tx\t3\ndelete\tu\td\tnil\t4\ncommit\t5\n", done.stdout)
    assert.equal("", expect(run(url, path, {script = OWN})).stdout)
  end)

  it("may refuse a row, which goes where refused messages go", function()
    local path, url, letters = tmp.dir() .. "/place", s:stream(), tmp.dir() .. "/letters"
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "bad", '{"x":"y"}') .. "]")
    local done = expect(run(url, path, {script = OWN}), 1)
    assert.matches("room: offset %-1, message 2: t/bad: own: not this one", done.stderr)
    done = expect(run(url, path, {script = OWN, set = {POLICY = "deadletter", LETTERS = letters}}))
    assert.matches("commit\t2\n", done.stdout)
    local letter = tmp.read(letters)
    assert.matches('"index":1', letter)
    assert.matches('"event":"{\\"type\\":\\"t\\",\\"key\\":\\"bad\\",\\"value\\":{\\"x\\":\\"y\\"},', letter)
  end)

  it("may refuse rows that onInvalid, a function, is asked about", function()
    local path, url, letters = tmp.dir() .. "/place", s:stream(), tmp.dir() .. "/letters"
    local events = {insert("t", "a"), insert("t", "bad", '{"x":"y"}'), change("t", "bad2", "delete"), insert("t", "c")}
    s:append(url, "[" .. table.concat(events, ",") .. "]")
    local asked = "asked\tt\tbad\ty\tupsert\troom: offset -1, message 2: t/bad: own: not this one\n"
    for answer, expected in pairs{
      stop = "weir: room: offset %-1, message 2: t/bad: own: not this one\n",
      raise = "weir: room: offset %-1, message 2: [^\n]*no idea",
    } do
      local done = expect(run(url, path, {script = OWN, set = {ASK = answer}}), 1)
      assert.equal("put\tt\ta\t1\t0\n" .. asked, done.stdout)
      assert.matches(expected, done.stderr)
      assert.is_nil(tmp.read(path))
    end
    local done = expect(run(url, path, {script = OWN, set = {ASK = "deadletter", LETTERS = letters}}))
    assert.equal("put\tt\ta\t1\t0\n" .. asked ..
      "asked\tt\tbad2\tnil\tdelete\troom: offset -1, message 3: t/bad2: own: not this one\n" ..
      "commit\t3\nput\tt\tc\t1\t3\ncommit\t4\n", done.stdout)
    assert.equal(2, lines(tmp.read(letters)))
    os.remove(path)
    done = expect(run(url, path, {script = OWN, set = {ASK = "skip"}}))
    assert.matches("commit\t4\n", done.stdout)
    assert.equal(2, select(2, done.stderr:gsub("skipped: room", "")))
    assert.equal(2, lines(tmp.read(letters)))
  end)

  it("ends its commit when the worker is stopped", function()
    local path, url = tmp.dir() .. "/place", s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "]")
    local child = worker.spawn(options_of(url, path, {script = OWN, set = {LIVE = "yes", SLOW = "yes"}}))
    child:wait_for_output "put\tt\ta"
    child:signal "INT"
    local done = child:wait()
    assert.equal(130, done.code, done.stderr)
    assert.equal("put\tt\ta\t1\t0\nput\tt\tb\t1\t1\ncommit\t2\n", done.stdout)
  end)

  it("gets nothing again where the script has the stream read again", function()
    for _, snapshot in ipairs{"merge", "replace"} do
      local path, url = tmp.dir() .. "/place", s:stream()
      s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "]")
      local done = expect(run(url, path, {script = OWN, set = {LIVE = "yes", AGAIN = "yes", SNAPSHOT = snapshot}}))
      assert.equal("put\tt\ta\t1\t0\nput\tt\tb\t1\t1\ncommit\t2\nagain\n", done.stdout)
    end
  end)

  it("gets the differences where a state is replaced", function()
    local path, url = tmp.dir() .. "/place", s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. ',{"headers":{"control":"snapshot-start"}},' ..
      insert("t", "b", "2") .. "," .. insert("t", "c", "3") .. ',{"headers":{"control":"snapshot-end"}}]')
    local done = expect(run(url, path, {script = OWN, set = {SNAPSHOT = "replace", BATCHES = "yes"}}))
    assert.matches("delete\tt\ta\tnil\t5\nput\tt\tb\t2\t5\nput\tt\tc\t3\t5\n", done.stdout)
    assert.matches("commit\t6\n$", done.stdout)
  end)
end)

---------------------------------------------------------------------------------------------------
-- Kills

--- A log at random, and what the state is after each number of messages: fn(n) -> as `rows` has it.
local function random_log(count, options)
  local messages, steps = {}, {}
  for n = 0, count - 1 do
    local key, kind = "k" .. math.random(40), math.random(100)
    local headers = ('"headers":{"txid":"%d",'):format(n)
    if kind == 1 and options.resets then
      messages[n + 1], steps[n + 1] = '{"headers":{"control":"reset"}}', {op = "reset"}
    elseif kind == 2 then
      messages[n + 1], steps[n + 1] = '{"neither":"nor"}', {}
    elseif kind <= 20 then
      messages[n + 1] = ('{"type":"t","key":"%s",%s"operation":"delete"}}'):format(key, headers)
      steps[n + 1] = {op = "delete", key = key}
    else
      local value = ('{"n":%d,"text":"%s"}'):format(n, ("x"):rep(math.random(60)))
      messages[n + 1] = ('{"type":"t","key":"%s","value":%s,%s"operation":"upsert"}}'):format(key, value, headers)
      steps[n + 1] = {op = "put", key = key, value = value, n = n}
    end
  end
  local function state_after(n)
    local state, ids = {}, {}
    for i = 1, n do
      local step = steps[i]
      if step.op == "reset" then
        state = {}
      elseif step.op == "delete" or (step.op == "put" and (not options.rules or step.n % 11 ~= 0)) then
        state[step.key] = step.value
      end
    end
    for id in pairs(state) do
      ids[#ids + 1] = id
    end
    table.sort(ids)
    for i, id in ipairs(ids) do
      ids[i] = id .. "|" .. state[id] .. "\n"
    end
    return table.concat(ids)
  end
  return messages, state_after
end

--- Runs the worker and kills it after so many seconds, if it is there still.
local function run_killed(seconds, options)
  options.killed = seconds
  return (worker.run(options))
end

local function seconds_of(fn)
  local before = wait.now()
  fn()
  return wait.now() - before
end

local function is_set_up(db)
  return tmp.read(db) and sql(db, "select name from sqlite_master where name = '_sync_state'") ~= ""
end

--- How far a sink is, that may not be there yet.
local function reached(db)
  return is_set_up(db) and place(db) or 0
end

--- It was being filled with a whole state.
local function partial(db)
  return is_set_up(db) and select(2, place(db)):find "partial" ~= nil
end

--- No handler was called for a message that had been committed before the run.
local function check_handled(done, from)
  for line in done.stdout:gmatch "[^\n]+" do
    local n = tonumber(line:match "^(%d+)\t")
    assert.is_true(not n or n >= from, ("message %s was handled again, from %d on they are new"):format(line, from))
  end
end

describe("a worker that is killed at any instant", function()
  for name, case in pairs{
    ["reading a file"] = {},
    ["with snapshots"] = {data = true},
    ["with rules, from a server"] = {server = true, rules = true},
    ["two sinks"] = {data = true, two = true},
    ["without handlers, from a server, with snapshots"] = {server = true, data = true, quiet = true},
  } do
    it("leaves exactly what lies before its place: " .. name, function()
      math.randomseed(kills.seed)
      local dir = tmp.dir()
      local messages, state_after = random_log(3000, {resets = true, rules = case.rules})
      local url = dir .. "/events"
      if case.server then
        url = s:stream()
        for i = 1, #messages, 700 do
          s:append(url, "[" .. table.concat(messages, ",", i, math.min(i + 699, #messages)) .. "]")
        end
      else
        tmp.write(url, table.concat(messages, "\n") .. "\n")
      end
      local set = {POLICY = "skip", RULES = case.rules and "yes" or "", QUIET = case.quiet and "yes" or ""}
      local second = dir .. "/second.db"
      local args = case.data and {"--data", dir .. "/data", "--snapshot-every", "5ms"} or {}
      local whole = seconds_of(function()
        expect(run(url, dir .. "/whole.db", {set = set}))
      end)
      local db = dir .. "/room.db"
      set.DB2 = case.two and second or nil
      local dbs = {db, set.DB2}
      local options = options_of(url, db, {set = set, args = args})
      for _ = 1, kills.count do
        local from = {}
        for i, path in ipairs(dbs) do
          from[i] = reached(path)
        end
        if math.min(table.unpack(from)) == #messages then
          os.execute("rm -rf " .. db .. "* " .. second .. "* " .. dir .. "/data")
          from = {0, 0}
        end
        local done = run_killed(math.random() * whole, options)
        check_handled(done, math.min(table.unpack(from)))
        for i, path in ipairs(dbs) do
          local now = reached(path)
          assert.is_true(now >= from[i])
          if not partial(path) then
            assert.equal(state_after(now), rows(path, "t"), "at message " .. now)
          end
        end
      end
      expect(run(url, db, {set = set, args = args}))
      for _, path in ipairs(dbs) do
        assert.equal(#messages, (place(path)))
        assert.equal(rows(dir .. "/whole.db", "t"), rows(path, "t"))
        assert.equal(state_after(#messages), rows(path, "t"))
      end
    end)
  end

  it("ends with the same where a state is replaced", function()
    math.randomseed(kills.seed)
    local dir = tmp.dir()
    local messages = random_log(3000, {resets = true})
    for i = 500, 2500, 500 do
      messages[i] = '{"headers":{"control":"snapshot-start"}}'
      messages[i + 60] = '{"headers":{"control":"snapshot-end"}}'
    end
    local set = {SNAPSHOT = "replace", POLICY = "skip", ROWS = "30"}
    local db, url = dir .. "/room.db", s:stream()
    local at = 1
    for _ = 1, kills.count do
      local last = math.min(#messages, at + math.random(400))
      if at <= last then
        s:append(url, "[" .. table.concat(messages, ",", at, last) .. "]")
        at = last + 1
      end
      run_killed(0.02 + math.random() * 0.1, options_of(url, db, {set = set}))
      if math.random(3) == 1 then
        expect(run(url, db, {set = set}))
        expect(run(url, dir .. "/whole.db", {set = set}))
        assert.equal(rows(dir .. "/whole.db", "t"), rows(db, "t"))
        os.remove(dir .. "/whole.db")
      end
    end
  end)
end)
