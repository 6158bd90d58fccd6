/* The names of an object's fields, for the files schema_*.c of this room only: looking one up is most of
 * what an object costs beyond walking over it, so all of it can be inlined. */
#ifndef STATE_SCHEMA_KEY_H
#define STATE_SCHEMA_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <xxhash.h>

#include "base/slice.h"

/* A name in a form that is quick to compare. */
struct schema_key {
    uint64_t head, tail; /* up to 16 bytes: the bytes; more: a hash and 0 */
    size_t len;
};

/* Names of up to 16 bytes, nearly all, are two loads that overlap: with the length these are the name. */
static inline struct schema_key schema_key_of(struct slice name) {
    struct schema_key key = {.len = name.len};
    if (name.len > 16) {
        key.head = XXH3_64bits(name.ptr, name.len);
    } else if (name.len >= 8) {
        memcpy(&key.head, name.ptr, 8);
        memcpy(&key.tail, name.ptr + name.len - 8, 8);
    } else if (name.len >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, name.ptr, 4);
        memcpy(&last, name.ptr + name.len - 4, 4);
        key.head = (uint64_t)first << 32 | last;
    } else if (name.len > 0) {
        key.head = (uint64_t)(unsigned char)name.ptr[0] << 16 |
                   (uint64_t)(unsigned char)name.ptr[name.len / 2] << 8 |
                   (unsigned char)name.ptr[name.len - 1];
    }
    return key;
}

/* A place by the topmost bits, which every byte of the key reaches. The names in the index are the schema's
 * own, so a document cannot make chains grow. */
static inline size_t schema_key_place(const struct schema_key *key, unsigned shift) {
    return ((key->head ^ key->len) * UINT64_C(0x9E3779B97F4A7C15) +
            key->tail * UINT64_C(0xD6E8FEB86659FD93)) >>
           shift;
}

#endif
