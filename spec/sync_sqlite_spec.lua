-- scripts/sync-sqlite.lua, run as its users run it: the database is equal to the stream, whatever happens to the
-- worker.

local process = require "support.process"
local script = require "support.script"
local server = require "support.server"
local sync = require "support.sync"
local tmp = require "support.tmp"
local wait = require "support.wait"
local weir = require "weir"

describe("scripts/sync-sqlite.lua", function()
  local node, worker, db

  setup(function()
    node = server.start {}
    worker = script.open("sync-sqlite", "STREAM", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    worker:renew()
    db = tmp.dir() .. "/sync.db"
  end)

  local function query(sql)
    local done = process.run { cmd = { "sqlite3", "-batch", db, sql } }
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function command(settings, ...)
    local cmd = worker:command(settings)
    cmd[#cmd + 1] = "--set"
    cmd[#cmd + 1] = "DB=" .. db
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
    for line in query "SELECT json_array(type, table_name) FROM _sync_tables":gmatch "[^\n]+" do
      local kind, name = table.unpack(weir.json.decode(line))
      local all = {}
      local quoted = '"' .. name:gsub('"', '""') .. '"'
      for row in query("SELECT json_array(id, data) FROM " .. quoted):gmatch "[^\n]+" do
        local id, data = table.unpack(weir.json.decode(row))
        all[id] = weir.json.decode(data)
      end
      found[kind] = next(all) and all or nil
    end
    return found
  end

  it("keeps a table a type, and how far it has come", function()
    worker:put("users", "u1", '{"name":"Ada"}')
    worker:put("users", "u2", '{"name":"Zoë"}')
    worker:put("users", "u1", '{"n":1}', "patch")
    worker:put("rooms", "r", "[1]")
    worker:put("users", "u2", nil, "delete")
    local done = once()
    assert.matches("up to date: 2 entities", done.stderr, 1, true)
    assert.equal('u1|{"name":"Ada","n":1}\n', query "SELECT id, data FROM users")
    assert.equal("r|[1]\n", query "SELECT id, data FROM rooms")
    assert.equal(worker.url .. "|5\n", query "SELECT stream_url, sequence FROM _sync_state")
    worker:put("users", "u3", "1")
    once()
    assert.equal("u1\nu3\n", query "SELECT id FROM users ORDER BY id")
    assert.equal("6\n", query "SELECT sequence FROM _sync_state")
  end)

  it("follows", function()
    local child = process.spawn { cmd = command(), timeout = 60 }
    child:wait_for_output "up to date"
    worker:put("users", "u1", "1")
    wait.till(function()
      return tmp.read(db) and process.run { cmd = { "sqlite3", db, "SELECT id FROM users" } }.stdout == "u1\n"
    end, nil, "the row")
    script.interrupt(child)
  end)

  it("can be told by the configuration where else to write, as any script", function()
    worker:put("users", "u1", '{"name":"Ada"}')
    local other = tmp.dir() .. "/other.db"
    local config = tmp.file("config.json",
      weir.json.encode { streams = { sync = { sinks = { { kind = "sqlite", path = other, prefix = "x_" } } } } })
    once(nil, "--config", config)
    assert.is_nil(tmp.read(db))
    db = other
    assert.equal('u1|{"name":"Ada"}\n', query "SELECT id, data FROM x_users")
  end)

  it("puts a prefix in front of the tables' names", function()
    worker:put("users", "u1", "1")
    once { PREFIX = "mine_" }
    assert.equal("u1|1\n", query "SELECT id, data FROM mine_users")
  end)

  for name, options in pairs { ["reading from the start"] = {}, ["with snapshots"] = { "--data" } } do
    it("has a database equal to the stream, however often it is killed: " .. name, function()
      if options[1] then
        options = { "--data", tmp.dir(), "--snapshot-every", "20ms" }
      end
      local count = sync.kill(node, worker.url, command(nil, table.unpack(options)), 0.15)
      once(nil, table.unpack(options))
      assert.same(sync.state(worker.url), rows())
      assert.equal(count .. "\n", query "SELECT sequence FROM _sync_state")
    end)
  end

  it("says what is wrong with where it is told to write", function()
    db = "/no/such/folder/sync.db"
    local done = process.run { cmd = command(nil, "--once") }
    assert.equal(1, done.code)
    assert.matches("sqlite /no/such/folder/sync.db: ", done.stderr, 1, true)
  end)
end)
