-- What weir.sink.search talks to in the specs: see search.mjs for what it does, and how it fails.
--
--   local s = search.start{key = "secret"}
--   s:faults('[{"match":"_bulk","status":429}]')
--   s:chaos(seed, rate); s:chaos()
--   s:differences{users = {ann = {name = "Ann"}}}    -- {} where all documents are these
--   s:dump()                                         -- {INDEX = {ID = DOCUMENT}}
--   s:forget "typesense"                             -- of which stream its places are
--   s:requests()                                     -- a list of "METHOD PATH"
--   s:remove "users--1"
--   s:stop()

local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local wait = require "support.wait"

local weir = require "weir"

local search = {}

local Search = {}
Search.__index = Search

function search.start(options)
  local self = setmetatable({}, Search)
  local cmd = {"node", paths.spec .. "/support/search.mjs", "--parent", process.own_pid()}
  if options and options.key then
    table.move({"--key", options.key}, 1, 2, #cmd + 1, cmd)
  end
  self.child = process.spawn{cmd = cmd, timeout = process.LIFE}
  self.url = wait.till(function()
    return self.child:stdout():match "listening (%S+)\n"
  end, nil, "the search server")
  return self
end

local function ask(self, method, path, body)
  local answer = http.request{method = method, url = self.url .. "/_test/" .. path, body = body}
  assert(answer.status == 200, ("%s: %s %s"):format(path, answer.status, answer.body or answer.error))
  return weir.json.decode(answer.body)
end

function Search:faults(json)
  ask(self, "POST", "faults", json)
end

function Search:chaos(seed, rate)
  ask(self, "POST", "chaos", seed and ('{"seed":%d,"rate":%g}'):format(seed, rate) or "null")
end

function Search:differences(documents)
  return ask(self, "POST", "equals", next(documents) and weir.json.encode(documents) or "{}").differences
end

function Search:dump()
  return ask(self, "GET", "dump")
end

--- Takes the digest of the stream out of the notes of the places that are there.
function Search:forget(dialect)
  for id, place in pairs(self:dump()["weir-sync-state"]) do
    place.notes = nil
    local path = dialect == "typesense" and "/collections/weir-sync-state/documents?action=upsert"
      or "/weir-sync-state/_doc/" .. id:gsub("%W", function(c) return ("%%%02X"):format(c:byte()) end)
    local answer = http.request{method = dialect == "typesense" and "POST" or "PUT", url = self.url .. path,
      headers = {["Content-Type"] = "application/json"}, body = weir.json.encode(place)}
    assert(answer.status < 300, answer.body)
  end
end

function Search:requests()
  return ask(self, "GET", "requests")
end

function Search:remove(index)
  ask(self, "DELETE", "index/" .. index)
end

function Search:stop()
  self.child:signal "TERM"
  self.child:wait()
end

return search
