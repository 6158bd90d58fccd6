-- Sinks by network: names with several addresses, TLS, and what is said where there is no connection.

local certificates = require "support.certificates"
local mariadb = require "support.mariadb"
local paths = require "support.paths"
local ports = require "support.ports"
local postgres = require "support.postgres"
local process = require "support.process"
local redis = require "support.redis"
local tmp = require "support.tmp"
local worker = require "support.worker"

local SECRET = "s3cr3t"

local SCRIPT = [[
local weir = require "weir"

weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  live = false,
  limits = { outage = weir.env("OUTAGE", "5m") },
  sinks = { weir.sink[weir.env("KIND")] { url = weir.env("DB") } },
}
local ticks, go = 0, weir.env("GO")
weir.every("10ms", function()
  if not go or not io.open(go .. ".begun") then return end
  ticks = ticks + 1
  if ticks == 5 then io.open(go, "w"):close() end
end)
]]

local EVENTS = tmp.file("events.jsonl",
  '{"type":"users","key":"ann","value":{"n":1},"headers":{"operation":"upsert"}}\n')

local function run(kind, url, more, env)
  local set = {STREAM = EVENTS, KIND = kind, DB = url}
  for name, value in pairs(more or {}) do
    set[name] = value
  end
  local done = worker.run{script = SCRIPT, set = set, args = {"--once"}, env = env, timeout = 30}
  assert.falsy((done.stdout .. done.stderr):find(SECRET, 1, true), done.stderr)
  return done
end

local function stores(kind, url, more, env)
  local done = run(kind, url, more, env)
  assert.equal(0, done.code, done.stderr)
end

--- It ends with that in its last line, at once or (outage) after having tried again.
local function fails(kind, url, expected, outage)
  local done = run(kind, url, {OUTAGE = outage and "300ms"})
  assert.equal(1, done.code, done.stderr)
  local last = done.stderr:match "([^\n]*)\n$"
  assert.truthy(last:find("weir: room: " .. kind .. " ", 1, true), last)
  assert.truthy(last:find(expected, 1, true), last)
  assert.equal(outage or false, last:find("limits.outage", 1, true) ~= nil, last)
end

-- A library that answers look-ups, and ends a program that makes one on its main thread. Not under the sanitizers,
-- whose runtime has to be loaded first.
local function resolver(hosts, go)
  if paths.sanitized then
    return nil
  end
  local path = tmp.file "resolver.so"
  local built = process.run{cmd = {"cc", "-shared", "-fPIC", "-o", path, paths.spec .. "/support/resolver.c", "-ldl"}}
  assert(built.code == 0, built.stderr)
  return {LD_PRELOAD = path, WEIR_TEST_HOSTS = hosts, WEIR_TEST_GO = go}
end

local HOSTS = "several.test=127.0.0.2,127.0.0.1 slow.test=+,127.0.0.1"

local function is_looked_up(kind, url_of)
  local go = tmp.dir() .. "/go"
  local env = resolver(HOSTS, go)
  if not env then
    return pending "not under the sanitizers"
  end
  stores(kind, url_of "several.test", nil, env)
  stores(kind, url_of "slow.test", {GO = go}, env) -- it ends when the worker has done something else
  assert.truthy(tmp.read(go))
end

local function names_what_is_wrong(kind, url_of)
  fails(kind, url_of("nohost.invalid", 1), 'the host "nohost.invalid" cannot be looked up', true)
  fails(kind, url_of("localhost", 1), "Connection refused", true)
end

local made = certificates.make()

describe("weir.sink.postgres by network", function()
  local available, why = postgres.available()
  if not available or not made then
    return pending(why or "openssl is not installed")
  end

  local db, at

  setup(function()
    db = postgres.start()
    db:query(("ALTER USER weir PASSWORD '%s'"):format(SECRET))
    at = ports.free()
    tmp.write(db.dir .. "/hba", "local all all trust\nhostssl all all all scram-sha-256\n")
    assert(os.execute(([[cp %s/* %s; cd %s && chmod 600 server.key && chown --reference=data server.key hba]]):format(
      made.dir, db.dir, db.dir)))
    db.options.settings = {listen_addresses = "127.0.0.1", port = at, hba_file = db.dir .. "/hba", ssl = "on",
      ssl_cert_file = db.dir .. "/server.pem", ssl_key_file = db.dir .. "/server.key"}
    db.port = at
    db:restart()
  end)

  teardown(function()
    db:close()
  end)

  local function url(more, options)
    options = options or {}
    return ("postgresql://%s:%s@%s:%d/%s?sslmode=%s"):format(options.user or "weir", options.password or SECRET,
      options.host or "localhost", options.port or at, options.database or "weir", more)
  end

  it("encrypts, and holds the certificate against the name", function()
    stores("postgres", url("verify-full&sslrootcert=" .. made.ca))
    assert.equal("1", db:value "SELECT count(*) FROM users")
    stores("postgres", url("require", {host = "127.0.0.1"}))
    fails("postgres", url("verify-full&sslrootcert=" .. made.ca, {host = "127.0.0.1"}),
      [[does not match host name "127.0.0.1": check sslmode and sslrootcert in the sink's url]])
    fails("postgres", url("verify-full&sslrootcert=" .. made.other), "certificate verify failed: check sslmode")
    fails("postgres", url "verify-full&sslrootcert=/nowhere/ca.pem",
      [["/nowhere/ca.pem" does not exist: check sslmode]])
  end)

  it("says what is wrong", function()
    fails("postgres", url("require", {password = SECRET .. "x"}), [[password authentication failed for user "weir"]] ..
      " (SQLSTATE 28P01): check the user and the password in the sink's url")
    fails("postgres", url("require", {database = "nothere"}),
      [[database "nothere" does not exist (SQLSTATE 3D000): create]])
    fails("postgres", url "disable", "its sslmode where the server wants TLS")
    names_what_is_wrong("postgres", function(host, number)
      return url("prefer", {host = host, port = number})
    end)
  end)

  it("looks names up without holding anything up, and tries all their addresses", function()
    is_looked_up("postgres", function(host)
      return url("require", {host = host})
    end)
  end)
end)

describe("weir.sink.mysql by network", function()
  if mariadb.missing() or not made then
    return pending "mariadb or openssl is not installed"
  end

  local db, at

  setup(function()
    at = ports.free()
    db = mariadb.start{arguments = {"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" .. at,
      "--ssl-ca=" .. made.ca, "--ssl-cert=" .. made.cert, "--ssl-key=" .. made.key}}
    db:url "shop"
    db:ask("mysql", ([[CREATE USER weir@'%%' IDENTIFIED BY '%s' REQUIRE SSL; CREATE USER plain@'%%' IDENTIFIED BY '%s';
      GRANT ALL ON shop.* TO weir@'%%'; GRANT ALL ON shop.* TO plain@'%%']]):format(SECRET, SECRET))
  end)

  teardown(function()
    db:close()
  end)

  local function url(more, options)
    options = options or {}
    return ("mysql://%s:%s@%s:%d/%s?%s"):format(options.user or "weir", options.password or SECRET,
      options.host or "localhost", options.port or at, options.database or "shop", more)
  end

  it("encrypts, and holds the certificate against the name", function()
    stores("mysql", url("ca=" .. made.ca))
    assert.equal("1", db:ask("shop", "SELECT count(*) FROM users"))
    stores("mysql", url("tls=on", {host = "127.0.0.1"}))
    fails("mysql", url("ca=" .. made.ca, {host = "127.0.0.1"}), "check tls and ca in the sink's url")
    fails("mysql", url("ca=" .. made.other), "check tls and ca in the sink's url")
    fails("mysql", url "tls=verify", "check tls and ca in the sink's url")
  end)

  it("says what is wrong", function()
    fails("mysql", url("tls=on", {password = SECRET .. "x"}), "check the user and the password in the sink's url")
    fails("mysql", url("tls=on", {database = "nothere"}), "grant the user")
    fails("mysql", url "tls=off", "a user who has to use TLS needs tls=on")
    db:ask("mysql", "SET GLOBAL require_secure_transport = ON")
    fails("mysql", url("tls=off", {user = "plain"}), "needs tls=on or tls=verify")
    db:ask("mysql", "SET GLOBAL require_secure_transport = OFF")
    names_what_is_wrong("mysql", function(host, number)
      return url("tls=on", {host = host, port = number})
    end)
  end)

  it("looks names up without holding anything up, and tries all their addresses", function()
    is_looked_up("mysql", function(host)
      return url("tls=on", {host = host})
    end)
  end)
end)

describe("weir.sink.redis by network", function()
  local available, why = redis.available()
  if not available then
    return pending(why)
  end

  local db, at

  setup(function()
    at = ports.free()
    db = redis.start{arguments = {"--port", tostring(at), "--bind", "127.0.0.1"}}
    db:ask("ACL", "SETUSER", "weir", "on", ">" .. SECRET, "~*", "+@all")
  end)

  teardown(function()
    db:stop()
  end)

  local function url(host, number, password)
    return ("redis://weir:%s@%s:%d/0"):format(password or SECRET, host, number or at)
  end

  it("says what is wrong", function()
    stores("redis", url "localhost")
    fails("redis", url("localhost", at, SECRET .. "x"), "the user or the password in the url is wrong")
    fails("redis", "rediss" .. url("localhost"):sub(6), "TLS (rediss://) is not supported")
    names_what_is_wrong("redis", url)
  end)

  it("looks names up without holding anything up, and tries all their addresses", function()
    is_looked_up("redis", url)
  end)
end)
