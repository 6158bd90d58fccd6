-- scripts/chat.lua, run as its users run it: over the recorded room, and live, with others writing to the room.

local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"

local SCRIPT = paths.scripts .. "/chat.lua"
local RECORDED = paths.scripts .. "/chat.jsonl"

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

local function has_not(text, part)
  assert.is_nil(text:find(part, 1, true), ("%q is in:\n%s"):format(part, text))
end

--- What the script prints over these events, one JSON text a line.
local function play(events, env)
  local done = process.run{cmd = {paths.weir, "run", SCRIPT, "--source", "-", "--once"}, stdin = events, env = env}
  assert.equal(0, done.code, done.stderr)
  return done.stdout, done.stderr
end

local ADA = [[{"type":"users","key":"ada","value":{"id":"ada","name":"Ada","joinedAt":"2026-08-12T18:02:05Z"},]]
  .. [["headers":{"operation":"insert","timestamp":"2026-08-12T18:02:05Z"}}]]

local function message(key, text)
  return ([[{"type":"messages","key":"%s","value":{"id":"%s","text":"%s","userId":"ada",]]):format(key, key, text)
    .. [["createdAt":"2026-08-12T18:03:00Z"},"headers":{"operation":"insert","timestamp":"2026-08-12T18:03:00Z"}}]]
end

describe("scripts/chat.lua over the recorded room", function()
  local out, err

  setup(function()
    local done = process.run{cmd = {paths.weir, "run", SCRIPT, "--source", RECORDED, "--once"}}
    assert.equal(0, done.code, done.stderr)
    out, err = done.stdout, done.stderr
  end)

  it("tells what happens, in order", function()
    local last = 0
    for _, line in ipairs{
      "18:02  Ada joined\n",
      "18:03  Björn joined\n",
      "18:05  Chiyo: こんばんは! Is there room in the car?\n",
      "18:06  Ada: Plenty. I leave at 9 from the station\n",
      "18:07  Ada: Plenty. I leave at 9:30 from the station (edited)\n",
      "18:08  Björn has read up to “Plenty. I leave at 9:30 …”\n",
      "18:15  Ada reacted 😋 to “I'll bring おにぎり for …” (1)\n",
      "18:15  Björn reacted 😋 to “I'll bring おにぎり for …” (2)\n",
      "18:15  Zoë reacted 😋 to “I'll bring おにぎり for …” (3)\n",
      "18:16  Zoë: Forecast says clouds after midnight ☁️ (edited)\n",
      "18:17  Björn deleted a message\n",
      "18:18  Björn took back 😄 to “Only spam. The rule at the …” (1)\n",
    } do
      local at = out:find(line, last + 1, true)
      assert.is_truthy(at, ("%q does not come in its turn in:\n%s"):format(line, out))
      last = at
    end
  end)

  it("leaves out who has not joined, and says so", function()
    has_not(out, "TELESCOPES")
    has(err, "messages/m07: mallory has not joined the room")
    has(err, "chat.jsonl: line 17 ")
    local _, lines = err:gsub("\n", "")
    assert.equal(1, lines)
  end)

  it("ends with the room in a few lines", function()
    has(out, "\n\nPeople: 4  Messages: 13  Reactions: 10\n"
      .. "  Ada: 4 written, 0 unread\n"
      .. "  Björn: 3 written, 7 unread\n"
      .. "  Chiyo: 3 written, 1 unread\n"
      .. "  Zoë: 3 written, 1 unread\n")
  end)

  it("only looks at it, whoever I am", function()
    assert.equal(out, process.run{cmd = {paths.weir, "run", SCRIPT, "--source", RECORDED, "--once"},
      env = {NAME = "Ann"}}.stdout)
  end)

  it("comes to the state that weir state prints", function()
    local done = process.run{cmd = {paths.weir, "state", RECORDED, "--type", "messages", "--key", "m11"}}
    has(done.stdout, '"text":"Forecast says clouds after midnight ☁️"')
    has(done.stdout, '"userId":"zoe"') -- a patch keeps what it does not name
  end)

  it("says what is wrong with an event that does not fit", function()
    local text, warning = play(ADA .. "\n" .. '{"type":"users","key":"x","value":{"id":"x"},"headers":'
      .. '{"operation":"insert"}}\nnonsense\n' .. message("m1", "hi"))
    has(text, "Ada: hi\n")
    has(warning, "standard input: line 2 ")
    has(warning, "users/x: value: joinedAt: ")
    has(warning, "standard input: line 3 ")
  end)
end)

describe("scripts/chat.lua and the terminal", function()
  -- script(1) gives it one; its output ends lines with a carriage return.
  local function on_terminal(env)
    local cmd = process.quote(paths.weir) .. " run " .. process.quote(SCRIPT) .. " --source "
      .. process.quote(RECORDED) .. " --once"
    local done = process.run{cmd = {"script", "-qec", cmd, "/dev/null"}, env = env}
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  it("is in colour on one", function()
    has(on_terminal{NO_COLOR = false}, "\27[33mAda\27[0m joined")
  end)

  it("is not where NO_COLOR is set, nor elsewhere", function()
    has_not(on_terminal{NO_COLOR = "1"}, "\27[33m")
    has_not(play(ADA, {NO_COLOR = false}), "\27")
  end)

  it("does not let messages steer it", function()
    local out = play(ADA .. "\n" .. message("m1", [[a\u001b[31mb\u0007c\nd\u009b2Je]]))
    has(out, "Ada: a [31mb c d 2Je\n")
    has_not(out, "\27")
    has_not(out, "\xC2\x9B")
  end)
end)

describe("scripts/chat.lua on a live room", function()
  local node, url

  setup(function()
    node = server.start{dataDir = tmp.dir()}
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    url = node:stream("room")
  end)

  local function start(live)
    local config = ('{"streams":{"room":{"live":%s}},"settings":{"ROOM":"%s"}}'):format(live, url)
    return process.spawn{cmd = {paths.weir, "run", SCRIPT, "--config", tmp.file("config.json", config)}}
  end

  -- A second client: the module in a Lua of its own.
  local function client(text)
    local script = tmp.file("client.lua", ([[
      local weir = require "weir"
      local room = weir.stream { url = %q, live = false }
      %s
    ]]):format(url, text))
    local done = process.run{cmd = {paths.lua, script}, env = paths.lua_env}
    assert.equal(0, done.code, done.stderr)
  end

  local TIME = "2026-08-12T18:02:05Z"
  local JOIN = ([[
    room:insert("users", "ada", {id = "ada", name = "Ada", joinedAt = %q}, {timestamp = %q})
  ]]):format(TIME, TIME)
  local HELLO = ([[
    local hello = {id = "m1", text = "Grüß dich 👋", userId = "ada", createdAt = %q}
    room:insert("messages", "m1", hello, {timestamp = %q})
  ]]):format(TIME, TIME)

  for _, live in ipairs{"true", '"sse"', '"long-poll"'} do
    it("shows what was said before and what is said now, live = " .. live, function()
      client(JOIN)
      local worker = start(live)
      worker:wait_for_output("18:02  Ada joined\n")
      worker:wait_for_output("People: 1  Messages: 0  Reactions: 0\n")
      client(HELLO)
      worker:wait_for_output("18:02  Ada: Grüß dich 👋\n")
      client([[room:patch("messages", "m1", {text = "Grüß Gott"}, {timestamp = "2026-08-12T18:30:00Z"})]])
      worker:wait_for_output("18:30  Ada: Grüß Gott (edited)\n")
      client([[room:delete("messages", "m1", {timestamp = "2026-08-12T18:31:00Z"})]])
      worker:wait_for_output("18:31  Ada deleted a message\n")
      client(([[
        room:insert("messages", "m2", {id = "m2", text = "hi", userId = "eve", createdAt = %q})
      ]]):format(TIME))
      worker:wait_for_output("messages/m2: eve has not joined the room")
      worker:signal("INT")
      assert.equal(130, worker:wait().code)
      has_not(worker:stdout(), "hi")
    end)
  end

  local function does(name, command)
    local done = process.run{cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url, "--set", "NAME=" .. name,
      "--set", "DO=" .. command}, timeout = 30}
    assert.equal(0, done.code, done.stderr)
    assert.equal("", done.stdout .. done.stderr)
  end

  local function join(name)
    return process.spawn{cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url, "--set", "NAME=" .. name}}
  end

  it("is a room for two who talk, react and read", function()
    local ann = join "Ann"
    ann:wait_for_output("  Ann joined\n")
    local bob = join "Bob"
    ann:wait_for_output("  Bob joined\n")
    does("Ann", "say Hello, Bob!")
    for _, each in ipairs{ann, bob} do
      each:wait_for_output("  Ann: Hello, Bob!\n")
      each:wait_for_output("  Ann has read up to “Hello, Bob!”\n")
      each:wait_for_output("  Bob has read up to “Hello, Bob!”\n")
    end
    does("Bob", "react 👍")
    ann:wait_for_output("  Bob reacted 👍 to “Hello, Bob!” (1)\n")
    does("Ann", "react 👍")
    bob:wait_for_output("  Ann reacted 👍 to “Hello, Bob!” (2)\n")
    does("Bob", "react 👍")
    ann:wait_for_output("  Bob took back 👍 to “Hello, Bob!” (1)\n")
    assert.equal(1, select(2, bob:stdout():gsub("Bob has read up to “Hello, Bob!”\n", "")))
    assert.matches("\n%d%d:%d%d  Ann: Hello, Bob!\n.*\n%d%d:%d%d  Bob took back", ann:stdout())
    does("Cy", "say Hi all")
    bob:wait_for_output("  Cy joined\n")
    bob:wait_for_output("  Ann has read up to “Hi all”\n")
    bob:wait_for_output("  Bob has read up to “Hi all”\n")
    for _, each in ipairs{ann, bob} do
      each:signal("INT")
      assert.equal(130, each:wait().code)
    end
    local again = process.run{cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url, "--once"}}
    has(again.stdout, "People: 3  Messages: 2  Reactions: 1\n  Ann: 1 written, 0 unread\n  Bob: 0 written, 0 unread\n"
      .. "  Cy: 1 written, 1 unread\n")
  end)

  it("counts a reaction once, though it is made by two devices at once", function()
    does("Ann", "say Hello")
    local value = '{"id":"x","messageId":"%s","userId":"Ann","emoji":"👍"}'
    local id = node:read(url).body:match('"messages","key":"([^"]+)"')
    for _, key in ipairs{"Ann:" .. id .. ":👍", "Ann:" .. id .. ":👍", "other"} do
      node:append(url, ('{"type":"reactions","key":"%s","value":%s,"headers":{"operation":"insert"}}'):format(key,
        value:format(id)))
    end
    local done = process.run{cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url, "--once"}}
    has(done.stdout, "Reactions: 1\n")
    has(done.stderr, "reactions/other: its key is another one")
  end)

  it("does not unread what was read, where receipts come late", function()
    client(JOIN)
    for _, time in ipairs{"2026-08-12T18:05:00Z", "2026-08-12T18:04:00Z"} do
      client(([[room:upsert("read_receipts", "ada",
        {id = "ada", userId = "ada", lastReadMessageId = "m1", lastReadAt = %q})]]):format(time))
    end
    local done = process.run{cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url, "--once"}}
    has(done.stderr, "read_receipts/ada: more has been read already")
  end)

  it("refuses commands it does not know, or of nobody", function()
    for _, settings in ipairs{{"DO=say hi"}, {"DO=say", "NAME=Ann"}, {"DO=bogus x", "NAME=Ann"}} do
      local cmd = {paths.weir, "run", SCRIPT, "--set", "ROOM=" .. url}
      for _, setting in ipairs(settings) do
        cmd[#cmd + 1] = "--set"
        cmd[#cmd + 1] = setting
      end
      local done = process.run{cmd = cmd}
      assert.equal(1, done.code)
      has(done.stderr, "DO: expected 'say TEXT' or 'react EMOJI', with a NAME, got '" .. settings[1]:sub(4) .. "'")
    end
    assert.equal("[]", node:read(url).body)
  end)

  it("ends when the room is closed", function()
    client(JOIN)
    local worker = start("true")
    worker:wait_for_output("Ada joined\n")
    node:close(url)
    assert.equal(0, worker:wait().code)
  end)

  it("goes on after the server was away", function()
    client(JOIN)
    local worker = start("true")
    worker:wait_for_output("People: 1")
    node:restart()
    client(HELLO)
    worker:wait_for_output("18:02  Ada: Grüß dich 👋\n", 30)
    worker:signal("INT")
    assert.equal(130, worker:wait().code)
    local _, joined = worker:stdout():gsub("Ada joined", "")
    assert.equal(1, joined)
  end)

  it("names a room that is not there", function()
    url = node.url .. "/v1/stream/nowhere"
    local done = start("true"):wait()
    assert.equal(1, done.code)
    has(done.stderr, "/v1/stream/nowhere at offset -1: 404: there is no such stream")
  end)
end)
