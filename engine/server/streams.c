/* Opens, closes and looks up. */
#include "server/streams.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

#include "server/checkpoint.h"
#include "server/commit.h"
#include "server/files.h"
#include "server/recover.h"
#include "server/set.h"

enum { KINDS_MAX = 10000 };

/* Names and kinds */

uint64_t set_hash(const struct streams *set, struct slice path) {
    return XXH3_64bits_withSeed(path.ptr, path.len, set->seed);
}

static bool has_path(const void *value, const void *key) {
    const struct slice *path = key;
    return slice_equal(stream_path(value), *path);
}

struct stream *set_find(const struct streams *set, struct slice path) {
    return names_find(&set->names, set_hash(set, path), has_path, &path);
}

struct stream *set_lookup(struct streams *set, struct slice path, enum stream_status *status) {
    struct stream *stream = set_find(set, path);
    *status = STREAM_NOT_FOUND;
    if (!stream) {
        return NULL;
    }
    if (!stream->deleted && stream_expired(stream)) {
        *status = stream->forks > 0 ? STREAM_GONE : STREAM_NOT_FOUND;
        stream_expire(stream);
        return NULL;
    }
    *status = stream->deleted ? STREAM_GONE : STREAM_OK;
    return stream->deleted ? NULL : stream;
}

/* A content type without its parameters: what two are compared by. */
static struct slice plain_of(struct slice type) {
    size_t len = 0;
    while (type.len > 0 && (*type.ptr == ' ' || *type.ptr == '\t')) {
        type = slice_of(type.ptr + 1, type.len - 1);
    }
    while (len < type.len && type.ptr[len] != ';') {
        len++;
    }
    while (len > 0 && (type.ptr[len - 1] == ' ' || type.ptr[len - 1] == '\t')) {
        len--;
    }
    return slice_of(type.ptr, len);
}

bool kind_fits(const struct kind *kind, struct slice type) {
    struct slice plain = plain_of(type);
    return plain.len == kind->plain_len && strncasecmp(plain.ptr, kind->bytes + kind->len, plain.len) == 0;
}

bool set_has_kinds(const struct streams *set) {
    return set->kinds.count >= KINDS_MAX;
}

const struct kind *set_kind(struct streams *set, struct slice type) {
    struct kind *kind = strmap_get(&set->kinds, type);
    if (kind) {
        return kind;
    }
    struct slice plain = plain_of(type);
    kind = !set_has_kinds(set) ? malloc(sizeof *kind + type.len + plain.len) : NULL;
    if (!kind) {
        return NULL;
    }
    char *lower = kind->bytes + type.len;
    memcpy(kind->bytes, type.ptr, type.len);
    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.ptr[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    kind->len = (uint32_t)type.len;
    kind->plain_len = (uint32_t)plain.len;
    kind->json = slice_is(slice_of(lower, plain.len), "application/json");
    kind->text = kind->json || (plain.len > 5 && memcmp(lower, "text/", 5) == 0);
    if (!strmap_put(&set->kinds, type, kind)) {
        free(kind);
        return NULL;
    }
    return kind;
}

/* Statuses */

const char *stream_status_name(enum stream_status status) {
    static const char *const names[] = {
        "ok",
        "waiting",
        "created",
        "exists",
        "duplicate",
        "not-found",
        "gone",
        "source-not-found",
        "source-gone",
        "exists-otherwise",
        "closed",
        "type-mismatch",
        "seq-regression",
        "producer-gap",
        "producer-stale",
        "producer-start",
        "empty-body",
        "empty-array",
        "bad-json",
        "bad-offset",
        "bad-sub-offset",
        "bad-request",
        "too-large",
        "full",
        "busy",
        "failed",
    };
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "?";
}

enum stream_status set_answer(struct stream_result *result, enum stream_status status,
                              const struct stream *stream, const char *reason) {
    result->status = status;
    result->reason = reason;
    if (stream) {
        result->tail = stream->staged;
        result->closed = stream->staged_closed;
        result->type = slice_of(stream->kind->bytes, stream->kind->len);
    }
    return status;
}

/* Opening and closing */

static uint64_t real_time(void *user) {
    struct timespec now;
    (void)user;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void fill_options(struct streams_options *options) {
    const size_t mb = 1024 * 1024;
    options->max_streams = options->max_streams ? options->max_streams : 1000000;
    options->max_append = options->max_append ? options->max_append : 64 * mb;
    options->max_read = options->max_read ? options->max_read : mb;
    options->max_pending = options->max_pending ? options->max_pending : 128 * mb;
    options->checkpoint_bytes = options->checkpoint_bytes ? options->checkpoint_bytes : 64 * mb;
    options->clock = options->clock ? options->clock : real_time;
    if (!options->max_bytes) {
        options->max_bytes = options->folder ? UINT64_MAX : 1024 * mb;
    }
    /* A record holds one body, which as JSON may be longer when it is stored. */
    const size_t most = RECORD_BODY_MAX / 4;
    options->max_append = options->max_append < most ? options->max_append : most;
}

static bool open_folder(struct streams *set, struct error *e) {
    set->folder = folder_open(set->options.folder, e);
    if (!set->folder) {
        return false;
    }
    if (!files_init(set) || !checkpoint_init(set) || !commit_init(set)) {
        return error_set(e, ERROR_MEMORY, "out of memory");
    }
    return recover_folder(set, e);
}

struct streams *streams_open(struct loop *loop, const struct streams_options *options, struct error *e) {
    struct streams *set = calloc(1, sizeof *set);
    if (!set) {
        error_set(e, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    set->loop = loop;
    if (getrandom(&set->seed, sizeof set->seed, GRND_NONBLOCK) < 0) {
        set->seed = uv_hrtime();
    }
    set->options = *options;
    fill_options(&set->options);
    strmap_init(&set->kinds);
    buf_init(&set->stored, set->options.max_append * 2 + 16);
    notify_init(set);
    expiry_init(set);
    bool opened = true;
    if (options->folder) {
        opened = open_folder(set, e);
    } else if (!commit_init(set)) {
        opened = error_set(e, ERROR_MEMORY, "out of memory");
    }
    if (!opened) {
        streams_close(set);
        return NULL;
    }
    return set;
}

static void stream_free(struct stream *stream) {
    files_close(stream);
    content_free(&stream->content);
    writers_free(stream->writers);
    free(stream->fork);
    free(stream);
}

void stream_drop(struct stream *stream) {
    if (--stream->refs == 0) {
        stream_free(stream);
    }
}

static void free_set(struct loop_timer *timer) {
    free(timer->task.owner);
}

void streams_close(struct streams *set) {
    if (!set) {
        return;
    }
    set->closing = true;
    if (set->commit.next) {
        commit_close(set);
    }
    checkpoint_end(set);
    notify_close(set);
    size_t at = 0;
    for (struct stream *stream = names_next(&set->names, &at); stream;
         stream = names_next(&set->names, &at)) {
        stream_drop(stream);
    }
    names_free(&set->names);
    files_free(set);
    strmap_free(&set->kinds, free);
    buf_free(&set->stored);
    free(set->expiring);
    folder_close(set->folder);
    expiry_close(set, free_set);
}

bool streams_busy(const struct streams *set) {
    return commit_waiting(set);
}

size_t streams_count(const struct streams *set) {
    return set->names.count;
}

uint64_t streams_bytes(const struct streams *set) {
    return set->bytes;
}

/* Looking */

void stream_info(const struct stream *stream, struct stream_info *info) {
    const struct kind *kind = stream->kind;
    *info = (struct stream_info){
        .type = slice_of(kind->bytes, kind->len),
        .json = kind->json,
        .text = kind->text,
        .tail = stream->tail,
        .closed = stream->closed,
        .has_ttl = stream->has_ttl,
        .has_expires = stream->has_expires,
        .ttl_s = stream->ttl_ms / 1000,
        .expires_ms = stream->expires_ms,
        .id = stream->id,
    };
}

enum stream_status streams_head(struct streams *set, struct slice path, struct stream_info *info) {
    enum stream_status status;
    struct stream *stream = set_lookup(set, path, &status);
    if (stream) {
        stream_info(stream, info);
    }
    return status;
}

enum stream_status streams_get(struct streams *set, struct slice path, struct stream **stream) {
    enum stream_status status;
    *stream = set_lookup(set, path, &status);
    if (*stream) {
        stream_touch(*stream);
    }
    return status;
}
