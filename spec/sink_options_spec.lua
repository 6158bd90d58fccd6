-- Sinks as they are declared, in the script and in the configuration: each mistake names the sink, the option and what
-- was expected, at the place where it was made; what may be a secret is never shown.

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"

-- weir check of a script; config: the text of a configuration file.
local function check(script, config, files)
  local dir = tmp.dir()
  tmp.write(dir .. "/s.lua", "local weir = require 'weir'\n" .. script)
  for name, text in pairs(files or {}) do
    tmp.write(dir .. "/" .. name, text)
  end
  local cmd = { paths.weir, "check", "s.lua" }
  if config then
    tmp.write(dir .. "/c.json", config)
    cmd[#cmd + 1] = "--config"
    cmd[#cmd + 1] = "c.json"
  end
  return process.run { cmd = cmd, cwd = dir }
end

local function assert_refused(done, message)
  assert.equal(1, done.code, done.stdout)
  assert.equal("weir: " .. message, done.stderr:sub(1, 6 + #message), done.stderr)
end

local function sinks_in(done)
  assert.equal(0, done.code, done.stderr)
  local names = {}
  for name in done.stdout:gmatch "\n  sink: ([^\n]*)" do
    names[#names + 1] = name
  end
  return names
end

-- A kind whose library was not there when weir was built is named as such, and cannot be looked at any further.
local function is_built(kind, options)
  local done = check(("weir.stream { url = 'e', sinks = { weir.sink.%s { %s } } }"):format(kind, options))
  if done.code == 0 then
    return true
  end
  assert.matches(("weir.sink.%s: weir was built without the sink \"%s\""):format(kind, kind), done.stderr, 1, true)
  assert.matches("install lib%w+%-dev and build it again", done.stderr)
  return false
end

local function in_stream(sink)
  return "weir.stream { name = 'n', url = 'e.jsonl', sinks = { " .. sink .. " } }"
end

describe("an option of a sink", function()
  local POSTGRES = "url: expected a URL such as postgresql://user@host/database"
  local mistakes = {
    ["weir.sink.sqlite()"] = "weir.sink.sqlite: expected a table of options, got nil",
    ["weir.sink.sqlite {}"] = "weir.sink.sqlite: path is missing: expected the path of a file",
    ["weir.sink.sqlite { path = '' }"] = 'weir.sink.sqlite: path: expected a non-empty string, got ""',
    ["weir.sink.sqlite { path = 'a', layout = 'rows' }"] =
      'weir.sink.sqlite: layout: expected "json" or "columns", got "rows"',
    ["weir.sink.sqlite { path = 'a', prefix = 5 }"] =
      'weir.sink.sqlite: prefix: expected ASCII letters, digits and "_", got 5',
    ["weir.sink.sqlite { path = 'a', prefix = 'a b' }"] =
      'weir.sink.sqlite: prefix: expected ASCII letters, digits and "_", got "a b"',
    ["weir.sink.sqlite { path = 'a', key = 'k' }"] =
      'weir.sink.sqlite: key: expected with layout = "columns" only, whose first column it names',
    ["weir.sink.sqlite { file = 'a' }"] =
      "weir.sink.sqlite: unknown option 'file': expected one of journal, key, layout, name, path, prefix, synchronous",
    ["weir.sink.postgres {}"] = "weir.sink.postgres: url is missing: expected a URL",
    ["weir.sink.postgres { url = 5 }"] = "weir.sink.postgres: " .. POSTGRES .. ", or { file = PATH }, got 5",
    ["weir.sink.postgres { url = 'https://me:hush@x/' }"] = "weir.sink.postgres: " .. POSTGRES .. ", got another text",
    ["weir.sink.postgres { url = { file = 'none' } }"] =
      "weir.sink.postgres: url: none: No such file or directory",
    ["weir.sink.postgres { url = { file = 'secret' } }"] =
      "weir.sink.postgres: " .. POSTGRES .. " in the file secret",
    ["weir.sink.mysql { url = 'hush' }"] =
      "weir.sink.mysql: url: expected a URL such as mysql://user@host/database, got another text",
    ["weir.sink.redis { url = 'hush' }"] =
      "weir.sink.redis: url: expected a URL such as redis://host:6379/0, got another text",
    ["weir.sink.search { url = 'http://x' }"] =
      'weir.sink.search: dialect is missing: expected "elasticsearch" or "typesense"',
    ["weir.sink.search { url = 'http://x', dialect = 'solr' }"] =
      'weir.sink.search: dialect: expected "elasticsearch" or "typesense", got "solr"',
    ["weir.sink.search { url = 'http://x', dialect = 'typesense', apiKey = '' }"] =
      "weir.sink.search: apiKey: expected a non-empty string, got another text",
    ["weir.sink.stream { url = 'ftp://x/y' }"] =
      "weir.sink.stream: url: expected a URL such as http://host/v1/stream/name, got another text",
    ["weir.sink.stream { url = 'http://x/y', headers = { A = 5 } }"] =
      "weir.sink.stream: headers: expected a table of strings and { file = PATH } (A is none), got a table",
    ["weir.sink.stream { url = 'http://x/y', headers = { A = { file = 'none' } } }"] =
      "weir.sink.stream: headers.A: none: No such file or directory",
    ["weir.sink.stream { url = 'http://x/y', create = 'no' }"] =
      'weir.sink.stream: create: expected true or false, got "no"',
    ["weir.sink {}"] = "weir.sink: write is missing: expected a function",
    ["weir.sink(5)"] = "weir.sink: expected a table of functions, got 5",
    ["weir.sink { write = print, begin = 1 }"] = "weir.sink: begin: expected a function, got 1",
    ["weir.sink { write = print, name = '' }"] = 'weir.sink: name: expected a non-empty string, got ""',
    ["weir.sink { wirte = print }"] =
      "weir.sink: unknown option 'wirte': expected one of begin, commit, flush, name, open, rollback, write",
  }
  for sink, message in pairs(mistakes) do
    it("is refused by name: " .. sink, function()
      local done = check("\nlocal sink = " .. sink .. "\n" .. in_stream "sink", nil, { secret = "hush\n" })
      assert_refused(done, "s.lua:3: " .. message)
      assert.is_nil(done.stderr:find("hush", 1, true) and not sink:find("url = 'hush'", 1, true) and done.stderr)
    end)
  end

  it("is never shown where it may be a secret", function()
    for _, url in ipairs { "hush", "http://u:hush@h/", "postgresql://u:hush hush@h/d" } do
      local done = check(in_stream(("weir.sink.postgres { url = weir.env 'URL' }")),
        ('{"settings":{"URL":"%s"}}'):format(url))
      assert_refused(done, "s.lua:2: weir.sink.postgres: " .. POSTGRES .. ", got another text")
      assert.is_nil(done.stderr:find("hush", 1, true))
    end
  end)
end)

describe("the option sinks", function()
  local ARRAY = "weir.stream: sinks: expected an array of sinks: weir.sink.sqlite { path = ... } and the like"
  local mistakes = {
    ["5"] = ARRAY .. ", got 5",
    ["sink"] = ARRAY .. ", got a userdata",
    ["{ 'room.db' }"] = ARRAY .. ' (number 1 is "room.db"), got a table',
    ["{ db = sink }"] = ARRAY .. ' ("db" is no place in it), got a table',
    ["{ sink, sink }"] =
      "weir.stream: sinks: expected sinks of different names (two are mine: give one the option name)",
  }
  for sinks, message in pairs(mistakes) do
    it("is refused by name: " .. sinks, function()
      local done = check("local sink = weir.sink { write = print, name = 'mine' }\n\n"
        .. "weir.stream { url = 'e.jsonl', sinks = " .. sinks .. " }")
      assert_refused(done, "s.lua:4: " .. message)
    end)
  end

  it("has limits", function()
    assert.same({ "mine" }, sinks_in(check [[
      weir.stream {
        url = "e",
        sinks = { weir.sink { write = print, name = "mine" } },
        limits = { sinkRows = 10, sinkBytes = "1MB", sinkDelay = "1s", sinkBatch = "10MB" },
      }
    ]]))
    for limit, message in pairs {
      ["sinkRows = '10'"] = 'limits.sinkRows: expected a whole number of at least 1, got "10"',
      ["sinkBytes = '1XB'"] = 'limits.sinkBytes: expected a size (bytes, or text like "64KB", "10MB"), got "1XB"',
    } do
      local done = check("weir.stream { url = 'e', limits = { " .. limit .. " } }")
      assert_refused(done, "s.lua:2: weir.stream: " .. message)
    end
  end)

  it("is shown by weir check, one sink for several streams, too", function()
    local done = check [[
      local both = weir.sink { write = print }
      weir.stream { name = "a", url = "a", sinks = { both, weir.sink { write = print, name = "other" } } }
      weir.stream { name = "b", url = "b", sinks = { both } }
    ]]
    assert.same({ "sink s.lua:2", "other", "sink s.lua:2" }, sinks_in(done))
  end)
end)

describe("the name of a sink", function()
  local names = {
    ["weir.sink.sqlite { path = 'data/room.db' }"] = "sqlite data/room.db",
    ["weir.sink.sqlite { path = 'room.db', name = 'rooms' }"] = "rooms",
    ["weir.sink.postgres { url = 'postgresql://me:hush@db.example.org:5432/app?password=hush' }"] =
      "postgres db.example.org:5432/app",
    ["weir.sink.postgres { url = 'postgresql:///app?host=/run/pg&user=me' }"] = "postgres /app",
    ["weir.sink.postgres { url = 'postgres://me:hu/hush@h/app' }"] = "postgres h/app",
    ["weir.sink.postgres { url = 'postgres://me:hush#hush@h/app' }"] = "postgres",
    ["weir.sink.postgres { url = { file = 'secret' } }"] = "postgres h/app",
    ["weir.sink.mysql { url = 'mysql://me:hush@h/app' }"] = "mysql h/app",
    ["weir.sink.redis { url = 'redis://:hush@h:6379/2' }"] = "redis h:6379/2",
  }
  for sink, name in pairs(names) do
    it("tells where it is, without secrets: " .. sink, function()
      local kind, options = sink:match "^weir.sink.(%w+) { (.*) }$"
      if not is_built(kind, options:gsub("{ file = 'secret' }", "'postgresql://h/app'")) then
        return
      end
      local done = check(in_stream(sink), nil, { secret = "postgresql://me:hush@h/app\n" })
      assert.same({ name }, sinks_in(done))
      assert.is_nil(done.stdout:find("hush", 1, true))
    end)
  end
end)

describe("sinks in the configuration", function()
  local script = in_stream "weir.sink { write = print, name = 'mine' }"

  local function configured(sinks)
    return '{"streams":{"n":{"sinks":' .. sinks .. "}}}"
  end

  local KINDS = "kind: expected sqlite, postgres, mysql, redis or search, got "
  local mistakes = {
    ['"room.db"'] = 'sinks: expected an array of objects, got "room.db"',
    ['{"kind":"sqlite"}'] = "sinks: expected an array of objects, got a table",
    ['["room.db"]'] = 'sinks[1]: expected an object such as {"kind":"sqlite","path":"room.db"}, got "room.db"',
    ["[{}]"] = "sinks[1]: " .. KINDS .. "nil",
    ['[{"kind":"oracle"}]'] = "sinks[1]: " .. KINDS .. '"oracle"',
    ['[{"kind":"stream","url":"http://x/y"}]'] = "sinks[1]: " .. KINDS .. '"stream"',
    ['[{"kind":"sqlite"}]'] = "sinks[1]: path is missing: expected the path of a file",
    ['[{"kind":"sqlite","path":"a","layuot":"json"}]'] =
      "sinks[1]: unknown option 'layuot': expected one of journal, key, layout, name, path, prefix, synchronous",
    ['[{"kind":"postgres","url":"hush"}]'] =
      "sinks[1]: url: expected a URL such as postgresql://user@host/database, got another text",
    ['[{"kind":"postgres","url":{"file":"none"}}]'] = "sinks[1]: url: none: No such file or directory",
  }
  for sinks, message in pairs(mistakes) do
    it("are refused with the file and the key: " .. sinks, function()
      local done = check(script, configured(sinks))
      assert_refused(done, "c.json: streams.n: " .. message)
      assert.is_nil(done.stderr:find("hush", 1, true))
    end)
  end

  it("take the place of the script's databases, and leave its own sinks where they are", function()
    if not is_built("sqlite", "path = 'a'") then
      return
    end
    local both = in_stream "weir.sink.sqlite { path = 'a' }, weir.sink { write = print, name = 'mine' }"
    assert.same({ "sqlite a", "mine" }, sinks_in(check(both)))
    assert.same({ "sqlite b", "sqlite c", "mine" },
      sinks_in(check(both, configured '[{"kind":"sqlite","path":"b"},{"kind":"sqlite","path":"c","layout":"json"}]')))
    assert.same({ "mine" }, sinks_in(check(both, configured "[]")))
  end)

  it("may be for every stream", function()
    if not is_built("sqlite", "path = 'a'") then
      return
    end
    local done = check("weir.stream { url = 'a' }\nweir.stream { url = 'b' }",
      '{"streams":{"*":{"sinks":[{"kind":"sqlite","path":"room.db"}]}}}')
    assert.same({ "sqlite room.db", "sqlite room.db" }, sinks_in(done))
  end)

  it("have their secrets in files", function()
    if not is_built("postgres", "url = 'postgresql://h/app'") then
      return
    end
    local done = check(script, configured '[{"kind":"postgres","url":{"file":"secret"}}]',
      { secret = "postgresql://me:hush@h/app\n" })
    assert.same({ "postgres h/app", "mine" }, sinks_in(done))
  end)
end)
