#include "cli/recheck.h"

#include <stdlib.h>
#include <string.h>

#include "message/event.h"
#include "worker/worker.h"
#include "json/read.h"

enum { REASON_MAX = 1 << 16, SHOWN_MAX = 80 };

struct recheck {
    const char *script;
    struct worker *worker;
    struct event_decoder decoder;
    struct schema_issues issues;
    struct buf reason;
};

void recheck_close(struct recheck *recheck) {
    if (!recheck) {
        return;
    }
    event_decoder_free(&recheck->decoder);
    schema_issues_free(&recheck->issues);
    buf_free(&recheck->reason);
    worker_free(recheck->worker, NULL);
    free(recheck);
}

struct recheck *recheck_open(const char *script, struct config *config, struct error *e) {
    struct recheck *recheck = calloc(1, sizeof *recheck);
    struct worker_options options = {.config = config, .no_handlers = true};
    if (!recheck) {
        error_set(e, ERROR_MEMORY, "%s: out of memory", script);
        return NULL;
    }
    recheck->script = script;
    event_decoder_init(&recheck->decoder);
    schema_issues_init(&recheck->issues);
    buf_init(&recheck->reason, REASON_MAX);
    recheck->worker = worker_new(&options, e);
    if (!recheck->worker || !worker_load(recheck->worker, script, e)) {
        recheck_close(recheck);
        return NULL;
    }
    return recheck;
}

static const struct api_stream *find(const struct recheck *recheck, struct slice name, struct error *e) {
    const struct api_stream *first = worker_streams(recheck->worker);
    for (const struct api_stream *stream = first; stream; stream = stream->next) {
        if (slice_is(name, stream->name)) {
            return stream;
        }
    }
    if (first && !first->next) {
        return first;
    }
    error_set(e, ERROR_ARGUMENT, "%s declares no stream named %.*s", recheck->script,
              (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX), name.ptr);
    return NULL;
}

static bool decode(struct recheck *recheck, const struct api_stream *stream, struct slice text,
                   struct error *e) {
    struct event_decoder *decoder = &recheck->decoder;
    struct slice trimmed = json_trim(text);
    const char *at = trimmed.ptr;
    decoder->strict = stream->strict;
    decoder->key_optional = stream->get_keys;
    if (stream->default_type) {
        decoder->default_type = slice_from(stream->default_type);
    }
    switch (event_decode(decoder, &at, trimmed.ptr + trimmed.len, e)) {
    case MESSAGE_OK:
        return true;
    case MESSAGE_CUT:
        return error_set(e, ERROR_CUT, "the text ends in the middle of a value");
    default:
        return false;
    }
}

bool recheck_event(struct recheck *recheck, struct slice name, struct slice text, struct error *e) {
    const struct api_stream *stream = find(recheck, name, e);
    if (!stream || !decode(recheck, stream, text, e)) {
        return false;
    }
    const struct event *event = recheck->decoder.event;
    const struct api_type *type = event->kind == EVENT_CHANGE ? api_stream_type(stream, event->type) : NULL;
    if (!type || !type->schema || !event->value.ptr || event->operation == EVENT_PATCH) {
        return true;
    }
    schema_issues_clear(&recheck->issues);
    if (schema_check(type->schema, event->value, &recheck->issues)) {
        return true;
    }
    buf_clear(&recheck->reason);
    schema_issues_describe(&recheck->issues, &recheck->reason);
    return error_set(e, ERROR_SCHEMA, "value: %.*s", (int)recheck->reason.len, recheck->reason.ptr);
}
