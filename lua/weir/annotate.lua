-- `weir types`: what a script declares as annotations for lua-language-server. The classes of its entities come from
-- their schemas; handlers get them by overloads that are told apart by the name of the type:
--
--     room:onChange("messages", function(state, event) ... event.value. ... end)
--
-- What weir itself has is annotated in types/weir.lua. Names of classes are known to all files of a folder. So each
-- overload is written twice: for weir.StateStream, where a script needs no line for it and types of the same name in
-- other scripts are mixed in, and for a class of that one stream.

local _, weir = ...
local types = weir._types
local native = weir._schema

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local PLAIN = { string = "string", number = "number", integer = "integer", boolean = "boolean", any = "any" }

-- What the text of a column is in Lua, where that is known before and after it was read.
local COLUMN_TEXT = { text = true, varchar = true, bpchar = true, name = true, uuid = true, numeric = true }

-- A string as a literal type; nothing where it cannot be written as one.
local function literal(text)
  return not text:find '["\\%c]' and '"' .. text .. '"' or nil
end

local function class_part(name)
  return (name:gsub("[^%w_]", "_"):gsub("^%d", "_%0"))
end

-- A name for a class that no other has: `name`, or with a number behind it.
local function unused(out, name)
  local free, number = name, 1
  while out.used[free] do
    number = number + 1
    free = name .. "_" .. number
  end
  out.used[free] = true
  return free
end

local function write(out, text, ...)
  if text then
    out[#out + 1] = select("#", ...) > 0 and text:format(...) or text
  end
end

---------------------------------------------------------------------------------------------------------------
-- Schemas

local type_of

local function in_brackets(expression)
  return expression:find "|" and "(" .. expression .. ")" or expression
end

local function either(parts)
  local seen, kept = {}, {}
  for _, part in ipairs(parts) do
    if part == "any" then
      return "any"
    elseif not seen[part] then
      seen[part] = true
      kept[#kept + 1] = part
    end
  end
  return table.concat(kept, "|")
end

local function type_of_value(value)
  if value == weir.null then
    return "weir.Null"
  elseif type(value) == "string" then
    return literal(value) or "string"
  elseif type(value) == "boolean" or math.type(value) == "integer" then
    return tostring(value)
  end
  return "number"
end

local function type_of_enum(def)
  local parts = {}
  for i, value in ipairs(def.values) do
    parts[i] = type_of_value(value)
  end
  return either(parts)
end

local function comment(text)
  return text and " " .. text:gsub("%s+", " ") or ""
end

-- Where a field can be written at all, its line.
local function write_field(lines, name, optional, expression, description)
  local written = name
  if not name:find "^[%a_][%w_]*$" or KEYWORDS[name] then
    local quoted = literal(name)
    if not quoted then
      return
    end
    written = "[" .. quoted .. "]"
  end
  lines[#lines + 1] = ("---@field %s%s %s%s"):format(written, optional and "?" or "", expression, comment(description))
end

local function is_optional(schema)
  local def = rawget(schema, "_def")
  return def.optional or def.kind == "lazy" and is_optional(def.get())
end

-- The class of an object, which is written once, however often the schema is used.
local function class_of_object(out, def, name, description)
  local known = out.classes[def.fields]
  if known then
    return known
  end
  local class = unused(out, name)
  out.classes[def.fields] = class
  local lines = {}
  for _, field_name in ipairs(native.kit.sorted(def.fields)) do
    local field = def.fields[field_name]
    local expression = type_of(out, field, class .. "." .. class_part(field_name))
    write_field(lines, field_name, is_optional(field), expression, rawget(field, "_def").description)
  end
  if description then
    write(out, "---%s", comment(description):sub(2))
  end
  write(out, "---@class %s", class)
  write(out, table.concat(lines, "\n") .. (#lines > 0 and "\n" or ""))
  return class
end

local function is_parser(schema)
  local metatable = getmetatable(schema)
  return type(metatable) == "table" and metatable.__name == "weir.parser"
end

-- The columns of a weir.parser. Those that are not text are so only in what parser:row has read.
local function class_of_row(out, parser, name)
  local class = unused(out, name)
  write(out, "---@class %s", class)
  local lines = {}
  for _, column_name in ipairs(native.kit.sorted(parser.columns)) do
    local column = parser.columns[column_name]
    local kind = type(column) == "table" and not (column.dims and column.dims ~= 0) and column.type or column
    local expression = COLUMN_TEXT[kind] and "string" or "any"
    if expression == "string" and not (type(column) == "table" and column.not_null == true) then
      expression = "string|weir.Null"
    end
    write_field(lines, column_name, false, expression)
  end
  write(out, table.concat(lines, "\n") .. (#lines > 0 and "\n" or ""))
  return class
end

local function type_of_options(out, def, name)
  local parts = {}
  for i, option in ipairs(def.options) do
    parts[i] = type_of(out, option, name)
  end
  return either(parts)
end

local EXPRESSIONS = {
  union = type_of_options,
  tagged = type_of_options,
  tuple = function()
    return "any[]"
  end,
  enum = function(_, def)
    return type_of_enum(def)
  end,
  array = function(out, def, name)
    return in_brackets(type_of(out, def.item, name)) .. "[]"
  end,
  record = function(out, def, name)
    return ("table<string, %s>"):format(type_of(out, def.item, name))
  end,
  lazy = function(out, def, name)
    local target = def.get()
    if out.within[target] then -- an object has a name by then, which ends it
      return "any"
    end
    out.within[target] = true
    local expression = type_of(out, target, name)
    out.within[target] = nil
    return expression
  end,
  object = function(out, def, name)
    return class_of_object(out, def, name, def.description)
  end,
}

-- The type that values of a schema have. name: of the class, where it becomes one.
function type_of(out, schema, name)
  if getmetatable(schema) ~= native.metatable then
    return is_parser(schema) and class_of_row(out, schema, name) or "any"
  end
  local def = rawget(schema, "_def")
  local write_it = EXPRESSIONS[def.kind]
  local expression = write_it and write_it(out, def, name) or PLAIN[def.kind] or "any"
  return def.nullable and either { expression, "weir.Null" } or expression
end

---------------------------------------------------------------------------------------------------------------
-- Streams

-- The functions that know the types of a stream, with what stands in their overloads: {type} its name, {value} its
-- entity, {maybe} that or nil, {list} an array of them, {change} its event, {state}, {self}.
local STATE = {
  { "get(type, key)", "type: {type}, key: string", "{maybe}" },
  { "rows(type)", "type: {type}", "{list}" },
  { "where(type, fields)", "type: {type}, fields: table<string, string|number|boolean|weir.Null>", "{list}" },
  { "each(type)", "type: {type}", "fun(): string, {value}" },
}

local ON_CHANGE = "fun(state: {state}, event: {change})"
local VALIDATE = "fun(event: {change}, state: {state}): boolean?, string?"
local WRITE = "type: {type}, key: string, value: {value}, headers?: weir.Headers"

local STREAM = {
  { "onChange(type, fn, options)", "type: {type}, fn: " .. ON_CHANGE .. ", options?: weir.HandlerOptions" },
  { "validate(type, fn)", "type: {type}, fn: " .. VALIDATE },
  { "insert(type, key, value, headers)", WRITE, "string" },
  { "update(type, key, value, headers)", WRITE, "string" },
  { "upsert(type, key, value, headers)", WRITE, "string" },
}

-- Of the class of one stream alone: there, the name of another type is a mistake.
local STATE_ALONE = {
  { "has(type, key)", "key string", "boolean" },
  { "json(type, key)", "key string", "string?" },
  { "keys(type)", nil, "string[]" },
}

local STREAM_ALONE = {
  { "patch(type, key, value, headers)", "key string\n---@param value table\n---@param headers? weir.Headers",
    "string" },
  { "delete(type, key, headers)", "key string\n---@param headers? weir.Headers", "string" },
}

local function fill(template, entity, names)
  return (template:gsub("{(%l+)}", function(name)
    return names[name] or entity[name]
  end))
end

-- names: self, state and change (a field of an entity); any (all changes), where fn may stand without a type.
local function write_functions(out, functions, entities, names)
  for _, each in ipairs(functions) do
    local without_type = names.any and each[2]:match "fn: (.*)"
    if without_type then
      write(out, fill("---@overload fun(self: {self}, fn: " .. without_type .. ")", {},
        { self = names.self, state = names.state, change = names.any }))
    end
    for _, entity in ipairs(entities) do
      local result = each[3] and ": " .. each[3] or ""
      write(out, fill("---@overload fun(self: {self}, " .. each[2] .. ")" .. result, entity,
        { self = names.self, state = names.state, change = entity[names.change] }))
    end
    write(out, "function class:" .. each[1] .. " end\n")
  end
end

local function write_alone(out, functions, type_name)
  for _, each in ipairs(functions) do
    write(out, "---@param type %s", type_name)
    write(out, each[2] and "---@param " .. each[2] or nil)
    write(out, "---@return %s", each[3])
    write(out, "function class:" .. each[1] .. " end\n")
  end
end

local function write_class(out, class, parent)
  write(out, "---@class %s%s", class, parent and ": " .. parent or "")
end

local function write_change(out, class, entity)
  write_class(out, class, "weir.Change")
  write(out, "---@field type %s", entity.type)
  for _, field in ipairs { "value", "old", "new", "old_value" } do
    write(out, "---@field %s? %s", field, entity.value)
  end
  write(out, "")
end

-- The types of a stream that have a schema and a name that can be written.
local function entities_of(out, prefix, schemas)
  local entities = {}
  for _, name in ipairs(native.kit.sorted(schemas)) do
    local quoted = literal(name)
    if quoted then
      local part = class_part(name)
      local value = type_of(out, schemas[name], prefix .. "." .. part)
      entities[#entities + 1] = {
        type = quoted,
        value = value,
        maybe = value == "any" and "any" or in_brackets(value) .. "?",
        list = in_brackets(value) .. "[]",
        shared = "weir.change." .. part,
        own = unused(out, prefix .. "." .. part .. ".Change"),
      }
    end
  end
  return entities
end

-- For weir.StateStream and weir.State themselves.
local function write_shared(out, entities)
  local names = { state = "weir.State", change = "shared" }
  for _, entity in ipairs(entities) do
    write_change(out, entity.shared, entity)
  end
  write_class(out, "weir.State")
  write(out, "local class = {}\n")
  names.self = "weir.State"
  write_functions(out, STATE, entities, names)
  write_class(out, "weir.StateStream")
  write(out, "local class = {}\n")
  names.self = "weir.StateStream"
  write_functions(out, STREAM, entities, names)
end

-- For a class of this stream.
local function write_own(out, class, entities)
  local state, type_name = unused(out, class .. ".State"), unused(out, class .. ".Type")
  local names = { state = state, change = "own" }
  local types_of, changes = {}, {}
  for i, entity in ipairs(entities) do
    write_change(out, entity.own, entity)
    types_of[i], changes[i] = entity.type, entity.own
  end
  write(out, "---@alias %s %s\n", type_name, table.concat(types_of, "|"))
  write_class(out, state, "weir.State")
  write(out, "local class = {}\n")
  names.self = state
  write_functions(out, STATE, entities, names)
  write_alone(out, STATE_ALONE, type_name)
  write_class(out, class, "weir.StateStream")
  write(out, "---@field state %s", state)
  write(out, "local class = {}\n")
  names.self, names.any = class, table.concat(changes, "|")
  write_functions(out, STREAM, entities, names)
  write_alone(out, STREAM_ALONE, type_name)
  write(out, "---@param fn fun(state: %s)", state)
  write(out, "function class:onUpToDate(fn) end\n")
end

local function write_head(out, script, class)
  write(out, [[
---@meta _
---@diagnostic disable: duplicate-doc-field, duplicate-set-field, redefined-local
-- What %s declares, for lua-language-server. Made by `weir types`: make it again when a schema has changed.
--
-- Handlers know their types by this file alone. Where other scripts of the folder have types of the same names, say
-- below the declaration of a stream which one it is; that also underlines names of types that it does not have:
--
--     ---@cast NAME %s
]], script:match "[^/]+$", class)
end

-- The annotations for the streams of a script, or nothing where none of them has a schema.
local function annotate(script, streams)
  local prefix = class_part(script:match "([^/]+)$":gsub("%.lua$", ""))
  local body, all, first = { used = {}, classes = {}, within = {} }, {}, nil
  for i, stream in ipairs(streams) do
    local schemas = stream._handlers.schemas
    local entities = schemas and entities_of(body, prefix, schemas) or {}
    if #entities > 0 then
      local name = stream.name ~= stream.url and class_part(stream.name) or "stream" .. (i > 1 and i or "")
      local class = unused(body, prefix .. "." .. name)
      first = first or class
      write_own(body, class, entities)
      table.move(entities, 1, #entities, #all + 1, all)
    end
  end
  if not first then
    return nil
  end
  write_shared(body, all)
  local out = {}
  write_head(out, script, first)
  return table.concat(out, "\n") .. "\n" .. table.concat(body, "\n")
end

types.writer(annotate)
