-- weir.schema and JSON Schema, draft 2020-12: schema:toJsonSchema().

local _, core = ...
local native = core._schema
local check_self, may_miss = native.kit.check_self, native.kit.may_miss
local json, null = core.json, core.null

local schema_methods = native.methods

local DRAFT = "https://json-schema.org/draft/2020-12/schema"

local FORMATS = { { "datetime", "date-time" }, { "email", "email" }, { "url", "uri" }, { "uuid", "uuid" } }

-- Raised with the way to the part that has no counterpart.
local function refuse(path, text, ...)
  error({ mistake = ("%s: %s"):format(path, text:format(...)) }, 0)
end

local convert -- convert(schema, path, work)

local function is_bound(value)
  return value and value ~= math.huge and value ~= -math.huge
end

-- What JSON Schema can say of a text that a string has to hold.
local function pattern_of(text, path)
  if text.part == "startsWith" then
    return { pattern = "^" .. native.regexOfText(text.text) }
  elseif text.part == "endsWith" then
    return { pattern = native.regexOfText(text.text) .. "$" }
  elseif text.part == "includes" then
    return { pattern = native.regexOfText(text.text) }
  end
  local regex, reason = native.regexOf(text.text)
  if not regex then
    refuse(path, "the pattern %q has no counterpart in JSON Schema: %s", text.text, reason)
  end
  return { pattern = regex, ["x-lua-pattern"] = text.text }
end

local kinds = {}

function kinds.string(def, path)
  local out = { type = "string", minLength = def.min, maxLength = def.max }
  local more = {}
  for _, format in ipairs(FORMATS) do
    if def[format[1]] and out.format then
      more[#more + 1] = { format = format[2] }
    elseif def[format[1]] then
      out.format = format[2]
    end
  end
  for _, text in ipairs(def.texts or {}) do
    more[#more + 1] = pattern_of(text, path)
  end
  if #more == 1 and more[1].pattern then
    out.pattern, out["x-lua-pattern"] = more[1].pattern, more[1]["x-lua-pattern"]
  elseif #more > 0 then
    out.allOf = more
  end
  return out
end

function kinds.number(def)
  local out = { type = def.kind }
  if is_bound(def.min) then
    out[def.over and "exclusiveMinimum" or "minimum"] = def.min
  end
  if is_bound(def.max) then
    out[def.under and "exclusiveMaximum" or "maximum"] = def.max
  end
  out.multipleOf = def.multiple
  return out
end

kinds.integer = kinds.number

function kinds.boolean()
  return { type = "boolean" }
end

function kinds.any()
  return {}
end

-- The type that all values of an enum have, if it is one.
local function type_of(values)
  local found
  for _, value in ipairs(values) do
    local kind = value == null and "null" or type(value)
    if found and found ~= kind then
      return nil
    end
    found = kind
  end
  return found
end

function kinds.enum(def)
  local kind = type_of(def.values)
  if kind == "null" then
    return { type = "null" }
  elseif #def.values == 1 then
    return { type = kind, const = def.values[1] }
  end
  return { type = kind, enum = json.array { table.unpack(def.values) } }
end

function kinds.array(def, path, work)
  return { type = "array", items = convert(def.item, path .. "[]", work), minItems = def.min, maxItems = def.max }
end

local function convert_all(options, path, work)
  local out = {}
  for i, option in ipairs(options) do
    out[i] = convert(option, ("%s[%d]"):format(path, i - 1), work)
  end
  return json.array(out)
end

function kinds.tuple(def, path, work)
  local least = #def.options
  while least > 0 and may_miss(def.options[least]) do
    least = least - 1
  end
  return {
    type = "array",
    prefixItems = convert_all(def.options, path, work),
    items = def.item and convert(def.item, path .. "[]", work) or false,
    minItems = least > 0 and least or nil,
  }
end

function kinds.object(def, path, work)
  local properties, required = {}, {}
  for _, name in ipairs(def.names) do
    local field = def.fields[name]
    properties[name] = convert(field, path .. "." .. name, work)
    if not may_miss(field) then
      required[#required + 1] = name
    end
  end
  local out = { type = "object", properties = properties, required = #required > 0 and required or nil }
  if def.strict then
    out.additionalProperties = false
  end
  return out
end

function kinds.record(def, path, work)
  return {
    type = "object",
    additionalProperties = convert(def.item, path .. "{}", work),
    propertyNames = def.keys and convert(def.keys, path .. "{}", work) or nil,
  }
end

function kinds.union(def, path, work)
  return { anyOf = convert_all(def.options, path, work) }
end

function kinds.tagged(def, path, work)
  return { oneOf = convert_all(def.options, path, work) }
end

-- By a reference, to the whole or to one of the $defs, which are converted when everything else is.
function kinds.lazy(def, path, work)
  local target = def.get()
  if target == work.root then
    return { ["$ref"] = "#" }
  elseif not work.names[target] then
    local name = "schema" .. #work.targets + 1
    work.names[target] = name
    work.targets[#work.targets + 1] = { schema = target, name = name, path = path }
  end
  return { ["$ref"] = "#/$defs/" .. work.names[target] }
end

function kinds.foreign(def, path)
  refuse(path, "a schema by %s has no counterpart in JSON Schema", tostring(def.foreign["~standard"].vendor))
end

function convert(schema, path, work)
  local def = schema._def
  local out = kinds[def.kind](def, path, work)
  if def.nullable then
    out = { anyOf = { out, { type = "null" } } }
  end
  out.description = def.description
  if def.default and def.default.text then
    out.default = json.decode(def.default.text)
  end
  return out
end

local function convert_root(schema)
  local work = { root = schema, names = {}, targets = {} }
  native.needsLua(schema) -- compiles it, which refuses what is lazy without an end
  local out, defs = convert(schema, "value", work), {}
  local i = 1
  while work.targets[i] do -- each may add others
    local target = work.targets[i]
    defs[target.name] = convert(target.schema, target.path, work)
    i = i + 1
  end
  out["$defs"] = next(defs) and defs or nil
  return out
end

---The schema as a JSON Schema (draft 2020-12), a table: what it accepts. What refine() asks, and defaults that are
---functions, are left out; a pattern that regular expressions cannot say, and a schema of another library, are errors.
---@return table
function schema_methods:toJsonSchema()
  check_self(self, "toJsonSchema")
  local ok, out = pcall(convert_root, self)
  if not ok then
    error("schema.toJsonSchema: " .. (type(out) == "table" and out.mistake or tostring(out)), 2)
  end
  out["$schema"] = DRAFT
  return out
end
