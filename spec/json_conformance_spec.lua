-- RFC 8259: every production, valid and not, by itself and as the value of an event. See support/json_texts.lua.

local weir = require "weir"

local cli = require "support.cli"
local json_texts = require "support.json_texts"

local VALID, INVALID = json_texts.valid(), json_texts.invalid()
local DEPTH = json_texts.depth

-- A case as a failure shows it.
local function show(case)
  local text = #case.text > 60 and case.text:sub(1, 60) .. "..." or case.text
  return ("%s: %q"):format(case.name, text)
end

-- Fails with the first of what was found.
local function none(found, what)
  assert(#found == 0, ("%d texts %s:\n%s"):format(#found, what, table.concat(found, "\n", 1, math.min(10, #found))))
end

local function event(key, text)
  return ('{"type":"t","key":"%s","value":%s,"headers":{"operation":"insert"}}'):format(key, text)
end

-- Nothing but white space, as JSON has it.
local function trim(text)
  return (text:gsub("^[ \t\r\n]+", ""):gsub("[ \t\r\n]+$", ""))
end

local function key_of(i)
  return ("%06d"):format(i)
end

describe(("weir.json and RFC 8259 (%d valid texts, %d others)"):format(#VALID, #INVALID), function()
  it("takes what is valid", function()
    local found = {}
    for _, case in ipairs(VALID) do
      local ok, raised = pcall(weir.json.decode, case.text)
      if not ok then
        found[#found + 1] = show(case) .. ": " .. tostring(raised)
      end
    end
    none(found, "are refused")
  end)

  it("writes what it took so that it takes it again, as the same", function()
    local found = {}
    for _, case in ipairs(VALID) do
      local value = weir.json.decode(case.text)
      local ok, text = pcall(weir.json.encode, value)
      local finite = not tostring(text):find("JSON has no number for infinity", 1, true)
      if finite and not (ok and weir.json.encode(weir.json.decode(text)) == text) then
        found[#found + 1] = show(case) .. ": " .. tostring(text)
      end
    end
    none(found, "do not come back")
  end)

  it("refuses what is not, naming a byte that is there or the end", function()
    local found = {}
    for _, case in ipairs(INVALID) do
      local ok, raised = pcall(weir.json.decode, case.text)
      local byte = not ok and tonumber(raised:match("^invalid JSON at byte (%d+): "))
      if not byte or byte < 1 or byte > #case.text + 1 then
        found[#found + 1] = show(case) .. ": " .. tostring(raised)
      end
    end
    none(found, "are taken")
  end)
end)

describe("events and RFC 8259", function()
  -- Inside of the event and, below, of the array, there is less room for depth; line ends would be those of lines.
  local function fits(case, levels)
    local deepest, depth = 0, 0
    for bracket in case.text:gmatch("[%[%]{}]") do
      depth = depth + ((bracket == "[" or bracket == "{") and 1 or -1)
      deepest = math.max(deepest, depth)
    end
    return deepest <= DEPTH - levels
  end

  it("keep every valid text as it was written", function()
    local events, expected = {}, {}
    for i, case in ipairs(VALID) do
      if fits(case, 1) then
        events[#events + 1] = event(key_of(i), case.text)
        expected[#expected + 1] = ('"%s":%s'):format(key_of(i), trim(case.text))
      end
    end
    local done = cli.state("[" .. table.concat(events, ",\n") .. "]", "--type", "t")
    assert.equal(0, done.code, done.stderr)
    assert(done.stdout == "{" .. table.concat(expected, ",") .. "}\n", "the state is not what was written")
  end)

  it("are refused one by one for every text that is not valid, and those between them are not", function()
    local lines, wrong, good = {}, {}, 0
    for i, case in ipairs(INVALID) do
      if not case.text:find("\n", 1, true) then
        lines[#lines + 1] = event(key_of(i), case.text)
        wrong[#lines] = case
        if i % 10 == 0 then
          lines[#lines + 1] = event(key_of(i), i)
          good = good + 1
        end
      end
    end
    local done = cli.state(table.concat(lines, "\n") .. "\n", "--type", "t", "--on-invalid", "skip", "--stats")
    assert.equal(0, done.code, done.stderr)
    local refused, found = {}, {}
    for line in done.stderr:gmatch(": line (%d+) ") do
      refused[tonumber(line)] = true
    end
    for i = 1, #lines do
      if wrong[i] and not refused[i] then
        found[#found + 1] = show(wrong[i])
      end
      assert(wrong[i] or not refused[i], "a good event is refused: " .. lines[i])
    end
    none(found, "are taken in an event")
    assert.matches(("rejected=%d entities=%d "):format(#lines - good, good), done.stderr)
  end)

  it("may be 1000 levels deep in all, in lines and in arrays", function()
    local deepest = ("["):rep(DEPTH - 1) .. ("]"):rep(DEPTH - 1)
    for _, shape in ipairs{"%s\n", "[%s]"} do
      local done = cli.state(shape:format(event("k", deepest)), "--type", "t", "--key", "k")
      assert.equal(deepest .. "\n", done.stdout, done.stderr:sub(1, 300))
      done = cli.state(shape:format(event("k", "[" .. deepest .. "]")), "--type", "t")
      assert.equal(1, done.code)
      assert.matches("nested deeper than 1000 levels", done.stderr)
    end
  end)
end)
