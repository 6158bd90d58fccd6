-- Rows about `weir serve`: it and the reference server (npm @durable-streams/server) under the same load, that of
-- bench/tools/serve_load.c.

local command = require "bench.lib.command"
local context = require "bench.lib.context"
local materialize = require "bench.lib.materialize"
local server = require "support.server"
local tmp = require "support.tmp"

local serve = {}

serve.names = {weir = "weir serve", reference = "reference server"}

local CONNECTIONS = 16

--- A server of each kind, by its kind; they keep their streams in memory or, with `files`, in a new folder each.
function serve.both(files)
  local both = {}
  for kind in pairs(serve.names) do
    both[kind] = server.start{kind = kind, dataDir = files and tmp.dir() or nil, longPollTimeout = 30000,
      faults = false}
  end
  return both
end

function serve.stop(both)
  for _, one in pairs(both) do
    one:stop()
  end
end

--- Puts a load on a stream: serve_load VERB PORT PATH with more arguments. Gives its figures.
function serve.load(verb, url, ...)
  local port, path = url:match "^http://[^:/]+:(%d+)(/.*)$"
  return command.run{cmd = {context.program "serve_load", verb, port, path, ...}}
end

--- The subject of a row about appends. counts: how many a run makes, by the kind of server; at_least: the target.
function serve.appending(settings, options)
  local both = serve.both(options.files)
  local counts = {}
  local function contender(kind, line)
    counts[kind] = settings:count(options.counts[kind], CONNECTIONS)
    line.figure, line.unit = "each", "us"
    return {
      name = serve.names[kind],
      run = function() return serve.load("append", both[kind]:stream "append", CONNECTIONS, counts[kind]) end,
      lines = {line},
    }
  end
  local contenders = {
    contender("weir", {}),
    contender("reference", {versus = serve.names.weir, at_least = options.at_least}),
  }
  return {
    about = ("%d connections, one event of 107 bytes in each request, the next when the last was answered: %s "
      .. "of them to weir, %s to the reference server; the time of all by their number"):format(CONNECTIONS,
      materialize.thousands(counts.weir), materialize.thousands(counts.reference)),
    contenders = contenders,
    done = function() serve.stop(both) end,
  }
end

return serve
