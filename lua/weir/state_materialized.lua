-- weir.MaterializedState: what events add up to, without a stream; for prototypes and tests. The entities are in a
-- native store (engine/script/api_materialized.c).

local _, weir = ...
local native = weir._materialized
local show = weir._options.show
local json = weir.json
local items, schemas, states = weir._state.items, weir._state.schemas, weir._state.states

---A state that events are applied to. size, typeCount, data, rows and types are looked up anew each time.
---@class weir.Materialized
---@field size integer how many entities there are, of all types
---@field typeCount integer how many types have been seen
---@field data table { type = { key = value } }; where no event had a type, { key = value }
---@field rows any[] all values, in the order in which their keys came
---@field types string[] the types that have been seen, the first seen first
local State = {}

-- state -> what is behind it: core, form, keyFn, defaultType, listeners; types, in the order in which they were seen,
-- and seen, a set of them; typed: some event had a type of its own.
local parts_of = setmetatable({}, { __mode = "k" })

local function check_self(self, name, level)
  local parts = parts_of[self]
  if not parts then
    error(("%s: called on %s: write state:%s(...) with a colon"):format(name, show(self), name), level or 3)
  end
  return parts
end

---Applies an event: a table, JSON text, or what a handler got. insert, update and upsert store the value, patch merges
---it into what is stored, delete removes; the control reset forgets everything, other controls change nothing. Raises
---where it is no event, or does not fit the schema: then nothing has changed. What a listener raises is raised, too,
---when the change has been made and all listeners have been told.
---@param event table|string|weir.Event
function State:apply(event)
  check_self(self, "apply")
  local mistake = states.apply(self, event)
  if mistake then
    error("apply: " .. mistake, 2)
  end
end

---Applies events in their order. They are all looked at first: where one is no event, or does not fit the schema, it
---raises and none is applied. (A patch is held to the schema by what it leaves, so when its turn comes.) An error of a
---listener does not keep the others from being applied: it is raised when they have been.
---@param batch table[]
function State:applyBatch(batch)
  local parts = check_self(self, "applyBatch")
  if type(batch) ~= "table" then
    error("applyBatch: expected a list of events, got " .. show(batch), 2)
  end
  local all = {}
  for i, event in ipairs(batch) do
    local item, mistake = items.read(parts, event)
    mistake = mistake or items.check_schema(parts, item)
    if mistake then
      error(("applyBatch: event %d: %s"):format(i, mistake), 2)
    end
    all[i] = item
  end
  local failure
  for i, item in ipairs(all) do
    local mistake = items.apply(parts, item)
    if mistake then
      error(("applyBatch: event %d: %s"):format(i, mistake), 2)
    end
    local raised = items.tell(parts, self, item)
    failure = failure or raised
  end
  if failure then
    error(failure[1], 0)
  end
end

---Calls fn(state, event) after each change has been applied, for one type or (without a type) for all, in the order in
---which they were added. The event is what was given to apply; where that was JSON text, a table.
---@param kind string|fun(state: weir.Materialized, event: weir.ChangeEvent) the type, or fn
---@param fn? fun(state: weir.Materialized, event: weir.ChangeEvent)
function State:onChange(kind, fn)
  local parts = check_self(self, "onChange")
  if fn == nil then
    kind, fn = nil, kind
  end
  if kind ~= nil and type(kind) ~= "string" then
    error(("onChange: type: expected a string, got %s"):format(show(kind)), 2)
  elseif type(fn) ~= "function" then
    error(("onChange: expected a function, got %s"):format(show(fn)), 2)
  end
  table.insert(parts.listeners, { type = kind, fn = fn })
end

---Forgets everything. Listeners are not told.
function State:clear()
  local parts = check_self(self, "clear")
  native.clear(parts.core)
  items.forget(parts)
end

---------------------------------------------------------------------------------------------------
-- Looking at it. Every value is a fresh one: changing it changes nothing else.

local function check_text(value, what, where)
  if type(value) ~= "string" then
    error(("%s: %s: expected a string, got %s"):format(where, what, show(value)), 4)
  end
end

-- The type that has the key: that of events without one, else the first of the others.
local function type_with(parts, key)
  if not native.has(parts.core, parts.defaultType, key) then
    for _, name in ipairs(parts.types) do
      if native.has(parts.core, name, key) then
        return name
      end
    end
  end
  return parts.defaultType
end

-- (type, key), or a key alone.
local function entity(self, where, ...)
  local parts = check_self(self, where, 4)
  local kind, key = ...
  if select("#", ...) < 2 then
    check_text(kind, "key", where)
    return parts.core, type_with(parts, kind), kind
  end
  check_text(kind, "type", where)
  check_text(key, "key", where)
  return parts.core, kind, key
end

---The value, or nil. A key alone is that of an event without a type; where there is none, it is looked for in all the
---types, the first seen first.
---@param kind string
---@param key string
---@return any
---@overload fun(self: weir.Materialized, key: string): any
function State:get(...)
  return native.get(entity(self, "get", ...))
end

---Whether there is a value, null included.
---@param kind string
---@param key string
---@return boolean
---@overload fun(self: weir.Materialized, key: string): boolean
function State:has(...)
  return native.has(entity(self, "has", ...))
end

---The value's JSON text, or nil.
---@param kind string
---@param key string
---@return string?
---@overload fun(self: weir.Materialized, key: string): string?
function State:json(...)
  return native.json(entity(self, "json", ...))
end

local function of_type(self, where, kind)
  local parts = check_self(self, where, 4)
  if kind == nil then
    kind = parts.defaultType
  end
  check_text(kind, "type", where)
  return parts.core, kind
end

---All values of a type by their keys; {} where it has none.
---@param kind? string default: the type of events without one
---@return table<string, any>
function State:getType(kind)
  return native.entries(of_type(self, "getType", kind))
end

---The keys of a type, in the order in which they came.
---@param kind? string default: the type of events without one
---@return string[]
function State:keys(kind)
  return native.keys(of_type(self, "keys", kind))
end

---How many entities of a type there are.
---@param kind? string default: the type of events without one
---@return integer
function State:count(kind)
  return native.count(of_type(self, "count", kind))
end

---For a loop over a type: for key, value in state:each("users") do. The keys are those of the start, each value is as
---it is at its turn, and what has gone meanwhile is passed over.
---@param kind? string default: the type of events without one
---@return fun(): string?, any
function State:each(kind)
  local core, name = of_type(self, "each", kind)
  local keys, i = native.keys(core, name), 0
  return function()
    while true do
      i = i + 1
      local key = keys[i]
      if key == nil then
        return nil
      end
      local value = native.get(core, name, key)
      if value ~= nil then
        return key, value
      end
    end
  end
end

-- Lists that can be called, so that state:rows("users") does what it does on a stream's state.

local function as_array(list)
  return json.encode(table.move(list, 1, #list, 1, json.array()))
end

local rows_meta = {
  __json = as_array,
  __call = function(_, state, kind)
    local parts = check_self(state, "rows")
    if kind ~= nil then
      check_text(kind, "type", "rows")
    end
    return native.rows(parts.core, kind or parts.types)
  end,
}

local types_meta = {
  __json = as_array,
  __call = function(_, state)
    return table.move(check_self(state, "types").types, 1, #parts_of[state].types, 1, json.array())
  end,
}

-- A type's name -> its entities; or, where no event had a type, a key -> its value.
local function data_of(parts)
  if not parts.typed then
    return native.entries(parts.core, parts.defaultType)
  end
  local data = {}
  for _, name in ipairs(parts.types) do
    data[name] = native.entries(parts.core, name)
  end
  return data
end

local properties = {
  size = function(parts) return native.count(parts.core) end,
  typeCount = function(parts) return #parts.types end,
  data = function(parts) return data_of(parts) end,
  rows = function(parts) return setmetatable(native.rows(parts.core, parts.types), rows_meta) end,
  types = function(parts) return setmetatable(table.move(parts.types, 1, #parts.types, 1, {}), types_meta) end,
}

local state_meta = {
  __name = "weir.MaterializedState",
  __index = function(state, name)
    local property = properties[name]
    if property then
      return property(parts_of[state])
    end
    return State[name]
  end,
  __newindex = function(_, name)
    error(("a state has no field '%s' that could be set"):format(tostring(name)), 2)
  end,
  __tostring = function(state)
    return ("weir.MaterializedState: %d entities"):format(state.size)
  end,
}

---------------------------------------------------------------------------------------------------
-- Making one

---@class weir.MaterializeOptions
---@field schema table? what values must fit: a schema of one type, or one that knows many
---@field keyFn? fun(event: weir.ChangeEvent): string? makes the key; nil: the event's own
---@field onChange? fun(state: weir.Materialized, event: weir.ChangeEvent) called after each change
---@field defaultType string? the type of events that have none; default: "default"

local OPTION_TYPES = { schema = "table", keyFn = "function", onChange = "function", defaultType = "string" }

local function check_options(options, where, level)
  if options ~= nil and type(options) ~= "table" then
    error(("%s: expected a table of options, got %s"):format(where, show(options)), level + 1)
  end
  for name, value in pairs(options or {}) do
    local expected = OPTION_TYPES[name]
    if not expected then
      error(("%s: unknown option '%s': expected one of defaultType, keyFn, onChange, schema"):format(where,
        tostring(name)), level + 1)
    elseif type(value) ~= expected then
      error(("%s: %s: expected a %s, got %s"):format(where, name, expected, show(value)), level + 1)
    end
  end
end

-- An empty state. Raises a mistake in the options `level` functions above this one.
local function new(options, where, level)
  check_options(options, where, level + 1)
  options = options or {}
  local default = options.defaultType or "default"
  local parts = {
    core = native.new(default),
    defaultType = default,
    form = options.schema and schemas.form_or_raise(options.schema, where, level + 1),
    keyFn = options.keyFn,
    listeners = { options.onChange and { fn = options.onChange } },
  }
  items.forget(parts)
  local state = setmetatable({}, state_meta)
  parts_of[state] = parts
  return state
end
states.new = new

-- Applies one event. Nothing, or what is wrong: then nothing has changed. Raises what a listener raises.
function states.apply(state, event)
  local parts = parts_of[state]
  local item, mistake = items.read(parts, event)
  mistake = mistake or items.check_schema(parts, item) or items.apply(parts, item)
  local failure = not mistake and items.tell(parts, state, item)
  if failure then
    error(failure[1], 0)
  end
  return mistake
end

---weir.MaterializedState(options), or weir.MaterializedState.new(options): an empty state.
---@class weir.MaterializedState
---@field new fun(options?: weir.MaterializeOptions): weir.Materialized
---@operator call(weir.MaterializeOptions?): weir.Materialized
local class = {}
weir.MaterializedState = setmetatable(class, {
  __call = function(_, options)
    return (new(options, "MaterializedState", 2))
  end,
})

function class.new(options, second)
  if options == class then -- weir.MaterializedState:new(options)
    options = second
  end
  return (new(options, "MaterializedState", 2))
end
