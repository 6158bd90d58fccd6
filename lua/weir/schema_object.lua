-- weir.schema: objects, and what is made of them.

local _, core = ...
local native = core._schema
local kit = native.kit
local check_self, describe, fail, is_schema, new, part = kit.check_self, kit.describe, kit.fail, kit.is_schema, kit.new,
  kit.part
local with, with_lua = kit.with, kit.with_lua

---@class weir.ObjectSchema: weir.Schema
local object_methods = native.objectMethods

-- In byte order, so that issues come in the same order on every run.
function kit.sorted(fields)
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- The object of these fields, for the function of that name; `depth` more functions are above it.
function native.object(fields, name, depth)
  if type(fields) ~= "table" or is_schema(fields) then
    fail(depth, name, "expected a table of fields, got %s", is_schema(fields) and "a schema" or describe(fields))
  end
  local own, levels, needs_lua = {}, 1, nil
  for field_name, field in pairs(fields) do
    if type(field_name) ~= "string" or not utf8.len(field_name) then
      fail(depth, name, "expected names of fields in UTF-8, got %s", describe(field_name))
    end
    local child, lua, below = part(field, name, ("field '%s'"):format(field_name), depth)
    own[field_name] = child
    levels = math.max(levels, below)
    needs_lua = needs_lua or lua
  end
  local names = kit.sorted(own)
  if #names > native.fieldsMax then
    fail(depth, name, "has %d fields, at most %d are possible", #names, native.fieldsMax)
  end
  return new { kind = "object", fields = own, names = names, depth = levels, lua = needs_lua }
end

---Members that are no fields are refused; without it they pass, and are kept.
---@return weir.ObjectSchema
function object_methods:strict()
  check_self(self, "strict")
  return with(with(self, "strip", nil), "strict", true)
end

---Members that are no fields pass, and are kept, as they do without this.
---@return weir.ObjectSchema
function object_methods:passthrough()
  check_self(self, "passthrough")
  return with(with(self, "strip", nil), "strict", nil)
end

---Members that are no fields pass, but are left out of what parse() returns and what a stream keeps.
---@return weir.ObjectSchema
function object_methods:strip()
  check_self(self, "strip")
  return with_lua(with(self, "strict", nil), "strip", true)
end

-- The object with other fields.
local function with_fields(self, fields)
  local def = with(self, "fields", fields)._def
  def.names, def.depth = kit.sorted(fields), 1
  def.lua = def.strip or def.refines ~= nil or def.default ~= nil or nil
  for _, field in pairs(fields) do
    def.lua = def.lua or field._def.lua
    def.depth = math.max(def.depth, (field._def.depth or 1) + 1)
  end
  return new(def)
end

-- A list of names, or { name = true }, as a set.
local function names_of(self, name, names)
  local set = {}
  if type(names) ~= "table" then
    fail(1, name, "expected a list of names, got %s", describe(names))
  end
  for key, value in pairs(names) do
    local wanted = type(key) == "string" and key or value
    if not self._def.fields[wanted] then
      fail(1, name, "there is no field %s, only %s", tostring(wanted), table.concat(self._def.names, ", "))
    end
    set[wanted] = (type(key) ~= "string" or value) and true or nil
  end
  return set
end

-- What a refine() of the whole object expects may not be there any more.
local function check_unrefined(self, name)
  if self._def.refines then
    fail(1, name, "this schema has a refine() that expects all of its fields: call %s() first", name)
  end
end

-- A field that may be missing, or not.
local function with_optional(field, optional)
  return with(field, "optional", optional)
end

local function choose(self, chosen, change)
  local fields = {}
  for name, field in pairs(self._def.fields) do
    fields[name] = change(field, chosen[name])
  end
  return with_fields(self, fields)
end

---The object with these fields only: { "id", "name" }.
---@param names string[]
---@return weir.ObjectSchema
function object_methods:pick(names)
  check_self(self, "pick")
  check_unrefined(self, "pick")
  return choose(self, names_of(self, "pick", names), function(field, chosen)
    return chosen and field
  end)
end

---The object without these fields.
---@param names string[]
---@return weir.ObjectSchema
function object_methods:omit(names)
  check_self(self, "omit")
  check_unrefined(self, "omit")
  return choose(self, names_of(self, "omit", names), function(field, chosen)
    return not chosen and field or nil
  end)
end

---All fields may be missing, or those that are named.
---@param names string[]?
---@return weir.ObjectSchema
function object_methods:partial(names)
  check_self(self, "partial")
  check_unrefined(self, "partial")
  local set = names_of(self, "partial", names or self._def.names)
  return choose(self, set, function(field, chosen)
    return chosen and with_optional(field, true) or field
  end)
end

---No field may be missing, or none of those that are named.
---@param names string[]?
---@return weir.ObjectSchema
function object_methods:required(names)
  check_self(self, "required")
  check_unrefined(self, "required")
  local set = names_of(self, "required", names or self._def.names)
  return choose(self, set, function(field, chosen)
    return chosen and field._def.kind ~= "foreign" and with_optional(field, nil) or field
  end)
end

---The object with more fields, or with others of the same name.
---@param fields table<string, weir.Schema>|weir.ObjectSchema
---@return weir.ObjectSchema
function object_methods:extend(fields)
  check_self(self, "extend")
  local more = is_schema(fields) and fields._def.kind == "object" and fields or native.object(fields, "extend", 1)
  local all = {}
  for name, field in pairs(self._def.fields) do
    all[name] = field
  end
  for name, field in pairs(more._def.fields) do
    all[name] = field
  end
  return with_fields(self, all)
end
