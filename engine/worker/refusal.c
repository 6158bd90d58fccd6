#include "worker/refusal.h"

#include <stdlib.h>
#include <string.h>

#include "io/url.h"
#include "json/text.h"

enum {
    SHOWN_MAX = 80, /* bytes of a type or key in a message */
    URL_SHOWN_MAX = 4096,
    ROW_MAX = 1 << 30, /* bytes of a row as an event */
};

struct refusal_question {
    struct refusal_question *next;
    bool answered; /* what it holds may be in use until the next one is asked */
    struct sink_row row;
    const struct event *event; /* NULL: it was for a derived stream */
    struct buf text;           /* of the event */
    struct event_decoder decoder;
    char *type, *key, *offset, *message; /* owned */
};

void refusal_init(struct refusal *refusal, struct api_stream *stream, const struct intake *intake,
                  const struct log *log, void (*woken)(void *user), void *user) {
    *refusal = (struct refusal){.stream = stream, .intake = intake, .log = log, .woken = woken, .user = user};
}

static void question_free(struct refusal_question *question) {
    if (question) {
        buf_free(&question->text);
        event_decoder_free(&question->decoder);
        free(question->type);
        free(question->key);
        free(question->offset);
        free(question->message);
        free(question);
    }
}

static struct refusal_question *pop(struct refusal *refusal) {
    struct refusal_question *first = refusal->questions;
    refusal->questions = first->next;
    return first;
}

void refusal_free(struct refusal *refusal) {
    deadletter_close(refusal->letters);
    refusal->letters = NULL;
    while (refusal->questions) {
        question_free(pop(refusal));
    }
}

enum api_policy refusal_policy(const struct refusal *refusal, const char *decision) {
    if (!decision) {
        return refusal->stream->on_invalid;
    }
    return strcmp(decision, "stop") == 0         ? POLICY_STOP
           : strcmp(decision, "deadletter") == 0 ? POLICY_DEADLETTER
                                                 : POLICY_SKIP;
}

/* ---- dead letters ---- */

static void settled(void *user, const struct error *e) {
    struct refusal *refusal = user;
    if (e) {
        refusal->failure = *e;
    }
    refusal->woken(refusal->user);
}

/* What the stream's own requests carry goes along to its own server, and nowhere else. */
static bool open_letters(struct refusal *refusal, struct error *e) {
    struct api_stream *stream = refusal->stream;
    struct deadletter_options options = {
        .target = stream->deadletter,
        .loop = stream->script->loop,
        .http = stream->script->http,
        .log = refusal->log,
        .ca_file = stream->ca_file,
        .limit_ms = stream->outage_limit_ms,
        .user = refusal,
        .settled = settled,
    };
    if (url_same_server(stream->deadletter, stream->url)) {
        options.fields = stream->fields;
        options.field_count = stream->field_count;
        options.hooks = api_hooks_of(&stream->hooks);
        options.hooks.on_error = NULL; /* it judges the stream's requests */
    }
    refusal->letters = deadletter_open(&options, e);
    return refusal->letters != NULL;
}

static const char *setting_of(const struct api_sink *sink, const char *name) {
    for (size_t i = 0; i < sink->setting_count; i++) {
        if (strcmp(sink->settings[i].name, name) == 0) {
            return sink->settings[i].value;
        }
    }
    return NULL;
}

/* The place of `at` is that of the message or row. derived: its text was for that sink, and not for the stream; or
 * NULL. */
static bool keep(struct refusal *refusal, struct deadletter_entry at, const struct api_sink *derived,
                 struct error *e) {
    const struct api_stream *stream = refusal->stream;
    char url[URL_SHOWN_MAX];
    if (!stream->deadletter) {
        return error_set(e, ERROR_ARGUMENT,
                         "%s: \"deadletter\" needs the option deadletter, a file or the URL of a stream",
                         stream->name);
    }
    if (!refusal->letters && !open_letters(refusal, e)) {
        return false;
    }
    const char *from = derived ? setting_of(derived, "url") : stream->url;
    url_redact_marked(from ? from : "", url, sizeof url);
    at.stream = derived ? derived->name : stream->name;
    at.url = from ? url : NULL;
    return deadletter_write(refusal->letters, &at, e);
}

bool refusal_keep(struct refusal *refusal, struct slice text, const char *reason, struct error *e) {
    const struct intake *intake = refusal->intake;
    uint64_t sequence = intake_sequence(intake);
    struct deadletter_entry entry = {
        .offset = intake->offset ? intake->offset : "-1",
        .index = intake->taken - 1,
        .counted = !intake->uncounted && sequence > 0,
        .sequence = sequence - 1,
        .reason = reason,
        .text = text,
    };
    return keep(refusal, entry, NULL, e);
}

static bool has_question(const struct refusal *refusal) {
    const struct refusal_question *first = refusal->questions;
    return first && (!first->answered || first->next);
}

bool refusal_waits(const struct refusal *refusal) {
    return refusal->failure.code != ERROR_NONE || deadletter_waits(refusal->letters) || has_question(refusal);
}

bool refusal_holds(const struct refusal *refusal, struct error *e) {
    if (refusal->failure.code == ERROR_NONE) {
        return true;
    }
    *e = refusal->failure;
    return error_context(e, "%s", refusal->stream->name);
}

/* ---- policies ---- */

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

/* The derived stream that the row was for. NULL: it is none of these. */
static const struct api_sink *derived_of(const struct refusal *refusal, const struct sink_row *row) {
    const struct api_sink_list *sinks = &refusal->stream->sinks;
    for (size_t i = 0; row->op == SINK_EMIT && i < sinks->count; i++) {
        if (slice_is(row->key, sinks->items[i]->name)) {
            return sinks->items[i];
        }
    }
    return NULL;
}

static bool keep_row(struct refusal *refusal, const struct sink_row *row, struct error *e) {
    struct buf text;
    struct error failure;
    buf_init(&text, ROW_MAX);
    char *offset = slice_copy(row->offset);
    bool ok = offset && write_event(row, &text, &failure);
    struct deadletter_entry entry = {
        .offset = offset,
        .index = row->index,
        .counted = true,
        .sequence = row->sequence,
        .reason = e->message,
        .text = buf_slice(&text),
    };
    if (!ok) {
        error_set(&failure, ERROR_MEMORY, "out of memory for a dead letter");
    }
    ok = ok && keep(refusal, entry, derived_of(refusal, row), &failure);
    free(offset);
    buf_free(&text);
    if (!ok) {
        *e = failure;
    }
    return ok;
}

/* ---- rows ---- */

/* What Lua is given of an event lies in its text: so it is decoded from there. */
static bool question_fill(struct refusal_question *question, const struct sink_row *row,
                          const struct error *e) {
    struct error failure;
    buf_init(&question->text, ROW_MAX);
    event_decoder_init(&question->decoder);
    question->type = slice_copy(row->type);
    question->key = slice_copy(row->key);
    question->offset = slice_copy(row->offset);
    question->message = strdup(e->message);
    if (!question->type || !question->key || !question->offset || !question->message ||
        !write_event(row, &question->text, &failure)) {
        return false;
    }
    const char *at = question->text.ptr;
    const char *end = at + question->text.len;
    bool is_event = row->op != SINK_EMIT;
    if (is_event && event_decode(&question->decoder, &at, end, &failure) != MESSAGE_OK) {
        return false;
    }
    question->event = is_event ? question->decoder.event : NULL;
    question->row = *row;
    question->row.type = slice_of(question->type, row->type.len);
    question->row.key = slice_of(question->key, row->key.len);
    question->row.value = is_event ? question->event->value : buf_slice(&question->text);
    question->row.offset = slice_of(question->offset, row->offset.len);
    return true;
}

static bool put_question(struct refusal *refusal, const struct sink_row *row, struct error *e) {
    struct refusal_question **last = &refusal->questions;
    struct refusal_question *question = calloc(1, sizeof *question);
    if (!question || !question_fill(question, row, e)) {
        question_free(question);
        return error_set(e, ERROR_MEMORY, "out of memory for a row that is refused");
    }
    while (*last) {
        last = &(*last)->next;
    }
    *last = question;
    return true;
}

bool refusal_ask(struct refusal *refusal, struct driver_item *item) {
    if (refusal->questions && refusal->questions->answered) {
        question_free(pop(refusal));
    }
    const struct refusal_question *question = refusal->questions;
    if (!question || !refusal->may_ask) {
        return false;
    }
    *item = (struct driver_item){
        .event = question->event,
        .text = buf_slice(&question->text),
        .new_value = question->event ? question->event->value : (struct slice){0},
        .reason = question->message,
    };
    return true;
}

void refusal_locate(const struct refusal *refusal, struct error *e) {
    const struct refusal_question *question = refusal->questions;
    if (question) {
        error_context(e, "%s: offset %s, message %llu", refusal->stream->name, question->offset,
                      (unsigned long long)question->row.index + 1);
    }
}

bool refusal_end(struct refusal *refusal) {
    refusal->may_ask = false;
    return has_question(refusal);
}

static bool pass_over_row(struct refusal *refusal, enum api_policy policy, const struct sink_row *row,
                          struct error *e) {
    if (policy == POLICY_DEADLETTER && !keep_row(refusal, row, e)) {
        return false;
    }
    log_write(refusal->log, LOG_WARN, policy == POLICY_DEADLETTER ? "to the dead letters: %s" : "skipped: %s",
              e->message);
    refusal->passed_over++;
    return true;
}

bool refusal_answer(struct refusal *refusal, const char *decision, struct error *e) {
    struct refusal_question *question = refusal->questions;
    enum api_policy policy = refusal_policy(refusal, decision);
    error_set(e, ERROR_SCHEMA, "%s", question->message);
    if (policy == POLICY_STOP || !pass_over_row(refusal, policy, &question->row, e)) {
        return false;
    }
    question->answered = true;
    if (!refusal_waits(refusal)) {
        refusal->woken(refusal->user);
    }
    return true;
}

bool refusal_of_row(struct refusal *refusal, const struct sink_row *row, struct error *e) {
    enum api_policy policy = refusal->stream->on_invalid;
    if (policy == POLICY_FUNCTION) {
        return refusal->may_ask && put_question(refusal, row, e);
    }
    return policy != POLICY_STOP && pass_over_row(refusal, policy, row, e);
}

static int shown(struct slice name) {
    return (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX);
}

void refusal_name_entity(const struct event *event, struct error *e) {
    if (event && event->type.ptr && event->key.ptr) {
        error_context(e, "%.*s/%.*s", shown(event->type), event->type.ptr, shown(event->key), event->key.ptr);
    }
}
