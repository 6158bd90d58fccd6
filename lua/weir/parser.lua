-- weir.parser: database rows whose values are text, as PostgreSQL writes them and Electric's streams carry them,
-- to Lua values by the declared type of their column.
--
--     local todos = weir.parser.new { columns = { id = "int8", done = "bool", tags = "text[]" } }
--     todos:row { id = "7", done = "t", tags = '{home,"very long"}', title = "Buy milk" }
--     --> { id = 7, done = true, tags = { "home", "very long" }, title = "Buy milk" }
--
-- A column that is not declared, and a type without a parser (text, numeric, timestamptz, ...), stays as it is. NULL
-- is weir.null. What does not fit its type raises: text is taken apart here and never run.

local _, weir = ...
local null = weir.null
local column_of, mistake_of, read, show = weir._column.new, weir._column.mistake, weir._column.read, weir._column.show

local ISSUES_MAX = 32 -- as of weir.schema

---What is known of a column, as Electric's header electric-schema says it: other members are passed to the parser.
---@class weir.Column
---@field type string "int4", "bool", "text", ...
---@field dims integer? of an array: 1 or more
---@field not_null boolean? NULL is refused, as an element of an array too

local function check_columns(columns, where, level)
  if type(columns) ~= "table" then
    error(("%s: columns: expected { name = type, ... }, got %s"):format(where, show(columns)), level + 1)
  end
  for name, said in pairs(columns) do
    local mistake = type(name) ~= "string" and "expected names of columns" or mistake_of(said)
    if mistake then
      error(("%s: columns.%s: %s"):format(where, tostring(name), mistake), level + 1)
    end
  end
end

local function check_parsers(parsers, where, level)
  if parsers ~= nil and type(parsers) ~= "table" then
    error(("%s: parsers: expected { type = function, ... }, got %s"):format(where, show(parsers)), level + 1)
  end
  for name, fn in pairs(parsers or {}) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      error(("%s: parsers.%s: expected a function, got %s"):format(where, tostring(name), show(fn)), level + 1)
    end
  end
end

local function columns_of(columns, parsers)
  local compiled = {}
  for name, said in pairs(columns) do
    compiled[name] = column_of(said, parsers)
  end
  return compiled
end

-- The row with its values read, and the issues, if there are any, in the order of their columns' names.
local function read_row(columns, row)
  local parsed, issues = {}, nil
  for name, value in pairs(row) do
    local column = columns[name]
    local ok, result = true, value
    if column then
      ok, result = read(column, value, name)
    end
    if ok then
      parsed[name] = result
    else
      issues = issues or {}
      issues[#issues + 1] = { path = name, message = result, value = value }
    end
  end
  if issues then
    table.sort(issues, function(a, b)
      return a.path < b.path
    end)
    for i = #issues, ISSUES_MAX + 1, -1 do
      issues[i] = nil
    end
  end
  return parsed, issues
end

local function is_row(value)
  return type(value) == "table" and (next(value) == nil or type(next(value)) == "string")
end

-- Those that end with a call of this leave it their place on the stack: level 2 is the script.
local function row_or_raise(columns, row)
  if row == nil or row == null then
    return row
  elseif not is_row(row) then
    error("weir.parser: expected a row (a table of columns), got " .. show(row), 2)
  end
  local parsed, issues = read_row(columns, row)
  if issues then
    error("weir.parser: " .. issues[1].message, 2)
  end
  return parsed
end

-- Likewise.
local function value_or_raise(parsers, value, column)
  local mistake = mistake_of(column)
  if mistake then
    error("weir.parser: " .. mistake, 2)
  end
  local ok, result = read(column_of(column, parsers), value)
  if not ok then
    error("weir.parser: " .. result, 2)
  end
  return result
end

---------------------------------------------------------------------------------------------------------------
-- What scripts call

---@class weir.ParserOptions
---@field columns? table<string, string|weir.Column>
---@field parsers? table<string, fun(text: string, column: weir.Column): any>

---Reads the rows of one table. It is a schema too (Standard Schema): as that of a type, in weir.defineStreamSchema,
---it refuses rows that do not fit.
---@class weir.Parser
---@field columns table<string, string|weir.Column> as they were given
local Parser = {}
Parser.__index = Parser
Parser.__name = "weir.parser"

-- What only this file needs of a parser: its columns as they are read, and the user's functions.
local kept = setmetatable({}, { __mode = "k" })

local function kept_of(self, name)
  local held = kept[self]
  if not held then
    error(("%s: called on %s, not on a parser: write parser:%s(...) with a colon"):format(name, show(self), name), 3)
  end
  return held
end

---The row, a new table, with the values of the declared columns read. nil and weir.null are given back as they are.
---Raises an error that names the column, its type and the text.
---@param row table?
---@return table? row
function Parser:row(row)
  return row_or_raise(kept_of(self, "row").columns, row)
end

---One value, by its type: as weir.parser.parse, and with the functions of the option parsers.
---@param value any
---@param column string|weir.Column
---@return any
function Parser:parse(value, column)
  return value_or_raise(kept_of(self, "parse").parsers, value, column)
end

-- The face of Standard Schema.
local function standard(columns)
  return {
    version = 1,
    vendor = "weir",
    validate = function(value)
      if not is_row(value) then
        local message = "expected a row (an object), got " .. show(value)
        return { issues = { { path = "", message = message, value = value } } }
      end
      local parsed, issues = read_row(columns, value)
      if issues then
        return { issues = issues }
      end
      return { value = parsed }
    end,
  }
end

local parser = {}

local OPTIONS = { columns = true, parsers = true }

---Makes a parser of the rows of one table.
---
---    columns   the type of each column: "int8", "text[]", or { type =, dims =, not_null = }
---    parsers   functions for more types, or in the place of those that are there: fn(text, column)
---@param options weir.ParserOptions
---@return weir.Parser
function parser.new(options)
  if type(options) ~= "table" then
    error("weir.parser.new: expected { columns = ... }, got " .. show(options), 2)
  end
  for name in pairs(options) do
    if not OPTIONS[name] then
      error(("weir.parser.new: unknown option '%s': expected columns or parsers"):format(tostring(name)), 2)
    end
  end
  local said = options.columns or {}
  check_columns(said, "weir.parser.new", 2)
  check_parsers(options.parsers, "weir.parser.new", 2)
  local parsers = {}
  for name, fn in pairs(options.parsers or {}) do
    parsers[name] = fn
  end
  local columns = columns_of(said, parsers)
  local self = setmetatable({ columns = said, ["~standard"] = standard(columns) }, Parser)
  kept[self] = { columns = columns, parsers = parsers }
  return self
end

---One value, by its type. nil and weir.null are given back as they are, unless the column is not_null. Raises an
---error that names the type and the text.
---@param value any
---@param column string|weir.Column "int4", "text[]", or { type =, dims =, not_null = }
---@return any
function parser.parse(value, column)
  return value_or_raise({}, value, column)
end

---A row with the values of these columns read: weir.parser.new { columns = columns }:row(row).
---@param row table?
---@param columns table<string, string|weir.Column>
---@return table? row
function parser.row(row, columns)
  check_columns(columns, "weir.parser.row", 2)
  return row_or_raise(columns_of(columns, {}), row)
end

return parser
