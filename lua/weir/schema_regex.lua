-- Lua patterns as regular expressions of JSON Schema (ECMA 262), and back, as far as the one can say what the other
-- does. Patterns work on bytes, expressions on characters: for ASCII both find the same.
--
-- Returns nothing: lua/weir/schema_json.lua uses it.

local _, core = ...
local native = core._schema

---------------------------------------------------------------------------------------------------
-- From patterns

local function escaped(char)
  if char:find "[%^%$\\.*+?()%[%]{}|/]" then
    return "\\" .. char
  elseif char:find "%c" then
    return ("\\x%02x"):format(char:byte())
  end
  return char
end

local function escaped_in_class(byte)
  local char = string.char(byte)
  if char:find "[%w_ ]" then
    return char
  end
  return ("\\x%02x"):format(byte)
end

-- The ASCII bytes of a set as what stands between the brackets of a class.
local function ranges_of(set)
  local out, byte = {}, 0
  while byte < 128 do
    local last = byte
    while set[byte] and last < 127 and set[last + 1] do
      last = last + 1
    end
    if set[byte] then
      out[#out + 1] = escaped_in_class(byte)
      out[#out + 1] = last > byte and "-" .. escaped_in_class(last) or ""
    end
    byte = last + 1
  end
  return table.concat(out)
end

-- A class of a regular expression for what an item of a pattern ("%a", "[x-z]", ".") matches; nil: it has bytes of
-- characters that are not ASCII.
local function class_of(item)
  local set, rest, high = {}, {}, 0
  for byte = 0, 255 do
    local fits = string.find(string.char(byte), "^" .. item .. "$") ~= nil
    set[byte], rest[byte] = fits, not fits
    high = high + (byte > 127 and fits and 1 or 0)
  end
  if high == 0 then
    return "[" .. ranges_of(set) .. "]"
  elseif high == 128 then
    local others = ranges_of(rest)
    return others == "" and "[\\s\\S]" or "[^" .. others .. "]"
  end
end

-- Where the item that begins at `at` ends. The pattern is known to be right.
local function item_end(pattern, at)
  local char = pattern:sub(at, at)
  if char == "%" then
    return at + 1
  elseif char ~= "[" then
    return at
  end
  at = at + (pattern:sub(at + 1, at + 1) == "^" and 2 or 1)
  repeat
    at = at + (pattern:sub(at, at) == "%" and 2 or 1)
  until pattern:sub(at, at) == "]"
  return at
end

local SUFFIXES = { ["*"] = "*", ["+"] = "+", ["-"] = "*?", ["?"] = "?" }

-- An item with what is behind it, and where it goes on; or nil and the reason.
local function expression_of_item(pattern, at)
  local last = item_end(pattern, at)
  local item = pattern:sub(at, last)
  local suffix = SUFFIXES[pattern:sub(last + 1, last + 1)]
  local expression
  if item:find "^%%[bf]" then
    return nil, ("'%s'"):format(item)
  elseif item:find "^%%%d" then
    expression = "\\" .. item:sub(2)
    suffix = nil
  elseif #item == 1 and item ~= "." then
    if item:byte() > 127 and suffix then
      return nil, "a repeated byte of a character that is not ASCII"
    end
    expression = escaped(item)
  elseif item:find "^%%%W$" then
    expression = escaped(item:sub(2))
  else
    expression = class_of(item)
    if not expression then
      return nil, "bytes of characters that are not ASCII"
    end
  end
  return expression .. (suffix or ""), last + (suffix and 2 or 1)
end

--- The regular expression that finds what a pattern finds, or nil and what it has not.
---@param pattern string
---@return string?, string?
function native.regexOf(pattern)
  local out, at = {}, 1
  if pattern:sub(1, 1) == "^" then
    out[1], at = "^", 2
  end
  while at <= #pattern do
    local char = pattern:sub(at, at)
    if pattern:sub(at, at + 1) == "()" then
      return nil, "'()'"
    elseif char == "(" or char == ")" then
      out[#out + 1], at = char, at + 1
    elseif char == "$" and at == #pattern then
      out[#out + 1], at = "$", at + 1
    else
      local expression, next_at = expression_of_item(pattern, at)
      if not expression then
        return nil, next_at
      end
      out[#out + 1], at = expression, next_at
    end
  end
  return table.concat(out)
end

--- The regular expression for a text, as it is.
function native.regexOfText(text)
  return (text:gsub("[%^%$\\.*+?()%[%]{}|/%c]", escaped))
end

---------------------------------------------------------------------------------------------------
-- From regular expressions

local CLASSES = { d = "%d", w = "%w_", s = " \t\n\v\f\r" }
local CONTROLS = { t = "\t", n = "\n", r = "\r", f = "\f", v = "\v", ["0"] = "\0" }

-- What follows a backslash at `at`: { byte = } or { set =, negated = }, and where it goes on.
local function take_escape(regex, at)
  local char = regex:sub(at + 1, at + 1)
  local hex = regex:match("^\\x(%x%x)", at) or regex:match("^\\u00(%x%x)", at)
  if hex and tonumber(hex, 16) < 128 then
    return { byte = string.char(tonumber(hex, 16)) }, at + (char == "x" and 4 or 6)
  elseif CLASSES[char:lower()] then
    return { set = CLASSES[char:lower()], negated = char:find "%u" ~= nil }, at + 2
  elseif CONTROLS[char] then
    return { byte = CONTROLS[char] }, at + 2
  elseif char:find "^[%p]$" then
    return { byte = char }, at + 2
  end
  return nil, ("'\\%s'"):format(char)
end

local function in_set(byte)
  return byte:find "%w" and byte or "%" .. byte
end

-- A member of a class, from `at`.
local function take_member(regex, at)
  local char = regex:sub(at, at)
  if char == "\\" then
    return take_escape(regex, at)
  elseif char == "" then
    return nil, "a '[' without its ']'"
  elseif char:byte() > 127 then
    return nil, "characters in brackets that are not ASCII"
  end
  return { byte = char }, at + 1
end

-- "\0" and other controls need no '%', which would be wrong before letters only.
local function member_text(byte)
  return byte:find "%c" and byte or in_set(byte)
end

local function range_text(first, last)
  local out = {}
  for byte = first, last do
    out[#out + 1] = member_text(string.char(byte))
  end
  return table.concat(out)
end

-- A class and its opposite: any character. (No text has the byte 0xff.)
local ANYTHING = { ["[\\s\\S]"] = true, ["[\\d\\D]"] = true, ["[\\w\\W]"] = true }

-- A class in brackets as an atom.
local function take_class(regex, at)
  if ANYTHING[regex:sub(at, at + 5)] then
    return { set = "\xff", negated = true }, at + 6
  end
  local negated = regex:sub(at + 1, at + 1) == "^"
  local out = {}
  at = at + (negated and 2 or 1)
  while regex:sub(at, at) ~= "]" do
    local first, next_at = take_member(regex, at)
    if not first then
      return nil, next_at
    elseif first.negated then
      return nil, "a negated class in brackets"
    end
    local last = first
    if first.byte and regex:sub(next_at, next_at) == "-" and regex:sub(next_at + 1, next_at + 1) ~= "]" then
      last, next_at = take_member(regex, next_at + 1)
      if not last then
        return nil, next_at
      elseif not last.byte or last.byte < first.byte then
        return nil, "a range that is none"
      end
    end
    out[#out + 1] = first.set or range_text(first.byte:byte(), last.byte:byte())
    at = next_at
  end
  if #out == 0 then
    return nil, "an empty class"
  end
  return { set = table.concat(out), negated = negated }, at + 1
end

-- One byte, or one character of a class: { text = "a" } or { set =, negated = }.
local function take_atom(regex, at)
  local char = regex:sub(at, at)
  if char == "[" then
    return take_class(regex, at)
  elseif char == "." then
    return { set = "\n\r", negated = true }, at + 1
  elseif char == "\\" then
    return take_escape(regex, at)
  elseif char == "|" then
    return nil, "'|'"
  elseif char:find "[*+?{}%])^$]" then
    return nil, ("'%s' at this place"):format(char)
  end
  return { byte = char }, at + 1
end

-- How often: least, most (nil: any number), and where it goes on.
local function take_count(regex, at)
  local char = regex:sub(at, at)
  local least, most, next_at
  if char == "*" then
    least, most, next_at = 0, nil, at + 1
  elseif char == "+" then
    least, most, next_at = 1, nil, at + 1
  elseif char == "?" then
    least, most, next_at = 0, 1, at + 1
  else
    local from, comma, to, behind = regex:match("^{(%d+)(,?)(%d*)}()", at)
    if not from then
      return 1, 1, at
    end
    least = tonumber(from)
    most = comma == "" and least or tonumber(to)
    next_at = behind
  end
  -- What is lazy finds the same.
  return least, most, regex:sub(next_at, next_at) == "?" and next_at + 1 or next_at
end

-- One of it as an item of a pattern; single: it takes one byte, whatever is behind.
local function item_of(atom)
  if atom.byte then
    return atom.byte:find "%p" and "%" .. atom.byte or atom.byte, true
  elseif not atom.negated then
    return "[" .. atom.set .. "]", true
  end
  return "[^" .. atom.set .. "]", false
end

-- How many optional items there may be one behind the other: each doubles the ways to fail.
local OPTIONAL_MAX, REPEATED_MAX = 6, 200

local function repeated(atom, least, most)
  local item, single = item_of(atom)
  if atom.byte and atom.byte:byte() > 127 and not (least == 1 and most == 1) then
    return nil, "a repeated character that is not ASCII"
  elseif least > REPEATED_MAX or (most and most - least > OPTIONAL_MAX) then
    return nil, ("'{%d,%s}'"):format(least, most or "")
  elseif most and most < least then
    return nil, "a range that is none"
  end
  -- One character that may be any but some: its first byte, and those that belong to it.
  local one = single and item or item:sub(1, -2) .. "\x80-\xBF][\x80-\xBF]*"
  if not most then
    return least == 0 and item .. "*" or one:rep(least) .. item .. "*"
  elseif not single and most > least then
    return nil, "an optional character that may be any but some"
  end
  return one:rep(least) .. (item .. "?"):rep(most - least)
end

-- A group: what is in it is as good without it, unless it is repeated.
local function skip_group(regex, at)
  local behind = regex:match("^%(%?:()", at)
  if not behind and regex:find("^%(%?", at) then
    return nil, ("'%s'"):format(regex:sub(at, at + 2))
  end
  return behind or at + 1
end

-- ^[a-z]{2,8}$ is a length and a pattern.
local function whole_class(regex)
  local class, least, most = regex:match "^%^(%b[]){(%d+),(%d*)}%$$"
  local atom, behind
  if class then
    atom, behind = take_class(class, 1)
  end
  if atom and not atom.negated and behind == #class + 1 then
    return { pattern = "^[" .. atom.set .. "]*$", min = tonumber(least), max = tonumber(most) }
  end
end

--- What finds the same as a regular expression: { pattern =, min =, max = } or { startsWith = } and so on; or nil and
--- what patterns cannot do.
---@param regex string
---@return table?, string?
function native.patternOf(regex)
  local whole = whole_class(regex)
  if whole then
    return whole
  end
  local out, texts, last, open = {}, {}, nil, 0
  local from_start = regex:sub(1, 1) == "^"
  local at = from_start and 2 or 1
  while at <= #regex do
    local char = regex:sub(at, at)
    if char == "$" and at == #regex then
      last, at = true, at + 1
    elseif char == "(" then
      local behind, reason = skip_group(regex, at)
      if not behind then
        return nil, reason
      end
      open, at = open + 1, behind
    elseif char == ")" and open > 0 then
      open, at = open - 1, at + 1
      if regex:find("^[*+?{]", at) then
        return nil, "a repeated group"
      end
    else
      local atom, next_at = take_atom(regex, at)
      if not atom then
        return nil, next_at
      end
      local least, most
      least, most, at = take_count(regex, next_at)
      local item, reason = repeated(atom, least, most)
      if not item then
        return nil, reason
      end
      out[#out + 1] = item
      texts[#texts + 1] = atom.byte and least == 1 and most == 1 and atom.byte or nil
    end
  end
  if open > 0 then
    return nil, "a '(' without its ')'"
  elseif #texts == #out and not (from_start and last) then
    local text = table.concat(texts)
    return from_start and { startsWith = text } or last and { endsWith = text } or { includes = text }
  end
  return { pattern = (from_start and "^" or "") .. table.concat(out) .. (last and "$" or "") }
end
