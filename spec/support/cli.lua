-- The program as a spec runs it.
--
--   local done = cli.run({"version"}, {stdin = "..."})
--   local done = cli.state('[...]', "--type", "users")     -- `weir state` of a file with this text
--   done.path                                              -- that file

local paths = require "support.paths"
local process = require "support.process"
local tmp = require "support.tmp"
local wait = require "support.wait"

local cli = {}

--- Runs `weir ARGS...` to its end. options: as of process.run, without cmd.
function cli.run(args, options)
  local all = {cmd = {paths.weir, table.unpack(args)}}
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return (process.run(all))
end

--- Starts `weir ARGS...` and returns at once.
function cli.spawn(args, options)
  local all = {cmd = {paths.weir, table.unpack(args)}}
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return process.spawn(all)
end

--- Waits until a child that prints more than a pipe holds has filled the one that nobody reads.
function cli.wait_until_stuck(child)
  local before
  wait.till(function()
    local io = tmp.read(("/proc/%d/io"):format(child.pid)) or ""
    local written = tonumber(io:match("wchar: (%d+)"))
    local stuck = written and written > 4000 and written == before
    before = written
    return stuck
  end, nil, child.name .. " to wait for a reader")
end

--- `weir state` of a file that holds `text`, with more arguments.
function cli.state(text, ...)
  local path = tmp.file("events", text)
  local done = cli.run{"state", path, ...}
  done.path = path
  return done
end

--- `weir state -` with `text` on standard input.
function cli.state_of_stdin(text, ...)
  return cli.run({"state", "-", ...}, {stdin = text})
end

--- `weir run` of a script with this text, which sees the file's path as weir.env("EVENTS"). options.events: the
--- file's text; options.set: more such settings; options.args: more arguments; the others as of process.run.
function cli.script(text, options)
  options = options or {}
  local dir = tmp.dir()
  local script = tmp.write(dir .. "/script.lua", text)
  local events = tmp.write(dir .. "/events", options.events or "")
  local args = {"run", script, "--set", "EVENTS=" .. events, table.unpack(options.args or {})}
  for name, value in pairs(options.set or {}) do
    table.insert(args, "--set")
    table.insert(args, name .. "=" .. value)
  end
  local done = cli.run(args,
    {stdin = options.stdin, env = options.env, cwd = options.cwd, timeout = options.timeout})
  done.script, done.path, done.dir = script, events, dir
  return done
end

--- A change as JSON text; value is JSON text, nil for none.
function cli.change(kind, key, operation, value)
  return ('{"type":"%s","key":"%s",%s"headers":{"operation":"%s"}}'):format(kind, key,
    value and '"value":' .. value .. "," or "", operation)
end

--- The same as a line, with what it does in front.
function cli.line(operation, kind, key, value)
  return cli.change(kind, key, operation, value) .. "\n"
end

function cli.insert(kind, key, value)
  return cli.change(kind, key, "insert", value or "1")
end

return cli
