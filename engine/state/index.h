/* A sorted list of 64-bit entries, some of which may be the same: what a secondary index is made of
 * (state/store_index.h). Entries lie in leaves of up to 2 KB, about two thirds full, below an array with the
 * first of each leaf. Many entries that are alike cost no more than others. */
#ifndef STATE_INDEX_H
#define STATE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_leaf {
    uint32_t count, room;
    uint64_t entries[];
};

struct index {
    struct index_leaf **leaves;
    uint64_t *firsts; /* no entry of a leaf is below its own, and none of the leaf before above it */
    size_t count, room;
    size_t *bytes; /* what the index holds is counted there */
};

/* Allocates nothing. */
void index_init(struct index *index, size_t *bytes);
void index_free(struct index *index);

/* Makes room for this entry, so that index_add has what it needs. False: out of memory, unchanged but for its
 * room. */
bool index_reserve(struct index *index, uint64_t entry);
void index_add(struct index *index, uint64_t entry);

/* Takes out one such entry, of which there is one at least. Needs no memory. */
void index_remove(struct index *index, uint64_t entry);

/* How many entries there are from least to most. */
size_t index_count(const struct index *index, uint64_t least, uint64_t most);

/* Writes them to out, which has room for index_count of them, in their order. */
void index_copy(const struct index *index, uint64_t least, uint64_t most, uint64_t *out);

#endif
