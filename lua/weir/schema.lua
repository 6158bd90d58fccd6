-- weir.schema: what a value has to look like, in the manner of zod. A schema is a value that never
-- changes: each method returns a new one. Checks run natively, on the JSON text of an event
-- (engine/state/schema.h); here are only the builder and its mistakes.
--
--     local s = weir.schema
--     local user = s.object {
--       id    = s.string():min(1),
--       email = s.email():optional(),
--       age   = s.integer():min(0):max(150):nullable(),
--     }
--     local result = user:safeParse { id = "", age = 3.5 }
--     -- result.issues[1] = { path = "age", message = "expected an integer or null, got a number (3.5)", value = 3.5 }
--
-- A path names members with dots and elements from 0, as JSON does: "items[2].name"; a name that is no
-- word is quoted: ["first name"]; the path of the value itself is "".
--
-- An empty Lua table is an empty object; weir.json.array() is an empty array.

local _, core = ...
local native = core._schema

---One reason a value does not fit.
---@class weir.Issue
---@field path string "items[2].name"; "" is the value itself
---@field message string "expected a string, got a number (3)"
---@field value any what is there; nil where it is missing

---@class weir.Result
---@field success boolean
---@field data any the value, where it fits
---@field issues weir.Issue[]? at most 32, where it does not

---@class weir.Schema
---@field description string?
local schema_methods = {}

---@class weir.StringSchema: weir.Schema
local string_methods = {}
---@class weir.NumberSchema: weir.Schema
local number_methods = {}
---@class weir.ArraySchema: weir.Schema
local array_methods = {}
---@class weir.ObjectSchema: weir.Schema
local object_methods = {}

local methods_of = {
  string = string_methods,
  number = number_methods,
  integer = number_methods,
  array = array_methods,
  object = object_methods,
}

-- Raises where the user called the builder: `depth` more functions of this file are in between.
local function fail(depth, name, text, ...)
  error(("schema.%s: %s"):format(name, text:format(...)), 3 + depth)
end

local function describe(value)
  local kind = type(value)
  if kind == "nil" then
    return "nothing"
  elseif kind == "string" then
    return "a string"
  elseif kind == "number" then
    return ("a number (%s)"):format(value)
  end
  return "a " .. kind
end

local function is_schema(value)
  return type(value) == "table" and getmetatable(value) == native.metatable
end

local function new(def)
  return setmetatable({ _def = def }, native.metatable)
end

-- The same schema with one thing changed.
local function with(schema, key, value)
  local def = {}
  for k, v in pairs(schema._def) do
    def[k] = v
  end
  def[key] = value
  return new(def)
end

-- A method called with a dot instead of a colon has no schema in front.
local function check_self(self, name)
  if not is_schema(self) then
    fail(1, name, "called on %s, not on a schema: write schema:%s(...) with a colon", describe(self), name)
  end
end

-- The depth of a schema that holds this one. Raises where it is none, or nested too deep.
local function depth_over(child, name, what)
  if not is_schema(child) then
    fail(1, name, "%s is %s: expected a schema (s.string(), ...)", what, describe(child))
  end
  local depth = (child._def.depth or 1) + 1
  if depth > native.depthMax then
    fail(1, name, "%s is nested deeper than %d levels", what, native.depthMax)
  end
  return depth
end

local function check_bound(name, value)
  if type(value) ~= "number" or value ~= value then
    fail(1, name, "expected a number, got %s", describe(value))
  end
end

local function check_count(name, value)
  local count = math.type(value) and math.tointeger(value)
  if not count or count < 0 then
    fail(1, name, "expected a whole number from 0, got %s", describe(value))
  end
  return count
end

local function set_min(self, least)
  if self._def.max and least > self._def.max then
    fail(1, "min", "%s is above the max of %s", least, self._def.max)
  end
  return with(self, "min", least)
end

local function set_max(self, most)
  if self._def.min and most < self._def.min then
    fail(1, "max", "%s is below the min of %s", most, self._def.min)
  end
  return with(self, "max", most)
end

---------------------------------------------------------------------------------------------------
-- Methods of every schema

---As a member of an object it may be missing, and parse() takes nil. null is not missing: see nullable.
---@return weir.Schema
function schema_methods:optional()
  check_self(self, "optional")
  return with(self, "optional", true)
end

---null (weir.null) fits, too.
---@return weir.Schema
function schema_methods:nullable()
  check_self(self, "nullable")
  return with(self, "nullable", true)
end

---Attaches a text for the reader: schema.description.
---@param text string
---@return weir.Schema
function schema_methods:describe(text)
  check_self(self, "describe")
  if type(text) ~= "string" then
    fail(0, "describe", "expected a string, got %s", describe(text))
  end
  return with(self, "description", text)
end

---Checks a value and returns it as it is; raises an error that names every issue where it does not fit.
---@param value any
---@return any value
function schema_methods:parse(value)
  check_self(self, "parse")
  local issues = native.check(self, value)
  if not issues then
    return value
  end
  local texts = {}
  for i, issue in ipairs(issues) do
    texts[i] = issue.path == "" and issue.message or issue.path .. ": " .. issue.message
  end
  error("schema.parse: the value does not fit: " .. table.concat(texts, "; "), 2)
end

---Checks a value: { success = true, data = value } or { success = false, issues = {...} }. A value that
---cannot be JSON (a function in it, say) is an issue, not an error.
---@param value any
---@return weir.Result
function schema_methods:safeParse(value)
  check_self(self, "safeParse")
  local issues = native.check(self, value)
  if issues then
    return { success = false, issues = issues }
  end
  return { success = true, data = value }
end

---------------------------------------------------------------------------------------------------
-- Strings. Lengths are in Unicode code points.

---At least so many characters.
---@param least integer
---@return weir.StringSchema
function string_methods:min(least)
  check_self(self, "min")
  return (set_min(self, check_count("min", least)))
end

---At most so many characters.
---@param most integer
---@return weir.StringSchema
function string_methods:max(most)
  check_self(self, "max")
  return (set_max(self, check_count("max", most)))
end

---Exactly so many characters.
---@param count integer
---@return weir.StringSchema
function string_methods:length(count)
  check_self(self, "length")
  count = check_count("length", count)
  return with(with(self, "min", count), "max", count)
end

---Matches a Lua pattern, anywhere unless it is anchored with ^ and $. Several patterns must all match.
---@param pattern string
---@return weir.StringSchema
function string_methods:pattern(pattern)
  check_self(self, "pattern")
  if type(pattern) ~= "string" then
    fail(0, "pattern", "expected a Lua pattern, got %s", describe(pattern))
  end
  local mistake = native.patternMistake(pattern)
  if not mistake then
    local ok, raised = pcall(string.find, "", pattern)
    mistake = not ok and raised or nil
  end
  if mistake then
    fail(0, "pattern", "%q is no Lua pattern: %s", pattern, mistake)
  end
  local patterns = { table.unpack(self._def.patterns or {}) }
  patterns[#patterns + 1] = pattern
  return with(self, "patterns", patterns)
end

---An email address, as zod understands it: letters, digits and _ ' + - . in front of the @.
---@return weir.StringSchema
function string_methods:email()
  check_self(self, "email")
  return with(self, "email", true)
end

---An RFC 3339 date and time, "2024-05-01T10:00:00.123Z" or with an offset "+02:00". The day must exist.
---@return weir.StringSchema
function string_methods:datetime()
  check_self(self, "datetime")
  return with(self, "datetime", true)
end

---------------------------------------------------------------------------------------------------
-- Numbers

---At least this. Integers are compared as integers, exactly.
---@param least number
---@return weir.NumberSchema
function number_methods:min(least)
  check_self(self, "min")
  check_bound("min", least)
  return (set_min(self, least))
end

---At most this.
---@param most number
---@return weir.NumberSchema
function number_methods:max(most)
  check_self(self, "max")
  check_bound("max", most)
  return (set_max(self, most))
end

---------------------------------------------------------------------------------------------------
-- Arrays

---At least so many elements.
---@type fun(self: weir.ArraySchema, least: integer): weir.ArraySchema
array_methods.min = string_methods.min

---At most so many elements.
---@type fun(self: weir.ArraySchema, most: integer): weir.ArraySchema
array_methods.max = string_methods.max

---Exactly so many elements.
---@type fun(self: weir.ArraySchema, count: integer): weir.ArraySchema
array_methods.length = string_methods.length

---------------------------------------------------------------------------------------------------
-- Objects

---Members that are no fields are refused; without it they pass, and are kept.
---@return weir.ObjectSchema
function object_methods:strict()
  check_self(self, "strict")
  return with(self, "strict", true)
end

---------------------------------------------------------------------------------------------------
-- What a schema table answers

-- A method that other kinds have: calling it says so, instead of "attempt to call a nil value".
local function misplaced(kind, name)
  for _, methods in pairs(methods_of) do
    if methods[name] then
      return function()
        fail(0, name, "%s schemas have no %s()", kind, name)
      end
    end
  end
end

-- Standard Schema, for libraries that take the schemas of any other (https://standardschema.dev).
local function standard(schema)
  return {
    version = 1,
    vendor = "weir",
    validate = function(value)
      local issues = native.check(schema, value)
      if issues then
        return { issues = issues }
      end
      return { value = value }
    end,
  }
end

function native.metatable.__index(self, key)
  local def = rawget(self, "_def")
  local methods = methods_of[def.kind]
  local method = schema_methods[key] or methods and methods[key]
  if method then
    return method
  elseif key == "~standard" then
    local face = standard(self)
    rawset(self, key, face)
    return face
  elseif key == "description" then
    return def.description
  end
  return misplaced(def.kind, key)
end

function native.metatable.__newindex(_, key)
  error(("schema: a schema cannot be changed ('%s'): its methods return a new one"):format(tostring(key)), 2)
end

function native.metatable.__tostring(self)
  return ("weir.schema.%s"):format(self._def.kind)
end

native.metatable.__name = "weir.schema"

---------------------------------------------------------------------------------------------------
-- The builder

---@class weir.schema
local schema = {}

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

---An array whose elements all fit one schema.
---@param item weir.Schema
---@return weir.ArraySchema
function schema.array(item)
  return new { kind = "array", item = item, depth = depth_over(item, "array", "the item") }
end

---An object with any members, whose values all fit one schema.
---@param value weir.Schema
---@return weir.Schema
function schema.record(value)
  return new { kind = "record", item = value, depth = depth_over(value, "record", "the value") }
end

---An object. Other members than the fields pass and are kept, unless it is strict().
---@param fields table<string, weir.Schema>
---@return weir.ObjectSchema
function schema.object(fields)
  if type(fields) ~= "table" or is_schema(fields) then
    fail(0, "object", "expected a table of fields, got %s", is_schema(fields) and "a schema" or describe(fields))
  end
  local own, depth, count = {}, 1, 0
  for name, field in pairs(fields) do
    if type(name) ~= "string" or not utf8.len(name) then
      fail(0, "object", "expected names of fields in UTF-8, got %s", describe(name))
    end
    depth = math.max(depth, depth_over(field, "object", ("field '%s'"):format(name)))
    own[name] = field
    count = count + 1
  end
  if count > native.fieldsMax then
    fail(0, "object", "has %d fields, at most %d are possible", count, native.fieldsMax)
  end
  return new { kind = "object", fields = own, depth = depth }
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

return schema
