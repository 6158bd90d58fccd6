-- The protocol by hand: what ends a command before its time, which is Ctrl-C, and output that nobody takes.

local by_hand = require "support.by_hand"
local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local fresh, has, noise = by_hand.fresh, by_hand.has, by_hand.noise
local ok, read = by_hand.ok, by_hand.read
local BYTES = by_hand.BYTES
local PROMPT = by_hand.PROMPT

local s, p

by_hand.serve(function(...)
  s, p = ...
end)

describe("Ctrl-C", function()
  local function interrupted(child, signal)
    local start = wait.now()
    assert.is_true(child:signal(signal or "INT"))
    local done = child:wait()
    assert.is_true(wait.now() - start < PROMPT, "took too long to end")
    assert.equal(130, done.code, done.stderr)
    assert.matches("weir: interrupted[^\n]*\n$", done.stderr)
    assert.not_matches("left open", done.stderr)
    assert.not_matches("Sanitizer", done.stderr)
    return done
  end

  it("ends a live read, and tells where to go on", function()
    for _, mode in ipairs{"auto", "sse", "long-poll"} do
      for _, signal in ipairs{"INT", "TERM"} do
        local url = s:stream()
        s:append(url, "[1,2]")
        local child = cli.spawn({"read", p:url(url), "--live=" .. mode, "--print-offset"})
        child:wait_for_output("2\n")
        p:wait_for_request(url:match("/v1/.*") .. "?live=")
        local done = interrupted(child, signal)
        assert.equal("1\n2\n", done.stdout)
        assert.equal(("offset=%s\nweir: interrupted\n"):format(s:tail(url)), done.stderr)
      end
    end
  end)

  it("ends it while nobody takes what it prints", function()
    local url = s:stream("bytes", BYTES)
    ok({"append", url}, {stdin = noise(1000):rep(2000)})
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local reader = process.spawn{cmd = {"sh", "-c", 'exec 3<"$1"; exec sleep 60', "sh", fifo}}
    finally(function() reader:kill() end)
    local child = process.spawn{cmd = {"sh", "-c", 'exec "$1" read "$2" >"$3"', "sh", paths.weir, url, fifo}}
    cli.wait_until_stuck(child)
    interrupted(child)
  end)

  it("ends every command that waits for an answer", function()
    local url = s:stream()
    for _, args in ipairs{{"create"}, {"head"}, {"close"}, {"delete"}, {"read"}, {"append", "1"},
      {"append", "--seq", "1", "1"}} do
      p:faults('[{"stall":true},{"stall":true}]')
      local before = #p:requests()
      local all = {args[1], p:url(url), table.unpack(args, 2)}
      local child = cli.spawn(all)
      wait.till(function() return #p:requests() > before end, nil, "a request")
      interrupted(child)
    end
  end)

  it("ends an append that waits for input, and one that waits to try again", function()
    local url = s:stream()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local child = cli.spawn({"append", url, "--file", fifo})
    local file = assert(io.open(fifo, "w"))
    file:write("1\n2\n3")
    file:flush()
    wait.till(function()
      return s:read(url).body:find("2", 1, true)
    end, nil, "the messages")
    local done = interrupted(child)
    file:close()
    assert.equal("weir: interrupted; 2 messages have been stored\n", done.stderr)
    p:faults('[{"method":"POST","answer":{"status":503,"headers":{"Retry-After":"20"}}}]')
    child = cli.spawn({"append", p:url(url), "4"})
    child:wait_for_output("trying again in")
    interrupted(child)
    assert.equal("1\n2\n", read(url))
  end)

  it("ends create while it waits for its content", function()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local url = fresh()
    local child = cli.spawn({"create", url, "--data-file", fifo})
    local file = assert(io.open(fifo, "w"))
    interrupted(child)
    file:close()
    assert.equal(404, s:request("HEAD", url).status)
  end)
end)

describe("standard output", function()
  local function shell(command, url)
    return process.run{cmd = {"sh", "-c", command, "sh", paths.weir, url}}
  end

  it("that is closed by its reader ends it", function()
    local url = s:stream()
    ok({"append", url}, {stdin = ("123456789\n"):rep(200000)})
    local done = shell('{ "$1" read "$2"; echo "code $?" >&2; } | head -n 1', url)
    assert.equal("123456789\n", done.stdout)
    assert.equal("weir: cannot write to standard output: Broken pipe\ncode 1\n", done.stderr)
    done = shell('{ "$1" read "$2" --limit 1; echo "code $?" >&2; } | head -n 1', url)
    assert.equal("123456789\n", done.stdout)
    assert.equal("code 0\n", done.stderr)
  end)

  it("that is closed by its reader ends a live read with the next message", function()
    local url = s:stream()
    s:append(url, "1")
    local child = process.spawn{cmd = {"sh", "-c",
      '{ "$1" read "$2" --live=sse; echo "code $?" >&2; } | head -n 1', "sh", paths.weir, p:url(url)}}
    child:wait_for_output("1\n")
    p:wait_for_request(url:match("/v1/.*") .. "?live=sse")
    for i = 2, 50 do
      s:append(url, tostring(i))
      if child:stderr():find("code") then
        break
      end
    end
    child:wait_for_output("code 1")
    has(child:wait().stderr, "weir: cannot write to standard output: Broken pipe\n")
  end)

  it("that is full, or not there, is an error", function()
    local url = s:stream()
    s:append(url, "1")
    for _, command in ipairs{"head", "read", "append", "close"} do
      local more = command == "append" and " 1" or ""
      more = command == "read" and " --print-offset" or more -- which is not known then
      local done = shell(('"$1" %s "$2"%s --quiet >/dev/full'):format(command, more), url)
      assert.equal(1, done.code)
      assert.equal("weir: cannot write to standard output: No space left on device\n", done.stderr)
      done = shell(('"$1" %s "$2"%s --quiet >&-'):format(command, command == "append" and " " or ""), s:stream())
      assert.equal(command == "read" and 0 or 1, done.code, command)
    end
  end)
end)
