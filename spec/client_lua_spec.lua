-- The whole client from a script: create, head, close, remove; weir.producer; headers and parameters that are asked
-- before every request; onError about requests. To the reference server, through a guard and a proxy that breaks.

local paths = require "support.paths"
local process = require "support.process"
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
  local function failure(fn, ...)
    local ok, err = pcall(fn, ...)
    if ok then return "it succeeded" end
    if type(err) == "string" then return err end
    return ("%s %s %s"):format(err.code, tostring(err.status), err.message)
  end
]]

-- Runs a script to its end; it has weir, failure(fn, ...) and URL as weir.env.
local function run(url, script, set)
  local all = {URL = url}
  for name, value in pairs(set or {}) do
    all[name] = value
  end
  return worker.run{script = PRELUDE .. script .. "\nweir.after('1h', print) weir.stop()", set = all}
end

local function good(url, script, set)
  local done = run(url, script, set)
  assert.equal(0, done.code, done.stderr .. done.stdout)
  return worker.lines(done.stdout), done
end

local STREAM = 'local stream = weir.stream { url = weir.env "URL", live = false }\n'

local function has(text, part)
  assert.truthy(text and text:find(part, 1, true), ("%q is not in: %s"):format(part, text))
end

local function fresh(name)
  s.count = s.count + 1
  return ("%s/v1/stream/%s-%d"):format(s.url, name, s.count)
end

local function up_to(n)
  local list = {}
  for i = 1, n do
    list[i] = i
  end
  return list
end

describe("a stream's own calls", function()
  it("create, head, append, close and remove it", function()
    local url = fresh "whole"
    local lines = good(url, STREAM .. [[
      print(failure(stream.head, stream))
      local made = stream:create { ttl = "2h", data = { n = 1 } }
      print(made.created, made.closed, type(made.offset))
      local again = stream:create { ttl = 7200 }
      print(again.created)
      local head = stream:head()
      print(head.contentType, head.closed, head.ttl, head.offset == made.offset, head.expiresAt)
      stream:append { n = 2 }
      local final = stream:close { n = 3 }
      print(final == stream:head().offset, stream:head().closed)
      print(stream:close() == final)
      print(failure(stream.close, stream, { n = 4 }))
      print(weir.env "URL")
    ]])
    has(lines[1], "not-found 404 ")
    assert.equal("true\tfalse\tstring", lines[2])
    assert.equal("false", lines[3])
    has(lines[4], "application/json\tfalse\t7200\ttrue")
    assert.equal("true\ttrue", lines[5])
    assert.equal("true", lines[6])
    has(lines[7], "closed 409 ")
    assert.same(up_to(3), s:numbers(url))
    lines = good(url, STREAM .. "print(stream:remove()) print(failure(stream.remove, stream))")
    has(lines[2], "not-found 404 ")
    assert.equal(404, s:request("HEAD", url).status)
  end)

  it("create with every property", function()
    local url = fresh "props"
    local source = s:stream("source")
    s:append(source, '[{"n":1},{"n":2},{"n":3}]')
    local lines = good(url, STREAM .. [[
      print(stream:create { closed = true, expiresAt = "2099-01-01T00:00:00Z", data = weir.json.array { 1, 2 } }.closed)
      local head = stream:head()
      print(head.closed, head.expiresAt)
      local fork = weir.stream { url = weir.env "FORK", live = false }
      print(fork:create { forkFrom = weir.env "SOURCE" }.created)
      local part = weir.stream { url = weir.env "PART", live = false }
      local first = "0000000000000000_0000000000000000"
      print(part:create { forkFrom = weir.env "SOURCE", forkOffset = first, forkSubOffset = 2 }.created)
      local text = weir.stream { url = weir.env "TEXT", live = false }
      text:create { contentType = "text/plain", data = "[as it is" }
      print(text:head().contentType)
      print(failure(text.create, text, {}))
    ]], {FORK = url .. "-fork", PART = url .. "-part", SOURCE = source, TEXT = url .. "-text"})
    assert.equal("true", lines[1])
    has(lines[2], "true\t2099-01-01T00:00:00")
    assert.equal("[[1,2]]", s:read(url).body)
    assert.same({1, 2, 3}, s:numbers(url .. "-fork"))
    assert.same({1, 2}, s:numbers(url .. "-part"))
    assert.equal("[as it is", s:read(url .. "-text").body)
    assert.equal("text/plain", lines[5])
    has(lines[6], "conflict 409 ")
  end)

  it("name what is wrong with create", function()
    local lines = good(fresh "wrong", STREAM .. [[
      print(failure(stream.create, stream, 5))
      print(failure(stream.create, stream, { ttl = "soon" }))
      print(failure(stream.create, stream, { ttl = 1.5 }))
      print(failure(stream.create, stream, { size = 1 }))
      print(failure(stream.create, stream, { ttl = 1, expiresAt = "2099-01-01T00:00:00Z" }))
      print(failure(stream.create, stream, { contentType = "text/plain", data = {} }))
      print(failure(stream.create, stream, { forkSubOffset = -1 }))
      print(failure(stream.create, stream, { data = print }))
      local file = weir.stream { url = "-" }
      print(failure(file.head, file))
    ]])
    has(lines[1], "create: expected a table of options, got 5")
    has(lines[2], "create: ttl: expected a duration")
    has(lines[3], "create: ttl: expected whole seconds")
    has(lines[4], "create: unknown option 'size': expected one of closed, ")
    has(lines[5], "create: ttl and expiresAt: expected one of them")
    has(lines[6], "create: data: expected a string, as the stream is not JSON, got a table")
    has(lines[7], "create: forkSubOffset: expected a whole number of at least 0, got -1")
    has(lines[8], "a function cannot be written as JSON")
    has(lines[9], "argument nil -: cannot head: it is not an http(s) URL")
  end)

  it("come through broken connections, and are dropped when the worker ends", function()
    local url = fresh "broken"
    p:faults '[{"method":"PUT","cut":0},{"method":"HEAD","answer":{"status":503}},{"method":"POST","cut":0}]'
    local lines = good(p:url(url), STREAM .. [[
      stream:create()
      stream:head()
      print(stream:close { n = 1 } == stream:head().offset)
    ]])
    assert.equal("true", lines[1])
    assert.same({1}, s:numbers(url))
    p:faults '[{"method":"HEAD","stall":true}]'
    local done = worker.run{set = {URL = p:url(s:stream())}, script = PRELUDE .. [[
      local stream = weir.stream { url = weir.env "URL" }
      weir.after("1ms", function() stream:head() end)
      weir.after("300ms", function() error("the end", 0) end)
    ]]}
    assert.equal(1, done.code)
    has(done.stderr, "the end")
  end)
end)

describe("weir.producer", function()
  it("stores each message once, in order, in batches, whatever breaks", function()
    local url = s:stream "many"
    p:faults(([=[[{"method":"POST","cut":0},{"method":"POST","answer":{"status":500}},{"method":"POST","cut":0},
      {"method":"POST","answer":{"status":503,"headers":{"Retry-After":"0"}}},{"method":"POST","cut":0},
      {"method":"POST","answer":{"status":429}},{"method":"POST","cut":0}]]=]))
    local lines = good(p:url(url), [[
      local producer = weir.producer { url = weir.env "URL", id = "p", lingerMs = 0, maxBatchItems = 20,
        maxBatchBytes = 4096, maxInFlight = 4 }
      print(producer.id, producer.epoch, producer:pending(), producer:flush())
      for n = 1, 500 do producer:append { n = n } end
      print(producer:pending())
      print(producer:flush(), producer:pending())
      producer:append { n = 501 }
      print(producer:close { n = 502 })
      print(producer:close())
      print(failure(producer.append, producer, 1))
    ]])
    assert.equal("p\t0\t0", lines[1])
    assert.equal("500", lines[2])
    assert.equal("\t0", lines[3]:match("\t%d+$"))
    assert.equal(s:tail(url), lines[4])
    assert.equal(s:tail(url), lines[5])
    has(lines[6], "closed nil ")
    assert.same(up_to(502), s:numbers(url))
  end)

  it("detaches, carries any content type, and works in handlers", function()
    local url, text = s:stream "handlers", s:stream("text", "text/plain")
    s:append(url, '{"type":"t","key":"a","value":1,"headers":{"operation":"insert"}}')
    local done = worker.run{set = {URL = url, TEXT = text}, script = PRELUDE .. [[
      local stream = weir.stream { url = weir.env "URL", live = false }
      local producer = weir.producer { url = weir.env "TEXT", contentType = "text/plain" }
      stream:onChange(function()
        producer:append "eins "
        producer:append "zwei"
        print(failure(producer.append, producer, {}))
        print(failure(producer.append, producer))
        print(failure(producer.append, producer, ""))
        print(producer:detach() ~= nil)
        print(failure(producer.append, producer, "x"))
      end)
    ]]}
    assert.equal(0, done.code, done.stderr)
    local lines = worker.lines(done.stdout)
    has(lines[1], "append: expected a string, as the stream is not JSON, got a table")
    has(lines[2], "append: value is missing")
    has(lines[3], "an append needs a body")
    assert.equal("true", lines[4])
    has(lines[5], "this producer is detached")
    assert.equal("eins zwei", s:read(text).body)
  end)

  it("raises the first error since the last flush, and past the cap", function()
    local lines = good(fresh "nowhere", [[
      local producer = weir.producer { url = weir.env "URL", lingerMs = 0 }
      producer:append(1)
      print(failure(producer.flush, producer))
      print(failure(producer.flush, producer))
      producer:append(2)
      print(failure(producer.close, producer))
      local big = ("x"):rep(1 << 20)
      for _ = 1, 63 do producer:append(big) end
      print(failure(producer.append, producer, big .. big))
    ]])
    has(lines[1], "not-found 404 ")
    assert.equal("it succeeded", lines[2])
    has(lines[3], "not-found 404 ")
    has(lines[4], "limit nil ")
    has(lines[4], "would pass the cap of 64 MB: call flush")
  end)

  it("is enough of a script", function()
    local url = s:stream "only"
    local done = worker.run{set = {URL = url}, script = [[
      local producer = require("weir").producer { url = require("weir").env "URL" }
      for n = 1, 3 do producer:append { n = n } end
      producer:detach()
    ]]}
    assert.equal(0, done.code, done.stderr)
    assert.equal("", done.stderr)
    assert.same(up_to(3), s:numbers(url))
  end)

  it("works in plain Lua, and is collected when it is done with", function()
    local url = s:stream "plain"
    local done = worker.lua{set = {URL = url}, script = [[
      local weir = require "weir"
      for n = 1, 20 do
        local headers = { ["X-N"] = function() return tostring(n) end }
        local producer = weir.producer { url = weir.env "URL", headers = headers }
        producer:append { n = n }
        assert(producer:detach())
        collectgarbage()
      end
      weir.producer { url = weir.env "URL" }
    ]]}
    assert.equal(0, done.code, done.stderr)
    assert.same(up_to(20), s:numbers(url))
  end)

  it("says what is lost when the worker ends before a flush", function()
    local _, done = good(s:stream(), 'weir.producer { url = weir.env "URL" }:append(1)')
    has(done.stderr, "the producer ended with 1 messages that were not acknowledged: call flush")
  end)

  it("is fenced by a newer epoch, and claims with autoClaim", function()
    local url = s:stream "fenced"
    local lines = good(url, [[
      local url = weir.env "URL"
      local old = weir.producer { url = url, id = "same", lingerMs = 0 }
      local new = weir.producer { url = url, id = "same", epoch = 3, lingerMs = 0 }
      local claims = weir.producer { url = url, id = "same", autoClaim = true, lingerMs = 0 }
      old:append { n = 1 }
      old:flush()
      new:append { n = 2 }
      new:flush()
      old:append { n = 99 }
      print(failure(old.flush, old))
      print(failure(old.append, old, { n = 98 }))
      claims:append { n = 3 }
      claims:append { n = 4 }
      claims:flush()
      print(claims.epoch)
      new:append { n = 97 }
      print(failure(new.flush, new))
    ]])
    has(lines[1], "http 403 ")
    has(lines[1], "another writer took over this producer (epoch 3, ours is 0)")
    has(lines[2], "http 403 ")
    assert.equal("4", lines[3])
    has(lines[4], "http 403 ")
    assert.same(up_to(4), s:numbers(url))
  end)

  local mistakes = {
    ["5"] = "weir.producer: expected a table of options, got 5",
    ["{}"] = "weir.producer: url is missing: expected the http(s) URL of a stream",
    ['{ url = "a.jsonl" }'] = 'weir.producer: url: expected the http(s) URL of a stream, got "a.jsonl"',
    ['{ url = "http://h/x", id = "" }'] = 'weir.producer: id: expected a non-empty string, got ""',
    ['{ url = "http://h/x", epoch = -1 }'] = "weir.producer: epoch: expected a whole number of at least 0, got -1",
    ['{ url = "http://h/x", epoch = 1 << 60 }'] = "weir.producer: epoch is 1152921504606846976: expected at most",
    ['{ url = "http://h/x", lingerMs = 1.5 }'] = "weir.producer: lingerMs: expected a whole number of at least 0",
    ['{ url = "http://h/x", maxInFlight = 0 }'] = "weir.producer: maxInFlight: expected a whole number of at least 1",
    ['{ url = "http://h/x", maxBatchItems = "1" }'] = "weir.producer: maxBatchItems: expected a whole number",
    ['{ url = "http://h/x", headers = { a = 1 } }'] = "weir.producer: headers: expected a table of strings, functions",
    ['{ url = "http://h/x", params = { live = "1" } }'] = "weir.producer: params: expected names other than",
    ['{ url = "http://h/x", linger = 1 }'] = "weir.producer: unknown option 'linger': expected one of autoClaim, ",
  }
  for options, message in pairs(mistakes) do
    it("names a wrong option: " .. options, function()
      local done = run("", "\nweir.producer(" .. options .. ")")
      assert.equal(1, done.code)
      has(done.stderr, message)
      has(done.stderr, "worker.lua:9: ")
    end)
  end
end)

-- A guard in front of the server: { url, token = path, set(token), stop() }; and a proxy before it.
local function guarded(token)
  local file = tmp.file("token", "Bearer " .. token)
  local pipe = assert(io.popen("echo $PPID"))
  local pid = pipe:read("l")
  pipe:close()
  local child = process.spawn{timeout = 300, cmd = {"node", paths.spec .. "/support/guard.mjs", "--to", s.url,
    "--token", file, "--parent", pid}}
  local url = wait.till(function()
    return child:stdout():match("listening (%S+)\n")
  end, 30, "the guard")
  local front = proxy.start{url = url}
  return {
    file = file,
    front = front,
    set = function(text)
      tmp.write(file .. ".new", "Bearer " .. text .. "\n")
      assert(os.rename(file .. ".new", file))
    end,
    stop = function()
      front:stop()
      child:kill()
    end,
  }
end

-- The token may change between the moment it is read and that when the guard looks at it.
local AGAIN = ', onError = function(err) return err.status == 401 and "retry" or nil end'

local FORMS = {
  ["a function"] = "headers = { Authorization = token }" .. AGAIN,
  ["a file"] = 'headers = { Authorization = { file = weir.env "FILE" } }' .. AGAIN,
  ["onError"] = [[headers = { Authorization = "Bearer wrong" }, onError = function(err)
    assert(err.transport)
    if err.status == 401 then
      assert(err.code == "http" and err.retrying == false and tostring(err) == err.message)
      return { headers = { authorization = token() } }
    end
  end]],
}

describe("a token that expires in the middle of a live stream", function()
  for form, options in pairs(FORMS) do
    for _, live in ipairs {"sse", "long-poll"} do
      it(("is refreshed by %s, over %s"):format(form, live), function()
        local url = s:stream "live"
        local guard = guarded "one"
        finally(guard.stop)
        local pad = ("x"):rep(300)
        local function put(n)
          s:append(url, ('{"type":"t","key":"k%d","value":{"n":%d,"pad":"%s"},"headers":{"operation":"insert"}}')
            :format(n, n, pad))
        end
        if live == "sse" then -- the catch-up passes, then each connection breaks after some bytes
          guard.front:faults '[{"cut":100000},{"cut":900},{"cut":900},{"cut":900},{"cut":900},{"cut":900}]'
        end
        local child = worker.spawn{set = {URL = guard.front:url(url), FILE = guard.file, LIVE = live},
          script = PRELUDE .. [[
          local function token()
            local file <close> = assert(io.open(weir.env "FILE"))
            return (file:read "l")
          end
          local stream = weir.stream { url = weir.env "URL", live = weir.env "LIVE", ]] .. options .. [[ }
          io.stdout:setvbuf "line"
          stream:onChange(function(_, event) print("n", event.value.n) end)
        ]]}
        local want = {}
        for n = 1, 8 do
          guard.set("token-" .. n)
          put(n)
          want[n] = "n\t" .. n
          child:wait_for_output(want[n] .. "\n", worker.patience(10))
        end
        child:signal "INT"
        local done = child:wait(worker.patience(10))
        assert.same(want, worker.lines(done.stdout))
        assert.falsy(done.stderr:find("token-", 1, true), done.stderr)
      end)
    end
  end
end)

describe("headers and parameters", function()
  it("are asked for before every request, those repeated included", function()
    local url = s:stream "asked"
    p:faults '[{"method":"POST","cut":0},{"method":"POST","answer":{"status":503}}]'
    local before = #p:requests()
    good(p:url(url), [[
      local n = 0
      local function count() n = n + 1 return "c" .. n end
      local stream = weir.stream { url = weir.env "URL", live = false,
        params = { tag = count, fixed = "a b", none = function() end }, headers = { ["X-None"] = function() end } }
      stream:append { n = 1 }
      stream:head()
      local producer = weir.producer { url = weir.env "URL", params = { tag = count } }
      producer:append { n = 2 }
      producer:flush()
    ]])
    local seen = {}
    for i, line in ipairs(p:requests()) do
      if i > before then
        assert.falsy(line:find("none", 1, true), line)
        seen[#seen + 1] = line:match("^%u+ ") .. line:match("%?(%S*)")
      end
    end
    assert.same({"POST fixed=a%20b&tag=c1", "POST fixed=a%20b&tag=c2", "POST fixed=a%20b&tag=c3",
      "HEAD fixed=a%20b&tag=c4", "POST tag=c5"}, seen)
    assert.same({1, 2}, s:numbers(url))
  end)

  it("that cannot be had fail the request by name, without their values", function()
    local url = s:stream "bad"
    local multi = tmp.file("multi", "secret-1\nsecret-2")
    local lines, done = good(url, [[
      local function try(headers, params)
        local stream = weir.stream { url = weir.env "URL", live = false, headers = headers, params = params }
        print((failure(stream.append, stream, 1):gsub("\n.*", "")))
      end
      try { Token = function() error("no luck", 0) end }
      try { Token = function() return 5 end }
      try { Token = function() return "secret-0\r\nX: y" end }
      try { Token = function() weir.sleep(0) end }
      try { Token = function() weir.stop() end }
      try { Token = { file = "/nonexistent/token" } }
      try { Token = { file = weir.env "MULTI" } }
      try({}, { key = function() error {} end })
      local stream = weir.stream { url = weir.env "URL", live = false }
      local inner = weir.stream { url = weir.env "URL", live = false,
        headers = { Token = function() stream:append(1) end } }
      print((failure(inner.head, inner):gsub("\n.*", "")))
      local producer
      producer = weir.producer { url = weir.env "URL", headers = { Token = function() producer:append(1) end } }
      producer:append(1)
      print((failure(producer.flush, producer):gsub("\n.*", "")))
    ]], {MULTI = multi})
    has(lines[1], "the header Token: its function raised: no luck")
    has(lines[1], "script nil ")
    has(lines[2], "the header Token: its function returned a number: expected a string, or nil")
    has(lines[3], "the header Token: its value holds a line end")
    has(lines[4],
      "weir.sleep cannot be called here: a function of headers, params, onError or onMutate answers at once")
    has(lines[5], "weir.stop cannot be called here")
    has(lines[6], "system nil ")
    has(lines[6], "the header Token: /nonexistent/token: No such file or directory")
    has(lines[7], "the header Token: its value holds a line end")
    has(lines[8], "the parameter key: its function raised: ")
    has(lines[9], "append cannot be called here")
    has(lines[10], "append cannot be called here")
    assert.falsy((done.stdout .. done.stderr):find("secret-", 1, true))
    assert.equal("[]", s:read(url).body)
  end)

  it("that cannot be had end the reading by name", function()
    local done = worker.run{set = {URL = s:stream()}, script = [[
      local weir = require "weir"
      weir.stream { url = weir.env "URL", headers = { Token = { file = "/nonexistent/token" } } }
    ]]}
    assert.equal(1, done.code)
    has(done.stderr, "the header Token: /nonexistent/token: No such file or directory")
  end)

  it("that run for ever are stopped", function()
    local done = worker.run{set = {URL = s:stream()}, env = {WEIR_HANDLER_LIMIT = "200ms"}, script = [[
      local weir = require "weir"
      weir.stream { url = weir.env "URL", headers = { Token = function() while true do end end } }
    ]]}
    assert.equal(1, done.code, done.stderr)
    has(done.stderr, "ran too long without waiting")
  end)
end)

describe("onError about requests", function()
  local function reading(on_error, faults)
    local url = s:stream "asks"
    s:append(url, '{"type":"t","key":"a","value":1,"headers":{"operation":"insert"}}')
    p:faults(faults)
    return worker.run{set = {URL = p:url(url)}, script = [[
      local weir = require "weir"
      local stream = weir.stream { url = weir.env "URL", live = false }
      stream:onError(function(err, event) ]] .. on_error .. [[ end)
      stream:onChange(function(_, event) print("got", event.key) end)
    ]]}
  end

  it("may retry what says no", function()
    local done = reading('print(err.code, err.status, err.retrying, err.transport, event) return "retry"',
      '[{"method":"GET","answer":{"status":403}}]')
    assert.equal(0, done.code, done.stderr)
    assert.equal("http\t403\tfalse\ttrue\tnil\ngot\ta\n", done.stdout)
  end)

  it("may stop what would be tried again", function()
    local done = reading('print(err.retrying) return "stop"', '[{"method":"GET","answer":{"status":503}}]')
    assert.equal(1, done.code)
    assert.equal("true\n", done.stdout)
    has(done.stderr, "503")
  end)

  it("leaves it as it is with nothing, skip or deadletter", function()
    for _, answer in ipairs {"nil", '"skip"', '"deadletter"'} do
      local done = reading("return " .. answer, '[{"method":"GET","answer":{"status":503}}]')
      assert.equal("got\ta\n", done.stdout, done.stderr)
      done = reading("return " .. answer, '[{"method":"GET","answer":{"status":403}}]')
      assert.equal(1, done.code)
      has(done.stderr, "403")
    end
  end)

  it("names its own mistakes", function()
    local fault = '[{"method":"GET","answer":{"status":403}}]'
    has(reading('error("boom")', fault).stderr, "onError raised: ")
    has(reading("return 5", fault).stderr, 'onError returned a number: expected "retry", "stop", ')
    has(reading("return { header = {} }", fault).stderr, "expected { headers = { ... } } and nothing else")
    has(reading('return { headers = { a = "\\n" } }', fault).stderr, "of which a is no string that fits")
    has(reading("weir.sleep(1)", fault).stderr, "weir.sleep cannot be called here")
  end)

  it("is asked about appends and calls, and by producers", function()
    local url = s:stream "writes"
    p:faults '[{"method":"POST","answer":{"status":403}},{"method":"HEAD","answer":{"status":403}}]'
    local lines = good(p:url(url), [[
      local function on_error(err) print(err.status) return "retry" end
      local stream = weir.stream { url = weir.env "URL", live = false, onError = on_error }
      stream:append { n = 1 }
      stream:head()
      local producer = weir.producer { url = weir.env "URL", onError = function(err)
        print(err.status)
        return { headers = { ["X-More"] = "1" } }
      end }
      producer:append { n = 2 }
      producer:flush()
    ]])
    assert.same({"403", "403"}, lines)
    assert.same({1, 2}, s:numbers(url))
  end)
end)
