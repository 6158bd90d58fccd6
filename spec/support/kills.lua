-- Workers that are killed with kill -9 at random instants, again and again, and what their sink holds after each:
-- exactly what lies before its place in the stream, and, when the stream has ended, what an uninterrupted run leaves.
--
--   kills.of {
--     sink = 'weir.sink.sqlite { path = weir.env "DB", layout = weir.env "LAYOUT" }',
--     layouts = true,                          -- it has a layout "columns": some of the specs use it
--     fresh = function(name) return db end,    -- an empty database of that name: what weir.env "DB" is
--     held = function(name) return rows, place end,   -- see support.held
--     text = changes.jsonb,                    -- how it writes a value, where that is not as it came
--     undone = function(name) return n end,    -- how many transactions it has undone so far; or nil
--     intact = function(name) return true end, -- what it says of its own files; or nil
--   }
--
-- makes the specs. WEIR_KILLS: how many kills there are in all (8); WEIR_SEED: of the stream and the instants;
-- WEIR_KILLS_LOG: a file to which each spec adds a line that tells where its workers were when they were killed.

local assert = require "luassert"
local busted = require "busted"

local changes = require "support.changes"
local server = require "support.server"
local tmp = require "support.tmp"
local wait = require "support.wait"
local worker = require "support.worker"

local kills = {}

kills.count = tonumber(os.getenv "WEIR_KILLS" or "") or 8
kills.seed = tonumber(os.getenv "WEIR_SEED" or "") or 20261122

local SCRIPT = [[
  local weir = require "weir"
  local s = weir.schema
  local types
  if weir.env("LAYOUT", "json") == "columns" then
    types = {}
    for _, name in ipairs { TYPES } do
      types[name] = {
        schema = s.object { n = s.integer(), text = s.string(), p = s.integer():optional() }, index = { "n" },
      }
    end
  end
  weir.stream {
    name = "room", url = weir.env "SOURCE", live = weir.env("LIVE", "no") == "yes",
    snapshot = weir.env("SNAPSHOT", "merge"), schema = types and weir.defineStreamSchema { types = types },
    sinks = { SINK },
    limits = { sinkRows = tonumber(weir.env("ROWS", "25")), sinkDelay = "10ms" },
  }
]]

local CASES = {
  {name = "reading a file", snapshots = "merge"},
  {name = "where snapshots replace the state", columns = true, snapshots = "replace"},
  {name = "with snapshots of its own", data = true},
  {name = "while it is filled from a snapshot", fill = true, keys = 100, long = true},
  {name = "from a server, while the stream grows", live = true},
}

local ROWS = {1, 5, 25, 100, 10000} -- a batch

---------------------------------------------------------------------------------------------------
-- Where it was

local PHASES = {"starting", "restoring", "filling", "committing", "at the end"}

local Tally = {}
Tally.__index = Tally

local function tally()
  return setmetatable({kills = 0, phases = {}, tenths = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ends = 0}, Tally)
end

function Tally:add(before, place, count)
  local phase = "committing"
  if not place or place.epoch == before.epoch then
    phase = "starting" -- it had not opened its sink
  elseif place.partial then
    phase = "filling"
  elseif place.sequence == before.sequence then
    phase = "restoring" -- it was reading what is there already, or in its first commit
  elseif place.sequence == count then
    phase = "at the end"
  end
  self.kills = self.kills + 1
  self.phases[phase] = (self.phases[phase] or 0) + 1
  local tenth = math.min(10, (place and place.sequence or 0) * 10 // count + 1)
  self.tenths[tenth] = self.tenths[tenth] + 1
end

function Tally:text()
  local phases = {}
  for i, phase in ipairs(PHASES) do
    phases[i] = ("%s %d"):format(phase, self.phases[phase] or 0)
  end
  return ("%d kills, %d runs to the end; %s; by tenths of the stream: %s"):format(self.kills, self.ends,
    table.concat(phases, ", "), table.concat(self.tenths, " "))
end

--- Adds a line to WEIR_KILLS_LOG.
function kills.report(text)
  local path = os.getenv "WEIR_KILLS_LOG"
  if path then
    local file = assert(io.open(path, "a"))
    file:write(text, "\n")
    file:close()
  end
end

---------------------------------------------------------------------------------------------------
-- One sink in one case

local Trial = {}
Trial.__index = Trial

local function new_trial(sink, case, seed)
  local stream = changes.new{count = 3000, seed = seed, keys = case.keys, long = case.long,
    snapshots = case.snapshots}
  local names, columns = {}, case.columns and sink.layouts
  for _, type in ipairs(changes.types) do
    names[#names + 1] = changes.has_columns(type) and ("%q"):format(type) or nil
  end
  local self = setmetatable({
    sink = sink,
    case = case,
    stream = stream,
    text = columns and changes.cells(sink.text) or sink.text,
    script = tmp.file("worker.lua", (SCRIPT:gsub("[A-Z]+ }", {["TYPES }"] = table.concat(names, ", ") .. " }",
      ["SINK }"] = sink.sink .. " }"}))),
    source = not case.live and tmp.file("events.jsonl", stream.text),
    data = tmp.dir(),
    set = {LAYOUT = columns and "columns" or nil, LIVE = case.live and "yes" or nil, SNAPSHOT = case.snapshots},
    tally = tally(),
    scale = 1,
  }, Trial)
  if case.fill then
    self:take_snapshot()
  end
  return self
end

--- Of the first half of the stream, by a worker without a sink.
function Trial:take_snapshot()
  self.snapshot = tmp.dir()
  tmp.write(self.source, table.concat(self.stream.lines, "\n", 1, self.stream.count // 2) .. "\n")
  local script = tmp.read(self.script):gsub("sinks = [^\n]*", "")
  local done = worker.run{script = script, set = {SOURCE = self.source, SNAPSHOT = self.set.SNAPSHOT},
    args = {"--once", "--data", self.snapshot}}
  assert.equal(0, done.code, done.stderr)
  tmp.write(self.source, self.stream.text)
end

--- From nothing: another database, and, where the stream grows, another stream.
function Trial:begin(name)
  self.name = name
  self.set.DB = self.sink.fresh(name)
  self.before = {sequence = 0, epoch = 0}
  self.starts = 0
  os.execute(("rm -rf '%s'/*"):format(self.data))
  if self.snapshot then
    os.execute(("cp '%s'/* '%s'"):format(self.snapshot, self.data))
  end
  if self.case.live then
    self.source, self.sent = self.server:stream "kills", 0
    self.places = {[""] = 0, [self.server:tail(self.source)] = 0}
  end
end

--- Anew, and perhaps a good way into the stream: otherwise most kills would be at its beginning.
function Trial:begin_somewhere()
  self:begin "killed"
  if self.case.live or self.case.fill or math.random(4) == 1 then
    return
  end
  local count = math.random(self.stream.count * 9 // 10)
  tmp.write(self.source, table.concat(self.stream.lines, "\n", 1, count) .. "\n")
  self.set.ROWS = 100
  local done = worker.run(self:options{})
  assert.equal(0, done.code, done.stderr)
  self.before = self:check "a part of the stream"
  tmp.write(self.source, self.stream.text)
end

function Trial:options(more)
  self.set.SOURCE = self.source
  local args = self.case.live and not more.once and {} or {"--once"}
  if self.case.data or self.snapshot then
    table.move({"--data", self.data, "--snapshot-every", self.snapshot and "1h" or "5ms"}, 1, 4, #args + 1, args)
  end
  self.starts = self.starts + 1
  return {path = self.script, set = self.set, args = args, killed = more.killed, timeout = 120}
end

--- Where the stream grows: some more of it.
function Trial:append()
  local last = math.min(self.stream.count, self.sent + math.random(200))
  if last > self.sent then
    self.server:append(self.source, "[" .. table.concat(self.stream.lines, ",", self.sent + 1, last) .. "]")
    self.sent = last
    self.places[self.server:tail(self.source)] = last
  end
end

--- A worker that is killed after a while, unless it ends before.
function Trial:strike(seconds)
  self.set.ROWS = ROWS[math.random(#ROWS)]
  local options = self:options{killed = seconds}
  if not self.case.live then
    return worker.run(options)
  end
  local child = worker.spawn(options)
  self:append()
  self:append()
  return child:wait(worker.patience(60))
end

function Trial:messages_before(offset)
  if self.case.live then
    return assert.truthy(self.places[offset], offset)
  end
  local _, count = self.stream.text:sub(1, tonumber(offset) or 0):gsub("\n", "")
  return count
end

--- What is there is what lies before the place.
function Trial:check(message)
  local rows, place = self.sink.held(self.name)
  local before = self.before
  if place then
    message = ("%s, message %d"):format(message, place.sequence)
    place.partial = place.notes:find "partial" ~= nil
    assert.is_true(place.epoch >= before.epoch and place.epoch <= self.starts, message)
    -- One that was killed while it was filled, unseen, is filled from the stream's start.
    local again = message:find("is filled with the state", 1, true) ~= nil
    assert.is_true(place.partial or again or place.sequence >= before.sequence, message)
    assert.equal(place.sequence, self:messages_before(place.offset) + place.skip, message)
  end
  if not (place and place.partial) then
    assert.equal(self.stream:rows(place and place.sequence or 0, self.text), rows, message)
  end
  return place, rows
end

--- All is there, as after an uninterrupted run.
function Trial:check_end(message)
  local place, rows = self:check(message)
  assert.equal(self.stream.count, place.sequence, message)
  if self.whole then
    assert.equal(self.whole, rows, message)
  end
  self.tally.ends = self.tally.ends + 1
  return rows
end

function Trial:run_to_end(message)
  while self.case.live and self.sent < self.stream.count do
    self:append()
  end
  local done = worker.run(self:options{once = true})
  assert.equal(0, done.code, done.stderr)
  return self:check_end(message)
end

--- How long an uninterrupted run takes, what it leaves, and how long one takes that finds everything done.
function Trial:measure()
  self:begin "whole"
  local began = wait.now()
  self.whole = self:run_to_end "without a kill"
  local ended = wait.now()
  self:run_to_end "again"
  self.start = wait.now() - ended
  self.span = math.max(ended - began - self.start, 0.05)
  self.tally.ends = 0
end

--- Seconds: of three one in the start, which is short, and the others in what follows.
function Trial:instant()
  if math.random(3) == 1 then
    return self.start * math.random() ^ 2
  end
  local rest = 1 - self.before.sequence / self.stream.count
  local span = self.case.live and 0.3 or self.span * rest
  return self.start * math.random() + span * self.scale * math.random()
end

--- True: the worker had been killed, and what it left is right.
function Trial:round(message)
  local done = self:strike(self:instant())
  if done.code == 137 and math.random(5) == 1 then
    done = self:strike(self:instant()) -- the next one does not wait until somebody has looked
  end
  message = message .. ": " .. done.stderr:sub(-500)
  assert.not_matches("Sanitizer", done.stderr)
  if done.code ~= 137 then
    assert.equal(0, done.code, message)
    self:check_end(message)
    self:begin_somewhere()
    self.scale = math.max(self.scale * 0.9, 0.1)
    self.start = self.start * 0.8 -- it was measured when the machine was busier
    return false
  end
  local place = self:check(message)
  self.tally:add(self.before, place, self.stream.count)
  if not place or place.sequence == self.before.sequence then
    self.scale = math.min(self.scale * 1.05, 20)
  end
  self.before = place or self.before
  if self.case.live and place and place.sequence == self.stream.count then
    self:run_to_end(message)
    self:begin_somewhere()
  end
  return true
end

--- Many kills come while it starts and while it commits. Restoring and filling may take a few milliseconds: how many
--- came then is in WEIR_KILLS_LOG.
function Trial:check_spread()
  if self.tally.kills >= 100 then
    for _, phase in ipairs{"starting", "committing"} do
      assert.is_truthy(self.tally.phases[phase], phase .. " in " .. self.tally:text())
    end
  end
end

function Trial:survive(count)
  local began, left = wait.now(), count
  self:measure()
  self:begin_somewhere()
  local before = self.sink.undone and self.sink.undone "killed"
  for round = 1, count * 20 do
    if left > 0 and self:round(("kill %d, round %d"):format(count - left + 1, round)) then
      left = left - 1
    end
  end
  assert.equal(0, left, "kills that came too late")
  self:run_to_end "after the last kill"
  self:check_spread()
  assert.is_true(not self.sink.intact or self.sink.intact "killed")
  local undone = before and (", transactions undone: %d"):format(self.sink.undone "killed" - before) or ""
  return ("%s%s; %.0f s"):format(self.tally:text(), undone, wait.now() - began)
end

---------------------------------------------------------------------------------------------------

function kills.of(sink)
  busted.describe("is that of an uninterrupted run after every kill -9", function()
    local source
    busted.teardown(function()
      if source then
        source:stop()
      end
    end)

    for i, case in ipairs(CASES) do
      busted.it(case.name, function()
        math.randomseed(kills.seed + i)
        local trial = new_trial(sink, case, kills.seed + i)
        source = case.live and server.start{kind = "weir"}
        trial.server = source
        local text = trial:survive((kills.count + #CASES - 1) // #CASES)
        kills.report(("%s, seed %d, %s: %s"):format(sink.sink:match "^[%w.]+", kills.seed, case.name, text))
      end)
    end
  end)
end

return kills
