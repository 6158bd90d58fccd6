-- weir.serve: a stream server in this process.

local _, weir = ...
local native = weir._serve
local options_of = weir._options

---@class weir.Server
---@field url string where it listens: "http://127.0.0.1:4437"
---@field running boolean false once it was stopped
local Server = {} -- luacheck: ignore

---Takes no more connections and lets what is under way end: requests are answered, long-polls and SSE end. Returns at
---once.
function Server:stop() -- luacheck: ignore
end

---Starts a Durable Streams server in this process, as `weir serve` is one in its own. It serves while the worker runs
---or waits (weir.run, stream:append, weir.sleep), and ends with it. Streams keep a worker running; a script without
---any is kept running by its servers.
---
---    listen           "HOST:PORT", a numeric address; port 0: any that is free; default: "127.0.0.1:4437"
---    data             keep the streams in this folder; default: in memory
---    fsync            with data, when an append is answered: "batch", "always" or "none"; default: "batch"
---    checkpointSize   with data, how long the journal gets until it goes to the streams' files; default: "64MB"
---    longPollTimeout  how long a long-poll waits; default: "30s"
---    sseLifetime      after which an SSE response ends, and the reader comes back; default: "60s"
---    requestTimeout   for a request's head, between two pieces of its body; default: "30s"
---    maxBody          of one request; default: "64MB"
---    maxConnections   default: 10000
---    maxStreams       default: 1000000
---    maxBytes         of all streams' content; default: 1 GB in memory, no limit in a folder
---    maxInput         of the bodies of all requests at one time; default: "256MB"
---    maxOutput        of what waits for all clients to take it; default: "256MB"
---    tokenFile        its first line is the bearer token that requests have to bring
---    tlsCert, tlsKey  PEM files: serve https
---    corsOrigin       "*", "none", or one origin; default: "*"
---    accessLog        a file, or "-" for standard output: a line for each request
---    faults           true: take orders for faults under /_test/inject-error
---@param options? table
---@return weir.Server
function weir.serve(options)
  options = options or {}
  options_of.check_serve(options, 2)
  local server, mistake = native(options)
  if not server then
    error("weir.serve: " .. mistake, 2)
  end
  return server
end
