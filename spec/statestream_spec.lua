-- The RFC's StateStream: writing with the old value, reading what is there, waiting for what comes back.

local server = require "support.server"
local proxy = require "support.proxy"
local tmp = require "support.tmp"
local worker = require "support.worker"

local function insert(kind, key, value, more)
  return ('{"type":"%s","key":"%s","value":%s,"headers":{"operation":"insert"%s}}'):format(kind, key, value, more or "")
end

local PRELUDE = [[
local weir = require "weir"
local stream = weir.stream { url = weir.env "URL", name = "room" }
local function show(value) return value == nil and "-" or weir.json.encode(value) end
local function later(fn) weir.after(0, function() fn() weir.stop() end) end
]]

describe("a StateStream", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function run(url, script, options)
    options = options or {}
    options.script, options.set = PRELUDE .. script, { URL = url }
    local done = worker.run(options)
    assert.equal(options.code or 0, done.code, done.stderr)
    return worker.lines(done.stdout), done
  end

  describe("that writes", function()
    it("says what an update and a delete replace", function()
      local url = s:stream "old"
      s:append(url, insert("users", "u", '{"n":1.10}') .. "")
      run(url, [[
        later(function()
          stream:preload()
          stream:update("users", "u", { n = 2 }, { txid = "a", timestamp = false })
          stream:awaitTxId("a", "2m")
          stream:upsert("users", "u", { n = 3 }, { timestamp = false })
          stream:patch("users", "u", { m = false }, { txid = "b", timestamp = false })
          stream:awaitTxId("b", "2m")
          stream:delete("users", "u", { timestamp = false })
          stream:update("users", "new", { n = 1 }, { timestamp = false })
          stream:update("users", "said", { n = 1 }, { timestamp = false, old_value = { n = 0 } })
          stream:delete("users", "u", { timestamp = false, oldValue = false })
        end)
      ]])
      local body = s:read(url).body
      assert.matches('"value":{"n":2},"old_value":{"n":1.1},"headers":{"operation":"update","txid":"a",', body, 1, true)
      assert.matches('"value":{"n":3},"headers":{"operation":"upsert",', body, 1, true)
      assert.matches('"old_value":{"n":3,"m":false},"headers":{"operation":"delete",', body, 1, true)
      assert.matches('"key":"new","value":{"n":1},"headers"', body, 1, true)
      assert.matches('"key":"said","value":{"n":1},"old_value":{"n":0},"headers"', body, 1, true)
      assert.matches('"key":"u","headers":{"operation":"delete","offset":"[%d_]+"}}]$', body)
    end)

    it("takes a false and a null that were stored for values", function()
      local url = s:stream "old"
      s:append(url, ("[%s,%s]"):format(insert("t", "f", "false"), insert("t", "n", "null")))
      run(url, [[
        later(function()
          stream:preload()
          stream:update("t", "f", true)
          stream:delete("t", "n")
        end)
      ]])
      assert.matches('"value":true,"old_value":false,', s:read(url).body, 1, true)
      assert.matches('"key":"n","old_value":null,', s:read(url).body, 1, true)
    end)
  end)

  describe("preload", function()
    it("waits until all is there, once, and get gives it", function()
      local url = s:stream "preload"
      s:append(url, ("[%s,%s]"):format(insert("t", "a", "1"), insert("t", "b", "2")))
      local lines = run(url, [[
        later(function()
          print("before", show(stream:get("t", "a")))
          stream:preload()
          print("after", stream:get("t", "a"), stream:get("t", "b"), show(stream:get("t", "c")), stream.state:size())
          stream:preload()
          print "again"
        end)
      ]])
      assert.same({ "before\t-", "after\t1\t2\t-\t2", "again" }, lines)
    end)

    it("reads from the main part of a script, which then goes on", function()
      local url = s:stream "main"
      s:append(url, insert("t", "a", "1"))
      local lines = run(url, [[
        stream:onChange(function(_, event) print("change", event.key) end)
        stream:preload()
        print("loaded", stream.state:size())
        stream:insert("t", "b", 2, { txid = "x" })
        stream:awaitTxId("x", "2m")
        print("there", stream:get("t", "b"))
        weir.after(0, weir.stop)
      ]])
      assert.same({ "change\ta", "loaded\t1", "change\tb", "there\t2" }, lines)
    end)

    it("reads in plain Lua before weir.run", function()
      local url = s:stream "plain"
      s:append(url, insert("t", "a", "1"))
      local done = worker.lua{ script = [[
        local weir = require "weir"
        local stream = weir.stream { url = os.getenv "URL", live = false }
        stream:onChange(function(_, event) print("change", event.key) end)
        stream:preload()
        print("loaded", stream.state:size())
        weir.run()
        print("ran", stream.state:size())
      ]], set = { URL = url } }
      assert.equal(0, done.code, done.stderr)
      assert.equal("change\ta\nloaded\t1\nran\t1\n", done.stdout)
    end)

    it("raises what ends the reading", function()
      local lines = run(s.url .. "/v1/stream/none", [[
        local ok, err = pcall(stream.preload, stream)
        print(ok, err.code, err)
      ]], { code = 1 })
      assert.matches("^false\tnot%-found\t.*none", lines[1])
    end)

    it("cannot wait in a handler of the stream itself, and says so", function()
      local url = s:stream "own"
      s:append(url, insert("t", "a", "1"))
      local lines = run(url, [[
        stream:onChange(function()
          for _, name in ipairs { "preload", "replay" } do
            local ok, err = pcall(stream[name], stream)
            print(ok, err.code, err)
          end
          local ok, err = pcall(stream.awaitTxId, stream, "x")
          print(ok, err.code)
          weir.stop()
        end)
      ]])
      assert.matches("^false\targument\troom: what is waited for cannot come while a handler", lines[1])
      assert.matches("^false\targument\t", lines[2])
      assert.equal("false\targument", lines[3])
    end)
  end)

  describe("awaitTxId", function()
    it("waits for a change of any writer, and knows those that were applied", function()
      local url = s:stream "txid"
      s:append(url, insert("t", "a", "1", [[,"txid":"old\u0020one"]]))
      local child = worker.spawn{ script = PRELUDE .. [[
        later(function()
          stream:preload()
          stream:awaitTxId "old one"
          print "known"
          io.stdout:flush()
          stream:awaitTxId("new", "2m")
          print("came", stream:get("t", "b"))
          stream:awaitTxId("older", 3)
        end)
      ]], set = { URL = url } }
      child:wait_for_output "known"
      s:append(url, insert("t", "b", "2", [[,"txid":"other"]]))
      s:append(url, ("[%s,%s]"):format(insert("t", "b", "2", [[,"txId":"older"]]),
        insert("t", "b", "3", [[,"txid":"new"]])))
      local done = child:wait()
      assert.equal(0, done.code, done.stderr)
      assert.equal("known\ncame\t3\n", done.stdout)
    end)

    it("does not take one that was refused for applied", function()
      local url = s:stream "refused"
      s:append(url, insert("t", "a", "1", [[,"txid":"x"]]))
      local lines = run(url, [[
        stream:onInvalid "skip"
        stream:validate(function() return false, "no" end)
        later(function()
          stream:preload()
          local ok, err = pcall(stream.awaitTxId, stream, "x", "50ms")
          print(ok, err.code, err)
        end)
      ]])
      assert.same({ 'false\ttimeout\troom: no change with txid "x" came within 50ms' }, lines)
    end)

    it("remembers 10,000 of them", function()
      local url = s:stream "many"
      local batch = {}
      for i = 1, 10001 do
        batch[i] = insert("t", "a", tostring(i), (',"txid":"t%d"'):format(i))
      end
      s:append(url, "[" .. table.concat(batch, ",") .. "]")
      local lines = run(url, [[
        later(function()
          stream:preload()
          stream:awaitTxId "t2"
          stream:awaitTxId "t10001"
          print(pcall(stream.awaitTxId, stream, "t1", 0.01))
        end)
      ]])
      assert.same({ 'false\troom: no change with txid "t1" came within 0.01 s' }, lines)
    end)

    it("raises when the stream ends before it comes", function()
      local url = s:stream "ends"
      local child = worker.spawn{ script = PRELUDE .. [[
        weir.after(0, function()
          stream:preload()
          print "waiting"
          io.stdout:flush()
          local ok, err = pcall(stream.awaitTxId, stream, "x", "1h")
          print(ok, err.code, err)
        end)
      ]], set = { URL = url } }
      child:wait_for_output "waiting"
      s:close(url)
      local done = child:wait()
      assert.equal(0, done.code, done.stderr)
      assert.equal("waiting\nfalse\tclosed\troom: the stream has ended, and nothing more is read of it\n", done.stdout)
    end)

    it("names a wrong argument", function()
      local lines = run(s:stream "arguments", [[
        later(function()
          for _, given in ipairs { {}, { "" }, { 7 }, { "x", "soon" } } do
            print((select(2, pcall(stream.awaitTxId, stream, table.unpack(given)))))
          end
        end)
      ]])
      assert.matches("awaitTxId: expected a txid, which is a non%-empty string, got nil$", lines[1])
      assert.matches('got ""$', lines[2])
      assert.matches("got 7$", lines[3])
      assert.matches('awaitTxId: timeout: expected seconds, or text like "500ms", "5s", got "soon"$', lines[4])
    end)
  end)

  describe("replay", function()
    local SCRIPT = [[
      stream:onChange(function(state, event) print("change", event.key, state:size()) end)
      later(function()
        stream:preload()
        print("loaded", stream.state:size())
        stream:replay()
        print("replayed", stream.state:size(), stream:get("t", "a"))
      end)
    ]]

    it("forgets the state and reads again from the start", function()
      local url = s:stream "replay"
      s:append(url, ("[%s,%s,%s]"):format(insert("t", "a", "1"), insert("t", "b", "2"),
        '{"type":"t","key":"b","headers":{"operation":"delete"}}'))
      local pass = { "change\ta\t1", "change\tb\t2", "change\tb\t1" }
      local lines = run(url, SCRIPT)
      assert.same({ pass[1], pass[2], pass[3], "loaded\t1", pass[1], pass[2], pass[3], "replayed\t1\t1" }, lines)
    end)

    it("goes the way of a reset again", function()
      local url = s:stream "reset"
      s:append(url, insert("t", "z", "1"))
      local offset = s:tail(url)
      s:append(url, ('[%s,{"headers":{"control":"reset","offset":"%s"}},%s]'):format(insert("t", "y", "1"), offset,
        insert("t", "a", "1")))
      local lines = run(url, SCRIPT)
      local half = #lines // 2
      assert.same({ table.unpack(lines, 1, half - 1) }, { table.unpack(lines, half + 1, #lines - 1) })
      assert.equal("replayed\t1\t1", lines[#lines])
    end)

    it("reads files, too, but no standard input", function()
      local file = tmp.file("events.jsonl", insert("t", "a", "1") .. "\n" .. insert("t", "b", "2") .. "\n")
      local lines = run(file, SCRIPT)
      assert.same({ "change\ta\t1", "change\tb\t2", "loaded\t2", "change\ta\t1", "change\tb\t2", "replayed\t2\t1" },
        lines)
      lines = run("-", [[later(function() print((select(2, pcall(stream.replay, stream)))) end)]], { stdin = "" })
      assert.matches("room: replay: standard input cannot be read again$", lines[1])
    end)

    it("tells of differences only, where snapshots replace the state", function()
      local url = s:stream "replace"
      s:append(url, insert("t", "a", "1"))
      local lines = run(url, (SCRIPT:gsub("^", [[stream = weir.stream { url = weir.env "URL", snapshot = "replace" }
      ]])))
      assert.same({ "change\ta\t1", "loaded\t1", "replayed\t1\t1" }, lines)
    end)
  end)

  it("that is told to stop ends its waits", function()
    local p = proxy.start(s)
    p:faults '[{"method":"GET","stall":true}]'
    local lines = run(p:url(s:stream "stopped"), [[
      weir.after(0, function()
        local ok, err = pcall(stream.preload, stream)
        print(ok, err.code, err)
      end)
      weir.after("20ms", weir.stop)
    ]])
    p:stop()
    assert.same({ "false\tinterrupted\tthe worker is stopping" }, lines)
  end)
end)

describe("batches and transactions", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function events(...)
    local list = {}
    for i, txid in ipairs{ ... } do
      list[i] = insert("t", "k" .. i, tostring(i), txid ~= "" and (',"txid":"%s"'):format(txid) or "")
    end
    return "[" .. table.concat(list, ",") .. "]"
  end

  local TELL = [[
    local function names(list)
      local keys = {}
      for i, event in ipairs(list) do keys[i] = event.key end
      return table.concat(keys, " ")
    end
    stream:onBeforeBatch(function(batch, state) print("before", batch.offset, state:size()) end)
    stream:onBatch(function(batch, state)
      print("batch", names(batch.items), batch.offset, batch.upToDate, state:size())
    end)
    stream:onTransaction(function(transaction, state)
      print("transaction", transaction.txid, names(transaction.events), state:size())
    end)
    stream:onUpToDate(function(state) print("up to date", state:size()) end)
  ]]

  local function run(url, script, options)
    options = options or {}
    options.script, options.set = PRELUDE .. script, { URL = url }
    options.args = options.args or { "--once" }
    local done = worker.run(options)
    assert.equal(options.code or 0, done.code, done.stderr)
    return worker.lines(done.stdout), done
  end

  it("are told of around their changes", function()
    local url = s:stream "bounds"
    s:append(url, events("a", "a", "", "b", "a"))
    local tail = s:tail(url)
    assert.same({
      "before\t-1\t0",
      "transaction\ta\tk1 k2\t2",
      "transaction\tb\tk4\t4",
      "transaction\ta\tk5\t5",
      "batch\tk1 k2 k3 k4 k5\t" .. tail .. "\ttrue\t5",
      "up to date\t5",
    }, (run(url, TELL)))
    assert.same({ "change\tk1", "change\tk2", "transaction\ta", "change\tk3" }, { table.unpack((run(url, [[
      stream:onChange("t", function(_, event) print("change", event.key) end)
      stream:onTransaction(function(transaction) print("transaction", transaction.txid) end)
    ]])), 1, 4) })
  end)

  it("leave out what was refused", function()
    local url = s:stream "refused"
    s:append(url, events("a", "b", "b", "c"))
    local lines = run(url, [[
      stream:onInvalid "skip"
      stream:validate(function(event) return event.key == "k1" or event.key == "k3" end)
    ]] .. TELL)
    assert.same({ "transaction\ta\tk1\t1", "transaction\tb\tk3\t2" }, { table.unpack(lines, 2, 3) })
    assert.matches("^batch\tk1 k3\t", lines[4])
    s:append(url, '[5]')
    lines = run(url, [[stream:onInvalid(function() print "invalid" return "skip" end) ]] .. TELL)
    assert.equal("invalid", lines[4])
    assert.matches("^batch\tk1 k2 k3 k4\t", lines[6])
  end)

  it("of more than 10,000 changes come in parts", function()
    local list = {}
    for i = 1, 25000 do
      list[i] = i > 9990 and i < 10010 and "x" or ""
    end
    local url = s:stream "long"
    s:append(url, events(table.unpack(list)))
    local lines = run(url, [[
      stream:onBatch(function(batch) print(#batch.items, batch.offset ~= nil, batch.upToDate) end)
      stream:onTransaction(function(transaction) print(transaction.txid, #transaction.events) end)
    ]])
    assert.same({ "x\t10", "10000\tfalse\tfalse", "x\t9", "10000\tfalse\tfalse", "5000\ttrue\ttrue" }, lines)
  end)

  it("lose no change where the worker stops in their handlers", function()
    local url, data = s:stream "stops", tmp.dir()
    s:append(url, events("a", "b"))
    local script = [[
      stream:onChange(function(_, event) print(event.key) end)
      stream:onTransaction(function(transaction) print(transaction.txid) weir.stop() end)
    ]]
    assert.same({ "k1", "a" }, (run(url, script, { args = { "--once", "--data", data } })))
    assert.same({ "k2", "b" }, (run(url, script, { args = { "--once", "--data", data } })))
  end)
end)
