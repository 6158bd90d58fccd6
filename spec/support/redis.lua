-- A Redis server of a spec's own: in a temporary folder, on a unix socket.
--
--   local db = redis.start{appendonly = "yes"}
--   db.url                                     -- for weir.sink.redis
--   db:ask("HGET", key, field)                 -- what redis-cli prints, without the line end
--   db:held "weir:"                            -- what is there of a stream: see support.held
--   db:crash(); db:launch(); db:stop()

local held = require "support.held"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local redis = {}

local Redis = {}
Redis.__index = Redis

--- False, and why, where there is no server to start, or weir was built without the sink.
function redis.available()
  if not os.execute "command -v redis-server >/dev/null && command -v redis-cli >/dev/null" then
    return false, "redis-server is not installed"
  end
  local script = tmp.file("probe.lua", [[require("weir").sink.redis { url = "redis://localhost" }]])
  local done = process.run{cmd = {paths.weir, "check", script}}
  return not done.stderr:find("built without", 1, true), "weir was built without libhiredis"
end

--- Starts a server. options: appendonly ("yes", "no"), arguments (more of them).
function redis.start(options)
  local self = setmetatable({options = options or {}, dir = tmp.dir()}, Redis)
  self.socket = self.dir .. "/s"
  self.url = "unix://" .. self.socket
  self:launch()
  return self
end

function Redis:launch()
  self.child = process.spawn{
    cmd = {"redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly",
      self.options.appendonly or "no", "--appendfsync", "always", "--dir", self.dir, "--loglevel", "warning",
      table.unpack(self.options.arguments or {})},
    timeout = process.LIFE,
  }
  wait.till(function()
    local ok, answer = pcall(self.ask, self, "PING")
    return ok and answer == "PONG"
  end, nil, "redis-server")
end

--- One command; fails where the server cannot be reached or answers with an error.
function Redis:ask(...)
  local done = process.run{cmd = {"redis-cli", "-s", self.socket, "-e", ...}}
  if done.code ~= 0 then
    error(("%s: %s%s"):format(table.concat({...}, " "), done.stdout, done.stderr), 2)
  end
  return (done.stdout:gsub("\n$", ""))
end

local HELD = [[
local sync = redis.call("KEYS", ARGV[1] .. "*}:sync")[1]
local out = {}
if sync then
  local place = redis.call("HMGET", sync, "sequence", "epoch", "skip", "offset", "notes")
  for i = 1, 5 do
    place[i] = place[i] or (i <= 3 and "0" or "")
  end
  out[1] = "0|" .. table.concat(place, "|")
end
for _, key in ipairs(redis.call("KEYS", ARGV[1] .. "*}:t:*")) do
  local type, all = key:match("}:t:(.*)$"), redis.call("HGETALL", key)
  type = type:gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  for i = 1, #all, 2 do
    out[#out + 1] = "1|" .. type .. "/" .. all[i] .. " " .. all[i + 1]
  end
end
return table.concat(out, "\n")
]]

--- What is under a prefix ("weir:"), of one stream: see support.held.
function Redis:held(prefix)
  return held.parse(self:ask("EVAL", HELD, "0", prefix or "weir:"))
end

--- kill -9.
function Redis:crash()
  self.child:kill()
end

function Redis:stop()
  self:crash()
end

return redis
