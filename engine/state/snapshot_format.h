/* A snapshot's bytes. Numbers are written as the machine has them; a file of another byte order is refused.
 * docs/snapshot-format.md describes it for those who do not read C.
 *
 *     header     a page, checked by its own last 8 bytes
 *     places     the tables' places, type by type, filled up with zeros to a page, in large files to 2 MB
 *     blocks     the slabs, back to back
 *     larges     keys and values of the large entities, back to back, filled up with zeros to 8 bytes
 *     index      about, types, slabs, larges, hashes of pieces, names of types, each filled up to 8 bytes
 *
 * Every byte is covered by one checksum (XXH3, 64 bits, without a seed): the header's, the index's, that of its
 * slab, or that of its piece.
 *
 * Entities are laid out in the order of their places: types in byte order of their names, places from the
 * first. Walking over places and slabs side by side, each reference is therefore the one that is expected,
 * and nothing has to be looked up to check a file. Private to the room. */
#ifndef STATE_SNAPSHOT_FORMAT_H
#define STATE_SNAPSHOT_FORMAT_H

#include <stdint.h>

#define SNAPSHOT_MAGIC "weir\r\n\x1a\n"
#define SNAPSHOT_ORDER UINT32_C(0x01020304)
#define SNAPSHOT_ORDER_SWAPPED UINT32_C(0x04030201)

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_PAGE = 4096,
    SNAPSHOT_LARGE_PAGE = 2 << 20,
    SNAPSHOT_PIECE = 256 << 10, /* bytes of places and larges that have a checksum of their own */
    SNAPSHOT_ABOUT_MAX = 16 << 20,
};

struct snapshot_extent {
    uint64_t at, len; /* bytes of the file */
};

struct snapshot_header {
    char magic[8];
    uint32_t version;
    uint32_t order; /* SNAPSHOT_ORDER */
    uint64_t size;  /* of the file */
    uint64_t seed;  /* of the keys' hashes */
    struct snapshot_extent places, blocks, larges, index;
    uint64_t index_hash;
    uint32_t about_len;
    uint32_t type_count, slab_count, large_count, piece_count, names_len;
    char unused[SNAPSHOT_PAGE - 136];
    uint64_t hash; /* of what lies before */
};

_Static_assert(sizeof(struct snapshot_header) == SNAPSHOT_PAGE, "the header is a page");

/* Strictly ascending by name. Its places are place_count + table_spill(place_count), behind those of the type
 * before. */
struct snapshot_type {
    uint64_t place_count, count, bytes;
    uint32_t name_at, name_len; /* in the names */
};

/* Slab k (from 0) is slab k + 1 of the references. Its first block is that of the place first_place of the type
 * first_type, and first_large large entities come before; 0, 0, 0 for the first slab. */
struct snapshot_slab {
    uint64_t first_place;
    uint32_t first_type, first_large;
    uint32_t units, unused;
    uint64_t hash;
};

struct snapshot_large {
    uint64_t at; /* in larges: behind the one before */
    uint32_t key_len, value_len;
    uint32_t type, unused;
};

static inline uint64_t snapshot_round(uint64_t len, uint64_t to) {
    return (len + to - 1) / to * to;
}

static inline uint64_t snapshot_pieces(uint64_t len) {
    return (len + SNAPSHOT_PIECE - 1) / SNAPSHOT_PIECE;
}

#endif
