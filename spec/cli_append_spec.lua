-- The protocol by hand: weir append.

local by_hand = require "support.by_hand"
local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local fails, fresh, has, misuse = by_hand.fails, by_hand.fresh, by_hand.has, by_hand.misuse
local noise, ok, read = by_hand.noise, by_hand.ok, by_hand.read
local BYTES = by_hand.BYTES

local s, p

by_hand.serve(function(...)
  s, p = ...
end)

describe("weir append", function()
  it("appends what is on the command line", function()
    local url = s:stream()
    local done = ok{"append", url, '{"a":1}', " [2, [3]] ", '"ä"'}
    assert.equal("appended 4 messages\n", done.stderr)
    assert.equal(s:tail(url) .. "\n", done.stdout)
    assert.equal('{"a":1}\n2\n[3]\n"ä"\n', read(url))
    assert.equal("appended 1 message\n", ok{"append", url, "--", "-5"}.stderr)
    has(fails{"append", url, "1", '{"a":}'}.stderr, "weir: DATA 2: line 1 (byte 6): expected a value, found '}'")
    assert.equal('-5\n', read(url, "--skip", "4"))
    local text = s:stream("text", "text/plain")
    assert.equal("appended 6 bytes\n", ok{"append", text, "{a", " b\n", "c"}.stderr)
    assert.equal("{a b\nc", read(text))
  end)

  it("takes lines of JSON, or one array, from standard input or a file", function()
    local url = s:stream()
    local done = ok({"append", url}, {stdin = '{"a":1}\n\n  [2]  \r\n"x"'})
    assert.equal("appended 3 messages\n", done.stderr)
    done = ok{"append", url, "--file", tmp.file("data", ' [1,\n {"b":\n2}, [3]\n] \n')}
    assert.equal("appended 3 messages\n", done.stderr)
    ok({"append", url, "--lines"}, {stdin = "[4,5]\n[6]\n"})
    ok({"append", url, "--file", "-"}, {stdin = "\xEF\xBB\xBF7\n"})
    assert.equal('{"a":1}\n[2]\n"x"\n1\n{"b":2}\n[3]\n[4,5]\n[6]\n7\n', read(url))
    done = ok({"append", url}, {stdin = ""})
    assert.equal("appended 0 messages\n", done.stderr)
    assert.equal(s:tail(url) .. "\n", done.stdout)
  end)

  it("names a bad line, and sends nothing behind it", function()
    local url = s:stream()
    local done = fails({"append", url}, {stdin = '{"a":1}\n"ä"\n{"b":1]\n4\n'})
    assert.equal("", done.stdout)
    assert.equal("weir: standard input: line 3 (byte 20): expected ',' or '}', found ']'; " ..
      "2 messages have been stored\n", done.stderr)
    assert.equal('{"a":1}\n"ä"\n', read(url))
    local file = tmp.file("data", '[1,\n2,\n{"c":tru}]')
    done = fails{"append", url, "--file", file}
    has(done.stderr, ("weir: %s: line 3 (byte 16): "):format(file))
    has(done.stderr, "; 2 messages have been stored")
    has(fails({"append", url}, {stdin = '1\n{"a":\n1}\n'}).stderr,
      "standard input: line 2 (byte 8): the line ends in the middle of a value; 1 message has been stored")
    done = fails({"append", url}, {stdin = "[1]\n[2]\n"})
    has(done.stderr, "line 2 (byte 5)")
    has(done.stderr, "with --lines each line is a message")
    has(fails({"append", url}, {stdin = "[1, 2"}).stderr, "standard input: line 1 (byte 6): the array is not closed")
    has(fails({"append", url}, {stdin = "\xff\n"}).stderr, "line 1 (byte 1)")
    assert.equal('{"a":1}\n"ä"\n1\n2\n1\n1\n1\n2\n', read(url))
  end)

  it("takes bytes as they are", function()
    for _, size in ipairs{1, 1000, 3 * 1024 * 1024 + 5} do
      local bytes = noise(1000):rep(size // 1000 + 1):sub(1, size)
      local url = s:stream("bytes", BYTES)
      ok({"append", url}, {stdin = bytes})
      ok{"append", url, "--file", tmp.file("bytes", bytes), "--batch", "64KB"}
      assert.is_true(bytes .. bytes == read(url))
    end
    local url = s:stream("text", "text/plain")
    assert.equal("appended 5 bytes\n", ok({"append", url, "--lines"}, {stdin = "a\n\nbc"}).stderr)
    assert.equal("a\n\nbc", read(url))
  end)

  it("appends each line by itself with --lines", function()
    local url = s:stream("text", "text/plain")
    local before = #p:requests()
    ok({"append", p:url(url), "--lines"}, {stdin = "a\nb\nc\n"})
    local posts = 0
    for i, line in ipairs(p:requests()) do
      posts = posts + (i > before and line:find("^POST") and 1 or 0)
    end
    assert.equal(3, posts)
  end)

  it("asks for the content type, unless it is told", function()
    local url = s:stream()
    local before = #p:requests()
    ok{"append", p:url(url), "1", "--content-type", "application/json"}
    for i, line in ipairs(p:requests()) do
      assert.is_true(i <= before or not line:find("^HEAD"), line)
    end
    local done = fails{"append", url, "x", "--content-type", "text/plain"}
    has(done.stderr, url .. ": 409")
    has(done.stderr, "weir head " .. url .. " shows the stream's content type")
    has(fails{"append", fresh(), "1"}.stderr, "404: there is no such stream; weir create")
  end)

  it("stores 100,000 messages, and they come back identical", function()
    local lines = {}
    for i = 1, 100000 do
      lines[i] = ('{"n":%d,"text":"%s ä€𝄞","list":[%d,null,true]}'):format(i, ("x"):rep(i % 60), i * 7)
    end
    local text = table.concat(lines, "\n") .. "\n"
    local url = s:stream()
    local done = ok({"append", url}, {stdin = text, timeout = worker.patience(60)})
    assert.equal("appended 100000 messages\n", done.stderr)
    assert.is_true(text == ok({"read", url}, {timeout = worker.patience(60)}).stdout)
    done = ok({"append", url, "--producer", "p"}, {stdin = text, timeout = worker.patience(60)})
    assert.equal("appended 100000 messages\n", done.stderr)
    s:close(url)
    assert.is_true(text .. text == ok({"read", url, "--live=sse"}, {timeout = worker.patience(60)}).stdout)
  end)

  it("stores nothing twice when answers get lost", function()
    local lines = {}
    for i = 1, 5000 do
      lines[i] = tostring(i)
    end
    local text = table.concat(lines, "\n") .. "\n"
    for _, args in ipairs{{}, {"--producer", "p"}, {"--seq", "1"}} do
      local url = s:stream()
      p:faults('[{"method":"POST","cut":0},{"method":"POST","answer":{"status":503}},{"method":"POST","cut":0},' ..
        '{"method":"POST","answer":{"status":429,"headers":{"Retry-After":"0"}}}]')
      local done = ok({"append", p:url(url), "--batch", "500", table.unpack(args[1] == "--seq" and {} or args)},
        {stdin = text})
      -- Under a producer's name it is not told whether this run or another was first.
      local new, old = done.stderr:match("appended (%d+) messages; the server had (%d+) already\n$")
      new = new or done.stderr:match("appended (%d+) messages\n$")
      assert.equal(5000, tonumber(new) + tonumber(old or 0))
      assert.equal(args[1] == "--producer", old ~= nil)
      assert.equal(text, read(url))
      if args[1] == "--seq" then
        p:faults('[{"method":"POST","cut":0},{"method":"POST","cut":0}]')
        ok({"append", p:url(url), table.unpack(args)}, {stdin = text})
        assert.equal(text .. text, read(url))
      end
    end
  end)

  it("stores the same input under the same producer once", function()
    local lines = {}
    for i = 1, 3456 do
      lines[i] = ('{"n":%d,"text":"%s"}'):format(i, ("x"):rep(i % 1000))
    end
    local text = table.concat(lines, "\n") .. "\n"
    for _, args in ipairs{{}, {"--batch", "1"}, {"--batch", "100"}, {"--epoch", "5"}} do
      local url = s:stream()
      local command = {"append", url, "--producer", "me", table.unpack(args)}
      ok(command, {stdin = text})
      local again = ok(command, {stdin = text})
      has(again.stderr, "appended 0 messages; the server had 3456 already\nnothing is new: producer me has sent as ")
      assert.equal(s:tail(url) .. "\n", again.stdout)
      assert.is_true(text == read(url))
    end
    local url = s:stream("bytes", BYTES)
    local bytes = noise(1000):rep(2500)
    ok({"append", url, "--producer", "me"}, {stdin = bytes})
    has(ok({"append", url, "--producer", "me"}, {stdin = bytes}).stderr,
      "appended 0 bytes; the server had 2500000 already")
    ok({"append", url, "--producer", "me", "--epoch", "1"}, {stdin = bytes})
    assert.is_true(bytes .. bytes == read(url))
  end)

  it("cuts batches of a producer alike, however slowly the input comes", function()
    local url = s:stream()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local child = cli.spawn({"append", url, "--file", fifo, "--producer", "me", "--batch", "10"})
    local file = assert(io.open(fifo, "w"))
    local text = ""
    local function put(from, to)
      for i = from, to do
        local line = '"m' .. i .. '"\n'
        file:write(line)
        text = text .. line
      end
      file:flush()
    end
    for _, part in ipairs{{1, 15, 10}, {16, 18, 10}, {19, 31, 30}, {32, 47, 40}} do
      put(part[1], part[2])
      wait.till(function()
        return s:read(url).body:find(('"m%d"'):format(part[3]), 1, true)
      end, nil, "message " .. part[3])
      assert.is_nil(s:read(url).body:find(('"m%d"'):format(part[3] + 1), 1, true))
    end
    file:close()
    assert.equal("appended 47 messages\n", child:wait().stderr)
    local again = ok({"append", url, "--producer", "me", "--batch", "10"}, {stdin = text})
    has(again.stderr, "appended 0 messages; the server had 47 already")
    assert.equal(text, read(url))
  end)

  it("goes on after a run that was cut short", function()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = ('{"n":%d,"text":"%s"}'):format(i, ("x"):rep(2000))
    end
    local text = table.concat(lines, "\n") .. "\n"
    local url = s:stream()
    -- The third request is refused for good.
    p:faults('[{"method":"POST","piece":1000},{"method":"POST","piece":1000},' ..
      '{"method":"POST","answer":{"status":400}}]')
    local done = fails({"append", p:url(url), "--producer", "me"}, {stdin = text})
    local stored = tonumber(done.stderr:match("; (%d+) messages have been stored\n$"))
    assert.is_true(stored > 0 and stored < 3000, done.stderr)
    local got = read(url)
    assert.equal(text:sub(1, #got), got)
    p:faults("[]")
    done = ok({"append", p:url(url), "--producer", "me"}, {stdin = text})
    assert.matches("; the server had %d+ already\n", done.stderr)
    assert.is_true(text == read(url))
  end)

  it("tells of a producer that another took over, and takes it back with --claim", function()
    local url = s:stream()
    ok{"append", url, "1", "--producer", "me", "--epoch", "3"}
    local done = fails{"append", url, "2", "--producer", "me"}
    has(done.stderr, "another writer took over this producer (epoch 3, ours is 0)")
    has(done.stderr, "--claim takes it back")
    ok{"append", url, "2", "--producer", "me", "--claim"}
    assert.equal("1\n2\n", read(url))
  end)

  it("sends one append with --seq", function()
    local url = s:stream()
    assert.equal("appended 3 messages\n", ok({"append", url, "--seq", "002"}, {stdin = "1\n2\n3\n"}).stderr)
    assert.equal("appended 2 messages\n", ok{"append", url, "--seq", "003", "4", "[5]"}.stderr)
    has(fails{"append", url, "--seq", "003", "6"}.stderr, "--seq has to be above the last one")
    assert.equal("appended 0 messages\n", ok({"append", url, "--seq", "004"}, {stdin = ""}).stderr)
    assert.equal("1\n2\n3\n4\n5\n", read(url))
    local text = s:stream("text", "text/plain")
    ok({"append", text, "--seq", "1"}, {stdin = "a\nb"})
    assert.equal("a\nb", read(text))
  end)

  it("sends what comes in as it comes", function()
    local url = s:stream()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local child = cli.spawn({"append", url, "--file", fifo})
    local file = assert(io.open(fifo, "w"))
    for i = 1, 3 do
      file:write(i, "\n")
      file:flush()
      wait.till(function()
        return s:read(url).body:find(tostring(i), 1, true)
      end, nil, "message " .. i)
    end
    file:close()
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal("appended 3 messages\n", done.stderr)
  end)

  it("holds no more than it has to", function()
    if paths.sanitized then
      return
    end
    local url = s:stream()
    local line = ('{"text":"%s"}\n'):format(("x"):rep(1000))
    local done = process.run{cmd = {"sh", "-c",
      'yes "$2" | head -n 100000 | (ulimit -v 400000; exec "$1" append "$3")', "sh", paths.weir, line:sub(1, -2), url}}
    assert.equal("appended 100000 messages\n", done.stderr)
  end)

  it("refuses a wrong command line", function()
    local url = s:stream()
    misuse("URL is missing", {"append"})
    misuse("DATA 2 is empty", {"append", url, "1", ""})
    misuse("DATA and --file: give one", {"append", url, "1", "--file", "x"})
    misuse("DATA and --lines: give one", {"append", url, "1", "--lines"})
    misuse("--epoch needs --producer", {"append", url, "1", "--epoch", "1"})
    misuse("--claim needs --producer", {"append", url, "1", "--claim"})
    misuse("--seq and --producer: give one", {"append", url, "1", "--producer", "p", "--seq", "1"})
    misuse("--seq and --batch: give one", {"append", url, "1", "--batch", "1", "--seq", "1"})
    for _, epoch in ipairs{"x", "-1", "1.5", "9007199254740992"} do
      misuse("--epoch: expected a whole number up to 9007199254740991, got " .. epoch,
        {"append", url, "1", "--producer", "p", "--epoch", epoch})
    end
    for _, batch in ipairs{"0", "x", "-1"} do
      misuse("--batch: expected a number such as 100, or a size such as 64KB, got " .. batch,
        {"append", url, "1", "--batch", batch})
    end
    for _, option in ipairs{"producer", "seq", "file", "content-type"} do
      misuse("--" .. option .. " is empty", {"append", url, "--" .. option, ""})
    end
    has(fails{"append", url, "--file", "/no/such"}.stderr, "/no/such: cannot be opened")
    has(fails{"append", url, "--file", url}.stderr, "expected a file, or - for standard input")
    local done = fails{"append", "http://127.0.0.1:9/x", "--file", "/no/such"} -- which nobody has to ask for that
    assert.equal("weir: /no/such: cannot be opened: No such file or directory\n", done.stderr)
  end)
end)
