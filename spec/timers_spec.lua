-- weir.sleep, weir.after, weir.every: in the main chunk, in handlers, in each other.

local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local function run(script, set, env)
  return worker.run{script = 'local weir = require "weir"\n' .. script, set = set, env = env, timeout = 15}
end

local function lines_of(script, set)
  local done = run(script, set)
  assert.equal(0, done.code, done.stderr)
  assert.equal("", done.stderr)
  return worker.lines(done.stdout)
end

local function events(count)
  local list = {}
  for i = 1, count do
    list[i] = ('{"type":"t","key":"k%d","value":%d,"headers":{"operation":"insert"}}\n'):format(i, i)
  end
  return tmp.file("events.jsonl", table.concat(list))
end

describe("weir.sleep", function()
  it("waits in the main chunk", function()
    local start = wait.now()
    assert.same({"before", "after"}, lines_of[[
      print("before")
      weir.sleep(0.2)
      print("after")
      weir.after(0, function() end)
    ]])
    assert.is_true(wait.now() - start >= 0.2)
  end)

  it("lets timers run meanwhile, in the main chunk as well", function()
    assert.same({"1", "2", "main"}, lines_of[[
      local over
      weir.after(0.001, function() print("1") weir.sleep(0.001) print("2") over = true end)
      while not over do weir.sleep(0.001) end
      print("main")
      weir.after(0, function() end)
    ]])
  end)

  it("returns nothing, and may take no time", function()
    assert.same({"0"}, lines_of[[
      print(select("#", weir.sleep(0)))
      weir.after(0, function() end)
    ]])
  end)
end)

describe("durations", function()
  it("are seconds, or text with a unit", function()
    assert.same({"20", "20", "20"}, lines_of[[
      local before = os.time()
      for _, duration in ipairs { 0.02, "20ms", "0.02s" } do
        weir.sleep(duration)
        print("20")
      end
      assert(os.time() - before < 20)
      weir.after("0.0001h", function() end):stop()
      weir.after("1m", function() end):stop()
      weir.after(0, function() end)
    ]])
  end)

  it("that are none are refused with what was expected", function()
    for _, text in ipairs{"-1", "0/0", "math.huge", "1e300", '"soon"', '"5"', '"-1s"', '""', "nil", "{}", "true"} do
      local done = run(("weir.sleep(%s)"):format(text))
      assert.equal(1, done.code, text)
      assert.matches("worker.lua:2: bad argument #1 to 'sleep' (expected a duration: seconds, or text like",
        done.stderr, 1, true)
    end
  end)

  it("of 0 are refused by every", function()
    local done = run("weir.every(0, print)")
    assert.matches("bad argument #1 to 'every' (must be longer than 0)", done.stderr, 1, true)
  end)
end)

describe("weir.after", function()
  it("calls once, later, the sooner first", function()
    assert.same({"main", "a", "b", "c"}, lines_of[[
      weir.after(1, function() print("c") end)
      weir.after("20ms", function() print("b") end)
      weir.after(0, function() print("a") end)
      print("main")
    ]])
  end)

  it("wants a function", function()
    local done = run("weir.after(1)")
    assert.matches("bad argument #2 to 'after' (function expected, got no value)", done.stderr, 1, true)
  end)

  it("can be stopped before, during and after", function()
    assert.same({"during", "end of during"}, lines_of[[
      weir.after(0.01, function() print("never") end):stop()
      local during
      during = weir.after(0.01, function()
        print("during")
        during:stop()
        weir.sleep(0.001)
        print("end of during")
        weir.after(0.001, function() during:stop() during:stop() end)
      end)
    ]])
  end)

  it("goes on when its timer is collected", function()
    assert.same({"called"}, lines_of[[
      weir.after(0.02, function() print("called") end)
      collectgarbage() collectgarbage()
    ]])
  end)

  it("may be nested", function()
    assert.same({"1", "2", "3"}, lines_of[[
      local function next_one(n)
        print(n)
        if n < 3 then weir.after(0.001, function() next_one(n + 1) end) end
      end
      weir.after(0, function() next_one(1) end)
    ]])
  end)
end)

describe("weir.every", function()
  it("calls again and again until it is stopped, also by itself", function()
    assert.same({"1", "2", "3"}, lines_of[[
      local n, timer = 0, nil
      timer = weir.every(0.005, function()
        n = n + 1
        print(n)
        if n == 3 then timer:stop() end
      end)
    ]])
  end)

  it("leaves turns out while its function waits", function()
    assert.same({"in", "out", "in", "out"}, lines_of[[
      local n, timer = 0, nil
      timer = weir.every("2ms", function()
        n = n + 1
        print("in")
        weir.sleep(0.03)
        print("out")
        if n == 2 then timer:stop() end
      end)
    ]])
  end)

  it("runs beside streams, and does not keep the worker alive", function()
    local done = run([[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      local ticks = 0
      weir.every("1ms", function() ticks = ticks + 1 end)
      weir.after("1h", function() error("never") end)
      stream:onChange(function() weir.sleep(0.02) end)
      stream:onUpToDate(function() print(ticks >= 3) end)
    ]], {FILE = events(5)})
    assert.equal("true\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
  end)

  it("with a function that only sleeps does not keep the worker alive either", function()
    local done = run([[
      weir.stream { url = weir.env "FILE", live = false }
      weir.after(0, function() while true do weir.sleep "1h" end end)
    ]], {FILE = events(1)})
    assert.equal(0, done.code, done.stderr)
  end)
end)

describe("timers that fail", function()
  it("stop the worker with a traceback", function()
    local done = run[[
      weir.after(0.001, function()
        weir.sleep(0.001)
        weir.every(0.001, function() print("still there") end)
        error("broken")
      end)
    ]]
    assert.equal(1, done.code)
    assert.matches("^weir: [^\n]*worker.lua:5: broken\nstack traceback:\n.*worker.lua:5", done.stderr)
    assert.not_matches("still there", done.stdout)
  end)

  it("during a wait of the main chunk stop the worker when it runs", function()
    local done = run[[
      weir.after(0, function() error("broken") end)
      weir.sleep(0.05)
      print("main")
      weir.after(0.05, function() print("late") end)
    ]]
    assert.equal(1, done.code)
    assert.equal("main\n", done.stdout)
    assert.matches("worker.lua:2: broken", done.stderr, 1, true)
  end)

  it("are stopped when they never end", function()
    local done = run("weir.after(0, function() while true do end end)", nil, {WEIR_HANDLER_LIMIT = "100ms"})
    assert.equal(1, done.code)
    assert.matches("worker.lua:2: ran too long", done.stderr, 1, true)
  end)
end)

describe("many timers", function()
  it("are all called, and none is left open", function()
    local done = run[[
      local called = 0
      for i = 1, 2000 do
        weir.after(i % 7 / 1000, function()
          weir.sleep(i % 3 / 1000)
          called = called + 1
          if called == 2000 then print(called) end
        end)
      end
    ]]
    assert.equal("2000\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
    assert.equal("", done.stderr)
  end)

  it("that are left when the worker stops are closed", function()
    local done = run[[
      for i = 1, 50 do
        weir.every(0.001, function() weir.sleep(10) end)
        weir.after(10, print)
      end
      weir.after(0.05, weir.stop)
    ]]
    assert.equal(0, done.code, done.stderr)
    assert.equal("", done.stderr)
  end)
end)
