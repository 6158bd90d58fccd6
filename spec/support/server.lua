-- A stream server as a spec sees it: the reference server, or weir serve (WEIR_TEST_SERVER=weir; unless that is set,
-- for the specs of the protocol in the half of the tests that runs with the sanitizers, so that both servers see them).
--
--   local s = server.start{dataDir = ..., port = ..., longPollTimeout = 500}
--   local url = s:stream("room")                 -- a new JSON stream
--   s:append(url, '{"a":1}')
--   s:read(url).body
--   s:inject(url, {status = 503, count = 2, retryAfter = 1})
--   s:stop()

local http = require "support.http"
local paths = require "support.paths"
local ports = require "support.ports"
local process = require "support.process"
local wait = require "support.wait"

local server = {}

local Server = {}
Server.__index = Server

local LIFE = 620 + process.LIFE -- seconds after which a forgotten server is killed
local JSON = {["Content-Type"] = "application/json"}

-- What other specs expect is what the reference server makes of events: it stamps them and writes them anew.
local PROTOCOL = {append = true, cli_append = true, cli_ends = true, cli_options = true, cli_read = true,
  cli_streams = true, client_lua = true, read = true, reconnect = true}

local function kind_for(spec)
  local protocol = PROTOCOL[spec:match "([^/]+)_spec%.lua$"]
  return os.getenv "WEIR_SANITIZED" == "1" and protocol and "weir" or "reference"
end

local KIND = os.getenv "WEIR_TEST_SERVER" or kind_for(os.getenv "WEIR_TEST_NAME" or "")

-- Waits for the line that says where it listens.
local function await(self, text, pattern)
  self.url = wait.till(function()
    if not self.child:running() then
      error("the server ended: " .. self.child:stderr(), 0)
    end
    return text():match(pattern)
  end, nil, "the server")
  self.port = tonumber(self.url:match(":(%d+)$"))
end

local function launch_weir(self, port)
  local cmd = {paths.weir, "serve", "--listen", "127.0.0.1:" .. port, "--long-poll-timeout",
    (self.options.longPollTimeout or 500) .. "ms"}
  if self.options.faults ~= false then
    cmd[#cmd + 1] = "--faults"
  end
  if self.options.dataDir then
    cmd[#cmd + 1] = "--data"
    cmd[#cmd + 1] = self.options.dataDir
  end
  self.child = process.spawn{cmd = cmd, timeout = LIFE}
  await(self, function() return self.child:stderr() end, "listening on (http%S+),")
end

local function launch_reference(self, port)
  local cmd = {"node", paths.spec .. "/support/server.mjs", "--port", tostring(port), "--parent", process.own_pid(),
    "--longPollTimeout", tostring(self.options.longPollTimeout or 500)}
  if self.options.dataDir then
    cmd[#cmd + 1] = "--dataDir"
    cmd[#cmd + 1] = self.options.dataDir
  end
  self.child = process.spawn{cmd = cmd, timeout = LIFE}
  await(self, function() return self.child:stdout() end, "listening (%S+)\n")
end

local function launch(self, port)
  if self.kind == "weir" then
    launch_weir(self, port)
  else
    launch_reference(self, port)
  end
end

--- Starts a server and waits until it listens. options: port (nil = any), dataDir (nil = memory),
--- longPollTimeout (ms), kind ("weir", "reference": where a spec needs this one), faults (false: weir takes no orders
--- for them).
function server.start(options)
  local self = setmetatable({options = options or {}, count = 0}, Server)
  self.kind = self.options.kind or KIND
  launch(self, self.options.port or ports.free())
  return self
end

--- Any request; `url` may be a path on this server. Options as of http.request.
function Server:request(method, url, options)
  options = options or {}
  return http.request{
    method = method,
    url = url:sub(1, 1) == "/" and self.url .. url or url,
    headers = options.headers,
    body = options.body,
    timeout = options.timeout,
  }
end

local function expect(answer, what)
  if answer.status < 200 or answer.status > 299 then
    error(("%s: status %d %s%s"):format(what, answer.status, answer.body, answer.error or ""), 3)
  end
  return answer
end

--- Creates a stream nobody else uses and returns its URL. The content type is application/json unless given.
function Server:stream(name, content_type)
  self.count = self.count + 1
  local url = ("%s/v1/stream/%s-%d"):format(self.url, name or "stream", self.count)
  local headers = {["Content-Type"] = content_type or "application/json"}
  expect(self:request("PUT", url, {headers = headers}), "create " .. url)
  return url
end

--- Appends a body as it is: for JSON one value, or an array whose elements become one message each.
function Server:append(url, body, headers)
  local all = {}
  for name, value in pairs(JSON) do
    all[name] = value
  end
  for name, value in pairs(headers or {}) do
    all[name] = value
  end
  return expect(self:request("POST", url, {body = body, headers = all}), "append to " .. url)
end

--- Reads what is there from an offset (the start).
function Server:read(url, offset)
  return expect(self:request("GET", url .. "?offset=" .. (offset or "-1")), "read " .. url)
end

--- The numbers n of the {"n":n} that are stored, in order.
function Server:numbers(url)
  local list = {}
  for n in self:read(url).body:gmatch('"n":(%d+)') do
    list[#list + 1] = tonumber(n)
  end
  return list
end

--- What the server makes of stored JSON: the reference server writes it anew (numbers and escapes as JavaScript has
--- them, an offset in the headers of State Protocol messages), weir serve keeps every byte of a message.
function Server:rewrites_json()
  return self.kind == "reference"
end

--- The offset behind the last message.
function Server:tail(url)
  return expect(self:request("HEAD", url), "head " .. url).headers["stream-next-offset"]
end

--- Closes a stream for good: readers get end of file, appends are refused.
function Server:close(url)
  return expect(self:request("POST", url, {headers = {["Stream-Closed"] = "true"}}), "close " .. url)
end

function Server:delete(url)
  return expect(self:request("DELETE", url), "delete " .. url)
end

local function json_text(value)
  if type(value) == "string" then
    local escapes = {['"'] = '\\"', ["\\"] = "\\\\"}
    return '"' .. value:gsub('[%c"\\]', function(c)
      return escapes[c] or ("\\u%04x"):format(c:byte())
    end) .. '"'
  elseif type(value) == "table" then
    local fields = {}
    for name, field in pairs(value) do
      fields[#fields + 1] = json_text(name) .. ":" .. json_text(field)
    end
    return "{" .. table.concat(fields, ",") .. "}"
  end
  return tostring(value)
end

--- Plans a fault for the exact path of a stream: {status=, count=, retryAfter=, delayMs=, dropConnection=,
--- truncateBodyBytes=, corruptBody=, injectSseEvent={eventType=,data=}, method=, probability=}. One per path.
function Server:inject(url, fault)
  local plan = {path = url:gsub("^https?://[^/]+", ""):gsub("%?.*$", "")}
  for name, value in pairs(fault) do
    plan[name] = value
  end
  local answer = self:request("POST", "/_test/inject-error", {body = json_text(plan), headers = JSON})
  return expect(answer, "inject")
end

--- Forgets all planned faults.
function Server:clear_faults()
  return expect(self:request("DELETE", "/_test/inject-error"), "clear faults")
end

--- Asks the server to stop and waits until it is gone; kills it when it is not in time.
function Server:stop()
  if not self.child:running() then
    return
  end
  self.child:signal("TERM")
  local ended = pcall(self.child.wait, self.child, 10)
  if not ended then
    self.child:kill()
  end
end

--- kill -9, as a machine that loses power would.
function Server:crash()
  self.child:kill()
end

--- Stops, then starts on the same port with the same dataDir.
function Server:restart()
  self:stop()
  launch(self, self.port)
end

return server
