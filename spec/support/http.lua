-- One HTTP request at a time, by the curl program, so that what is tested never tests itself.

local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local http = {}

-- A 100-continue or a redirect leaves several header blocks: the last one counts.
local function parse_headers(text)
  local headers = {}
  for line in text:gmatch("([^\r\n]*)\r?\n") do
    if line:match("^HTTP/") then
      headers = {}
    else
      local name, value = line:match("^([^:]+):%s*(.-)%s*$")
      if name then
        headers[name:lower()] = value
      end
    end
  end
  return headers
end

--- options: url, method ("GET"), headers (table), body (text), timeout (seconds, 60).
--- Returns {status, headers (names in lower case), body}. Without an answer, status is 0 and `error`
--- is curl's text.
function http.request(options)
  local dir = tmp.dir()
  local cmd = {"curl", "-q", "-sS", "--noproxy", "*", "-X", options.method or "GET",
    "--max-time", tostring((options.timeout or 60) + wait.SLACK), "-w", "%{http_code}",
    "-D", dir .. "/headers", "-o", dir .. "/body"}
  if options.method == "HEAD" then
    cmd[#cmd + 1] = "--head"
  end
  for name, value in pairs(options.headers or {}) do
    cmd[#cmd + 1] = "-H"
    cmd[#cmd + 1] = name .. ": " .. value
  end
  if options.body then
    tmp.write(dir .. "/request", options.body)
    cmd[#cmd + 1] = "--data-binary"
    cmd[#cmd + 1] = "@" .. dir .. "/request"
  end
  cmd[#cmd + 1] = options.url
  local done = process.run{cmd = cmd, timeout = (options.timeout or 60) + 5}
  return {
    status = tonumber(done.stdout) or 0,
    error = done.code ~= 0 and done.stderr or nil,
    headers = parse_headers(tmp.read(dir .. "/headers") or ""),
    body = tmp.read(dir .. "/body") or "",
  }
end

return http
