-- The protocol by hand: what the specs of weir create, head, read, append, close and delete have in common.
--
--   local s, p                             -- a server, and a proxy in front of it
--   by_hand.serve(function(...) s, p = ... end)
--   local url = by_hand.fresh()            -- of a stream that is not there yet
--   local done = by_hand.ok{"create", url} -- as cli.run: has to succeed
--   local done = by_hand.fails{"head", url} -- has to end with code 1 and a message
--   by_hand.misuse(reason, {"head"})       -- has to end with code 2, that reason and the command's usage
--   by_hand.has(done.stderr, part)         -- the part as it is, not as a pattern
--   by_hand.read(url, "--skip", "4")       -- what `weir read` prints

local assert = require "luassert"
local busted = require "busted"

local cli = require "support.cli"
local proxy = require "support.proxy"
local server = require "support.server"

local by_hand = {}

by_hand.BYTES = "application/octet-stream"

--- Seconds, on a machine that stands still meanwhile, for what waits for nothing; whatever it could wait for takes 20
--- and more.
by_hand.PROMPT = 15

local s, p
local count = 0

--- For a spec file: starts them before its first test, and has the proxy cause no faults before each.
function by_hand.serve(started)
  busted.setup(function()
    s = server.start{longPollTimeout = 20000}
    p = proxy.start(s)
    started(s, p)
  end)

  busted.teardown(function()
    p:stop()
    s:stop()
  end)

  busted.before_each(function()
    p:faults("[]")
  end)
end

function by_hand.fresh()
  count = count + 1
  return ("%s/v1/stream/by-hand-%d"):format(s.url, count)
end

function by_hand.ok(args, options)
  local done = cli.run(args, options)
  assert.equal(0, done.code, table.concat(args, " ") .. ": " .. done.stderr)
  return done
end

function by_hand.fails(args, options)
  local done = cli.run(args, options)
  assert.equal(1, done.code, table.concat(args, " ") .. ": " .. done.stderr)
  assert.matches("^weir: ", done.stderr:match("[^\n]*\n$"))
  return done
end

function by_hand.misuse(reason, args)
  local done = cli.run(args)
  assert.equal(2, done.code, done.stderr)
  assert.equal("", done.stdout)
  assert.equal("weir: " .. reason, done.stderr:match("^[^\n]*"))
  assert.matches("\nusage: weir " .. args[1], done.stderr)
end

function by_hand.has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

function by_hand.read(url, ...)
  return by_hand.ok({"read", url, ...}).stdout
end

--- Bytes that are no text, the same each time.
function by_hand.noise(size)
  local parts, x = {}, 12345
  for i = 1, size do
    x = (x * 1103515245 + 12345) % 2147483648
    parts[i] = string.char((x // 65536) % 256)
  end
  return table.concat(parts)
end

return by_hand
