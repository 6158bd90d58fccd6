#include "server/content.h"

#include <stdlib.h>
#include <string.h>

/* Chunks double up to this, so that a stream of a few bytes takes a few bytes, and a long one few chunks. */
enum { CHUNK_LEAST = 64, CHUNK_USUAL = 256 * 1024 };

void content_init(struct content *content, uint64_t start) {
    *content = (struct content){.start = start};
}

void content_free(struct content *content) {
    for (uint32_t i = 0; i < content->count; i++) {
        chunk_drop(content->chunks[i]);
    }
    free(content->chunks);
    content_init(content, content->start);
}

static struct chunk *last_of(const struct content *content) {
    return content->count ? content->chunks[content->count - 1] : NULL;
}

static bool more_places(struct content *content) {
    if (content->count < content->places) {
        return true;
    }
    uint32_t places = content->places ? content->places * 2 : 1;
    struct chunk **chunks = realloc(content->chunks, places * sizeof *chunks);
    if (!chunks) {
        return false;
    }
    content->chunks = chunks;
    content->places = places;
    return true;
}

static size_t next_size(const struct chunk *last, size_t len) {
    size_t size = last ? last->cap * 2 : CHUNK_LEAST;
    if (size > CHUNK_USUAL) {
        size = CHUNK_USUAL;
    }
    return size > len ? size : len;
}

bool content_reserve(struct content *content, uint64_t tail, size_t len) {
    struct chunk *last = last_of(content);
    if (last && !content->sealed && last->cap - last->len >= len) {
        return true;
    }
    if (!more_places(content)) {
        return false;
    }
    struct chunk *chunk = chunk_new(tail, next_size(last, len));
    if (!chunk) {
        return false;
    }
    content->chunks[content->count++] = chunk;
    content->sealed = false;
    return true;
}

void content_append(struct content *content, struct slice bytes) {
    if (bytes.len > 0) {
        struct chunk *last = last_of(content);
        memcpy(last->bytes + last->len, bytes.ptr, bytes.len);
        last->len += bytes.len;
    }
}

struct chunk *content_at(const struct content *content, uint64_t position) {
    struct chunk *last = last_of(content);
    if (position >= last->position && position < chunk_end(last)) {
        return last;
    }
    uint32_t low = 0, high = content->count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (position < chunk_end(content->chunks[middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return content->chunks[low];
}

void content_seal(struct content *content) {
    content->sealed = true;
}

void content_forget(struct content *content, uint64_t position) {
    uint32_t gone = 0;
    while (gone < content->count && chunk_end(content->chunks[gone]) <= position) {
        chunk_drop(content->chunks[gone++]);
    }
    content->count -= gone;
    if (content->count > 0) {
        memmove(content->chunks, content->chunks + gone, content->count * sizeof *content->chunks);
    } else {
        free(content->chunks);
        content->chunks = NULL;
        content->places = 0;
    }
    content->start = position;
}
