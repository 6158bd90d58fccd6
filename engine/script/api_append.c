#include "script/api_append.h"

#include <lauxlib.h>

#include "script/api_stream.h"
#include "script/convert.h"
#include "script/wait.h"

void api_append_close(struct api_stream *stream) {
    if (stream->writer) {
        writer_close(stream->writer);
        stream->writer = NULL;
    }
    while (stream->appends) {
        wait_drop(stream->appends);
    }
}

static void answered(void *user, struct slice offset, const struct error *e) {
    struct wait *wait = user;
    buf_clear(&wait->op.result);
    buf_append_slice(&wait->op.result, offset);
    wait_end(wait, e);
}

static bool need_writer(struct api_stream *stream, struct error *e) {
    const struct script *script = stream->script;
    if (stream->writer) {
        return true;
    }
    if (!source_is_url(stream->url)) {
        return error_set(e, ERROR_ARGUMENT,
                         "it is not an http(s) URL: files and standard input can only be read");
    }
    struct writer_options options = {
        .loop = script->loop,
        .http = script->http,
        .log = script->log,
        .url = stream->url,
        .fields = stream->fields,
        .field_count = stream->field_count,
        .ca_file = stream->ca_file,
        .limit_ms = stream->append_limit_ms,
        .hooks = api_hooks_of(&stream->hooks),
    };
    stream->writer = writer_new(&options, e);
    return stream->writer != NULL;
}

static int finish(lua_State *L, int status, lua_KContext index) {
    const struct op *op = op_at(L, (int)index);
    (void)status;
    if (op->error.code != ERROR_NONE) {
        return script_raise(L, &op->error);
    }
    lua_pushlstring(L, op->result.len ? op->result.ptr : "", op->result.len);
    return 1;
}

/* Encodes the value and hands it to the writer. */
static bool send_value(lua_State *L, struct api_stream *stream, struct wait *wait, struct error *e) {
    struct buf *body = &wait->op.result;
    body->max = stream->message_max;
    if (!convert_append(L, 2, body, e)) {
        return e->code == ERROR_LIMIT ? error_context(e, "longer than limits.message") : false;
    }
    return need_writer(stream, e) && writer_append(stream->writer, buf_slice(body), answered, wait, e);
}

int api_append(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    struct error e;
    luaL_checkany(L, 2);
    script_check_unasked(L, "append");
    if (!stream->store) {
        return luaL_error(L, "append: the worker has ended");
    }
    lua_settop(L, 2);
    struct wait *wait = wait_push(L, stream->script, &stream->appends, sizeof *wait);
    if (!send_value(L, stream, wait, &e)) {
        error_context(&e, "append to %s", stream->name);
        return script_raise(L, &e);
    }
    wait_begin(wait);
    return op_wait(L, 3, "append", finish);
}
