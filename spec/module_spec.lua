-- The module in plain Lua: require "weir".

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local worker = require "support.worker"

local E = cli.line

local EVENTS = tmp.file("events.jsonl",
  E("insert", "t", "a", "1") .. E("insert", "t", "b", "2") .. E("update", "t", "a", "3"))
local OTHERS = tmp.file("others.jsonl", E("insert", "u", "x", "[]"))

local function run(script, set)
  set = set or {}
  set.FILE = set.FILE or EVENTS
  set.OTHER = OTHERS
  return worker.lua{script = 'local weir = require "weir"\n' .. script, set = set}
end

local function lines_of(script, set)
  local done = run(script, set)
  assert.equal("", done.stderr)
  assert.equal(0, done.code)
  return worker.lines(done.stdout)
end

describe("require 'weir'", function()
  it("gives the module, once, and sets no global", function()
    assert.same({"table\ttrue\tnil\t0.1.0"}, lines_of[==[
      print(type(weir), rawequal(weir, require "weir"), _G.weir, weir.version)
      for name in pairs(_G) do
        if not ([=[_G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs load
          loadfile math next os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable
          string table tonumber tostring type utf8 warn xpcall]=]):find(name, 1, true) then print(name) end
      end
    ]==])
  end)

  it("has what the reference names, and nothing private", function()
    assert.same({
      "MaterializedState after control del env every insert json log materialize null parser patch producer run schema "
        .. "serve sink sleep stop stream update upsert uuid version",
    }, lines_of[[
      local names = {}
      for name, value in pairs(weir) do
        if name:sub(1, 1) == "_" then print("private", name) end
        if type(value) ~= "function" or not name:find("%u") then names[#names + 1] = name end
      end
      table.sort(names)
      print(table.concat(names, " "))
    ]])
  end)

  it("does nothing by itself", function()
    assert.same({}, lines_of"")
    assert.same({}, lines_of[[weir.stream { url = weir.env "FILE" } weir.after(60, print)]])
  end)

  it("may be loaded in several states of one process", function()
    -- Each busted file has its own; here: one after the other in one process.
    local script = tmp.file("one.lua", [[
      local weir = require "weir"
      local stream = weir.stream { url = os.getenv "FILE", live = false }
      weir.run()
      print(stream.state:size())
    ]])
    local done = process.run{
      cmd = {paths.lua, "-e", ('dofile "%s" package.loaded.weir = nil dofile "%s"'):format(script, script)},
      env = {LUA_CPATH = paths.lua_env.LUA_CPATH, FILE = EVENTS},
    }
    assert.equal("", done.stderr)
    assert.equal("2\n2\n", done.stdout)
  end)
end)

describe("weir.run", function()
  it("runs until the streams have ended, and leaves their state", function()
    assert.same({"a", "b", "a", "up to date", "2\t3\t2"}, lines_of[[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      stream:onChange(function(_, event) print(event.key) end)
      stream:onUpToDate(function() print("up to date") end)
      weir.run()
      print(stream.state:size(), stream.state:get("t", "a"), stream.state:get("t", "b"))
    ]])
  end)

  it("runs again with what was declared since, and at once where that is nothing", function()
    assert.same({"1\tt", "again", "2\tu", "2\t1"}, lines_of[[
      local first = weir.stream { url = weir.env "FILE", live = false }
      first:onUpToDate(function(state) print(1, state:types()[1]) end)
      weir.run()
      weir.run()
      print("again")
      local second = weir.stream { url = weir.env "OTHER", live = false }
      second:onUpToDate(function(state) print(2, state:types()[1]) end)
      weir.run()
      print(first.state:size(), second.state:size())
    ]])
  end)

  it("without streams or timers returns at once", function()
    assert.same({"done"}, lines_of[[weir.run() print("done")]])
  end)

  it("takes streams that are declared while it runs", function()
    assert.same({"t", "t", "t", "u"}, lines_of[[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      local other
      local seen = 0
      stream:onChange(function(_, event)
        print(event.type)
        seen = seen + 1
        if other then return end
        other = weir.stream { url = weir.env "OTHER", live = false }
        other:onChange(function(_, change)
          while seen < 3 do weir.sleep(0.001) end
          print(change.type)
        end)
      end)
      weir.run()
    ]])
  end)

  it("raises what stopped it, and can be used after that", function()
    local lines = lines_of([[
      local stream = weir.stream { url = weir.env "FILE", live = false }
      stream:onChange(function(_, event) if event.key == "b" then error("broken") end end)
      local ok, err = pcall(weir.run)
      print(ok, type(err), err.code)
      print((tostring(err):gsub("\n.*", "")))
      local missing = weir.stream { url = "/nowhere/at/all.jsonl", live = false }
      ok, err = pcall(weir.run)
      print(ok, err.code)
      print(err)
      local good = weir.stream { url = weir.env "OTHER", live = false }
      weir.run()
      print(good.state:size(), stream.state:size())
    ]])
    assert.equal("false\ttable\tscript", lines[1])
    assert.matches("events.jsonl: line 2[^\n]*t/b: [^\n]*broken$", lines[2])
    assert.equal("false\tsystem", lines[3])
    assert.matches("/nowhere/at/all.jsonl", lines[4], 1, true)
    assert.equal("1\t2", lines[5])
  end)

  it("uncaught ends lua with the message", function()
    local done = run[[
      weir.stream { url = "/nowhere/at/all.jsonl" }
      weir.run()
    ]]
    assert.equal(1, done.code)
    assert.matches("/nowhere/at/all.jsonl", done.stderr, 1, true)
  end)

  it("cannot be called from a handler", function()
    local lines = lines_of[[
      local stream = weir.stream { url = weir.env "OTHER", live = false }
      stream:onChange(function() print(select(2, pcall(weir.run))) end)
      weir.run()
    ]]
    assert.matches("weir.run cannot be called from a handler", lines[1], 1, true)
  end)

  it("may be called from a coroutine", function()
    assert.same({"2"}, lines_of[[
      coroutine.wrap(function()
        local stream = weir.stream { url = weir.env "FILE", live = false }
        stream:onChange(function() weir.sleep(0.001) end)
        weir.run()
        print(stream.state:size())
      end)()
    ]])
  end)

  it("runs timers, and is ended by weir.stop", function()
    assert.same({"1", "2", "3", "after", "0.01"}, lines_of[[
      local n = 0
      weir.every(0.005, function()
        n = n + 1
        print(n)
        if n == 3 then weir.stop() end
      end)
      weir.run()
      print("after")
      weir.sleep(0.001)
      print(0.01)
    ]])
  end)

  it("follows a stream of a server until weir.stop", function()
    local s = server.start()
    finally(function() s:stop() end)
    local url = s:stream()
    s:append(url, E("insert", "t", "a", "1"))
    assert.same({"a\t1", "b\t2", "2"}, lines_of([[
      local stream = weir.stream { url = weir.env "URL", live = true }
      stream:onChange(function(state, event)
        print(event.key, event.value)
        if event.key == "b" then weir.stop() end
      end)
      stream:onUpToDate(function(state)
        if not state:has("t", "b") then stream:insert("t", "b", 2) end
      end)
      weir.run()
      print(stream.state:size())
    ]], {URL = url}))
  end)
end)

describe("at the end of the state", function()
  it("everything is closed, in whatever it was", function()
    local s = server.start()
    finally(function() s:stop() end)
    local url = s:stream()
    s:append(url, E("insert", "t", "a", "1"))
    -- Under the sanitizers a leak would show in the exit code.
    for _, script in ipairs{
      [[weir.stream { url = weir.env "URL" }]],
      [[local stream = weir.stream { url = weir.env "URL" }
        stream:onChange(function() weir.stop() weir.sleep(0.01) end)
        weir.run()]],
      [[local stream = weir.stream { url = weir.env "URL" }
        stream:onChange(function() weir.after(0, function() error("x") end) weir.sleep(60) end)
        print(pcall(weir.run))]],
      [[local stream = weir.stream { url = weir.env "URL" }
        weir.after(0.01, function() weir.after(0, weir.stop) stream:insert("t", "a", 1) end)
        weir.every(0.001, function() weir.sleep(30) end)
        weir.run()]],
      [[weir.every(0.001, function() weir.sleep(30) end) weir.sleep(0.01)]],
      [[local stream = weir.stream { url = weir.env "URL" }
        stream:onUpToDate(function() os.exit(0) end)
        weir.run()]],
      [[KEPT = { weir.stream { url = weir.env "URL" }, weir.after(9, print), weir.json, weir.null }
        setmetatable(KEPT, { __gc = function(kept)
          pcall(kept[2].stop, kept[2])
          pcall(function() return kept[1].state:size() end)
        end })]],
      [[local stream = weir.stream { url = weir.env "URL" }
        stream:onUpToDate(function() os.exit(0, true) end)
        weir.run()]],
    } do
      local done = run(script, {URL = url})
      assert.equal("", done.stderr)
      assert.equal(0, done.code, script)
    end
  end)

  it("finalizers of the script find the worker ended, and no more", function()
    local done = process.run{
      cmd = {paths.lua, "-e", [[
        local used = {}
        setmetatable(used, { __gc = function() -- made before weir: it runs after weir's own
          for _, name in ipairs { "stop", "sleep", "after", "env", "log", "stream", "append", "size", "name" } do
            local ok, err = pcall(used[name])
            print(name, ok, ok or tostring(err):match("the worker has ended"))
          end
        end })
        local weir = require "weir"
        local stream = weir.stream { url = os.getenv "FILE", live = false }
        local timer = weir.after(60, print)
        weir.run()
        used.stop = function() timer:stop() end
        used.sleep = function() weir.sleep(0) end
        used.after = function() weir.after(0, print) end
        used.env = function() weir.env "FILE" end
        used.log = function() weir.log.info "x" end
        used.stream = function() weir.stream { url = "x" } end
        used.append = function() stream:append {} end
        used.size = function() stream.state:size() end
        used.name = function() tostring(stream) end
      ]]},
      env = {LUA_CPATH = paths.lua_env.LUA_CPATH, FILE = EVENTS},
    }
    local ended = "\tfalse\tthe worker has ended"
    assert.equal("", done.stderr)
    assert.same({
      "stop\ttrue\ttrue", "sleep" .. ended, "after" .. ended, "env" .. ended, "log" .. ended, "stream" .. ended,
      "append" .. ended, "size" .. ended, "name\ttrue\ttrue",
    }, worker.lines(done.stdout))
  end)
end)

describe("options that are wrong", function()
  local function message(options)
    local done = run(("print((select(2, pcall(weir.stream, %s))))"):format(options))
    return (done.stdout:gsub("\n$", ""):gsub("^.-weir.stream: ", ""))
  end

  it("are named, with what was expected", function()
    local cases = {
      ["nil"] = "expected a table of options, got nil",
      ["'http://x'"] = "expected a table of options, got string",
      ["{}"] = 'url is missing: expected an http(s) URL, a file, or "-"',
      ["{ url = 7 }"] = 'url: expected an http(s) URL, a file, or "-", got 7',
      ["{ url = 'x', name = {} }"] = "name: expected a string, got a table",
      ["{ url = 'x', live = 'websocket' }"] = 'live: expected true, false, "sse" or "long-poll", got "websocket"',
      ["{ url = 'x', strict = 1 }"] = "strict: expected a boolean, got 1",
      ["{ url = 'x', schema = 1 }"] = "schema: expected a table, got 1",
      ["{ url = 'x', onError = 'panic' }"] =
        'onError: expected "stop", "skip", "retry", "deadletter" or a function, got "panic"',
      ["{ url = 'x', headers = 'a: b' }"] =
        'headers: expected a table of strings, functions and { file = PATH }, got "a: b"',
      ["{ url = 'x', offset = 0 }"] = "offset: expected a string, got 0",
    }
    for options, expected in pairs(cases) do
      assert.equal(expected, message(options))
    end
    assert.matches("^unknown option 'Url': expected one of .*url", message("{ Url = 'x' }"))
    assert.matches("^headers: expected a table of strings, functions and { file = PATH } %(a is number%)",
      message("{ url = 'x', headers = { a = 1 } }"))
    assert.matches("headers: expected names and values that fit into an HTTP header %(a b does not%)",
      message("{ url = 'x', headers = { ['a b'] = 'c' } }"))
    assert.matches('^limits: expected message, connect, outage, append, confirm, sinkBatch, sinkBytes, sinkDelay or ' ..
      'sinkRows, got '
      .. '"speed"',
      message("{ url = 'x', limits = { speed = 1 } }"))
    assert.matches('^limits.outage: expected a duration.*, got "long"',
      message("{ url = 'x', limits = { outage = 'long' } }"))
    assert.matches("^limits.message: expected a size.*, got 0", message("{ url = 'x', limits = { message = 0 } }"))
    assert.matches("^schema: expected { types =", message("{ url = 'x', schema = {} }"))
    assert.matches("^schema: types.t: expected a schema", message("{ url = 'x', schema = { types = { t = 7 } } }"))
  end)

  it("are methods that are called with a dot", function()
    local calls, expected = {}, {}
    for name, arguments in pairs{onChange = "'t', print", validate = "print", onControl = "print", onUpToDate = "print",
      onInvalid = "'skip'", onError = "'skip'", onBatch = "print", onRollback = "print", create = "", preload = "",
      replay = "", get = "'t', 'k'", awaitTxId = "'x'", insert = "'t', 'k', 1", delete = "'t', 'k'"} do
      calls[#calls + 1] = ("attempt(function() stream.%s(%s) end)"):format(name, arguments)
      expected[#expected + 1] = ("%s, not on a stream: write stream:%s(...) with a colon"):format(name, name)
    end
    calls[#calls + 1] = "attempt(function() producer.append({}) end)"
    expected[#expected + 1] = "append, not on a producer: write producer:append(...) with a colon"
    local done = run([[
      local stream = weir.stream { url = "x" }
      local producer = weir.producer { url = "http://127.0.0.1:1/x" }
      local function attempt(call)
        print((select(2, pcall(call)):gsub("^.*script.lua:%d+: (%a+): called on [^,]*", "%1")))
      end
      ]] .. table.concat(calls, "\n"))
    assert.equal(table.concat(expected, "\n") .. "\n", done.stdout, done.stderr)
  end)

  it("have the place in the script", function()
    local done = run("\n\nweir.stream { uri = 'x' }")
    assert.matches("script.lua:4: weir.stream: unknown option 'uri'", done.stderr, 1, true)
    done = run("\nweir.stream({ url = 'x' }):onChange(7)")
    assert.matches("script.lua:3: onChange: expected a function, got 7", done.stderr, 1, true)
    done = run("\nweir.stream({ url = 'x' }):onChange(7, print)")
    assert.matches("script.lua:3: onChange: expected the name of a type, got 7", done.stderr, 1, true)
    done = run("\nlocal s = weir.stream { url = 'x' }\ns.name = 'y'")
    assert.matches("script.lua:4: a stream has no field 'name' that could be set", done.stderr, 1, true)
  end)

  it("do not declare the stream", function()
    assert.same({"done"}, lines_of[[
      pcall(weir.stream, { url = "/nowhere.jsonl", live = "x" })
      pcall(weir.stream, { url = "/nowhere.jsonl", limits = { outage = "x" } })
      pcall(weir.stream, { url = "/nowhere.jsonl", schema = { types = { t = 7 } } })
      weir.run()
      print("done")
    ]])
  end)
end)
