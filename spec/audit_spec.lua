-- scripts/audit.lua, run as its users run it: several record, and nobody changes what is recorded.

local script = require "support.script"
local server = require "support.server"
local tmp = require "support.tmp"

describe("scripts/audit.lua", function()
  local node, audit

  setup(function()
    node = server.start{dataDir = tmp.dir()}
    audit = script.open("audit", "AUDIT", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    audit:renew()
  end)

  local function entry(id, second, actor, action)
    return ('{"id":"%s","action":"%s","actorId":"%s","targetType":"user","targetId":"u1","metadata":{},'
      .. '"timestamp":"2026-05-01T10:00:%02dZ"}'):format(id, action or "user.created", actor or "ann", second)
  end

  local function line(second, actor, action)
    return ("2026-05-01T10:00:%02dZ  %s  %s  user u1  {}\n"):format(second, actor or "ann", action or "user.created")
  end

  it("shows two who watch what a third one records", function()
    local one, two = audit:spawn(), audit:spawn()
    local id = audit:succeeds{ACTOR = "ann", DO = 'record document.deleted document d17 {"reason":"old"}'}
    assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+\n$", id)
    for _, watcher in ipairs{one, two} do
      watcher:wait_for_output('  ann  document.deleted  document d17  {"reason":"old"}\n')
      script.interrupt(watcher)
    end
    audit:prints("1 entries, 0 refused\n", {DO = "verify"})
  end)

  it("refuses and reports all that would change an entry", function()
    audit:put("events", "e1", entry("e1", 1))
    local watcher = audit:spawn()
    watcher:wait_for_output(line(1))
    audit:put("events", "e1", entry("e1", 2, "eve"), "update")
    watcher:wait_for_output("events/e1: update: entries of an audit log are never changed or removed")
    audit:put("events", "e1", entry("e1", 2, "eve"), "upsert")
    watcher:wait_for_output("events/e1: upsert: entries")
    audit:put("events", "e1", '{"actorId":"eve"}', "patch")
    watcher:wait_for_output("events/e1: patch: entries")
    audit:put("events", "e1", nil, "delete")
    watcher:wait_for_output("events/e1: delete: entries")
    audit:put("events", "e1", entry("e1", 2, "eve"), "insert")
    watcher:wait_for_output("events/e1: there is an entry of this id already")
    audit:put("events", "e2", entry("e3", 2), "insert")
    watcher:wait_for_output("events/e2: its id is another one than its key")
    audit:put("users", "u1", '{"name":"eve"}', "insert")
    watcher:wait_for_output("users/u1: this log holds events only")
    audit:put("events", "e4", entry("e4", 4), "insert")
    watcher:wait_for_output(line(4))
    script.interrupt(watcher)
    assert.equal(line(1) .. line(4), watcher:stdout())
    audit:prints(line(1) .. line(4), {DO = "find"})
    local done = audit:run{DO = "verify"}
    assert.equal(1, done.code)
    assert.equal("2 entries, 7 refused\n", done.stdout)
  end)

  it("keeps what it refused as evidence, if it is told where", function()
    local file = tmp.file("refused.jsonl")
    audit:put("events", "e1", entry("e1", 1))
    audit:put("events", "e1", nil, "delete")
    node:append(audit.url, '"no event"')
    local done = audit:run{DO = "verify", REFUSED = file}
    assert.equal("1 entries, 2 refused\n", done.stdout)
    local text = tmp.read(file)
    assert.matches("entries of an audit log are never changed or removed", text, 1, true)
    assert.matches("no event", text, 1, true)
    assert.equal(2, select(2, text:gsub("\n", "")))
  end)

  it("stops where somebody resets the log", function()
    audit:put("events", "e1", entry("e1", 1))
    local watcher = audit:spawn()
    watcher:wait_for_output(line(1))
    node:append(audit.url, '{"headers":{"control":"reset"}}')
    assert.equal(1, watcher:wait().code)
    assert.matches("somebody has reset the log", watcher:stderr(), 1, true)
    audit:fails("somebody has reset the log", {DO = "verify"})
  end)

  it("finds by fields and time, oldest first whatever order they came in", function()
    audit:put("events", "c", entry("c", 3, "bob"))
    audit:put("events", "b", entry("b", 1, "ann", "user.deleted"))
    audit:put("events", "a", entry("a", 1))
    audit:put("events", "d", entry("d", 5))
    local all = line(1) .. line(1, "ann", "user.deleted") .. line(3, "bob") .. line(5)
    audit:prints(all, {DO = "find"})
    audit:prints(line(1) .. line(5), {DO = "find actorId=ann action=user.created"})
    audit:prints(line(3, "bob"), {DO = "find targetType=user actorId=bob"})
    audit:prints("", {DO = "find actorId=nobody"})
    audit:prints(line(3, "bob"), {DO = "find", FROM = "2026-05-01T10:00:02Z", TO = "2026-05-01T10:00:05Z"})
    audit:fails("DO: find: expected FIELD=VALUE, got bob", {DO = "find actorId=ann bob"})
  end)

  it("loses none of those that several record at once, and has them after a restart", function()
    local writers = {}
    for i = 1, 6 do
      writers[i] = audit:spawn{ACTOR = "w" .. i, DO = "record user.created user u" .. i}
    end
    script.all_end(writers)
    audit:prints("6 entries, 0 refused\n", {DO = "verify"})
    node:restart()
    audit:prints("6 entries, 0 refused\n", {DO = "verify"})
    assert.equal(6, audit:count('"insert"'))
  end)

  it("takes the first of two records of one id", function()
    local text = [[
      log:onUpToDate(function()
        local entry = { id = "once", actorId = "ann", action = "a", targetType = "t", targetId = weir.env "WHAT" }
        print(audit.record(entry), audit.refused)
        weir.stop()
      end)
    ]]
    assert.equal("once\t0\n", audit:with(text, {WHAT = "first"}).stdout)
    assert.equal("once\t0\n", audit:with(text, {WHAT = "second"}).stdout)
    local out, err = audit:succeeds{DO = "find"}
    assert.matches("^%S+  ann  a  t first  {}\n$", out)
    assert.matches("events/once: there is an entry of this id already", err, 1, true)
  end)

  it("refuses what is no entry before it is sent", function()
    audit:fails("actorId: is missing", {DO = "record user.created user u1"})
    audit:fails("metadata: expected an object", {ACTOR = "ann", DO = "record user.created user u1 [1]"})
    for _, command in ipairs{"bogus", "record", "record a b", "verify it"} do
      audit:fails("DO: expected 'record ACTION TYPE ID [JSON]', 'find [FIELD=VALUE ...]' or 'verify', got '" .. command
        .. "'", {DO = command})
    end
    assert.equal(0, audit:count('"operation"'))
  end)
end)
