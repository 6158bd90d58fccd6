-- What becomes of functions that fail, or never end: onError, and the limit on handlers.

local cli = require "support.cli"
local handling = require "support.handling"
local tmp = require "support.tmp"
local worker = require "support.worker"

local file, lines_of, run = handling.file, handling.lines_of, handling.run
local STREAM, THREE = handling.STREAM, handling.THREE
local E = cli.line

describe("onError", function()
  local function declare(more)
    return ([[
      local stream = weir.stream { url = weir.env "FILE", live = false, deadletter = weir.env "DEAD", %s }
      local calls = 0
      stream:onChange(function(state, event)
        calls = calls + 1
        print("call", event.key)
        if event.key == "b" and calls <= tonumber(weir.env("FAILURES", "1000")) + 1 then
          error("oh no")
        end
      end)
      stream:onChange(function(_, event) print("next", event.key) end)
    ]]):format(more)
  end

  it("stops with a traceback by default", function()
    local lines, done = lines_of(file(THREE), declare "", 1)
    assert.same({"call\ta", "next\ta", "call\tb"}, lines)
    assert.matches("^weir: [^\n]*worker.lua:%d+: oh no\nstack traceback:\n", done.stderr)
    assert.matches("worker.lua:%d+: in function", done.stderr)
  end)

  it("skip goes on with the next event", function()
    local lines, done = lines_of(file(THREE), declare [[onError = "skip"]])
    assert.same({"call\ta", "next\ta", "call\tb", "call\tc", "next\tc"}, lines)
    assert.matches("skip: [^\n]*line 2[^\n]*a handler failed: [^\n]*oh no", done.stderr)
  end)

  it("retry calls again until it works, and keeps the order", function()
    local done = run{script = declare [[onError = "retry"]], set = {FILE = file(THREE), FAILURES = 2}}
    assert.equal(0, done.code, done.stderr)
    assert.same({"call\ta", "next\ta", "call\tb", "call\tb", "call\tb", "next\tb", "call\tc", "next\tc"},
      worker.lines(done.stdout))
    assert.matches("called again in 0.1 s", done.stderr, 1, true)
    assert.matches("called again in 0.2 s", done.stderr, 1, true)
  end)

  it("deadletter writes the event to the file", function()
    local dead = tmp.dir() .. "/dead.jsonl"
    local done = run{script = declare [[onError = "deadletter"]], set = {FILE = file(THREE), DEAD = dead}}
    assert.equal(0, done.code, done.stderr)
    assert.same({"call\ta", "next\ta", "call\tb", "call\tc", "next\tc"}, worker.lines(done.stdout))
    local letters = worker.lines(tmp.read(dead))
    assert.equal(1, #letters)
    assert.matches('"index":1,[^\n]*"reason":"[^\n]*oh no', letters[1])
    assert.matches('\\"key\\":\\"b\\"', letters[1], 1, true)
  end)

  it("a function decides, and sees error and event", function()
    local lines = lines_of(file(THREE), declare "" .. [[
      stream:onError(function(err, event)
        print("asked", event.key, tostring(err):match("[^:]*$") ~= nil, tostring(err):find("oh no", 1, true) ~= nil)
        return "skip"
      end)
    ]])
    assert.same({"call\ta", "next\ta", "call\tb", "asked\tb\ttrue\ttrue", "call\tc", "next\tc"}, lines)
  end)

  it("a function that answers nothing stops, and one that raises or answers nonsense as well", function()
    local _, done = lines_of(file(THREE), declare "" .. [[stream:onError(function() end)]], 1)
    assert.matches("oh no\nstack traceback", done.stderr, 1, true)
    _, done = lines_of(file(THREE), declare "" .. [[stream:onError(function() error("worse") end)]], 1)
    assert.matches("worse\nstack traceback", done.stderr, 1, true)
    _, done = lines_of(file(THREE), declare "" .. [[stream:onError(function() return "again" end)]], 1)
    assert.matches('onError returned "again": expected stop, skip, retry or deadletter', done.stderr, 1, true)
  end)

  it("concerns onControl and onUpToDate as well", function()
    local lines = lines_of(file('{"headers":{"control":"reset"}}\n', THREE), [[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      stream:onError(function(err, event) print("asked", event and event.control) return "skip" end)
      stream:onControl(function() error("control") end)
      stream:onUpToDate(function() error("up to date") end)
    ]])
    assert.same({"asked\treset", "asked\tnil"}, lines)
  end)

  it("names the stream and no event where a handler was called for none", function()
    local script = [[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      stream:%s(function() error("oh no") end)
    ]]
    for _, name in ipairs{"onUpToDate", "onBatch", "onBeforeBatch"} do
      local _, done = lines_of(file(THREE), script:format(name), 1)
      assert.matches("^weir: [^\n]*events.jsonl: [^\n]*worker.lua:%d+: oh no\nstack traceback:", done.stderr)
    end
    local _, done = lines_of(file(THREE), script:format "onUpToDate" .. [[stream:onError("skip")]], 0)
    assert.matches("skip: [^\n]*events.jsonl: a handler failed: [^\n]*oh no\n", done.stderr)
    _, done = lines_of(file(THREE, "{}"), script:format "onBatch" .. [[stream:onError("skip")]], 1)
    assert.matches("weir: [^\n]*line 4 ", done.stderr)
  end)

  it("gives errors that are tables as they are, and a traceback all the same", function()
    local script = [[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      local meta = { __tostring = function(e) return "seven " .. e.code end }
      local function fail() error(setmetatable({ code = 7 }, meta)) end
      stream:onChange(function(_, event) fail() end)
    ]]
    local lines = lines_of(file(E("insert", "t", "a", "1")), script .. [[
      stream:onError(function(err) print(type(err), err.code) return "skip" end)
    ]])
    assert.same({"table\t7"}, lines)
    local _, done = lines_of(file(E("insert", "t", "a", "1")), script, 1)
    assert.matches("^weir: [^\n]*line 1[^\n]*t/a: seven 7\nstack traceback:", done.stderr)
    assert.matches("in upvalue 'fail'", done.stderr, 1, true)
  end)

  it("survives errors of any kind, and shows what they say", function()
    for value, text in pairs{
      ["nil"] = "nil", ["42"] = "42", ["true"] = "true", ["print"] = "function: ",
      ["{ code = 7, why = { 'x' } }"] = '{"code":7,"why":["x"]}', ["{ print }"] = "table: ",
      ["setmetatable({}, { __tostring = error })"] = "an error without a message",
      ["setmetatable({}, { __tostring = function() return {} end })"] = "'__tostring' must return a string",
      ["('x'):rep(100000)"] = "xxx", ["'a\\0b'"] = "a",
    } do
      local script = ([[
        local stream = weir.stream { url = weir.env "FILE", live = false, onError = weir.env("POLICY", "stop") }
        stream:onChange(function() error(%s) end)
      ]]):format(value)
      local events = file(E("insert", "t", "a", "1"))
      local done = run{script = script, set = {FILE = events}}
      assert.equal(1, done.code)
      assert.matches("^weir: [^\n]*t/a: ", done.stderr)
      assert.matches(text, done.stderr, 1, true)
      done = run{script = script, set = {FILE = events, POLICY = "skip"}}
      assert.equal(0, done.code, done.stderr)
      assert.matches(text, done.stderr, 1, true)
    end
  end)
end)

describe("a handler that never ends", function()
  local function runaway(body, more)
    return run{
      set = {FILE = file(THREE)},
      env = {WEIR_HANDLER_LIMIT = "200ms"},
      timeout = 10,
      script = STREAM .. ([[
        stream:onChange(function(_, event)
          if event.key == "b" then %s end
          print(event.key)
        end) %s
      ]]):format(body, more or ""),
    }
  end

  it("is stopped, with the place", function()
    local done = runaway("while true do end")
    assert.equal(1, done.code)
    assert.equal("a\n", done.stdout)
    assert.matches("^weir: [^\n]*worker.lua:%d+: ran too long without waiting[^\n]*limits.handler", done.stderr)
    assert.matches("worker.lua:%d+: in function", done.stderr)
  end)

  it("cannot hide behind pcall or a coroutine", function()
    for _, body in ipairs{
      "while true do pcall(function() while true do end end) end",
      "while true do pcall(coroutine.wrap(function() while true do end end)) end",
      "repeat local ok = xpcall(function() while true do end end, function(e) return e end) until false",
    } do
      local done = runaway(body)
      assert.equal(1, done.code)
      assert.matches("ran too long", done.stderr, 1, true)
    end
  end)

  it("is subject to onError", function()
    local done = runaway("while true do end", [[stream:onError("skip")]])
    assert.equal(0, done.code)
    assert.equal("a\nc\n", done.stdout)
    assert.matches("a handler failed: [^\n]*ran too long", done.stderr)
  end)

  it("is not one that waits again and again", function()
    local done = runaway("for _ = 1, 30 do weir.sleep(0.01) end")
    assert.equal(0, done.code, done.stderr)
    assert.equal("a\nb\nc\n", done.stdout)
  end)

  it("is not one of many that are quick", function()
    local many = {}
    for i = 1, 3000 do
      many[i] = E("upsert", "t", "k" .. i, tostring(i))
    end
    local done = run{
      set = {FILE = file(table.unpack(many))},
      env = {WEIR_HANDLER_LIMIT = "200ms"},
      script = STREAM .. [[
        stream:onChange(function()
          local start = os.clock()
          while os.clock() - start < 0.0002 do end
        end)
      ]],
    }
    assert.equal(0, done.code, done.stderr)
  end)

  it("in the main chunk is stopped as well, sleeping not counted", function()
    local done = run{script = "while true do end", env = {WEIR_HANDLER_LIMIT = "200ms"}}
    assert.equal(1, done.code)
    assert.matches("worker.lua:%d+: ran too long", done.stderr)
    done = run{
      set = {FILE = file(THREE)},
      env = {WEIR_HANDLER_LIMIT = "2s"},
      script = "weir.sleep(2.1) local start = os.clock() repeat until os.clock() - start > 0.1 " .. STREAM,
    }
    assert.equal(0, done.code, done.stderr)
  end)
end)
