-- Derived streams: what several events made leaves as one append, and is stored once all the same. With both servers,
-- since it is their Producer-Epoch and Stream-Seq that it rests on.

local proxy = require "support.proxy"
local server = require "support.server"
local worker = require "support.worker"

local SCRIPT = [[
  local weir = require "weir"
  local out = weir.sink.stream { url = weir.env "OUT", name = "out", producer = "p" }
  local room = weir.stream { url = weir.env "URL", live = false, sinks = { out }, limits = { sinkDelay = "10m" } }
  room:onChange(function(_, event)
    out:append { n = event.value.n }
  end)
]]

local function numbers(first, last)
  local list = {}
  for n = first, last do
    list[#list + 1] = n
  end
  return list
end

local function lines(first, last)
  local list = {}
  for i, n in ipairs(numbers(first, last)) do
    list[i] = ('{"type":"t","key":"k%d","value":{"n":%d},"headers":{"operation":"upsert"}}'):format(n % 7, n)
  end
  return "[" .. table.concat(list, ",") .. "]"
end

for _, kind in ipairs { "reference", "weir" } do
  describe("a derived stream of the server " .. kind, function()
    local s, url, out

    setup(function()
      s = server.start { kind = kind }
    end)

    teardown(function()
      s:stop()
    end)

    before_each(function()
      url, out = s:stream("room"), s:stream("out")
    end)

    local function run(target)
      local done = worker.run { script = SCRIPT, set = { URL = url, OUT = target or out } }
      assert.equal(0, done.code, done.stderr)
      assert.equal("", done.stderr)
    end

    -- An append as another worker makes it that knows where the stream ends. Its status.
    local function group(ends, first, last)
      local list = {}
      for i, n in ipairs(numbers(first, last)) do
        list[i] = ('{"n":%d}'):format(n)
      end
      return s:request("POST", out, {
        body = "[" .. table.concat(list, ",") .. "]",
        headers = {
          ["Content-Type"] = "application/json", ["Producer-Id"] = "p", ["Producer-Epoch"] = last, ["Producer-Seq"] = 0,
          ["Stream-Seq"] = ("!weir-%016d"):format(ends),
        },
      }).status
    end

    it("gets the outputs of many events with few appends", function()
      local p = proxy.start(s)
      s:append(url, lines(1, 500))
      run(p:url(out))
      local appends = 0
      for _, request in ipairs(p:requests()) do
        appends = appends + (request:find("^POST") and 1 or 0)
      end
      p:stop()
      assert.same(numbers(1, 500), s:numbers(out))
      assert.truthy(appends <= 6, appends .. " appends")
    end)

    it("refuses an append of a worker that is gone, cut elsewhere, which arrives late", function()
      s:append(url, lines(1, 50))
      run()
      s:append(url, lines(51, 60))
      run()
      assert.equal(409, group(50, 51, 80))
      s:append(url, lines(61, 100))
      run()
      assert.same(numbers(1, 100), s:numbers(out))
    end)

    it("goes on behind one that arrives before it", function()
      s:append(url, lines(1, 50))
      run()
      assert.equal(200, group(50, 51, 80))
      s:append(url, lines(51, 60))
      run()
      assert.same(numbers(1, 80), s:numbers(out))
      s:append(url, lines(61, 100))
      run()
      assert.same(numbers(1, 100), s:numbers(out))
    end)

    it("lets others use Stream-Seq, and is complete where they do", function()
      local function another(order)
        s:append(out, '{"by":"another"}', { ["Stream-Seq"] = order })
      end
      s:append(url, lines(1, 50))
      run()
      another "0001"
      s:append(url, lines(51, 100))
      run()
      another "0002"
      run()
      assert.same(numbers(1, 100), s:numbers(out))
    end)
  end)
end
