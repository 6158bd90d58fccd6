#include "worker/refusal.h"

#include <string.h>

enum { SHOWN_MAX = 80 }; /* bytes of a type or key in a message */

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

bool refusal_keep(struct refusal *refusal, struct slice text, const char *reason, struct error *e) {
    const struct api_stream *stream = refusal->stream;
    const struct intake *intake = refusal->intake;
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
    struct deadletter_entry entry = {
        .stream = stream->name,
        .offset = intake->offset ? intake->offset : "-1",
        .index = intake->taken - 1,
        .reason = reason,
        .text = text,
    };
    return deadletter_write(refusal->letters, &entry, e);
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

static int shown(struct slice name) {
    return (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX);
}

void refusal_name_entity(const struct event *event, struct error *e) {
    if (event && event->type.ptr && event->key.ptr) {
        error_context(e, "%.*s/%.*s", shown(event->type), event->type.ptr, shown(event->key), event->key.ptr);
    }
}
