local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local tmp = require "support.tmp"
local weir = require "bench.lib.weir"

local EMPTY = tmp.file("empty.jsonl", "")

local function of_weir(path)
  return command.run{cmd = weir.worker("memory", {EVENTS = path}, "--once")}
end

local function of_npm(path)
  return command.run{cmd = {"node", context.file "peers/npm_materialize.mjs", path}}
end

--- What a program takes above itself with nothing to read.
local function above_empty(measure)
  local empty = measure(EMPTY).rss
  return function(path)
    local result = measure(path)
    result.rss = result.rss - empty
    return result
  end
end

return {
  title = "resident memory by live keys and values",
  prepare = function(settings)
    local keys = settings:count(100000)
    local once = data.file{shape = "changes", events = settings:count(1000000), keys = keys}
    local few = settings:count(25000)
    local churned = data.file{shape = "churn", events = settings:count(1000000), keys = few, fill = true}
    local ours, theirs = above_empty(of_weir), above_empty(of_npm)
    local function of_ours(name, path)
      local live = "live bytes, " .. name
      return {
        name = "weir, " .. name,
        run = function() return ours(path) end,
        lines = {
          {label = "weir, " .. name, figure = "rss", unit = "MB", versus = live, at_most = 1.5},
          {label = live, figure = "live", unit = "MB"},
        },
      }
    end
    local function of_theirs(name, path)
      return {
        name = "npm, " .. name,
        run = function() return theirs(path) end,
        lines = {{label = "npm, " .. name, figure = "rss", unit = "MB", versus = "live bytes, " .. name}},
      }
    end
    return {
      about = ("once: %s changes to 4 types of %s keys; churned: %s entities, then ten times as many changes of 0 to "
        .. "60 words; above the same process with nothing to read"):format(materialize.thousands(once.events),
        materialize.thousands(keys), materialize.thousands(few * 4)),
      runs = 3,
      contenders = {
        of_ours("once", once.path),
        of_theirs("once", once.path),
        of_ours("churned", churned.path),
        of_theirs("churned", churned.path),
      },
    }
  end,
}
