-- A schema for each type of the data called "objects": seven fields.

local weir = require "weir"
local s = weir.schema

local object = s.object {
  id = s.string():min(1),
  text = s.string(),
  author = s.string():min(1),
  room = s.string():max(20),
  likes = s.integer():min(0),
  edited = s.boolean(),
  createdAt = s.datetime(),
}

weir.stream {
  url = weir.env "EVENTS",
  schema = weir.defineStreamSchema {
    types = { users = object, messages = object, reactions = object, tasks = object },
  },
}
