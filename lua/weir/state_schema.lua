-- What a script says about the values of a stream: weir.defineStreamSchema, weir.createStateSchema and the older
-- weir.defineSchema; and the one form in which the rest of weir has them.

local _, weir = ...
local show = weir._options.show
local types_of = weir._schemaTypes
local events, keys, schemas = weir._state.events, weir._state.keys, weir._state.schemas

-- The form: { types = { name = schema }, indexes = { name = fields }, makers = { name = maker } } of a stream schema,
-- or { single = schema, maker = maker } of the schema of one type. Every type that is named has a maker, not every one
-- a schema. A maker is { make = function, what = text, given = boolean }: see state_key.lua; given: the script said
-- how.
local forms = setmetatable({}, { __mode = "k" }) -- of what createStateSchema and defineSchema returned

local function maker_of(source)
  local make, what = keys.by(source == nil and "id" or source)
  return make and { make = make, what = what, given = source ~= nil }
end

local function is_schema(value)
  return type(value) == "table" and type(value["~standard"]) == "table"
end

---------------------------------------------------------------------------------------------------
-- Checking values

-- The path of an issue as weir writes it. Standard Schema also has lists of names and of { key = name }.
local function path_text(path)
  if type(path) ~= "table" then
    return path == nil and "" or tostring(path)
  end
  local text = ""
  for _, part in ipairs(path) do
    local name = type(part) == "table" and part.key or part
    if math.type(name) == "integer" then
      text = ("%s[%d]"):format(text, name)
    else
      text = text .. (text == "" and "" or ".") .. tostring(name)
    end
  end
  return text
end

-- Nothing where the value fits, otherwise its issues: an array of { path, message, value }.
function schemas.issues(schema, value)
  local result = schema["~standard"].validate(value)
  if type(result) ~= "table" then
    return { { path = "", message = ("its schema's validate returned %s: expected a table"):format(show(result)) } }
  elseif result.issues == nil then
    return nil
  end
  local issues = {}
  for i, issue in ipairs(result.issues) do
    issues[i] = { path = path_text(issue.path), message = tostring(issue.message), value = issue.value }
  end
  return issues[1] and issues or { { path = "", message = "Unknown validation error" } }
end

-- A path inside a member.
function schemas.inside(member, path)
  return (path == "" or path:sub(1, 1) == "[") and member .. path or member .. "." .. path
end

-- The issues in one line.
function schemas.text(issues, separator)
  local texts = {}
  for i, issue in ipairs(issues) do
    texts[i] = issue.path == "" and issue.message or issue.path .. ": " .. issue.message
  end
  return table.concat(texts, separator or "; ")
end

---------------------------------------------------------------------------------------------------
-- weir.defineStreamSchema

local function get_key_mistake(get_key, types)
  if type(get_key) ~= "table" then
    return ("getKey: expected { name = function, ... }, got %s"):format(show(get_key))
  end
  for kind, source in pairs(get_key) do
    if not types[kind] then
      return ("getKey.%s: there is no such type"):format(tostring(kind))
    elseif not keys.by(source) then
      return ("getKey.%s: expected %s, got %s"):format(kind, keys.EXPECTED, show(source))
    end
  end
end

-- What is wrong with a stream schema, or nothing.
local function stream_schema_mistake(config)
  local mistake = types_of.mistake(type(config) == "table" and config.types)
  if mistake then
    return mistake
  end
  for name in pairs(config) do
    if name ~= "types" and name ~= "getKey" then
      return ("unknown member '%s': expected types or getKey"):format(tostring(name))
    end
  end
  return config.getKey ~= nil and get_key_mistake(config.getKey, config.types) or nil
end

-- A defineSchema among the types is as good as the weir.schema that it was made to.
local function unwrapped(schema)
  local form = schema and forms[schema]
  return form and form.single or schema
end

local function stream_form(config)
  local form = { types = {}, indexes = {}, makers = {} }
  for kind, declared in pairs(config.types) do
    local schema, index = types_of.parts(declared)
    form.types[kind] = unwrapped(schema)
    form.indexes[kind] = index
    form.makers[kind] = maker_of(config.getKey and config.getKey[kind])
  end
  return form
end

---Names the types that a stream carries, each with the schema of its values, or with { schema =, index = }: index
---names the fields that state:where finds entities by without a look at all. getKey says, for a type, what makes the
---key of a change that carries none: a function of its value (for a delete, of old_value), the name of a field, or a
---list of such names; default: the field id.
---@alias weir.StreamType weir.Schema|{ schema: weir.Schema?, index: string[]? }
---@alias weir.KeySource string|string[]|fun(value: any): string?
---@param config { types: table<string, weir.StreamType>, getKey: table<string, weir.KeySource>? }
---@return { types: table<string, weir.StreamType>, getKey: table<string, weir.KeySource>? }
function weir.defineStreamSchema(config)
  local mistake = stream_schema_mistake(config)
  if mistake then
    error("defineStreamSchema: " .. mistake, 2)
  end
  return config
end

---------------------------------------------------------------------------------------------------
-- weir.createStateSchema

---One collection of a state schema, with what makes events of its type. A key that is not given is made of the value by
---primaryKey. Values that do not fit the schema are refused.
---@class weir.Collection
---@field schema weir.Schema
---@field type string the type of its events
---@field primaryKey string|string[]|fun(value: any): string
---@field insert fun(params: { key: string?, value: any, headers: table? }): weir.ChangeEvent
---@field update fun(params: { key: string?, value: any, oldValue: any, headers: table? }): weir.ChangeEvent
---@field upsert fun(params: { key: string?, value: any, oldValue: any, headers: table? }): weir.ChangeEvent
---@field patch fun(params: { key: string?, value: any, oldValue: any, headers: table? }): weir.ChangeEvent
---@field delete fun(params: { key: string?, oldValue: any, headers: table? }): weir.ChangeEvent

local PARAMS = {
  insert = { key = true, value = true, headers = true },
  update = { key = true, value = true, oldValue = true, headers = true },
  delete = { key = true, oldValue = true, headers = true },
}
PARAMS.upsert, PARAMS.patch = PARAMS.update, PARAMS.update

local function check_params(params, operation, where, level)
  if type(params) ~= "table" then
    error(("%s: expected a table { value = ..., key = ... }, got %s"):format(where, show(params)), level + 1)
  end
  for name in pairs(params) do
    if not PARAMS[operation][name] then
      error(("%s: unknown member '%s': expected key, value, oldValue or headers"):format(where, tostring(name)),
        level + 1)
    end
  end
end

-- A patch is not held to the schema: only what it leaves can be.
local function check_values(collection, operation, params, level)
  local issues = operation ~= "delete" and operation ~= "patch" and schemas.issues(collection.schema, params.value)
  if issues then
    error(("Validation failed for %s %s: %s"):format(collection.type, operation, schemas.text(issues, ", ")), level + 1)
  end
  issues = params.oldValue ~= nil and schemas.issues(collection.schema, params.oldValue)
  if issues then
    error(("Validation failed for %s %s (oldValue): %s"):format(collection.type, operation,
      schemas.text(issues, ", ")), level + 1)
  end
end

local NEEDED = {
  delete = "Cannot create %s delete event: must provide either 'key' or 'oldValue' with %s",
  any = "Cannot create %s %s event: must provide either 'key' or a value with %s",
}

-- The key that was given, or the one that the value makes.
local function key_of(collection, operation, params, maker, level)
  local key, mistake
  if params.key ~= nil then
    key, mistake = keys.text(params.key)
    mistake = mistake and "key: " .. mistake
  elseif operation == "delete" then
    key, mistake = maker.make(params.oldValue)
  else
    key, mistake = maker.make(params.value)
  end
  if key then
    return key
  end
  local text = operation == "delete" and NEEDED.delete:format(collection.type, maker.what)
    or NEEDED.any:format(collection.type, operation, maker.what)
  error(mistake and ("%s (%s)"):format(text, mistake) or text, level + 1)
end

-- schema.users.insert and its like; schema.users:insert is taken, too.
local function helper(name, collection, operation, maker)
  local where = name .. "." .. operation
  return function(params, second)
    if params == collection then
      params = second
    end
    check_params(params, operation, where, 2)
    check_values(collection, operation, params, 2)
    if params.value == nil and operation ~= "delete" then
      error(where .. ": value is missing (weir.null is a value)", 2)
    end
    local key = key_of(collection, operation, params, maker, 2)
    local headers = events.checked_headers(operation, params.headers, false, where, 2)
    return events.change(collection.type, key, params.value, params.oldValue, headers)
  end
end

local RESERVED = { collections = true, preload = true, close = true, utils = true, actions = true }

local function sorted_names(collections)
  local names = {}
  for name in pairs(collections) do
    if type(name) ~= "string" or name == "" then
      return nil, ("expected names of collections, got %s"):format(show(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- What is wrong with one collection, or nothing.
local function collection_mistake(name, definition)
  if type(definition) ~= "table" then
    return ("%s: expected { schema = ..., type = ..., primaryKey = ... }, got %s"):format(name, show(definition))
  elseif not is_schema(definition.schema) then
    return ("%s.schema: expected a schema (weir.schema...), got %s"):format(name, show(definition.schema))
  elseif definition.type ~= nil and (type(definition.type) ~= "string" or definition.type == "") then
    return ("%s.type: expected a non-empty string, got %s"):format(name, show(definition.type))
  elseif definition.primaryKey ~= nil and not keys.by(definition.primaryKey) then
    return ("%s.primaryKey: expected %s, got %s"):format(name, keys.EXPECTED, show(definition.primaryKey))
  end
  local index = definition.index and types_of.mistake { [name] = { index = definition.index } }
  return index and (index:gsub("^types%.", ""))
end

-- What is wrong with the collections, or nothing.
local function state_schema_mistake(collections, names)
  local by_type = {}
  for _, name in ipairs(names) do
    if RESERVED[name] then
      return ('Reserved collection name "%s" - it is a name of the StreamDB itself (actions, close, collections, '
        .. "preload, utils)"):format(name)
    end
    local mistake = collection_mistake(name, collections[name])
    if mistake then
      return mistake
    end
    local kind = collections[name].type or name
    if by_type[kind] then
      return ('Duplicate event type "%s" - used by both "%s" and "%s" collections'):format(kind, by_type[kind], name)
    end
    by_type[kind] = name
  end
end

---Declares collections, each with the type of its events, the schema of its values and what makes its keys, and gives
---each the functions that make events: schema.users.insert { value = ... } and so on. It stands wherever a stream
---schema does.
---
---    schema      the schema of its values
---    type        the type of its events; default: the collection's name
---    index       names of fields that state:where finds entities by
---    primaryKey  what a key is made of that is not given: the name of a field, a list of such names, or a function of
---                the value; default: "id"
---@param collections table<string, { schema: weir.Schema, type: string?, primaryKey: string|string[]|function|nil }>
---@return table<string, weir.Collection>
function weir.createStateSchema(collections)
  if type(collections) ~= "table" then
    error("createStateSchema: expected { name = { schema = ..., type = ..., primaryKey = ... }, ... }, got "
      .. show(collections), 2)
  end
  local names, mistake = sorted_names(collections)
  mistake = mistake or state_schema_mistake(collections, names)
  if mistake then
    error("createStateSchema: " .. mistake, 2)
  end
  local result, form = {}, { types = {}, indexes = {}, makers = {} }
  for _, name in ipairs(names) do
    local collection = {}
    for member, value in pairs(collections[name]) do
      collection[member] = value
    end
    collection.type = collection.type or name
    local maker = maker_of(collection.primaryKey)
    collection.primaryKey = collection.primaryKey or "id"
    for operation in pairs(events.OPERATIONS) do
      collection[operation] = helper(name, collection, operation, maker)
    end
    result[name] = collection
    form.types[collection.type] = unwrapped(collection.schema)
    form.indexes[collection.type] = collection.index or {}
    form.makers[collection.type] = maker
  end
  forms[result] = form
  return result
end

---------------------------------------------------------------------------------------------------
-- weir.defineSchema, of the RFC's first form

local COLUMN_TYPES = {
  string = function(s) return s.string() end,
  number = function(s) return s.number() end,
  integer = function(s) return s.integer() end,
  boolean = function(s) return s.boolean() end,
  datetime = function(s) return s.datetime() end,
  object = function(s) return s.record(s.any()) end,
  array = function(s) return s.array(s.any()) end,
  any = function(s) return s.any() end,
}

local COLUMN_MEMBERS = { type = true, nullable = true, default = true, primaryKey = true }

local function column_mistake(name, column)
  if type(name) ~= "string" then
    return ("expected names of columns, got %s"):format(show(name))
  elseif type(column) ~= "table" then
    return ("%s: expected { type = ... }, got %s"):format(name, show(column))
  elseif column.type ~= nil and not COLUMN_TYPES[column.type] then
    return ("%s.type: expected string, number, integer, boolean, datetime, object, array or any, got %s"):format(name,
      show(column.type))
  end
  for member in pairs(column) do
    if not COLUMN_MEMBERS[member] then
      return ("%s: unknown member '%s': expected type, nullable, default or primaryKey"):format(name, tostring(member))
    end
  end
end

local function column_schema(column)
  local schema = COLUMN_TYPES[column.type or "any"](weir.schema)
  if column.nullable or column.default ~= nil then
    return schema:nullable():optional()
  end
  return schema
end

-- The columns that say primaryKey = true, in byte order; nil where none does.
local function marked_columns(columns)
  local names = {}
  for name, column in pairs(columns) do
    if column.primaryKey then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names[1] and names or nil
end

---The schema of one type as a list of columns, as the RFC's first form has it. A column must be there and not null,
---unless it is nullable or has a default.
---@param columns table<string, { type: string?, nullable: boolean?, default: any, primaryKey: boolean? }>
---@param primaryKey? string|string[] default: the columns that say so, or "id"
---@return { columns: table, primaryKey: string|string[] }
function weir.defineSchema(columns, primaryKey)
  if type(columns) ~= "table" then
    error("defineSchema: expected { name = { type = ... }, ... }, got " .. show(columns), 2)
  end
  local fields = {}
  for name, column in pairs(columns) do
    local mistake = column_mistake(name, column)
    if mistake then
      error("defineSchema: " .. mistake, 2)
    end
    fields[name] = column_schema(column)
  end
  primaryKey = primaryKey or marked_columns(columns)
  local maker = maker_of(primaryKey)
  if not maker then
    error(("defineSchema: primaryKey: expected %s, got %s"):format(keys.EXPECTED, show(primaryKey)), 2)
  end
  local single = weir.schema.object(fields)
  local result = { columns = columns, primaryKey = primaryKey or "id", ["~standard"] = single["~standard"] }
  forms[result] = { single = single, maker = maker }
  return result
end

---------------------------------------------------------------------------------------------------
-- What the rest of weir has of them

-- The form of a state schema, a stream schema or the schema of one type. Nothing and what is wrong where it is none.
function schemas.form(schema)
  if type(schema) == "table" and forms[schema] then
    return forms[schema]
  elseif is_schema(schema) then
    return { single = schema, maker = maker_of(nil) }
  end
  local mistake = stream_schema_mistake(schema)
  if mistake then
    return nil, mistake
  end
  return stream_form(schema)
end

-- The schema of a type's values and its maker. The first is nil where nothing was said about the type.
function schemas.of_type(form, kind)
  if form.single then
    return form.single, form.maker
  end
  return form.types[kind], form.makers[kind]
end

-- The form of a schema that was given to `where`. Raises `level` functions above this one.
function schemas.form_or_raise(schema, where, level)
  local form, mistake = schemas.form(schema)
  if not form then
    error(("%s: schema: %s"):format(where, mistake), level + 1)
  end
  return form
end
