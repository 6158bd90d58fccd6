-- weir.sink: where what becomes of a stream's state goes. A sink is declared here and listed in the option `sinks` of
-- streams; the worker opens it once for each of them.

local _, weir = ...
local native = weir._sink
local options_of = weir._options
local show = options_of.show

local open = io and io.open

---@class weir.Sink
---@field name string how messages call it
local Sink = {}
native.class = Sink -- for stream_emit.lua

local FIELDS = { name = native.name }

function native.metatable.__index(self, name)
  local field = FIELDS[name]
  if field then
    return field(self)
  end
  return Sink[name]
end

function native.metatable.__newindex(_, name)
  error(("a sink has no field '%s' that could be set"):format(tostring(name)), 2)
end

local function is_sink(value)
  return type(value) == "userdata" and value ~= weir.null and getmetatable(value) == native.metatable
end

---------------------------------------------------------------------------------------------------
-- Options. A value that may be a secret is shown in no message.

local function text(value)
  return (type(value) ~= "string" or value == "" or value:find "%c") and "a non-empty string" or nil
end

local function is_file(value)
  return type(value) == "table" and type(value.file) == "string" and value.file ~= ""
    and next(value, next(value)) == nil
end

-- Text, or { file = PATH }; without a value to show.
local function secret(expected, fits)
  return function(value)
    if is_file(value) then
      return nil
    elseif type(value) ~= "string" then
      return expected .. ", or { file = PATH }", nil, show(value)
    end
    return not fits(value) and expected or nil, nil, "another text"
  end
end

-- What the URL of a sink begins with. The rest may hold a password, in whatever form.
local function url_of(example, ...)
  local schemes = {}
  for _, scheme in ipairs { ... } do
    schemes[scheme] = true
  end
  return secret("a URL such as " .. example, function(value)
    local scheme = value:match "^(%a[%w+.-]*):"
    return scheme and schemes[scheme:lower()] and not value:find "[%c ]"
  end)
end

local function key_text(value)
  return value ~= "" and not value:find "%c"
end

local function one_of(...)
  local set, names = {}, {}
  for i, name in ipairs { ... } do
    set[name], names[i] = true, ("%q"):format(name)
  end
  local expected = #names == 1 and names[1]
    or table.concat(names, ", ", 1, #names - 1) .. " or " .. names[#names]
  return function(value)
    return not set[value] and expected or nil
  end
end

local layout = one_of("json", "columns")

-- A part of names in SQL, which need no quotes then.
local function word(value)
  return (type(value) ~= "string" or not value:find "^[%a%d_]+$") and 'ASCII letters, digits and "_"' or nil
end

local function boolean(value)
  return type(value) ~= "boolean" and "true or false" or nil
end

local HEADERS = "a table of strings and { file = PATH }"

local function headers(value)
  if type(value) ~= "table" then
    return HEADERS
  end
  for name, source in pairs(value) do
    if type(name) ~= "string" or name == "" or name:find "[^%w!#$%%&'*+.^_`|~-]" then
      return HEADERS .. " with names that fit into an HTTP header", nil, show(name)
    elseif not is_file(source) and (type(source) ~= "string" or source:find "%c") then
      return ("%s (%s is none)"):format(HEADERS, name)
    end
  end
end

-- The options of each kind, and those that it cannot do without.
local KINDS = {
  sqlite = {
    needs = { "path" },
    checks = {
      path = text,
      layout = layout,
      prefix = word,
      key = word,
      synchronous = one_of("full", "normal"),
      journal = one_of("wal", "delete"),
    },
  },
  postgres = {
    needs = { "url" },
    checks = {
      url = url_of("postgresql://user@host/database", "postgres", "postgresql"),
      layout = layout,
      prefix = word,
      key = word,
    },
  },
  mysql = {
    needs = { "url" },
    checks = {
      url = url_of("mysql://user@host/database", "mysql", "mariadb"),
      layout = layout,
      prefix = word,
      key = word,
    },
  },
  redis = {
    needs = { "url" },
    checks = { url = url_of("redis://host:6379/0", "redis", "rediss", "unix"), prefix = text },
  },
  search = {
    needs = { "url", "dialect" },
    checks = {
      url = url_of("http://host:9200", "http", "https"),
      dialect = one_of("elasticsearch", "typesense"),
      prefix = text,
      apiKey = secret("a non-empty string", key_text),
    },
  },
  stream = {
    needs = { "url" },
    checks = {
      url = url_of("http://host/v1/stream/name", "http", "https"),
      producer = text,
      create = boolean,
      headers = headers,
      caFile = text,
    },
  },
}

local SECRETS = { url = true, apiKey = true }
local EXPECTED = { path = "the path of a file", url = "a URL", dialect = '"elasticsearch" or "typesense"' }

local COMMON = { name = text }

-- Errors are raised by `fail`, which puts the place in front.

local function check(given, checks, fail)
  for name, value in pairs(given) do
    local known = checks[name] or COMMON[name]
    if not known then
      fail("unknown option '%s': expected one of %s", tostring(name), options_of.names(checks, COMMON))
    end
    local expected, _, got = known(value)
    if expected then
      fail("%s: expected %s, got %s", name, expected, got or show(value))
    end
  end
end

-- The text of a file that holds a secret, without the line end.
local function read_secret(name, path, fail)
  if not open then
    fail("%s: %s: this Lua has no io library", name, path)
  end
  local file, why = open(path, "rb")
  local value = file and file:read "a"
  if file then
    file:close()
  end
  if not value then
    fail("%s: %s", name, why or path .. ": cannot be read")
  end
  return (value:gsub("[\r\n]+$", ""))
end

local function put_headers(settings, given, fail)
  for name, value in pairs(given or {}) do
    if is_file(value) then
      local path = value.file
      value = read_secret("headers." .. name, path, fail)
      if value == "" or value:find "%c" then
        fail("headers.%s: expected a line of text in the file %s", name, path)
      end
    end
    settings["header." .. name] = value
  end
end

-- The options as the native half takes them: names to strings.
local function settings_of(given, kind, fail)
  local settings = {}
  for name, value in pairs(given) do
    if SECRETS[name] and is_file(value) then
      settings[name] = read_secret(name, value.file, fail)
      local expected = kind.checks[name](settings[name])
      if expected then
        fail("%s: expected %s in the file %s", name, expected, value.file)
      end
    elseif name ~= "headers" and not COMMON[name] then
      settings[name] = tostring(value)
    end
  end
  put_headers(settings, given.headers, fail)
  return settings
end

-- What names the sink in messages, behind its kind: neither user, password nor query. Nothing, where a password that is
-- not encoded as it should be may be in any part of it.
local function shown(settings)
  if settings.path then
    return " " .. settings.path
  end
  local whole = settings.url:match "^%a[%w+.-]*:(.*)$":gsub("^//", "")
  local before = whole:gsub("[?#].*$", "")
  if whole:find "@" and not before:find "@" then
    return ""
  end
  return " " .. before:gsub("^.*@", "")
end

local function declare(kind_name, given, fail)
  local kind = KINDS[kind_name]
  if type(given) ~= "table" then
    fail("expected a table of options, got %s", show(given))
  end
  check(given, kind.checks, fail)
  if given.key and given.layout ~= "columns" then
    fail('key: expected with layout = "columns" only, whose first column it names')
  end
  for _, name in ipairs(kind.needs) do
    if given[name] == nil then
      fail("%s is missing: expected %s", name, EXPECTED[name])
    end
  end
  local settings = settings_of(given, kind, fail)
  local sink, mistake = native.new(kind_name, given.name or kind_name .. shown(settings), settings)
  if not sink then
    fail("%s", mistake)
  end
  return sink
end

-- Raises at the caller of the function that made this one.
local function failing(where)
  return function(form, ...)
    local place = ""
    for level = 3, 8 do -- the first caller that is not of this file
      local info = debug and debug.getinfo(level, "Sl")
      if not info or info.source ~= "@weir.sink" then
        place = info and info.currentline > 0 and ("%s:%d: "):format(info.short_src, info.currentline) or ""
        break
      end
    end
    error(place .. where .. ": " .. form:format(...), 0)
  end
end

---------------------------------------------------------------------------------------------------
-- The option `sinks` of a stream

local MATTERS = "an array of sinks: weir.sink.sqlite { path = ... } and the like"

-- Each has a name of its own: by it the derived streams are told apart, and so are those who read a message.
local function sinks_mistake(value)
  if type(value) ~= "table" then
    return MATTERS
  end
  local count, names = #value, {}
  for key, sink in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return MATTERS .. (" (%s is no place in it)"):format(show(key))
    elseif not is_sink(sink) then
      return MATTERS .. (" (number %d is %s)"):format(key, show(sink))
    elseif names[sink.name] then
      return ("sinks of different names (two are %s: give one the option name)"):format(sink.name)
    end
    names[sink.name] = true
  end
end

local CONFIGURABLE = "sqlite, postgres, mysql, redis or search"

-- A list of the configuration: { "kind": "sqlite", "path": "room.db" }, ... Sinks of functions and derived streams,
-- which the script's handlers write to, are the script's alone: they stay.
local function from_configuration(said, origin, of_script)
  if type(said) ~= "table" or next(said) ~= nil and #said == 0 then
    error(("%s: sinks: expected an array of objects, got %s"):format(origin, show(said)), 0)
  end
  local sinks = {}
  for i, given in ipairs(said) do
    local function fail(form, ...)
      error(("%s: sinks[%d]: "):format(origin, i) .. form:format(...), 0)
    end
    if type(given) ~= "table" then
      fail('expected an object such as {"kind":"sqlite","path":"room.db"}, got %s', show(given))
    elseif type(given.kind) ~= "string" or not KINDS[given.kind] or given.kind == "stream" then
      fail("kind: expected %s, got %s", CONFIGURABLE, show(given.kind))
    end
    local options = {}
    for name, value in pairs(given) do
      options[name] = name ~= "kind" and value or nil
    end
    sinks[i] = declare(given.kind, options, fail)
  end
  for _, sink in ipairs(type(of_script) == "table" and of_script or {}) do
    if is_sink(sink) and native.isScripted(sink) then
      sinks[#sinks + 1] = sink
    end
  end
  return sinks
end

options_of.add("sinks", sinks_mistake, from_configuration)

---------------------------------------------------------------------------------------------------
-- The functions

---@class weir.sink
local sink = {}

---A database in a file, which is made where it is not there. Rows and place are committed in one transaction.
---
---    path    the file
---    layout  "json" (default): a table a type with id, data and updated_at; "columns": a column a property of the
---            type's schema
---    prefix  stands in front of the tables' names
---    key     the name of the column of keys in layout "columns"; default: "id"
---    synchronous  "full" (default): what is committed outlasts a loss of power; "normal": a loss of power may take
---            the last commits with it, their place too, so that they are read and stored once more
---    journal "wal" (default) or "delete"
---    name    how messages call it; default: the kind and where it is
---@param options table
---@return weir.Sink
function sink.sqlite(options)
  return declare("sqlite", options, failing "weir.sink.sqlite")
end

---A PostgreSQL database. Rows and place are committed in one transaction.
---
---    url     postgresql://user:password@host/database, or { file = PATH } of a file that holds it
---    layout, prefix, key, name  as those of weir.sink.sqlite
---@param options table
---@return weir.Sink
function sink.postgres(options)
  return declare("postgres", options, failing "weir.sink.postgres")
end

---A MySQL or MariaDB database. Rows and place are committed in one transaction.
---
---    url     mysql://user:password@host/database, or { file = PATH } of a file that holds it
---    layout, prefix, key, name  as those of weir.sink.sqlite
---@param options table
---@return weir.Sink
function sink.mysql(options)
  return declare("mysql", options, failing "weir.sink.mysql")
end

---A Redis server. Rows and place are stored by one atomic script.
---
---    url     redis://host:port/number, or { file = PATH } of a file that holds it
---    prefix  stands in front of the keys
---    name    how messages call it
---@param options table
---@return weir.Sink
function sink.redis(options)
  return declare("redis", options, failing "weir.sink.redis")
end

---A search index: rows are stored in bulk, and the place after them; to repeat them does no harm.
---
---    url      of the server, or { file = PATH }
---    dialect  "elasticsearch" or "typesense"
---    prefix   stands in front of the names of indexes or collections
---    apiKey   text or { file = PATH }
---    name     how messages call it
---@param options table
---@return weir.Sink
function sink.search(options)
  return declare("search", options, failing "weir.sink.search")
end

---A derived stream: what the handlers of a stream that lists it write with its methods insert, update, upsert, patch,
---delete and append is stored in it once, however often the worker is started again.
---
---    url       the stream's http(s) URL, or { file = PATH }
---    create    false: it must exist; default: true
---    headers   request headers: strings or { file = PATH }
---    caFile    a file of certificates to trust
---    producer  the name of the producer; default: made of the URLs of both streams
---    name      how messages call it
---@param options table
---@return weir.DerivedStream
function sink.stream(options)
  return declare("stream", options, failing "weir.sink.stream")
end

weir.sink = sink
