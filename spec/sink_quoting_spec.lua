-- Types and keys that were made to break out of what they are quoted in, to be cut to the same name, or to be the same
-- to a database that looks less closely: each sink has to hold every one of them apart. `weir verify` reads them back.

local cli = require "support.cli"
local databases = require "support.databases"
local process = require "support.process"
local paths = require "support.paths"
local search = require "support.search"
local server = require "support.server"
local tmp = require "support.tmp"
local worker = require "support.worker"

local json

setup(function()
  json = require("weir").json
end)

teardown(function()
  databases.stop()
end)

local LONG = ("n"):rep(63)

-- Each of them is a type, and each a key of every type.
local NAMES = {
  -- quotes, and what stands behind them
  [[a"b]], "a'b", "a`b", [[a\]], [[a\'; DROP TABLE "t"; --]], [['; DROP TABLE "_sync_state"; --]], [["]], "'", "`",
  [[\]], "a]b", "$1", "$$", "?", ":a", "@a", "%s", "%n", "%00", "a%2Fb", "/* a", "a */", "--", "#", ";",
  -- of URLs, of Redis keys, of patterns, of bulk requests
  "a/b", "../a", ".", "..", "a?b=c", "a#b", "a&b", "{a}", "{", "}", "}:t:x", "*", "_all", "a,b", "_id:1", "a:=b", "[a]",
  "\\u000a", "a\nb", "a\rb", "a\tb", '\n{"delete":{"_id":"x"}}\n', "a\1b", "\127", " ", "a ", " a", "  ",
  -- equal but for their case, their accents, how they are composed; and to be equal when folded
  "a", "A", "users", "Users", "USERS", "e\u{301}", "\u{e9}", "\u{c9}", "e", "ss", "\u{df}", "\u{1e9e}", "i", "I",
  "\u{130}", "\u{131}", "\u{fb01}", "fi", "\u{212b}", "\u{c5}", "A\u{30a}", "\u{3c3}", "\u{3c2}", "\u{ff41}",
  -- long ones, that differ where they are cut; and one that is what another one would be cut to
  -- (the first has as many letters, any of which might be meant by it, as the name that "_sync_tables" gets)
  ("\u{e9}"):rep(31), LONG, LONG .. "n", LONG .. "x", LONG .. "y", ("\u{e9}"):rep(40), ("\u{e9}"):rep(40) .. "x",
  ("\u{1f600}"):rep(20), ("n"):rep(255), ("n"):rep(255) .. "a", ("n"):rep(255) .. "b",
  -- names that are the database's, or weir's
  "_sync_state", "_sync_tables", "_SYNC_STATE", "sync", "types", "stage", "sqlite_master", "sqlite_x", "SQLITE_Y",
  "pg_class", "pg_x", "information_schema", "mysql", "select", "table", "user", "group", "order", "id", "data",
  "updated_at", "null", "rowid", "oid", "ctid", "tableoid", "xmin", "weir-sync-state", "t--1",
  -- outside of the plane that old servers know, invisible, and from right to left
  "\u{1f600}", "\u{1f468}\u{200d}\u{1f469}", "\u{200b}", "\u{feff}", "\u{202e}a", "\u{fffd}", "\u{10ffff}", "\u{e000}",
}

-- Those that each of the many types gets; the first type gets every one.
local FEW = {"a'b\"`\\", "a", "A", "a ", "\u{e9}", "e\u{301}"}

local function line(type, key, value)
  local event = '{"type":%s,"key":%s,"value":%s,"headers":{"operation":"upsert"}}\n'
  return event:format(json.encode(type), json.encode(key), json.encode(value))
end

local function events()
  local lines, count = {}, 0
  for i, type in ipairs(NAMES) do
    for _, key in ipairs(i == 1 and NAMES or FEW) do
      count = count + 1
      lines[count] = line(type, key, {n = count, type = type, key = key})
    end
  end
  return tmp.file("events.jsonl", table.concat(lines)), count
end

local SCRIPT = "local weir = require 'weir'\n" .. databases.SINK .. [[
  if weir.env "DIALECT" then
    function the_sink()
      return weir.sink.search { url = weir.env "DB", dialect = weir.env "DIALECT", prefix = "w-" }
    end
  end
  weir.stream { name = "room", url = weir.env "STREAM", live = false, sinks = { the_sink() },
    onInvalid = weir.env("INVALID", "stop"), deadletter = weir.env "LETTERS", limits = { sinkRows = 100 } }
]]

local function verify(set)
  local cmd = {paths.weir, "verify", tmp.file("worker.lua", SCRIPT)}
  for name, value in pairs(set) do
    table.move({"--set", name .. "=" .. value}, 1, 2, #cmd + 1, cmd)
  end
  return process.run{cmd = cmd, timeout = worker.patience(60)}
end

local function with(set, more)
  local all = {}
  for _, each in ipairs{set, more} do
    for name, value in pairs(each) do
      all[name] = value
    end
  end
  return all
end

local function holds_apart(set)
  local path, count = events()
  set = with(set, {STREAM = path})
  local done = worker.run{script = SCRIPT, set = set, timeout = 60}
  assert.equal(0, done.code, done.stderr)
  done = verify(set)
  assert.equal(0, done.code, done.stderr)
  assert.matches("equal, " .. count .. " rows\n$", done.stdout)
  -- Each can be taken away again, and only that one.
  local file = assert(io.open(path, "a"))
  for i = 1, #NAMES, 2 do
    file:write((line(NAMES[1], NAMES[i], 0):gsub('"value":0,', ""):gsub('"upsert"', '"delete"')))
  end
  file:close()
  done = worker.run{script = SCRIPT, set = set, timeout = 60}
  assert.equal(0, done.code, done.stderr)
  done = verify(set)
  assert.matches("equal, " .. count - (#NAMES + 1) // 2 .. " rows\n$", done.stdout)
end

-- NUL and half of a surrogate pair, in types, keys and values: kept or refused by name, and the others are kept.
local function copes(set)
  local letters = tmp.file "letters.jsonl"
  local lines = {}
  for i, name in ipairs{"a", "b\\u0000c", "\\u0000", "d\\ud800e", "\\udc00", "f"} do
    lines[#lines + 1] = cli.insert(name, "k" .. i, "1")
    lines[#lines + 1] = cli.insert("keys", name, "2")
    lines[#lines + 1] = cli.insert("values", "k" .. i, '"' .. name .. '"')
    lines[#lines + 1] = cli.insert("within", "k" .. i, '{"a":["' .. name .. '"]}')
  end
  for _, name in ipairs{"b\\u0000c", "d\\ud800e"} do
    lines[#lines + 1] = cli.change(name, "k", "delete")
    lines[#lines + 1] = cli.change("keys", name, "delete")
  end
  set = with(set, {STREAM = tmp.file("events.jsonl", table.concat(lines, "\n") .. "\n"), INVALID = "deadletter",
    LETTERS = letters})
  local done = worker.run{script = SCRIPT, set = set, timeout = 60}
  assert.equal(0, done.code, done.stderr)
  local refused = #worker.lines(tmp.read(letters) or "")
  local missing = 0
  for _, text in ipairs(worker.lines(verify(set).stdout)) do
    assert.not_matches(": other$", text)
    assert.not_matches(": extra$", text)
    missing = missing + (text:find ": missing$" and 1 or 0)
  end
  -- Two of the types and two of the keys were deleted: of these, a letter is all that there is.
  assert.is_true(refused >= missing and refused <= missing + 4, ("%d letters, %d missing"):format(refused, missing))
end

for kind, db in databases.each() do
  local why = db.missing()
  describe("weir.sink." .. kind, function()
    if why then
      pending(why)
      return
    end

    it("holds apart whatever types and keys are called", function()
      holds_apart(db.new().set)
    end)

    it("keeps text that is none, or refuses it by name", function()
      copes(db.new().set)
    end)
  end)
end

describe("weir.sink.search", function()
  for _, dialect in ipairs{"elasticsearch", "typesense"} do
    it("holds apart whatever types and keys are called: " .. dialect, function()
      local db = search.start()
      finally(function() db:stop() end)
      holds_apart{DB = db.url, DIALECT = dialect}
    end)

    it("keeps text that is none, or refuses it by name: " .. dialect, function()
      local db = search.start()
      finally(function() db:stop() end)
      copes{DB = db.url, DIALECT = dialect}
    end)
  end
end)

describe("weir.sink.stream", function()
  it("writes whatever types and keys are called as it is", function()
    local s = server.start()
    finally(function() s:stop() end)
    local out = s.url .. "/v1/stream/out"
    local path, count = events()
    local done = worker.run{timeout = 60, set = {STREAM = path, OUT = out}, script = [[
      local weir = require "weir"
      local out = weir.sink.stream { url = weir.env "OUT" }
      local room = weir.stream { name = "room", url = weir.env "STREAM", live = false, sinks = { out } }
      room:onChange(function(_, event) out:insert(event.type, event.key, event.value) end)
    ]]}
    assert.equal(0, done.code, done.stderr)
    local list = json.decode(s:read(out).body)
    assert.equal(count, #list)
    for _, event in ipairs(list) do
      assert.equal(event.value.type, event.type)
      assert.equal(event.value.key, event.key)
    end
  end)
end)
