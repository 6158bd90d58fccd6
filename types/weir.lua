---@meta weir
-- What a script can call, for lua-language-server: nothing here is run. Point workspace.library of a .luarc.json to the
-- folder of this file. `weir types SCRIPT` writes what a script declares itself, so that event.value is known too.

--#region Values

---What null of JSON is in Lua. It is equal to itself only, and true in a condition.
---@class weir.Null: userdata

---Seconds, or text: "500ms", "30s", "5m", "2h".
---@alias weir.Duration number|string

---Bytes, or text: "64KB", "10MB".
---@alias weir.Size integer|string

---Where a header or parameter comes from: a string, a function that is asked before every request (nil leaves it out),
---or a file that is read before every request.
---@alias weir.Source string|weir.FileSource|fun(): string?

---@class weir.FileSource
---@field file string

---What a stream's functions raise; tostring gives the message.
---@class weir.Error
---@field code "network"|"timeout"|"http"|"not-found"|"gone"|"conflict"|"closed"|"argument"|"script"|"system"|"limit"
---@field message string
---@field status? integer of HTTP
---@field transport? boolean for onError: it is about a request
---@field retrying? boolean for onError: the request will be tried again

---One reason a value does not fit.
---@class weir.Issue
---@field path string "items[2].name"; "" is the value itself
---@field message string "expected a string, got a number (3)"
---@field value any what is there; nil where it is missing

---A schema of any library (https://standardschema.dev).
---@class weir.StandardSchema
---@field ["~standard"] weir.StandardFace

---@class weir.StandardFace
---@field version integer
---@field vendor string
---@field validate fun(value: any): table { value = ... } or { issues = { { message = ... } } }

--#endregion

--#region Events and state

---A message of a stream. Its values are decoded when they are first touched; it is read only, and may be kept.
---@class weir.Event
---@field type? string nil where the message is no change
---@field key? string
---@field operation? "insert"|"update"|"upsert"|"delete"|"patch" nil for a control
---@field control? "snapshot-start"|"snapshot-end"|"reset"|"up-to-date" nil for a change
---@field value? any what the event itself carries
---@field old? any what was stored before it
---@field new? any what is stored after it: the value, or a patch's result; nil for a delete
---@field old_value? any the old value that the event carries
---@field headers table<string, any>
---@field txid? string of the headers
---@field timestamp? string of the headers
---@field from? string of the headers
---@field offset? string of the headers
---@field text string the message as it came
---@field optimistic? boolean true: a write of the script's own that has not come back yet
---@field rollback? boolean true: such a write is undone
---@field live? boolean true: the stream has been up to date since the worker started

---@class weir.Change: weir.Event
---@field type string
---@field key string
---@field operation "insert"|"update"|"upsert"|"delete"|"patch"

---@class weir.Control: weir.Event
---@field control "snapshot-start"|"snapshot-end"|"reset"|"up-to-date"

---What the changes so far add up to: types, and in each keys with their values. It is read only.
---@class weir.State
local State = {}

---The value, or nil. Each call makes a fresh Lua value: changing it changes nothing else.
---@param type string
---@param key string
---@return any value
function State:get(type, key) end

---Whether there is such an entity, without decoding it.
---@param type string
---@param key string
---@return boolean
function State:has(type, key) end

---The value's text as it was written, or nil.
---@param type string
---@param key string
---@return string?
function State:json(type, key) end

---How many entities of that type there are; without a type, of all.
---@param type? string
---@return integer
function State:size(type) end

---The types that have entities, in byte order.
---@return string[]
function State:types() end

---The keys of a type, in byte order.
---@param type string
---@return string[]
function State:keys(type) end

---All values of a type, in byte order of their keys.
---@param type string
---@return any[]
function State:rows(type) end

---For a loop: for key, value in state:each("users") do. The keys are those of the start, each value is as it is at
---its turn; the body may wait.
---@param type string
---@return fun(): string, any
function State:each(type) end

---The values of a type whose fields are as they are told to be, in byte order of their keys. An index beside the type's
---schema spares a look at the rest.
---@param type string
---@param fields table<string, string|number|boolean|weir.Null>
---@return any[]
function State:where(type, fields) end

--#endregion

--#region Streams

---@alias weir.Refusal "stop"|"skip"|"deadletter"
---@alias weir.Failure "stop"|"skip"|"retry"|"deadletter"
---@alias weir.OnInvalid weir.Refusal|fun(event: weir.Event, issues: weir.Issue[]): weir.Refusal?
---@alias weir.OnError weir.Failure|fun(err: any, event?: weir.Event): (weir.Failure|table)?

---@class weir.StreamOptions
---@field url string an http(s) URL; a file of events, as a JSON array or one event a line; "-", standard input
---@field name? string what messages and the configuration call it; default: the url
---@field live? boolean|"sse"|"long-poll" true (default): catch up, then follow; false: end when up to date
---@field offset? string where to start reading; default: the beginning
---@field schema? weir.StreamSchema|table<string, weir.Collection> weir.defineStreamSchema { ... } or weir.createStateSchema { ... }; default: anything fits
---@field defaultType? string the type of changes that carry none; default: "default"
---@field strict? boolean true: hold to the published State Protocol
---@field snapshot? "merge"|"replace" "replace": a snapshot takes the place of the state in one step; default: "merge"
---@field onInvalid? weir.OnInvalid what is done with a message that is refused; default: "stop"
---@field onError? weir.OnError what is done when a handler raises; default: "stop"
---@field deadletter? string the file, or the URL of a stream, that refused messages go to
---@field headers? table<string, weir.Source> request headers
---@field params? table<string, weir.Source> query parameters
---@field caFile? string a file of certificates to trust, in the place of the system's
---@field optimistic? boolean true: writes are seen before they come back on the stream; default: false
---@field actions? table<string, weir.Action>|fun(context: weir.ActionContext): table<string, weir.Action>
---@field sinks? weir.Sink[] where what becomes of the state goes
---@field limits? weir.StreamLimits

---@class weir.Action
---@field onMutate? fun(...: any) what it writes is seen at once, and not sent; it must not wait
---@field mutationFn fun(...: any): ... appends, and waits until it has come back

---@class weir.ActionContext
---@field stream weir.StateStream
---@field db weir.StateStream
---@field state weir.State

---@class weir.StreamLimits
---@field message? weir.Size the longest message; default: "64MB"
---@field connect? weir.Duration give up when the server cannot be reached for so long at the start; default: "5s"
---@field outage? weir.Duration give up when it was away for longer later; default: "10m"
---@field append? weir.Duration give up when an append was not acknowledged by then; default: "30s"
---@field confirm? weir.Duration roll an optimistic write back that did not come back by then; default: "30s"
---@field sinkRows? integer so many changes are committed in sinks together; default: 10000
---@field sinkBytes? weir.Size or so many bytes of them; default: "8MB"
---@field sinkDelay? weir.Duration or what has come in so long; default: "500ms"
---@field sinkBatch? weir.Size what is committed together is never longer, whatever one event makes of it; default: "256MB"

---What makes a key of a value: the name of a field, a list of such names, or a function.
---@alias weir.KeySource string|string[]|fun(value: any): string?

---A type with indexes.
---@class weir.StreamType
---@field schema? weir.StandardSchema default: anything fits
---@field index? string[] fields that state:where finds entities by without a look at the rest

---@class weir.StreamSchema
---@field types table<string, weir.StandardSchema|weir.StreamType>
---@field getKey? table<string, weir.KeySource> what makes the key of a change that carries none; default: the field id

---Headers of an event that is appended; others may stand there too.
---@class weir.Headers
---@field txid? string
---@field timestamp? string default: now
---@field [string] any

---The headers of a write, and how it is to be made.
---@class weir.Write: weir.Headers
---@field old_value? any what the event carries as that; false: nothing; default for update and delete: the value in state
---@field oldValue? any the same
---@field optimistic? boolean true: it is seen before it comes back; default: the stream's option

---Optimistic writes that were undone.
---@class weir.Rollback
---@field error any why
---@field events weir.ChangeEvent[]
---@field txid? string

---How a handler is called. "live": not while the stream catches up; default: "always".
---@class weir.HandlerOptions
---@field effects? "live"|"always"

---A stream that was declared: what is read from it, and what can be written to it.
---@class weir.StateStream
---@field state weir.State the materialized state
---@field actions table<string, fun(...: any): ...> what the option of that name defines
---@field url string
---@field name string
local StateStream = {}

---Calls fn(state, event) after each change has been applied, of one type or (without a type) of any. Handlers of a type
---come before those for all, each in the order in which they were added. fn may wait.
---@param type string
---@param fn fun(state: weir.State, event: weir.Change)
---@param options? weir.HandlerOptions
---@overload fun(self: weir.StateStream, fn: fun(state: weir.State, event: weir.Change), options?: weir.HandlerOptions)
function StateStream:onChange(type, fn, options) end

---Adds a rule: fn(event, state) is asked before a change is applied, after its schema, and refuses it with
---`return false, reason`.
---@param type string
---@param fn fun(event: weir.Change, state: weir.State): boolean?, string?
---@overload fun(self: weir.StateStream, fn: fun(event: weir.Change, state: weir.State): boolean?, string?)
function StateStream:validate(type, fn) end

---Calls fn(event) for each control event. A reset has cleared the state by then.
---@param fn fun(event: weir.Control)
---@param options? weir.HandlerOptions
function StateStream:onControl(fn, options) end

---Calls fn(state) when everything that exists has been handled: once after catching up, and again each time after new
---events were.
---@param fn fun(state: weir.State)
function StateStream:onUpToDate(fn) end

---What is done with a message that is no JSON, is no event, or is refused by its schema or a rule: a policy, or a
---function that returns one (nothing: "skip").
---@param what weir.OnInvalid
function StateStream:onInvalid(what) end

---What is done when a handler raises: a policy, or a function that returns one (nothing: "stop"). A function is also
---asked about requests that failed: err.transport is true then.
---@param what weir.OnError
function StateStream:onError(what) end

---Appends one message and waits until the server has it, exactly once. Raises a weir.Error.
---@param event any an event, or any value that can be written as JSON
---@return string offset
function StateStream:append(event) end

---@class weir.Batch
---@field offset? string where it starts (onBeforeBatch) or ends (onBatch; nil: in the middle of what came at once)
---@field items? weir.Change[] onBatch: the changes that were applied
---@field upToDate? boolean onBatch: that is all that exists

---@class weir.Transaction
---@field txid string
---@field events weir.Change[] those that were applied

---Calls fn(batch, state) before the first message of what the server had at once, or of 10,000 changes of it.
---@param fn fun(batch: weir.Batch, state: weir.State)
function StateStream:onBeforeBatch(fn) end

---Calls fn(batch, state) after the last one has been handled.
---@param fn fun(batch: weir.Batch, state: weir.State)
function StateStream:onBatch(fn) end

---Calls fn(transaction, state) after changes in a row with one txid, before the next change or at the end of the batch.
---@param fn fun(transaction: weir.Transaction, state: weir.State)
function StateStream:onTransaction(fn) end

---Calls fn(rollback, state) after optimistic writes were rolled back.
---@param fn fun(rollback: weir.Rollback, state: weir.State)
function StateStream:onRollback(fn) end

---The value of an entity, or nil: stream.state:get.
---@param type string
---@param key string
---@return any
function StateStream:get(type, key) end

---Waits until the stream was up to date once; returns at once later. In the main part of a script it makes the worker
---read. Raises a weir.Error.
function StateStream:preload() end

---Forgets the state, reads again from where the stream was begun, and waits until it is up to date. Raises a weir.Error.
function StateStream:replay() end

---Waits until a change with that txid has been applied; returns at once where it has. Raises a weir.Error: `timeout` after
---that time.
---@param txid string
---@param timeout? weir.Duration default: "5s"
function StateStream:awaitTxId(txid, timeout) end

---Appends an insert. The state changes when the event comes back on the stream.
---@param type string
---@param key string
---@param value any
---@param options? weir.Write
---@return string offset
---@return string? txid of an optimistic write
function StateStream:insert(type, key, value, options) end

---Appends an update: value replaces what is stored.
---@param type string
---@param key string
---@param value any
---@param options? weir.Write
---@return string offset
---@return string? txid of an optimistic write
function StateStream:update(type, key, value, options) end

---Appends an upsert: stored whether or not there is a value.
---@param type string
---@param key string
---@param value any
---@param options? weir.Write
---@return string offset
---@return string? txid of an optimistic write
function StateStream:upsert(type, key, value, options) end

---Appends a patch: merged into what is stored (RFC 7396); weir.null removes a member.
---@param type string
---@param key string
---@param value table
---@param options? weir.Write
---@return string offset
---@return string? txid of an optimistic write
function StateStream:patch(type, key, value, options) end

---Appends a delete.
---@param type string
---@param key string
---@param options? weir.Write
---@return string offset
---@return string? txid of an optimistic write
function StateStream:delete(type, key, options) end

---@class weir.CreateOptions
---@field contentType? string default: "application/json"
---@field ttl? weir.Duration when it expires, in whole seconds
---@field expiresAt? string or the time when it does, RFC 3339
---@field closed? boolean true: closed from the start
---@field data? any its first message; for a stream that is not JSON a string
---@field forkFrom? string the path or URL of a stream to copy
---@field forkOffset? string up to there; default: its tail
---@field forkSubOffset? integer and so many messages behind it

---Creates the stream on the server. One that exists with the same properties is left as it is.
---@param options? weir.CreateOptions
---@return { created: boolean, offset: string, closed: boolean }
function StateStream:create(options) end

---Asks the server about the stream; ttl is in seconds.
---@return { offset: string, contentType: string?, closed: boolean, ttl: integer?, expiresAt: string? }
function StateStream:head() end

---Closes the stream for good, with a last message if there is a value.
---@param value? any
---@return string offset the final offset
function StateStream:close(value) end

---Deletes the stream itself, with everything in it.
function StateStream:remove() end

--#endregion

--#region A server

---@class weir.ServeOptions
---@field listen? string "HOST:PORT", a numeric address; port 0: any that is free; default: "127.0.0.1:4437"
---@field data? string keep the streams in this folder; default: in memory
---@field fsync? "batch"|"always"|"none" with data, when an append is answered; default: "batch"
---@field checkpointSize? weir.Size with data, of the journal until the streams' files take it over; default: "64MB"
---@field longPollTimeout? weir.Duration default: "30s"
---@field sseLifetime? weir.Duration after which an SSE response ends; default: "60s"
---@field requestTimeout? weir.Duration for a head, and between two pieces of a body; default: "30s"
---@field maxBody? weir.Size of one request; default: "64MB"
---@field maxConnections? integer default: 10000
---@field maxStreams? integer default: 1000000
---@field maxBytes? weir.Size of all content; default: 1 GB in memory, no limit in a folder
---@field maxInput? weir.Size of the bodies of all requests at one time; default: "256MB"
---@field maxOutput? weir.Size of what waits for all clients to take it; default: "256MB"
---@field tokenFile? string its first line is the bearer token that requests have to bring
---@field tlsCert? string a PEM file: serve https
---@field tlsKey? string a PEM file
---@field corsOrigin? string "*", "none", or one origin; default: "*"
---@field accessLog? string a file, or "-" for standard output: a line for each request
---@field faults? boolean true: take orders for faults under /_test/inject-error

---A stream server in this process.
---@class weir.Server
---@field url string where it listens
---@field running boolean false once it was stopped
local Server = {}

---Ends it in an orderly way, without waiting for that.
function Server:stop() end

--#endregion

--#region Producers

---@class weir.ProducerOptions
---@field url string the stream's http(s) URL
---@field id? string what the server knows this producer by; default: a random one
---@field epoch? integer the higher one of two with the same id wins; default: 0
---@field autoClaim? boolean true: take over from another producer of this id, instead of being fenced
---@field lingerMs? integer how long the first message of a batch waits for others; default: 5
---@field maxBatchBytes? integer default: 1 MiB
---@field maxBatchItems? integer default: no limit
---@field maxInFlight? integer batches under way at the same time; default: 5
---@field contentType? string default: "application/json"
---@field headers? table<string, weir.Source> request headers
---@field params? table<string, weir.Source> query parameters
---@field caFile? string a file of certificates to trust, in the place of the system's
---@field onError? fun(err: weir.Error): (weir.Failure|table)? asked about each request that failed

---Appends much to one stream: in batches, stored in order and once each.
---@class weir.Producer
---@field id string
---@field epoch integer
local Producer = {}

---Queues one message and returns at once: any value for a stream of JSON, otherwise a string.
---@param value any
function Producer:append(value) end

---Waits until all is stored, and gives the stream's next offset. Raises the first error since the last flush.
---@return string? offset
function Producer:flush() end

---Flushes, then closes the stream for good, with a last message if there is a value.
---@param value? any
---@return string? offset the final offset
function Producer:close(value) end

---Flushes, then ends the producer; the stream stays open.
---@return string? offset
function Producer:detach() end

---How many messages are not acknowledged yet.
---@return integer
function Producer:pending() end

--#endregion

--#region Schemas

---What a value has to look like. A schema never changes: each method returns a new one.
---@class weir.Schema: weir.StandardSchema
---@field description? string
local Schema = {}

---As a member of an object it may be missing. null is not missing: see nullable.
---@generic T: weir.Schema
---@param self T
---@return T
function Schema:optional() end

---null (weir.null) fits, too.
---@generic T: weir.Schema
---@param self T
---@return T
function Schema:nullable() end

---Attaches a text for the reader: schema.description.
---@generic T: weir.Schema
---@param self T
---@param text string
---@return T
function Schema:describe(text) end

---optional() and nullable() at once.
---@generic T: weir.Schema
---@param self T
---@return T
function Schema:nullish() end

---Where the value is missing, this takes its place; a function is called for it. A stream stores the value with it.
---@generic T: weir.Schema
---@param self T
---@param value any
---@return T
function Schema:default(value) end

---Asks fn(value) about each value that fits otherwise: what is false or nil is refused. fn may return false, message
---and path. options: the message, or { message =, path = }.
---@generic T: weir.Schema
---@param self T
---@param fn fun(value: any): any, string?, (string|integer)[]?
---@param options? string|weir.RefineOptions
---@return T
function Schema:refine(fn, options) end

---@class weir.RefineOptions
---@field message? string|fun(value: any): string
---@field path? (string|integer)[] of the part that is wrong, elements from 0

---The value, with defaults and without what is stripped; raises an error that names every issue where it does not fit.
---@param value any
---@return any value
function Schema:parse(value) end

---The schema as a JSON Schema (draft 2020-12), a table.
---@return table<string, any>
function Schema:toJsonSchema() end

---@class weir.Result
---@field success boolean
---@field data? any the value, where it fits
---@field issues? weir.Issue[] at most 32, where it does not

---Checks a value, and never raises.
---@param value any
---@return weir.Result
function Schema:safeParse(value) end

---@class weir.StringSchema: weir.Schema
local StringSchema = {}

---At least so many characters (code points).
---@param least integer
---@return weir.StringSchema
function StringSchema:min(least) end

---At most so many characters (code points).
---@param most integer
---@return weir.StringSchema
function StringSchema:max(most) end

---Exactly so many characters (code points).
---@param count integer
---@return weir.StringSchema
function StringSchema:length(count) end

---Matches a Lua pattern, anywhere unless it is anchored with ^ and $. Several must all match.
---@param pattern string
---@return weir.StringSchema
function StringSchema:pattern(pattern) end

---An email address, as zod understands it.
---@return weir.StringSchema
function StringSchema:email() end

---An RFC 3339 date and time: "2026-05-01T10:00:00.123Z", or with an offset such as +02:00.
---@return weir.StringSchema
function StringSchema:datetime() end

---A URL, as browsers understand it.
---@return weir.StringSchema
function StringSchema:url() end

---A UUID of RFC 9562.
---@return weir.StringSchema
function StringSchema:uuid() end

---Has this text at its start.
---@param text string
---@return weir.StringSchema
function StringSchema:startsWith(text) end

---Has this text at its end.
---@param text string
---@return weir.StringSchema
function StringSchema:endsWith(text) end

---Has this text anywhere.
---@param text string
---@return weir.StringSchema
function StringSchema:includes(text) end

---At least one character.
---@return weir.StringSchema
function StringSchema:nonempty() end

---@class weir.NumberSchema: weir.Schema
local NumberSchema = {}

---At least this.
---@param least number
---@return weir.NumberSchema
function NumberSchema:min(least) end

---At most this.
---@param most number
---@return weir.NumberSchema
function NumberSchema:max(most) end

---More than this.
---@param bound number
---@return weir.NumberSchema
function NumberSchema:gt(bound) end

---At least this: min.
---@param bound number
---@return weir.NumberSchema
function NumberSchema:gte(bound) end

---Less than this.
---@param bound number
---@return weir.NumberSchema
function NumberSchema:lt(bound) end

---At most this: max.
---@param bound number
---@return weir.NumberSchema
function NumberSchema:lte(bound) end

---More than 0.
---@return weir.NumberSchema
function NumberSchema:positive() end

---Less than 0.
---@return weir.NumberSchema
function NumberSchema:negative() end

---At least 0.
---@return weir.NumberSchema
function NumberSchema:nonnegative() end

---At most 0.
---@return weir.NumberSchema
function NumberSchema:nonpositive() end

---A whole number that fits into 64 bits.
---@return weir.NumberSchema
function NumberSchema:int() end

---A whole multiple of this, in decimal: 0.3 is one of 0.1.
---@param factor number above 0
---@return weir.NumberSchema
function NumberSchema:multipleOf(factor) end

---@class weir.ArraySchema: weir.Schema
local ArraySchema = {}

---At least so many elements.
---@param least integer
---@return weir.ArraySchema
function ArraySchema:min(least) end

---At most so many elements.
---@param most integer
---@return weir.ArraySchema
function ArraySchema:max(most) end

---Exactly so many elements.
---@param count integer
---@return weir.ArraySchema
function ArraySchema:length(count) end

---At least one element.
---@return weir.ArraySchema
function ArraySchema:nonempty() end

---@class weir.TupleSchema: weir.Schema
local TupleSchema = {}

---More elements may follow, all of which fit one schema.
---@param item weir.StandardSchema
---@return weir.TupleSchema
function TupleSchema:rest(item) end

---@class weir.ObjectSchema: weir.Schema
local ObjectSchema = {}

---Refuses members that are no fields; without it they pass, and are kept.
---@return weir.ObjectSchema
function ObjectSchema:strict() end

---Lets members that are no fields pass, and keeps them, as it is without this.
---@return weir.ObjectSchema
function ObjectSchema:passthrough() end

---Lets members that are no fields pass, and leaves them out of what parse() returns and a stream stores.
---@return weir.ObjectSchema
function ObjectSchema:strip() end

---The object with these fields only.
---@param names string[]|table<string, boolean>
---@return weir.ObjectSchema
function ObjectSchema:pick(names) end

---The object without these fields.
---@param names string[]|table<string, boolean>
---@return weir.ObjectSchema
function ObjectSchema:omit(names) end

---All fields may be missing, or those that are named.
---@param names? string[]|table<string, boolean>
---@return weir.ObjectSchema
function ObjectSchema:partial(names) end

---No field may be missing, or none of those that are named.
---@param names? string[]|table<string, boolean>
---@return weir.ObjectSchema
function ObjectSchema:required(names) end

---The object with more fields, or with others of the same name.
---@param fields table<string, weir.StandardSchema>|weir.ObjectSchema
---@return weir.ObjectSchema
function ObjectSchema:extend(fields) end

---Builds schemas, in the manner of zod.
---@class weir.schema
local schema = {}

---Any string.
---@return weir.StringSchema
function schema.string() end

---An email address: s.string():email().
---@return weir.StringSchema
function schema.email() end

---An RFC 3339 time: s.string():datetime().
---@return weir.StringSchema
function schema.datetime() end

---A URL: s.string():url().
---@return weir.StringSchema
function schema.url() end

---A UUID: s.string():uuid().
---@return weir.StringSchema
function schema.uuid() end

---Any number.
---@return weir.NumberSchema
function schema.number() end

---A number with a whole value that fits into 64 bits, however it is written: 3, 3.0, 3e0.
---@return weir.NumberSchema
function schema.integer() end

---true or false.
---@return weir.Schema
function schema.boolean() end

---null, and nothing else.
---@return weir.Schema
function schema.null() end

---Anything, null too. It must be there, unless it is optional.
---@return weir.Schema
function schema.any() end

---One of these values: s.enum("a", "b") or s.enum { "a", "b" }.
---@param first string|number|boolean|weir.Null|(string|number|boolean|weir.Null)[]
---@param ... string|number|boolean|weir.Null
---@return weir.Schema
function schema.enum(first, ...) end

---Exactly this value.
---@param value string|number|boolean|weir.Null
---@return weir.Schema
function schema.literal(value) end

---An array whose elements all fit one schema.
---@param item weir.StandardSchema
---@return weir.ArraySchema
function schema.array(item) end

---An array of that many elements, each of which fits its own schema.
---@param first weir.StandardSchema|weir.StandardSchema[]
---@param ... weir.StandardSchema
---@return weir.TupleSchema
function schema.tuple(first, ...) end

---What fits one of these schemas, the first that does.
---@param first weir.StandardSchema|weir.StandardSchema[]
---@param ... weir.StandardSchema
---@return weir.Schema
function schema.union(first, ...) end

---One of several objects, told apart by the member `tag`, which is a literal or an enum in each of them.
---@param tag string
---@param options weir.Schema[]
---@return weir.Schema
function schema.discriminatedUnion(tag, options) end

---An object. Members that are no fields pass, and are kept, unless it is strict() or strip().
---@param fields table<string, weir.StandardSchema>
---@return weir.ObjectSchema
function schema.object(fields) end

---An object with any members, whose values all fit one schema: s.record(value). s.record(names, value): the names have
---to fit as well; of an enum or literal, each must be there, and no other.
---@param first weir.StandardSchema
---@param second? weir.StandardSchema
---@return weir.Schema
function schema.record(first, second) end

---What the function returns, which is asked when the schema is used for the first time: so a schema can be a part of
---itself. It has to return the same one each time.
---@param get fun(): weir.StandardSchema
---@return weir.Schema
function schema.lazy(get) end

---The schema that a JSON Schema (draft 2020-12, a table) describes. Raises an error that names what is not supported.
---@param jsonSchema table<string, any>
---@return weir.Schema
function schema.fromJsonSchema(jsonSchema) end

--#endregion

--#region Rows of text

---What is known of a column of a database, as Electric's header electric-schema has it.
---@class weir.Column
---@field type string "int4", "bool", "text", ...
---@field dims? integer of an array: 1 or more
---@field not_null? boolean null is refused, as an element of an array too
---@field [string] any for the functions of parsers

---Makes a Lua value of a text; column is what was said of the column.
---@alias weir.ColumnReader fun(text: string, column: weir.Column): any

---@class weir.ParserOptions
---@field columns? table<string, string|weir.Column> "int8", "text[]", or { type =, dims =, not_null = }
---@field parsers? table<string, weir.ColumnReader> for more types, or in the place of those that are there

---Reads the rows of one table. As the schema of a type it refuses rows that do not fit.
---@class weir.Parser: weir.StandardSchema
---@field columns table<string, string|weir.Column>
local Parser = {}

---The row, a new table, with the values of the declared columns read. nil and weir.null are given back as they are.
---@param row any
---@return any row
function Parser:row(row) end

---One value, by its type.
---@param value any
---@param column string|weir.Column
---@return any
function Parser:parse(value, column) end

---@class weir.parser
local parser = {}

---Makes a parser of the rows of one table.
---@param options weir.ParserOptions
---@return weir.Parser
function parser.new(options) end

---One value, by its type: "int4", "text[]", or { type =, dims =, not_null = }.
---@param value any
---@param column string|weir.Column
---@return any
function parser.parse(value, column) end

---A row with the values of these columns read.
---@param row any
---@param columns table<string, string|weir.Column>
---@return any row
function parser.row(row, columns) end

--#endregion

--#region JSON, time, settings, the log

---@class weir.json
local json = {}

---The value of a JSON text. Raises an error with the byte where it is none.
---@param text string
---@return any
function json.decode(text) end

---The value as JSON without white space. Raises an error with the path where it holds what JSON cannot.
---@param value any
---@return string
function json.encode(value) end

---Marks a table (a new one, without t) as an array, so that it is written as [] even when it is empty.
---@generic T: table
---@param t? T
---@return T
function json.array(t) end

---@class weir.Timer
local Timer = {}

---Ends it; a call that is under way goes on to its end.
function Timer:stop() end

---Writes lines on stderr, made as by string.format. With one argument there is no formatting, and a table is written
---as JSON.
---@class weir.log
local log = {}

---@param format any
---@param ... any
function log.debug(format, ...) end

---@param format any
---@param ... any
function log.info(format, ...) end

---@param format any
---@param ... any
function log.warn(format, ...) end

---@param format any
---@param ... any
function log.error(format, ...) end

--#endregion

--#region Events and state of a script's own

---Makes the events of one type. A key that is not given is made of the value by primaryKey.
---@class weir.Collection
---@field schema weir.StandardSchema
---@field type string the type of its events
---@field primaryKey weir.KeySource
---@field insert fun(params: { value: any, key?: string, headers?: weir.Headers }): weir.ChangeEvent
---@field update fun(params: { value: any, key?: string, oldValue?: any, headers?: weir.Headers }): weir.ChangeEvent
---@field upsert fun(params: { value: any, key?: string, oldValue?: any, headers?: weir.Headers }): weir.ChangeEvent
---@field patch fun(params: { value: any, key?: string, oldValue?: any, headers?: weir.Headers }): weir.ChangeEvent
---@field delete fun(params: { key?: string, oldValue?: any, headers?: weir.Headers }): weir.ChangeEvent

---@class weir.CollectionOptions
---@field schema weir.StandardSchema of its values
---@field type? string the type of its events; default: the collection's name
---@field primaryKey? weir.KeySource default: "id"

---@class weir.ColumnOptions
---@field type? "string"|"number"|"integer"|"boolean"|"datetime"|"object"|"array"|"any" default: "any"
---@field nullable? boolean it may be null, or missing
---@field default? any it may be missing
---@field primaryKey? boolean

---The schema of one type, of weir.defineSchema.
---@class weir.TableSchema: weir.StandardSchema
---@field columns table<string, weir.ColumnOptions>
---@field primaryKey weir.KeySource

---A change that a script made, a table with the members that it has on the wire.
---@class weir.ChangeEvent
---@field type? string nil: of the RFC's first form
---@field key string
---@field value? any what is stored from now on
---@field old_value? any what was stored before
---@field headers weir.Headers
---@field operation "insert"|"update"|"upsert"|"delete"|"patch" of the headers
---@field txid? string of the headers
---@field timestamp? string of the headers
---@field from? string of the headers
---@field offset? string of the headers

---A control that a script made.
---@class weir.ControlEvent
---@field headers { control: string, offset: string? }
---@field control "snapshot-start"|"snapshot-end"|"reset"|"up-to-date" of the headers
---@field type string the same, by the RFC's name
---@field offset? string of the headers

---@class weir.EventOptions
---@field txid? string names the transaction
---@field txId? string the RFC's older spelling
---@field timestamp? string|boolean RFC 3339; true: now; false: none; default: now
---@field from? string
---@field offset? string

---@class weir.EventResult
---@field valid boolean
---@field errors weir.Issue[] everything that is wrong

---Of a schema with several types, each takes the type first. A key that is nil is made of the value.
---@class weir.EventBuilder
---@field insert fun(...: any): weir.ChangeEvent
---@field update fun(...: any): weir.ChangeEvent
---@field upsert fun(...: any): weir.ChangeEvent
---@field patch fun(...: any): weir.ChangeEvent
---@field delete fun(...: any): weir.ChangeEvent

---@class weir.MaterializeOptions
---@field onChange? fun(state: weir.Materialized, event: weir.ChangeEvent) called after each change
---@field keyFn? fun(event: weir.ChangeEvent): string? makes the key; nil: the event's own
---@field schema? table what values must fit: a schema of one type, or one that knows several
---@field defaultType? string the type of events that have none; default: "default"

---A state that events are applied to. Rows, keys and types are in the order in which they came.
---@class weir.Materialized
---@field size integer how many entities there are, of all types
---@field typeCount integer how many types have been seen
---@field data table<string, any> { type = { key = value } }; where no event had a type, { key = value }
---@field rows any all values in an array; state:rows(type): those of one type
---@field types any the types that have been seen, in an array
local Materialized = {}

---Applies an event. Raises, and changes nothing, where it is none or does not fit the schema.
---@param event weir.ChangeEvent|weir.ControlEvent|weir.Event|table|string a table, JSON text, or what a handler got
function Materialized:apply(event) end

---Applies a list of events; none, where one is refused.
---@param batch table[]
function Materialized:applyBatch(batch) end

---Forgets everything.
function Materialized:clear() end

---Calls fn(state, event) after each change has been applied, of one type or (without a type) of any.
---@param type string
---@param fn fun(state: weir.Materialized, event: weir.ChangeEvent)
---@overload fun(self: weir.Materialized, fn: fun(state: weir.Materialized, event: weir.ChangeEvent))
function Materialized:onChange(type, fn) end

---The value, or nil; with a key alone that of an event without a type, or else the first that any type has.
---@param type string
---@param key string
---@return any
---@overload fun(self: weir.Materialized, key: string): any
function Materialized:get(type, key) end

---Whether there is a value, null included.
---@param type string
---@param key string
---@return boolean
---@overload fun(self: weir.Materialized, key: string): boolean
function Materialized:has(type, key) end

---The value's JSON text, or nil.
---@param type string
---@param key string
---@return string?
---@overload fun(self: weir.Materialized, key: string): string?
function Materialized:json(type, key) end

---All values of a type by their keys.
---@param type? string default: that of events without one
---@return table<string, any>
function Materialized:getType(type) end

---The keys of a type.
---@param type? string default: that of events without one
---@return string[]
function Materialized:keys(type) end

---How many entities of a type there are.
---@param type? string default: that of events without one
---@return integer
function Materialized:count(type) end

---For a loop: for key, value in state:each("users") do.
---@param type? string default: that of events without one
---@return fun(): string, any
function Materialized:each(type) end

---Makes a state without a stream; weir.MaterializedState(options) does, too.
---@class weir.MaterializedState
---@overload fun(options?: weir.MaterializeOptions): weir.Materialized
local MaterializedState = {}

---An empty state.
---@param options? weir.MaterializeOptions
---@return weir.Materialized
function MaterializedState.new(options) end

--#endregion

--#region Sinks

---Where what becomes of a stream's state goes: to be listed in the option sinks of streams.
---@class weir.Sink
---@field name string how messages call it

---A derived stream. What its functions write leaves when the handler has returned, and is stored once. They are called
---by onChange and onControl handlers of a stream that lists it in its sinks. Without a timestamp an event gets that of
---the event that is handled.
---@class weir.DerivedStream: weir.Sink
local DerivedStream = {}

---@class weir.DerivedHeaders: weir.Headers
---@field old_value? any

---Writes an insert.
---@param type string
---@param key string
---@param value any
---@param options? weir.DerivedHeaders
function DerivedStream:insert(type, key, value, options) end

---Writes an update.
---@param type string
---@param key string
---@param value any
---@param options? weir.DerivedHeaders
function DerivedStream:update(type, key, value, options) end

---Writes an upsert.
---@param type string
---@param key string
---@param value any
---@param options? weir.DerivedHeaders
function DerivedStream:upsert(type, key, value, options) end

---Writes a patch.
---@param type string
---@param key string
---@param value table
---@param options? weir.DerivedHeaders
function DerivedStream:patch(type, key, value, options) end

---Writes a delete.
---@param type string
---@param key string
---@param options? weir.DerivedHeaders
function DerivedStream:delete(type, key, options) end

---Writes any value, or an event that was made with weir.insert and its like.
---@param value any
function DerivedStream:append(value) end

---@class weir.SqliteSink
---@field path string the file
---@field layout? "json"|"columns" default: "json"
---@field prefix? string stands in front of the tables' names: letters, digits and "_"
---@field key? string the name of the column of keys in layout "columns"; default: "id"
---@field synchronous? "full"|"normal" default: "full"
---@field journal? "wal"|"delete" default: "wal"
---@field name? string how messages call it; default: the kind and where it is

---@class weir.DatabaseSink
---@field url string|weir.FileSource
---@field layout? "json"|"columns" default: "json"
---@field prefix? string stands in front of the tables' names: letters, digits and "_"
---@field key? string the name of the column of keys in layout "columns"; default: "id"
---@field name? string how messages call it; default: the kind and where it is

---@class weir.RedisSink
---@field url string|weir.FileSource
---@field prefix? string stands in front of the keys
---@field name? string

---@class weir.SearchSink
---@field url string|weir.FileSource
---@field dialect "elasticsearch"|"typesense"
---@field prefix? string stands in front of the names of indexes or collections
---@field apiKey? string|weir.FileSource
---@field name? string

---@class weir.DerivedSink
---@field url string|weir.FileSource
---@field create? boolean false: it must exist; default: true
---@field headers? table<string, string|weir.FileSource> request headers
---@field caFile? string a file of certificates to trust, in the place of the system's
---@field producer? string the name of the producer; default: made of the URLs of both streams
---@field name? string

---A place in a stream: what `open` gives back as it was given to `commit`.
---@class weir.SinkPlace
---@field offset? string
---@field skip integer
---@field sequence integer messages before it, since the beginning of the stream
---@field notes? string

---What has become of an entity. "clear": there is nothing left of any type.
---@class weir.SinkRow
---@field op "put"|"delete"|"clear"
---@field type? string
---@field key? string
---@field value? any
---@field offset string of what the message came in
---@field index integer the message's number in it, from 0
---@field sequence integer messages before it, since the beginning of the stream

---The stream that is written: the same table in each call, in which a sink may keep what is its own.
---@class weir.SinkStream
---@field url string without its secrets
---@field [string] any

---A sink of the script's own. Its functions may wait.
---@class weir.SinkFunctions
---@field write fun(row: weir.SinkRow, stream: weir.SinkStream): boolean?, string? one row; refused with `return false, reason`
---@field open? fun(stream: weir.SinkStream): weir.SinkPlace? once, first: the place that was committed last
---@field begin? fun(place: weir.SinkPlace, stream: weir.SinkStream) before the rows of a batch
---@field flush? fun(stream: weir.SinkStream) after the last row
---@field commit? fun(place: weir.SinkPlace, stream: weir.SinkStream) rows and place are to be kept now
---@field rollback? fun(err: any, stream: weir.SinkStream) one of them raised: nothing of the batch is to be kept
---@field name? string how messages call it; default: where it was declared

---Called as a function: a sink of the script's own.
---@class weir.sink
---@overload fun(functions: weir.SinkFunctions): weir.Sink
local sink = {}

---A database in a file. Rows and place are committed in one transaction.
---@param options weir.SqliteSink
---@return weir.Sink
function sink.sqlite(options) end

---A PostgreSQL database: postgresql://user:password@host/database. Rows and place are committed in one transaction.
---@param options weir.DatabaseSink
---@return weir.Sink
function sink.postgres(options) end

---A MySQL or MariaDB database: mysql://user:password@host/database. Rows and place are committed in one transaction.
---@param options weir.DatabaseSink
---@return weir.Sink
function sink.mysql(options) end

---A Redis server. Rows and place are stored by one atomic script.
---@param options weir.RedisSink
---@return weir.Sink
function sink.redis(options) end

---A search index: to repeat rows does no harm.
---@param options weir.SearchSink
---@return weir.Sink
function sink.search(options) end

---A derived stream: what handlers write to it is stored once, however often the worker is started again.
---@param options weir.DerivedSink
---@return weir.DerivedStream
function sink.stream(options) end

--#endregion

---weir: Lua handlers over durable streams.
---@class weir
---@field null weir.Null what null is decoded to, and is written as
---@field schema weir.schema builds schemas
---@field sink weir.sink where what becomes of streams goes
---@field parser weir.parser reads database rows whose values are text
---@field json weir.json
---@field log weir.log
---@field MaterializedState weir.MaterializedState a state without a stream
---@field version string
local weir = {}

---Declares a stream to read, to materialize and to react to. Nothing is read before the script has been loaded.
---@param options weir.StreamOptions
---@return weir.StateStream
function weir.stream(options) end

---Names the types that a stream carries, each with the schema of its values. Types that are not named pass unchecked.
---@param config weir.StreamSchema
---@return weir.StreamSchema
function weir.defineStreamSchema(config) end

---Names collections, each with the type of its events, the schema of its values and what makes its keys, and gives each
---the functions that make its events. It stands wherever a stream schema does.
---@param collections table<string, weir.CollectionOptions>
---@return table<string, weir.Collection>
function weir.createStateSchema(collections) end

---The schema of one type as a list of columns, as the RFC's first form has it.
---@param columns table<string, weir.ColumnOptions>
---@param primaryKey? string|string[] default: the columns that say so, or "id"
---@return weir.TableSchema
function weir.defineSchema(columns, primaryKey) end

---Makes an insert; without a type, in front of a key and a value, one of the RFC's first form.
---@param type string
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.insert(type, key, value, options) end

---Makes an update: value replaces what is stored.
---@param type string
---@param key string
---@param value any
---@param old_value? any what is replaced
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.update(type, key, value, old_value, options) end

---Makes an upsert: stored whether or not there is a value.
---@param type string
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.upsert(type, key, value, options) end

---Makes a patch: merged into what is stored (RFC 7396); weir.null removes a member.
---@param type string
---@param key string
---@param value any
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, value: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.patch(type, key, value, options) end

---Makes a delete. Two strings are a type and a key.
---@param type string
---@param key string
---@param old_value? any what is removed
---@param options? weir.EventOptions
---@return weir.ChangeEvent
---@overload fun(key: string, old_value?: any, options?: weir.EventOptions): weir.ChangeEvent
function weir.del(type, key, old_value, options) end

---Makes a control.
---@param control "snapshot-start"|"snapshot-end"|"reset"|"up-to-date"
---@param offset? string
---@return weir.ControlEvent
function weir.control(control, offset) end

---Whether it is a change: a table, or what a handler got, with headers.operation.
---@param event any
---@return boolean
function weir.isChangeEvent(event) end

---Whether it is a control, in the published or in the RFC's form.
---@param event any
---@return boolean
function weir.isControlEvent(event) end

---Says everything that is wrong with an event: a table, JSON text, or what a handler got.
---@param event any
---@param schema? table what its value must fit: a schema of one type, or one that knows several
---@return weir.EventResult
function weir.validateEvent(event, schema) end

---Functions that make events which fit a schema, and raise one error with all that is wrong where they do not.
---@param schema table a schema of one type, or one that knows several
---@return weir.EventBuilder
function weir.createEventBuilder(schema) end

---A random UUID, version 4.
---@return string
function weir.uuid() end

---What events add up to.
---@param source table[]|string|thread|fun(): any a list; JSON text; a coroutine that yields them; a function that gives one after the other, then nil
---@param options? weir.MaterializeOptions
---@return weir.Materialized
function weir.materialize(source, options) end

---The same, also of a stream that has just been declared, when it is up to date for the first time. Waits.
---@param source table[]|string|thread|weir.StateStream|fun(): any
---@param options? weir.MaterializeOptions
---@return weir.Materialized
function weir.materializeAsync(source, options) end

---Starts a stream server in this process, on the worker's own loop.
---@param options? weir.ServeOptions
---@return weir.Server
function weir.serve(options) end

---Makes a producer: what appends much to one stream.
---@param options weir.ProducerOptions
---@return weir.Producer
function weir.producer(options) end

---Waits; other streams and timers go on.
---@param duration weir.Duration
function weir.sleep(duration) end

---Calls fn once, later.
---@param duration weir.Duration
---@param fn fun()
---@return weir.Timer
function weir.after(duration, fn) end

---Calls fn again and again; a turn is left out while fn is still waiting.
---@param duration weir.Duration
---@param fn fun()
---@return weir.Timer
function weir.every(duration, fn) end

---The value given with --set NAME=value, else the environment's, else that of the configuration, else default.
---@param name string
---@return string?
---@overload fun(name: string, default: string): string
function weir.env(name) end

---Runs until every stream has ended; raises the error that stopped it.
function weir.run() end

---Ends the work: no further handler is called, those under way go on to their end, then weir.run returns.
function weir.stop() end

return weir
