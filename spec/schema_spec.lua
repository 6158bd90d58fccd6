-- weir.schema: the builder, values on both sides of each edge, the words of issues, and misuse.

local weir = require "weir"
local s = weir.schema

--- "path: message" of each issue, joined; "" where the value fits.
local function issues(schema, value)
  local result = schema:safeParse(value)
  if result.success then
    assert.is_nil(result.issues)
    return ""
  end
  local texts = {}
  for i, issue in ipairs(result.issues) do
    texts[i] = issue.path .. ": " .. issue.message
  end
  return table.concat(texts, "; ")
end

local function fits(schema, ...)
  for i = 1, select("#", ...) do
    assert.equal("", issues(schema, (select(i, ...))))
  end
end

local function refuses(schema, ...)
  for i = 1, select("#", ...) do
    assert.is_false(schema:safeParse((select(i, ...))).success, tostring((select(i, ...))))
  end
end

--- The message of the error that a call raises, with this file in front of it.
local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return message
end

local array = weir.json.array

describe("kinds", function()
  local values = { weir.null, true, 3, 3.5, "a", array {}, {} }
  local expected = {
    any = "yyyyyyy", string = "nnnnynn", number = "nnyynnn", integer = "nnynnnn", boolean = "nynnnnn",
  }

  local function check(name, schema, row)
    for i, value in ipairs(values) do
      local fit = row:sub(i, i) == "y"
      assert.equal(fit, schema:safeParse(value).success, name .. " " .. i)
      assert.equal(fit or i == 1, schema:nullable():safeParse(value).success, name .. " or null " .. i)
    end
    assert.is_false(schema:safeParse(nil).success)
    assert.is_true(schema:optional():safeParse(nil).success)
  end

  for name, row in pairs(expected) do
    it("tells " .. name .. " from the others", function()
      check(name, s[name](), row)
    end)
  end

  it("tells containers from the others", function()
    check("array", s.array(s.any()), "nnnnnyn")
    check("object", s.object {}, "nnnnnny")
    check("record", s.record(s.any()), "nnnnnny")
  end)

  it("says what was expected and what is there", function()
    assert.equal(": expected a string, got a number (3)", issues(s.string(), 3))
    assert.equal(": expected a number, got a string (\"x\")", issues(s.number(), "x"))
    assert.equal(": expected a boolean or null, got an array", issues(s.boolean():nullable(), { 1 }))
    assert.equal(": expected an array, got an empty object", issues(s.array(s.any()), {}))
    assert.equal(": is missing: expected a string", issues(s.string(), nil))
  end)
end)

describe("strings", function()
  it("count characters, not bytes", function()
    local name = s.string():min(2):max(3)
    fits(name, "ab", "abc", "äö", "€€€", "😀😀")
    refuses(name, "", "a", "ä", "abcd", "😀", "äöüß")
    assert.equal(": must have at least 1 character, has 0", issues(s.string():min(1), ""))
    assert.equal(": must have at most 2 characters, has 3", issues(s.string():max(2), "äöü"))
  end)

  it("have an exact length", function()
    fits(s.string():length(2), "ab", "\n\"")
    refuses(s.string():length(2), "a", "abc")
    assert.equal(": must have exactly 2 characters, has 1", issues(s.string():length(2), "a"))
    fits(s.string():length(0), "")
  end)

  it("match Lua patterns", function()
    local name = s.string():pattern("^%u%l+$")
    fits(name, "Ada", "Bo")
    refuses(name, "ada", "A", "Ada ", "")
    assert.equal(': must match the pattern "^%u%l+$", got "bob"', issues(name, "bob"))
    refuses(name:pattern("o"), "Ada")
    fits(name:pattern("o"), "Bob")
    fits(s.string():pattern("a%z?b"), "ab", "a\0b")
    fits(s.string():pattern("^[\"\\]+$"), "\"\\")
  end)

  it("refuse what string.find cannot decide, without raising", function()
    refuses(s.string():pattern(("a?"):rep(300) .. "b" .. ("(a)"):rep(30) .. ("x"):rep(10)), ("a"):rep(3))
    refuses(s.string():pattern("(.-)%1%1$"):pattern(("%b()"):rep(5)), "x")
  end)

  it("are email addresses", function()
    fits(s.email(), "a@b.co", "first.last+tag@mail.example.org", "o'hara@x-y.example")
    refuses(s.email(), "", "a", "a@b", "@b.co", ".a@b.co", "a..b@c.de", "a@b.c", "a@-b.de", "a b@c.de", "a@b.de ")
    assert.equal(': must be an email address, got "a"', issues(s.string():email(), "a"))
  end)

  it("are dates with a time that exist", function()
    fits(s.datetime(), "2024-02-29T00:00:00Z", "2000-02-29T23:59:59.999Z", "2024-04-30T10:00:00+02:00",
      "2024-12-31T10:00:00.123456789-23:59")
    refuses(s.datetime(), "", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z",
      "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z",
      "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z", "2024-01-01", "2024-01-01 00:00:00Z",
      "2024-01-01T00:00:00+24:00")
    assert.equal(': must be a date and time like 2024-05-01T10:00:00Z, got "now"',
      issues(s.string():datetime(), "now"))
  end)

  it("report every rule that they break", function()
    local result = s.email():min(5):pattern("^x"):safeParse("a")
    assert.equal(3, #result.issues)
  end)
end)

describe("numbers", function()
  it("have bounds that belong to them", function()
    local n = s.number():min(-1):max(0.5)
    fits(n, -1, -1.0, 0, 0.5)
    refuses(n, -2, -1.0000001, 0.50001, 1, 1e300)
    assert.equal(": must be at most 0.5, is 1", issues(n, 1))
    assert.equal(": must be at least -1, is -1.5", issues(n, -1.5))
  end)

  it("compare integers exactly", function()
    local most = s.number():max(2^53 | 0)
    fits(most, 9007199254740992, 2.0^53)
    refuses(most, 9007199254740993, 2.0^53 + 2)
    fits(s.integer():min(math.maxinteger), math.maxinteger)
    refuses(s.integer():min(math.maxinteger), math.maxinteger - 1)
    fits(s.integer():max(math.mininteger), math.mininteger)
    refuses(s.integer():max(2.0^63 - 1024), math.maxinteger)
    fits(s.integer():max(2.0^63), math.maxinteger)
    fits(s.number():min(-math.huge):max(math.huge), 0)
  end)

  it("are integers where the value is whole", function()
    fits(s.integer(), 0, -0.0, 3, 3.0, 1e3, math.maxinteger, math.mininteger, 2.0^62)
    refuses(s.integer(), 0.5, 1e-3, 2.0^63, 1e300)
    assert.equal(": expected an integer, got a number (3.5)", issues(s.integer(), 3.5))
    assert.equal(": must fit a 64-bit integer, got 1e+300", issues(s.integer(), 1e300))
  end)
end)

describe("enums and literals", function()
  it("allow their values only", function()
    for _, color in ipairs { s.enum { "red", "green" }, s.enum("red", "green") } do
      fits(color, "red", "green")
      refuses(color, "blue", "", "Red", 1, weir.null, array { "red" })
    end
    assert.equal(': must be one of "red", "green", got "blue"', issues(s.enum { "red", "green" }, "blue"))
  end)

  it("keep kinds apart and numbers together", function()
    fits(s.enum(1, "1", true), 1, 1.0, "1", true)
    refuses(s.enum("1"), 1, true)
    refuses(s.enum(1, 0), true, false, "1", 2)
    fits(s.literal("user"), "user")
    fits(s.literal(weir.null), weir.null)
    fits(s.literal(false), false)
    refuses(s.literal(false), true, weir.null, 0)
    assert.equal(': must be "user", got "users"', issues(s.literal("user"), "users"))
  end)

  it("do not list a thousand values", function()
    local names = {}
    for i = 1, 1024 do
      names[i] = "name " .. i
    end
    local text = issues(s.enum(names), "x")
    assert.is_true(#text < 400)
    assert.truthy(text:find('..., got "x"', 1, true))
    fits(s.enum(names), "name 1024")
  end)
end)

describe("arrays", function()
  it("check each element, counted from 0", function()
    local tags = s.array(s.string())
    fits(tags, array {}, { "a" }, { "a", "b" })
    assert.equal("[1]: expected a string, got a number (2); [2]: expected a string, got null",
      issues(tags, { "a", 2, weir.null }))
  end)

  it("have bounds", function()
    local pair = s.array(s.integer()):min(1):max(2)
    fits(pair, { 1 }, { 1, 2 })
    refuses(pair, array {}, { 1, 2, 3 })
    assert.equal(": must have at least 1 item, has 0", issues(pair, array {}))
    assert.equal(": must have exactly 2 items, has 1", issues(s.array(s.any()):length(2), { 1 }))
  end)
end)

describe("objects", function()
  local user = s.object {
    id = s.string():min(1),
    age = s.integer():optional(),
    note = s.string():nullable(),
  }

  it("have members that are there, optional or null", function()
    fits(user, { id = "1", note = "x" }, { id = "1", note = weir.null, age = 3 })
    assert.equal("id: is missing: expected a string; note: is missing: expected a string or null", issues(user, {}))
    assert.equal("age: expected an integer, got null", issues(user, { id = "1", note = "", age = weir.null }))
    local both = s.object { a = s.string():optional():nullable() }
    fits(both, {}, { a = weir.null }, { a = "x" })
    refuses(both, { a = 1 })
  end)

  it("let unknown members pass, unless strict", function()
    fits(user, { id = "1", note = "", more = { 1 } })
    assert.equal("more: is not allowed here, only age, id, note",
      issues(user:strict(), { id = "1", note = "", more = { 1 } }))
    fits(user:strict(), { id = "1", note = "" })
    fits(s.object({}):strict(), {})
    refuses(s.object({}):strict(), { a = 1 })
  end)

  it("name the place in nested values", function()
    local order = s.object { items = s.array(s.object { name = s.string() }), ["ship to"] = user }
    assert.equal("items[1].name: expected a string, got a number (2); " ..
      '["ship to"].id: must have at least 1 character, has 0',
      issues(order, { items = { { name = "a" }, { name = 2 } }, ["ship to"] = { id = "", note = "" } }))
  end)

  it("give the value of an issue", function()
    local result = user:safeParse { id = { 1, 2 }, age = 3.5 }
    assert.same({
      { path = "age", message = "expected an integer, got a number (3.5)", value = 3.5 },
      { path = "id", message = "expected a string, got an array", value = array { 1, 2 } },
      { path = "note", message = "is missing: expected a string or null" },
    }, (function(list)
      table.sort(list, function(a, b) return a.path < b.path end)
      return list
    end)(result.issues))
  end)

  it("are told apart in lookups of every length", function()
    local fields, value = {}, {}
    for n = 1, 200 do
      fields[("x"):rep(n)] = s.literal(n)
      fields[("x"):rep(n) .. "y"] = s.literal(-n)
      value[("x"):rep(n)], value[("x"):rep(n) .. "y"] = n, -n
    end
    local big = s.object(fields):strict()
    fits(big, value)
    for n = 1, 200 do
      value[("x"):rep(n)] = 0
      refuses(big, value)
      value[("x"):rep(n)] = n
    end
    refuses(big, { z = 1 })
  end)

  it("report at most 32 issues", function()
    local list = {}
    for i = 1, 100 do
      list[i] = i
    end
    assert.equal(32, #s.array(s.string()):safeParse(list).issues)
  end)

  it("shorten long values at a character", function()
    local text = issues(s.literal("x"), ("ä"):rep(1000))
    assert.is_true(#text < 80)
    assert.truthy(utf8.len(text))
  end)
end)

describe("records", function()
  it("have any members of one kind", function()
    local scores = s.record(s.number():min(0))
    fits(scores, {}, { a = 1, ["b c"] = 0 })
    assert.equal('["b c"]: must be at least 0, is -1', issues(scores, { a = 1, ["b c"] = -1 }))
  end)
end)

describe("parse", function()
  it("returns the very value", function()
    local value = { id = "1" }
    assert.equal(value, s.object { id = s.string() }:parse(value))
    assert.is_nil(s.string():optional():parse(nil))
  end)

  it("raises every issue, at the caller's line", function()
    local message = mistake(function()
      s.object { id = s.string(), n = s.number() }:parse { id = 1 }
    end)
    assert.truthy(message:find("schema_spec.lua:%d+: schema.parse: the value does not fit: "))
    assert.truthy(message:find("id: expected a string, got a number (1)", 1, true))
    assert.truthy(message:find("n: is missing: expected a number", 1, true))
  end)

  it("makes an issue of what cannot be JSON", function()
    local cases = { print, { f = print }, 0 / 0, { 1, 2, nil, 4 }, "\xff" }
    for _, value in pairs(cases) do
      local result = s.any():safeParse(value)
      assert.is_false(result.success)
      assert.equal("", result.issues[1].path)
    end
    local loop = {}
    loop.loop = loop
    assert.is_false(s.any():safeParse(loop).success)
  end)

  it("stands for values with __json", function()
    local value = setmetatable({}, { __json = function() return '{"id":"1"}' end })
    fits(s.object { id = s.string() }, value)
    refuses(s.object { id = s.number() }, value)
    -- A check inside a check.
    local user = s.object { id = s.string() }
    local nested = setmetatable({}, { __json = function() user:parse { id = "2" } return '{"id":3}' end })
    assert.equal("id: expected a string, got a number (3)", issues(user, nested))
  end)
end)

describe("Standard Schema", function()
  it("is what every schema offers", function()
    local face = s.string()["~standard"]
    assert.equal(1, face.version)
    assert.equal("weir", face.vendor)
    assert.same({ value = "a" }, face.validate("a"))
    assert.same({ issues = { { path = {}, message = "expected a string, got a number (1)", value = 1 } } },
      face.validate(1))
    assert.equal(face, face)
  end)
end)

describe("schemas", function()
  it("never change", function()
    local base = s.string()
    local short = base:max(1)
    fits(base, "abc")
    refuses(short, "abc")
    local optional = base:optional()
    refuses(base, nil)
    fits(optional, nil)
    assert.truthy(mistake(function() base.max = 3 end):find("a schema cannot be changed ('max')", 1, true))
    local fields = { a = s.string() }
    local object = s.object(fields)
    fields.b = s.string()
    fits(object, { a = "x" })
  end)

  it("share parts and keep their descriptions", function()
    local part = s.object { x = s.integer() }
    local whole = s.object { a = part, b = part, c = s.array(part) }
    fits(whole, { a = { x = 1 }, b = { x = 2 }, c = { { x = 3 } } })
    refuses(whole, { a = { x = 1 }, b = { x = "2" }, c = array {} })
    assert.equal("a name", s.string():describe("a name"):min(1).description)
    assert.is_nil(s.string().description)
    for _ = 1, 60 do -- a tree of 2^60 parts, if sharing were not seen
      part = s.object { l = part:optional(), r = part:optional() }
    end
    fits(part, {})
  end)

  it("are at most 100 levels deep", function()
    local deep, value = s.string(), "x"
    for _ = 1, 99 do
      deep, value = s.array(deep), { value }
    end
    fits(deep, value)
    local message = mistake(function() local _ = s.array(deep) end)
    assert.truthy(message:find("schema.array: the item is nested deeper than 100 levels", 1, true))
  end)
end)

describe("a mistake in the builder", function()
  local cases = {
    { "schema.object: field 'id' is a string: expected a schema (s.string(), ...)",
      function() local _ = s.object { id = "string" } end },
    { "schema.object: field 'id' is a function: expected a schema (s.string(), ...)",
      function() local _ = s.object { id = s.string } end },
    { "schema.object: expected a table of fields, got nothing", function() local _ = s.object() end },
    { "schema.object: expected a table of fields, got a schema", function() local _ = s.object(s.string()) end },
    { "schema.object: expected names of fields in UTF-8, got a number (1)",
      function() local _ = s.object { s.string() } end },
    { "schema.array: the item is nothing: expected a schema", function() local _ = s.array() end },
    { "schema.record: the value is a table: expected a schema", function() local _ = s.record {} end },
    { "schema.min: expected a whole number from 0, got a string", function() local _ = s.string():min("1") end },
    { "schema.max: expected a whole number from 0, got a number (-1)", function() local _ = s.string():max(-1) end },
    { "schema.length: expected a whole number from 0, got a number (1.5)",
      function() local _ = s.array(s.any()):length(1.5) end },
    { "schema.min: expected a number, got nothing", function() local _ = s.number():min() end },
    { "schema.max: expected a number, got a number (", function() local _ = s.integer():max(0 / 0) end },
    { "schema.max: 2 is below the min of 3", function() local _ = s.number():min(3):max(2) end },
    { "schema.min: 3 is above the max of 2", function() local _ = s.string():max(2):min(3) end },
    { "schema.min: boolean schemas have no min()", function() local _ = s.boolean():min(1) end },
    { "schema.email: number schemas have no email()", function() local _ = s.number():email() end },
    { "schema.min: called on a number (1), not on a schema", function() local _ = s.string().min(1) end },
    { "schema.string: takes no argument", function() local _ = s.string("x") end },
    { "schema.pattern: expected a Lua pattern, got a table", function() local _ = s.string():pattern {} end },
    { "schema.describe: expected a string, got nothing", function() local _ = s.string():describe() end },
    { "schema.enum: expected 1 to 1024 values, got 0", function() local _ = s.enum {} end },
    { "schema.enum: value 1 is nothing", function() local _ = s.enum() end },
    { "schema.enum: value 2 is a table", function() local _ = s.enum { "a", {} } end },
    { "schema.enum: expected a list of values, got one with the key x",
      function() local _ = s.enum { "a", x = "b" } end },
    { "schema.literal: the value is a table", function() local _ = s.literal {} end },
    { "schema.literal: the value is", function() local _ = s.literal(0 / 0) end },
    { "schema.literal: the value is not UTF-8", function() local _ = s.literal("\xff") end },
  }
  for _, case in ipairs(cases) do
    it("is named at its line: " .. case[1], function()
      local message = mistake(case[2])
      assert.truthy(message:find(case[1], 1, true), message)
      assert.truthy(message:find("^[^\n]*schema_spec%.lua:%d+: "), message)
    end)
  end

  local broken = { "%", "a%", "[a", "[]", "[^]", "[%]", "(", "(a", "a)", "())", "%b", "%bx", "%f", "%fa", "%1", "(%1)",
    "%0", "(a)%2" }
  for _, pattern in ipairs(broken) do
    it("is a pattern like " .. pattern, function()
      local message = mistake(function() local _ = s.string():pattern(pattern) end)
      assert.truthy(message:find("is no Lua pattern: ", 1, true), message)
    end)
  end

  it("is not a pattern like these", function()
    for _, pattern in ipairs { "", "^$", "[]]", "[^]]", "[%]]", "%b()", "%f[%w]", "(a)%1", "(a(b))%2%1", "()a()", "%%",
      "[a-]", "-", "$", "a%-b" } do
      assert.equal("string", type(issues(s.string():pattern(pattern), "x")))
    end
  end)
end)
