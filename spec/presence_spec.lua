-- scripts/presence.lua, run as its users run it: several in one room, who leave, fall silent and come back.

local process = require "support.process"
local script = require "support.script"
local server = require "support.server"
local tmp = require "support.tmp"

describe("scripts/presence.lua", function()
  local node, room

  setup(function()
    node = server.start()
    room = script.open("presence", "ROOM", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    room:renew()
  end)

  local function ago(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - seconds)
  end

  local function person(id, last_seen, more)
    return ('{"id":"%s","userName":"%s","status":"online","lastSeen":"%s"%s}'):format(id, id, last_seen, more or "")
  end

  it("shows each of two to the other, with what becomes of them", function()
    local ann = room:spawn{NAME = "ann"}
    ann:wait_for_output("ann is online\n")
    local bob = room:spawn{NAME = "bob"}
    ann:wait_for_output("bob is online\n")
    bob:wait_for_output("ann is online\nbob is online\n")
    room:prints("ann is online\nbob is online\n", {DO = "who"})
    room:succeeds{NAME = "bob", DO = "busy"}
    ann:wait_for_output("bob is busy\n")
    room:succeeds{NAME = "bob", DO = "leave"}
    ann:wait_for_output("bob left\n")
    assert.equal(0, bob:wait().code) -- the one that ran as bob
    room:prints("ann is online\n", {DO = "who"})
    script.interrupt(ann)
  end)

  it("counts as gone who has not been seen for so long", function()
    local function seen(time)
      room:put("presence", "silent", ('{"lastSeen":"%s"}'):format(time), "patch")
    end
    room:put("presence", "old", person("old", ago(100)))
    room:put("presence", "silent", person("silent", "2999-01-01T00:00:00Z"))
    local watcher = room:spawn()
    watcher:wait_for_output("silent is online\n")
    seen(ago(58)) -- time alone does the rest
    watcher:wait_for_output("silent is gone: not seen any more\n")
    seen(ago(0))
    watcher:wait_for_output("silent is gone: not seen any more\nsilent is online\n")
    script.interrupt(watcher)
    assert.is_nil(watcher:stdout():find("old", 1, true))
    assert.equal(0, room:count("delete")) -- no one has to clean up
  end)

  it("stays while the heart beats, and is gone after a crash", function()
    local watcher, patient = room:spawn{TIMEOUT = 3}, room:spawn()
    local ann = room:spawn{NAME = "ann", BEAT = "100ms"}
    local function watcher_says(text)
      script.comes_to(text, function()
        return watcher:stdout():match("[^\n]*\n$")
      end)
    end
    patient:wait_for_output("ann is online\n")
    script.comes_to(true, function()
      return room:count('"patch"') > 45 -- four seconds
    end)
    -- Where the machine stands still for three seconds she is gone until the next beat; without one, for good.
    watcher_says "ann is online\n"
    assert.equal("ann is online\n", patient:stdout())
    ann:signal("KILL")
    watcher_says "ann is gone: not seen any more\n"
    local again = room:spawn{NAME = "ann", BEAT = "100ms"}
    watcher_says "ann is online\n"
    for _, each in ipairs{again, watcher, patient} do
      script.interrupt(each)
    end
  end)

  it("keeps a status that was set elsewhere through its beats", function()
    local ann = room:spawn{NAME = "ann", BEAT = "20ms"}
    ann:wait_for_output("ann is online\n")
    room:succeeds{NAME = "ann", DO = "away"}
    ann:wait_for_output("ann is away\n")
    local beats = room:count('"patch"')
    script.comes_to(true, function()
      return room:count('"patch"') > beats + 5
    end)
    room:prints("ann is away\n", {DO = "who"})
    script.interrupt(ann)
  end)

  it("does not come back by a beat that crossed with leaving", function()
    room:put("presence", "ann", person("ann", ago(0)))
    room:put("presence", "ann", nil, "delete")
    room:put("presence", "ann", ('{"lastSeen":"%s"}'):format(ago(0)), "patch")
    local out, err = room:succeeds{DO = "who"}
    assert.equal("", out)
    assert.matches("presence/ann: ", err, 1, true)
  end)

  it("tells people of one name apart by USER_ID", function()
    local one = room:spawn{NAME = "Ann", USER_ID = "u1"}
    one:wait_for_output("Ann is online\n")
    local two = room:spawn{NAME = "Ann", USER_ID = "u2"}
    one:wait_for_output("Ann is online\nAnn is online\n")
    room:succeeds{USER_ID = "u2", DO = "leave"}
    one:wait_for_output("Ann left\n")
    assert.equal(0, two:wait().code)
    assert.is_true(one:running())
    script.interrupt(one)
  end)

  it("goes on after the server was away", function()
    local durable = server.start{dataDir = tmp.dir()}
    local other = script.open("presence", "ROOM", durable)
    other:renew()
    local watcher = other:spawn()
    local ann = other:spawn{NAME = "ann", BEAT = "50ms"}
    watcher:wait_for_output("ann is online\n")
    durable:restart()
    local beats = other:count('"patch"')
    script.comes_to(true, function()
      return other:count('"patch"') > beats
    end)
    other:succeeds{NAME = "ann", DO = "busy"}
    watcher:wait_for_output("ann is online\nann is busy\n")
    script.interrupt(ann)
    script.interrupt(watcher)
    durable:stop()
  end)

  it("leaves out entries that are none", function()
    room:put("presence", "ann", person("ann", "2999-01-01T00:00:00+02:00"))
    room:put("presence", "bob", person("other", "2999-01-01T00:00:00Z"))
    room:put("presence", "cy", person("cy", "2999-01-01T00:00:00Z", ',"metadata":7'))
    room:put("presence", "dan\\u001b[2J", person("dan\\u001b[2J", "2999-01-01T00:00:00Z", ',"metadata":{"line":7}'))
    local out, err = room:succeeds{DO = "who"}
    assert.equal("dan [2J is online\n", out)
    for _, text in ipairs{"presence/ann: value: lastSeen: ", "presence/bob: its id is another",
      "presence/cy: value: "} do
      assert.is_truthy(err:find(text, 1, true), text .. " is not in:\n" .. err)
    end
  end)

  it("refuses what it does not know", function()
    room:fails("DO: expected online, away, busy or leave, each with a NAME, or who; got 'sleep'", {DO = "sleep"})
    room:fails("DO: expected online, away, busy or leave, each with a NAME, or who; got 'away'", {DO = "away"})
    room:fails("TIMEOUT: expected seconds", {TIMEOUT = "soon"})
    local _, err = room:succeeds{NAME = "eve", DO = "leave"}
    assert.matches("eve is not in the room", err, 1, true)
    assert.equal("[]", process.run{cmd = {"curl", "-s", room.url .. "?offset=-1"}}.stdout)
  end)
end)
