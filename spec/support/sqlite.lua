-- SQLite files as a spec asks them, by the program sqlite3.
--
--   sqlite.ask(path, SQL)         -- what it answers: columns by "|", rows by line ends
--   sqlite.held(path)             -- what is there of a stream: see support.held
--   sqlite.remove(path)

local held = require "support.held"
local process = require "support.process"
local tmp = require "support.tmp"

local sqlite = {}

function sqlite.ask(path, sql)
  local done = process.run{cmd = {"sqlite3", "-batch", "-separator", "|", path, ".timeout 5000", sql}}
  assert(done.code == 0, done.stderr)
  return (done.stdout:gsub("\n$", ""))
end

function sqlite.held(path)
  if not tmp.read(path) or sqlite.ask(path, "SELECT 1 FROM sqlite_master WHERE name = '_sync_state'") == "" then
    return "", nil
  end
  local tables = {}
  local names = sqlite.ask(path, [[SELECT hex(type), EXISTS (SELECT 1 FROM pragma_table_info(table_name)
    WHERE name = 'data'), table_name FROM _sync_tables]])
  for type, json, name in (names .. "\n"):gmatch "(%x+)|(%d)|([^\n]*)\n" do
    tables[#tables + 1] = {type, json, '"' .. name:gsub('"', '""') .. '"'}
  end
  return held.parse(sqlite.ask(path, held.query{
    tables = tables,
    place = [[SELECT 0 || '|' || sequence || '|' || epoch || '|' || skip || '|' || coalesce("offset", '') || '|' ||
      coalesce(notes, '') FROM _sync_state]],
    row = "SELECT 1 || '|' || CAST(x'%s' AS TEXT) || '/' || id || ' ' || %s FROM %s",
    cells = "n || '|' || coalesce(p, '-') || '|' || text",
  }))
end

function sqlite.remove(path)
  for _, ending in ipairs{"", "-wal", "-shm", "-journal"} do
    os.remove(path .. ending)
  end
end

return sqlite
