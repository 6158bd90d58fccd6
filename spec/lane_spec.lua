-- A lane over many events: types, errors, waits, memory; and what watches over it.

local cli = require "support.cli"
local tmp = require "support.tmp"
local worker = require "support.worker"

local E = cli.line

-- `count` upserts, made by make(i) -> type, key, value.
local function events(count, make)
  local list = {}
  for i = 1, count do
    list[i] = E("upsert", make(i))
  end
  return tmp.file("events.jsonl", table.concat(list))
end

local function run(file, script, options)
  options = options or {}
  local done = worker.run{
    set = {FILE = file}, env = options.env, timeout = options.timeout or 60, args = options.args,
    script = [[
      local weir = require "weir"
      local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream", deadletter = weir.env "DEAD" }
    ]] .. script,
  }
  assert.equal(options.code or 0, done.code, done.stderr)
  return worker.lines(done.stdout), done
end

describe("a lane", function()
  it("tells more types apart than it numbers, names of any length among them", function()
    local long = ("n"):rep(70)
    local file = events(12000, function(i)
      local n = i % 6000
      return (n % 3 == 0 and long or "t") .. n, "k" .. i, tostring(n)
    end)
    local lines = run(file, ([[
      local wrong, own, long, all = 0, 0, 0, 0
      stream:onChange("t5999", function(_, event) own = own + 1 if event.type ~= "t5999" then wrong = wrong + 1 end end)
      stream:onChange(("n"):rep(70) .. "5997", function(_, event) long = long + 1 end)
      stream:onChange("t1", function() own = own + 1 end)
      stream:onChange(function(state, event)
        all = all + 1
        if not event.type:match("^[tn]+" .. event.value .. "$") then wrong = wrong + 1 end
        if state:get(event.type, event.key) ~= event.value then wrong = wrong + 1 end
      end)
      stream:onUpToDate(function() print(own, long, all, wrong) end)
    ]]))
    assert.same({"4\t2\t12000\t0"}, lines)
  end)

  it("goes on behind each of many errors, and after retries", function()
    local file = events(3000, function(i) return "t", "k" .. i, tostring(i) end)
    local lines = run(file, [[
      local ok, tried, after = 0, 0, 0
      stream:onError(function(_, event) return event.value % 1000 == 0 and tried < 3 and "retry" or "skip" end)
      stream:onChange("t", function(_, event)
        if event.value % 1000 == 0 then
          tried = tried + 1
          weir.sleep(0.001)
          if tried % 2 == 1 then error "again" end
        elseif event.value % 3 == 0 then
          error { code = event.value }
        end
        ok = ok + 1
      end)
      stream:onChange(function() after = after + 1 end)
      stream:onUpToDate(function() print(ok, tried, after) end)
    ]], {args = {"--set", "LOG=error"}, env = {WEIR_LOG = "error"}})
    -- 2,000 are no multiples of 3; of those, 2000 is skipped when it fails, and 3000 does not fail.
    assert.same({"2000\t4\t2000"}, lines)
  end)

  it("does not gather garbage", function()
    local file = events(60000, function(i) return "t", "k" .. i % 100, '{"text":"' .. ("x"):rep(300) .. '","n":{}}' end)
    local lines = run(file, [[
      local most = 0
      stream:onChange(function(_, event)
        local _ = event.value.text .. tostring(event.value.n.x), event.old
        most = math.max(most, collectgarbage "count")
      end)
      stream:onUpToDate(function() print(most < 8000, most) end)
    ]])
    assert.matches("^true", lines[1])
  end)

  it("keeps what a script keeps, and no more", function()
    local file = events(20000, function(i) return "t", "k" .. i, '{"text":"' .. ("x"):rep(300) .. '"}' end)
    local lines = run(file, [[
      local kept = {}
      stream:onChange(function(_, event) kept[#kept + 1] = event.value end)
      stream:onUpToDate(function()
        collectgarbage() collectgarbage()
        local size = collectgarbage "count"
        local all = true
        for _, value in ipairs(kept) do all = all and #value.text == 300 end
        kept = nil
        collectgarbage() collectgarbage()
        print(all, size < 30000, collectgarbage "count" < 3000)
      end)
    ]])
    assert.same({"true\ttrue\ttrue"}, lines)
  end)
end)

describe("what watches over handlers", function()
  local file = events(3, function(i) return "t", "k" .. i, tostring(i) end)

  it("does not disturb what takes its time outside of Lua", function()
    local lines = run(file, [[
      stream:onChange(function(_, event)
        local pipe = io.popen "sleep 0.3; echo waited"
        print(pipe:read "a", (os.execute "sleep 0.2"))
        pipe:close()
      end)
    ]], {env = {WEIR_HANDLER_LIMIT = "10s"}})
    assert.same({"waited", "\ttrue", "waited", "\ttrue", "waited", "\ttrue"}, lines)
  end)

  it("stops what runs in a coroutine of the script's own, made by create or by wrap, at any depth", function()
    for _, body in ipairs{
      "coroutine.resume(coroutine.create(function() while true do end end))",
      "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
      "local co = kept or coroutine.create(function() while true do coroutine.yield() end end) while true do " ..
        "coroutine.resume(co) end",
    } do
      local _, done = run(file, ([[
        local kept = coroutine.create(function() coroutine.yield() while true do end end)
        coroutine.resume(kept)
        stream:onChange(function() %s %s end)
      ]]):format(body, "while true do end"), {code = 1, env = {WEIR_HANDLER_LIMIT = "200ms"}, timeout = 10})
      assert.matches("ran too long without waiting", done.stderr, 1, true)
    end
  end)

  it("leaves coroutines what they are", function()
    local lines = run(file, [[
      stream:onChange("t", function(_, event)
        local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) error("e" .. b, 0) end)
        print(coroutine.resume(co, 1))
        print(coroutine.resume(co, 2))
        print(coroutine.status(co), pcall(coroutine.create, 5))
        local step = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(i) end end)
        print(step(), step(), step(), pcall(step))
        weir.stop()
      end)
    ]])
    assert.equal("true\t2", lines[1])
    assert.equal("false\te2", lines[2])
    assert.matches("^dead\tfalse\tbad argument #1 to 'coroutine.create' %(function expected", lines[3])
    assert.matches("^1\t2\tfalse\t.*cannot resume dead coroutine", (lines[4]:gsub("\tnil", "")))
  end)
end)
