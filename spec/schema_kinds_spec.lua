-- weir.schema: strings by their texts and formats, open bounds, tuples, unions, records with names, and what is made of
-- objects; values on both sides of each edge.

local weir = require "weir"
local s = weir.schema
local array = weir.json.array

--- "path: message" of each issue, joined; "" where the value fits.
local function issues(schema, value)
  local result = schema:safeParse(value)
  local texts = {}
  for i, issue in ipairs(result.issues or {}) do
    texts[i] = issue.path .. ": " .. issue.message
  end
  assert.equal(result.success, #texts == 0)
  return table.concat(texts, "; ")
end

local function fits(schema, ...)
  for i = 1, select("#", ...) do
    assert.equal("", issues(schema, (select(i, ...))))
  end
end

local function refuses(schema, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    assert.is_false(schema:safeParse(value).success, weir.json.encode(value == nil and weir.null or value))
  end
end

local function mistake(text, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("^[^\n]*schema_kinds_spec%.lua:%d+: ", message)
  assert.matches(text, message, 1, true)
end

describe("strings", function()
  it("start, end with and include a text", function()
    local name = s.string():startsWith("ab"):endsWith("yz"):includes("-")
    fits(name, "ab-yz", "ab-----yz", "ab\"-\\yz")
    refuses(name, "b-yz", "ab-y", "abyz", "", "xab-yz", "ab-yz ")
    fits(s.string():startsWith("ä"), "ä", "äx")
    refuses(s.string():startsWith("ä"), "a", "\u{e3}")
    fits(s.string():startsWith(""):endsWith(""):includes(""), "", "x")
    assert.equal(': must start with "a", got "b"; : must end with "c", got "b"; : must include "d", got "b"',
      issues(s.string():startsWith("a"):endsWith("c"):includes("d"), "b"))
    fits(s.string():startsWith("a\n"), "a\n")
    refuses(s.string():startsWith("a\n"), "a\\n")
    -- One text is longer than the other only by what overlaps.
    refuses(s.string():endsWith("abc"), "bc")
    fits(s.string():startsWith("aa"):endsWith("aa"), "aa", "aaa")
    mistake("schema.startsWith: expected a string in UTF-8, got a number (1)", function()
      local _ = s.string():startsWith(1)
    end)
  end)

  it("are not empty", function()
    fits(s.string():nonempty(), "x")
    refuses(s.string():nonempty(), "")
  end)

  it("are UUIDs", function()
    fits(s.uuid(), "123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-82D3-B456-426614174000",
      "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", weir.uuid())
    refuses(s.string():uuid(), "", "123e4567-e89b-02d3-a456-426614174000", "123e4567-e89b-92d3-a456-426614174000",
      "123e4567-e89b-12d3-7456-426614174000", "123e4567-e89b-12d3-c456-426614174000",
      "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400", "g23e4567-e89b-12d3-a456-426614174000",
      "123e4567-e89b-12d3-a456-4266141740000", " 123e4567-e89b-12d3-a456-42661417400",
      "123e4567-e89b-12d3-a456-42661417400-", "00000000-0000-0000-0000-000000000001",
      "1-3e4567-e89b-12d3-a456-426614174000")
    assert.matches('must be a UUID like .*, got "x"', issues(s.uuid(), "x"))
  end)

  it("are URLs", function()
    fits(s.url(), "http://a", "https://example.com/a?b#c", "HTTPS://EXAMPLE.COM:8080", "mailto:ada@example.com",
      "http://[::1]:80/", "http://[1:2:3:4:5:6:7:8]", "http://[::ffff:1.2.3.4]", "http://1.2.3.4", "http://0x7f.1",
      "ftp://user:pw@host/", "urn:isbn:1", "data:,", "file:///x", "  http://a  ", "http://ä.example", "x:", "http:a",
      "http://a:65535", "http://%61", "ws://h", "foo://h:1/p", "http://user@h")
    refuses(s.string():url(), "", "a", "example.com", "//a", "http://", "http:///", "http://a b", "http://a:65536",
      "http://a:x", "http://[::1", "http://[1:2:3:4:5:6:7]", "http://[1:2:3:4:5:6:7:8:9]", "http://[::1::]",
      "http://1.2.3.256", "http://1.2.3.4.5", "http://256.1", "1http://a", ":a", "http://a<b", "http://a%zz",
      "https://?", "http://user@", "foo://h:x", "http://[::1.2.3]", "/a", "?a", "http://%00")
    assert.matches('must be a URL like https://example.com, got "x"', issues(s.url(), "x"), 1, true)
  end)
end)

describe("patterns", function()
  -- string.find of the same Lua is what they are held against.
  local ATOMS = { "a", "b", "%a", "%d", "%u", "%W", ".", "[ab]", "[^a]", "[a-c%d]", "[]]", "[^]x]", "[a-]", "[%]-]",
    "%%",
    "-", "$", "^", "%s", "%p", "%x", "%g", "%c", "%L",
    "[%a_-z]", "[a-%]]", "\0", "ä", "x", "%-", "]", "[%w%s]", "%z", "%Z" }
  local SUFFIXES = { "", "", "", "*", "+", "-", "?" }
  local BYTES = { "a", "b", "c", "x", "A", "1", " ", "-", "]", "^", "$", "%", "(", ")", "ä",
    "\0", "\n", "_" }
  local random = math.random

  local function any_pattern()
    local parts, open, closed = { random(4) == 1 and "^" or "" }, 0, 0
    for _ = 1, random(6) do
      local roll = random(14)
      if roll == 1 and open == 0 then
        parts[#parts + 1] = "("
        open = 1
      elseif roll == 2 and open == 1 and closed == 0 then
        parts[#parts + 1] = ")"
        closed = 1
      elseif roll == 3 and closed == 1 then
        parts[#parts + 1] = "%1"
      elseif roll == 4 then
        parts[#parts + 1] = ({ "%b()", "%bxx", "%f[%w]", "%f[^a]" })[random(4)]
      else
        parts[#parts + 1] = ATOMS[random(#ATOMS)] .. SUFFIXES[random(#SUFFIXES)]
      end
    end
    parts[#parts + 1] = open > closed and ")" or ""
    parts[#parts + 1] = random(3) == 1 and "$" or ""
    return table.concat(parts)
  end

  it("find what string.find finds", function()
    local seed = tonumber(os.getenv "WEIR_SEED" or "") or 11
    math.randomseed(seed)
    local found, total = 0, 0
    for _ = 1, 3000 do
      local pattern = any_pattern()
      local schema = s.string():pattern(pattern)
      for _ = 1, 8 do
        local bytes = {}
        for i = 1, random(0, 8) do
          bytes[i] = BYTES[random(#BYTES)]
        end
        local text = table.concat(bytes)
        local expected = text:find(pattern) ~= nil
        if schema:safeParse(text).success ~= expected then
          error(("seed %d: %q in %q: expected %s"):format(seed, pattern, text, expected))
        end
        found, total = found + (expected and 1 or 0), total + 1
      end
    end
    assert.is_true(found > total / 10 and found < total * 9 / 10, found .. " of " .. total)
  end)
end)

describe("numbers", function()
  it("have bounds that do not belong to them", function()
    local n = s.number():gt(0):lt(1)
    fits(n, 0.5, 1e-300, 0.9999999999999999)
    refuses(n, 0, -0.0, 1, 1.0, -1, 2)
    assert.equal(": must be more than 0, is 0", issues(n, 0))
    assert.equal(": must be less than 1, is 1", issues(n, 1))
    fits(s.integer():gt(-1):lt(1), 0)
    refuses(s.integer():gt(0):lt(1), 0, 1)
    fits(s.integer():gt(0.5):lt(1.5), 1)
    refuses(s.integer():gt(math.maxinteger), math.maxinteger, 0)
    refuses(s.integer():lt(math.mininteger), math.mininteger, 0)
    fits(s.integer():gt(math.maxinteger - 1), math.maxinteger)
    refuses(s.integer():gt(math.maxinteger - 1), math.maxinteger - 1)
    refuses(s.integer():min(2.0 ^ 63), math.maxinteger)
    refuses(s.number():max(-2.0 ^ 64), math.mininteger)
    fits(s.number():gt(1):min(1), 1)
  end)

  it("are named by their sign", function()
    fits(s.number():positive(), 1, 1e-9)
    refuses(s.number():positive(), 0, -1)
    fits(s.number():nonnegative(), 0, 1)
    refuses(s.number():nonnegative(), -1e-9)
    fits(s.number():negative(), -1)
    refuses(s.number():negative(), 0, 1)
    fits(s.number():nonpositive(), 0, -1)
    refuses(s.number():nonpositive(), 1e-9)
    fits(s.number():int():gte(1):lte(2), 1, 2, 2.0)
    refuses(s.number():int():gte(1):lte(2), 1.5, 0, 3)
  end)
end)

describe("tuples", function()
  local pair = s.tuple { s.string(), s.number() }

  it("have an element for each place", function()
    fits(pair, { "a", 1 })
    refuses(pair, { "a" }, { "a", 1, 2 }, { 1, "a" }, array {}, {}, "a")
    assert.equal(": must have exactly 2 items, has 1", issues(pair, { "a" }))
    assert.equal("[0]: expected a string, got a number (1); [1]: expected a number, got a string (\"a\")",
      issues(s.tuple(s.string(), s.number()), { 1, "a" }))
    fits(s.tuple {}, array {})
    refuses(s.tuple {}, { 1 })
  end)

  it("may go on", function()
    local list = s.tuple(s.string()):rest(s.number())
    fits(list, { "a" }, { "a", 1 }, { "a", 1, 2, 3 })
    refuses(list, array {}, { "a", "b" }, { "a", 1, "b" })
    assert.equal("[2]: expected a number, got a string (\"b\")", issues(list, { "a", 1, "b" }))
  end)

  it("may end early where the last places are optional", function()
    local list = s.tuple(s.string(), s.number():optional(), s.boolean():optional())
    fits(list, { "a" }, { "a", 1 }, { "a", 1, true })
    refuses(list, array {}, { "a", 1, true, 1 }, { "a", true })
    refuses(s.tuple(s.string():optional(), s.number()), { "a" })
  end)

  it("name mistakes", function()
    mistake("schema.tuple: element 2 is a number (1): expected a schema", function()
      local _ = s.tuple(s.string(), 1)
    end)
    mistake("schema.tuple: expected a list of schemas, got one with the key x", function()
      local _ = s.tuple { x = s.string() }
    end)
    mistake("schema.rest: array schemas have no rest()", function()
      local _ = s.array(s.any()):rest(s.any())
    end)
  end)
end)

describe("unions", function()
  it("fit what one of them fits", function()
    local id = s.union { s.string():min(2), s.integer() }
    fits(id, "ab", 1)
    refuses(id, "a", 1.5, true, weir.null, array {}, {})
    assert.equal(": expected a string or an integer, got a boolean (true)", issues(id, true))
    assert.equal(": must have at least 2 characters, has 1", issues(id, "a"))
    fits(id:nullable(), weir.null)
    fits(s.union(s.null(), s.string()), weir.null, "x")
    fits(s.union(s.literal(1), s.literal("1")), 1, "1")
    fits(s.object { a = s.union(s.string():optional(), s.number()) }, {}, { a = 1 })
    fits(s.union(s.string()), "x")
  end)

  it("tell what each option of that kind has against the value", function()
    local shape = s.union(s.object { r = s.number() }, s.string(), s.object { w = s.number(), h = s.number() })
    fits(shape, { r = 1 }, { w = 1, h = 2 }, "x")
    assert.equal("[0]: fits none of the options: (1) r: is missing: expected a number; (3) h: is missing: expected " ..
      "a number", issues(s.array(shape), { { w = 1 } }))
  end)

  it("are given up where they multiply", function()
    local inner = s.string()
    local value = 1
    for _ = 1, 40 do
      inner = s.union(s.array(inner), s.array(inner))
      value = { value }
    end
    assert.matches("could not be checked: there are too many ways", issues(inner, value), 1, true)
  end)

  it("name mistakes", function()
    mistake("schema.union: expected at least one schema", function() local _ = s.union {} end)
    mistake("schema.union: option 1 is nothing", function() local _ = s.union() end)
  end)
end)

describe("discriminated unions", function()
  local event = s.discriminatedUnion("type", {
    s.object { type = s.literal("move"), x = s.number() },
    s.object { type = s.enum("stop", "halt"), hard = s.boolean() }:strict(),
    s.object { type = s.literal(7) },
  })

  it("are told apart by a member", function()
    fits(event, { type = "move", x = 1 }, { type = "stop", hard = true }, { type = "halt", hard = true }, { type = 7 },
      { type = 7.0 }, { type = "move", x = 1, y = 2 })
    refuses(event, { type = "move", x = "1" }, { type = "halt" }, { type = "stop", hard = true, x = 1 }, {}, "move",
      { type = "7" }, { type = weir.null }, { x = 1 })
    assert.equal('type: must be one of "move", "stop", "halt", 7, got "go"', issues(event, { type = "go" }))
    assert.equal('type: is missing: expected one of "move", "stop", "halt", 7', issues(event, { x = 1 }))
    assert.equal("x: is missing: expected a number", issues(event, { type = "move" }))
    assert.equal(": expected an object, got a number (1)", issues(event, 1))
    fits(event:nullable(), weir.null)
  end)

  it("find the member wherever it is, the last of its name", function()
    local function text(json)
      return setmetatable({}, { __json = function() return json end })
    end
    fits(event, text '{"x":1,"type":"move"}', text ' { "type" : "move" , "x" : 1 } ',
      text '{"\\u0074ype":"move","x":1}',
      text '{"type":"stop","type":"move","x":1}', text '{"type":"move","x":"type","x":1}')
    refuses(event, text '{"type":"move","x":1,"type":"stop"}', text '{"x":1,"typo":"move"}',
      text '{"a":{"type":"move"},"x":1}')
  end)

  it("can be inside each other", function()
    local outer = s.discriminatedUnion("type", {
      event, s.object { type = s.literal("end") },
    })
    fits(outer, { type = "end" }, { type = "move", x = 1 }, { type = 7 })
    refuses(outer, { type = "move" }, { type = "x" })
  end)

  it("name mistakes", function()
    mistake("schema.discriminatedUnion: option 1: expected an object whose field 'type' is a literal or an enum",
      function() local _ = s.discriminatedUnion("type", { s.object { type = s.string() } }) end)
    mistake("option 1: expected an object whose field 'type'",
      function() local _ = s.discriminatedUnion("type", { s.object { type = s.literal("a"):optional() } }) end)
    mistake("option 2: 'type' is a in option 1, too", function()
      local _ = s.discriminatedUnion("type", {
        s.object { type = s.literal("a") }, s.object { type = s.enum("b", "a") },
      })
    end)
    mistake("expected the name of a member, got a table", function() local _ = s.discriminatedUnion {} end)
    mistake("expected a list of objects, got nothing", function() local _ = s.discriminatedUnion("type") end)
    mistake("expected 1 to 1024 values of 'type', got 0", function() local _ = s.discriminatedUnion("type", {}) end)
  end)
end)

describe("records", function()
  it("have names that fit", function()
    local scores = s.record(s.string():min(2), s.number())
    fits(scores, {}, { ab = 1 })
    assert.equal("a: must have at least 2 characters, has 1; a: expected a number, got a string (\"x\")",
      issues(scores, { a = "x" }))
    fits(s.record(s.union(s.enum("a"), s.string():startsWith("x-")), s.any()), { a = 1, ["x-b"] = 2 }, {})
    refuses(s.record(s.union(s.enum("a"), s.string():startsWith("x-")), s.any()), { b = 1 })
  end)

  it("have all names of an enum, and no other", function()
    local flags = s.record(s.enum("a", "b"), s.boolean())
    fits(flags, { a = true, b = false })
    assert.equal("c: is not allowed here, only a, b; b: is missing: expected a boolean",
      issues(flags, { a = true, c = true }))
  end)

  it("name mistakes", function()
    mistake("schema.record: names are strings: expected s.string(), an enum or a union, got s.number()", function()
      local _ = s.record(s.number(), s.any())
    end)
    mistake("schema.record: names are strings: the enum of the names has a number (1)", function()
      local _ = s.record(s.enum(1), s.any())
    end)
  end)
end)

describe("objects", function()
  local user = s.object { id = s.string(), name = s.string(), age = s.integer():optional() }

  it("are made of others by their fields", function()
    fits(user:pick { "id" }, { id = "1" })
    fits(user:pick { id = true }:strict(), { id = "1" })
    refuses(user:pick({ "id" }):strict(), { id = "1", name = "a" }, {})
    fits(user:omit { "name" }, { id = "1" })
    refuses(user:omit { "name" }, {})
    fits(user:partial(), {}, { id = "1" })
    refuses(user:partial(), { id = 1 })
    fits(user:partial { "name" }, { id = "1" })
    refuses(user:partial { "name" }, { name = "1" })
    refuses(user:required(), { id = "1", name = "a" })
    fits(user:required(), { id = "1", name = "a", age = 1 })
    fits(user:extend { id = s.number(), more = s.any() }, { id = 1, name = "a", more = 1 })
    refuses(user:extend { id = s.number() }, { id = "1", name = "a" })
    fits(user:extend(s.object { id = s.number() }), { id = 1, name = "a" })
    fits(user, { id = "1", name = "a" })
    refuses(user:strict():extend { a = s.any() }, { id = "1", name = "a", a = 1, b = 1 })
    fits(user:strict():passthrough(), { id = "1", name = "a", b = 1 })
  end)

  it("name mistakes", function()
    mistake("schema.pick: there is no field nam, only age, id, name", function() local _ = user:pick { "nam" } end)
    mistake("schema.omit: there is no field x", function() local _ = user:omit { x = true } end)
    mistake("schema.pick: expected a list of names, got a string", function() local _ = user:pick "id" end)
    mistake("schema.extend: field 'a' is a number (1): expected a schema", function()
      local _ = user:extend { a = 1 }
    end)
    mistake("schema.extend: expected a table of fields, got nothing", function() local _ = user:extend() end)
    mistake("schema.pick: this schema has a refine()", function()
      local _ = user:refine(function() return true end):pick { "id" }
    end)
  end)

  it("may have hundreds of fields, come in any order, and more than once", function()
    local fields, names = {}, {}
    for i = 1, 200 do
      names[i] = ("field%d"):format(i)
      fields[names[i]] = s.integer()
    end
    local schema = s.object(fields):strict()
    local function text(order, last)
      local parts = {}
      for i, name in ipairs(order) do
        parts[i] = ('"%s":%d'):format(name, i)
      end
      parts[#parts + 1] = last
      return setmetatable({}, { __json = function() return "{" .. table.concat(parts, ",") .. "}" end })
    end
    math.randomseed(7)
    for _ = 1, 20 do
      for i = #names, 2, -1 do
        local j = math.random(i)
        names[i], names[j] = names[j], names[i]
      end
      fits(schema, text(names), text(names, '"field7":8'))
      refuses(schema, text(names, '"field7":"x"'), text(names, '"x":1'))
      assert.matches("is missing: expected an integer", issues(schema, text { table.unpack(names, 2) }))
    end
  end)
end)
