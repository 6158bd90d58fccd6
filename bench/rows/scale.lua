local command = require "bench.lib.command"
local data = require "bench.lib.data"
local machine = require "bench.lib.machine"
local materialize = require "bench.lib.materialize"
local weir = require "bench.lib.weir"

local SIZES = {10000, 1000000, 10000000}
local CHANGES = 1000000
local ROOM = 600 -- bytes an entity may take here, so that the largest size that fits is run

local function label(entities)
  return ("%s live"):format(materialize.thousands(entities))
end

local function contender(entities, changes, first)
  local events = {shape = "objects", events = changes, keys = entities // 4, fill = true, marks = true}
  return {
    name = label(entities),
    run = function()
      local result = command.run{cmd = weir.worker("scale", {}, "--once"), pipe = data.shell(events)}
      return {each = result.seconds / changes}
    end,
    lines = {{figure = "each", unit = "ns", versus = first and label(first), at_most = first and 1.5}},
  }
end

return {
  title = "the cost of a change by how many entities live",
  prepare = function(settings)
    local changes = settings:count(CHANGES)
    local available = machine.available()
    local contenders, first = {}, nil
    for _, size in ipairs(SIZES) do
      local entities = settings:count(size, 400) // 4 * 4
      local one = contender(entities, changes, first)
      if entities * ROOM > available then
        one.missing = ("needs %.0f GB"):format(entities * ROOM / 1e9)
      end
      contenders[#contenders + 1] = one
      first = first or entities
    end
    return {
      about = ("processor time of %s changes behind the inserts of all entities, by a pipe"):format(
        materialize.thousands(changes)),
      runs = 3,
      contenders = contenders,
    }
  end,
}
