-- scripts/kanban.lua, run as its users run it: several move cards, at once too, and all see one order.

local script = require "support.script"
local server = require "support.server"

describe("scripts/kanban.lua", function()
  local node, board

  setup(function()
    node = server.start()
    board = script.open("kanban", "BOARD", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    board:renew()
    board:put("columns", "todo", '{"id":"todo","name":"To do","position":1}')
    board:put("columns", "done", '{"id":"done","name":"Done","position":2}')
  end)

  local function card(id, column, position, operation)
    board:put("cards", id, ('{"id":"%s","columnId":"%s","title":"%s","position":%s}'):format(id, column, id:upper(),
      position), operation)
  end

  --- The ids of the cards, column by column: "a b | c".
  local function order()
    local done = board:with [[
      stream:onUpToDate(function()
        local columns = {}
        for _, column in ipairs { "todo", "done" } do
          local ids = {}
          for _, card in ipairs(board.cards(column)) do
            ids[#ids + 1] = card.id
          end
          columns[#columns + 1] = table.concat(ids, " ")
        end
        print(table.concat(columns, " | "))
        weir.stop()
      end)
    ]]
    assert.equal(0, done.code, done.stderr)
    return (done.stdout:gsub("\n$", ""))
  end

  local function move(...)
    board:prints("", {DO = ("move %s %s %s"):format(...)})
  end

  it("shows two who watch the same board", function()
    local one, two = board:spawn(), board:spawn()
    one:wait_for_output("To do\nDone\n\n")
    local milk = board:succeeds{DO = "add todo Buy milk"}:gsub("\n", "")
    local dog = board:succeeds{DO = "add todo Walk the dog"}:gsub("\n", "")
    local both = ("To do\n  %s  Buy milk\n  %s  Walk the dog\nDone\n\n"):format(milk, dog)
    one:wait_for_output(both)
    two:wait_for_output(both)
    board:prints("", {DO = "move " .. milk .. " done"})
    local moved = ("To do\n  %s  Walk the dog\nDone\n  %s  Buy milk\n\n"):format(dog, milk)
    one:wait_for_output(moved)
    two:wait_for_output(moved)
    board:prints("", {DO = "remove " .. milk})
    board:prints("", {DO = "remove done"})
    board:prints("", {DO = "column later Some day"})
    one:wait_for_output(("To do\n  %s  Walk the dog\nSome day\n\n"):format(dog))
    script.interrupt(one)
    script.interrupt(two)
  end)

  it("moves to any place, writing one card", function()
    for i, id in ipairs{"a", "b", "c", "d"} do
      card(id, "todo", i * 10)
    end
    assert.equal("a b c d | ", order())
    move("d", "todo", 1)
    assert.equal("d a b c | ", order())
    move("d", "todo", 3)
    assert.equal("a b d c | ", order())
    move("a", "todo", "")
    assert.equal("b d c a | ", order())
    move("a", "todo", 99) -- behind the last is the last
    assert.equal("b d c a | ", order())
    move("d", "done", 0) -- before the first is the first
    move("c", "done", 1)
    assert.equal("b a | c d", order())
    assert.equal(6, board:count('"patch"'))
  end)

  it("numbers a column anew where no number is left between two", function()
    card("a", "todo", "1")
    card("b", "todo", "1.0000000000000002")
    card("c", "todo", "5")
    card("x", "done", "0.1")
    move("x", "todo", 2)
    assert.equal("a x b c | ", order())
    assert.equal(4, board:count('"patch"'))
    move("c", "todo", 2)
    assert.equal("a c x b | ", order())
    assert.equal(5, board:count('"patch"'))
  end)

  it("does so where two have the same position, and with numbers of any size", function()
    card("b", "todo", 7)
    card("a", "todo", 7)
    card("big", "todo", "9007199254740993")
    card("huge", "todo", "1e300")
    assert.equal("a b big huge | ", order())
    card("x", "done", 1)
    move("x", "todo", 5)
    assert.equal("a b big huge x | ", order())
    move("huge", "todo", 2)
    assert.equal("a huge b big x | ", order())
  end)

  it("halves some fifty times, and takes cards that are added at once", function()
    card("first", "todo", 1)
    card("last", "todo", 2)
    local done = board:with [[
      local low, high, count = 1, 2, 0
      repeat
        low, count = board.between(low, high), count + 1
        assert(not low or low > 1 and low < 2)
      until not low
      print(count > 45 and count < 60, board.between(), board.between(5), board.between(nil, 5), board.between(3, 3))
      weir.stop()
    ]]
    assert.equal("true\t1024.0\t1029.0\t-1019.0\tnil\n", done.stdout, done.stderr)
    for i = 1, 3 do
      local pushed = {}
      for j = 1, 3 do
        pushed[j] = board:spawn{DO = ("add todo card %d %d"):format(i, j)}
      end
      script.all_end(pushed)
    end
    local _, cards = order():gsub("%S+", "")
    assert.equal(2 + 9 + 1, cards) -- and the bar between the columns
  end)

  it("has one order for all when two move the same card, or to the same place, at once", function()
    for i, id in ipairs{"a", "b", "c", "d"} do
      card(id, "todo", i)
    end
    for _ = 1, 3 do
      script.all_end{board:spawn{DO = "move c todo 1"}, board:spawn{DO = "move d todo 1"},
        board:spawn{DO = "move c done"}}
      local seen = order()
      assert.equal(seen, order())
      local ids = {}
      for id in seen:gmatch("%a") do
        ids[#ids + 1] = id
      end
      table.sort(ids)
      assert.equal("abcd", table.concat(ids)) -- none is lost, none is twice
      move("c", "todo", 4)
    end
  end)

  it("keeps what another one changes of a card while it is moved", function()
    card("a", "todo", 1)
    board:put("cards", "a", '{"title":"Renamed","dueDate":"2026-05-01T10:00:00Z"}', "patch")
    move("a", "done", 1)
    local watcher = board:spawn()
    watcher:wait_for_output("Done\n  a  Renamed\n")
    script.interrupt(watcher)
  end)

  it("tells who comes too late, and all agree", function()
    local done = board:with([[
      stream:onUpToDate(function()
        stream:delete("columns", "done") -- somebody else, in the moment before
        board.add("done", "Too late", nil, { txid = "t1" })
        weir.stop()
      end)
    ]])
    assert.equal(0, done.code, done.stderr)
    card("b", "todo", 1)
    local watcher = board:spawn()
    watcher:wait_for_output("there is no such column")
    watcher:wait_for_output("To do\n  b  B\n\n")
    board:put("columns", "todo", nil, "delete")
    watcher:wait_for_output("columns/todo: there are cards in it")
    script.interrupt(watcher)
  end)

  it("refuses what makes no sense before it is sent", function()
    card("a", "todo", 1)
    local before = board:count('"operation"')
    for command, message in pairs{
      ["add nowhere X"] = "there is no such column", ["move a nowhere"] = "there is no such column",
      ["move b done"] = "there is no such card", ["remove todo"] = "no such empty column",
      ["remove zzz"] = "no such card", bogus = "DO: expected 'column ID NAME'", ["add todo"] = "DO: expected",
      ["remove a b"] = "DO: expected", ["move a"] = "DO: expected",
    } do
      board:fails(message, {DO = command})
    end
    assert.equal(before, board:count('"operation"'))
  end)

  it("leaves out what is no card, and goes on", function()
    card("a", "todo", '"1"')
    card("b", "nowhere", 1)
    board:put("cards", "c", '{"id":"other","columnId":"todo","title":"C","position":1}')
    card("d", "todo", 1)
    local watcher = board:spawn()
    watcher:wait_for_output("To do\n  d  D\nDone\n\n")
    watcher:wait_for_output("cards/a: value: position: ")
    watcher:wait_for_output("cards/b: there is no such column")
    watcher:wait_for_output("cards/c: its id is another one than its key")
    script.interrupt(watcher)
  end)
end)
