-- A disk that is soon full: a file system in memory. Only root can make one.
--
--   local d = disk.small(folder, "1m")      -- mounted there
--   d:grow "64m"
--   d:remove()

local process = require "support.process"

local disk = {}

local Disk = {}
Disk.__index = Disk

local function try(...)
  return process.run{cmd = {...}}
end

local function must(...)
  local done = try(...)
  assert(done.code == 0, done.stderr)
end

--- False, and why, where none can be made; folder: an empty one.
function disk.available(folder)
  local done = try("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
  if done.code ~= 0 then
    return false, "no file system can be mounted here: " .. done.stderr
  end
  must("umount", folder)
  return true
end

--- owner: of what is there; the caller's where it is left out.
function disk.small(folder, size, owner)
  must("mount", "-t", "tmpfs", "-o", "mode=0755,size=" .. size, "tmpfs", folder)
  if owner then
    must("chown", owner, folder)
  end
  return setmetatable({folder = folder}, Disk)
end

function Disk:grow(size)
  must("mount", "-o", "remount,size=" .. size, self.folder)
end

function Disk:remove()
  try("umount", "--lazy", self.folder)
end

return disk
