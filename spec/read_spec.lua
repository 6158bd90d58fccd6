-- Reading from the reference server: catch-up, long-poll, SSE, offsets, the tail, closed streams.

local process = require "support.process"
local paths = require "support.paths"
local proxy = require "support.proxy"
local server = require "support.server"
local wait = require "support.wait"
local worker = require "support.worker"

-- Prints what it is called with; ends at an event of type "end".
local RECORDER = [[
local weir = require "weir"
local live = weir.env("LIVE", "no")
local lives = { no = false, yes = true }
if lives[live] ~= nil then live = lives[live] end
local stream = weir.stream { url = weir.env "URL", live = live, offset = weir.env "OFFSET" }
local function text(value)
  return value == nil and "-" or weir.json.encode(value)
end
stream:onChange(function(state, event)
  print(event.operation, event.type, event.key, text(event.old), text(event.new))
  io.flush()
  if event.type == "end" then weir.stop() end
end)
stream:onControl(function(event) print("control", event.control) io.flush() end)
stream:onUpToDate(function(state) print("up-to-date", state:size()) io.flush() end)
]]

local function change(operation, kind, key, value)
  return ('{"type":"%s","key":"%s",%s"headers":{"operation":"%s"}}'):format(kind, key,
    value and '"value":' .. value .. "," or "", operation)
end

-- Events of one type, keys k<from>..k<to>, values {"n":i}.
local function numbered(from, to)
  local events = {}
  for i = from, to do
    events[#events + 1] = change("upsert", "t", "k" .. i, ('{"n":%d}'):format(i))
  end
  return "[" .. table.concat(events, ",") .. "]"
end

local function numbered_lines(from, to)
  local lines = {}
  for i = from, to do
    lines[#lines + 1] = ('upsert\tt\tk%d\t-\t{"n":%d}'):format(i, i)
  end
  return lines
end

local function without(lines, word)
  local left = {}
  for _, line in ipairs(lines) do
    if not line:find("^" .. word) then
      left[#left + 1] = line
    end
  end
  return left
end

local function count(lines, word)
  return #lines - #without(lines, word)
end

local s, p

setup(function()
  s = server.start()
  p = proxy.start(s)
end)

teardown(function()
  p:stop()
  s:stop()
end)

local function requests_of(url)
  local path = url:match("^https?://[^/]+(.*)")
  local list = {}
  for _, line in ipairs(p:requests()) do
    if line:find("GET " .. path, 1, true) then
      list[#list + 1] = line
    end
  end
  return list
end

describe("catch-up", function()
  it("reads to the tail and ends", function()
    local url = s:stream()
    s:append(url, "[" .. table.concat({
      change("insert", "users", "a", '{"name":"Ann"}'),
      change("insert", "users", "b", '{"name":"Bo"}'),
      change("update", "users", "a", '{"name":"Anna"}'),
      change("patch", "users", "b", '{"age":7}'),
      change("delete", "users", "a"),
      '{"headers":{"control":"snapshot-start"}}',
    }, ",") .. "]")
    local done = worker.run{script = RECORDER, set = {URL = url}}
    assert.equal("", done.stderr)
    assert.same({
      'insert\tusers\ta\t-\t{"name":"Ann"}',
      'insert\tusers\tb\t-\t{"name":"Bo"}',
      'update\tusers\ta\t{"name":"Ann"}\t{"name":"Anna"}',
      'patch\tusers\tb\t{"name":"Bo"}\t{"name":"Bo","age":7}',
      'delete\tusers\ta\t{"name":"Anna"}\t-',
      "control\tsnapshot-start",
      "up-to-date\t1",
    }, worker.lines(done.stdout))
    assert.equal(0, done.code)
  end)

  it("of an empty stream tells that it is up to date", function()
    local done = worker.run{script = RECORDER, set = {URL = s:stream()}}
    assert.equal("up-to-date\t0\n", done.stdout)
    assert.equal(0, done.code)
  end)

  it("takes what was appended in many requests, and each request's array apart", function()
    local url = s:stream()
    for i = 1, 9, 3 do
      s:append(url, numbered(i, i + 2))
    end
    local lines = worker.lines(worker.run{script = RECORDER, set = {URL = url}}.stdout)
    assert.same(numbered_lines(1, 9), without(lines, "up%-to"))
  end)

  it("asks once more than there are chunks, without live", function()
    local url = p:url(s:stream())
    s:append(url, numbered(1, 3))
    worker.run{script = RECORDER, set = {URL = url}}
    for _, line in ipairs(requests_of(url)) do
      assert.not_matches("live=", line)
    end
  end)

  it("is what weir state prints", function()
    local url = s:stream()
    s:append(url, "[" .. change("insert", "t", "z", "[1.5,-0]") .. "," ..
      change("insert", "t", "a", "9007199254740991") .. "," ..
      change("patch", "t", "b", '{"x":{"y":null,"z":[]}}') .. "]")
    local done = process.run{cmd = {paths.weir, "state", url}}
    local zero = s:rewrites_json() and "0" or "-0"
    assert.equal('{"t":{"a":9007199254740991,"b":{"x":{"z":[]}},"z":[1.5,' .. zero .. "]}}\n", done.stdout)
    assert.equal(0, done.code)
  end)

  it("ends under --once although the script follows", function()
    local url = s:stream()
    s:append(url, numbered(1, 2))
    local done = worker.run{script = RECORDER, set = {URL = url, LIVE = "yes"}, args = {"--once"}}
    assert.equal(2, count(worker.lines(done.stdout), "upsert"))
    assert.equal(0, done.code)
  end)

  it("keeps the order when handlers are slower than the server", function()
    local url = s:stream()
    local filler = ("x"):rep(1000)
    local events = {}
    for i = 1, 12000 do -- 12 MB: more than is kept waiting
      events[i] = change("upsert", "t", "k" .. i, ('{"n":%d,"filler":"%s"}'):format(i, filler))
    end
    s:append(url, "[" .. table.concat(events, ",") .. "]")
    local done = worker.run{
      set = {URL = url},
      timeout = 30,
      script = [[
        local weir = require "weir"
        local stream = weir.stream { url = weir.env "URL", live = false }
        local seen = 0
        stream:onChange(function(state, event)
          seen = seen + 1
          if event.value.n ~= seen then error("expected " .. seen .. ", got " .. event.value.n) end
          if seen % 1000 == 0 then weir.sleep(0.01) end
        end)
        stream:onUpToDate(function() print(seen) end)
      ]],
    }
    assert.equal("", done.stderr)
    assert.equal("12000\n", done.stdout)
  end)
end)

for _, way in ipairs{{name = "SSE", live = "sse"}, {name = "long-poll", live = "long-poll"}} do
  describe(way.name, function()
    local function start(url, offset)
      return worker.spawn{script = RECORDER, set = {URL = url, LIVE = way.live, OFFSET = offset}}
    end

    it("follows from the tail, and tells each time that it is there", function()
      local url = p:url(s:stream())
      s:append(url, numbered(1, 3))
      local child = start(url)
      child:wait_for_output("up-to-date\t3\n")
      s:append(url, numbered(4, 5))
      child:wait_for_output("up-to-date\t5\n")
      s:append(url, change("update", "t", "k1", '{"n":-1}'))
      child:wait_for_output('update\tt\tk1\t{"n":1}\t{"n":-1}\n')
      s:append(url, change("upsert", "end", "x", "1"))
      local done = child:wait()
      local lines = worker.lines(done.stdout)
      assert.same(numbered_lines(1, 5), without(without(without(lines, "up%-to"), "update"), "upsert\tend"))
      assert.equal("", done.stderr)
      assert.equal(0, done.code)
      assert.matches("live=" .. way.live, table.concat(requests_of(url), "\n"), 1, true)
    end)

    it("is silent while nothing new is there", function()
      local url = p:url(s:stream())
      s:append(url, numbered(1, 1))
      local child = start(url)
      child:wait_for_output("up-to-date\t1\n")
      -- The server ends a long-poll after 500 ms and gives a sign of life on SSE.
      if way.live == "long-poll" then
        wait.till(function() return #requests_of(url) >= 5 end, 10, "a few polls")
      end
      s:append(url, change("upsert", "end", "x", "1"))
      local lines = worker.lines(child:wait().stdout)
      assert.equal(1, count(lines, "up%-to%-date"))
      assert.equal(1, count(lines, "upsert\tt"))
    end)

    it("ends when the stream is closed", function()
      local url = s:stream()
      s:append(url, numbered(1, 2))
      local child = start(url)
      child:wait_for_output("up-to-date\t2\n")
      s:append(url, numbered(3, 3))
      s:close(url)
      local done = child:wait()
      assert.same(numbered_lines(1, 3), without(worker.lines(done.stdout), "up%-to"))
      assert.equal("", done.stderr)
      assert.equal(0, done.code)
    end)

    it("ends at once on a stream that is closed already", function()
      local url = s:stream()
      s:append(url, numbered(1, 2))
      s:close(url)
      local done = start(url):wait()
      assert.same(numbered_lines(1, 2), without(worker.lines(done.stdout), "up%-to"))
      assert.equal(0, done.code)
      local empty = s:stream()
      s:close(empty)
      done = start(empty):wait()
      assert.equal("up-to-date\t0\n", done.stdout)
      assert.equal(0, done.code)
    end)

    it("goes on from an offset", function()
      local url = s:stream()
      s:append(url, numbered(1, 3))
      local offset = s:tail(url)
      s:append(url, numbered(4, 5))
      local child = start(url, offset)
      child:wait_for_output("up-to-date\t2\n")
      s:append(url, "[" .. change("update", "t", "k1", '{"n":-1}') .. "," .. change("upsert", "end", "x", "1") .. "]")
      local lines = without(worker.lines(child:wait().stdout), "up%-to")
      assert.same({
        'upsert\tt\tk4\t-\t{"n":4}', 'upsert\tt\tk5\t-\t{"n":5}', 'update\tt\tk1\t-\t{"n":-1}', "upsert\tend\tx\t-\t1",
      }, lines)
    end)

    it("goes on from the end, which is called now", function()
      local url = s:stream()
      s:append(url, numbered(1, 3))
      local child = start(url, "now")
      child:wait_for_output("up-to-date\t0\n")
      s:append(url, numbered(4, 4))
      s:append(url, change("upsert", "end", "x", "1"))
      local lines = without(worker.lines(child:wait().stdout), "up%-to")
      assert.same({'upsert\tt\tk4\t-\t{"n":4}', "upsert\tend\tx\t-\t1"}, lines)
    end)

    it("clears at a reset, and keeps what was appended with it", function()
      local url = s:stream() -- this server puts the offset behind the whole append into each event of it
      s:append(url, "[" .. change("insert", "t", "a", "1") .. ',{"headers":{"control":"reset"}},' ..
        change("insert", "t", "b", "2") .. "]")
      local child = start(url)
      child:wait_for_output("up-to-date\t1\n")
      s:append(url, "[" .. change("insert", "t", "c", "3") .. ',{"headers":{"control":"reset"}},' ..
        change("insert", "t", "d", "4") .. "]")
      child:wait_for_output("insert\tt\td")
      s:append(url, '[{"headers":{"control":"reset"}},' .. change("upsert", "end", "x", "1") .. "]")
      assert.same({
        "insert\tt\ta\t-\t1", "control\treset", "insert\tt\tb\t-\t2",
        "insert\tt\tc\t-\t3", "control\treset", "insert\tt\td\t-\t4",
        "control\treset", "upsert\tend\tx\t-\t1",
      }, without(worker.lines(child:wait().stdout), "up%-to"))
    end)

    it("reads bytes in small pieces", function()
      local url = s:stream()
      local text = '"grüße \\u0000 \\ud83d\\ude00 😀 \\" \\\\ \\n"'
      s:append(url, change("upsert", "t", "ключ", '{"text":' .. text .. "}"))
      local by = p:url(url)
      p:faults('[{"piece":1},{"piece":1},{"piece":3},{"piece":1},{"piece":2}]')
      local child = start(by)
      child:wait_for_output("up-to-date")
      s:append(url, change("update", "t", "ключ", "{\"text\":[]}"))
      s:append(url, change("upsert", "end", "x", "1"))
      local lines = without(worker.lines(child:wait().stdout), "up%-to")
      local value = '{"text":' .. (s:rewrites_json() and text:gsub("\\ud83d\\ude00", "😀") or text) .. "}"
      assert.same({
        "upsert\tt\tключ\t-\t" .. value, "update\tt\tключ\t" .. value .. '\t{"text":[]}', "upsert\tend\tx\t-\t1",
      }, lines)
      p:faults("[]")
    end)
  end)
end

describe("a stream that is deleted meanwhile", function()
  it("is an error that names it", function()
    local url = s:stream()
    s:append(url, numbered(1, 1))
    -- This server tells a reader of SSE nothing of it, and leaves the connection open.
    local child = worker.spawn{script = RECORDER, set = {URL = url, LIVE = "long-poll"}}
    child:wait_for_output("up-to-date\t1\n")
    s:delete(url)
    local done = child:wait(worker.patience(10))
    assert.equal(1, done.code)
    assert.matches(url, done.stderr, 1, true)
    assert.matches("404", done.stderr, 1, true)
  end)
end)

describe("live = true", function()
  it("uses SSE", function()
    local url = p:url(s:stream())
    local child = worker.spawn{script = RECORDER, set = {URL = url, LIVE = "yes"}}
    p:wait_for_request("GET " .. url:match("^https?://[^/]+(.*)") .. "?live=sse")
    s:append(url, change("upsert", "end", "x", "1"))
    assert.equal(0, child:wait().code)
  end)
end)

describe("an offset that the server does not know", function()
  it("is an error that names it", function()
    local url = s:stream()
    local done = worker.run{script = RECORDER, set = {URL = url, OFFSET = "0"}}
    assert.equal(1, done.code)
    assert.matches(url, done.stderr, 1, true)
    assert.matches("offset 0", done.stderr, 1, true)
    assert.matches("400", done.stderr, 1, true)
  end)
end)

describe("a reset that names an earlier offset", function()
  local HEADERS = '"Content-Type":"application/json","Stream-Next-Offset":"%s"'

  local function answer(offset, more, body)
    return ('{"method":"GET","answer":{"headers":{%s%s},"body":%s}}'):format(HEADERS:format(offset), more, body)
  end

  local function quoted(text)
    return '"' .. text:gsub('"', '\\"') .. '"'
  end

  it("has the events behind that offset read again, once", function()
    local url = p:url(s:stream())
    local at_end = ',"Stream-Up-To-Date":"true","Stream-Closed":"true"'
    local second = "[" .. change("upsert", "t", "b", "2") .. ',{"headers":{"control":"reset","offset":"001"}},' ..
      change("upsert", "t", "c", "3") .. "]"
    p:faults("[" .. table.concat({
      answer("001", "", quoted("[" .. change("upsert", "t", "a", "1") .. "]")),
      answer("002", at_end, quoted(second)),
      answer("002", at_end, quoted(second)),
    }, ",") .. "]")
    local done = worker.run{script = RECORDER, set = {URL = url}}
    p:faults("[]")
    assert.same({
      "upsert\tt\ta\t-\t1", "upsert\tt\tb\t-\t2", "control\treset",
      "upsert\tt\tb\t-\t2", "upsert\tt\tc\t-\t3", "up-to-date\t2",
    }, worker.lines(done.stdout))
    assert.same({"-1", "001", "001"}, (function()
      local offsets = {}
      for _, line in ipairs(requests_of(url)) do
        offsets[#offsets + 1] = line:match("offset=(%S+)")
      end
      return offsets
    end)())
  end)
end)

describe("several streams", function()
  it("are followed beside each other, to the end of the last", function()
    local a, b = s:stream("a"), s:stream("b")
    s:append(a, numbered(1, 2))
    s:append(b, numbered(1, 3))
    local child = worker.spawn{
      set = {A = a, B = b},
      script = [[
        local weir = require "weir"
        for _, name in ipairs { "A", "B" } do
          local stream = weir.stream { url = weir.env(name), name = name, live = name == "A" and "sse" or "long-poll" }
          stream:onChange(function(_, event) print(name, event.key) io.flush() end)
          stream:onUpToDate(function(state) print(name, "size", state:size()) io.flush() end)
        end
      ]],
    }
    child:wait_for_output("A\tsize\t2\n")
    child:wait_for_output("B\tsize\t3\n")
    s:close(a)
    s:append(b, numbered(4, 4))
    child:wait_for_output("B\tsize\t4\n")
    assert.is_true(child:running())
    s:close(b)
    local done = child:wait()
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
    local of = {A = {}, B = {}}
    for name, key in done.stdout:gmatch("(%u)\t(k%d)\n") do
      table.insert(of[name], key)
    end
    assert.same({A = {"k1", "k2"}, B = {"k1", "k2", "k3", "k4"}}, of)
  end)
end)
