-- weir serve --data: killed at any moment under load, with live readers; restarted, with many streams, on a full disk,
-- in folders that it cannot use. The load and the checks are a program of their own: spec/crash.
--
--   WEIR_KILLS=1000     how often it is killed (8)
--   WEIR_SEED=7         the same load and moments again, as far as two programs can do the same again
--   WEIR_STREAMS=100000 how many streams a restart has (2,000)

local disk = require "support.disk"
local http = require "support.http"
local paths = require "support.paths"
local process = require "support.process"
local serve = require "support.serve"
local tmp = require "support.tmp"
local worker = require "support.worker"

local CRASH = paths.build .. "/spec/serve_crash"

local function number(name, default)
  return math.tointeger(tonumber(os.getenv(name) or default))
end

-- The program's report, which is shown where it was asked for by the environment.
local function crash(seconds, shown, ...)
  local done = process.run{cmd = {CRASH, ...}, timeout = worker.patience(seconds)}
  if os.getenv(shown) then
    io.write(done.stdout)
  end
  return done
end

describe("weir serve --data", function()
  it("loses nothing acknowledged and doubles nothing, whenever it is killed", function()
    local kills = number("WEIR_KILLS", 8)
    local seed = number("WEIR_SEED", os.time())
    local done = crash(60 + kills * 3, "WEIR_KILLS", "kill", paths.weir, tmp.dir() .. "/data", kills, seed)
    assert.equal(0, done.code, ("WEIR_SEED=%d\n%s%s"):format(seed, done.stdout, done.stderr))
  end)

  it("has all of many streams again, in any state of its folder", function()
    local streams = number("WEIR_STREAMS", 2000)
    local done = crash(60 + streams / 500, "WEIR_STREAMS", "many", paths.weir, tmp.dir() .. "/data", streams)
    assert.equal(0, done.code, done.stdout .. done.stderr)
  end)
end)

-- `weir serve --data` by the command `before`: the process, and the URL below which its streams are.
local function start(dir, before, ...)
  local child, url = serve.start_by(before, "--data", dir, ...)
  return child, url .. "/v1/stream/"
end

local TEXT = {["Content-Type"] = "text/plain"}

local function ask(method, url, body)
  return http.request{method = method, url = url, headers = TEXT, body = body}
end

-- Appends until it is refused, and gives what was taken.
local function fill(url)
  local taken = {}
  for i = 1, 200 do
    local block = ("%05d:%s\n"):format(i, ("x"):rep(40000))
    local answer = ask("POST", url, block)
    if answer.status ~= 204 then
      assert.equal(507, answer.status, answer.body)
      assert.matches("^the disk has no room for it: [^\n]+\n$", answer.body)
      return table.concat(taken)
    end
    taken[i] = block
  end
  error "the disk is not full"
end

describe("a disk without room", function()
  -- `more` makes room.
  local function check(dir, before, more, ...)
    local child, url = start(dir, before, ...)
    finally(function()
      child:kill()
    end)
    assert.equal(201, ask("PUT", url .. "other", "here").status)
    assert.equal(201, ask("PUT", url .. "a").status)
    local content = fill(url .. "a")
    assert.equal(507, ask("PUT", url .. "new", ("y"):rep(40000)).status)
    assert.equal(404, ask("GET", url .. "new").status)
    assert.is_true(content == ask("GET", url .. "a?offset=-1").body, "what was taken is not all there")
    assert.equal(204, ask("DELETE", url .. "other").status)
    assert.matches("no room for writes", child:stderr(), 1, true)
    child:kill()
    child, url = start(dir, before, ...)
    assert.is_true(content == ask("GET", url .. "a?offset=-1").body, "not all is there after a restart")
    assert.equal(404, ask("GET", url .. "other").status)
    assert.equal(507, ask("POST", url .. "a", ("y"):rep(100000)).status)
    more(child.pid)
    assert.equal(204, ask("POST", url .. "a", "the end").status)
    child:kill()
    child, url = start(dir, {}, ...)
    assert.is_true(content .. "the end" == ask("GET", url .. "a?offset=-1").body, "not all is there in the end")
  end

  it("refuses writes with 507, serves reads, and takes writes when there is room (a limit on files)", function()
    check(tmp.dir() .. "/data", {"prlimit", "--fsize=400000:unlimited"}, function(pid)
      assert.is_true(os.execute(("prlimit --pid %d --fsize=unlimited:unlimited"):format(pid)))
    end)
  end)

  it("does the same where the disk is full, checkpoints and all", function()
    local dir = tmp.dir()
    local possible, why = disk.available(dir)
    if not possible then
      return pending(why)
    end
    local small = disk.small(dir, "1m")
    local ok, message = pcall(check, dir .. "/data", {}, function()
      small:grow "16m"
    end, "--checkpoint-size", "150KB")
    small:remove()
    assert.is_true(ok, message)
  end)
end)

describe("a folder that cannot be used", function()
  local function refused(dir, expected, before)
    local done = process.run{cmd = serve.command(before or {}, "--data", dir)}
    assert.equal(1, done.code, done.stderr)
    assert.matches(dir, done.stderr, 1, true)
    assert.matches(expected, done.stderr, 1, true)
  end

  it("has a server already, which goes on", function()
    local dir = tmp.dir() .. "/made/with/all/its/parents"
    local child, url = start(dir, {})
    finally(function()
      child:kill()
    end)
    refused(dir, "another server uses this folder: stop it, or name another folder")
    assert.equal(201, ask("PUT", url .. "a").status)
  end)

  it("is a file", function()
    local file = tmp.file("data", "text")
    refused(file, "Not a directory: name a folder, not a file")
    refused(file .. "/below", "Not a directory: name a folder, not a file")
  end)

  it("is on a file system that is read only", function()
    local dir = tmp.dir()
    if not os.execute(("mount -t tmpfs -o ro tmpfs %s 2>/dev/null"):format(dir)) then
      return pending "this user cannot mount a file system"
    end
    local ok, message = pcall(refused, dir, "name a folder on a file system that can be written to")
    if ok then
      ok, message = pcall(refused, dir .. "/below", "name a folder on a file system that can be written to")
    end
    os.execute("umount -l " .. dir)
    assert.is_true(ok, message)
  end)

  it("belongs to somebody else", function()
    local nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
    local dir = tmp.dir()
    os.execute(("chmod 755 %s && mkdir -m 755 %s/data && mkdir -m 700 %s/closed"):format(dir, dir, dir))
    local can = process.run{cmd = {nobody[1], nobody[2], nobody[3], nobody[4], paths.weir, "version"}}
    if can.code ~= 0 then
      return pending("this user cannot become another one: " .. can.stderr)
    end
    refused(dir .. "/data", "Permission denied: let this user read and write there", nobody)
    refused(dir .. "/data/new", "Permission denied: let this user read and write there", nobody)
    refused(dir .. "/closed", "Permission denied: let this user read and write there", nobody)
  end)
end)
