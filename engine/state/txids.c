#include "state/txids.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/buf.h"
#include "json/text.h"

bool txids_init(struct txids *txids, uint64_t seed) {
    *txids = (struct txids){.seed = seed, .hashes = malloc(TXIDS_MAX * sizeof *txids->hashes)};
    return txids->hashes != NULL;
}

void txids_free(struct txids *txids) {
    free(txids->hashes);
    *txids = (struct txids){0};
}

uint64_t txids_hash(const struct txids *txids, struct slice text) {
    return XXH3_64bits_withSeed(text.ptr, text.len, txids->seed);
}

/* Where there is no memory for it, the id is hashed as it was written: it is then not found. */
static __attribute__((noinline)) uint64_t hash_escaped(const struct txids *txids, struct slice json) {
    struct buf text;
    buf_init(&text, json.len);
    uint64_t hash = txids_hash(txids, json_unquote(&text, json) ? buf_slice(&text) : json);
    buf_free(&text);
    return hash;
}

uint64_t txids_hash_json(const struct txids *txids, struct slice json) {
    if (json.len < 2 || json.ptr[0] != '"') {
        return txids_hash(txids, json);
    }
    if (memchr(json.ptr, '\\', json.len)) {
        return hash_escaped(txids, json);
    }
    return txids_hash(txids, slice_of(json.ptr + 1, json.len - 2));
}

bool txids_has(const struct txids *txids, uint64_t hash) {
    for (size_t i = 0; i < txids->count; i++) {
        if (txids->hashes[i] == hash) {
            return true;
        }
    }
    return false;
}
