-- Child processes from plain Lua: arguments need no quoting, output is captured, every one has a limit.
--
--   local done = process.run{cmd = {paths.weir, "version"}, stdin = "...", env = {NAME = "x"}, timeout = 10}
--   done.code, done.stdout, done.stderr, done.signal, done.timed_out
--
--   local child = process.spawn{cmd = {...}}
--   child:signal("INT")
--   local done = child:wait(5)

local tmp = require "support.tmp"
local wait = require "support.wait"

local process = {}

--- Seconds after which a server that a spec has forgotten is killed: longer than any spec takes.
process.LIFE = 580 + 4 * (tonumber(os.getenv "WEIR_KILLS") or 0)

local LIMIT = 120 -- seconds a process may live, unless told otherwise
local TIMED_OUT = 124 -- what timeout(1) exits with

-- Of this Lua, for servers that end when it does.
function process.own_pid()
  local pipe = assert(io.popen("echo $PPID"))
  local pid = pipe:read("l")
  pipe:close()
  return pid
end

function process.quote(text)
  return "'" .. tostring(text):gsub("'", [['\'']]) .. "'"
end

local function quoted(list)
  local words = {}
  for i, word in ipairs(list) do
    words[i] = process.quote(word)
  end
  return table.concat(words, " ")
end

-- `env` values: text sets a variable, false removes it.
local function environment(env)
  local unset, set = {}, {}
  for name, value in pairs(env or {}) do
    if value == false then
      unset[#unset + 1] = "-u " .. process.quote(name)
    else
      set[#set + 1] = process.quote(name .. "=" .. tostring(value))
    end
  end
  return table.concat(unset, " ") .. " " .. table.concat(set, " ")
end

-- The shell's background jobs ignore SIGINT; env gives the default back. The inner shell writes its pid and
-- becomes the program, so that the pid is the program's own and not that of timeout(1).
local SCRIPT = [[
cd %s || exit 126
timeout --foreground -k 2 %s env --default-signal %s sh -c 'echo $$ >%s/pid; exec "$@"' sh %s \
  <%s >%s/stdout 2>%s/stderr
echo $? >%s/code.part
mv %s/code.part %s/code
]]

local function prepare(options)
  assert(type(options.cmd) == "table" and options.cmd[1], "process: cmd must be a list of arguments")
  local dir = tmp.dir()
  local stdin = "/dev/null"
  if options.stdin then
    stdin = tmp.write(dir .. "/stdin", options.stdin)
  end
  local limit = ("%.3f"):format((options.timeout or LIMIT) + wait.SLACK)
  local text = SCRIPT:format(process.quote(options.cwd or "."), limit, environment(options.env), dir,
    quoted(options.cmd), stdin, dir, dir, dir, dir, dir)
  tmp.write(dir .. "/run", text)
  return dir
end

-- `signal` is set for the codes 129 to 192, whether the signal ended the program or it chose that code.
local function result(dir, limit)
  local code = tonumber(tmp.read(dir .. "/code") or "")
  if not code then
    return nil
  end
  return {
    code = code,
    signal = code > 128 and code <= 192 and code - 128 or nil,
    timed_out = code == TIMED_OUT,
    limit = limit or LIMIT,
    stdout = tmp.read(dir .. "/stdout") or "",
    stderr = tmp.read(dir .. "/stderr") or "",
  }
end

--- Runs a program to its end. options: cmd (list), stdin (text), env, cwd, timeout (seconds).
function process.run(options)
  local dir = prepare(options)
  os.execute("sh " .. dir .. "/run 2>/dev/null")
  return assert(result(dir, options.timeout), "process: no exit code of " .. options.cmd[1])
end

local Child = {}
Child.__index = Child

--- Starts a program and returns at once; same options as run. It is killed at its timeout at the latest.
function process.spawn(options)
  local dir = prepare(options)
  os.execute("sh " .. dir .. "/run </dev/null >/dev/null 2>&1 &")
  local child = setmetatable({dir = dir, name = options.cmd[1], limit = options.timeout}, Child)
  child.pid = wait.till(function()
    return tonumber((tmp.read(dir .. "/pid") or ""):match("^(%d+)\n"))
  end, nil, "the pid of " .. child.name)
  return child
end

function Child:stdout()
  return tmp.read(self.dir .. "/stdout") or ""
end

function Child:stderr()
  return tmp.read(self.dir .. "/stderr") or ""
end

--- False once the program has ended.
function Child:running()
  return result(self.dir) == nil
end

--- Sends a signal by name ("INT", "KILL"). False when the program had already ended.
function Child:signal(name)
  if not self:running() then
    return false
  end
  return os.execute(("kill -%s %d 2>/dev/null"):format(name, self.pid)) == true
end

--- The result once the program has ended, as of run. Fails when that takes more than `limit` seconds (60).
function Child:wait(limit)
  return wait.till(function()
    return result(self.dir, self.limit)
  end, limit, function()
    return ("the end of %s (pid %d); stderr so far: %s"):format(self.name, self.pid, self:stderr())
  end)
end

--- Waits until the program has written `text` (plain) on stdout or stderr.
function Child:wait_for_output(text, limit)
  return wait.till(function()
    return self:stdout():find(text, 1, true) or self:stderr():find(text, 1, true)
  end, limit, function()
    return ("%q from %s; stdout: %s stderr: %s"):format(text, self.name, self:stdout(), self:stderr())
  end)
end

--- Ends the program at once, if it still runs, and returns its result.
function Child:kill()
  self:signal("KILL")
  return self:wait()
end

--- The same at some random instant of the next so many seconds.
function Child:kill_within(seconds)
  wait.within(seconds)
  return self:kill()
end

return process
