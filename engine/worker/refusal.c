#include "worker/refusal.h"

#include <stdlib.h>
#include <string.h>

#include "json/text.h"

enum {
    SHOWN_MAX = 80,    /* bytes of a type or key in a message */
    ROW_MAX = 1 << 30, /* bytes of a row as an event */
};

void refusal_init(struct refusal *refusal, const struct api_stream *stream, const struct intake *intake,
                  const struct log *log) {
    *refusal = (struct refusal){.stream = stream, .intake = intake, .log = log};
}

void refusal_free(struct refusal *refusal) {
    deadletter_close(refusal->letters);
    refusal->letters = NULL;
}

enum api_policy refusal_policy(const struct refusal *refusal, const char *decision) {
    if (!decision) {
        return refusal->stream->on_invalid;
    }
    return strcmp(decision, "stop") == 0         ? POLICY_STOP
           : strcmp(decision, "deadletter") == 0 ? POLICY_DEADLETTER
                                                 : POLICY_SKIP;
}

/* The place of `at` is that of the message or row. */
static bool keep(struct refusal *refusal, struct deadletter_entry at, struct error *e) {
    const struct api_stream *stream = refusal->stream;
    if (!stream->deadletter) {
        return error_set(e, ERROR_ARGUMENT, "%s: \"deadletter\" needs the option deadletter, a file",
                         stream->name);
    }
    if (!refusal->letters) {
        refusal->letters = deadletter_open(stream->deadletter, e);
        if (!refusal->letters) {
            return false;
        }
    }
    at.stream = stream->name;
    return deadletter_write(refusal->letters, &at, e);
}

bool refusal_keep(struct refusal *refusal, struct slice text, const char *reason, struct error *e) {
    const struct intake *intake = refusal->intake;
    struct deadletter_entry entry = {
        .offset = intake->offset ? intake->offset : "-1",
        .index = intake->taken - 1,
        .reason = reason,
        .text = text,
    };
    return keep(refusal, entry, e);
}

bool refusal_pass_over(struct refusal *refusal, enum api_policy policy, struct slice text, struct error *e) {
    struct error failure;
    switch (policy) {
    case POLICY_STOP:
        return false;
    case POLICY_DEADLETTER:
        if (!refusal_keep(refusal, text, e->message, &failure)) {
            *e = failure;
            return false;
        }
        log_write(refusal->log, LOG_WARN, "to the dead letters: %s", e->message);
        break;
    case POLICY_SKIP:
    case POLICY_FUNCTION:
        log_write(refusal->log, LOG_WARN, "skipped: %s", e->message);
        break;
    }
    refusal->passed_over++;
    return true;
}

/* The event that would make the row. */
static bool write_event(const struct sink_row *row, struct buf *text, struct error *e) {
    if (row->op == SINK_EMIT) {
        return buf_append_slice(text, row->value);
    }
    return buf_append_text(text, "{\"type\":") && json_quote(text, row->type, e) &&
           buf_append_text(text, ",\"key\":") && json_quote(text, row->key, e) &&
           (row->op != SINK_PUT ||
            (buf_append_text(text, ",\"value\":") && buf_append_slice(text, row->value))) &&
           buf_append_text(text, ",\"headers\":{\"operation\":\"") &&
           buf_append_text(text, row->op == SINK_PUT ? "upsert" : "delete") && buf_append_text(text, "\"}}");
}

static bool keep_row(struct refusal *refusal, const struct sink_row *row, struct error *e) {
    struct buf text;
    struct error failure;
    buf_init(&text, ROW_MAX);
    char *offset = strndup(row->offset.ptr, row->offset.len);
    bool ok = offset && write_event(row, &text, &failure);
    struct deadletter_entry entry = {
        .offset = offset, .index = row->index, .reason = e->message, .text = buf_slice(&text)};
    if (!ok) {
        error_set(&failure, ERROR_MEMORY, "out of memory for a dead letter");
    }
    ok = ok && keep(refusal, entry, &failure);
    free(offset);
    buf_free(&text);
    if (!ok) {
        *e = failure;
    }
    return ok;
}

bool refusal_of_row(struct refusal *refusal, const struct sink_row *row, struct error *e) {
    switch (refusal->stream->on_invalid) {
    case POLICY_STOP:
    case POLICY_FUNCTION:
        return false;
    case POLICY_DEADLETTER:
        if (!keep_row(refusal, row, e)) {
            return false;
        }
        log_write(refusal->log, LOG_WARN, "to the dead letters: %s", e->message);
        break;
    case POLICY_SKIP:
        log_write(refusal->log, LOG_WARN, "skipped: %s", e->message);
        break;
    }
    refusal->passed_over++;
    return true;
}

static int shown(struct slice name) {
    return (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX);
}

void refusal_name_entity(const struct event *event, struct error *e) {
    if (event && event->type.ptr && event->key.ptr) {
        error_context(e, "%.*s/%.*s", shown(event->type), event->type.ptr, shown(event->key), event->key.ptr);
    }
}
