-- Rows that materialize a file: weir, and what a user would do without it.

local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local weir = require "bench.lib.weir"

local materialize = {}

local function peer(name, program, arguments, line)
  local path = context.program(program)
  local contender = {name = name, versus = line and line.versus or "weir", at_least = line and line.at_least}
  if not path then
    contender.missing = "not built"
    return contender
  end
  function contender.run()
    return command.run{cmd = {path, table.unpack(arguments)}}
  end
  return contender
end

--- "1,000,000"
function materialize.thousands(n)
  local text = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

--- The subject of a row: that many changes of a shape (see bench/tools/shapes.c) to 4 types of so many keys. targets:
--- the ratios to reach, { npm =, scan = }.
function materialize.subject(wanted, targets)
  local file = data.file(wanted)
  targets = targets or {}
  return {
    about = ("%s changes, %.1f MB (%.0f bytes each), 4 types of %s keys"):format(materialize.thousands(file.events),
      file.bytes / 1e6, file.bytes / file.events, materialize.thousands(wanted.keys)),
    same = {"events", "entities"},
    contenders = {
      {name = "weir", run = function() return weir.state(file.path) end},
      {
        name = "npm MaterializedState",
        versus = "weir",
        at_least = targets.npm,
        run = function()
          return command.run{cmd = {"node", context.file "peers/npm_materialize.mjs", file.path}}
        end,
      },
      peer("cJSON, a tree for each", "cjson_trees", {file.path}),
      peer("simdjson, type key value found", "simdjson_scan", {"find", file.path}),
      peer("simdjson scan", "simdjson_scan", {"walk", file.path}, {versus = "weir", at_least = targets.scan}),
    },
  }
end

return materialize
