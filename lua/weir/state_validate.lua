-- weir.validateEvent and weir.createEventBuilder: all the reasons why something is no event, or does not fit a schema.

local _, weir = ...
local names, show = weir._options.names, weir._options.show
local decode = weir.json.decode
local events, schemas = weir._state.events, weir._state.schemas

---One reason why something is no event.
---@class weir.EventError
---@field path string "key", "headers.operation", "value.email"; "" is the event itself
---@field message string
---@field value any what is there; nil where it is missing

---@class weir.EventResult
---@field valid boolean
---@field errors weir.EventError[] empty where it is valid

local function add(errors, path, message, value)
  errors[#errors + 1] = { path = path, message = message, value = value }
end

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

local function add_issues(errors, member, issues)
  for _, issue in ipairs(issues or {}) do
    add(errors, schemas.inside(member, issue.path), issue.message, issue.value)
  end
end

-- What JSON cannot say cannot be written.
local function check_json(errors, member, value)
  if value ~= nil then
    add_issues(errors, member, schemas.issues(weir.schema.any(), value))
  end
end

-- The event's type, as far as a schema is looked for by it. known: it must be one that the form names.
local function check_type(errors, event, form, known)
  local kind = event.type
  if kind ~= nil and not is_text(kind) then
    add(errors, "type", ("Type must be a non-empty string, is %s"):format(show(kind)), kind)
  elseif form and form.makers and kind == nil and not form.makers.default then
    add(errors, "type", ("Type is required: expected one of %s"):format(names(form.makers)))
  elseif known and form.makers and not form.makers[kind or "default"] then
    add(errors, "type", ("Unknown type %s: expected one of %s"):format(show(kind), names(form.makers)), kind)
  end
  return kind == nil and "default" or kind
end

local function check_headers(errors, headers)
  for _, name in ipairs { "txid", "timestamp" } do
    local mistake = events.header_mistake(name, headers[name])
    if mistake then
      add(errors, "headers." .. name, mistake, headers[name])
    end
  end
end

-- A patch has a part of a value only, so it is not held to the schema; what it leaves is, when it is applied.
local function check_value(errors, event, operation, schema)
  local value = event.value
  if value == nil and operation ~= "delete" then
    add(errors, "value", ("Value required for %s"):format(operation))
  elseif schema and operation ~= "delete" and operation ~= "patch" then
    add_issues(errors, "value", schemas.issues(schema, value))
  else
    check_json(errors, "value", value)
  end
end

local function check_change(errors, event, form, known)
  local kind = check_type(errors, event, form, known)
  if event.key == nil or event.key == "" then
    add(errors, "key", "Key is required: expected a non-empty string", event.key)
  elseif type(event.key) ~= "string" then
    add(errors, "key", ("Key must be a non-empty string, is %s"):format(show(event.key)), event.key)
  end
  local operation = event.headers.operation
  if not events.OPERATIONS[operation] then
    local text = "Invalid operation: %s (expected insert, update, upsert, patch or delete)"
    add(errors, "headers.operation", text:format(show(operation)), operation)
  else
    local schema = form and type(kind) == "string" and schemas.of_type(form, kind) or nil
    check_value(errors, event, operation, schema)
  end
  check_json(errors, "old_value", event.old_value)
  check_headers(errors, event.headers)
end

local function check_control(errors, name, path, offset, offset_path)
  if not events.CONTROLS[name] then
    add(errors, path, ("Invalid control: %s (expected snapshot-start, snapshot-end, reset or up-to-date)"):format(
      show(name)), name)
  end
  if offset ~= nil and not is_text(offset) then
    add(errors, offset_path, ("Offset must be a non-empty string, is %s"):format(show(offset)), offset)
  end
end

-- An event as a table, whatever it came as. Nothing and what is wrong where it is none.
local function table_of(event)
  local text = event
  if events.is_native(event) then
    if event.operation then
      return { type = event.type, key = event.key, value = event.value, old_value = event.old_value,
        headers = event.headers }
    end
    text = event.text
  end
  if type(text) == "string" then
    local ok, value = pcall(decode, text)
    if not ok then
      return nil, tostring(value)
    end
    event = value
  end
  if type(event) ~= "table" then
    return nil, ("expected an event (a table), got %s"):format(show(event))
  end
  return event
end

-- All the reasons, in the order of the event's members.
local function reasons(event, form, known)
  local errors = {}
  local whole, mistake = table_of(event)
  if not whole then
    add(errors, "", mistake, event)
    return errors
  end
  local headers = whole.headers
  if type(headers) == "table" and headers.control ~= nil and headers.operation == nil then
    check_control(errors, headers.control, "headers.control", headers.offset, "headers.offset")
  elseif headers == nil and whole.key == nil and events.CONTROLS[whole.type] then
    check_control(errors, whole.type, "type", whole.offset, "offset")
  else
    if type(headers) ~= "table" then
      add(errors, "headers", ("Headers are required: expected a table with operation, got %s"):format(show(headers)),
        headers)
      whole = { type = whole.type, key = whole.key, value = whole.value, old_value = whole.old_value, headers = {} }
    end
    check_change(errors, whole, form, known)
  end
  return errors
end

---Whether an event (a table, JSON text, or what a handler got) is right: in its members, and, where a schema is given,
---in its value. The schema is that of one type, or one that knows many (defineStreamSchema, createStateSchema): then
---the event's type says which holds, and a type that it does not name passes, as on a stream.
---@param event any
---@param schema? table
---@return weir.EventResult
function weir.validateEvent(event, schema)
  local form = schema ~= nil and schemas.form_or_raise(schema, "validateEvent", 2) or nil
  local errors = reasons(event, form, false)
  return { valid = errors[1] == nil, errors = errors }
end

---------------------------------------------------------------------------------------------------
-- weir.createEventBuilder

---Of a schema with types its functions take the type first: builder.insert("users", "u1", { ... }). A key that is nil
---is made of the value, as the schema says. Each raises one error that names everything that is wrong.
---@class weir.EventBuilder
---@field insert fun(key: string?, value: any, options?: weir.EventOptions): weir.ChangeEvent
---@field update fun(key: string?, value: any, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent
---@field upsert fun(key: string?, value: any, options?: weir.EventOptions): weir.ChangeEvent
---@field patch fun(key: string?, value: any, options?: weir.EventOptions): weir.ChangeEvent
---@field delete fun(key: string?, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent

-- The key that the value makes; where it makes none, the check for a key says so.
local function made_key(form, kind, value)
  local _, maker = schemas.of_type(form, kind)
  if not maker then
    return nil
  end
  local ok, key = pcall(maker.make, value)
  return ok and key or nil
end

local function build(form, operation, kind, key, value, old_value, options)
  events.check_options(options, operation, 3)
  if key == nil then
    key = made_key(form, kind, value == nil and old_value or value)
  end
  local event = events.change(kind, key, value, old_value, events.headers(operation, options, true))
  local errors = reasons(event, form, true)
  if errors[1] then
    error(("Invalid %s event: %s"):format(operation, schemas.text(errors)), 3)
  end
  return event
end

-- What each function takes behind the type.
local SHAPES = {
  insert = function(key, value, options) return key, value, nil, options end,
  update = function(key, value, old_value, options) return key, value, old_value, options end,
  upsert = function(key, value, options) return key, value, nil, options end,
  patch = function(key, value, options) return key, value, nil, options end,
  delete = function(key, old_value, options) return key, nil, old_value, options end,
}

---Functions that make events which fit a schema: that of one type, or one that knows many.
---@param schema table
---@return weir.EventBuilder
function weir.createEventBuilder(schema)
  local form = schemas.form_or_raise(schema, "createEventBuilder", 2)
  local builder = {}
  for operation, shape in pairs(SHAPES) do
    builder[operation] = function(first, ...)
      if form.single then
        return (build(form, operation, nil, shape(first, ...)))
      end
      return (build(form, operation, first, shape(...)))
    end
  end
  return builder
end
