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
--
-- Here is what schemas are, and the methods of scalars and arrays; schema_kinds.lua has the builder, schema_object.lua
-- the methods of objects, schema_settle.lua what only Lua can do (parse, default, refine), schema_json.lua JSON Schema.

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
local object_methods = {} -- lua/weir/schema_object.lua

---@class weir.TupleSchema: weir.Schema
local tuple_methods = {}

local methods_of = {
  string = string_methods,
  number = number_methods,
  integer = number_methods,
  array = array_methods,
  object = object_methods,
  tuple = tuple_methods,
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

-- The same for what only Lua can do: a schema with such a part is not checked natively alone.
local function with_lua(schema, key, value)
  local changed = with(schema, key, value)
  changed._def.lua = true
  return changed
end

local function added(list, item)
  local longer = { table.unpack(list or {}) }
  longer[#longer + 1] = item
  return longer
end

-- A method called with a dot instead of a colon has no schema in front.
local function check_self(self, name)
  if not is_schema(self) then
    fail(1, name, "called on %s, not on a schema: write schema:%s(...) with a colon", describe(self), name)
  end
end

-- A schema as a part of another: weir's own as it is, any other that speaks Standard Schema in a shell. Raises where
-- it is none, or nested too deep. Also whether it needs Lua, and the depth of what holds it.
local function part(child, name, what, depth)
  depth = depth or 0
  if not is_schema(child) then
    local face = type(child) == "table" and child["~standard"]
    if type(face) ~= "table" or type(face.validate) ~= "function" then
      fail(1 + depth, name, "%s is %s: expected a schema (s.string(), ...)", what, describe(child))
    end
    child = new { kind = "foreign", foreign = child, optional = true, lua = true }
  end
  local levels = (child._def.depth or 1) + 1
  if levels > native.depthMax then
    fail(1 + depth, name, "%s is nested deeper than %d levels", what, native.depthMax)
  end
  return child, child._def.lua, levels
end

-- Whether it may be missing, as a member. What is lazy is asked, so all of it must have been made.
local function may_miss(schema)
  local def = schema._def
  return def.optional or def.default ~= nil or def.kind == "lazy" and may_miss(def.get())
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
  return with(with(self, "over", nil), "min", least)
end

local function set_max(self, most)
  if self._def.min and most < self._def.min then
    fail(1, "max", "%s is below the min of %s", most, self._def.min)
  end
  return with(with(self, "under", nil), "max", most)
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

---optional() and nullable() at once.
---@return weir.Schema
function schema_methods:nullish()
  check_self(self, "nullish")
  return with(with(self, "optional", true), "nullable", true)
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
  if mistake then
    fail(0, "pattern", "%q is no Lua pattern: %s", pattern, mistake)
  end
  return with(self, "texts", added(self._def.texts, { part = "pattern", text = pattern }))
end

local function with_text(self, name, text)
  if type(text) ~= "string" or not utf8.len(text) then
    fail(1, name, "expected a string in UTF-8, got %s", describe(text))
  end
  return with(self, "texts", added(self._def.texts, { part = name, text = text }))
end

---Has this text at its start.
---@param text string
---@return weir.StringSchema
function string_methods:startsWith(text)
  check_self(self, "startsWith")
  return (with_text(self, "startsWith", text))
end

---Has this text at its end.
---@param text string
---@return weir.StringSchema
function string_methods:endsWith(text)
  check_self(self, "endsWith")
  return (with_text(self, "endsWith", text))
end

---Has this text anywhere.
---@param text string
---@return weir.StringSchema
function string_methods:includes(text)
  check_self(self, "includes")
  return (with_text(self, "includes", text))
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

---A URL, as browsers understand it: a scheme and, for http, https, ws, wss and ftp, a host.
---@return weir.StringSchema
function string_methods:url()
  check_self(self, "url")
  return with(self, "url", true)
end

---A UUID of RFC 9562: 36 characters, version 1 to 8; or all zeros, or all f.
---@return weir.StringSchema
function string_methods:uuid()
  check_self(self, "uuid")
  return with(self, "uuid", true)
end

---At least one character.
---@return weir.StringSchema
function string_methods:nonempty()
  check_self(self, "nonempty")
  return (set_min(self, 1))
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

---More than this.
---@param bound number
---@return weir.NumberSchema
function number_methods:gt(bound)
  check_self(self, "gt")
  check_bound("gt", bound)
  return with(set_min(self, bound), "over", true)
end

---Less than this.
---@param bound number
---@return weir.NumberSchema
function number_methods:lt(bound)
  check_self(self, "lt")
  check_bound("lt", bound)
  return with(set_max(self, bound), "under", true)
end

---At least this, as min.
number_methods.gte = number_methods.min

---At most this, as max.
number_methods.lte = number_methods.max

---More than 0.
---@return weir.NumberSchema
function number_methods:positive()
  check_self(self, "positive")
  return with(set_min(self, 0), "over", true)
end

---Less than 0.
---@return weir.NumberSchema
function number_methods:negative()
  check_self(self, "negative")
  return with(set_max(self, 0), "under", true)
end

---At least 0.
---@return weir.NumberSchema
function number_methods:nonnegative()
  check_self(self, "nonnegative")
  return (set_min(self, 0))
end

---At most 0.
---@return weir.NumberSchema
function number_methods:nonpositive()
  check_self(self, "nonpositive")
  return (set_max(self, 0))
end

---A whole multiple of this, in decimal: 0.3 is one of 0.1.
---@param factor number above 0
---@return weir.NumberSchema
function number_methods:multipleOf(factor)
  check_self(self, "multipleOf")
  check_bound("multipleOf", factor)
  if factor <= 0 or factor == math.huge then
    fail(0, "multipleOf", "expected a number above 0, got %s", describe(factor))
  end
  return with(self, "multiple", factor)
end

---A whole number that fits 64 bits, as s.integer().
---@return weir.NumberSchema
function number_methods:int()
  check_self(self, "int")
  return with(self, "kind", "integer")
end

---------------------------------------------------------------------------------------------------
-- Arrays and tuples

---At least so many elements.
---@type fun(self: weir.ArraySchema, least: integer): weir.ArraySchema
array_methods.min = string_methods.min

---At most so many elements.
---@type fun(self: weir.ArraySchema, most: integer): weir.ArraySchema
array_methods.max = string_methods.max

---Exactly so many elements.
---@type fun(self: weir.ArraySchema, count: integer): weir.ArraySchema
array_methods.length = string_methods.length

---At least one element.
---@type fun(self: weir.ArraySchema): weir.ArraySchema
array_methods.nonempty = string_methods.nonempty

---More elements may follow, all of which fit one schema.
---@param item weir.Schema
---@return weir.TupleSchema
function tuple_methods:rest(item)
  check_self(self, "rest")
  local child, lua, depth = part(item, "rest", "the item")
  local def = with(self, "item", child)._def
  def.lua = def.lua or lua
  def.depth = math.max(def.depth or 1, depth)
  return new(def)
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

function native.metatable.__index(self, key)
  local def = rawget(self, "_def")
  local methods = methods_of[def.kind]
  local method = schema_methods[key] or methods and methods[key]
  if method then
    return method
  elseif key == "~standard" then
    local face = native.standard(self)
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

native.kit = {
  fail = fail,
  describe = describe,
  is_schema = is_schema,
  new = new,
  with = with,
  with_lua = with_lua,
  added = added,
  part = part,
  may_miss = may_miss,
  check_self = check_self,
}
native.methods = schema_methods
native.objectMethods = object_methods

---Schemas of each kind: see lua/weir/schema_kinds.lua.
---@class weir.schema
native.builder = {}

return native.builder
