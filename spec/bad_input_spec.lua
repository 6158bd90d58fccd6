-- Input that is wrong: a message on stderr with file or stream, place, reason and field, nothing on stdout, nothing
-- half applied; and, where the script says so, the rest goes on.

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local insert, change = cli.insert, cli.change

-- `where` and `reason` are what follows the source's name in the message, as plain text.
local function assert_refused(text, where, reason)
  local file, stdin = cli.state(text), cli.state_of_stdin(text)
  for done, name in pairs{[file] = file.path, [stdin] = "standard input"} do
    assert.equal("", done.stdout)
    assert.equal(("weir: %s: %s: %s\n"):format(name, where, reason), done.stderr)
    assert.equal(1, done.code)
  end
end

-- A bad message between two good ones, in an array and as a line. `at` is the fault's byte in the message, from 1.
local function assert_message_refused(message, at, reason)
  local good = insert("t", "k")
  local before = "[" .. good .. ", "
  assert_refused(before .. message .. "," .. good .. "]", ("byte %d (message 2)"):format(#before + at), reason)
  if not message:find "\n" then
    before = good .. "\n\n"
    assert_refused(before .. message .. "\n" .. good .. "\n", ("line 3 (byte %d)"):format(#before + at), reason)
  end
end

describe("what is not JSON is refused:", function()
  it("text", function()
    assert_refused("hello", "line 1 (byte 1)", "expected a value, found 'h'")
    assert_refused("\n\n  hello\n", "line 3 (byte 5)", "expected a value, found 'h'")
  end)

  it("HTML", function()
    assert_refused("<!doctype html>\n<html></html>\n", "line 1 (byte 1)", "expected a value, found '<'")
  end)

  it("bytes of any kind", function()
    assert_refused("\x7fELF\2\1\1\0\0", "line 1 (byte 1)", "expected a value, found byte 0x7f")
    assert_refused("\x1f\x8b\8\0", "line 1 (byte 1)", "expected a value, found byte 0x1f")
    assert_refused("\0\0\0", "line 1 (byte 1)", "expected a value, found byte 0x00")
    assert_refused("\xff\xfe[\0]\0", "line 1 (byte 1)", "expected a value, found byte 0xff")
  end)

  it("JSON that is almost right", function()
    local rest = ',"key":"k","value":1,"headers":{"operation":"insert"}}'
    assert_message_refused("{'type':'t'}", 2, "expected a member name in double quotes, found '''")
    assert_message_refused('{"type":"t",}', 13, "expected a member name in double quotes, found '}'")
    assert_message_refused('{"type" "t"' .. rest, 9, "expected ':' behind a member name, found '\"'")
    assert_message_refused('{"type":"t" "key":"k"}', 13, "expected ',' or '}', found '\"'")
    assert_message_refused('{"type":tt' .. rest, 10,
      "expected a value (true, false, null, a number, a string, '[' or '{'), found 't'")
    assert_message_refused('{"type":NaN' .. rest, 9, "expected a value, found 'N'")
    assert_message_refused('{"type":01' .. rest, 10, "a number must not start with 0, found '1'")
    assert_message_refused('{"type":+1' .. rest, 9, "expected a value, found '+'")
    assert_message_refused('{"type":"\\x41"' .. rest, 11, "unknown escape in a string, found 'x'")
    assert_message_refused('{"type":"a\tb"' .. rest, 11,
      "a control character in a string must be escaped, found byte 0x09")
  end)

  it("an array that is", function()
    assert_refused("[1", "byte 2 (message 1)", "expected an event (an object), got number 1")
    assert_refused("[", "byte 2 (message 1)", "the array is not closed: expected ',' or ']'")
    assert_refused("[,]", "byte 2 (message 1)", "expected a message, found ','")
    assert_refused("[}", "byte 2 (message 1)", "expected a message, found '}'")
    assert_refused("[tru, 1]", "byte 5 (message 1)", "the message ends in the middle of a value")
    local good = insert("t", "k")
    local at = #good + 2
    assert_refused("[" .. good, ("byte %d (message 2)"):format(at), "the array is not closed: expected ',' or ']'")
    assert_refused("[" .. good .. ",", ("byte %d (message 2)"):format(at + 1),
      "the array is not closed: expected ',' or ']'")
    assert_refused("[" .. good .. ",]", ("byte %d (message 2)"):format(at + 1), "expected a message, found ']'")
    assert_refused("[" .. good .. good .. "]", ("byte %d (message 2)"):format(at), "expected ',' or ']', found '{'")
    assert_refused("[" .. good .. "}", ("byte %d (message 2)"):format(at), "expected ',' or ']', found '}'")
  end)

  it("anything behind an array", function()
    local good = "[" .. insert("t", "k") .. "]"
    local reason = "expected nothing behind the array's ']', found '%s'"
    assert_refused(good .. good, ("byte %d (message 2)"):format(#good + 1), reason:format("["))
    assert_refused(good .. "\n\nx", ("byte %d (message 2)"):format(#good + 3), reason:format("x"))
    assert_refused("[]\n" .. insert("t", "k"), "byte 4 (message 1)", reason:format("{"))
  end)

  it("anything behind a message on its line", function()
    local good = insert("t", "k")
    assert_refused(good .. good, ("line 1 (byte %d)"):format(#good + 1), "expected the end of the line, found '{'")
    assert_refused(good .. ",\n" .. good, ("line 1 (byte %d)"):format(#good + 1),
      "expected the end of the line, found ','")
  end)

  it("a message over several lines", function()
    assert_refused('{"type":\n"t"}', "line 1 (byte 9)", "the line ends in the middle of a value")
  end)
end)

describe("a message that is cut off", function()
  local good = insert("t", "k")

  it("in an array is refused wherever it is cut", function()
    local bad = insert("t", "a\\u0041é", '[1.5,true,{"a":"b"}]')
    for len = 1, #bad - 1, paths.sanitized and 5 or 1 do
      local text = "[" .. good .. "," .. bad:sub(1, len)
      local done = cli.state(text)
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      local place = ("%s: byte %d (message 2)"):format(done.path, #text + 1)
      local expected = "weir: " .. place .. ": the text ends in the middle of a value\n"
      assert.equal(expected, done.stderr)
    end
  end)

  it("in a line is refused", function()
    for _, len in ipairs{1, 2, 6, 10, #good - 1} do
      local text = good .. "\n" .. good:sub(1, len)
      assert_refused(text, ("line 2 (byte %d)"):format(#text + 1), "the line ends in the middle of a value")
      assert_refused(text .. "\n" .. good, ("line 2 (byte %d)"):format(#text + 1),
        "the line ends in the middle of a value")
    end
  end)
end)

describe("bytes in strings:", function()
  it("invalid UTF-8 is refused", function()
    for bytes, at in pairs{
      ["\xff"] = 1, ["a\xc3"] = 2, ["\xc0\xaf"] = 1, ["\xe0\x80\x80"] = 1, ["\xed\xa0\x80"] = 1,
      ["\xf4\x90\x80\x80"] = 1, ["\x80"] = 1, ["é\xe2\x82"] = 3,
    } do
      for _, field in ipairs{"key", "value", "more"} do
        local before = '{"type":"t","' .. field .. '":"'
        local message = before .. bytes .. '","headers":{"operation":"delete"}}'
        local done = cli.state("[" .. message .. "]")
        assert.equal(1, done.code)
        assert.equal("", done.stdout)
        local byte = done.stderr:match(": byte (%d+) %(message 1%): invalid UTF%-8, found ")
        local first = 1 + #before + at -- of the sequence; the message may name the byte of it that is wrong
        assert.truthy(byte and tonumber(byte) >= first and tonumber(byte) <= first + 3, done.stderr)
      end
    end
  end)

  it("a raw NUL is refused, an escaped one is kept", function()
    local function nul_in(key, value)
      return '{"type":"t","key":"' .. key .. '","value":"' .. value .. '","headers":{"operation":"insert"}}'
    end
    assert_message_refused(nul_in("a\0b", "v"), 21, "a control character in a string must be escaped, found byte 0x00")
    assert_message_refused(nul_in("k", "\0"), 32, "a control character in a string must be escaped, found byte 0x00")
    local done = cli.state(nul_in("a\\u0000b", "\\u0000") .. "\n" .. nul_in("a", "other"))
    assert.equal('{"t":{"a":"other","a\\u0000b":"\\u0000"}}\n', done.stdout)
    assert.equal(0, done.code)
  end)

  it("an escaped NUL reaches handlers and comes back", function()
    local done = cli.script([[
      local weir = require "weir"
      local room = weir.stream{url = weir.env "EVENTS", live = false}
      room:onChange(function(state, event)
        assert(event.type == "t\0" and event.key == "\0k" and event.value.a == "x\0y")
        assert(state:has("t\0", "\0k") and not state:has("t", ""))
        print(weir.json.encode(state:get(event.type, event.key)))
      end)
    ]], {events = '{"type":"t\\u0000","key":"\\u0000k","value":{"a":"x\\u0000y"},"headers":{"operation":"insert"}}'})
    assert.equal("", done.stderr)
    assert.equal('{"a":"x\\u0000y"}\n', done.stdout)
  end)
end)

describe("2,000 levels of nesting", function()
  it("are refused wherever they are", function()
    local deep = ("["):rep(2000) .. ("]"):rep(2000)
    local objects = ('{"a":'):rep(2000) .. "1" .. ("}"):rep(2000)
    local reason = "nested deeper than 1000 levels, found '"
    assert_message_refused(insert("t", "k", deep), #'{"type":"t","key":"k","value":' + 1000, reason .. "['")
    assert_message_refused(insert("t", "k", objects), #'{"type":"t","key":"k","value":' + 999 * 5 + 1, reason .. "{'")
    assert_message_refused('{"headers":{"x":' .. deep .. '}}', #'{"headers":{"x":' + 999, reason .. "['")
    assert_message_refused('{"more":' .. deep .. '}', #'{"more":' + 1000, reason .. "['")
    assert_message_refused(deep, 1001, reason .. "['")
    assert_refused(("["):rep(2000) .. ("]"):rep(2000), "byte 1002 (message 1)", reason .. "['")
    assert_refused(("["):rep(1000000), "byte 1002 (message 1)", reason .. "['")
    assert_refused(('{"a":'):rep(1000000), "line 1 (byte 5001)", reason .. "{'")
  end)

  it("are passed over with the rest going on", function()
    local deep = ("["):rep(2000) .. ("]"):rep(2000)
    local done = cli.state("[" .. deep .. "," .. insert("t", "k") .. "]", "--on-invalid", "skip")
    assert.equal('{"t":{"k":1}}\n', done.stdout)
  end)
end)

describe("a change is refused", function()
  local function with(members)
    return '{"type":"t",' .. members .. '"headers":{"operation":"insert"}}'
  end

  it("without a key, or with one that is no text", function()
    assert_message_refused(with '"value":1,', 1, "key is missing: a change needs a non-empty string")
    assert_message_refused(with '"key":"","value":1,', 19, "key: expected a non-empty string, got an empty one")
    assert_message_refused(with '"key":17,"value":1,', 19, "key: expected a non-empty string, got number 17")
    assert_message_refused(with '"key":null,"value":1,', 19, "key: expected a non-empty string, got null null")
    assert_message_refused(with '"key":["k"],"value":1,', 19, 'key: expected a non-empty string, got array ["k"]')
  end)

  it("with a type that is no text", function()
    assert_message_refused('{"type":1,"key":"k","value":1,"headers":{"operation":"insert"}}', 9,
      "type: expected a non-empty string, got number 1")
    assert_message_refused('{"type":"","key":"k","value":1,"headers":{"operation":"insert"}}', 9,
      "type: expected a non-empty string, got an empty one")
  end)

  it("without a value where it needs one", function()
    for _, operation in ipairs{"insert", "update", "upsert", "patch"} do
      assert_message_refused(change("t", "k", operation), 1, "value is missing: " .. operation .. " needs one")
    end
  end)

  it("with an unknown operation", function()
    local reason = "headers.operation: expected insert, update, upsert, delete or patch, got "
    for _, operation in ipairs{'"replace"', '"Insert"', '""', "null", "1", '{"a":1}'} do
      local before = '{"type":"t","key":"k","value":1,"headers":{"operation":'
      assert_message_refused(before .. operation .. "}}", #before + 1, reason .. operation)
    end
  end)

  it("without headers, or with such as say nothing", function()
    local missing = "headers is missing: expected an object with operation or control"
    assert_message_refused('{"type":"t","key":"k","value":1}', 1, missing)
    assert_message_refused("{}", 1, missing)
    assert_message_refused('{"headers":{}}', 12, "headers: expected a member operation or control")
    assert_message_refused('{"headers":[]}', 12, "headers: expected an object, got []")
    assert_message_refused('{"headers":{"control":"explode"}}', 23,
      'headers.control: expected snapshot-start, snapshot-end or reset, got "explode"')
  end)

  it("where it is no object", function()
    local kinds = {["1"] = "number", ["null"] = "null", ['"x"'] = "string", ["[[]]"] = "array", ["true"] = "boolean"}
    for value, what in pairs(kinds) do
      local line = insert("t", "k") .. "\n" .. value
      assert_refused(line, ("line 2 (byte %d)"):format(#line - #value + 1),
        ("expected an event (an object), got %s %s"):format(what, value))
    end
  end)

  it("and long values are not shown in full", function()
    local done = cli.state('{"key":"k","value":1,"headers":{"operation":"' .. ("x"):rep(100000) .. '"}}')
    assert.truthy(#done.stderr < 300)
  end)

  it("and control characters of it do not reach the terminal", function()
    local done = cli.state('{"key":"k","value":1,"headers":{"operation":"\x1b[31m\x7f"}}')
    assert.not_matches("[%z\1-\8\11-\31\127]", done.stderr)
    done = cli.state('{"key":"k\\u001b","value":1,"headers":{"operation":"\x7fé"}}')
    assert.not_matches("[%z\1-\8\11-\31\127]", done.stderr)
  end)
end)

describe("a source that cannot be read", function()
  it("is named", function()
    local dir = tmp.dir()
    local function assert_fails(source, message)
      for _, args in ipairs{{"state", source}, {"run", paths.scripts .. "/kv.lua", "--once", "--source", source}} do
        local done = cli.run(args)
        assert.equal(1, done.code)
        assert.equal("", done.stdout)
        assert.equal("weir: " .. message .. "\n", done.stderr)
      end
    end
    assert_fails(dir .. "/none", dir .. "/none: cannot be opened: No such file or directory")
    assert_fails(dir, dir .. ": is a directory: expected a file of events")
    assert_fails(dir .. "/none/x", dir .. "/none/x: cannot be opened: No such file or directory")
    assert_fails("/proc/self/mem", "/proc/self/mem: cannot be read at byte 0: i/o error")
  end)

  it("is named where it is no source at all", function()
    local function assert_misuse(start, ...)
      local done = cli.run{...}
      assert.equal(start, done.stderr:match("^[^\n]*"))
      assert.equal(2, done.code)
    end
    local what = ": expected an http(s) URL, a file, or -, got ftp://host/x"
    assert_misuse("weir: SOURCE" .. what, "state", "ftp://host/x")
    assert_misuse("weir: --source" .. what, "run", paths.scripts .. "/kv.lua", "--source", "ftp://host/x")
  end)

  it("is named when it may not be read", function()
    local file = tmp.file("events", insert("t", "k"))
    local as_root = process.run{cmd = {"id", "-u"}}.stdout == "0\n"
    local drop = as_root and "setpriv --reuid=65534 --clear-groups " or ""
    local command = 'chmod 755 "${2%/*}"; chmod 0 "$2"; exec ' .. drop .. '"$1" state "$2"'
    local done = process.run{cmd = {"sh", "-c", command, "sh", paths.weir, file}}
    if done.stderr:find("weir: Permission denied", 1, true) or done.code == 126 then
      pending("the program itself cannot be run by another user here")
      return
    end
    assert.equal(("weir: %s: cannot be opened: Permission denied\n"):format(file), done.stderr)
    assert.equal(1, done.code)
  end)
end)

-- ---- messages that are passed over ----

-- Bad messages between good ones, with what is said about each, for a file that begins at byte `at`.
local BAD = {
  {'{"type":"t","key":"x"', "cut"}, -- in an array it would take its neighbours with it
  {'{"a":1,x}', "expected a member name in double quotes, found 'x'"},
  {'"\xff"', "invalid UTF-8, found byte 0xff"},
  {"hello", "expected a value, found 'h'"},
  {"17", "expected an event (an object), got number 17"},
  {"{}", "headers is missing: expected an object with operation or control"},
  {change("t", "x", "explode", "1"),
    'headers.operation: expected insert, update, upsert, delete or patch, got "explode"'},
  {'{"type":"t","value":1,"headers":{"operation":"insert"}}', "key is missing: a change needs a non-empty string"},
  {("["):rep(2000) .. ("]"):rep(2000), "nested deeper than 1000 levels, found '['"},
  {insert("t", "x", '"a\0b"'), "a control character in a string must be escaped, found byte 0x00"},
  {insert("s", "bad", '"text"'), "s/bad: value: expected a number, got a string (\"text\")"},
}

local function mixed(format)
  local messages, reasons = {insert("t", "k0")}, {}
  for i, bad in ipairs(BAD) do
    if format == "lines" or bad[2] ~= "cut" then
      messages[#messages + 1] = bad[1]
      messages[#messages + 1] = insert("t", "k" .. i, tostring(i))
      local reason = bad[2] == "cut" and "the line ends in the middle of a value" or bad[2]
      reasons[#reasons + 1] = {text = bad[1], reason = reason}
    end
  end
  if format == "lines" then
    return table.concat(messages, "\n"), reasons
  end
  return "[" .. table.concat(messages, " , ") .. "]", reasons
end

local SCRIPT = [[
  local weir = require "weir"
  local room = weir.stream{
    url = weir.env "EVENTS", live = false, onInvalid = weir.env "POLICY", deadletter = weir.env "LETTERS",
    schema = weir.defineStreamSchema{types = {s = weir.schema.number()}},
  }
  if weir.env "ASK" then
    room:onInvalid(function(event, issues)
      io.write("(", tostring(issues[1].message), ")\n")
      return weir.env "ASK"
    end)
  end
  room:onChange(function(state, event) io.write(event.key, "\n") end)
  room:onUpToDate(function(state) io.write("size ", state:size(), "\n") end)
]]

local function good_keys(format)
  local keys = {"k0"}
  for i, bad in ipairs(BAD) do
    if format == "lines" or bad[2] ~= "cut" then
      keys[#keys + 1] = "k" .. i
    end
  end
  return table.concat(keys, "\n") .. "\nsize " .. #keys .. "\n"
end

for _, format in ipairs{"lines", "array"} do
  describe("messages that are wrong, as " .. format .. ",", function()
    local text, reasons = mixed(format)

    -- Each is named, in order, with its place.
    local function assert_named(stderr, path, before)
      local at, position = 1, 1
      for _, bad in ipairs(reasons) do
        position = text:find(bad.text, position, true)
        local prefix = ("%s%s: "):format(before, path)
        local start, finish = stderr:find(prefix, at, true)
        assert.truthy(start, "expected another message: " .. bad.reason .. "\n" .. stderr:sub(at))
        local line = stderr:match("^[^\n]*", finish + 1)
        local byte = tonumber(line:match("byte (%d+)"))
        assert.truthy(byte >= position and byte <= position + #bad.text, line)
        assert.equal(bad.reason, line:match("^[^:]*: (.*)$"))
        at, position = finish, position + #bad.text
      end
      assert.falsy(stderr:find(before, at, true))
    end

    it("are passed over by skip", function()
      local done = cli.script(SCRIPT, {events = text, set = {POLICY = "skip"}})
      assert.equal(good_keys(format), done.stdout)
      assert.equal(0, done.code)
      assert_named(done.stderr, done.path, "skipped: ")
    end)

    it("are passed over by weir state --on-invalid skip, and counted", function()
      local script = tmp.file("s.lua", SCRIPT)
      local done = cli.state(text, "--on-invalid", "skip", "--stats", "--schema", script)
      assert.equal(0, done.code)
      assert_named(done.stderr, done.path, "skipped: ")
      local bad = #reasons
      local counts = "\nevents=%d controls=0 rejected=%d entities=%d bytes=%d "
      assert.matches(counts:format(bad + 1, bad, bad + 1, #text), done.stderr)
    end)

    it("are written to the dead letters", function()
      local letters = tmp.file("letters")
      local done = cli.script(SCRIPT, {events = text, set = {POLICY = "deadletter", LETTERS = letters}})
      assert.equal(good_keys(format), done.stdout)
      assert.equal(0, done.code)
      assert_named(done.stderr, done.path, "to the dead letters: ")
      local weir_json = require("weir").json
      local count = 0
      for line in tmp.read(letters):gmatch("([^\n]*)\n") do
        count = count + 1
        local letter, bad = weir_json.decode(line), reasons[count]
        assert.equal(done.path, letter.stream)
        assert.equal("-1", letter.offset)
        assert.equal(2 * count - 1, letter.index)
        assert.truthy(letter.reason:find(bad.reason, 1, true), letter.reason)
        if utf8.len(bad.text) then
          assert.equal(bad.text, letter.event)
          assert.is_nil(letter.bytes)
        else
          assert.equal((bad.text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)), letter.bytes)
          assert.is_nil(letter.event)
        end
      end
      assert.equal(#reasons, count)
    end)

    it("are shown to a function, which decides", function()
      local letters = tmp.file("letters")
      for _, decision in ipairs{"skip", "deadletter"} do
        local done = cli.script(SCRIPT, {events = text, set = {LETTERS = letters, ASK = decision}})
        assert.equal(0, done.code)
        local asked = {}
        for message in done.stdout:gmatch("%(([^\n]*)%)\n") do
          asked[#asked + 1] = message
        end
        assert.equal(#reasons, #asked)
        assert.equal(good_keys(format), (done.stdout:gsub("%([^\n]*%)\n", "")))
        assert_named(done.stderr, done.path, decision == "skip" and "skipped: " or "to the dead letters: ")
      end
      local _, lines = tmp.read(letters):gsub("\n", "")
      assert.equal(#reasons, lines)
    end)

    it("stop it when a function says so, after what was before", function()
      local done = cli.script(SCRIPT, {events = text, set = {ASK = "stop"}})
      assert.equal(1, done.code)
      assert.matches("^k0\n%([^\n]*%)\n$", done.stdout)
      assert.equal("weir: " .. done.path, done.stderr:sub(1, #done.path + 6))
    end)
  end)
end

describe("an array that breaks off", function()
  it("fails under every policy, after what was before", function()
    local text = "[" .. insert("t", "a") .. "," .. insert("t", "b") .. ',{"type":"t","key'
    for _, policy in ipairs{"stop", "skip", "deadletter"} do
      local letters = tmp.file("letters")
      local done = cli.script(SCRIPT, {events = text, set = {POLICY = policy, LETTERS = letters}})
      assert.equal(1, done.code)
      assert.equal("a\nb\n", done.stdout)
      local place = ("%s: byte %d (message 3)"):format(done.path, #text + 1)
      assert.equal("weir: " .. place .. ": the text ends in the middle of a value\n", done.stderr)
      assert.is_nil(tmp.read(letters))
    end
  end)
end)

describe("dead letters", function()
  it("that cannot be written stop it", function()
    for letters, reason in pairs{
      ["/no/such/folder/letters"] = "cannot open the dead letter file: No such file or directory",
      ["/dev/full"] = "cannot write to the dead letter file: No space left on device",
    } do
      local done = cli.script(SCRIPT, {events = insert("t", "a") .. "\nx\n" .. insert("t", "b"),
        set = {POLICY = "deadletter", LETTERS = letters}})
      assert.equal(1, done.code)
      assert.equal("a\n", done.stdout)
      assert.equal(("weir: %s: %s\n"):format(letters, reason), done.stderr)
    end
  end)

  it("are added to those that are there", function()
    local letters = tmp.file("letters", "first\n")
    cli.script(SCRIPT, {events = "x\n", set = {POLICY = "deadletter", LETTERS = letters}})
    assert.matches('^first\n{"stream":"[^\n]*","url":"[^\n]*","offset":"%-1","index":0,[^\n]*"reason":"[^\n]*",' ..
      '"event":"x"}\n$',
      tmp.read(letters))
  end)
end)
