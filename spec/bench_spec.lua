-- ./dev bench: a row of each kind at a tiny scale. Whether it is fast is not asked here.

local paths = require "support.paths"
local process = require "support.process"
local worker = require "support.worker"

local function bench(arguments, env)
  local cmd = {"lua5.4", paths.root .. "/bench/run", table.unpack(arguments)}
  local all = {WEIR_BUILD = paths.build, WEIR_BIN = paths.weir, WEIR_BENCH_SCALE = "0.001", WEIR_BENCH_RUNS = "2"}
  for name, value in pairs(env or {}) do
    all[name] = value
  end
  return process.run{cmd = cmd, env = all, timeout = worker.patience(60)}
end

--- The lines of the table below its head, up to the empty line behind them.
local function lines_of(text)
  local lines = {}
  for line in text:match("^row[^\n]*\n\n(.-)\n\n"):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

local FIGURE = "[%d.]+ s  +[%d.]+–[%d.]+"

describe("bench", function()
  it("runs peers by turns, and tells medians, ratios and targets", function()
    local done = bench{"materialize"}
    assert.equal(0, done.code, done.stderr)
    assert.matches("^row +what +median +spread +ratio +target +met\n", done.stdout)
    local lines = lines_of(done.stdout)
    assert.matches("^materialize  weir +" .. FIGURE .. "$", lines[1])
    assert.matches("^ +npm MaterializedState +" .. FIGURE .. " +[%d.]+ × weir +≥ 20 +%l+$", lines[2])
    assert.matches("^ +cJSON, a tree for each +" .. FIGURE .. " +[%d.]+ × weir$", lines[3])
    assert.matches("^ +simdjson scan ", lines[5])
    assert.equal(5, #lines)
    assert.matches("\nmaterialize: 1,000 changes, 0.3 MB %(28%d bytes each%), 4 types of 100 keys\n", done.stdout)
    assert.matches("\nprocessor: [^\n]+\n", done.stdout)
    assert.matches("\nruns of each program: 2\nscale: 0.001\n$", done.stdout)
  end)

  it("measures against the reference server, and memory", function()
    local done = bench({"catch-up", "memory"}, {WEIR_BENCH_RUNS = "1"})
    assert.equal(0, done.code, done.stderr)
    assert.matches("\ncatch%-up +weir +" .. FIGURE .. " +[%d.]+ × curl to nowhere +≤ 1.1 +%l+\n", done.stdout)
    -- What is above a process with nothing to read is so little at this scale that it may be below.
    local pattern = "\nmemory +weir, once +N MB +N–N +N × live bytes, once +≤ 1.5 +%l+\n"
    assert.matches((pattern:gsub("N", "%%-?[%%d.]+")), done.stdout)
  end)

  it("fills databases, and agrees with its peers on what is in them", function()
    local done = bench({"sqlite", "postgres", "mysql", "redis"}, {WEIR_BENCH_RUNS = "1"})
    assert.equal(0, done.code, done.stderr)
    for _, line in ipairs{"C loop of single prepared upserts", "C loop of single HSETs",
      "C loop of HSETs, pipelined in MULTI"} do
      assert.matches("\n +" .. line .. " +%S", done.stdout)
    end
  end)

  it("puts the same load on weir serve and on the reference server", function()
    local done = bench({"serve-append", "serve-append-files", "serve-catch-up", "serve-sse"}, {WEIR_BENCH_RUNS = "1"})
    assert.equal(0, done.code, done.stderr)
    for _, row in ipairs{"serve%-append", "serve%-append%-files"} do
      assert.matches("\n" .. row .. " +weir serve +[%d.]+ µs[^\n]+\n +reference server +[%d.]+ µs +[%d.]+–[%d.]+ +"
        .. "[%d.]+ × weir serve +≥ %d0 +%l+\n", done.stdout)
    end
    assert.matches("\nserve%-catch%-up +weir serve +[%d.]+ ms", done.stdout)
    assert.matches("\n +reference server, files +[%d.]+ ms +[%d.]+–[%d.]+ +[%d.]+ × weir serve, files +≥ 10 +%l+\n",
      done.stdout)
    assert.matches("\n +reference server, p99 +[%d.]+ ms +[%d.]+–[%d.]+ +[%d.]+ × weir serve, p99 +≥ 5 +%l+\n",
      done.stdout)
    assert.matches("\nserve%-sse: 10 events, one after the other, each to 20 readers of the stream\n", done.stdout)
  end)

  it("lists its rows", function()
    local done = bench{"list"}
    assert.equal(0, done.code, done.stderr)
    assert.matches("^materialize +%S", done.stdout)
    assert.matches("\nredis +%S[^\n]+\n", done.stdout)
    assert.matches("\nserve%-sse +%S[^\n]+\n$", done.stdout)
  end)

  it("says what is wrong with its arguments", function()
    local done = bench{"nonsense"}
    assert.equal(2, done.code)
    assert.matches("^bench: there is no row nonsense; ", done.stderr)
    done = bench{"--write", "memory"}
    assert.equal(2, done.code)
    assert.matches("^bench: %-%-write is for the whole table\n", done.stderr)
    done = bench({"memory"}, {WEIR_BENCH_SCALE = "big"})
    assert.equal(2, done.code)
    assert.matches("^bench: WEIR_BENCH_SCALE: expected a number of at least 0.0001, got big\n", done.stderr)
  end)
end)
