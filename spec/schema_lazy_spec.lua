-- weir.schema: schemas that are a part of themselves (s.lazy), and multiples.

local cli = require "support.cli"
local tmp = require "support.tmp"
local weir = require "weir"
local s = weir.schema
local array, json = weir.json.array, weir.json

--- "path: message" of each issue, joined; "" where the value fits.
local function issues(schema, value)
  local texts = {}
  for i, issue in ipairs(schema:safeParse(value).issues or {}) do
    texts[i] = issue.path .. ": " .. issue.message
  end
  return table.concat(texts, "; ")
end

local function mistake(text, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches(text, message, 1, true)
end

local function tree()
  local node
  node = s.object {
    name = s.string():min(1),
    children = s.array(s.lazy(function()
      return node
    end)):optional(),
  }
  return node
end

-- { name, children = { { name, children = ... } } }, so many levels deep.
local function deep(levels, name)
  local value = { name = name or "x" }
  for _ = 2, levels do
    value = { name = "x", children = array { value } }
  end
  return value
end

describe("s.lazy", function()
  it("lets a schema be a part of itself", function()
    local node = tree()
    assert.equal("", issues(node, { name = "a" }))
    assert.equal("", issues(node,
      { name = "a", children = array { { name = "b", children = array {} }, { name = "c" } } }))
    assert.equal('children[1].children[0].name: must have at least 1 character, has 0', issues(node,
      { name = "a", children = array { { name = "b" }, { name = "c", children = array { { name = "" } } } } }))
    assert.equal("children[0]: expected an object, got a number (1)",
      issues(node, { name = "a", children = array { 1 } }))
  end)

  it("goes as deep as values do", function()
    local node = tree()
    assert.equal("", issues(node, deep(490)))
    assert.matches("^children%[0%]%.children%[0%].*: must have at least 1 character, has 0$",
      issues(node, deep(490, "")))
  end)

  it("lets schemas be parts of each other", function()
    local expression
    local sum = s.object { kind = s.literal("sum"), of = s.array(s.lazy(function()
      return expression
    end)):min(2) }
    local number = s.object { kind = s.literal("number"), value = s.number() }
    expression = s.discriminatedUnion("kind", { sum, number })
    local one = { kind = "number", value = 1 }
    assert.equal("", issues(expression,
      { kind = "sum", of = array { one, { kind = "sum", of = array { one, one } } } }))
    assert.equal('of[1].kind: must be one of "sum", "number", got "product"',
      issues(expression, { kind = "sum", of = array { one, { kind = "product" } } }))
    assert.equal("of: must have at least 2 items, has 1", issues(expression, { kind = "sum", of = array { one } }))
  end)

  it("takes whatever is JSON, by a union of itself", function()
    local value
    local inside = s.lazy(function()
      return value
    end)
    value = s.union(s.string(), s.number(), s.boolean(), s.null(), s.array(inside), s.record(inside))
    assert.equal("", issues(value, json.decode '{"a":[1,"x",null,{"b":[[[]]]}],"c":true}'))
    local text = ("["):rep(990) .. ("]"):rep(990)
    assert.equal("", issues(value, json.decode(text)))
    local strict
    strict = s.union(s.string(), s.array(s.lazy(function()
      return strict
    end)))
    assert.equal("[1][0]: expected a string or an array, got a number (7)", issues(strict, array { "a", array { 7 } }))
  end)

  it("is optional, nullable and described as any other, or as what it stands for is", function()
    local node
    node = s.object {
      next = s.lazy(function()
        return node:nullable():optional()
      end),
      also = s.lazy(function()
        return node
      end):optional():describe("one more"),
    }
    assert.equal("", issues(node, {}))
    assert.equal("", issues(node, { next = weir.null, also = { next = {} } }))
    assert.equal("also: expected an object, got null", issues(node, { also = weir.null }))
    assert.equal("next: expected an object or null, got a number (1)", issues(node, { next = 1 }))
  end)

  it("is settled by Lua where what it stands for has to be", function()
    local node
    node = s.object {
      size = s.integer():default(1),
      parts = s.array(s.lazy(function()
        return node
      end)):optional(),
    }:refine(function(value)
      return value.size < 10
    end, "is too large")
    local result = node:parse { parts = array { {}, { parts = array { { size = 3 } } } } }
    local parts = result.parts
    assert.same({ 1, 1, 1, 3 }, { result.size, parts[1].size, parts[2].size, parts[2].parts[1].size })
    assert.equal("parts[0].parts[0]: is too large",
      issues(node, { parts = array { { parts = array { { size = 10 } } } } }))
  end)

  it("may have a default before it is whole, which is checked where it is taken", function()
    local node
    node = s.object {
      kids = s.array(s.lazy(function()
        return node
      end)):default(array {}),
    }
    assert.equal('{"kids":[{"kids":[]}]}', json.encode(node:parse { kids = array { {} } }))
    local wrong
    wrong = s.object { next = s.lazy(function()
      return wrong
    end):default(1) }
    assert.equal("next: its default expected an object, got a number (1)", issues(wrong, {}))
  end)

  it("says what is wrong with its function", function()
    mistake("schema.lazy: expected a function that returns a schema, got a string", s.lazy, "node")
    mistake("schema.lazy: the function returned nothing: expected a schema; one that is a part of itself needs its " ..
      "`local` in a line before it", function()
      local node = s.object { next = s.lazy(function()
        return node -- luacheck: ignore
      end) }
      node:safeParse {}
    end)
    mistake("expected a schema", function()
      s.lazy(function()
        return 1
      end):safeParse {}
    end)
    mistake("no luck", function()
      s.lazy(function()
        error "no luck"
      end):safeParse {}
    end)
  end)

  it("refuses what has no end", function()
    local itself
    itself = s.lazy(function()
      return itself
    end)
    mistake("a lazy schema stands for itself: put it inside an object or an array", itself.safeParse, itself, 1)
    local option
    option = s.union(s.string(), s.lazy(function()
      return option
    end))
    mistake("a lazy schema stands for itself", option.parse, option, 1)
    local function new()
      return s.object { next = s.lazy(new):optional() }
    end
    local endless = new()
    mistake("let what is lazy give the same schema each time", endless.parse, endless, {})
  end)

  it("goes to JSON Schema and back", function()
    local back = s.fromJsonSchema(tree():toJsonSchema())
    assert.equal('{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"children":{"items":' ..
      '{"$ref":"#"},"type":"array"},"name":{"minLength":1,"type":"string"}},"required":["name"],"type":"object"}',
      json.encode(tree():toJsonSchema()))
    assert.equal("children[0].name: must have at least 1 character, has 0",
      issues(back, { name = "a", children = array { { name = "" } } }))
    local inner = s.object { root = tree(), more = s.lazy(tree):optional() }
    local described = inner:toJsonSchema()
    assert.matches("^#/%$defs/schema[12]$", described.properties.root.properties.children.items["$ref"])
    assert.equal("root.children[0].name: is missing: expected a string",
      issues(s.fromJsonSchema(described), { root = { name = "a", children = array { json.decode "{}" } } }))
  end)

  it("comes from JSON Schemas that refer to themselves", function()
    local list = s.fromJsonSchema {
      ["$ref"] = "#/$defs/list",
      ["$defs"] = {
        list = { anyOf = { { type = "null" }, { type = "object", required = { "tail" },
          properties = { head = { type = "integer" }, tail = { ["$ref"] = "#/$defs/list" } } } } },
      },
    }
    assert.equal("", issues(list, { head = 1, tail = { head = 2, tail = weir.null } }))
    assert.equal("tail.tail: is missing: expected an object or null", issues(list, { tail = { head = 1 } }))
    mistake("'$ref': one leads back to itself", s.fromJsonSchema, { ["$ref"] = "#" })
    local node = s.fromJsonSchema { type = "object",
      properties = { kids = { type = "array", items = { ["$ref"] = "#" }, default = array {} } } }
    assert.equal('{"kids":[{"kids":[]}]}', json.encode(node:parse { kids = array { {} } }))
  end)

  it("comes from JSON Schemas whose options refer to what holds them", function()
    local reference = { ["$ref"] = "#/$defs/expression" }
    local sum = s.fromJsonSchema {
      ["$ref"] = "#/$defs/sum",
      ["$defs"] = {
        expression = { oneOf = { { ["$ref"] = "#/$defs/sum" }, { ["$ref"] = "#/$defs/one" } } },
        sum = { type = "object", required = { "kind", "left" },
          properties = { kind = { const = "sum" }, left = reference, right = reference } },
        one = { type = "object", required = { "kind" }, properties = { kind = { const = "one" } } },
      },
    }
    local one = { kind = "one" }
    assert.equal("", issues(sum, { kind = "sum", left = { kind = "sum", left = one }, right = one }))
    assert.matches('^left%.left%.kind: must be one of ".-", ".-", got "two"$',
      issues(sum, { kind = "sum", left = { kind = "sum", left = { kind = "two" } } }))
  end)

  it("checks the events of a stream, without Lua, and is written down for the editor", function()
    local dir = tmp.dir()
    local script = tmp.write(dir .. "/tree.lua", [[
      local weir = require "weir"
      local s = weir.schema
      local node
      node = s.object { name = s.string(), children = s.array(s.lazy(function() return node end)):optional() }
      weir.stream { url = "tree.jsonl", onInvalid = "skip",
        schema = weir.defineStreamSchema { types = { nodes = node } } }:onChange(function(_, event) print(event) end)
    ]])
    local events = tmp.write(dir .. "/tree.jsonl", [[
{"type":"nodes","key":"1","value":{"name":"a","children":[{"name":"b"}]},"headers":{"operation":"insert"}}
{"type":"nodes","key":"2","value":{"name":"a","children":[{"children":[]}]},"headers":{"operation":"insert"}}
]])
    local done = cli.run({ "run", script, "--once" }, { cwd = dir })
    assert.equal("insert nodes/1\n", done.stdout)
    assert.matches("line 2 .*nodes/2: value: children%[0%]%.name: is missing: expected a string", done.stderr)
    done = cli.run { "state", events, "--schema", script }
    assert.matches("^weir: [^\n]*line 2 [^\n]*is missing: expected a string\n$", done.stderr)
    assert.matches("@field children? tree.nodes[]", cli.run({ "types", script }).stdout, 1, true)
  end)
end)

describe("multipleOf", function()
  local function number(factor, text)
    return s.number():multipleOf(factor):safeParse(json.decode(text)).success
  end

  it("is exact in decimal", function()
    for _, case in ipairs {
      { 0.1, "0.3" }, { 0.1, "1e20" }, { 0.01, "1.13" }, { 0.01, "4.35" }, { 0.05, "19.95" }, { 3, "9" }, { 3, "-9" },
      { 3, "0" }, { 3, "0.0" }, { 3, "-0" }, { 3, "6.0" }, { 3, "0.3e1" }, { 10, "1e3" }, { 2.5, "7.5" },
      { 1e-7, "0.0000003" },      { 9223372036854775807, "9223372036854775807" }, { 1e300, "2e300" },
      { 64, "1e6" }, { 7, "70000000000000000000000000000000000000" }, { 1 << 62, "1e63" },
    } do
      assert.is_true(number(case[1], case[2]), case[2] .. " of " .. case[1])
    end
    for _, case in ipairs {
      { 0.1, "0.35" }, { 0.01, "1.005" }, { 3, "10" }, { 3, "9.5" }, { 3, "0.1" }, { 10, "1e0" }, { 2.5, "7" },
      { 3, "1e400" },      { 9223372036854775807, "9223372036854775806" }, { 64, "1e5" },
      { 1 << 62, "1e61" },
    } do
      assert.is_false(number(case[1], case[2]), case[2] .. " of " .. case[1])
    end
  end)

  it("goes with other rules, and is named", function()
    local price = s.number():multipleOf(0.01):min(0)
    assert.equal("", issues(price, 4.35))
    assert.equal(": must be a multiple of 0.01, is 4.355", issues(price, 4.355))
    assert.equal(": must be at least 0, is -1.5", issues(price, -1.5))
    assert.equal(": must be a multiple of 15, is 20", issues(s.integer():multipleOf(15), 20))
    assert.equal("", issues(s.integer():multipleOf(15), 30.0))
    assert.equal(": expected a number, got a string (\"1\")", issues(price, "1"))
  end)

  it("takes a number above 0", function()
    for _, factor in ipairs { 0, -1, math.huge, 0 / 0, "2" } do
      mistake("schema.multipleOf: expected a number", s.number().multipleOf, s.number(), factor)
    end
    mistake("string schemas have no multipleOf()", s.string().multipleOf, s.string(), 1)
  end)

  it("goes to JSON Schema and back", function()
    assert.equal(0.05, s.number():multipleOf(0.05):toJsonSchema().multipleOf)
    assert.equal(": must be a multiple of 2, is 3", issues(s.fromJsonSchema { type = "integer", multipleOf = 2 }, 3))
    mistake("schema.fromJsonSchema: #: expected a number above 0", s.fromJsonSchema,
      { type = "number", multipleOf = 0 })
  end)
end)
