-- The one table, as text for a terminal and as Markdown.

local report = {}

local UNITS = {s = 1, ms = 1e3, us = 1e6, ns = 1e9, MB = 1e-6, KB = 1e-3}
local SHOWN = {us = "µs"}

local HEAD = {"row", "what", "median", "spread", "ratio", "target", "met"}

--- Three digits that count.
local function digits(value)
  if value == 0 then
    return "0"
  end
  local places = 2 - math.floor(math.log(math.abs(value), 10))
  return ("%." .. math.max(0, math.min(6, places)) .. "f"):format(value)
end

local function figure(value, unit)
  return ("%s %s"):format(digits(value * UNITS[unit]), SHOWN[unit] or unit)
end

local function target(line)
  if line.at_least then
    return "≥ " .. line.at_least
  elseif line.at_most then
    return "≤ " .. line.at_most
  end
  return ""
end

local function met(line)
  if line.met == nil then
    return ""
  end
  return line.met and "yes" or "no"
end

local function cells(row, line, first)
  local name = first and row.name or ""
  if not line.median then
    return {name, line.label, line.missing, "", "", target(line), ""}
  end
  local factor = UNITS[line.unit]
  return {
    name,
    line.label,
    figure(line.median, line.unit),
    ("%s–%s"):format(digits(line.least * factor), digits(line.most * factor)),
    line.ratio and ("%s × %s"):format(digits(line.ratio), line.versus) or "",
    target(line),
    met(line),
  }
end

local function all_cells(rows)
  local list = {}
  for _, row in ipairs(rows) do
    for i, line in ipairs(row.lines) do
      list[#list + 1] = cells(row, line, i == 1)
      list[#list].starts = i == 1
    end
  end
  return list
end

local function widths(list)
  local wide = {}
  for _, row in ipairs(list) do
    for i, cell in ipairs(row) do
      wide[i] = math.max(wide[i] or 0, utf8.len(cell))
    end
  end
  return wide
end

local function padded(row, wide)
  local out = {}
  for i, cell in ipairs(row) do
    out[i] = cell .. (" "):rep(wide[i] - utf8.len(cell))
  end
  return (table.concat(out, "  "):gsub(" +$", ""))
end

--- What each row ran, a line for each.
local function abouts(rows, format)
  local out = {}
  for _, row in ipairs(rows) do
    out[#out + 1] = format:format(row.name, row.about)
  end
  return out
end

--- The table for a terminal; conditions is a list of {name, text}.
function report.text(rows, conditions)
  local list = all_cells(rows)
  table.insert(list, 1, HEAD)
  local wide = widths(list)
  local out = {}
  for _, row in ipairs(list) do
    if row.starts then
      out[#out + 1] = ""
    end
    out[#out + 1] = padded(row, wide)
  end
  out[#out + 1] = ""
  for _, about in ipairs(abouts(rows, "%s: %s")) do
    out[#out + 1] = about
  end
  out[#out + 1] = ""
  for _, condition in ipairs(conditions) do
    out[#out + 1] = ("%s: %s"):format(condition[1], condition[2])
  end
  return table.concat(out, "\n") .. "\n"
end

--- The same as Markdown.
function report.markdown(rows, conditions)
  local out = {"| " .. table.concat(HEAD, " | ") .. " |", ("|---"):rep(#HEAD) .. "|"}
  for _, row in ipairs(all_cells(rows)) do
    out[#out + 1] = "| " .. table.concat(row, " | ") .. " |"
  end
  out[#out + 1] = "\nWhat was run:\n"
  table.move(abouts(rows, "- **%s**: %s"), 1, #rows, #out + 1, out)
  out[#out + 1] = "\nWhere and when:\n"
  for _, condition in ipairs(conditions) do
    out[#out + 1] = ("- %s: %s"):format(condition[1], condition[2])
  end
  return table.concat(out, "\n") .. "\n"
end

return report
