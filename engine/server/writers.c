#include "server/writers.h"

#include <stdlib.h>
#include <xxhash.h>

struct writers *writers_new(void) {
    return calloc(1, sizeof(struct writers));
}

void writers_free(struct writers *writers) {
    if (writers) {
        for (uint32_t i = 0; i < writers->count; i++) {
            free(writers->list[i]);
        }
        free(writers->list);
        free((void *)writers->seq.ptr);
        free(writers);
    }
}

/* The first place whose hash is not less. */
static uint32_t place_of(const struct writers *writers, uint64_t hash) {
    uint32_t low = 0, high = writers->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (writers->list[middle]->hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct writer *find_hash(const struct writers *writers, struct slice name, uint64_t hash) {
    for (uint32_t i = place_of(writers, hash); i < writers->count && writers->list[i]->hash == hash; i++) {
        if (slice_equal(writer_name(writers->list[i]), name)) {
            return writers->list[i];
        }
    }
    return NULL;
}

struct writer *writers_find(const struct writers *writers, struct slice name) {
    return writers ? find_hash(writers, name, XXH3_64bits(name.ptr, name.len)) : NULL;
}

static bool more_places(struct writers *writers) {
    if (writers->count < writers->places) {
        return true;
    }
    uint32_t places = writers->places ? writers->places * 2 : 1;
    struct writer **list = realloc(writers->list, places * sizeof(struct writer *));
    if (!list) {
        return false;
    }
    writers->list = list;
    writers->places = places;
    return true;
}

struct writer *writers_add(struct writers *writers, struct slice name) {
    uint64_t hash = XXH3_64bits(name.ptr, name.len);
    struct writer *writer = find_hash(writers, name, hash);
    if (writer) {
        return writer;
    }
    writer = malloc(sizeof *writer + name.len);
    if (!writer || !more_places(writers)) {
        free(writer);
        return NULL;
    }
    *writer = (struct writer){.hash = hash, .len = (uint32_t)name.len};
    memcpy(writer->name, name.ptr, name.len);
    uint32_t place = place_of(writers, hash);
    memmove(writers->list + place + 1, writers->list + place, (writers->count - place) * sizeof writer);
    writers->list[place] = writer;
    writers->count++;
    return writer;
}

bool writers_reserve_seq(struct writers *writers, size_t len) {
    if (len < writers->seq_places) {
        return true;
    }
    char *bytes = realloc((void *)writers->seq.ptr, len + 1);
    if (!bytes) {
        return false;
    }
    /* The first one is absent until it is set: a length of 0 sorts before every other. */
    writers->seq.ptr = bytes;
    writers->seq_places = (uint32_t)len + 1;
    return true;
}

void writers_set_seq(struct writers *writers, struct slice seq) {
    memcpy((char *)writers->seq.ptr, seq.ptr, seq.len);
    writers->seq.len = seq.len;
}
