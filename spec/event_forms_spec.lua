-- Every form of an event, as a script sees it.

local weir = require "weir"
local tmp = require "support.tmp"

-- Runs the lines (or an array's text) through a stream and returns what its handlers saw: a list of
-- {kind, type, key, operation, control, value, old, new, ...} and the state. options: as of weir.stream.
local function run(text, options)
  local given = {url = tmp.file("events", text), live = false}
  for name, value in pairs(options or {}) do
    given[name] = value
  end
  local stream = weir.stream(given)
  local seen = {}
  stream:onChange(function(state, event)
    seen[#seen + 1] = event
    assert.equal(event.new ~= nil, state:has(event.type, event.key))
  end)
  stream:onControl(function(event)
    seen[#seen + 1] = event
  end)
  weir.run()
  return seen, stream.state, stream
end

local function lines(...)
  return table.concat({...}, "\n")
end

local function refused(text, options)
  local ok, err = pcall(run, text, options)
  assert.is_false(ok, "expected it to be refused: " .. text)
  return tostring(err)
end

local function assert_refused(reason, text, options)
  local message = refused(text, options)
  assert.truthy(message:find(": " .. reason, 1, true), message)
end

describe("a change of the State Protocol", function()
  local seen, state = run(lines(
    '{"type":"t","key":"k","value":{"n":1,"a":[]},"headers":{"operation":"insert","txid":"x1",' ..
      '"timestamp":"2025-01-15T10:30:00Z"}}',
    '{"type":"t","key":"k","value":{"n":2},"old_value":{"n":1},' ..
      '"headers":{"operation":"update","from":"me","offset":"0_7"}}',
    '{"type":"t","key":"k","value":{"n":null},"headers":{"operation":"patch"}}',
    '{"type":"t","key":"j","value":null,"headers":{"operation":"upsert"}}',
    '{"type":"t","key":"k","old_value":{},"headers":{"operation":"delete","odd":{"er":true}}}',
    '{"type":"t","key":"none","value":null,"headers":{"operation":"delete"}}'))

  it("has its operation, type and key", function()
    local operations = {}
    for i, event in ipairs(seen) do
      operations[i] = event.operation .. " " .. event.type .. "/" .. event.key
      assert.is_nil(event.control)
      assert.equal(operations[i], tostring(event))
    end
    assert.same({"insert t/k", "update t/k", "patch t/k", "upsert t/j", "delete t/k", "delete t/none"}, operations)
  end)

  it("has the value of the message, the one before and the one after", function()
    assert.same({n = 1, a = {}}, seen[1].value)
    assert.is_nil(seen[1].old)
    assert.same({n = 1, a = {}}, seen[1].new)
    assert.same({n = 1, a = {}}, seen[2].old)
    assert.same({n = 2}, seen[2].new)
    assert.same({n = weir.null}, seen[3].value)
    assert.same({n = 2}, seen[3].old)
    assert.same({}, seen[3].new)
    assert.equal(weir.null, seen[4].value)
    assert.equal(weir.null, seen[4].new)
    assert.is_nil(seen[5].value)
    assert.same({}, seen[5].old)
    assert.is_nil(seen[5].new)
    assert.is_nil(seen[6].old)
  end)

  it("has what the writer called the value before, and its headers", function()
    assert.is_nil(seen[1].old_value)
    assert.same({n = 1}, seen[2].old_value)
    assert.equal("x1", seen[1].txid)
    assert.equal("2025-01-15T10:30:00Z", seen[1].timestamp)
    assert.equal("me", seen[2].from)
    assert.equal("0_7", seen[2].offset)
    assert.is_nil(seen[2].txid)
    assert.same({operation = "delete", odd = {er = true}}, seen[5].headers)
  end)

  it("leaves the state it should", function()
    assert.equal(1, state:size())
    assert.equal(weir.null, state:get("t", "j"))
    assert.is_nil(state:get("t", "k"))
  end)
end)

describe("a change without a type", function()
  local text = lines('{"key":"k","value":{"a":1},"headers":{"operation":"insert","txId":"x2"}}',
    '{"type":"default","key":"j","value":2,"headers":{"operation":"insert"}}')

  it("is of the default type", function()
    local seen, state = run(text)
    assert.equal("default", seen[1].type)
    assert.equal("x2", seen[1].txid)
    assert.equal(2, state:size("default"))
  end)

  it("is of the type that the script says", function()
    local seen, state = run(text, {defaultType = "thïngs"})
    assert.equal("thïngs", seen[1].type)
    assert.same({a = 1}, state:get("thïngs", "k"))
    assert.equal(2, state:get("default", "j"))
  end)
end)

describe("a control", function()
  it("is seen in both forms", function()
    local seen = run(lines('{"headers":{"control":"snapshot-start","offset":"0_1"}}',
      '{"type":"snapshot-start","offset":"0_1"}',
      '{"headers":{"control":"snapshot-end"}}', '{"type":"snapshot-end"}', '{"type":"up-to-date","offset":"5"}',
      '{"headers":{"control":"reset"}}', '{"type":"reset"}'))
    local controls = {}
    for i, event in ipairs(seen) do
      controls[i] = event.control .. (event.offset and " " .. event.offset or "")
      assert.is_nil(event.operation)
      assert.is_nil(event.key)
    end
    assert.same({"snapshot-start 0_1", "snapshot-start 0_1", "snapshot-end", "snapshot-end", "up-to-date 5",
      "reset", "reset"},
      controls)
  end)

  it("of reset empties the state before the handler is called", function()
    local sizes = {}
    local stream = weir.stream{live = false, url = tmp.file("events", lines(
      '{"key":"a","value":1,"headers":{"operation":"insert"}}',
        '{"key":"b","value":1,"headers":{"operation":"insert"}}',
      '{"headers":{"control":"reset"}}', '{"key":"a","value":2,"headers":{"operation":"insert"}}'))}
    stream:onControl(function() sizes[#sizes + 1] = stream.state:size() end)
    stream:onChange(function(state, event)
      sizes[#sizes + 1] = state:size()
      assert.is_nil(event.old)
    end)
    weir.run()
    assert.same({1, 2, 0, 1}, sizes)
  end)

  it("needs no handler", function()
    local stream = weir.stream{live = false, url = tmp.file("events",
      '[{"key":"a","value":1,"headers":{"operation":"insert"}},{"type":"reset"},{"type":"up-to-date"}]')}
    weir.run()
    assert.equal(0, stream.state:size())
  end)

  it("that is unknown, or whose offset is no text, is refused", function()
    assert_refused('headers.control: expected snapshot-start, snapshot-end or reset, got "x"',
      '{"headers":{"control":"x"}}')
    assert_refused("offset: expected a non-empty string, got 5", '{"headers":{"control":"reset","offset":5}}')
    assert_refused('offset: expected a non-empty string, got ""', '{"type":"reset","offset":""}')
    assert_refused("headers is missing: expected an object with operation or control", '{"type":"unknown"}')
  end)
end)

describe("members", function()
  it("come in any order", function()
    local members = {'"type":"t"', '"key":"k"', '"value":{"type":"x","key":"y","headers":{}}', '"old_value":[1]',
      '"headers":{"txid":"x","operation":"update"}'}
    local count = 0
    -- all 120 orders
    local function permute(n)
      if n == 0 then
        local seen = run("[{" .. table.concat(members, " , ") .. "}]")
        local event = seen[1]
        assert.equal("update t/k x", tostring(event) .. " " .. event.txid)
        assert.same({type = "x", key = "y", headers = {}}, event.value)
        assert.same({1}, event.old_value)
        count = count + 1
      end
      for i = 1, n do
        members[i], members[n] = members[n], members[i]
        permute(n - 1)
        members[i], members[n] = members[n], members[i]
      end
    end
    permute(#members)
    assert.equal(120, count)
  end)

  it("count once: the last of two", function()
    local seen = run('{"type":"a","type":"t","key":1,"key":"k","value":1,"value":2,"headers":[],' ..
      '"headers":{"operation":"delete",' ..
      '"txid":"a","operation":"insert","txid":"b"}}')
    assert.equal("insert t/k", tostring(seen[1]))
    assert.equal(2, seen[1].value)
    assert.equal("b", seen[1].txid)
    -- headers that come again say everything anew
    seen = run('{"key":"k","value":2,"headers":{"operation":"delete","txid":"a","more":1},' ..
      '"headers":{"operation":"insert"}}')
    assert.is_nil(seen[1].txid)
    assert.same({operation = "insert"}, seen[1].headers)
  end)

  it("may have escapes in their names", function()
    local seen = run('{"t\\u0079pe":"\\u0074","ke\\u0079":"\\"\\\\\\u00e9\\ud83d\\ude00","\\u0076alue":"\\u0041",' ..
      '"header\\u0073":{"\\u006fperation":"ins\\u0065rt","tx\\u0069d":"\\n"}}')
    assert.equal("t", seen[1].type)
    assert.equal('"\\é\u{1F600}', seen[1].key)
    assert.equal("A", seen[1].value)
    assert.equal("\n", seen[1].txid)
  end)

  it("that are unknown are kept for handlers", function()
    local text = '{"type":"t","key":"k","value":1,"extra":[1,{"a":null}],' ..
      '"headers":{"operation":"insert","trace":"abc"}}'
    local seen = run(text)
    assert.equal(text, seen[1].text)
    assert.equal("abc", seen[1].headers.trace)
    local all = {}
    for name, value in pairs(seen[1]) do
      all[name] = value
    end
    assert.same({1, {a = weir.null}}, all.extra)
    assert.equal(text, weir.json.encode(seen[1]))
  end)
end)

describe("a strict stream", function()
  local STRICT = {strict = true}

  it("takes what the published schema has", function()
    local seen, state = run(lines(
      '{"type":"t","key":"k","value":1,"headers":{"operation":"insert","txid":"x","timestamp":"2025-01-15T10:30:00Z"}}',
      '{"type":"t","key":"k","value":2,"old_value":1,"headers":{"operation":"update"}}',
      '{"type":"t","key":"j","value":null,"headers":{"operation":"delete"}}',
      '{"headers":{"control":"snapshot-end","offset":"0_1"}}'), STRICT)
    assert.equal(4, #seen)
    assert.equal(2, state:get("t", "k"))
  end)

  it("refuses all else", function()
    local function change(operation, more, headers)
      return ('{"type":"t","key":"k","value":1%s,"headers":{"operation":"%s"%s}}'):format(more or "", operation,
        headers or "")
    end
    assert_refused("type is missing (strict)", '{"key":"k","value":1,"headers":{"operation":"insert"}}', STRICT)
    assert_refused('unknown member "extra" (strict)', change("insert", ',"extra":1'), STRICT)
    assert_refused('unknown member "offset" (strict)', change("insert", ',"offset":"1"'), STRICT)
    assert_refused('headers: unknown member "trace" (strict)', change("insert", "", ',"trace":1'), STRICT)
    assert_refused('headers: unknown member "txId" (strict)', change("insert", "", ',"txId":"1"'), STRICT)
    assert_refused('headers: unknown member "from" (strict)', change("insert", "", ',"from":"1"'), STRICT)
    assert_refused('headers: unknown member "control" (strict)', change("insert", "", ',"control":"reset"'), STRICT)
    assert_refused("headers.txid: expected a non-empty string, got 1 (strict)",
      change("insert", "", ',"txid":1'), STRICT)
    assert_refused("headers.timestamp: expected a non-empty string, got null (strict)",
      change("insert", "", ',"timestamp":null'), STRICT)
    assert_refused("headers.operation: patch is not in the State Protocol (strict)", change("patch"), STRICT)
    assert_refused("headers.operation: upsert is not in the State Protocol (strict)", change("upsert"), STRICT)
    assert_refused("headers is missing", '{"type":"reset"}', STRICT)
    assert_refused("headers.control: up-to-date is not in the State Protocol (strict)",
      '{"headers":{"control":"up-to-date"}}',
      STRICT)
    assert_refused('unknown member "type" (strict)', '{"type":"t","headers":{"control":"reset"}}', STRICT)
    assert_refused('headers: unknown member "txid" (strict)', '{"headers":{"control":"reset","txid":"1"}}', STRICT)
  end)
end)

describe("an event", function()
  it("is named by file and line where it is refused", function()
    local message = refused(lines('{"key":"k","value":1,"headers":{"operation":"insert"}}', "",
      '{"key":"k","headers":{"operation":"insert"}}'))
    assert.matches("/events: line 3 %(byte 57%): value is missing: insert needs one$", message)
  end)

  it("that is refused leaves what was before, and nothing of itself", function()
    local stream = weir.stream{live = false, url = tmp.file("events", lines(
      '{"key":"a","value":1,"headers":{"operation":"insert"}}', '{"key":"b","value":1,"headers":{"operation":"insrt"}}',
      '{"key":"c","value":1,"headers":{"operation":"insert"}}'))}
    assert.is_false(pcall(weir.run))
    assert.equal(1, stream.state:size())
    assert.equal(1, stream.state:get("default", "a"))
  end)
end)
