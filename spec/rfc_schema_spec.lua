-- Declarations: defineStreamSchema, createStateSchema with its helpers, defineSchema; and the keys that they make.

local tmp = require "support.tmp"
local worker = require "support.worker"
local weir = require "weir"

local s, null, encode = weir.schema, weir.null, weir.json.encode

local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return (tostring(message):gsub("^[^:]+:%d+: ", ""))
end

local user = s.object{id = s.string(), name = s.string()}
local message = s.object{id = s.string(), text = s.string(), userId = s.string()}
local picky = {["~standard"] = {version = 1, vendor = "test", validate = function(value)
  if type(value) == "table" and value.good then return {value = value} end
  return {issues = {{message = "not good"}, {message = "not at all", path = {"good"}}}}
end}}

describe("weir.createStateSchema", function()
  local schema = weir.createStateSchema{
    users = {schema = user, type = "user", primaryKey = "id"},
    messages = {schema = message, type = "message"},
    flags = {schema = s.any()},
  }

  it("keeps what it was given, beside the helpers", function()
    assert.equal(user, schema.users.schema)
    assert.equal("user", schema.users.type)
    assert.equal("id", schema.users.primaryKey)
    assert.equal("id", schema.messages.primaryKey)
    assert.equal("flags", schema.flags.type)
    local names = {}
    for name in pairs(schema) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({"flags", "messages", "users"}, names)
  end)

  it("leaves its argument as it is", function()
    local given = {users = {schema = user, note = "mine"}}
    assert.equal("mine", weir.createStateSchema(given).users.note)
    assert.same({schema = user, note = "mine"}, given.users)
  end)

  it("refuses names that a StreamDB has itself", function()
    for _, name in ipairs{"collections", "preload", "close", "utils", "actions"} do
      assert.matches(('createStateSchema: Reserved collection name "%s"'):format(name),
        mistake(weir.createStateSchema, {[name] = {schema = user}}), 1, true)
    end
  end)

  it("refuses a type that is declared twice", function()
    assert.equal('createStateSchema: Duplicate event type "person" - used by both "admins" and "users" collections',
      mistake(weir.createStateSchema, {users = {schema = user, type = "person"},
        admins = {schema = user, type = "person"}}))
    assert.matches('Duplicate event type "users"', mistake(weir.createStateSchema, {users = {schema = user},
      others = {schema = user, type = "users"}}), 1, true)
  end)

  it("refuses what is no collection, by name", function()
    local refusals = {
      ["createStateSchema: expected { name = { schema = ..., type = ..., primaryKey = ... }, ... }, got 5"] = 5,
      ["createStateSchema: expected names of collections, got 1"] = {{schema = user}},
      ['createStateSchema: users: expected { schema = ..., type = ..., primaryKey = ... }, got "x"'] = {users = "x"},
      ["createStateSchema: users.schema: expected a schema (weir.schema...), got nil"] = {users = {type = "user"}},
      ["createStateSchema: users.schema: expected a schema (weir.schema...), got a table"] = {users = {schema = {}}},
      ['createStateSchema: users.type: expected a non-empty string, got ""'] = {users = {schema = user, type = ""}},
      ["createStateSchema: users.primaryKey: expected the name of a field, a list of such names, or a function, " ..
        "got 5"] = {users = {schema = user, primaryKey = 5}},
      ["createStateSchema: users.primaryKey: expected the name of a field, a list of such names, or a function, " ..
        "got a table"] = {users = {schema = user, primaryKey = {"a", 5}}},
    }
    for text, given in pairs(refusals) do
      assert.equal(text, mistake(weir.createStateSchema, given))
    end
  end)
end)

describe("a collection makes", function()
  local schema = weir.createStateSchema{users = {schema = user, type = "user", primaryKey = "id"}}
  local users = schema.users
  local ada = {id = "1", name = "Ada"}

  it("an insert", function()
    assert.same({type = "user", key = "1", value = ada, headers = {operation = "insert"}}, users.insert{value = ada})
    assert.equal("other", users.insert{value = ada, key = "other"}.key)
    assert.equal(ada, users.insert{value = ada}.value)
  end)

  it("an update, with the old value where it is given", function()
    local old = {id = "1", name = "A."}
    assert.same({type = "user", key = "1", value = ada, old_value = old, headers = {operation = "update"}},
      users.update{value = ada, oldValue = old})
    assert.is_nil(users.update{key = "1", value = ada}.old_value)
  end)

  it("a delete, by the key or the old value", function()
    assert.same({type = "user", key = "1", headers = {operation = "delete"}}, users.delete{key = "1"})
    assert.same({type = "user", key = "1", old_value = ada, headers = {operation = "delete"}},
      users.delete{oldValue = ada})
  end)

  it("an upsert and a patch", function()
    assert.same({type = "user", key = "1", value = ada, headers = {operation = "upsert"}}, users.upsert{value = ada})
    assert.same({type = "user", key = "1", value = {name = null}, headers = {operation = "patch"}},
      users.patch{key = "1", value = {name = null}})
  end)

  it("headers as they are given, but for the operation", function()
    local event = users.insert{value = ada, headers = {
      txid = "t", timestamp = "2026-05-01T10:00:00Z", sourceApp = "web", operation = "delete",
    }}
    assert.same({operation = "insert", txid = "t", timestamp = "2026-05-01T10:00:00Z", sourceApp = "web"},
      event.headers)
    assert.equal("delete", users.delete{key = "1", headers = {operation = "insert"}}.headers.operation)
    assert.matches("^20%d%d%-.*Z$", users.insert{value = ada, headers = {timestamp = true}}.timestamp)
  end)

  it("the same when it is called with a colon", function()
    assert.equal("insert user/1", tostring(users:insert{value = ada}))
  end)

  it("JSON in the published order", function()
    assert.equal('{"type":"user","key":"1","value":{"id":"1","name":"Ada"},"old_value":{"id":"1","name":"Ada"},' ..
      '"headers":{"operation":"update","txid":"t"}}',
      encode(users.update{value = ada, oldValue = ada, headers = {txid = "t"}}))
  end)

  it("no event of a value that does not fit", function()
    assert.equal("Validation failed for user insert: name: is missing: expected a string",
      mistake(users.insert, {value = {id = "1"}}))
    assert.equal("Validation failed for user update: name: is missing: expected a string",
      mistake(users.update, {value = {id = "1"}, oldValue = ada}))
    assert.equal("Validation failed for user upsert: expected an object, got a number (5)",
      mistake(users.upsert, {value = 5}))
    assert.equal("Validation failed for user update (oldValue): name: is missing: expected a string",
      mistake(users.update, {value = ada, oldValue = {id = "1"}}))
    assert.equal("Validation failed for user delete (oldValue): name: is missing: expected a string",
      mistake(users.delete, {key = "1", oldValue = {id = "1"}}))
    assert.matches("Validation failed for user insert: ", mistake(users.insert, {key = "1"}), 1, true)
    assert.equal("patch user/1", tostring(users.patch{key = "1", value = {anything = 1}}))
  end)

  it("none that schemas of other libraries refuse, and says why", function()
    local things = weir.createStateSchema{things = {schema = picky, type = "thing"}}.things
    assert.equal("Validation failed for thing insert: not good, good: not at all", mistake(things.insert,
      {key = "1", value = {}}))
    assert.equal("1", things.insert{key = "1", value = {good = true}}.key)
    local broken = {["~standard"] = {version = 1, vendor = "x", validate = function() return {issues = {}} end}}
    local others = weir.createStateSchema{others = {schema = broken}}.others
    assert.equal("Validation failed for others insert: Unknown validation error",
      mistake(others.insert, {key = "1", value = 1}))
  end)

  it("none without a key", function()
    local any = weir.createStateSchema{things = {schema = s.any(), type = "thing", primaryKey = "name"}}.things
    local text = "Cannot create thing insert event: must provide either 'key' or a value with a non-empty 'name' field"
    for _, value in ipairs{{}, {name = ""}, {name = null}, "text", 5, null} do
      assert.equal(text, mistake(any.insert, {value = value}))
    end
    assert.equal(text, mistake(any.insert, {value = {name = "n"}, key = ""}))
    assert.equal(text .. " (name: expected a string, a number or a boolean, got a table)",
      mistake(any.insert, {value = {name = {}}}))
    assert.matches("must provide either 'key' or 'oldValue'", mistake(any.delete, {}), 1, true)
    assert.equal("Cannot create thing delete event: must provide either 'key' or 'oldValue' with a non-empty 'name' " ..
      "field", mistake(any.delete, {oldValue = {}}))
    assert.equal("Cannot create thing patch event: must provide either 'key' or a value with a non-empty 'name' field",
      mistake(any.patch, {value = {other = 1}}))
    assert.equal("k", any.insert{value = null, key = "k"}.key)
  end)

  it("nothing of members that it does not know", function()
    assert.equal("users.insert: unknown member 'vlaue': expected key, value, oldValue or headers",
      mistake(users.insert, {vlaue = ada}))
    assert.matches("users.insert: unknown member 'oldValue'", mistake(users.insert, {value = ada, oldValue = ada}), 1,
      true)
    assert.matches("users.delete: unknown member 'value'", mistake(users.delete, {value = ada}), 1, true)
    assert.equal("users.insert: expected a table { value = ..., key = ... }, got nil", mistake(users.insert))
    assert.equal("users.insert: headers: expected a table, got 5", mistake(users.insert, {value = ada, headers = 5}))
    assert.equal('users.insert: txid: expected a non-empty string, got ""',
      mistake(users.insert, {value = ada, headers = {txid = ""}}))
    assert.matches("users.insert: timestamp: expected an RFC 3339 time",
      mistake(users.insert, {value = ada, headers = {timestamp = "?"}}), 1, true)
  end)

  it("its mistakes known at the place of the call", function()
    for _, call in ipairs{
      function() local event = users.insert{value = {}} return event end,
      function() local event = users.delete{} return event end,
      function() local event = users.insert{nonsense = 1} return event end,
      function() local event = users:upsert{value = ada, headers = {txid = 5}} return event end,
    } do
      local _, text = pcall(call)
      assert.matches("^[^\n]*rfc_schema_spec.lua:" .. debug.getinfo(call, "S").linedefined .. ": ", text)
    end
  end)
end)

describe("keys", function()
  local function key_of(primary_key, value, given)
    return weir.createStateSchema{t = {schema = s.any(), primaryKey = primary_key}}.t.insert{value = value, key = given}
      .key
  end

  it("are the text of a field", function()
    for text, value in pairs{a = "a", ["7"] = 7, ["1"] = 1.0, ["-0.5"] = -0.5, ["true"] = true, ["false"] = false,
      ["9007199254740993"] = 9007199254740993, ["0.1"] = 0.1, ["1e+300"] = 1e300, [" "] = " ", ["ä:%"] = "ä:%"} do
      assert.equal(text, key_of("id", {id = value}))
      assert.equal(text, key_of({"id"}, {id = value}))
      assert.equal(text, key_of(nil, {id = value}))
      assert.equal(text, key_of("id", {id = "other"}, value))
    end
    assert.matches("(key: expected a string, a number or a boolean, got nan)",
      (mistake(key_of, "id", {}, 0 / 0):gsub("-nan", "nan")), 1, true)
  end)

  it("are made of several fields, never the same of different ones", function()
    assert.equal("m1:u1", key_of({"messageId", "userId"}, {userId = "u1", messageId = "m1"}))
    assert.equal("a:7:true", key_of({"x", "y", "z"}, {x = "a", y = 7, z = true}))
    local seen = {}
    local texts = {"a", ":", "%", "a:", ":a", "%3A", "%25", "a:b", "::", "%3", "A", "%:", ":%", "3A", "b"}
    for _, x in ipairs(texts) do
      for _, y in ipairs(texts) do
        local key = key_of({"x", "y"}, {x = x, y = y})
        assert.is_nil(seen[key], key)
        seen[key] = true
      end
    end
    assert.equal("Cannot create t insert event: must provide either 'key' or a value with non-empty 'x', 'y' fields",
      mistake(key_of, {"x", "y"}, {x = "1", y = ""}))
    assert.matches("(y: expected a string, a number or a boolean, got a table)",
      mistake(key_of, {"x", "y"}, {x = "1", y = {}}), 1, true)
  end)

  it("are made by a function", function()
    local function first(value)
      return value.name and value.name:sub(1, 1)
    end
    assert.equal("a", key_of(first, {name = "ada"}))
    assert.matches("must provide either 'key' or a value with what getKey makes a key of",
      mistake(key_of, first, {}), 1, true)
    assert.matches("getKey gave 5: expected a non-empty string", mistake(key_of, function() return 5 end, {}), 1, true)
    local t = weir.createStateSchema{t = {schema = s.any(), primaryKey = first}}.t
    assert.equal("a", t.delete{oldValue = {name = "ada"}}.key)
    assert.matches("must provide either 'key' or 'oldValue'", mistake(t.delete, {}), 1, true)
  end)
end)

describe("weir.defineStreamSchema", function()
  it("returns its argument, and takes what makes keys in each form", function()
    local given = {types = {a = user, b = user, c = user}, getKey = {a = "name", b = {"id", "name"}, c = tostring}}
    assert.equal(given, weir.defineStreamSchema(given))
  end)

  it("refuses the rest by name", function()
    local refusals = {
      ["defineStreamSchema: expected { types = { name = schema, ... } }"] = {},
      ["defineStreamSchema: types: expected names, got 1"] = {types = {user}},
      ["defineStreamSchema: types.a: expected a schema (weir.schema...) or { schema =, index = }, got 5"] =
        {types = {a = 5}},
      ["defineStreamSchema: unknown member 'keys': expected types or getKey"] = {types = {}, keys = {}},
      ["defineStreamSchema: getKey: expected { name = function, ... }, got 5"] = {types = {}, getKey = 5},
      ["defineStreamSchema: getKey.b: there is no such type"] = {types = {a = user}, getKey = {b = "id"}},
      ["defineStreamSchema: getKey.a: expected the name of a field, a list of such names, or a function, got true"] =
        {types = {a = user}, getKey = {a = true}},
    }
    for text, given in pairs(refusals) do
      assert.equal(text, mistake(weir.defineStreamSchema, given))
    end
  end)
end)

describe("weir.defineSchema", function()
  local schema = weir.defineSchema({
    id = {type = "string", primaryKey = true},
    email = {type = "string", nullable = false},
    name = {type = "string", nullable = true},
    role = {type = "string", default = "guest"},
    age = {type = "integer", nullable = true},
    note = {},
  }, "id")

  local function paths(value)
    local list = {}
    for i, err in ipairs(weir.validateEvent(weir.insert("k", value), schema).errors) do
      list[i] = err.path
    end
    table.sort(list)
    return table.concat(list, " ")
  end

  it("asks for columns that are neither nullable nor have a default", function()
    assert.equal("", paths{id = "1", email = "a", note = 1})
    assert.equal("", paths{id = "1", email = "a", note = 1, name = null, role = null, age = 5, more = true})
    assert.equal("value.email value.id value.note", paths{})
    assert.equal("value.age value.email value.role", paths{id = "1", email = null, note = 1, age = 1.5, role = 5})
  end)

  it("keeps columns and key, and is a Standard Schema", function()
    assert.equal("id", schema.primaryKey)
    assert.equal("string", schema.columns.email.type)
    assert.is_truthy(schema["~standard"].validate{}.issues)
    assert.equal("insert u1", tostring(weir.createEventBuilder(schema).insert(nil, {id = "u1", email = "a", note = 1})))
    local marked = weir.defineSchema{b = {primaryKey = true}, a = {primaryKey = true}, c = {}}
    assert.same({"a", "b"}, marked.primaryKey)
  end)

  it("may be the schema of one type among others", function()
    local many = weir.defineStreamSchema{types = {users = schema}}
    assert.is_false(weir.validateEvent(weir.insert("users", "k", {}), many).valid)
    local events = encode(weir.insert("users", "k", {id = "1", email = "a", note = 1}))
    local stream = weir.stream{url = tmp.file("events", events), live = false, schema = many}
    weir.run()
    assert.equal(1, stream.state:size("users"))
  end)

  it("refuses what is no column, by name", function()
    local refusals = {
      ["defineSchema: expected { name = { type = ... }, ... }, got 5"] = {5},
      ["defineSchema: expected names of columns, got 1"] = {{{}}},
      ['defineSchema: a: expected { type = ... }, got "string"'] = {{a = "string"}},
      ['defineSchema: a.type: expected string, number, integer, boolean, datetime, object, array or any, got "text"'] =
        {{a = {type = "text"}}},
      ["defineSchema: a: unknown member 'null': expected type, nullable, default or primaryKey"] =
        {{a = {null = true}}},
      ["defineSchema: primaryKey: expected the name of a field, a list of such names, or a function, got 5"] = {{}, 5},
    }
    for text, given in pairs(refusals) do
      assert.equal(text, mistake(weir.defineSchema, table.unpack(given)))
    end
  end)
end)

describe("a stream", function()
  --- Runs the lines through a stream whose schema is the Lua text `schema`. Returns the keys of each of its types, and
  --- what was refused.
  local function run(schema, ...)
    local done = worker.lua{set = {FILE = tmp.file("events", table.concat({...}, "\n"))}, script = [[
      local weir = require "weir"
      local s = weir.schema
      local refused = weir.json.array()
      local stream = weir.stream {
        url = weir.env "FILE", live = false, schema = ]] .. schema .. [[,
        onInvalid = function(_, issues)
          table.insert(refused, issues[1].path .. ": " .. issues[1].message)
        end,
      }
      weir.run()
      local keys = {}
      for _, kind in ipairs(stream.state:types()) do
        keys[kind] = stream.state:keys(kind)
      end
      print(weir.json.encode { keys = keys, refused = refused })
    ]]}
    assert.equal(0, done.code, done.stderr)
    local result = weir.json.decode(done.stdout)
    return result.keys, result.refused
  end

  local KEYLESS = '{"type":"%s","value":%s,"headers":{"operation":"insert"}}'

  it("takes a state schema as its schema", function()
    local keys, refused = run([[weir.createStateSchema {
      users = { schema = s.object { id = s.string(), name = s.string() }, type = "user" },
      visits = { schema = s.any(), type = "visit", primaryKey = { "day", "page" } },
    }]], '{"type":"user","key":"1","value":{"id":"1","name":"Ada"},"headers":{"operation":"insert"}}',
      '{"type":"user","key":"2","value":{"id":"2"},"headers":{"operation":"insert"}}',
      KEYLESS:format("user", '{"id":"3","name":"Bo"}'), KEYLESS:format("visit", '{"day":"1","page":"a:b"}'),
      KEYLESS:format("users", "{}"))
    assert.same({user = {"1", "3"}, visit = {"1:a%3Ab"}}, keys)
    assert.equal(2, #refused)
    assert.equal("name: is missing: expected a string", refused[1])
    assert.matches("line 5 .*: key is missing: a change needs a non%-empty string$", refused[2])
  end)

  it("makes keys of the field id, of other fields, or by a function", function()
    local keys, refused = run([[weir.defineStreamSchema {
      types = { a = s.any(), b = s.any(), c = s.any() },
      getKey = { b = "name", c = function(value) return value.x .. value.y end },
    }]], KEYLESS:format("a", '{"id":7}'), KEYLESS:format("b", '{"name":"n","id":"i"}'),
      KEYLESS:format("c", '{"x":"1","y":"2"}'), KEYLESS:format("a", '{"name":"n"}'), KEYLESS:format("a", '"text"'),
      KEYLESS:format("b", '{"name":[]}'), KEYLESS:format("c", "{}"),
      '{"type":"a","old_value":{"id":7},"headers":{"operation":"delete"}}')
    assert.same({b = {"n"}, c = {"12"}}, keys)
    assert.equal(4, #refused)
    assert.equal("key: is missing, and the value lacks a non-empty 'id' field", refused[1])
    assert.equal(refused[1], refused[2])
    assert.equal("key: is missing, and cannot be made of the value: name: expected a string, a number or a boolean, "
      .. "got a table", refused[3])
    assert.matches("^key: getKey raised: .*attempt to concatenate", refused[4])
  end)

  it("does not take the schema of one type", function()
    assert.equal("weir.stream: schema: expected { types = { name = schema, ... } }, got the schema of one type",
      mistake(weir.stream, {url = "x.jsonl", schema = user}))
  end)
end)
