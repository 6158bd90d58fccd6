-- What editors are told: types/weir.lua names everything that a script can call, and `weir types` what it declares.

local annotations = require "support.annotations"
local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local weir = require "weir"

local LIBRARY = assert(tmp.read(paths.root .. "/types/weir.lua"))

local function sorted(set)
  local names = {}
  for name in pairs(set) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

---------------------------------------------------------------------------------------------------------------
-- The library against the module itself

-- The names of the functions in a table, and one level below it.
local function functions_in(found, value)
  for name, member in pairs(value) do
    if type(member) == "function" and type(name) == "string" and not name:find "^__" then
      found[name] = true
    elseif type(member) == "table" then
      for inner, fn in pairs(member) do
        if type(fn) == "function" and type(inner) == "string" and not inner:find "^__" then
          found[inner] = true
        end
      end
    end
  end
  return found
end

-- What is behind a metatable: the methods of its __index, which may be a function that looks into tables.
local function methods_of(metatable)
  local index, found = metatable.__index, {}
  if type(index) == "table" then
    return functions_in(found, index)
  end
  for i = 1, math.huge do
    local name, upvalue = debug.getupvalue(index, i)
    if not name then
      return found
    elseif type(upvalue) == "table" and name ~= "_ENV" and not upvalue.valuesMax then
      functions_in(found, upvalue)
    end
  end
end

-- The options that a function knows: those it names when it is given another one.
local function options_of(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  local found = {}
  for name in message:match("expected one of (.*)$"):gmatch "[%w_]+" do
    found[name] = true
  end
  return found
end

local function annotated(known, class)
  local found = {}
  for name in pairs(assert(known.classes[class], class .. " is not annotated").fields) do
    found[name] = true
  end
  return found
end

describe("types/weir.lua", function()
  local known = annotations.read(LIBRARY)
  local stream = weir.stream { url = "nothing.jsonl", name = "annotated" }

  -- Each must have the other's names: what has no annotation is missing in the editor, what is gone misleads.
  local function same_names(class, actual)
    assert.same(sorted(actual), sorted(annotated(known, class)), class)
  end

  it("is Lua", function()
    assert(load(LIBRARY))
    assert.matches("^%-%-%-@meta weir\n", LIBRARY)
  end)

  it("has all that the module has", function()
    local names = {}
    for name, value in pairs(weir) do
      names[name] = true
      if type(value) == "table" then
        local members = {}
        for member in pairs(value) do
          members[member] = not tostring(member):find "^__" or nil
        end
        assert.equal("weir." .. name, known.classes.weir.fields[name].type)
        same_names("weir." .. name, members)
      end
    end
    same_names("weir", names)
  end)

  it("has the functions of a stream", function()
    local fields = getmetatable(debug.getuservalue(stream, 1)).__index
    local names = functions_in({ name = true, url = true, state = true, actions = true }, fields)
    same_names("weir.StateStream", names)
  end)

  it("has the functions of state, timers, producers and parsers", function()
    local registry = debug.getregistry()
    same_names("weir.State", methods_of(debug.getmetatable(stream.state)))
    same_names("weir.Timer", methods_of(registry["weir.timer"]))
    local producer = methods_of(registry["weir.Producer"])
    producer.id, producer.epoch, producer.url = true, true, nil
    same_names("weir.Producer", producer)
    local parser = methods_of(getmetatable(weir.parser.new {}))
    parser.columns = true
    same_names("weir.Parser", parser)
    local materialized = methods_of(debug.getmetatable(weir.MaterializedState()))
    for _, name in ipairs { "size", "typeCount", "data", "rows", "types" } do
      materialized[name] = true
    end
    same_names("weir.Materialized", materialized)
  end)

  it("has the fields of an event that the reference has", function()
    local section = tmp.read(paths.root .. "/docs/lua-reference.md"):match "\n## Events\n(.-)\n## "
    local names = {}
    for row in section:gmatch "\n| (`event.-) |" do
      for name in row:gmatch "`event%.([%w_]+)`" do
        names[name] = true
      end
    end
    same_names("weir.Event", names)
  end)

  it("has the functions of a derived stream", function()
    local names = methods_of(debug.getregistry()["weir.Sink"])
    names.name = nil
    same_names("weir.DerivedStream", names)
  end)

  it("has the methods of schemas", function()
    local names = {}
    for class in pairs(known.classes) do
      if class:find "^weir%.%a*Schema$" and class ~= "weir.StandardSchema" and class ~= "weir.StreamSchema" then
        for name, field in pairs(known.classes[class].fields) do
          names[name] = field.method
        end
      end
    end
    assert.same(sorted(methods_of(getmetatable(weir.schema.any()))), sorted(names))
  end)

  it("has all options", function()
    same_names("weir.StreamOptions", options_of(weir.stream, { [""] = 1 }))
    same_names("weir.ProducerOptions", options_of(weir.producer, { [""] = 1 }))
    same_names("weir.CreateOptions", options_of(stream.create, stream, { [""] = 1 }))
    for class, kind in pairs { SqliteSink = "sqlite", DatabaseSink = "postgres", RedisSink = "redis",
      SearchSink = "search", DerivedSink = "stream" } do
      same_names("weir." .. class, options_of(weir.sink[kind], { [""] = 1 }))
    end
    same_names("weir.SinkFunctions", options_of(weir.sink, { [""] = 1 }))
    same_names("weir.ParserOptions", { columns = true, parsers = true })
    same_names("weir.MaterializeOptions", options_of(weir.MaterializedState.new, { [""] = 1 }))
    local ok, message = pcall(weir.stream, { url = "x", limits = { [""] = 1 } })
    assert.is_false(ok)
    local limits = {}
    for name in message:match("expected (.*), got"):gmatch "%a+" do
      limits[name] = name ~= "or" or nil
    end
    same_names("weir.StreamLimits", limits)
  end)

  it("says of each function what it takes and gives", function()
    local block, params = {}, {}
    for line in LIBRARY:gmatch "(.-)\n" do
      local param = line:match "^%-%-%-@param ([%w_.]+)"
      local owner, name, list = line:match "^function ([%w_]+[.:])([%w_]+)%((.*)%)"
      if param then
        params[#params + 1] = param
      elseif line:find "^%-%-%-" then
        block[#block + 1] = line
      elseif owner then
        local given = {}
        for each in list:gmatch "[%w_.]+" do
          given[#given + 1] = each
        end
        if params[1] == "self" then
          table.remove(params, 1)
        end
        assert.same(given, params, line)
        assert.is_true(#block > 0 or owner == "log.", line .. " has no description")
        assert(name)
      end
      if not line:find "^%-%-%-" then
        block, params = {}, {}
      end
    end
  end)
end)

---------------------------------------------------------------------------------------------------------------
-- `weir types`

local function types_of(script, name)
  local dir = tmp.dir()
  tmp.write(dir .. "/" .. (name or "shop.lua"), script)
  return cli.run({ "types", name or "shop.lua" }, { cwd = dir })
end

--- The classes that are written for a type "t" with that schema.
local function classes_of(schema)
  local done = types_of(([[
    local weir = require "weir"
    local s, null = weir.schema, weir.null
    weir.stream { name = "all", url = "x", schema = weir.defineStreamSchema { types = { t = %s } } }
    return null, s]]):format(schema))
  assert.equal(0, done.code, done.stderr)
  return done.stdout:match "\n\n(.*)%-%-%-@class shop%.t%.Change: weir%.Change\n", done.stdout
end

--- The type that stands for values of a schema.
local function type_of(schema)
  local _, text = classes_of(schema)
  return text:match "\n%-%-%-@class shop%.t%.Change: weir%.Change\n.-\n%-%-%-@field value%? ([^\n]*)\n"
end

-- For each builder an example and its type: a new one has to come in here, and into lua/weir/annotate.lua.
local KINDS = {
  string = { "s.string():min(1)", "string" },
  email = { "s.email()", "string" },
  datetime = { "s.datetime()", "string" },
  number = { "s.number()", "number" },
  integer = { "s.integer():nullable()", "integer|weir.Null" },
  boolean = { "s.boolean()", "boolean" },
  any = { "s.any():nullable()", "any" },
  enum = { [[s.enum("a", "b c", 3, true, null, 1.5)]], '"a"|"b c"|3|true|weir.Null|number' },
  literal = { [[s.literal("on")]], '"on"' },
  null = { "s.null()", "weir.Null" },
  url = { "s.url()", "string" },
  uuid = { "s.uuid():default('00000000-0000-0000-0000-000000000000')", "string" },
  tuple = { "s.tuple(s.string(), s.number())", "any[]" },
  union = { "s.union(s.string(), s.number(), s.string())", "string|number" },
  discriminatedUnion = {
    [[s.discriminatedUnion("k", { s.object { k = s.literal(1) }, s.object { k = s.literal(2) } })]], "shop.t|shop.t_2",
  },
  lazy = { "s.lazy(function() return s.record(s.string()) end)", "table<string, string>" },
  fromJsonSchema = { [[s.fromJsonSchema { type = "boolean" }]], "boolean" },
  array = { [[s.array(s.enum("a", 1))]], '("a"|1)[]' },
  object = { "s.object { a = s.string() }", "shop.t" },
  record = { "s.record(s.array(s.integer()))", "table<string, integer[]>" },
}

describe("weir types", function()
  it("knows every kind of schema", function()
    local kinds = {}
    for name, value in pairs(weir.schema) do
      kinds[name] = type(value) == "function" or nil
    end
    assert.same(sorted(kinds), sorted(KINDS))
    for _, case in pairs(KINDS) do
      assert.equal(case[2], type_of(case[1]), case[1])
    end
  end)

  it("writes objects as classes, nested ones of their own", function()
    assert.equal([[
---@class shop.t.again.size
---@field height number
---@field width number

---@class shop.t.again
---@field name string
---@field size shop.t.again.size

---What is to be sent
---@class shop.t
---@field again (shop.t.again|weir.Null)[]
---@field extras? table<string, shop.t.extras>
---@field ["first name"] string
---@field ["goto"]? integer
---@field items shop.t.again[]
---@field ["naïve"] string
---@field note? string|weir.Null for whoever packs it

]], (classes_of [[(function()
      local item = s.object { name = s.string(), size = s.object { width = s.number(), height = s.number() } }
      return s.object {
        items = s.array(item), again = s.array(item:nullable()), extras = s.record(s.object {}):optional(),
        ["first name"] = s.string(), ["goto"] = s.integer():optional(), ["na\u{ef}ve"] = s.string(),
        note = s.string():nullable():optional():describe("for whoever\n  packs it"), ["quo\"te"] = s.string(),
      }:strict():describe("What is to be sent")
    end)()]]):gsub("%-%-%-@class shop.t.extras\n\n", ""))
  end)

  it("writes no name twice", function()
    local done = types_of [[
      local weir = require "weir"
      local s = weir.schema
      weir.stream { name = "a", url = "x", schema = weir.defineStreamSchema { types = {
        a = s.object { a = s.object { x = s.string() }, ["a_"] = s.object { y = s.string() }, Change = s.object {} },
        ["a.b"] = s.object {}, ["a-b"] = s.object {}, ["1"] = s.object {},
      } } }
      weir.stream { url = "y", schema = weir.defineStreamSchema { types = { a = s.object { z = s.string() } } } }
    ]]
    assert.equal(0, done.code, done.stderr)
    local seen = {}
    for name in done.stdout:gmatch "\n%-%-%-@class (shop[%w_.]+)" do
      assert.is_nil(seen[name], name)
      seen[name] = true
    end
    for _, name in ipairs { "shop.a", "shop.a.a", "shop.a.Change", "shop.a.Change_2", "shop.a_b", "shop.a_b_2",
      "shop._1", "shop.a_2", "shop.a_3", "shop.stream2" } do
      assert.is_true(seen[name], name .. " is missing in\n" .. done.stdout)
    end
  end)

  it("writes the columns of a parser", function()
    assert.equal("---@class shop.t\n---@field id any\n---@field name string\n---@field note string|weir.Null\n"
      .. "---@field price string|weir.Null\n---@field tags any\n\n", (classes_of [[weir.parser.new { columns = {
        id = "int8", name = { type = "text", not_null = true, dims = 0 }, note = "text", price = "numeric",
        tags = { type = "text", dims = 1 } } }]]))
    assert.equal("any", type_of [[{ ["~standard"] = { version = 1, vendor = "x", validate = print } }]])
  end)

  it("writes what it wrote before, however often it is called", function()
    local script = assert(tmp.read(paths.scripts .. "/chat.lua"))
    assert.equal(types_of(script).stdout, types_of(script).stdout)
  end)

  it("writes Lua that has no effect", function()
    local chunk = assert(load(cli.run({ "types", paths.scripts .. "/chat.lua" }).stdout, "types", "t", {}))
    assert.is_nil(chunk())
  end)

  it("names classes by the script and the stream", function()
    local script = [[
      local weir = require "weir"
      local types = { t = weir.schema.string() }
      weir.stream { url = "x", schema = weir.defineStreamSchema { types = types } }
    ]]
    assert.matches("%-%-%-@class my_shop_2.stream: weir.StateStream", types_of(script, "my shop-2.lua").stdout)
    assert.matches("%-%-%-@class _1.stream: weir.StateStream", types_of(script, "1.lua").stdout)
    assert.matches("    %-%-%-@cast NAME shop.stream\n", types_of(script).stdout)
  end)

  it("writes what weir has itself, without a script", function()
    local done = cli.run { "types" }
    assert.equal(0, done.code)
    assert.equal(LIBRARY, done.stdout)
  end)

  it("writes into a file, and over no other than one of annotations", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/chat.lua", assert(tmp.read(paths.scripts .. "/chat.lua")))
    local wanted = cli.run({ "types", script }).stdout
    for _ = 1, 2 do
      local done = cli.run { "types", script, "--output", dir .. "/chat.types.lua" }
      assert.equal("", done.stdout .. done.stderr)
      assert.equal(0, done.code)
      assert.equal(wanted, tmp.read(dir .. "/chat.types.lua"))
    end
    local before = tmp.read(script)
    local done = cli.run { "types", script, "--output", script }
    assert.equal(1, done.code)
    assert.matches("chat.lua is not a file of annotations", done.stderr, 1, true)
    assert.equal(before, tmp.read(script))
    done = cli.run { "types", script, "--output", dir .. "/no/such/folder.lua" }
    assert.equal(1, done.code)
    assert.matches("cannot write .*/no/such/folder.lua: No such file or directory", done.stderr)
    done = cli.run { "types", script, "--output", dir }
    assert.equal(1, done.code)
    assert.matches("Is a directory", done.stderr, 1, true)
    done = cli.run { "types", script, "--output", "/dev/full" }
    assert.equal(1, done.code)
    assert.matches("cannot write /dev/full: No space left", done.stderr, 1, true)
  end)

  it("leaves a file as it is when the script is wrong", function()
    local file = tmp.file("x.types.lua", "---@meta _\n-- before\n")
    local script = tmp.file("x.lua", "error 'broken'")
    local done = cli.run { "types", script, "--output", file }
    assert.equal(1, done.code)
    assert.matches("broken", done.stderr, 1, true)
    assert.equal("---@meta _\n-- before\n", tmp.read(file))
  end)

  it("says when there is nothing to write", function()
    for _, script in ipairs { "", 'require("weir").stream { url = "x" }', [[
      local weir = require "weir"
      weir.stream { url = "x", schema = weir.defineStreamSchema { types = {} } }]] } do
      local done = types_of(script)
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      assert.matches("shop.lua declares no types: give a stream the option schema", done.stderr, 1, true)
    end
  end)

  it("takes settings and a configuration as weir run does", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/s.lua", [[
      local weir = require "weir"
      weir.stream { name = weir.env "NAME", url = "x",
        schema = weir.defineStreamSchema { types = { t = weir.schema.string() } } }
    ]])
    local config = tmp.write(dir .. "/c.json", '{"settings":{"NAME":"fromfile"}}')
    assert.matches("class s.given: weir", cli.run({ "types", script, "--set", "NAME=given" }).stdout)
    assert.matches("class s.fromfile: weir", cli.run({ "types", script, "--config", config }).stdout)
  end)

  it("is used as its help says", function()
    for args, message in pairs {
      [{ "types", "a", "b" }] = "more than one SCRIPT", [{ "types", "--nope" }] = "unknown option --nope",
      [{ "types", "a", "--output" }] = "--output needs a value", [{ "types", "a", "--set", "x" }] = "x",
    } do
      local done = cli.run(args)
      assert.equal(2, done.code)
      assert.matches(message, done.stderr, 1, true)
      assert.matches("usage: weir types [SCRIPT] [--output FILE]", done.stderr, 1, true)
    end
    assert.matches("--output FILE", cli.run({ "help", "types" }).stdout, 1, true)
    assert.equal(1, cli.run({ "types", "/no/such/script.lua" }).code)
  end)
end)

---------------------------------------------------------------------------------------------------------------
-- The scripts, checked with what is written for them

-- The worker scripts that declare types, each with its annotations.
local function scripts()
  local found = {}
  for path in process.run({ cmd = { "find", paths.scripts, "-name", "*.lua" } }).stdout:gmatch "[^\n]+" do
    local done = cli.run { "types", path }
    local name = path:match "([^/]+)%.lua$"
    found[#found + 1] = { name = name, text = assert(tmp.read(path)), types = done.code == 0 and done.stdout or nil }
    assert.is_true(done.code == 0 or done.stderr:find("declares no types", 1, true) ~= nil, done.stderr)
  end
  table.sort(found, function(a, b)
    return a.name < b.name
  end)
  return found
end

-- Each of these has to be found in the script of that name.
local SLIPS = {
  { "chat", "event.new.userId", "event.new.userID", "userID" },
  { "chat", "state:size(", "state:sizes(", "sizes" },
  { "chat", "receipt.lastReadAt", "receipt.lastreadAt", "lastreadAt" },
  { "chat", "event.old.name", "event.old.title", "title" },
  { "chat", "message.createdAt", "message.created", "created" },
  { "chat", 'room:onChange("users"', 'room:onChanged("users"', "onChanged" },
  { "kv", "event.new.value", "event.new.valeu", "valeu" },
  { "kv", "entry.value)", "entry.vallue)", "vallue" },
  { "kv", "event.txid", "event.txId", "txId" },
}

local function with_slip(all, slip)
  for _, script in ipairs(all) do
    if script.name == slip[1] then
      local from, to = script.text:find(slip[2], 1, true)
      return script, from and script.text:sub(1, from - 1) .. slip[3] .. script.text:sub(to + 1)
    end
  end
end

describe("the scripts with their annotations", function()
  local all

  setup(function()
    all = scripts()
  end)

  it("use fields that are there", function()
    for _, script in ipairs(all) do
      local known = annotations.read(LIBRARY, script.types)
      for _, mistake in ipairs(annotations.check(known, script.text)) do
        error(("%s.lua:%d: %s has no field %s"):format(script.name, mistake.line, mistake.class, mistake.field))
      end
    end
  end)

  it("are seen to be wrong when a field is misspelt", function()
    for _, slip in ipairs(SLIPS) do
      local script, text = with_slip(all, slip)
      if text then
        local mistakes = annotations.check(annotations.read(LIBRARY, script.types), text)
        assert.is_true(#mistakes > 0, slip[3] .. " was not found in " .. slip[1])
        assert.equal(slip[4], mistakes[1].field)
      end
    end
  end)
end)

-- The server itself, where there is one: WEIR_LUALS, or what the path has. Debian 12 has no package of it.
local function language_server()
  local name = os.getenv "WEIR_LUALS" or "lua-language-server"
  return process.run({ cmd = { "sh", "-c", 'command -v "$1"', "sh", name } }).stdout:match "[^\n]+"
end

local it_with_server = language_server() and it or pending

describe("lua-language-server", function()
  --- What it says of a folder with these files: "file: code: message", by lines.
  local function diagnostics(files)
    local dir, log = tmp.dir(), tmp.dir()
    tmp.write(dir .. "/.luarc.json", weir.json.encode {
      ["runtime.version"] = "Lua 5.4",
      ["workspace.library"] = weir.json.array { paths.root .. "/types" },
      ["diagnostics.disable"] = weir.json.array { "redundant-parameter" },
    })
    for name, text in pairs(files) do
      tmp.write(dir .. "/" .. name, text)
    end
    local done = process.run {
      cmd = { language_server(), "--check", dir, "--checklevel=Warning", "--check_format=json", "--logpath=" .. log,
        "--metapath=" .. log .. "/meta" },
      timeout = 120,
    }
    local report = tmp.read(log .. "/check.json")
    local found = {}
    assert.is_truthy(report or done.stdout:find "[Nn]o problems", done.stdout .. done.stderr)
    for uri, list in pairs(report and weir.json.decode(report) or {}) do
      for _, each in ipairs(list) do
        found[#found + 1] = ("%s: %s: %s"):format(uri:match "[^/]+$", each.code, each.message:match "[^\n]*")
      end
    end
    table.sort(found)
    return found
  end

  it_with_server("finds nothing in the scripts, each alone and all in one folder", function()
    local together = {}
    for _, script in ipairs(scripts()) do
      local files = { [script.name .. ".lua"] = script.text, [script.name .. ".types.lua"] = script.types }
      assert.same({}, diagnostics(files))
      for name, text in pairs(files) do
        together[name] = text
      end
    end
    assert.same({}, diagnostics(together))
  end)

  it_with_server("underlines what is misspelt", function()
    local all, files, wanted = scripts(), {}, {}
    for i, slip in ipairs(SLIPS) do
      local script, text = with_slip(all, slip)
      if text then
        files[("%d.lua"):format(i)] = text
        files[script.name .. ".types.lua"] = script.types
        wanted[("%d.lua: undefined-field: Undefined field `%s`."):format(i, slip[4])] = true
      end
    end
    local found = {}
    for _, line in ipairs(diagnostics(files)) do
      found[line] = line:find "undefined%-field" and true or nil
    end
    for line in pairs(wanted) do
      assert.is_true(found[line], line)
    end
  end)

  it_with_server("knows a stream by its cast, and the options", function()
    local script = [[
      local weir = require "weir"
      local s = weir.schema
      local room = weir.stream { name = "room", url = "x", live = "ssse", schema = weir.defineStreamSchema {
        types = { users = s.object { name = s.string():optional():length(3) }, hits = s.integer() } } }
      ---@cast room shop.room
      room:onChange("usrs", function() end)
      room:onChange("users", function(state, event)
        print(event.value.name, event.value.nme, state:get("hits", "x"), state:get("hitss", "x"))
      end)
      room:onUpToDate(function(state) print(state:rows("users")[1].nam) end)
      print(s.strnig(), room.nam)
      return function() room:insert("users", "u1", { name = 3 }) end
    ]]
    local types = types_of((script:gsub("ssse", "sse"):gsub("print%b()", ""))).stdout
    local files = { ["shop.lua"] = script, ["shop.types.lua"] = types }
    local found = table.concat(diagnostics(files), "\n")
    for _, wanted in ipairs { "undefined-field: Undefined field `nme`", "Undefined field `nam`",
      "Undefined field `strnig`", 'parameter `"hits"|"users"', "Cannot assign `integer` to `string", "`(boolean|" } do
      assert.is_truthy(found:find(wanted, 1, true), wanted .. " is missing in\n" .. found)
    end
  end)
end)
