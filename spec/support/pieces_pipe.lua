-- lua5.4 pieces_pipe.lua LARGEST SEED: copies stdin to stdout, in writes of 1 to LARGEST bytes.

local largest, seed = tonumber(arg[1]), tonumber(arg[2])
local text = io.read("a")
local at = 1
math.randomseed(seed)
io.stdout:setvbuf("no")
while at <= #text do
  local stop = at + math.random(largest) - 1
  io.write(text:sub(at, stop))
  at = stop + 1
end
