-- A shopping cart on several devices: what each of them adds adds up, whatever order it arrives in.
--
--   weir run scripts/cart.lua                                                       watch the cart
--   weir run scripts/cart.lua --set DEVICE=phone --set DO='add milk 129 2 Milk, 1 l'    price in cents, how many, name
--   weir run scripts/cart.lua --set DEVICE=tablet --set DO='add milk'               one more of what is there
--   weir run scripts/cart.lua --set DEVICE=phone --set DO='set milk 5'              so many; 0 takes it out
--   weir run scripts/cart.lua --set DO='merge http://127.0.0.1:4437/v1/stream/guest'    take in another cart; or: show
--
-- CART is the stream's URL: it must exist. DEVICE is the name of this device, and no other one's.
-- The rule: each device writes lines of its own (key: product:device), which say by how much it has changed the
-- quantity in all, and in how many changes. Of two versions of a line the one of more changes counts, and none is ever
-- deleted. So the cart is the sum over the devices of their last lines, however their events are mixed, and merging a
-- cart again changes nothing. A sum below zero (two took the same thing out at once) is zero; name and price are those
-- of the line that was changed last (by addedAt, then by key); who sets a quantity writes a difference.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local text = s.string():min(1)
local schema = weir.createStateSchema {
  items = {
    primaryKey = { "productId", "device" }, index = { "productId" },
    schema = s.object {
      id = text, productId = text, device = text, name = text,
      price = s.integer():min(0), -- in cents
      quantity = s.integer(), -- less than 0 where the device took out what others had put in
      changes = s.integer():min(1), addedAt = s.datetime():pattern("Z$"),
    },
  },
}

local stream = weir.stream {
  name = "cart",
  url = weir.env("CART", "http://127.0.0.1:4437/v1/stream/cart"),
  onInvalid = "skip",
  schema = schema,
}

local function rule(event)
  if not event.new then
    return false, "lines are not deleted: set the quantity to 0"
  elseif schema.items.insert({ value = event.new }).key ~= event.key then
    return false, "its key is not product:device"
  elseif event.old and event.new.changes <= event.old.changes then
    return false, "there is a later version of it"
  end
end

stream:validate("items", rule)

local cart = { device = weir.env("DEVICE") }
local written = {} -- productId -> this device's last line, which may not have come back yet

--- What the lines of a product come to: { productId =, name =, price =, quantity = }; nil for one that has none.
function cart.product(productId)
  local last, quantity = nil, 0
  for _, line in ipairs(stream.state:where("items", { productId = productId })) do -- in order of their keys
    quantity = quantity + line.quantity
    last = (not last or line.addedAt >= last.addedAt) and line or last
  end
  return last and { productId = productId, name = last.name, price = last.price, quantity = math.max(0, quantity) }
end

--- All that is in the cart, and what it costs, in cents.
function cart.items()
  local items, total, seen = {}, 0, {}
  for _, line in stream.state:each("items") do
    local product = not seen[line.productId] and cart.product(line.productId)
    seen[line.productId] = true
    if product and product.quantity > 0 then
      items[#items + 1], total = product, total + product.price * product.quantity
    end
  end
  return items, total
end

--- Makes of the quantity q of a product fn(q). Name and price may be left out for one that is in the cart.
function cart.change(productId, fn, name, price)
  local before, others = written[productId], 0
  local mine = before or { quantity = 0, changes = 0 }
  for _, line in ipairs(stream.state:where("items", { productId = productId })) do
    if line.device ~= cart.device then
      others = others + line.quantity
    elseif line.changes > mine.changes then
      mine = line
    end
  end
  local known = cart.product(productId) or mine
  local event = schema.items.upsert { value = {
    id = "product:" .. productId, productId = productId, device = cart.device,
    name = name or known.name or productId, price = price or known.price,
    quantity = fn(math.max(0, others + mine.quantity)) - others,
    changes = mine.changes + 1, addedAt = tostring(os.date("!%Y-%m-%dT%H:%M:%SZ")),
  } }
  written[productId] = event.value
  local ok, err = pcall(stream.append, stream, event)
  if not ok then
    written[productId] = before
    error(err, 0)
  end
end

--- Takes in the lines of another cart (a guest's, say) that are newer than those that are here.
function cart.merge(url)
  local other = weir.stream { url = url, live = false, schema = schema, onInvalid = "skip" }
  other:validate("items", rule)
  for key, line in weir.materializeAsync(other):each("items") do
    local here = stream.state:get("items", key)
    if not here or line.changes > here.changes then
      stream:append(schema.items.upsert { value = line })
    end
  end
end

---------------------------------------------------------------------------------------------------------------

local verb, what, rest = weir.env("DO", ""):match("^%s*(%a*)%s*(%S*)%s*(.-)%s*$")
local price, more, name = rest:match("^(%d*)%s*(%d*)%s*(.-)$")
local function show()
  local items, total = cart.items()
  for _, item in ipairs(items) do
    local row = ("%3d  %s  %d.%02d"):format(item.quantity, item.name, item.price // 100, item.price % 100)
    print((row:gsub("%c", " ")))
  end
  print(("total %d.%02d\n"):format(total // 100, total % 100))
end

local verbs = {
  merge = cart.merge, show = show, [""] = show,
  set = function(product) cart.change(product, function() return tonumber(rest) end) end,
}

function verbs.add(product)
  cart.change(product, function(quantity)
    return quantity + (tonumber(more) or 1)
  end, name ~= "" and name or nil, tonumber(price))
end

if not verbs[verb] or (what == "") ~= (verb == "show" or verb == "")
  or verb == "set" and not rest:find("^%d+$") or (verb == "add" or verb == "set") and not cart.device then
  error(("DO: expected 'add PRODUCT [CENTS [QUANTITY [NAME]]]' or 'set PRODUCT QUANTITY', each with a DEVICE, "
    .. "'merge URL' or 'show', got '%s'"):format(weir.env("DO")), 0)
end

stream:onUpToDate(function()
  verbs[verb](what)
  return verb ~= "" and weir.stop()
end)
