-- A stream into a SQLite database: the sync worker of the State Protocol's RFC. Rows and the place in the stream are
-- committed together: after any crash, start it again.
--
--   weir run scripts/sync-sqlite.lua --set STREAM=http://127.0.0.1:4437/v1/stream/shop --set DB=shop.db
--   sqlite3 shop.db 'SELECT id, data FROM users'             a table a type: id, data (JSON), updated_at
--   sqlite3 shop.db 'SELECT * FROM _sync_state'              how far it has come
--
-- STREAM is the stream's URL, or a file of events. DB is the database, which is made where it is not there, and PREFIX
-- what stands in front of its tables' names. With --once it ends when the database is up to date; with --data DIR a
-- restart takes no longer with a long history. It says in the log what it does.

local weir = require "weir"

local stream = weir.stream {
  name = "sync",
  url = weir.env("STREAM", "http://127.0.0.1:4437/v1/stream/sync"),
  sinks = {
    weir.sink.sqlite { path = weir.env("DB", "sync.db"), prefix = weir.env("PREFIX") },
  },
}

stream:onUpToDate(function(state)
  weir.log.info("up to date: %d entities", state:size())
end)
