-- A server that hands over the files of a folder in pieces: see pieces.mjs.
--
--   local server = pieces.start()
--   server.dir                       -- put files here
--   server.url .. "/NAME?largest=3&seed=1"
--   server:stop()

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local pieces = {}

local Pieces = {}
Pieces.__index = Pieces

local LIFE = 900 -- seconds after which a forgotten server is killed

function pieces.start()
  local self = setmetatable({dir = tmp.dir()}, Pieces)
  local cmd = {"node", paths.spec .. "/support/pieces.mjs", "--dir", self.dir, "--parent", process.own_pid()}
  self.child = process.spawn{cmd = cmd, timeout = LIFE}
  self.url = wait.till(function()
    return self.child:stdout():match("listening (%S+)\n")
  end, nil, "the server of pieces")
  return self
end

function Pieces:stop()
  self.child:signal("TERM")
  self.child:wait()
end

return pieces
