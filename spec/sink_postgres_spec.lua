-- weir.sink.postgres against a real server: what arrives, and what is there after whatever happens.

local changes = require "support.changes"
local cli = require "support.cli"
local kills = require "support.kills"
local paths = require "support.paths"
local postgres = require "support.postgres"
local process = require "support.process"
local server = require "support.server"
local tmp = require "support.tmp"
local worker = require "support.worker"

local change, insert = cli.change, cli.insert

local SCRIPT = [[
local weir = require "weir"
local s = weir.schema

weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  live = weir.env("LIVE") ~= nil,
  onInvalid = weir.env("INVALID", "stop"),
  deadletter = weir.env("LETTERS"),
  limits = { sinkRows = tonumber(weir.env("ROWS", "10000")), sinkDelay = "1h", outage = weir.env("OUTAGE", "5m") },
  sinks = { weir.sink.postgres { url = weir.env("DB"), prefix = weir.env("PREFIX") } },
}
]]

local available, why = postgres.available()
if not available then
  pending("weir.sink.postgres: " .. why)
  return
end

local db
local databases = 0

setup(function()
  db = postgres.start()
end)

teardown(function()
  db:close()
end)

-- A database nobody else uses: its name and url.
local function database()
  databases = databases + 1
  local name = "d" .. databases
  return name, db:database(name)
end

local function run(options)
  return worker.run{
    script = options.script or SCRIPT,
    set = options.set,
    args = {"--once", table.unpack(options.args or {})},
    timeout = options.timeout or 60,
  }
end

local function rows(name)
  return (db:held(name))
end

describe("weir.sink.postgres", function()
  it("holds what the state is", function()
    local name, url = database()
    local events = changes.file{
      insert("users", "1", '{"name":"Ann","n":1.50}'),
      insert("users", "2", '{"name":"Bob"}'),
      change("users", "1", "patch", '{"age":3}'),
      insert("things", "a", "[1,null,true]"),
      change("users", "2", "delete"),
    }
    local done = run{set = {STREAM = events, DB = url}}
    assert.equal("", done.stderr)
    assert.equal(0, done.code)
    assert.equal('things/a [1, null, true]\nusers/1 {"n": 1.50, "age": 3, "name": "Ann"}', rows(name))
    assert.same({{events, "5", "1"}}, db:query("SELECT stream_url, sequence, epoch FROM _sync_state", name))
    assert.equal(0, run{set = {STREAM = events, DB = url}}.code)
    assert.equal('things/a [1, null, true]\nusers/1 {"n": 1.50, "age": 3, "name": "Ann"}', rows(name))
    assert.equal("2", db:value("SELECT epoch FROM _sync_state", name))
  end)

  it("takes a reset, and what is behind it", function()
    local name, url = database()
    local events = changes.file{
      insert("a", "1", "1"),
      insert("b", "2", "2"),
      '{"headers":{"control":"reset"}}',
      insert("a", "3", "3"),
    }
    assert.equal(0, run{set = {STREAM = events, DB = url}}.code)
    assert.equal("a/3 3", rows(name))
    local one_by_one, other = database()
    assert.equal(0, run{set = {STREAM = events, DB = other, ROWS = 1}}.code)
    assert.equal(rows(name), rows(one_by_one))
  end)

  it("quotes types and keys, whatever they are", function()
    local name, url = database()
    local hostile = {[[users\"; DROP TABLE users; --]], [['); DROP TABLE users; --]], [[$1]], [[_sync_state]],
      "pg_class", "Users", "users", "users_pkey", "id", [[\\]], "select", "a.b", [[é中\ud83d\ude00]],
      ("long"):rep(50), ("long"):rep(50) .. "x", [[\u0001\t\n]], [[ ]], [[%s%n]]}
    local lines = {}
    for i, kind in ipairs(hostile) do
      lines[#lines + 1] = insert(kind, kind, tostring(i))
      lines[#lines + 1] = insert(kind, "'; DELETE FROM users; --", '"' .. kind .. '"')
      lines[#lines + 1] = insert(kind, "gone")
      lines[#lines + 1] = change(kind, "gone", "delete")
    end
    local events = changes.file(lines)
    for _, batch in ipairs{10000, 3} do
      local done = run{set = {STREAM = events, DB = url, ROWS = batch}}
      assert.equal("", done.stderr:gsub("[^\n]* info [^\n]*\n", ""))
      assert.equal(0, done.code)
      assert.equal(tostring(#hostile), db:value("SELECT count(*) FROM _sync_tables", name))
      assert.equal(tostring(#hostile), db:value("SELECT count(DISTINCT table_name) FROM _sync_tables", name))
      for _, row in ipairs(db:query("SELECT quote_ident(table_name) FROM _sync_tables", name)) do
        if not row[1]:find "\n" then
          assert.equal("2", db:value("SELECT count(*) FROM " .. row[1], name))
        end
      end
      name, url = database()
    end
  end)

  it("is filled with a state that came from a snapshot", function()
    local name, url = database()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = insert("t", ("k%d\\\\%d"):format(i, i),
        ('{"n":%d,"text":"a\\tb\\n\\\\ \\u00e9"}'):format(i))
    end
    lines[#lines + 1] = insert("few", "1", "null")
    local events = changes.file(lines)
    local data = tmp.dir()
    local plain = SCRIPT:gsub("sinks = [^\n]*", "")
    assert.equal(0, run{script = plain, set = {STREAM = events}, args = {"--data", data}}.code)
    local done = run{set = {STREAM = events, DB = url}, args = {"--data", data}}
    assert.equal(0, done.code, done.stderr)
    local other, other_url = database()
    assert.equal(0, run{set = {STREAM = events, DB = other_url, ROWS = 100}}.code)
    assert.equal(rows(other), rows(name))
    assert.equal("3000", db:value("SELECT count(*) FROM t", name))
    assert.equal("a\tb", db:query("SELECT data->>'text' FROM t LIMIT 1", name)[1][1])
  end)

  kills.of{
    sink = 'weir.sink.postgres { url = weir.env "DB", layout = weir.env("LAYOUT", "json") }',
    layouts = true,
    text = changes.jsonb,
    fresh = function(name) return db:fresh(name) end,
    held = function(name) return db:held(name) end,
    undone = function(name) return db:undone(name) end,
  }

  it("goes on when the server is restarted", function()
    local stream = changes.new{count = 6000, keys = 200, seed = kills.seed}
    local name, url = database()
    local half = stream.count // 2
    local events = changes.file{table.unpack(stream.lines, 1, half)}
    local child = worker.spawn{script = SCRIPT, set = {STREAM = events, DB = url, ROWS = 25, LIVE = "1"}, timeout = 60}
    db:wait_for("SELECT commits > 10 FROM _sync_state", "t", nil, name)
    db:crash()
    changes.append(events, table.unpack(stream.lines, half + 1)) -- however far it had come: there is more to store
    child:wait_for_output "trying again"
    db:start()
    db:wait_for("SELECT sequence FROM _sync_state", stream.count, nil, name)
    child:signal "INT"
    local done = child:wait()
    assert.equal(130, done.code, done.stderr)
    assert.equal(stream:rows(stream.count, changes.jsonb), rows(name))
  end)

  it("loses and doubles nothing where its connection is cut", function()
    local stream = changes.new{count = 4000, keys = 200, seed = kills.seed}
    local events = changes.file(stream.lines)
    local name, url = database()
    assert.equal(0, run{set = {STREAM = events, DB = url, ROWS = 100}}.code)
    local other, other_url = database()
    local folder = tmp.dir()
    os.execute("chmod 755 " .. folder)
    local child = process.spawn{cmd = {"node", paths.spec .. "/support/pgproxy.mjs", db.dir .. "/.s.PGSQL.5432",
      folder .. "/.s.PGSQL.5432", tostring(kills.seed % 1000000), "16"}, timeout = 300}
    child:wait_for_output "listening"
    local done = run{set = {STREAM = events, DB = other_url:gsub("host=[^&]*", "host=" .. folder), ROWS = 100}}
    assert.equal(0, done.code, done.stderr)
    child:kill()
    assert.equal(stream:rows(stream.count, changes.jsonb), rows(other))
    -- Each batch once: the counter of commits that were done is that of the other database.
    assert.equal(db:value("SELECT commits FROM _sync_state", name), db:value("SELECT commits FROM _sync_state", other))
  end)

  it("tries again what the server has no room or no time for", function()
    local name, url = database()
    local events = changes.file{insert("users", "1", "1")}
    assert.equal(0, run{set = {STREAM = events, DB = url}}.code)
    -- A server that says each of these once, and then takes it.
    db:query([[
      CREATE SEQUENCE tries;
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE codes text[] := ARRAY['53100', '40001', '40P01', '57014', '53200', '55P03'];
      DECLARE n bigint := nextval('tries');
      BEGIN
        IF n <= array_length(codes, 1) THEN
          RAISE EXCEPTION 'not now' USING ERRCODE = codes[n];
        END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse();
    ]], name)
    changes.append(events, insert("users", "2", "2"))
    local done = run{set = {STREAM = events, DB = url}}
    assert.equal(0, done.code, done.stderr)
    assert.equal("users/1 1\nusers/2 2", rows(name))
    for _, code in ipairs{"53100", "40001", "40P01", "57014", "53200", "55P03"} do
      assert.truthy(done.stderr:find("not now (SQLSTATE " .. code .. "); trying again", 1, true), done.stderr)
    end
  end)

  it("gives up by name when an outage lasts", function()
    local _, url = database()
    local events = changes.file{insert("users", "1", "1")}
    local nowhere = url:gsub("port=%d+", "port=1")
    local done = run{set = {STREAM = events, DB = nowhere, OUTAGE = "300ms"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("postgres /d%d+: gave up after .* %(limits.outage%): connection to server"),
      done.stderr)
  end)

  it("stops by name where a table was dropped", function()
    local name, url = database()
    local events = changes.file{insert("users", "1", "1")}
    assert.equal(0, run{set = {STREAM = events, DB = url}}.code)
    db:query("DROP TABLE users", name)
    changes.append(events, insert("users", "2", "2"))
    local done = run{set = {STREAM = events, DB = url}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('table "public"."users" is gone', 1, true), done.stderr)
    assert.equal("1", db:value("SELECT sequence FROM _sync_state", name))
  end)

  it("stops by name where something behind its back does not fit", function()
    local name, url = database()
    local events = changes.file{insert("users", "1", "1")}
    db:query("CREATE TABLE users (id integer PRIMARY KEY, x text)", name)
    local done = run{set = {STREAM = events, DB = url}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('table "public"."users", column id: expected text, got integer', 1, true),
      done.stderr)
    assert.equal(0, run{set = {STREAM = events, DB = url, PREFIX = "w_"}}.code)
    assert.equal("1", db:value("SELECT data FROM w_users", name))
    -- Another stream with the same type.
    local second = changes.file{insert("users", "1", "1")}
    done = run{set = {STREAM = second, DB = url, PREFIX = "w_"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('table "public"."w_users" belongs to stream ' .. events, 1, true), done.stderr)
  end)

  it("stops by name without a permission, a database or a password, and shows none", function()
    local name, url = database()
    local events = changes.file{insert("users", "1", "1")}
    db:query("CREATE ROLE nobody LOGIN", name)
    local done = run{set = {STREAM = events, DB = db:url_of(name, "nobody")}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("permission denied for schema public (SQLSTATE 42501)", 1, true), done.stderr)
    done = run{set = {STREAM = events, DB = db:url_of("missing")}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('database "missing" does not exist (SQLSTATE 3D000)', 1, true), done.stderr)
    done = run{set = {STREAM = events, DB = db:url_of(name, "stranger", "password=s3cret")}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("SQLSTATE 28", 1, true), done.stderr)
    assert.falsy(done.stderr:find("s3cret", 1, true))
    done = run{set = {STREAM = events, DB = url .. "&nonsense=s3cret"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("setting url: expected a connection as libpq takes it", 1, true), done.stderr)
    assert.falsy(done.stderr:find("s3cret", 1, true))
  end)

  it("sends rows that the database will never take to the dead letters, and goes on", function()
    local name, url = database()
    local letters = tmp.file "letters.jsonl"
    local events = changes.file{insert("users", "0", "0")}
    assert.equal(0, run{set = {STREAM = events, DB = url}}.code)
    db:query("ALTER TABLE users ADD CHECK (data <> '13')", name)
    local lines = {insert("users", "0", "0")}
    local long = {}
    for i = 1, 9000 do
      long[i] = string.char(97 + math.random(0, 25))
    end
    for i = 1, 40 do
      lines[#lines + 1] = insert("users", ("%d"):format(i), tostring(i)) -- 13 is refused
    end
    lines[#lines + 1] = insert("users", "nul\\u0000", "1")
    lines[#lines + 1] = insert("users", "nul", '{"a":["\\u0000"]}')
    lines[#lines + 1] = insert("users", "half", '"\\ud800"')
    lines[#lines + 1] = insert("users", "not half", '"\\\\ud800 \\ud83d\\ude00"')
    lines[#lines + 1] = insert("users", "huge", "1e200000")
    lines[#lines + 1] = insert("users", table.concat(long))
    lines[#lines + 1] = insert("n\\u0000", "1", "1")
    lines[#lines + 1] = change("users", "0", "update", '"end"')
    tmp.write(events, table.concat(lines, "\n") .. "\n")
    local done = run{set = {STREAM = events, DB = url, INVALID = "deadletter", LETTERS = letters}}
    assert.equal(0, done.code, done.stderr)
    local reasons = {}
    for line in tmp.read(letters):gmatch "[^\n]+" do
      reasons[#reasons + 1] = line:match '"reason":"(.-[^\\])"'
    end
    assert.equal(7, #reasons, tmp.read(letters))
    local all = table.concat(reasons, "\n")
    for _, text in ipairs{"the key holds the character NUL", "the value holds the character NUL",
      "the value holds half of a surrogate pair", "value overflows numeric format", "index row", "check constraint",
      "the type holds the character NUL"} do
      assert.truthy(all:find(text, 1, true), text .. " in " .. all)
    end
    assert.equal("41", db:value("SELECT count(*) FROM users", name)) -- 0 to 40 without 13, and "not half"
    assert.equal('"end"', db:value("SELECT data FROM users WHERE id = '0'", name))
  end)

  it("stops at such a row where it is told to", function()
    local name, url = database()
    local events = changes.file{insert("users", "1", "1"), insert("users", "2", '"\\u0000"')}
    local done = run{set = {STREAM = events, DB = url}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find("the value holds the character NUL", 1, true), done.stderr)
    assert.equal("0", db:value("SELECT count(*) FROM _sync_tables", name))
  end)
end)

describe("weir.sink.postgres with layout columns", function()
  local COLUMNS = [[
local weir = require "weir"
local s = weir.schema
local fields = {
  name = s.string(), age = s.integer():optional(), score = s.number():nullable(), ok = s.boolean(), at = s.datetime(),
  tags = s.array(s.string()), ["a\"b'; --"] = s.string():optional(),
}
if weir.env("MORE") then fields.email = s.string():optional() end
if weir.env("NEEDED") then fields.needed = s.string() end
if weir.env("CHANGED") then fields.age = s.string():optional() end
weir.stream {
  name = "room",
  url = weir.env("STREAM"),
  onInvalid = weir.env("INVALID", "stop"),
  schema = weir.defineStreamSchema { types = {
    users = weir.env("INDEX") and { schema = s.object(fields), index = { "name" } } or s.object(fields),
  } },
  sinks = { weir.sink.postgres { url = weir.env("DB"), layout = "columns", key = weir.env("KEY") } },
}
]]

  local function user(key, more)
    return insert("users", key,
      ('{"name":"Ann","ok":true,"score":1.5,"at":"2026-05-01T10:00:00.5+02:00","tags":["x","\\u00e9"]%s}')
        :format(more or ""))
  end

  it("has a column of each property, and follows a changed schema", function()
    local name, url = database()
    local events = changes.file{user("1", ',"age":3e0,"a\\"b\'; --":"q"'), user("2"),
      insert("loose", "x", "[1]")}
    local done = run{script = COLUMNS, set = {STREAM = events, DB = url}}
    assert.equal(0, done.code, done.stderr)
    assert.same({
      {"1", "Ann", "3", "1.5", "t", "2026-05-01 08:00:00.5+00", '["x", "é"]', "q"},
      {"2", "Ann", nil, "1.5", "t", "2026-05-01 08:00:00.5+00", '["x", "é"]', nil},
    }, db:query([[SET timezone TO 'UTC';
      SELECT id, name, age, score, ok, at, tags, "a""b'; --" FROM users ORDER BY id]], name))
    assert.equal("[1]", db:value("SELECT data FROM loose", name))
    changes.append(events, user("3", ',"email":"a@b.c"'))
    done = run{script = COLUMNS, set = {STREAM = events, DB = url, MORE = 1, INDEX = 1}}
    assert.equal(0, done.code, done.stderr)
    assert.same({{"1", nil}, {"2", nil}, {"3", "a@b.c"}}, db:query("SELECT id, email FROM users ORDER BY id", name))
    assert.equal("1", db:value([[SELECT count(*) FROM pg_indexes WHERE tablename = 'users'
      AND indexdef LIKE '%(name)']], name))
    changes.append(events, user("4"))
    done = run{script = COLUMNS, set = {STREAM = events, DB = url, CHANGED = 1}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('table "public"."users", column age: the schema needs text, the table has bigint', 1,
      true), done.stderr)
    done = run{script = COLUMNS, set = {STREAM = events, DB = url}}
    assert.equal(0, done.code, done.stderr)
    assert.equal("4", db:value("SELECT count(*) FROM users", name))
    changes.append(events, user("5", ',"needed":"n"'))
    done = run{script = COLUMNS, set = {STREAM = events, DB = url, NEEDED = 1, INVALID = "skip"}}
    assert.equal(1, done.code)
    assert.truthy(done.stderr:find('column "needed" of relation "users" contains null values', 1, true), done.stderr)
    assert.truthy(done.stderr:find("let the property be optional", 1, true), done.stderr)
  end)
end)

describe("two workers on one sink of weir.sink.postgres", function()
  local s

  setup(function()
    s = server.start()
  end)

  teardown(function()
    s:stop()
  end)

  local function live(url, stream)
    return worker.spawn{script = SCRIPT, set = {STREAM = stream, DB = url, LIVE = "1"}, timeout = 60}
  end

  it("are one: the newer takes over", function()
    local name, url = database()
    local stream = s:stream "fence"
    s:append(stream, insert("users", "1", "1"))
    local older = live(url, stream)
    db:wait_for("SELECT sequence FROM _sync_state", 1, nil, name)
    local newer = live(url, stream)
    db:wait_for("SELECT epoch FROM _sync_state", 2, nil, name)
    s:append(stream, insert("users", "2", "2"))
    db:wait_for("SELECT sequence FROM _sync_state", 2, nil, name)
    local done = older:wait()
    assert.equal(1, done.code, done.stderr)
    assert.truthy(done.stderr:find("another worker has taken over stream " .. stream .. " (its epoch is 2, ours 1)", 1,
      true), done.stderr)
    assert.truthy(newer:running())
    newer:signal "INT"
    newer:wait()
    assert.equal("users/1 1\nusers/2 2", rows(name))
  end)

  it("do not wait for one that is stuck in a transaction", function()
    local name, url = database()
    local stream = s:stream "stuck"
    s:append(stream, insert("users", "1", "1"))
    local done = worker.run{script = SCRIPT, set = {STREAM = stream, DB = url}, args = {"--once"}}
    assert.equal(0, done.code, done.stderr)
    -- A connection that looks like that of the worker before, and holds the lock.
    local stuck = process.spawn{cmd = {"psql", "-X", "-q", url, "-c", [[BEGIN;
      UPDATE _sync_state SET (backend, backend_start) = (SELECT pid, backend_start FROM pg_stat_activity WHERE pid =
        pg_backend_pid());
      COMMIT; BEGIN; UPDATE _sync_state SET notes = notes; SELECT pg_sleep(600); COMMIT]]}, timeout = 300}
    db:wait_for([[SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'
      AND wait_event = 'PgSleep']], 1, nil, name)
    s:append(stream, insert("users", "2", "2"))
    done = worker.run{script = SCRIPT, args = {"--once"}, set = {STREAM = stream,
      DB = url .. "&options=-clock_timeout%3D200"}}
    assert.equal(0, done.code, done.stderr)
    assert.truthy(done.stderr:find("the checkpoint is locked: ending the connection that holds it", 1, true),
      done.stderr)
    assert.equal("users/1 1\nusers/2 2", rows(name))
    assert.truthy(stuck:wait().stderr:find("terminating connection", 1, true))
  end)
end)
