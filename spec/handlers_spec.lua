-- What a script's functions are called with, in which order, and what becomes of those that fail, wait, or
-- never end.

local tmp = require "support.tmp"
local worker = require "support.worker"

-- One event a line. E "insert users a {"n":1}" is written E("insert", "users", "a", '{"n":1}').
local function E(operation, kind, key, value, more)
  return ('{"type":"%s","key":"%s",%s"headers":{"operation":"%s"%s}}\n'):format(kind, key,
    value and '"value":' .. value .. "," or "", operation, more or "")
end

local function file(...)
  return tmp.file("events.jsonl", table.concat{...})
end

local PRELUDE = [[
local weir = require "weir"
local function show(value)
  return value == nil and "-" or weir.json.encode(value)
end
]]

local function run(options)
  return worker.run{
    script = PRELUDE .. options.script,
    set = options.set,
    env = options.env,
    args = options.args,
    timeout = options.timeout,
  }
end

-- The events in a file, a script that declares a stream of them: its lines on stdout.
local function lines_of(events, script, expected_code)
  local done = run{script = script, set = {FILE = events}}
  assert.equal(expected_code or 0, done.code, done.stderr)
  return worker.lines(done.stdout), done
end

local STREAM = [[
local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream" }
]]

local THREE = E("insert", "t", "a", "1") .. E("insert", "t", "b", "2") .. E("insert", "t", "c", "3")

describe("onChange", function()
  it("is called for one type, or for all, in the order in which handlers were added", function()
    local lines = lines_of(file(E("insert", "users", "a", "1"), E("insert", "rooms", "r", "2")), STREAM .. [[
      stream:onChange(function(_, event) print("all 1", event.type) end)
      stream:onChange("users", function(_, event) print("users 1", event.type) end)
      stream:onChange("users", function(_, event) print("users 2", event.type) end)
      stream:onChange("nothing", function() error("not for this type") end)
      stream:onChange(function(_, event) print("all 2", event.type) end)
    ]])
    assert.same({
      "users 1\tusers", "users 2\tusers", "all 1\tusers", "all 2\tusers", "all 1\trooms", "all 2\trooms",
    }, lines)
  end)

  it("sees the state with the change applied, and the old value beside the new", function()
    local lines = lines_of(file(
      E("insert", "t", "k", '{"a":1,"b":[]}'), E("update", "t", "k", '{"a":2}'),
      E("patch", "t", "k", '{"b":{"c":null,"d":1},"a":null}'), E("upsert", "t", "k", "null"),
      E("delete", "t", "k"), E("delete", "t", "k")
    ), STREAM .. [[
      stream:onChange(function(state, event)
        print(event.operation, show(event.old), show(event.value), show(event.new),
          show(state:get(event.type, event.key)), state:has("t", "k"), state:size("t"))
      end)
    ]])
    assert.same({
      'insert\t-\t{"a":1,"b":[]}\t{"a":1,"b":[]}\t{"a":1,"b":[]}\ttrue\t1',
      'update\t{"a":1,"b":[]}\t{"a":2}\t{"a":2}\t{"a":2}\ttrue\t1',
      'patch\t{"a":2}\t{"b":{"c":null,"d":1},"a":null}\t{"b":{"d":1}}\t{"b":{"d":1}}\ttrue\t1',
      'upsert\t{"b":{"d":1}}\tnull\tnull\tnull\ttrue\t1',
      "delete\tnull\t-\t-\t-\tfalse\t0",
      "delete\t-\t-\t-\t-\tfalse\t0",
    }, lines)
  end)

  it("gives all that an event carries", function()
    local lines = lines_of(tmp.file("events",
      '{"type":"t","key":"k","value":[1],"old_value":{"x":[]},"headers":{"operation":"update","txid":"T1",' ..
      '"timestamp":"2026-01-02T03:04:05Z","from":"me","offset":"7_8","more":{"y":1}}}\n'), STREAM .. [[
      stream:onChange(function(state, event)
        print(event.type, event.key, event.operation, event.control, show(event.old_value), event.txid,
          event.timestamp, event.from, event.offset, show(event.headers.more), event.nothing)
        print(event.text)
        print(show(event))
        local names = {}
        for name in pairs(event) do names[#names + 1] = name end
        table.sort(names)
        print(table.concat(names, " "))
        print(tostring(event), state)
        print(pcall(function() event.value = 1 end))
      end)
    ]])
    assert.equal('t\tk\tupdate\tnil\t{"x":[]}\tT1\t2026-01-02T03:04:05Z\tme\t7_8\t{"y":1}\tnil', lines[1])
    assert.matches('^{"type":"t","key":"k","value":%[1%].*"more":{"y":1}}}$', lines[2])
    assert.equal(lines[2], lines[3])
    assert.equal("headers key old_value type value", lines[4])
    assert.equal("update t/k\tweir.state: 1 entities", lines[5])
    assert.matches("^false\t.*events are read only", lines[6])
  end)

  it("may keep events", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      local kept = {}
      stream:onChange(function(_, event) kept[#kept + 1] = event end)
      stream:onUpToDate(function()
        collectgarbage()
        for _, event in ipairs(kept) do print(event.key, event.value, event.new, event.old, event.operation) end
      end)
    ]])
    assert.same({"a\t1\t1\tnil\tinsert", "b\t2\t2\tnil\tinsert", "c\t3\t3\tnil\tinsert"}, lines)
  end)

  it("decodes a value once, and gives a fresh one from the state", function()
    local lines = lines_of(file(E("insert", "t", "k", '{"a":1}')), STREAM .. [[
      stream:onChange(function(state, event)
        print(rawequal(event.value, event.value), rawequal(event.new, event.value))
        event.value.a = 2
        local other = state:get("t", "k")
        print(other.a, rawequal(other, state:get("t", "k")))
        other.a = 3
        print(state:json("t", "k"))
      end)
    ]])
    assert.same({"true\ttrue", "1\tfalse", '{"a":1}'}, lines)
  end)

  it("may be added while the worker runs", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      local added
      stream:onChange(function(_, event)
        print("first", event.key)
        if not added then
          added = true
          stream:onChange(function(_, other) print("second", other.key) end)
        end
      end)
    ]])
    assert.same({"first\ta", "second\ta", "first\tb", "second\tb", "first\tc", "second\tc"}, lines)
  end)
end)

describe("onControl", function()
  it("is called in stream order, a reset having cleared the state", function()
    local lines = lines_of(file('{"headers":{"control":"snapshot-start"}}\n', E("insert", "t", "a", "1"),
      '{"headers":{"control":"snapshot-end","offset":"12"}}\n', '{"headers":{"control":"reset"}}\n',
      E("insert", "t", "b", "2"), '{"type":"up-to-date"}\n'), STREAM .. [[
      stream:onChange(function(_, event) print("change", event.key) end)
      stream:onControl(function(event)
        print(event.control, event.operation, event.offset, stream.state:size(), tostring(event))
      end)
    ]])
    assert.same({
      "snapshot-start\tnil\tnil\t0\tsnapshot-start", "change\ta", "snapshot-end\tnil\t12\t1\tsnapshot-end",
      "reset\tnil\tnil\t0\treset", "change\tb", "up-to-date\tnil\tnil\t1\tup-to-date",
    }, lines)
  end)
end)

describe("onUpToDate", function()
  it("is called with the state when everything has been handled", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      local handled = 0
      stream:onChange(function() weir.sleep(0.001) handled = handled + 1 end)
      stream:onUpToDate(function(state) print(handled, state:size(), table.concat(state:types(), " ")) end)
    ]])
    assert.same({"3\t3\tt"}, lines)
  end)
end)

describe("validate", function()
  local EVENTS = file(E("insert", "users", "u1", '{"name":"Ann"}'), E("insert", "posts", "p1", '{"user":"u1"}'),
    E("insert", "posts", "p2", '{"user":"u2"}'), E("delete", "users", "u1"),
    E("insert", "posts", "p3", '{"user":"u1"}'))
  local RULE = [[
    stream:validate("posts", function(event, state)
      if event.value and not state:has("users", event.value.user) then return false, "unknown user" end
    end)
    stream:onChange(function(_, event) print(event.type, event.key) end)
  ]]

  it("stops the worker at what a rule refuses, naming it", function()
    local lines, done = lines_of(EVENTS, STREAM .. RULE, 1)
    assert.same({"users\tu1", "posts\tp1"}, lines)
    assert.matches("weir: [^\n]*events.jsonl[^\n]*line 3[^\n]*posts/p2[^\n]*unknown user\n$", done.stderr)
  end)

  it("passes over what a rule refuses", function()
    local lines, done = lines_of(EVENTS, [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
    ]] .. RULE)
    assert.same({"users\tu1", "posts\tp1", "users\tu1"}, lines)
    local _, skipped = done.stderr:gsub("skipped: [^\n]*unknown user", "")
    assert.equal(2, skipped)
  end)

  it("asks rules of the type first, then those for all, and may wait", function()
    local lines = lines_of(file(E("insert", "t", "a", "1"), E("insert", "t", "b", "-1")), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
      stream:validate(function(event) print("all", event.key, show(event.old), show(event.new)) end)
      stream:validate("t", function(event)
        weir.sleep(0.001)
        print("t", event.key)
        return event.value > 0
      end)
      stream:onChange(function(state, event) print("change", event.key, state:size()) end)
    ]])
    assert.same({"t\ta", "all\ta\t-\t1", "change\ta\t1", "t\tb"}, lines)
  end)

  it("counts neither nothing nor nil as a refusal, and false without a reason as one", function()
    local lines, done = lines_of(file(THREE), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
      stream:validate(function(event)
        if event.key == "a" then return end
        if event.key == "b" then return nil, "not a refusal" end
        return false
      end)
      stream:onChange(function(_, event) print(event.key) end)
    ]])
    assert.same({"a", "b"}, lines)
    assert.matches("skipped: [^\n]*t/c: refused by a rule", done.stderr)
  end)

  it("that raises stops the worker", function()
    local _, done = lines_of(file(THREE), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip", onError = "skip" }
      stream:validate(function() error("broken rule") end)
    ]], 1)
    assert.matches("broken rule", done.stderr, 1, true)
    assert.matches("stack traceback", done.stderr, 1, true)
  end)
end)

describe("onInvalid", function()
  local BAD = file(E("insert", "t", "a", "1"), '{"oops\n', E("insert", "t", "b", '"two"'), '{"key":1}\n',
    E("insert", "t", "c", "3"))
  local function declare(more)
    return ([[
      local stream = weir.stream {
        url = weir.env "FILE", live = false, name = "room", deadletter = weir.env "DEAD",
        schema = weir.defineStreamSchema { types = { t = weir.schema.number() } }, %s
      }
      stream:onChange(function(_, event) print(event.key) end)
    ]]):format(more)
  end

  it("stops by default, at the first", function()
    local lines, done = lines_of(BAD, declare "", 1)
    assert.same({"a"}, lines)
    assert.matches("weir: [^\n]*events.jsonl: line 2 %(byte %d+%)", done.stderr)
  end)

  it("skip passes over all of them, and says which", function()
    local lines, done = lines_of(BAD, declare [[onInvalid = "skip"]])
    assert.same({"a", "c"}, lines)
    local named = {}
    for line in done.stderr:gmatch("skipped: [^\n]*line (%d)") do
      named[#named + 1] = line
    end
    assert.same({"2", "3", "4"}, named)
  end)

  it("deadletter writes them to the file", function()
    local dead = tmp.dir() .. "/dead.jsonl"
    local done = run{script = declare [[onInvalid = "deadletter"]], set = {FILE = BAD, DEAD = dead}}
    assert.equal("a\nc\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
    local letters = worker.lines(tmp.read(dead))
    assert.equal(3, #letters)
    assert.matches('^{"stream":"room","url":"[^"]*","offset":"[^"]*","index":1,[^\n]*"reason":"[^\n]*",' ..
      '"event":"{\\"oops"}$', letters[1])
    assert.matches('"index":2,[^\n]*"reason":"[^\n]*t/b[^\n]*number', letters[2])
    assert.matches('"event":"{\\"key\\":1}"', letters[3], 1, true)
  end)

  it("deadletter without a file is refused when the script is loaded", function()
    local done = run{script = [[weir.stream { url = "x", onInvalid = "deadletter" }]]}
    assert.equal(1, done.code)
    assert.matches("needs the option deadletter", done.stderr, 1, true)
  end)

  it("a function decides, and sees the event and the issues", function()
    local dead = tmp.dir() .. "/dead.jsonl"
    local done = run{
      set = {FILE = BAD, DEAD = dead},
      script = declare "" .. [[
        local answers = { "skip", "deadletter" }
        stream:onInvalid(function(event, issues)
          print("invalid", event.key, event.text, #issues, issues[1].path, issues[1].message ~= nil)
          return table.remove(answers, 1)
        end)
      ]],
    }
    local lines = worker.lines(done.stdout)
    assert.equal("a", lines[1])
    assert.matches('^invalid\tnil\t{"oops\t1\t', lines[2])
    assert.matches("^invalid\tb\t{.*}\t1\t[^\t]*\ttrue$", lines[3])
    assert.matches('^invalid\tnil\t{"key":1}\t1\t', lines[4]) -- nothing is answered: skipped
    assert.equal("c", lines[5])
    assert.equal(0, done.code)
    assert.equal(1, #worker.lines(tmp.read(dead)))
  end)

  it("a function may stop, and may wait", function()
    local lines, done = lines_of(BAD, declare "" .. [[
      stream:onInvalid(function() weir.sleep(0.01) print("asked") return "stop" end)
    ]], 1)
    assert.same({"a", "asked"}, lines)
    assert.matches("events.jsonl: line 2", done.stderr, 1, true)
    assert.not_matches("stack traceback", done.stderr)
  end)

  it("a function that answers something else is an error that names it", function()
    local _, done = lines_of(BAD, declare "" .. [[stream:onInvalid(function() return "ignore" end)]], 1)
    assert.matches('onInvalid returned "ignore": expected stop, skip or deadletter', done.stderr, 1, true)
  end)

  it("refuses an unknown policy", function()
    local done = run{script = [[weir.stream { url = "x", onInvalid = "ignore" }]]}
    assert.matches('onInvalid: expected "stop", "skip", "deadletter" or a function, got "ignore"', done.stderr, 1, true)
    done = run{script = [[weir.stream({ url = "x" }):onInvalid("ignore")]]}
    assert.matches('onInvalid: expected', done.stderr, 1, true)
  end)
end)

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

describe("handlers that wait", function()
  it("keep the order of their stream", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      stream:onChange(function(_, event)
        print("in", event.key)
        weir.sleep(event.value == 1 and 0.05 or 0.001)
        print("out", event.key)
      end)
      stream:onChange(function(_, event) weir.sleep("1ms") print("second", event.key) end)
    ]])
    assert.same({"in\ta", "out\ta", "second\ta", "in\tb", "out\tb", "second\tb", "in\tc", "out\tc", "second\tc"}, lines)
  end)

  it("do not hold up other streams", function()
    local done = run{
      set = {A = file(THREE), B = file(THREE)},
      script = [[
        local a = weir.stream { url = weir.env "A", live = false, name = "a" }
        local b = weir.stream { url = weir.env "B", live = false, name = "b" }
        local b_done = false
        a:onChange(function(_, event)
          while not b_done do weir.sleep(0.001) end
          print("a", event.key)
        end)
        b:onChange(function(_, event) weir.sleep(0.001) print("b", event.key) end)
        b:onUpToDate(function() b_done = true end)
      ]],
    }
    assert.equal(0, done.code, done.stderr)
    assert.same({"b\ta", "b\tb", "b\tc", "a\ta", "a\tb", "a\tc"}, worker.lines(done.stdout))
  end)

  it("may wait inside pcall, inside each other's functions, and in a loop", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      local function nap(n) if n > 0 then weir.sleep(0.0001) nap(n - 1) end end
      stream:onChange(function(state, event)
        local ok = pcall(function() nap(5) error("caught") end)
        for key in state:each("t") do nap(1) end
        print(event.key, ok)
      end)
    ]])
    assert.same({"a\tfalse", "b\tfalse", "c\tfalse"}, lines)
  end)

  it("see the event unchanged after a wait, and the state as it is then", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      stream:onChange(function(state, event)
        weir.sleep(0.005)
        print(event.key, event.value, state:size())
      end)
    ]])
    assert.same({"a\t1\t1", "b\t2\t2", "c\t3\t3"}, lines)
  end)

  it("cannot wait in a coroutine of their own or a metamethod, and are told so", function()
    local lines = lines_of(file(E("insert", "t", "a", "1")), STREAM .. [[
      stream:onChange(function()
        local co = coroutine.create(function() weir.sleep(0.001) end)
        print(select(2, coroutine.resume(co)))
        print(select(2, pcall(table.sort, { 2, 1 }, function() weir.sleep(0.001) end)))
      end)
    ]])
    for _, line in ipairs(lines) do
      assert.matches("weir.sleep cannot wait here", line, 1, true)
    end
    assert.equal(2, #lines)
  end)

  it("have their variables closed when they raise", function()
    local done = run{script = [[
      weir.after(0, function()
        local file <close> = setmetatable({}, { __close = function() print("closed") end })
        weir.sleep(0.001)
        error("raised")
      end)
    ]]}
    assert.equal("closed\n", done.stdout)
    assert.matches("worker.lua:%d+: raised", done.stderr)
  end)

  it("may use coroutines for what does not wait", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      stream:onChange(function(_, event)
        for n in coroutine.wrap(function() for i = 1, 2 do coroutine.yield(i) end end) do print(event.key, n) end
      end)
    ]])
    assert.same({"a\t1", "a\t2", "b\t1", "b\t2", "c\t1", "c\t2"}, lines)
  end)

  it("that yield by themselves are told so", function()
    local _, done = lines_of(file(THREE), STREAM .. [[stream:onChange(function() coroutine.yield() end)]], 1)
    assert.matches("a handler yielded", done.stderr, 1, true)
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

describe("os.exit", function()
  it("ends the program with its code, from wherever it is called", function()
    for _, close in ipairs{"false", "true"} do
      for _, script in ipairs{
        "stream:onChange(function() os.exit(7, %s) end)",
        "stream:onChange(function() weir.sleep(0.001) os.exit(7, %s) end)",
        "stream:onUpToDate(function() weir.sleep(9) end) weir.after(0, function() weir.sleep(0) os.exit(7, %s) end)",
        "os.exit(7, %s)",
      } do
        local done = run{script = STREAM .. script:format(close), set = {FILE = file(THREE)}}
        assert.equal("", done.stderr)
        assert.equal(7, done.code)
      end
    end
  end)
end)

describe("weir.stop", function()
  it("ends the worker after the present handler, in order", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      stream:onChange(function(_, event)
        print(event.key)
        if event.key == "b" then weir.stop() weir.sleep(0.01) print("after") end
      end)
      stream:onUpToDate(function() print("up to date") end)
    ]])
    assert.same({"a", "b", "after"}, lines)
  end)

  it("before the worker runs has it end at once", function()
    local lines = lines_of(file(THREE), STREAM .. [[
      stream:onChange(function(_, event) print(event.key) end)
      weir.stop()
    ]])
    assert.same({}, lines)
  end)
end)

describe("state", function()
  it("can be read in every way", function()
    local lines = lines_of(file(E("insert", "b", "2", '"x"'), E("insert", "a", "ü", "[]"), E("insert", "a", "10", "{}"),
      E("insert", "a", "9", "null")), STREAM .. [[
      stream:onUpToDate(function(state)
        print(show(state:types()), state:size(), state:size("a"), state:size("none"))
        print(show(state:keys("a")), show(state:rows("a")), show(state:rows("none")))
        for key, value in state:each("a") do io.write(key, "=", show(value), " ") end
        print()
        print(state:get("a", "none"), state:has("a", "9"), state:get("a", "9") == weir.null, state:json("a", "ü"))
        print(pcall(function() return state:get("a", 9) end))
      end)
    ]])
    assert.equal('["a","b"]\t4\t3\t0', lines[1])
    assert.equal('["10","9","ü"]\t[{},null,[]]\t[]', lines[2])
    assert.equal("10={} 9=null ü=[] ", lines[3])
    assert.equal("nil\ttrue\ttrue\t[]", lines[4])
    assert.matches("^false\t.*worker.lua:%d+: bad argument #2 to 'get' %(string expected, got number%)", lines[5])
  end)

  it("may change while it is walked over", function()
    local lines = lines_of(file(THREE, E("delete", "t", "b"), E("insert", "t", "d", "4")), STREAM .. [[
      local each
      stream:onChange(function(state, event)
        if event.key == "c" then each = state:each("t") end
      end)
      stream:onUpToDate(function()
        for key, value in each do io.write(key, "=", value, " ") end
        print()
      end)
    ]])
    assert.same({"a=1 c=3 "}, lines)
  end)
end)

describe("large events", function()
  it("are handed over whole", function()
    local big = ("ü"):rep(1 << 19)
    local events = file(E("insert", "t", "big", '"' .. big .. '"'), E("update", "t", "big", '{"v":"' .. big .. '"}'))
    local lines = lines_of(events, STREAM .. [[
      stream:onChange(function(state, event)
        print(event.key, event.old and #event.old, type(event.value), #(event.value.v or event.value), #event.text)
      end)
    ]])
    assert.equal("big\tnil\tstring\t1048576\t" .. (#E("insert", "t", "big", '""') - 1 + 1048576), lines[1])
    assert.matches("^big\t1048576\ttable\t1048576\t", lines[2])
  end)

  it("past limits.message are an error that names the limit", function()
    local _, done = lines_of(file(E("insert", "t", "big", '"' .. ("x"):rep(3000) .. '"')), [[
      weir.stream { url = weir.env "FILE", live = false, limits = { message = "2KB" } }
    ]], 1)
    assert.matches("limits.message", done.stderr, 1, true)
  end)
end)
