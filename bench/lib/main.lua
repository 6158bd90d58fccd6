-- What `./dev bench` was asked for.

local context = require "bench.lib.context"
local machine = require "bench.lib.machine"
local page = require "bench.lib.page"
local report = require "bench.lib.report"
local rows = require "bench.lib.rows"
local turns = require "bench.lib.turns"

local USAGE = [[
usage: ./dev bench [--write] [ROW...]
       ./dev bench list

  --write   put the table into docs/benchmarks.md, with the machine and the date; all rows are run for it

environment:
  WEIR_BENCH_RUNS=N   how often each program of a row is run (default: 5)
  WEIR_BENCH_SCALE=X  so many times the data: 0.1 is a tenth (default: 1)
]]

local function list()
  for _, name in ipairs(rows.names) do
    print(("%-18s %s"):format(name, rows.load(name).title))
  end
  return 0
end

local function misuse(message)
  io.stderr:write("bench: ", message, "\n\n", USAGE)
  return 2
end

local function parse(arguments)
  local options = {rows = {}}
  for _, word in ipairs(arguments) do
    if word == "--write" then
      options.write = true
    elseif word == "list" or word == "--help" or word == "-h" or word == "help" then
      options.verb = word == "list" and "list" or "help"
    elseif rows.known(word) then
      options.rows[#options.rows + 1] = word
    else
      return nil, ("there is no row %s; ./dev bench list tells which there are"):format(word)
    end
  end
  if options.write and #options.rows > 0 then
    return nil, "--write is for the whole table"
  end
  return options
end

--- A row's lines for the table. What it started is ended, whatever happens.
local function run(name, settings)
  local row = rows.load(name)
  local subject = row.prepare(settings)
  local ok, lines = pcall(turns.play, name, subject, settings)
  if subject.done then
    subject.done()
  end
  if not ok then
    error(lines, 0)
  end
  return {name = name, title = row.title, about = subject.about, lines = lines}
end

local function run_all(names, settings)
  local done, failed = {}, false
  for _, name in ipairs(names) do
    local ok, result = pcall(run, name, settings)
    if ok then
      done[#done + 1] = result
    else
      failed = true
      io.stderr:write("bench: ", name, ": ", tostring(result), "\n")
    end
  end
  return done, failed
end

return function(arguments)
  local options, message = parse(arguments)
  if not options then
    return misuse(message)
  elseif options.verb == "list" then
    return list()
  elseif options.verb == "help" then
    io.stdout:write(USAGE)
    return 0
  end
  local settings, wrong = context.new()
  if not settings then
    return misuse(wrong)
  end
  local done, failed = run_all(#options.rows > 0 and options.rows or rows.names, settings)
  local conditions = machine.describe(settings)
  io.stdout:write(report.text(done, conditions))
  if options.write and not failed then
    page.write(report.markdown(done, conditions))
  end
  return failed and 1 or 0
end
