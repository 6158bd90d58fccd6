-- The protocol by hand: weir read.

local by_hand = require "support.by_hand"
local cli = require "support.cli"
local worker = require "support.worker"

local fails, fresh, has, misuse = by_hand.fails, by_hand.fresh, by_hand.has, by_hand.misuse
local noise, ok, read = by_hand.noise, by_hand.ok, by_hand.read
local BYTES = by_hand.BYTES

local s, p

by_hand.serve(function(...)
  s, p = ...
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
