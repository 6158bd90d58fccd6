-- Optimistic writes: in the state before they come back on the stream; confirmed, or rolled back.

local cli = require "support.cli"
local proxy = require "support.proxy"
local server = require "support.server"
local tmp = require "support.tmp"
local worker = require "support.worker"

local function change(operation, kind, key, value)
  return ('{"type":"%s","key":"%s",%s"headers":{"operation":"%s"}}'):format(kind, key,
    value and '"value":' .. value .. "," or "", operation)
end

-- OPTIONS is filled in; tell() prints what happens on the stream.
local PRELUDE = [[
local weir = require "weir"
local s = weir.schema
local stream = weir.stream { url = weir.env "URL", name = "room", OPTIONS }
local function show(value) return value == nil and "-" or weir.json.encode(value) end
local function say(...) print(...) io.stdout:flush() end
local function tell()
  stream:onChange(function(state, event)
    local source = event.rollback and "rollback" or event.optimistic and "optimistic" or "stream"
    say("change", event.operation, event.key, source,
      show(event.old), show(event.new), show(state:get(event.type, event.key)))
  end)
  stream:onRollback(function(rollback)
    say("rollback", type(rollback.error) == "table" and rollback.error.code or rollback.error, #rollback.events)
  end)
end
local function later(fn) weir.after(0, function() fn() weir.stop() end) end
]]

describe("optimistic writes", function()
  local server_, through

  setup(function()
    server_ = server.start()
    through = proxy.start(server_)
  end)

  teardown(function()
    through:stop()
    server_:stop()
  end)

  before_each(function()
    through:faults "[]"
  end)

  local function command(url, options, script, more)
    more = more or {}
    more.script = PRELUDE:gsub("OPTIONS", (options:gsub("%%", "%%%%"))) .. script
    more.set = { URL = url }
    return more
  end

  local function run(url, options, script, more)
    local done = worker.run(command(url, options, script, more))
    assert.equal(0, done.code, done.stderr)
    return worker.lines(done.stdout), done
  end

  describe("that come back", function()
    it("are in the state at once, are told of twice, and confirmed by their txid", function()
      local url = server_:stream "confirmed"
      server_:append(url, change("insert", "users", "u", '{"n":1}'))
      local lines = run(url, "", [[
        later(function()
          stream:preload()
          tell()
          local offset, txid = stream:update("users", "u", { n = 2 }, { optimistic = true })
          say("wrote", show(stream:get("users", "u")), offset == stream:head().offset, #txid)
          stream:awaitTxId(txid)
          stream:insert("users", "v", 5, { optimistic = true, txid = "mine" })
          stream:awaitTxId "mine"
        end)
      ]])
      local rest = {}
      for _, line in ipairs(lines) do
        rest[#rest + 1] = not line:find "^wrote" and line or nil
      end
      assert.same({
        'change\tupdate\tu\toptimistic\t{"n":1}\t{"n":2}\t{"n":2}',
        'change\tupdate\tu\tstream\t{"n":1}\t{"n":2}\t{"n":2}',
        "change\tinsert\tv\toptimistic\t-\t5\t5",
        "change\tinsert\tv\tstream\t-\t5\t5",
      }, rest)
      assert.matches('wrote\t{"n":2}\ttrue\t36', table.concat(lines, "\n"), 1, true)
      assert.matches('"value":{"n":2},"old_value":{"n":1},"headers":{"operation":"update","txid":"',
        server_:read(url).body, 1, true)
    end)

    it("are seen before their append is answered", function()
      local url = server_:stream "at-once"
      through:faults '[{"method":"POST","stall":true}]'
      local child = worker.spawn(command(through:url(url), "", [[
        tell()
        weir.after(0, function()
          stream:preload()
          stream:insert("users", "u", 1, { optimistic = true })
        end)
      ]]))
      child:wait_for_output "change\tinsert\tu\toptimistic\t-\t1\t1\n"
      assert.equal("[]", server_:read(url).body)
      child:signal "INT"
      local done = child:wait()
      assert.equal(130, done.code)
      assert.equal("[]", server_:read(url).body)
    end)

    it("are so where the stream says so, unless the write does not", function()
      local url = server_:stream "option"
      local lines = run(url, "optimistic = true", [[
        tell()
        later(function()
          stream:preload()
          stream:insert("t", "a", 1, { txid = "a" })
          stream:awaitTxId "a"
          stream:insert("t", "b", 2, { txid = "b", optimistic = false })
          stream:awaitTxId "b"
          say(pcall(stream.insert, stream, "t", "c", 3, { optimistic = 1 }))
        end)
      ]])
      assert.same({ "change\tinsert\ta\toptimistic\t-\t1\t1", "change\tinsert\ta\tstream\t-\t1\t1",
        "change\tinsert\tb\tstream\t-\t2\t2" }, { table.unpack(lines, 1, 3) })
      assert.matches("insert: optimistic: expected true or false, got 1$", lines[4])
      assert.not_matches("optimistic", server_:read(url).body, 1, true)
    end)

    it("of two clients end in one state", function()
      local url = server_:stream "two"
      local script = [[
        stream:onRollback(function(rollback) error(rollback.error) end)
        later(function()
          stream:preload()
          for i = 1, 40 do
            stream:patch("t", "k" .. i % 3, { [weir.env "ME"] = i }, { optimistic = true, txid = weir.env "ME" .. i })
            assert(stream:get("t", "k" .. i % 3)[weir.env "ME"] == i)
          end
          stream:awaitTxId(weir.env "ME" .. 40)
          stream:insert("done", weir.env "ME", true)
          while stream.state:size "done" < 2 do weir.sleep(0.01) end
          for _, key in ipairs(stream.state:keys "t") do say(key, stream.state:json("t", key)) end
        end)
      ]]
      local one, two = command(url, "", script), command(url, "", script)
      one.set.ME, two.set.ME = "one", "two"
      local first, second = worker.spawn(one), worker.spawn(two)
      first, second = first:wait(), second:wait()
      assert.equal(0, first.code, first.stderr)
      assert.equal(0, second.code, second.stderr)
      assert.equal(first.stdout, second.stdout)
      local stored = cli.run{ "state", url }
      for _, line in ipairs(worker.lines(first.stdout)) do
        assert.matches(line:match "\t(.*)", stored.stdout, 1, true)
      end
      assert.equal(3, #worker.lines(first.stdout))
    end)
  end)

  describe("that do not", function()
    it("are rolled back and raise, when the append fails", function()
      local url = server_:stream "refused"
      server_:append(url, change("insert", "t", "a", "1"))
      local refusal = '{"method":"POST","answer":{"status":%d}}'
      through:faults(("[%s,%s,%s]"):format(refusal:format(400), refusal:format(403), refusal:format(400)))
      local lines = run(through:url(url), "", [[
        later(function()
          stream:preload()
          tell()
          for _, write in ipairs { { "update", "a", 2 }, { "insert", "b", 3 }, { "delete", "a" } } do
            local ok, err
            if write[1] == "delete" then
              ok, err = pcall(stream.delete, stream, "t", "a", { optimistic = true })
            else
              local name = write[1]
              ok, err = pcall(stream[name], stream, "t", write[2], write[3], { optimistic = true })
            end
            say("raised", ok, err.code, err.status, show(stream:get("t", "a")), show(stream:get("t", "b")))
            weir.sleep(0)
          end
        end)
      ]])
      table.sort(lines)
      assert.same({
        "change\tdelete\ta\toptimistic\t1\t-\t-",
        "change\tdelete\tb\trollback\t3\t-\t-",
        "change\tinsert\ta\trollback\t-\t1\t1",
        "change\tinsert\tb\toptimistic\t-\t3\t3",
        "change\tupdate\ta\toptimistic\t1\t2\t2",
        "change\tupdate\ta\trollback\t2\t1\t1",
        "raised\tfalse\thttp\t400\t1\t-",
        "raised\tfalse\thttp\t400\t1\t-",
        "raised\tfalse\thttp\t403\t1\t-",
        "rollback\thttp\t1",
        "rollback\thttp\t1",
        "rollback\thttp\t1",
      }, lines)
    end)

    it("are rolled back when they do not come in time, which is said", function()
      local url = server_:stream "late"
      server_:append(url, change("insert", "t", "a", "1"))
      through:faults '[{"method":"GET","cut":100000},{"method":"GET","stall":true}]'
      local lines, done = run(through:url(url), 'limits = { confirm = "150ms", outage = "1h" }, live = "long-poll"', [[
        local left = 2
        stream:onRollback(function(rollback)
          say("late", rollback.error.code, rollback.txid, show(rollback.events[1].value), show(stream:get("t", "a")))
          left = left - 1
          if left == 0 then weir.stop() end
        end)
        weir.after(0, function()
          stream:preload()
          stream:update("t", "a", 2, { optimistic = true, txid = "one" })
          stream:update("t", "a", 3, { optimistic = true, txid = "two" })
          say("wrote", show(stream:get("t", "a")))
        end)
      ]])
      local late = {}
      for _, line in ipairs(lines) do
        late[#late + 1] = line ~= "wrote\t3" and line or nil
      end
      assert.equal(3, #lines) -- the first may be late before the second is appended
      assert.equal(2, #late)
      assert.matches("^late\ttimeout\tone\t2\t[13]$", late[1])
      assert.equal("late\ttimeout\ttwo\t3\t1", late[2])
      assert.matches("room: t/a: the update was appended, but did not come back within limits.confirm (150ms)",
        done.stderr, 1, true)
    end)
  end)

  local function refuse_appends(hold)
    local fault = ('{"method":"POST","answer":{"status":400},"hold":%s}'):format(hold)
    through:faults(("[%s,%s,%s]"):format(fault, fault, fault))
  end

  -- A worker whose appends are held by the proxy, so that what it wrote stays pending until they are let_fail.
  local function pending(url, options, script)
    refuse_appends(true)
    return worker.spawn(command(through:url(url), 'limits = { append = "10m" }, ' .. options, [[
      local failed = 0
      local function write(fn)
        weir.after(0, function()
          pcall(fn)
          failed = failed + 1
          say("failed", failed)
        end)
      end
    ]] .. script))
  end

  -- Those that are held, and those behind them.
  local function let_fail()
    refuse_appends(false)
    through:release()
  end

  describe("while they are pending", function()
    it("stay on top of what others write, in their order", function()
      local url = server_:stream "on-top"
      server_:append(url, change("insert", "t", "a", '{"x":1}'))
      local child = pending(url, "", [[
        stream:preload()
        tell()
        write(function() stream:patch("t", "a", { y = 1 }, { optimistic = true }) end)
        write(function() stream:patch("t", "a", { y = 2, z = 2 }, { optimistic = true }) end)
      ]])
      child:wait_for_output '{"x":1,"y":2,"z":2}\n'
      server_:append(url, change("update", "t", "a", '{"x":7,"y":0}'))
      child:wait_for_output 'stream\t{"x":1}\t{"x":7,"y":0}\t{"x":7,"y":2,"z":2}\n'
      server_:append(url, change("delete", "t", "a"))
      child:wait_for_output 'change\tdelete\ta\tstream\t{"x":7,"y":0}\t-\t{"y":2,"z":2}\n'
      let_fail()
      child:wait_for_output "failed\t2"
      child:wait_for_output "rollback\t{"
      child:wait_for_output "change\tdelete\ta\trollback\t"
      child:signal "INT"
      child:wait()
    end)

    it("are in all that the state tells", function()
      local url = server_:stream "readers"
      server_:append(url, ("[%s,%s,%s]"):format(change("insert", "t", "a", '{"n":1}'),
        change("insert", "t", "b", '{"n":2}'), change("insert", "old", "o", "1")))
      local child = pending(url, [[schema = weir.defineStreamSchema { types = { t = { index = { "n" } } } }]], [[
        stream:preload()
        write(function() stream:update("t", "b", { n = 1 }, { optimistic = true }) end)
        write(function() stream:insert("new", "x", 1, { optimistic = true }) end)
        write(function() stream:delete("old", "o", { optimistic = true }) end)
        weir.after(0.01, function()
          local state = stream.state
          while state:has("old", "o") do weir.sleep(0.001) end
          local each = {}
          for key, value in state:each "t" do each[#each + 1] = key .. value.n end
          say("seen", show(state:get("t", "b")), state:json("t", "b"), state:has("new", "x"), state:has("old", "o"),
            show(state:rows "t"), show(state:keys "new"), show(state:types()), state:size(), state:size "old", #each,
            each[2], #state:where("t", { n = 1 }), #state:where("t", { n = 2 }))
        end)
      ]])
      child:wait_for_output('seen\t{"n":1}\t{"n":1}\ttrue\tfalse\t[{"n":1},{"n":1}]\t["x"]\t["new","t"]\t3\t0\t2\tb1\t'
        .. "2\t0\n")
      child:signal "INT"
      child:wait()
    end)

    it("outlive a reset, and a snapshot that replaces the state", function()
      for _, snapshot in ipairs { "merge", "replace" } do
        local url = server_:stream "reset"
        server_:append(url, change("insert", "t", "a", '{"x":1}'))
        local child = pending(url, ('snapshot = "%s"'):format(snapshot), [[
          stream:preload()
          stream:onControl(function(event) say(event.control, show(stream.state:rows "t")) end)
          write(function() stream:patch("t", "a", { y = 1 }, { optimistic = true }) end)
          stream:onChange(function(_, event) if event.optimistic and not event.rollback then say "pending" end end)
        ]])
        child:wait_for_output "pending"
        server_:append(url, ('[{"headers":{"control":"reset"}},%s]'):format(change("insert", "t", "b", "2")))
        child:wait_for_output(snapshot == "merge" and 'reset\t[{"y":1}]\n' or 'reset\t[{"x":1,"y":1}]\n')
        server_:append(url, ('[{"headers":{"control":"snapshot-start"}},%s,{"headers":{"control":"snapshot-end"}}]')
          :format(change("insert", "t", "a", '{"x":5}')))
        child:wait_for_output(snapshot == "merge" and 'snapshot-end\t[{"x":5,"y":1},2]\n'
          or 'snapshot-end\t[{"x":5,"y":1}]\n')
        child:signal "INT"
        child:wait()
      end
    end)

    it("are confirmed by a snapshot that holds them", function()
      local url = server_:stream "held"
      local child = pending(url, 'snapshot = "replace"', [[
        stream:preload()
        stream:onChange(function(_, event) if event.optimistic then say(event.operation, show(event.new)) end end)
        stream:onControl(function(event)
          if event.control == "snapshot-end" then say("end", show(stream.state:rows "t")) end
        end)
        write(function() stream:patch("t", "a", { y = 1 }, { optimistic = true, txid = "x" }) end)
      ]])
      child:wait_for_output 'patch\t{"y":1}'
      server_:append(url, '[{"headers":{"control":"snapshot-start"}},' ..
        '{"type":"t","key":"a","value":{"z":1},"headers":{"operation":"insert","txid":"x"}},' ..
        '{"headers":{"control":"snapshot-end"}}]')
      child:wait_for_output 'end\t[{"z":1}]'
      let_fail()
      child:wait_for_output "failed"
      child:signal "INT"
      assert.equal('patch\t{"y":1}\nend\t[{"z":1}]\nfailed\t1\n', child:wait().stdout)
    end)

    it("are no reason for rules to refuse them when they come", function()
      local url = server_:stream "rules"
      local lines = run(url, "", [[
        stream:validate("t", function(event, state)
          return not state:has("t", event.key), "it is there already"
        end)
        tell()
        later(function()
          stream:preload()
          stream:insert("t", "a", 1, { optimistic = true, txid = "x" })
          stream:awaitTxId "x"
        end)
      ]])
      assert.same({ "change\tinsert\ta\toptimistic\t-\t1\t1", "change\tinsert\ta\tstream\t-\t1\t1" }, lines)
    end)

    it("are in no snapshot of --data", function()
      local url, data = server_:stream "data", tmp.dir()
      server_:append(url, change("insert", "t", "a", "1"))
      through:faults '[{"method":"POST","stall":true}]'
      local script = [[
        stream:onChange(function(_, event) if event.optimistic then say "pending" end end)
        weir.after(0, function()
          stream:preload()
          say("state", show(stream:get("t", "a")), show(stream:get("t", "b")))
          stream:update("t", "a", 2, { optimistic = true })
        end)
      ]]
      local child = worker.spawn(command(through:url(url), "", script, { args = { "--data", data } }))
      child:wait_for_output "pending"
      child:signal "INT"
      assert.equal(130, child:wait().code)
      through:faults '[{"method":"POST","stall":true}]'
      child = worker.spawn(command(through:url(url), "", script, { args = { "--data", data } }))
      child:wait_for_output "pending"
      child:signal "INT"
      assert.equal("state\t1\t-\npending\n", child:wait().stdout)
    end)

    it("are no dead letters where their handlers fail", function()
      local url, letters = server_:stream "letters", tmp.dir() .. "/letters"
      local _, done = run(url, ('onError = "deadletter", deadletter = "%s"'):format(letters), [[
        stream:onChange(function(_, event) error(event.optimistic and "early" or "late") end)
        later(function()
          stream:preload()
          stream:insert("t", "a", 1, { optimistic = true, txid = "x" })
          stream:awaitTxId "x"
          weir.sleep(0.01)
        end)
      ]])
      assert.matches("room: a write of its own: a handler failed: .*early", done.stderr)
      assert.equal(1, select(2, tmp.read(letters):gsub("\n", "")))
    end)

    it("must fit their schema", function()
      local url = server_:stream "schema"
      local lines = run(url, "schema = weir.defineStreamSchema { types = { t = s.object { n = s.number() } } }", [[
        later(function()
          stream:preload()
          say((select(2, pcall(stream.insert, stream, "t", "a", { n = "x" }, { optimistic = true }))))
          say((select(2, pcall(stream.patch, stream, "t", "a", { n = weir.null }, { optimistic = true }))))
          say(stream.state:size())
        end)
      ]])
      assert.matches("insert: t/a: value: n: expected a number", lines[1], 1, true)
      assert.matches("patch: t/a: value: n: is missing", lines[2], 1, true)
      assert.equal("0", lines[3])
      assert.equal("[]", server_:read(url).body)
    end)
  end)

  describe("in actions", function()
    local ACTIONS = [[
      local weir = require "weir"
      local function say(...) print(...) io.stdout:flush() end
      local function show(value) return value == nil and "-" or weir.json.encode(value) end
      local stream
      stream = weir.stream { url = weir.env "URL", name = "room", actions = function(context)
        local db = context.db
        assert(context.state == db.state)
        return {
          addUser = {
            onMutate = function(user, other)
              db:insert("users", user.id, user)
              if other then db:insert("users", other.id, other) end
            end,
            mutationFn = function(user, other)
              if user.id == "bad" then error({ code = "bad" }) end
              local txid = weir.uuid()
              context.stream:insert("users", user.id, user, { txid = txid })
              if other then context.stream:insert("users", other.id, other, { txid = txid .. "2" }) end
              context.stream:awaitTxId(other and txid .. "2" or txid)
              return "added", user.id
            end,
          },
          slow = { onMutate = function() db:insert("users", "s", {}) weir.sleep(1) end, mutationFn = function() end },
          plain = { mutationFn = function(n) return n + 1 end },
        }
      end }
      stream:onChange(function(state, event)
        say(event.operation, event.key, event.rollback and "rollback" or event.optimistic and "optimistic" or "stream")
      end)
      stream:onRollback(function(rollback) say("rollback", #rollback.events, rollback.error.code or "text") end)
    ]]

    local function act(url, script)
      local done = worker.run{ script = ACTIONS .. "weir.after(0, function() stream:preload() " .. script
        .. " weir.sleep(0.02) weir.stop() end)", set = { URL = url } }
      assert.equal(0, done.code, done.stderr)
      return worker.lines(done.stdout)
    end

    it("are seen until mutationFn returns, and then what came of it", function()
      local lines = act(server_:stream "action", [[
        say(stream.actions.addUser({ id = "a" }, { id = "b" }))
        say(show(stream.state:keys "users"), stream.actions.plain(1))
      ]])
      assert.same({ "insert\ta\toptimistic", "insert\tb\toptimistic", "insert\ta\tstream", "insert\tb\tstream",
        "added\ta", '["a","b"]\t2' }, lines)
    end)

    it("are all rolled back when mutationFn raises, which is raised", function()
      local url = server_:stream "action"
      local lines = act(url, [[
        local ok, err = pcall(stream.actions.addUser, { id = "bad" }, { id = "b" })
        say(ok, err.code, stream.state:size())
      ]])
      table.sort(lines)
      assert.same({ "delete\tb\trollback", "delete\tbad\trollback", "false\tbad\t0", "insert\tb\toptimistic",
        "insert\tbad\toptimistic", "rollback\t2\tbad" }, lines)
      assert.equal("[]", server_:read(url).body)
    end)

    it("cannot wait in onMutate", function()
      local lines = act(server_:stream "action", [[
        local ok, err = pcall(stream.actions.slow)
        say(ok, err, stream.state:size())
      ]])
      assert.matches("false\t.*weir.sleep cannot be called here: a function of headers, params, onError or onMutate",
        table.concat(lines, "\n"))
    end)

    it("are checked where they are declared", function()
      for given, message in pairs{
        ["7"] = "weir.stream: actions: expected a table or a function, got 7",
        ["function() end"] = "weir.stream: actions: expected the function to return a table, got nil",
        ["{ a = {} }"] = "weir.stream: actions: a: expected { onMutate = function, mutationFn = function }",
      } do
        local done = worker.run{ script = ([[
          local weir = require "weir"
          print(pcall(weir.stream, { url = "none.jsonl", actions = %s }))
        ]]):format(given) }
        assert.matches(message, done.stdout, 1, true)
      end
    end)
  end)
end)
