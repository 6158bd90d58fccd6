local command = require "bench.lib.command"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local paths = require "support.paths"
local serve = require "bench.lib.serve"

return {
  title = "100 MB from weir serve and from the reference server",
  prepare = function(settings)
    local file = data.file{shape = "changes", events = settings:count(352000), keys = settings:count(35200)}
    local memory, files = serve.both(), serve.both(true)

    local function fill(node, type)
      local url = node:stream("catch-up", type)
      command.run{cmd = {paths.weir, "append", url, "--file", file.path, "--quiet"}}
      return url
    end

    local contenders = {}
    local function add(name, url, versus, at_least)
      contenders[#contenders + 1] = {
        name = name,
        lines = {{unit = "ms", versus = versus, at_least = at_least}},
        run = function()
          local result = serve.load("catchup", url)
          assert(result.bytes >= file.bytes, "not all of the stream was read")
          return result
        end,
      }
    end

    local function pair(suffix, both, type, at_least)
      local weir = serve.names.weir .. suffix
      add(weir, fill(both.weir, type))
      add(serve.names.reference .. suffix, fill(both.reference, type), weir, at_least)
    end
    pair("", memory, "application/json", 10)
    pair(", files", files, "application/json", 10)
    pair(", text", memory, "text/plain")
    for _, node in pairs(files) do
      node:restart() -- so that nothing is in memory but what a start brings there
    end
    return {
      about = ("a stream of %s changes, %.1f MB, read from its start to its tail"):format(
        materialize.thousands(file.events), file.bytes / 1e6),
      contenders = contenders,
      done = function()
        serve.stop(memory)
        serve.stop(files)
      end,
    }
  end,
}
