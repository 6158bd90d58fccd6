-- weir state: what it makes of a file or of standard input, byte for byte.

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local insert, change = cli.insert, cli.change

-- The same from a file and from standard input.
local function assert_state(expected, text, ...)
  for _, done in ipairs{cli.state(text, ...), cli.state_of_stdin(text, ...)} do
    assert.equal("", done.stderr)
    assert.equal(expected .. "\n", done.stdout)
    assert.equal(0, done.code)
  end
end

describe("weir state prints values as they were written", function()
  -- Each value as the value of an event in both formats.
  for name, values in pairs{
    numbers = {"0", "-0", "1.10", "12345678901234567890", "-9223372036854775809", "1E5", "1e+5", "-0.0e-0",
      "123456789012345678901234567890.000000000000000000000000000001", "1e999999", "9007199254740993"},
    strings = {'""', '"\\u0000"', '"\\u0041\\/\\n\\"\\\\"', '"\u{1F600}é\u{FFFF}"', '"\\ud83d\\ude00"', '"\\ud800"',
      '"\x7f"', '"<>&\'"', '"\\u000a"'},
    ["white space"] = {'{ }', '[ ]', '{ "a" :  1 , "b":[ 1,\t2 ] }', '[\r 1 ]'},
    others = {"null", "true", "false", "[]", "{}", '{"a":1,"a":2}', '{"":{"":[[[{}]]]}}', '[[],[[]],{}]'},
  } do
    it(name, function()
      local events, expected = {}, {}
      for i, value in ipairs(values) do
        events[i] = insert("t", ("%03d"):format(i), value)
        expected[i] = ('"%03d":%s'):format(i, value)
      end
      local state = '{"t":{' .. table.concat(expected, ",") .. "}}"
      assert_state(state, "[" .. table.concat(events, ",") .. "]")
      assert_state(state, table.concat(events, "\n"))
    end)
  end

  it("of several lines, in an array", function()
    local value = '{\n  "a": [\n    1,\r\n\t2\n  ]\n}'
    assert_state('{"t":{"k":' .. value .. "}}", "[" .. insert("t", "k", value) .. "]")
    assert_state(value, "[" .. insert("t", "k", value) .. "]", "--type", "t", "--key", "k")
  end)

  it("without the white space around them", function()
    assert_state('{"t":{"k":[1 ]}}',
      '[ { "type" : "t" , "key" : "k" , "value" :\n\t[1 ]\r\n, "headers" : { "operation" : "insert" } } ]')
  end)
end)

describe("weir state sorts", function()
  it("types and keys by their bytes", function()
    local names = {"a", "B", "10", "9", "é", "z", "~", "\u{1F600}", "\u{FFFD}", "aa", "a b", "\\u0000", "\\n",
      "Z", "\\\""}
    local sorted = {'"\\u0000"', '"\\n"', '"\\""', '"10"', '"9"', '"B"', '"Z"', '"a"', '"a b"', '"aa"', '"z"', '"~"',
      '"é"', '"\u{FFFD}"', '"\u{1F600}"'}
    local events, keys, types = {}, {}, {}
    for i, name in ipairs(names) do
      events[#events + 1] = insert("m", name)
      events[#events + 1] = insert(name, "k")
      keys[i] = sorted[i] .. ":1"
      types[i] = sorted[i] .. ':{"k":1}'
    end
    table.insert(types, 11, '"m":{' .. table.concat(keys, ",") .. "}")
    assert_state("{" .. table.concat(types, ",") .. "}", "[" .. table.concat(events, ",\n") .. "]")
  end)

  it("what escapes stand for, and takes different escapes for the same key", function()
    assert_state('{"t":{"a/é":3}}',
      insert("t", "a/é") .. "\n" .. insert("\\u0074", "\\u0061\\/\\u00E9", "2") .. "\n" ..
        insert("t", "a\\/\u{e9}", "3"))
    -- a pair of surrogates, and halves of one
    assert_state('{"t":{"\\udc00":3,"\\ud83d":2,"\u{1F600}":4}}' and '{"t":{"\\ud83d":2,"\\udc00":3,"\u{1F600}":4}}',
      insert("t", "\\ud83d\\ude00") .. "\n" .. insert("t", "\\uD83D", "2") .. "\n" ..
        insert("t", "\\uDC00", "3") .. "\n" ..
      insert("t", "\u{1F600}", "4"))
  end)

  it("keys of JavaScript's own like any others", function()
    assert_state('{"__proto__":{"constructor":1,"hasOwnProperty":2},"toString":{"__proto__":{"a":1}}}',
      "[" .. insert("__proto__", "hasOwnProperty", "2") .. "," .. insert("toString", "__proto__", '{"a":1}') .. "," ..
      insert("__proto__", "constructor") .. "]")
  end)
end)

describe("weir state applies", function()
  it("insert, update and upsert alike", function()
    for _, operation in ipairs{"insert", "update", "upsert"} do
      assert_state('{"t":{"k":2}}', change("t", "k", operation, "1") .. "\n" .. change("t", "k", operation, "2"))
    end
  end)

  it("delete, of what is there or not, with a value or without", function()
    assert_state("{}", change("t", "k", "delete"))
    assert_state("{}", insert("t", "k") .. "\n" .. change("t", "k", "delete"))
    assert_state("{}", insert("t", "k") .. "\n" .. change("t", "k", "delete", "null"))
    assert_state('{"t":{"l":1}}', "[" .. insert("t", "k") .. "," .. insert("t", "l") .. "," ..
      change("t", "k", "delete") ..
      "," .. change("s", "l", "delete") .. "]")
    assert_state('{"t":{"k":3}}', insert("t", "k") .. "\n" .. change("t", "k", "delete") .. "\n" ..
      insert("t", "k", "3"))
  end)

  it("reset, and the other controls, which change nothing", function()
    local reset = '{"headers":{"control":"reset"}}'
    assert_state("{}", insert("t", "k") .. "\n" .. reset)
    assert_state('{"t":{"l":2}}', "[" .. insert("t", "k") .. "," .. reset .. "," .. insert("t", "l", "2") .. "]")
    assert_state('{"t":{"k":1}}', '{"headers":{"control":"snapshot-start","offset":"0_1"}}\n' .. insert("t", "k") ..
      '\n{"headers":{"control":"snapshot-end"}}\n{"type":"up-to-date"}\n{"type":"snapshot-start","offset":"5"}\n')
    assert_state("{}", insert("t", "k") .. '\n{"type":"reset"}')
  end)

  it("a merge patch as RFC 7396 says, keeping the bytes of what it leaves alone", function()
    local function patched(expected, first, patch)
      local events = (first and insert("t", "k", first) .. "\n" or "") .. change("t", "k", "patch", patch)
      assert_state('{"t":{"k":' .. expected .. "}}", events)
    end
    patched('{"a":1.10,"b":2}', '{"a":1.10}', '{"b":2}')
    patched('{"b":12345678901234567890}', '{"a":1,"b":12345678901234567890}', '{"a":null}')
    patched('{"a":{"c":3,"d":[1 , null]}}', '{"a":{"b":1,"c":3}}', '{"a":{"b":null,"d":[1 , null]}}')
    patched('{"a":{}}', nil, '{"a":{"b":null}}')
    patched('[1]', '{"a":1}', '[1]')
    patched('null', '{"a":1}', 'null')
    patched('{"a":1}', '[1,2]', '{"a":1,"b":null}')
    patched('{"a":1}', '{"\\u0062":1,"a":1}', '{"b":null}')
  end)

  it("each form of an event", function()
    assert_state('{"default":{"k":1}}', '{"key":"k","value":1,"headers":{"operation":"insert","txId":"x"}}')
    assert_state('{"t":{"k":1}}',
      '{"type":"t","key":"k","value":1,"old_value":0,"more":{},"headers":{"operation":"insert",' ..
      '"txid":"x","timestamp":"2025-01-01T00:00:00Z","from":"me","offset":"0_1","more":[1]}}')
    assert_state('{"reset":{"k":1}}', '{"type":"reset","key":"k","value":1,"headers":{"operation":"insert"}}')
  end)

  it("members in any order, and the last of two", function()
    assert_state('{"t":{"k":[1]}}', '{"headers":{"operation":"insert"},"value":[1],"key":"k","type":"t"}')
    assert_state('{"t":{"k":[1]}}',
      '{"value":[1],"old_value":{"type":"x","key":"y"},"key":"k",' ..
      '"headers":{"x":1,"operation":"upsert"},"type":"t"}')
    assert_state('{"t":{"k":2}}', '{"type":"s","type":"t","key":"j","key":"k","value":1,"value":2,' ..
      '"headers":{"operation":"delete"},"headers":{"operation":"delete","operation":"insert"}}')
  end)
end)

describe("weir state reads", function()
  local STATE = '{"t":{"k":1,"l":2}}'
  local first, second = insert("t", "k"), insert("t", "l", "2")

  for name, text in pairs{
    ["nothing at all"] = "", ["an empty array"] = "[]", ["an empty array in white space"] = " \r\n\t[ \n ]\n ",
    ["white space only"] = " \n\n\t \r\n", ["a byte order mark only"] = "\xEF\xBB\xBF",
    ["a mark and an empty array"] = "\xEF\xBB\xBF []",
  } do
    it(name .. " as no events", function()
      assert_state("{}", text)
    end)
  end

  for name, text in pairs{
    ["an array"] = "[" .. first .. "," .. second .. "]",
    ["an array of several lines"] = "\n[\n  " .. first .. ",\n  " .. second .. "\n]\n",
    ["an array of CRLF lines"] = "[\r\n" .. first .. ",\r\n" .. second .. "\r\n]\r\n",
    ["an array behind a byte order mark"] = "\xEF\xBB\xBF[" .. first .. "," .. second .. "]",
    ["a pretty-printed array"] = ("[" .. first .. "," .. second .. "]"):gsub("[{,%[]", "%0\n    "):gsub(":", ": "),
    ["lines"] = first .. "\n" .. second .. "\n",
    ["lines without a last line end"] = first .. "\n" .. second,
    ["CRLF lines"] = first .. "\r\n" .. second .. "\r\n",
    ["lines with empty ones between them"] = "\n\n" .. first .. "\n \t\n\n" .. second .. "\n\n",
    ["lines with white space around them"] = "  " .. first .. " \n\t" .. second .. "\t\r\n",
    ["lines behind a byte order mark"] = "\xEF\xBB\xBF" .. first .. "\n" .. second,
  } do
    it(name, function()
      assert_state(STATE, text)
    end)
  end

  it("a device", function()
    local done = cli.run{"state", "/dev/null"}
    assert.equal("{}\n", done.stdout)
    assert.equal(0, done.code)
  end)

  it("a file whose name looks like an option", function()
    local dir = tmp.dir()
    tmp.write(dir .. "/--stats", first)
    local done = cli.run({"state", "--", "--stats"}, {cwd = dir})
    assert.equal('{"t":{"k":1}}\n', done.stdout)
  end)

  it("standard input from where it stands", function()
    local path = tmp.file("events", "skip me\n" .. first .. "\n" .. second)
    local done = process.run{cmd = {"sh", "-c", '{ read -r line; "$1" state -; } <"$2"', "sh", paths.weir, path}}
    assert.equal(STATE .. "\n", done.stdout)
  end)
end)

describe("weir state --type and --key", function()
  local EVENTS = "[" .. insert("users", "é", '{"a": 1}') .. "," .. insert("users", "u1", "1.0") .. "," ..
    insert("x", "k", "3") .. "]"

  it("print one type", function()
    assert_state('{"u1":1.0,"é":{"a": 1}}', EVENTS, "--type", "users")
    assert_state('{"k":3}', EVENTS, "--type=x")
    assert_state("{}", EVENTS, "--type", "nobody")
    assert_state("{}", EVENTS, "--type", "")
  end)

  it("print one entity", function()
    assert_state('{"a": 1}', EVENTS, "--type", "users", "--key", "é")
    assert_state("1.0", EVENTS, "--key", "u1", "--type", "users")
  end)

  it("say what is not there", function()
    for _, args in ipairs{{"users", "u2"}, {"nobody", "u1"}, {"x", "u1"}} do
      local done = cli.state(EVENTS, "--type", args[1], "--key", args[2])
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      assert.equal(("weir: %s: there is no %s with the key %s\n"):format(done.path, args[1], args[2]), done.stderr)
    end
  end)
end)

describe("weir state --stats", function()
  local function stats(text, ...)
    local done = cli.state(text, "--stats", ...)
    assert.equal(0, done.code)
    local line = done.stderr:match("([^\n]*)\n$")
    local counts, seconds = line:match("^(.*) seconds=(%d+%.%d+)$")
    assert.truthy(tonumber(seconds) >= 0 and tonumber(seconds) < 10)
    return counts
  end

  it("counts", function()
    assert.equal("events=0 controls=0 rejected=0 entities=0 bytes=0", stats(""))
    assert.equal("events=0 controls=0 rejected=0 entities=0 bytes=4", stats("[ ]\n"))
    local text = "[" .. insert("t", "a") .. "," .. insert("t", "a", "2") .. "," .. insert("s", "b") .. "," ..
      change("t", "x", "delete") .. ',{"type":"up-to-date"},{"headers":{"control":"snapshot-end"}}]'
    assert.equal("events=4 controls=2 rejected=0 entities=2 bytes=" .. #text, stats(text))
    text = insert("t", "a") .. "\nnonsense\n{}\n" .. insert("t", "b") .. "\n"
    assert.equal("events=2 controls=0 rejected=2 entities=2 bytes=" .. #text, stats(text, "--on-invalid", "skip"))
  end)
end)

describe("weir state --schema", function()
  local SCRIPT = [[
    local weir = require "weir"
    local s = weir.schema
    local room = weir.stream{
      url = "/no/such/file", onInvalid = "skip",
      schema = weir.defineStreamSchema{types = {
        users = s.object{name = s.string():min(2), age = s.integer():optional()},
      }},
    }
    room:onChange(function() error "no handler is called" end)
    room:validate(function() error "no rule is asked" end)
  ]]
  local GOOD = insert("users", "1", '{"name":"Ada","age":36}') .. "\n" .. insert("other", "x", '{"name":1}') .. "\n" ..
    change("users", "2", "patch", '{"name":"Bob"}') .. "\n" .. change("users", "3", "delete") .. "\n"

  it("lets pass what fits", function()
    assert_state('{"other":{"x":{"name":1}},"users":{"1":{"name":"Ada","age":36},"2":{"name":"Bob"}}}', GOOD,
      "--schema",
      tmp.file("script.lua", SCRIPT))
  end)

  it("stops at what does not, with place and field", function()
    local done = cli.state(GOOD .. insert("users", "4", '{"name":"C","age":"x"}') .. "\n", "--schema",
      tmp.file("s.lua", SCRIPT))
    assert.equal(1, done.code)
    assert.equal("", done.stdout)
    assert.matches(("^weir: %s: line 5 %%(byte %d%%): users/4: value: "):format(done.path:gsub("%p", "%%%0"),
      #GOOD + 1),
      done.stderr)
    assert.matches("name", done.stderr)
    assert.matches("age", done.stderr)
  end)

  it("looks at what a patch leaves", function()
    local done = cli.state(GOOD .. change("users", "1", "patch", '{"name":null}'), "--schema",
      tmp.file("s.lua", SCRIPT))
    assert.equal(1, done.code)
    assert.matches("users/1: value: .*name", done.stderr)
  end)

  it("passes it over with --on-invalid skip", function()
    local done = cli.state(GOOD .. insert("users", "4", '{"name":5}') .. "\n" .. insert("users", "5", '{"name":"Eve"}'),
      "--schema", tmp.file("s.lua", SCRIPT), "--on-invalid", "skip", "--type", "users", "--stats")
    assert.equal(0, done.code)
    assert.equal('{"1":{"name":"Ada","age":36},"2":{"name":"Bob"},"5":{"name":"Eve"}}\n', done.stdout)
    assert.matches("warn +skipped: .*line 5 .*users/4: value: name", done.stderr)
    assert.matches("\nevents=5 controls=0 rejected=1 entities=4 ", done.stderr)
  end)

  it("refuses a schema that it cannot check", function()
    local script = tmp.file("s.lua", [[
      require("weir").stream{url = "-", schema = {types = {
        users = {["~standard"] = {version = 1, vendor = "me", validate = function(value) return {value = value} end}},
      }}}
    ]])
    local done = cli.state(GOOD, "--schema", script)
    assert.equal(1, done.code)
    assert.equal("", done.stdout)
    local reason = "the schema of users is not one of weir.schema: only weir run can check it"
    assert.equal(("weir: %s: %s\n"):format(script, reason), done.stderr)
  end)

  it("needs a script with one stream", function()
    local done = cli.state(GOOD, "--schema", tmp.file("s.lua", "local weir = require 'weir'"))
    assert.equal(1, done.code)
    assert.matches("s.lua declares no stream: %-%-schema needs a script that declares one", done.stderr)
    done = cli.state(GOOD, "--schema", tmp.file("s.lua", SCRIPT .. " weir.stream{url = 'x'}"))
    assert.equal(1, done.code)
    assert.matches("s.lua declares more than one stream", done.stderr)
    assert.equal(1, cli.state(GOOD, "--schema", "/no/such/script.lua").code)
  end)
end)

describe("weir state with large input", function()
  it("values of 1 MB, as they are", function()
    local value = '"' .. ("0123456789abcdé\\n"):rep(65536) .. '"'
    assert.truthy(#value > 1 << 20)
    assert_state(value, insert("t", "k", value) .. "\n" .. insert("t", "l", value), "--type", "t", "--key", "k")
    local deep = ("["):rep(900) .. ("]"):rep(900)
    assert_state(deep, "[" .. insert("t", "k", deep) .. "]", "--type", "t", "--key", "k")
  end)

  it("keys around 1 MB, with escapes and without", function()
    for _, size in ipairs{(1 << 20) - 1, 1 << 20, (1 << 20) + 1} do
      local key = ("k"):rep(size)
      assert_state('{"t":{"' .. key .. '":1}}', insert("t", key))
      key = ("k"):rep(size - 1)
      assert_state('{"t":{"' .. key .. 'é":1}}', "[" .. insert("t", key .. "\\u00e9") .. "]")
    end
  end)

  it("a message longer than 64 MB is refused", function()
    local command = [[{ printf '[%s' "$2"; head -c 70000000 /dev/zero | tr '\0' ' '; printf '"}]'; } | "$1" state -]]
    local done = process.run{cmd = {"sh", "-c", command, "sh", paths.weir, '{"type":"'}}
    assert.equal(1, done.code)
    assert.equal("", done.stdout)
    local reason = "a message is longer than 67108864 bytes: raise limits.message in the weir.stream of a script, "
      .. "and give that with --schema"
    assert.equal("weir: standard input: byte 2 (message 1): " .. reason .. "\n", done.stderr)
  end)

  -- Every event once, in order: each sets its key, and counts up another.
  it("100,000 events", function()
    local lines = {}
    for i = 1, 100000 do
      lines[i] = ('{"type":"t%d","key":"k%d","value":%d,"headers":{"operation":"upsert"}}'):format(i % 3, i % 1000, i)
    end
    local text = "[" .. table.concat(lines, ",") .. "]"
    local done = cli.state(text, "--stats")
    assert.equal(0, done.code)
    assert.matches("^events=100000 controls=0 rejected=0 entities=3000 bytes=" .. #text, done.stderr)
    local last = {}
    for kind, entities in done.stdout:gmatch('"t(%d)":{([^}]*)}') do
      for key, value in entities:gmatch('"k(%d+)":(%d+)') do
        assert.equal(tonumber(key), tonumber(value) % 1000)
        assert.equal(tonumber(kind), tonumber(value) % 3)
        assert.truthy(tonumber(value) > 97000)
        last[#last + 1] = value
      end
    end
    assert.equal(3000, #last)
  end)

  -- WEIR_BIG_MB megabytes (20) through a pipe; the program may have no more than 200 MB, whatever their number.
  it("an array of any length, in bounded memory", function()
    local megabytes = tonumber(os.getenv("WEIR_BIG_MB") or 20)
    local generator = [[
      local size, piece, n = tonumber(arg[1]) << 20, {}, 0
      local pad = ("x"):rep(900)
      io.write "["
      local written = 1
      while written < size do
        for i = 1, 100 do
          n = n + 1
          piece[i] = ('%s{"type":"t","key":"k%d","value":{"n":%d,"pad":"%s"},"headers":{"operation":"upsert"}}'):format(
            n > 1 and "," or "", n % 500, n, pad)
        end
        local text = table.concat(piece)
        written = written + #text
        io.write(text)
      end
      io.write(']')
      io.stderr:write(n, "\n")
    ]]
    local script = tmp.file("generate.lua", generator)
    -- The sanitizers map terabytes of addresses: under them the largest resident size is looked at instead.
    local limited = [[lua5.4 "$2" "$3" | { ulimit -v 200000; "$1" state - --stats >/dev/null; }]]
    local watched = [[
      lua5.4 "$2" "$3" | { exec 3<&0; "$1" state - --stats <&3 >/dev/null & pid=$!
        while kill -0 $pid 2>/dev/null; do
          peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status 2>/dev/null || true)
          [ -z "$peak" ] || last=$peak; sleep 0.05; done; wait $pid; code=$?; echo "peak=$last" >&2; exit $code; }
    ]]
    local done = process.run{
      cmd = {"sh", "-c", paths.sanitized and watched or limited, "sh", paths.weir, script, tostring(megabytes)},
      timeout = 120 + megabytes,
    }
    assert.equal(0, done.code, done.stderr)
    local sent = done.stderr:match("^(%d+)\n") or done.stderr:match("\n(%d+)\n")
    assert.matches("events=" .. sent .. " controls=0 rejected=0 entities=500 ", done.stderr)
    local peak = tonumber(done.stderr:match("peak=(%d+)"))
    assert.is_true(not paths.sanitized or peak < 400000, done.stderr)
  end)
end)
