-- The helpers of the other specs, against the real server: what they rely on has to hold by itself.

local http = require "support.http"
local npm_state = require "support.npm_state"
local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"

describe("process", function()
  it("passes arguments, stdin and the environment as they are", function()
    local odd = "a b'c\"d$e\n`f`\\"
    local done = process.run{
      cmd = {"sh", "-c", 'printf "%s|%s|" "$1" "$ODD"; cat; echo oops >&2; exit 3', "sh", odd},
      env = {ODD = odd},
      stdin = "in\0put",
    }
    assert.equal(odd .. "|" .. odd .. "|in\0put", done.stdout)
    assert.equal("oops\n", done.stderr)
    assert.equal(3, done.code)
    assert.is_nil(done.signal)
  end)

  it("removes a variable set to false and works in another folder", function()
    local dir = tmp.dir()
    local cmd = {"sh", "-c", 'echo "${HOME-none}"; pwd -P'}
    local done = process.run{cmd = cmd, env = {HOME = false}, cwd = dir}
    assert.equal("none\n" .. dir .. "\n", done.stdout)
  end)

  it("ends what takes too long", function()
    local done = process.run{cmd = {"sleep", "30"}, timeout = 0.2}
    assert.is_true(done.timed_out)
  end)

  it("starts, signals and reaps a background process", function()
    local child = process.spawn{cmd = {"sleep", "30"}}
    assert.is_true(child:running())
    assert.is_true(child:signal("INT"))
    local done = child:wait()
    assert.equal(130, done.code)
    assert.equal(2, done.signal)
    assert.is_false(child:signal("INT"))
  end)

  it("reports a program's own exit code after a signal", function()
    local script = "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done"
    local child = process.spawn{cmd = {"sh", "-c", script}}
    child:wait_for_output("ready")
    child:signal("INT")
    local done = child:wait()
    assert.equal(7, done.code)
    assert.equal("ready\nbye\n", done.stdout)
  end)

  it("kills for good", function()
    assert.equal(137, process.spawn{cmd = {"sleep", "30"}}:kill().code)
  end)
end)

describe("wait", function()
  it("fails with what it waited for", function()
    local ok, message = pcall(wait.till, function() return false end, 0.05, "a blue moon")
    assert.is_false(ok)
    assert.matches("a blue moon", message)
  end)

  it("gives what the condition gave", function()
    local calls = 0
    assert.equal(3, wait.till(function()
      calls = calls + 1
      return calls == 3 and calls
    end))
  end)
end)

describe("the reference server", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
    assert.is_false(s.child:running())
  end)

  it("creates, appends, reads and closes", function()
    local url = s:stream("room")
    s:append(url, '{"n":1}')
    s:append(url, '[{"n":2},{"n":3}]')
    local answer = s:read(url)
    assert.equal('[{"n":1},{"n":2},{"n":3}]', (answer.body:gsub("%s", "")))
    assert.equal(s:tail(url), answer.headers["stream-next-offset"])
    s:close(url)
    assert.equal("true", s:read(url, s:tail(url)).headers["stream-closed"])
  end)

  it("gives every stream a name of its own", function()
    assert.are_not.equal(s:stream("same"), s:stream("same"))
  end)

  it("injects a fault once", function()
    local url = s:stream()
    s:inject(url, {status = 503, count = 1, retryAfter = 1})
    local answer = s:request("GET", url)
    assert.equal(503, answer.status)
    assert.equal("1", answer.headers["retry-after"])
    assert.equal(200, s:request("GET", url).status)
  end)

  it("drops a connection on demand", function()
    local url = s:stream()
    s:inject(url, {dropConnection = true, count = 1})
    local answer = s:request("GET", url)
    assert.equal(0, answer.status)
    assert.is_string(answer.error)
  end)

  it("sends odd bytes unharmed", function()
    local url = s:stream("bytes", "application/octet-stream")
    s:append(url, "\0\1'\"$\255", {["Content-Type"] = "application/octet-stream"})
    assert.equal("\0\1'\"$\255", s:read(url).body)
  end)
end)

describe("a reference server with files", function()
  it("keeps streams and port over a restart and a crash", function()
    local s = server.start{dataDir = tmp.dir()}
    local url = s:stream("kept")
    s:append(url, '{"n":1}')
    local before = s.url
    s:restart()
    assert.equal(before, s.url)
    assert.equal('[{"n":1}]', s:read(url).body)
    s:crash()
    assert.equal(0, http.request{url = url}.status)
    s:restart()
    assert.equal('[{"n":1}]', s:read(url).body)
    s:stop()
    assert.equal(0, http.request{url = url}.status)
  end)

  it("goes when the process it belongs to is gone", function()
    local owner = process.spawn{cmd = {"sleep", "60"}}
    local child = process.spawn{
      cmd = {"node", paths.spec .. "/support/server.mjs", "--parent", tostring(owner.pid)},
    }
    child:wait_for_output("listening")
    owner:kill()
    assert.equal(0, child:wait().code)
  end)
end)

describe("npm_state", function()
  local EVENTS = [[
{"type":"users","key":"b","value":{"name":"Bo","age":1},"headers":{"operation":"insert"}}
{"type":"users","key":"a","value":{"name":"Al"},"headers":{"operation":"upsert"}}
{"type":"users","key":"b","value":{"age":2,"name":"Bo"},"headers":{"operation":"update"}}
{"type":"gone","key":"x","value":1,"headers":{"operation":"insert"}}
{"type":"gone","key":"x","headers":{"operation":"delete"}}
]]

  it("prints the state in one canonical way", function()
    assert.equal('{"users":{"a":{"name":"Al"},"b":{"age":2,"name":"Bo"}}}', npm_state.materialize(EVENTS))
  end)

  it("forgets everything at a reset", function()
    assert.equal("{}", npm_state.materialize(EVENTS .. '{"headers":{"control":"reset"}}\n'))
  end)

  it("compares without regard to key order", function()
    local state = '{"users":{"b":{"name":"Bo","age":2.0},"a":{"name":"Al"}},"gone":{}}'
    assert.is_nil(npm_state.differs(EVENTS, state))
  end)

  it("names what differs", function()
    local text = npm_state.differs(EVENTS, '{"users":{"b":{"name":"Bo","age":3}},"more":{"k":null}}')
    assert.matches("users/a: missing", text, 1, true)
    assert.matches('users/b: expected {"age":2,"name":"Bo"}, got {"age":3,"name":"Bo"}', text, 1, true)
    assert.matches("more/k: not expected, got null", text, 1, true)
  end)
end)
