/* A snapshot that is mapped. Private to the room. */
#ifndef STATE_SNAPSHOT_PARTS_H
#define STATE_SNAPSHOT_PARTS_H

#include "base/error.h"
#include "state/snapshot_format.h"

struct snapshot {
    char *map;
    size_t len;
    const struct snapshot_header *header;
    const struct snapshot_type *types;
    const struct snapshot_slab *slabs;
    const struct snapshot_large *larges;
    const uint64_t *pieces; /* hashes: of the places', then of the larges' pieces */
    const char *names;
    const char *about;
    uint64_t **places; /* each type's */
    char **bases;      /* each slab's */
};

/* Compares what the index does not cover with its checksums, and checks it: see snapshot_load. */
bool snapshot_check(const struct snapshot *snapshot, struct error *e);

#endif
