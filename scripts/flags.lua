-- Feature flags: switched in one place, known everywhere at once; for all, for some per cent, for those on a list.
--
--   weir run scripts/flags.lua                                watch the flags
--   weir run scripts/flags.lua --set USER_ID=ann              the same, and what they are for ann
--   weir run scripts/flags.lua --set DO='on dark-mode'        for everybody; also: off, delete
--   weir run scripts/flags.lua --set DO='rollout dark-mode 25'     for 25 % of the users
--   weir run scripts/flags.lua --set DO='allow dark-mode bob'      for bob in any case; also: disallow
--   weir run scripts/flags.lua --set DO='check dark-mode ann'      is it on for ann?
--
-- FLAGS is the stream's URL: it must exist. A flag that is not enabled is off for all: that is the kill switch. Else
-- it is on for the allowlist, and for as many per cent of the others as rolloutPercent says; without it for all, but
-- where there is an allowlist for nobody else.
--
-- Buckets: a user's bucket of a flag is the 32-bit FNV-1a hash of flag, a zero byte, user, mixed (the last step of
-- MurmurHash3), modulo 10000, in hundredths of a per cent. The flag is on where the bucket is below the percentage:
-- the same in every process and language, a larger percentage keeps all who had it, each flag has other first users.
-- To build on it: keep everything down to the line, and put your own handlers below it.

local weir = require "weir"
local s = weir.schema

local Flag = s.object {
  id = s.string():min(1),
  enabled = s.boolean(),
  rolloutPercent = s.number():min(0):max(100):optional(),
  allowlist = s.array(s.string()):optional(),
  metadata = s.record(s.any()):optional(),
}

local stream = weir.stream {
  name = "flags",
  url = weir.env("FLAGS", "http://127.0.0.1:4437/v1/stream/flags"),
  onInvalid = "skip",
  schema = weir.defineStreamSchema { types = { flags = Flag } },
}

stream:validate("flags", function(event)
  return not event.new or event.new.id == event.key, "its id is another one than its key"
end)

local flags = {}

--- 0.00 to 99.99, the same for ever.
function flags.bucket(name, user)
  local hash = 0x811c9dc5
  for _, byte in ipairs { (name .. "\0" .. user):byte(1, -1) } do
    hash = (hash ~ byte) * 0x01000193 & 0xffffffff
  end
  hash = (hash ~ hash >> 16) * 0x85ebca6b & 0xffffffff
  hash = (hash ~ hash >> 13) * 0xc2b2ae35 & 0xffffffff
  return (hash ~ hash >> 16) % 10000 / 100
end

--- For how many per cent of the users it is on who are not on its allowlist.
function flags.percent(flag)
  return not flag.enabled and 0 or flag.rolloutPercent or (flag.allowlist and 0 or 100)
end

--- Whether a flag is on for a user (nil: for somebody who is not known). default is for flags that do not exist.
function flags.is_on(name, user, default)
  local flag = stream.state:get("flags", name)
  if not flag then
    return default or false
  elseif not flag.enabled then
    return false
  end
  for _, allowed in ipairs(flag.allowlist or {}) do
    if allowed == user then
      return true
    end
  end
  local percent = flags.percent(flag)
  return percent >= 100 or user ~= nil and flags.bucket(name, user) < percent
end

--- Changes some fields of a flag (weir.null removes one), or makes it: enabled, unless the fields say otherwise.
--- As a patch, so that of two who change different fields at once neither undoes what the other did.
function flags.set(name, fields)
  local patch = stream.state:has("flags", name) and {} or { id = name, enabled = true }
  local flag = stream.state:get("flags", name) or { id = name, enabled = true }
  for field, value in pairs(fields) do
    patch[field], flag[field] = value, value
    if value == weir.null then
      flag[field] = nil
    end
  end
  Flag:parse(flag) -- what does not fit is refused before it is sent
  stream:patch("flags", name, patch)
end

--- Puts a user on the allowlist, or takes one off it. Of two who do so at the same moment the last one wins.
function flags.allow(name, user, allowed)
  local flag, list = stream.state:get("flags", name), weir.json.array()
  for _, each in ipairs(flag and flag.allowlist or {}) do
    if each ~= user then
      list[#list + 1] = each
    end
  end
  list[#list + 1] = allowed and user or nil
  flags.set(name, { allowlist = list })
end

---------------------------------------------------------------------------------------------------------------

local user = weir.env("USER_ID")
local verb, name, rest = weir.env("DO", ""):match("^%s*(%a*)%s*(%S*)%s*(.-)%s*$")

local verbs = { -- what they do, and whether more than a name is needed
  on = { function() flags.set(name, { enabled = true, rolloutPercent = 100 }) end },
  off = { function() flags.set(name, { enabled = false }) end },
  delete = { function() stream:delete("flags", name) end },
  rollout = { function() flags.set(name, { enabled = true, rolloutPercent = tonumber(rest) }) end, true },
  allow = { function() flags.allow(name, rest, true) end, true },
  disallow = { function() flags.allow(name, rest, false) end, true },
  check = { function() print(flags.is_on(name, rest) and "on" or "off") end, true },
}

if verb ~= "" and not (verbs[verb] and name ~= "" and (rest ~= "") == (verbs[verb][2] or false))
  or verb == "rollout" and not tonumber(rest) then
  error(("DO: expected 'on|off|delete FLAG', 'rollout FLAG PERCENT' or 'allow|disallow|check FLAG USER', got '%s'")
    :format(weir.env("DO")), 0)
end

local function show(flag)
  local percent, text = flags.percent(flag), flag.enabled and "on" or "off"
  if flag.enabled and percent < 100 then
    text = ("on for %g %%"):format(percent) .. (flag.allowlist and " and " .. table.concat(flag.allowlist, ", ") or "")
  end
  local mine = user and (", %s for %s"):format(flags.is_on(flag.id, user) and "on" or "off", user) or ""
  print(((flag.id .. ": " .. text .. mine):gsub("%c", " ")))
end

stream:onChange("flags", function(_, event)
  if verb == "" and event.new then
    show(event.new)
  elseif verb == "" and event.old then
    print((event.key:gsub("%c", " ") .. " is gone"))
  end
end)

stream:onUpToDate(function(state)
  if verb == "" then
    return
  elseif not state:has("flags", name) and (verb == "check" or verb == "delete") then
    weir.log.warn("there is no flag %s", name)
  end
  verbs[verb][1]()
  weir.stop()
end)
