-- Certificates of a spec's own, made by the openssl program.
--
--   local made = certificates.make()     -- for a server whose name is localhost; nil where openssl is not installed
--   local made = certificates.make "IP:127.0.0.1"  -- for one with these names, as subjectAltName has them
--   made.ca, made.cert, made.key         -- paths: who has signed it, what the server shows, and its key
--   made.other                           -- somebody who has signed nothing
--   made.dir                             -- the folder of all of them, which any user may read

local process = require "support.process"
local tmp = require "support.tmp"

local certificates = {}

local NEW = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
  "-days", "2"}

local function request(dir, name, more)
  local cmd = table.move(NEW, 1, #NEW, 1, {})
  for _, word in ipairs{"-keyout", name .. ".key", "-out", name .. ".pem", table.unpack(more)} do
    cmd[#cmd + 1] = word
  end
  local done = process.run{cmd = cmd, cwd = dir}
  assert(done.code == 0, done.stderr)
end

function certificates.make(names)
  if not os.execute "command -v openssl >/dev/null" then
    return nil
  end
  local dir = tmp.dir()
  request(dir, "ca", {"-subj", "/CN=weir test CA"})
  request(dir, "other", {"-subj", "/CN=another CA"})
  request(dir, "server", {"-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost", "-addext",
    "subjectAltName=" .. (names or "DNS:localhost"), "-addext", "basicConstraints=critical,CA:FALSE"})
  assert(os.execute(("cd %s && chmod 755 . && chmod o+x .. && chmod 644 *.pem *.key"):format(dir)))
  return {dir = dir, ca = dir .. "/ca.pem", cert = dir .. "/server.pem", key = dir .. "/server.key",
    other = dir .. "/other.pem"}
end

return certificates
