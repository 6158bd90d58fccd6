-- What a stream's lane (engine/script/lane.c) leaves to Lua: schemas that call Lua, rules, refusals, keys to be made,
-- and what becomes of a handler that raised. The rest of its loop is native.

local _, weir = ...
local lane = weir._lane
local apply, refuse, give_up = lane.apply, lane.refuse, lane.giveUp
local sleep = weir.sleep
local schemas, encode = weir._schema, weir.json.encode

local NONE = {} -- what is looked up for each event makes no garbage

local RETRY_FIRST, RETRY_MAX = 0.1, 30 -- seconds between calls of a handler under onError = "retry"

local ON_ERROR = { stop = true, skip = true, retry = true, deadletter = true }
local ON_INVALID = { stop = true, skip = true, deadletter = true }

-- What onError says about an error: its policy, or its function's answer.
local function decide(stream, err, event)
  local policy = stream._handlers.onError
  if type(policy) == "function" then
    policy = policy(err, event) or "stop"
    if not ON_ERROR[policy] then
      error(("%s: onError returned %q: expected stop, skip, retry or deadletter"):format(stream.name,
        tostring(policy)), 0)
    end
  end
  return policy
end

-- An error's text, whatever it is.
local function text_of(err)
  local _, text = pcall(lane.describe, err)
  return type(text) == "string" and text or "an error without a message"
end

-- A handler raised err; paused is how long was waited before it was called, if it had failed before. Returns how
-- long was waited now, after which it is to be called again, or nothing: the event is given up.
local function failed(stream, err, event, paused)
  local decision = decide(stream, err, event)
  if decision == "stop" then
    error(err, 0)
  elseif decision ~= "retry" then
    give_up(stream, type(event) == "userdata" and event or nil, decision, text_of(err))
    return nil
  end
  local pause = paused == 0 and RETRY_FIRST or math.min(paused * 2, RETRY_MAX)
  weir.log.warn("%s: handler failed, called again in %g s: %s", stream.name, pause, text_of(err))
  sleep(pause)
  return pause
end

-- Nothing where every rule accepts the event, otherwise the reason of the first that does not.
local function first_refusal(rules, event, state)
  local i, rule = 1, rules[1]
  while rule do
    local ok, reason = rule(event, state)
    if ok == false then
      return tostring(reason or "refused by a rule")
    end
    i = i + 1
    rule = rules[i]
  end
end

-- onInvalid's decision; nil leaves it to the stream's policy.
local function ask_on_invalid(stream, handlers, event, issues)
  if type(handlers.onInvalid) ~= "function" then
    return nil
  end
  local decision = handlers.onInvalid(event, issues) or "skip"
  if not ON_INVALID[decision] then
    error(("%s: onInvalid returned %q: expected stop, skip or deadletter"):format(stream.name, tostring(decision)), 0)
  end
  return decision
end

-- As the native half writes it.
local function reason_of(issues)
  local texts = {}
  for i, issue in ipairs(issues) do
    texts[i] = issue.path == "" and issue.message or issue.path .. ": " .. issue.message
  end
  return "value: " .. table.concat(texts, "; ")
end

-- Asks who may refuse the change. Returns the event where nobody did, and it has been applied. state is what it
-- goes into.
local function change(stream, handlers, event, state)
  local kind = event.type
  local foreign = handlers.foreign[kind]
  if foreign and event.operation ~= "delete" then
    local issues, settled = schemas.settleChange(foreign, event.new)
    if issues then
      return refuse(stream, event, ask_on_invalid(stream, handlers, event, issues), reason_of(issues))
    elseif settled ~= nil then
      event = lane.changed(event, encode(settled))
    end
  end
  local reason = first_refusal(handlers.rules[kind] or NONE, event, state)
    or first_refusal(handlers.allRules, event, state)
  if reason then
    local issues = { { path = "", message = reason } }
    return refuse(stream, event, ask_on_invalid(stream, handlers, event, issues), reason)
  end
  apply(stream, event)
  return event
end

-- A change without a key, of a type that has getKey: what it is once it has one.
local function keyed(stream, handlers, event)
  local value = event.value
  if value == nil then
    value = event.old_value
  end
  local ok, key, mistake = pcall(handlers.getKey[event.type], value)
  if not ok or not key then
    mistake = ok and mistake or "getKey raised: " .. tostring(key)
    return "invalid", event, { { path = "key", message = mistake } }, "key: " .. mistake
  end
  return lane.resolve(stream, event, key)
end

-- A batch or transaction begins or ends: what its handlers are given, or nothing.
local function bound(handlers, name, offset, up_to_date)
  local collected = handlers.collected
  if name == "transaction" then
    local last, first = #collected, #collected
    local txid = last > (collected.told or 0) and collected[last].txid or nil
    while first > (collected.told or 0) and collected[first].txid == txid do
      first = first - 1
    end
    collected.told = last
    return txid and { txid = txid, events = table.move(collected, first + 1, last, 1, {}) } or nil
  end
  handlers.collected = {}
  if not handlers[name][1] then
    return nil
  elseif name == "beforeBatch" then
    return { offset = offset ~= "" and offset or "-1" }
  end
  collected.told = nil
  return { items = collected, offset = offset ~= "" and offset or nil, upToDate = up_to_date }
end

-- What comes before the handlers of a change. Returns the event whose handlers are to be called, or nothing.
local function before(stream, kind, event, issues, reason)
  local handlers = stream._handlers
  local located = true
  if kind == "told" then
    return bound(handlers, event, issues, reason) -- name, offset, up to date
  end
  if kind == "keyless" then
    kind, event, issues, reason = keyed(stream, handlers, event)
    located = event ~= nil and event.key ~= nil
  end
  if kind == "change" then
    return change(stream, handlers, event, stream._stored)
  elseif kind == "quiet" then
    change(stream, handlers, event, stream._building)
  elseif kind == "applied" then
    return event
  elseif kind == "invalid" then
    refuse(stream, event, ask_on_invalid(stream, handlers, event, issues), reason, located)
  end
end

lane.functions(before, failed)
