-- scripts/cart.lua, run as its users run it: two devices with one cart, whose events come in any order.

local script = require "support.script"
local server = require "support.server"
local tmp = require "support.tmp"

describe("scripts/cart.lua", function()
  local node, cart

  setup(function()
    node = server.start{dataDir = tmp.dir()}
    cart = script.open("cart", "CART", node)
  end)

  teardown(function()
    node:stop()
  end)

  before_each(function()
    cart:renew()
  end)

  local function line(product, device, quantity, changes, price, second)
    return ('{"type":"items","key":"%s:%s","value":{"id":"product:%s","productId":"%s","device":"%s","name":"%s",'
      .. '"price":%d,"quantity":%d,"changes":%d,"addedAt":"2026-05-01T10:00:%02dZ"},"headers":{"operation":"upsert"}}')
      :format(product, device, product, product, device, product:upper(), price or 100, quantity, changes, second or 0)
  end

  local function put(...)
    node:append(cart.url, "[" .. table.concat({...}, ",") .. "]")
  end

  local function shown()
    return (cart:succeeds{DO = "show"})
  end

  local function does(device, command)
    cart:prints("", {DEVICE = device, DO = command})
  end

  it("shows on each of two devices what both put in", function()
    local phone, tablet = cart:spawn{DEVICE = "phone"}, cart:spawn{DEVICE = "tablet"}
    phone:wait_for_output("total 0.00\n\n")
    does("phone", "add milk 129 2 Milk, 1 l")
    tablet:wait_for_output("  2  Milk, 1 l  1.29\ntotal 2.58\n\n")
    does("tablet", "add milk")
    phone:wait_for_output("  3  Milk, 1 l  1.29\ntotal 3.87\n\n")
    does("tablet", "add bread 250")
    phone:wait_for_output("  1  bread  2.50\n  3  Milk, 1 l  1.29\ntotal 6.37\n\n")
    does("tablet", "set milk 0") -- what the phone has put in, too
    phone:wait_for_output("\n  1  bread  2.50\ntotal 2.50\n\n")
    does("phone", "set milk 5")
    does("tablet", "add milk 139 1") -- a new price
    tablet:wait_for_output("  1  bread  2.50\n  6  Milk, 1 l  1.39\ntotal 10.84\n\n")
    script.interrupt(phone)
    script.interrupt(tablet)
  end)

  it("comes to the same cart however the events of two devices are mixed", function()
    local phone = {line("a", "phone", 3, 1), line("b", "phone", 2, 1, 70, 5), line("a", "phone", -2, 2, 120, 9)}
    local tablet = {line("a", "tablet", 4, 1, 110, 8), line("b", "tablet", 2, 1, 90, 5)}
    local orders = 0
    local function mix(mixed, i, j) -- all ways
      if i > #phone and j > #tablet then
        cart:renew()
        put(table.unpack(mixed))
        assert.equal("  2  A  1.20\n  4  B  0.90\ntotal 6.00\n\n", shown())
        orders = orders + 1
        return
      end
      for _, next in ipairs{{phone[i], i + 1, j}, {tablet[j], i, j + 1}} do
        if next[1] then
          mixed[#mixed + 1] = next[1]
          mix(mixed, next[2], next[3])
          mixed[#mixed] = nil
        end
      end
    end
    mix({}, 1, 1)
    assert.equal(10, orders)
  end)

  it("leaves out what is older than what is there, and repetitions", function()
    put(line("a", "phone", 5, 2), line("a", "phone", 1, 1), line("a", "phone", 9, 2), line("a", "tablet", 1, 1))
    local out, err = cart:succeeds{DO = "show"}
    assert.equal("  6  A  1.00\ntotal 6.00\n\n", out)
    assert.equal(2, select(2, err:gsub("items/a:phone: there is a later version of it", "")))
  end)

  it("loses nothing when two devices add at once", function()
    does("phone", "add milk 100")
    for _ = 1, 4 do
      script.all_end{cart:spawn{DEVICE = "phone", DO = "add milk"},
        cart:spawn{DEVICE = "tablet", DO = "add milk 100 2"}, cart:spawn{DEVICE = "desktop", DO = "add milk 100"}}
    end
    assert.equal(" 17  milk  1.00\ntotal 17.00\n\n", shown())
  end)

  it("is never less than nothing, and goes on from there", function()
    put(line("a", "phone", 3, 1), line("a", "tablet", -3, 1), line("a", "desktop", -3, 1)) -- both took them out
    assert.equal("total 0.00\n\n", shown())
    does("phone", "add a")
    assert.equal("  1  A  1.00\ntotal 1.00\n\n", shown())
    does("tablet", "set a 0")
    assert.equal("total 0.00\n\n", shown())
  end)

  it("takes in another cart, once however often", function()
    local guest = script.open("cart", "CART", node)
    guest:renew()
    guest:prints("", {DEVICE = "laptop", DO = "add tea 399 3 Tea"})
    guest:prints("", {DEVICE = "laptop", DO = "add milk 100 2"})
    does("phone", "add milk 100")
    for _ = 1, 2 do
      does("phone", "merge " .. guest.url)
      assert.equal("  3  milk  1.00\n  3  Tea  3.99\ntotal 14.97\n\n", shown())
    end
    guest:prints("", {DO = "merge " .. cart.url}) -- the other way round it comes to the same
    guest:prints("  3  milk  1.00\n  3  Tea  3.99\ntotal 14.97\n\n", {DO = "show"})
    does("laptop", "set tea 1")
    does("phone", "merge " .. guest.url) -- what is older there changes nothing
    assert.equal("  3  milk  1.00\n  1  Tea  3.99\ntotal 6.99\n\n", shown())
    assert.equal(4, cart:count('"upsert"'))
    cart:fails("404", {DO = "merge " .. node.url .. "/v1/stream/nowhere"})
  end)

  it("counts what it wrote itself before that comes back, and not what could not be written", function()
    local text = [[
      local done
      stream:onUpToDate(function()
        if not done then
          done = true
          for _ = 1, 3 do
            cart.change("a", function(quantity) return quantity + 2 end, "A", 100)
          end
        elseif cart.product("a").quantity == 6 then
          weir.stop()
        end
      end)
    ]]
    assert.equal(0, cart:with(text, {DEVICE = "phone"}).code)
    assert.equal("  6  A  1.00\ntotal 6.00\n\n", shown())
    node:close(cart.url)
    local done = cart:with([[
      stream:onUpToDate(function()
        for _ = 1, 2 do
          print(pcall(cart.change, "a", function(quantity) io.write(quantity, " ") return quantity + 1 end))
        end
      end)
    ]], {DEVICE = "phone"})
    assert.matches("^6 false\t[^\n]+\n6 false\t[^\n]+\n$", done.stdout, done.stderr)
  end)

  it("has its cart after a restart of the server", function()
    does("phone", "add milk 129 2")
    local tablet = cart:spawn{DEVICE = "tablet"}
    tablet:wait_for_output("total 2.58\n")
    node:restart()
    does("phone", "add milk")
    tablet:wait_for_output("total 3.87\n", 30)
    script.interrupt(tablet)
  end)

  it("leaves out what is no line, and counts in whole cents", function()
    cart:put("items", "a:phone", nil, "delete")
    node:append(cart.url, (line("a", "phone", 1, 1):gsub('"key":"a:phone"', '"key":"a"')))
    node:append(cart.url, (line("b", "phone", 1, 1):gsub('"price":100', '"price":1.5')))
    put(line("c", "phone", 3, 1, 3002399751580330), (line("x", "phone", 1, 1, 1):gsub('"X"', '"\\u001b[2J"')))
    local out, err = cart:succeeds{DO = "show"}
    assert.equal("  3  C  30023997515803.30\n  1   [2J  0.01\ntotal 90071992547409.91\n\n", out)
    for _, text in ipairs{"a:phone: lines are not deleted", "items/a: its key is not product:device",
      "items/b:phone: value: price: expected an integer"} do
      assert.is_truthy(err:find(text, 1, true), text .. " is not in:\n" .. err)
    end
  end)

  it("refuses what makes no sense before it is sent", function()
    cart:fails("price: is missing", {DEVICE = "phone", DO = "add x"})
    for _, command in ipairs{"bogus", "add", "set", "set a", "set a -1", "set a 1.5", "merge", "show it"} do
      cart:fails("DO: expected 'add PRODUCT [CENTS [QUANTITY [NAME]]]'", {DEVICE = "phone", DO = command})
    end
    cart:fails("each with a DEVICE", {DO = "add a 100"})
    assert.equal(0, cart:count('"operation"'))
  end)
end)
