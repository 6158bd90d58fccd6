-- weir.sink { write = ..., ... }: a sink that the script defines. What the native half (engine/script/sink_lua.c)
-- calls, in a coroutine that may wait, is here.

local _, weir = ...
local native = weir._sink
local show = weir._options.show
local traceback, describe = weir._lane.traceback, weir._lane.describe

---------------------------------------------------------------------------------------------------
-- A batch

-- What is wrong with a place that `open` returned, or nothing.
local function place_mistake(place)
  if type(place) ~= "table" then
    return "a place, as commit was given it, or nil"
  end
  for _, name in ipairs { "skip", "sequence" } do
    if math.type(place[name]) ~= "integer" or place[name] < 0 then
      return ("a place with a whole number as %s (it is %s)"):format(name, show(place[name]))
    end
  end
  for _, name in ipairs { "offset", "notes" } do
    if place[name] ~= nil and type(place[name]) ~= "string" then
      return ("a place with a string as %s (it is %s)"):format(name, show(place[name]))
    end
  end
end

local function open(functions, stream, handle)
  local place = functions.open and functions.open(stream)
  if place == nil then
    return
  end
  local expected = place_mistake(place)
  if expected then
    error(("open returned %s: expected %s"):format(show(place), expected), 0)
  end
  native.place(handle, place.offset, place.skip, place.sequence, place.notes)
end

local function write_rows(write, stream, handle)
  local row = native.row(handle)
  while row do
    local taken, reason = write(row, stream)
    if taken == false then
      native.refuse(handle, tostring(reason or "refused by the sink"))
    end
    row = native.row(handle)
  end
end

local function commit(functions, stream, handle, place)
  if functions.begin then
    functions.begin(place, stream)
  end
  local ok, err
  repeat
    ok, err = xpcall(write_rows, traceback, functions.write, stream, handle)
    local refused = not ok and type(err) == "table" and rawget(err, "refused")
    if refused then
      native.refuse(handle, tostring(refused))
    elseif not ok then
      error(err, 0)
    end
  until ok
  if functions.flush then
    functions.flush(stream)
  end
  if functions.commit then
    functions.commit(place, stream)
  end
end

local function commit_or_roll_back(functions, stream, handle, place)
  local ok, err = xpcall(commit, traceback, functions, stream, handle, place)
  if ok then
    return
  end
  if functions.rollback then
    local undone, why = xpcall(functions.rollback, traceback, err, stream)
    if not undone then
      local _, text = pcall(describe, why)
      weir.log.error("a sink of %s: rollback raised: %s", stream.url, tostring(text))
    end
  end
  error(err, 0)
end

native.functions(open, commit_or_roll_back)

---------------------------------------------------------------------------------------------------
-- Declaring one

local FUNCTIONS = { open = true, begin = true, write = true, flush = true, commit = true, rollback = true }
local NAMES = "begin, commit, flush, name, open, rollback, write"

local function check(options, level)
  if type(options) ~= "table" then
    error("weir.sink: expected a table of functions, got " .. show(options), level + 1)
  end
  for name, value in pairs(options) do
    if name == "name" then
      if type(value) ~= "string" or value == "" then
        error("weir.sink: name: expected a non-empty string, got " .. show(value), level + 1)
      end
    elseif not FUNCTIONS[name] then
      error(("weir.sink: unknown option '%s': expected one of %s"):format(tostring(name), NAMES), level + 1)
    elseif type(value) ~= "function" then
      error(("weir.sink: %s: expected a function, got %s"):format(name, show(value)), level + 1)
    end
  end
  if not options.write then
    error("weir.sink: write is missing: expected a function", level + 1)
  end
end

-- "sink room.lua:12"
local function default_name(level)
  local info = debug and debug.getinfo(level + 1, "Sl")
  return info and info.currentline > 0 and ("sink %s:%d"):format(info.short_src, info.currentline) or "sink"
end

setmetatable(weir.sink, {
  -- A sink of the script's own. All functions but write may be left out; each may wait. The last argument is a table
  -- of the stream, with its url, in which the sink may keep what is its own.
  --
  --     open(stream)            once, first: the place that was committed last, or nil
  --     begin(place, stream)    before the rows of a batch; place: what is reached with the last of them
  --     write(row, stream)      one row: { op = "put" | "delete" | "clear", type, key, value,
  --                             offset, index, sequence }.
  --                             Refused with `return false, reason` or error { refused = reason }
  --     flush(stream)           after the last row
  --     commit(place, stream)   rows and place are to be kept now
  --     rollback(err, stream)   one of the functions above raised: nothing of the batch is to be kept
  --     name                    how messages call it; default: where it was declared
  __call = function(_, options)
    check(options, 2)
    local functions = {}
    for name in pairs(FUNCTIONS) do
      functions[name] = options[name]
    end
    local placed = functions.open ~= nil
    return native.newScripted(options.name or default_name(2), functions, placed, placed and functions.commit ~= nil)
  end,
})
