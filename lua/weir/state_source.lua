-- weir.materialize and weir.materializeAsync: where the events of a weir.MaterializedState come from.

local _, weir = ...
local native, gates = weir._materialized, weir._gate
local show = weir._options.show
local json, null = weir.json, weir.null
local states = weir._state.states

-- The values that a coroutine yields.
local function yielded(thread)
  return function()
    if coroutine.status(thread) == "dead" then
      return nil
    end
    local ok, value = coroutine.resume(thread)
    if not ok then
      error(value, 0)
    end
    return value
  end
end

local function items_of(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

-- A JSON array, or one event a line.
local function in_text(text)
  if text:match "^%s*%[" then
    return items_of(json.decode(text))
  end
  local next_line = text:gmatch "[^\r\n]+"
  return function()
    local line = next_line()
    while line and not line:find "%S" do
      line = next_line()
    end
    return line
  end
end

-- A function that gives one event after the other, then nil. Nothing where the source is none.
local function iterator_of(source)
  local kind = type(source)
  if kind == "function" then
    return source
  elseif kind == "thread" then
    return yielded(source)
  elseif kind == "string" then
    return in_text(source)
  elseif kind == "table" and source.headers == nil and (source[1] ~= nil or next(source) == nil) then
    return items_of(source)
  end
end

local function apply_each(state, where, next_event, level)
  local count = 0
  for event in next_event do
    count = count + 1
    local mistake = states.apply(state, event)
    if mistake then
      error(("%s: event %d: %s"):format(where, count, mistake), level + 1)
    end
  end
end

---What events add up to. The source is a list of them; JSON text (an array, or one event a line); a function that
---gives one after the other, then nil; or a coroutine that yields them.
---@param source table[]|string|thread|fun(): any
---@param options? weir.MaterializeOptions
---@return weir.Materialized
function weir.materialize(source, options)
  local next_event = iterator_of(source)
  if not next_event then
    error("materialize: expected a list of events, a function, a coroutine or JSON text, got " .. show(source), 2)
  end
  local state = states.new(options, "materialize", 2)
  apply_each(state, "materialize", next_event, 2)
  return state
end

local function is_stream(value)
  local meta = type(value) == "userdata" and value ~= null and getmetatable(value)
  return type(meta) == "table" and meta.__name == "weir.StateStream"
end

-- Applies what the stream gives until it is up to date; it goes on being applied if the stream goes on.
local function follow(stream, state, level)
  local started, live = native.source(stream)
  local in_task = gates.inTask()
  if started then
    error(("materializeAsync: %s is being read already: give it a stream of its own, weir.stream { url = ..., "
      .. "live = false }"):format(stream.name), level + 1)
  elseif live and not in_task then
    error(("materializeAsync: %s is followed for ever, and the main part of a script would not go on: set live = "
      .. "false, or call it in a handler or timer"):format(stream.name), level + 1)
  end
  local gate = gates.new()
  stream:onChange(function(_, event)
    state:apply(event)
  end)
  stream:onControl(function(event)
    state:apply(event)
  end)
  stream:onUpToDate(function()
    gates.open(gate)
  end)
  if in_task then
    gates.wait(gate, "materializeAsync")
  else
    weir.run()
  end
end

---What events add up to, from a source that may let one wait: as for weir.materialize, or a weir.stream that has just
---been declared. Of a stream it is what has been there when it is up to date for the first time; a live one goes on
---being applied after that. In the main part of a script it runs all streams (weir.run) until they have ended.
---@param source table[]|string|thread|(fun(): any)|weir.StateStream
---@param options? weir.MaterializeOptions
---@return weir.Materialized
function weir.materializeAsync(source, options)
  local stream = is_stream(source)
  local next_event = not stream and iterator_of(source)
  if not stream and not next_event then
    error("materializeAsync: expected a list of events, a function, a coroutine, JSON text or a stream, got "
      .. show(source), 2)
  end
  local state = states.new(options, "materializeAsync", 2)
  if stream then
    follow(source, state, 2)
  else
    apply_each(state, "materializeAsync", next_event, 2)
  end
  return state
end
