#include "server/change.h"

/* Absent and empty slices are told apart by this. */
#define ABSENT UINT32_MAX

static bool put_u64(struct buf *out, uint64_t value) {
    char bytes[8];
    record_put_u64(bytes, value);
    return buf_append(out, bytes, sizeof bytes);
}

static bool put_slice(struct buf *out, struct slice s) {
    char bytes[4];
    record_put_u32(bytes, s.ptr ? (uint32_t)s.len : ABSENT);
    return buf_append(out, bytes, sizeof bytes) && (!s.ptr || buf_append_slice(out, s));
}

static bool get_u64(struct slice *from, uint64_t *value) {
    if (from->len < 8) {
        return false;
    }
    *value = record_get_u64(from->ptr);
    *from = slice_of(from->ptr + 8, from->len - 8);
    return true;
}

static bool get_slice(struct slice *from, struct slice *s) {
    if (from->len < 4) {
        return false;
    }
    uint32_t len = record_get_u32(from->ptr);
    *from = slice_of(from->ptr + 4, from->len - 4);
    if (len == ABSENT) {
        *s = slice_of(NULL, 0);
        return true;
    }
    if (len > from->len) {
        return false;
    }
    *s = slice_of(from->ptr, len);
    *from = slice_of(from->ptr + len, from->len - len);
    return true;
}

bool change_encode_writer(struct buf *out, const struct change_writer *writer) {
    return put_slice(out, writer->name) && put_u64(out, writer->epoch) && put_u64(out, writer->seq);
}

static bool get_writer(struct slice *from, struct change_writer *writer) {
    return get_slice(from, &writer->name) && get_u64(from, &writer->epoch) && get_u64(from, &writer->seq);
}

bool change_writer_next(struct slice *rest, struct change_writer *writer) {
    return get_writer(rest, writer) && writer->name.ptr;
}

static bool put_birth(struct buf *out, const struct change *c) {
    return put_u64(out, c->position) && put_slice(out, c->path) && put_slice(out, c->type) &&
           put_u64(out, c->ttl_ms) && put_u64(out, c->expires_ms) && put_u64(out, c->created_ms) &&
           put_u64(out, c->source) && put_u64(out, c->anchor) && put_u64(out, c->sub);
}

static bool get_birth(struct slice *from, struct change *c) {
    return get_u64(from, &c->position) && get_slice(from, &c->path) && get_slice(from, &c->type) &&
           get_u64(from, &c->ttl_ms) && get_u64(from, &c->expires_ms) && get_u64(from, &c->created_ms) &&
           get_u64(from, &c->source) && get_u64(from, &c->anchor) && get_u64(from, &c->sub) && c->path.ptr &&
           c->path.len > 0 && c->type.ptr;
}

bool change_encode(struct buf *out, const struct change *c) {
    if (!put_u64(out, c->id)) {
        return false;
    }
    switch (c->kind) {
    case RECORD_CREATE:
        return put_birth(out, c);
    case RECORD_APPEND:
        return put_u64(out, c->position) && put_slice(out, c->seq) && change_encode_writer(out, &c->writer);
    case RECORD_HEAD:
        return put_slice(out, c->path) && put_slice(out, c->type);
    case RECORD_STATE:
        return put_birth(out, c) && put_slice(out, c->seq) && change_encode_writer(out, &c->writer) &&
               put_u64(out, c->tail) && put_u64(out, c->stored) && put_u64(out, c->file_end) &&
               put_u64(out, c->writers) && buf_append_slice(out, c->rest);
    default:
        return true;
    }
}

static bool get_state(struct slice *from, struct change *c) {
    bool whole = get_birth(from, c) && get_slice(from, &c->seq) && get_writer(from, &c->writer) &&
                 get_u64(from, &c->tail) && get_u64(from, &c->stored) && get_u64(from, &c->file_end) &&
                 get_u64(from, &c->writers);
    c->rest = *from;
    *from = slice_of(from->ptr, 0);
    return whole && c->position <= c->stored && c->stored <= c->tail;
}

bool change_decode(const struct record *record, struct change *c) {
    struct slice from = record->meta;
    *c = (struct change){.kind = record->kind, .flags = record->flags};
    if (!get_u64(&from, &c->id) || c->id == 0) {
        return false;
    }
    bool whole = false;
    switch (record->kind) {
    case RECORD_CREATE:
        whole = get_birth(&from, c);
        break;
    case RECORD_APPEND:
        whole = get_u64(&from, &c->position) && get_slice(&from, &c->seq) && get_writer(&from, &c->writer);
        break;
    case RECORD_DELETE:
        whole = true;
        break;
    case RECORD_HEAD:
        whole = get_slice(&from, &c->path) && get_slice(&from, &c->type);
        break;
    case RECORD_STATE:
        whole = get_state(&from, c);
        break;
    case RECORD_FRAME:
    case RECORD_END:
        break;
    }
    return whole && from.len == 0;
}
