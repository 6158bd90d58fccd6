-- weir retry: dead letters are appended again, each once, and leave their file.

local cli = require "support.cli"
local proxy = require "support.proxy"
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

local count = 0

local function event(key, value)
  return ('{"type":"n","key":"%s","value":%s,"headers":{"operation":"insert"}}'):format(key, value)
end

-- A letter as the worker writes it; fields win, false takes one away.
local function letter(url, text, fields)
  count = count + 1
  local all = { stream = "room", url = url, offset = "-1", index = count, reason = "no", event = text }
  for name, value in pairs(fields or {}) do
    all[name] = value or nil
  end
  return json.encode(all) .. "\n"
end

local function file(...)
  return tmp.file("letters.jsonl", table.concat { ... })
end

local function retry(...)
  return cli.run({ "retry", ... }, { timeout = worker.patience(30), env = { WEIR_LOG = false } })
end

local function keys(url)
  local list = {}
  for i, each in ipairs(json.decode(s:read(url).body)) do
    list[i] = type(each) == "table" and each.key or tostring(each)
  end
  return table.concat(list, " ")
end

describe("retry", function()
  it("appends each letter to the stream it came from, in order, and empties the file", function()
    local one, two = s:stream("one"), s:stream("two")
    local path = file(letter(one, event("a", 1)), letter(two, event("b", 2)), letter(one, event("c", 3)), "\n",
      letter(one, "[1,2]"))
    local done = retry(path)
    assert.equal(0, done.code, done.stderr)
    assert.equal("", done.stdout)
    assert.equal(("3 appended to %s\n1 appended to %s\n"):format(one, two), done.stderr)
    assert.equal("", tmp.read(path))
    local list = json.decode(s:read(one).body)
    assert.equal("a", list[1].key)
    assert.equal("c", list[2].key)
    assert.same({ 1, 2 }, list[3])
    assert.equal("b", keys(two))
  end)

  it("appends what a worker refused, without the offset that it had", function()
    local url, copy = s:stream("room"), s:stream("copy")
    local path = tmp.file("letters.jsonl")
    s:append(url, "[" .. event("a", '"x"') .. "," .. event("b", 1) .. "," .. event("c", '"y"') .. "]")
    local script = [[
      local weir = require "weir"
      weir.stream { url = weir.env "URL", live = false, onInvalid = "deadletter", deadletter = weir.env "LETTERS",
        schema = weir.defineStreamSchema { types = { n = weir.schema.number() } } }
    ]]
    assert.equal(0, worker.run { script = script, set = { URL = url, LETTERS = path } }.code)
    local dry = retry(path, "--to", copy, "--dry-run")
    assert.equal(0, dry.code, dry.stderr)
    assert.equal(("%s %s\n%s %s\n"):format(copy, event("a", '"x"'), copy, event("c", '"y"')), dry.stdout)
    local before = tmp.read(path)
    local done = retry(path, "--script", tmp.file("s.lua", script), "--set", "URL=" .. url, "--set", "LETTERS=" .. path)
    assert.equal(1, done.code)
    assert.matches(path:gsub("%p", "%%%0") .. ": line 1: value: expected a number, got a string", done.stderr)
    assert.matches("\n2 left in [^\n]*\n$", done.stderr)
    assert.equal(before, tmp.read(path))
    done = retry(path)
    assert.equal(0, done.code, done.stderr)
    assert.equal("a b c a c", keys(url))
    assert.equal("", tmp.read(path))
  end)

  it("leaves in the file what still does not fit, and no more", function()
    local url = s:stream("room")
    local bad = letter(url, event("b", '"x"'))
    local path = file(letter(url, event("a", 1)), bad, letter(url, event("c", 1)))
    local script = tmp.file("s.lua", [[
      local weir = require "weir"
      weir.stream { url = "http://127.0.0.1:9/x", name = "room",
        schema = weir.defineStreamSchema { types = { n = weir.schema.number() } } }
    ]])
    local done = retry(path, "--script", script)
    assert.equal(1, done.code)
    assert.equal(bad, tmp.read(path))
    assert.equal("a c", keys(url))
    assert.equal(0, retry(path).code)
    assert.equal("a c b", keys(url))
  end)

  it("stores a message once, whichever way its letters are told apart", function()
    local url = s:stream("room")
    local a, b = letter(url, event("a", 1)), letter(url, event("b", 2), { sequence = 7 })
    local again = letter(url, event("b", 2), { sequence = 7, offset = "other", reason = "again" })
    local path = file(a, b, a, again, letter(url, event("b", 2), { sequence = 8 }))
    local done = retry(path)
    assert.equal(0, done.code, done.stderr)
    assert.equal(("3 appended to %s, and 2 had been before\n"):format(url), done.stderr)
    assert.equal("a b b", keys(url))
    tmp.write(path, b .. a)
    done = retry(path)
    assert.equal(("0 appended to %s, and 2 had been before\n"):format(url), done.stderr)
    assert.equal("a b b", keys(url))
  end)

  it("names what cannot be appended anywhere, and keeps it", function()
    local url = s:stream("room")
    local lost = {
      letter(nil, event("a", 1)),
      letter("/tmp/events.jsonl", event("b", 1)),
      letter("-", event("c", 1)),
      letter(url .. "?token=...", event("d", 1)),
      letter(url:gsub("://", "://...@"), event("e", 1)),
      letter(url, '{"key":'),
      letter(url, nil, { event = false, bytes = "ff" }),
      "[1]\n",
      "nonsense\n",
    }
    local path = file(lost[1], lost[2], lost[3], letter(url, event("x", 1)), table.concat(lost, "", 4))
    local done = retry(path)
    assert.equal(1, done.code)
    local reasons = {
      "line 1: it does not say which stream it came from: give one",
      "line 2: it came from /tmp/events.jsonl, which is no stream to append to: give one",
      "line 3: it came from standard input, which is no stream",
      "line 5: it came from [^\n]*%?token=%.%.%., and the secrets of that URL were not written down: give",
      "line 6: it came from http://%.%.%.@[^\n]*, and the secrets",
      "line 7: its message is no JSON: ",
      "line 8: its message is not UTF%-8",
      "line 9: is no dead letter: expected an object with an event",
      "line 10: is no dead letter",
    }
    for _, reason in ipairs(reasons) do
      assert.matches(reason, done.stderr)
    end
    assert.matches("\n1 appended to [^\n]*\n9 left in [^\n]*\n$", done.stderr)
    assert.equal(table.concat(lost), tmp.read(path))
    assert.equal("x", keys(url))
    local other = s:stream("other")
    done = retry(path, "--to", other)
    assert.equal(1, done.code)
    assert.equal("a b c d e", keys(other))
    assert.equal(table.concat(lost, "", 6), tmp.read(path))
  end)

  it("goes on with other streams where one is not there, and says what can be done", function()
    local gone, url = s.url .. "/v1/stream/not-there", s:stream("room")
    local first, last = letter(gone, event("a", 1)), letter(gone, event("c", 1))
    local path = file(first, letter(url, event("b", 1)), last)
    local done = retry(path)
    assert.equal(1, done.code)
    assert.matches("line 1: http://[^\n]*404[^\n]*weir create", done.stderr)
    assert.matches("line 3: http://[^\n]*404", done.stderr)
    assert.equal("b", keys(url))
    assert.equal(first .. last, tmp.read(path))
  end)

  it("leaves a letter that is too large for the server", function()
    local url = s:stream("room")
    local large = letter(url, event("a", 1))
    local path = file(large, letter(url, event("b", 1)))
    s:inject(url, { status = 413, count = 1, method = "POST" })
    local done = retry(path)
    assert.equal(1, done.code)
    assert.matches("line 1: [^\n]*413", done.stderr)
    assert.equal(large, tmp.read(path))
    assert.equal("b", keys(url))
  end)

  local function posts(p)
    return select(2, table.concat(p:requests(), "\n"):gsub("POST ", ""))
  end

  it("can be broken off and repeated", function()
    local url = s:stream("room")
    local lines = {}
    for i = 1, 30 do
      lines[i] = letter(url, event("k" .. i, i))
    end
    local path = file(table.concat(lines))
    local p = proxy.start(s)
    for round = 1, 3 do
      -- Some of the letters go through, and the next one does not get there.
      p:faults("[" .. ('{"method":"POST"},'):rep(4 * round) .. '{"method":"POST","stall":true}]')
      local before = posts(p)
      local child = cli.spawn({ "retry", path, "--to", p:url(url) }, { timeout = worker.patience(30) })
      wait.till(function()
        return posts(p) == before + 4 * round + 1
      end, nil, "some to be appended")
      child:signal(round == 2 and "INT" or "KILL")
      assert.equal(round == 2 and 130 or 137, child:wait().code)
    end
    assert.is_true(#tmp.read(path) < #table.concat(lines))
    assert.equal(0, retry(path, "--to", p:url(url)).code)
    p:stop()
    local expected = {}
    for i = 1, 30 do
      expected[i] = "k" .. i
    end
    assert.equal(table.concat(expected, " "), keys(url))
    assert.equal("", tmp.read(path))
  end)

  it("keeps what a worker writes meanwhile, and the worker finds the new file", function()
    local url, room = s:stream("other"), s:stream("room")
    local path = tmp.file("letters.jsonl")
    local script = [[
      local weir = require "weir"
      weir.stream { url = weir.env "URL", name = "room", onInvalid = "deadletter", deadletter = weir.env "LETTERS",
        schema = weir.defineStreamSchema { types = { n = weir.schema.number() } } }
    ]]
    local child = worker.spawn { script = script, set = { URL = room, LETTERS = path } }
    local function lines_in_file(n)
      wait.till(function()
        return select(2, (tmp.read(path) or ""):gsub("\n", "")) == n
      end, worker.patience(10), n .. " letters")
    end
    s:append(room, event("a", '"x"'))
    lines_in_file(1)
    local p = proxy.start(s)
    p:faults '[{"method":"POST","hold":true}]'
    local feeding = cli.spawn({ "retry", path, "--to", p:url(url) }, { timeout = worker.patience(30) })
    p:wait_for_request("POST", worker.patience(10))
    s:append(room, event("b", '"x"'))
    lines_in_file(2)
    p:release()
    assert.equal(0, feeding:wait(worker.patience(10)).code)
    s:append(room, event("c", '"x"'))
    lines_in_file(2)
    child:kill()
    p:stop()
    assert.equal("a", keys(url))
    assert.matches('n/b[^\n]*\n[^\n]*n/c', tmp.read(path))
  end)

  it("reads letters from a stream, too, and takes nothing out of it", function()
    local url, dead = s:stream("room"), s:stream("dead")
    s:append(dead, "[" .. letter(url, event("a", 1)) .. "," .. letter(url, event("b", 1)) .. ",7]")
    for round = 1, 2 do
      local done = retry(dead)
      assert.equal(1, done.code)
      assert.matches(dead:gsub("%p", "%%%0") .. ": message 3: is no dead letter", done.stderr)
      assert.matches(round == 1 and "2 appended to" or "0 appended to [^\n]*, and 2 had been before", done.stderr)
      assert.equal("a b", keys(url))
    end
  end)

  it("says what is wrong with its command line or its file", function()
    local function misuse(reason, ...)
      local done = retry(...)
      assert.equal(2, done.code)
      assert.equal("weir: " .. reason, done.stderr:match "^[^\n]*")
    end
    misuse("FILE is missing")
    misuse("more than one FILE", "a", "b")
    misuse('--to: expected the http(s) URL of a stream, got "x"', "a", "--to", "x")
    misuse("--config and --set need --script", "a", "--set", "A=b")
    misuse("--script is empty", "a", "--script", "")
    local done = retry("/no/such/file")
    assert.equal(1, done.code)
    assert.equal("weir: /no/such/file: cannot be opened: No such file or directory\n", done.stderr)
    done = retry(file(""))
    assert.equal(0, done.code)
    assert.equal("", done.stderr)
    done = retry(file(""), "--script", tmp.file("s.lua", "nonsense("))
    assert.equal(1, done.code)
  end)
end)
