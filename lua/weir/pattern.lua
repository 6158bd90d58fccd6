-- Reads a whole Lua pattern for mistakes, to name them. Schemas match natively (engine/state/schema_pattern.h).
--
-- Returns nothing: it is no part of the module, and is called by weir.schema, which is loaded later.

local _, core = ...

-- Where the set that opens at `at` (on its "[") ends, or nil and what is wrong.
local function skip_set(pattern, at)
  at = at + 1
  if pattern:sub(at, at) == "^" then
    at = at + 1
  end
  repeat
    if at > #pattern then
      return nil, "a '[' without its ']'"
    end
    local byte = pattern:sub(at, at)
    at = at + (byte == "%" and 2 or 1)
  until pattern:sub(at, at) == "]"
  return at
end

-- Behind what a '%' at `at` stands for. captures: what is open (true) and closed (false) so far.
local function skip_escape(pattern, at, captures)
  local byte = pattern:sub(at + 1, at + 1)
  if byte == "" then
    return nil, "it ends with a '%'"
  elseif byte == "b" then
    if at + 3 > #pattern then
      return nil, "'%b' needs two characters behind it"
    end
    return at + 4
  elseif byte == "f" then
    if pattern:sub(at + 2, at + 2) ~= "[" then
      return nil, "'%f' needs a '[' behind it"
    end
    return at + 2
  elseif byte:find("%d") and captures[tonumber(byte)] ~= false then
    return nil, ("'%%%s' names a capture that is not there"):format(byte)
  end
  return at + 2
end

local function close_capture(captures)
  for i = #captures, 1, -1 do
    if captures[i] then
      captures[i] = false
      return true
    end
  end
  return false
end

--- What is wrong with a Lua pattern, or nil.
---@param pattern string
---@return string?
function core._schema.patternMistake(pattern)
  local at = pattern:sub(1, 1) == "^" and 2 or 1
  local captures, mistake = {}, nil
  while at <= #pattern do
    local byte = pattern:sub(at, at)
    if byte == "%" then
      at, mistake = skip_escape(pattern, at, captures)
    elseif byte == "[" then
      at, mistake = skip_set(pattern, at)
      at = at and at + 1
    else
      if byte == "(" then
        captures[#captures + 1] = true
      elseif byte == ")" and not close_capture(captures) then
        mistake = "a ')' without its '('"
      end
      at = at + 1
    end
    if mistake then
      return mistake
    end
  end
  if close_capture(captures) then
    return "a '(' without its ')'"
  elseif #captures > 32 then
    return "more than 32 captures"
  end
end
