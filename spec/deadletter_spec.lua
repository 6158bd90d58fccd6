-- Dead letters: what one holds, in a file that may be moved under the writer, and in a stream, whose acknowledgement
-- comes before the next event is taken.

local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local json
local s

setup(function()
  json = require("weir").json
  s = server.start()
end)

teardown(function()
  s:stop()
end)

local function event(key, value)
  return ('{"type":"n","key":"%s","value":%s,"headers":{"operation":"insert"}}'):format(key, value)
end

-- Refuses what is no number by its schema, what is above 100 by a rule, and fails for what is above 50.
local SCRIPT = [[
  local weir = require "weir"
  local s = weir.schema
  local room = weir.stream {
    url = weir.env "URL", live = weir.env("LIVE", "no") ~= "no", name = "room",
    onInvalid = "deadletter", onError = "deadletter", deadletter = weir.env "LETTERS",
    schema = weir.defineStreamSchema { types = { n = s.number() } },
    limits = { outage = "5m" },
  }
  room:validate("n", function(event) if event.value > 100 then return false, "too much" end end)
  room:onChange("n", function(_, event)
    if event.value > 50 then error "not that much" end
    io.write(event.key, "\n")
    io.flush()
  end)
]]

local function run(url, letters, options)
  options = options or {}
  options.script = SCRIPT
  options.set = { URL = url, LETTERS = letters, LIVE = options.live }
  return worker.run(options)
end

local EVENTS = "[" .. table.concat({ event("a", 1), event("b", '"x"'), event("c", 101), event("d", 60),
  event("e", 2) }, ",") .. "]"

-- As it was appended: the server puts an offset into the headers of what it hands out.
local function plain(text)
  return (text:gsub(',"offset":"[^"]*"}}$', "}}"))
end

local function assert_letters(list, url)
  assert.equal(3, #list)
  for i, letter in ipairs(list) do
    assert.equal("room", letter.stream)
    assert.equal(url, letter.url)
    assert.equal("-1", letter.offset)
    assert.equal(i, letter.index)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", letter.time)
  end
  assert.matches("n/b: value: expected a number", list[1].reason)
  assert.equal(event("b", '"x"'), plain(list[1].event))
  assert.matches("n/c: too much", list[2].reason)
  assert.matches("not that much", list[3].reason)
  assert.equal(event("d", 60), plain(list[3].event))
end

local function decode_lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    list[#list + 1] = json.decode(line)
  end
  return list
end

describe("dead letters in a file", function()
  it("say what was refused by whom", function()
    local url = s:stream("room")
    s:append(url, EVENTS)
    local letters = tmp.file("letters.jsonl")
    local done = run(url, letters)
    assert.equal(0, done.code, done.stderr)
    assert.equal("a\ne\n", done.stdout)
    assert_letters(decode_lines(tmp.read(letters)), url)
  end)

  it("do not go to a file that was moved aside", function()
    local url = s:stream("room")
    local letters = tmp.file("letters.jsonl")
    s:append(url, event("a", '"x"'))
    local child = worker.spawn { script = SCRIPT, set = { URL = url, LETTERS = letters, LIVE = "yes" } }
    wait.till(function() return tmp.read(letters) end, worker.patience(10), "the first letter")
    s:append(url, event("b", 1))
    child:wait_for_output("b\n", worker.patience(10))
    assert(os.rename(letters, letters .. ".1"))
    s:append(url, "[" .. event("c", '"y"') .. "," .. event("d", 1) .. "]")
    child:wait_for_output("d\n", worker.patience(10))
    child:kill()
    assert.matches("n/a", tmp.read(letters .. ".1"))
    assert.falsy(tmp.read(letters .. ".1"):find("n/c", 1, true))
    assert.matches("n/c", tmp.read(letters))
  end)

  it("are not glued to a line that a crash has cut", function()
    local url = s:stream("room")
    s:append(url, event("a", '"x"'))
    local letters = tmp.file("letters.jsonl", '{"stream":"ro')
    assert.equal(0, run(url, letters).code)
    assert.matches('^{"stream":"ro\n{"stream":"room",[^\n]*}\n$', tmp.read(letters))
  end)

  it("show that a URL had secrets, and not the secrets", function()
    local url = s:stream("room")
    s:append(url, event("a", '"x"'))
    local letters = tmp.file("letters.jsonl")
    assert.equal(0, run(url:gsub("://", "://me:s3cret@") .. "?token=s3cret&x=1", letters).code)
    local letter = decode_lines(tmp.read(letters))[1]
    assert.equal(url:gsub("://", "://...@") .. "?token=...&x=1", letter.url)
  end)
end)

describe("dead letters in a stream", function()
  local function letters_of(url)
    return json.decode(s:read(url).body)
  end

  it("are the same, in a stream that is made for them", function()
    local url = s:stream("room")
    local dead = s.url .. "/v1/stream/dead-made"
    s:append(url, EVENTS)
    local done = run(url, dead)
    assert.equal(0, done.code, done.stderr)
    assert.equal("a\ne\n", done.stdout)
    assert_letters(letters_of(dead), url)
    assert.equal("application/json", s:request("HEAD", dead).headers["content-type"])
  end)

  it("are stored before the next event is handled", function()
    local url, dead = s:stream("room"), s:stream("dead")
    s:append(url, "[" .. event("a", '"x"') .. "," .. event("b", 1) .. "]")
    s:inject(dead, { status = 503, count = 3, method = "POST" })
    local child = worker.spawn { script = SCRIPT, set = { URL = url, LETTERS = dead } }
    child:wait_for_output("b\n", worker.patience(15))
    assert.equal(1, #letters_of(dead))
    assert.equal(0, child:wait(worker.patience(10)).code)
    s:clear_faults()
  end)

  it("are stored once though answers are lost", function()
    local url, dead = s:stream("room"), s:stream("dead")
    local list = {}
    for i = 1, 20 do
      list[i] = event("k" .. i, '"x"')
    end
    s:append(url, "[" .. table.concat(list, ",") .. "]")
    s:inject(dead, { dropConnection = true, count = 8, method = "POST", probability = 0.5 })
    local done = run(url, dead, { timeout = 40 })
    s:clear_faults()
    assert.equal(0, done.code, done.stderr)
    local letters = letters_of(dead)
    assert.equal(20, #letters)
    for i, letter in ipairs(letters) do
      assert.equal(list[i], plain(letter.event))
    end
  end)

  it("that cannot be stored stop it, and the place stays before them", function()
    local url, dead = s:stream("room"), s:stream("dead")
    local data = tmp.dir()
    s:append(url, "[" .. event("a", 1) .. "," .. event("b", '"x"') .. "," .. event("c", 1) .. "]")
    s:close(dead)
    local done = run(url, dead, { args = { "--data", data } })
    assert.equal(1, done.code)
    assert.equal("a\n", done.stdout)
    assert.matches("weir: room: dead letters: http://[^\n]*closed", done.stderr)
    local other = s:stream("dead")
    done = run(url, other, { args = { "--data", data } })
    assert.equal(0, done.code, done.stderr)
    assert.equal("c\n", done.stdout)
    assert.equal(1, #letters_of(other))
    assert.equal(event("b", '"x"'), plain(letters_of(other)[1].event))
  end)

  it("that wait are not passed by when it is interrupted", function()
    local url, dead = s:stream("room"), s:stream("dead")
    local data = tmp.dir()
    s:append(url, "[" .. event("a", 1) .. "," .. event("b", '"x"') .. "," .. event("c", 1) .. "]")
    s:inject(dead, { status = 503, count = 1000, method = "POST" })
    local child = worker.spawn { script = SCRIPT, set = { URL = url, LETTERS = dead }, args = { "--data", data } }
    child:wait_for_output("trying again", worker.patience(15))
    child:signal "INT"
    assert.equal(130, child:wait(worker.patience(10)).code)
    s:clear_faults()
    local done = run(url, dead, { args = { "--data", data } })
    assert.equal("c\n", done.stdout)
    assert.equal(1, #letters_of(dead))
  end)

end)

-- A sink refuses rows in the midst of a commit: its place must not come past them before their letters are stored.
describe("dead letters of rows that a sink refuses", function()
  local ROWS = [[
    local weir = require "weir"
    local sinks = {
      sqlite = function() return weir.sink.sqlite { path = weir.env "DB" } end,
      own = function()
        local rows = {}
        return weir.sink {
          name = "own",
          open = function()
            local file = io.open(weir.env "DB")
            local place = file and weir.json.decode(file:read "a")
            if file then file:close() end
            return place
          end,
          begin = function() rows = {} end,
          write = function(row)
            if row.key:find "\0" then return false, "no NUL" end
            rows[#rows + 1] = row.key
          end,
          commit = function(place)
            local file <close> = assert(io.open(weir.env "DB", "w"))
            file:write(weir.json.encode(place))
          end,
        }
      end,
    }
    local list = { sinks[weir.env "SINK"]() }
    local derived = weir.env("DERIVED", "")
    local out = derived ~= "" and weir.sink.stream { url = derived } or nil
    list[2] = out
    local room = weir.stream { name = "room", url = weir.env "URL", live = false, sinks = list,
      onInvalid = "deadletter", deadletter = weir.env "LETTERS", limits = { outage = "5m", sinkRows = 4 } }
    room:onChange(function(_, event)
      if out then out:insert("copy", event.key, event.value) end
    end)
  ]]

  local function options(kind, db, url, dead, derived)
    return { script = ROWS, set = { SINK = kind, DB = db, URL = url, LETTERS = dead, DERIVED = derived } }
  end

  local function sqlite_place(db)
    local done = process.run { cmd = { "sqlite3", db, "SELECT sequence FROM _sync_state" } }
    return tonumber(done.stdout) or 0
  end

  local function own_place(path)
    local text = tmp.read(path)
    return text and json.decode(text).sequence or 0
  end

  for kind, place in pairs { sqlite = sqlite_place, own = own_place } do
    it("are stored before its place moves: " .. kind, function()
      local url, dead, db = s:stream("room"), s:stream("dead"), tmp.dir() .. "/db"
      s:append(url, "[" .. event("a", 1) .. "," .. event("b\\u0000", 2) .. "," .. event("c", 3) .. "]")
      s:inject(dead, { status = 503, count = 1000, method = "POST" })
      local child = worker.spawn(options(kind, db, url, dead))
      child:wait_for_output("trying again", worker.patience(15))
      assert.equal(0, place(db))
      child:kill()
      assert.equal(0, place(db))
      s:clear_faults()
      local done = worker.run(options(kind, db, url, dead))
      assert.equal(0, done.code, done.stderr)
      assert.equal(3, place(db))
      local letters = json.decode(s:read(dead).body)
      assert.equal(1, #letters)
      assert.equal(1, letters[1].sequence)
    end)

    it("that cannot be stored stop it before its place: " .. kind, function()
      local url, dead, db = s:stream("room"), s:stream("dead"), tmp.dir() .. "/db"
      s:append(url, "[" .. event("a", 1) .. "," .. event("b\\u0000", 2) .. "," .. event("c", 3) .. "]")
      s:close(dead)
      local done = worker.run(options(kind, db, url, dead))
      assert.equal(1, done.code)
      assert.matches("weir: room: dead letters: http://[^\n]*closed", done.stderr)
      assert.equal(0, place(db))
    end)
  end

  it("are stored before a derived stream gets what comes after", function()
    local url, dead, out, db = s:stream("room"), s:stream("dead"), s:stream("out"), tmp.dir() .. "/db"
    s:append(url, "[" .. event("a", 1) .. "," .. event("b", 2) .. "," .. event("c", 3) .. "]")
    s:inject(out, { status = 413, count = 1, method = "POST" })
    s:inject(dead, { status = 503, count = 1000, method = "POST" })
    local child = worker.spawn(options("sqlite", db, url, dead, out))
    child:wait_for_output("trying again", worker.patience(15))
    child:kill()
    assert.equal(0, sqlite_place(db))
    s:clear_faults()
    s:inject(out, { status = 413, count = 1, method = "POST" })
    local done = worker.run(options("sqlite", db, url, dead, out))
    s:clear_faults()
    assert.equal(0, done.code, done.stderr)
    assert.equal(3, sqlite_place(db))
    local letters = json.decode(s:read(dead).body)
    assert.equal(1, #letters)
    assert.matches('"key":"a"', letters[1].event)
    assert.equal(2, #json.decode(s:read(out).body))
  end)
end)
