-- weir.json and weir.null: JSON text to Lua values and back.

local weir = require "weir"
local json, null = weir.json, weir.null

local function raises(expected, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "expected an error: " .. expected)
  assert.are.equal(expected, message)
end

local function hooked(f)
  return setmetatable({}, { __json = f })
end

describe("weir.null", function()
  it("is equal to itself only, and true", function()
    assert.are.equal(null, weir.null)
    assert.are.equal(null, json.decode "null")
    assert.are_not.equal(null, nil)
    assert.are_not.equal(null, false)
    assert.is_true(null and true)
  end)

  it("has a name", function()
    assert.are.equal("null", tostring(null))
    assert.are.equal("userdata", type(null))
    assert.are.equal("weir.null", getmetatable(null).__name)
  end)

  it("can be a key and a value of a table", function()
    local t = { [null] = 1, a = null }
    assert.are.equal(1, t[json.decode("[null]")[1]])
    assert.are.same({ a = null }, json.decode '{"a":null}')
  end)
end)

describe("weir.json.decode", function()
  it("keeps integers of 64 bits as integers", function()
    for _, text in ipairs { "0", "1", "-1", "42", "9223372036854775807", "-9223372036854775808",
                            "999999999999999999", "9007199254740993" } do
      local value = json.decode(text)
      assert.are.equal("integer", math.type(value))
      assert.are.equal(text, tostring(value))
    end
  end)

  it("makes floats of all other numbers", function()
    local rows = {
      ["9223372036854775808"] = 2 ^ 63, ["-9223372036854775809"] = -2 ^ 63,
      ["18446744073709551615"] = 2 ^ 64, ["12345678901234567890"] = 12345678901234567890.0,
      ["99999999999999999999"] = 1e20, ["100000000000000000000000"] = 1e23,
      ["1.0"] = 1.0, ["1.5"] = 1.5, ["-0.25"] = -0.25, ["1e5"] = 1e5, ["1E+2"] = 100.0,
      ["1e-2"] = 0.01, ["0.1"] = 0.1, ["123456789.125"] = 123456789.125, ["1e400"] = math.huge,
      ["-1e400"] = -math.huge, ["1e-400"] = 0.0, ["5e-324"] = 5e-324,
      ["2.2250738585072011e-308"] = 2.2250738585072011e-308,
      ["1.7976931348623157e308"] = 1.7976931348623157e308,
      ["0.000000000000001"] = 1e-15, ["99999999999999.9"] = 99999999999999.9,
      ["999999999999999.9"] = 999999999999999.9,
    }
    for text, expected in pairs(rows) do
      local value = json.decode(text)
      assert.are.equal("float", math.type(value), text)
      assert.are.equal(expected, value, text)
      assert.are.equal(-expected, json.decode(("-" .. text):gsub("^%-%-", "")), text)
    end
    assert.are.equal(-math.huge, 1 / json.decode "-0")
    assert.are.equal(-math.huge, 1 / json.decode "-0.0")
  end)

  it("reads floats as Lua does", function()
    math.randomseed(20240607)
    for _ = 1, 20000 do
      local digits = math.random(1, 17)
      local number = math.random() * 10 ^ math.random(0, digits)
      local text = ("%%.%df"):format(math.random(1, digits)):format(number)
      assert.are.equal(tonumber(text), json.decode(text))
      text = ("%.*g"):gsub("%*", digits):format(math.random() * 10.0 ^ math.random(-300, 300))
      assert.are.equal(tonumber(text), json.decode(text))
    end
  end)

  it("reads numbers of any length", function()
    assert.are.equal(1.0, json.decode("1." .. ("0"):rep(100000)))
    assert.are.equal(0.1, json.decode("0.1" .. ("0"):rep(62)))
    assert.are.equal(math.huge, json.decode(("9"):rep(100000)))
    assert.are.equal(1 / 3, json.decode("0." .. ("3"):rep(500)))
    assert.are.equal(1 / 3, json.decode("[0." .. ("3"):rep(61) .. "]")[1])
  end)

  it("reads strings", function()
    local rows = {
      ['""'] = "", ['"a"'] = "a", ['"\\"\\\\\\/\\b\\f\\n\\r\\t"'] = '"\\/\b\f\n\r\t',
      ['"\\u0000"'] = "\0", ['"a\\u0041\\u00e9\\u20ac"'] = "aA\u{e9}\u{20ac}",
      ['"\\ud83d\\ude00"'] = "\u{1f600}", ['"\\ud800"'] = "\xed\xa0\x80", ['"\u{1f600}"'] = "\u{1f600}",
      ['"\\\\"'] = "\\", ['"\\\\\\""'] = '\\"',
    }
    for text, expected in pairs(rows) do
      assert.are.equal(expected, json.decode(text))
      assert.are.same({ [expected] = { expected } }, json.decode("{" .. text .. ":[" .. text .. "]}"))
    end
    local long = ("x"):rep(100000)
    assert.are.equal(long .. "\n" .. long, json.decode('"' .. long .. "\\n" .. long .. '"'))
  end)

  it("reads arrays and objects", function()
    assert.are.same({}, json.decode "[]")
    assert.are.same({}, json.decode " { } ")
    assert.are.same({ 1, "two", { three = true }, false, {} },
      json.decode '[ 1 , "two" , {"three" : true}, false,[ ]]')
    assert.are.same({ a = { b = { c = { 1, { d = {} } } } }, e = 2 },
      json.decode '{"a":{"b":{"c":[1,{"d":{}}]}},"e":2}')
    assert.are.same({ [""] = 1, ["a b"] = 2, ["1"] = 3 }, json.decode '{"":1,"a b":2,"1":3}')
    local many = {}
    for i = 1, 1000 do
      many[i] = i
    end
    assert.are.same(many, json.decode("[" .. table.concat(many, " , ") .. "]"))
  end)

  it("takes the last of two members with one name", function()
    assert.are.same({ a = 2 }, json.decode '{"a":1,"a":2}')
    assert.are.same({ a = 2 }, json.decode '{"a":{"b":1},"\\u0061":2}')
  end)

  it("gives arrays that behave as tables do", function()
    local t = json.decode "[10,20,30]"
    assert.are.equal(3, #t)
    assert.are.equal("10 20 30", table.concat(t, " "))
    local sum, count = 0, 0
    for i, v in ipairs(t) do
      sum = sum + i * v
    end
    for _ in pairs(t) do
      count = count + 1
    end
    assert.are.equal(140, sum)
    assert.are.equal(3, count)
    assert.are.equal("weir.array", getmetatable(t).__name)
    assert.is_nil(getmetatable(json.decode "{}"))
  end)

  it("takes 1000 levels and no more", function()
    local deep = ("["):rep(1000) .. ("]"):rep(1000)
    assert.are.equal(deep, json.encode(json.decode(deep)))
    local objects = ('{"a":'):rep(999) .. "{}" .. ("}"):rep(999)
    assert.are.equal(objects, json.encode(json.decode(objects)))
    raises("invalid JSON at byte 1001: nested deeper than 1000 levels, found '['",
      json.decode, "[" .. deep .. "]")
    assert.has_error(function() json.decode(("["):rep(1000000)) end)
    assert.has_error(function() json.decode(('{"a":'):rep(1000000)) end)
  end)

  it("names the byte that is wrong", function()
    raises("invalid JSON at byte 1: expected a value, found nothing", json.decode, "")
    raises("invalid JSON at byte 4: expected a value, found ']'", json.decode, "[1,]")
    raises("invalid JSON at byte 6: expected ':' behind a member name, found '1'", json.decode, '{"a" 1}')
    raises("invalid JSON at byte 5: the text ends in the middle of a value", json.decode, "[1,2")
    raises("invalid JSON at byte 3: expected the end of the text, found '2'", json.decode, "1 2")
    raises("invalid JSON at byte 2: invalid UTF-8, found byte 0xff", json.decode, '"\xff"')
    raises("invalid JSON at byte 2: a control character in a string must be escaped, found byte 0x00",
      json.decode, '"\0"')
    assert.has_error(function() json.decode() end)
    assert.has_error(function() json.decode {} end)
  end)
end)

describe("weir.json.encode", function()
  it("writes scalars", function()
    assert.are.equal("null", json.encode(null))
    assert.are.equal("true", json.encode(true))
    assert.are.equal("false", json.encode(false))
    assert.are.equal("0", json.encode(0))
    assert.are.equal("-7", json.encode(-7))
    assert.are.equal("9223372036854775807", json.encode(math.maxinteger))
    assert.are.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.are.equal('"a\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\u{e9}\u{1f600}\\ud800"',
      json.encode 'a"\\/\b\f\n\r\t\0\x1f\x7f\u{e9}\u{1f600}\xed\xa0\x80')
  end)

  it("writes floats so that they come back as the same floats", function()
    local rows = {
      [1.0] = "1.0", [-2.0] = "-2.0", [0.1] = "0.1", [1 / 3] = "0.3333333333333333", [1e15] = "1e+15",
      [123456789012345.0] = "123456789012345.0", [2 ^ 53] = "9007199254740992.0", [1e300] = "1e+300",
      [0.1 + 0.2] = "0.30000000000000004", [1e-7] = "1e-07", [100.5] = "100.5",
    }
    for number, text in pairs(rows) do
      -- Where such a float is a table's key, Lua makes an integer of it.
      assert.are.equal(text, json.encode(number + 0.0))
    end
    assert.are.equal("-0.0", json.encode(-0.0))
    math.randomseed(20240608)
    for _ = 1, 20000 do
      local number = string.unpack("d", string.pack("i8", math.random(0)))
      if number == number and math.abs(number) < math.huge then
        local back = json.decode(json.encode(number))
        assert.are.equal(number, back)
        assert.are.equal("float", math.type(back))
      end
    end
  end)

  it("writes arrays and objects", function()
    assert.are.equal("{}", json.encode {})
    assert.are.equal("[]", json.encode(json.array()))
    assert.are.equal("[1,2,3]", json.encode { 1, 2, 3 })
    assert.are.equal('[[],{},[[1]],{"a":[]}]',
      json.encode { json.array(), {}, { { 1 } }, { a = json.array {} } })
    assert.are.equal('{"a":[1,{"b":null}],"c":{"d":{}}}',
      json.encode { c = { d = {} }, a = { 1, { b = null } } })
  end)

  it("writes members in byte order of their names", function()
    assert.are.equal('{"":0,"A":1,"B":2,"a":3,"a b":4,"aa":5,"b":6,"\u{e9}":7}',
      json.encode { ["\u{e9}"] = 7, b = 6, aa = 5, ["a b"] = 4, a = 3, B = 2, A = 1, [""] = 0 })
    local many, names = {}, {}
    for i = 1, 1000 do
      local name = ("n%d"):format(i * 7919 % 1000)
      many[name], names[i] = i, name
    end
    table.sort(names)
    local parts = {}
    for i, name in ipairs(names) do
      parts[i] = ('"%s":%d'):format(name, many[name])
    end
    assert.are.equal("{" .. table.concat(parts, ",") .. "}", json.encode(many))
  end)

  it("gives back what was decoded", function()
    for _, text in ipairs { "[]", "{}", "[[],{}]", '{"a":[],"b":{},"c":[null,true,1,1.5,"x"]}', '"\\ud800"',
                            "[1,1.0,-0.0,10000000000]" } do
      assert.are.equal(text, json.encode(json.decode(text)))
    end
  end)

  it("names the path to what cannot be written", function()
    local cannot = " cannot be written as JSON"
    raises("value.items[3].name: a function" .. cannot, json.encode, { items = { 1, 2, { name = print } } })
    raises("value: a thread" .. cannot, json.encode, coroutine.create(print))
    raises("value[1]: a userdata" .. cannot, json.encode, { io.stdout })
    raises("value: nil" .. cannot .. " (weir.null can)", json.encode, nil)
    raises("value.a: JSON has no number for nan", json.encode, { a = 0 / 0 })
    raises("value.a: JSON has no number for infinity", json.encode, { a = 1 / 0 })
    raises("value[2]: JSON has no number for infinity", json.encode, { 1, -1 / 0 })
    raises('value["a b"]["1"]: a function' .. cannot, json.encode, { ["a b"] = { ["1"] = print } })
    raises("value.a: byte 3 of a string is not UTF-8", json.encode, { a = "ab\xff" })
    assert.has_error(function() json.encode { ["\xff"] = 1 } end)
    assert.has_error(function() json.encode() end)
  end)

  it("refuses tables that are neither arrays nor objects", function()
    local gap = "value: an array must have the keys 1, 2, 3... without a gap (weir.null fills one)"
    raises(gap, json.encode, { 1, nil, 3 })
    raises(gap, json.encode, { [2] = 1 })
    raises(gap, json.encode, { [0] = 1 })
    raises(gap, json.encode, { [-1] = 1 })
    raises(gap, json.encode, { [1 << 40] = 1 })
    raises(gap, json.encode, json.array { 1, nil, 3 })
    local other = "value: an array with keys other than 1, 2, 3... cannot be written as JSON"
    raises(other, json.encode, { 1, 2, x = 3 })
    raises(other, json.encode, json.array { x = 3 })
    for _, value in ipairs { { [true] = 1 }, { [1.5] = 1 }, { [print] = 1 }, { [null] = 1 } } do
      raises("value: an object with keys other than strings cannot be written as JSON", json.encode, value)
    end
  end)

  it("refuses tables that contain themselves, and says where", function()
    local t = {}
    t.self = t
    raises("value.self: a table that contains itself cannot be written as JSON (it is value again)",
      json.encode, t)
    local inner = { { y = {} } }
    inner[1].y.z = inner
    raises("value.x[1].y.z: a table that contains itself cannot be written as JSON (it is value.x again)",
      json.encode, { x = inner })
    local shared = { 1 }
    assert.are.equal("[[1],[1]]", json.encode { shared, shared })
    local deep = {}
    for _ = 1, 1000 do
      deep = { deep }
    end
    assert.has_error(function() json.encode(deep) end)
    assert.are.equal('{"a":' .. ("["):rep(998) .. "{}" .. ("]"):rep(998) .. "}",
      json.encode { a = deep[1][1] })
  end)

  it("writes what __json returns", function()
    assert.are.equal('{"a":[1, 2],"b":1}',
      json.encode { a = hooked(function() return " [1, 2]\n" end), b = 1 })
    local point = setmetatable({ x = 1 }, { __json = function(self) return ('"x=%d"'):format(self.x) end })
    assert.are.equal('"x=1"', json.encode(point))
    assert.are.equal('[{"z":"[1]"}]', json.encode { hooked(function()
      return json.encode { z = json.encode { 1 } }
    end) })
    raises("value.a: its __json must return JSON text", json.encode, { a = hooked(function() return 1 end) })
    raises("value.a: its __json must return JSON text", json.encode, { a = hooked(function() end) })
    raises("value: its __json is not a function", json.encode, hooked(true))
    raises("value[1]: its __json returned text that is not JSON: byte 4: expected the end of the text",
      json.encode, { hooked(function() return "{} x" end) })
    raises("value: its __json returned text that is not JSON: byte 1: the text ends in the middle of a value",
      json.encode, hooked(function() return "" end))
    local deep = ("["):rep(1000) .. ("]"):rep(1000)
    assert.are.equal(deep, json.encode(hooked(function() return deep end)))
    assert.has_error(function() json.encode { hooked(function() return deep end) } end)
  end)

  it("passes on the errors of __json", function()
    local reason = {}
    local ok, raised = pcall(json.encode, { 1, a = nil, [2] = hooked(function() error(reason) end) })
    assert.is_false(ok)
    assert.are.equal(reason, raised)
    assert.are.equal("[1]", json.encode { 1 })
    local wrapped = coroutine.wrap(function()
      return pcall(json.encode, hooked(function() coroutine.yield() end))
    end)
    assert.is_false(wrapped())
  end)

  it("stays whole where __json changes what is being written", function()
    local t = {}
    t.a = hooked(function()
      for name in pairs(t) do
        t[name] = nil
      end
      collectgarbage()
      return "1"
    end)
    for i = 1, 100 do
      t["a long name, longer than the forty bytes of short strings " .. i] = i
    end
    assert.has_error(function() json.encode(t) end)
    local list = { 0, 2, 3 }
    list[1] = hooked(function()
      for i = 4, 100 do
        list[i] = i
      end
      return "1"
    end)
    assert.are.equal("[1,2,3]", json.encode(list))
    local endless
    endless = hooked(function() return json.encode { endless } end)
    assert.has_error(function() json.encode(endless) end)
    assert.are.equal("[1]", json.encode { 1 })
  end)

  it("does not run metamethods of what it writes", function()
    local t = setmetatable({ a = 1 }, {
      __index = function() error "no" end,
      __pairs = function() error "no" end,
      __len = function() error "no" end,
    })
    assert.are.equal('{"a":1}', json.encode(t))
  end)

  it("writes large objects", function()
    local t, count = {}, 200000
    for i = 1, count do
      t["n" .. i] = i
    end
    local back = json.decode(json.encode(t))
    for i = 1, count do
      assert(back["n" .. i] == i)
    end
  end)
end)

describe("weir.json.array", function()
  it("marks a table and returns it", function()
    local t = { 1, 2 }
    assert.are.equal(t, json.array(t))
    assert.are.equal(t, json.array(t))
    assert.are.equal("[1,2]", json.encode(t))
    assert.are.equal("weir.array", getmetatable(t).__name)
    assert.are.equal("[]", json.encode(json.array(nil)))
    assert.are_not.equal(json.array(), json.array())
  end)

  it("leaves a table alone that has another metatable", function()
    local meta = {}
    local t = setmetatable({}, meta)
    assert.has_error(function() json.array(t) end)
    assert.are.equal(meta, getmetatable(t))
    assert.has_error(function() json.array(1) end)
    assert.has_error(function() json.array(null) end)
  end)
end)
