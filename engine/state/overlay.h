/* An overlay: writes that have not come back yet, on top of a store. What a reader sees of an entity is the
 * store's value with the pending writes on it applied, in the order in which they were made; so a change of the
 * store below leaves them on top.
 *
 * The store is not changed by any of this. An overlay belongs to one thread. */
#ifndef STATE_OVERLAY_H
#define STATE_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "message/event.h"
#include "state/store.h"
#include "state/txids.h"

enum { OVERLAY_WRITES_MAX = 10000 };

struct overlay;

struct overlay_write {
    enum event_operation operation;
    struct slice type, key;
    struct slice value; /* JSON; of a delete: nothing */
    uint64_t txid;      /* by what it is confirmed: a hash (state/txids.h); 0: by nothing */
};

/* value_max: the bytes that a merge patch's result may have. NULL: out of memory. */
struct overlay *overlay_new(size_t value_max);
void overlay_free(struct overlay *overlay);

/* How many writes are pending. */
size_t overlay_pending(const struct overlay *overlay);

/* Puts a write on top; copies what it refers to. Its number, or 0 with e: out of memory, or there are
 * OVERLAY_WRITES_MAX. Numbers grow, from 1. */
uint64_t overlay_add(struct overlay *overlay, const struct overlay_write *write, struct error *e);

/* The write of that number, as long as it is pending; otherwise false. Slices are good until it is removed. */
bool overlay_find(const struct overlay *overlay, uint64_t number, struct overlay_write *write);

/* Takes a write out. False: it is not pending. Needs no memory. */
bool overlay_remove(struct overlay *overlay, uint64_t number);

/* A change with that txid was stored: takes out the oldest write of that txid on the entity. Its number, or 0
 * where there is none. */
uint64_t overlay_confirm(struct overlay *overlay, uint64_t txid, struct slice type, struct slice key);

/* A store took the place of the one below, and has what came with these txids: takes out all writes of them. */
void overlay_confirm_all(struct overlay *overlay, const struct txids *txids);

enum overlay_answer {
    OVERLAY_NONE,   /* nothing is pending on the entity: what the store says holds */
    OVERLAY_VALUE,  /* *value; ptr NULL: there is none */
    OVERLAY_FAILED, /* e says why */
};

/* What a reader sees. The value is good until the store or the overlay changes, or the entity is asked for
 * again. */
enum overlay_answer overlay_get(struct overlay *overlay, const struct store *store, struct slice type,
                                struct slice key, struct slice *value, struct error *e);

/* As the functions of store.h of these names, with what is pending. Arrays are the caller's; NULL with e. The
 * rows' values are good until the store or the overlay changes, or is asked again. */
size_t overlay_count(const struct overlay *overlay, const struct store *store, struct slice name);
struct slice *overlay_types(const struct overlay *overlay, const struct store *store, size_t *count,
                            struct error *e);
struct store_row *overlay_where(struct overlay *overlay, struct store *store, struct slice name,
                                const struct store_condition *conditions, size_t condition_count,
                                size_t *count, struct error *e);

#endif
