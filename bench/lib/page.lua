-- Puts the table into docs/benchmarks.md, between two markers. What stands around them stays.

local paths = require "support.paths"
local tmp = require "support.tmp"

local page = {}

local PATH = paths.root .. "/docs/benchmarks.md"
local BEGIN, END = "<!-- results -->\n", "<!-- end of the results -->\n"

function page.write(text)
  local old = assert(tmp.read(PATH), PATH .. " is not there")
  local _, from = old:find(BEGIN, 1, true)
  local to = from and old:find(END, from, true)
  assert(to, PATH .. ": the markers of the results are not there")
  tmp.write(PATH, old:sub(1, from) .. "\n" .. text .. "\n" .. old:sub(to))
end

return page
