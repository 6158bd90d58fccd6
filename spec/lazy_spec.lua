-- Values that are decoded when they are touched: a script cannot tell them from what weir.json.decode gives, and
-- what was not touched goes out byte for byte.

local tmp = require "support.tmp"
local worker = require "support.worker"

local function run(options)
  local done = worker.run{script = 'local weir = require "weir"\n' .. options.script, set = options.set,
    timeout = options.timeout, args = options.args}
  assert.equal(options.code or 0, done.code, done.stderr .. done.stdout)
  return worker.lines(done.stdout), done
end

-- One insert of each value (JSON text) into type t, keys 1, 2, 3...; lines that the script prints for it.
local function handle(values, script, set)
  local events = {}
  for i, value in ipairs(values) do
    events[i] = ('{"type":"t","key":"%d","value":%s,"headers":{"operation":"upsert"}}\n'):format(i, value)
  end
  set = set or {}
  set.FILE = tmp.file("events.jsonl", table.concat(events))
  return run{set = set, timeout = 60, script = [[
    local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream" }
    local encode, decode = weir.json.encode, weir.json.decode
  ]] .. script}
end

local ONE = '{"b":1.50, "a":"x\\u0041\\/","n":{"z":[1, 2,{"q":null}],"y":{}},"l":[],"e":{ },"t":true,"b":2.0}'

describe("a lazy value", function()
  it("goes out as the bytes that came, also inside of something else, until it is touched", function()
    local lines = handle({ONE, "[ 1.0, [2e0] ]"}, [==[
      stream:onChange(function(state, event)
        local value = event.value
        local text = state:json("t", event.key)
        print(encode(value) == text, encode { v = value, w = { value } } == ('{"v":%s,"w":[%s]}'):format(text, text))
        print(encode(state:get("t", event.key)) == text, encode(state:rows "t"), encode(event.new) == text)
        local _ = value.a, value.b, value.missing, value.n and value.n.y, value.n and value.n.z
        print(type(value), tostring(value):match "^[^:]+", encode(value) == text)
        value = event.value
        value[event.key == "1" and "c" or 3] = 1
        print(encode(value))
      end)
    ]==])
    assert.same({
      "true\ttrue", "true\t[" .. ONE .. "]\ttrue", "table\ttable\ttrue",
      '{"a":"xA/","b":2.0,"c":1,"e":{},"l":[],"n":{"z":[1, 2,{"q":null}],"y":{}},"t":true}',
      "true\ttrue", "true\t[" .. ONE .. ",[ 1.0, [2e0] ]]\ttrue", "table\tweir.array\tfalse", "[1.0,[2.0],1]",
    }, lines)
  end)

  it("is written anew where a part of it may have changed; what was read of it and stayed as it was is not", function()
    local lines = handle({ONE, ONE, ONE, ONE, ONE}, [==[
      local changes = {
        function(value) value.n.y.new = value.n.z ~= nil end,
        function(value) value.n.z[3].q = 7 end,
        function(value) value.n = nil end,
        function(value) value.b, value.n.z = 3, value.n.y end,
        function(value) local n = value.n value.a = nil n.y.k = 1 n.y = nil end,
      }
      stream:onChange(function(_, event)
        changes[tonumber(event.key)](event.value)
        print(encode(event.value))
      end)
    ]==])
    local z = '"z":[1, 2,{"q":null}]'
    assert.same({
      '{"a":"xA/","b":2.0,"e":{},"l":[],"n":{"y":{"new":true},' .. z .. '},"t":true}',
      '{"a":"xA/","b":2.0,"e":{},"l":[],"n":{"y":{},"z":[1,2,{"q":7}]},"t":true}',
      '{"a":"xA/","b":2.0,"e":{},"l":[],"t":true}',
      '{"a":"xA/","b":3,"e":{},"l":[],"n":{"y":{},"z":{}},"t":true}',
      '{"b":2.0,"e":{},"l":[],"n":{"z":[1,2,{"q":null}]},"t":true}',
    }, lines)
  end)

  it("is the same table each time, and so are its parts, before and after it is decoded", function()
    local lines = handle({ONE}, [==[
      stream:onChange(function(state, event)
        local value, n, z = event.value, event.value.n, event.value.n.z
        print(rawequal(value, event.value), rawequal(value, event.new), rawequal(n, value.n), value == event.value)
        for name, member in pairs(value) do
          if name == "n" then print(rawequal(member, n)) end
        end
        print(rawequal(value.n, n), rawequal(n.z, z), #z, rawequal(value.n.z, z), z[3] == z[3])
        print(rawequal(state:get("t", "1"), state:get("t", "1")))
      end)
    ]==])
    assert.same({"true\ttrue\ttrue\ttrue", "true", "true\ttrue\t3\ttrue\ttrue", "false"}, lines)
  end)

  it("may be kept when its event has gone, and read with any name", function()
    local lines = handle({ONE, '{"\\u0061":{"deep":[1]},"\\"":2,"":3,"1":4,"a b":5,"a\\/b":6}'}, [==[
      local kept = {}
      stream:onChange(function(state, event) kept[#kept + 1] = event.value kept[#kept + 1] = state:get("t", "1").n end)
      stream:onUpToDate(function()
        collectgarbage() collectgarbage()
        print(kept[1].a, kept[1].b, kept[2].z[2], kept[1].n.z[1], kept[1][1], kept[1][true], kept[1].nothing)
        local odd = kept[3]
        print(odd.a.deep[1], odd['"'], odd[""], odd["1"], odd[1], odd["a b"], odd["a/b"], odd[weir.null], odd[1.5])
        print(odd[odd], (pcall(function() return odd[nil] end)))
        print(kept[1].n.y == kept[4].y, kept[1].l == weir.null, kept[4].z[3].q == weir.null)
      end)
    ]==])
    assert.same({
      "xA/\t2.0\t2\t1\tnil\tnil\tnil", "1\t2\t3\t4\tnil\t5\t6\tnil\tnil", "nil\ttrue", "false\tfalse\ttrue",
    }, lines)
  end)

  it("is what the functions that go around metatables take it for", function()
    local lines = handle({'{"a":1}', "[3,1,2]"}, [==[
      local function names(t) local list = {} for name in next, t do list[#list + 1] = tostring(name) end
        table.sort(list) return table.concat(list, ",") end
      local uses = {
        function(v) return next(v) end,
        function(v) return names(v) end,
        function(v) return rawget(v, "a"), rawget(v, 1), rawlen(v), #v end,
        function(v) rawset(v, "z", 9) return v.z, names(v) end,
        function(v) return getmetatable(v) == getmetatable(weir.json.array()), getmetatable(v) == nil end,
        function(v) return debug.getmetatable(v) == nil end,
        function(v) return setmetatable(v, { __index = { more = 5 } }) == v, v.more, v.a, v[1] end,
        function(v) return setmetatable({}, { __index = v }).a, setmetatable({}, { __index = v })[1] end,
        function(v) return setmetatable({}, v) ~= nil, names(v) end,
        function(v) return pcall(weir.json.array, v) end,
        function(v) return pcall(table.concat, v, "+") end,
        function(v) return pcall(table.unpack, v) end,
        function(v) table.insert(v, 4) return v[#v], #v end,
        function(v) return pcall(table.remove, v) end,
        function(v) table.sort(v) return v[1], v[3] end,
        function(v) return table.move(v, 1, 2, 2, {})[2] end,
        function(v) return select("#", table.unpack(v)) end,
        function(v) for i, x in ipairs(v) do v[i] = x * 2 end return v[1], v[3] end,
        function(v) return (("$a"):gsub("%$(%w+)", v)) end,
        function(v) local ok, e = pcall(error, v) return ok, rawequal(e, v) end,
        function(v) local ok, e = pcall(function() return v + 1 end) return ok, e:match "arithmetic on a table" end,
        function(v) local ok, e = pcall(function() return v() end) return ok, e:match "call a table" end,
        function(v) local ok, e = pcall(function() return v < v end) return ok, e end,
        function(v) v.x = nil v.a = nil return next(v) end,
        function(v) return pcall(function() v[nil] = 1 end) end,
        function(v) return pcall(function() v[0/0] = 1 end) end,
        function(v) local t = setmetatable({ [v] = 1 }, { __mode = "k" }) return t[v] end,
        function(v) local co = coroutine.wrap(function() for k, x in pairs(v) do coroutine.yield(k, x) end end)
          return co() end,
        function(v) weir.log.info(v) return pcall(string.rep, v) end,
        function(v) local t <const> = v return type(t), math.type(t), tostring(t):match "^[%w.]+: " end,
      }
      stream:onChange(function(state, event)
        local text = state:json("t", event.key)
        for i, use in ipairs(uses) do
          local lazy, plain = table.pack(use(state:get("t", event.key))), table.pack(use(decode(text)))
          for j = 1, math.max(lazy.n, plain.n) do
            local a, b = lazy[j], plain[j]
            local same = type(a) == "table" and select(2, pcall(encode, a)) == select(2, pcall(encode, b)) or a == b
            if not same or lazy.n ~= plain.n then print(text, i, j, a, b) end
          end
        end
        print("done")
      end)
    ]==])
    assert.same({"done", "done"}, lines)
  end)

  it("does not show its slot to a C library without a word", function()
    if not pcall(require, "cjson") then
      pending "lua-cjson is not installed"
      return
    end
    local lines = handle({'{"a":1}'}, [==[
      local cjson = require "cjson"
      stream:onChange(function(_, event)
        print((pcall(cjson.encode, event.value)))
        local name, value = next(event.value)
        print(name, value, cjson.encode(event.value))
      end)
    ]==])
    assert.same({"false", 'a\t1\t{"a":1}'}, lines)
  end)

  it("is an ordinary table in plain Lua", function()
    local done = worker.lua{
      set = {FILE = tmp.file("events", '{"type":"t","key":"1","value":' .. ONE ..
        ',"headers":{"operation":"insert"}}\n')},
      script = [==[
        local next_before, get_before = next, getmetatable
        local weir = require "weir"
        local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream" }
        stream:onChange(function(state, event)
          print(next == next_before, getmetatable == get_before, getmetatable(event.value), event.value.n.z[3].q)
          print(weir.json.encode(state:get("t", "1")))
        end)
        weir.run()
      ]==],
    }
    assert.equal("true\ttrue\tnil\tnull\n" ..
      '{"a":"xA/","b":2.0,"e":{},"l":[],"n":{"y":{},"z":[1,2,{"q":null}]},"t":true}\n', done.stdout, done.stderr)
  end)

  it("is refused where it would be nested too deeply", function()
    local deep = ("["):rep(600) .. ("]"):rep(600)
    local lines = handle({'{"d":' .. deep .. "}"}, [==[
      stream:onChange(function(state, event)
        local around = event.value
        for _ = 1, 300 do around = { around } end
        print(#encode(around), encode(event.value) == state:json("t", "1"))
        for _ = 1, 100 do around = { around } end
        print(pcall(encode, around))
      end)
    ]==])
    assert.equal("1806\ttrue", lines[1])
    assert.matches("^false\tvalue%[1%].*: nested deeper than 1000 levels$", lines[2])
  end)

  it("costs no more than its decoding where it is read again and again", function()
    local members = {}
    for i = 1, 20000 do members[i] = ('"name %d":%d'):format(i, i) end
    local lines = handle({"{" .. table.concat(members, ",") .. "}"}, [==[
      stream:onChange(function(state, event)
        local value, sum = event.value, 0
        for i = 1, 20000 do sum = sum + value["name " .. i] end
        print(sum, encode(value) == state:json("t", "1"))
      end)
    ]==])
    assert.same({"200010000\ttrue"}, lines)
  end)
end)

-- Random values, and the same random things done to the lazy one and to what decode gives.
local OPERATIONS = [==[
local seed = math.tointeger(weir.env "SEED")
local function same(a, b)
  if type(a) == "table" and type(b) == "table" then return nil end
  return a == b and math.type(a) == math.type(b)
end
local function keys_of(t)
  local list = {}
  for key in pairs(t) do list[#list + 1] = key end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end
local function equal(a, b) -- looks at everything
  if type(a) ~= "table" or type(b) ~= "table" then return same(a, b) end
  if (getmetatable(a) == nil) ~= (getmetatable(b) == nil) then return false end
  local names = keys_of(a)
  if #names ~= #keys_of(b) then return false end
  for _, name in ipairs(names) do
    if not equal(a[name], b[name]) then return false end
  end
  return true
end
local NAMES = { "a", "b", "text", "\u{e9}", "", "a b", "x/y", "q\"", "\\", "missing", 1, 2, 7, true, 1.5 }
local function pick(list) return list[math.random(#list)] end

-- Pairs of tables that are to be alike; what is read from one pair and is a table makes another pair.
local function operate(lazy, plain, text)
  local pairs_of = { { lazy, plain } }
  local known = { [lazy] = plain }
  local changed = false
  local function enter(a, b)
    if type(a) ~= "table" then return same(a, b) end
    if type(b) ~= "table" then return false end
    if known[a] then return known[a] == b end
    known[a] = b
    pairs_of[#pairs_of + 1] = { a, b }
    return true
  end
  local operations = {
    function(a, b) local name = pick(NAMES) return enter(a[name], b[name]) end,
    function(a, b) local name = pick(NAMES) return enter(a[name], b[name]) end,
    function(a, b) local name = pick(NAMES) return enter(rawget(a, name), rawget(b, name)) end,
    function(a, b)
      local name, value = pick { "a", "b", "text", "new" }, pick { 1, "s", 2.5, false }
      changed = true a[name], b[name] = value, value
      return true
    end,
    function(a, b) -- not of an array: the length of one with a hole is any
      local name = pick { "a", "b", "text", "q\"", "missing" }
      changed = true a[name], b[name] = nil, nil
      return true
    end,
    function(a, b)
      local name = pick { "a", "t" }
      changed = true a[name], b[name] = { x = 1 }, { x = 1 }
      return true
    end,
    function(a, b) return #a == #b and rawlen(a) == rawlen(b) end,
    function(a, b) return (next(a) == nil) == (next(b) == nil) end,
    function(a, b)
      local left, right = keys_of(a), keys_of(b)
      if #left ~= #right then return false end
      for i, name in ipairs(left) do
        if name ~= right[i] or not enter(a[name], b[name]) then return false end
      end
      return true
    end,
    function(a, b)
      for i, value in ipairs(a) do if not enter(value, b[i]) then return false end end
      return true
    end,
    function(a, b) return (getmetatable(a) == nil) == (getmetatable(b) == nil) end,
    function(a, b)
      local ok, mine = pcall(encode, a)
      local ok_too, its = pcall(encode, b)
      return ok == ok_too and (not ok or encode(decode(mine)) == its)
    end,
    function(a, b) if #b > 0 then changed = true return enter(table.remove(a), table.remove(b)) end return true end,
    function(a, b)
      if getmetatable(b) then changed = true table.insert(a, 8) table.insert(b, 8) end
      return true
    end,
    function() collectgarbage "step" return true end,
  }
  for turn = 1, math.random(0, 12) do
    local which, pair = math.random(#operations), pick(pairs_of)
    local ok, good = pcall(operations[which], pair[1], pair[2])
    if not ok or not good then return ("operation %d (turn %d): %s"):format(which, turn, tostring(good)) end
  end
  if not changed and not equal(decode(encode(lazy)), plain) then return "encoded" end
  return not equal(lazy, plain) and "not equal in the end" or nil
end

local kept, count = {}, 0
local function compare(name, lazy, plain, text)
  local before = { math.random(0), name }
  local mistake = operate(lazy, plain, text)
  if mistake then print(seed, name, text, mistake, before[1]) os.exit(1) end
  count = count + 1
end
math.randomseed(seed)
stream:onChange(function(state, event)
  local text = state:json(event.type, event.key)
  if decode(text) and type(event.value) == "table" then
    kept[#kept + 1] = { event.value, decode(text), text }
    if #kept > 50 then compare("kept", table.unpack(table.remove(kept, math.random(#kept)))) end
    compare("get", state:get(event.type, event.key), decode(text), text)
    if type(event.old) == "table" then compare("old", event.old, decode(encode(event.old)), text) end
    compare("headers", event.headers, { operation = "upsert" }, "headers")
  end
end)
stream:onUpToDate(function()
  for _, each in ipairs(kept) do compare("kept", table.unpack(each)) end
  print(count)
end)
]==]

local function random_json(random, depth)
  local kind = random(depth > 0 and 9 or 5)
  local space = random(6) == 1 and " " or ""
  if kind <= 2 then
    local numbers = {"0", "-1", "12", "1.0", "1.50", "-2e3", "1E-2", "9007199254740993", "123456789012345678901"}
    return numbers[random(#numbers)]
  elseif kind == 3 then
    local strings = {
      '""', '"x"', '"text"', '"\\"text\\":1"', '"\\u00e9\\ud83d\\ude00"', '"{\\n}"', '"a longer text, with a comma"',
    }
    return strings[random(#strings)]
  elseif kind <= 5 then
    return ({"true", "false", "null"})[random(3)]
  elseif kind == 6 then
    local items = {}
    for i = 1, random(0, 4) do items[i] = random_json(random, depth - 1) end
    return "[" .. space .. table.concat(items, "," .. space) .. space .. "]"
  end
  local names = {"a", "b", "text", "t", "\\u00e9", "é", "", "a b", "x\\/y", "q\\\"", "\\u0061", "\\\\", "te\\u0078t"}
  local members = {}
  for i = 1, random(0, 6) do
    members[i] = ('%s"%s"%s:%s'):format(space, names[random(#names)], space, random_json(random, depth - 1))
  end
  return "{" .. table.concat(members, ",") .. space .. "}"
end

describe("random values", function()
  for _, seed in ipairs{1, 2, 3, tonumber(os.getenv "LAZY_SEED") or os.time()} do
    it("are as decode gives them, whatever is done to them (LAZY_SEED=" .. seed .. ")", function()
      math.randomseed(seed)
      local events = {}
      for i = 1, 1500 do
        events[i] = ('{"type":"t","key":"k%d","value":%s,"headers":{"operation":"upsert"}}\n'):format(
          math.random(300), random_json(math.random, 3))
      end
      local lines = run{set = {FILE = tmp.file("events.jsonl", table.concat(events)), SEED = seed}, timeout = 100,
        script = [[
          local stream = weir.stream { url = weir.env "FILE", live = false, name = "stream" }
          local encode, decode = weir.json.encode, weir.json.decode
        ]] .. OPERATIONS}
      assert.is_true(tonumber(lines[1]) > 1000, lines[1])
    end)
  end
end)
