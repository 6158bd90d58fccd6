-- Where things are: the repository, the program under test, the interpreter that loads the module under test.

local paths = {}

--- The directory this file is in, then two up: absolute, without a trailing slash.
local function repository()
  local here = debug.getinfo(1, "S").source:match("^@(.*)/support/paths%.lua$") or "spec"
  local pipe = assert(io.popen("cd '" .. here:gsub("'", [['\'']]) .. "/..' && pwd -P"))
  local root = pipe:read("l")
  pipe:close()
  return assert(root, "cannot find the repository from " .. here)
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or paths.root .. "/" .. path
end

paths.root = repository()
paths.spec = paths.root .. "/spec"
paths.scripts = paths.root .. "/scripts"

--- The program: WEIR_BIN, or the release build.
paths.weir = absolute(os.getenv("WEIR_BIN") or "build/weir")

--- The folder weir.so is in: WEIR_BUILD, or the release build.
paths.build = absolute(os.getenv("WEIR_BUILD") or "build")

--- An interpreter that can load that weir.so. Under the sanitizers it is a host linked with their runtime.
paths.lua = os.getenv("WEIR_LUA") or "lua5.4"
if paths.lua:find("/", 1, true) then
  paths.lua = absolute(paths.lua)
end

--- True when the program under test carries the sanitizers (about 5 times slower).
paths.sanitized = os.getenv("WEIR_SANITIZED") == "1"

--- The environment with which a Lua started by a spec finds the module under test.
paths.lua_env = {
  LUA_PATH = paths.root .. "/lua/?.lua;" .. paths.spec .. "/?.lua;;",
  LUA_CPATH = paths.build .. "/?.so;;",
}

return paths
