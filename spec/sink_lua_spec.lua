-- Sinks of a script's own functions, against the worker: what they are given and when, that they may wait, what a
-- refusal and an error do, and that one which keeps its place loses and doubles nothing, however often it is killed.

local cli = require "support.cli"
local process = require "support.process"
local tmp = require "support.tmp"

local insert, change = cli.insert, cli.change

local RESET = '{"headers":{"control":"reset"}}'

-- A worker script with a sink that prints what it is told.
local PRINTING = [[
  local weir = require "weir"
  local function place(p) return p.sequence end
  local functions = {
    begin = function(p) print("begin", place(p)) end,
    write = function(row)
      print(row.op, row.type, row.key, row.value and weir.json.encode(row.value), row.index, row.sequence)
    end,
    flush = function() print("flush") end,
    commit = function(p) print("commit", place(p)) end,
    rollback = function(err) print("rollback", (tostring(err):gsub("\n.*", ""))) end,
  }
  local function stream(options)
    local all = { name = "room", url = weir.env "EVENTS", live = false }
    for name, value in pairs(options) do all[name] = value end
    all.limits = all.limits or {}
    all.limits.sinkDelay = "1h" -- what is committed together does not depend on time
    return weir.stream(all)
  end
]]

local function run(text, options)
  return cli.script(PRINTING .. text, options)
end

local function assert_prints(expected, done)
  assert.equal(expected, done.stdout .. (done.code == 0 and "" or done.stderr))
  assert.equal(0, done.code)
end

local function events(...)
  return table.concat({ ... }, "\n") .. "\n"
end

describe("a sink of a script's own functions", function()
  it("is told what becomes of entities, between begin and commit", function()
    local done = run([[stream { sinks = { weir.sink(functions) } }]], {
      events = events(insert("users", "u1", '{"name":"Ada","n":1}'), change("users", "u1", "patch", '{"n":2}'),
        insert("rooms", "r"), change("users", "u1", "delete"), RESET, insert("users", "u2", "[1.50]")),
    })
    assert_prints([[
begin	6
put	users	u1	{"name":"Ada","n":1}	0	0
put	users	u1	{"name":"Ada","n":2}	1	1
put	rooms	r	1	2	2
delete	users	u1	nil	3	3
clear	nil	nil	nil	4	4
put	users	u2	[1.50]	5	5
flush
commit	6
]], done)
  end)

  it("needs no function but write", function()
    local done = run([[stream { sinks = { weir.sink { write = functions.write } } }]], { events = insert("t", "k") })
    assert_prints("put\tt\tk\t1\t0\t0\n", done)
  end)

  it("is given batches of the size that limits say", function()
    local lines = {}
    for i = 1, 7 do
      lines[i] = insert("t", "k" .. i)
    end
    local done = run([[stream { sinks = { weir.sink(functions) }, limits = { sinkRows = 3 } }]],
      { events = table.concat(lines, "\n") })
    local rows, total = 0, 0
    for line in done.stdout:gmatch "[^\n]+" do
      if line:find "^put" then
        rows, total = rows + 1, total + 1
      elseif line:find "^commit" then
        assert.is_true(rows <= 3, done.stdout)
        rows = 0
      end
    end
    assert.equal(7, total, done.stdout .. done.stderr)
    assert.matches("commit\t7\n$", done.stdout)
  end)

  it("gets the stream, the same table in each call, and one of its own for each stream", function()
    local done = run([[
      local both = weir.sink {
        write = function(row, s)
          s.rows = (s.rows or 0) + 1
        end,
        commit = function(_, s)
          print(s.url:match "[^/]*$", s.rows)
        end,
      }
      stream { name = "a", sinks = { both } }
      local other = weir.stream { name = "b", url = weir.env "EVENTS" .. ".more", live = false, sinks = { both } }
      local file = io.open(other.url, "w")
      file:write(weir.json.encode(weir.insert("t", "only", 1)), "\n")
      file:close()
    ]], { events = events(insert("t", "k1"), insert("t", "k2")) })
    assert.equal(0, done.code, done.stderr)
    local lines = {}
    for line in done.stdout:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "events\t2", "events.more\t1" }, lines)
  end)

  it("may wait in each of its functions, while others go on", function()
    local done = run([[
      local ticks = 0
      local timer = weir.every("1ms", function() ticks = ticks + 1 end)
      local waiting = {}
      for name, fn in pairs(functions) do
        waiting[name] = function(...)
          local before = ticks
          weir.sleep("20ms")
          assert(ticks > before, "nothing went on")
          fn(...)
          if name == "commit" then timer:stop() end
        end
      end
      waiting.open = function() weir.sleep("5ms") end
      stream { sinks = { weir.sink(waiting) } }
    ]], { events = insert("t", "k") })
    assert_prints("begin\t1\nput\tt\tk\t1\t0\t0\nflush\ncommit\t1\n", done)
  end)

  it("has finished before the worker ends", function()
    local done = run([[
      stream { sinks = { weir.sink { write = function() weir.sleep("100ms") print("written") end } } }
    ]], { events = events(insert("t", "k1"), insert("t", "k2")) })
    assert_prints("written\nwritten\n", done)
  end)

  it("is told once of each, whatever the sink beside it does", function()
    local done = run([[
      stream { sinks = { weir.sink { name = "slow", write = function() weir.sleep("10ms") end },
        weir.sink { name = "other", write = functions.write } } }
    ]], { events = events(insert("t", "k1"), insert("t", "k2")) })
    assert_prints("put\tt\tk1\t1\t0\t0\nput\tt\tk2\t1\t1\t1\n", done)
  end)
end)

describe("a row that the sink refuses", function()
  local REFUSING = [[
    local write = functions.write
    functions.name = "picky"
    functions.write = function(row)
      if row.key == "bad" then %s end
      return write(row)
    end
    stream { sinks = { weir.sink(functions) }, onInvalid = %s, deadletter = weir.env "DEAD" }
  ]]
  local EVENTS = events(insert("t", "k1"), insert("t", "bad"), insert("t", "k2"))
  local ALL = "begin\t3\nput\tt\tk1\t1\t0\t0\nput\tt\tk2\t1\t2\t2\nflush\ncommit\t3\n"

  for _, form in ipairs { 'return false, "not me"', 'error { refused = "not me" }' } do
    it("is passed over, and the rest is committed: " .. form, function()
      local done = run(REFUSING:format(form, '"skip"'), { events = EVENTS })
      assert_prints(ALL, done)
      assert.matches("picky: not me", done.stderr, 1, true)
      assert.matches("t/bad", done.stderr, 1, true)
    end)

    it("goes to the dead letters: " .. form, function()
      local dead = tmp.file "dead.jsonl"
      local done = run(REFUSING:format(form, '"deadletter"'), { events = EVENTS, set = { DEAD = dead } })
      assert_prints(ALL, done)
      local letter = tmp.read(dead)
      assert.matches("not me", letter, 1, true)
      assert.matches("bad", letter, 1, true)
      assert.equal(1, select(2, letter:gsub("\n", "")))
    end)

    it("stops the worker by name: " .. form, function()
      local done = run(REFUSING:format(form, '"stop"'), { events = EVENTS })
      assert.equal(1, done.code)
      assert.matches("^begin\t3\nput\tt\tk1\t1\t0\t0\nrollback\t", done.stdout)
      assert.is_nil(done.stdout:find("commit", 1, true))
      assert.matches("picky: not me", done.stderr, 1, true)
      assert.matches("t/bad", done.stderr, 1, true)
      assert.is_nil(done.stderr:find("traceback", 1, true))
    end)
  end
end)

describe("an error in a sink", function()
  local function failing(name, text)
    return run(([[
      functions.name = "mine"
      functions.%s = function(row) %s end
      stream { sinks = { weir.sink(functions) } }
    ]]):format(name, text or 'error("it broke")'), { events = events(insert("t", "k1"), insert("t", "k2")) })
  end

  it("rolls back and stops the worker, with the row and a traceback", function()
    local done = failing("write", 'if row.key == "k2" then error("it broke") end')
    assert.equal(1, done.code)
    assert.matches("rollback\t[^\n]*it broke\n$", done.stdout)
    assert.matches("mine: offset [^\n]*, message 2: t/k2: [^\n]*it broke", done.stderr)
    assert.matches("stack traceback", done.stderr, 1, true)
  end)

  for _, name in ipairs { "begin", "flush", "commit" } do
    it("in " .. name .. " rolls back, too", function()
      local done = failing(name)
      assert.equal(1, done.code)
      assert.matches("rollback\t[^\n]*it broke\n$", done.stdout)
      assert.matches("mine: [^\n]*it broke", done.stderr)
    end)
  end

  it("in rollback does not hide the one before", function()
    local done = run([[
      functions.commit = function() error("the first") end
      functions.rollback = function() error("the second") end
      stream { sinks = { weir.sink(functions) } }
    ]], { events = insert("t", "k") })
    assert.equal(1, done.code)
    assert.matches("weir: [^\n]*the first", done.stderr)
    assert.matches("rollback raised: [^\n]*the second", done.stderr)
  end)

  it("in open stops the worker before anything is read", function()
    local done = failing("open")
    assert.equal(1, done.code)
    assert.equal("", done.stdout)
    assert.matches("mine: [^\n]*it broke", done.stderr)
  end)

  it("names a place that is none", function()
    for given, message in pairs {
      ["5"] = "open returned 5: expected a place, as commit was given it, or nil",
      ["{}"] = "open returned a table: expected a place with a whole number as skip (it is nil)",
      ["{ skip = 1, sequence = -1 }"] =
        "open returned a table: expected a place with a whole number as sequence (it is -1)",
      ["{ skip = 1, sequence = 1, offset = 1 }"] =
        "open returned a table: expected a place with a string as offset (it is 1)",
    } do
      local done = failing("open", "return " .. given)
      assert.equal(1, done.code)
      assert.matches("mine: " .. message, done.stderr, 1, true)
    end
  end)

  it("is one that runs too long without waiting, too", function()
    local done = run([[
      stream { sinks = { weir.sink { name = "mine", write = function() while true do end end } } }
    ]], { events = insert("t", "k"), env = { WEIR_HANDLER_LIMIT = "300ms" } })
    assert.equal(1, done.code)
    assert.matches("mine: offset [^\n]*t/k: ", done.stderr)
  end)
end)

-- Keeps rows and place in a file, which is replaced as a whole; tells each write and each handler call.
local KEEPING = [[
  local weir = require "weir"
  local path = weir.env "KEPT"
  local sink = weir.sink {
    name = "kept",
    open = function(s)
      local file = io.open(path)
      s.kept = file and weir.json.decode(file:read "a") or { rows = {}, writes = 0 }
      return s.kept.place
    end,
    write = function(row, s)
      if row.op == "clear" then
        s.kept.rows = {}
        return
      end
      s.kept.rows[row.type .. "/" .. row.key] = row.value
      s.kept.writes = s.kept.writes + 1
    end,
    commit = function(place, s)
      s.kept.place = place
      local file <close> = assert(io.open(path .. ".new", "w"))
      assert(file:write(weir.json.encode(s.kept)))
      assert(file:close())
      assert(os.rename(path .. ".new", path))
    end,
  }
  local room = weir.stream { name = "room", url = weir.env "EVENTS", live = weir.env "LIVE" == "yes", sinks = { sink },
    limits = { sinkRows = 5 } }
  room:onChange(function(_, event) print(event.key) end)
]]

describe("a sink that gives its place back", function()
  local script, log, kept

  before_each(function()
    local dir = tmp.dir()
    script = tmp.write(dir .. "/keep.lua", KEEPING)
    log, kept = tmp.write(dir .. "/events", ""), dir .. "/kept.json"
  end)

  local function arguments(more)
    return { "run", script, "--set", "EVENTS=" .. log, "--set", "KEPT=" .. kept, table.unpack(more or {}) }
  end

  local function keep(more)
    local done = cli.run(arguments(more))
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function append(...)
    tmp.write(log, (tmp.read(log) or "") .. events(...))
  end

  it("goes on behind it, and what lies before is not handled again", function()
    append(insert("t", "k1"), insert("t", "k2"))
    assert.equal("k1\nk2\n", keep())
    assert.equal("", keep())
    append(change("t", "k1", "patch", '{"a":1}'))
    assert.equal("k1\n", keep())
    local text = tmp.read(kept)
    assert.matches('"rows":{"t/k1":{"a":1},"t/k2":1}', text, 1, true)
    assert.matches('"writes":3', text, 1, true)
  end)

  it("gets the whole state where it is new and the worker goes on from a snapshot", function()
    local data = tmp.dir()
    append(insert("t", "k1"), insert("t", "k2"), change("t", "k1", "delete"), insert("t", "k3"))
    assert.equal("k1\nk2\nk1\nk3\n", keep { "--data", data })
    os.remove(kept)
    assert.equal("", keep { "--data", data })
    assert.matches('"rows":{"t/k2":1,"t/k3":1}', tmp.read(kept), 1, true)
    append(insert("t", "k4"))
    assert.equal("k4\n", keep { "--data", data })
    assert.matches('"rows":{"t/k2":1,"t/k3":1,"t/k4":1}', tmp.read(kept), 1, true)
  end)

  it("stops where the stream is another one", function()
    append(insert("t", "k1"), insert("t", "k2"))
    keep()
    tmp.write(log, insert("t", "other") .. "\n")
    local done = cli.run(arguments())
    assert.equal(1, done.code)
    assert.matches("kept has come to message 2 of it before", done.stderr, 1, true)
  end)

  it("holds each row once, however often the worker is killed", function()
    local lines, expected = {}, {}
    for i = 1, 400 do
      lines[i] = insert("t", ("k%03d"):format(i), tostring(i))
      expected[i] = ('"t/k%03d":%d'):format(i, i)
    end
    append(table.unpack(lines))
    math.randomseed(7)
    for _ = 1, tonumber(os.getenv "WEIR_KILLS") or 10 do
      cli.spawn(arguments { "--set", "LIVE=yes" }):kill_within(0.1)
    end
    keep()
    local text = tmp.read(kept)
    assert.matches('"rows":{' .. table.concat(expected, ",") .. "}", text, 1, true)
    assert.matches('"writes":400', text, 1, true)
  end)
end)

describe("a sink without a place", function()
  it("gets, beside one that has a place, what comes", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/s.lua", (KEEPING:gsub("sinks = { sink }",
      'sinks = { sink, weir.sink { write = function(row) print("written", row.key) end } }')))
    local log = tmp.write(dir .. "/events", events(insert("t", "k1")))
    local args = { "run", script, "--set", "EVENTS=" .. log, "--set", "KEPT=" .. dir .. "/kept" }
    assert.equal("k1\nwritten\tk1\n", cli.run(args).stdout)
    assert.equal("", cli.run(args).stdout)
    tmp.write(log, tmp.read(log) .. events(insert("t", "k2")))
    assert.equal("k2\nwritten\tk2\n", cli.run(args).stdout)
  end)

  it("gets everything again on its own", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/s.lua", PRINTING
      .. "stream { sinks = { weir.sink { write = functions.write } } }")
    local log = tmp.write(dir .. "/events", events(insert("t", "k1"), insert("t", "k2"), change("t", "k1", "delete")))
    local args = { "run", script, "--set", "EVENTS=" .. log }
    local all = "put\tt\tk1\t1\t0\t0\nput\tt\tk2\t1\t1\t1\ndelete\tt\tk1\tnil\t2\t2\n"
    assert.equal(all, cli.run(args).stdout)
    assert.equal(all, cli.run(args).stdout)
  end)
end)

describe("event.live", function()
  local LIVE = [[
    local weir = require "weir"
    local room = weir.stream { name = "room", url = weir.env "EVENTS" }
    room:onChange("t", function(_, event) print("always", event.key, event.live) end)
    room:onChange("t", function(_, event) print("live", event.key) end, { effects = "live" })
    room:onChange(function(_, event) print("any, live", event.key) end, { effects = "live" })
    room:onChange(function(_, event) print("any", event.key) end, { effects = "always" })
    room:onControl(function(event) print("control, live", event.control) end, { effects = "live" })
    room:onUpToDate(function() print("up to date") end)
  ]]

  it("is true for what comes after the stream was up to date, and handlers can be for that alone", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/live.lua", LIVE)
    local log = tmp.write(dir .. "/events", events(insert("t", "old"), RESET))
    local child = cli.spawn { "run", script, "--set", "EVENTS=" .. log }
    child:wait_for_output "up to date\n"
    local file <close> = assert(io.open(log, "a"))
    assert(file:write(events(insert("t", "new"), RESET)))
    file:close()
    child:wait_for_output "control, live\treset\n"
    child:signal "INT"
    child:wait()
    assert.equal("always\told\tnil\nany\told\nup to date\nalways\tnew\ttrue\nlive\tnew\nany, live\tnew\nany\tnew\n"
      .. "control, live\treset\n", (child:stdout():gsub("up to date\n$", "")))
  end)

  it("is asked for by a known name only", function()
    for call, message in pairs {
      ['onChange("t", print, { effects = "new" })'] = 'onChange: effects: expected "live" or "always", got "new"',
      ["onChange(print, { effect = 1 })"] = "onChange: unknown option 'effect': expected effects",
      ["onControl(print, 5)"] = "onControl: options: expected a table, got 5",
    } do
      local done = process.run {
        cmd = { require "support.paths".weir, "check", tmp.write(tmp.dir() .. "/s.lua",
          "local room = require 'weir'.stream { url = 'e' }\nroom:" .. call .. "\n") },
      }
      assert.equal(1, done.code)
      assert.matches("s.lua:2: " .. message, done.stderr, 1, true)
    end
  end)
end)
