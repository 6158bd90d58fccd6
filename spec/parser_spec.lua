-- weir.parser: text of database columns to Lua values, and what is said of text that does not fit.

local cli = require "support.cli"
local weir = require "weir"

local parser, null, array = weir.parser, weir.null, weir.json.array
local parse = parser.parse

--- The message of the error that a call raises, without the place.
local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, "nothing was raised")
  return (message:gsub("^[^ ]*:%d+: ", ""))
end

--- Values as they are in Lua: the kind of each number too.
local function is(expected, actual)
  assert.equal(math.type(expected) or type(expected), math.type(actual) or type(actual))
  assert.same(expected, actual)
end

local function refuses(kind, ...)
  for _, text in ipairs { ... } do
    local message = mistake(parse, text, kind)
    assert.matches("^weir%.parser: expected ", message)
    assert.matches("got ", message, 1, true)
  end
end

describe("weir.parser.parse", function()
  it("reads integers, exactly and up to the edges of their types", function()
    is(0, parse("0", "int2"))
    is(-32768, parse("-32768", "int2"))
    is(32767, parse("32767", "int2"))
    is(-2147483648, parse("-2147483648", "int4"))
    is(2147483647, parse("2147483647", "int4"))
    is(math.mininteger, parse("-9223372036854775808", "int8"))
    is(math.maxinteger, parse("9223372036854775807", "int8"))
    is(9007199254740993, parse("9007199254740993", "int8"))
    is(7, parse("007", "int4"))
  end)

  it("refuses integers that are none, or out of their range", function()
    refuses("int2", "-32769", "32768")
    refuses("int4", "-2147483649", "2147483648", "", " ", "1 ", "1.0", "1e3", "0x10", "1_000", "--1", "٣", "1\0")
    refuses("int8", "-9223372036854775809", "9223372036854775808", ("9"):rep(400))
    assert.equal('weir.parser: expected int2 (a whole number from -32768 to 32767), got "40000"',
      mistake(parse, "40000", "int2"))
  end)

  it("reads floats, as floats", function()
    for _, kind in ipairs { "float4", "float8" } do
      is(0.0, parse("0", kind))
      is(1.1754944e-38, parse("1.1754944e-38", kind))
      is(-3.4028235e38, parse("-3.4028235e38", kind))
      is(-1.797e308, parse("-1.797e+308", kind))
      is(0.5, parse(".5", kind))
      is(5.0, parse("5.", kind))
      is(math.huge, parse("Infinity", kind))
      is(-math.huge, parse("-Infinity", kind))
      local nan = parse("NaN", kind)
      assert.are_not.equal(nan, nan)
    end
  end)

  it("refuses floats that are none, or out of range", function()
    refuses("float8", "", ".", "e5", "1e", "1e5.5", "1.2.3", "nan", "inf", "0x1p4", "1 ", "1,5", "- 1", "1e400",
      "-1e400")
    assert.equal('weir.parser: expected float8 (a number, NaN, Infinity or -Infinity), got "1e400": it is out of range',
      mistake(parse, "1e400", "float8"))
  end)

  it("reads booleans", function()
    for text, value in pairs { t = true, ["true"] = true, f = false, ["false"] = false } do
      assert.equal(value, parse(text, "bool"))
    end
    refuses("bool", "", "T", "TRUE", "yes", "1", "tr")
  end)

  it("reads JSON", function()
    for _, kind in ipairs { "json", "jsonb" } do
      is(true, parse("true", kind))
      is(5, parse("5", kind))
      is("foo", parse('"foo"', kind))
      assert.equal(null, parse("null", kind))
      assert.same({ a = null }, parse('{"a":null}', kind))
      assert.same({ { a = 1, b = 2 }, { c = { { d = 5 } } } }, parse('[{"a":1,"b":2},{"c": [{"d": 5}]}]', kind))
      assert.equal("[]", weir.json.encode(parse("[]", kind)))
      refuses(kind, "", "{", "nope", "1 2", ("["):rep(100000))
    end
    assert.matches('got "{": invalid JSON at byte 2', mistake(parse, "{", "json"), 1, true)
  end)

  it("leaves what it has no parser for as it is", function()
    for _, kind in ipairs { "text", "numeric", "timestamptz", "uuid", "no such type" } do
      assert.equal("12.50", parse("12.50", kind))
    end
  end)

  it("takes numbers, booleans and decoded JSON that are no text any more", function()
    is(5, parse(5, "int4"))
    is(5, parse(5.0, "int4"))
    is(5.0, parse(5, "float8"))
    is(false, parse(false, "bool"))
    assert.same({ 1 }, parse({ 1 }, "jsonb"))
    is(3, parse(3, "text"))
    assert.matches("got 40000", mistake(parse, 40000, "int2"), 1, true)
    assert.matches("got 1.5", mistake(parse, 1.5, "int8"), 1, true)
    assert.matches("got a table", mistake(parse, {}, "int4"), 1, true)
    assert.matches("got true", mistake(parse, true, "float4"), 1, true)
    assert.matches("got 1", mistake(parse, 1, "bool"), 1, true)
  end)

  it("leaves null as it is, unless the column is not_null", function()
    for _, kind in ipairs { "int2", "int8", "bool", "float8", "json", "text" } do
      for _, dims in ipairs { 0, 1, 2 } do
        assert.equal(null, parse(null, { type = kind, dims = dims }))
        assert.is_nil(parse(nil, { type = kind, dims = dims }))
        assert.equal("weir.parser: the column does not allow NULL values",
          mistake(parse, null, { type = kind, dims = dims, not_null = true }))
      end
    end
    assert.equal("NULL", parse("NULL", { type = "text", not_null = true }))
  end)
end)

describe("arrays", function()
  it("hold values of their type, and NULL", function()
    assert.same({ 1, 2, 3, null }, parse("{1,2,3,NULL}", "int2[]"))
    assert.same({ math.maxinteger, null }, parse("{9223372036854775807,NULL}", "int8[]"))
    assert.same({ true, false, null }, parse("{t,f,NULL}", "bool[]"))
    assert.same({ math.huge, -math.huge, 1.5 }, parse("{Infinity,-Infinity,1.5}", "float8[]"))
    assert.same({ { a = null }, {} }, parse([[{"{\"a\":null}", "{}"}]], "json[]"))
    assert.same({ null }, parse("{null}", "json[]"))
    assert.same({ "null" }, parse("{null}", "text[]"))
    assert.equal("integer", math.type(parse("{1}", "int4[]")[1]))
  end)

  it("take apart quotes, escapes and white space between elements", function()
    assert.same({ "foo", "bar", "NULL", null }, parse([[{"foo","bar","NULL",NULL}]], "text[]"))
    assert.same({ "foo", "}" }, parse([[{foo,"}"}]], "text[]"))
    assert.same({ 'a"b', null }, parse([[{"a\"b",NULL}]], "text[]"))
    assert.same({ "a\\b", "", ",{ }", "é\n" }, parse('{"a\\\\b","",",{ }","é\n"}', "text[]"))
    assert.same({ "a b", "c", " d " }, parse('{ a b , c\t,\n" d " }', "text[]"))
    assert.same({ "it's", "a'b;c--" }, parse("{it's,a'b;c--}", "text[]"))
  end)

  it("nest", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, parse("{{1,2},{3,4}}", "int4[][]"))
    assert.same({ 1, 2, { 3, { null } } }, parse("{1,2,{3,{NULL}}}", "int4[]"))
    assert.same({ { true, false }, { false, true } }, parse("{{t,f}, {f,t}}", { type = "bool", dims = 2 }))
    assert.same({ { "foo" }, { "bar" } }, parse([[{{"foo"},{"bar"}}]], "text[][]"))
    assert.same({ { { { { { 1 } } } } } }, parse("{{{{{{1}}}}}}", "int4[]"))
  end)

  it("stay arrays when they are empty", function()
    assert.equal("[]", weir.json.encode(parse("{}", "int4[]")))
    assert.equal("[[],[]]", weir.json.encode(parse(" { { } ,{}} ", "int4[]")))
  end)

  it("may begin with their bounds", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, parse("[0:1][-2:-1]={{1,2},{3,4}}", "int4[][]"))
    refuses("int4[]", "[0:1]{1,2}", "[0:1]=", "[0:1]=1", "[:1]={1}", "[0:1")
  end)

  it("that are malformed are refused", function()
    refuses("int4[]", "", "1", "{", "}", "{1", "{1,", "{1,}", "{,}", "{1,,2}", "{1}}", "{1} 2", "{1 2}", "{1}{2}",
      "{{1}", "{{1}2}", "{x}", '{"1}', '{"1"', '{"1"2}', '{1"2"}', "{a\\b}", '{"1\\', "[1]", "NULL")
    assert.matches("{1,2\": it is not closed", mistake(parse, "{1,2", "int4[]"), 1, true)
    assert.matches(": an element is missing at byte 4", mistake(parse, "{1,,2}", "int4[]"), 1, true)
    assert.matches(": expected ',' or '}' at byte 5", mistake(parse, '{"a"b}', "text[]"), 1, true)
    assert.matches(": there is more behind it at byte 4", mistake(parse, "{1}x", "int4[]"), 1, true)
    assert.matches(": a quote is not closed", mistake(parse, '{"a', "text[]"), 1, true)
    assert.equal('weir.parser: expected an array of int2 ({...,...}), got "{1,70000}": the element "70000" is no int2 '
      .. "(a whole number from -32768 to 32767)", mistake(parse, "{1,70000}", "int2[]"))
    assert.matches("got a table", mistake(parse, { 1 }, "int4[]"), 1, true)
  end)

  it("are refused when they nest without end", function()
    assert.matches("nested deeper than 6 levels", mistake(parse, ("{"):rep(7) .. ("}"):rep(7), "int4[]"), 1, true)
    assert.matches("nested deeper than 6 levels", mistake(parse, ("{"):rep(1000000), "text[]"), 1, true)
  end)

  it("are read in a time that grows with their length only", function()
    local started = os.clock()
    assert.equal(200000, #parse("{" .. ("1,"):rep(199999) .. "1}", "int4[]"))
    refuses("text[]", '{"' .. ('\\"'):rep(500000), "{" .. ("a "):rep(500000), (" "):rep(1000000), "[1:2]"
      .. ("[1:2]"):rep(100000))
    assert.is_true(os.clock() - started < 20)
  end)

  it("of a not_null column do not hold NULL", function()
    assert.equal('weir.parser: column "a": expected an array of text ({...,...}), '
      .. 'got "{\\"a\\",\\"NULL\\",NULL}": it does not allow NULL values',
      mistake(parser.row, { a = '{"a","NULL",NULL}' }, { a = { type = "text", dims = 1, not_null = true } }))
  end)
end)

describe("weir.parser.row", function()
  it("reads the columns that are declared, in a new table", function()
    local row = { id = "7", done = "t", note = null, title = "Buy milk", tags = "{a}" }
    local parsed = parser.row(row, { id = "int8", done = "bool", note = "int4", tags = "text[]", missing = "int4" })
    assert.same({ id = 7, done = true, note = null, title = "Buy milk", tags = { "a" } }, parsed)
    assert.same({ id = "7", done = "t", note = null, title = "Buy milk", tags = "{a}" }, row)
  end)

  it("takes columns as Electric's header has them", function()
    local header = '{"id":{"type":"int4","not_null":true,"pk_index":0},"name":{"type":"varchar","max_length":9},'
      .. '"matrix":{"type":"float8","dims":2},"flags":{"type":"bool","dims":0}}'
    assert.same({ id = 1, name = "x", matrix = { { 1.5 } }, flags = true },
      parser.row({ id = "1", name = "x", matrix = "{{1.5}}", flags = "t" }, weir.json.decode(header)))
  end)

  it("gives back what is no row because there is none", function()
    assert.is_nil(parser.row(nil, { a = "int4" }))
    assert.equal(null, parser.row(null, { a = "int4" }))
    assert.same({}, parser.row({}, { a = { type = "int4", not_null = true } }))
    assert.equal("weir.parser: expected a row (a table of columns), got \"a\"",
      mistake(parser.row, "a", { a = "int4" }))
    assert.matches("got a table", mistake(parser.row, array { 1 }, { a = "int4" }), 1, true)
  end)

  it("names the column, the type and the text of the first mistake", function()
    assert.equal('weir.parser: column "b": expected int4 (a whole number from -2147483648 to 2147483647), got "x"',
      mistake(parser.row, { a = "1", b = "x", c = "y" }, { a = "int4", b = "int4", c = "int4" }))
    assert.equal('weir.parser: column "b" does not allow NULL values',
      mistake(parser.row, { b = null }, { b = { type = "int2", not_null = true } }))
    local _, message = pcall(function()
      parser.row({ a = "x" }, { a = "int4" })
    end)
    assert.matches("parser_spec.lua:%d+: weir%.parser: column", message)
  end)

  it("shows text so that it does no harm", function()
    local message = mistake(parser.row, { ["a\27[2J"] = "\27[31m\0" .. ("é"):rep(1000) }, { ["a\27[2J"] = "int4" })
    assert.is_nil(message:find "%c")
    assert.is_truthy(utf8.len(message))
    assert.matches("(2006 bytes)", message, 1, true)
    assert.is_true(#message < 250)
    assert.is_truthy(utf8.len(mistake(parse, "\xff\xfe", "int4")))
  end)
end)

describe("weir.parser.new", function()
  local function double(text, column)
    return text .. text .. (column.max_length or "")
  end

  it("makes a parser with functions of the user, in the place of those that are there, too", function()
    local p = parser.new {
      columns = { a = "twice", b = "twice[]", c = { type = "twice", max_length = 9 }, d = "int4", e = "int8" },
      parsers = { twice = double, int4 = function() return "mine" end },
    }
    assert.same({ a = "xx", b = { "yy", null }, c = "zz9", d = "mine", e = 5, f = "x", g = null },
      p:row { a = "x", b = "{y,NULL}", c = "z", d = "5", e = "5", f = "x", g = null })
    assert.equal("aa", p:parse("a", "twice"))
    assert.equal("a", parse("a", "twice"))
    assert.equal(5, parse("5", "int4"))
    assert.equal("aa", parser.new { parsers = { twice = double } }:parse("a", "twice"))
  end)

  it("takes nothing from a user's function for null", function()
    local p = parser.new { columns = { a = "nothing[]" }, parsers = { nothing = function() end } }
    assert.same({ a = { null, null } }, p:row { a = "{x,y}" })
  end)

  it("names what a user's function raises", function()
    local p = parser.new { columns = { a = "bad" }, parsers = { bad = function() error("no good", 0) end } }
    assert.equal('weir.parser: column "a": expected bad, got "x": its parser raised: no good',
      mistake(p.row, p, { a = "x" }))
    assert.matches('the element "x" is no bad: its parser raised: no good', mistake(p.parse, p, "{x}", "bad[]"), 1,
      true)
  end)

  it("says what is wrong with what it is given", function()
    local cases = {
      { nil, "weir.parser.new: expected { columns = ... }, got nil" },
      { { colums = {} }, "unknown option 'colums': expected columns or parsers" },
      { { columns = "x" }, 'columns: expected { name = type, ... }, got "x"' },
      { { columns = { a = 3 } }, "columns.a: expected a type (" },
      { { columns = { a = "" } }, "columns.a: expected a type (" },
      { { columns = { a = "[]" } }, "columns.a: expected a type (" },
      { { columns = { "int4" } }, "columns.1: expected names of columns" },
      { { columns = { a = {} } }, "columns.a: expected a type (" },
      { { columns = { a = { type = "int4", dims = -1 } } }, "columns.a: dims: expected a whole number from 0, got -1" },
      { { columns = { a = { type = "int4", dims = "1" } } }, 'dims: expected a whole number from 0, got "1"' },
      { { columns = { a = { type = "int4", not_null = 1 } } }, "columns.a: not_null: expected true or false, got 1" },
      { { parsers = { a = 1 } }, "parsers.a: expected a function, got 1" },
      { { parsers = true }, "parsers: expected { type = function, ... }, got true" },
    }
    for _, case in ipairs(cases) do
      assert.matches(case[2], mistake(parser.new, case[1]), 1, true)
    end
    assert.matches("weir.parser: expected a type", mistake(parse, "x"), 1, true)
    assert.matches("row: columns: expected", mistake(parser.row, {}), 1, true)
    local p = parser.new { columns = {} }
    assert.matches("row: called on a table, not on a parser", mistake(p.row, {}), 1, true)
    assert.matches("weir.parser: expected a type", mistake(p.parse, p, "x", 3), 1, true)
  end)

  it("is a Standard Schema, with an issue for each column", function()
    local p = parser.new { columns = { a = "int4", b = "bool", c = { type = "text", not_null = true } } }
    local face = p["~standard"]
    assert.equal(1, face.version)
    assert.equal("weir", face.vendor)
    assert.same({ value = { a = 1, b = true, c = "x" } }, face.validate { a = "1", b = "t", c = "x" })
    local issues = face.validate { a = "x", b = "y", c = null }.issues
    assert.same({ "a", "b", "c" }, { issues[1].path, issues[2].path, issues[3].path })
    assert.equal('column "b": expected bool ("t", "true", "f" or "false"), got "y"', issues[2].message)
    assert.equal("y", issues[2].value)
    assert.equal("expected a row (an object), got 3", face.validate(3).issues[1].message)
    assert.equal("expected a row (an object), got nil", face.validate(nil).issues[1].message)
  end)

  it("names 32 columns at most", function()
    local columns, row = {}, {}
    for i = 1, 100 do
      columns["c" .. i], row["c" .. i] = "int4", "x"
    end
    assert.equal(32, #parser.new { columns = columns }["~standard"].validate(row).issues)
  end)
end)

describe("a stream of rows", function()
  local SCRIPT = [[
    local weir = require "weir"
    local todos = weir.parser.new {
      columns = { id = "int8", done = { type = "bool", not_null = true }, tags = "text[]", price = "numeric" },
    }
    local stream = weir.stream {
      url = weir.env "EVENTS",
      schema = weir.defineStreamSchema { types = { todos = todos } },
      onInvalid = function(event, issues)
        print(event.key, issues[1].path, issues[1].message)
        return "skip"
      end,
    }
    stream:onChange("todos", function(_, event)
      print(event.operation, weir.json.encode(todos:row(event.new) or weir.null))
    end)
  ]]

  it("is read in a handler, and refused where it does not fit", function()
    local done = cli.script(SCRIPT, {
      args = { "--once" },
      events = cli.insert("todos", "1", [[{"id":"9007199254740993","done":"t","tags":"{a,NULL}","price":"1.50"}]])
        .. "\n" .. cli.insert("todos", "2", [[{"id":"2","done":null}]]) .. "\n"
        .. cli.insert("todos", "3", [[{"id":"three","done":"f"}]]) .. "\n"
        .. cli.change("todos", "1", "delete") .. "\n",
    })
    assert.equal(0, done.code, done.stderr)
    assert.equal('insert\t{"done":true,"id":9007199254740993,"price":"1.50","tags":["a",null]}\n'
      .. '2\tdone\tcolumn "done" does not allow NULL values\n'
      .. '3\tid\tcolumn "id": expected int8 (a whole number from -9223372036854775808 to 9223372036854775807), '
      .. 'got "three"\n'
      .. "delete\tnull\n", done.stdout)
    assert.matches('todos/2: value: done: column "done" does not allow NULL values', done.stderr, 1, true)
  end)
end)
