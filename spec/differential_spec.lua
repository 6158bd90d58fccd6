-- Random event logs: weir makes of them what the npm MaterializedState makes of them, however they come in: from
-- files, by HTTP in pieces of 1 byte and more, through a pipe, or partly by SSE.
--
-- WEIR_DIFF_LOGS: how many logs (300; a third of them for each of the ways but files); WEIR_DIFF_SEED: the seed of
-- the first, which a failure prints.

local npm_state = require "support.npm_state"
local paths = require "support.paths"
local pieces = require "support.pieces"
local process = require "support.process"
local random_log = require "support.random_log"
local tmp = require "support.tmp"

local LOGS = tonumber(os.getenv("WEIR_DIFF_LOGS")) or (paths.sanitized and 100 or 300)
local SEED = tonumber(os.getenv("WEIR_DIFF_SEED")) or os.time()
local BATCH = 150

-- One process of weir for each log, all started by one shell: $1 is weir, $2 the folder. What comes on stdout is
-- wrong.
local FILES = [[
for events in "$2"/*.events; do
  "$1" state "$events" >"${events%.events}.state" 2>"${events%.events}.stderr" || echo "${events##*/} code $?"
done
]]

-- The same with pieces of at most $largest bytes; the log's name decides how large, and is their seed. $3 is the
-- server's URL.
local function in_pieces(command)
  return [[
    for events in "$2"/*.events; do
      name=${events##*/}
      name=${name%.events}
      largest=$((name % 7 * (name % 7) * (name % 7) + 1))
      ]] .. command .. [[ 2>"$2/$name.stderr" || echo "$name code $?"
    done
  ]]
end

local HTTP = in_pieces[["$1" state "$3/$name.array?largest=$largest&seed=$name" >"$2/$name.state"]]
local PIPE = in_pieces[["$4" "$5" "$largest" "$name" <"$events" | "$1" state - >"$2/$name.state"]]
local SSE = in_pieces[["$1" run "$2/state.lua" --source "$3/$name.first?largest=$largest&seed=$name" \
  --set "OUT=$2/$name.state"]]

-- Decodes every value, and writes it again.
local SCRIPT = [[
local weir = require "weir"
local stream = weir.stream { url = "-", live = "sse" }
stream:onUpToDate(function(state)
  local all = {}
  for _, type in ipairs(state:types()) do
    all[type] = {}
    for key, value in state:each(type) do
      all[type][key] = value
    end
  end
  local file = assert(io.open(weir.env("OUT"), "w"))
  assert(file:write(weir.json.encode(all)))
  assert(file:close())
end)
]]

-- Runs a shell text over the logs in a folder, and compares.
local function compare_all(dir, script, ...)
  local done = process.run{cmd = {"sh", "-c", script, "sh", paths.weir, dir, ...}, timeout = 120}
  if done.stdout ~= "" then
    local name = done.stdout:match("^(%d+)")
    error(done.stdout .. done.stderr .. (tmp.read(("%s/%s.stderr"):format(dir, name)) or "") ..
      "\nWEIR_DIFF_SEED=" .. name)
  end
  local differences = npm_state.all_differ(dir)
  if differences then
    error(differences .. "\nWEIR_DIFF_SEED=" .. differences:match("^(%d+)"))
  end
end

-- A reset with an offset would be one to read again from there.
local function without_offsets(events)
  for i, event in ipairs(events) do
    if event:find('"reset"', 1, true) then
      events[i] = '{"headers":{"control":"reset"}}'
    end
  end
  return events
end

-- Calls fn(first seed, count) for every batch of logs.
local function batches(logs, fn)
  for first = SEED, SEED + logs - 1, BATCH do
    fn(first, math.min(BATCH, SEED + logs - first))
  end
end

describe(("random event logs (%d from WEIR_DIFF_SEED=%d)"):format(LOGS, SEED), function()
  local server

  setup(function()
    server = pieces.start()
  end)

  teardown(function()
    server:stop()
  end)

  -- write(path without extension, events): writes what weir reads, the same in NAME.events.
  local function give_the_same(first, count, write, script, ...)
    local dir = server.dir
    os.execute("rm -f -- " .. process.quote(dir) .. "/*")
    for seed = first, first + count - 1 do
      write(("%s/%d"):format(dir, seed), random_log.events(seed))
    end
    tmp.write(dir .. "/state.lua", SCRIPT)
    compare_all(dir, script, ...)
  end

  batches(LOGS, function(first, count)
    it(("%d to %d give the same state"):format(first, first + count - 1), function()
      give_the_same(first, count, function(path, events)
        local write = math.random(2) == 1 and random_log.array or random_log.lines
        tmp.write(path .. ".events", write(events))
      end, FILES)
    end)
  end)

  batches(LOGS // 3, function(first, count)
    it(("%d to %d do so by HTTP in pieces"):format(first, first + count - 1), function()
      give_the_same(first, count, function(path, events)
        local text = random_log.array(without_offsets(events))
        tmp.write(path .. ".events", text)
        tmp.write(path .. ".array", text)
      end, HTTP, server.url)
    end)

    it(("%d to %d do so through a pipe, in pieces"):format(first, first + count - 1), function()
      give_the_same(first, count, function(path, events)
        local write = math.random(2) == 1 and random_log.array or random_log.lines
        tmp.write(path .. ".events", write(without_offsets(events)))
      end, PIPE, server.url, "lua5.4", paths.spec .. "/support/pieces_pipe.lua")
    end)

    it(("%d to %d do so by SSE in pieces, behind a first part"):format(first, first + count - 1), function()
      give_the_same(first, count, function(path, events)
        without_offsets(events)
        local cut = math.random(0, #events)
        tmp.write(path .. ".events", random_log.array(events))
        tmp.write(path .. ".first", random_log.array(table.move(events, 1, cut, 1, {})))
        tmp.write(path .. ".first.sse", random_log.sse(table.move(events, cut + 1, #events, 1, {})))
      end, SSE, server.url)
    end)
  end)

  it("are compared at all", function()
    local dir = tmp.dir()
    tmp.write(dir .. "/1.events", '{"type":"t","key":"k","value":[1.0],"headers":{"operation":"insert"}}')
    tmp.write(dir .. "/1.state", '{"t":{"k":[1]}}')
    assert.is_nil(npm_state.all_differ(dir))
    tmp.write(dir .. "/2.events", '{"type":"t","key":"k","value":[1.0],"headers":{"operation":"insert"}}')
    tmp.write(dir .. "/2.state", '{"t":{"k":[2]}}')
    assert.equal("2: t/k: expected [1], got [2]\n", npm_state.all_differ(dir))
    tmp.write(dir .. "/2.state", "{")
    assert.matches("^2: ", npm_state.all_differ(dir))
  end)
end)
