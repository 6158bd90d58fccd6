-- Waiting for a condition with a limit. The only place in the specs that sleeps.

local wait = {}

local PAUSE = "0.01"

--- Seconds by which every limit in the specs is longer: for long runs on a machine that stands still now and then.
wait.SLACK = tonumber(os.getenv "WEIR_TEST_SLACK") or 0

--- Seconds since the epoch, with fractions, as the wall clock has them.
function wait.now()
  local pipe = assert(io.popen("date +%s.%N"))
  local text = pipe:read("l")
  pipe:close()
  return assert(tonumber(text))
end

local LIMIT = 60 -- seconds: far more than anything takes, since a busy machine stands still for some of them

--- Calls `condition` until it gives something true and returns what it gave. After `limit` seconds (60) it
--- fails and says what was waited for: `what`, text or a function that tells more at that moment.
function wait.till(condition, limit, what)
  limit = limit or LIMIT
  local deadline = wait.now() + limit + wait.SLACK
  while true do
    local result = condition()
    if result then
      return result
    end
    if wait.now() > deadline then
      local detail = type(what) == "function" and what() or what or "the condition"
      error(("waited %s s in vain for %s"):format(limit, detail), 2)
    end
    os.execute("sleep " .. PAUSE)
  end
end

--- Waits until some random instant of the next so many seconds.
function wait.within(seconds)
  local instant = wait.now() + math.random() * seconds
  wait.till(function()
    return wait.now() >= instant
  end, nil, "an instant")
end

return wait
