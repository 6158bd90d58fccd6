-- A key/value store that many programs share: its entries are what a stream says they are.
--
--   weir run scripts/kv.lua                                      print changes as they come, remove what expired
--   weir run scripts/kv.lua --set DO='set user:123:prefs {"theme":"dark"}'
--   weir run scripts/kv.lua --set DO='set session abc' --set TTL=60      gone after 60 seconds
--   weir run scripts/kv.lua --set DO='get user:123:prefs'
--   weir run scripts/kv.lua --set DO='delete session'
--
-- KV is the stream's URL (the stream must exist), SWEEP how often expired entries are looked for.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local store = weir.stream {
  name = "kv",
  url = weir.env("KV", "http://127.0.0.1:4437/v1/stream/kv"),
  onInvalid = "skip",
  schema = weir.defineStreamSchema {
    types = { entries = s.object { id = s.string(), value = s.any(), expiresAt = s.datetime():optional() } },
  },
}

-- Seconds since 1970 of an RFC 3339 time, whatever its offset from UTC.
local function seconds(time)
  local year, month, day, hour, minute, second, zone = time:match("^(%d+)-(%d+)-(%d+).(%d+):(%d+):([%d.]+)(.*)$")
  local sign, hours, minutes = zone:match("^([+-])(%d+):(%d+)$")
  local offset = sign and tonumber(sign .. "1") * (hours * 60 + minutes) or 0
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then -- years that begin in March have their leap day at the end
    year, month = year - 1, month + 12
  end
  local days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
  return ((days * 24 + hour) * 60 + minute - offset) * 60 + second
end

local function expired(entry)
  return entry.expiresAt ~= nil and seconds(entry.expiresAt) <= os.time()
end

-- What this program has written and not seen come back yet: key -> {txid =, entry =}. kv.get looks here
-- first, so that it finds what was just set.
local pending = {}
local kv = {}

local function write(key, entry, append)
  local txid = ("%016x"):format(math.random(0))
  pending[key] = { txid = txid, entry = entry }
  local ok, err = pcall(append, { txid = txid })
  if not ok then
    pending[key] = nil
    error(err, 0)
  end
end

--- Sets a key to anything that JSON can say; with ttl it is gone after that many seconds.
function kv.set(key, value, ttl)
  assert(value ~= nil, "kv.set: the value is missing (weir.null is one)")
  local expiresAt = ttl and os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + math.ceil(ttl)) or nil
  local entry = { id = key, value = value, expiresAt = expiresAt }
  write(key, entry, function(headers)
    store:upsert("entries", key, entry, headers)
  end)
end

--- The value of a key, or nil.
function kv.get(key)
  local entry = store.state:get("entries", key)
  if pending[key] then
    entry = pending[key].entry
  end
  if not entry or expired(entry) then
    return nil
  end
  return entry.value
end

--- Removes a key. It need not be there.
function kv.delete(key)
  write(key, nil, function(headers)
    store:delete("entries", key, headers)
  end)
end

--- Deletes what has expired. Only for a state that is up to date: in an older one an entry may have expired
--- that was set anew since. Whoever sets a key in the very moment of its removal loses: the last write counts.
function kv.sweep()
  for key, entry in store.state:each("entries") do
    if expired(entry) and not pending[key] then
      local ok, err = pcall(kv.delete, key)
      if not ok then
        return weir.log.warn("cannot remove %s, which expired: %s", key, tostring(err))
      end
    end
  end
end

store:onChange("entries", function(_, event)
  if pending[event.key] and pending[event.key].txid == event.txid then
    pending[event.key] = nil
  end
end)

---------------------------------------------------------------------------------------------------------------

local verbs = { delete = kv.delete }

function verbs.set(key, text)
  local ok, value = pcall(weir.json.decode, text)
  if not ok then
    value = text
  end
  kv.set(key, value, tonumber(weir.env("TTL")))
end

function verbs.get(key)
  local value = kv.get(key)
  if value == nil then
    return weir.log.warn("there is no %s", key)
  end
  print(weir.json.encode(value))
end

local command = weir.env("DO", "")
local verb, key, text = command:match("^%s*(%a+)%s+(%S+)%s*(.-)%s*$")

if command ~= "" and (not verbs[verb] or (verb == "set") ~= (text ~= "")) then
  error(("DO: expected 'set KEY VALUE', 'get KEY' or 'delete KEY', got '%s'"):format(command), 0)
elseif command == "" then
  store:onChange("entries", function(_, event)
    if event.new or event.old then
      print(event.key .. (event.new and " = " .. weir.json.encode(event.new.value) or " is gone"))
    end
  end)
end

local started = false
store:onUpToDate(function()
  if started then
    return
  end
  started = true
  if command == "" then
    weir.every(weir.env("SWEEP", "30s"), kv.sweep)
  else
    verbs[verb](key, text)
    weir.stop()
  end
end)
