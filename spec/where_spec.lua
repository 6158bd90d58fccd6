-- state:where, with indexes and without: what it finds, what it refuses, and the same as a plain Lua table after
-- random changes.

local cli = require "support.cli"
local tmp = require "support.tmp"
local worker = require "support.worker"

local E = cli.line

-- Runs a script that has `weir`, `s`, the stream `room` (with the types given), plain(value), which is its JSON with
-- members in byte order, and where(...), which gives rows as such; its lines.
local function run(events, types, script)
  local done = worker.run{
    script = [[
      local weir = require "weir"
      local s = weir.schema
      local room = weir.stream {
        url = weir.env "FILE", live = false, name = "room",
        schema = weir.defineStreamSchema { types = ]] .. types .. [[ },
      }
      local function plain(value)
        for _ in pairs(type(value) == "table" and value or {}) do end -- decodes it
        return weir.json.encode(value)
      end
      local function where(...)
        local rows = room.state:where(...)
        for i, row in ipairs(rows) do
          rows[i] = plain(row)
        end
        return "[" .. table.concat(rows, ",") .. "]"
      end
    ]] .. script,
    set = {FILE = tmp.file("events.jsonl", events)},
  }
  assert.equal("", done.stderr)
  assert.equal(0, done.code)
  return worker.lines(done.stdout)
end

local MESSAGES = E("insert", "messages", "m3", '{"id":"m3","userId":"u1","n":1}') ..
  E("insert", "messages", "m1", '{"id":"m1","userId":"\\u0075\\u0031","n":1.0}') ..
  E("insert", "messages", "m2", '{"id":"m2","userId":"u2","n":null}') ..
  E("insert", "messages", "m4", '{"id":"m4","n":true}') ..
  E("insert", "messages", "m5", '[1]') ..
  E("insert", "messages", "m6", '{"id":"m6","userId":["u1"],"n":"1"}')

-- With no index, one on a field that is asked for, and one on each.
local DECLARED = {
  ["without an index"] = "{}",
  ["with an index"] = '{ messages = { schema = s.any(), index = { "userId" } } }',
  ["with two indexes and no schema"] = '{ messages = { index = { "n", "userId" } } }',
}

for how, types in pairs(DECLARED) do
  describe("state:where " .. how, function()
    local function found(script)
      return run(MESSAGES, types, "room:onUpToDate(function() " .. script .. " end)")
    end

    it("gives the rows whose fields have these values, in byte order of their keys", function()
      assert.same({
        '[{"id":"m1","n":1.0,"userId":"u1"},{"id":"m3","n":1,"userId":"u1"}]', '[{"id":"m2","n":null,"userId":"u2"}]',
        "[]", "[]", "[]",
      }, found[[
        print(where("messages", { userId = "u1" }))
        print(where("messages", { userId = "u2" }))
        print(where("messages", { userId = "u3" }))
        print(where("messages", { nothing = "u1" }))
        print(where("nothing", { userId = "u1" }))
      ]])
    end)

    it("compares as Lua does: numbers by what they are worth, weir.null with null, strings with strings", function()
      assert.same({"m1 m3", "m1 m3", "m2", "m4", "", "m6", "m4", ""}, found[[
        local function ids(value, field)
          local all = {}
          for i, row in ipairs(room.state:where("messages", { [field or "n"] = value })) do
            all[i] = row.id
          end
          print(table.concat(all, " "))
        end
        ids(1)
        ids(1.0)
        ids(weir.null)
        ids(true)
        ids(false)
        ids("1")
        ids("m4", "id")
        ids(0 / 0)
      ]])
    end)

    it("wants all of several fields, and gives every row for none", function()
      assert.same({'[{"id":"m3","n":1,"userId":"u1"}]', "[]", "6"}, found[[
        print(where("messages", { userId = "u1", n = 1, id = "m3" }))
        print(where("messages", { userId = "u1", n = 2 }))
        print(#room.state:where("messages", {}))
      ]])
    end)

    it("refuses what it cannot compare, by name", function()
      assert.same({
        "state:where: field 'userId': expected a string, a number, a boolean or weir.null, got table",
        "state:where: field 'userId': expected a string, a number, a boolean or weir.null, got function",
        "state:where: expected { field = value, ... }, got a number as the name of a field",
        "state:where: expected { field = value, ... }, got no value",
        "state:where: expected { field = value, ... }, got string",
        "string expected, got number",
      }, found[[
        local function refused(...)
          local ok, message = pcall(room.state.where, room.state, ...)
          assert(not ok)
          print((tostring(message):gsub("^.-%d+: ", ""):match("(s%a+[: ].*[^)])%)?$")))
        end
        refused("messages", { userId = {} })
        refused("messages", { userId = print })
        refused("messages", { "u1" })
        refused("messages")
        refused("messages", "u1")
        refused(1, {})
      ]])
    end)
  end)
end

describe("an index", function()
  it("follows patches, deletes and resets", function()
    local lines = run(table.concat{
      E("insert", "users", "a", '{"team":"red"}'),
      E("insert", "users", "b", '{"team":"red"}'),
      E("patch", "users", "a", '{"team":"blue"}'),
      E("delete", "users", "b"),
      E("delete", "users", "b"),
      E("insert", "users", "c", '{"team":"red"}'),
      E("patch", "users", "c", '{"team":null}'),
      '{"headers":{"control":"reset"}}\n',
      E("insert", "users", "d", '{"team":"red"}'),
    }, '{ users = { index = { "team" } } }', [[
      local function show()
        print(where("users", { team = "red" }) .. where("users", { team = "blue" }))
      end
      room:onChange(show)
      room:onControl(show)
    ]])
    local red, blue = '{"team":"red"}', '{"team":"blue"}'
    assert.same({
      "[" .. red .. "][]", "[" .. red .. "," .. red .. "][]", "[" .. red .. "][" .. blue .. "]", "[][" .. blue .. "]",
      "[][" .. blue .. "]", "[" .. red .. "][" .. blue .. "]", "[][" .. blue .. "]", "[][]", "[" .. red .. "][]",
    }, lines)
  end)

  local mistakes = {
    ['{ a = { schema = 5 } }'] = "types.a.schema: expected a schema (weir.schema...), got 5",
    ['{ a = { index = "userId" } }'] = 'types.a.index: expected { "field", ... }, got "userId"',
    ['{ a = { index = { 5 } } }'] = "types.a.index: expected names of fields, got 5",
    ['{ a = { index = { userId = true } } }'] = 'types.a.index: expected names of fields, got "userId"',
    ['{ a = { indexes = {} } }'] = "types.a: unknown member 'indexes': expected schema or index",
    ['{ a = {} }'] = "types.a: expected a schema (weir.schema...) or { schema =, index = }, got a table",
    ['{ a = { index = { "' .. ("abcdefghijklmnopq"):gsub(".", '%0", "') .. '" } } }'] =
      "types.a.index: a type can have 16 indexes",
  }
  for types, message in pairs(mistakes) do
    it("is refused by name: " .. types:sub(1, 50), function()
      local done = worker.run{script = ([[
        local weir = require "weir"
        weir.stream { url = "e.jsonl", schema = { types = %s } }
      ]]):format(types)}
      assert.equal(1, done.code)
      assert.truthy(done.stderr:find("schema: " .. message, 1, true), done.stderr)
    end)
  end
end)

describe("state:where after random changes", function()
  local FIELDS = {"owner", "n", "flag"}
  local VALUES = {
    owner = {'"u1"', '"u2"', '"\\u00e9"', '"é"', '"u\\u0031"', '""', "null"},
    n = {"0", "-0", "1", "1.0", "10e-1", "2.5", "9007199254740993", "9007199254740992.0", '"1"', "[1]"},
    flag = {"true", "false", "null", '"true"', '{"a":true}'},
  }

  local function pick(list)
    return list[math.random(#list)]
  end

  local function random_value()
    if math.random(15) == 1 then
      return pick{"1", "null", '"u1"', '["owner"]', '{ }'}
    end
    local members = {}
    for _, field in ipairs(FIELDS) do
      if math.random(6) > 1 then
        members[#members + 1] = ('"%s":%s'):format(field, pick(VALUES[field]))
      end
    end
    members[#members + 1] = '"pad":"' .. ("x"):rep(math.random(0, 300)) .. '"'
    return "{" .. table.concat(members, pick{",", " , "}) .. "}"
  end

  local function random_events(count)
    local events = {}
    for i = 1, count do
      local kind, key = pick{"two", "one", "none"}, tostring(math.random(60))
      local operation = math.random(5) == 1 and "delete" or pick{"insert", "update", "upsert", "patch"}
      events[i] = E(operation, kind, key, operation ~= "delete" and random_value() or nil)
      if math.random(900) == 1 then
        events[i] = '{"headers":{"control":"reset"}}\n'
      end
    end
    return table.concat(events)
  end

  -- The worker keeps a table of its own, from the texts of the values, and compares after each change.
  local SCRIPT = [[
    local null = weir.null
    local model, checks, rows = {}, 0, 0
    local wanted = {
      owner = { "u1", "u2", "é", "", null }, n = { 0, 1, 2.5, 9007199254740993, 9007199254740992, "1" },
      flag = { true, false, null },
    }
    local fields = { "owner", "n", "flag" }

    local function expected(kind, conditions)
      local keys, all = {}, {}
      for key, value in pairs(model[kind] or {}) do
        local fits = true
        for field, want in pairs(conditions) do
          fits = fits and type(value) == "table" and value[field] ~= nil and value[field] == want
        end
        if fits then
          keys[#keys + 1] = key
        end
      end
      table.sort(keys)
      for i, key in ipairs(keys) do
        all[i] = plain(model[kind][key])
      end
      return table.concat(all, "\n")
    end

    local function check(state, kind)
      local conditions = {}
      for _ = 1, math.random(0, 3) do
        local field = fields[math.random(3)]
        conditions[field] = wanted[field][math.random(#wanted[field])]
      end
      local got = state:where(kind, conditions)
      for i, row in ipairs(got) do
        got[i] = plain(row)
      end
      checks, rows = checks + 1, rows + #got
      local want = expected(kind, conditions)
      if table.concat(got, "\n") ~= want then
        error(("%s where %s:\n%s\nbut\n%s"):format(kind, weir.json.encode(conditions), table.concat(got, "\n"), want))
      end
    end

    room:onChange(function(state, event)
      model[event.type] = model[event.type] or {}
      local text = state:json(event.type, event.key)
      model[event.type][event.key] = text and weir.json.decode(text)
      check(state, event.type)
      check(state, "two")
    end)
    room:onControl(function()
      model = {}
      check(room.state, "two")
    end)
    room:onUpToDate(function()
      print(checks >= 4000, rows > 4000)
    end)
  ]]

  for run_number = 1, 3 do
    it("finds what a plain table does, seed " .. run_number, function()
      math.randomseed(run_number)
      local types = [[{
        two = { index = { "owner", "n" } }, one = { schema = s.any(), index = { "flag" } }, none = s.any(),
      }]]
      assert.same({"true\ttrue"}, run(random_events(2500), types, SCRIPT))
    end)
  end
end)
