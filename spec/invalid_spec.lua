-- What a rule or a schema refuses: validate and onInvalid.

local cli = require "support.cli"
local handling = require "support.handling"
local tmp = require "support.tmp"
local worker = require "support.worker"

local file, lines_of, run = handling.file, handling.lines_of, handling.run
local STREAM, THREE = handling.STREAM, handling.THREE
local E = cli.line

describe("validate", function()
  local EVENTS = file(E("insert", "users", "u1", '{"name":"Ann"}'), E("insert", "posts", "p1", '{"user":"u1"}'),
    E("insert", "posts", "p2", '{"user":"u2"}'), E("delete", "users", "u1"),
    E("insert", "posts", "p3", '{"user":"u1"}'))
  local RULE = [[
    stream:validate("posts", function(event, state)
      if event.value and not state:has("users", event.value.user) then return false, "unknown user" end
    end)
    stream:onChange(function(_, event) print(event.type, event.key) end)
  ]]

  it("stops the worker at what a rule refuses, naming it", function()
    local lines, done = lines_of(EVENTS, STREAM .. RULE, 1)
    assert.same({"users\tu1", "posts\tp1"}, lines)
    assert.matches("weir: [^\n]*events.jsonl[^\n]*line 3[^\n]*posts/p2[^\n]*unknown user\n$", done.stderr)
  end)

  it("passes over what a rule refuses", function()
    local lines, done = lines_of(EVENTS, [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
    ]] .. RULE)
    assert.same({"users\tu1", "posts\tp1", "users\tu1"}, lines)
    local _, skipped = done.stderr:gsub("skipped: [^\n]*unknown user", "")
    assert.equal(2, skipped)
  end)

  it("asks rules of the type first, then those for all, and may wait", function()
    local lines = lines_of(file(E("insert", "t", "a", "1"), E("insert", "t", "b", "-1")), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
      stream:validate(function(event) print("all", event.key, show(event.old), show(event.new)) end)
      stream:validate("t", function(event)
        weir.sleep(0.001)
        print("t", event.key)
        return event.value > 0
      end)
      stream:onChange(function(state, event) print("change", event.key, state:size()) end)
    ]])
    assert.same({"t\ta", "all\ta\t-\t1", "change\ta\t1", "t\tb"}, lines)
  end)

  it("counts neither nothing nor nil as a refusal, and false without a reason as one", function()
    local lines, done = lines_of(file(THREE), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip" }
      stream:validate(function(event)
        if event.key == "a" then return end
        if event.key == "b" then return nil, "not a refusal" end
        return false
      end)
      stream:onChange(function(_, event) print(event.key) end)
    ]])
    assert.same({"a", "b"}, lines)
    assert.matches("skipped: [^\n]*t/c: refused by a rule", done.stderr)
  end)

  it("that raises stops the worker", function()
    local _, done = lines_of(file(THREE), [[
      local stream = weir.stream { url = weir.env "FILE", live = false, onInvalid = "skip", onError = "skip" }
      stream:validate(function() error("broken rule") end)
    ]], 1)
    assert.matches("broken rule", done.stderr, 1, true)
    assert.matches("stack traceback", done.stderr, 1, true)
  end)
end)

describe("onInvalid", function()
  local BAD = file(E("insert", "t", "a", "1"), '{"oops\n', E("insert", "t", "b", '"two"'), '{"key":1}\n',
    E("insert", "t", "c", "3"))
  local function declare(more)
    return ([[
      local stream = weir.stream {
        url = weir.env "FILE", live = false, name = "room", deadletter = weir.env "DEAD",
        schema = weir.defineStreamSchema { types = { t = weir.schema.number() } }, %s
      }
      stream:onChange(function(_, event) print(event.key) end)
    ]]):format(more)
  end

  it("stops by default, at the first", function()
    local lines, done = lines_of(BAD, declare "", 1)
    assert.same({"a"}, lines)
    assert.matches("weir: [^\n]*events.jsonl: line 2 %(byte %d+%)", done.stderr)
  end)

  it("skip passes over all of them, and says which", function()
    local lines, done = lines_of(BAD, declare [[onInvalid = "skip"]])
    assert.same({"a", "c"}, lines)
    local named = {}
    for line in done.stderr:gmatch("skipped: [^\n]*line (%d)") do
      named[#named + 1] = line
    end
    assert.same({"2", "3", "4"}, named)
  end)

  it("deadletter writes them to the file", function()
    local dead = tmp.dir() .. "/dead.jsonl"
    local done = run{script = declare [[onInvalid = "deadletter"]], set = {FILE = BAD, DEAD = dead}}
    assert.equal("a\nc\n", done.stdout, done.stderr)
    assert.equal(0, done.code)
    local letters = worker.lines(tmp.read(dead))
    assert.equal(3, #letters)
    assert.matches('^{"stream":"room","url":"[^"]*","offset":"[^"]*","index":1,[^\n]*"reason":"[^\n]*",' ..
      '"event":"{\\"oops"}$', letters[1])
    assert.matches('"index":2,[^\n]*"reason":"[^\n]*t/b[^\n]*number', letters[2])
    assert.matches('"event":"{\\"key\\":1}"', letters[3], 1, true)
  end)

  it("deadletter without a file is refused when the script is loaded", function()
    local done = run{script = [[weir.stream { url = "x", onInvalid = "deadletter" }]]}
    assert.equal(1, done.code)
    assert.matches("needs the option deadletter", done.stderr, 1, true)
  end)

  it("a function decides, and sees the event and the issues", function()
    local dead = tmp.dir() .. "/dead.jsonl"
    local done = run{
      set = {FILE = BAD, DEAD = dead},
      script = declare "" .. [[
        local answers = { "skip", "deadletter" }
        stream:onInvalid(function(event, issues)
          print("invalid", event.key, event.text, #issues, issues[1].path, issues[1].message ~= nil)
          return table.remove(answers, 1)
        end)
      ]],
    }
    local lines = worker.lines(done.stdout)
    assert.equal("a", lines[1])
    assert.matches('^invalid\tnil\t{"oops\t1\t', lines[2])
    assert.matches("^invalid\tb\t{.*}\t1\t[^\t]*\ttrue$", lines[3])
    assert.matches('^invalid\tnil\t{"key":1}\t1\t', lines[4]) -- nothing is answered: skipped
    assert.equal("c", lines[5])
    assert.equal(0, done.code)
    assert.equal(1, #worker.lines(tmp.read(dead)))
  end)

  it("a function may stop, and may wait", function()
    local lines, done = lines_of(BAD, declare "" .. [[
      stream:onInvalid(function() weir.sleep(0.01) print("asked") return "stop" end)
    ]], 1)
    assert.same({"a", "asked"}, lines)
    assert.matches("events.jsonl: line 2", done.stderr, 1, true)
    assert.not_matches("stack traceback", done.stderr)
  end)

  it("a function that answers something else is an error that names it", function()
    local _, done = lines_of(BAD, declare "" .. [[stream:onInvalid(function() return "ignore" end)]], 1)
    assert.matches('onInvalid returned "ignore": expected stop, skip or deadletter', done.stderr, 1, true)
  end)

  it("refuses an unknown policy", function()
    local done = run{script = [[weir.stream { url = "x", onInvalid = "ignore" }]]}
    assert.matches('onInvalid: expected "stop", "skip", "deadletter" or a function, got "ignore"', done.stderr, 1, true)
    done = run{script = [[weir.stream({ url = "x" }):onInvalid("ignore")]]}
    assert.matches('onInvalid: expected', done.stderr, 1, true)
  end)
end)
