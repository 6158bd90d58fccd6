-- scripts/notifications.lua, run as its users run it: two devices with one feed, and others who send.

local script = require "support.script"
local server = require "support.server"

describe("scripts/notifications.lua", function()
  local node, feed

  setup(function()
    node = server.start()
    feed = script.open("notifications", "FEED", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    feed:renew()
  end)

  local function value(id, second, read)
    return ('{"id":"%s","type":"like","title":"%s","read":%s,"createdAt":"2026-05-01T10:00:%02dZ"}'):format(id,
      id:upper(), tostring(read or false), second)
  end

  local function unread()
    return (feed:succeeds{DO = "list"})
  end

  it("shows the same on two devices", function()
    local phone, tablet = feed:spawn(), feed:spawn()
    phone:wait_for_output("0 unread\n")
    tablet:wait_for_output("0 unread\n")
    local id = feed:succeeds{DO = "send mention Ann mentioned you", BODY = "Look!", LINK = "/m/1"}:gsub("\n", "")
    local line = id .. "  mention  Ann mentioned you: Look! </m/1> "
    phone:wait_for_output("* " .. line .. "(1 unread)\n")
    tablet:wait_for_output("* " .. line .. "(1 unread)\n")
    feed:prints("", {DO = "read " .. id})
    phone:wait_for_output("\n  " .. line .. "(0 unread)\n")
    tablet:wait_for_output("\n  " .. line .. "(0 unread)\n")
    feed:prints("", {DO = "unread " .. id})
    phone:wait_for_output("(0 unread)\n* " .. line .. "(1 unread)\n")
    feed:prints("", {DO = "remove " .. id})
    phone:wait_for_output("  " .. id .. "  is removed (0 unread)\n")
    script.interrupt(phone)
    script.interrupt(tablet)
  end)

  it("lists the newest first, whatever order they came in", function()
    feed:put("notifications", "b", value("b", 2))
    feed:put("notifications", "d", value("d", 1))
    feed:put("notifications", "c", value("c", 3, true))
    feed:put("notifications", "a", value("a", 2))
    feed:prints("* a  like  A\n* b  like  B\n* d  like  D\n", {DO = "list"})
    feed:prints("  c  like  C\n* a  like  A\n* b  like  B\n* d  like  D\n", {DO = "list all"})
    local again = feed:spawn()
    again:wait_for_output("* a  like  A\n* b  like  B\n* d  like  D\n3 unread\n")
    script.interrupt(again)
  end)

  it("marks all, from two devices at once too", function()
    for n = 1, 9 do
      feed:put("notifications", "n" .. n, value("n" .. n, n, n % 3 == 0))
    end
    script.all_end{feed:spawn{DO = "read all"}, feed:spawn{DO = "read all"}}
    assert.equal("", unread())
    feed:prints("0 marked as read\n", {DO = "read all"})
    assert.is_true(feed:count('"patch"') <= 12) -- only those that were unread
  end)

  it("leaves unread what comes while all are marked", function()
    feed:put("notifications", "old", value("old", 1))
    local done = feed:with [[
      stream:onUpToDate(function()
        if feed.unread() == 1 and stream.state:size("notifications") == 1 then
          stream:insert("notifications", "new", { id = "new", type = "like", title = "NEW", read = false,
            createdAt = "2026-05-01T10:00:09Z" })
          print(feed.mark_all())
          weir.stop()
        end
      end)
    ]]
    assert.equal("1\n", done.stdout, done.stderr)
    assert.equal("* new  like  NEW\n", unread())
  end)

  it("does not become unread again when it is sent again", function()
    local text = [[
      stream:onUpToDate(function()
        print(feed.send("system", "Disk full", { id = "disk-1" }))
        weir.stop()
      end)
    ]]
    assert.equal("disk-1\n", feed:with(text).stdout)
    feed:prints("", {DO = "read disk-1"})
    assert.equal("disk-1\n", feed:with(text).stdout)
    local out, err = feed:succeeds{DO = "list"}
    assert.equal("", out)
    assert.matches("notifications/disk-1: it is there already", err, 1, true)
  end)

  it("writes nothing where nothing changes", function()
    feed:put("notifications", "a", value("a", 1))
    for _ = 1, 2 do
      feed:prints("", {DO = "read a"})
    end
    assert.equal(1, feed:count('"patch"'))
    local _, err = feed:succeeds{DO = "read b"}
    assert.matches("there is no notification b", err, 1, true)
    _, err = feed:succeeds{DO = "remove b"}
    assert.matches("there is no notification b", err, 1, true)
    assert.equal(2, feed:count('"operation"'))
  end)

  it("does not come back by a mark that crossed with its removal", function()
    feed:put("notifications", "a", value("a", 1))
    feed:put("notifications", "a", nil, "delete")
    feed:put("notifications", "a", '{"read":true}', "patch")
    local out, err = feed:succeeds{DO = "list all"}
    assert.equal("", out)
    assert.matches("notifications/a: value: ", err, 1, true)
  end)

  it("lets nobody rewrite what was said", function()
    feed:put("notifications", "a", value("a", 1))
    feed:put("notifications", "a", '{"title":"Other"}', "patch")
    feed:put("notifications", "a", value("a", 2, true), "update")
    feed:put("notifications", "b", value("a", 2))
    feed:put("notifications", "c", (value("c", 3):gsub("like", "spam")))
    feed:put("notifications", "x", (value("x", 9):gsub("X", "\\u001b[2J")))
    local out, err = feed:succeeds{DO = "list"}
    assert.equal("* x  like   [2J\n* a  like  A\n", out)
    local _, refused = err:gsub("only whether it is read may change", "")
    assert.equal(2, refused)
    assert.matches("notifications/b: its id is another", err, 1, true)
    assert.matches('notifications/c: value: type: must be one of "mention"', err, 1, true)
  end)

  it("refuses what it does not know", function()
    for _, command in ipairs{"bogus", "send", "send like", "read", "read a b", "list x", "list all x", "unread"} do
      feed:fails("DO: expected 'send TYPE TITLE', 'list [all]', 'read ID|all', 'unread ID' or 'remove ID', got '"
        .. command .. "'", {DO = command})
    end
    feed:fails('type: must be one of "mention"', {DO = "send spam Buy this"})
    assert.equal(0, feed:count('"operation"'))
  end)
end)
