-- How `./dev test` shows a spec file: one line when all is well, every failure in full when not. The counts
-- go to the file WEIR_TEST_COUNTS as "passed failed skipped", to be added up over files and builds.

local pretty = require "pl.pretty"

local COLUMNS = 44

local function message_of(entry)
  if type(entry.message) == "string" then
    return entry.message
  end
  return entry.message == nil and "(no message)" or pretty.write(entry.message)
end

local function place_of(entry)
  local trace = entry.element.trace or entry.trace
  if trace and trace.short_src then
    return ("%s:%s: "):format(trace.short_src, trace.currentline)
  end
  return ""
end

local function indent(text)
  return "      " .. text:gsub("%s+$", ""):gsub("\n", "\n      ") .. "\n"
end

local function show(kind, entry)
  io.write("  ", kind, "  ", place_of(entry), entry.name, "\n", indent(message_of(entry)))
  if entry.isError and entry.trace and entry.trace.traceback then
    io.write(indent((entry.trace.traceback:gsub("^\n", ""))))
  end
end

local function summary(passed, failed, skipped)
  local words = {("%d passed"):format(passed)}
  if failed > 0 then
    words[#words + 1] = ("%d failed"):format(failed)
  end
  if skipped > 0 then
    words[#words + 1] = ("%d skipped"):format(skipped)
  end
  return table.concat(words, ", ")
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  local function suite_end()
    local failed = handler.failuresCount + handler.errorsCount
    local passed, skipped = handler.successesCount, handler.pendingsCount
    local name = os.getenv("WEIR_TEST_NAME") or "specs"
    io.write(("%-4s  %-" .. COLUMNS .. "s %s, %.1f s\n"):format(failed == 0 and "ok" or "FAIL", name,
      summary(passed, failed, skipped), handler.getDuration()))
    for _, entry in ipairs(handler.failures) do
      show("failed", entry)
    end
    for _, entry in ipairs(handler.errors) do
      show("error ", entry)
    end
    for _, entry in ipairs(handler.pendings) do
      show("skipped", entry)
    end
    io.flush()
    local path = os.getenv("WEIR_TEST_COUNTS")
    if path then
      local file = assert(io.open(path, "w"))
      file:write(("%d %d %d\n"):format(passed, failed, skipped))
      file:close()
    end
    return nil, true
  end

  handler.options = options
  busted.subscribe({"suite", "end"}, suite_end)
  return handler
end
