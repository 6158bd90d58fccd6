/* Makes the checksums of a snapshot that was changed right again, so that what they guard is looked at: for
 * tests and fuzzing of its reader. What the header says of the parts need not be true. */
#ifndef UNIT_SNAPSHOT_SEAL_H
#define UNIT_SNAPSHOT_SEAL_H

#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "state/heap.h"
#include "state/snapshot_format.h"

static uint64_t seal_hash(const char *bytes, size_t len, uint64_t at, uint64_t part) {
    return at <= len && part <= len - at ? XXH3_64bits(bytes + at, (size_t)part) : 0;
}

/* The hashes of a part's pieces, at *to in the index; *left of them fit there. */
static void seal_pieces(char *bytes, size_t len, const struct snapshot_extent *part, uint64_t *to,
                        uint64_t *left) {
    for (uint64_t at = 0; at<part->len && * left> 0; at += SNAPSHOT_PIECE, *to += 8, --*left) {
        uint64_t piece = part->len - at < SNAPSHOT_PIECE ? part->len - at : SNAPSHOT_PIECE;
        uint64_t hash = seal_hash(bytes, len, part->at + at, piece);
        memcpy(bytes + *to, &hash, sizeof hash);
    }
}

static void seal_index(char *bytes, size_t len, const struct snapshot_header *header) {
    uint64_t at = header->index.at + snapshot_round(header->about_len, 8);
    at += header->type_count * sizeof(struct snapshot_type);
    uint64_t block = header->blocks.at;
    for (uint32_t i = 0; i < header->slab_count; i++, at += sizeof(struct snapshot_slab)) {
        struct snapshot_slab slab;
        if (at > len || sizeof slab > len - at) {
            return;
        }
        memcpy(&slab, bytes + at, sizeof slab);
        slab.hash = seal_hash(bytes, len, block, (uint64_t)slab.units * HEAP_UNIT);
        block += (uint64_t)slab.units * HEAP_UNIT;
        memcpy(bytes + at, &slab, sizeof slab);
    }
    at += header->large_count * sizeof(struct snapshot_large);
    uint64_t left = header->piece_count;
    if (at <= len && left <= (len - at) / 8) {
        seal_pieces(bytes, len, &header->places, &at, &left);
        seal_pieces(bytes, len, &header->larges, &at, &left);
    }
}

static void snapshot_seal(char *bytes, size_t len) {
    struct snapshot_header header;
    if (len < sizeof header) {
        return;
    }
    memcpy(&header, bytes, sizeof header);
    if (header.index.at <= len && header.index.len <= len - header.index.at) {
        seal_index(bytes, len, &header);
    }
    header.index_hash = seal_hash(bytes, len, header.index.at, header.index.len);
    header.hash = XXH3_64bits(&header, offsetof(struct snapshot_header, hash));
    memcpy(bytes, &header, sizeof header);
}

#endif
