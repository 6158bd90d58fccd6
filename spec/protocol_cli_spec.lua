-- The protocol by hand: weir create, head, read, append, close, delete, against the reference server.

local cli = require "support.cli"
local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local proxy = require "support.proxy"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local s, p
local count = 0

setup(function()
  s = server.start{longPollTimeout = 20000}
  p = proxy.start(s)
end)

teardown(function()
  p:stop()
  s:stop()
end)

before_each(function()
  p:faults("[]")
end)

-- The URL of a stream that is not there yet.
local function fresh()
  count = count + 1
  return ("%s/v1/stream/by-hand-%d"):format(s.url, count)
end

local function ok(args, options)
  local done = cli.run(args, options)
  assert.equal(0, done.code, table.concat(args, " ") .. ": " .. done.stderr)
  return done
end

local function fails(args, options)
  local done = cli.run(args, options)
  assert.equal(1, done.code, table.concat(args, " ") .. ": " .. done.stderr)
  assert.matches("^weir: ", done.stderr:match("[^\n]*\n$"))
  return done
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

local function misuse(reason, args)
  local done = cli.run(args)
  assert.equal(2, done.code, done.stderr)
  assert.equal("", done.stdout)
  assert.equal("weir: " .. reason, done.stderr:match("^[^\n]*"))
  assert.matches("\nusage: weir " .. args[1], done.stderr)
end

local function read(url, ...)
  return ok({"read", url, ...}).stdout
end

local PROMPT = 15 -- seconds, on a machine that stands still meanwhile; whatever it could wait for takes 20 and more
local OFFSET = "^%d+_%d+\n$"
local BYTES = "application/octet-stream"

-- Bytes that are no text, the same each time.
local function noise(size)
  local parts, x = {}, 12345
  for i = 1, size do
    x = (x * 1103515245 + 12345) % 2147483648
    parts[i] = string.char((x // 65536) % 256)
  end
  return table.concat(parts)
end

describe("weir create", function()
  it("makes a JSON stream, once", function()
    local url = fresh()
    local done = ok{"create", url}
    assert.matches(OFFSET, done.stdout)
    assert.equal("created " .. url .. "\n", done.stderr)
    local again = ok{"create", url}
    assert.equal(done.stdout, again.stdout)
    assert.equal("exists " .. url .. "\n", again.stderr)
    assert.equal("application/json", s:request("HEAD", url).headers["content-type"])
  end)

  it("takes every option", function()
    local url = fresh()
    ok{"create", url, "--content-type", "text/plain; charset=utf-8", "--ttl", "5m", "--closed", "--data", "häm\n"}
    local head = s:request("HEAD", url).headers
    assert.equal("text/plain; charset=utf-8", head["content-type"])
    assert.equal("300", head["stream-ttl"])
    assert.equal("true", head["stream-closed"])
    assert.equal("häm\n", read(url))
    for given, seconds in pairs{["90"] = "90", ["90s"] = "90", ["2h"] = "7200"} do
      url = fresh()
      ok{"create", url, "--ttl", given}
      assert.equal(seconds, s:request("HEAD", url).headers["stream-ttl"])
    end
    url = fresh()
    ok{"create", url, "--expires-at", "2099-01-31T12:00:00Z"}
    assert.matches("^2099%-01%-31T12:00:00", s:request("HEAD", url).headers["stream-expires-at"])
  end)

  it("takes content from a file and from standard input", function()
    local url = fresh()
    ok{"create", url, "--data-file", tmp.file("data", '[{"a":1},\n [2]]\n')}
    assert.equal('{"a":1}\n[2]\n', read(url))
    url = fresh()
    local bytes = noise(100000)
    ok({"create", url, "--content-type", BYTES, "--data-file", "-"}, {stdin = bytes})
    assert.equal(bytes, read(url))
  end)

  it("makes forks", function()
    local source = s:stream()
    s:append(source, "[1,2,3]")
    local middle = s:tail(source)
    s:append(source, "[4,5,6]")
    local path = source:match("^http://[^/]+(.*)")
    local function fork(...)
      local url = fresh()
      ok{"create", url, "--fork", ...}
      return read(url)
    end
    assert.equal("1\n2\n3\n4\n5\n6\n", fork(path))
    assert.equal("1\n2\n3\n4\n5\n6\n", fork(source))
    assert.equal("1\n2\n3\n", fork(path, "--fork-offset", middle))
    assert.equal("1\n2\n3\n4\n5\n", fork(path, "--fork-offset", middle, "--fork-sub-offset", "2"))
    local text = s:stream("text", "text/plain")
    local url = fresh()
    ok{"create", url, "--fork", text}
    assert.equal("text/plain", s:request("HEAD", url).headers["content-type"])
    has(fails{"create", fresh(), "--fork", "/v1/stream/no-such"}.stderr, "is the stream of --fork there?")
  end)

  it("says what stands in its way", function()
    local url = fresh()
    ok{"create", url}
    local done = fails{"create", url, "--content-type", "text/plain"}
    has(done.stderr, url .. ": 409")
    has(done.stderr, "weir head " .. url .. " shows what is there")
    url = fresh()
    assert.equal("weir: --data: line 1 (byte 7): expected ',' or '}', found ']'\n",
      fails{"create", url, "--data", '{"a":1]'}.stderr)
    local file = tmp.file("data", '{"a":1,\n"b":x}')
    assert.equal(("weir: %s: line 2 (byte 13): expected a value, found 'x'\n"):format(file),
      fails{"create", url, "--data-file", file}.stderr)
    has(fails({"create", url, "--data-file", "-"}, {stdin = ""}).stderr, "standard input is empty")
    has(fails{"create", url, "--data-file", "/no/such"}.stderr, "/no/such: cannot be opened: No such file")
    assert.equal(404, s:request("HEAD", url).status)
  end)

  it("refuses a wrong command line", function()
    local url = fresh()
    misuse("URL is missing", {"create"})
    misuse("more than one URL", {"create", url, url})
    misuse('expected the http(s) URL of a stream, got "x"', {"create", "x"})
    misuse("unknown option --nope", {"create", url, "--nope"})
    misuse("--ttl needs a value", {"create", url, "--ttl"})
    for _, ttl in ipairs{"", "x", "-1", "1.5s", "500ms", "1d"} do
      misuse("--ttl: expected seconds, or a duration such as 90s, 5m or 2h, got " .. ttl,
        {"create", url, "--ttl", ttl})
    end
    misuse("--expires-at: expected a time such as 2030-01-31T12:00:00Z, got tomorrow",
      {"create", url, "--expires-at", "tomorrow"})
    misuse("--ttl and --expires-at: give one", {"create", url, "--ttl", "1", "--expires-at", "2030-01-31T12:00:00Z"})
    misuse("--data and --data-file: give one", {"create", url, "--data", "1", "--data-file", "x"})
    misuse("--fork-offset needs --fork", {"create", url, "--fork-offset", "1"})
    misuse("--fork-sub-offset needs --fork", {"create", url, "--fork-sub-offset", "1"})
    misuse("--fork-sub-offset: expected a whole number, got x",
      {"create", url, "--fork", "/a", "--fork-sub-offset", "x"})
    for _, fork in ipairs{"name", "http://other.example/v1/stream/a"} do
      misuse("--fork: expected a path such as /v1/stream/name, or the URL of a stream of the same server",
        {"create", url, "--fork", fork})
    end
    misuse("--content-type is empty", {"create", url, "--content-type", ""})
  end)
end)

describe("weir head", function()
  it("prints one JSON object", function()
    local url = fresh()
    local offset = ok{"create", url, "--ttl", "60"}.stdout:sub(1, -2)
    local expected = '{"url":"%s","contentType":"application/json","offset":"%s","closed":false,"ttlSeconds":60}\n'
    assert.equal(expected:format(url, offset), ok{"head", url}.stdout)
    url = fresh()
    offset = ok{"create", url, "--closed", "--content-type", "text/plain", "--expires-at", "2099-01-31T12:00:00.000Z",
      "--data", "x"}.stdout:sub(1, -2)
    assert.equal(('{"url":"%s","contentType":"text/plain","offset":"%s","closed":true,'):format(url, offset) ..
      '"expiresAt":"2099-01-31T12:00:00.000Z"}\n', ok{"head", url}.stdout)
  end)

  it("shows no secret of the URL", function()
    local url = s:stream()
    local done = ok{"head", url:gsub("//", "//me:pass@") .. "?token=abc"}
    has(done.stdout, '"url":"' .. url .. '?token=..."')
  end)

  it("says that there is no such stream", function()
    local url = fresh()
    local done = fails{"head", url}
    assert.equal("", done.stdout)
    has(done.stderr, url .. ": 404: there is no such stream")
    has(done.stderr, "weir create " .. url .. " makes it")
    misuse("URL is missing", {"head"})
    misuse("more than one URL", {"head", url, url})
  end)
end)

describe("weir close and delete", function()
  it("close a stream for good", function()
    local url = s:stream()
    s:append(url, "[1]")
    local done = ok{"close", url}
    assert.equal(s:tail(url) .. "\n", done.stdout)
    assert.equal("closed " .. url .. "\n", done.stderr)
    assert.equal(done.stdout, ok{"close", url}.stdout)
    local refused = fails{"append", url, "2"}
    has(refused.stderr, url .. ": 409: the stream is closed")
    has(refused.stderr, "0 messages have been stored")
    assert.equal("1\n", read(url))
  end)

  it("append a last message", function()
    local url = s:stream()
    ok{"close", url, "--data", '{"last":true}'}
    assert.equal('{"last":true}\n', read(url, "--live"))
    has(fails{"close", url, "--data", "2"}.stderr, "409: the stream is closed")
    local text = s:stream("text", "text/plain")
    ok{"close", text, "--data", "{", "--content-type", "text/plain"}
    assert.equal("{", read(text))
    url = s:stream()
    has(fails{"close", url, "--data", "{"}.stderr, "--data: line 1 (byte 2)")
    has(fails{"close", url, "--data", "x", "--content-type", "text/plain"}.stderr, "409")
    assert.is_nil(s:request("HEAD", url).headers["stream-closed"])
    misuse("--data is empty: leave it out to close without", {"close", url, "--data", ""})
    misuse("--content-type needs --data", {"close", url, "--content-type", "text/plain"})
    misuse("URL is missing", {"close"})
    has(fails{"close", fresh()}.stderr, "404: there is no such stream")
  end)

  it("delete it", function()
    local url = s:stream()
    local done = ok{"delete", url}
    assert.equal("", done.stdout)
    assert.equal("deleted " .. url .. "\n", done.stderr)
    assert.equal(404, s:request("HEAD", url).status)
    has(fails{"delete", url}.stderr, url .. ": 404: there is no such stream")
    misuse("more than one URL", {"delete", url, url})
  end)
end)

describe("weir read", function()
  it("prints messages one a line, numbers as the server has them", function()
    local url = s:stream()
    s:append(url, '[{"a": [1, 2 , {"b c" : "d\\n e \\" f"}]}, "x  y", [ ], 12345678901234567890, null]')
    p:faults('[{"method":"GET","answer":{"headers":{"Content-Type":"application/json","Stream-Next-Offset":"9",' ..
      '"Stream-Up-To-Date":"true"},"body":"[{\\n \\"n\\" : 1.50,\\r\\n\\t\\"s\\": \\" a\\\\\\" b \\"},' ..
      '\\n[ ] , 1e5, 12345678901234567890 ]"}}]')
    assert.equal('{"n":1.50,"s":" a\\" b "}\n[]\n1e5\n12345678901234567890\n', read(p:url(url)))
    local lines = worker.lines(read(url))
    assert.equal('{"a":[1,2,{"b c":"d\\n e \\" f"}]}', lines[1])
    assert.equal('"x  y"', lines[2])
    assert.equal(5, #lines)
  end)

  it("--raw leaves them as they are", function()
    p:faults('[{"method":"GET","answer":{"headers":{"Content-Type":"application/json","Stream-Next-Offset":"9",' ..
      '"Stream-Up-To-Date":"true"},"body":"[{\\n \\"n\\" : 1.50 } , 2]"}}]')
    assert.equal('{\n "n" : 1.50 }\n2\n', read(p:url(s:stream()), "--raw"))
  end)

  it("prints nothing of an empty stream, and only what is new from now on", function()
    local url = s:stream()
    assert.equal("", read(url))
    s:append(url, "[1,2]")
    assert.equal("", read(url, "--offset", "now"))
    assert.equal("1\n2\n", read(url, "--offset", "-1"))
  end)

  it("goes on where it ended", function()
    local url = s:stream()
    s:append(url, "[1,2,3]")
    local middle = s:tail(url)
    s:append(url, "[4,5,6,7]")
    assert.equal("4\n5\n6\n7\n", read(url, "--offset", middle))
    local seen, from = {}, {}
    for _ = 1, 4 do
      local done = ok{"read", url, "--limit", "2", "--print-offset", table.unpack(from)}
      seen[#seen + 1] = done.stdout
      local offset, skip = done.stderr:match("^offset=(%S+) skip=(%d+)\n$")
      offset = offset or done.stderr:match("^offset=(%S+)\n$")
      assert(offset, done.stderr)
      from = {"--offset", offset, "--skip", skip or "0"}
    end
    assert.same({"1\n2\n", "3\n4\n", "5\n6\n", "7\n"}, seen)
    local done = ok{"read", url, "--print-offset"}
    assert.equal("offset=" .. s:tail(url) .. "\n", done.stderr)
    assert.equal("", read(url, "--offset", s:tail(url)))
  end)

  it("prints the bytes of other streams as they are", function()
    local url = s:stream("bytes", BYTES)
    local bytes = noise(50000) .. "\0\r\n\r\n"
    s:append(url, "x", {["Content-Type"] = BYTES})
    ok({"append", url}, {stdin = bytes})
    assert.equal("x" .. bytes, read(url))
    local done = ok{"read", url, "--limit", "1001", "--print-offset"}
    assert.equal("x" .. bytes:sub(1, 1000), done.stdout)
    assert.equal("offset=-1 skip=1001\n", done.stderr)
    assert.equal(bytes:sub(1001), read(url, "--skip", "1001"))
    ok{"close", url}
    for _, mode in ipairs{"sse", "long-poll", "auto"} do
      assert.equal("x" .. bytes, read(url, "--live=" .. mode), mode)
    end
  end)

  it("follows a stream until it is closed, by every way", function()
    for _, live in ipairs{{"--live"}, {"--live", "auto"}, {"--live=sse"}, {"--live", "sse"}, {"--live=long-poll"},
      {"--live", "long-poll"}} do
      for _, kind in ipairs{"application/json", BYTES, "text/plain"} do
        local url = s:stream("live", kind)
        s:append(url, "1", {["Content-Type"] = kind})
        local child = cli.spawn({"read", p:url(url), table.unpack(live)})
        child:wait_for_output("1")
        p:wait_for_request(url:match("/v1/.*") .. "?live=" .. (live[2] or live[1]):gsub("^%-%-live=?", ""):gsub(
          "auto", ""))
        s:append(url, "2", {["Content-Type"] = kind})
        child:wait_for_output("2")
        assert.is_true(child:running())
        s:close(url)
        local done = child:wait()
        assert.equal(0, done.code, done.stderr)
        assert.equal(kind == "application/json" and "1\n2\n" or "12", done.stdout)
      end
    end
  end)

  it("keeps text whole", function()
    local text = ("äöü €𝄞 こんばんは\n"):rep(20000)
    local url = s:stream("text", "text/plain; charset=utf-8")
    ok({"append", url}, {stdin = text})
    ok({"append", url, "--producer", "p", "--batch", "1001"}, {stdin = text})
    s:close(url)
    assert.equal(text .. text, read(url))
    assert.equal(text .. text, read(url, "--live=sse"))
  end)

  it("prints each message once, whatever happens to connections", function()
    local url = s:stream()
    local lines = {}
    for i = 1, 2000 do
      lines[i] = ('{"n":%d,"text":"%s"}'):format(i, ("x"):rep(i % 100))
    end
    local text = table.concat(lines, "\n") .. "\n"
    ok({"append", url, "--batch", "100"}, {stdin = text})
    s:close(url)
    local bytes = s:stream("bytes", BYTES)
    ok({"append", bytes}, {stdin = text})
    s:close(bytes)
    for _, each in ipairs{url, bytes} do
      for _, args in ipairs{{}, {"--live=sse"}, {"--live=long-poll"}} do
        p:faults('[{"cut":1000,"method":"GET"},{"cut":0,"method":"GET"},{"cut":50001,"method":"GET"},' ..
          '{"answer":{"status":503},"method":"GET"},{"cut":20,"method":"GET"}]')
        local done = ok{"read", p:url(each), table.unpack(args)}
        assert.equal(text, done.stdout)
        has(done.stderr, "trying again in")
        p:faults('[{"cut":1000,"method":"GET"},{"cut":50001,"method":"GET"}]')
        assert.equal("", ok{"read", p:url(each), "--quiet", table.unpack(args)}.stderr)
      end
    end
  end)

  it("names what is wrong", function()
    local url = fresh()
    local done = fails{"read", url}
    has(done.stderr, url)
    has(done.stderr, "404: there is no such stream")
    has(done.stderr, "weir create " .. url .. " makes it")
    url = s:stream()
    has(fails{"read", url, "--offset", "a,b"}.stderr, "400")
    done = fails{"read", "http://127.0.0.1:9/x", "--timeout", "300ms"}
    has(done.stderr, "http://127.0.0.1:9/x")
    has(done.stderr, "gave up after")
    p:faults('[{"answer":{"headers":{"Content-Type":"application/json","Stream-Next-Offset":"9",' ..
      '"Stream-Up-To-Date":"true"},"body":"[1,2,x]"}},{"answer":{"headers":{"Content-Type":"application/json",' ..
      '"Stream-Next-Offset":"9","Stream-Up-To-Date":"true"},"body":"[1,2,x]"}},{"answer":{"headers":{"Content-Type":' ..
      '"application/json","Stream-Next-Offset":"9","Stream-Up-To-Date":"true"},"body":"[1,2,x]"}}]')
    done = fails{"read", p:url(url)}
    assert.equal("1\n2\n", done.stdout)
    has(done.stderr, "offset -1, message 3: expected a value, found 'x'")
  end)

  it("refuses a wrong command line", function()
    local url = s:stream()
    misuse("URL is missing", {"read"})
    misuse("more than one URL", {"read", url, "sse"})
    misuse("--live: expected auto, sse or long-poll, got x", {"read", url, "--live=x"})
    misuse("--limit: expected a whole number of 1 or more, got 0", {"read", url, "--limit", "0"})
    misuse("--limit: expected a whole number of 1 or more, got x", {"read", url, "--limit", "x"})
    misuse("--skip: expected a whole number, got -1", {"read", url, "--skip", "-1"})
    misuse("--offset is empty", {"read", url, "--offset", ""})
    misuse("--offset needs a value", {"read", url, "--offset"})
    misuse("unknown option --nope", {"read", url, "--nope"})
    misuse('expected the http(s) URL of a stream, got "file"', {"read", "file"})
  end)
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

describe("the options of all", function()
  local COMMANDS = {"read", "append", "create", "head", "close", "delete"}

  -- A guard with a token, and how to stop it.
  local function guard(token, to, ...)
    local own = assert(io.popen("echo $PPID"))
    local pid = own:read("l")
    own:close()
    local child = process.spawn{cmd = {"node", paths.spec .. "/support/guard.mjs", "--to", to, "--token", token,
      "--parent", pid, ...}, timeout = 300}
    return child, wait.till(function()
      return child:stdout():match("listening (%S+)\n")
    end, 30, "the guard")
  end

  local function by(base, url)
    return (url:gsub("^https?://[^/]+", base))
  end

  it("are in their help", function()
    for _, command in ipairs(COMMANDS) do
      local text = cli.run{"help", command}.stdout
      for _, option in ipairs{"--header, -H", "--ca-file", "--timeout", "--retries", "--quiet"} do
        has(text, "\n  " .. option)
      end
      assert.not_matches(("x"):rep(111), text:gsub("[^\n]", "x"))
    end
  end)

  it("are checked by each", function()
    local url = s:stream()
    for _, command in ipairs(COMMANDS) do
      misuse("--timeout: expected a duration such as 500ms, 30s or 5m, got 5", {command, url, "--timeout", "5"})
      misuse("--retries: expected a whole number, got x", {command, url, "--retries", "x"})
      misuse("--header: expected 'Name: value' or 'Name: @FILE'", {command, url, "-H", "nothing"})
      misuse("--header: expected 'Name: value' or 'Name: @FILE'", {command, url, "--header", "a b: c"})
      misuse("--header: the value of X holds a line end", {command, url, "-H", "X: a\nb"})
      misuse("-H needs a value", {command, url, "-H"})
      misuse("unknown option -x", {command, url, "-x"})
      has(fails{command, url, "-H", "X: @/no/such"}.stderr, "the header X: /no/such: cannot be opened")
    end
    local bad = cli.run({"head", url}, {env = {WEIR_LOG = "loud"}})
    assert.equal(1, bad.code)
    has(bad.stderr, "WEIR_LOG: expected debug, info, warn, error or off, got loud")
  end)

  it("send headers, from files too", function()
    local token = tmp.file("token", "Bearer one\n")
    local child, base = guard(token, s.url)
    finally(function() child:kill() end)
    local url = by(base, fresh())
    local done = fails{"create", url}
    has(done.stderr, url .. ": 401")
    has(done.stderr, "-H 'Authorization: @FILE'")
    local file = "Authorization: @" .. token
    ok{"create", url, "-H", "Authorization: Bearer one"}
    ok{"append", url, "1", "2", "--header=" .. file}
    assert.equal("1\n2\n", read(url, "-H", "X-Other: a", "-H", file))
    ok{"head", url, "-H", file}
    ok{"close", url, "-H", file}
    ok{"delete", url, "-H", file}
    for _, command in ipairs(COMMANDS) do
      done = fails{command, "-H", "Authorization: Bearer secret", url, command == "append" and "1" or nil}
      has(done.stderr, "401")
      assert.is_nil(done.stderr:find("secret", 1, true))
    end
    tmp.write(token, "")
    has(fails{"head", url, "-H", file}.stderr, "is empty")
  end)

  it("read the file of a header again while they go on", function()
    local token = tmp.file("token", "Bearer one\n")
    local child, base = guard(token, p.base)
    finally(function() child:kill() end)
    local url = s:stream()
    s:append(url, "1")
    local reader = cli.spawn({"read", by(base, url), "--live=long-poll", "-H", "Authorization: @" .. token})
    reader:wait_for_output("1\n")
    p:wait_for_request(url:match("/v1/.*") .. "?live=long-poll")
    tmp.write(token, "Bearer two\n")
    for i = 2, 4 do
      s:append(url, tostring(i))
      reader:wait_for_output(i .. "\n")
    end
    s:close(url)
    local done = reader:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal("1\n2\n3\n4\n", done.stdout)
  end)

  it("trust a CA file", function()
    local dir = tmp.dir()
    local made = process.run{cwd = dir, cmd = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj",
      "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"}}
    assert.equal(0, made.code, made.stderr)
    local token = tmp.file("token", "x")
    local child, base = guard(token, s.url, "--cert", dir .. "/cert.pem", "--key", dir .. "/key.pem")
    finally(function() child:kill() end)
    local url = by(base, s:stream())
    local ca, auth = "--ca-file=" .. dir .. "/cert.pem", "-HAuthorization: x"
    ok{"append", url, "1", ca, auth}
    assert.equal("1\n", read(url, ca, auth))
    has(fails{"head", url, auth, "--timeout", "1s"}.stderr, url)
  end)

  it("--timeout and --retries say when it gives up", function()
    local nobody = "http://127.0.0.1:9/x"
    for _, command in ipairs(COMMANDS) do
      local start = wait.now()
      local done = fails{command, nobody, "--retries", "1", command == "append" and "1" or nil}
      has(done.stderr, "gave up after 1 more tr")
      done = fails{command, nobody, "--timeout", "200ms", "--quiet", command == "append" and "1" or nil}
      has(done.stderr, nobody)
      assert.equal(1, #worker.lines(done.stderr))
      assert.is_true(wait.now() - start < PROMPT)
    end
    local url = s:stream()
    p:faults('[{"method":"POST","answer":{"status":503}},{"method":"POST","answer":{"status":503}}]')
    has(fails{"append", p:url(url), "1", "--retries", "0"}.stderr, "503")
    ok{"append", p:url(url), "1", "--retries", "1"}
    assert.equal("1\n", read(url))
  end)

  it("--quiet leaves only errors on stderr", function()
    local url = fresh()
    for _, args in ipairs{{"create", url}, {"append", url, "1"}, {"read", url}, {"head", url}, {"close", url},
      {"delete", url}} do
      args[#args + 1] = "--quiet"
      assert.equal("", ok(args).stderr)
    end
    has(fails{"head", url, "--quiet"}.stderr, "404")
  end)
end)

describe("Ctrl-C", function()
  local function interrupted(child, signal)
    local start = wait.now()
    assert.is_true(child:signal(signal or "INT"))
    local done = child:wait()
    assert.is_true(wait.now() - start < PROMPT, "took too long to end")
    assert.equal(130, done.code, done.stderr)
    assert.matches("weir: interrupted[^\n]*\n$", done.stderr)
    assert.not_matches("left open", done.stderr)
    assert.not_matches("Sanitizer", done.stderr)
    return done
  end

  it("ends a live read, and tells where to go on", function()
    for _, mode in ipairs{"auto", "sse", "long-poll"} do
      for _, signal in ipairs{"INT", "TERM"} do
        local url = s:stream()
        s:append(url, "[1,2]")
        local child = cli.spawn({"read", p:url(url), "--live=" .. mode, "--print-offset"})
        child:wait_for_output("2\n")
        p:wait_for_request(url:match("/v1/.*") .. "?live=")
        local done = interrupted(child, signal)
        assert.equal("1\n2\n", done.stdout)
        assert.equal(("offset=%s\nweir: interrupted\n"):format(s:tail(url)), done.stderr)
      end
    end
  end)

  it("ends it while nobody takes what it prints", function()
    local url = s:stream("bytes", BYTES)
    ok({"append", url}, {stdin = noise(1000):rep(2000)})
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local reader = process.spawn{cmd = {"sh", "-c", 'exec 3<"$1"; exec sleep 60', "sh", fifo}}
    finally(function() reader:kill() end)
    local child = process.spawn{cmd = {"sh", "-c", 'exec "$1" read "$2" >"$3"', "sh", paths.weir, url, fifo}}
    cli.wait_until_stuck(child)
    interrupted(child)
  end)

  it("ends every command that waits for an answer", function()
    local url = s:stream()
    for _, args in ipairs{{"create"}, {"head"}, {"close"}, {"delete"}, {"read"}, {"append", "1"},
      {"append", "--seq", "1", "1"}} do
      p:faults('[{"stall":true},{"stall":true}]')
      local before = #p:requests()
      local all = {args[1], p:url(url), table.unpack(args, 2)}
      local child = cli.spawn(all)
      wait.till(function() return #p:requests() > before end, nil, "a request")
      interrupted(child)
    end
  end)

  it("ends an append that waits for input, and one that waits to try again", function()
    local url = s:stream()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local child = cli.spawn({"append", url, "--file", fifo})
    local file = assert(io.open(fifo, "w"))
    file:write("1\n2\n3")
    file:flush()
    wait.till(function()
      return s:read(url).body:find("2", 1, true)
    end, nil, "the messages")
    local done = interrupted(child)
    file:close()
    assert.equal("weir: interrupted; 2 messages have been stored\n", done.stderr)
    p:faults('[{"method":"POST","answer":{"status":503,"headers":{"Retry-After":"20"}}}]')
    child = cli.spawn({"append", p:url(url), "4"})
    child:wait_for_output("trying again in")
    interrupted(child)
    assert.equal("1\n2\n", read(url))
  end)

  it("ends create while it waits for its content", function()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local url = fresh()
    local child = cli.spawn({"create", url, "--data-file", fifo})
    local file = assert(io.open(fifo, "w"))
    interrupted(child)
    file:close()
    assert.equal(404, s:request("HEAD", url).status)
  end)
end)

describe("standard output", function()
  local function shell(command, url)
    return process.run{cmd = {"sh", "-c", command, "sh", paths.weir, url}}
  end

  it("that is closed by its reader ends it", function()
    local url = s:stream()
    ok({"append", url}, {stdin = ("123456789\n"):rep(200000)})
    local done = shell('{ "$1" read "$2"; echo "code $?" >&2; } | head -n 1', url)
    assert.equal("123456789\n", done.stdout)
    assert.equal("weir: cannot write to standard output: Broken pipe\ncode 1\n", done.stderr)
    done = shell('{ "$1" read "$2" --limit 1; echo "code $?" >&2; } | head -n 1', url)
    assert.equal("123456789\n", done.stdout)
    assert.equal("code 0\n", done.stderr)
  end)

  it("that is closed by its reader ends a live read with the next message", function()
    local url = s:stream()
    s:append(url, "1")
    local child = process.spawn{cmd = {"sh", "-c",
      '{ "$1" read "$2" --live=sse; echo "code $?" >&2; } | head -n 1', "sh", paths.weir, p:url(url)}}
    child:wait_for_output("1\n")
    p:wait_for_request(url:match("/v1/.*") .. "?live=sse")
    for i = 2, 50 do
      s:append(url, tostring(i))
      if child:stderr():find("code") then
        break
      end
    end
    child:wait_for_output("code 1")
    has(child:wait().stderr, "weir: cannot write to standard output: Broken pipe\n")
  end)

  it("that is full, or not there, is an error", function()
    local url = s:stream()
    s:append(url, "1")
    for _, command in ipairs{"head", "read", "append", "close"} do
      local more = command == "append" and " 1" or ""
      more = command == "read" and " --print-offset" or more -- which is not known then
      local done = shell(('"$1" %s "$2"%s --quiet >/dev/full'):format(command, more), url)
      assert.equal(1, done.code)
      assert.equal("weir: cannot write to standard output: No space left on device\n", done.stderr)
      done = shell(('"$1" %s "$2"%s --quiet >&-'):format(command, command == "append" and " " or ""), s:stream())
      assert.equal(command == "read" and 0 or 1, done.code, command)
    end
  end)
end)

it("http(s) URLs alone are streams", function()
  assert.equal(200, http.request{url = s:stream()}.status)
  for _, command in ipairs{"read", "append", "create", "head", "close", "delete"} do
    for _, url in ipairs{"", "x", "-", "ftp://a/b", "/v1/stream/a"} do
      misuse(('expected the http(s) URL of a stream, got "%s"'):format(url), {command, url})
    end
  end
end)
