-- What a script's functions are called with, in which order, and what they may do: wait, read the state, end it all.

local cli = require "support.cli"
local handling = require "support.handling"
local tmp = require "support.tmp"
local worker = require "support.worker"

local file, lines_of, run = handling.file, handling.lines_of, handling.run
local STREAM, THREE = handling.STREAM, handling.THREE
local E = cli.line

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
