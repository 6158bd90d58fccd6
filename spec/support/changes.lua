-- A stream of random changes for sinks, and what a database of it is to hold at any place.
--
--   local stream = changes.new{count = 3000, seed = 7}
--   stream.text                        -- JSON lines, one message each; stream.lines: a list of them
--   stream:rows(sequence)              -- "type/key value" a line, sorted: what the messages before that one left
--   stream:rows(sequence, text)        -- with text(type, fields) in the place of the value as JSON
--
-- Updates, patches, deletes and resets of types and keys of the worst kind. options: count; seed; keys (of a type, 40);
-- snapshots ("merge", "replace": some stand in the stream, to be read by a worker with that option); long (texts of
-- a kilobyte or two).
--
--   changes.file{line, line}           -- a file of lines: its path
--   changes.append(path, line, ...)

local cli = require "support.cli"
local tmp = require "support.tmp"

local changes = {}

local Changes = {}
Changes.__index = Changes

changes.types = {"users", "messages", "Users", 'x"; DROP TABLE users; --', "_sync_state", "größe 😀"}

-- As JSON, and what it says.
local SNIPPETS = {{"y", "y"}, {"it's ", "it's "}, {[[\"q\" ]], '"q" '}, {[[\\]], [[\]]}, {"ü😀", "ü😀"},
  {[[\u00e9]], "é"}, {"%s;--", "%s;--"}}

local function escaped(text)
  return (text:gsub('[\\"]', "\\%0"))
end

local function change(operation, type, key, value)
  return cli.change(escaped(type), escaped(key), operation, value)
end

--- A file of these lines of JSON: its path.
function changes.file(lines)
  return tmp.file("events.jsonl", table.concat(lines, "\n") .. (lines[1] and "\n" or ""))
end

--- Adds lines to it.
function changes.append(path, ...)
  local file = assert(io.open(path, "ab"))
  assert(file:write(table.concat({...}, "\n"), "\n"))
  assert(file:close())
end

local function control(name)
  return ('{"headers":{"control":"%s"}}'):format(name)
end

---------------------------------------------------------------------------------------------------
-- Fields: {name, JSON, what it says} each

local function json(_, fields)
  local out = {}
  for i, field in ipairs(fields) do
    out[i] = ('"%s":%s'):format(field[1], field[2])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function merged(fields, patch)
  local out, at = {}, {}
  for _, field in ipairs(fields) do
    out[#out + 1] = field
    at[field[1]] = #out
  end
  for _, field in ipairs(patch) do
    local i = at[field[1]] or #out + 1
    if field[2] ~= "null" then
      out[i] = field
    elseif at[field[1]] then
      table.remove(out, i)
    end
  end
  return out
end

--- The value as PostgreSQL writes JSONB.
function changes.jsonb(_, fields)
  local sorted = table.move(fields, 1, #fields, 1, {})
  table.sort(sorted, function(a, b)
    return #a[1] < #b[1] or (#a[1] == #b[1] and a[1] < b[1])
  end)
  for i, field in ipairs(sorted) do
    sorted[i] = ('"%s": %s'):format(field[1], field[2]:sub(1, 1) == '"' and '"' .. escaped(field[3]) .. '"'
      or field[2])
  end
  return "{" .. table.concat(sorted, ", ") .. "}"
end

--- Values of the types that changes.has_columns as the cells "n|p|text", and those of the others by `text`.
function changes.cells(text)
  return function(type, fields)
    if not changes.has_columns(type) then
      return (text or json)(type, fields)
    end
    local cells = {p = "-"}
    for _, field in ipairs(fields) do
      cells[field[1]] = field[3]
    end
    return ("%s|%s|%s"):format(cells.n, cells.p, cells.text)
  end
end

--- Whether a script with layout "columns" is to have a schema of the type (n, text, and perhaps p).
function changes.has_columns(type)
  return type ~= "users"
end

---------------------------------------------------------------------------------------------------
-- What a stream adds up to

local function apply(model, step)
  local replaces = model.replaces
  if step.control == "reset" then
    if replaces then
      model.building = {}
    else
      model.held = {}
    end
  elseif step.control == "snapshot-start" then
    model.building = replaces and {} or nil
  elseif step.control == "snapshot-end" then
    model.held, model.building = model.building or model.held, nil
  else
    local state = model.building or model.held
    local name = step.type .. "/" .. step.key
    local fields = step.fields
    if step.patch then
      fields = merged(state[name].fields, step.patch)
    end
    state[name] = fields and {type = step.type, fields = fields}
  end
end

local function has(model, type, key)
  return (model.building or model.held)[type .. "/" .. key] ~= nil
end

function Changes:rows(sequence, text)
  local model = {held = {}, replaces = self.replaces}
  for i = 1, sequence do
    apply(model, self.steps[i])
  end
  if sequence == self.count then
    model.held = model.building or model.held -- a reset's new state is whole at the end of the stream
  end
  local rows = {}
  for name, entity in pairs(model.held) do
    rows[#rows + 1] = name .. " " .. (text or json)(entity.type, entity.fields)
  end
  table.sort(rows)
  return table.concat(rows, "\n")
end

---------------------------------------------------------------------------------------------------
-- Making one

local Maker = {}
Maker.__index = Maker

function Maker:draw(n)
  self.random = self.random * 6364136223846793005 + 1442695040888963407
  return (self.random >> 33) % n + 1
end

function Maker:add(line, step)
  self.lines[#self.lines + 1], self.steps[#self.steps + 1] = line, step
  apply(self.model, step)
end

function Maker:control(name)
  self:add(control(name), {control = name})
end

function Maker:text()
  local coded, plain = {}, {}
  for i = 1, self:draw(self.options.long and 100 or 12) do
    local snippet = SNIPPETS[self:draw(#SNIPPETS)]
    coded[i], plain[i] = snippet[1], snippet[2]
    if self.options.long then
      coded[i], plain[i] = coded[i]:rep(10), plain[i]:rep(10)
    end
  end
  return {"text", '"' .. table.concat(coded) .. '"', table.concat(plain)}
end

local function number(name, n)
  return {name, tostring(n), tostring(n)}
end

function Maker:change()
  local type, key = changes.types[self:draw(#changes.types)], "k'" .. self:draw(self.options.keys or 40)
  local n, pick = #self.lines + 1, self:draw(20)
  if pick <= 3 then
    self:add(change("delete", type, key), {type = type, key = key})
  elseif pick <= 7 and has(self.model, type, key) then
    local patches = {{number("p", n)}, {{"p", "null"}}, {number("n", n), self:text()}, {number("n", n), {"p", "null"}}}
    local patch = patches[self:draw(#patches)]
    self:add(change("patch", type, key, json(type, patch)), {type = type, key = key, patch = patch})
  else
    local fields = {number("n", n), self:text()}
    if pick == 8 then
      table.insert(fields, 1, number("p", n))
    end
    self:add(change(pick % 2 == 0 and "upsert" or "update", type, key, json(type, fields)),
      {type = type, key = key, fields = fields})
  end
end

--- A state that a reset began to build is not whole before the end: where that counts, only one stands near it.
function Maker:may_reset(i)
  if not self.model.replaces then
    return self:draw(900) == 1
  end
  local first = not self.has_reset and i >= self.options.count * 0.92
  self.has_reset = self.has_reset or first
  return first
end

function changes.new(options)
  local replaces = options.snapshots == "replace"
  local maker = setmetatable({options = options, random = options.seed, lines = {}, steps = {},
    model = {held = {}, replaces = replaces}}, Maker)
  local ends
  for i = 1, options.count do
    if i == ends then
      maker:control "snapshot-end"
      ends = nil
    elseif not ends and options.snapshots and i < options.count * 0.85 and maker:draw(300) == 1 then
      maker:control "snapshot-start"
      ends = i + 30 + maker:draw(60)
    elseif not ends and maker:may_reset(i) then
      maker:control "reset"
    else
      maker:change()
    end
  end
  return setmetatable({text = table.concat(maker.lines, "\n") .. "\n", lines = maker.lines, steps = maker.steps,
    count = options.count, replaces = replaces}, Changes)
end

return changes
