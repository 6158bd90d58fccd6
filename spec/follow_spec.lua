-- Files that grow, and pipes that stay open: what is added is seen as it comes.

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

local insert = cli.insert

local SCRIPT = [[
  local weir = require "weir"
  io.stdout:setvbuf "line"
  local room = weir.stream{url = weir.env "EVENTS", live = true, onInvalid = weir.env "POLICY"}
  room:onChange(function(state, event)
    print(event.key, weir.json.encode(event.value))
    if event.key == "stop" then weir.stop() end
  end)
  room:onUpToDate(function(state) print("size", state:size()) end)
]]

-- A file with `text`, and the script that follows it.
local function follow(text, ...)
  local events = tmp.file("events", text)
  local child = cli.spawn{"run", tmp.file("script.lua", SCRIPT), "--set", "EVENTS=" .. events, ...}
  child.events = events
  return child
end

local function add(child, text)
  local file = assert(io.open(child.events, "ab"))
  assert(file:write(text))
  assert(file:close())
end

local function interrupt(child)
  child:signal("INT")
  local done = child:wait()
  assert.equal(130, done.code, done.stderr)
  return done
end

describe("a file that is followed", function()
  it("gives the lines that are added, and tells each time that it is up to date", function()
    local child = follow(insert("t", "a") .. "\n" .. insert("t", "b", '"é"') .. "\n")
    child:wait_for_output("size\t2\n")
    add(child, insert("t", "c", "[]") .. "\n")
    child:wait_for_output("size\t3\n")
    add(child, insert("t", "d") .. "\n" .. insert("t", "a", "2") .. "\n\n")
    child:wait_for_output("size\t4\n")
    local done = interrupt(child)
    assert.equal('a\t1\nb\t"é"\nsize\t2\nc\t[]\nsize\t3\nd\t1\na\t2\nsize\t4\n', done.stdout)
    assert.equal("weir: interrupted\n", done.stderr)
  end)

  it("waits for the end of a line", function()
    local line = insert("t", "c\u{1F600}", '{"text":"\u{1F600}"}')
    local child = follow(insert("t", "a") .. "\n" .. line:sub(1, 25)) -- cut inside the smile
    child:wait_for_output("size\t1\n")
    add(child, line:sub(26, 40))
    add(child, line:sub(41))
    add(child, "\n" .. insert("t", "stop"))
    child:wait_for_output("size\t2\n")
    assert.is_true(child:running())
    add(child, "\n")
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal('a\t1\nsize\t1\nc\u{1F600}\t{"text":"\u{1F600}"}\nsize\t2\nstop\t1\n', done.stdout)
  end)

  it("may be empty at first", function()
    local child = follow("")
    child:wait_for_output("size\t0\n")
    add(child, "\n \n")
    add(child, insert("t", "a") .. "\n")
    child:wait_for_output("size\t1\n")
    assert.equal("size\t0\na\t1\nsize\t1\n", interrupt(child).stdout)
  end)

  it("is read whole when much is added at once", function()
    local child = follow("")
    child:wait_for_output("size\t0\n")
    local lines, keys = {}, {}
    for i = 1, 20000 do
      lines[i] = insert("t", "k" .. i, tostring(i))
      keys[i] = ("k%d\t%d\n"):format(i, i)
    end
    lines[#lines + 1] = insert("t", "stop")
    add(child, table.concat(lines, "\n") .. "\n")
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    local changes = done.stdout:gsub("size\t%d+\n", "")
    assert.equal(table.concat(keys) .. "stop\t1\n", changes)
  end)

  it("names lines and bytes as they lie in the file", function()
    local first = insert("t", "a") .. "\n\n"
    local child = follow(first, "--set", "POLICY=skip")
    child:wait_for_output("size\t1\n")
    add(child, "nonsense\n" .. insert("t", "b") .. "\n")
    child:wait_for_output("size\t2\n")
    local second = "nonsense\n" .. insert("t", "b") .. "\n"
    add(child, "\n\n{}\n" .. insert("t", "c") .. "\n")
    child:wait_for_output("size\t3\n")
    local stderr = interrupt(child).stderr
    assert.truthy(stderr:find(("skipped: %s: line 3 (byte %d): expected a value"):format(child.events,
      #first + 2), 1, true) or
      stderr:find(("skipped: %s: line 3 (byte %d): expected a value"):format(child.events, #first + 1), 1,
        true), stderr)
    assert.truthy(stderr:find(("skipped: %s: line 7 (byte %d): headers is missing"):format(child.events,
      #first + #second + 3), 1,
      true), stderr)
  end)

  it("stops at a line that is wrong", function()
    local child = follow(insert("t", "a") .. "\n")
    child:wait_for_output("size\t1\n")
    add(child, '{"key":"b"\n')
    local done = child:wait()
    assert.equal(1, done.code)
    assert.equal(("weir: %s: line 2 (byte %d): the line ends in the middle of a value\n"):format(child.events,
      #insert("t", "a") + 12), done.stderr)
  end)

  it("must not become shorter", function()
    local child = follow(insert("t", "a") .. "\n")
    child:wait_for_output("size\t1\n")
    tmp.write(child.events, "")
    local done = child:wait()
    assert.equal(1, done.code)
    assert.matches("was cut to 0 bytes while it was followed", done.stderr)
    assert.truthy(done.stderr:find("weir: " .. child.events, 1, true))
  end)

  it("must not be removed", function()
    local child = follow(insert("t", "a") .. "\n")
    child:wait_for_output("size\t1\n")
    assert(os.remove(child.events))
    local done = child:wait()
    assert.equal(1, done.code)
    assert.matches("was removed while it was followed", done.stderr)
  end)

  it("must not be an array", function()
    local done = follow("[" .. insert("t", "a") .. "]"):wait()
    assert.equal(1, done.code)
    assert.matches("^weir: [^\n]*/events: a JSON array cannot be followed as it grows: use one event a line",
      done.stderr)
  end)

  it("is read to its end only, with --once", function()
    for _, text in ipairs{insert("t", "a") .. "\n" .. insert("t", "b"),
      "[" .. insert("t", "a") .. "," .. insert("t", "b") .. "]"} do
      local done = follow(text, "--once"):wait()
      assert.equal("a\t1\nb\t1\nsize\t2\n", done.stdout)
      assert.equal(0, done.code)
    end
  end)
end)

describe("a pipe that stays open", function()
  local function pipe_through()
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local script = tmp.file("script.lua", SCRIPT)
    local child = process.spawn{cmd = {"sh", "-c", 'exec "$1" run "$2" --set EVENTS=- <"$3"', "sh", paths.weir,
      script, fifo}}
    return child, assert(io.open(fifo, "wb"))
  end

  it("gives each line as it comes, and the last without a line end", function()
    local child, pipe = pipe_through()
    pipe:write(insert("t", "a"), "\n", insert("t", "b"):sub(1, 10)):flush()
    child:wait_for_output("a\t1\n")
    pipe:write(insert("t", "b"):sub(11), "\n"):flush()
    child:wait_for_output("b\t1\n")
    pipe:write(insert("t", "c")):close()
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal("a\t1\nb\t1\nc\t1\n", (done.stdout:gsub("size\t%d+\n", "")))
    assert.matches("size\t3\n$", done.stdout)
  end)

  it("may carry an array, whose elements are given as they come", function()
    local child, pipe = pipe_through()
    pipe:write("[", insert("t", "a"), ",\n", insert("t", "b"):sub(1, 10)):flush()
    child:wait_for_output("a\t1\n")
    pipe:write(insert("t", "b"):sub(11), "]"):close()
    local done = child:wait()
    assert.equal(0, done.code, done.stderr)
    assert.equal("a\t1\nb\t1\nsize\t2\n", done.stdout)
  end)
end)
