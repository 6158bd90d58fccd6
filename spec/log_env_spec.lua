-- weir.log and weir.env.

local tmp = require "support.tmp"
local worker = require "support.worker"

local function run(options)
  options.script = 'local weir = require "weir"\n' .. options.script .. "\nweir.after(0, function() end)"
  local done = worker.run(options)
  assert.equal(0, done.code, done.stderr)
  return done
end

describe("weir.log", function()
  local ALL = [[
    weir.log.debug("d %d", 1)
    weir.log.info("i %s %5.1f", "x", 2)
    weir.log.warn("w")
    weir.log.error("e")
  ]]

  local function levels(env, args)
    local found = {}
    for level, text in run{script = ALL, env = env, args = args}.stderr:gmatch("Z (%l+) +([^\n]*)\n") do
      found[#found + 1] = level .. ":" .. text
    end
    return found
  end

  it("writes lines on stderr, debug not by default", function()
    local done = run{script = ALL}
    assert.equal("", done.stdout)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ info  i x   2%.0\n", done.stderr)
    assert.same({"info:i x   2.0", "warn:w", "error:e"}, levels{})
  end)

  it("has a level", function()
    assert.same({"debug:d 1", "info:i x   2.0", "warn:w", "error:e"}, levels{WEIR_LOG = "debug"})
    assert.same({"error:e"}, levels{WEIR_LOG = "error"})
    assert.same({}, levels{WEIR_LOG = "off"})
    local config = tmp.file("c.json", '{"log":{"level":"warn"}}')
    assert.same({"warn:w", "error:e"}, levels({}, {"--config", config}))
    assert.same({"error:e"}, levels({WEIR_LOG = "error"}, {"--config", config}))
  end)

  it("can be JSON, one object a line", function()
    local done = run{
      env = {WEIR_LOG_FORMAT = "json"},
      script = [[weir.log.warn('a "b" \\ \n %d\t\1 ü', 1)]],
    }
    assert.matches('^{"time":"[^"]*Z","level":"warn",', done.stderr)
    assert.matches(',"message":"a \\"b\\" \\\\ \\u000a 1\\u0009\\u0001 ü"}\n$', done.stderr)
  end)

  it("takes one argument as it is, and tables as JSON", function()
    local done = run{script = [[
      weir.log.info("100%")
      weir.log.info(42)
      weir.log.info(nil)
      weir.log.info({ b = { 1, 2 }, a = weir.null })
      weir.log.info(setmetatable({}, { __tostring = function() return "myself" end }))
      weir.log.info(weir.null)
    ]]}
    local texts = {}
    for text in done.stderr:gmatch("info  ([^\n]*)\n") do
      texts[#texts + 1] = text
    end
    assert.same({"100%", "42", "nil", '{"a":null,"b":[1,2]}', "myself"}, {table.unpack(texts, 1, 5)})
    assert.equal(6, #texts)
  end)

  it("keeps what steers a terminal away from it", function()
    local done = run{script = [[weir.log.info("a\27[31mb\7c\127d")]]}
    assert.matches("info  a?[31mb?c?d\n", done.stderr, 1, true)
  end)

  it("writes long lines whole", function()
    local done = run{script = [[weir.log.info(("x"):rep(100000) .. "end")]]}
    assert.matches("x" .. ("x"):rep(1000) .. "end\n$", done.stderr)
    assert.is_true(#done.stderr > 100000)
  end)

  it("raises the errors of string.format", function()
    local done = worker.run{script = [[require("weir").log.info("%d", "x")]]}
    assert.equal(1, done.code)
    assert.matches("worker.lua:1: bad argument #2 to 'string.format' (number expected, got string)", done.stderr, 1,
      true)
  end)

  it("wants something to write", function()
    local done = worker.run{script = [[require("weir").log.info()]]}
    assert.equal(1, done.code)
    assert.matches("bad argument #1 to 'info'", done.stderr, 1, true)
  end)
end)

describe("weir.env", function()
  local PRINT = [[print(weir.env("SPEC_NAME"), weir.env("SPEC_NAME", "default"), weir.env("SPEC_NAME", 7))]]

  it("gives the default, as it is, where there is nothing", function()
    assert.equal("nil\tdefault\t7\n", run{script = PRINT}.stdout)
  end)

  it("gives the environment's value", function()
    assert.equal("e\te\te\n", run{script = PRINT, env = {SPEC_NAME = "e"}}.stdout)
    assert.equal("\t\t\n", run{script = PRINT, env = {SPEC_NAME = ""}}.stdout)
  end)

  it("gives the value of --set before the environment's, and that before the file's", function()
    local config = tmp.file("c.json", '{"settings":{"SPEC_NAME":"f"}}')
    local both = {SPEC_NAME = "e"}
    assert.equal("s=1\ts=1\ts=1\n", run{script = PRINT, env = both, args = {"--set", "SPEC_NAME=s=1"}}.stdout)
    assert.equal("s\ts\ts\n",
      run{script = PRINT, env = both, args = {"--set", "SPEC_NAME=s", "--config", config}}.stdout)
    assert.equal("f\tf\tf\n", run{script = PRINT, args = {"--config", config}}.stdout)
    assert.equal("e\te\te\n", run{script = PRINT, env = both, args = {"--config", config}}.stdout)
  end)

  it("wants a name", function()
    local done = worker.run{script = [[require("weir").env()]]}
    assert.matches("bad argument #1 to 'env' (string expected, got no value)", done.stderr, 1, true)
  end)
end)
