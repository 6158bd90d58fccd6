-- weir.schema: the builder, a function for each kind of schema.

local _, core = ...
local native = core._schema
local kit = native.kit
local describe, fail, is_schema, new, part = kit.describe, kit.fail, kit.is_schema, kit.new, kit.part

local schema = native.builder

-- s.string("x") and the like are slips for something else: say so.
local function check_none(name, count)
  if count > 0 then
    fail(1, name, "takes no argument")
  end
end

---Any string.
---@return weir.StringSchema
function schema.string(...)
  check_none("string", select("#", ...))
  return new { kind = "string" }
end

---s.string():datetime()
---@return weir.StringSchema
function schema.datetime(...)
  check_none("datetime", select("#", ...))
  return new { kind = "string", datetime = true }
end

---s.string():email()
---@return weir.StringSchema
function schema.email(...)
  check_none("email", select("#", ...))
  return new { kind = "string", email = true }
end

---s.string():url()
---@return weir.StringSchema
function schema.url(...)
  check_none("url", select("#", ...))
  return new { kind = "string", url = true }
end

---s.string():uuid()
---@return weir.StringSchema
function schema.uuid(...)
  check_none("uuid", select("#", ...))
  return new { kind = "string", uuid = true }
end

---Any number.
---@return weir.NumberSchema
function schema.number(...)
  check_none("number", select("#", ...))
  return new { kind = "number" }
end

---A number with a whole value that fits 64 bits, however it is written: 3, 3.0, 3e0.
---@return weir.NumberSchema
function schema.integer(...)
  check_none("integer", select("#", ...))
  return new { kind = "integer" }
end

---true or false.
---@return weir.Schema
function schema.boolean(...)
  check_none("boolean", select("#", ...))
  return new { kind = "boolean" }
end

---Any value that JSON has, null too. It must be there, unless it is optional.
---@return weir.Schema
function schema.any(...)
  check_none("any", select("#", ...))
  return new { kind = "any" }
end

---s.literal(weir.null)
---@return weir.Schema
function schema.null(...)
  check_none("null", select("#", ...))
  return new { kind = "enum", values = { core.null } }
end

---An array whose elements all fit one schema.
---@param item weir.Schema
---@return weir.ArraySchema
function schema.array(item)
  local child, lua, depth = part(item, "array", "the item")
  return new { kind = "array", item = child, lua = lua, depth = depth }
end

-- A list of schemas, given as such or one by one: the parts, whether one needs Lua, the depth of what holds them.
local function parts(name, what, first, ...)
  local given = first
  if type(first) ~= "table" or first["~standard"] ~= nil then
    given = table.pack(first, ...)
  end
  local count, list, needs_lua, depth = given.n or #given, {}, nil, 1
  for key in pairs(given) do
    if key ~= "n" and not (math.type(key) == "integer" and key >= 1 and key <= count) then
      fail(1, name, "expected a list of schemas, got one with the key %s", tostring(key))
    end
  end
  if count > native.optionsMax then
    fail(1, name, "expected at most %d schemas, got %d", native.optionsMax, count)
  end
  for i = 1, count do
    local child, lua, below = part(given[i], name, ("%s %d"):format(what, i), 1)
    list[i], needs_lua, depth = child, needs_lua or lua, math.max(depth, below)
  end
  return list, needs_lua, depth
end

---An array of that many elements, each of which fits its own schema: s.tuple { a, b } or s.tuple(a, b). With
---:rest(item), more may follow.
---@param first weir.Schema[]|weir.Schema
---@param ... weir.Schema
---@return weir.TupleSchema
function schema.tuple(first, ...)
  local list, lua, depth = parts("tuple", "element", first, ...)
  return new { kind = "tuple", options = list, lua = lua, depth = depth }
end

---What fits one of these schemas, the first that does: s.union { a, b } or s.union(a, b).
---@param first weir.Schema[]|weir.Schema
---@param ... weir.Schema
---@return weir.Schema
function schema.union(first, ...)
  local list, lua, depth = parts("union", "option", first, ...)
  if #list == 0 then
    fail(0, "union", "expected at least one schema")
  end
  local optional
  for _, option in ipairs(list) do
    optional = optional or option._def.optional or option._def.default ~= nil or nil
  end
  return new { kind = "union", options = list, optional = optional, lua = lua, depth = depth }
end

-- Adds the values by which a member `tag` leads to the option, which may be a union of that kind itself.
local function add_choices(choices, taken, tag, option, index, depth)
  local where = ("option %d"):format(index)
  if option._def.kind == "tagged" then
    for _, inner in ipairs(option._def.options) do
      add_choices(choices, taken, tag, inner, index, depth + 1)
    end
    return
  end
  local field = option._def.kind == "object" and option._def.fields[tag]
  local def = field and field._def
  if not def or def.kind ~= "enum" or def.optional or def.default or def.nullable or option._def.nullable then
    fail(depth, "discriminatedUnion", "%s: expected an object whose field '%s' is a literal or an enum", where, tag)
  end
  for _, value in ipairs(def.values) do
    if taken[value] then
      fail(depth, "discriminatedUnion", "%s: '%s' is %s in option %d, too", where, tag, tostring(value), taken[value])
    end
    taken[value] = index
    choices[#choices + 1] = { value = value, option = index }
  end
end

local function choices_of(tag, list)
  local choices, taken = {}, {}
  for i, option in ipairs(list) do
    add_choices(choices, taken, tag, option, i, 2)
  end
  if #choices == 0 or #choices > native.valuesMax then
    fail(1, "discriminatedUnion", "expected 1 to %d values of '%s', got %d", native.valuesMax, tag, #choices)
  end
  return choices, taken
end

---One of several objects, told apart by the member `tag`, which is a literal or an enum in each of them.
---@param tag string
---@param options weir.ObjectSchema[]
---@return weir.Schema
function schema.discriminatedUnion(tag, options)
  if type(tag) ~= "string" or not utf8.len(tag) then
    fail(0, "discriminatedUnion", "expected the name of a member, got %s", describe(tag))
  elseif type(options) ~= "table" or options["~standard"] ~= nil then
    fail(0, "discriminatedUnion", "expected a list of objects, got %s", describe(options))
  end
  local list, lua, depth = parts("discriminatedUnion", "option", options)
  local choices, taken = choices_of(tag, list)
  return new {
    kind = "tagged", tag = tag, options = list, choices = choices, taken = taken, lua = lua, depth = depth,
  }
end

-- With each of an enum's values as a name, and no other.
local function record_of_enum(keys, value)
  local fields = {}
  for _, name in ipairs(keys._def.values) do
    if type(name) ~= "string" then
      fail(1, "record", "names are strings: the enum of the names has %s", describe(name))
    end
    fields[name] = value
  end
  return native.object(fields, "record", 1):strict()
end

---An object with any members, whose values all fit one schema: s.record(value). With s.record(names, value) the names
---have to fit one as well; where that is an enum or literal, each of its values must be there, and no other member.
---@param first weir.Schema
---@param second weir.Schema?
---@return weir.Schema
function schema.record(first, second)
  local item, lua, depth = part(second or first, "record", "the value")
  if second == nil then
    return new { kind = "record", item = item, lua = lua, depth = depth }
  end
  local names, names_lua, names_depth = part(first, "record", "the schema of the names")
  if names._def.kind == "enum" then
    return (record_of_enum(names, item))
  elseif names._def.kind ~= "string" and names._def.kind ~= "union" then
    fail(0, "record", "names are strings: expected s.string(), an enum or a union, got s.%s()", names._def.kind)
  end
  return new {
    kind = "record", keys = names, item = item, lua = lua or names_lua, depth = math.max(depth, names_depth),
  }
end

---What the function returns, which is asked when the schema is used for the first time: so a schema can be a part of
---itself. It has to return the same one each time.
---@param get fun(): weir.Schema
---@return weir.Schema
function schema.lazy(get)
  if type(get) ~= "function" then
    fail(0, "lazy", "expected a function that returns a schema, got %s", describe(get))
  end
  local target
  local function get_once()
    if not target then
      local made = get()
      if made == nil then
        error("schema.lazy: the function returned nothing: expected a schema; one that is a part of itself needs " ..
          "its `local` in a line before it", 0)
      end
      target = part(made, "lazy", "what the function returned")
    end
    return target
  end
  return new { kind = "lazy", get = get_once, lua = "perhaps" }
end

---An object. Other members than the fields pass and are kept, unless it is strict() or strip().
---@param fields table<string, weir.Schema>
---@return weir.ObjectSchema
function schema.object(fields)
  return (native.object(fields, "object", 1))
end

local function check_value(name, value, what)
  local kind = type(value)
  if kind == "number" and (value ~= value or value == math.huge or value == -math.huge) then
    fail(1, name, "%s is %s, which JSON has not", what, value)
  elseif kind == "string" and not utf8.len(value) then
    fail(1, name, "%s is not UTF-8", what)
  elseif kind ~= "string" and kind ~= "number" and kind ~= "boolean" and value ~= core.null then
    fail(1, name, "%s is %s: expected a string, a number, a boolean or weir.null", what, describe(value))
  end
end

---One of these values: s.enum { "a", "b" } or s.enum("a", "b").
---@param first table|string|number|boolean
---@param ... string|number|boolean
---@return weir.Schema
function schema.enum(first, ...)
  local given = type(first) == "table" and first or table.pack(first, ...)
  local count = given.n or #given
  if count == 0 or count > native.valuesMax then
    fail(0, "enum", "expected 1 to %d values, got %d", native.valuesMax, count)
  end
  for key in pairs(given) do
    if key ~= "n" and not (math.type(key) == "integer" and key >= 1 and key <= count) then
      fail(0, "enum", "expected a list of values, got one with the key %s", tostring(key))
    end
  end
  local values = {}
  for i = 1, count do
    check_value("enum", given[i], ("value %d"):format(i))
    values[i] = given[i]
  end
  return new { kind = "enum", values = values }
end

---Exactly this value: a string, number, boolean or weir.null.
---@param value string|number|boolean|userdata
---@return weir.Schema
function schema.literal(value)
  check_value("literal", value, "the value")
  return new { kind = "enum", values = { value } }
end

-- For other files: whether a value is a schema of weir's own.
function native.isSchema(value)
  return is_schema(value)
end
