-- scripts/kv.lua, run as its users run it: one program sets, others see it, what expires goes away.

local paths = require "support.paths"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"

local SCRIPT = paths.scripts .. "/kv.lua"

describe("scripts/kv.lua", function()
  local node, url

  setup(function()
    node = server.start()
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    url = node:stream("kv")
  end)

  --- The command line of the script with settings.
  local function command(settings)
    local cmd = {paths.weir, "run", settings.script or SCRIPT, "--set", "KV=" .. url}
    if settings.live then
      local config = ('{"streams":{"kv":{"live":"%s"}}}'):format(settings.live)
      cmd[#cmd + 1] = "--config"
      cmd[#cmd + 1] = tmp.file("config.json", config)
    end
    for _, name in ipairs{"DO", "TTL", "SWEEP"} do
      if settings[name] then
        cmd[#cmd + 1] = "--set"
        cmd[#cmd + 1] = name .. "=" .. settings[name]
      end
    end
    return cmd
  end

  --- One command, done: its result as process.run has it.
  local function run(text, settings)
    settings = settings or {}
    settings.DO = text
    return process.run{cmd = command(settings)}
  end

  local function succeeds(text, settings)
    local done = run(text, settings)
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function state()
    local done = process.run{cmd = {paths.weir, "state", url}}
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function put_entry(key, value, expires_at)
    local expiry = expires_at and (',"expiresAt":"%s"'):format(expires_at) or ""
    node:append(url, ('{"type":"entries","key":"%s","value":{"id":"%s","value":%s%s},"headers":{"operation":"upsert"}}')
      :format(key, key, value, expiry))
  end

  --- How often something is in what the stream holds.
  local function count_messages(text)
    local _, count = node:read(url).body:gsub(text, "")
    return count
  end

  it("sets, gets and deletes", function()
    succeeds('set user:123:prefs {"theme": "dark", "lang": "en"}')
    assert.equal('{"lang":"en","theme":"dark"}\n', succeeds("get user:123:prefs"))
    assert.matches('"user:123:prefs":{"id":"user:123:prefs","value":{"lang":"en","theme":"dark"}}', state(), 1, true)
    succeeds("delete user:123:prefs")
    assert.equal("", succeeds("get user:123:prefs"))
    assert.equal("{}\n", state())
  end)

  it("takes what is no JSON as text, and keeps false and null", function()
    succeeds("set a hello there")
    succeeds("set b false")
    succeeds("set c null")
    assert.equal('"hello there"\n', succeeds("get a"))
    assert.equal("false\n", succeeds("get b"))
    assert.equal("null\n", succeeds("get c"))
  end)

  it("writes once", function()
    succeeds("set a 1")
    assert.equal(1, count_messages('"upsert"'))
  end)

  it("says that a key is not there", function()
    local done = run("get nobody")
    assert.equal(0, done.code)
    assert.equal("", done.stdout)
    assert.matches("there is no nobody", done.stderr, 1, true)
  end)

  it("refuses commands it does not know", function()
    for _, text in ipairs{"bogus", "get", "get a b", "set a", "delete"} do
      local done = run(text)
      assert.equal(1, done.code)
      assert.matches("DO: expected 'set KEY VALUE', 'get KEY' or 'delete KEY', got '" .. text .. "'", done.stderr, 1,
        true)
    end
    assert.equal("{}\n", state())
  end)

  for _, live in ipairs{"sse", "long-poll"} do
    it("prints changes as they come, by " .. live, function()
      put_entry("before", "1")
      local watcher = process.spawn{cmd = command{live = live}}
      watcher:wait_for_output("before = 1\n")
      put_entry("after", '[1,"two"]')
      watcher:wait_for_output('after = [1,"two"]\n')
      succeeds("set other 2")
      watcher:wait_for_output("other = 2\n")
      succeeds("delete before")
      watcher:wait_for_output("before is gone\n")
      watcher:signal("TERM")
      assert.equal(130, watcher:wait().code)
    end)
  end

  it("skips entries that are none, by name", function()
    node:append(url, '{"type":"entries","key":"bad","value":{"id":"bad"},"headers":{"operation":"insert"}}')
    put_entry("good", "1")
    local done = process.run{cmd = command{}, timeout = 20, env = {DO = "get good"}}
    assert.equal("1\n", done.stdout)
    assert.matches("entries/bad: value: value: ", done.stderr, 1, true)
  end)

  describe("expiry", function()
    local LONG_AGO = {"2020-01-01T00:00:00Z", "2020-01-01T02:00:00.5+02:00", "2019-12-31T18:30:00-05:30"}

    it("hides what has expired, wherever its clock stands", function()
      for _, time in ipairs(LONG_AGO) do
        put_entry("a", "1", time)
        assert.equal("", succeeds("get a"))
      end
      local soon = os.time() + 3600
      put_entry("a", "2", os.date("!%Y-%m-%dT%H:%M:%S+00:00", soon))
      assert.equal("2\n", succeeds("get a"))
      put_entry("a", "3", os.date("!%Y-%m-%dT%H:%M:%S+02:00", soon + 7200)) -- the same moment, said in Helsinki
      assert.equal("3\n", succeeds("get a"))
      put_entry("a", "4", os.date("!%Y-%m-%dT%H:%M:%S+02:00", soon)) -- an hour ago
      assert.equal("", succeeds("get a"))
    end)

    it("removes it through the stream, and nothing else", function()
      put_entry("old", "1", LONG_AGO[1])
      put_entry("new", "2", "2999-01-01T00:00:00Z")
      put_entry("forever", "3")
      local sweeper = process.spawn{cmd = command{SWEEP = "50ms"}}
      sweeper:wait_for_output("old is gone\n")
      sweeper:kill()
      assert.equal(1, count_messages('"delete"'))
      assert.matches('{"entries":{"forever":{.*},"new":{.*}}}', state())
    end)

    it("does not remove what was set anew since", function()
      put_entry("a", "1", LONG_AGO[1])
      put_entry("a", "2")
      put_entry("b", "3", LONG_AGO[1])
      local sweeper = process.spawn{cmd = command{SWEEP = "10ms"}}
      sweeper:wait_for_output("b is gone\n")
      sweeper:kill()
      assert.equal("2\n", succeeds("get a"))
    end)

    it("comes with a TTL", function()
      local function in_an_hour()
        return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + 3600)
      end
      local least = in_an_hour()
      succeeds("set a 1", {TTL = "3600"})
      local expires_at = node:read(url).body:match('"expiresAt":"([^"]+)"')
      assert.is_true(least <= expires_at and expires_at <= in_an_hour(), expires_at)
      assert.equal("1\n", succeeds("get a"))
      succeeds("set a 2", {TTL = "1"})
      wait.till(function()
        return succeeds("get a") == ""
      end, nil, "the end of a")
    end)
  end)

  --- The reusable half of the script with other handlers below it.
  local function with_handlers(text)
    local top = tmp.read(SCRIPT):match("^(.-\n)%-%-%-%-%-%-%-%-+\n")
    return tmp.file("mine.lua", assert(top) .. text)
  end

  it("finds what it has just set, before that comes back", function()
    local script = with_handlers [[
      local done
      store:onUpToDate(function(state)
        if done then return end
        done = true
        kv.set("a", {n = 1})
        print(state:has("entries", "a"), kv.get("a").n)
        kv.delete("a")
        print(kv.get("a"))
        kv.set("a", "again")
        weir.after("10ms", function()
          while not state:has("entries", "a") or state:get("entries", "a").value ~= "again" do
            weir.sleep("1ms")
          end
          print(kv.get("a"))
          weir.stop()
        end)
      end)
    ]]
    local done = process.run{cmd = command{script = script}}
    assert.equal(0, done.code, done.stderr)
    assert.equal("false\t1\nnil\nagain\n", done.stdout)
  end)

  it("takes back what could not be written", function()
    node:close(url)
    local script = with_handlers [[
      store:onUpToDate(function()
        local ok, err = pcall(kv.set, "a", 1)
        print(ok, err.code, kv.get("a"))
        print(pcall(kv.set, "a"))
      end)
    ]]
    local done = process.run{cmd = command{script = script}}
    assert.equal(0, done.code, done.stderr)
    assert.matches("^false\tclosed\tnil\nfalse\t.*kv.set: the value is missing", done.stdout)
  end)
end)
