#include "sink/once.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/buf.h"
#include "io/url.h"
#include "stream/call.h"
#include "stream/fields.h"

enum { LIMIT_MS = 10 * 60 * 1000, SHOWN_MAX = 256, BODY_KEEP = 1 << 20 };

struct once {
    struct once_options o; /* its texts are the copies below */
    char *url, *ca_file, *id;
    char shown[SHOWN_MAX]; /* the URL, for messages */
    struct fields fields;
    struct call *call; /* NULL: none under way */
    bool creating;
    struct buf body;
    uint64_t epoch, seq; /* of what was sent last */

    bool known; /* something is known to be stored: */
    uint64_t known_epoch, known_seq;
    bool stored; /* by this one */
    bool warned;
};

/* ---- requests ---- */

static bool start(struct once *once, struct call_options options, call_done *done, struct error *e) {
    options.loop = once->o.loop;
    options.http = once->o.http;
    options.log = once->o.log;
    options.url = once->url;
    options.fields = once->fields.headers;
    options.field_count = once->fields.header_count;
    options.ca_file = once->ca_file;
    options.limit_ms = once->o.limit_ms;
    options.done = done;
    options.user = once;
    once->call = call_start(&options, e);
    return once->call != NULL;
}

/* ---- opening ---- */

static void on_opened(void *user, const struct call_result *result, const struct error *e);

static bool is_json(struct slice content_type) {
    static const char json[] = "application/json";
    size_t len = 0;
    while (len < content_type.len && !strchr("; \t", content_type.ptr[len])) {
        len++;
    }
    return len == sizeof json - 1 && strncasecmp(content_type.ptr, json, len) == 0;
}

/* What a stream has to be to be written to. */
static bool judge(const struct once *once, const struct call_result *result, struct error *e) {
    if (result->closed) {
        return error_set(e, ERROR_CLOSED, "%s: the stream is closed: it takes no appends", once->shown);
    }
    if (result->content_type.ptr && !is_json(result->content_type)) {
        return error_set(e, ERROR_CONFLICT, "%s: its content type is %.*s, expected application/json",
                         once->shown, (int)result->content_type.len, result->content_type.ptr);
    }
    return true;
}

static bool create(struct once *once, struct error *e) {
    once->creating = true;
    return start(once, (struct call_options){.kind = CALL_CREATE, .content_type = "application/json"},
                 on_opened, e);
}

static void on_opened(void *user, const struct call_result *result, const struct error *e) {
    struct once *once = user;
    struct error why = *e;
    bool missing = e->code == ERROR_NOT_FOUND && !once->creating;
    once->call = NULL;
    if (missing && once->o.create) {
        if (create(once, &why)) {
            return;
        }
    } else if (e->code == ERROR_NONE && !once->creating) {
        judge(once, result, &why);
    } else if (e->code == ERROR_NONE) {
        log_write(once->o.log, LOG_INFO, "%s: %s", once->shown, result->created ? "created" : "is there");
    }
    once->o.opened(once->o.user, why.code == ERROR_NONE ? NULL : &why);
}

/* ---- appending ---- */

static void learn(struct once *once, uint64_t epoch, uint64_t seq) {
    if (!once->known || epoch > once->known_epoch || (epoch == once->known_epoch && seq > once->known_seq)) {
        once->known = true;
        once->known_epoch = epoch;
        once->known_seq = seq;
    }
}

bool once_has(const struct once *once, uint64_t position, uint64_t part) {
    uint64_t epoch = position + 1;
    return once->known &&
           (epoch < once->known_epoch || (epoch == once->known_epoch && part <= once->known_seq));
}

bool once_is_past(const struct once *once, uint64_t position) {
    return once->known && position + 1 < once->known_epoch;
}

static void warn(struct once *once) {
    if (once->stored && !once->warned) {
        once->warned = true;
        log_write(once->o.log, LOG_WARN,
                  "%s: another worker appends the same under the producer %s: what both make is stored once, "
                  "but one "
                  "worker is enough",
                  once->shown, once->id);
    }
}

/* 403: the server has something of a later position. */
static bool is_behind(const struct once *once, const struct call_result *result) {
    return result->status == 403 && result->has_epoch && result->epoch > once->epoch;
}

/* What the server said about what is stored. Fills e where it is not known to be. */
static bool take_answer(struct once *once, const struct call_result *result, bool *before, struct error *e) {
    *before = true;
    if (is_behind(once, result)) {
        learn(once, result->epoch, 0);
        warn(once);
        error_clear(e);
        return true;
    }
    if (e->code == ERROR_CONFLICT && result->has_expected) {
        return error_set(
            e, ERROR_CONFLICT,
            "%s: the server has forgotten a part of what it had stored for the producer %s: expected its "
            "append %" PRIu64 ", it waits for %" PRIu64,
            once->shown, once->id, once->seq, result->expected_seq);
    }
    if (e->code != ERROR_NONE) {
        return false;
    }
    if (!result->has_epoch) {
        return error_set(
            e, ERROR_CONFLICT,
            "%s: the server does not tell one append of a producer from another (its answer has no "
            "Producer-Epoch): nothing can be stored there exactly once",
            once->shown);
    }
    *before = result->status == 204;
    once->stored = once->stored || !*before;
    learn(once, once->epoch, result->has_seq && result->seq > once->seq ? result->seq : once->seq);
    return true;
}

static void on_appended(void *user, const struct call_result *result, const struct error *e) {
    struct once *once = user;
    struct error why = *e;
    bool before = false;
    once->call = NULL;
    buf_clear(&once->body);
    buf_shrink(&once->body, BODY_KEEP);
    bool ok = take_answer(once, result, &before, &why);
    once->o.done(once->o.user, before, ok ? NULL : &why);
}

bool once_append(struct once *once, uint64_t position, uint64_t part, struct slice values, struct error *e) {
    char epoch[24];
    char seq[24];
    if (position > ONCE_POSITION_MAX) {
        return error_set(e, ERROR_LIMIT, "%s: more messages than a producer can number", once->shown);
    }
    once->epoch = position + 1;
    once->seq = part;
    snprintf(epoch, sizeof epoch, "%" PRIu64, once->epoch);
    snprintf(seq, sizeof seq, "%" PRIu64, once->seq);
    buf_clear(&once->body);
    if (!buf_append_byte(&once->body, '[') || !buf_append_slice(&once->body, values) ||
        !buf_append_byte(&once->body, ']')) {
        return buf_error(&once->body, e, "one append", NULL);
    }
    struct call_options options = {
        .kind = CALL_APPEND,
        .content_type = "application/json",
        .body = buf_slice(&once->body),
        .producer_id = once->id,
        .producer_epoch = epoch,
        .producer_seq = seq,
    };
    return start(once, options, on_appended, e);
}

/* ---- life ---- */

static char *copy(const char *text) {
    return text ? strdup(text) : NULL;
}

static bool fill(struct once *once, const struct once_options *options, struct error *e) {
    once->o = *options;
    once->o.limit_ms = options->limit_ms ? options->limit_ms : LIMIT_MS;
    once->url = copy(options->url);
    once->ca_file = copy(options->ca_file);
    once->id = copy(options->id);
    if (!once->url || !once->id || (options->ca_file && !once->ca_file)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a producer");
    }
    url_redact(options->url, once->shown, sizeof once->shown);
    return fields_headers(&once->fields, options->fields, options->field_count, e);
}

struct once *once_new(const struct once_options *options, struct error *e) {
    struct once *once = calloc(1, sizeof *once);
    if (!once) {
        error_set(e, ERROR_MEMORY, "out of memory for a producer");
        return NULL;
    }
    fields_init(&once->fields);
    buf_init(&once->body, (size_t)1 << 30);
    if (!fill(once, options, e) || !start(once, (struct call_options){.kind = CALL_HEAD}, on_opened, e)) {
        once_free(once);
        return NULL;
    }
    return once;
}

void once_free(struct once *once) {
    if (!once) {
        return;
    }
    call_cancel(once->call);
    fields_free(&once->fields);
    buf_free(&once->body);
    free(once->url);
    free(once->ca_file);
    free(once->id);
    free(once);
}

void once_id(char out[ONCE_ID], const char *prefix, const char *stream, const char *target) {
    XXH128_hash_t hash = XXH3_128bits(stream, strlen(stream));
    XXH128_hash_t both = XXH3_128bits_withSeed(target, strlen(target), hash.high64 ^ hash.low64);
    snprintf(out, ONCE_ID, "%.24s-%016" PRIx64 "%016" PRIx64, prefix, both.high64, both.low64);
}
