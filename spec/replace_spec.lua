-- snapshot = "replace": what a snapshot holds, or what follows a reset, takes the place of the state in one step.

local tmp = require "support.tmp"
local worker = require "support.worker"
local cli = require "support.cli"

local change = cli.line

local function control(name)
  return ('{"headers":{"control":"%s"}}\n'):format(name)
end

local PRELUDE = [[
local weir = require "weir"
local stream = weir.stream { url = weir.env "FILE", name = "stream", live = false,
  snapshot = weir.env("SNAPSHOT", "replace"),
  onInvalid = "skip" }
local function show(value)
  return value == nil and "-" or weir.json.encode(value)
end
]]

local TELL = [[
stream:onChange(function(state, event)
  print(event.operation, event.type, event.key, show(event.old), show(event.new), show(event.value), state:size())
end)
stream:onControl(function(event) print("control", event.control, stream.state:size()) end)
stream:onUpToDate(function(state) print("up to date", state:size()) end)
]]

local function lines_of(events, script, set)
  set = set or {}
  set.FILE = tmp.file("events.jsonl", events)
  local done = worker.run{ script = PRELUDE .. script, set = set }
  assert.equal(0, done.code, done.stderr)
  return worker.lines(done.stdout), done
end

local BEFORE = change("insert", "users", "a", "1") .. change("insert", "users", "b", "2")
  .. change("insert", "rooms", "r", "[]")

describe("a snapshot that replaces the state", function()
  it("tells handlers of what differs, by type and key, before its end", function()
    local lines = lines_of(BEFORE .. control "snapshot-start" .. change("insert", "users", "b", "3")
      .. change("insert", "users", "c", "4") .. change("insert", "rooms", "r", "[]")
      .. change("insert", "users", "b", "2.5")
      .. control "snapshot-end" .. change("update", "users", "c", "5"), TELL)
    assert.same({
      "insert\tusers\ta\t-\t1\t1\t1",
      "insert\tusers\tb\t-\t2\t2\t2",
      "insert\trooms\tr\t-\t[]\t[]\t3",
      "control\tsnapshot-start\t3",
      "delete\tusers\ta\t1\t-\t-\t3",
      "update\tusers\tb\t2\t2.5\t2.5\t3",
      "insert\tusers\tc\t-\t4\t4\t3",
      "control\tsnapshot-end\t3",
      "update\tusers\tc\t4\t5\t5\t3",
      "up to date\t3",
    }, lines)
  end)

  it("is built out of sight: nobody sees it half done, but its rules do", function()
    local lines = lines_of(BEFORE .. control "snapshot-start" .. change("insert", "users", "x", "1")
      .. change("insert", "messages", "m", '{"by":"x"}') .. change("insert", "messages", "n", '{"by":"a"}')
      .. control "snapshot-end", [[
      stream:validate("messages", function(event, state)
        print("rule", event.key, state:has("users", event.value.by), stream.state:has("users", "x"))
        return state:has("users", event.value.by), "unknown user"
      end)
      stream:onChange("messages", function(_, event) print(event.operation, event.key) end)
    ]])
    assert.same({ "rule\tm\ttrue\tfalse", "rule\tn\tfalse\tfalse", "insert\tm" }, lines)
  end)

  it("may patch what it holds, and begin again", function()
    local lines = lines_of(BEFORE .. control "snapshot-start" .. change("insert", "users", "z", "1")
      .. control "snapshot-start" .. change("insert", "users", "a", '{"x":1}')
      .. change("patch", "users", "a", '{"y":2}')
      .. control "snapshot-end", [[
      stream:onUpToDate(function(state)
        for key, value in state:each("users") do print(key, show(value)) end
        print(state:size())
      end)
    ]])
    assert.same({ 'a\t{"x":1,"y":2}', "1" }, lines)
  end)

  it("that never ends changes nothing, which is said", function()
    local lines, done = lines_of(BEFORE .. control "snapshot-start" .. change("insert", "users", "z", "1"),
      [[stream:onUpToDate(function(state) print(state:size(), state:has("users", "z")) end)]])
    assert.same({ "3\tfalse" }, lines)
    assert.matches("stream: ended within a snapshot: the state is the one before it", done.stderr, 1, true)
  end)

  it("ends a reset when the stream is up to date, where no snapshot follows", function()
    local lines = lines_of(BEFORE .. control "reset" .. change("insert", "users", "b", "2"), TELL)
    assert.same({
      "control\treset\t3",
      "delete\trooms\tr\t[]\t-\t-\t1",
      "delete\tusers\ta\t1\t-\t-\t1",
      "up to date\t1",
    }, { table.unpack(lines, 4) })
  end)

  it("is merged unless the stream says otherwise", function()
    local lines = lines_of(BEFORE .. control "snapshot-start" .. change("insert", "users", "b", "3")
      .. control "snapshot-end", [[
      stream:onChange("users", function(_, event) print(event.operation, event.key, show(event.old)) end)
      stream:onUpToDate(function(state) print(state:size()) end)
    ]], { SNAPSHOT = "merge" })
    assert.same({ "insert\ta\t-", "insert\tb\t-", "insert\tb\t2", "3" }, lines)
  end)

  it("leaves the same state as reading it alone, with many entities", function()
    local before, snapshot = {}, {}
    math.randomseed(7)
    for i = 1, 3000 do
      before[i] = change("upsert", "t" .. math.random(3), "k" .. math.random(1000), tostring(math.random(5)))
      snapshot[i] = change("upsert", "t" .. math.random(3), "k" .. math.random(1000), tostring(math.random(5)))
    end
    before, snapshot = table.concat(before), table.concat(snapshot)
    local script = [[
      local copy, calls = {}, 0
      stream:onChange(function(_, event)
        calls = calls + 1
        local id = event.type .. "/" .. event.key
        assert(copy[id] == event.old, id)
        assert((event.operation == "insert") == (copy[id] == nil) or event.operation == "upsert")
        copy[id] = event.new
      end)
      stream:onUpToDate(function(state)
        local n = 0
        for _, kind in ipairs(state:types()) do
          for key, value in state:each(kind) do
            assert(copy[kind .. "/" .. key] == value)
            n = n + 1
          end
        end
        for _ in pairs(copy) do n = n - 1 end
        print(n, calls < 6000, state:size())
      end)
    ]]
    local lines = lines_of(before .. control "snapshot-start" .. snapshot .. control "snapshot-end", script)
    local alone = cli.run{ "state", tmp.file("alone.jsonl", snapshot), "--stats" }
    assert.same({ "0\ttrue\t" .. alone.stderr:match "entities=(%d+)" }, lines)
  end)

  it("goes by its two words", function()
    local done = worker.run{ script = PRELUDE, set = { FILE = tmp.file("e.jsonl", ""), SNAPSHOT = "both" } }
    assert.equal(1, done.code)
    assert.matches('snapshot: expected "merge" or "replace", got "both"', done.stderr, 1, true)
  end)
end)
