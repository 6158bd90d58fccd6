-- A script may set a locale that has another decimal point: what is read and written stays JSON, and messages stay
-- as they are.

local cli = require "support.cli"
local tmp = require "support.tmp"

local SCRIPT = [[
  local weir = require "weir"
  local s = weir.schema
  assert(os.setlocale(weir.env "NAME"))
  local long = "0.12345678901234567"
  print(weir.json.encode(weir.json.decode(long)))
  print(weir.json.encode { 0.5, 1.5e300 })
  print(s.number():min(0.5):safeParse(0.25).issues[1].message)
  print(s.number():multipleOf(0.01):safeParse(1.005).issues[1].message)
  print(s.number():multipleOf(0.01):safeParse(4.35).success)
]]

local EXPECTED = [[
0.12345678901234566
[0.5,1.5e+300]
must be at least 0.5, is 0.25
must be a multiple of 0.01, is 1.005
true
]]

--- A folder with this locale, or nil where it cannot be made here.
local function make_locale(name)
  local dir = tmp.dir()
  os.execute(("localedef -i %s -f UTF-8 %s/%s.UTF-8 >/dev/null 2>&1"):format(name, dir, name))
  return tmp.read(("%s/%s.UTF-8/LC_NUMERIC"):format(dir, name)) and dir
end

describe("numbers under the locale", function()
  for _, name in ipairs { "de_DE", "ps_AF" } do -- a comma; two bytes
    it(name, function()
      local dir = make_locale(name)
      if not dir then
        pending "localedef or the locale's source is not installed"
        return
      end
      local done = cli.script(SCRIPT, { env = { LOCPATH = dir }, set = { NAME = name .. ".UTF-8" } })
      assert.equal(EXPECTED, done.stdout, done.stderr)
    end)
  end
end)
