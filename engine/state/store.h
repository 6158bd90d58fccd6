/* The store: (type, key) -> the value's own JSON text, and the one place where a change is applied.
 *
 * Types and keys are bytes (what the JSON strings stand for); values are kept exactly as they were
 * written. A store belongs to one thread. */
#ifndef STATE_STORE_H
#define STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "message/event.h"
#include "state/field.h"

struct store;

/* patch_max: the bytes that a merge patch's result may have. NULL: out of memory. */
struct store *store_new(size_t patch_max);
void store_free(struct store *store);

/* An empty store with the settings and indexes of another. NULL: out of memory. */
struct store *store_like(const struct store *store);

/* Applies a change (STATE-PROTOCOL section 6): insert, update and upsert store the value, delete removes
 * it, patch merges (RFC 7396; into nothing where there is no value). False with e: nothing changed. The
 * change must not point into this store, whose entities may move. */
bool store_apply(struct store *store, const struct event *change, struct error *e);

/* What a patch would leave: out is cleared and gets it. The store is not changed. */
bool store_merged(const struct store *store, const struct event *patch, struct buf *out, struct error *e);

/* Where a change goes: hashed once. Good as long as the name of the type, whatever is applied in between; where
 * the store was cleared, or another one has taken its place, it is looked for anew.
 *
 * What takes long in a large store is to wait for memory. To wait for many changes at once: aim each of a run
 * of them (32 or so), call store_near for each, then apply them in their order. */
struct store_place {
    struct store_type *type; /* NULL: not seen before */
    struct slice type_name;
    uint64_t aim;   /* half of the key's hash, and where in the table it was */
    uint64_t epoch; /* the store's, when it was aimed at */
};

/* A key's hash, which may be made early and on another thread. A store's seed does not change; others have others. */
uint64_t store_hash(uint64_t seed, struct slice key);
uint64_t store_seed(const struct store *store);

/* hash: the key's, with the store's seed. Asks for the part of the table that it falls into. */
void store_aim(struct store *store, struct slice type, uint64_t hash, struct store_place *place);

/* Asks for the entity, if there is one. */
void store_near(const struct store *store, struct store_place *place);

/* store_get and store_apply, for the type and key that `place` was aimed at. */
struct slice store_get_at(const struct store *store, const struct store_place *place, struct slice key);
bool store_apply_at(struct store *store, const struct store_place *place, const struct event *change,
                    struct error *e);

/* Forgets everything: a reset. */
void store_clear(struct store *store);

/* The value's text, good until the next change; ptr NULL where there is none. */
struct slice store_get(const struct store *store, struct slice type, struct slice key);

/* Entities of one type, or of all where type.ptr is NULL. */
size_t store_count(const struct store *store, struct slice type);

/* Bytes of the live keys and values. */
size_t store_bytes(const struct store *store);

/* Bytes that the store holds in all. */
size_t store_resident(const struct store *store);

/* The types that have entities, in byte order, as an array that the caller frees; their texts are good
 * until the next change. NULL: out of memory. */
struct slice *store_types(const struct store *store, size_t *count);

struct store_row {
    struct slice key;
    struct slice value;
};

/* The rows of a type in byte order of their keys; as store_types. */
struct store_row *store_rows(const struct store *store, struct slice type, size_t *count);

/* The same with 4 bytes a row: the order of the rows, an array that the caller frees (NULL: out of memory), and
 * row i of it, read one after the other. Good until the next change. */
uint32_t *store_order(const struct store *store, struct slice type, size_t *count);
void store_row(const struct store *store, const uint32_t *order, size_t count, size_t i,
               struct store_row *row);

/* Keeps an index on a member of the type's values, also of a type that is not there yet. Asked for again, it
 * does nothing. False with e: out of memory, or the type has STORE_INDEXES_MAX. */
enum { STORE_INDEXES_MAX = 16 };
bool store_index(struct store *store, struct slice type, struct slice field, struct error *e);

/* Field i of those that the type has indexes on, good as long as the store. False: no such i. */
bool store_index_field(const struct store *store, struct slice type, size_t i, struct slice *field);

struct store_condition {
    struct slice field;
    struct field_value is;
};

/* The rows of a type for which all conditions hold, as store_order. An index on one of the fields spares a look
 * at most of the others; without any, all are looked at. */
uint32_t *store_where(struct store *store, struct slice type, const struct store_condition *conditions,
                      size_t condition_count, size_t *count);

/* Rows of a type in the store's own order, which stays the same while nothing is changed: *cursor = 0
 * first; false at the end. */
bool store_next(const struct store *store, struct slice type, size_t *cursor, struct store_row *row);

#endif
