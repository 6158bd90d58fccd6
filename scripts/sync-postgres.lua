-- A stream into a PostgreSQL database: the sync worker of the State Protocol's RFC. Rows and the place in the stream
-- are committed together: after any crash, start it again.
--
--   weir run scripts/sync-postgres.lua --set STREAM=http://127.0.0.1:4437/v1/stream/shop --set DB=postgresql:///shop
--   psql shop -c 'SELECT id, data FROM users'                a table a type: id, data (JSONB), updated_at
--   psql shop -c 'SELECT * FROM _sync_state'                 how far it has come
--
-- STREAM is the stream's URL, or a file of events. DB is the database's URL; one with a password belongs into a file,
-- whose path is DB_FILE. PREFIX stands in front of the tables' names. With --once it ends when the database is up to
-- date; with --data DIR a restart takes no longer with a long history. It says in the log what it does.

local weir = require "weir"

local file = weir.env("DB_FILE")

local stream = weir.stream {
  name = "sync",
  url = weir.env("STREAM", "http://127.0.0.1:4437/v1/stream/sync"),
  sinks = {
    weir.sink.postgres {
      url = file and { file = file } or weir.env("DB", "postgresql:///sync"),
      prefix = weir.env("PREFIX"),
    },
  },
}

stream:onUpToDate(function(state)
  weir.log.info("up to date: %d entities", state:size())
end)
