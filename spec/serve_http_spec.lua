-- weir serve as hostile and clumsy clients meet it: what is no request, what two servers could read in two ways,
-- limits, paths, connections. Several requests are asked at the same time, each over a connection of its own.

local http = require "support.http"
local raw = require "support.raw"
local serve = require "support.serve"
local wait = require "support.wait"

-- The hasty one has so little patience that a client on a busy machine may come too late: it is for those who do.
local child, port, hasty, hasty_url, hasty_port

setup(function()
  local _
  child, _, port = serve.start("--long-poll-timeout", "300ms", "--max-body", "1MB", "--faults")
  hasty, hasty_url, hasty_port = serve.start("--request-timeout", "1s")
  raw.pipeline(port, {raw.request("PUT", "/v1/stream/a", {["Content-Type"] = "text/plain"}, "abc")})
end)

-- A stream on the hasty server, as soon as it takes it.
local function hasty_stream(name, body)
  wait.till(function()
    return http.request{method = "PUT", url = hasty_url .. "/v1/stream/" .. name, body = body,
      headers = {["Content-Type"] = "text/plain"}}.status // 100 == 2
  end, nil, "a stream on the hasty server")
end

teardown(function()
  serve.stop(child)
  serve.stop(hasty)
end)

local function head(lines)
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- GET of the stream, with more lines.
local function get(...)
  return head{"GET /v1/stream/a HTTP/1.1", "Host: x", ...}
end

-- POST to another one, with more lines; the body follows.
local function post(...)
  return head{"POST /v1/stream/none HTTP/1.1", "Host: x", "Content-Type: text/plain", ...}
end

local function chunked(body)
  return post "Transfer-Encoding: chunked" .. body
end

-- cases: {STATUS, REQUEST, TEXT of the answer or nil}. closed: what becomes of each connection; nil: either.
local function expect(cases, closed)
  local requests = {}
  for i, case in ipairs(cases) do
    requests[i] = case[2]
  end
  for i, answer in ipairs(raw.ask_all(port, requests)) do
    local status, request, reason = table.unpack(cases[i], 1, 3)
    assert.equal(status, answer.status, request .. answer.text)
    if reason then
      assert.matches(reason, answer.text, 1, true)
    end
    if closed ~= nil then
      assert.equal(closed, answer.closed, request .. answer.text)
    end
  end
end

-- Nothing behind such a request can be trusted.
local function refused(cases)
  expect(cases, true)
end

describe("a request that two servers could read in two ways", function()
  it("has Content-Length and Transfer-Encoding", function()
    refused{
      {400, post("Content-Length: 5", "Transfer-Encoding: chunked") .. "0\r\n\r\n" .. get()},
      {400, post("Transfer-Encoding: chunked", "Content-Length: 5") .. "0\r\n\r\n"},
      {400, post("Transfer-Encoding:", "Content-Length: 1") .. "a"},
    }
  end)

  it("has two lengths, or one that is none", function()
    local cases = {{400, post("Content-Length: 5", "Content-Length: 6") .. "hello"},
      {400, post("Content-Length: 5", "Content-Length: 5") .. "hello"}}
    for _, length in ipairs{"5, 5", "+5", "-5", "0x5", "5 5", "", "5.0", "18446744073709551616",
      "99999999999999999999999"} do
      cases[#cases + 1] = {400, post("Content-Length: " .. length) .. "hello"}
    end
    cases[#cases + 1] = {413, post "Content-Length: 18446744073709551615"}
    refused(cases)
  end)

  it("has another transfer coding than chunked, or chunked in another disguise", function()
    refused{
      {501, post "Transfer-Encoding: gzip, chunked" .. "0\r\n\r\n"},
      {400, post "Transfer-Encoding: chunked, identity" .. "0\r\n\r\n"},
      {501, post "Transfer-Encoding: xchunked" .. "0\r\n\r\n"},
      {501, post 'Transfer-Encoding: "chunked"' .. "0\r\n\r\n"},
      {400, post "Transfer-Encoding: \11chunked" .. "0\r\n\r\n"},
      {400, post("Transfer-Encoding: chunked", "Transfer-Encoding: x")},
      {400, post "Transfer-Encoding : chunked" .. "0\r\n\r\n"},
      {400, "POST /v1/stream/a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    }
  end)

  it("has a bare CR, a bare LF, a NUL, a control character or a folded field in its head", function()
    refused{
      {400, get "A: b\rContent-Length: 5", "a CR stands without its LF"},
      {400, "GET /v1/stream/a HTTP/1.1\nHost: x\n\n", "ends without a CR"},
      {400, "GET /v1/stream/a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "ends without a CR"},
      {400, get "A: b\0c", "NUL"},
      {400, get "A: b\1c"},
      {400, get "A: b\127c"},
      {400, get("A: b", " c"), "folded"},
      {400, get("A: b", "\tc"), "folded"},
      {400, "GET /v1/stream/a HTTP/1.1\r\n Host: x\r\n\r\n", "folded"},
    }
  end)

  it("has a field with no name, or with none that is one", function()
    refused{
      {400, get ": b", "no name"},
      {400, get "A b: c"},
      {400, get "A"},
      {400, get "A\233: b"},
    }
  end)

  it("has chunks that are none, or trailers", function()
    refused{
      {400, chunked "zz\r\nhello\r\n0\r\n\r\n"},
      {400, chunked "-5\r\nhello\r\n0\r\n\r\n"},
      {400, chunked "0x5\r\nhello\r\n0\r\n\r\n"},
      {400, chunked "5 \r\nhello\r\n0\r\n\r\n"},
      {400, chunked "5\r\nhello!\r\n0\r\n\r\n"},
      {400, chunked "5\r\nhello0\r\n\r\n"},
      {400, chunked "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"},
      {400, chunked "5\nhello\r\n0\r\n\r\n"},
      {400, chunked "5;a\nhello\r\n0\r\n\r\n"},
      {400, chunked "5\r\nhello\r\n0\r\nHost: y\r\n\r\n", "trailer"},
      {400, chunked("5;" .. ("x"):rep(5000) .. "\r\nhello\r\n0\r\n\r\n"), "chunk extensions"},
    }
    expect{{404, chunked "5;a=b\r\nhello\r\n0\r\n\r\n", "no such stream"}}
  end)

  it("has no Host, two of them, or one that is none", function()
    refused{
      {400, "GET /v1/stream/a HTTP/1.1\r\n\r\n", "Host is missing"},
      {400, get "Host: y", "Host is there twice"},
      {400, "GET /v1/stream/a HTTP/1.1\r\nHost:\r\n\r\n", "not a host name"},
      {400, "GET /v1/stream/a HTTP/1.1\r\nHost: x/../y\r\n\r\n", "not a host name"},
      {400, "GET /v1/stream/a HTTP/1.1\r\nHost: x,y\r\n\r\n", "not a host name"},
    }
  end)

  it("has a field twice that may be there once", function()
    local cases = {}
    for _, name in ipairs{"Content-Type", "Stream-Seq", "Stream-TTL", "Stream-Expires-At", "Stream-Closed",
      "Stream-Forked-From", "Stream-Fork-Offset", "Stream-Fork-Sub-Offset", "Producer-Id", "Producer-Epoch",
      "Producer-Seq", "Authorization", "Expect", "Content-Encoding"} do
      cases[#cases + 1] = {400, get(name .. ": 1", name .. ": 1"), name .. " is there twice"}
    end
    refused(cases)
  end)

  it("is not HTTP/1", function()
    refused{
      {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {505, "GET /v1/stream/a\r\n\r\n"},
      {505, "GET /v1/stream/a HTTP/2.0\r\nHost: x\r\n\r\n"},
      {400, "GET /v1/stream/a HTTP/1.1 \r\nHost: x\r\n\r\n"},
      {400, "GET  /v1/stream/a HTTP/1.1\r\nHost: x\r\n\r\n", "two spaces"},
      {400, "GET\t/v1/stream/a HTTP/1.1\r\nHost: x\r\n\r\n"},
      {400, "get /v1/stream/a HTTP/1.1\r\nHost: x\r\n\r\n"},
      {400, ("A"):rep(300) .. " /v1/stream/a HTTP/1.1\r\nHost: x\r\n\r\n"},
      {400, "hello\r\n\r\n"},
      {400, "\22\3\1\2\0\1\0\1\2\3\3\r\n\r\n"}, -- TLS
    }
  end)
end)

describe("limits", function()
  it("of the head: 32 KB, 100 fields", function()
    local lines = {}
    for i = 1, 101 do
      lines[i] = ("A%d: b"):format(i)
    end
    refused{
      {431, get("A: " .. ("a"):rep(40000)), "32 KB"},
      {431, get(table.unpack(lines)), "100 header fields"},
    }
  end)

  it("a body of more than --max-body: 413, before it is read", function()
    local chunk = ("10000\r\n%s\r\n"):format(("x"):rep(65536))
    refused{
      {413, post "Content-Length: 1048577" .. get(), "--max-body"},
      {413, chunked(chunk:rep(17)), "--max-body"},
      {413, chunked "100001\r\n", "--max-body"},
      {413, chunked(chunk .. "f0001\r\n"), "--max-body"},
      {413, chunked "8000000000000000\r\n", "--max-body"},
    }
  end)

  it("a head or a body that does not come, or too slowly: 408", function()
    local answers = raw.talk_all(hasty_port, {
      {{send = "GET /v1/stream/a HTTP/1.1\r\nHo"}},
      {{send = post "Content-Length: 10" .. "abc"}},
      {{send = chunked "5\r\nab"}},
      {{send = "GET /v1/stream/a HTTP/1.1\r\nHo"}, {drip = "s"}}, -- always something, and never all of it
      {{send = post "Content-Length: 1000000"}, {drip = "s"}},
    })
    for _, answer in ipairs(answers) do
      assert.matches("^HTTP/1.1 408", answer.text)
      assert.is_true(answer.closed)
    end
  end)

  it("line ends in front of a request are no request", function()
    local steps = {{send = "\r\n\r\n" .. get()}, {wait = "abc"}, {send = "\r\n"}, {["end"] = true}}
    assert.matches("^HTTP/1.1 200[^\n]*\r\n.*\r\n\r\nabc$", (raw.talk(port, steps)))
  end)
end)

describe("paths", function()
  it("have one spelling", function()
    local cases = {}
    for _, path in ipairs{"/v1/stream/a", "/v1/./stream/a", "/v1/x/../stream/a", "/v1/stream/%61", "/%761/stream/a",
      "http://elsewhere/v1/stream/a", "/v1/stream/a?", "/v1/stream/a??x", "/v1/x/%2e%2E/stream/a"} do
      cases[#cases + 1] = {200, head{"GET " .. path .. " HTTP/1.1", "Host: x"}, "abc"}
    end
    for _, path in ipairs{"/v1/stream/a/", "/v1/stream%2Fa", "/v1/stream/A", "/%252e%252e/v1/stream/a"} do
      cases[#cases + 1] = {404, head{"GET " .. path .. " HTTP/1.1", "Host: x"}, "no such stream"}
    end
    expect(cases, false)
  end)

  it("hold as an escape what the standard has only so", function()
    local answers = raw.pipeline(port, {
      raw.request("PUT", '/v1/stream/{"<|>"}`^'),
      raw.request("HEAD", "/v1/stream/%7B%22%3C%7C%3E%22%7D%60%5e"),
      raw.request("PUT", "/v1/stream/%c3%a4:@!$&'()*+,;=~"),
      raw.request("HEAD", "/v1/stream/%C3%A4:@!$&'()*+,;=%7E"),
      raw.request("HEAD", "/v1/stream/%C3%A4%3A@!$&'()*+,;=%7E"),
    })
    assert.equal(201, answers[1].status)
    assert.equal("http://x/v1/stream/%7B%22%3C%7C%3E%22%7D%60%5E", answers[1].headers.location)
    assert.equal(200, answers[2].status)
    assert.equal(201, answers[3].status)
    assert.equal(200, answers[4].status)
    assert.equal(404, answers[5].status)
  end)

  it("that are none", function()
    local function path(text)
      return head{"GET " .. text .. " HTTP/1.1", "Host: x"}
    end
    expect{
      {400, path("/" .. ("a"):rep(3000)), "too long"},
      {400, path("/" .. ("%ff"):rep(1000)), "too long"},
      {400, path "/a%zz", "hexadecimal"},
      {400, path "/a%f", "hexadecimal"},
      {400, path "/a%00b", "control character"},
      {400, path "/a%0d%0aSet-Cookie:x", "control character"},
      {400, path "/a%5cb", "backslash"},
      {400, path "/a\\b", "backslash"},
      {400, path "/../a", "above the root"},
      {400, path "/%2e%2e/%2E%2E/etc/passwd", "above the root"},
      {400, path "//a", "empty segment"},
      {400, path "/a//b", "empty segment"},
      {400, path "/v1/stream/a#b", "'#'"},
      {400, path "/v1/stream/a?offset=-1#b", "'#'"},
      {400, path "a"},
      {400, path "*"},
      {400, path "/v1/stream/\195\164"},
      {400, path "ftp://x/v1/stream/a"},
      {400, head{"CONNECT x:80 HTTP/1.1", "Host: x"}},
    }
  end)

  it("stay short, whatever the connection was used for", function()
    local answers = raw.pipeline(port, {
      raw.request("PUT", "/v1/stream/fork", {["Stream-Forked-From"] = "/v1/stream/a"}),
      raw.request("GET", "/" .. ("a"):rep(2100)),
      raw.request("PUT", "/" .. ("a"):rep(2047), {["Stream-Forked-From"] = "/" .. ("b"):rep(2047)}),
      raw.request("PUT", "/v1/stream/long", {["Stream-Forked-From"] = "/" .. ("b"):rep(4000)}),
    })
    assert.equal(201, answers[1].status)
    assert.equal(400, answers[2].status)
    assert.equal(404, answers[3].status)
    assert.equal(400, answers[4].status)
  end)
end)

describe("methods", function()
  it("that are not served: 405, wherever", function()
    local cases = {}
    for _, path in ipairs{"/v1/stream/a", "/v1/stream/none", "/", "/v1/stream/__ds/subscriptions/x"} do
      for _, method in ipairs{"PATCH", "TRACE", "PROPFIND"} do
        cases[#cases + 1] = {405, head{method .. " " .. path .. " HTTP/1.1", "Host: x"},
          "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n"}
      end
    end
    cases[#cases + 1] = {405, head{"GET /_test/inject-error HTTP/1.1", "Host: x"}, "Allow: POST, DELETE\r\n"}
    expect(cases, false)
  end)

  it("on paths that are no streams", function()
    local requests = {}
    for _, method in ipairs{"GET", "HEAD", "POST", "PUT", "DELETE"} do
      for _, path in ipairs{"/", "/__ds/subscriptions/x", "/v1/stream/__ds"} do
        requests[#requests + 1] = raw.request(method, path)
      end
    end
    for i, answer in ipairs(raw.pipeline(port, requests)) do
      assert.equal(i % 3 == 1 and 404 or 501, answer.status)
    end
    expect{
      {404, head{"GET / HTTP/1.1", "Host: x"}, "/v1/stream/NAME"},
      {501, head{"GET /v1/stream/__ds/subscriptions/x HTTP/1.1", "Host: x"}, "subscriptions"},
      {204, head{"OPTIONS * HTTP/1.1", "Host: x"}, "Allow: "},
      {204, head{"OPTIONS http://x HTTP/1.1", "Host: x"}, "Allow: "},
    }
  end)

  it("with a body that they do not need", function()
    local answers = raw.pipeline(port, {
      raw.request("PUT", "/v1/stream/gone"),
      raw.request("GET", "/v1/stream/a", {}, "hello"),
      raw.request("HEAD", "/v1/stream/a?offset=-1&live=sse", {}, "hello"),
      raw.request("DELETE", "/v1/stream/gone", {}, "hello"),
      raw.request("OPTIONS", "/v1/stream/a", {}, "hello"),
    })
    assert.equal("abc", answers[2].body)
    assert.equal(200, answers[3].status)
    assert.equal(204, answers[4].status)
    assert.equal(204, answers[5].status)
  end)
end)

describe("fields that nobody here takes", function()
  it("change nothing", function()
    expect({
      {200, get "Range: bytes=1-1", "\r\n\r\nabc"},
      {200, get("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"), "\r\n\r\nabc"},
      {200, get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAA"), "\r\n\r\nabc"},
      {200, get "A: \255", "\r\n\r\nabc"},
      {200, get "TE: trailers", "\r\n\r\nabc"},
    }, false)
    local answers = raw.pipeline(port, {
      raw.request("GET", "/v1/stream/a", {Upgrade = "h2c", Connection = "Upgrade"}),
      raw.request("GET", "/v1/stream/a"),
    })
    assert.equal("abc", answers[2].body)
  end)
end)

describe("connections", function()
  it("answer requests in their order, however they come", function()
    local text = {["Content-Type"] = "text/plain"}
    local answers = raw.pipeline(port, {
      raw.request("PUT", "/v1/stream/p", text),
      raw.request("POST", "/v1/stream/p", text, "ab"),
      raw.request("HEAD", "/v1/stream/none"),
      raw.request("POST", "/v1/stream/p", text, "cd"),
      raw.request("GET", "/v1/stream/p"),
    })
    local statuses = {}
    for i, answer in ipairs(answers) do
      statuses[i] = answer.status
    end
    assert.same({201, 204, 404, 204, 200}, statuses)
    assert.equal("abcd", answers[5].body)
    local steps = {}
    for byte in (get() .. get()):gmatch "." do
      steps[#steps + 1] = {send = byte}
    end
    steps[#steps + 1] = {wait = "\r\n\r\nabc"}
    steps[#steps + 1] = {wait = "\r\n\r\nabc"}
    steps[#steps + 1] = {["end"] = true}
    local got = raw.talk(port, steps)
    assert.equal(2, select(2, got:gsub("HTTP/1.1 200", "")))
  end)

  it("take many requests in one piece, behind one that waits", function()
    local poll = head{"GET /v1/stream/a?offset=now&live=long-poll HTTP/1.1", "Host: x"}
    local last = get "Connection: close"
    local text = raw.talk(port, {{send = poll .. get():rep(500) .. last}})
    assert.matches("^HTTP/1.1 204", text)
    assert.equal(501, select(2, text:gsub("HTTP/1.1 200", "")))
  end)

  it("get no more answers than they read", function()
    -- 40,000 requests for 16 KB each would be 640 MB of answers that wait.
    hasty_stream("big", ("x"):rep(16000))
    local many = raw.request("GET", "/v1/stream/big"):rep(40000)
    local _, closed = raw.talk(hasty_port, {{send = many}, {deaf = true}})
    assert.is_true(closed)
    local status = assert(io.open(("/proc/%d/status"):format(hasty.pid))):read "a"
    assert.is_true(tonumber(status:match "VmHWM:%s+(%d+) kB") < 300 * 1000, status)
    -- Who reads late, but reads, gets all.
    raw.pipeline(port, {raw.request("PUT", "/v1/stream/big", {["Content-Type"] = "text/plain"}, ("x"):rep(16000))})
    local late = raw.request("GET", "/v1/stream/big"):rep(500) .. get "Connection: close"
    local text = raw.talk(port, {{send = late}, {deaf = 300}})
    assert.equal(501, select(2, text:gsub("HTTP/1.1 200", "")))
  end)

  it("that are half closed get their answer", function()
    local text, closed = raw.talk(port, {{send = get()}, {["end"] = true}})
    assert.matches("\r\n\r\nabc$", text)
    assert.is_true(closed)
  end)

  it("that are half closed get all of their answers, however long these are", function()
    local long = ("x"):rep(500000)
    raw.pipeline(port, {raw.request("PUT", "/v1/stream/long", {["Content-Type"] = "text/plain"}, long)})
    local asks = raw.request("GET", "/v1/stream/long"):rep(40)
    local text, closed = raw.talk(port, {{send = asks}, {["end"] = true}, {deaf = 300}})
    assert.is_true(closed)
    assert.equal(40, select(2, text:gsub("HTTP/1.1 200", "")))
    assert.is_true(#text > 40 * #long)
  end)

  it("of clients that go in the middle of an answer are let go", function()
    local ask = raw.request("GET", "/v1/stream/gone", {Connection = "close"})
    local other, _, its_port = serve.start()
    raw.pipeline(its_port, {raw.request("PUT", "/v1/stream/gone", {["Content-Type"] = "application/json"},
      '"' .. ("x"):rep(20000000) .. '"')})
    raw.talk(its_port, {{send = ask}, {wait = "HTTP/1.1 200"}, {["end"] = true}, {reset = true}})
    assert.matches("^HTTP/1.1 404", (raw.talk(its_port, {{send = raw.request("GET", "/", {Connection = "close"})}})))
    serve.stop(other)
  end)

  it("end where the client asks, and with HTTP/1.0", function()
    expect({
      {200, get "Connection: close", "Connection: close"},
      {200, get "Connection: close, keep-alive", "Connection: close"},
      {200, head{"GET /v1/stream/a HTTP/1.0"}, "Connection: close"},
    }, true)
    expect({{200, head{"GET /v1/stream/a HTTP/1.0", "Connection: keep-alive"}, "Connection: keep-alive"}}, false)
    expect{{201, head{"PUT /v1/stream/old HTTP/1.0"}, "Location: /v1/stream/old\r\n"}}
  end)

  it("with Expect: 100-continue are told to go on, or why not", function()
    local ask = {"POST /v1/stream/a HTTP/1.1", "Host: x", "Content-Type: text/plain", "Expect: 100-continue"}
    ask[5] = "Content-Length: 3"
    local text = raw.talk(port, {{send = head(ask)}, {wait = "100 Continue\r\n\r\n"}, {send = "def"}, {wait = "204"},
      {["end"] = true}})
    assert.matches("^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204", text)
    ask[5] = "Content-Length: 3000000"
    local big = head(ask)
    ask[4] = "Expect: the worst"
    refused{{413, big}, {417, head(ask)}}
  end)

  it("get no SSE with chunks where they speak HTTP/1.0", function()
    local text = raw.talk(port, {{send = head{"GET /v1/stream/a?offset=-1&live=sse HTTP/1.0"}}, {wait = "upToDate"},
      {["end"] = true}})
    assert.matches("\r\n\r\nevent: data\ndata:abc", text)
    assert.is_nil(text:find "chunked")
  end)

  it("of readers that never read are cut off", function()
    hasty_stream("huge", ("x"):rep(12000000))
    local _, closed = raw.talk(hasty_port, {{send = raw.request("GET", "/v1/stream/huge?offset=-1&live=sse")},
      {deaf = true}})
    assert.is_true(closed)
    hasty_stream "other"
  end)
end)
