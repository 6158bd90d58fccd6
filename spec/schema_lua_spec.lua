-- weir.schema: what Lua does to a value (default, strip, refine, schemas of others), by itself and in a stream.

local cli = require "support.cli"
local weir = require "weir"
local s = weir.schema
local array, encode, null = weir.json.array, weir.json.encode, weir.null

--- "path: message" of each issue, joined; "" where the value fits. And the data.
local function issues(schema, value)
  local result = schema:safeParse(value)
  local texts = {}
  for i, issue in ipairs(result.issues or {}) do
    texts[i] = issue.path .. ": " .. issue.message
  end
  return table.concat(texts, "; "), result.data
end

local function gives(expected, schema, value)
  assert.equal(expected, encode(schema:parse(value)))
end

local function mistake(text, fn)
  local ok, message = pcall(fn)
  assert.is_false(ok)
  assert.matches("^[^\n]*schema_lua_spec%.lua:%d+: ", message)
  assert.matches(text, message, 1, true)
end

--- A schema of another library: strings, given back in upper case.
local upper = {
  ["~standard"] = {
    version = 1,
    vendor = "other",
    validate = function(value)
      if type(value) == "string" then
        return { value = value:upper() }
      end
      return { issues = { { message = "no text", path = { "deep", { key = 2 } } } } }
    end,
  },
}

describe("default", function()
  it("is there where nothing is", function()
    local user = s.object { role = s.string():default("guest"), tags = s.array(s.string()):default(array {}) }
    gives('{"role":"guest","tags":[]}', user, {})
    gives('{"role":"admin","tags":["a"]}', user, { role = "admin", tags = { "a" } })
    gives('"x"', s.string():default("x"), nil)
    gives('{"a":{"b":1}}', s.object { a = s.object { b = s.integer():default(1) }:default {} }, {})
    gives('[{"b":1}]', s.array(s.object { b = s.integer():default(1) }), { {} })
    gives('["a",2]', s.tuple(s.string(), s.integer():default(2)), { "a" })
    gives('{"x":{"b":1}}', s.record(s.object { b = s.integer():default(1) }), { x = {} })
    gives('{"a":false}', s.object { a = s.boolean():default(false) }, {})
    gives('{"a":null}', s.object { a = s.string():nullable():default("x") }, { a = null })
    gives('{"a":"x"}', s.object { a = s.string():optional():default("x") }, {})
    gives('{"a":"x"}', s.object { a = s.string():default("x") }:partial(), {})
  end)

  it("is a value of its own each time", function()
    local list = s.object { tags = s.array(s.string()):default { "a" } }
    local one, two = list:parse {}, list:parse {}
    one.tags[1] = "b"
    assert.equal("a", two.tags[1])
    local count = 0
    local counted = s.object { n = s.integer():default(function()
      count = count + 1
      return count
    end) }
    gives('{"n":1}', counted, {})
    gives('{"n":2}', counted, {})
    gives('{"n":7}', counted, { n = 7 })
    assert.equal(2, count)
  end)

  it("leaves the value that was given as it is", function()
    local value = { inner = {}, list = { {} } }
    local inner = s.object { a = s.integer():default(1) }
    local schema = s.object { inner = inner, list = s.array(inner) }
    gives('{"inner":{"a":1},"list":[{"a":1}]}', schema, value)
    assert.same({ inner = {}, list = { {} } }, value)
    local full = { inner = { a = 2 }, list = array { { a = 3 } } }
    assert.equal(full, schema:parse(full))
  end)

  it("has to fit", function()
    mistake("schema.default: the value does not fit: expected a string, got a number (1)", function()
      local _ = s.string():default(1)
    end)
    mistake("schema.default: expected a value", function() local _ = s.string():default() end)
    assert.equal("a: its default expected a string, got a number (1)",
      (issues(s.object { a = s.string():default(function() return 1 end) }, {})))
    assert.equal("a: is missing, and its default gave nothing",
      (issues(s.object { a = s.string():default(function() end) }, {})))
    assert.equal("a: its default must have at least 2 characters, has 1",
      (issues(s.object { a = s.string():default("x"):min(2) }, {})))
  end)
end)

describe("strip", function()
  it("leaves out what is no field", function()
    local user = s.object { id = s.string(), inner = s.object { a = s.any() }:strip():optional() }
    gives('{"id":"1"}', user:strip(), { id = "1", x = 1 })
    gives('{"id":"1","x":1}', user, { id = "1", x = 1 })
    gives('{"id":"1","inner":{"a":1},"x":2}', user, { id = "1", inner = { a = 1, b = 2 }, x = 2 })
    gives('{"id":"1","x":1}', user:strip():passthrough(), { id = "1", x = 1 })
    assert.is_false(user:strip():strict():safeParse({ id = "1", x = 1 }).success)
    gives('{"id":"1"}', user:strict():strip(), { id = "1", x = 1 })
  end)

  it("is that of the option that fits", function()
    local either = s.union(s.object { a = s.string() }:strip(), s.object { b = s.number() }:strip())
    gives('{"a":"x"}', either, { a = "x", b = 1 })
    gives('{"b":1}', either, { a = 1, b = 1 })
    local tagged = s.discriminatedUnion("k", {
      s.object { k = s.literal(1), n = s.integer():default(5) }, s.object { k = s.literal("2") }:strip(),
    })
    gives('{"k":1,"n":5,"x":1}', tagged, { k = 1, x = 1 })
    gives('{"k":1.0,"n":5}', tagged, { k = 1.0 })
    gives('{"k":"2"}', tagged, { k = "2", x = 1 })
  end)
end)

describe("refine", function()
  it("asks a function about what fits", function()
    local seen = {}
    local even = s.integer():refine(function(value)
      seen[#seen + 1] = value
      return value % 2 == 0
    end, "must be even")
    assert.equal("", (issues(even, 2)))
    assert.equal(": must be even", (issues(even, 3)))
    assert.equal(": expected an integer, got a string (\"x\")", (issues(even, "x")))
    assert.same({ 2, 3 }, seen)
    assert.equal(": was refused by refine()", (issues(s.any():refine(function() end), 1)))
    assert.equal("[1]: must be even; [2]: must be even", (issues(s.array(even), { 2, 3, 5 })))
  end)

  it("may say what and where", function()
    local form = s.object { password = s.string(), again = s.string(), more = s.array(s.any()):optional() }
    local function same(value)
      return value.password == value.again
    end
    local value = { password = "a", again = "b" }
    local matching = form:refine(same, { message = "do not match", path = { "again" } })
    assert.equal("again: do not match", (issues(matching, value)))
    assert.equal("more[0].x: says so", (issues(form:refine(function()
      return false, "says so", { "more", 0, "x" }
    end), value)))
    assert.equal(": a and b", (issues(form:refine(same, { message = function(refused)
      return refused.password .. " and " .. refused.again
    end }), value)))
    local result = s.object { form = form:refine(same) }["~standard"].validate { form = value }
    assert.same({ "form" }, result.issues[1].path)
    assert.equal(value, result.issues[1].value)
  end)

  it("asks all functions, but none about a value whose parts were refused", function()
    local calls = 0
    local function no()
      calls = calls + 1
      return false
    end
    assert.equal(": one; : two", (issues(s.string():refine(no, "one"):refine(no, "two"), "x")))
    assert.equal("a: inner", (issues(s.object { a = s.string():refine(no, "inner") }:refine(no, "outer"), { a = "x" })))
    assert.equal(3, calls)
  end)

  it("is asked about null and nothing only where it came after nullable and optional", function()
    local function no()
      return false
    end
    assert.equal("", (issues(s.string():refine(no):nullable():optional(), null)))
    assert.equal("", (issues(s.object { a = s.string():refine(no):optional() }, {})))
    assert.equal(": no", (issues(s.string():nullable():refine(no, "no"), null)))
    assert.equal("a: no", (issues(s.object { a = s.string():optional():refine(no, "no") }, {})))
    assert.equal(": no", (issues(s.any():refine(no, "no"), null)))
  end)

  it("sees what default and strip made", function()
    local seen
    local schema = s.object { a = s.integer():default(1) }:strip():refine(function(value)
      seen = encode(value)
      return true
    end)
    gives('{"a":1}', schema, { b = 2 })
    assert.equal('{"a":1}', seen)
  end)

  it("decides which option of a union fits", function()
    local either = s.union(s.integer():refine(function(n) return n > 10 end, "too small"):default(3), s.literal(1))
    gives("11", either, 11)
    gives("1", either, 1)
    assert.equal(": too small", (issues(either, 2)))
  end)

  it("raises what the function raises", function()
    local schema = s.any():refine(function() error("broken", 0) end)
    assert.same({ false, "broken" }, { pcall(schema.safeParse, schema, 1) })
    mistake("schema.refine: expected a function, got a string", function() local _ = s.any():refine("x") end)
    mistake("schema.refine: expected a message", function() local _ = s.any():refine(print, 1) end)
  end)

  it("reports at most 32 issues", function()
    local list = {}
    for i = 1, 100 do
      list[i] = i
    end
    assert.equal(32, #s.array(s.any():refine(function() return false end)):safeParse(list).issues)
  end)
end)

describe("a schema of another library", function()
  it("can be a part of weir's", function()
    local schema = s.object { name = upper, list = s.array(upper):optional() }
    gives('{"list":["A"],"name":"ADA"}', schema, { name = "ada", list = { "a" } })
    assert.equal("name.deep[2]: no text", (issues(schema, { name = 1 })))
    assert.equal("list[1].deep[2]: no text; name.deep[2]: no text", (issues(schema, { list = { "a", 1 } })))
    gives('{"a":"X"}', s.record(upper), { a = "x" })
    gives('["X",1]', s.tuple(upper, s.number()), { "x", 1 })
    gives('1', s.union(upper, s.number()), 1)
    gives('"A"', s.union(s.number(), upper), "a")
    gives('{"name":"X"}', s.object { id = s.any() }:pick {}:extend { name = upper }, { name = "x" })
  end)

  it("decides itself about what is missing", function()
    local maybe = { ["~standard"] = { version = 1, vendor = "other", validate = function(value)
      return { value = value == nil and "none" or value }
    end } }
    gives('{"a":"none"}', s.object { a = maybe }, {})
    gives('{"a":1}', s.object { a = maybe }, { a = 1 })
    gives('{"a":null}', s.object { a = maybe }, { a = null })
  end)

  it("has issues with any path", function()
    local function with(path)
      return s.object { a = { ["~standard"] = { version = 1, vendor = "o", validate = function()
        return { issues = { { message = "m", path = path } } }
      end } } }
    end
    local cases = { [""] = "a", ["x.y[3]"] = "a.x.y[3]", ["[0].b"] = "a[0].b" }
    for path, expected in pairs(cases) do
      assert.equal(expected .. ": m", (issues(with(path), {})))
    end
    assert.equal('a["x y"]: m', (issues(with { "x y" }, {})))
    assert.equal("a[1].b: m", (issues(with { 1, "b" }, {})))
    assert.equal("a: m", (issues(with(nil), {})))
    local wrong = s.object { a = { ["~standard"] = { version = 1, vendor = "o", validate = function() end } } }
    local ok, message = pcall(wrong.safeParse, wrong, {})
    assert.is_false(ok)
    assert.matches("the validate() of a schema by o returned nothing: expected a table", message, 1, true)
    mistake("field 'a' is a table: expected a schema", function()
      local _ = s.object { a = { ["~standard"] = {} } }
    end)
  end)
end)

describe("in a stream", function()
  local SCRIPT = [[
    local weir = require "weir"
    local s = weir.schema
    local user = s.object {
      name = s.string(),
      role = s.string():default("guest"),
      tags = s.array(s.string()):default(weir.json.array {}),
    }:strip():refine(function(value)
      return value.name ~= "mallory", "is not welcome", { "name" }
    end)
    local stream = weir.stream {
      url = weir.env "EVENTS",
      schema = weir.defineStreamSchema { types = { users = user, plain = s.object { a = s.number() }, other = s.object {
        up = { ["~standard"] = { version = 1, vendor = "o", validate = function(value)
          if type(value) ~= "string" then return { issues = { { message = "no text" } } } end
          return { value = value:upper() }
        end } },
      } } },
      onInvalid = function(event, issues)
        for _, issue in ipairs(issues) do print("invalid", event.key, issue.path, issue.message) end
        return "skip"
      end,
    }
    stream:validate("users", function(event)
      return not event.new or event.new.role ~= "boss", "no boss"
    end)
    stream:onChange(function(state, event)
      print(event.operation, weir.json.encode(event.value or weir.null), weir.json.encode(event.new or weir.null),
        weir.json.encode(state:get(event.type, event.key) or weir.null))
    end)
  ]]

  it("what default and strip make of a value is stored, and handlers see it", function()
    local done = cli.script(SCRIPT, {
      args = { "--once" },
      events = table.concat({
        cli.insert("users", "1", '{"name":"ada","x":1}'),
        cli.insert("users", "2", '{"name":"mallory"}'),
        cli.insert("users", "3", '{"name":3}'),
        cli.insert("users", "4", '{"name":"b","role":"boss"}'),
        cli.insert("users", "5", '{ "name" : "c" , "role" : "x" , "tags" : [] }'),
        cli.change("users", "1", "patch", '{"role":null,"y":2,"name":"Ada"}'),
        cli.insert("plain", "1", '{"a":1.50}'),
        cli.insert("other", "1", '{"up":"x"}'),
        cli.insert("other", "2", '{"up":1}'),
        cli.change("users", "1", "delete"),
      }, "\n") .. "\n",
    })
    assert.equal(0, done.code, done.stderr)
    assert.equal(table.concat({
      'insert\t{"name":"ada","x":1}\t{"name":"ada","role":"guest","tags":[]}\t{"name":"ada","role":"guest","tags":[]}',
      "invalid\t2\tname\tis not welcome",
      'invalid\t3\tname\texpected a string, got a number (3)',
      "invalid\t4\t\tno boss",
      -- What was complete is stored as it came.
      'insert' .. ('\t{"name":"c","role":"x","tags":[]}'):rep(2) .. '\t{ "name" : "c" , "role" : "x" , "tags" : [] }',
      'patch\t{"role":null,"y":2,"name":"Ada"}' .. ('\t{"name":"Ada","role":"guest","tags":[]}'):rep(2),
      'insert\t{"a":1.50}\t{"a":1.50}\t{"a":1.50}',
      'insert\t{"up":"x"}\t{"up":"x"}\t{"up":"x"}',
      "invalid\t2\tup\tno text",
      "delete\tnull\tnull\tnull",
    }, "\n") .. "\n", done.stdout)
    assert.matches("users/2: value: name: is not welcome", done.stderr, 1, true)
  end)

  it("weir state says that it cannot ask them", function()
    local tmp = require "support.tmp"
    local dir = tmp.dir()
    tmp.write(dir .. "/s.lua", SCRIPT)
    tmp.write(dir .. "/e.jsonl", cli.insert("users", "1", "{}") .. "\n")
    local done = cli.run({ "state", "e.jsonl", "--schema", "s.lua" }, { cwd = dir })
    assert.equal(1, done.code)
    assert.matches("has a refine, default, strip or a part of another library: only weir run can check it", done.stderr,
      1, true)
  end)
end)
