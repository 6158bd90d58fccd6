/* Reads streams, and through forks what they inherit. */
#include "server/read.h"

#include <string.h>

#include "server/files.h"
#include "server/messages.h"

/* Two pieces are kept for the brackets of a JSON array. */
enum { CONTENT_PIECES = STREAM_PIECES_MAX - 2 };

/* Finding bytes */

/* A run of bytes from a position on; holds its chunk. */
struct run {
    struct chunk *chunk;
    bool loaded; /* from a file */
    struct slice bytes;
};

/* The bytes at `position` (before `end`) that lie together. False: the disk failed, or memory. */
static bool run_take(struct stream *stream, uint64_t position, uint64_t end, struct run *run) {
    while (position < stream->base) {
        end = end < stream->base ? end : stream->base;
        stream = stream->fork->source;
    }
    run->loaded = position < stream->content.start;
    if (!run->loaded) {
        run->chunk = chunk_hold(content_at(&stream->content, position));
    } else {
        run->chunk = files_chunk(stream, position);
    }
    if (!run->chunk) {
        return false;
    }
    uint64_t behind = chunk_end(run->chunk);
    end = end < behind ? end : behind;
    run->bytes = slice_of(run->chunk->bytes + (position - run->chunk->position), (size_t)(end - position));
    return true;
}

/* STREAM_OK, or why the stream has no bytes to give any more. */
static enum stream_status check_there(const struct stream *stream) {
    if (stream->gone) {
        return STREAM_NOT_FOUND;
    }
    return stream->deleted ? STREAM_GONE : STREAM_OK;
}

static bool ends_message(const struct stream *stream, uint64_t position) {
    return position == 0 || position == stream->tail || position == stream->base;
}

enum stream_status read_check(struct stream *stream, uint64_t position) {
    struct run run;
    if (position > stream->tail) {
        return STREAM_BAD_OFFSET;
    }
    if (!stream->kind->json || ends_message(stream, position)) {
        return STREAM_OK;
    }
    if (!run_take(stream, position - 1, position, &run)) {
        return STREAM_FAILED;
    }
    bool between = run.bytes.ptr[0] == '\n';
    chunk_drop(run.chunk);
    return between ? STREAM_OK : STREAM_BAD_OFFSET;
}

static enum stream_status skip_messages(struct stream *stream, uint64_t *at, uint64_t count) {
    while (count > 0 && *at < stream->tail) {
        struct run run;
        size_t len;
        if (!run_take(stream, *at, stream->tail, &run)) {
            return STREAM_FAILED;
        }
        bool all = messages_skip(run.bytes, &count, &len);
        *at += all ? len : run.bytes.len;
        chunk_drop(run.chunk);
    }
    return count == 0 ? STREAM_OK : STREAM_BAD_SUB_OFFSET;
}

enum stream_status read_skip(struct stream *stream, uint64_t from, uint64_t count, uint64_t *to) {
    *to = from;
    if (stream->kind->json) {
        return skip_messages(stream, to, count);
    }
    *to += count;
    return count <= stream->tail - from ? STREAM_OK : STREAM_BAD_SUB_OFFSET;
}

/* Bodies */

static void body_add(struct stream_body *body, struct slice bytes, struct chunk *held) {
    body->pieces[body->count] = bytes;
    body->held[body->count++] = held;
    body->len += bytes.len;
}

static void body_cut_piece(struct stream_body *body) {
    struct slice *last = &body->pieces[--body->count];
    body->len -= last->len;
    body->next -= last->len;
    chunk_drop(body->held[body->count]);
}

/* Takes the last len bytes off, at most as many as there are. */
static void body_cut(struct stream_body *body, size_t len) {
    while (len > 0 && body->count > 0 && body->pieces[body->count - 1].len <= len) {
        len -= body->pieces[body->count - 1].len;
        body_cut_piece(body);
    }
    if (len > 0 && body->count > 0) {
        body->pieces[body->count - 1].len -= len;
        body->len -= len;
        body->next -= len;
    }
}

static bool body_fill(struct stream_body *body, struct stream *stream) {
    size_t most = stream->set->options.max_read;
    while (body->next < stream->tail && body->len < most && body->count < CONTENT_PIECES) {
        struct run run;
        uint64_t end = stream->tail - body->next > most - body->len ? body->next + (most - body->len)
                                                                    : stream->tail;
        if (!run_take(stream, body->next, end, &run)) {
            return false;
        }
        body->next += run.bytes.len;
        body_add(body, run.bytes, run.chunk);
        body->loaded += run.loaded ? run.chunk->len : 0;
    }
    return true;
}

/* How many bytes are behind the last message that is whole; all of them where none is. */
static size_t behind_last_message(const struct stream_body *body) {
    size_t behind = 0;
    for (size_t i = body->count; i > 0; i--) {
        struct slice piece = body->pieces[i - 1];
        const char *line = memrchr(piece.ptr, '\n', piece.len);
        if (line) {
            return behind + (size_t)(piece.ptr + piece.len - (line + 1));
        }
        behind += piece.len;
    }
    return behind;
}

/* One message, longer than a usual body, in one piece. */
static bool body_fill_message(struct stream_body *body, struct stream *stream) {
    uint64_t end = body->from;
    if (skip_messages(stream, &end, 1) != STREAM_OK) {
        return false;
    }
    struct chunk *whole = chunk_new(body->from, (size_t)(end - body->from));
    if (!whole) {
        return false;
    }
    while (whole->len < whole->cap) {
        struct run run;
        if (!run_take(stream, body->from + whole->len, end, &run)) {
            chunk_drop(whole);
            return false;
        }
        memcpy(whole->bytes + whole->len, run.bytes.ptr, run.bytes.len);
        whole->len += run.bytes.len;
        chunk_drop(run.chunk);
    }
    body->next = end;
    body->loaded = whole->len;
    body_add(body, slice_of(whole->bytes, whole->len), whole);
    return true;
}

/* The content is whole messages, each with its separator; the last one's becomes the end of the array. */
static void body_bracket(struct stream_body *body) {
    uint64_t next = body->next;
    if (body->count > 0) {
        body_cut(body, MESSAGES_END_LEN);
    }
    memmove(body->pieces + 1, body->pieces, body->count * sizeof *body->pieces);
    memmove(body->held + 1, body->held, body->count * sizeof *body->held);
    body->pieces[0] = SLICE("[");
    body->held[0] = NULL;
    body->count++;
    body->len++;
    body_add(body, SLICE("]"), NULL);
    body->next = next;
}

static bool body_fill_json(struct stream_body *body, struct stream *stream) {
    if (body->next < stream->tail) {
        body_cut(body, behind_last_message(body));
        if (body->count == 0 && !body_fill_message(body, stream)) {
            return false;
        }
    }
    body_bracket(body);
    return true;
}

/* How many bytes at the end begin a character that is not all there. */
static size_t cut_character(const struct stream_body *body) {
    size_t behind = 0;
    for (size_t i = body->count; i > 0; i--) {
        struct slice piece = body->pieces[i - 1];
        for (size_t at = piece.len; at > 0 && behind < 4; at--) {
            unsigned char c = (unsigned char)piece.ptr[at - 1];
            behind++;
            if (c < 0x80) {
                return 0;
            }
            if (c >= 0xC0) {
                size_t len = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
                return behind < len ? behind : 0;
            }
        }
    }
    return 0;
}

enum stream_status stream_read(struct stream *stream, uint64_t from, struct stream_body *body) {
    enum stream_status status = check_there(stream);
    body->from = body->next = from;
    body->len = body->count = body->loaded = 0;
    if (status == STREAM_OK) {
        status = read_check(stream, from);
    }
    if (status != STREAM_OK) {
        return status;
    }
    bool read = body_fill(body, stream);
    if (read && stream->kind->json) {
        read = body_fill_json(body, stream);
    } else if (read && stream->kind->text && body->next < stream->tail) {
        size_t cut = cut_character(body);
        body_cut(body, cut < body->len ? cut : 0);
    }
    if (!read) {
        stream_body_free(body);
        return STREAM_FAILED;
    }
    body->up_to_date = body->next == stream->tail;
    body->closed = body->up_to_date && stream->closed;
    return STREAM_OK;
}

uint64_t stream_position(const struct stream *stream, const struct stream_offset *offset) {
    switch (offset->kind) {
    case STREAM_OFFSET_START:
        return 0;
    case STREAM_OFFSET_NOW:
        return stream->tail;
    case STREAM_OFFSET_AT:
        break;
    }
    return offset->position;
}

void stream_body_free(struct stream_body *body) {
    for (size_t i = 0; i < body->count; i++) {
        chunk_drop(body->held[i]);
    }
    body->count = body->len = 0;
}
