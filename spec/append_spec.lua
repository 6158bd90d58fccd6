-- Appending from a script, to the reference server: what is stored, exactly once, in order, and every way to fail.

local proxy = require "support.proxy"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local s, p

setup(function()
  s = server.start()
  p = proxy.start(s)
end)

teardown(function()
  p:stop()
  s:stop()
end)

local PRELUDE = [[
local weir = require "weir"
local stream = weir.stream { url = weir.env "URL", live = weir.env("LIVE", "no") == "sse" and "sse", name = "room" }
local function show(value) return value == nil and "-" or weir.json.encode(value) end
local function report(ok, err)
  if ok then return print("ok", err) end
  print("failed", type(err), err.code, err.status, tostring(err) == err.message)
  print(err)
end
]]

local function run(url, script, set)
  set = set or {}
  set.URL = url
  return worker.run{script = PRELUDE .. script, set = set}
end

local function up_to(n)
  local list = {}
  for i = 1, n do
    list[i] = i
  end
  return list
end

describe("append", function()
  it("stores events of each operation, and returns the next offset", function()
    local url = s:stream()
    local done = run(url, [[
      print(stream:insert("t", "a", { n = 1, list = weir.json.array {}, none = weir.null }))
      print(stream:update("t", "a", "zwei", { txid = "T1" }))
      print(stream:upsert("t", "b", { 1, 2.0 }))
      print(stream:patch("t", "b", { x = weir.null }))
      print(stream:delete("t", "a", { timestamp = "2026-01-01T00:00:00Z" }))
      print(stream:append { type = "t", key = "c", value = false, headers = { operation = "insert", more = 1 } })
      print(stream:append { headers = { control = "snapshot-end" } })
    ]])
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
    local offsets = worker.lines(done.stdout)
    assert.equal(7, #offsets)
    assert.equal(s:tail(url), offsets[7])
    for i = 2, 7 do
      assert.is_true(offsets[i - 1] < offsets[i])
    end
    local body = s:read(url).body:gsub('"timestamp":"%d+%-%d+%-%d+T%d+:%d+:[%d.]+Z"', "TIME")
    if s:rewrites_json() then
      body = body:gsub(',"offset":"[^"]*"', ""):gsub('"offset":"[^"]*",?', "")
    else
      body = body:gsub(",\n", ","):gsub("2%.0", "2")
    end
    assert.equal('[{"type":"t","key":"a","value":{"list":[],"n":1,"none":null},' ..
      '"headers":{"operation":"insert",TIME}},' ..
      '{"type":"t","key":"a","value":"zwei","headers":{"operation":"update","txid":"T1",TIME}},' ..
      '{"type":"t","key":"b","value":[1,2],"headers":{"operation":"upsert",TIME}},' ..
      '{"type":"t","key":"b","value":{"x":null},"headers":{"operation":"patch",TIME}},' ..
      '{"type":"t","key":"a","headers":{"operation":"delete",TIME}},' ..
      '{"headers":{"more":1,"operation":"insert"},"key":"c","type":"t","value":false},' ..
      '{"headers":{"control":"snapshot-end"}}]', body)
  end)

  it("stores any value as one message", function()
    local url = s:stream()
    local done = run(url, [[
      stream:append(weir.json.array { 1, 2 })
      stream:append(weir.json.array {})
      stream:append("grüße \0 \u{1F600}")
      stream:append(weir.null)
      stream:append(0.1)
      stream:append {}
    ]] .. "weir.stop()")
    assert.equal("", done.stderr)
    assert.equal('[[1,2],[],"grüße \\u0000 😀",null,0.1,{}]', (s:read(url).body:gsub(",\n", ",")))
  end)

  it("passes an event on as it came", function()
    local from, to = s:stream(), s:stream()
    s:append(from, '{"type":"t","key":"k","value":{"b":1,"a":[]},"headers":{"operation":"insert","x":1}}')
    local done = run(from, [[
      local to = weir.stream { url = weir.env "TO", live = false }
      stream:onChange(function(_, event) to:append(event) end)
    ]], {TO = to})
    assert.equal("", done.stderr)
    local function plain(url)
      return (s:read(url).body:gsub('"offset":"[^"]*"', "OFFSET"))
    end
    assert.equal(plain(from), plain(to))
  end)

  it("waits in a handler, while the stream waits too and the others go on", function()
    local url = s:stream()
    s:append(url, '{"type":"t","key":"a","value":{"n":1},"headers":{"operation":"insert"}}')
    local done = run(url, [[
      stream:onChange(function(state, event)
        local n = event.value.n
        if n == 6 then return weir.stop() end
        local before = state:size()
        stream:insert("t", "k" .. n, { n = n + 1 })
        print(n, before, state:size())
      end)
    ]], {LIVE = "sse"})
    assert.equal("", done.stderr)
    assert.same({"1\t1\t1", "2\t2\t2", "3\t3\t3", "4\t4\t4", "5\t5\t5"}, worker.lines(done.stdout))
    assert.same(up_to(6), s:numbers(url))
  end)

  it("keeps the order of several timers and handlers", function()
    local url = s:stream()
    local done = run(url, [[
      local n, left = 0, 5
      for _ = 1, 5 do
        weir.after(0, function()
          for _ = 1, 20 do
            n = n + 1
            stream:insert("t", "k" .. n, { n = n })
          end
          left = left - 1
          if left == 0 then weir.stop() end
        end)
      end
    ]], {LIVE = "sse"})
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
    assert.same(up_to(100), s:numbers(url))
  end)

  it("under way is finished when the streams end", function()
    local url = s:stream()
    local done = run(url, [[
      local n = 0
      stream:onUpToDate(function()
        weir.after(0, function() for i = 1, 3 do stream:append { n = i } end end)
        weir.sleep(0.001)
      end)
    ]])
    assert.equal("", done.stderr)
    assert.same(up_to(3), s:numbers(url))
  end)

  it("takes values of 1 MB", function()
    local url = s:stream()
    local done = run(url, [[
      stream:insert("t", "big", ("ü"):rep(1 << 19))
    ]])
    assert.equal("", done.stderr)
    assert.equal(1 << 20, #s:read(url).body:match('"value":"([^"]*)"'))
  end)
end)

describe("appends from the main chunk", function()
  it("block, and can be followed by reading them", function()
    local url = s:stream()
    local done = run(url, [[
      for i = 1, 3 do stream:insert("t", "k" .. i, { n = i }) end
      print("appended")
      stream:onChange(function(_, event) print(event.key) end)
    ]])
    assert.equal("", done.stderr)
    assert.equal("appended\nk1\nk2\nk3\n", done.stdout)
  end)

  it("fail with an error object there, too", function()
    local done = run(s.url .. "/v1/stream/none", [[
      report(pcall(stream.append, stream, { n = 1 }))
      stream:append { n = 1 }
    ]])
    local lines = worker.lines(done.stdout)
    assert.equal("failed\ttable\tnot-found\t404\ttrue", lines[1])
    assert.equal(1, done.code)
    assert.matches("^weir: [^\n]*404: there is no such stream[^\n]*\nstack traceback:.*worker.lua:%d+: in main chunk",
      done.stderr)
  end)
end)

describe("an append is stored exactly once", function()
  local function append_many(url, count)
    return run(url, ([[
      for i = 1, %d do stream:append { n = i } end
      weir.stop()
    ]]):format(count))
  end

  it("while answers are lost behind the server's back", function()
    local url = s:stream()
    p:faults('[{"method":"POST","cut":0},{"method":"POST","cut":0},{"method":"POST","piece":1},' ..
      '{"method":"POST","cut":0}]')
    local done = append_many(p:url(url), 5)
    assert.equal(0, done.code, done.stderr)
    assert.same(up_to(5), s:numbers(url))
    local _, retries = done.stderr:gsub("trying again", "")
    assert.equal(3, retries)
  end)

  it("while requests are lost before the server", function()
    local url = s:stream()
    s:inject(url, {dropConnection = true, count = 3, method = "POST"})
    local done = append_many(url, 4)
    assert.equal(0, done.code, done.stderr)
    assert.same(up_to(4), s:numbers(url))
  end)

  it("through 500, 503 and 429", function()
    local url = s:stream()
    for _, fault in ipairs{{status = 500, count = 2}, {status = 503, count = 2},
      {status = 429, retryAfter = 1, count = 1}} do
      fault.method = "POST"
      s:inject(url, fault)
      local start = wait.now()
      local before = #s:numbers(url)
      local done = append_many(url, 2)
      assert.equal(0, done.code, done.stderr)
      assert.equal(before + 2, #s:numbers(url))
      assert.is_true(not fault.retryAfter or wait.now() - start >= 1)
    end
  end)

  it("over a restart of the server", function()
    -- The reference server may store an append whose answer was lost to a crash once more.
    local files = server.start{dataDir = tmp.dir(), kind = "weir"}
    finally(function() files:stop() end)
    local url = files:stream()
    local child = worker.spawn{
      set = {URL = url},
      script = PRELUDE .. [[
        for i = 1, 40 do
          stream:append { n = i }
          print("appended", i) io.flush()
        end
        weir.stop()
      ]],
    }
    child:wait_for_output("appended\t3\n")
    files:restart()
    child:wait_for_output("appended\t20\n")
    files:crash()
    files:restart()
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    local list = {}
    for n in files:read(url).body:gmatch('"n":(%d+)') do
      list[#list + 1] = tonumber(n)
    end
    assert.same(up_to(40), list)
  end)
end)

describe("an append that fails", function()
  local function failure(url, script)
    local done = run(url, script or [[
      weir.after(0, function()
        report(pcall(stream.append, stream, { n = 1 }))
        weir.stop()
      end)
    ]], {LIVE = "no"})
    local lines = worker.lines(done.stdout)
    return lines[1], lines[2], done
  end

  it("to a stream that does not exist: not-found", function()
    local line, message = failure(s.url .. "/v1/stream/none", "report(pcall(stream.append, stream, { n = 1 }))")
    assert.equal("failed\ttable\tnot-found\t404\ttrue", line)
    assert.matches("/v1/stream/none", message, 1, true)
    assert.matches("404", message, 1, true)
  end)

  it("to a closed stream: closed", function()
    local url = s:stream()
    s:close(url)
    local line, message = failure(url, "report(pcall(stream.append, stream, { n = 1 }))")
    assert.equal("failed\ttable\tclosed\t409\ttrue", line)
    assert.matches("the stream is closed", message, 1, true)
  end)

  it("that the server refuses: http, with its status", function()
    local url = s:stream("text", "text/plain")
    local line, message = failure(url, "report(pcall(stream.append, stream, { n = 1 }))")
    assert.matches("^failed\ttable\t[%w-]+\t4%d%d\ttrue$", line)
    assert.matches(url, message, 1, true)
  end)

  it("in a handler has the traceback of the script", function()
    local url = s:stream()
    s:append(url, '{"type":"t","key":"k","value":1,"headers":{"operation":"insert"}}')
    local _, _, done = failure(url, [[
      local gone = weir.stream { url = weir.env "URL" .. "-gone", live = false }
      stream:onChange(function() gone:append { n = 1 } end)
    ]])
    assert.equal(1, done.code)
    assert.matches("404", done.stderr, 1, true)
  end)

  it("does not stop those behind it", function()
    local url = s:stream()
    s:inject(url, {status = 400, count = 1, method = "POST"})
    local done = run(url, [[
      local results = {}
      for i = 1, 4 do
        weir.after(0, function()
          local ok, err = pcall(stream.insert, stream, "t", "k", { n = i })
          results[#results + 1] = i .. (ok and " ok" or " " .. err.code)
          if #results == 4 then print(table.concat(results, ", ")) weir.stop() end
        end)
      end
    ]], {LIVE = "sse"})
    assert.equal("1 http, 2 ok, 3 ok, 4 ok\n", done.stdout, done.stderr)
    assert.same({2, 3, 4}, s:numbers(url))
  end)

  it("for what cannot be JSON says where, before anything is sent", function()
    local url = s:stream()
    local done = run(url, [[
      for _, value in ipairs { { f = print }, { [1] = 1, [3] = 3 }, { x = 0/0 }, { s = "\xff" } } do
        report(pcall(stream.append, stream, value))
      end
      report(pcall(stream.append, stream, nil))
      weir.stop()
    ]])
    local lines = worker.lines(done.stdout)
    assert.equal("failed\ttable\targument\tnil\ttrue", lines[1])
    assert.matches("append to room: value.f: a function", lines[2], 1, true)
    assert.equal(0, done.code, done.stderr)
    assert.equal("[]", s:read(url).body)
    assert.equal(10, #lines)
  end)

  it("with wrong arguments names them", function()
    local url = s:stream()
    local done = run(url, [[
      local function try(...) print((select(2, pcall(...))):match("worker.lua:%d+: (.*)")) end
      try(function() stream:insert("t") end)
      try(function() stream:insert("t", "") end)
      try(function() stream:insert(7, "k", 1) end)
      try(function() stream:insert("t", "k") end)
      try(function() stream:update("t", "k", nil) end)
      try(function() stream:delete("t") end)
      weir.stop()
    ]])
    assert.same({
      "insert: key: expected a non-empty string, got nil",
      'insert: key: expected a non-empty string, got ""',
      "insert: type: expected a non-empty string, got 7",
      "insert: value is missing (weir.null is a value)",
      "update: value is missing (weir.null is a value)",
      "delete: key: expected a non-empty string, got nil",
    }, worker.lines(done.stdout))
    assert.equal("[]", s:read(url).body)
  end)

  it("to a file is refused", function()
    local done = run(tmp.file("events.jsonl", ""), [[
      report(pcall(stream.append, stream, { n = 1 }))
    ]])
    assert.matches("^failed\ttable\targument", done.stdout)
    assert.matches("not an http", done.stdout)
  end)

  it("to a server that is not there: network, when the time is over", function()
    -- Nobody listens on port 9 of the loopback.
    local done = run("http://127.0.0.1:9/v1/stream/x", [[
      local other = weir.stream { url = weir.env "URL", limits = { append = "300ms" }, live = false }
      report(pcall(other.append, other, { n = 1 }))
      os.exit(0)
    ]])
    assert.matches("^failed\ttable\tnetwork\tnil\ttrue", done.stdout)
    assert.matches("http://127.0.0.1:9/v1/stream/x", done.stdout, 1, true)
    assert.matches("gave up after %d", done.stdout)
  end)
end)
