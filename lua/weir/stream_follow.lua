-- What a script can wait for of a stream that it reads: preload, replay, awaitTxId; and get.

local _, weir = ...
local native = weir._stream
local show, check_self = weir._options.show, weir._options.check_self
local StateStream = native.class

local function add(self, list, where, fn)
  check_self(self, where, 3)
  if type(fn) ~= "function" then
    error(("%s: expected a function, got %s"):format(where, show(fn)), 3)
  end
  table.insert(self._handlers[list], fn)
  native.watch(self, "bounds")
end

---Calls fn(batch, state) before the first message of what came at once (or of 10,000 changes of it) is
---handled: batch.offset is where it starts.
---@param fn fun(batch: { offset: string }, state: weir.State)
function StateStream:onBeforeBatch(fn)
  add(self, "beforeBatch", "onBeforeBatch", fn)
end

---Calls fn(batch, state) after the last one was handled: batch.items are the changes that were applied, batch.offset
---is where it ends (nil: in the middle of what came at once), batch.upToDate whether that is all there is.
---@param fn fun(batch: { items: weir.Event[], offset: string?, upToDate: boolean }, state: weir.State)
function StateStream:onBatch(fn)
  add(self, "batch", "onBatch", fn)
end

---Calls fn(transaction, state) after changes in a row with one txid were handled, before the next change is, or at the
---end of the batch: transaction.txid, transaction.events.
---@param fn fun(transaction: { txid: string, events: weir.Event[] }, state: weir.State)
function StateStream:onTransaction(fn)
  add(self, "transaction", "onTransaction", fn)
end

local TXID_TIMEOUT = "5s" -- as the published package's

---The value of an entity, or nil: stream.state:get.
---@param kind string the type
---@param key string
---@return any
function StateStream:get(kind, key)
  check_self(self, "get", 2)
  return self.state:get(kind, key)
end

---Waits until the stream was up to date once; returns at once later. In the main part of a script it makes the worker
---read. Raises an error object where that cannot come any more.
function StateStream:preload()
  check_self(self, "preload", 2)
  local wait = native.await(self, "up-to-date")
  if wait then
    native.wait(wait, "preload")
  end
end

---Forgets the state and reads again from where the stream was begun; waits until it is up to date. Handlers are called
---as for the first time.
function StateStream:replay()
  check_self(self, "replay", 2)
  if self.url == "-" then
    error(self.name .. ": replay: standard input cannot be read again", 2)
  end
  native.wait(native.await(self, "again"), "replay")
end

---Waits until a change with that txid has been applied; returns at once where that is so already. 10,000 txids are
---remembered. Raises `timeout` after that time.
---@param txid string
---@param timeout? number|string seconds, or text like "500ms"; default: 5 seconds
function StateStream:awaitTxId(txid, timeout)
  check_self(self, "awaitTxId", 2)
  if type(txid) ~= "string" or txid == "" then
    error("awaitTxId: expected a txid, which is a non-empty string, got " .. show(txid), 2)
  elseif timeout ~= nil and not native.isDuration(timeout) then
    error("awaitTxId: timeout: expected seconds, or text like \"500ms\", \"5s\", got " .. show(timeout), 2)
  end
  local wait = native.await(self, "txid", txid)
  if not wait then
    return
  end
  timeout = timeout or TXID_TIMEOUT
  local timer = weir.after(timeout, function()
    native.expire(wait, ("%s: no change with txid %q came within %s"):format(self.name, txid,
      type(timeout) == "number" and timeout .. " s" or timeout))
  end)
  local ok, err = pcall(native.wait, wait, "awaitTxId")
  timer:stop()
  if not ok then
    error(err, 0)
  end
end
