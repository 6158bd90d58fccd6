-- The protocol by hand: weir create, head, close, delete.

local by_hand = require "support.by_hand"
local tmp = require "support.tmp"

local fails, fresh, has, misuse = by_hand.fails, by_hand.fresh, by_hand.has, by_hand.misuse
local noise, ok, read = by_hand.noise, by_hand.ok, by_hand.read
local BYTES = by_hand.BYTES

local s

by_hand.serve(function(...)
  s = ...
end)

describe("weir create", function()
  it("makes a JSON stream, once", function()
    local url = fresh()
    local done = ok{"create", url}
    assert.matches("^%d+_%d+\n$", done.stdout)
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
