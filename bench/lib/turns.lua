-- Runs the programs of a row by turns and makes its lines.
--
-- A row's prepare(settings) gives its subject:
--
--   about        what was run, in a few words
--   contenders   a list of programs:
--     name       as the table shows it
--     run()      runs it once and gives its figures, by name
--     missing    where it cannot be run: why; run is not called
--     lines      what the table shows of it (default: one line, the figure "seconds"):
--       label    (default: the contender's name)
--       figure   the name of the figure
--       unit     "s", "ms", "us", "ns", "MB" or "KB"; figures are in seconds and bytes
--       versus   the label of the line that this one is compared with
--       at_least, at_most   the target for the ratio: this line's median by that line's
--   same         names of figures on which all contenders that have them must agree
--   runs         how often, where that is fewer than settings.runs
--   done()       ends what prepare started

local turns = {}

local function sorted(list)
  local copy = table.move(list, 1, #list, 1, {})
  table.sort(copy)
  return copy
end

function turns.median(list)
  local all = sorted(list)
  local middle = (#all + 1) // 2
  return #all % 2 == 1 and all[middle] or (all[middle] + all[middle + 1]) / 2
end

local terminal = os.execute "test -t 2"

local function progress(text)
  if terminal then
    io.stderr:write("\r\27[K", text)
    io.stderr:flush()
  end
end

--- Fails where two programs did not do the same work.
local function check(row, subject, figures, name)
  subject.agreed = subject.agreed or {}
  for _, figure in ipairs(subject.same or {}) do
    local value, agreed = figures[figure], subject.agreed[figure]
    if value and agreed and value ~= agreed.value then
      error(("%s: %s is %s by %s, %s by %s"):format(row, figure, agreed.value, agreed.name, value, name), 0)
    elseif value and not agreed then
      subject.agreed[figure] = {value = value, name = name}
    end
  end
end

--- Lists of figures by contender. Each round begins with another contender, so that none always runs behind the same.
local function collect(row, subject, runs)
  local all = {}
  local able = {}
  for _, contender in ipairs(subject.contenders) do
    if not contender.missing then
      able[#able + 1] = contender
      all[contender] = {}
    end
  end
  for round = 1, runs do
    for i = 0, #able - 1 do
      local contender = able[(round + i - 1) % #able + 1]
      progress(("%s: run %d of %d: %s"):format(row, round, runs, contender.name))
      local figures = contender.run()
      check(row, subject, figures, contender.name)
      table.insert(all[contender], figures)
    end
  end
  progress ""
  return all
end

local function line_of(contender, wanted, runs)
  local line = {
    label = wanted.label or contender.name,
    unit = wanted.unit or "s",
    versus = wanted.versus,
    at_least = wanted.at_least,
    at_most = wanted.at_most,
    missing = contender.missing,
  }
  if runs then
    local values = {}
    for i, figures in ipairs(runs) do
      values[i] = assert(figures[wanted.figure or "seconds"], contender.name .. " did not tell its figure")
    end
    values = sorted(values)
    line.median, line.least, line.most = turns.median(values), values[1], values[#values]
  end
  return line
end

--- A line's ratio, and whether its target is met; nothing where one of the two is missing.
local function judge(line, by_label)
  local base = line.versus and assert(by_label[line.versus], "there is no line " .. tostring(line.versus))
  if not base or not line.median or not base.median or base.median == 0 then
    return
  end
  line.ratio = line.median / base.median
  if line.at_least then
    line.met = line.ratio >= line.at_least
  elseif line.at_most then
    line.met = line.ratio <= line.at_most
  end
end

--- The lines of a row, in the order of its contenders.
function turns.play(row, subject, settings)
  local runs = math.min(settings.runs, subject.runs or settings.runs)
  local all = collect(row, subject, runs)
  local lines, by_label = {}, {}
  for _, contender in ipairs(subject.contenders) do
    for _, wanted in ipairs(contender.lines or {contender}) do
      local line = line_of(contender, wanted, all[contender])
      lines[#lines + 1] = line
      by_label[line.label] = line
    end
  end
  for _, line in ipairs(lines) do
    judge(line, by_label)
  end
  return lines
end

return turns
