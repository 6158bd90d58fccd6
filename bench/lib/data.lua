-- Events to read, made by bench/tools/generate.c and kept in the build folder.

local context = require "bench.lib.context"
local paths = require "support.paths"
local process = require "support.process"

local data = {}

local FOLDER = paths.build .. "/bench/data"

local function execute(script, ...)
  local done = process.run{cmd = {"sh", "-c", script, "sh", ...}, timeout = 600}
  if done.code ~= 0 then
    error("making data: " .. done.stderr, 0)
  end
  return done.stdout
end

-- Reading it once brings a file that is there already into memory, so that no run of it pays for the disk.
local MAKE = [[
generate=$1 path=$2
shift 2
mkdir -p "${path%/*}"
if [ ! -s "$path" ] || [ "$generate" -nt "$path" ]; then
  "$generate" "$@" >"$path.part" && mv "$path.part" "$path" || exit 1
fi
wc -c <"$path"
]]

--- The command that writes such events: {shape =, events =, keys =, fill = true, marks = true}.
function data.command(wanted)
  local words = {context.program "generate", wanted.shape, ("%d"):format(wanted.events), ("%d"):format(wanted.keys)}
  words[#words + 1] = wanted.fill and "--fill" or nil
  words[#words + 1] = wanted.marks and "--marks" or nil
  return words
end

--- The same as shell text.
function data.shell(wanted)
  local words = data.command(wanted)
  for i, word in ipairs(words) do
    words[i] = process.quote(word)
  end
  return table.concat(words, " ")
end

--- A file of such events: {path =, bytes =, events =}.
function data.file(wanted)
  local words = data.command(wanted)
  local name = table.concat(words, "-", 2):gsub("%-%-", "")
  local path = ("%s/%s.jsonl"):format(FOLDER, name)
  local bytes = execute(MAKE, words[1], path, table.unpack(words, 2))
  local filled = wanted.fill and wanted.keys * 4 or 0
  return {path = path, bytes = tonumber(bytes), events = wanted.events + filled}
end

return data
