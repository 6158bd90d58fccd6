-- A proxy in front of a reference server: see proxy.mjs for what it can break.
--
--   local p = proxy.start(s)                     -- s as of support.server; it may be restarted meanwhile
--   local url = p:url(s:stream("room"))          -- the same stream, by way of the proxy
--   p:faults('[{"method":"POST","cut":0}]')      -- replaces those planned before
--   p:requests()                                 -- a list of "METHOD PATH STATUS"
--   p:stop()

local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local wait = require "support.wait"

local proxy = {}

local Proxy = {}
Proxy.__index = Proxy

local LIFE = 900 -- seconds after which a forgotten proxy is killed

function proxy.start(server)
  local self = setmetatable({}, Proxy)
  local cmd = {"node", paths.spec .. "/support/proxy.mjs", "--to", server.url, "--parent", process.own_pid()}
  self.child = process.spawn{cmd = cmd, timeout = LIFE}
  self.base = wait.till(function()
    return self.child:stdout():match("listening (%S+)\n")
  end, nil, "the proxy")
  return self
end

function Proxy:url(url)
  return (url:gsub("^https?://[^/]+", self.base))
end

function Proxy:faults(json)
  local answer = http.request{method = "POST", url = self.base .. "/_proxy/faults", body = json}
  assert(answer.status == 200, "proxy: " .. tostring(answer.error))
end

--- What a fault "hold" keeps goes on its way.
function Proxy:release()
  local answer = http.request{method = "POST", url = self.base .. "/_proxy/release"}
  assert(answer.status == 200, "proxy: " .. tostring(answer.error))
end

function Proxy:requests()
  local list = {}
  for line in http.request{url = self.base .. "/_proxy/requests"}.body:gmatch("[^\n]+") do
    list[#list + 1] = line
  end
  return list
end

--- Waits until a request has come in whose line holds `text`.
function Proxy:wait_for_request(text, limit)
  return wait.till(function()
    return table.concat(self:requests(), "\n"):find(text, 1, true)
  end, limit, function()
    return ("a request with %s; so far: %s"):format(text, table.concat(self:requests(), "\n"))
  end)
end

function Proxy:stop()
  self.child:signal("TERM")
  self.child:wait()
end

return proxy
