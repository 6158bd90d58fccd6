-- The protocol's own client and state library (npm) against weir serve, and weir's client beside them on the same
-- streams.

local paths = require "support.paths"
local process = require "support.process"
local serve = require "support.serve"
local tmp = require "support.tmp"
local weir = require "weir"

local child, url

-- What the parts of support/npm_client.mjs saw.
local function npm(base, ...)
  local done = process.run{cmd = {"node", paths.spec .. "/support/npm_client.mjs", base, ...}}
  assert.equal(0, done.code, done.stderr)
  return weir.json.decode(done.stdout)
end

local function run(...)
  local done = process.run{cmd = {paths.weir, ...}}
  assert.equal(0, done.code, done.stderr)
  return done.stdout
end

local seen

setup(function()
  child, url = serve.start("--long-poll-timeout", "500ms", "--faults")
  seen = npm(url .. "/v1/stream/npm", "handle", "catchup", "live", "producer", "bytes", "state")
end)

teardown(function()
  serve.stop(child)
end)

describe("the npm client", function()
  it("creates, appends, looks, closes and deletes", function()
    assert.same({
      again = "nothing",
      other = "FetchError 409",
      regression = "FetchError 409",
      type = "application/json",
      exists = true,
      ended = {tail = true, closed = true},
      late = "FetchError 409",
      items = {{n = 1}, {n = 2}, {n = 4}},
      gone = "FetchError 404",
    }, seen.handle)
  end)

  it("catches up: JSON, text and bytes", function()
    local bytes = {0, 255, 10, 13}
    assert.same({count = 3000, same = true, upToDate = true, rest = 0, text = "hällo", bytes = bytes, now = ""},
      seen.catchup)
  end)

  it("follows by long-poll, by SSE, and as it likes", function()
    for mode, found in pairs(seen.live) do
      assert.same({1, 2, 3}, found.json, mode)
      -- SSE has one kind of line end.
      assert.equal(("one\ntwo\n\n  thrée%sdata: x\n"):format(mode == "sse" and "\n" or "\r"), found.text, mode)
      assert.equal("hello", found.bytes, mode)
    end
  end)

  it("produces exactly once, through answers that fail and connections that break", function()
    assert.equal(1003, seen.producer.count)
    assert.is_true(seen.producer.order)
    assert.same({"StaleEpochError"}, seen.producer.errors)
    assert.equal(2, seen.producer.epoch)
  end)

  it("writes from streams", function()
    assert.equal("one two three", seen.bytes)
  end)

  it("brings its token", function()
    local other, at = serve.start("--token-file", tmp.file("token", "s3cret\n"))
    assert.same({without = "FetchError 401", items = {1}}, npm(at, "token").token)
    serve.stop(other)
  end)
end)

describe("the npm MaterializedState", function()
  it("has the state that weir has", function()
    assert.same({["1"] = {name = "Ada", age = 37}}, seen.state)
    local state = run("state", url .. "/v1/stream/npm/state")
    assert.same({users = seen.state}, weir.json.decode(state))
  end)
end)

describe("weir's own client", function()
  it("reads what the npm client wrote", function()
    local lines = select(2, run("read", url .. "/v1/stream/npm/producer"):gsub("\n", ""))
    assert.equal(1003, lines)
    assert.equal("one two three", run("read", url .. "/v1/stream/npm/bytes"))
    assert.matches("^one\ntwo\n\n  thrée\rdata: x\n$", run("read", url .. "/v1/stream/npm/live-text-sse"))
  end)

  it("follows in every mode while it writes itself", function()
    for _, live in ipairs{"sse", "long-poll"} do
      local stream = url .. "/v1/stream/weir/" .. live
      run("create", stream)
      local script = tmp.file("follow.lua", ([[
        local weir = require "weir"
        local room = weir.stream { url = %q, live = %q }
        local seen = 0
        room:onUpToDate(function() if seen == 0 then room:insert("a", "1", { n = 1 }) end end)
        room:onChange("a", function(_, event)
          seen = seen + 1
          print(event.key, event.new.n)
          if seen < 3 then
            room:insert("a", tostring(seen + 1), { n = seen + 1 })
          else
            room:close()
          end
        end)
      ]]):format(stream, live))
      assert.equal("1\t1\n2\t2\n3\t3\n", run("run", script))
    end
  end)
end)
