-- insert, update, upsert, patch, delete of a stream: an event of that operation, appended; and optimistic writes, which
-- are in the state before they come back.
--
-- A pending write has a number (engine/script/api_local.h). It is confirmed natively, when a change with its txid is
-- applied to its entity; here it is rolled back, when its append fails or it was not confirmed in time.

local _, weir = ...
local native = weir._stream
local show, check_self = weir._options.show, weir._options.check_self
local encode = weir.json.encode
local log = weir.log
local events, schemas = weir._state.events, weir._state.schemas
local StateStream = native.class

-- What stands among the headers and is none: an option of the write.
local WRITE_OPTIONS = { old_value = "old_value", oldValue = "old_value", optimistic = "optimistic" }

-- The headers of a write, and its options. What is no table is left to the check of the headers.
local function write_options(given, operation, level)
  if type(given) ~= "table" then
    return given, {}
  end
  local headers, said = {}, {}
  for name, value in pairs(given) do
    if WRITE_OPTIONS[name] then
      said[WRITE_OPTIONS[name]] = value
    else
      headers[name] = value
    end
  end
  if said.optimistic ~= nil and type(said.optimistic) ~= "boolean" then
    error(("%s: optimistic: expected true or false, got %s"):format(operation, show(said.optimistic)), level + 1)
  end
  return headers, said
end

---------------------------------------------------------------------------------------------------
-- Pending writes

-- The event that undoes what was seen of a write: `new` is what is seen now.
local function undoing(event, old, new)
  local operation = not new and "delete" or old and "update" or "insert"
  local value = new and ',"value":' .. new or ""
  local txid = event.txid and ',"txid":' .. encode(event.txid) or ""
  return ('{"type":%s,"key":%s%s,"headers":{"operation":"%s"%s}}'):format(encode(event.type), encode(event.key), value,
    operation, txid)
end

-- What is wrong with what the write leaves, or nothing.
local function schema_mistake(self, event)
  local schema = self._handlers.schemas and self._handlers.schemas[event.type]
  if not schema or event.operation == "delete" then
    return nil
  end
  local value = event.value
  if event.operation == "patch" then
    value = self.state:get(event.type, event.key)
  end
  local issues = schemas.issues(schema, value)
  return issues and schemas.text(issues, ", ")
end

-- Puts the write on top of the state and tells handlers. Its number. Raises `level` functions above this one.
local function pend(self, event, level)
  local kind, key, state = event.type, event.key, self.state
  local value
  if event.operation ~= "delete" then
    value = encode(event.value)
  end
  local old = state:json(kind, key)
  local number = native.pend(self, event.operation, kind, key, value, event.txid)
  local ok, mistake = pcall(schema_mistake, self, event)
  if not ok or mistake then
    native.unpend(self, number)
    error(("%s: %s/%s: value: %s"):format(event.operation, kind, key, tostring(mistake)), level + 1)
  end
  native.change(self, encode(event), old, state:json(kind, key), false)
  return number
end

-- Takes a write off the state, and tells handlers where that is to be seen. False: it was not pending any more.
local function unpend(self, number, event)
  local kind, key, state = event.type, event.key, self.state
  local old = state:json(kind, key)
  if not native.unpend(self, number) then
    return false
  end
  local new = state:json(kind, key)
  if old ~= new then
    native.change(self, undoing(event, old, new), old, new, true)
  end
  return true
end

local function tell_rollback(self, err, rolled_back)
  if self._handlers.rollback[1] then
    native.tell(self, "rollback", { error = err, events = rolled_back, txid = rolled_back[1] and rolled_back[1].txid })
  end
end

-- The writes of a list of { number, event } are undone, the last one first.
local function roll_back(self, writes, err)
  local undone = {}
  for i = #writes, 1, -1 do
    if unpend(self, writes[i].number, writes[i].event) then
      table.insert(undone, 1, writes[i].event)
    end
  end
  if undone[1] then
    tell_rollback(self, err, undone)
  end
end

-- Appended writes that are not confirmed yet, the oldest first: each waits for limits.confirm. One timer is for all.

local function late(self, write)
  local event = write.event
  local err = native.failure(("%s: %s/%s: the %s was appended, but did not come back within limits.confirm (%s): it is "
    .. "rolled back"):format(self.name, event.type, event.key, event.operation, tostring(self._handlers.confirm)))
  log.warn("%s", err.message)
  roll_back(self, { write }, err)
end

-- Forgets those that have been confirmed, up to the first that has not, which it gives.
local function first_waiting(self, waiting)
  while waiting[waiting.first] and not native.pending(self, waiting[waiting.first].number) do
    waiting[waiting.first] = nil
    waiting.first = waiting.first + 1
  end
  return waiting[waiting.first]
end

local function watch(self, waiting)
  local write = first_waiting(self, waiting)
  while write and write.till <= native.now() do
    late(self, write)
    write = first_waiting(self, waiting)
  end
  waiting.timer = write and weir.after(math.max(write.till - native.now(), 0.001), function()
    watch(self, waiting)
  end)
end

local function await_confirmation(self, write)
  local handlers = self._handlers
  handlers.waiting = handlers.waiting or { first = 1, last = 0 }
  local waiting = handlers.waiting
  first_waiting(self, waiting)
  write.till = native.now() + native.seconds(handlers.confirm)
  waiting.last = waiting.last + 1
  waiting[waiting.last] = write
  if not waiting.timer then
    watch(self, waiting)
  end
end

---------------------------------------------------------------------------------------------------
-- Writes

local function append_optimistically(self, event, level)
  event.headers.txid = event.txid or weir.uuid()
  local write = { number = pend(self, event, level + 1), event = event }
  local ok, offset = pcall(native.append, self, event)
  if not ok then
    roll_back(self, { write }, offset)
    error(offset, 0)
  end
  await_confirmation(self, write)
  return offset, event.txid
end

-- What an update or delete is about to replace, as the RFC's StateStream writes it.
local function old_value_of(self, operation, kind, key)
  if operation == "update" or operation == "delete" then
    return self.state:get(kind, key)
  end
end

-- Optimistic writes (options.optimistic, or the stream's option of that name) are seen in the state at once, and
-- onChange handlers are called with event.optimistic = true; they give their txid, too. One whose append fails, or that
-- does not come back within limits.confirm, is rolled back: see onRollback.
events.add_changes(StateStream, function(self, operation, kind, key, value, options)
  local headers, said = write_options(options, operation, 2)
  local event = events.checked(operation, kind, key, value, nil, headers, operation, 2)
  if said.old_value == nil then
    event.old_value = old_value_of(self, operation, kind, key)
  else
    event.old_value = said.old_value or nil -- false: none
  end
  local mutation = self._handlers.mutation
  if mutation then -- of an action's onMutate: to be seen, and not to be sent
    mutation[#mutation + 1] = { number = pend(self, event, 2), event = event }
    return nil
  end
  local optimistic = said.optimistic
  if optimistic == nil then
    optimistic = self._handlers.optimistic
  end
  if optimistic then
    return append_optimistically(self, event, 2)
  end
  return native.append(self, event)
end)

---Calls fn(rollback, state) when optimistic writes were undone: rollback.error says why, rollback.events are they,
---rollback.txid is their transaction.
---@param fn fun(rollback: { error: any, events: weir.ChangeEvent[], txid: string? }, state: weir.State)
function StateStream:onRollback(fn)
  check_self(self, "onRollback", 2)
  if type(fn) ~= "function" then
    error("onRollback: expected a function, got " .. show(fn), 2)
  end
  table.insert(self._handlers.rollback, fn)
  native.watch(self, "rollback")
end

---------------------------------------------------------------------------------------------------
-- Actions, as those of the published package's StreamDB

-- Runs onMutate: what it writes goes on top of the state. The writes; raises what it raised, with none of them left.
local function mutate(self, onMutate, ...)
  local handlers = self._handlers
  local writes, outer = {}, handlers.mutation
  handlers.mutation = writes
  local ok, err = native.atOnce(onMutate, ...)
  handlers.mutation = outer
  if not ok then
    roll_back(self, writes, err)
    error(err, 0)
  end
  return writes
end

-- The writes of an action that succeeded: what came of them is in the state by now, or on its way.
local function settle(self, writes)
  for i = #writes, 1, -1 do
    unpend(self, writes[i].number, writes[i].event)
  end
end

local function action(self, definition)
  return function(...)
    local writes = definition.onMutate and mutate(self, definition.onMutate, ...) or {}
    local results = table.pack(pcall(definition.mutationFn, ...))
    if not results[1] then
      roll_back(self, writes, results[2])
      error(results[2], 0)
    end
    settle(self, writes)
    return table.unpack(results, 2, results.n)
  end
end

local function check_definition(name, definition)
  if type(name) ~= "string" or type(definition) ~= "table" or type(definition.mutationFn) ~= "function"
    or definition.onMutate ~= nil and type(definition.onMutate) ~= "function" then
    error(("weir.stream: actions: %s: expected { onMutate = function, mutationFn = function }"):format(
      type(name) == "string" and name or show(name)), 0)
  end
end

-- The functions that the option `actions` defines; given: a function of { stream =, db =, state = }, or what it gives.
function native.makeActions(self, given)
  if type(given) == "function" then
    given = given { stream = self, db = self, state = self.state }
    if type(given) ~= "table" then
      error("weir.stream: actions: expected the function to return a table, got " .. show(given), 0)
    end
  end
  local actions = {}
  for name, definition in pairs(given) do
    check_definition(name, definition)
    actions[name] = action(self, definition)
  end
  return actions
end
