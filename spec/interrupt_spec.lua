-- Ctrl-C in the middle of anything: exit code 130, promptly, nothing left open (the program tells of what is).

local proxy = require "support.proxy"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local s, p

setup(function()
  s = server.start{longPollTimeout = 20000}
  p = proxy.start(s)
end)

teardown(function()
  p:stop()
  s:stop()
end)

local PROMPT = 15 -- seconds, on a machine that stands still meanwhile; whatever it could wait for takes 20 and more
local ONE = '{"type":"t","key":"k","value":1,"headers":{"operation":"upsert"}}'

-- Starts the script, waits for what `ready` waits for, and interrupts it.
local function interrupt(options)
  local child = worker.spawn{
    script = 'local weir = require "weir"\nlocal function say(...) print(...) io.flush() end\n' .. options.script,
    set = options.set,
    args = options.args,
  }
  if type(options.ready) == "function" then
    options.ready(child)
  else
    child:wait_for_output(options.ready or "ready")
  end
  local start = wait.now()
  child:signal(options.signal or "INT")
  local done = child:wait()
  assert.is_true(wait.now() - start < PROMPT, "took too long to end")
  assert.equal(130, done.code, done.stderr)
  assert.not_matches("left open", done.stderr)
  assert.not_matches("Sanitizer", done.stderr)
  return done
end

describe("Ctrl-C", function()
  it("while a big stream is caught up with", function()
    local url = s:stream()
    local events = {}
    for i = 1, 20000 do
      events[i] = ('{"type":"t","key":"k%d","value":{"n":%d,"filler":"%s"},"headers":{"operation":"upsert"}}'):format(
        i, i, ("x"):rep(400))
    end
    s:append(url, "[" .. table.concat(events, ",") .. "]")
    local done = interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        local n = 0
        stream:onChange(function()
          n = n + 1
          if n == 100 then say "ready" end
          if n > 100 then weir.sleep(0.001) end
        end)
        stream:onUpToDate(function() say "up to date" end)
      ]],
    }
    assert.equal("ready\n", done.stdout)
    interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        stream:onChange(function(_, event)
          if event.value.n == 100 then say "ready" end
          for _ = 1, 10000 do end -- slow without a wait
        end)
      ]],
    }
  end)

  for _, way in ipairs{"sse", "long-poll"} do
    it("while nothing comes, with " .. way, function()
      local url = s:stream()
      s:append(url, ONE)
      local by = p:url(url)
      interrupt{
        set = {URL = by, LIVE = way},
        script = [[
          local stream = weir.stream { url = weir.env "URL", live = weir.env "LIVE" }
          stream:onUpToDate(function() say "ready" end)
        ]],
        ready = function(child)
          child:wait_for_output("ready")
          p:wait_for_request(by:match("/v1/.*") .. "?live=" .. way)
        end,
      }
    end)
  end

  it("is the same for SIGTERM", function()
    local url = s:stream()
    interrupt{
      set = {URL = url},
      signal = "TERM",
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        stream:onUpToDate(function() say "ready" end)
      ]],
    }
  end)

  it("while a handler sleeps", function()
    local url = s:stream()
    s:append(url, ONE)
    local done = interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        stream:onChange(function() say "ready" weir.sleep(60) say "after" end)
      ]],
    }
    assert.equal("ready\n", done.stdout)
  end)

  it("while a handler sleeps under pcall, and would go on", function()
    local url = s:stream()
    s:append(url, ONE)
    local done = interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL", onError = "retry" }
        stream:onChange(function() say "ready" while true do pcall(weir.sleep, 60) end end)
      ]],
    }
    assert.equal("ready\n", done.stdout)
  end)

  it("while a handler is busy", function()
    local url = s:stream()
    s:append(url, ONE)
    for _, policy in ipairs{"stop", "skip", "retry"} do
      interrupt{
        set = {URL = url, POLICY = policy},
        script = [[
          local stream = weir.stream { url = weir.env "URL", onError = weir.env "POLICY" }
          stream:onChange(function() say "ready" while true do pcall(function() while true do end end) end end)
        ]],
      }
    end
  end)

  it("while an append is under way", function()
    local url = s:stream()
    for _, stall in ipairs{"true", '"after"'} do
      p:faults('[{"method":"POST","stall":' .. stall .. "}]")
      local by = p:url(url)
      local posts = 0
      for _, line in ipairs(p:requests()) do
        posts = posts + (line:find("^POST") and 1 or 0)
      end
      interrupt{
        set = {URL = by},
        script = [[
          local stream = weir.stream { url = weir.env "URL" }
          stream:onUpToDate(function() stream:insert("t", "a", 1) say "never" end)
        ]],
        ready = function()
          wait.till(function()
            local now = 0
            for _, line in ipairs(p:requests()) do
              now = now + (line:find("^POST") and 1 or 0)
            end
            return now > posts
          end, nil, "the append")
        end,
      }
    end
    p:faults("[]")
  end)

  it("while it waits to try again", function()
    interrupt{
      set = {URL = "http://127.0.0.1:9/x"},
      script = [[weir.stream { url = weir.env "URL", limits = { connect = "10m" } }]],
      ready = "trying again",
    }
    local url = s:stream()
    s:inject(url, {status = 503, count = 1, retryAfter = 100})
    interrupt{
      set = {URL = url},
      script = [[weir.stream { url = weir.env "URL", limits = { connect = "10m" } }]],
      ready = "trying again in 10",
    }
    s:append(url, ONE)
    interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL", onError = "retry" }
        stream:onChange(function() error("no") end)
      ]],
      ready = "called again in 0.8",
    }
    s:inject(url, {status = 503, count = 1, retryAfter = 20, method = "POST"})
    interrupt{
      set = {URL = url},
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        weir.after(0, function() stream:insert("t", "a", 1) end)
      ]],
      ready = "trying again in 2",
    }
  end)

  it("while the connection is being made", function()
    -- 192.0.2.1 is a documentation address: packets to it get lost, or are refused at once.
    interrupt{
      set = {URL = "http://192.0.2.1/x"},
      script = [[
        weir.stream { url = weir.env "URL", limits = { connect = "1m" } }
        weir.after(0.05, function() say "ready" end)
      ]],
    }
  end)

  it("in the main chunk, which sleeps, is busy, or runs the worker", function()
    local done = interrupt{script = [[say "ready" weir.sleep(60) say "after"]]}
    assert.equal("ready\n", done.stdout)
    interrupt{script = [[say "ready" while true do pcall(function() while true do end end) end]]}
    interrupt{script = [[weir.every(0.01, function() say "ready" end) pcall(weir.run) weir.sleep(60)]]}
    interrupt{script = [[while true do say "ready" pcall(weir.sleep, 60) end]]}
  end)

  it("while a file is followed, and while nothing comes on stdin", function()
    local file = tmp.file("events.jsonl", ONE .. "\n")
    interrupt{
      set = {URL = file},
      script = [[
        local stream = weir.stream { url = weir.env "URL" }
        stream:onUpToDate(function() say "ready" end)
      ]],
    }
  end)

  it("with many of all that", function()
    local url = s:stream()
    s:append(url, ONE)
    local by = p:url(url)
    p:faults('[{"method":"POST","stall":true},{"method":"POST","stall":true}]')
    interrupt{
      set = {URL = by, FILE = tmp.file("events.jsonl", ONE .. "\n")},
      script = [[
        for i = 1, 5 do
          local live = i % 2 == 0 and "sse" or "long-poll"
          local stream = weir.stream { url = weir.env "URL", live = live, name = "s" .. i }
          stream:onChange(function() if i == 1 then weir.sleep(60) end end)
        end
        local file = weir.stream { url = weir.env "FILE" }
        weir.stream { url = "http://127.0.0.1:9/x", name = "none", limits = { connect = "10m" } }
        local out = weir.stream { url = weir.env "URL", name = "out" }
        for _ = 1, 20 do
          weir.after(0, function() out:insert("t", "a", 1) end)
          weir.every(0.001, function() weir.sleep(0.01) end)
          weir.after(50, print)
        end
        file:onUpToDate(function() weir.sleep(0.1) say "ready" end)
      ]],
    }
    p:faults("[]")
  end)
end)
