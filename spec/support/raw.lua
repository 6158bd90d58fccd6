-- Bytes over TCP connections, as they are: see raw.mjs.
--
--   local text, closed = raw.talk(port, {{send = "GET / HTTP/1.1\r\n\r\n"}, {wait = "404"}})
--   local answers = raw.pipeline(port, {raw.request("PUT", "/a"), raw.request("HEAD", "/a")})
--   local child = raw.spawn(port, {{{send = request}, {say = "sent"}}})
--   child:wait_for_output "sent"; raw.answers(child)

local paths = require "support.paths"
local process = require "support.process"
local weir = require "weir"

local raw = {}

local LIMIT = 60 -- seconds that a conversation may take: one that takes them has gone wrong

-- Bytes as JSON can carry them: each as the character of that number, and back.
local function packed(text)
  return (text:gsub("[\128-\255]", function(byte)
    return utf8.char(byte:byte())
  end))
end

local function unpacked(text)
  return (text:gsub("[\194\195][\128-\191]", function(character)
    return string.char(utf8.codepoint(character))
  end))
end

--- Starts conversations, each over a connection of its own, at the same time.
function raw.spawn(port, conversations)
  for _, steps in ipairs(conversations) do
    for _, step in ipairs(steps) do
      step.send = step.send and packed(step.send)
    end
  end
  return process.spawn{
    cmd = {"node", paths.spec .. "/support/raw.mjs", tostring(port), tostring(LIMIT * 1000)},
    stdin = weir.json.encode(conversations),
    timeout = LIMIT + 15,
  }
end

--- Waits for their end. Returns for each {text, closed}: what came, and whether the other side has closed.
function raw.answers(child)
  local done = child:wait(LIMIT + 20)
  assert(done.code == 0, done.stderr)
  local answers = weir.json.decode(done.stdout)
  for _, answer in ipairs(answers) do
    answer.text = unpacked(answer.text)
  end
  return answers
end

function raw.talk_all(port, conversations)
  return raw.answers(raw.spawn(port, conversations))
end

--- One conversation: what came, and whether the other side closed.
function raw.talk(port, steps)
  local answer = raw.talk_all(port, {steps})[1]
  return answer.text, answer.closed
end

-- Ends a connection that is there still, and says so by its answer.
local PROBE = "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

--- Requests, each sent at once over a connection of its own. Returns for each {status, text, closed}: closed where
--- nothing more was taken behind it.
function raw.ask_all(port, requests)
  local conversations = {}
  for i, request in ipairs(requests) do
    conversations[i] = {{send = request}, {wait = "\r\n\r\n"}, {send = PROBE}}
  end
  local answers = raw.talk_all(port, conversations)
  for _, answer in ipairs(answers) do
    assert(answer.closed, "no end of: " .. answer.text)
    local probed = answer.text:match ".+()HTTP/1%.1 204 "
    answer.closed = not probed
    answer.text = answer.text:sub(1, (probed or 0) - 1)
    answer.status = tonumber(answer.text:match "^HTTP/1.1 (%d+)")
  end
  return answers
end

--- Steps of a conversation, behind which the server waits for data to answer a long-poll of this path with: both
--- requests come in one piece, and it answers the first when it has taken both. What comes is the poll's answer.
function raw.poll(path)
  local poll = raw.request("GET", path .. "?offset=now&live=long-poll", {Connection = "close"})
  return {send = raw.request("HEAD", path) .. poll}, {wait = "\r\n\r\n"}, {forget = true}
end

--- The text of a request with Host, and with a length where it has a body.
function raw.request(method, path, headers, body)
  local lines = {("%s %s HTTP/1.1"):format(method, path), "Host: x"}
  for name, value in pairs(headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if body then
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

-- The answer at a place of the text, and where the next one begins.
local function parse(text, at, method)
  local status, fields, behind = text:match("^HTTP/1%.1 (%d+)[^\r]*\r\n(.-\r\n)\r\n()", at)
  assert(status, "no answer at: " .. text:sub(at))
  local answer = {status = tonumber(status), headers = {}}
  for name, value in fields:gmatch "([^:\r\n]+): ?([^\r\n]*)\r\n" do
    answer.headers[name:lower()] = value
  end
  local length = method ~= "HEAD" and tonumber(answer.headers["content-length"]) or 0
  answer.body = text:sub(behind, behind + length - 1)
  return answer, behind + length
end

--- Requests over one connection, sent all at once. Returns the answers in their order: {status, headers (names in lower
--- case), body}. None of them may end the connection, or have an answer in chunks.
function raw.pipeline(port, requests)
  local last = raw.request("OPTIONS", "*", {Connection = "close"})
  local text = raw.talk(port, {{send = table.concat(requests) .. last}})
  local answers, at = {}, 1
  for i, request in ipairs(requests) do
    answers[i], at = parse(text, at, request:match "^%u+")
  end
  return answers
end

return raw
