-- An event on its way into a weir.MaterializedState: read, given its key, held to its schema, applied, told of. An
-- item is { given, text, kind, type, typed, keyed, key }: what was given and its JSON text; "change", "reset" or
-- "control"; its type, and whether it has one of its own; whether it has a key, and one in the place of its own.
--
-- `parts` is what is behind a state: see state_materialized.lua.

local _, weir = ...
local native = weir._materialized
local show = weir._options.show
local json = weir.json
local events, items, schemas = weir._state.events, weir._state.items, weir._state.schemas

-- The state has seen nothing.
function items.forget(parts)
  parts.types, parts.seen, parts.typed = {}, {}, false
end

local function text_of(given)
  if type(given) == "string" then
    return given
  elseif events.is_native(given) then
    return given.text
  elseif type(given) ~= "table" then
    return nil, ("expected an event (a table, JSON text, or what a handler got), got %s"):format(show(given))
  end
  local ok, text = pcall(json.encode, given)
  if not ok then
    return nil, tostring(text)
  end
  return text
end

-- What a function of the script is given: the event as it came, or the table that its text stands for.
local function shown(item)
  if type(item.given) == "string" then
    item.given = json.decode(item.given)
  end
  return item.given
end

-- The key that keyFn or the schema makes of the event; nil where neither does. Or nil and a mistake.
local function made_key(parts, item)
  local event = shown(item)
  if parts.keyFn then
    local key = parts.keyFn(event)
    if key ~= nil and (type(key) ~= "string" or key == "") then
      return nil, ("keyFn gave %s: expected a non-empty string"):format(show(key))
    elseif key then
      return key
    end
  end
  local _, maker
  if parts.form and not item.keyed then
    _, maker = schemas.of_type(parts.form, item.type)
  end
  if not maker then
    return nil
  end
  return maker.make(event.value == nil and event.old_value or event.value)
end

local function settle_key(parts, item)
  if item.kind ~= "change" then
    return nil
  end
  local mistake
  if events.is_native(item.given) then
    item.key = item.given.key -- it may be one that the stream's getKey made
    item.keyed = item.keyed or item.key ~= nil
  end
  if parts.keyFn or not item.keyed then
    local key
    key, mistake = made_key(parts, item)
    item.key = key or item.key
  end
  if not mistake and not item.keyed and not item.key then
    mistake = "key is missing: a change needs a non-empty string"
  end
  return mistake
end

-- The item of an event. Nothing and what is wrong where it is none.
function items.read(parts, given)
  local text, mistake = text_of(given)
  if not text then
    return nil, mistake
  end
  local kind, name, typed, keyed = native.read(parts.core, text)
  if not kind then
    return nil, name
  end
  local item = { given = given, text = text, kind = kind, type = name, typed = typed, keyed = keyed }
  mistake = settle_key(parts, item)
  if mistake then
    return nil, mistake
  end
  return item
end

-- The schema that the item's value must fit, and the operation. Nothing where there is none.
local function schema_of(parts, item)
  if not parts.form or item.kind ~= "change" then
    return nil
  end
  local operation = shown(item).headers.operation
  if operation == "delete" then
    return nil
  end
  return schemas.of_type(parts.form, item.type), operation
end

-- Nothing where the value fits, otherwise why it does not.
local function value_mistake(item, schema, value)
  local issues = schemas.issues(schema, value)
  if not issues then
    return nil
  end
  for _, issue in ipairs(issues) do
    issue.path = schemas.inside("value", issue.path)
  end
  return ("%s/%s: %s"):format(item.type, item.key or shown(item).key, schemas.text(issues))
end

function items.check_schema(parts, item)
  local schema, operation = schema_of(parts, item)
  if schema and operation ~= "patch" then
    return value_mistake(item, schema, shown(item).value)
  end
end

-- A patch is judged by what it leaves, so when its turn has come.
local function check_patch(parts, item)
  local schema, operation = schema_of(parts, item)
  if not schema or operation ~= "patch" then
    return nil
  end
  local merged, mistake = native.merged(parts.core, item.text, item.key)
  if not merged then
    return mistake
  end
  return value_mistake(item, schema, json.decode(merged))
end

-- Applies the item. Nothing, or what is wrong: then nothing has changed.
function items.apply(parts, item)
  local mistake = check_patch(parts, item)
  if mistake then
    return mistake
  end
  local ok
  ok, mistake = native.apply(parts.core, item.text, item.key)
  if not ok then
    return mistake
  elseif item.kind == "reset" then
    items.forget(parts)
  elseif item.kind == "change" then
    parts.typed = parts.typed or item.typed
    if not parts.seen[item.type] then
      parts.seen[item.type] = true
      table.insert(parts.types, item.type)
    end
  end
end

-- Tells the listeners of a change. All are told; the first error comes back as { error }.
function items.tell(parts, state, item)
  if item.kind ~= "change" then
    return nil
  end
  local failure
  local i, listener = 1, parts.listeners[1]
  while listener do
    if not listener.type or listener.type == item.type then
      local ok, raised = pcall(listener.fn, state, shown(item))
      failure = failure or not ok and { raised } or nil
    end
    i = i + 1
    listener = parts.listeners[i]
  end
  return failure
end
