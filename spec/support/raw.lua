-- Bytes over TCP connections, as they are: see raw.mjs.
--
--   local text, closed = raw.talk(port, {{send = "GET / HTTP/1.1\r\n\r\n"}, {wait = "404"}}, 3)
--   local answers = raw.pipeline(port, {raw.request("PUT", "/a"), raw.request("HEAD", "/a")})

local paths = require "support.paths"
local process = require "support.process"
local weir = require "weir"

local raw = {}

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

--- Conversations, each over a connection of its own, at the same time. Returns for each {text, closed}: what came, and
--- whether the other side closed within `limit` seconds (5), or before nothing came for `quiet` milliseconds.
function raw.talk_all(port, conversations, limit, quiet)
  for _, steps in ipairs(conversations) do
    for _, step in ipairs(steps) do
      step.send = step.send and packed(step.send)
    end
  end
  local done = process.run{
    cmd = {"node", paths.spec .. "/support/raw.mjs", tostring(port), tostring((limit or 5) * 1000),
      tostring(quiet or 0)},
    stdin = weir.json.encode(conversations),
    timeout = (limit or 5) + 10,
  }
  assert(done.code == 0, done.stderr)
  local answers = weir.json.decode(done.stdout)
  for _, answer in ipairs(answers) do
    answer.text = unpacked(answer.text)
  end
  return answers
end

--- One conversation: what came, and whether the other side closed.
function raw.talk(port, steps, limit, quiet)
  local answer = raw.talk_all(port, {steps}, limit, quiet)[1]
  return answer.text, answer.closed
end

--- Requests, each sent at once over a connection of its own. Returns for each {status, text, closed}.
function raw.ask_all(port, requests)
  local conversations = {}
  for i, request in ipairs(requests) do
    conversations[i] = {{send = request}}
  end
  local answers = raw.talk_all(port, conversations, 5, 250)
  for _, answer in ipairs(answers) do
    answer.status = tonumber(answer.text:match "^HTTP/1.1 (%d+)")
  end
  return answers
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
  local text = raw.talk(port, {{send = table.concat(requests) .. last}}, 10)
  local answers, at = {}, 1
  for i, request in ipairs(requests) do
    answers[i], at = parse(text, at, request:match "^%u+")
  end
  return answers
end

return raw
