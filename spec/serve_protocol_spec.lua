-- weir serve and the protocol: what the conformance suite (spec/conformance_spec.lua) does not ask, and the words that
-- answers have.

local raw = require "support.raw"
local serve = require "support.serve"

local TEXT = {["Content-Type"] = "text/plain"}
local JSON = {["Content-Type"] = "application/json"}
local START = ("0"):rep(16) .. "_" .. ("0"):rep(16)

-- The patient one is for reads that are to wait until something comes.
local child, port, patient, patient_port

setup(function()
  local _
  child, _, port = serve.start("--long-poll-timeout", "300ms", "--sse-lifetime", "2s")
  patient, _, patient_port = serve.start("--long-poll-timeout", "60s")
end)

teardown(function()
  serve.stop(child)
  serve.stop(patient)
end)

local function with(headers, more)
  local all = {}
  for _, set in ipairs{headers, more} do
    for name, value in pairs(set) do
      all[name] = value
    end
  end
  return all
end

-- steps: {STATUS, METHOD, PATH, HEADERS, BODY, expects = {header = value, ...}, body = TEXT}; a false header must not
-- be there. All over one connection, in this order. Returns the answers. at: the port (port).
local function play(steps, at)
  local requests = {}
  for i, step in ipairs(steps) do
    requests[i] = raw.request(step[2], step[3], step[4], step[5])
  end
  local answers = raw.pipeline(at or port, requests)
  for i, step in ipairs(steps) do
    local answer = answers[i]
    local label = ("%d: %s %s: %s"):format(i, step[2], step[3], answer.body)
    assert.equal(step[1], answer.status, label)
    for name, value in pairs(step.expects or {}) do
      assert.equal(value or nil, answer.headers[name], label .. " " .. name)
    end
    if step.body then
      assert.matches(step.body, answer.body, 1, true)
    end
  end
  return answers
end

local count = 0

-- A path that nobody else uses.
local function path()
  count = count + 1
  return "/v1/stream/s" .. count
end

describe("create", function()
  it("answers with what the stream has", function()
    local a = path()
    play{
      {201, "PUT", a, TEXT, "abc", expects = {location = "http://x" .. a, ["content-type"] = "text/plain",
        ["stream-next-offset"] = START:sub(1, -2) .. "3", ["stream-closed"] = false}},
      {200, "PUT", a, TEXT, "else", expects = {location = false, ["stream-next-offset"] = START:sub(1, -2) .. "3"}},
      {200, "GET", a, body = "abc"},
      {201, "PUT", a .. "/closed", with(TEXT, {["Stream-Closed"] = "TRUE"}), "x",
        expects = {["stream-closed"] = "true"}},
      {201, "PUT", a .. "/open", with(TEXT, {["Stream-Closed"] = "1"}), "x", expects = {["stream-closed"] = false}},
      {409, "PUT", a .. "/closed", TEXT},
      {409, "PUT", a .. "/open", with(TEXT, {["Stream-Closed"] = "true"})},
    }
  end)

  it("that is over at once is a success all the same", function()
    local a = path()
    play{
      {201, "PUT", a, with(TEXT, {["Stream-TTL"] = "0"}), "abc", expects = {["content-type"] = "text/plain"}},
      {404, "GET", a},
      {201, "PUT", a, with(JSON, {["Stream-Expires-At"] = "2020-01-01T00:00:00Z"}), "1"},
      {404, "HEAD", a},
    }
  end)

  it("takes any time to live that the protocol has, and no other", function()
    local a = path()
    play{
      {201, "PUT", a, with(TEXT, {["Stream-TTL"] = "9007199254740991"})},
      {200, "HEAD", a, expects = {["stream-ttl"] = "9007199254740991", ["cache-control"] = "no-store"}},
      {201, "PUT", a .. "/x", with(TEXT, {["Stream-Expires-At"] = "2090-01-15T10:30:00.5+01:00"})},
      {200, "HEAD", a .. "/x", expects = {["stream-expires-at"] = "2090-01-15T09:30:00.500Z"}},
      {200, "PUT", a .. "/x", with(TEXT, {["Stream-Expires-At"] = "2090-01-15T09:30:00.500Z"})},
    }
    local steps = {}
    for _, ttl in ipairs{"", "-1", "+1", "01", "1.0", "1e3", "0x1", " ", "9007199254740992", ("9"):rep(40)} do
      steps[#steps + 1] = {400, "PUT", path(), with(TEXT, {["Stream-TTL"] = ttl}), body = "Stream-TTL in whole seconds"}
    end
    for _, time in ipairs{"", "tomorrow", "2030-02-30T00:00:00Z", "2030-01-01", "2030-01-01T25:00:00Z",
      "2030-01-01T00:00:00", "99999-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01"} do
      steps[#steps + 1] = {400, "PUT", path(), with(TEXT, {["Stream-Expires-At"] = time}), body = "RFC 3339"}
    end
    steps[#steps + 1] = {400, "PUT", path(), with(TEXT, {["Stream-TTL"] = "1",
      ["Stream-Expires-At"] = "2030-01-01T00:00:00Z"}), body = "exclude each other"}
    play(steps)
  end)

  it("takes a media type, and no other text", function()
    local steps = {{201, "PUT", path(), {}, nil, expects = {["content-type"] = "application/octet-stream"}}}
    for _, type in ipairs{"", "text", "text/", "/plain", "text plain", "text/plain\255", "text/plain, text/html"} do
      steps[#steps + 1] = {400, "PUT", path(), {["Content-Type"] = type}, body = "TYPE/SUBTYPE"}
    end
    for _, type in ipairs{"text/html; charset=utf-8", "application/vnd.x+json", 'a/b;c="d;e"'} do
      steps[#steps + 1] = {201, "PUT", path(), {["Content-Type"] = type}, nil, expects = {["content-type"] = type}}
    end
    play(steps)
  end)
end)

describe("forks", function()
  it("that are made again are compared with what they would be now", function()
    local a = path()
    local function fork(more)
      return with({["Stream-Forked-From"] = a}, more or {})
    end
    play{
      {201, "PUT", a, with(TEXT, {["Stream-TTL"] = "100"}), "abcdef"},
      {201, "PUT", a .. "/f", fork()},
      {200, "HEAD", a .. "/f", expects = {["stream-ttl"] = "100"}},
      {200, "PUT", a .. "/f", fork()},
      {200, "PUT", a .. "/f", fork{["Stream-TTL"] = "100"}},
      {409, "PUT", a .. "/f", fork{["Stream-TTL"] = "60"}},
      {201, "PUT", a .. "/g", fork{["Stream-TTL"] = "60"}},
      {409, "PUT", a .. "/g", fork()},
      {409, "PUT", a .. "/g", TEXT},
      {200, "PUT", a .. "/g", fork{["Stream-TTL"] = "60", ["Content-Type"] = "text/plain"}},
      {409, "PUT", a .. "/h", fork{["Content-Type"] = "text/html"}},
    }
  end)

  it("are of paths on this server", function()
    local a = path()
    local steps = {{201, "PUT", a, TEXT, "abc"}}
    for _, source in ipairs{"http://elsewhere" .. a, a .. "?offset=-1", a .. "#x", "", "a", "/../x"} do
      steps[#steps + 1] = {400, "PUT", a .. "/f", {["Stream-Forked-From"] = source},
        body = "path of a stream on this server"}
    end
    steps[#steps + 1] = {404, "PUT", a .. "/f", {["Stream-Forked-From"] = a .. "/f"}}
    steps[#steps + 1] = {400, "PUT", a .. "/f", {["Stream-Fork-Offset"] = START}}
    steps[#steps + 1] = {201, "PUT", a .. "/f", {["Stream-Forked-From"] = (a:gsub("stream", "str%%65am"))}}
    play(steps)
  end)

  it("go on when what they came from is deleted, and are its end when they go", function()
    local a = path()
    play{
      {201, "PUT", a, JSON, '[{"n":1},{"n":2}]'},
      {201, "PUT", a .. "/f", {["Stream-Forked-From"] = a}},
      {201, "PUT", a .. "/f/f", {["Stream-Forked-From"] = a .. "/f"}},
      {204, "POST", a .. "/f/f", JSON, '{"n":3}'},
      {204, "DELETE", a},
      {204, "DELETE", a .. "/f"},
      {410, "GET", a}, {410, "HEAD", a}, {410, "POST", a, JSON, "1"}, {410, "DELETE", a},
      {410, "GET", a .. "/f"},
      {409, "PUT", a, JSON},
      {409, "PUT", a .. "/g", {["Stream-Forked-From"] = a}, body = "deleted"},
      {200, "GET", a .. "/f/f", body = '[{"n":1},\n{"n":2},\n{"n":3}]'},
      {204, "DELETE", a .. "/f/f"},
      {404, "GET", a}, {404, "GET", a .. "/f"},
      {201, "PUT", a, JSON},
    }
  end)

  it("do not wait for what is appended to their source; who waits at a stream that goes is told how", function()
    local a = path()
    local f = a .. "/f"
    local function post(to, body)
      return raw.request("POST", to, with(TEXT, {Connection = "close"}), body)
    end
    local make = {{201, "PUT", a, TEXT, "abc"}, {201, "PUT", f, {["Stream-Forked-From"] = a}}}
    play(make, patient_port)
    local answers = raw.talk_all(patient_port, {
      {raw.poll(f)},
      {raw.poll(a)},
      {{["until"] = {1, "\r\n\r\n"}}, {["until"] = {2, "\r\n\r\n"}}, {send = post(a, "more")}},
      {{["until"] = {2, "more"}}, {send = post(f, "own")}},
    })
    assert.matches("^HTTP/1.1 200.*\r\n\r\nown$", answers[1].text)
    assert.matches("^HTTP/1.1 200.*\r\n\r\nmore$", answers[2].text)
    answers = raw.talk_all(patient_port, {
      {raw.poll(f)},
      {raw.poll(a)},
      {{send = raw.request("GET", a .. "?offset=now&live=sse", {Connection = "close"})}},
      {{["until"] = {1, "\r\n\r\n"}}, {["until"] = {2, "\r\n\r\n"}}, {["until"] = {3, "upToDate"}},
        {send = raw.request("DELETE", a) .. raw.request("DELETE", f, {Connection = "close"})}},
    })
    assert.matches("^HTTP/1.1 404", answers[1].text)
    assert.matches("^HTTP/1.1 4[10][04]", answers[2].text)
    assert.matches("\r\n0\r\n\r\n$", answers[3].text)
    play(make, patient_port)
    answers = raw.talk_all(patient_port, {
      {raw.poll(a)},
      {{["until"] = {1, "\r\n\r\n"}}, {send = raw.request("DELETE", a, {Connection = "close"})}},
    })
    assert.matches("^HTTP/1.1 410", answers[1].text)
  end)
end)

describe("append", function()
  it("tells a closed stream before all else", function()
    local a = path()
    local closed = {["stream-closed"] = "true", ["stream-next-offset"] = START:sub(1, -2) .. "3"}
    local producer = {["Producer-Id"] = "p", ["Producer-Epoch"] = "0", ["Producer-Seq"] = "0"}
    play{
      {201, "PUT", a, TEXT, "ab"},
      {204, "POST", a, with(TEXT, {["Stream-Seq"] = "b", ["Stream-Closed"] = "true"}), "c", expects = closed},
      {409, "POST", a, {["Content-Type"] = "text/html"}, "x", expects = closed},
      {409, "POST", a, with(TEXT, {["Stream-Seq"] = "a"}), "x", expects = closed},
      {409, "POST", a, with(TEXT, {["Stream-Closed"] = "true"}), "x", expects = closed},
      {409, "POST", a, with(TEXT, producer), "x", expects = closed},
      {204, "POST", a, {["Stream-Closed"] = "true", ["Content-Type"] = "text/html"}, nil, expects = closed},
    }
  end)

  it("is refused in words", function()
    local a = path()
    local function producer(id, epoch, seq)
      return with(TEXT, {["Producer-Id"] = id, ["Producer-Epoch"] = epoch, ["Producer-Seq"] = seq})
    end
    local steps = {
      {201, "PUT", a, TEXT},
      {404, "POST", a .. "/none", TEXT, "x", body = "no such stream"},
      {400, "POST", a, TEXT, nil, body = "needs a body"},
      {400, "POST", a, {}, "x", body = "Content-Type"},
      {409, "POST", a, JSON, "1", body = "Content-Type"},
      {400, "POST", a, with(TEXT, {["Producer-Id"] = "p"}), "x", body = "together"},
      {400, "POST", a, producer("", "0", "0"), "x", body = "not empty"},
      {409, "POST", a, producer("p", "0", "7"), "x",
        expects = {["producer-expected-seq"] = "0", ["producer-received-seq"] = "7"}},
      {200, "POST", a, producer("p", "3", "0"), "x", expects = {["producer-epoch"] = "3", ["producer-seq"] = "0"}},
      {204, "POST", a, producer("p", "3", "0"), "x", expects = {["producer-epoch"] = "3", ["producer-seq"] = "0"}},
      {403, "POST", a, producer("p", "2", "0"), "x", expects = {["producer-epoch"] = "3"}},
      {400, "POST", a, producer("p", "4", "1"), "x", body = "Seq 0"},
      {204, "POST", a, with(TEXT, {["Stream-Seq"] = "10"}), "x"},
      {204, "POST", a, with(TEXT, {["Stream-Seq"] = "9"}), "x"},
      {409, "POST", a, with(TEXT, {["Stream-Seq"] = "9"}), "x", body = "Stream-Seq"},
    }
    for _, number in ipairs{"", "-1", "+1", "1.5", "01", "a", "9007199254740992", ("9"):rep(50)} do
      steps[#steps + 1] = {400, "POST", a, producer("q", number, "0"), "x", body = "Producer-Epoch to be a whole"}
      steps[#steps + 1] = {400, "POST", a, producer("q", "0", number), "x", body = "Producer-Seq to be a whole number"}
    end
    -- Its body is not read, so it is the connection's last one.
    steps[#steps + 1] = {415, "POST", a, with(TEXT, {["Content-Encoding"] = "gzip"}), "x", body = "Content-Encoding"}
    play(steps)
  end)

  it("to a stream of JSON is one message, or those of an array", function()
    local a = path()
    local steps = {
      {201, "PUT", a, JSON, "[]", expects = {["stream-next-offset"] = START}},
      {200, "GET", a, body = "[]"},
      {204, "POST", a, JSON, '{"event": "created"}'},
      {204, "POST", a, JSON, "[[1,2], [3,4]]"},
      {204, "POST", a, JSON, " [[[1,2,3]]]\n"},
      {200, "GET", a, body = '[{"event": "created"},\n[1,2],\n[3,4],\n[[1,2,3]]]'},
    }
    for body, reason in pairs{["[]"] = "array", ['{"a":1} x'] = "byte 8", ["[1,]"] = "byte 3", ['"\255"'] = "UTF-8",
      ["  "] = "byte 2", ["\239\187\1911"] = "byte 0", [("["):rep(2000)] = "deeper"} do
      steps[#steps + 1] = {400, "POST", a, JSON, body, body = reason}
    end
    steps[#steps + 1] = {400, "PUT", path(), JSON, "{", body = "byte 1"}
    play(steps)
  end)
end)

describe("catch-up", function()
  it("asks for what is wrong with its parameters", function()
    local a = path()
    local steps = {{201, "PUT", a, TEXT, "abc"}}
    local offset = "offset to be -1, now, or an offset"
    for _, query in ipairs{"offset=", "offset=0", "offset=-2", "offset=NOW", "offset=now,now", "offset=%zz",
      "off%73et=x", "offset=" .. ("9"):rep(700), "offset=0_0", "offset=" .. START .. "0", "offset"} do
      steps[#steps + 1] = {400, "GET", a .. "?" .. query, {}, nil, body = offset}
    end
    for _, query in ipairs{"offset=" .. START:gsub("0$", "4"), "offset=" .. ("9"):rep(16) .. START:sub(17)} do
      steps[#steps + 1] = {400, "GET", a .. "?" .. query, {}, nil, body = "gave for this stream"}
    end
    for _, query in ipairs{"offset=-1", "offset=%2D1", "", "&&", "x=y&offset=" .. START, "cursor=x"} do
      steps[#steps + 1] = {200, "GET", a .. "?" .. query, {}, nil, body = "abc"}
    end
    steps[#steps + 1] = {400, "GET", a .. "?offset=-1&offset=-1", {}, nil, body = "one offset parameter"}
    steps[#steps + 1] = {400, "GET", a .. "?offset=-1&live=yes", {}, nil, body = "live to be long-poll or sse"}
    steps[#steps + 1] = {400, "GET", a .. "?offset=-1&live=sse&live=sse", {}, nil, body = "live to be long-poll or sse"}
    steps[#steps + 1] = {400, "GET", a .. "?live=sse", {}, nil, body = "an offset parameter beside live"}
    steps[#steps + 1] = {400, "GET", a .. "?live=long-poll", {}, nil, body = "an offset parameter beside live"}
    play(steps)
  end)

  it("that gives the same again: 304, until it is closed", function()
    local a = path()
    local first = play{{201, "PUT", a, TEXT, "abc"}, {200, "GET", a}}[2]
    local function again(etag)
      return {["If-None-Match"] = etag}
    end
    local etag = first.headers.etag
    play{
      {304, "GET", a, again('"x", W/' .. etag), nil, expects = {etag = etag, ["stream-up-to-date"] = "true",
        ["stream-next-offset"] = START:sub(1, -2) .. "3"}},
      {304, "GET", a .. "?offset=-1", again "*"},
      {200, "GET", a, again '"x"'},
      {200, "GET", a, again(etag:sub(1, -2))},
      {200, "GET", a .. "?offset=now", again(etag), nil, expects = {etag = false, ["cache-control"] = "no-store"}},
      {204, "POST", a, {["Stream-Closed"] = "true"}},
      {200, "GET", a, again(etag), nil, body = "abc", expects = {["stream-closed"] = "true"}},
    }
  end)

  it("that is not the end any more is no 304, though it is the same", function()
    local a = path()
    local most = ("x"):rep(1024 * 1024) -- what one answer gives
    local whole = {200, "GET", a, {}, nil, expects = {["stream-up-to-date"] = "true"}}
    local first = play{{201, "PUT", a, TEXT, most}, whole}[2]
    local again = {["If-None-Match"] = first.headers.etag}
    local second = play{{304, "GET", a, again}, {204, "POST", a, TEXT, "y"},
      {200, "GET", a, again, nil, expects = {["stream-up-to-date"] = false}}}[3]
    assert.is_true(second.body == most)
    play{{304, "GET", a, {["If-None-Match"] = second.headers.etag}, nil, expects = {["stream-up-to-date"] = false}}}
  end)

  it("knows what another run of the server said from what it says itself", function()
    local function etag_of(at)
      local same = "/v1/stream/same"
      local answers = raw.pipeline(at, {raw.request("PUT", same, TEXT, "abc"), raw.request("GET", same)})
      return assert(answers[2].headers.etag)
    end
    local one, _, its_port = serve.start()
    local before = etag_of(its_port)
    serve.stop(one)
    one, _, its_port = serve.start()
    assert.are_not.equal(before, etag_of(its_port))
    serve.stop(one)
  end)

  it("may be kept by caches no longer than the stream lives", function()
    local a = path()
    play{
      {201, "PUT", a, TEXT, "abc"},
      {200, "GET", a, {}, nil, expects = {["cache-control"] = "public, max-age=60, stale-while-revalidate=300"}},
      {200, "GET", a .. "?offset=" .. START:sub(1, -2) .. "3", {}, nil, expects = {["cache-control"] = "no-cache",
        ["stream-up-to-date"] = "true"}},
      {201, "PUT", a .. "/short", with(TEXT, {["Stream-TTL"] = "10"}), "abc"},
      {200, "GET", a .. "/short", {}, nil, expects = {["cache-control"] = "public, max-age=10"}},
    }
  end)
end)

describe("live reads", function()
  -- Each {PATH, QUERY} at the same time, to its end. Returns the texts.
  local function live(...)
    local conversations = {}
    for i, read in ipairs{...} do
      conversations[i] = {{send = raw.request("GET", read[1] .. read[2], {Connection = "close"})}}
    end
    local texts = {}
    for i, answer in ipairs(raw.talk_all(port, conversations)) do
      texts[i] = answer.text
    end
    return table.unpack(texts)
  end

  it("long-poll: when the time is over, at the end, and with any cursor", function()
    local a = path()
    play{{201, "PUT", a, TEXT, "abc"}, {201, "PUT", a .. "/closed", with(TEXT, {["Stream-Closed"] = "true"}), "abc"}}
    local open, closed = live({a, "?offset=now&live=long-poll&cursor=9999999"},
      {a .. "/closed", "?offset=now&live=long-poll"})
    assert.matches("^HTTP/1.1 204", open)
    assert.matches("Stream%-Up%-To%-Date: true", open)
    assert.is_true(tonumber(open:match "Stream%-Cursor: (%d+)") > 9999999)
    assert.matches("^HTTP/1.1 204.*Stream%-Closed: true", closed)
    local reads = {}
    for i, cursor in ipairs{"", "x", "-1", ("9"):rep(40), "%zz", "1&cursor=2"} do
      reads[i] = {a, "?offset=-1&live=long-poll&cursor=" .. cursor}
    end
    for _, text in ipairs{live(table.unpack(reads))} do
      assert.matches("^HTTP/1.1 200.*Stream%-Cursor: %d+.*abc$", text)
    end
    local high = ("9"):rep(18)
    local above = live{a, "?offset=-1&live=long-poll&cursor=" .. high}
    assert.is_true(math.tointeger(above:match "Stream%-Cursor: (%d+)") > math.tointeger(high))
  end)

  it("SSE: events, base64, the end", function()
    local a = path()
    play{
      {201, "PUT", a, with(TEXT, {["Stream-Closed"] = "true"}), "one\r\n two\rdata: x\n\nevent: control"},
      {201, "PUT", a .. "/bytes", with({}, {["Stream-Closed"] = "true"}), "\0\1\2\255"},
      {201, "PUT", a .. "/json", with(JSON, {["Stream-Closed"] = "true"}), '[1,{"a":"\\n"}]'},
      {201, "PUT", a .. "/open", TEXT},
    }
    local text, bytes, json, open = live({a, "?offset=-1&live=sse"}, {a .. "/bytes", "?offset=-1&live=sse"},
      {a .. "/json", "?offset=-1&live=sse"}, {a .. "/open", "?offset=now&live=sse"})
    -- Nothing of the data can pass for another field or event.
    assert.matches("event: data\ndata:one\ndata:  two\ndata:data: x\ndata:\ndata:event: control\n\n", text, 1, true)
    assert.matches('"upToDate":true,"streamClosed":true}\n\n\r\n0\r\n\r\n$', text)
    assert.is_nil(text:find "streamCursor")
    assert.matches("Stream%-SSE%-Data%-Encoding: base64\r\n", bytes)
    assert.matches("event: data\ndata:AAEC/w==\n\n", bytes, 1, true)
    assert.matches('event: data\ndata:[1,\ndata:{"a":"\\n"}]\n\n', json, 1, true)
    -- An open one ends after its lifetime, so that readers come back.
    assert.matches('event: control\ndata:{"streamNextOffset":"' .. START ..
      '","streamCursor":"%d+","upToDate":true}\n\n', open)
    assert.matches("\r\n0\r\n\r\n$", open)
  end)

  it("keep a stream with a time to live alive, HEAD does not", function()
    local a = path()
    local short = with(TEXT, {["Stream-TTL"] = "1"})
    local function read(more)
      return raw.request("GET", a .. "?offset=now&live=sse", more)
    end
    -- One read behind the other, each for 2 s, and nothing between them that could take long.
    local answers = raw.talk_all(port, {
      {{send = raw.request("PUT", a .. "/2", short) .. raw.request("PUT", a, short) .. read():rep(30) ..
        read{Connection = "close"}}},
      {{["until"] = {1, "upToDate"}}, {drip = raw.request("HEAD", a .. "/2"), till = "HTTP/1.1 404"},
        {["until"] = {1, "\r\n0\r\n\r\n"}}, {send = raw.request("DELETE", a, {Connection = "close"})}},
    })
    assert.matches("HTTP/1.1 204", answers[2].text)
    assert.matches("HTTP/1.1 404", answers[1].text)
  end)
end)

describe("answers to browsers", function()
  it("have CORS and security fields, whatever they say", function()
    local a = path()
    local answers = play{
      {201, "PUT", a, TEXT, "abc"}, {200, "GET", a}, {200, "HEAD", a}, {204, "POST", a, TEXT, "x"},
      {404, "GET", a .. "/none"},
      {400, "GET", "//"}, {204, "DELETE", a},
      {204, "OPTIONS", a, {Origin = "http://page", ["Access-Control-Request-Method"] = "POST"}},
    }
    for _, answer in ipairs(answers) do
      assert.equal("nosniff", answer.headers["x-content-type-options"])
      assert.equal("*", answer.headers["access-control-allow-origin"])
      assert.equal("cross-origin", answer.headers["cross-origin-resource-policy"])
      assert.matches("Stream%-Next%-Offset", answer.headers["access-control-expose-headers"])
    end
    local asked = answers[#answers].headers
    assert.matches("POST", asked["access-control-allow-methods"])
    assert.matches("Producer%-Id", asked["access-control-allow-headers"])
    assert.equal("text/plain; charset=utf-8", answers[5].headers["content-type"])
    assert.equal("no-store", answers[5].headers["cache-control"])
  end)
end)

it("faults are taken by a server that was started with --faults only", function()
  play{{404, "POST", "/_test/inject-error", JSON, '{"path":"/a","status":500}'}}
end)
