-- scripts/sync-postgres.lua, run as its users run it, against a PostgreSQL of its own.

local postgres = require "support.postgres"
local process = require "support.process"
local script = require "support.script"
local server = require "support.server"
local sync = require "support.sync"
local tmp = require "support.tmp"
local weir = require "weir"

describe("scripts/sync-postgres.lua", function()
  local there, why = postgres.available()
  if not there then
    pending(why)
    return
  end

  local node, pg, worker

  setup(function()
    node, pg = server.start {}, postgres.start()
    worker = script.open("sync-postgres", "STREAM", node)
  end)

  teardown(function()
    pg:close()
    node:stop()
  end)

  before_each(function()
    worker:renew()
    pg:query "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
  end)

  local function command(settings, ...)
    settings = settings or { DB = pg.url }
    local cmd = worker:command(settings)
    return table.move({ ... }, 1, select("#", ...), #cmd + 1, cmd)
  end

  local function once(settings, ...)
    local done = process.run { cmd = command(settings, "--once", ...) }
    assert.equal(0, done.code, done.stderr)
    return done
  end

  -- All rows of the stream's tables, as weir has its state.
  local function rows()
    local found = {}
    for _, named in ipairs(pg:query "SELECT type, table_name FROM _sync_tables") do
      local kind, name = table.unpack(named)
      local all = {}
      for _, row in ipairs(pg:query('SELECT id, data FROM "' .. name:gsub('"', '""') .. '"')) do
        all[row[1]] = weir.json.decode(row[2])
      end
      found[kind] = next(all) and all or nil
    end
    return found
  end

  it("keeps a table a type, and how far it has come", function()
    worker:put("users", "u1", '{"name":"Ada"}')
    worker:put("users", "u2", '{"name":"Zoë"}')
    worker:put("users", "u1", '{"n":1}', "patch")
    worker:put("users", "u2", nil, "delete")
    once()
    assert.same({ { "u1", "Ada", "1" } }, pg:query "SELECT id, data->>'name', data->>'n' FROM users")
    assert.same({ { worker.url, "4" } }, pg:query "SELECT stream_url, sequence FROM _sync_state")
    worker:put("users", "u3", "1")
    once()
    assert.same({ { "u1" }, { "u3" } }, pg:query "SELECT id FROM users ORDER BY id")
    assert.equal("5", pg:value "SELECT sequence FROM _sync_state")
  end)

  it("takes the URL from a file, and a prefix", function()
    worker:put("users", "u1", "1")
    once { DB_FILE = tmp.file("url", pg.url .. "\n"), PREFIX = "mine_" }
    assert.equal("u1", pg:value "SELECT id FROM mine_users")
  end)

  it("has a database equal to the stream, however often it is killed", function()
    local count = sync.kill(node, worker.url, command(), 0.25)
    once()
    assert.same(sync.state(worker.url), rows())
    assert.equal(tostring(count), pg:value "SELECT sequence FROM _sync_state")
  end)

  it("says what is wrong with where it is told to write, without the password", function()
    local done = process.run {
      cmd = command({ DB = ("postgresql://weir:hush@/none?host=%s"):format(pg.dir) }, "--once"),
    }
    assert.equal(1, done.code)
    assert.matches("postgres", done.stderr, 1, true)
    assert.is_nil(done.stderr:find("hush", 1, true))
  end)
end)
