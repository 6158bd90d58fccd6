-- The command line: commands, options, exit codes, what goes to which stream, and how it is interrupted.

local cli = require "support.cli"
local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local insert = cli.insert

local COMMANDS = {"run", "check", "state", "version", "help"}

-- Exit code 2: nothing on stdout, the reason and the usage on stderr.
local function assert_misuse(reason, args, usage)
  local done = cli.run(args)
  assert.equal(2, done.code)
  assert.equal("", done.stdout)
  local first, second = done.stderr:match("^([^\n]*)\n([^\n]*)\n")
  assert.equal("weir: " .. reason, first)
  assert.matches("^usage: weir " .. (usage or args[1]), second)
end

describe("weir help", function()
  it("lists the commands", function()
    for _, args in ipairs{{"help"}, {"--help"}, {"-h"}} do
      local done = cli.run(args)
      assert.equal(0, done.code)
      assert.equal("", done.stderr)
      for _, name in ipairs(COMMANDS) do
        assert.matches("\n  " .. name .. " +%a", done.stdout)
      end
    end
  end)

  it("explains each command", function()
    for _, name in ipairs(COMMANDS) do
      local done = cli.run{"help", name}
      assert.equal(0, done.code)
      assert.equal("", done.stderr)
      assert.matches("^usage: weir " .. name, done.stdout)
      assert.not_matches(" \n", done.stdout)
      assert.equal(done.stdout, cli.run{name, "--help"}.stdout)
      assert.equal(done.stdout, cli.run{name, "-h"}.stdout)
    end
  end)

  it("names the options of the commands", function()
    for name, options in pairs{
      run = {"--source", "--once", "--set", "--config"},
      check = {"--set", "--config"},
      state = {"--type", "--key", "--schema", "--on-invalid", "--stats"},
    } do
      local text = cli.run{"help", name}.stdout
      for _, option in ipairs(options) do
        assert.truthy(text:find("\n  " .. option, 1, true), name .. " " .. option)
      end
    end
  end)
end)

describe("weir version", function()
  it("names itself and what it is built on", function()
    local done = cli.run{"version"}
    assert.equal(0, done.code)
    assert.matches("^weir %d+%.%d+%.%d+ %(Lua 5%.4%.%d+, libuv %S+, libcurl %S+, cJSON %S+%)\n$", done.stdout)
    assert.equal(done.stdout, cli.run{"--version"}.stdout)
  end)
end)

describe("a wrong command line", function()
  it("is refused with the usage", function()
    assert_misuse("COMMAND is missing", {}, "COMMAND")
    assert_misuse("there is no command 'nope'", {"nope"}, "COMMAND")
    assert_misuse("there is no command ''", {""}, "COMMAND")
    assert_misuse("there is no command '--nope'", {"--nope"}, "COMMAND")
    assert_misuse("there is no command 'nope'", {"help", "nope"})
    assert_misuse("one COMMAND at a time", {"help", "run", "state"})
    assert_misuse("unexpected argument x", {"version", "x"})
  end)

  it("is refused by each command", function()
    for name, argument in pairs{run = "SCRIPT", check = "SCRIPT", state = "SOURCE"} do
      assert_misuse(argument .. " is missing", {name})
      assert_misuse("more than one " .. argument, {name, "a", "b"})
      assert_misuse("unknown option --nope", {name, "a", "--nope"})
      assert_misuse("unknown option -x", {name, "-x", "a"})
      assert_misuse("unknown option -x", {name, "a", "-xy"})
    end
  end)

  it("is refused where a value is missing or wrong", function()
    for _, name in ipairs{"run", "check"} do
      assert_misuse("--set needs a value", {name, "a", "--set"})
      assert_misuse("--set: expected NAME=VALUE, got A", {name, "a", "--set", "A"})
      assert_misuse("--set: expected NAME=VALUE, got =A", {name, "a", "--set", "=A"})
      assert_misuse("--config needs a value", {name, "a", "--config"})
    end
    assert_misuse("--source needs a value", {"run", "a", "--source"})
    assert_misuse("--source is empty", {"run", "a", "--source", ""})
    assert_misuse("unknown option --once=1", {"run", "a", "--once=1"})
    assert_misuse("--type needs a value", {"state", "a", "--type"})
    assert_misuse("--key needs --type", {"state", "a", "--key", "k"})
    assert_misuse("--on-invalid: expected stop or skip, got deadletter", {"state", "a", "--on-invalid", "deadletter"})
    assert_misuse("SOURCE is empty", {"state", ""})
    for name, command in pairs{SOURCE = {"state", "ftp://x/y"}, ["--source"] = {"run", "a", "--source", "ftp://x/y"}} do
      assert_misuse(name .. ": expected an http(s) URL, a file, or -, got ftp://x/y", command)
    end
    assert_misuse("--source: expected an http(s) URL, a file, or -, got s3://x", {"verify", "a", "--source", "s3://x"})
  end)
end)

-- Runs a shell command in which "$1" is the program and "$2" a file of events.
local function shell(command, events)
  return process.run{cmd = {"sh", "-c", command, "sh", paths.weir, tmp.file("events", events or insert("t", "k"))}}
end

describe("standard output", function()
  local FULL = "weir: cannot write to standard output: No space left on device\n"

  it("that is full makes the work fail", function()
    for _, command in ipairs{"state \"$2\"", "version", "help", "help run"} do
      local done = shell('"$1" ' .. command .. " >/dev/full")
      assert.equal(1, done.code)
      assert.equal(FULL, done.stderr)
    end
  end)

  it("that is full makes long output fail too", function()
    local done = shell('"$1" state "$2" >/dev/full', insert("t", "k", '"' .. ("x"):rep(1000000) .. '"'))
    assert.equal(1, done.code)
    assert.equal(FULL, done.stderr)
  end)

  it("that is full makes a script fail that prints", function()
    local script = tmp.file("script.lua", 'local r = require("weir").stream{url = "-", live = false}\nprint "x"')
    local done = process.run{cmd = {"sh", "-c", '"$1" run "$2" >/dev/full', "sh", paths.weir, script}}
    assert.equal(1, done.code)
    assert.equal("weir: cannot write to standard output: a part of it is lost; is the disk full?\n", done.stderr)
  end)

  it("whose reader is gone ends it without a signal", function()
    local done = shell('{ "$1" state "$2"; echo "code $?" >&2; } | true',
      insert("t", "k", '"' .. ("x"):rep(1000000) .. '"'))
    assert.equal("weir: cannot write to standard output: Broken pipe\ncode 1\n", done.stderr)
  end)

  it("whose reader was never there ends each command so", function()
    for _, command in ipairs{"version", "help", "help run", 'check "$2"', "types"} do
      -- A FIFO whose reader has opened it and is gone by the time of the first write.
      local done = shell('mkfifo "$2.fifo" && { : <"$2.fifo" & } && exec >"$2.fifo" && wait && "$1" ' .. command
        .. '; code=$?; rm "$2.fifo"; exit $code', 'require "weir".stream{url = "-"}')
      assert.equal("weir: cannot write to standard output: Broken pipe\n", done.stderr)
      assert.equal(1, done.code, command)
    end
  end)

  it("may be closed", function()
    local done = shell('"$1" state "$2" >&-')
    assert.equal(1, done.code)
    assert.equal("weir: cannot write to standard output: Bad file descriptor\n", done.stderr)
  end)
end)

describe("other standard streams that are closed", function()
  it("do no harm", function()
    local done = shell('"$1" state "$2" <&- 2>&-')
    assert.equal(0, done.code)
    assert.equal('{"t":{"k":1}}\n', done.stdout)
    done = shell('"$1" state - <&-')
    assert.equal(1, done.code)
    assert.equal("", done.stdout)
    assert.matches("^weir: standard input: cannot be read", done.stderr)
    assert.equal(2, shell('"$1" state 2>&- 0<&- 1>&-').code)
  end)
end)

describe("a script", function()
  local function run_and_check(text)
    local path = tmp.file("script.lua", text)
    return path, cli.run{"run", path}, cli.run{"check", path}
  end

  -- Both refuse it with a message that begins like this; nothing is printed.
  local function assert_refused(text, expected)
    local path, run, check = run_and_check(text)
    for _, done in ipairs{run, check} do
      assert.equal(1, done.code)
      assert.equal("", done.stdout)
      local message = "weir: " .. expected:gsub("SCRIPT", path)
      assert.equal(message, done.stderr:sub(1, #message))
    end
    return run.stderr
  end

  it("with a syntax error is named with its line", function()
    local stderr = assert_refused("local a = 1\nlocal b = = 2\n", "SCRIPT:2: unexpected symbol near '='\n")
    assert.not_matches("traceback", stderr)
    assert_refused("local function f()\n", "SCRIPT:2: 'end' expected")
    assert_refused("x = 'abc\n", "SCRIPT:1: unfinished string")
  end)

  it("that raises is named with its line and a traceback", function()
    local stderr = assert_refused("local function f()\n  error 'boom'\nend\nf()\n",
      "SCRIPT:2: boom\nstack traceback:\n")
    assert.matches("script.lua:2: in upvalue 'f'", (stderr:gsub("local 'f'", "upvalue 'f'")))
    assert.matches("script.lua:4: in main chunk", stderr)
    assert_refused("local t = nil\nprint(t.x)", "SCRIPT:2: attempt to index a nil value (local 't')")
  end)

  it("that raises something else than text is named", function()
    assert.matches("^weir: .*script.lua:1: in main chunk", assert_refused("error {code = 1}", ""))
    assert.matches("script.lua", assert_refused("error()", ""))
    local stderr = assert_refused("error(setmetatable({}, {__tostring = function() return 'told' end}))", "")
    assert.matches("told", stderr)
    stderr = assert_refused("error(setmetatable({}, {__tostring = function() error 'again' end}))", "")
    assert.matches("script.lua", stderr)
  end)

  it("that declares nothing is refused", function()
    assert_refused("", "SCRIPT declares nothing")
    assert_refused("local weir = require 'weir'\n", "SCRIPT declares nothing")
  end)

  it("that is not there, or is no text, is refused", function()
    local dir = tmp.dir()
    for _, command in ipairs{"run", "check"} do
      local done = cli.run{command, dir .. "/none.lua"}
      assert.equal(1, done.code)
      assert.equal(("weir: cannot open %s/none.lua: No such file or directory\n"):format(dir), done.stderr)
      done = cli.run{command, dir}
      assert.equal(1, done.code)
      assert.equal(("weir: cannot read %s: Is a directory\n"):format(dir), done.stderr)
    end
    assert_refused(string.dump(function() end), "SCRIPT: attempt to load a binary chunk (mode is 't')\n")
  end)

  it("may begin with #! and a byte order mark", function()
    local text = '#!/usr/bin/env -S weir run\n' ..
      'local weir = require "weir"\nweir.stream{url = weir.env "EVENTS", live = false}'
    assert.equal(0, cli.script(text).code)
    assert.equal(0, cli.script("\xEF\xBB\xBF" .. text).code)
  end)

  it("with a wrong option is named with its line", function()
    local done = cli.script('local weir = require "weir"\nweir.stream{url = "-", onInvald = "skip"}')
    assert.equal(1, done.code)
    assert.matches("^weir: " .. done.script:gsub("%p", "%%%0") .. ":2: weir.stream: unknown option 'onInvald'",
      done.stderr)
  end)

  it("whose handler raises is named with its line and the event's place", function()
    local done = cli.script([[
      local weir = require "weir"
      local room = weir.stream{url = weir.env "EVENTS", live = false}
      room:onChange(function(state, event)
        print(event.key)
        if event.key == "b" then error("boom") end
      end)
    ]], {events = insert("t", "a") .. "\n" .. insert("t", "b") .. "\n" .. insert("t", "c") .. "\n"})
    assert.equal(1, done.code)
    assert.equal("a\nb\n", done.stdout)
    local expected = ("weir: %s: line 2 (byte 67): t/b: %s:5: boom\nstack traceback:"):format(done.path, done.script)
    assert.equal(expected, done.stderr:sub(1, #expected))
  end)

  it("can end the program by itself", function()
    assert.equal(3, cli.script("os.exit(3)").code)
    assert.equal(0, cli.script("os.exit(true, true)").code)
  end)
end)

describe("weir check", function()
  it("tells what a script declares and reads nothing", function()
    local path = tmp.file("script.lua", [[
      local weir = require "weir"
      local s = weir.schema
      local room = weir.stream{
        name = "room", url = weir.env("ROOM", "/no/such/file"), onInvalid = "skip",
        schema = weir.defineStreamSchema{types = {users = s.object{id = s.string()}}},
      }
      room:onChange("users", print)
      room:validate("messages", print)
      room:onControl(print)
      room:onUpToDate(print)
      weir.stream{url = "other", live = "sse"}:onChange(print)
    ]])
    local done = cli.run{"check", path, "--set", "ROOM=the file"}
    assert.equal(0, done.code)
    assert.equal("", done.stderr)
    assert.matches("stream room\n  url: the file\n  live: auto\n  onInvalid: skip\n", done.stdout)
    assert.matches("\n  type users: schema onChange\n", done.stdout)
    assert.matches("\n  type messages: validate\n", done.stdout)
    assert.matches("\n  also: onControl onUpToDate\n", done.stdout)
    assert.matches("\nstream other\n  url: other\n  live: sse\n  onInvalid: stop\n  every type: onChange\n$",
      done.stdout)
  end)
end)

-- ---- signals ----

local function script_file(body)
  return tmp.file("script.lua", 'local weir = require "weir"\nio.stdout:setvbuf "no"\n' .. body)
end

-- A script in whose handler `body` runs, once it has said so.
local function handler(body, options)
  local events = tmp.file("events", insert("t", "k"))
  return script_file(([[
    local room = weir.stream{url = "%s", live = false%s}
    room:onChange(function() print "here" %s end)
  ]]):format(events, options or "", body))
end

-- Starts it, waits until it says "here", sends the signal: exit code 130, soon, and nothing left open.
local function assert_interrupted(args, signal, stderr)
  local child = cli.spawn(args)
  child:wait_for_output("here")
  assert.is_true(child:signal(signal))
  local done = child:wait()
  assert.equal(130, done.code, done.stderr)
  assert.equal(stderr or "weir: interrupted\n", done.stderr)
  return done
end

describe("Ctrl-C", function()
  local BODIES = {
    ["in a handler that loops for ever"] = "while true do end",
    ["in one that catches every error"] =
      "while true do pcall(function() while true do pcall(error) end end) end",
    ["in one that loops in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["in one that sleeps"] = "weir.sleep(100)",
    ["in one that sleeps for ever in small steps"] = "while true do weir.sleep(0.001) end",
  }
  for name, body in pairs(BODIES) do
    it(name, function()
      assert_interrupted({"run", handler(body)}, "INT")
      assert_interrupted({"run", handler(body)}, "TERM")
    end)
  end

  it("whatever onError says", function()
    assert_interrupted({"run", handler("while true do end", ', onError = "retry"')}, "INT")
    assert_interrupted({"run", handler("while true do end", ', onError = "skip"')}, "INT")
  end)

  it("in the main chunk", function()
    assert_interrupted({"run", script_file "print 'here' while true do end"}, "INT")
    assert_interrupted({"run", script_file "print 'here' while true do pcall(string.rep, 'x', 10) end"}, "INT")
    assert_interrupted({"run", script_file "print 'here' weir.sleep(100)"}, "INT")
    assert_interrupted({"check", script_file "print 'here' weir.sleep(100)"}, "TERM")
  end)

  it("in a timer", function()
    assert_interrupted({"run", script_file "weir.every(0.01, function() print 'here' end)"}, "INT")
    assert_interrupted({"run", script_file "weir.after(0, function() print 'here' while true do end end)"}, "INT")
  end)

  it("while a file is followed", function()
    local events = tmp.file("events", insert("t", "k") .. "\n")
    local script = script_file(('weir.stream{url = "%s"}:onChange(function() print "here" end)'):format(events))
    assert_interrupted({"run", script}, "INT")
    assert_interrupted({"run", script}, "TERM")
  end)

  -- A pipe that stays open, with some bytes in it.
  local function with_fifo(text, test)
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local writer = process.spawn{
      cmd = {"sh", "-c", 'exec 3>"$1"; printf %s "$2" >&3; exec sleep 60', "sh", fifo, text},
    }
    local ok, message = pcall(test, fifo)
    writer:kill()
    assert(ok, message)
  end

  it("while a pipe says nothing", function()
    local script = script_file(
      'weir.stream{url = weir.env "SOURCE"}:onChange(function() print "here" end)')
    for _, signal in ipairs{"INT", "TERM"} do
      with_fifo(insert("t", "k") .. "\n", function(fifo)
        assert_interrupted({"run", script, "--set", "SOURCE=" .. fifo}, signal)
      end)
    end
  end)

  it("while standard input says nothing", function()
    local script = script_file('weir.stream{url = "-"}:onChange(function() print "here" end)')
    with_fifo(insert("t", "k") .. "\n", function(fifo)
      local child = process.spawn{cmd = {"sh", "-c", 'exec "$@" <' .. fifo, "sh", paths.weir, "run", script}}
      child:wait_for_output("here")
      child:signal("INT")
      local done = child:wait()
      assert.equal(130, done.code, done.stderr)
      assert.equal("weir: interrupted\n", done.stderr)
    end)
  end)

  it("in weir state, with nothing printed", function()
    with_fifo("[" .. insert("t", "k") .. ",", function(fifo)
      local child = cli.spawn{"state", fifo, "--stats"}
      -- There is nothing to be seen of it but that it holds the pipe open.
      wait.till(function()
        return process.run{cmd = {"sh", "-c", 'ls -l /proc/"$1"/fd | grep -q fifo', "sh", child.pid}}.code == 0
      end, nil, "weir to open the pipe")
      child:signal("INT")
      local done = child:wait()
      assert.equal(130, done.code)
      assert.equal("", done.stdout)
      assert.equal("weir: interrupted\n", done.stderr)
    end)
  end)

  it("while nobody reads what is printed", function()
    local events = tmp.file("events", insert("t", "k", '"' .. ("x"):rep(1000000) .. '"'))
    local fifo = tmp.dir() .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    local reader = process.spawn{cmd = {"sh", "-c", 'exec 3<"$1"; exec sleep 60', "sh", fifo}}
    local script = 'exec "$1" state "$2" --stats >"$3"'
    local child = process.spawn{cmd = {"sh", "-c", script, "sh", paths.weir, events, fifo}}
    cli.wait_until_stuck(child)
    child:signal("INT")
    local ok, done = pcall(child.wait, child)
    reader:kill()
    assert(ok, done)
    assert.equal(130, done.code)
    assert.matches("^weir: interrupted\n", done.stderr)
  end)

  it("twice ends it at once", function()
    local events = tmp.file("events", insert("t", "k"))
    local script = script_file(([[
      weir.stream{url = "%s", live = false}:onChange(function()
        print "here"
        string.rep("a", 60):find((".-"):rep(30) .. "b")
      end)
    ]]):format(events))
    local child = cli.spawn{"run", script}
    child:wait_for_output("here")
    child:signal("INT")
    local done
    wait.till(function() -- the second may come before the first has been taken
      child:signal("INT")
      local ok, result = pcall(child.wait, child, 0.2)
      done = ok and result
      return ok
    end, nil, "the end of a program that was interrupted twice")
    assert.equal(130, done.code)
  end)
end)

describe("a handler that runs too long", function()
  for name, body in pairs{
    ["is stopped"] = "while true do end",
    ["is stopped although it catches errors"] = "while true do pcall(function() while true do end end) end",
  } do
    it(name, function()
      local script = handler(body)
      local done = cli.run({"run", script}, {env = {WEIR_HANDLER_LIMIT = "200ms"}})
      assert.equal(1, done.code)
      assert.equal("here\n", done.stdout)
      assert.matches("ran too long without waiting: raise limits.handler", done.stderr)
      assert.matches("script.lua:4: in function", done.stderr)
    end)
  end
end)
