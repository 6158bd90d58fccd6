-- The main job on real input: a long stream with all that is easily got wrong, read by catch-up, long-poll and SSE
-- at once, while the server is stopped, killed and started again. Each script sees every event once, in order,
-- with the right old and new values.

local npm_state = require "support.npm_state"
local paths = require "support.paths"
local process = require "support.process"
local proxy = require "support.proxy"
local room = require "support.room"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local EVENTS = paths.sanitized and 20000 or 100000
local BIG = EVENTS // 10 -- every so manieth value has 1 MB
local BATCH = EVENTS // 20

-- Keeps its own model of the state, compares each event with the log and with the model, and at the end the
-- model with the state.
local CHECKER = [[
package.path = weir_spec .. "/?.lua"
local weir = require "weir"
local room = require "support.room"

local stream = weir.stream {
  url = weir.env "URL",
  live = weir.env "LIVE" ~= "no" and weir.env "LIVE",
  limits = { connect = "10m", outage = "10m" },
}
local log = room.log(weir.null, tonumber(weir.env "BIG"))
local model, seen, size = {}, 0, 0

local function fail(what, event)
  error(("event %d: %s: %s"):format(seen, what, tostring(event)))
end

stream:onChange(function(state, event)
  local _, expected = log()
  local entities = model[event.type] or {}
  model[event.type] = entities
  seen = seen + 1
  if event.type ~= expected.type or event.key ~= expected.key or event.operation ~= expected.operation then
    fail("expected " .. expected.operation .. " " .. expected.type .. "/" .. expected.key, event)
  end
  if event.txid ~= "tx-" .. seen then fail("txid " .. tostring(event.txid), event) end
  if not room.same(event.old, entities[event.key]) then fail("old", event) end
  if not room.same(event.value, expected.value) then fail("value", event) end
  if not room.same(event.new, expected.value) then fail("new", event) end
  size = size + (entities[event.key] == nil and 1 or 0) - (expected.value == nil and 1 or 0)
  entities[event.key] = expected.value
  if state:size() ~= size then fail("size " .. state:size(), event) end
  if seen % 1000 == 0 then weir.sleep(0.001) end
  if seen % 5000 == 0 then print("seen", seen) io.flush() end
end)
stream:onUpToDate(function() print("up to date", seen) io.flush() end)

weir.run()

for kind, entities in pairs(model) do
  local count = 0
  for key, value in stream.state:each(kind) do
    count = count + 1
    if not room.same(value, entities[key]) then error("state of " .. kind .. "/" .. key) end
  end
  for key in pairs(entities) do count = count - 1 end
  if count ~= 0 then error("state of " .. kind .. " has another size") end
end
print("final", seen, stream.state:size() == size)
]]

-- Stops the server as an operator does, who does not wait long for those who hang on the line.
local function bounce(s)
  s.child:signal("TERM")
  pcall(s.child.wait, s.child, 0.3)
  s:crash()
  s:restart()
end

local function start(url, live)
  return worker.spawn{
    script = ("local weir_spec = %q\n"):format(paths.spec) .. CHECKER,
    set = {URL = url, LIVE = live, BIG = BIG},
    timeout = 120,
  }
end

describe("the main job", function()
  it("sees every event once, in order, with the right values, while the server comes and goes", function()
    local s = server.start{dataDir = tmp.dir()}
    finally(function() s:stop() end)
    local url = s:stream("room")
    local log, appended = room.log("null", BIG), 0

    local function append(count)
      local batch = {}
      for i = 1, count do
        batch[i] = log()
      end
      s:append(url, "[" .. table.concat(batch, ",") .. "]")
      appended = appended + count
    end

    for _ = 1, 6 do
      append(BATCH)
    end
    local readers = {start(url, "sse"), start(url, "long-poll")}
    s:crash() -- while they catch up, or before
    s:restart()
    append(BATCH)
    for _, reader in ipairs(readers) do
      reader:wait_for_output("up to date", worker.patience(60))
    end
    for round = 1, 6 do
      append(BATCH - 1) -- live, one after the other, the last one alone
      append(1)
      if round % 2 == 0 then
        bounce(s)
      elseif round == 3 then
        s:crash()
        s:restart()
      end
      append(BATCH)
      if round == 4 then
        for _, reader in ipairs(readers) do
          reader:wait_for_output(("up to date\t%d\n"):format(appended), worker.patience(60))
        end
        s:crash() -- while they have nothing to do
        s:restart()
      end
    end
    readers[3] = start(url, "no")
    wait.till(function() -- in the middle of its catch-up
      return readers[3]:stdout():find("seen", 1, true)
    end, worker.patience(60), "the third reader")
    bounce(s)
    append(EVENTS - appended)
    s:close(url)
    for i, reader in ipairs(readers) do
      local done = reader:wait(worker.patience(60))
      assert.equal(0, done.code, done.stderr)
      local count = tonumber(done.stdout:match("final\t(%d+)\ttrue\n"))
      assert.is_true(count == EVENTS or (i == 3 and count and count >= EVENTS - BATCH), done.stdout)
    end

    -- The same in the eyes of the npm package.
    local body = s:read(url).body
    local state = process.run{cmd = {paths.weir, "state", url}, timeout = worker.patience(60)}
    assert.equal(0, state.code, state.stderr)
    assert.is_nil(npm_state.differs(body, state.stdout))
  end)

  it("keeps numbers as they are written, which that server does not", function()
    local s = server.start()
    local p = proxy.start(s)
    finally(function() p:stop() s:stop() end)
    local numbers = '[12345678901234567890,9223372036854775807,-9223372036854775808,9007199254740993,1.10,1E2,-0,-0.0]'
    local body = '[{"type":"t","key":"k","value":' .. numbers .. ',"headers":{"operation":"insert"}}]'
    local answer = ('{"method":"GET","answer":{"headers":{"Content-Type":"application/json",' ..
      '"Stream-Next-Offset":"1","Stream-Up-To-Date":"true","Stream-Closed":"true"},"body":"%s"}}'):format(
      body:gsub('"', '\\"'))
    p:faults("[" .. answer .. "," .. answer .. "]")
    local url = p:url(s.url .. "/v1/stream/numbers")
    assert.equal('{"t":{"k":' .. numbers .. "}}\n", process.run{cmd = {paths.weir, "state", url}}.stdout)
    local done = worker.run{
      set = {URL = url},
      script = [[
        local weir = require "weir"
        local stream = weir.stream { url = weir.env "URL" }
        stream:onChange(function(state, event)
          for _, number in ipairs(event.value) do print(math.type(number), number) end
          print(state:json("t", "k"))
        end)
      ]],
    }
    assert.same({
      "float\t1.2345678901235e+19", "integer\t9223372036854775807", "integer\t-9223372036854775808",
      "integer\t9007199254740993", "float\t1.1", "float\t100.0", "float\t-0.0", "float\t-0.0", numbers,
    }, worker.lines(done.stdout))
  end)
end)
