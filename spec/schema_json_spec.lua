-- JSON Schema (draft 2020-12) from and to weir.schema: what each kind becomes, what is refused by its name and place,
-- and random schemas that have to check random values as they do after the way there and back.

local weir = require "weir"
local s = weir.schema
local array, decode, encode, null = weir.json.array, weir.json.decode, weir.json.encode, weir.null

local function body_of(schema)
  local json = schema:toJsonSchema()
  assert.equal("https://json-schema.org/draft/2020-12/schema", json["$schema"])
  json["$schema"] = nil
  return encode(json)
end

local function fits(schema, value)
  return schema:safeParse(value).success
end

local function read(text)
  return s.fromJsonSchema(decode(text))
end

-- schema, its JSON Schema
local BOTH = {
  { s.string(), '{"type":"string"}' },
  { s.string():min(1):max(3), '{"maxLength":3,"minLength":1,"type":"string"}' },
  { s.email(), '{"format":"email","type":"string"}' },
  { s.datetime(), '{"format":"date-time","type":"string"}' },
  { s.url(), '{"format":"uri","type":"string"}' },
  { s.uuid(), '{"format":"uuid","type":"string"}' },
  { s.uuid():url(), '{"allOf":[{"format":"uuid"}],"format":"uri","type":"string"}' },
  { s.string():startsWith("a.b"), [[{"pattern":"^a\\.b","type":"string"}]] },
  { s.string():endsWith("$"), [[{"pattern":"\\$$","type":"string"}]] },
  { s.string():includes("x"), '{"pattern":"x","type":"string"}' },
  { s.string():pattern("^%d+$"), '{"pattern":"^[0-9]+$","type":"string","x-lua-pattern":"^%d+$"}' },
  { s.string():pattern("a"):includes("b"),
    '{"allOf":[{"pattern":"a","x-lua-pattern":"a"},{"pattern":"b"}],"type":"string"}' },
  { s.number():min(1):max(2.5), '{"maximum":2.5,"minimum":1,"type":"number"}' },
  { s.integer():gt(1):lt(9), '{"exclusiveMaximum":9,"exclusiveMinimum":1,"type":"integer"}' },
  { s.boolean(), '{"type":"boolean"}' },
  { s.null(), '{"type":"null"}' },
  { s.any(), "{}" },
  { s.literal("a"), '{"const":"a","type":"string"}' },
  { s.literal(false), '{"const":false,"type":"boolean"}' },
  { s.enum("a", 1, null), '{"enum":["a",1,null]}' },
  { s.enum(1, 2.5), '{"enum":[1,2.5],"type":"number"}' },
  { s.string():nullable(), '{"anyOf":[{"type":"string"},{"type":"null"}]}' },
  { s.string():describe("x"), '{"description":"x","type":"string"}' },
  { s.array(s.number()):min(1):max(2), '{"items":{"type":"number"},"maxItems":2,"minItems":1,"type":"array"}' },
  { s.tuple(s.number(), s.any():optional()),
    '{"items":false,"minItems":1,"prefixItems":[{"type":"number"},{}],"type":"array"}' },
  { s.tuple(s.number()):rest(s.string()),
    '{"items":{"type":"string"},"minItems":1,"prefixItems":[{"type":"number"}],"type":"array"}' },
  { s.object { a = s.string(), b = s.any():optional() },
    '{"properties":{"a":{"type":"string"},"b":{}},"required":["a"],"type":"object"}' },
  { s.object({}):strict(), '{"additionalProperties":false,"properties":{},"type":"object"}' },
  { s.record(s.number()), '{"additionalProperties":{"type":"number"},"type":"object"}' },
  { s.record(s.string():min(2), s.any()),
    '{"additionalProperties":{},"propertyNames":{"minLength":2,"type":"string"},"type":"object"}' },
  { s.union(s.string(), s.number()), '{"anyOf":[{"type":"string"},{"type":"number"}]}' },
  { s.discriminatedUnion("k", { s.object { k = s.literal(1) }, s.object { k = s.literal(2) } }),
    '{"oneOf":[{"properties":{"k":{"const":1,"type":"number"}},"required":["k"],"type":"object"},' ..
    '{"properties":{"k":{"const":2,"type":"number"}},"required":["k"],"type":"object"}]}' },
  { s.object { a = s.string():default("x") },
    '{"properties":{"a":{"default":"x","type":"string"}},"type":"object"}' },
}

describe("toJsonSchema", function()
  for _, case in ipairs(BOTH) do
    it("gives " .. case[2], function()
      assert.equal(case[2], body_of(case[1]))
      -- There and back is the same.
      assert.equal(case[2], body_of(read(case[2])))
    end)
  end

  it("leaves out what cannot be said", function()
    assert.equal('{"type":"string"}', body_of(s.string():refine(print)))
    assert.equal('{"properties":{"a":{}},"type":"object"}', body_of(s.object { a = s.any():default(print) }:strip()))
    assert.equal('{"type":"number"}', body_of(s.number():min(-math.huge):max(math.huge)))
  end)

  it("refuses what has no counterpart, by its place", function()
    local function refused(schema)
      local ok, message = pcall(schema.toJsonSchema, schema)
      assert.is_false(ok)
      return message
    end
    assert.matches("schema.toJsonSchema: value.a[]: the pattern \"%b()\" has no counterpart in JSON Schema: '%b'",
      refused(s.object { a = s.array(s.string():pattern("%b()")) }), 1, true)
    assert.matches("value[1]: the pattern \"%f[a]\" has no counterpart", refused(s.tuple(s.any(),
      s.string():pattern("%f[a]"))), 1, true)
    assert.matches("value.x: a schema by other has no counterpart", refused(s.object {
      x = { ["~standard"] = { version = 1, vendor = "other", validate = print } },
    }), 1, true)
  end)
end)

describe("fromJsonSchema", function()
  it("takes what other tools write", function()
    local schema = read [[{
      "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/user", "title": "User",
      "description": "somebody", "type": "object", "$comment": "-", "examples": [],
      "properties": {
        "id": {"type": "integer", "minimum": 1}, "name": {"type": ["string", "null"], "minLength": 1},
        "code": {"type": "string", "pattern": "^[A-Z]{2,3}$"}, "any": true, "home": {"$ref": "#/$defs/address"},
        "work": {"$ref": "#/$defs/address", "description": "office"}, "kind": {"enum": ["a", "b"]},
        "size": {"type": ["integer", "string"], "minimum": 2, "maxLength": 2},
        "list": {"type": "array"}, "pair": {"type": "array", "prefixItems": [{"type": "string"}]},
        "one": {"allOf": [{"type": "number"}]}, "role": {"type": "string", "enum": ["x", 1], "default": "x"},
        "alt": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}
      },
      "required": ["id", "other"],
      "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}}, "required": ["street"]}}
    }]]
    local function ok(text)
      return fits(schema, decode(text))
    end
    assert.equal("somebody", schema.description)
    assert.is_true(ok '{"id":1,"other":null}')
    assert.equal("x", schema:parse({ id = 1, other = 1 }).role)
    local good = { '"name":null', '"name":"x"', '"code":"AB"', '"code":"ABC"', '"any":[]', '"home":{"street":"x"}',
      '"work":{"street":"x"}', '"kind":"b"', '"size":2', '"size":"ab"', '"list":[1]', '"pair":[]', '"pair":["a",1]',
      '"one":1', '"role":"x"', '"alt":null', '"alt":1' }
    local bad = { '"name":""', '"name":1', '"code":"A"', '"code":"ABCD"', '"code":"Ab"', '"home":{}', '"work":1',
      '"kind":"c"', '"size":1', '"size":"abc"', '"size":2.5', '"list":{}', '"pair":[1]', '"one":"x"', '"role":1',
      '"alt":true' }
    for _, member in ipairs(good) do
      assert.is_true(ok(('{"id":1,"other":1,%s}'):format(member)), member)
    end
    for _, member in ipairs(bad) do
      assert.is_false(ok(('{"id":1,"other":1,%s}'):format(member)), member)
    end
    assert.is_false(ok '{"id":0,"other":1}')
    assert.is_false(ok '{"id":1}')
  end)

  it("takes the rest, too", function()
    assert.is_true(fits(read '{"type":"object","additionalProperties":true,"properties":{"a":{}}}', { b = 1 }))
    assert.is_true(fits(read '{"type":"object","propertyNames":{"enum":["a","b"]}}', { a = 1 }))
    assert.is_false(fits(read '{"type":"object","propertyNames":{"enum":["a","b"]}}', { c = 1 }))
    assert.is_true(fits(read '{"anyOf":[{"type":"null"}]}', null))
    assert.is_true(fits(read '{"type":"array","prefixItems":[{}],"maxItems":1}', { 1 }))
    assert.is_false(fits(read '{"type":"array","prefixItems":[{}],"maxItems":1}', { 1, 2 }))
    assert.is_true(fits(s.fromJsonSchema(true), 1))
    assert.is_true(fits(read '{"properties":{"a":{"$ref":"#/properties/b"},"b":{"type":"number"}},"type":"object"}',
      { a = 1 }))
    assert.is_true(fits(read '{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"number"}}}', 1))
    assert.is_true(fits(read '{"$ref":"#/$defs/l/1","$defs":{"l":[{},{"type":"number"}]}}', 1))
  end)

  local REFUSED = {
    { '{"type":"array","uniqueItems":true}', "#: 'uniqueItems' is not supported beside 'type'" },
    { '{"type":"object","properties":{"a/b":{"uniqueItems":true,"type":"array"}}}',
      "#/properties/a~1b: 'uniqueItems' is not supported beside 'type'" },
    { '{"type":"number","multipleOf":0}', "#: expected a number above 0, got a number (0)" },
    { '{"type":"number","multipleOf":"1"}', "#: 'multipleOf': expected a number, got a string" },
    { '{"minLength":1}', "#: 'minLength' is not supported without a 'type'" },
    { '{"type":"object","patternProperties":{}}', "'patternProperties' is not supported" },
    { '{"not":{}}', "'not' is not supported" },
    { '{"if":{}}', "'if' is not supported" },
    { '{"type":"array","contains":{}}', "'contains' is not supported" },
    { '{"type":"array","items":{"type":"object","dependentRequired":{}}}', "#/items: 'dependentRequired' is not" },
    { '{"type":"object","unevaluatedProperties":false}', "'unevaluatedProperties' is not supported" },
    { '{"type":"object","minProperties":1}', "'minProperties' is not supported" },
    { '{"type":"string","format":"ipv4"}', '#: the format a string is not supported' },
    { '{"type":"string","pattern":"a|b"}', "#: the pattern \"a|b\" cannot be a Lua pattern: '|' is not supported" },
    { '{"type":"string","pattern":"(ab)+"}', "a repeated group is not supported" },
    { '{"type":"string","pattern":"(?=a)"}', "'(?=' is not supported" },
    { '{"type":"string","pattern":"\\\\bx"}', "'\\b' is not supported" },
    { '{"type":"string","pattern":"(a"}', "a '(' without its ')' is not supported" },
    { '{"type":"string","pattern":"^xa{1,50}$"}', "'{1,50}' is not supported" },
    { '{"$ref":"#"}', "#: '$ref': one leads back to itself without an object or an array on the way" },
    { '{"$ref":"#/$defs/x"}', "'$ref': there is no #/$defs/x" },
    { '{"$ref":"http://x"}', "'$ref': only places in the same schema" },
    { '{"$dynamicRef":"#x"}', "'$dynamicRef' is not supported" },
    { '{"type":"text"}', "#: 'type': a string is no type" },
    { '{"type":"string","minLength":-1}', "'minLength': expected a whole number from 0" },
    { '{"type":"string","minLength":3,"maxLength":2}', "#: 2 is below the min of 3" },
    { '{"type":"number","minimum":"1"}', "'minimum': expected a number, got a string" },
    { '{"type":"number","minimum":1,"exclusiveMinimum":1}', "'minimum' beside 'exclusiveMinimum'" },
    { '{"const":[1]}', "'const': arrays and objects as values" },
    { '{"type":"string","enum":[1]}', "there is no value that fits" },
    { '{"oneOf":[{"type":"string"},{"type":"string","minLength":1}]}', "#: 'oneOf' is supported only where" },
    { '{"oneOf":[{"type":"integer"},{"type":"number"}]}', "#: 'oneOf' is supported only where" },
    { '{"allOf":[{"type":"string"},{"type":"string"}]}', "'allOf' is supported only" },
    { '{"type":"string","allOf":[{"not":{}}]}', "#/allOf/0: 'not' is not supported inside 'allOf'" },
    { '{"type":"object","properties":{"a":{}},"additionalProperties":{}}', "'additionalProperties' with a schema" },
    { '{"type":"object","properties":{"a":false}}', "#/properties/a: false, which nothing fits" },
    { '{"$schema":"http://json-schema.org/draft-07/schema#"}', "'$schema': only draft 2020-12" },
    { '{"type":"string","anyOf":[{}]}', "'anyOf' is not supported beside 'type'" },
    { '{"type":"array","prefixItems":[{}],"maxItems":2}', "'maxItems' beside 'prefixItems'" },
    { '{"type":"string","default":1}', "#: the value does not fit" },
    { "[1]", "#: expected a JSON Schema, got a table" },
    { '"x"', "#: expected a JSON Schema, got a string" },
  }
  for _, case in ipairs(REFUSED) do
    it("refuses " .. case[1], function()
      local ok, message = pcall(s.fromJsonSchema, decode(case[1]))
      assert.is_false(ok)
      assert.matches("schema.fromJsonSchema: #", message, 1, true)
      assert.matches(case[2], message, 1, true)
    end)
  end

  it("refuses what is nested too deep", function()
    local deep = { type = "string" }
    for _ = 1, 150 do
      deep = { type = "array", items = deep }
    end
    local ok, message = pcall(s.fromJsonSchema, deep)
    assert.is_false(ok)
    assert.matches("is nested deeper than 100 levels", message, 1, true)
  end)
end)

describe("patterns", function()
  local TEXTS = { "", "a", "A", "ab", "abc", "a1", "1", "12", "123", "a b", "a.b", "a-b", "a_b", "\n", "a\nb", "ä",
    "aä", "äöü", "x@y", "(a)", "[", "]", "\\", "/", "^", "$", "aaa", "AB12", "\0", "\x7f", "}{", "€", "😀" }

  it("find the same as expressions that were made of them, and back", function()
    local patterns = { "a", "^a", "a$", "^a$", "%a", "^%a+$", "%d%d", "^[a-c]*$", "[^a]", "%u%l*", "^%w?$", "a.b",
      "a-b", "^.-b", "%.", "[%w_]+", "[]]", "[^]]", "[a-]", "(a)(b)", "%p", "%c", "%s", "[%D]", "^$", "", "^%W+$",
      "%x%x", "$a", "[%]]", "a+b?c*", "ä", "^ä", "%%" }
    for _, pattern in ipairs(patterns) do
      local exact = s.string():pattern(pattern)
      local json = exact:toJsonSchema()
      json["x-lua-pattern"] = nil
      local again = s.fromJsonSchema(json)
      for _, text in ipairs(TEXTS) do
        local ascii = not text:find "[\x80-\xff]"
        if ascii or not pattern:find "[%[%%.]" then
          assert.equal(fits(exact, text), fits(again, text), ("%s as %s: %q"):format(pattern, json.pattern, text))
        end
      end
    end
  end)

  it("of expressions count characters", function()
    local function matched(regex, text)
      return fits(s.fromJsonSchema { type = "string", pattern = regex }, text)
    end
    local good = { { "^.$", "ä" }, { "^.{2}$", "ä€" }, { "^[^a]$", "😀" }, { "^\\w{3}$", "a_1" }, { "^a{2,4}$", "aaa" },
      { "^\\S+$", "äb" }, { "\\d{2,}", "a123" }, { "^[\\w.-]+@x$", "a.b-c@x" }, { "^\\u0041\\x42$", "AB" },
      { "^[a-f0-9]{8}$", "00ff00ff" }, { "a+?", "a" }, { "^\\/$", "/" }, { "^a{0,1}$", "" } }
    local bad = { { "^.$", "äb" }, { "^.$", "\n" }, { "^.{2}$", "ä" }, { "^[^a]$", "a" }, { "^[^a]$", "😀x" },
      { "^\\w{3}$", "a_" }, { "^a{2,4}$", "aaaaa" }, { "\\d{2,}", "1a2" }, { "^[a-f0-9]{8}$", "00ff00f" } }
    for _, case in ipairs(good) do
      assert.is_true(matched(case[1], case[2]), case[1] .. " " .. case[2])
    end
    for _, case in ipairs(bad) do
      assert.is_false(matched(case[1], case[2]), case[1] .. " " .. case[2])
    end
  end)
end)

describe("random schemas", function()
  local random = math.random
  local NAMES = { "a", "b", "id", "name", "x y", "ä", "a_very_long_name_of_more_than_thirty_two_bytes" }

  local function pick(list)
    return list[random(#list)]
  end

  local TEXTS = { "", "a", "ab", "abc", "ä", "äö", "a@b.co", "2024-05-01T10:00:00Z", "http://a", weir.uuid(), "\n\"",
    "x-1" }
  local NUMBERS = { 0, 1, -1, 2, 3, 0.5, 2.5, 1e3, -7, math.maxinteger, math.mininteger, 2.0 ^ 53, 1e300, 10, 100 }

  local function scalar()
    local kinds = {
      function() return s.string() end,
      function() return s.string():min(random(0, 2)) end,
      function() return s.string():max(random(0, 3)) end,
      function() return s.string():startsWith(pick(TEXTS):sub(1, 1):gsub("[\x80-\xff]", "a")) end,
      function() return s.string():endsWith("b"):includes("a") end,
      function() return s.string():pattern(pick { "^%l*$", "%d", "^.?$", "[^a]" }) end,
      s.email, s.datetime, s.url, s.uuid, s.number, s.integer, s.boolean, s.any, s.null,
      function() return s.number():min(random(-2, 2)) end,
      function() return s.integer():gt(random(-2, 2)):lt(random(2, 5)) end,
      function() return s.number():gt(random() * 2):max(random(3, 9)) end,
      function() return s.enum(pick(TEXTS), pick(NUMBERS), pick { true, false }, null) end,
      function() return s.literal(pick(TEXTS)) end,
    }
    return pick(kinds)()
  end

  local function any_schema(depth)
    local made
    local roll = depth > 0 and random(9) or 1
    local function inner()
      return any_schema(depth - 1)
    end
    if roll <= 2 then
      made = scalar()
    elseif roll == 3 then
      made = s.array(inner())
      made = random(2) == 1 and made:min(random(0, 2)) or made:max(random(0, 3))
    elseif roll == 4 then
      made = s.tuple(inner(), random(2) == 1 and inner():optional() or inner())
      made = random(2) == 1 and made:rest(inner()) or made
    elseif roll <= 6 then
      local fields = {}
      for _ = 1, random(0, 4) do
        fields[pick(NAMES)] = random(3) == 1 and inner():optional() or inner()
      end
      made = s.object(fields)
      made = random(2) == 1 and made:strict() or made
    elseif roll == 7 then
      made = random(2) == 1 and s.record(inner()) or s.record(s.string():max(2), inner())
    elseif roll == 8 then
      made = s.union(inner(), inner(), inner())
    else
      made = s.discriminatedUnion("id", {
        s.object { id = s.literal("a"), name = inner() },
        s.object { id = s.enum("ab", 1), a = inner():optional() }:strict(),
      })
    end
    return random(6) == 1 and made:nullable() or made
  end

  local function any_value(depth)
    local roll = depth > 0 and random(8) or random(4)
    if roll == 1 then
      return pick(TEXTS)
    elseif roll == 2 then
      return pick(NUMBERS)
    elseif roll == 3 then
      return pick { true, false, null }
    elseif roll == 4 then
      return random(2) == 1 and array {} or {}
    end
    local value = {}
    for i = 1, random(0, 3) do
      value[roll <= 5 and i or pick(NAMES)] = any_value(depth - 1)
    end
    return roll <= 5 and array(value) or value
  end

  -- A value that mostly fits, made from the schema.
  local function value_for(schema, depth)
    local def = rawget(schema, "_def")
    local kind = def.kind
    if depth == 0 or random(12) == 1 then
      return any_value(2)
    elseif kind == "string" then
      return pick(TEXTS)
    elseif kind == "number" or kind == "integer" then
      return pick(NUMBERS)
    elseif kind == "enum" then
      return pick(def.values)
    elseif kind == "array" then
      local value = {}
      for i = 1, random(0, 3) do
        value[i] = value_for(def.item, depth - 1)
      end
      return array(value)
    elseif kind == "tuple" then
      local value = {}
      for i, option in ipairs(def.options) do
        value[i] = value_for(option, depth - 1)
      end
      return array(value)
    elseif kind == "object" then
      local value = {}
      for name, field in pairs(def.fields) do
        if not rawget(field, "_def").optional or random(2) == 1 then
          value[name] = value_for(field, depth - 1)
        end
      end
      return value
    elseif kind == "record" then
      return { [pick(NAMES)] = value_for(def.item, depth - 1) }
    elseif kind == "union" or kind == "tagged" then
      return value_for(pick(def.options), depth - 1)
    end
    return any_value(1)
  end

  it("check as they do after the way to JSON Schema and back", function()
    local seed = tonumber(os.getenv "WEIR_SEED" or "") or 20240501
    local accepted, total = 0, 0
    math.randomseed(seed)
    for round = 1, 400 do
      local schema = any_schema(3)
      local text = encode(schema:toJsonSchema())
      local again = s.fromJsonSchema(decode(text))
      for _ = 1, 25 do
        local value = value_for(schema, 5)
        local first, second = fits(schema, value), fits(again, value)
        if first ~= second then
          error(("seed %d, round %d: %s: %s: %s, then %s"):format(seed, round, text, encode(value), first, second))
        end
        total = total + 1
        accepted = accepted + (first and 1 or 0)
      end
    end
    assert.is_true(accepted > total / 10 and accepted < total * 9 / 10, accepted .. " of " .. total)
  end)
end)
