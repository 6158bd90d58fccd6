-- weir.schema.fromJsonSchema: JSON Schema (draft 2020-12) as a schema. What is not supported is refused by name, with
-- its place: nothing that a JSON Schema asks for is passed over.

local _, core = ...
local native = core._schema
local null = core.null
local schema = native.builder
local kit = native.kit
local describe = kit.describe

local DRAFT = "^https?://json%-schema%.org/draft/2020%-12/schema#?$"

-- What says nothing about what fits.
local NOTES = {
  ["$schema"] = true, ["$id"] = true, ["$comment"] = true, ["$defs"] = true, definitions = true, title = true,
  description = true, default = true, examples = true, deprecated = true, readOnly = true, writeOnly = true,
}

local FORMATS = { email = "email", ["date-time"] = "datetime", uri = "url", uuid = "uuid" }

local TYPES = { string = true, number = true, integer = true, boolean = true, null = true, array = true, object = true }

-- A place in the JSON Schema: its table, the way to it, which of its members have been understood.
local function refuse(place, text, ...)
  error({ mistake = ("%s: %s"):format(place.path, text:format(...)) }, 0)
end

local function take(place, name)
  place.taken[name] = true
  return place.json[name]
end

local function is_list(value)
  return type(value) == "table" and (#value > 0 or next(value) == nil)
end

local function take_count(place, name)
  local count = take(place, name)
  local whole = math.type(count) and math.tointeger(count)
  if count ~= nil and (not whole or whole < 0) then
    refuse(place, "'%s': expected a whole number from 0, got %s", name, describe(count))
  end
  return whole
end

local function take_number(place, name)
  local number = take(place, name)
  if number ~= nil and type(number) ~= "number" then
    refuse(place, "'%s': expected a number, got %s", name, describe(number))
  end
  return number
end

local function take_list(place, name)
  local list = take(place, name)
  if list ~= nil and not is_list(list) then
    refuse(place, "'%s': expected an array, got %s", name, describe(list))
  end
  return list
end

local read

-- The schema at a member, or at an element of one.
local function read_inside(place, value, ...)
  local path = place.path
  for _, step in ipairs { ... } do
    path = path .. "/" .. tostring(step):gsub("~", "~0"):gsub("/", "~1")
  end
  return read(place.work, value, path)
end

local function with_counts(place, made, least, most)
  local min, max = take_count(place, least), take_count(place, most)
  made = min and made:min(min) or made
  return max and made:max(max) or made
end

-- Strings

local function with_format(place, made)
  local format = take(place, "format")
  if format == nil then
    return made
  elseif not FORMATS[format] then
    refuse(place, "the format %s is not supported, only date-time, email, uri and uuid", describe(format))
  end
  return made[FORMATS[format]](made)
end

local function with_found(made, found)
  local min, max = made._def.min, made._def.max
  if found.min and found.min > (min or 0) then
    made = kit.with(made, "min", found.min)
  end
  if found.max and found.max < (max or math.huge) then
    made = kit.with(made, "max", found.max)
  end
  for _, part in ipairs { "pattern", "startsWith", "endsWith", "includes" } do
    made = found[part] and made[part](made, found[part]) or made
  end
  return made
end

local function with_pattern(place, made)
  local exact, regex = take(place, "x-lua-pattern"), take(place, "pattern")
  if exact ~= nil then
    return made:pattern(exact)
  elseif regex == nil then
    return made
  elseif type(regex) ~= "string" then
    refuse(place, "'pattern': expected a string, got %s", describe(regex))
  end
  local found, reason = native.patternOf(regex)
  if not found then
    refuse(place, "the pattern %q cannot be a Lua pattern: %s is not supported", regex, reason)
  end
  return with_found(made, found)
end

local function with_string_rules(place, made)
  made = with_pattern(place, with_format(place, with_counts(place, made, "minLength", "maxLength")))
  for i, more in ipairs(take_list(place, "allOf") or {}) do
    local path = ("%s/allOf/%d"):format(place.path, i - 1)
    local inner = { work = place.work, json = more, path = path, taken = {} }
    if type(more) ~= "table" then
      refuse(inner, "expected an object, got %s", describe(more))
    end
    made = with_string_rules(inner, made)
    for name in pairs(more) do
      if not inner.taken[name] then
        refuse(inner, "'%s' is not supported inside 'allOf'", tostring(name))
      end
    end
  end
  return made
end

-- By type

local by_type = {}

function by_type.string(place)
  return with_string_rules(place, schema.string())
end

local function number_of(place, made)
  local factor = take_number(place, "multipleOf")
  local rules = {
    { "minimum", "min" }, { "exclusiveMinimum", "gt" }, { "maximum", "max" }, { "exclusiveMaximum", "lt" },
  }
  if place.json.minimum and place.json.exclusiveMinimum then
    refuse(place, "'minimum' beside 'exclusiveMinimum' is not supported")
  elseif place.json.maximum and place.json.exclusiveMaximum then
    refuse(place, "'maximum' beside 'exclusiveMaximum' is not supported")
  end
  for _, rule in ipairs(rules) do
    local bound = take_number(place, rule[1])
    made = bound and made[rule[2]](made, bound) or made
  end
  return factor and made:multipleOf(factor) or made
end

function by_type.number(place)
  return number_of(place, schema.number())
end

function by_type.integer(place)
  return number_of(place, schema.integer())
end

function by_type.boolean()
  return schema.boolean()
end

function by_type.null()
  return schema.null()
end

local function tuple_of(place, prefix)
  local least, most = take_count(place, "minItems") or 0, take_count(place, "maxItems")
  local items = take(place, "items")
  local options = {}
  if least > #prefix then
    refuse(place, "'minItems' past the end of 'prefixItems' is not supported")
  elseif most and most ~= #prefix then
    refuse(place, "'maxItems' beside 'prefixItems' is not supported")
  end
  for i, option in ipairs(prefix) do
    local made = read_inside(place, option, "prefixItems", i - 1)
    options[i] = i > least and made:optional() or made
  end
  local made = schema.tuple(options)
  if items == false or most then
    return made
  end
  return made:rest(items == nil and schema.any() or read_inside(place, items, "items"))
end

function by_type.array(place)
  local prefix = take_list(place, "prefixItems")
  if prefix then
    return tuple_of(place, prefix)
  end
  local items = take(place, "items")
  local item = items == nil and schema.any() or read_inside(place, items, "items")
  return with_counts(place, schema.array(item), "minItems", "maxItems")
end

-- Names that may, but need not be there: an enum as such would ask for each of them.
local function record_of(place, more)
  local value = (more == nil or more == true) and schema.any() or read_inside(place, more, "additionalProperties")
  local names = take(place, "propertyNames")
  if names == nil then
    return schema.record(value)
  end
  local made = read_inside(place, names, "propertyNames")
  return schema.record(made._def.kind == "enum" and schema.union(made) or made, value)
end

function by_type.object(place)
  local properties, required = take(place, "properties"), take_list(place, "required")
  local more = take(place, "additionalProperties")
  if properties == nil and required == nil and (type(more) == "table" or place.json.propertyNames ~= nil) then
    return record_of(place, more)
  elseif type(more) == "table" then
    refuse(place, "'additionalProperties' with a schema beside 'properties' or 'required' is not supported")
  elseif properties ~= nil and type(properties) ~= "table" then
    refuse(place, "'properties': expected an object, got %s", describe(properties))
  end
  local needed, fields = {}, {}
  for _, name in ipairs(required or {}) do
    needed[name] = true
    fields[name] = schema.any()
  end
  for name, property in pairs(properties or {}) do
    local field = read_inside(place, property, "properties", name)
    fields[name] = needed[name] and field or field:optional()
  end
  local made = schema.object(fields)
  return more == false and made:strict() or made
end

-- Without a type

local function fits_type(value, kind)
  if kind == nil then
    return true
  elseif type(kind) == "table" then
    for _, each in ipairs(kind) do
      if fits_type(value, each) then
        return true
      end
    end
    return false
  elseif value == null then
    return kind == "null"
  elseif kind == "integer" then
    return math.type(value) ~= nil and math.tointeger(value) ~= nil
  end
  return type(value) == kind
end

local function enum_of(place)
  local const, values = take(place, "const"), take_list(place, "enum")
  if const ~= nil and values ~= nil then
    refuse(place, "'const' beside 'enum' is not supported")
  end
  local kind, kept = take(place, "type"), {}
  for _, value in ipairs(values or { const }) do
    if type(value) == "table" or type(value) == "function" then
      refuse(place, "'%s': arrays and objects as values are not supported", values and "enum" or "const")
    elseif fits_type(value, kind) then
      kept[#kept + 1] = value
    end
  end
  if #kept == 0 then
    refuse(place, "there is no value that fits")
  end
  return schema.enum(kept)
end

local function read_options(place, name)
  local options = {}
  for i, option in ipairs(take_list(place, name)) do
    options[i] = read_inside(place, option, name, i - 1)
  end
  if #options == 0 then
    refuse(place, "'%s': expected at least one schema", name)
  end
  return options
end

local function is_null(option)
  local def = option._def
  return def.kind == "enum" and #def.values == 1 and def.values[1] == null and not def.nullable
end

local function any_of(place)
  local options, kept = read_options(place, "anyOf"), {}
  for _, option in ipairs(options) do
    kept[#kept + 1] = not is_null(option) and option or nil
  end
  if #kept == 0 then
    return schema.null()
  end
  local made = #kept == 1 and kept[1] or schema.union(kept)
  return #kept < #options and made:nullable() or made
end

local KIND_TYPES = {
  string = "string", number = "number", integer = "number", boolean = "boolean", array = "array", tuple = "array",
  object = "object", record = "object", tagged = "object",
}

-- Whether no value can fit two of them, as they are of different types.
local function are_apart(options)
  local seen = {}
  for _, option in ipairs(options) do
    local kind = is_null(option) and "null" or KIND_TYPES[option._def.kind]
    if not kind or seen[kind] or option._def.nullable then
      return false
    end
    seen[kind] = true
  end
  return true
end

local function tag_of(options)
  for _, name in ipairs(options[1]._def.names or {}) do
    local ok, made = pcall(schema.discriminatedUnion, name, options)
    if ok then
      return made
    end
  end
  for _, option in ipairs(options) do -- one inside the other
    local ok, made = pcall(schema.discriminatedUnion, option._def.tag, options)
    if ok then
      return made
    end
  end
end

-- Options are told apart by what they hold. So one that refers to what is being read now is read once more.
local function read_options_apart(place)
  local work, again = place.work, {}
  for _, option in ipairs(is_list(place.json.oneOf) and place.json.oneOf or {}) do
    local ref = type(option) == "table" and option["$ref"]
    if work.open[ref] and not work.again[ref] then
      again[#again + 1] = ref
      work.open[ref], work.again[ref] = nil, true
    end
  end
  local options = read_options(place, "oneOf")
  for _, ref in ipairs(again) do
    work.open[ref], work.again[ref] = true, nil
  end
  return options
end

local function one_of(place)
  local options = read_options_apart(place)
  local made = #options == 1 and options[1] or are_apart(options) and schema.union(options) or tag_of(options)
  if not made then
    refuse(place, "'oneOf' is supported only where a property tells the options apart, or their types do")
  end
  return made
end

local function resolve(work, ref, place)
  local at = work.root
  local pointer = type(ref) == "string" and ref:match "^#(.*)$"
  if not pointer or (pointer ~= "" and pointer:sub(1, 1) ~= "/") then
    refuse(place, "'$ref': only places in the same schema are supported, \"#/$defs/name\", got %s", describe(ref))
  end
  for step in pointer:gmatch "/([^/]*)" do
    step = step:gsub("~1", "/"):gsub("~0", "~")
    at = type(at) == "table" and (at[step] == nil and math.tointeger(step) and at[math.tointeger(step) + 1] or at[step])
    if at == nil or at == false then
      refuse(place, "'$ref': there is no %s", ref)
    end
  end
  return at
end

-- Of a reference to what is being read now, what will have been read.
local function ref_of(place)
  local work, ref = place.work, take(place, "$ref")
  local target = resolve(work, ref, place)
  if work.open[ref] then
    return schema.lazy(function()
      return work.known[ref]
    end)
  end
  work.open[ref] = true
  work.known[ref] = work.known[ref] or read(work, target, ref)
  work.open[ref] = nil
  return work.known[ref]
end

local function all_of(place)
  local list = take_list(place, "allOf")
  if #list ~= 1 then
    refuse(place, "'allOf' is supported only for the rules of a string, and with one schema")
  end
  return read_inside(place, list[1], "allOf", 0)
end

local function union_of_types(place, types)
  local options, nullable = {}, false
  for _, kind in ipairs(types) do
    if not TYPES[kind] then
      refuse(place, "'type': %s is no type", describe(kind))
    elseif kind == "null" then
      nullable = true
    else
      options[#options + 1] = by_type[kind](place)
    end
  end
  if #options == 0 then
    return schema.null()
  end
  local made = #options == 1 and options[1] or schema.union(options)
  return nullable and made:nullable() or made
end

local function of_type(place)
  local kind = take(place, "type")
  if is_list(kind) then
    return union_of_types(place, kind)
  elseif not TYPES[kind] then
    refuse(place, "'type': %s is no type", describe(kind))
  end
  return by_type[kind](place)
end

-- The first of these that is there says what it is.
local HEADS = {
  { "const", enum_of }, { "enum", enum_of }, { "type", of_type }, { "anyOf", any_of }, { "oneOf", one_of },
  { "$ref", ref_of }, { "allOf", all_of },
}

local function with_notes(place, made)
  local json = place.json
  if json.default ~= nil then
    made = made:default(json.default)
  end
  return json.description ~= nil and made:describe(tostring(json.description)) or made
end

local function read_place(place)
  local made, head
  for _, each in ipairs(HEADS) do
    if not made and place.json[each[1]] ~= nil then
      head = each[1]
      made = each[2](place)
    end
  end
  local left = {}
  for name in pairs(place.json) do
    left[#left + 1] = not NOTES[name] and not place.taken[name] and tostring(name) or nil
  end
  table.sort(left)
  if left[1] then
    refuse(place, "'%s' is not supported%s", left[1], head and " beside '" .. head .. "'" or " without a 'type'")
  end
  return with_notes(place, made or schema.any())
end

function read(work, value, path)
  local place = { work = work, json = value, path = path, taken = {} }
  work.path = path
  if value == true then
    return schema.any()
  elseif value == false then
    refuse(place, "false, which nothing fits, is not supported here")
  elseif type(value) ~= "table" or #value > 0 then
    refuse(place, "expected a JSON Schema, got %s", describe(value))
  elseif value["$schema"] ~= nil and not tostring(value["$schema"]):find(DRAFT) then
    refuse(place, "'$schema': only draft 2020-12 is supported, got %s", tostring(value["$schema"]))
  end
  work.depth = work.depth + 1
  if work.depth > native.depthMax then
    refuse(place, "is nested deeper than %d levels", native.depthMax)
  end
  local made = read_place(place)
  work.depth = work.depth - 1
  return made
end

local function read_root(work)
  local made = read(work, work.root, "#")
  work.known["#"], work.path = made, "#"
  local whole, mistake = pcall(native.needsLua, made) -- compiles it
  if not whole then
    error({ mistake = "#: " .. mistake:gsub("^schema: a lazy schema stands for itself.*",
      "'$ref': one leads back to itself without an object or an array on the way") }, 0)
  end
  return made
end

---The schema that a JSON Schema (draft 2020-12, a table) describes. What is not supported is an error that names it and
---its place, as "#/properties/id: 'uniqueItems' is not supported beside 'type'".
---@param jsonSchema table
---@return weir.Schema
function schema.fromJsonSchema(jsonSchema)
  local work = { root = jsonSchema, known = {}, open = { ["#"] = true }, again = {}, depth = 0, path = "#" }
  local ok, made = pcall(read_root, work)
  if ok then
    return made
  elseif type(made) == "table" then
    error("schema.fromJsonSchema: " .. made.mistake, 2)
  end
  -- A method of the builder that refused what it was given.
  error(("schema.fromJsonSchema: %s: %s"):format(work.path, tostring(made):gsub("^.-: schema%.%w+: ", "")), 2)
end
