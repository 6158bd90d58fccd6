-- The machine and the programs that a table was made with.

local machine = {}

local function first_line(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read "l"
  pipe:close()
  return line and line:match "^%s*(.-)%s*$"
end

local function from_file(path, pattern)
  local file = io.open(path)
  local text = file and file:read "a" or ""
  if file then
    file:close()
  end
  return text:match(pattern)
end

--- Bytes that programs may take before the system would have to swap.
function machine.available()
  return (tonumber(from_file("/proc/meminfo", "MemAvailable:%s*(%d+) kB")) or 0) * 1024
end

-- Clock ticks since the start of the machine in which its processors worked, and all of them.
local function ticks()
  local busy, all, column = 0, 0, 0
  for number in from_file("/proc/stat", "^cpu +([^\n]+)"):gmatch "%d+" do
    column = column + 1
    all = all + number
    busy = busy + (column ~= 4 and column ~= 5 and number or 0) -- idle, and waiting for a disk
  end
  return busy, all
end

--- How busy the processors are with other things: text. Takes a second.
function machine.load()
  local busy, all = ticks()
  os.execute "sleep 1"
  local busy_then, all_then = ticks()
  return ("%.0f %% of the processors in the second before"):format(100 * (busy_then - busy) / (all_then - all))
end

local function memory()
  return ("%.1f GB"):format((tonumber(from_file("/proc/meminfo", "MemTotal:%s*(%d+) kB")) or 0) * 1024 / 1e9)
end

local function processor()
  local model = from_file("/proc/cpuinfo", "model name%s*:%s*([^\n]+)") or first_line "uname -m"
  return ("%s, %s cores"):format(model, first_line "nproc")
end

local function version(package)
  return first_line("dpkg-query -W -f '${Version}' " .. package) or "?"
end

--- A list of {name, text}.
function machine.describe(settings)
  return {
    {"date", os.date "!%Y-%m-%d"},
    {"processor", processor()},
    {"memory", memory()},
    {"kernel", first_line "uname -sr"},
    {"compiler", first_line "cc --version"},
    {"peers", ("node %s, simdjson %s, cJSON %s, lua-cjson %s, curl %s"):format(first_line "node --version",
      version "libsimdjson-dev", version "libcjson-dev", version "lua-cjson",
      (first_line "curl --version" or "?"):match "curl (%S+)" or "?")},
    {"other load", settings.load},
    {"runs of each program", tostring(settings.runs)},
    {"scale", tostring(settings.scale)},
  }
end

return machine
