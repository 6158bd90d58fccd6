-- Derived streams as scripts write to them: who may, what is checked, and that what a handler wrote is there once
-- however often it was called.

local cli = require "support.cli"
local server = require "support.server"
local tmp = require "support.tmp"
local weir = require "weir"

local SCRIPT = [[
  local weir = require "weir"
  local out = weir.sink.stream { url = weir.env "OUT", name = "out" }
  local function stream(options)
    local all = { name = "room", url = weir.env "EVENTS", live = false, sinks = { out } }
    for name, value in pairs(options or {}) do all[name] = value end
    return weir.stream(all)
  end
]]

describe("a derived stream", function()
  local node, out

  setup(function()
    node = server.start {}
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    out = node:stream "out"
  end)

  local function run(text, events, set)
    set = set or {}
    set.OUT = out
    return cli.script(SCRIPT .. text, { events = events or cli.insert("t", "k"), set = set })
  end

  -- What is in it, without what the server adds.
  local function stored()
    local events = weir.json.decode(node:read(out).body)
    for _, event in ipairs(events) do
      if type(event) == "table" and event.headers then
        event.headers.offset = nil
      end
    end
    return events
  end

  local function succeeds(...)
    local done = run(...)
    assert.equal(0, done.code, done.stdout .. done.stderr)
    return done
  end

  it("gets what handlers write, of each operation, with the time of the event that is handled", function()
    succeeds([[
      local room = stream()
      room:onChange(function(_, event)
        out:insert("a", event.key, { n = 1 })
        out:update("a", event.key, 2, { txid = "t1", old_value = { n = 1 } })
        out:upsert("a", event.key, 3, { timestamp = "2026-05-01T10:00:01Z" })
        out:patch("a", event.key, { n = 4 })
        out:delete("a", event.key)
        out:append { any = "thing" }
        out:append(weir.control "reset")
        out:append(event)
      end)
    ]], '{"type":"t","key":"k","value":1,"headers":{"operation":"insert","timestamp":"2026-05-01T10:00:00Z"}}')
    local time = "2026-05-01T10:00:00Z"
    assert.same({
      { type = "a", key = "k", value = { n = 1 }, headers = { operation = "insert", timestamp = time } },
      { type = "a", key = "k", value = 2, old_value = { n = 1 },
        headers = { operation = "update", txid = "t1", timestamp = time } },
      { type = "a", key = "k", value = 3, headers = { operation = "upsert", timestamp = "2026-05-01T10:00:01Z" } },
      { type = "a", key = "k", value = { n = 4 }, headers = { operation = "patch", timestamp = time } },
      { type = "a", key = "k", headers = { operation = "delete", timestamp = time } },
      { any = "thing" },
      { headers = { control = "reset" } },
      { type = "t", key = "k", value = 1, headers = { operation = "insert", timestamp = time } },
    }, stored())
  end)

  it("gets no timestamp where the event that is handled has none", function()
    succeeds [[stream():onChange(function(_, event) out:insert("a", event.key, 1) end)]]
    assert.same({ { type = "a", key = "k", value = 1, headers = { operation = "insert" } } }, stored())
  end)

  it("may be written to by handlers of controls, and after a wait", function()
    succeeds([[
      local room = stream()
      room:onChange("t", function(_, event)
        weir.sleep("5ms")
        out:append(event.key)
      end)
      room:onControl(function(event) out:append(event.control) end)
    ]], cli.insert("t", "k") .. '\n{"headers":{"control":"reset"}}\n')
    assert.same({ "k", "reset" }, stored())
  end)

  local mistakes = {
    ['out:insert(nil, "k", 1)'] = "insert: type: expected a non-empty string, got nil",
    ['out:insert("t", "", 1)'] = 'insert: key: expected a non-empty string, got ""',
    ['out:insert("t", "k")'] = "insert: value is missing (weir.null is a value)",
    ['out:update("t", "k", 1, { txid = 1 })'] = "update: txid: expected a non-empty string, got 1",
    ['out:upsert("t", "k", 1, 5)'] = "upsert: headers: expected a table, got 5",
    ["out:append()"] = "append: value is missing (weir.null is a value)",
  }
  for call, message in pairs(mistakes) do
    it("refuses by name: " .. call, function()
      local done = run("stream():onChange(function()\n" .. call .. "\nend)")
      assert.equal(1, done.code)
      assert.matches("script.lua:9: " .. message, done.stderr, 1, true)
      assert.same({}, stored())
    end)
  end

  local RULE = "a derived stream is written to by the onChange and onControl handlers of a stream that has it in its "
    .. "option sinks"
  local elsewhere = {
    ["the main part"] = "stream()\nout:append(1)",
    ["a timer"] = "stream { live = true }\nweir.after('1ms', function() out:append(1) end)",
    ["onUpToDate"] = "stream():onUpToDate(function() out:append(1) end)",
    ["onBatch"] = "stream():onBatch(function() out:append(1) end)",
    ["a rule"] = "stream():validate(function() out:append(1) end)",
    ["a stream that does not list it"] = "stream { sinks = {} }:onChange(function() out:append(1) end)",
    ["another sink's function"] =
      "stream { sinks = { out, weir.sink { write = function() out:append(1) end } } }",
  }
  for name, text in pairs(elsewhere) do
    it("cannot be written to from " .. name, function()
      local done = run(text)
      assert.equal(1, done.code, done.stdout .. done.stderr)
      assert.matches("append: out: " .. RULE, done.stderr, 1, true)
      assert.same({}, stored())
    end)
  end

  it("is the only kind of sink that is written to by hand", function()
    local done = run [[
      local other = weir.sink { name = "other", write = function() end }
      stream { sinks = { other } }:onChange(function() other:insert("t", "k", 1) end)
    ]]
    assert.equal(1, done.code)
    assert.matches("insert: other is not written to by hand: it gets what becomes of the state", done.stderr, 1, true)
  end)

  it("cannot be written to for an optimistic write, which comes again", function()
    local room = node:stream "room"
    local done = run([[
      local room = stream { url = weir.env "ROOM", live = true }
      room:onChange(function(_, event) out:append(event.key) end)
      room:onUpToDate(function(state)
        if state:size() == 0 then room:insert("t", "mine", 1, { optimistic = true }) end
      end)
    ]], "", { ROOM = room })
    assert.equal(1, done.code)
    assert.matches("append: out: an optimistic write of this script is not in room yet", done.stderr, 1, true)
  end)

  it("gets once what a handler writes that is called again", function()
    succeeds([[
      local calls = 0
      local room = stream { onError = "retry" }
      room:onChange(function(_, event)
        out:append("before " .. event.key)
        calls = calls + 1
        if calls < 3 then error("not yet") end
        out:append("after " .. event.key)
      end)
      room:onChange(function(_, event) out:append("another " .. event.key) end)
    ]])
    assert.same({ "before k", "after k", "another k" }, stored())
  end)

  it("gets nothing of a handler that failed, and what onError wrote", function()
    succeeds([[
      local room = stream {
        onError = function(_, event)
          out:append("failed: " .. event.key)
          return "skip"
        end,
      }
      room:onChange(function(_, event)
        out:append("before " .. event.key)
        if event.key == "bad" then error("no") end
      end)
    ]], cli.insert("t", "k1") .. "\n" .. cli.insert("t", "bad") .. "\n" .. cli.insert("t", "k2") .. "\n")
    assert.same({ "before k1", "failed: bad", "before k2" }, stored())
  end)

  -- A sink that keeps rows and place in a file, beside the derived stream.
  local KEEPING = [[
    local path = weir.env "KEPT"
    local kept = weir.sink {
      name = "kept",
      open = function(s)
        local file = io.open(path)
        s.saved = file and weir.json.decode(file:read "a") or { writes = 0 }
        return s.saved.place
      end,
      write = function(_, s) s.saved.writes = s.saved.writes + 1 end,
      commit = function(place, s)
        s.saved.place = place
        local file <close> = assert(io.open(path .. ".new", "w"))
        assert(file:write(weir.json.encode(s.saved)))
        assert(file:close())
        assert(os.rename(path .. ".new", path))
      end,
    }
  ]]

  for name, sinks in pairs { ["on its own"] = "out", ["beside a sink with a place"] = "kept, out" } do
    it("gets each event once, however often the worker is killed: " .. name, function()
      local dir = tmp.dir()
      local script = tmp.write(dir .. "/s.lua", SCRIPT .. KEEPING .. ([[
        stream { live = weir.env "LIVE" == "yes", sinks = { %s }, limits = { sinkRows = 7 } }
          :onChange(function(_, event)
            out:append(event.key)
          end)
      ]]):format(sinks))
      local lines, expected = {}, {}
      for i = 1, 300 do
        expected[i] = ("k%03d"):format(i)
        lines[i] = cli.insert("t", expected[i])
      end
      local log = tmp.write(dir .. "/events", table.concat(lines, "\n") .. "\n")
      local args = { "run", script, "--set", "EVENTS=" .. log, "--set", "OUT=" .. out, "--set",
        "KEPT=" .. dir .. "/kept" }
      for _ = 1, tonumber(os.getenv "WEIR_KILLS") or 10 do
        cli.spawn(table.move({ "--set", "LIVE=yes" }, 1, 2, #args + 1, { table.unpack(args) })):kill_within(0.2)
      end
      local done = cli.run(args)
      assert.equal(0, done.code, done.stderr)
      assert.same(expected, stored())
      local kept = tmp.read(dir .. "/kept")
      assert.equal(sinks == "kept, out" and 300 or nil, kept and weir.json.decode(kept).writes)
    end)
  end
end)
