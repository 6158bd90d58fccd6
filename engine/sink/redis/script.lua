-- luacheck: std lua51, read globals KEYS ARGV redis
-- Runs inside Redis (Lua 5.1), as one step: script.h says what it is asked and what it answers. Whatever it could
-- fail for it looks at before it writes.

local PIECE = 4000 -- items that go to one call: unpack takes about 8000

local call = redis.call
local sync, types = KEYS[1], KEYS[2]
local base = types:sub(1, -6) .. "t:"

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

-- Where rows come from, one item after the other: the arguments, or a stage.
local source = take
local function staged(list)
  local piece, used, from = {}, 0, 0
  return function()
    if used == #piece then
      piece = call("LRANGE", list, from, from + PIECE - 1)
      from, used = from + #piece, 0
    end
    used = used + 1
    return piece[used]
  end
end

-- Types that are new in this batch are not yet among those that are known. count: the entities of each type of the
-- batch.
local function clear(first, count)
  for _, name in ipairs(call("HKEYS", types)) do
    call("UNLINK", base .. name)
  end
  call("DEL", types)
  for i in pairs(count) do
    call("UNLINK", KEYS[first + i])
    count[i] = 0
  end
end

local function apply(first, count)
  for op in source do
    local i, n = tonumber(source()), tonumber(source())
    local items = {}
    for j = 1, op == "p" and n * 2 or n do
      items[j] = source()
    end
    if op == "c" then
      clear(first, count)
    elseif op == "p" then
      count[i] = count[i] + call("HSET", KEYS[first + i], unpack(items))
    else
      count[i] = count[i] - call("HDEL", KEYS[first + i], unpack(items))
    end
  end
end

local function name(key)
  return key:sub(#base + 1)
end

local function remember(key, rows)
  if rows > 0 then
    call("HSET", types, name(key), rows)
  else
    call("HDEL", types, name(key))
  end
end

-- What to answer where a key is no hash.
local function foreign(key)
  local found = call("TYPE", key).ok
  if found ~= "hash" and found ~= "none" then
    return {"FOREIGN", key, found}
  end
end

local function put_or_drop(field, has, value)
  if has == "1" then
    call("HSET", sync, field, value)
  else
    call("HDEL", sync, field)
  end
end

local verb = take()
local wrong = foreign(sync) or foreign(types)
if wrong then
  return wrong
end

if verb == "look" then
  local have = call("HMGET", sync, "epoch", "commit")
  return {"LOOK", have[1], have[2]}
end

if verb == "read" or verb == "open" then
  local stream = take()
  local fields = {"layout", "stream_url", "stage", "offset", "skip", "sequence", "notes", "epoch"}
  local have = call("HMGET", sync, unpack(fields))
  local layout, url, stage, sequence, epoch = have[1], have[2], have[3], have[6], have[8]
  if layout and layout ~= "1" then
    return {"LAYOUT", layout}
  elseif (url and url ~= stream) or (not layout and call("EXISTS", sync) == 1) then
    return {"FOREIGN", sync, "hash"}
  elseif not sequence and call("EXISTS", types) == 1 then
    return {"FOREIGN", types, "hash"}
  end
  if verb == "open" then
    epoch = tostring(call("HINCRBY", sync, "epoch", 1))
    call("HSET", sync, "layout", "1", "stream_url", stream, "commit", "0")
    if stage then
      call("DEL", stage)
      call("HDEL", sync, "stage")
    end
  end
  return {"OPEN", epoch, have[4], have[5], sequence, have[7]}
end

local epoch = take()
local have = call("HMGET", sync, "epoch", "commit", "stage")
if have[1] ~= epoch then
  return {have[1] and "FENCED" or "LOST", have[1], have[2]}
end

if verb == "repair" then
  local key = KEYS[3]
  wrong = foreign(key)
  if wrong then
    return wrong
  end
  apply(2, {0})
  remember(key, call("HLEN", key))
  return {"DONE"}
end

local stage, before = KEYS[3], take()

if verb == "stage" then
  local items = tonumber(take())
  if have[2] ~= before then
    return {"LOST", have[1], have[2]}
  end
  if items == 0 then
    if have[3] then
      call("DEL", have[3])
    end
    call("HSET", sync, "stage", stage)
    call("DEL", stage)
  elseif have[3] ~= stage or call("LLEN", stage) ~= items then
    return {"STAGE"}
  end
  for i = at + 1, #ARGV, PIECE do
    call("RPUSH", stage, unpack(ARGV, i, math.min(i + PIECE - 1, #ARGV)))
  end
  return {"STAGED", tostring(call("LLEN", stage))}
end

local now, mode, items = take(), take(), tonumber(take())
if have[2] == now then
  return {"HERE"}
elseif have[2] ~= before then
  return {"LOST", have[1], have[2]}
elseif mode == "staged" and (have[3] ~= stage or call("LLEN", stage) ~= items) then
  return {"STAGE"}
end

local count = {}
for i = 4, #KEYS do
  wrong = foreign(KEYS[i])
  if wrong then
    return wrong
  end
  local rows, known = call("HLEN", KEYS[i]), tonumber(call("HGET", types, name(KEYS[i])) or 0)
  if rows ~= known then
    return {"CHANGED", KEYS[i], tostring(rows), tostring(known)}
  end
  count[i - 3] = rows
end

-- The first write may be refused, for want of memory say, and leaves everything as it was. The others are not.
local has_offset, offset, skip, sequence = take(), take(), take(), take()
local has_notes, notes, synced_at = take(), take(), take()
call("HSET", sync, "commit", now, "skip", skip, "sequence", sequence, "synced_at", synced_at)
put_or_drop("offset", has_offset, offset)
put_or_drop("notes", has_notes, notes)
if mode == "staged" then
  source = staged(stage)
end
apply(3, count)
for i = 4, #KEYS do
  remember(KEYS[i], count[i - 3])
end
if have[3] then
  call("HDEL", sync, "stage")
  call("DEL", have[3])
end
return {"DONE"}
