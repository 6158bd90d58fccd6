-- What goes out with each request of a stream or a producer: headers and parameters that are functions or files,
-- asked anew each time, and what the script says about a request that failed. The native half (script/api_hooks)
-- calls refresh and failed; neither may wait.

local _, weir = ...
local describe, traceback = weir._lane.describe, weir._lane.traceback

local outgoing = {}
weir._outgoing = outgoing

local open = io and io.open

-- An error's text, whatever it is.
local function text_of(err)
  local _, text = pcall(describe, err)
  return type(text) == "string" and text or "an error without a message"
end

-- The values below are secrets, often: messages name where they come from and never show them.

local function from_function(source)
  local ok, value = xpcall(source, traceback)
  if not ok then
    return nil, "its function raised: " .. text_of(value)
  end
  if value ~= nil and type(value) ~= "string" then
    return nil, ("its function returned a %s: expected a string, or nil to leave it out"):format(type(value))
  end
  return value
end

local function from_file(path)
  if not open then
    return nil, path .. ": this Lua has no io library", "system"
  end
  local file, why = open(path, "rb")
  if not file then
    return nil, why, "system"
  end
  local text, mistake = file:read "a"
  file:close()
  if not text then
    return nil, path .. ": " .. tostring(mistake), "system"
  end
  text = text:gsub("[\r\n]+$", "")
  if text == "" then
    return nil, path .. ": is empty", "system"
  end
  return text
end

local function value_of(source)
  if type(source) == "function" then
    return from_function(source)
  elseif type(source) == "table" then
    return from_file(source.file)
  end
  return source
end

-- Puts the present values into `values`. Returns nothing, or what is wrong and the name of its code.
local function gather(what, sources, values)
  for name, source in pairs(sources) do
    local value, mistake, code = value_of(source)
    if mistake then
      return ("the %s %s: %s"):format(what, name, mistake), code
    end
    if value and what == "header" and value:find "[%c]" then
      return ("the header %s: its value holds a line end or another control character"):format(name)
    end
    values[name] = value
  end
end

-- The headers that never change, and those that are asked for.
local function split(headers)
  local fixed, changing = {}, {}
  for name, source in pairs(headers or {}) do
    (type(source) == "string" and fixed or changing)[name] = source
  end
  return fixed, changing
end

-- The headers of an answer of onError: name in lower case = { name, value }. Or nil and what is wrong.
local function more_headers(answer)
  if type(answer.headers) ~= "table" or next(answer, next(answer)) ~= nil then
    return nil, 'onError returned a table: expected { headers = { ... } } and nothing else'
  end
  local more = {}
  for name, value in pairs(answer.headers) do
    if type(name) ~= "string" or name == "" or name:find "[^%w!#$%%&'*+.^_`|~-]" then
      return nil, "onError returned headers with a name that fits into no HTTP header: " .. tostring(name)
    end
    if type(value) ~= "string" or value:find "%c" then
      return nil, ("onError returned headers of which %s is no string that fits into an HTTP header"):format(name)
    end
    more[name:lower()] = { name, value }
  end
  return more
end

local HANDLERS_ONLY = { skip = true, deadletter = true } -- there is no event that they could be about

---@class weir.Outgoing
---@field fixed table<string, string> headers that never change
---@field changes boolean whether refresh has something to say
---@field refresh fun(): table?, table|string, string?
---@field failed fun(err: table): string?

-- on_error() gives the function that is asked about failures, or nil.
function outgoing.new(headers, params, on_error)
  local fixed, changing = split(headers)
  local more = {} -- what onError returned
  local pending -- what is wrong with what it returned
  local asked = { fixed = fixed, changes = next(changing) ~= nil or next(params or {}) ~= nil }

  function asked.refresh()
    if pending then
      local mistake = pending
      pending = nil
      return nil, mistake
    end
    local now, query = {}, {}
    local mistake, code = gather("header", changing, now)
    if not mistake then
      mistake, code = gather("parameter", params or {}, query)
    end
    if mistake then
      return nil, mistake, code
    end
    for name in pairs(now) do
      if more[name:lower()] then
        now[name] = nil
      end
    end
    for _, header in pairs(more) do
      now[header[1]] = header[2]
    end
    return now, query
  end

  function asked.failed(err)
    local fn = on_error()
    if not fn then
      return nil
    end
    local ok, answer = xpcall(fn, traceback, err)
    local mistake
    if not ok then
      mistake = "onError raised: " .. text_of(answer)
    elseif type(answer) == "table" then
      local headers_now
      headers_now, mistake = more_headers(answer)
      for name, header in pairs(headers_now or {}) do
        more[name] = header
      end
    elseif answer == nil or HANDLERS_ONLY[answer] then
      return nil
    elseif answer == "retry" or answer == "stop" then
      return answer
    else
      mistake = ('onError returned %s: expected "retry", "stop", { headers = { ... } } or nothing'):format(
        type(answer) == "string" and ("%q"):format(answer) or "a " .. type(answer))
    end
    pending = mistake
    return "retry"
  end

  return asked
end
