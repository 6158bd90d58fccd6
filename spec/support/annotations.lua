-- LuaLS annotations as specs look at them: the classes of files, and a small checker that follows what a script does
-- with annotated values. It stands in for lua-language-server where there is none, and knows far less: names that are
-- assigned once, chains of fields, calls that are told apart by the name of a type. What it cannot follow it lets pass.
--
--   local known = annotations.read(text, more_text)
--   known.classes["weir.State"].fields.get            -- { type = "...", overloads = {...} }
--   annotations.check(known, script_text)             -- { { line =, class =, field = }, ... }

local annotations = {}

---------------------------------------------------------------------------------------------------------------
-- Annotations

-- The type expression that begins at `at`, and what is behind it.
local function expression_at(text, at)
  local depth, i = 0, at
  while i <= #text do
    local char = text:sub(i, i)
    if char == '"' then
      i = text:find('"', i + 1, true) or #text
    elseif char:find "[<({%[]" then
      depth = depth + 1
    elseif char:find "[>)}%]]" then
      depth = depth - 1
      if depth < 0 then
        break
      end
    elseif char == "," and depth == 0 then
      break
    elseif char:find "%s" and depth == 0 and not text:sub(at, i - 1):find "[:|,]%s*$" then
      break
    end
    i = i + 1
  end
  return text:sub(at, i - 1), i
end

-- { { "type", '"users"' }, { "fn", "fun(...)" } } and the result of "fun(...): ...".
local function signature_of(expression)
  local list, result = expression:match "^fun(%b()):?%s*(.*)$"
  local parameters = {}
  if not list then
    return nil
  end
  list = list:sub(2, -2)
  local at = 1
  while at <= #list do
    local name, start = list:match("^%s*([%w_.]+)%??%s*:%s*()", at)
    local kind
    if name then
      kind, at = expression_at(list, start)
    else
      name, at = list:match("^%s*([%w_.]+)%s*()", at)
      assert(name, "not understood: " .. expression)
    end
    parameters[#parameters + 1] = { name, kind or "any" }
    at = list:match("^%s*,()", at) or #list + 1
  end
  return { parameters = parameters, result = result ~= "" and result or nil }
end

local function class_named(classes, name)
  classes[name] = classes[name] or { name = name, parents = {}, fields = {} }
  return classes[name]
end

local function add_field(class, name, kind)
  local field = class.fields[name]
  if field and field.type and kind then
    field.type = field.type .. "|" .. kind
  else
    class.fields[name] = { type = kind or field and field.type, overloads = field and field.overloads or {} }
  end
  return class.fields[name]
end

-- One line of a file. block: the annotations above the next function.
local function read_line(known, state, line)
  local name, rest = line:match "^%-%-%-@class ([%w_.]+)%s*(.*)$"
  if not name then
    name, rest = line:match "^%-%-%-@class %(%l+%) ([%w_.]+)%s*(.*)$"
  end
  if name then
    state.class = class_named(known.classes, name)
    state:forget()
    for parent in rest:gsub("^:", ""):gmatch "[%w_.]+" do
      table.insert(state.class.parents, parent)
    end
    return
  end
  name, rest = line:match '^%-%-%-@field %["([^"]*)"%]%??%s+(.*)$'
  if not name then
    name, rest = line:match "^%-%-%-@field ([%w_]+)%??%s+(.*)$"
  end
  if name then
    add_field(state.class, name, (expression_at(rest, 1)))
    return
  end
  name, rest = line:match "^%-%-%-@alias ([%w_.]+) (.*)$"
  if name then
    known.aliases[name] = rest
    return
  end
  local overload = line:match "^%-%-%-@overload (.*)$"
  if overload then
    table.insert(state.overloads, signature_of(overload))
    return
  end
  name, rest = line:match "^%-%-%-@param ([%w_.]+)%?? (.*)$"
  if name then
    table.insert(state.parameters, { name, (expression_at(rest, 1)) })
    return
  end
  local returned = line:match "^%-%-%-@return (.*)$"
  if returned then
    state.returns = (expression_at(returned, 1))
    return
  end
  local variable = line:match "^local ([%w_]+) = {}"
  if variable then
    state.variables[variable] = state.class
    return
  end
  local owner, method = line:match "^function ([%w_]+)[.:]([%w_]+)%("
  if owner then
    local class = assert(state.variables[owner], line)
    local field = add_field(class, method, nil)
    field.method = true
    for _, each in ipairs(state.overloads) do
      table.insert(field.overloads, each)
    end
    if #state.overloads == 0 or #state.parameters > 0 then
      table.insert(field.overloads, { parameters = state.parameters, result = state.returns })
    end
    state:forget()
  end
end

-- What stood above the function before does not concern the next one.
local function forget(state)
  state.overloads, state.parameters, state.returns = {}, {}, nil
end

--- The classes and aliases that these texts have.
function annotations.read(...)
  local known = { classes = {}, aliases = {} }
  for _, text in ipairs { ... } do
    local state = { variables = {}, forget = forget }
    state:forget()
    for line in (text .. "\n"):gmatch "(.-)\n" do
      read_line(known, state, line)
    end
  end
  return known
end

--- The field of a class or of one of its parents.
function annotations.field(known, class_name, name)
  local class = known.classes[class_name]
  if not class then
    return nil
  end
  if class.fields[name] then
    return class.fields[name]
  end
  for _, parent in ipairs(class.parents) do
    local field = annotations.field(known, parent, name)
    if field then
      return field
    end
  end
end

-- The classes that a type is one of, without null and nil; nothing where it is anything else, too.
local function classes_of(known, kind)
  local found, at = {}, 1
  kind = kind and known.aliases[kind] or kind
  while kind and at <= #kind do
    local name, behind = kind:match("^([%w_.]+)()", at)
    local next_at = behind and kind:match("^%??|?()", behind)
    if not name or not (next_at > #kind or kind:sub(next_at - 1, next_at - 1) == "|") then
      return nil
    elseif name ~= "nil" and name ~= "weir.Null" then
      if not known.classes[name] then
        return nil
      end
      found[#found + 1] = name
    end
    at = next_at
  end
  return #found > 0 and found or nil
end

---------------------------------------------------------------------------------------------------------------
-- Scripts

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local function tokens_of(text)
  local tokens, at, line = {}, 1, 1
  local function add(kind, content, behind)
    tokens[#tokens + 1] = { kind = kind, text = content, line = line }
    line = line + select(2, text:sub(at, behind - 1):gsub("\n", ""))
    at = behind
  end
  local function skip(behind)
    line = line + select(2, text:sub(at, behind - 1):gsub("\n", ""))
    at = behind
  end
  while at <= #text do
    local equals = text:match("^%-%-%[(=*)%[", at)
    local long = text:match("^%[(=*)%[", at)
    if equals then
      skip((select(2, text:find("]" .. equals .. "]", at, true)) or #text) + 1)
    elseif text:find("^%-%-", at) then
      skip((text:find("\n", at, true) or #text) + 1)
    elseif text:find("^%s", at) then
      skip(text:match("^%s+()", at))
    elseif long then
      add("string", "", (select(2, text:find("]" .. long .. "]", at, true)) or #text) + 1)
    elseif text:find("^[\"']", at) then
      local quote, stop = text:sub(at, at), at + 1
      while stop <= #text and text:sub(stop, stop) ~= quote do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
      add("string", text:sub(at + 1, stop - 1), stop + 1)
    elseif text:find("^[%a_]", at) then
      local word, behind = text:match("^([%w_]+)()", at)
      add(KEYWORDS[word] and "keyword" or "name", word, behind)
    elseif text:find("^%d", at) then
      add("number", text:match("^([%w.]+)()", at))
    else
      add("op", text:match("^(%.%.+)()", at) or text:sub(at, at), text:match("^%.%.+()", at) or at + 1)
    end
  end
  return tokens
end

-- Behind the bracket that closes the one at i.
local function behind_brackets(tokens, i)
  local depth = 0
  repeat
    local text = tokens[i].kind == "op" and tokens[i].text
    if text == "(" or text == "{" or text == "[" then
      depth = depth + 1
    elseif text == ")" or text == "}" or text == "]" then
      depth = depth - 1
    end
    i = i + 1
  until depth == 0 or not tokens[i]
  return i
end

local function is(tokens, i, text)
  local token = tokens[i]
  return token ~= nil and token.text == text and token.kind ~= "string"
end

local Walk = {}
Walk.__index = Walk

function Walk:lookup(name)
  for i = #self.scopes, 1, -1 do
    local kind = self.scopes[i][name]
    if kind ~= nil then
      return kind or nil
    end
  end
end

function Walk:define(name, kind)
  self.scopes[#self.scopes][name] = kind or false
end

function Walk:push(names)
  table.insert(self.scopes, names or {})
end

-- The type of a field, and the field; what is not there is noted.
function Walk:step(kind, token)
  local classes = classes_of(self.known, kind)
  if not classes then
    return nil
  end
  local kinds, field
  for _, class in ipairs(classes) do
    local found = annotations.field(self.known, class, token.text)
    if found then
      field = field or found
      kinds = kinds and found.type and kinds .. "|" .. found.type or kinds or found.type
    end
  end
  if not field then
    local key = token.line .. " " .. token.text
    if not self.noted[key] then
      self.noted[key] = true
      table.insert(self.mistakes, { line = token.line, class = kind, field = token.text })
    end
    return nil
  end
  return kinds, field
end

local function parameter_of(overload, name)
  for _, parameter in ipairs(overload.parameters) do
    if parameter[1] == name then
      return parameter[2]
    end
  end
end

-- The overload that a call takes whose arguments open at i: the one for the type that it names, or for all.
local function overload_of(field, tokens, i)
  local named = tokens[i].text == "(" and tokens[i + 1].kind == "string" and tokens[i + 1].text
  local general
  for _, overload in ipairs(field.overloads) do
    local kind = parameter_of(overload, "type")
    if named and kind == '"' .. named .. '"' then
      return overload
    elseif (kind ~= nil) == (named ~= false) and (kind == nil or kind == "string") then
      general = overload
    end
  end
  return general
end

-- What a function gets that is the argument `fn` of that call.
function Walk:expect_function(overload)
  local kind = overload and parameter_of(overload, "fn")
  local signature = kind and signature_of(kind)
  self.callback = signature and signature.parameters or nil
end

-- A chain of fields and calls from the name at i: its type, and the place behind it. Calls end it, but their arguments
-- are left to be walked over: behind is then nil.
function Walk:chain(tokens, i)
  local kind = self:lookup(tokens[i].text)
  i = i + 1
  while tokens[i] and tokens[i].kind == "op" do
    local text = tokens[i].text
    local token = tokens[i + 1]
    if (text == "." or text == ":") and token and token.kind == "name" then
      local field
      kind, field = self:step(kind, token)
      i = i + 2
      if is(tokens, i, "(") and field and #field.overloads > 0 then
        local overload = overload_of(field, tokens, i)
        self:expect_function(overload)
        return overload and overload.result, behind_brackets(tokens, i), i
      end
    elseif text == "[" and kind and kind:find "%[%]$" then
      kind, i = kind:sub(1, -3):gsub("^%((.*)%)$", "%1"), behind_brackets(tokens, i)
    else
      break
    end
  end
  if is(tokens, i, "(") or is(tokens, i, "{") or tokens[i] and tokens[i].kind == "string" then
    return nil, nil, i
  end
  return kind, i, i
end

-- The type of a whole expression at i: a chain, or several with `or` between them.
function Walk:expression(tokens, i)
  local kinds = {}
  while tokens[i] and tokens[i].kind == "name" do
    if is(tokens, i, "weir") and is(tokens, i + 2, "stream") then
      return "weir.StateStream"
    end
    local kind, behind = self:chain(tokens, i)
    if not kind or not behind then
      return nil
    end
    kinds[#kinds + 1] = kind
    local following = tokens[behind]
    if not following or following.line > tokens[behind - 1].line or following.kind ~= "op"
      and following.kind ~= "keyword" or ({ ["end"] = 1, ["do"] = 1, [")"] = 1, [";"] = 1 })[following.text] then
      return table.concat(kinds, "|")
    elseif following.text ~= "or" then
      return nil
    end
    i = behind + 1
  end
end

-- The types of the names of `for ... in`, whose expression is at i.
function Walk:loop(tokens, i)
  if is(tokens, i, "ipairs") then
    local kind = self:expression(tokens, i + 2)
    return { "integer", kind and kind:match "^(.*)%[%]$" }
  end
  local kind = self:expression(tokens, i)
  local results = kind and kind:match "^fun%(%):%s*(.*)$"
  if results then
    local first, at = expression_at(results, 1)
    return { first, (expression_at(results, results:match("^,%s*()", at) or #results + 1)) }
  end
  return {}
end

local function names_until(tokens, i, stop)
  local names = {}
  while tokens[i] and not stop[tokens[i].text] do
    if tokens[i].kind == "name" then
      names[#names + 1] = tokens[i].text
    end
    i = i + 1
  end
  return names, i
end

function Walk:walk_function(tokens, i)
  while not is(tokens, i, "(") do
    i = i + 1
  end
  local names, behind = names_until(tokens, i + 1, { [")"] = true })
  local scope = {}
  for n, name in ipairs(names) do
    scope[name] = self.callback and self.callback[n] and self.callback[n][2] or false
  end
  self.callback = nil
  self:push(scope)
  return behind + 1
end

function Walk:walk_local(tokens, i)
  if is(tokens, i + 1, "function") then
    self:define(tokens[i + 2].text, nil)
    return self:walk_function(tokens, i + 2)
  end
  local names, stop = {}, i + 1
  repeat
    names[#names + 1] = tokens[stop].text
    stop = stop + (is(tokens, stop + 1, "<") and 4 or 1)
    local more = is(tokens, stop, ",")
    stop = stop + (more and 1 or 0)
  until not more
  local kind = is(tokens, stop, "=") and self:expression(tokens, stop + 1) or nil
  for n, name in ipairs(names) do
    self:define(name, n == 1 and kind or nil)
  end
  return stop
end

function Walk:walk_for(tokens, i)
  local names, stop = names_until(tokens, i + 1, { ["in"] = true, ["="] = true })
  local kinds = is(tokens, stop, "in") and self:loop(tokens, stop + 1) or {}
  self.pending = {}
  for n, name in ipairs(names) do
    self.pending[name] = kinds[n] or false
  end
  return stop + 1
end

local OPENS = { ["do"] = true, ["then"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true, ["elseif"] = true }

function Walk:walk(tokens)
  local i = 1
  while tokens[i] do
    local token = tokens[i]
    local behind
    if token.kind == "keyword" then
      if token.text == "function" then
        behind = self:walk_function(tokens, i)
      elseif token.text == "local" then
        behind = self:walk_local(tokens, i)
      elseif token.text == "for" then
        behind = self:walk_for(tokens, i)
      elseif OPENS[token.text] then
        self:push(self.pending)
        self.pending = nil
      elseif CLOSES[token.text] then
        table.remove(self.scopes)
      elseif token.text == "else" then
        table.remove(self.scopes)
        self:push()
      end
    elseif token.kind == "name" and not (is(tokens, i - 1, ".") or is(tokens, i - 1, ":")) then
      local _, _, stop = self:chain(tokens, i)
      behind = stop
    end
    i = behind or i + 1
  end
end

--- The fields that a script uses of annotated values and that these do not have, in the order of their lines.
function annotations.check(known, text)
  local walk = setmetatable({ known = known, scopes = { {} }, mistakes = {}, noted = {} }, Walk)
  walk:walk(tokens_of(text))
  table.sort(walk.mistakes, function(a, b)
    return a.line < b.line or a.line == b.line and a.field < b.field
  end)
  return walk.mistakes
end

return annotations
