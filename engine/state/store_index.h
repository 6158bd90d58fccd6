/* Secondary indexes of a store's types: which entities have a value in a member.
 *
 * An entry is the hash of the member's value << 32 | the upper half of the key's hash. So it names an entity
 * without saying where it is, and what is found is looked at again. An index is kept up to date by each
 * change; one of a type that had entities before it is built when it is first asked. */
#ifndef STATE_STORE_INDEX_H
#define STATE_STORE_INDEX_H

#include "state/index.h"
#include "state/store_parts.h"

struct store_index {
    struct slice field; /* the plan's */
    struct index index;
    bool built;
};

/* Gives a new type, without entities, the indexes that were planned for it. False: out of memory. */
bool store_index_attach(struct store *store, struct store_type *type);
void store_index_detach(struct store_type *type);

/* The type's entities did not come one by one. */
void store_index_outdate(struct store_type *type);

/* table_put and table_remove, and the indexes with it. */
bool store_index_put(struct store *store, struct store_type *type, uint64_t aim, struct slice key,
                     struct slice value);
void store_index_remove(struct store *store, struct store_type *type, uint64_t aim, struct slice key);

/* Brings the index up to date with all entities. False: out of memory; it is as before. */
bool store_index_build(struct store *store, struct store_type *type, struct store_index *index);

/* Plans for an empty store what is planned for another. False: out of memory. */
bool store_index_copy_plans(const struct store *from, struct store *to);
void store_index_free_plans(struct store *store);

#endif
