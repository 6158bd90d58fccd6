#include "sink/once.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/buf.h"
#include "io/url.h"
#include "sink/claim.h"
#include "stream/call.h"
#include "stream/fields.h"

enum { LIMIT_MS = 10 * 60 * 1000, SHOWN_MAX = 256, BODY_KEEP = 1 << 20 };

/* In the byte order of Stream-Seq before whatever else is likely to be used there: others' appends are not refused for
 * ours. 16 digits: all positions, so that their order is that of the numbers. */
#define ORDER_PREFIX "!weir-"

struct once {
    struct once_options o; /* its texts are the copies below */
    char *url, *ca_file, *id;
    char shown[SHOWN_MAX]; /* the URL, for messages */
    struct fields fields;
    struct call *call; /* NULL: none under way */
    bool creating;
    struct buf body;
    struct claims claims;
    struct claim claim; /* of what was sent last */
    bool stored;        /* something, by this one */
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

bool once_may_group(const struct once *once, uint64_t first) {
    return claims_may_group(&once->claims, first);
}

bool once_has(const struct once *once, uint64_t position, uint64_t part) {
    return claims_has(&once->claims, position, part);
}

bool once_is_past(const struct once *once, uint64_t position) {
    return claims_is_past(&once->claims, position);
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
    return result->status == 403 && result->has_epoch && result->epoch > claim_epoch(&once->claim);
}

/* 409, and neither the producer nor the stream's state is why. */
static bool is_taken(const struct once *once, const struct call_result *result, const struct error *e) {
    return once->claim.ordered && e->code == ERROR_CONFLICT && e->status == 409 && !result->has_expected;
}

static bool take_success(struct once *once, const struct call_result *result, enum claim_answer *answer,
                         uint64_t *number, struct error *e) {
    if (!result->has_epoch) {
        return error_set(
            e, ERROR_CONFLICT,
            "%s: the server does not tell one append of a producer from another (its answer has no "
            "Producer-Epoch): nothing can be stored there exactly once",
            once->shown);
    }
    *answer = result->status == 204 ? CLAIM_BEFORE : CLAIM_STORED;
    *number = result->has_seq ? result->seq : 0;
    once->stored = once->stored || *answer == CLAIM_STORED;
    return true;
}

/* What the server said of what was sent. False with e: nothing of use. */
static bool take_answer(struct once *once, const struct call_result *result, enum claim_answer *answer,
                        uint64_t *number, struct error *e) {
    if (is_behind(once, result)) {
        *answer = CLAIM_BEHIND;
        *number = result->epoch;
        warn(once);
        return true;
    }
    if (is_taken(once, result, e)) {
        *answer = CLAIM_TAKEN;
        return true;
    }
    if (e->code == ERROR_CONFLICT && result->has_expected) {
        return error_set(
            e, ERROR_CONFLICT,
            "%s: the server has forgotten a part of what it had stored for the producer %s: expected its "
            "append %" PRIu64 ", it waits for %" PRIu64,
            once->shown, once->id, once->claim.part, result->expected_seq);
    }
    return e->code == ERROR_NONE && take_success(once, result, answer, number, e);
}

static void on_appended(void *user, const struct call_result *result, const struct error *e) {
    struct once *once = user;
    struct error why = *e;
    enum claim_answer answer = CLAIM_STORED;
    uint64_t number = 0;
    once->call = NULL;
    buf_clear(&once->body);
    buf_shrink(&once->body, BODY_KEEP);
    if (!take_answer(once, result, &answer, &number, &why)) {
        once->o.done(once->o.user, false, &why);
        return;
    }
    claims_learn(&once->claims, &once->claim, answer, number);
    once->o.done(once->o.user, answer != CLAIM_TAKEN, NULL);
}

static bool send_claim(struct once *once, struct error *e) {
    const struct claim *claim = &once->claim;
    char epoch[24];
    char seq[24];
    char order[32];
    snprintf(epoch, sizeof epoch, "%" PRIu64, claim_epoch(claim));
    snprintf(seq, sizeof seq, "%" PRIu64, claim->part);
    snprintf(order, sizeof order, ORDER_PREFIX "%016" PRIu64, claim->order);
    struct call_options options = {
        .kind = CALL_APPEND,
        .content_type = "application/json",
        .body = buf_slice(&once->body),
        .producer_id = once->id,
        .producer_epoch = epoch,
        .producer_seq = seq,
        .stream_seq = claim->ordered ? order : NULL,
    };
    return start(once, options, on_appended, e);
}

bool once_append(struct once *once, const struct once_values *values, struct error *e) {
    if (values->last > ONCE_POSITION_MAX) {
        return error_set(e, ERROR_LIMIT, "%s: more messages than a producer can number", once->shown);
    }
    once->claim = claims_make(&once->claims, values->first, values->last, values->part);
    buf_clear(&once->body);
    if (!buf_append_byte(&once->body, '[') || !buf_append_slice(&once->body, values->json) ||
        !buf_append_byte(&once->body, ']')) {
        return buf_error(&once->body, e, "one append", NULL);
    }
    return send_claim(once, e);
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
