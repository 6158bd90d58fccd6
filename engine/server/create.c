/* Creates streams and forks (PROTOCOL.md 4.2, 5.1). */
#include <stdlib.h>
#include <string.h>

#include "server/commit.h"
#include "server/messages.h"
#include "server/read.h"
#include "server/set.h"

static const struct slice type_default = SLICE_INIT("application/octet-stream");

/* Making one */

static bool make_parts(struct stream *stream, const struct change *change, struct stream *source,
                       struct slice payload) {
    struct streams *set = stream->set;
    content_init(&stream->content, change->position);
    if (source) {
        stream->fork = malloc(sizeof *stream->fork);
        if (!stream->fork) {
            return false;
        }
        *stream->fork = (struct fork){source, change->anchor, change->sub};
    }
    return names_reserve(&set->names) && expiry_reserve(set) &&
           (payload.len == 0 || content_reserve(&stream->content, change->position, payload.len));
}

struct stream *stream_make(struct streams *set, const struct change *change, struct stream *source,
                           struct slice payload) {
    const struct kind *kind = set_kind(set, change->type);
    struct stream *stream = kind ? calloc(1, sizeof *stream + change->path.len) : NULL;
    if (!stream) {
        return NULL;
    }
    stream->set = set;
    stream->id = change->id;
    stream->hash = set_hash(set, change->path);
    stream->kind = kind;
    stream->base = stream->tail = stream->sealed = stream->staged = change->position;
    stream->ttl_ms = change->ttl_ms;
    stream->expires_ms = change->expires_ms;
    stream->has_ttl = change->flags & CHANGE_TTL;
    stream->has_expires = change->flags & CHANGE_EXPIRES;
    stream->expiring = STREAM_UNLISTED;
    stream->refs = 1;
    stream->path_len = (uint32_t)change->path.len;
    memcpy(stream->path, change->path.ptr, change->path.len);
    if (!make_parts(stream, change, source, payload)) {
        stream_drop(stream);
        return NULL;
    }
    return stream;
}

void stream_enter(struct stream *stream, const struct change *change, struct slice payload) {
    struct streams *set = stream->set;
    names_add(&set->names, stream->hash, stream);
    if (stream->fork) {
        stream->fork->source->forks++;
    }
    stream->touched_ms = set_now(set);
    expiry_add(stream);
    content_append(&stream->content, payload);
    stream->staged += payload.len;
    stream->staged_closed = change->flags & CHANGE_CLOSE;
    set->bytes += payload.len;
    if (set->last_id < stream->id) {
        set->last_id = stream->id;
    }
}

/* Judging */

struct birth {
    struct streams *set;
    const struct stream_create *create;
    struct stream_result *result;
    struct stream_offset offset; /* the fork's */
    struct stream *source;
    struct change change;
    struct slice payload;
};

static enum stream_status refuse(const struct birth *birth, enum stream_status status, const char *reason) {
    return set_answer(birth->result, status, NULL, reason);
}

static enum stream_status check_request(struct birth *birth) {
    const struct stream_create *create = birth->create;
    if (create->path.len == 0 || create->path.len > STREAM_PATH_MAX) {
        return refuse(birth, STREAM_BAD_REQUEST, "the path is empty or longer than 4096 bytes");
    }
    if (create->type.ptr && create->type.len > STREAM_TYPE_MAX) {
        return refuse(birth, STREAM_BAD_REQUEST, "Content-Type is longer than 256 bytes");
    }
    if (create->has_ttl && create->has_expires) {
        return refuse(birth, STREAM_BAD_REQUEST, "send Stream-TTL or Stream-Expires-At, not both");
    }
    if (create->has_ttl && create->ttl_s > UINT64_MAX / 2000) {
        return refuse(birth, STREAM_BAD_REQUEST, "Stream-TTL is too large");
    }
    if (!create->source.ptr && create->has_fork_sub) {
        return refuse(birth, STREAM_BAD_SUB_OFFSET, "Stream-Fork-Sub-Offset needs Stream-Forked-From");
    }
    if (!create->source.ptr && create->fork_offset.ptr) {
        return refuse(birth, STREAM_BAD_OFFSET, "Stream-Fork-Offset needs Stream-Forked-From");
    }
    if (create->fork_offset.ptr && !stream_offset_parse(create->fork_offset, &birth->offset)) {
        return refuse(birth, STREAM_BAD_OFFSET, "Stream-Fork-Offset is no offset of this server");
    }
    if (!create->fork_offset.ptr) {
        birth->offset.kind = STREAM_OFFSET_NOW;
    }
    if (create->body.len > birth->set->options.max_append) {
        return refuse(birth, STREAM_TOO_LARGE, "the body is larger than one append may be");
    }
    return STREAM_OK;
}

struct lifetime {
    bool has_ttl, has_expires;
    uint64_t ttl_ms, expires_ms;
};

/* What is asked for; a fork that asks for nothing has its source's. */
static struct lifetime lifetime_of(const struct stream_create *create, const struct stream *source) {
    if (source && !create->has_ttl && !create->has_expires) {
        return (struct lifetime){source->has_ttl, source->has_expires, source->ttl_ms, source->expires_ms};
    }
    return (struct lifetime){create->has_ttl, create->has_expires, create->ttl_s * 1000, create->expires_ms};
}

static bool same_lifetime(const struct stream *stream, const struct stream_create *create) {
    struct lifetime asked = lifetime_of(create, stream->fork ? stream->fork->source : NULL);
    return stream->has_ttl == asked.has_ttl && stream->has_expires == asked.has_expires &&
           (!asked.has_ttl || stream->ttl_ms == asked.ttl_ms) &&
           (!asked.has_expires || stream->expires_ms == asked.expires_ms);
}

static bool same_origin(const struct stream *stream, const struct birth *birth) {
    const struct stream_create *create = birth->create;
    if (!stream->fork || !create->source.ptr) {
        return !stream->fork && !create->source.ptr;
    }
    return slice_equal(stream_path(stream->fork->source), create->source) &&
           (birth->offset.kind == STREAM_OFFSET_NOW || stream->fork->anchor == birth->offset.position) &&
           stream->fork->sub == create->fork_sub;
}

static bool same_type(const struct stream *stream, const struct stream_create *create) {
    return (!create->type.ptr && create->source.ptr) ||
           kind_fits(stream->kind, create->type.ptr ? create->type : type_default);
}

/* Something is at the path: STREAM_NOT_FOUND where it is not, after all. */
static enum stream_status judge_existing(const struct birth *birth, struct stream_wait *wait) {
    enum stream_status status;
    struct stream *stream = set_lookup(birth->set, birth->create->path, &status);
    if (status == STREAM_GONE) {
        return refuse(birth, STREAM_EXISTS_OTHERWISE, "the stream is deleted, but forks of it remain");
    }
    if (!stream) {
        return set_find(birth->set, birth->create->path)
                   ? refuse(birth, STREAM_BUSY, "the expired stream cannot be removed yet")
                   : STREAM_NOT_FOUND;
    }
    if (!same_type(stream, birth->create) || !same_lifetime(stream, birth->create) ||
        !same_origin(stream, birth) || stream->staged_closed != birth->create->closed) {
        return refuse(birth, STREAM_EXISTS_OTHERWISE, "the stream exists with another configuration");
    }
    set_answer(birth->result, STREAM_EXISTS, stream, NULL);
    return commit_finish(stream, wait, birth->result);
}

/* Where the fork leaves its source. */
static enum stream_status find_fork_point(struct birth *birth) {
    struct change *change = &birth->change;
    uint64_t sub = birth->create->fork_sub;
    change->anchor = stream_position(birth->source, &birth->offset);
    change->sub = sub;
    if (change->anchor > birth->source->tail) {
        return refuse(birth, STREAM_BAD_OFFSET, "Stream-Fork-Offset is past the source's tail");
    }
    enum stream_status status = read_check(birth->source, change->anchor);
    if (status != STREAM_OK) {
        return refuse(birth, status, "Stream-Fork-Offset is not between two messages");
    }
    status = read_skip(birth->source, change->anchor, sub, &change->position);
    if (status != STREAM_OK) {
        return refuse(birth, status, "Stream-Fork-Sub-Offset is past the source's tail");
    }
    return STREAM_OK;
}

static enum stream_status judge_source(struct birth *birth) {
    const struct stream_create *create = birth->create;
    enum stream_status status;
    if (!create->source.ptr) {
        birth->change.type = create->type.ptr ? create->type : type_default;
        return STREAM_OK;
    }
    struct stream *source = birth->source = set_lookup(birth->set, create->source, &status);
    if (!source) {
        return status == STREAM_GONE
                   ? refuse(birth, STREAM_SOURCE_GONE, "the source stream is deleted")
                   : refuse(birth, STREAM_SOURCE_NOT_FOUND, "there is no such source stream");
    }
    if (create->type.ptr && !kind_fits(source->kind, create->type)) {
        return refuse(birth, STREAM_TYPE_MISMATCH, "the fork's content type is not its source's");
    }
    birth->change.type = create->type.ptr ? create->type : slice_of(source->kind->bytes, source->kind->len);
    birth->change.source = source->id;
    return find_fork_point(birth);
}

static void set_lifetime(struct birth *birth) {
    struct lifetime life = lifetime_of(birth->create, birth->source);
    struct change *change = &birth->change;
    if (life.has_ttl) {
        change->flags |= CHANGE_TTL;
        change->ttl_ms = life.ttl_ms;
    }
    if (life.has_expires) {
        change->flags |= CHANGE_EXPIRES;
        change->expires_ms = life.expires_ms;
    }
}

static enum stream_status judge_body(struct birth *birth) {
    struct streams *set = birth->set;
    const struct kind *kind = set_kind(set, birth->change.type);
    birth->payload = birth->create->body.ptr ? birth->create->body : slice_of("", 0);
    if (!kind) {
        return set_has_kinds(set)
                   ? refuse(birth, STREAM_FULL, "the server knows as many content types as it may")
                   : refuse(birth, STREAM_FAILED, "out of memory");
    }
    if (kind->json && birth->payload.len > 0) {
        buf_clear(&set->stored);
        struct stream_result *result = birth->result;
        enum messages_status status = messages_store(birth->payload, &set->stored, &result->reason,
                                                     &result->position);
        if (status != MESSAGES_OK) {
            return refuse(birth, status == MESSAGES_BAD ? STREAM_BAD_JSON : STREAM_FAILED,
                          status == MESSAGES_BAD ? result->reason : "out of memory");
        }
        birth->payload = buf_slice(&set->stored);
    }
    if (set->names.count >= set->options.max_streams) {
        return refuse(birth, STREAM_FULL, "the server has as many streams as it may have");
    }
    if (birth->payload.len > 0 && set->bytes + birth->payload.len > set->options.max_bytes) {
        return refuse(birth, STREAM_FULL, "the server stores as many bytes as it may store");
    }
    return STREAM_OK;
}

static enum stream_status bear(struct birth *birth, struct stream_wait *wait) {
    struct streams *set = birth->set;
    struct change *change = &birth->change;
    change->kind = RECORD_CREATE;
    change->id = set->last_id + 1;
    change->path = birth->create->path;
    change->created_ms = set_now(set);
    change->flags |= birth->create->closed ? CHANGE_CLOSE : 0;
    struct stream *stream = stream_make(set, change, birth->source, birth->payload);
    if (!stream) {
        return refuse(birth, STREAM_FAILED, "out of memory");
    }
    enum stream_status status = commit_prepare(set, change, birth->payload);
    if (status != STREAM_OK) {
        stream_drop(stream);
        return refuse(birth, status, commit_refusal(status));
    }
    stream_enter(stream, change, birth->payload);
    commit_add(stream);
    set_answer(birth->result, STREAM_CREATED, stream, NULL);
    return commit_finish(stream, wait, birth->result);
}

enum stream_status streams_create(struct streams *set, const struct stream_create *create,
                                  struct stream_wait *wait, struct stream_result *result) {
    struct birth birth = {.set = set, .create = create, .result = result};
    *result = (struct stream_result){0};
    enum stream_status status = check_request(&birth);
    if (status != STREAM_OK) {
        return status;
    }
    status = judge_existing(&birth, wait);
    if (status != STREAM_NOT_FOUND) {
        return status;
    }
    status = judge_source(&birth);
    if (status != STREAM_OK) {
        return status;
    }
    set_lifetime(&birth);
    status = judge_body(&birth);
    return status == STREAM_OK ? bear(&birth, wait) : status;
}
