-- scripts/flags.lua, run as its users run it: one switches, others see it; buckets are the same everywhere.

local script = require "support.script"
local server = require "support.server"

describe("scripts/flags.lua", function()
  local node, flags

  setup(function()
    node = server.start()
    flags = script.open("flags", "FLAGS", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    flags:renew()
  end)

  local function set(command)
    flags:prints("", {DO = command})
  end

  local function is_on(name, user)
    return (flags:succeeds{DO = ("check %s %s"):format(name, user)})
  end

  it("tells two who watch what is switched, and what it means for them", function()
    local ann, anybody = flags:spawn{USER_ID = "ann"}, flags:spawn()
    set "on dark"
    ann:wait_for_output("dark: on, on for ann\n")
    anybody:wait_for_output("dark: on\n")
    set "rollout dark 0"
    ann:wait_for_output("dark: on for 0 %, off for ann\n")
    set "allow dark ann"
    ann:wait_for_output("dark: on for 0 % and ann, on for ann\n")
    set "allow dark bob"
    anybody:wait_for_output("dark: on for 0 % and ann, bob\n")
    set "disallow dark ann"
    ann:wait_for_output("dark: on for 0 % and bob, off for ann\n")
    set "off dark"
    ann:wait_for_output("dark: off, off for ann\n")
    set "delete dark"
    anybody:wait_for_output("dark is gone\n")
    script.interrupt(ann)
    script.interrupt(anybody)
  end)

  it("is off for all where it is not enabled", function()
    set "allow dark ann"
    assert.equal("on\n", is_on("dark", "ann"))
    assert.equal("off\n", is_on("dark", "bob")) -- an allowlist without a percentage is for those on it
    set "off dark"
    assert.equal("off\n", is_on("dark", "ann"))
    set "on dark"
    assert.equal("on\n", is_on("dark", "bob"))
  end)

  it("knows the edges of a percentage", function()
    set "rollout dark-mode 41.71" -- bob's bucket: it is on below, not at it
    assert.equal("off\n", is_on("dark-mode", "bob"))
    set "rollout dark-mode 41.72"
    assert.equal("on\n", is_on("dark-mode", "bob"))
    set "rollout dark-mode 0"
    assert.equal("off\n", is_on("dark-mode", "ann"))
    set "rollout dark-mode 100"
    assert.equal("on\n", is_on("dark-mode", "ann"))
  end)

  it("has buckets that are the same everywhere, spread evenly, and kept when the percentage grows", function()
    local done = flags:with [[
      -- From an implementation in another language.
      local bucket = flags.bucket
      print(bucket("dark-mode", "ann"), bucket("dark-mode", "bob"), bucket("", ""), bucket("é", "ü"))
      local same, below = 0, { 0, 0, 0 }
      for n = 1, 10000 do
        local one, other = flags.bucket("one", "user" .. n), flags.bucket("other", "user" .. n)
        same = same + (one < 10 and other < 10 and 1 or 0)
        for i, percent in ipairs { 1, 10, 50 } do
          below[i] = below[i] + (one < percent and 1 or 0)
        end
        assert(one >= 0 and one < 100)
      end
      assert(below[1] > 70 and below[1] < 130, below[1])
      assert(below[2] > 900 and below[2] < 1100, below[2])
      assert(below[3] > 4800 and below[3] < 5200, below[3])
      assert(same > 50 and same < 150, same) -- flags are independent of each other
      stream:onUpToDate(function()
        local had = {}
        for percent = 0, 100, 5 do
          flags.set("grows", { rolloutPercent = percent })
          local count = 0
          for n = 1, 200 do
            local on = flags.bucket("grows", "u" .. n) < percent
            assert(on or not had[n])
            had[n], count = on, count + (on and 1 or 0)
          end
          assert(percent < 100 or count == 200)
        end
        weir.stop()
      end)
    ]]
    assert.equal(0, done.code, done.stderr)
    assert.equal("3.51\t41.71\t42.03\t83.63\n", done.stdout)
  end)

  it("says the same for somebody without a name, and for flags that do not exist, in every process", function()
    flags:put("flags", "half", '{"id":"half","enabled":true,"rolloutPercent":50}')
    flags:put("flags", "all", '{"id":"all","enabled":true}')
    local done = flags:with [[
      stream:onUpToDate(function()
        print(flags.is_on("half"), flags.is_on("all"), flags.is_on("none"), flags.is_on("none", "ann", true))
        print(pcall(flags.set, "half", { rolloutPercent = 100.5 }))
        print(pcall(flags.set, "new", { allowlist = "ann" }))
        flags.set("half", { rolloutPercent = weir.null, metadata = { owner = "ann" } })
        weir.stop()
      end)
    ]]
    assert.equal(0, done.code, done.stderr)
    assert.matches("^false\ttrue\tfalse\ttrue\nfalse\t[^\n]*rolloutPercent: must be at most 100, is 100.5\n"
      .. "false\t[^\n]*allowlist: expected an array, got a string [^\n]*\n$", done.stdout)
    assert.equal(3, flags:count('"operation"')) -- what does not fit was not sent
    assert.equal("on\n", is_on("half", "ann"))
  end)

  it("loses nothing when two change different fields of a flag at once", function()
    for round = 1, 3 do
      local name = "flag" .. round
      script.all_end{flags:spawn{DO = "allow " .. name .. " bob"}, flags:spawn{DO = "rollout " .. name .. " 0"}}
      assert.equal("on\n", is_on(name, "bob"))
      assert.equal("off\n", is_on(name, "ann"))
    end
  end)

  it("comes to the same for all where two put users on one list at once: the last one's", function()
    set "rollout dark 0"
    script.all_end{flags:spawn{DO = "allow dark ann"}, flags:spawn{DO = "allow dark bob"}}
    local one, two = is_on("dark", "ann") .. is_on("dark", "bob"), is_on("dark", "ann") .. is_on("dark", "bob")
    assert.equal(one, two)
    assert.is_truthy(one:find("on", 1, true))
  end)

  it("leaves out flags that are none", function()
    flags:put("flags", "a", '{"id":"a","enabled":"yes"}')
    flags:put("flags", "b", '{"id":"other","enabled":true}')
    flags:put("flags", "c", '{"id":"c","enabled":true,"rolloutPercent":101}')
    flags:put("flags", "a\\u0007", '{"id":"a\\u0007","enabled":true}')
    local watcher = flags:spawn()
    watcher:wait_for_output("a : on\n")
    watcher:wait_for_output("flags/a: value: enabled: ")
    watcher:wait_for_output("flags/b: its id is another one than its key")
    watcher:wait_for_output("flags/c: value: rolloutPercent: must be at most 100")
    script.interrupt(watcher)
    assert.equal("a : on\n", watcher:stdout())
  end)

  it("refuses what it does not know", function()
    for _, command in ipairs{"bogus", "on", "on a b", "rollout a", "rollout a b", "check a", "allow a"} do
      flags:fails("DO: expected 'on|off|delete FLAG', 'rollout FLAG PERCENT' or 'allow|disallow|check FLAG USER', got '"
        .. command .. "'", {DO = command})
    end
    flags:fails("rolloutPercent: must be at least 0, is -1", {DO = "rollout a -1"})
    local out, err = flags:succeeds{DO = "check dakr ann"}
    assert.equal("off\n", out)
    assert.matches("there is no flag dakr", err, 1, true)
    assert.equal(0, flags:count('"operation"'))
  end)
end)
