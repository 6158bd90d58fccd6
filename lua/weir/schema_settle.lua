-- weir.schema: parse, safeParse and the face of Standard Schema; and what only Lua can do to a value: defaults that are
-- filled in, members that are left out, functions that are asked, schemas of other libraries.
--
-- A value is always checked natively first, as if there was nothing of that. Only then it is settled: walked over as
-- far as the schema has such parts. What changes is changed in copies; where nothing does, the value is given back
-- itself.

local _, core = ...
local native = core._schema
local kit = native.kit
local added, check_self, describe, fail, with_lua = kit.added, kit.check_self, kit.describe, kit.fail, kit.with_lua
local null, json = core.null, core.json

local schema_methods = native.methods

local ISSUES_MAX = 32 -- as of a native check

---------------------------------------------------------------------------------------------------
-- Issues. Their paths are lists of names and of places from 0 until they are handed out.

-- As the native half writes it: "items[2].name", ["first name"].
local function path_text(path)
  local text = ""
  for _, key in ipairs(path) do
    if math.type(key) == "integer" then
      text = ("%s[%d]"):format(text, key)
    elseif key:find "^[%w_$\x80-\xff]+$" then
      text = text .. (text == "" and "" or ".") .. key
    else
      text = ("%s[%s]"):format(text, json.encode(key))
    end
  end
  return text
end

local function in_words(issues)
  for _, issue in ipairs(issues) do
    issue.path = path_text(issue.path)
  end
  return issues
end

-- The path of another library's issue: a list of keys and of { key = key }, or a text.
local function keys_of(path)
  local keys = {}
  if type(path) == "string" then
    for name, place in path:gmatch "([^.%[%]]*)%[?(%d*)%]?%.?" do
      keys[#keys + 1] = name ~= "" and name or nil
      keys[#keys + 1] = place ~= "" and math.tointeger(place) or nil
    end
  elseif type(path) == "table" then
    for i, part in ipairs(path) do
      local key = type(part) == "table" and part.key or part
      keys[i] = math.tointeger(key) or tostring(key)
    end
  end
  return keys
end

-- What is being settled: its issues, how many there would be without a limit, the way to the value at hand, and
-- whether what schemas of other libraries make of a value is taken.
local function new_work(path, takes_foreign)
  return { issues = {}, count = 0, path = path, takes_foreign = takes_foreign }
end

local function add_issue(work, message, value, below)
  work.count = work.count + 1
  if #work.issues < ISSUES_MAX then
    local path = { table.unpack(work.path) }
    for _, key in ipairs(below or {}) do
      path[#path + 1] = key
    end
    work.issues[#work.issues + 1] = { path = path, message = message, value = value }
  end
end

local function add_issues(work, issues)
  for _, issue in ipairs(issues) do
    work.count = work.count + 1
    work.issues[#work.issues + 1] = #work.issues < ISSUES_MAX and issue or nil
  end
end

---------------------------------------------------------------------------------------------------
-- Settling

local settle

-- What stands for another value in JSON (a table or userdata with __json), as that.
local function plain(value)
  local kind = type(value)
  local metatable = (kind == "table" or kind == "userdata" and value ~= null) and getmetatable(value)
  if type(metatable) == "table" and metatable.__json then
    return json.decode(json.encode(value))
  end
  return value
end

local function copy_of(value)
  local copy = {}
  for key, member in pairs(value) do
    copy[key] = member
  end
  return copy
end

-- A part of the value, at `place` of its path.
local function settle_part(work, schema, value, place)
  local path = work.path
  path[#path + 1] = place
  value = settle(work, schema, value)
  path[#path] = nil
  return value
end

local steps = {}

function steps.object(work, def, value)
  local result = value
  for _, name in ipairs(def.names) do
    local field = def.fields[name]
    local before = value[name]
    local after = field._def.lua and settle_part(work, field, before, name)
    if field._def.lua and not rawequal(before, after) then
      result = result == value and copy_of(value) or result
      result[name] = after
    end
  end
  for name in pairs(def.strip and value or {}) do
    if not def.fields[name] then
      result = result == value and copy_of(value) or result
      result[name] = nil
    end
  end
  return result
end

function steps.record(work, def, value)
  local result = value
  for name, before in pairs(value) do
    if def.keys then
      settle_part(work, def.keys, name, name)
    end
    local after = settle_part(work, def.item, before, name)
    if not rawequal(before, after) then
      result = result == value and copy_of(value) or result
      result[name] = after
    end
  end
  return result
end

local function settle_element(work, schema, value, result, i)
  local before = value[i]
  local after = settle_part(work, schema, before, i - 1)
  if not rawequal(before, after) and i <= #result + 1 then
    result = result == value and json.array(copy_of(value)) or result
    result[i] = after
  end
  return result
end

function steps.array(work, def, value)
  local result = value
  for i = 1, #value do
    result = settle_element(work, def.item, value, result, i)
  end
  return result
end

function steps.tuple(work, def, value)
  local result = value
  for i, option in ipairs(def.options) do
    result = settle_element(work, option, value, result, i)
  end
  for i = #def.options + 1, def.item and #value or 0 do
    result = settle_element(work, def.item, value, result, i)
  end
  return result
end

-- The first option that fits with all that its Lua says.
function steps.union(work, def, value)
  local refused
  for _, option in ipairs(def.options) do
    if not native.check(option, value) then
      local trial = new_work(work.path, work.takes_foreign)
      local result = settle(trial, option, value)
      if trial.count == 0 then
        return result
      end
      refused = refused or trial
    end
  end
  add_issues(work, refused.issues)
  return value
end

function steps.tagged(work, def, value)
  return settle(work, def.options[def.taken[value[def.tag]]], value)
end

function steps.lazy(work, def, value)
  return settle(work, def.get(), value)
end

function steps.foreign(work, def, value)
  local result = def.foreign["~standard"].validate(value)
  if type(result) ~= "table" then
    error(("weir.schema: the validate() of a schema by %s returned %s: expected a table"):format(
      tostring(def.foreign["~standard"].vendor), describe(result)), 0)
  elseif result.issues == nil then
    return work.takes_foreign and result.value or value
  end
  for _, issue in ipairs(result.issues) do
    add_issue(work, tostring(issue.message), issue.value == nil and value or issue.value, keys_of(issue.path))
  end
  if #result.issues == 0 then
    add_issue(work, "is not valid", value)
  end
  return value
end

local function default_of(work, schema)
  local default = schema._def.default
  local value
  if default.fn then
    value = default.fn()
  else
    value = json.decode(default.text)
  end
  for _, issue in ipairs(native.check(schema, value, true) or {}) do
    add_issue(work, "its default " .. issue.message, issue.value, issue.path)
  end
  if value == nil and not schema._def.optional then
    add_issue(work, "is missing, and its default gave nothing")
  end
  return value
end

local function ask(work, def, value)
  for _, refine in ipairs(def.refines) do
    local skipped = value == nil and not refine.missing or value == null and def.nullable and not refine.null
    local ok, message, path
    if not skipped then
      ok, message, path = refine.fn(value)
    end
    if not ok and not skipped then
      message = message or refine.message
      message = type(message) == "function" and message(value) or message
      add_issue(work, tostring(message or "was refused by refine()"), value, keys_of(path or refine.path))
    end
  end
end

-- What becomes of a value (nil: it is missing) that has passed the native check.
function settle(work, schema, value)
  local def, before = schema._def, work.count
  if not def.lua then
    return value
  end
  value = plain(value)
  if value == nil and def.default then
    value = default_of(work, schema)
  end
  local step = steps[def.kind]
  local wanted = value ~= nil and not (value == null and def.nullable) or value == nil and def.kind == "lazy" or
    def.kind == "foreign"
  if step and wanted and work.count == before then
    value = step(work, def, value)
  end
  if def.refines and work.count == before then
    ask(work, def, value)
  end
  return value
end

-- The issues, or nothing; and what the value comes to. lists: paths are lists, not texts.
local function examine(schema, value, lists)
  local issues = native.check(schema, value, lists)
  if issues or not schema._def.lua or not native.needsLua(schema) then
    return issues, value
  end
  local work = new_work({}, true)
  value = settle(work, schema, value)
  if work.count > 0 then
    return lists and work.issues or in_words(work.issues)
  end
  return nil, value
end

-- For a stream: a value that the native check has taken, of a schema that needs Lua or is another library's. The
-- issues, or nothing, and what is to be stored in the place of the value, where that is something else. What other
-- libraries make of a value is not stored: their schemas are only asked.
function native.settleChange(schema, value)
  if not native.isSchema(schema) then
    schema = { _def = { kind = "foreign", foreign = schema, lua = true } }
  end
  local work = new_work({}, false)
  local settled = settle(work, schema, value)
  if work.count > 0 then
    return in_words(work.issues)
  end
  return nil, not rawequal(settled, value) and settled or nil
end

---------------------------------------------------------------------------------------------------
-- Methods of every schema

---Where the value is missing, this takes its place; a function is called for it. A stream stores the value with it.
---@param value any
---@return weir.Schema
function schema_methods:default(value)
  check_self(self, "default")
  if value == nil then
    fail(0, "default", "expected a value, or a function that gives one")
  elseif type(value) == "function" then
    return with_lua(self, "default", { fn = value })
  end
  -- What is lazy may not have been made yet: then the value is checked where it is taken, as it is in any case.
  local whole, issues = pcall(native.check, self, value)
  if whole and issues then
    local where = issues[1].path == "" and "" or issues[1].path .. ": "
    fail(0, "default", "the value does not fit: %s%s", where, issues[1].message)
  end
  return with_lua(self, "default", { text = json.encode(value) })
end

---Asks fn(value) about each value that fits otherwise: what is false or nil is refused. fn may return false, message
---and path. options: a message, or { message = ..., path = { ... } }.
---@param fn fun(value: any): any, string?, (string|integer)[]?
---@param options string|{ message: string?, path: (string|integer)[]? }?
---@return weir.Schema
function schema_methods:refine(fn, options)
  check_self(self, "refine")
  if type(fn) ~= "function" then
    fail(0, "refine", "expected a function, got %s", describe(fn))
  elseif options ~= nil and type(options) ~= "string" and type(options) ~= "table" then
    fail(0, "refine", "expected a message or { message =, path = }, got %s", describe(options))
  end
  local said = type(options) == "table" and options or { message = options }
  local def = self._def
  return with_lua(self, "refines", added(def.refines, {
    fn = fn, message = said.message, path = said.path, missing = def.optional, null = def.nullable,
  }))
end

---Checks a value and returns it, with defaults and without what is stripped; raises an error that names every issue
---where it does not fit.
---@param value any
---@return any value
function schema_methods:parse(value)
  check_self(self, "parse")
  local issues, result = examine(self, value)
  if not issues then
    return result
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
  local issues, result = examine(self, value)
  if issues then
    return { success = false, issues = issues }
  end
  return { success = true, data = result }
end

-- Standard Schema, for libraries that take the schemas of any other (https://standardschema.dev).
function native.standard(schema)
  return {
    version = 1,
    vendor = "weir",
    validate = function(value)
      local issues, result = examine(schema, value, true)
      if issues then
        return { issues = issues }
      end
      return { value = result }
    end,
  }
end
