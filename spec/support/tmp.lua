-- Temporary folders and files. All of them go when the Lua state closes: nothing has to be removed by hand.

local tmp = {}

local made = {}

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

setmetatable(made, {
  __gc = function()
    for _, path in ipairs(made) do
      os.execute("rm -rf -- " .. quote(path))
    end
  end,
})

--- A new, empty folder. `dev` sets WEIR_TEST_TMP, so that what a killed run left behind goes as well.
function tmp.dir()
  local parent = os.getenv("WEIR_TEST_TMP") or os.getenv("TMPDIR") or "/tmp"
  local pipe = assert(io.popen("mktemp -d " .. quote(parent .. "/weir-spec.XXXXXXXX")))
  local path = pipe:read("l")
  pipe:close()
  assert(path, "mktemp made no folder in " .. parent)
  made[#made + 1] = path
  return path
end

--- A path in a folder of its own, holding `text` if given.
function tmp.file(name, text)
  local path = tmp.dir() .. "/" .. (name or "file")
  if text then
    tmp.write(path, text)
  end
  return path
end

function tmp.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

--- The whole content, or nil when there is no such file.
function tmp.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

return tmp
