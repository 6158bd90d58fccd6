-- --data: a worker that is started again goes on where the last one was.

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local change, insert = cli.change, cli.insert

local s

setup(function()
  s = server.start()
end)

teardown(function()
  s:stop()
end)

-- Prints what it handles. STOP: the key at which its handler raises; SLOW: the key at which it sleeps.
local SCRIPT = [[
  local weir = require "weir"
  io.stdout:setvbuf "line"
  local function text(value)
    return value == nil and "none" or weir.json.encode(value)
  end
  local room = weir.stream{name = "room", url = weir.env "URL", live = weir.env("LIVE", "no") ~= "no",
    defaultType = weir.env "TYPE", strict = weir.env "STRICT" == "yes" or nil, onInvalid = weir.env "POLICY"}
  room:onChange(function(state, event)
    print(event.operation, event.key, text(event.old), text(event.new), state:size())
    if event.key == weir.env "STOP" then error "stopped" end
    if event.key == weir.env "SLOW" then weir.sleep "1h" end
  end)
  room:onControl(function(event) print("control", event.control) end)
  room:onUpToDate(function(state) print("up to date", state:size()) end)
]]

local function start(url, data, options)
  options = options or {}
  local set = {URL = url}
  for name, value in pairs(options.set or {}) do
    set[name] = value
  end
  local args = {"--data", data, table.unpack(options.args or {})}
  return {script = options.script or SCRIPT, set = set, args = args, env = options.env, timeout = 60}
end

local function run(...)
  return worker.run(start(...))
end

local function expect(done, stdout, code)
  assert.equal(stdout, done.stdout, done.stderr)
  assert.equal(code or 0, done.code, done.stderr)
  return done
end

--- The only file of a snapshot in a folder.
local function file_in(data)
  local pipe = assert(io.popen("ls " .. data .. "/*.snapshot 2>/dev/null"))
  local path, more = pipe:read("l", "l")
  pipe:close()
  assert(path and not more, "expected one snapshot in " .. data)
  return path
end

local function state_of(source, ...)
  local done = cli.run{"state", source, ...}
  assert.equal(0, done.code, done.stderr)
  return done.stdout
end

local REPLAYED = "insert\ta\tnone\t1\t1\ninsert\tb\tnone\t[1,2]\t2\nup to date\t2\n"

-- A folder, a stream, and a snapshot of its first two events in the folder.
local function prepare()
  local data, url = tmp.dir(), s:stream()
  s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b", "[1, 2]") .. "]")
  expect(run(url, data), REPLAYED)
  return data, url, file_in(data)
end

describe("a worker that is started again", function()
  it("goes on behind what was handled, with the state of then", function()
    local data, url = prepare()
    s:append(url, "[" .. change("t", "a", "update", "2") .. "," .. insert("u", "c") .. "]")
    local done = run(url, data)
    expect(done, "update\ta\t1\t2\t2\ninsert\tc\tnone\t1\t3\nup to date\t3\n")
    assert.matches("info  room: goes on from the snapshot of %d+%-%d+%-%d+T[%d:]+Z at offset %S+: 2 entities, ",
      done.stderr)
    expect(run(url, data), "up to date\t3\n")
    s:append(url, change("t", "b", "delete"))
    expect(run(url, data), "delete\tb\t[1,2]\tnone\t2\nup to date\t2\n")
  end)

  it("does so when it is interrupted, and when it follows live", function()
    for _, live in ipairs{"sse", "long-poll"} do
      local data, url = prepare()
      local child = worker.spawn(start(url, data, {set = {LIVE = live}}))
      child:wait_for_output("up to date\t2")
      s:append(url, insert("t", "c"))
      child:wait_for_output("up to date\t3")
      child:signal(live == "sse" and "INT" or "TERM")
      expect(child:wait(), "up to date\t2\ninsert\tc\tnone\t1\t3\nup to date\t3\n", 130)
      expect(run(url, data), "up to date\t3\n")
    end
  end)

  it("handles the event again whose handler raised, as if it had not come", function()
    local data, url = tmp.dir(), s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "," .. change("t", "a", "update", "2") .. "," ..
      change("t", "b", "delete") .. "," .. insert("t", "c") .. "]")
    for _, case in ipairs{
      {"a", "insert\ta\tnone\t1\t1\n"},
      {"b", "insert\ta\tnone\t1\t1\ninsert\tb\tnone\t1\t2\n"},
      {"b", "insert\tb\tnone\t1\t2\n"},
      {"a", "insert\tb\tnone\t1\t2\nupdate\ta\t1\t2\t2\n"},
      {"b", "update\ta\t1\t2\t2\ndelete\tb\t1\tnone\t1\n"},
      {"c", "delete\tb\t1\tnone\t1\ninsert\tc\tnone\t1\t2\n"},
    } do
      local done = run(url, data, {set = {STOP = case[1]}})
      expect(done, case[2], 1)
      assert.matches("stopped", done.stderr)
    end
    expect(run(url, data), "insert\tc\tnone\t1\t2\nup to date\t2\n")
    expect(run(url, data), "up to date\t2\n")
  end)

  it("handles the event again whose handler was waiting", function()
    local data, url = prepare()
    s:append(url, "[" .. change("t", "a", "patch", '{"x":1}') .. "," .. insert("t", "c") .. "]")
    local child = worker.spawn(start(url, data, {set = {SLOW = "a"}}))
    child:wait_for_output("patch")
    child:signal("INT")
    expect(child:wait(), 'patch\ta\t1\t{"x":1}\t2\n', 130)
    child = worker.spawn(start(url, data, {set = {SLOW = "c"}}))
    child:wait_for_output("insert\tc")
    child:signal("INT")
    expect(child:wait(), 'patch\ta\t1\t{"x":1}\t2\ninsert\tc\tnone\t1\t3\n', 130)
    expect(run(url, data), "insert\tc\tnone\t1\t3\nup to date\t3\n")
  end)

  it("meets the message again at which it stopped", function()
    local data, url = tmp.dir(), s:stream()
    s:append(url, "[" .. insert("t", "a") .. ',{"no":"event"},' .. insert("t", "b") .. "]")
    local done = run(url, data)
    expect(done, "insert\ta\tnone\t1\t1\n", 1)
    assert.matches("message 2", done.stderr)
    done = run(url, data)
    expect(done, "", 1)
    assert.matches("message 2", done.stderr)
    expect(run(url, data, {set = {POLICY = "skip"}}), "insert\tb\tnone\t1\t2\nup to date\t2\n")
    expect(run(url, data), "up to date\t2\n")
  end)

  it("goes on behind a reset, and before one whose handler raised", function()
    local data, url = prepare()
    s:append(url, '[{"headers":{"control":"reset"}},' .. insert("t", "c") .. "]")
    local script = SCRIPT:gsub('print%("control", event.control%)', '%0 if weir.env "BAD" then error "no" end')
    expect(run(url, data, {script = script, set = {BAD = "yes"}}), "control\treset\n", 1)
    expect(run(url, data), "control\treset\ninsert\tc\tnone\t1\t1\nup to date\t1\n")
    expect(run(url, data), "up to date\t1\n")
  end)

  it("keeps the streams of a script apart", function()
    local data, one, two = tmp.dir(), s:stream(), s:stream()
    local script = [[
      local weir = require "weir"
      for _, name in ipairs{"ONE", "TWO"} do
        weir.stream{url = weir.env(name), live = false}:onChange(function(state, event)
          print(name, event.key, state:size())
        end)
      end
    ]]
    local options = {script = script, set = {ONE = one, TWO = two}}
    s:append(one, insert("t", "a"))
    expect(run("", data, options), "ONE\ta\t1\n")
    s:append(two, insert("t", "b"))
    expect(run("", data, options), "TWO\tb\t1\n")
    options.set.TWO = one
    local done = expect(run("", data, options), "", 1)
    assert.matches("two streams have this name: snapshots need a name for each", done.stderr)
  end)

  it("asks for the folder in three places", function()
    local url = s:stream()
    s:append(url, insert("t", "a"))
    local by_file, by_environment, by_line = tmp.dir(), tmp.dir(), tmp.dir()
    local config = tmp.file("config.json", ('{"data":"%s","snapshotEvery":"30s"}'):format(by_file))
    local script = tmp.file("script.lua", SCRIPT)
    local function run_with(args, env)
      return cli.run({"run", script, "--set", "URL=" .. url, "--config", config, table.unpack(args)}, {env = env})
    end
    local first = "insert\ta\tnone\t1\t1\nup to date\t1\n"
    expect(run_with({}, {WEIR_DATA = false}), first)
    expect(run_with({}, {WEIR_DATA = by_environment, WEIR_SNAPSHOT_EVERY = "1s"}), first)
    expect(run_with({"--data", by_line, "--snapshot-every", "0s"}, {WEIR_DATA = by_environment}), first)
    for _, dir in ipairs{by_file, by_environment, by_line} do
      file_in(dir)
    end
  end)

  it("tells what is wrong with the folder or the interval", function()
    local script = tmp.file("script.lua", SCRIPT)
    local function wrong(code, message, ...)
      local done = cli.run{"run", script, "--set", "URL=/dev/null", ...}
      assert.equal(code, done.code)
      assert.truthy(done.stderr:find(message, 1, true), done.stderr)
    end
    local file = tmp.file("file", "text")
    wrong(2, "--data: expected the path of a folder, got nothing", "--data", "")
    wrong(2, "--snapshot-every: expected a duration (500ms, 30s, 5m), got soon", "--snapshot-every", "soon")
    wrong(1, "data: " .. file .. ": cannot be opened: Not a directory: expected a folder", "--data", file)
    wrong(1, "data: /no/such/folder: the folder cannot be made: No such file or directory", "--data", "/no/such/folder")
    wrong(1, "config.json: data: expected a string, got a number", "--config", tmp.file("config.json", '{"data":1}'))
    wrong(1, "config.json: snapshotEvery: expected a duration (500ms, 30s, 5m), got often", "--config",
      tmp.file("config.json", '{"snapshotEvery":"often"}'))
  end)
end)

describe("the folder", function()
  it("is made, for its owner only, with names that tell and hold no secret", function()
    local data = tmp.dir() .. "/new"
    local url = s:stream("secret")
    s:append(url, insert("t", "a"))
    local script = SCRIPT:gsub('name = "room", ', "")
    local secret = url:gsub("://", "://user:hush@") .. "?token=hush"
    expect(run(secret, data, {script = script}), "insert\ta\tnone\t1\t1\nup to date\t1\n")
    local pipe = assert(io.popen(("stat -c '%%A %%n' %s %s/*; grep -c hush %s/*"):format(data, data, data)))
    local text = pipe:read("a")
    pipe:close()
    assert.matches("^drwx%-%-%-%-%-%- ", text)
    local name = "127%.0%.0%.1_%d+_v1_stream_secret_%d+_token_%.%.%.%-%x+%.snapshot"
    assert.matches("\n%-rw%-%-%-%-%-%-%- [^\n]*/" .. name .. "\n", text)
    assert.matches("snapshot:0\n", text)
    -- A new token is no new stream.
    expect(run((secret:gsub("hush$", "else")), data, {script = script}), "up to date\t1\n")
  end)

  it("belongs to one worker at a time", function()
    local data, url = prepare()
    local child = worker.spawn(start(url, data, {set = {LIVE = "yes"}}))
    child:wait_for_output("up to date")
    local done = expect(run(url, data), "", 1)
    assert.equal(("weir: data: %s: is in use by another worker (process %d): give each its own folder\n"):format(data,
      child.pid), done.stderr)
    done = cli.run{"state", url, "--data", data}
    assert.equal(1, done.code)
    assert.matches("is in use by another worker", done.stderr)
    child:kill()
    expect(run(url, data), "up to date\t2\n")
  end)

  it("is cleaned of what a worker that was killed had begun", function()
    local data, url, file = prepare()
    tmp.write(file .. ".tmp", "half a snapsho")
    tmp.write(data .. "/mine.tmp", "not weir's")
    expect(run(url, data), "up to date\t2\n")
    assert.is_nil(tmp.read(file .. ".tmp"))
    assert.equal("not weir's", tmp.read(data .. "/mine.tmp"))
  end)
end)

describe("a snapshot that is of no use", function()
  -- What is said of it; the stream is read again, and the next snapshot is good.
  local function expect_refused(data, url, why, options)
    local done = expect(run(url, data, options), REPLAYED)
    local told = ("%s: %s. The snapshot is not used: room is read from its start"):format(file_in(data), why)
    assert.truthy(done.stderr:find(told, 1, true), done.stderr .. "expected: " .. told)
    options = options or {}
    done = expect(run(url, data, options), "up to date\t2\n")
    assert.not_matches("not used", done.stderr)
  end

  local function patched(text, at, bytes)
    return text:sub(1, at) .. bytes .. text:sub(at + #bytes + 1)
  end

  it("because it is damaged is named, and the stream read again", function()
    local data, url, file = prepare()
    local good = assert(tmp.read(file))
    local function flipped(at)
      return patched(good, at, string.char(good:byte(at + 1) ~ 1))
    end
    -- Where its parts are, from its header: see docs/snapshot-format.md.
    local places, blocks, index = string.unpack("=I8", good, 33), string.unpack("=I8", good, 49),
      string.unpack("=I8", good, 81)
    local cases = {
      {"", "it is damaged: it was cut short, to 0 bytes"},
      {good:sub(1, 100), "it is damaged: it was cut short, to 100 bytes"},
      {good:sub(1, -2), ("it is damaged: it has %d bytes, and was written with %d"):format(#good - 1, #good)},
      {"x" .. good:sub(2), "it is no snapshot, or its start is damaged"},
      {flipped(16), ("it is damaged: the header does not match its checksum")},
      {flipped(4090), ("it is damaged: the header does not match its checksum")},
      {flipped(places + 3), ("it is damaged: bytes %d to %d do not match their checksum"):format(places, blocks)},
      {flipped(blocks + 20), ("it is damaged: bytes %d to %d do not match their checksum"):format(blocks, index)},
      {flipped(index + 1), "it is damaged: the index does not match its checksum"},
      {flipped(#good - 1), "it is damaged: the index does not match its checksum"},
      {patched(good, 8, string.pack("=I4", 7)), "its format has version 7, and this program reads version 1"},
      {patched(good, 12, "\1\2\3\4"), "it was written on a machine of another byte order"},
    }
    for _, case in ipairs(cases) do
      tmp.write(file, case[1])
      expect_refused(data, url, case[2])
    end
  end)

  it("because it is of something else is named, and the stream read again", function()
    local data, url, file = prepare()
    local other = s:stream()
    s:append(other, s:read(url).body)
    expect_refused(data, other, ("it is of %s, and the stream is %s now"):format(url, other))
    expect_refused(data, other, "it was made with defaultType = default, which is x now", {set = {TYPE = "x"}})
    local events = tmp.file("events.jsonl", insert("t", "a") .. "\n" .. insert("t", "b", "[1,2]"))
    expect_refused(data, events, ("it is of %s, and the stream is %s now"):format(other, events))
    expect_refused(data, events, "it was made with strict = false, which is true now", {set = {STRICT = "yes"}})
    assert.equal(file, file_in(data))
  end)

  it("because the system does not give it ends the worker, and stays", function()
    local data, url, file = prepare()
    os.execute(("mv %s %s/kept && ln -s %s/kept %s"):format(file, data, data, file))
    local done = expect(run(url, data), "", 1)
    local told = file .. ": cannot be opened: Too many levels of symbolic links"
    assert.truthy(done.stderr:find(told, 1, true), done.stderr)
    os.execute(("mv -f %s/kept %s"):format(data, file))
    expect(run(url, data), "up to date\t2\n")
  end)

  it("because the stream is gone is kept, and named", function()
    local data, url, file = prepare()
    s:delete(url)
    local done = expect(run(url, data), "", 1)
    assert.truthy(done.stderr:find("404", 1, true), done.stderr)
    assert.truthy(done.stderr:find("it was to go on from the snapshot " .. file, 1, true), done.stderr)
    assert.is_string(tmp.read(file))
  end)
end)

describe("a snapshot that cannot be written", function()
  it("is reported; the worker goes on, and fails at the end", function()
    local data, url, file = prepare()
    assert(os.execute("mkdir " .. file .. ".tmp"))
    local child = worker.spawn(start(url, data, {set = {LIVE = "yes"}, args = {"--snapshot-every", "10ms"}}))
    child:wait_for_output("up to date\t2")
    s:append(url, insert("t", "c"))
    child:wait_for_output("warn  room: no snapshot: " .. file ..
      ".tmp: cannot be made: File exists. The one before stays")
    s:append(url, insert("t", "d"))
    child:wait_for_output("up to date\t4")
    s:close(url)
    local done = child:wait()
    assert.equal(1, done.code)
    assert.matches("\nweir: room: no snapshot: [^\n]*: cannot be made: File exists\n$", done.stderr)
    assert(os.execute("rmdir " .. file .. ".tmp"))
    expect(run(url, data), "insert\tc\tnone\t1\t3\ninsert\td\tnone\t1\t4\nup to date\t4\n")
  end)

  it("for want of room is reported", function()
    local data, url = prepare()
    s:append(url, insert("t", "c", '"' .. ("x"):rep(3000) .. '"'))
    local script = tmp.file("script.lua", SCRIPT)
    local function limited(args)
      local words = {}
      for i, word in ipairs(args) do
        words[i] = process.quote(word)
      end
      -- In blocks of 512 bytes; without the trap the signal would end the program.
      return process.run{cmd = {"sh", "-c", "trap '' XFSZ; ulimit -f 16; exec " .. table.concat(words, " ")}}
    end
    local done = limited{paths.weir, "run", script, "--set", "URL=" .. url, "--data", data}
    assert.equal(1, done.code)
    assert.matches("cannot be written: File too large\n$", done.stderr)
    done = limited{paths.weir, "state", url, "--data", data, "--type", "t", "--key", "a"}
    assert.equal(0, done.code, done.stderr)
    assert.equal("1\n", done.stdout)
    assert.matches("error [^\n]*cannot be written: File too large\n$", done.stderr)
  end)
end)

describe("snapshots while it runs", function()
  it("are written when something has changed", function()
    local data, url, file = prepare()
    local child = worker.spawn(start(url, data, {set = {LIVE = "yes"}, args = {"--snapshot-every", "10ms"},
      env = {WEIR_LOG = "debug"}}))
    child:wait_for_output("up to date\t2")
    local before = tmp.read(file)
    s:append(url, insert("t", "c"))
    wait.till(function()
      return tmp.read(file) ~= before and child:stderr():find("room: snapshot at offset", 1, true)
    end, nil, "another snapshot")
    child:kill()
    expect(run(url, data), "up to date\t3\n")
    local _, count = child:stderr():gsub("room: snapshot at offset", "")
    assert.equal(1, count)
  end)

  it("come also where handlers are slow, and where a chunk is long", function()
    local data, url = tmp.dir(), s:stream()
    local events = {}
    for i = 1, 200 do
      events[i] = insert("t", tostring(i))
    end
    s:append(url, "[" .. table.concat(events, ",") .. "]")
    local script = SCRIPT:gsub("if event.key == weir.env \"SLOW\"", "weir.sleep(0.005) %0")
    local child = worker.spawn(start(url, data, {script = script, set = {SLOW = "200"}, -- which it does not get past
      args = {"--snapshot-every", "10ms"}}))
    wait.till(function()
      return pcall(file_in, data)
    end, nil, "a snapshot")
    child:kill()
    local first = tonumber(run(url, data).stdout:match("^insert\t(%d+)"))
    local _, before = child:stdout():gsub("\n", "")
    assert.is_true(first > 1 and first <= before + 1, first .. " of " .. before)
  end)
end)

describe("kill -9", function()
  -- At any instant: what is there is the snapshot before or the one after, whole.
  it("leaves a snapshot that is good", function()
    local kills = tonumber(os.getenv("WEIR_KILLS")) or 12
    local data, url = tmp.dir(), s:stream()
    local script = [[
      local weir = require "weir"
      local room = weir.stream{name = "room", url = weir.env "URL", live = "long-poll"}
      room:onChange(function(state, event) io.write(event.key, "\n") io.flush() end)
    ]]
    local options = {script = script, args = {"--snapshot-every", "1ms"}}
    local seen, last, n = {}, 0, 0
    local filler = ("x"):rep(2000)
    for round = 1, kills do
      local events = {}
      for i = 1, 300 do
        n = n + 1
        events[i] = insert("t" .. n % 3, tostring(n), ('{"n":%d,"filler":"%s"}'):format(n, filler))
      end
      s:append(url, "[" .. table.concat(events, ",") .. "]")
      local child = worker.spawn(start(url, data, options))
      local enough = math.random(1, 300)
      wait.till(function()
        local _, count = child:stdout():gsub("\n", "")
        return count >= enough
      end, worker.patience(20), "events")
      local done = child:kill()
      assert.not_matches("not used", done.stderr, "round " .. round)
      assert.not_matches("Sanitizer", done.stderr)
      -- Nothing is left out: what comes first has been handled or is next.
      local before
      for key in done.stdout:gmatch("(%d+)\n") do
        key = tonumber(key)
        assert.is_true(key <= last + 1, ("%d behind %d"):format(key, last))
        assert.is_true(not before or key == before + 1)
        before, last, seen[key] = key, math.max(last, key), true
      end
    end
    script = script:gsub('"long%-poll"', "false")
    local done = run(url, data, {script = script})
    assert.equal(0, done.code, done.stderr)
    for key in done.stdout:gmatch("(%d+)\n") do
      seen[tonumber(key)] = true
    end
    for i = 1, n do
      assert.is_true(seen[i], "event " .. i)
    end
    script = script .. ' room:onUpToDate(function(state) print("size", state:size()) end)'
    assert.equal("size\t" .. n .. "\n", run(url, data, {script = script}).stdout)
  end)
end)

describe("a file", function()
  local function lines(...)
    return table.concat({...}, "\n") .. "\n"
  end

  local function append_to(path, text)
    local file = assert(io.open(path, "ab"))
    assert(file:write(text))
    assert(file:close())
  end

  it("is read on from where it was left", function()
    local data = tmp.dir()
    local path = tmp.file("events.jsonl", lines(insert("t", "a"), "", insert("t", "b")))
    expect(run(path, data), "insert\ta\tnone\t1\t1\ninsert\tb\tnone\t1\t2\nup to date\t2\n")
    append_to(path, lines("", change("t", "a", "update", "2")))
    expect(run(path, data), "update\ta\t1\t2\t2\nup to date\t2\n")
    append_to(path, change("t", "b", "delete")) -- without the line's end
    expect(run(path, data), "delete\tb\t1\tnone\t1\nup to date\t1\n")
    append_to(path, "\n" .. lines('[' .. insert("t", "no") .. ']', insert("t", "c")))
    local done = run(path, data, {set = {POLICY = "skip"}})
    expect(done, "insert\tc\tnone\t1\t2\nup to date\t2\n")
    assert.matches("skipped", done.stderr)
  end)

  it("is read on in its middle, at a line", function()
    local data = tmp.dir()
    local path = tmp.file("events.jsonl", "\xEF\xBB\xBF" .. lines(insert("t", "a"), insert("t", "é"),
      insert("t", "c"), "[]", insert("t", "d")))
    expect(run(path, data, {set = {STOP = "é"}}), "insert\ta\tnone\t1\t1\ninsert\té\tnone\t1\t2\n", 1)
    expect(run(path, data, {set = {STOP = "c"}}), "insert\té\tnone\t1\t2\ninsert\tc\tnone\t1\t3\n", 1)
    local done = run(path, data)
    expect(done, "insert\tc\tnone\t1\t3\n", 1)
    assert.matches("byte %d+: expected an event", done.stderr)
    expect(run(path, data, {set = {POLICY = "skip"}}), "insert\td\tnone\t1\t4\nup to date\t4\n")
  end)

  it("that is an array is read on in its middle, too", function()
    local data = tmp.dir()
    local array = "[" .. insert("t", "a") .. ",\n" .. insert("t", "b") .. ",\n" .. insert("t", "c") .. "]"
    local path = tmp.file("events.json", array)
    expect(run(path, data, {set = {STOP = "b"}}), "insert\ta\tnone\t1\t1\ninsert\tb\tnone\t1\t2\n", 1)
    expect(run(path, data), "insert\tb\tnone\t1\t2\ninsert\tc\tnone\t1\t3\nup to date\t3\n")
    expect(run(path, data), "up to date\t3\n")
    tmp.write(path, array .. "\n")
    local done = run(path, data)
    assert.matches("^insert\ta", done.stdout)
    assert.matches("the file, a JSON array, has grown or was replaced%. The snapshot is not used", done.stderr)
  end)

  it("is followed on", function()
    local data = tmp.dir()
    local path = tmp.file("events.jsonl", lines(insert("t", "a")))
    for i = 1, 3 do
      local child = worker.spawn(start(path, data, {set = {LIVE = "yes"}}))
      child:wait_for_output("up to date\t" .. i)
      append_to(path, lines(insert("t", tostring(i))))
      child:wait_for_output("up to date\t" .. i + 1)
      child:signal("INT")
      expect(child:wait(), (i == 1 and "insert\ta\tnone\t1\t1\n" or "") ..
        ("up to date\t%d\ninsert\t%d\tnone\t1\t%d\nup to date\t%d\n"):format(i, i, i + 1, i + 1), 130)
    end
  end)

  it("that was replaced, changed or cut is read again", function()
    local data = tmp.dir()
    local first = lines(insert("t", "a"), insert("t", "b"))
    local path = tmp.file("events.jsonl", first)
    for _, case in ipairs{
      {lines(insert("t", "A"), insert("t", "b"), insert("t", "c")), "the file was replaced, or what had been read"},
      {lines(insert("t", "a")), "the file has %d+ bytes, and %d+ had been read: it was cut or replaced"},
      {"", "the file has 0 bytes, and %d+ had been read"},
    } do
      tmp.write(path, first)
      run(path, data)
      tmp.write(path, case[1])
      local done = run(path, data)
      assert.equal(0, done.code, done.stderr)
      assert.matches(case[2], done.stderr)
      assert.matches("The snapshot is not used: room is read from its start", done.stderr)
      local _, handled = done.stdout:gsub("insert", "")
      local _, there = case[1]:gsub("\n", "")
      assert.equal(there, handled)
    end
  end)

  it("that is standard input or a pipe is not kept", function()
    local data = tmp.dir()
    local script = tmp.file("script.lua", SCRIPT)
    for _ = 1, 2 do
      local done = cli.run({"run", script, "--source", "-", "--data", data}, {stdin = lines(insert("t", "a"))})
      expect(done, "insert\ta\tnone\t1\t1\nup to date\t1\n")
      assert.matches("warn  standard input: no snapshot is kept of it: it cannot be read again", done.stderr)
    end
    assert.is_false(pcall(file_in, data))
  end)
end)

describe("weir state --data", function()
  local function state(data, source, ...)
    local done = cli.run{"state", source, "--data", data, "--stats", ...}
    assert.equal(0, done.code, done.stderr)
    return done.stdout, tonumber(done.stderr:match("events=(%d+) ")), done.stderr
  end

  it("reads only what is new", function()
    local data, url = tmp.dir(), s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("u", "b", "1.5") .. "]")
    local expected = '{"t":{"a":1},"u":{"b":1.5}}\n'
    for _, events in ipairs{2, 0, 0} do
      local text, count = state(data, url)
      assert.equal(expected, text)
      assert.equal(events, count)
    end
    s:append(url, change("t", "a", "delete"))
    local text, count = state(data, url)
    assert.equal('{"u":{"b":1.5}}\n', text)
    assert.equal(1, count)
    assert.equal(state_of(url), text)
  end)

  it("is no part of a worker's folder, nor the other way round", function()
    local data, url = prepare()
    s:append(url, insert("t", "c"))
    local _, count = state(data, url)
    assert.equal(3, count)
    expect(run(url, data), "insert\tc\tnone\t1\t3\nup to date\t3\n")
    local done = cli.run({"state", url, "--stats"}, {env = {WEIR_DATA = data}})
    assert.matches("^events=3 ", done.stderr)
  end)

  it("reads again what was not checked in the same way", function()
    local data, url = tmp.dir(), s:stream()
    s:append(url, "[" .. insert("t", "a") .. "," .. insert("t", "b", '"text"') .. "]")
    local schema = tmp.file("schema.lua", [[
      local weir = require "weir"
      local types = {t = weir.schema.number()}
      weir.stream{url = "x", schema = weir.defineStreamSchema{types = types}}
    ]])
    assert.equal(2, select(2, state(data, url)))
    local text, count, stderr = state(data, url, "--schema", schema, "--on-invalid", "skip")
    assert.equal('{"t":{"a":1}}\n', text)
    assert.equal(1, count)
    local told = "it was made with options = %-%-on%-invalid stop, which is %-%-on%-invalid skip %-%-schema %x+ now"
    assert.matches(told, stderr)
    assert.equal(0, select(2, state(data, url, "--schema", schema, "--on-invalid", "skip")))
    local done = cli.run{"state", url, "--data", data, "--schema", schema}
    assert.equal(1, done.code)
    assert.matches("t/b", done.stderr)
  end)
end)
