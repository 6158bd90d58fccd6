-- The examples of the RFC, in its order, as a Lua user writes them down; those that need a stream on a real server.

local server = require "support.server"
local weir = require "weir"
local worker = require "support.worker"

local s = weir.schema

--- The message of the error that a call raises.
local function mistake(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  return message
end

describe("basic CRUD", function()
  it("materializes to what is left", function()
    local events = {
      weir.insert("1", {id = "1", title = "Buy milk", completed = false}),
      weir.insert("2", {id = "2", title = "Walk dog", completed = false}),
      weir.update("1", {id = "1", title = "Buy milk", completed = true}),
      weir.del "2",
    }
    local state = weir.materialize(events)
    assert.same({{id = "1", title = "Buy milk", completed = true}}, state.rows)
    assert.equal(1, state.size)
    assert.is_true(state:has "1")
    assert.is_false(state:has "2")
  end)

  it("begins anew at a reset", function()
    local state = weir.materialize{weir.insert("1", {a = 1}), weir.control "reset", weir.insert("2", {a = 2}),
      {type = "up-to-date"}}
    assert.same({{a = 2}}, state.rows)
  end)
end)

describe("schema validation", function()
  local users = weir.createEventBuilder(weir.defineSchema({
    id = {type = "string", primaryKey = true},
    email = {type = "string", nullable = false},
    name = {type = "string", nullable = false},
  }, "id"))

  it("lets pass what fits", function()
    local event = users.insert("user-1", {id = "user-1", email = "alice@example.com", name = "Alice"})
    assert.equal("user-1", event.key)
    assert.equal("insert", event.headers.operation)
    assert.is_string(event.headers.timestamp)
  end)

  it("raises where it does not, with every reason", function()
    local message = mistake(users.insert, "", {id = "user-1"})
    for _, path in ipairs{"Invalid insert event", "key", "value.email", "value.name"} do
      assert.truthy(message:find(path, 1, true), path)
    end
  end)
end)

describe("a stream of several types", function()
  local schema = weir.defineStreamSchema{
    types = {
      messages = s.object{id = s.string(), text = s.string(), userId = s.string(), createdAt = s.datetime()},
      users = s.object{id = s.string(), name = s.string(), email = s.email()},
      tool_calls = s.object{
        id = s.string(), tool = s.string(), input = s.record(s.any()), output = s.record(s.any()):optional(),
        status = s.enum("pending", "running", "completed", "failed"),
      },
    },
  }

  it("is told apart by the types of its events", function()
    local state = weir.materialize({
      weir.insert("users", "1", {id = "1", name = "Ada", email = "ada@example.com"}, {txid = "t1"}),
      weir.insert("tool_calls", "1", {id = "1", tool = "search", input = {q = "x"}, status = "pending"}),
      weir.update("tool_calls", "1", {id = "1", tool = "search", input = {q = "x"}, status = "completed",
        output = {hits = 3}}, {status = "pending"}, {txid = "t2"}),
      weir.del("users", "2", {id = "2"}),
    }, {schema = schema})
    assert.same({"users", "tool_calls"}, state.types)
    assert.equal("completed", state:get("tool_calls", "1").status)
    assert.equal("Ada", state:getType("users")["1"].name)
  end)

  it("refuses what does not fit the type", function()
    local build = weir.createEventBuilder(schema)
    assert.truthy(mistake(build.insert, "tool_calls", "1", {id = "1", tool = "x", input = {}, status = "lost"})
      :find("value.status", 1, true))
    assert.is_false(weir.validateEvent(weir.insert("users", "1", {id = "1", name = "A", email = "?"}), schema).valid)
    assert.is_true(weir.validateEvent(
      weir.insert("users", "1", {id = "1", name = "A", email = "a@b.cd"}), schema).valid)
  end)
end)

describe("with a durable stream", function()
  local node

  setup(function()
    node = server.start()
  end)

  teardown(function()
    node:stop()
  end)

  it("events are appended, and replayed to the state", function()
    local url = node:stream()
    local done = worker.lua{set = {URL = url}, script = [[
      local weir = require "weir"
      local writer = weir.stream { url = weir.env "URL", live = false, name = "writer" }
      writer:append(weir.insert("msg-1", { id = "msg-1", text = "Hello!", userId = "user-1" }))
      writer:append(weir.insert("msg-2", { id = "msg-2", text = "Hi there!", userId = "user-2" }))

      local state = weir.MaterializedState()
      local reader = weir.stream { url = weir.env "URL", live = false, name = "reader" }
      reader:onChange(function(_, event)
        if weir.isChangeEvent(event) then
          state:apply(event)
        end
      end)
      weir.run()
      for _, message in ipairs(state.rows) do print(message.id, message.text, message.userId) end
      print(state.data["msg-1"].text, state:get("msg-2").text)

      local again = weir.materializeAsync(weir.stream { url = weir.env "URL", live = false })
      print(again.size, again.rows[2].text)
    ]]}
    assert.equal("", done.stderr)
    assert.same({"msg-1\tHello!\tuser-1", "msg-2\tHi there!\tuser-2", "Hello!\tHi there!", "2\tHi there!"},
      worker.lines(done.stdout))
    assert.matches('^%[{"key":"msg%-1","value":{.-},"headers":{"operation":"insert","timestamp":"[^"]*"',
      node:read(url).body)
  end)

  it("a state schema's events are written in the published form, and read with it", function()
    local url = node:stream()
    local done = worker.lua{set = {URL = url}, script = [[
      local weir = require "weir"
      local s = weir.schema
      local schema = weir.createStateSchema {
        users = { schema = s.object { id = s.string(), name = s.string() }, type = "user", primaryKey = "id" },
        config = { schema = s.object { key = s.string(), value = s.any() }, type = "config", primaryKey = "key" },
      }
      local room = weir.stream { url = weir.env "URL", live = false, schema = schema }
      room:append(schema.users.insert { value = { id = "1", name = "Kyle" }, headers = { txid = "t-1" } })
      room:append(schema.users.update {
        value = { id = "1", name = "Kyle M" }, oldValue = { id = "1", name = "Kyle" },
      })
      room:append(schema.config.upsert { value = { key = "theme", value = "dark" } })
      room:append(schema.users.insert { value = { id = "2", name = "Ann" } })
      room:append(schema.users.delete { key = "2" })
      room:append(weir.control("snapshot-end"))
      local txids = {}
      room:onChange("user", function(_, event) txids[#txids + 1] = event.txid or "-" end)
      weir.run()
      local state = room.state
      print(weir.json.encode { state:get("user", "1"), state:get("config", "theme"), state:size("user") })
      print(table.concat(txids, " "))
    ]]}
    assert.equal("", done.stderr)
    assert.same({'[{"id":"1","name":"Kyle M"},{"key":"theme","value":"dark"},1]', "t-1 - - -"},
      worker.lines(done.stdout))
    local body = node:read(url).body:gsub(',?"offset":"[^"]*"', "")
    assert.equal('[{"type":"user","key":"1","value":{"id":"1","name":"Kyle"},' ..
      '"headers":{"operation":"insert","txid":"t-1"}},' ..
      '{"type":"user","key":"1","value":{"id":"1","name":"Kyle M"},"old_value":{"id":"1","name":"Kyle"},' ..
      '"headers":{"operation":"update"}},' ..
      '{"type":"config","key":"theme","value":{"key":"theme","value":"dark"},"headers":{"operation":"upsert"}},' ..
      '{"type":"user","key":"2","value":{"id":"2","name":"Ann"},"headers":{"operation":"insert"}},' ..
      '{"type":"user","key":"2","headers":{"operation":"delete"}},{"headers":{"control":"snapshot-end"}}]', body)
  end)
end)

-- The schemas of the use cases, each with a value that fits and the paths of one that does not.
local NOW = "2026-05-01T10:00:00Z"
local USE_CASES = {
  ["a key/value store"] = {
    entries = {
      s.object{id = s.string(), value = s.any(), expiresAt = s.datetime():optional()},
      {id = "user:123:prefs", value = {theme = "dark", lang = "en"}}, {id = "a", expiresAt = "soon"},
      "value.expiresAt value.value",
    },
  },
  ["presence"] = {
    presence = {
      s.object{id = s.string(), userName = s.string(), status = s.enum("online", "away", "busy"),
        lastSeen = s.datetime(), metadata = s.record(s.any()):optional()},
      {id = "u1", userName = "Ada", status = "online", lastSeen = NOW, metadata = {cursor = {x = 1, y = 2}}},
      {id = "u1", userName = "Ada", status = "gone", lastSeen = NOW, metadata = 5}, "value.metadata value.status",
    },
  },
  ["a chat room"] = {
    users = {
      s.object{id = s.string(), name = s.string(), avatar = s.string():optional(), joinedAt = s.datetime()},
      {id = "u1", name = "Ada", joinedAt = NOW}, {id = 1, name = "Ada", joinedAt = NOW}, "value.id",
    },
    messages = {
      s.object{id = s.string(), text = s.string(), userId = s.string(), createdAt = s.datetime(),
        editedAt = s.datetime():optional()},
      {id = "m1", text = "Hello", userId = "u1", createdAt = NOW}, {id = "m1", userId = "u1", createdAt = NOW},
      "value.text",
    },
    reactions = {
      s.object{id = s.string(), messageId = s.string(), userId = s.string(), emoji = s.string()},
      {id = "u1:m1:👍", messageId = "m1", userId = "u1", emoji = "👍"}, {},
      "value.emoji value.id value.messageId value.userId",
    },
    read_receipts = {
      s.object{id = s.string(), userId = s.string(), lastReadMessageId = s.string(), lastReadAt = s.datetime()},
      {id = "u1", userId = "u1", lastReadMessageId = "m1", lastReadAt = NOW}, "read", "value",
    },
  },
  ["feature flags"] = {
    flags = {
      s.object{id = s.string(), enabled = s.boolean(), rolloutPercent = s.number():min(0):max(100):optional(),
        allowlist = s.array(s.string()):optional(), metadata = s.record(s.any()):optional()},
      {id = "new-editor", enabled = true, rolloutPercent = 50, allowlist = {"u1"}},
      {id = "new-editor", enabled = "yes", rolloutPercent = 101, allowlist = {"u1", 2}},
      "value.allowlist[1] value.enabled value.rolloutPercent",
    },
  },
  ["a kanban board"] = {
    columns = {
      s.object{id = s.string(), name = s.string(), position = s.number()},
      {id = "c1", name = "To do", position = 1.5}, {id = "c1", name = "To do", position = "first"}, "value.position",
    },
    cards = {
      s.object{id = s.string(), columnId = s.string(), title = s.string(), description = s.string():optional(),
        position = s.number(), assigneeId = s.string():optional(), dueDate = s.datetime():optional()},
      {id = "k1", columnId = "c1", title = "Paint", position = 1, dueDate = NOW},
      {id = "k1", columnId = "c1", title = "Paint", position = 1, dueDate = "2026-02-30T00:00:00Z"}, "value.dueDate",
    },
  },
  ["notifications"] = {
    notifications = {
      s.object{id = s.string(), type = s.enum("mention", "reply", "like", "follow", "system"), title = s.string(),
        body = s.string():optional(), link = s.string():optional(), read = s.boolean(), createdAt = s.datetime()},
      {id = "n1", type = "mention", title = "Ada mentioned you", read = false, createdAt = NOW},
      {id = "n1", type = "shout", title = "", read = weir.null, createdAt = NOW}, "value.read value.type",
    },
  },
  ["an audit log"] = {
    events = {
      s.object{id = s.string(), action = s.string(), actorId = s.string(), targetType = s.string(),
        targetId = s.string(), metadata = s.record(s.any()), timestamp = s.datetime()},
      {id = "e1", action = "user.created", actorId = "u1", targetType = "user", targetId = "u2", metadata = {},
        timestamp = NOW},
      {id = "e1", action = "user.created", actorId = "u1", targetType = "user", targetId = "u2", timestamp = NOW},
      "value.metadata",
    },
  },
  ["a shopping cart"] = {
    items = {
      s.object{id = s.string(), productId = s.string(), name = s.string(), price = s.number(), quantity = s.number(),
        addedAt = s.datetime()},
      {id = "product:1", productId = "1", name = "Tea", price = 4.5, quantity = 2, addedAt = NOW},
      {id = "product:1", productId = "1", name = "Tea", price = "4.5", quantity = 2, addedAt = NOW}, "value.price",
    },
  },
}

for name, types in pairs(USE_CASES) do
  describe(name, function()
    local schemas, collections = {}, {}
    for kind, case in pairs(types) do
      schemas[kind] = case[1]
      collections[kind] = {schema = case[1]}
    end
    local stream_schema = weir.defineStreamSchema{types = schemas}
    local state_schema = weir.createStateSchema(collections)

    for kind, case in pairs(types) do
      local good, bad = case[2], case[3]

      it("takes " .. kind .. " and names what is wrong with others", function()
        for _, schema in ipairs{stream_schema, state_schema} do
          local build = weir.createEventBuilder(schema)
          local state = weir.MaterializedState{schema = schema}
          state:apply(build.insert(kind, good.id, good))
          state:apply(build.upsert(kind, nil, good, {txid = weir.uuid()}))
          assert.same(good, state:get(kind, good.id))
          local result = weir.validateEvent(weir.insert(kind, "k", bad), schema)
          local paths = {}
          for i, err in ipairs(result.errors) do
            paths[i] = err.path
          end
          table.sort(paths)
          assert.equal(case[4], table.concat(paths, " "))
          assert.is_false(pcall(build.insert, kind, "k", bad))
          assert.is_false(pcall(state.apply, state, weir.update(kind, good.id, bad)))
          state:apply(build.delete(kind, good.id, good))
          assert.equal(0, state.size)
        end
      end)

      it("makes events of " .. kind .. " by its collection", function()
        local collection = state_schema[kind]
        assert.equal(good.id, collection.insert{value = good}.key)
        assert.equal(good, collection.update{value = good, oldValue = good}.old_value)
        assert.truthy(mistake(collection.insert, {key = "k", value = bad})
          :find(("Validation failed for %s insert: "):format(kind), 1, true))
      end)
    end
  end)
end
