-- Events made in Lua: what weir.insert and its like write, what tells events apart, and every reason why something is
-- no event.

local tmp = require "support.tmp"
local weir = require "weir"

local s, null, encode = weir.schema, weir.null, weir.json.encode
local TIME = "2026-05-01T10:00:00Z"
local AT = {timestamp = TIME}
local OPTIONS = "expected txid, timestamp, from or offset"
local CONTROLS = "expected snapshot-start, snapshot-end, reset or up-to-date"
local NO_TIME = 'timestamp: expected an RFC 3339 time such as "2025-01-15T10:30:00Z", got '
local pack = table.pack

--- The message of the error that a call raises.
local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return (tostring(message):gsub("^[^:]+:%d+: ", ""))
end

describe("a builder makes", function()
  it("the members of the State Protocol, as a plain table", function()
    assert.same(
      {type = "users", key = "u1", value = {name = "Ada"}, headers = {operation = "insert", timestamp = TIME}},
      weir.insert("users", "u1", {name = "Ada"}, AT))
    assert.same(
      {type = "users", key = "u1", value = 1, old_value = 0, headers = {operation = "update", timestamp = TIME}},
      weir.update("users", "u1", 1, 0, AT))
    assert.same({type = "users", key = "u1", value = false, headers = {operation = "upsert", timestamp = TIME}},
      weir.upsert("users", "u1", false, AT))
    assert.same({type = "users", key = "u1", value = {a = null}, headers = {operation = "patch", timestamp = TIME}},
      weir.patch("users", "u1", {a = null}, AT))
    assert.same({type = "users", key = "u1", old_value = {}, headers = {operation = "delete", timestamp = TIME}},
      weir.del("users", "u1", {}, AT))
    assert.same({type = "users", key = "u1", headers = {operation = "delete", timestamp = TIME}},
      weir.del("users", "u1", nil, AT))
  end)

  it("events without a type, of the RFC's first form", function()
    for _, event in ipairs{
      weir.insert("1", {a = 1}), weir.insert("1", {a = 1}, {}), weir.update("1", {a = 1}), weir.del("1"),
      weir.update("1", {a = 1}, {a = 0}), weir.update("1", {a = 1}, {a = 0}, {txId = "t"}), weir.del("1", {a = 1}),
      weir.del("1", nil, {txId = "t"}), weir.upsert("1", {a = 1}), weir.patch("1", {a = 1}, {txid = "t"}),
      weir.insert("1", "text"), weir.insert("1", 5), weir.insert("1", true, {txid = "t"}),
    } do
      assert.is_nil(event.type)
      assert.equal("1", event.key)
    end
    assert.same({a = 0}, weir.update("1", {a = 1}, {a = 0}).old_value)
    assert.same({a = 1}, weir.del("1", {a = 1}).old_value)
    assert.equal("t", weir.del("1", nil, {txId = "t"}).txid)
  end)

  it("what is a type and a key where two strings come first", function()
    local event = weir.insert("config", "theme", "dark")
    assert.same({"config", "theme", "dark"}, {event.type, event.key, event.value})
    event = weir.update("config", "theme", "light", "dark")
    assert.same({"config", "theme", "light", "dark"}, {event.type, event.key, event.value, event.old_value})
    event = weir.del("config", "theme")
    assert.same({"config", "theme"}, {event.type, event.key})
    event = weir.insert("theme", "dark")
    assert.same({"theme", "dark"}, {event.key, event.value})
  end)

  it("a timestamp of now, another one, or none", function()
    local now = weir.insert("t", "k", 1).headers.timestamp
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", now)
    assert.is_true(math.abs(os.time() - os.time{
      year = now:sub(1, 4), month = now:sub(6, 7), day = now:sub(9, 10), hour = now:sub(12, 13), min = now:sub(15, 16),
      sec = now:sub(18, 19),
    } + os.time(os.date("!*t")) - os.time()) < 60 + 3600) -- summer time may be in between
    assert.matches("Z$", weir.insert("t", "k", 1, {timestamp = true}).timestamp)
    assert.is_nil(weir.insert("t", "k", 1, {timestamp = false}).headers.timestamp)
    assert.equal(TIME, weir.del("t", "k", nil, AT).timestamp)
  end)

  it("a txid by both of its names", function()
    for _, options in ipairs{{txid = "x"}, {txId = "x"}} do
      local event = weir.upsert("t", "k", 1, options)
      assert.equal("x", event.headers.txid)
      assert.equal("x", event.headers.txId)
      assert.equal("x", event.txid)
      assert.is_nil(rawget(event.headers, "txId"))
    end
  end)

  it("what other fields of an event are", function()
    local event = weir.insert("t", "k", 1, {txid = "x", timestamp = TIME, from = "me", offset = "0_1"})
    assert.same({"insert", "x", TIME, "me", "0_1"},
      {event.operation, event.txid, event.timestamp, event.from, event.offset})
    assert.is_nil(event.nonsense)
    assert.equal("insert t/k", tostring(event))
    assert.equal("delete k", tostring(weir.del("k")))
  end)

  it("the value as it is, not a copy", function()
    local value = {}
    assert.equal(value, weir.insert("t", "k", value).value)
  end)
end)

describe("as JSON", function()
  it("the members come in the published order", function()
    local event = weir.update("t", "k", {b = 1, a = 2}, null, {from = "me", timestamp = TIME, txid = "x"})
    event.more = 1
    event.headers.another, event.headers.also = 1, 2
    assert.equal('{"type":"t","key":"k","value":{"a":2,"b":1},"old_value":null,"headers":{"operation":"update",' ..
      '"txid":"x","timestamp":"' .. TIME .. '","from":"me","also":2,"another":1},"more":1}', encode(event))
    assert.equal('{"key":"k","headers":{"operation":"delete"}}', encode(weir.del("k", nil, {timestamp = false})))
    assert.equal('{"headers":{"control":"snapshot-end","offset":"0_5"}}', encode(weir.control("snapshot-end", "0_5")))
    assert.equal('[{"headers":{"control":"reset"}}]', encode{weir.control "reset"})
  end)

  it("every value that JSON has is legal", function()
    for _, value in ipairs{null, false, 0, "", weir.json.array(), {}, 1.5, "text", {1, 2}, math.mininteger} do
      local event = weir.json.decode(encode(weir.insert("t", "k", value)))
      assert.same(value, event.value)
    end
  end)

  it("what is no JSON is named", function()
    assert.matches("a function cannot be written as JSON", mistake(encode, weir.insert("t", "k", {f = print})), 1, true)
    local event = weir.insert("t", "k", 1)
    event[1] = 2
    assert.matches("an event has the member 1: expected names", mistake(encode, event), 1, true)
  end)
end)

describe("a builder refuses", function()
  local refusals = {
    [pack(weir.insert, "", "k", 1)] = 'insert: type: expected a non-empty string, got ""',
    [pack(weir.insert, "t", "", 1)] = 'insert: key: expected a non-empty string, got ""',
    [pack(weir.insert, 5, {})] = "insert: key: expected a non-empty string, got 5",
    [pack(weir.insert, "t", nil, 1)] = "insert: key: expected a non-empty string, got nil",
    [pack(weir.insert, "t", "k", nil)] = "insert: value is missing (weir.null is a value)",
    [pack(weir.update, "t", "k", nil, 1)] = "update: value is missing (weir.null is a value)",
    [pack(weir.patch, "k")] = "patch: value is missing (weir.null is a value)",
    [pack(weir.del)] = "del: key: expected a non-empty string, got nil",
    [pack(weir.del, "t", nil)] = "del: key: expected a non-empty string, got nil",
    [pack(weir.del, "t", "")] = 'del: key: expected a non-empty string, got ""',
    [pack(weir.insert, "t", "k", 1, {tx = "1"})] = "insert: unknown option 'tx': " .. OPTIONS,
    [pack(weir.insert, "users", 7, {id = 7})] = "insert: unknown option 'id': " .. OPTIONS,
    [pack(weir.upsert, "t", "k", 1, "x")] = 'upsert: options: expected a table, got "x"',
    [pack(weir.insert, "t", "k", 1, {txid = ""})] = 'insert: txid: expected a non-empty string, got ""',
    [pack(weir.insert, "t", "k", 1, {txid = 7})] = "insert: txid: expected a non-empty string, got 7",
    [pack(weir.del, "t", "k", nil, {timestamp = "now"})] = 'del: ' .. NO_TIME .. '"now"',
    [pack(weir.insert, "t", "k", 1, {timestamp = 5})] = "insert: " .. NO_TIME .. "5",
    [pack(weir.control, "stop")] = 'control: type: ' .. CONTROLS .. ', got "stop"',
    [pack(weir.control)] = "control: type: " .. CONTROLS .. ", got nil",
    [pack(weir.control, "reset", 5)] = "control: offset: expected a non-empty string, got 5",
  }
  for call, message in pairs(refusals) do
    it(message, function()
      assert.equal(message, mistake(table.unpack(call, 1, call.n)))
    end)
  end

  it("at the place of the call", function()
    for _, call in ipairs{
      function() local event = weir.insert("t", "", 1) return event end,
      function() local event = weir.del("t", nil) return event end,
      function() local event = weir.update("t", "k", 1, nil, {nonsense = 1}) return event end,
      function() local event = weir.upsert("t", "k", 1, {timestamp = "?"}) return event end,
      function() local event = weir.control("?") return event end,
    } do
      local _, message = pcall(call)
      assert.matches("^[^\n]*rfc_events_spec.lua:" .. debug.getinfo(call, "S").linedefined .. ": ", message)
    end
  end)
end)

describe("events are told apart", function()
  local change, control = weir.insert("t", "k", 1), weir.control "reset"

  it("by their headers", function()
    assert.is_true(weir.isChangeEvent(change))
    assert.is_false(weir.isControlEvent(change))
    assert.is_true(weir.isControlEvent(control))
    assert.is_false(weir.isChangeEvent(control))
    assert.is_true(weir.isChangeEvent{key = "k", headers = {operation = "insert"}})
    assert.is_true(weir.isControlEvent{headers = {control = "snapshot-start"}})
  end)

  it("in the RFC's form of controls", function()
    assert.is_true(weir.isControlEvent{type = "up-to-date"})
    assert.is_true(weir.isControlEvent{type = "reset", offset = "5"})
    assert.is_false(weir.isControlEvent{type = "reset", key = "k"})
    assert.is_false(weir.isControlEvent{type = "reset", headers = {operation = "insert"}})
    assert.is_false(weir.isControlEvent{type = "users"})
    assert.equal("reset", control.type)
    assert.equal("7", weir.control("snapshot-end", "7").offset)
    assert.is_nil(rawget(control, "type"))
    assert.equal("reset", tostring(control))
  end)

  it("from everything else", function()
    for _, value in ipairs{null, 5, "text", {}, {headers = 5}, {headers = {}}, print, true, io.stdout, {type = {}}} do
      assert.is_false(weir.isChangeEvent(value))
      assert.is_false(weir.isControlEvent(value))
    end
    assert.is_false(weir.isChangeEvent())
    assert.is_false(weir.isControlEvent(nil))
  end)

  it("as handlers get them", function()
    local stream = weir.stream{url = tmp.file("events", encode(change) .. "\n" .. encode(control)), live = false}
    local seen = {}
    local function note(event)
      seen[#seen + 1] = {weir.isChangeEvent(event), weir.isControlEvent(event), weir.validateEvent(event).valid}
    end
    stream:onChange(function(_, event) note(event) end)
    stream:onControl(note)
    weir.run()
    assert.same({{true, false, true}, {false, true, true}}, seen)
  end)
end)

describe("weir.uuid", function()
  it("is a random one, each time another", function()
    local seen = {}
    for _ = 1, 1000 do
      local uuid = weir.uuid()
      assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", uuid)
      assert.equal(uuid:lower(), uuid)
      assert.is_nil(seen[uuid])
      seen[uuid] = true
    end
  end)
end)

--- "path: message" of each error, in lines.
local function errors(event, schema)
  local result = weir.validateEvent(event, schema)
  assert.equal(#result.errors == 0, result.valid)
  local lines = {}
  for i, err in ipairs(result.errors) do
    lines[i] = err.path .. ": " .. err.message
  end
  return lines
end

describe("weir.validateEvent", function()
  it("finds nothing in what is right", function()
    for _, event in ipairs{
      weir.insert("t", "k", null), weir.update("k", 0), weir.del("t", "k"), weir.patch("t", "k", {}),
      weir.upsert("t", "k", ""), weir.control "reset", {type = "up-to-date"}, {headers = {control = "snapshot-end"}},
      {key = "k", value = false, headers = {operation = "insert", txId = "t"}},
      '{"type":"t","key":"k","headers":{"operation":"delete","odd":1}}',
    } do
      assert.same({}, errors(event))
    end
  end)

  it("names everything at once, in the order of the members", function()
    assert.same({
      'type: Type must be a non-empty string, is ""',
      "key: Key must be a non-empty string, is 5",
      "value: Value required for update",
      "headers.txid: expected a non-empty string, got 1",
      'headers.timestamp: expected an RFC 3339 time such as "2025-01-15T10:30:00Z", got "soon"',
    }, errors{type = "", key = 5, headers = {operation = "update", txid = 1, timestamp = "soon"}})
    assert.same({
      "key: Key is required: expected a non-empty string",
      'headers.operation: Invalid operation: "replace" (expected insert, update, upsert, patch or delete)',
    }, errors{type = "t", key = "", value = 1, headers = {operation = "replace"}})
    assert.same({"headers: Headers are required: expected a table with operation, got nil",
      "headers.operation: Invalid operation: nil (expected insert, update, upsert, patch or delete)"},
      errors{type = "t", key = "k", value = 1})
    assert.same({
      "value: value.f: a function cannot be written as JSON", "old_value: value: JSON has no number for nan",
    }, errors{type = "t", key = "k", value = {f = print}, old_value = 0 / 0, headers = {operation = "update"}})
  end)

  it("tells what is there", function()
    local result = weir.validateEvent{type = "t", key = 5, value = 1, headers = {operation = "insert"}}
    assert.same({{path = "key", message = "Key must be a non-empty string, is 5", value = 5}}, result.errors)
  end)

  it("looks at controls, too", function()
    assert.same({'headers.control: Invalid control: "halt" (' .. CONTROLS .. ")",
      'headers.offset: Offset must be a non-empty string, is ""'}, errors{headers = {control = "halt", offset = ""}})
    assert.same({"offset: Offset must be a non-empty string, is 5"}, errors{type = "reset", offset = 5})
  end)

  it("says of what is no event that it is none", function()
    assert.same({": expected an event (a table), got 5"}, errors(5))
    assert.same({": expected an event (a table), got nil"}, errors(nil))
    assert.same({": expected an event (a table), got 17"}, errors "17")
    assert.matches("^: invalid JSON at byte 1", errors("?")[1])
  end)

  local user = s.object{id = s.string(), email = s.email(), tags = s.array(s.string()):optional()}

  it("holds the value to the schema of one type", function()
    local event = weir.insert("k", {id = 5, tags = {"a", 7}})
    local found = errors(event, user)
    table.sort(found)
    assert.same({"value.email: is missing: expected a string", "value.id: expected a string, got a number (5)",
      "value.tags[1]: expected a string, got a number (7)"}, found)
    assert.same({"value: expected an object, got a string (\"x\")"}, errors(weir.insert("k", "x"), user))
    assert.same({}, errors(weir.insert("any type", "k", {id = "1", email = "a@b.cd"}), user))
  end)

  it("holds it to the one of the event's type, among many", function()
    local schema = weir.defineStreamSchema{types = {users = user, flags = s.boolean()}}
    assert.same({}, errors(weir.insert("flags", "k", true), schema))
    assert.same({"value: expected a boolean, got a number (1)"}, errors(weir.upsert("flags", "k", 1), schema))
    assert.same({}, errors(weir.insert("others", "k", 1), schema))
    assert.same({"type: Type is required: expected one of flags, users"}, errors(weir.insert("k", true), schema))
    schema = weir.defineStreamSchema{types = {default = s.boolean()}}
    assert.same({"value: expected a boolean, got a number (1)"}, errors(weir.insert("k", 1), schema))
  end)

  it("lets deletes and patches have what they have", function()
    assert.same({}, errors(weir.del("k", "anything"), user))
    assert.same({}, errors(weir.patch("k", {email = "?"}), user))
  end)

  it("takes schemas of other libraries, and raises where it is given none", function()
    local foreign = {["~standard"] = {version = 1, vendor = "test", validate = function(value)
      if value == "good" then return {value = value} end
      return {issues = {{message = "bad", path = {"a", {key = "b"}, 3}}, {message = "worse"}}}
    end}}
    assert.same({}, errors(weir.insert("k", "good"), foreign))
    assert.same({"value.a.b[3]: bad", "value: worse"}, errors(weir.insert("k", "x"), foreign))
    assert.equal("validateEvent: schema: expected { types = { name = schema, ... } }",
      mistake(weir.validateEvent, weir.insert("k", 1), 5))
  end)
end)

describe("weir.createEventBuilder", function()
  local builder = weir.createEventBuilder(s.object{id = s.string(), n = s.integer():min(1)})

  it("makes events of one type", function()
    assert.same({key = "1", value = {id = "1", n = 1}, headers = {operation = "insert", txid = "t", timestamp = TIME}},
      builder.insert("1", {id = "1", n = 1}, {txid = "t", timestamp = TIME}))
    assert.same({id = "1"}, builder.update("1", {id = "1", n = 2}, {id = "1"}).old_value)
    assert.equal("upsert", builder.upsert("1", {id = "1", n = 2}).operation)
    assert.equal("patch", builder.patch("1", {n = 2}).operation)
    local gone = builder.delete("1", {id = "1"}, {timestamp = false})
    assert.same({key = "1", old_value = {id = "1"}, headers = {operation = "delete"}}, gone)
  end)

  it("makes a key that is nil of the value", function()
    assert.equal("7", builder.insert(nil, {id = "7", n = 1}).key)
    assert.equal("7", builder.delete(nil, {id = "7"}).key)
    assert.matches("key: Key is required", mistake(builder.insert, nil, {n = 1}), 1, true)
  end)

  it("names all the reasons at once, at the place of the call", function()
    local function call()
      local event = builder.insert("", {id = 5, n = 0}, {txid = "", timestamp = "?"})
      return event
    end
    local _, message = pcall(call)
    assert.matches("^[^\n]*rfc_events_spec.lua:" .. debug.getinfo(call, "S").linedefined + 1 .. ": ", message)
    assert.equal('Invalid insert event: key: Key is required: expected a non-empty string; ' ..
      "value.id: expected a string, got a number (5); value.n: must be at least 1, is 0; " ..
      'headers.txid: expected a non-empty string, got ""; ' ..
      'headers.timestamp: expected an RFC 3339 time such as "2025-01-15T10:30:00Z", got "?"',
      (message:gsub("^[^\n]-:%d+: ", "")))
    assert.equal("Invalid update event: value: Value required for update", mistake(builder.update, "1"))
    assert.equal("Invalid delete event: key: Key is required: expected a non-empty string", mistake(builder.delete))
  end)

  it("takes the type first, of a schema with several", function()
    local many = weir.createEventBuilder(weir.defineStreamSchema{
      types = {users = s.object{id = s.string()}, visits = s.object{page = s.string(), day = s.string()}},
      getKey = {visits = function(visit) return visit.day .. "/" .. visit.page end},
    })
    assert.equal("insert users/u1", tostring(many.insert("users", nil, {id = "u1"})))
    assert.equal("insert visits/1/a", tostring(many.insert("visits", nil, {page = "a", day = "1"})))
    assert.equal("delete users/u1", tostring(many.delete("users", "u1")))
    assert.equal("u1", many.update("users", "u1", {id = "u1"}, {id = "old"}).old_value and "u1")
    assert.equal('Invalid insert event: type: Unknown type "user": expected one of users, visits',
      mistake(many.insert, "user", "u1", {id = "u1"}))
    local indexed = weir.createEventBuilder(weir.defineStreamSchema{types = {logs = {index = {"level"}}}})
    assert.equal("insert logs/1", tostring(indexed.insert("logs", "1", {level = 3})))
    assert.equal("Invalid insert event: type: Type is required: expected one of users, visits; " ..
      "key: Key is required: expected a non-empty string; value: Value required for insert", mistake(many.insert))
  end)

  it("refuses what is no schema", function()
    assert.equal("createEventBuilder: schema: expected { types = { name = schema, ... } }",
      mistake(weir.createEventBuilder))
    assert.equal("insert: unknown option 'nonsense': expected txid, timestamp, from or offset",
      mistake(builder.insert, "1", {id = "1", n = 1}, {nonsense = 1}))
  end)
end)
