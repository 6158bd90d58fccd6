-- How a worker is configured: a file, the environment, the command line, the later winning.

local cli = require "support.cli"
local paths = require "support.paths"
local server = require "support.server"
local tmp = require "support.tmp"

local insert = cli.insert

local SCRIPT = [[
  local weir = require "weir"
  for _, name in ipairs{"A", "B", "C", "D"} do
    print(name, weir.env(name, "default"))
  end
  local room = weir.stream{name = "room", url = weir.env("EVENTS"), live = false}
  room:onChange(function(state, event) print(event.key) end)
]]

-- Runs the script with a configuration file of this text.
local function run(config, options)
  options = options or {}
  local path = tmp.file("config.json", config)
  local args = {"--config", path, table.unpack(options.args or {})}
  local done = cli.script(options.script or SCRIPT,
    {args = args, env = options.env, stdin = options.stdin, events = options.events or insert("t", "k")})
  done.config = path
  return done
end

local function assert_ok(done, stdout)
  assert.equal("", done.stderr)
  assert.equal(stdout, done.stdout)
  assert.equal(0, done.code)
end

local function assert_mistake(done, message)
  assert.equal(1, done.code)
  assert.equal("", done.stdout)
  local expected = "weir: " .. message:gsub("CONFIG", done.config)
  assert.equal(expected, done.stderr:sub(1, #expected))
end

describe("settings", function()
  it("come from the file, then the environment, then --set", function()
    local config = '{"settings":{"A":"file","B":"file","C":"file"}}'
    local env = {A = false, B = "environment", C = "environment", D = false}
    assert_ok(run(config, {env = env, args = {"--set", "C=line"}}), "A\tfile\nB\tenvironment\nC\tline\nD\tdefault\nk\n")
    env.D = ""
    assert_ok(run(config, {env = env, args = {"--set", "C=", "--set", "A=a=b"}}),
      "A\ta=b\nB\tenvironment\nC\t\nD\t\nk\n")
  end)

  it("may be given again: the last holds", function()
    local env = {A = false, B = false, C = false, D = false}
    local second = tmp.file("second.json", '{"settings":{"A":"second"}}')
    local done = run('{"settings":{"A":"first","B":"first"}}', {env = env,
      args = {"--config", second, "--set", "C=1", "--set", "C=2"}})
    assert_ok(done, "A\tsecond\nB\tfirst\nC\t2\nD\tdefault\nk\n")
  end)

  it("are seen by weir check too", function()
    local script = tmp.file("script.lua", SCRIPT)
    local config = tmp.file("config.json", '{"settings":{"EVENTS":"from the file"}}')
    local done = cli.run({"check", script, "--config", config, "--set", "A=x"}, {env = {EVENTS = false}})
    assert.matches("\nstream room\n  url: from the file\n", done.stdout)
    assert.matches("^A\tx\n", done.stdout)
    assert.equal(0, done.code)
  end)
end)

describe("options of a stream", function()
  it("from the file win over the script's", function()
    local other = tmp.file("other", insert("t", "other") .. "\nnonsense\n")
    local config = ('{"streams":{"room":{"url":"%s","onInvalid":"skip"}},"log":{"level":"off"}}'):format(other)
    local done = run(config, {env = {A = false, B = false, C = false, D = false}})
    assert_ok(done, "A\tdefault\nB\tdefault\nC\tdefault\nD\tdefault\nother\n")
  end)

  it("under * are for all, and those of the name win", function()
    local config = '{"streams":{"*":{"onInvalid":"stop","defaultType":"x"},"room":{"onInvalid":"skip"}},' ..
      '"log":{"level":"off"}}'
    local done = run(config, {script = 'local weir = require "weir"\n' ..
      'local room = weir.stream{name = "room", url = weir.env "EVENTS", live = false}\n' ..
      'room:onChange(function(state, event) print(event.type, event.key) end)',
      events = 'nonsense\n{"key":"k","value":1,"headers":{"operation":"insert"}}'})
    assert_ok(done, "x\tk\n")
  end)

  it("are overruled by --source and WEIR_SOURCE", function()
    local config = '{"streams":{"room":{"url":"/no/such/file"}}}'
    local env = {A = false, B = false, C = false, D = false,
      WEIR_SOURCE = tmp.file("events", insert("t", "environment"))}
    local defaults = "A\tdefault\nB\tdefault\nC\tdefault\nD\tdefault\n"
    assert_ok(run(config, {env = env}), defaults .. "environment\n")
    assert_ok(run(config, {env = env, args = {"--source", "-"}, stdin = insert("t", "stdin")}), defaults .. "stdin\n")
    env.WEIR_SOURCE = ""
    assert.equal(1, run(config, {env = env}).code)
  end)

  it("that are wrong are named with the file", function()
    assert_mistake(run('{"streams":{"room":{"onInvalid":"explode"}}}',
      {script = "require('weir').stream{name='room',url='x'}"}),
      'CONFIG: streams.room: onInvalid: expected "stop", "skip", "deadletter" or a function, got "explode"\n')
    assert_mistake(run('{"streams":{"room":{"lives":true}}}', {script = "require('weir').stream{name='room',url='x'}"}),
      "CONFIG: streams.room: unknown option 'lives'")
  end)
end)

describe("a configuration file", function()
  it("that is no JSON is named with the byte", function()
    assert_mistake(run("{"), "CONFIG: byte 2: ")
    assert_mistake(run(""), "CONFIG: byte 1: ")
    assert_mistake(run('{"log":{"level":"info",}}'),
      "CONFIG: byte 24: expected a member name in double quotes, found '}'\n")
    assert_mistake(run('{"settings":{"A":"\xff"}}'), "CONFIG: byte 19: invalid UTF-8")
    assert_mistake(run("[]"), "CONFIG: expected an object, got an array\n")
  end)

  it("with a mistake is named with the key and what was expected", function()
    assert_mistake(run '{"setings":{}}',
      "CONFIG: unknown key setings: expected streams, settings, log, limits, data or snapshotEvery")
    assert_mistake(run '{"settings":{"A":1}}', "CONFIG: settings.A: expected a string, got a number")
    assert_mistake(run '{"streams":{"room":"url"}}',
      "CONFIG: streams.room: expected an object of stream options, got a string")
    assert_mistake(run '{"log":{"level":"loud"}}',
      "CONFIG: log.level: expected debug, info, warn, error or off, got loud")
    assert_mistake(run '{"log":{"file":"x"}}', "CONFIG: log.file: unknown key: expected level or format")
    assert_mistake(run '{"limits":{"handler":"soon"}}',
      "CONFIG: limits.handler: expected a duration (500ms, 30s, 5m), got soon")
    assert_mistake(run '{"streams":{"room":{"headers":{"X":{"file":"/no/such"}}}}}',
      "CONFIG: streams.room.headers.X: /no/such: cannot open it: No such file or directory")
  end)

  it("that is not there is named", function()
    local done = cli.run{"run", paths.scripts .. "/kv.lua", "--config", "/no/such.json"}
    assert.equal(1, done.code)
    assert.equal("weir: /no/such.json: cannot open it: No such file or directory\n", done.stderr)
  end)
end)

describe("the environment", function()
  it("with a mistake is named", function()
    for name, message in pairs{
      WEIR_LOG = "expected debug, info, warn, error or off, got much",
      WEIR_LOG_FORMAT = "expected text or json, got much",
      WEIR_HANDLER_LIMIT = "expected a duration (500ms, 30s, 5m), got much",
    } do
      for _, args in ipairs{{"run", paths.scripts .. "/kv.lua"}, {"check", paths.scripts .. "/kv.lua"},
        {"state", "/dev/null"}} do
        local done = cli.run(args, {env = {[name] = "much"}})
        assert.equal(1, done.code)
        assert.equal("", done.stdout)
        assert.equal(("weir: %s: %s\n"):format(name, message), done.stderr)
      end
    end
  end)

  it("says how much is logged, over the file", function()
    local config = '{"log":{"level":"off","format":"json"},"streams":{"*":{"onInvalid":"skip"}}}'
    local env = {A = false, B = false, C = false, D = false}
    local options = {env = env, events = "nonsense\n"}
    assert.equal("", run(config, options).stderr)
    env.WEIR_LOG = "warn"
    assert.matches('^{"time":"[^"]+","level":"warn","message":"skipped: [^\n]*line 1[^\n]*"}\n$',
      run(config, options).stderr)
    env.WEIR_LOG_FORMAT = "text"
    assert.matches("^%d+%-%d+%-%d+T[%d:.]+Z warn +skipped: ", run(config, options).stderr)
  end)
end)

describe("--source", function()
  it("needs a script with one stream", function()
    local script = tmp.file("script.lua", "local weir = require 'weir'\nweir.stream{url = 'a'}\nweir.stream{url = 'b'}")
    local done = cli.run{"run", script, "--source", "/dev/null"}
    assert.equal(1, done.code)
    local reason = "declares more than one stream: name each in the configuration instead"
    assert.equal(("weir: --source: %s %s\n"):format(script, reason), done.stderr)
  end)
end)

describe("a setting that the script asks for nowhere", function()
  local LATE = [[
    local weir = require "weir"
    local room = weir.stream{url = weir.env("EVENTS"), live = false}
    room:onChange(function() print(weir.env("LATE", "default")) end)
  ]]
  local ASKS = "asks for no such setting: it asks for EVENTS (weir.env)"

  it("is told of by name, wherever it is set", function()
    local done = run('{"settings":{"EVNETS":"x","LATE":"y"}}', {script = LATE, args = {"--set", "LTAE=z"}})
    assert.equal(0, done.code, done.stderr)
    assert.equal("y\n", done.stdout)
    local first, second, rest = done.stderr:match "^([^\n]*)\n([^\n]*)\n(.*)$"
    assert.truthy(first:find(("warn  --set LTAE: %s %s"):format(done.script, ASKS), 1, true), done.stderr)
    assert.truthy(second:find(("the configuration: settings.EVNETS: %s %s"):format(done.script, ASKS), 1, true))
    assert.equal("", rest)
  end)

  it("is a mistake to weir check", function()
    local script = tmp.file("script.lua", LATE)
    local done = cli.run{"check", script, "--set", "EVENTS=a", "--set", "LATE=b", "--set", "LAT=c"}
    assert.equal(("weir: --set LAT: %s %s\n"):format(script, ASKS), done.stderr)
    assert.equal(1, done.code)
    assert.equal(0, cli.run{"check", script, "--set", "EVENTS=a", "--set", "LATE=b"}.code)
  end)
end)

describe("secrets", function()
  it("are read from their files and never shown", function()
    local secret = tmp.file("secret", "Bearer s3cret\n")
    local config = ('{"streams":{"room":{"headers":{"Authorization":{"file":"%s"}},' ..
      '"url":"http://me:s3cret@127.0.0.1:9/x","limits":{"connect":"200ms"}}},"log":{"level":"debug"}}'):format(secret)
    local done = run(config, {script = "require('weir').stream{name = 'room', url = 'x', live = false}"})
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("127.0.0.1:9", 1, true), done.stderr)
    assert.falsy(done.stderr:find("s3cret", 1, true), done.stderr)
  end)

  it("in a URL are not shown where a message or a handler is at fault, nor in dead letters", function()
    local s = server.start()
    local url = s:stream("secret")
    s:append(url, '[{"key":"k"},{"key":"k","value":1,"headers":{"operation":"insert"}}]')
    local with_secret = url:gsub("http://", "http://me:s3cret@") .. "?token=s3cret"
    local letters = tmp.file("letters")
    local script = [[
      local weir = require "weir"
      local room = weir.stream{
        url = weir.env "URL", live = false, onInvalid = "deadletter", deadletter = weir.env "LETTERS",
      }
      print(room.name)
      room:onChange(function() error "boom" end)
    ]]
    local done = run("{}", {script = script, args = {"--set", "URL=" .. with_secret, "--set", "LETTERS=" .. letters}})
    local checked = cli.run{"check", done.script, "--set", "URL=" .. with_secret, "--set", "LETTERS=" .. letters}
    local state = cli.run{"state", with_secret}
    s:stop()
    assert.matches("to the dead letters: " .. url:gsub("%p", "%%%0") ..
      "%?token=%.%.%.: offset %S+, message 1: headers", done.stderr)
    assert.matches("weir: [^\n]*: offset %S+, message 2: default/k: [^\n]*boom", done.stderr)
    assert.matches("weir: [^\n]*: offset %S+, message 1: headers is missing", state.stderr)
    for _, text in ipairs{done.stdout, done.stderr, checked.stdout, checked.stderr, state.stderr, tmp.read(letters)} do
      assert.truthy(#text > 0 or text == checked.stderr)
      assert.falsy(text:find("s3cret", 1, true), text)
    end
  end)
end)
