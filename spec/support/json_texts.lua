-- Texts that are JSON by RFC 8259, and texts that are not, made production by production. Not JSON:
-- json_texts.invalid(); JSON: json_texts.valid(). Each is a list of {name = what it tries, text = the bytes}.
--
-- Containers are nested up to `depth` levels, and one deeper where that must be refused.

local json_texts = {}

local DEPTH = 1000 -- weir's limit

local SPACES = {" ", "\t", "\n", "\r"}
local OFFSETS = 70 -- strings are looked at in blocks of up to 64 bytes: what is odd stands everywhere in one

local function adder()
  local list = {}
  return list, function(name, text)
    list[#list + 1] = {name = name, text = text}
  end
end

local function quoted(inside)
  return '"' .. inside .. '"'
end

-- Every way to choose one of each list, joined.
local function products(lists, use)
  local function choose(i, text)
    if i > #lists then
      return use(text)
    end
    for _, part in ipairs(lists[i]) do
      choose(i + 1, text .. part)
    end
  end
  choose(1, "")
end

local function utf8_bytes(code)
  return utf8.char(code)
end

-- The first and last character of each row of the Unicode standard's table of well-formed UTF-8.
local EDGES = {0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000,
  0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF}

local ILL_FORMED = {
  ["a continuation alone"] = "\x80", ["the last continuation alone"] = "\xBF",
  ["two bytes, overlong"] = "\xC0\x80", ["a slash, overlong"] = "\xC0\xAF", ["C1"] = "\xC1\xBF",
  ["three bytes, overlong"] = "\xE0\x80\x80", ["three bytes, overlong at the edge"] = "\xE0\x9F\xBF",
  ["four bytes, overlong"] = "\xF0\x80\x80\x80", ["four bytes, overlong at the edge"] = "\xF0\x8F\xBF\xBF",
  ["the first surrogate"] = "\xED\xA0\x80", ["the last high surrogate"] = "\xED\xAF\xBF",
  ["the first low surrogate"] = "\xED\xB0\x80", ["the last surrogate"] = "\xED\xBF\xBF",
  ["a pair of surrogates"] = "\xED\xA0\xBD\xED\xB8\x80", ["past U+10FFFF"] = "\xF4\x90\x80\x80",
  ["F4 with too much"] = "\xF4\xBF\xBF\xBF", ["F5"] = "\xF5\x80\x80\x80", ["five bytes"] = "\xF8\x88\x80\x80\x80",
  ["six bytes"] = "\xFC\x84\x80\x80\x80\x80", ["FE"] = "\xFE", ["FF"] = "\xFF",
  ["two bytes, cut"] = "\xC2", ["three bytes, cut to one"] = "\xE1", ["three bytes, cut to two"] = "\xE1\x80",
  ["four bytes, cut to one"] = "\xF1", ["four bytes, cut to two"] = "\xF1\x80",
  ["four bytes, cut to three"] = "\xF1\x80\x80",
  ["two bytes, ASCII second"] = "\xC2\x41", ["three bytes, ASCII second"] = "\xE1\x41\x80",
  ["three bytes, ASCII third"] = "\xE1\x80\x41", ["four bytes, ASCII fourth"] = "\xF1\x80\x80\x41",
  ["a first byte twice"] = "\xC2\xC2\x80", ["a continuation too many"] = "\xC2\x80\x80",
  ["Latin-1"] = "caf\xE9", ["UTF-16"] = "\xFF\xFEa\0",
}

-- A text with something of everything.
local DOCUMENT = '{"a":[1,-2.5e+3,true,false,null,{}],"b\\n\\u0041":{"c":"\\ud83d\\ude00 å 😀","":[]}, "d" : 0 }'

-- ---- what is JSON ----

local function valid_numbers(add)
  products({{"", "-"}, {"0", "7", "10", "9007199254740993", "18446744073709551616", ("9"):rep(70)},
    {"", ".0", ".5", ".125", ".00000000000000000001"},
    {"", "e0", "E0", "e1", "E+1", "e-1", "e00", "E-10", "e+007", "e400", "e-400"}}, function(text)
    add("number", text)
  end)
end

local function valid_strings(add)
  for _, escape in ipairs{'\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"} do
    add("escape", quoted(escape))
    add("escapes in a row", quoted(escape:rep(3) .. "x" .. escape))
  end
  for byte = 0x20, 0x7F do
    local char = string.char(byte)
    if char ~= '"' and char ~= "\\" then
      add("ASCII", quoted(char))
    end
  end
  for _, digits in ipairs{"0000", "0001", "001f", "001F", "0020", "0022", "005c", "007f", "0080", "07ff", "07FF",
    "0800", "aBcD", "AbCd", "d7ff", "D7FF", "e000", "E000", "fffe", "FFFF"} do
    add("unicode escape", quoted("\\u" .. digits))
  end
  products({{"\\ud800", "\\uDBFF", "\\ud83d"}, {"\\udc00", "\\uDFFF", "\\ude00"}}, function(pair)
    add("pair of surrogates", quoted(pair))
  end)
  -- By its grammar a lone surrogate is JSON.
  for _, lone in ipairs{"\\ud800", "\\udbff", "\\udc00", "\\udfff", "\\udc00\\ud800", "\\ud800\\ud800",
    "\\ud800\\ud800\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041", "\\ud800\\\\udc00", "x\\udc00"} do
    add("lone surrogate", quoted(lone))
  end
  for _, code in ipairs(EDGES) do
    add("UTF-8", quoted(utf8_bytes(code)))
    add("UTF-8 in a row", quoted(utf8_bytes(code):rep(20)))
  end
  for offset = 0, OFFSETS do
    local before = ("x"):rep(offset)
    for _, odd in ipairs{"", '\\"', "\\\\", "\\u00e9", "\\ud83d\\ude00", "é", "€", "😀", "\x7F"} do
      add("at byte " .. offset, quoted(before .. odd))
      add("in the middle at byte " .. offset, quoted(before .. odd .. "yz"))
    end
    add("backslashes up to byte " .. offset, quoted(("\\\\"):rep(offset)))
  end
end

local function valid_structure(add)
  for _, text in ipairs{"true", "false", "null", '""', "[]", "{}", "[[]]", "[{}]", '{"":{}}', "[[],[]]",
    "[{},{}]", "[1]", "[1,2]", '["a","b"]', "[true,false,null]", '{"a":1}', '{"a":1,"b":2}',
    '{"a":{"b":{"c":[]}}}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"\\ud800":1}', '{"__proto__":1}',
    '{"\\n":1,"/":2,"\\/":3}', '["]","[","}","{",",",":"]', '["\\"]","\\\\"]', '{"]":"[","}":"{"}', DOCUMENT} do
    add("structure", text)
  end
  for _, space in ipairs(SPACES) do
    add("white space around", space .. "1" .. space)
    add("white space everywhere", (DOCUMENT:gsub("([%[%]{},:])", space .. "%1" .. space)))
    add("much white space", "[" .. space:rep(100) .. "1" .. space:rep(100) .. "," .. space:rep(100) .. "2]")
    add("white space in empty ones", "[" .. space .. "," and "[[" .. space .. "],{" .. space .. "}]")
  end
  for _, depth in ipairs{1, 2, 63, 64, 65, 127, 128, 129, 500, DEPTH - 1} do
    add("arrays " .. depth .. " deep", ("["):rep(depth) .. ("]"):rep(depth))
    add("objects " .. depth .. " deep", ('{"a":'):rep(depth) .. "1" .. ("}"):rep(depth))
    local both = depth // 2
    add("both " .. depth .. " deep", ('[{"a":'):rep(both) .. "0" .. ("}]"):rep(both))
  end
  add("siblings", "[" .. ("[],"):rep(2000) .. "[]]")
  add("members", "{" .. ('"a":{},'):rep(2000) .. '"a":1}')
end

function json_texts.valid()
  local list, add = adder()
  valid_numbers(add)
  valid_strings(add)
  valid_structure(add)
  return list
end

-- ---- what is not ----

local function invalid_numbers(add)
  for _, text in ipairs{"01", "-01", "00", "-00", "007", "+1", "+0", "-", "--1", "-+1", "+-1", "- 1", "-a", "-.5",
    ".5", ".", "1.", "-1.", "0.", "1..2", "1.2.3", "1.e5", "1.+2", "1e", "1E", "1e+", "1e-", "1e+-2", "1e++2",
    "1ee2", "1e2e3", "1e2.5", "1e.5", "0e", "0e+", "0x1", "0X1F", "1x", "0b1", "0o7", "1_000", "1,000.5", "1 000",
    "1'000", "1f", "1L", "1n", "NaN", "nan", "-NaN", "Infinity", "-Infinity", "+Infinity", "inf", "∞", "१",
    "１", "1e１", "½", "1\u{A0}", "0.1.", "1/2", "(1)", "$1", "1%", "1e400x"} do
    add("number", text)
  end
end

local function invalid_words(add)
  for _, text in ipairs{"True", "TRUE", "tRue", "t", "tr", "tru", "trues", "truee", "true1", "truefalse", "False",
    "f", "fals", "falsee", "Null", "NULL", "n", "nul", "nulll", "nil", "none", "None", "undefined", "yes", "a",
    "abc", "tru\\u0065", "tr ue", "null\0", "\0null"} do
    add("word", text)
  end
end

local function invalid_escapes(add)
  local known = '"\\/bfnrtu'
  for byte = 0, 255 do
    local char = string.char(byte)
    if not known:find(char, 1, true) then
      add(("escape of byte %d"):format(byte), quoted("\\" .. char))
    end
  end
  for _, digits in ipairs{"", "0", "00", "000", "g000", "0g00", "00g0", "000g", "G000", "000G", " 000", "0 00",
    "+000", "-001", "0x41", "000.", "\\u00", "00\\u", "{41}", "00e", "éé"} do
    add("unicode escape", quoted("\\u" .. digits))
    add("unicode escape of a name", '{' .. quoted("\\u" .. digits) .. ':1}')
  end
  add("unicode escape, large U", quoted("\\U0041"))
  add("half a pair, badly", quoted("\\ud800\\udc0"))
  add("half a pair, badly", quoted("\\ud800\\u"))
  add("half a pair, badly", quoted("\\ud800\\x"))
end

local function invalid_strings(add)
  for byte = 0, 0x1F do
    add(("control character %d"):format(byte), quoted(string.char(byte)))
    add(("control character %d in a name"):format(byte), '{"a' .. string.char(byte) .. '":1}')
  end
  for name, bytes in pairs(ILL_FORMED) do
    add("UTF-8: " .. name, quoted(bytes))
    add("UTF-8 in a name: " .. name, "{" .. quoted(bytes) .. ":1}")
    add("UTF-8 in between: " .. name, quoted("abc" .. bytes .. "def"))
  end
  for offset = 0, OFFSETS do
    local before = ("x"):rep(offset)
    for _, odd in ipairs{"\x00", "\n", "\x1F", "\x80", "\xC0\x80", "\xC2", "\xE2\x82", "\xED\xA0\x80",
      "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xFF", "\\x", "\\u12", "\\"} do
      add("at byte " .. offset, quoted(before .. odd))
      add("in the middle at byte " .. offset, quoted(before .. odd .. ("y"):rep(20)))
    end
    add("not closed at byte " .. offset, '"' .. before)
    add("closed by an escape at byte " .. offset, '"' .. before .. '\\"')
  end
  for _, text in ipairs{'"', "'a'", "`a`", "“a”", '"a', 'a"', '"a""', '""a"', '"a\\', '"\\"', '"""', '"a"b',
    '"a" "b"'} do
    add("string", text)
  end
end

local function invalid_structure(add)
  for _, text in ipairs{"", " ", "\n", "[", "]", "{", "}", ",", ":", "[[", "]]", "{{", "{}}", "[]]", "[[]", "[}",
    "{]", "[1}", '{"a":1]', "[,]", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[1;2]", "[1:2]", '["a":1]', "[1,2", "{,}",
    '{"a"}', '{"a":}', '{"a",}', '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}', '{"a":1 "b":2}', '{"a":1;"b":2}',
    '{"a"::1}', '{"a" 1}', '{"a"=1}', '{"a"=>1}', "{:1}", "{1:1}", "{null:1}", "{true:1}", "{[]:1}", "{{}:1}",
    "{a:1}", "{'a':1}", '{"a":1', '{"a":', '{"a"', '{"a', '{"a":1}}', '{"a":1},', "[],", ",[]", "[][]", "{}{}",
    "[]{}", "1 2", "1,2", "1\n2", "true false", "[] 1", "1 []", "null,", "[1]x", "x[1]", "()", "[(1)]", "<a>",
    "//", "/**/", "[1//\n]", "[1/**/]", "/**/1", "1//", "#", "[1#\n]", "[...]", "[undefined]", "[-]", "[+]",
    "[1,2,...]", '{"a":1...}', "\\u0031", "\\n", "&nbsp;", "[\\u0031]"} do
    add("structure", text)
  end
  -- White space is four characters, and a byte order mark is none of them.
  for _, space in ipairs{"\0", "\x01", "\x0B", "\x0C", "\x1C", "\x1F", "\x7F", "\u{85}", "\u{A0}", "\u{1680}",
    "\u{180E}", "\u{2000}", "\u{200B}", "\u{2028}", "\u{2029}", "\u{202F}", "\u{205F}", "\u{2060}", "\u{3000}",
    "\u{FEFF}", "\xFF", "\x80", "\xA0"} do
    local code = ("%q"):format(space)
    add("no white space: " .. code, space .. "1")
    add("no white space: " .. code, "1" .. space)
    add("no white space: " .. code, "[" .. space .. "]")
    add("no white space: " .. code, '{"a"' .. space .. ":1}")
  end
end

-- A valid text with one mistake: cut, or one byte more or less or another.
local function invalid_edits(add)
  for length = 1, #DOCUMENT - 1 do
    add("cut to " .. length, DOCUMENT:sub(1, length))
  end
  for i = 1, #DOCUMENT do
    for _, structural in ipairs{"[", "]", "{", "}"} do
      local text = DOCUMENT:sub(1, i) .. structural .. DOCUMENT:sub(i + 1)
      local inside = select(2, DOCUMENT:sub(1, i):gsub('\\"', ""):gsub('"', "")) % 2 == 1
      if not inside then
        add(("%s behind byte %d"):format(structural, i), text)
      end
    end
  end
end

function json_texts.invalid()
  local list, add = adder()
  invalid_numbers(add)
  invalid_words(add)
  invalid_escapes(add)
  invalid_strings(add)
  invalid_structure(add)
  invalid_edits(add)
  for _, text in ipairs{("["):rep(DEPTH + 1) .. ("]"):rep(DEPTH + 1),
    ('{"a":'):rep(DEPTH + 1) .. "1" .. ("}"):rep(DEPTH + 1),
    ("["):rep(100000), ('{"a":'):rep(100000), ('[{"a":'):rep(DEPTH // 2) .. "[]" .. ("}]"):rep(DEPTH // 2)} do
    add("too deep", text)
  end
  return list
end

json_texts.depth = DEPTH

return json_texts
