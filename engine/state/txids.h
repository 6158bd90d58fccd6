/* The transaction ids (headers.txid) that were seen last: TXIDS_MAX of them, older ones are forgotten. They are
 * kept as hashes of 64 bits with a seed of the memory's own, so that nobody can make two that are taken for one. */
#ifndef STATE_TXIDS_H
#define STATE_TXIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { TXIDS_MAX = 10000 };

struct txids {
    uint64_t *hashes; /* NULL: none yet */
    size_t count, at; /* at: where the next one goes */
    uint64_t seed;
};

/* Allocates 80 KB. False: out of memory. */
bool txids_init(struct txids *txids, uint64_t seed);
void txids_free(struct txids *txids);

/* The hash of an id as a valid JSON text has it: of a string, of what it stands for; of anything else, of its
 * text. */
uint64_t txids_hash_json(const struct txids *txids, struct slice json);

/* The hash of a string: that of a JSON string which stands for it. */
uint64_t txids_hash(const struct txids *txids, struct slice text);

/* Remembers it; the oldest one is forgotten where there is no room. */
static inline void txids_note(struct txids *txids, uint64_t hash) {
    txids->hashes[txids->at] = hash;
    txids->at = txids->at + 1 < TXIDS_MAX ? txids->at + 1 : 0;
    txids->count += txids->count < TXIDS_MAX;
}

bool txids_has(const struct txids *txids, uint64_t hash);

#endif
