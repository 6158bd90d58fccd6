-- What breaks on the way is read again, and every event is seen once, in order: stopped servers, dropped
-- connections, errors of the server, cut and garbled bodies.

local proxy = require "support.proxy"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

-- Every event carries the next number and an increment of its key's counter; anything else raises.
local CHECKER = [[
local weir = require "weir"
local live = weir.env("LIVE", "no")
local limits = { connect = weir.env("CONNECT", "2m"), outage = weir.env("OUTAGE", "2m") }
local stream = weir.stream { url = weir.env "URL", live = live ~= "no" and live, limits = limits }
local seen, counters = 0, {}
stream:onChange(function(state, event)
  if event.type == "end" then return weir.stop() end
  seen = seen + 1
  if event.value.n ~= seen then error(("expected event %d, got %d"):format(seen, event.value.n)) end
  local old = event.old and event.old.count
  if old ~= counters[event.key] then error(("event %d: old count is %s"):format(seen, tostring(old))) end
  counters[event.key] = event.value.count
  local gate = weir.env "GATE"
  while gate and seen == 1 and not io.open(gate) do weir.sleep(0.01) end
end)
stream:onUpToDate(function() print("seen", seen) io.flush() end)
]]

local KEYS = 7

-- Events from..to for CHECKER: event n is the (n // KEYS)th of its key. filler: bytes of each value.
local function events(from, to, filler)
  local list = {}
  for n = from, to do
    local value = ('{"n":%d,"count":%d,"filler":"%s"}'):format(n, n // KEYS, ("grüße "):rep((filler or 0) // 8))
    list[#list + 1] = ('{"type":"t","key":"k%d","value":%s,"headers":{"operation":"upsert"}}'):format(n % KEYS, value)
  end
  return "[" .. table.concat(list, ",") .. "]"
end

local END = '{"type":"end","key":"x","value":1,"headers":{"operation":"upsert"}}'
local WAYS = {"sse", "long-poll"}

local function finish(child, limit)
  local done = child:wait(limit or worker.patience(10))
  assert.equal(0, done.code, done.stderr)
  return done
end

-- Stops the server as an operator does, who does not wait long for those who hang on the line.
local function bounce(s)
  s.child:signal("TERM")
  pcall(s.child.wait, s.child, 0.3)
  s:crash()
  s:restart()
end

describe("a server that is stopped and started", function()
  for _, way in ipairs(WAYS) do
    it("is found again, with " .. way, function()
      local s = server.start{dataDir = tmp.dir()}
      finally(function() s:stop() end)
      local url = s:stream()
      s:append(url, events(1, 10))
      local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = way}}
      child:wait_for_output("seen\t10\n")
      bounce(s)
      s:append(url, events(11, 15))
      child:wait_for_output("seen\t15\n")
      s:crash()
      child:wait_for_output("trying again")
      s:restart()
      s:append(url, events(16, 20))
      child:wait_for_output("seen\t20\n")
      bounce(s)
      s:append(url, END)
      finish(child)
    end)
  end

  it("is waited for at the start, too", function()
    local s = server.start{dataDir = tmp.dir()}
    finally(function() s:stop() end)
    local url = s:stream()
    s:append(url, events(1, 3))
    s:stop()
    local child = worker.spawn{script = CHECKER, set = {URL = url}}
    child:wait_for_output("trying again")
    s:restart()
    local done = finish(child)
    assert.equal("seen\t3\n", done.stdout)
  end)

  it("is given up after limits.outage, with the reason", function()
    local s = server.start{dataDir = tmp.dir()}
    local url = s:stream()
    s:append(url, events(1, 3))
    local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = "sse", OUTAGE = "1s"}}
    child:wait_for_output("seen\t3\n")
    s:stop()
    local done = child:wait(worker.patience(10))
    assert.equal(1, done.code)
    local message = done.stderr:match("weir: ([^\n]*)\n$")
    assert.matches(s.url, message, 1, true)
    assert.matches("connect to server.*gave up after %d", message)
  end)

  it("without files has lost the stream, which is an error", function()
    local s = server.start()
    finally(function() s:stop() end)
    local url = s:stream()
    s:append(url, events(1, 3))
    local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = "sse"}}
    child:wait_for_output("seen\t3\n")
    s:restart()
    local done = child:wait(worker.patience(10))
    assert.equal(1, done.code)
    assert.matches("weir: [^\n]*404: there is no such stream", done.stderr)
  end)
end)

describe("faults of the server", function()
  local s

  setup(function() s = server.start() end)
  teardown(function() s:stop() end)

  local faults = {
    {name = "a burst of 503", fault = {status = 503, count = 3}},
    {name = "a burst of dropped connections", fault = {dropConnection = true, count = 3}},
    {name = "a cut body", fault = {truncateBodyBytes = 700, count = 2}, body = true},
    {name = "a body cut to one byte", fault = {truncateBodyBytes = 1, count = 1}, body = true},
    {name = "a garbled body", fault = {corruptBody = true, count = 2}, body = true},
    {name = "a slow answer", fault = {delayMs = 200, count = 1}},
  }

  for _, case in ipairs(faults) do
    it(case.name .. " during catch-up", function()
      local url = s:stream()
      s:append(url, events(1, 40, 64))
      s:append(url, events(41, 50, 64))
      s:inject(url, case.fault)
      local done = worker.run{script = CHECKER, set = {URL = url}}
      assert.equal("seen\t50\n", done.stdout, done.stderr)
      assert.equal(0, done.code)
    end)

    if case.body then
      it(case.name .. " that is not compressed", function()
        local url = s:stream() -- bodies under 1024 bytes are not
        s:append(url, events(1, 9))
        s:inject(url, case.fault)
        local done = worker.run{script = CHECKER, set = {URL = url}}
        assert.equal("seen\t9\n", done.stdout, done.stderr)
        assert.equal(0, done.code)
      end)
    end

    for _, way in ipairs(WAYS) do
      it(("%s with %s"):format(case.name, way), function()
        local url = s:stream()
        s:append(url, events(1, 5))
        local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = way}}
        child:wait_for_output("seen\t5\n")
        s:inject(url, {status = case.fault.status, count = case.fault.count, delayMs = case.fault.delayMs,
          dropConnection = case.fault.dropConnection, truncateBodyBytes = case.fault.truncateBodyBytes,
          corruptBody = case.fault.corruptBody, method = "GET"})
        s:append(url, events(6, 30, 64))
        child:wait_for_output("seen\t30\n")
        s:clear_faults()
        s:append(url, END)
        finish(child)
      end)
    end
  end

  it("429 with Retry-After waits that long", function()
    local url = s:stream()
    s:append(url, events(1, 3))
    s:inject(url, {status = 429, count = 1, retryAfter = 1})
    local start = wait.now()
    local done = worker.run{script = CHECKER, set = {URL = url}}
    assert.equal("seen\t3\n", done.stdout)
    assert.is_true(wait.now() - start >= 1)
    assert.matches("429[^\n]*trying again in 1%.", done.stderr)
  end)

  it("a Retry-After past the limit is told, and not waited for", function()
    local url = s:stream()
    s:inject(url, {status = 503, count = 1, retryAfter = 3600})
    local done = worker.run{script = CHECKER, set = {URL = url, CONNECT = "60s"}}
    assert.equal(1, done.code)
    assert.matches("the server asks to wait 3600", done.stderr, 1, true)
  end)

  it("a body that stays broken is an error with its place", function()
    local url = s:stream()
    s:append(url, events(1, 3))
    s:inject(url, {corruptBody = true, count = 1000})
    local done = worker.run{script = CHECKER, set = {URL = url, CONNECT = "5s"}}
    s:clear_faults()
    assert.equal(1, done.code)
    assert.matches(url, done.stderr, 1, true)
    assert.matches("expected '%['", done.stderr)
  end)

  it("an SSE event that is no JSON is read again", function()
    local url = s:stream()
    s:append(url, events(1, 3))
    s:inject(url, {injectSseEvent = {eventType = "data", data = "[{oops"}, count = 2})
    local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = "sse"}}
    child:wait_for_output("seen\t3\n")
    s:append(url, events(4, 6))
    s:append(url, END)
    finish(child)
  end)

  it("an SSE control event that is garbled is read again", function()
    local url = s:stream()
    s:append(url, events(1, 3))
    s:inject(url, {injectSseEvent = {eventType = "control", data = "{]"}, count = 2})
    local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = "sse"}}
    child:wait_for_output("seen\t3\n")
    s:append(url, events(4, 6))
    s:append(url, END)
    finish(child)
  end)

  it("SSE events of an unknown type are passed over", function()
    local url = s:stream()
    s:append(url, events(1, 3))
    s:inject(url, {injectSseEvent = {eventType = "weather", data = "sunny"}, count = 5})
    local child = worker.spawn{script = CHECKER, set = {URL = url, LIVE = "sse"}}
    child:wait_for_output("seen\t3\n")
    s:append(url, END)
    finish(child)
  end)
end)

describe("connections cut at some byte", function()
  local s, p

  setup(function()
    s = server.start()
    p = proxy.start(s)
  end)

  teardown(function()
    p:stop()
    s:stop()
  end)

  -- As many cuts, at places that differ with each.
  local function cuts(count, most, seed)
    local plan = {}
    for i = 1, count do
      seed = (seed * 1103515245 + 12345) % 2147483648
      plan[i] = ('{"method":"GET","cut":%d}'):format(seed // 65536 % most + 1)
    end
    return "[" .. table.concat(plan, ",") .. "]"
  end

  it("during catch-up", function()
    local url = s:stream()
    s:append(url, events(1, 2000, 40))
    p:faults(cuts(5, 6000, 1)) -- of a compressed body
    local done = worker.run{script = CHECKER, set = {URL = p:url(url)}, timeout = 60}
    assert.equal("seen\t2000\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
  end)

  for _, way in ipairs(WAYS) do
    it("with " .. way, function()
      local url = s:stream()
      local by = p:url(url)
      local child = worker.spawn{script = CHECKER, set = {URL = by, LIVE = way}, timeout = 60}
      child:wait_for_output("seen\t0\n")
      for round = 0, 4 do
        p:faults(cuts(3, 2000, round + 10))
        s:append(url, events(round * 40 + 1, round * 40 + 20, 64))
        s:append(url, events(round * 40 + 21, round * 40 + 40, 64))
        child:wait_for_output(("seen\t%d\n"):format(round * 40 + 40), worker.patience(20))
      end
      p:faults("[]")
      s:append(url, END)
      finish(child)
    end)

    it("behind which more has come while a handler was busy, with " .. way, function()
      local url = s:stream()
      local by = p:url(url)
      local gate = tmp.dir() .. "/gate"
      local child = worker.spawn{script = CHECKER, set = {URL = by, LIVE = way, GATE = gate}}
      p:wait_for_request(by:match("/v1/.*") .. "?live=" .. way)
      -- The first handler waits. Behind it lie a chunk that is no JSON, and then others.
      s:append(url, events(1, 1))
      local requests = #p:requests()
      if way == "long-poll" then
        p:faults(('[{"method":"GET","answer":{"headers":{"Content-Type":"application/json",' ..
          '"Stream-Up-To-Date":"true","Stream-Next-Offset":"%s"},"body":"[{oops"}}]'):format(s:tail(url)))
        wait.till(function() return #p:requests() > requests end, nil, "another poll")
      end
      s:append(url, events(2, 4))
      s:append(url, events(5, 5))
      requests = #p:requests()
      wait.till(function()
        return way == "sse" or #p:requests() > requests + 1
      end, nil, "a poll behind them")
      tmp.write(gate, "")
      child:wait_for_output("seen\t5\n")
      s:append(url, END)
      finish(child)
    end)
  end
end)
