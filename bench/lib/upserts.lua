-- Rows that bring a file of changes into a database server: weir, and a loop of single prepared upserts in C.

local command = require "bench.lib.command"
local context = require "bench.lib.context"
local data = require "bench.lib.data"
local materialize = require "bench.lib.materialize"
local weir = require "bench.lib.weir"

local upserts = {}

local ROWS = 10000 -- in one transaction

--- The row of a kind of database:
---   title      the row's
---   kind       "postgres": of bench/workers/postgres.lua and bench/peers/postgres_upserts.c
---   library    the package that the peer is built with
---   available  a function: false, and why, where there is no server to start
---   start      a function: a server, which has a method `close`
---   database   function(server, name): makes an empty database; its URL
---   place      function(server, name, url): the words that tell the peer where it is
---   entities   function(server, name): how many rows there are in all tables but those that tell a place
---   drop       function(server, name)
function upserts.row(database)
  local program = database.kind .. "_upserts"

  local function prepare(settings)
    local file = data.file{shape = "changes", events = settings:count(100000), keys = settings:count(20000)}
    local available, why = database.available()
    local missing = not available and why or not context.program(program) and "not built: " .. database.library or nil
    local server = not missing and database.start() or nil
    local databases = 0

    -- A new database for each run, made before its clock runs.
    local function run(words_of)
      databases = databases + 1
      local name = "run" .. databases
      local result = command.whole(words_of(database.database(server, name), name))
      result.entities = database.entities(server, name)
      database.drop(server, name)
      return result
    end

    local function run_weir()
      return run(function(url)
        return weir.worker(database.kind, {URL = file.path, DATABASE = url, ROWS = ROWS}, "--once")
      end)
    end

    local function run_peer()
      return run(function(url, name)
        local words = {context.program(program), file.path, table.unpack(database.place(server, name, url))}
        words[#words + 1] = ROWS
        return words
      end)
    end

    return {
      about = ("%s changes, %.1f MB, into a new database by a unix socket, %s a transaction; whole processes"):format(
        materialize.thousands(file.events), file.bytes / 1e6, materialize.thousands(ROWS)),
      same = {"entities"},
      contenders = {
        {name = "weir", missing = missing, run = run_weir},
        {name = "C loop of single prepared upserts", missing = missing, versus = "weir", at_least = 5, run = run_peer},
      },
      done = function()
        if server then
          server:close()
        end
      end,
    }
  end

  return {title = database.title, prepare = prepare}
end

return upserts
