-- The rows of the table: each a file in bench/rows/ that gives {title =, prepare = function(settings)}; see turns.lua.

local rows = {}

--- In the order of the table.
rows.names = {
  "materialize", "small", "large", "multibyte", "handler", "schema", "restart", "catch-up", "latency", "memory",
  "streams", "scale", "sqlite", "postgres", "mysql", "redis", "serve-append", "serve-append-files", "serve-catch-up",
  "serve-sse",
}

function rows.known(name)
  for _, known in ipairs(rows.names) do
    if known == name then
      return true
    end
  end
  return false
end

function rows.load(name)
  return require("bench.rows." .. name:gsub("-", "_"))
end

return rows
