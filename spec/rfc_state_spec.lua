-- weir.MaterializedState, weir.materialize and weir.materializeAsync.

local paths = require "support.paths"
local tmp = require "support.tmp"
local weir = require "weir"
local worker = require "support.worker"

local s, null, encode, decode = weir.schema, weir.null, weir.json.encode, weir.json.decode

local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return (tostring(message):gsub("^[^:]+:%d+: ", ""))
end

local function change(operation, kind, key, value)
  return {type = kind, key = key, value = value, headers = {operation = operation}}
end

describe("a MaterializedState", function()
  local state

  before_each(function()
    state = weir.MaterializedState()
  end)

  it("can be made in each way", function()
    for _, made in ipairs{weir.MaterializedState(), weir.MaterializedState{}, weir.MaterializedState.new(),
      weir.MaterializedState:new{}, weir.MaterializedState.new{defaultType = "things"}} do
      assert.equal(0, made.size)
      assert.equal("weir.MaterializedState: 0 entities", tostring(made))
    end
  end)

  it("stores what is inserted, updated and upserted, and removes what is deleted", function()
    state:apply(change("insert", "config", "theme", "dark"))
    assert.equal("dark", state:get("config", "theme"))
    state:apply(change("update", "config", "theme", "light"))
    assert.equal("light", state:get("config", "theme"))
    state:apply(change("upsert", "config", "theme", "blue"))
    state:apply(change("upsert", "config", "size", 14))
    assert.same({theme = "blue", size = 14}, state:getType "config")
    state:apply(change("delete", "config", "theme"))
    assert.is_nil(state:get("config", "theme"))
    assert.is_false(state:has("config", "theme"))
    state:apply(change("delete", "config", "theme"))
    state:apply(change("delete", "nothing", "of this"))
    assert.equal(1, state.size)
  end)

  it("lets the last insert of a key count, and an update need none", function()
    state:applyBatch{change("insert", "t", "k", 1), change("insert", "t", "k", 2), change("update", "t", "other", 3)}
    assert.same({k = 2, other = 3}, state:getType "t")
  end)

  it("merges patches", function()
    state:apply(change("patch", "t", "k", {a = 1, b = {c = 1}}))
    state:apply(change("patch", "t", "k", {a = null, b = {d = 2}}))
    assert.same({b = {c = 1, d = 2}}, state:get("t", "k"))
    assert.equal('{"b":{"c":1,"d":2}}', state:json("t", "k"))
  end)

  it("takes every value that JSON has", function()
    for i, value in ipairs{null, false, 0, "", weir.json.array(), {}, {1, 2}, 1.5, math.mininteger, {a = {b = null}}} do
      state:apply(change("insert", "t", "k" .. i, value))
      assert.same(value, state:get("t", "k" .. i))
      assert.is_true(state:has("t", "k" .. i))
    end
    assert.equal(10, state:count "t")
  end)

  it("keeps types apart, and any text as a name", function()
    for _, name in ipairs{"a", "A", " ", "ä", "a\0b", "size", "rows", "__index"} do
      state:apply(change("insert", name, name, name))
    end
    for _, name in ipairs{"a", "A", " ", "ä", "a\0b", "size", "rows", "__index"} do
      assert.equal(name, state:get(name, name))
      assert.same({[name] = name}, state:getType(name))
    end
    assert.equal(8, state.typeCount)
    assert.same({}, state:getType "none")
  end)

  it("gives fresh values", function()
    local value = {list = {1}}
    state:apply(change("insert", "t", "k", value))
    value.list[1] = 2
    state:get("t", "k").list[1] = 3
    state.data.t.k = nil
    state.rows[1] = nil
    state.types[1] = nil
    assert.same({list = {1}}, state:get("t", "k"))
    assert.same({{list = {1}}}, state.rows)
    assert.same({"t"}, state.types)
  end)

  it("takes JSON text, and keeps numbers as they are written in it", function()
    state:apply('  {"type":"t","key":"\\u006b","value":{"n":1.10,"m":12345678901234567890},' ..
      '"headers":{"operation":"insert"}} ')
    assert.equal('{"n":1.10,"m":12345678901234567890}', state:json("t", "k"))
    state:apply '{"headers":{"control":"reset"}}'
    assert.equal(0, state.size)
  end)

  it("takes what handlers get, with keys that the stream made", function()
    local events = table.concat({encode(weir.insert("t", "k", 1)), encode(weir.insert("k", 2)),
      '{"type":"u","value":{"id":"made"},"headers":{"operation":"insert"}}', encode(weir.control "snapshot-end")}, "\n")
    local stream = weir.stream{url = tmp.file("events", events), live = false, defaultType = "mine",
      schema = weir.defineStreamSchema{types = {u = s.any()}}}
    stream:onChange(function(_, event) state:apply(event) end)
    stream:onControl(function(event) state:apply(event) end)
    weir.run()
    assert.same({t = {k = 1}, default = {k = 2}, u = {made = {id = "made"}}}, state.data)
  end)

  it("holds everything in the order in which it came", function()
    for _, key in ipairs{"c", "a", "b"} do
      state:apply(change("insert", "second", key, key .. 1))
      state:apply(change("insert", "first", key, key .. 2))
    end
    state:apply(change("update", "first", "c", "c3"))
    state:apply(change("delete", "second", "a"))
    state:apply(change("insert", "second", "a", "a4"))
    assert.same({"c1", "c3", "a2", "b1", "b2", "a4"}, state.rows)
    assert.same({"second", "first"}, state.types)
    assert.same({"c", "b", "a"}, state:keys "second")
    assert.same({"c1", "b1", "a4"}, state:rows "second")
    local seen = {}
    for key, value in state:each "first" do
      seen[#seen + 1] = key .. "=" .. value
    end
    assert.same({"c=c3", "a=a2", "b=b2"}, seen)
    assert.same({c = "c3", a = "a2", b = "b2"}, state.data.first)
  end)

  it("can be asked for lists as a stream's state is", function()
    state:apply(change("insert", "t", "k", 1))
    assert.same({1}, state:rows())
    assert.same({1}, state:rows "t")
    assert.same({}, state:rows "none")
    assert.same({"t"}, state:types())
    assert.equal('[[1],["t"],{"t":{"k":1}}]', encode{state.rows, state.types, state.data})
    state:clear()
    assert.equal("[[],[],[],{}]", encode{state.rows, state.types, state:keys "t", state:getType "t"})
  end)

  it("walks over keys of the start and values of their turn", function()
    state:applyBatch{change("insert", "t", "a", 1), change("insert", "t", "b", 2), change("insert", "t", "c", 3)}
    local seen = {}
    for key, value in state:each "t" do
      seen[#seen + 1] = key .. value
      state:applyBatch{change("delete", "t", "b"), change("update", "t", "c", 4), change("insert", "t", "d", 5)}
    end
    assert.same({"a1", "c4"}, seen)
  end)

  it("remembers types until a reset, and clears", function()
    state:applyBatch{change("insert", "a", "k", 1), change("delete", "a", "k"), change("delete", "b", "k")}
    assert.same({"a", "b"}, state.types)
    assert.equal(2, state.typeCount)
    assert.equal(0, state.size)
    for _, clear in ipairs{
      function() state:clear() end,
      function() state:apply(weir.control "reset") end,
      function() state:apply{type = "reset", offset = "7"} end,
    } do
      state:apply(change("insert", "a", "k", 1))
      clear()
      assert.same({}, state.types)
      assert.same({}, state.rows)
      assert.same({}, state.data)
      assert.equal(0, state.typeCount)
      assert.is_false(state:has("a", "k"))
    end
  end)

  it("goes on over other controls", function()
    state:apply(change("insert", "t", "k", 1))
    for _, control in ipairs{"snapshot-start", "snapshot-end", "up-to-date"} do
      state:apply(weir.control(control))
      state:apply{type = control}
    end
    assert.equal(1, state.size)
  end)

  it("holds many entities", function()
    local count = 20000
    for i = 1, count do
      state:apply(change("insert", "t", "k" .. i, {n = i}))
    end
    for i = 1, count, 2 do
      state:apply(change("delete", "t", "k" .. i))
    end
    assert.equal(count / 2, state.size)
    assert.equal(count, state.rows[count / 2].n)
    assert.equal(2, state.rows[1].n)
  end)

  it("has no fields to set, and methods that need a colon", function()
    assert.equal("a state has no field 'size' that could be set", mistake(function() state.size = 5 end))
    assert.equal("apply: called on a table: write state:apply(...) with a colon", mistake(state.apply, {}))
    assert.equal('get: called on "t": write state:get(...) with a colon', mistake(state.get, "t", "k"))
    assert.equal("get: type: expected a string, got 5", mistake(state.get, state, 5, "k"))
    assert.equal("has: key: expected a string, got nil", mistake(state.has, state, "t", nil))
    assert.equal("get: key: expected a string, got 5", mistake(state.get, state, 5))
    assert.equal("getType: type: expected a string, got 5", mistake(state.getType, state, 5))
    assert.is_nil(state.nonsense)
  end)
end)

describe("events without a type", function()
  it("are entities by their key alone", function()
    local state = weir.MaterializedState()
    state:apply(weir.insert("1", {n = 1}))
    state:apply(weir.insert("2", {n = 2}))
    state:apply(weir.update("1", {n = 3}))
    assert.same({n = 3}, state:get "1")
    assert.is_true(state:has "2")
    assert.is_nil(state:get "3")
    assert.same({["1"] = {n = 3}, ["2"] = {n = 2}}, state.data)
    assert.same({["1"] = {n = 3}, ["2"] = {n = 2}}, state:getType())
    assert.same({"1", "2"}, state:keys())
    assert.equal(2, state:count())
    assert.same({"default"}, state.types)
    assert.same({n = 3}, state:get("default", "1"))
  end)

  it("have the default type beside others that have one", function()
    local state = weir.MaterializedState{defaultType = "things"}
    state:apply(weir.insert("k", 1))
    assert.same({k = 1}, state.data)
    state:apply(weir.insert("users", "k", 2))
    state:apply(weir.insert("users", "only", 3))
    assert.same({things = {k = 1}, users = {k = 2, only = 3}}, state.data)
    assert.equal(1, state:get "k")
    assert.equal(3, state:get "only")
    assert.is_true(state:has "only")
    assert.equal("3", state:json "only")
    assert.is_nil(state:get "none")
  end)
end)

describe("what is no event", function()
  local state = weir.MaterializedState()
  state:apply(change("insert", "t", "k", 1))
  local refusals = {
    [{}] = "apply: headers is missing: expected an object with operation or control",
    [{1}] = "apply: expected an event (an object), got array [1]",
    [5] = "apply: expected an event (a table, JSON text, or what a handler got), got 5",
    [true] = "apply: expected an event (a table, JSON text, or what a handler got), got true",
    ["{"] = "apply: the text ends in the middle of a value",
    ["17"] = "apply: expected an event (an object), got number 17",
    ['{"type":"t","key":"k","headers":{"operation":"delete"}} {}'] = "apply: expected one event, found more behind it",
    [{type = "t", value = 1, headers = {operation = "insert"}}] =
      "apply: key is missing: a change needs a non-empty string",
    [{type = "t", key = 5, value = 1, headers = {operation = "insert"}}] =
      "apply: key: expected a non-empty string, got number 5",
    [{type = "", key = "k", value = 1, headers = {operation = "insert"}}] =
      "apply: type: expected a non-empty string, got an empty one",
    [{type = "t", key = "k", headers = {operation = "update"}}] = "apply: value is missing: update needs one",
    [{type = "t", key = "k", value = 1, headers = {operation = "replace"}}] =
      'apply: headers.operation: expected insert, update, upsert, delete or patch, got "replace"',
    [{type = "t", key = "k", value = print, headers = {operation = "insert"}}] =
      "apply: value.value: a function cannot be written as JSON",
    [{headers = {control = "halt"}}] =
      'apply: headers.control: expected snapshot-start, snapshot-end or reset, got "halt"',
  }
  for event, message in pairs(refusals) do
    it("is refused and changes nothing: " .. message, function()
      assert.equal(message, mistake(state.apply, state, event))
      assert.same({t = {k = 1}}, state.data)
    end)
  end

  it("is refused at the place of the call", function()
    local function call() state:apply{} end
    local _, message = pcall(call)
    assert.matches("^[^\n]*rfc_state_spec.lua:" .. debug.getinfo(call, "S").linedefined .. ": ", message)
  end)

  it("keeps a whole batch from being applied, and is counted", function()
    assert.equal("applyBatch: event 2: value is missing: insert needs one",
      mistake(state.applyBatch, state, {change("delete", "t", "k"), change("insert", "t", "j")}))
    assert.same({t = {k = 1}}, state.data)
    assert.equal("applyBatch: expected a list of events, got nil", mistake(state.applyBatch, state))
  end)
end)

describe("onChange", function()
  it("is called after each change, with the state and the event as it was given", function()
    local seen = {}
    local state = weir.MaterializedState{onChange = function(given, event)
      seen[#seen + 1] = {given, event, given.size}
    end}
    local events = {weir.insert("t", "a", 1), change("insert", "t", "b", 2), change("delete", "t", "a")}
    state:apply(events[1])
    state:applyBatch{events[2], weir.control "snapshot-end", events[3]}
    state:apply '{"type":"t","key":"c","value":3,"headers":{"operation":"insert"}}'
    state:apply(weir.control "reset")
    state:clear()
    assert.equal(4, #seen)
    for i = 1, 3 do
      assert.equal(state, seen[i][1])
      assert.equal(events[i], seen[i][2])
    end
    assert.same({1, 2, 1, 2}, {seen[1][3], seen[2][3], seen[3][3], seen[4][3]})
    assert.same({type = "t", key = "c", value = 3, headers = {operation = "insert"}}, seen[4][2])
  end)

  it("may be added, for one type or for all, and is called in order", function()
    local seen = {}
    local function note(name)
      return function(_, event) seen[#seen + 1] = name .. " " .. event.key end
    end
    local state = weir.MaterializedState{onChange = note "option"}
    state:onChange("users", note "users")
    state:onChange(note "all")
    state:onChange("default", note "default")
    state:apply(weir.insert("users", "a", 1))
    state:apply(weir.insert("b", 2))
    assert.same({"option a", "users a", "all a", "option b", "all b", "default b"}, seen)
    assert.equal("onChange: expected a function, got nil", mistake(state.onChange, state))
    assert.equal("onChange: type: expected a string, got 5", mistake(state.onChange, state, 5, print))
  end)

  it("is not called of what is refused", function()
    local state = weir.MaterializedState{onChange = function() error("called") end}
    assert.matches("value is missing", mistake(state.apply, state, change("insert", "t", "k")))
  end)

  it("that raises leaves the change, calls the others, and is raised", function()
    local seen = 0
    local raised = {code = "mine"}
    local state = weir.MaterializedState{onChange = function() error(raised) end}
    state:onChange(function() seen = seen + 1 end)
    local ok, err = pcall(state.apply, state, weir.insert("t", "k", 1))
    assert.is_false(ok)
    assert.equal(raised, err)
    assert.equal(1, seen)
    assert.equal(1, state:get("t", "k"))
    ok, err = pcall(state.applyBatch, state, {change("update", "t", "k", 2), change("insert", "t", "j", 3)})
    assert.is_false(ok)
    assert.equal(raised, err)
    assert.equal(3, seen)
    assert.same({k = 2, j = 3}, state:getType "t")
  end)

  it("may apply events itself", function()
    local state
    state = weir.MaterializedState{onChange = function(_, event)
      if event.type == "t" then state:apply(change("insert", "log", event.key, true)) end
    end}
    state:applyBatch{change("insert", "t", "a", 1), change("insert", "t", "b", 1)}
    assert.same({a = true, b = true}, state:getType "log")
  end)
end)

describe("keyFn", function()
  it("makes the key, or leaves it", function()
    local state = weir.MaterializedState{keyFn = function(event)
      return event.value and event.value.name
    end}
    state:apply(change("insert", "t", "k", {name = "n"}))
    state:apply(change("insert", "t", nil, {name = "m"}))
    state:apply(change("insert", "t", "own", {}))
    state:apply '{"type":"t","key":"x","value":{"name":"text"},"headers":{"operation":"insert"}}'
    assert.same({"n", "m", "own", "text"}, state:keys "t")
    state:apply(change("delete", "t", "own"))
    assert.is_false(state:has("t", "own"))
  end)

  it("must give a text, and changes nothing where it raises", function()
    for given, shown in pairs{[5] = "5", [""] = '""', [true] = "true"} do
      local state = weir.MaterializedState{keyFn = function() return given end}
      assert.equal("apply: keyFn gave " .. shown .. ": expected a non-empty string",
        mistake(state.apply, state, weir.insert("k", 1)))
    end
    local state = weir.MaterializedState{keyFn = function(event) return event.value.name:lower() end}
    assert.matches("attempt to index", mistake(state.applyBatch, state, {weir.insert("k", {name = "A"}),
      weir.insert("k", {})}))
    assert.equal(0, state.size)
    local none = weir.MaterializedState{keyFn = function() end}
    assert.equal("apply: key is missing: a change needs a non-empty string",
      mistake(none.apply, none, change("insert", "t", nil, 1)))
  end)
end)

describe("a schema", function()
  local user = s.object{id = s.string(), age = s.integer():min(0)}

  it("refuses what does not fit the event's type", function()
    local state = weir.MaterializedState{schema = weir.defineStreamSchema{types = {users = user}}}
    state:apply(weir.insert("users", "1", {id = "1", age = 1}))
    assert.equal("apply: users/1: value.age: must be at least 0, is -1",
      mistake(state.apply, state, weir.update("users", "1", {id = "1", age = -1})))
    assert.equal('apply: users/2: value: expected an object, got a string ("x")',
      mistake(state.apply, state, weir.upsert("users", "2", "x")))
    assert.matches("applyBatch: event 2: users/2: ", mistake(state.applyBatch, state,
      {weir.del("users", "1"), weir.insert("users", "2", {})}), 1, true)
    state:apply(weir.insert("others", "1", "anything"))
    state:apply(weir.del("users", "1", "anything"))
    assert.same({users = {}, others = {["1"] = "anything"}}, state.data)
  end)

  it("judges a patch by what it leaves", function()
    local state = weir.MaterializedState{schema = weir.defineStreamSchema{types = {users = user}}}
    state:apply(weir.insert("users", "1", {id = "1", age = 1}))
    state:apply(weir.patch("users", "1", {age = 2}))
    assert.equal("apply: users/1: value.age: is missing: expected an integer",
      mistake(state.apply, state, weir.patch("users", "1", {age = null})))
    assert.equal(2, state:get("users", "1").age)
  end)

  it("may be that of one type, and makes keys", function()
    local state = weir.MaterializedState{schema = user}
    state:apply{value = {id = "made", age = 1}, headers = {operation = "insert"}}
    assert.same({id = "made", age = 1}, state:get "made")
    assert.matches("default/k: value.id", mistake(state.apply, state, weir.insert("k", {age = 1})), 1, true)
    state = weir.MaterializedState{schema = weir.createStateSchema{
      visits = {schema = s.any(), type = "visit", primaryKey = {"day", "page"}},
    }}
    state:apply(change("insert", "visit", nil, {day = 1, page = "a"}))
    state:apply '{"type":"visit","value":{"day":2,"page":"a"},"headers":{"operation":"insert"}}'
    assert.same({"1:a", "2:a"}, state:keys "visit")
    assert.equal("apply: key is missing: a change needs a non-empty string",
      mistake(state.apply, state, change("insert", "visit", nil, {day = 1})))
  end)

  it("and the other options are refused by name where they are wrong", function()
    assert.equal("MaterializedState: unknown option 'nope': expected one of defaultType, keyFn, onChange, schema",
      mistake(weir.MaterializedState, {nope = 1}))
    assert.equal("MaterializedState: onChange: expected a function, got 5",
      mistake(weir.MaterializedState, {onChange = 5}))
    assert.equal("MaterializedState: schema: expected { types = { name = schema, ... } }",
      mistake(weir.MaterializedState.new, {schema = {}}))
    assert.equal("materialize: expected a table of options, got 5", mistake(weir.materialize, {}, 5))
  end)
end)

describe("weir.materialize", function()
  local events = {weir.insert("t", "a", 1), weir.insert("t", "b", 2), weir.control "reset", weir.insert("t", "c", 3),
    weir.control "snapshot-end"}
  local texts = {}
  for i, event in ipairs(events) do
    texts[i] = encode(event)
  end

  local function iterator(list)
    local i = 0
    return function()
      i = i + 1
      return list[i]
    end
  end

  local function yielding(list)
    return function()
      for _, event in ipairs(list) do
        coroutine.yield(event)
      end
    end
  end

  for name, materialize in pairs{materialize = weir.materialize, materializeAsync = weir.materializeAsync} do
    it("takes each kind of source: " .. name, function()
      for _, source in ipairs{
        events, texts, iterator(events), iterator(texts), coroutine.create(yielding(events)),
        coroutine.wrap(yielding(texts)), encode(events), table.concat(texts, "\n"),
        "\n" .. table.concat(texts, "\r\n\n"), weir.json.array{table.unpack(events)},
      } do
        assert.same({t = {c = 3}}, materialize(source).data)
      end
      for _, source in ipairs{{}, "", " [] ", function() end, coroutine.create(function() end)} do
        assert.equal(0, materialize(source).size)
      end
    end)

    it("takes options, and counts what is refused: " .. name, function()
      local sizes = {}
      materialize(events, {onChange = function(state) sizes[#sizes + 1] = state.size end})
      assert.same({1, 2, 1}, sizes)
      assert.equal(name .. ": event 2: headers is missing: expected an object with operation or control",
        mistake(materialize, {events[1], {}}))
      assert.equal(name .. ": unknown option 'x': expected one of defaultType, keyFn, onChange, schema",
        mistake(materialize, {}, {x = 1}))
    end)

    it("raises what its source and its functions raise: " .. name, function()
      assert.matches("from the source", mistake(materialize, function() error("from the source") end))
      assert.matches("from the source", mistake(materialize, coroutine.create(function() error("from the source") end)))
      assert.matches("from onChange", mistake(materialize, events, {onChange = function() error("from onChange") end}))
    end)

    it("refuses what is no source: " .. name, function()
      for _, source in ipairs{5, true, events[1], {x = 1}, io.stdout} do
        assert.matches("^" .. name .. ": expected a list of events, a function, a coroutine",
          mistake(materialize, source))
      end
      assert.matches(", got nil", mistake(materialize))
    end)
  end

  it("reads a file line by line", function()
    local path = tmp.file("events", table.concat(texts, "\n") .. "\n")
    assert.same({t = {c = 3}}, weir.materialize(io.lines(path)).data)
  end)
end)

describe("weir.materializeAsync over a stream", function()
  local FILE = tmp.file("events.jsonl", table.concat({
    encode(weir.insert("t", "a", 1)), encode(weir.insert("t", "b", 2)), encode(weir.del("t", "a")),
    encode(weir.control "reset"), encode(weir.insert("t", "c", 3)),
  }, "\n") .. "\n")

  local function lines_of(run, script)
    local done = run{script = 'local weir = require "weir"\n' .. script, set = {FILE = FILE}}
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
    return worker.lines(done.stdout)
  end

  it("runs it, in the main part of a script", function()
    local script = [[
      local keys = {}
      local state = weir.materializeAsync(weir.stream { url = weir.env "FILE", live = false }, {
        onChange = function(_, event) keys[#keys + 1] = event.key end,
      })
      print(weir.json.encode(state.data), table.concat(keys, " "))
    ]]
    assert.same({'{"t":{"c":3}}\ta b a c'}, lines_of(worker.lua, script))
    assert.same({'{"t":{"c":3}}\ta b a c'}, lines_of(worker.run, script .. "weir.after(0, function() end)"))
  end)

  it("waits for it, in handlers and timers, and goes on applying what comes to a live one", function()
    local file = tmp.file("growing.jsonl", encode(weir.insert("t", "a", 1)) .. "\n")
    local done = worker.lua{set = {FILE = file}, script = [[
      local weir = require "weir"
      weir.after("1ms", function()
        local state = weir.materializeAsync(weir.stream { url = weir.env "FILE" })
        print(state.size)
        local out = assert(io.open(weir.env "FILE", "a"))
        out:write(weir.json.encode(weir.insert("t", "b", 2)), "\n")
        out:close()
        while state.size < 2 do weir.sleep("1ms") end
        print(state.size)
        weir.stop()
      end)
      weir.run()
    ]]}
    assert.equal("", done.stderr)
    assert.same({"1", "2"}, worker.lines(done.stdout))
  end)

  it("waits for one that has nothing", function()
    assert.same({"0"}, lines_of(worker.lua, [[
      weir.after("1ms", function()
        print(weir.materializeAsync(weir.stream { url = "/dev/null", live = false }).size)
      end)
      weir.run()
    ]]))
  end)

  it("refuses one that is being read, or that would never end", function()
    local lines = lines_of(worker.lua, [[
      local live = weir.stream { url = weir.env "FILE", name = "room" }
      print(select(2, pcall(weir.materializeAsync, live)))
      live:onUpToDate(function()
        print(select(2, pcall(weir.materializeAsync, live)))
        weir.stop()
      end)
      weir.run()
    ]])
    assert.matches("materializeAsync: room is followed for ever", lines[1], 1, true)
    assert.matches("materializeAsync: room is being read already", lines[2], 1, true)
  end)

  it("stops the work where the stream cannot be read", function()
    local done = worker.lua{script = [[
      local weir = require "weir"
      print(pcall(weir.materializeAsync, weir.stream { url = "/nowhere.jsonl", live = false }))
      weir.after(0, function()
        weir.materializeAsync(weir.stream { url = "/nowhere.jsonl", live = false })
        print "not reached"
      end)
      print(pcall(weir.run))
    ]]}
    assert.equal(0, done.code, done.stderr)
    local lines = worker.lines(done.stdout)
    assert.matches("^false\t.*nowhere", lines[1])
    assert.matches("^false\t.*nowhere", lines[2])
  end)
end)

describe("finalizers", function()
  -- One that changes the state while it is read must not reach freed memory; it is seen under the sanitizers.
  it("may change the state while it is read", function()
    local state = weir.MaterializedState()
    for i = 1, 300 do
      state:apply(change("insert", "t", "k" .. i, {list = {i, {i}}, text = ("x"):rep(i)}))
    end
    local function disturb()
      setmetatable({}, {__gc = function()
        state:applyBatch{change("upsert", "t", "k" .. math.random(300), {text = ("y"):rep(math.random(4000))}),
          change("delete", "t", "k" .. math.random(300))}
      end})
    end
    local good, bad = 0, 0
    local stop = os.clock() + (paths.sanitized and 3 or 0.5)
    while os.clock() < stop do
      disturb()
      collectgarbage("step", 1)
      for _, read in ipairs{
        function() return state.rows end, function() return state:getType "t" end, function() return state:keys "t" end,
        function() return state:get("t", "k" .. math.random(300)) end,
        function() state:apply(change("patch", "t", "k" .. math.random(300), {text = "z", more = {1}})) end,
      } do
        disturb()
        local ok, err = pcall(read)
        good, bad = good + (ok and 1 or 0), bad + (ok and 0 or 1)
        assert(ok or tostring(err):find("the state was changed while it was read", 1, true), err)
      end
    end
    assert.is_true(good > bad)
    collectgarbage()
    collectgarbage()
    assert.is_table(decode(encode(state.data)))
  end)
end)
