-- The types of a stream schema: what is wrong with what was said about them, and what it comes to. A type is its
-- schema, or { schema = ..., index = { "field", ... } }, both of them optional.

local _, weir = ...
local show = weir._options.show

local types = {}
weir._schemaTypes = types

local function is_schema(value)
  return type(value) == "table" and value["~standard"] ~= nil
end

-- Mistakes begin with where they are in the type.
local function index_mistake(index)
  if type(index) ~= "table" then
    return (".index: expected { \"field\", ... }, got %s"):format(show(index))
  end
  for i, field in pairs(index) do
    if math.type(i) ~= "integer" or i < 1 or i > #index or type(field) ~= "string" then
      return (".index: expected names of fields, got %s"):format(show(type(i) == "string" and i or field))
    end
  end
end

local function type_mistake(declared)
  if is_schema(declared) then
    return
  elseif type(declared) ~= "table" or next(declared) == nil then
    return (": expected a schema (weir.schema...) or { schema =, index = }, got %s"):format(show(declared))
  end
  for name in pairs(declared) do
    if name ~= "schema" and name ~= "index" then
      return (": unknown member '%s': expected schema or index"):format(tostring(name))
    end
  end
  if declared.schema ~= nil and not is_schema(declared.schema) then
    return (".schema: expected a schema (weir.schema...), got %s"):format(show(declared.schema))
  end
  return declared.index ~= nil and index_mistake(declared.index) or nil
end

-- What is wrong with { name = type, ... }, or nothing.
function types.mistake(declared)
  if type(declared) ~= "table" then
    return "expected { types = { name = schema, ... } }"
  end
  for name, of_type in pairs(declared) do
    if type(name) ~= "string" or name == "" then
      return ("types: expected names, got %s"):format(show(name))
    end
    local mistake = type_mistake(of_type)
    if mistake then
      return ("types.%s%s"):format(name, mistake)
    end
  end
end

-- The schema of a type (or nil) and the fields of its indexes.
function types.parts(declared)
  if is_schema(declared) then
    return declared, {}
  end
  return declared.schema, declared.index or {}
end
