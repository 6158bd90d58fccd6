/* The memory of a store's entities: blocks of key and value, named by references of 32 bits.
 *
 * Blocks lie in slabs, back to back from a slab's start, in units of 16 bytes:
 *
 *     reference = number of the slab << 17 | unit in the slab        slabs count from 1, so 0 is no reference
 *     block     = struct heap_block: mark, the lengths, the key, the value; the rest of its last unit is unused
 *
 * A slab has at most 2 MB; the first ones are small, and they grow with the heap. An entity that does not fit
 * into HEAP_UNITS_MAX units has memory of its own, and its reference is HEAP_LARGE + its number from 0.
 *
 * A block that is freed is listed by its size, to be taken again or cut in two. Slabs in which little lives are
 * evacuated: while heap_is_sparse, heap_next names live blocks that should move and heap_move moves one; the
 * caller writes the new reference where the old one was. An empty slab is given back to the system.
 *
 * Adopted slabs lie in memory that somebody mapped (a snapshot's file, MAP_PRIVATE). Their blocks are changed
 * in place like others; what is freed in them is only counted, until they are evacuated. */
#ifndef STATE_HEAP_H
#define STATE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"
#include "state/pages_ahead.h"

#define HEAP_UNIT 16u
#define HEAP_SLAB_BITS 17u
#define HEAP_SLAB_UNITS (1u << HEAP_SLAB_BITS) /* of the largest slab */
#define HEAP_UNITS_MAX 1984u                   /* of one block */
#define HEAP_LARGE 0xF0000000u                 /* the first reference of a large entity */
#define HEAP_SLABS_MAX (HEAP_LARGE >> HEAP_SLAB_BITS)
#define HEAP_LARGES_MAX (UINT32_MAX - HEAP_LARGE)
#define HEAP_TYPES_MAX (1u << 20)

/* mark: units of the block in bits 0 to 10, the number of its type in bits 11 to 30, bit 31: it is free. */
#define HEAP_MARK_UNITS 0x7FFu
#define HEAP_MARK_TYPE_SHIFT 11u
#define HEAP_MARK_FREE (1u << 31)

struct heap_block {
    uint32_t mark;
    uint16_t key_len; /* of a free block: 1 where it is listed, or 0 */
    uint16_t value_len;
    char bytes[]; /* key, then value; of a listed block: its position in the list, 32 bits */
};

struct heap_large {
    char *bytes;      /* key, then value; NULL: a free number */
    size_t room;      /* bytes allocated; 0: in the adopted mapping */
    uint32_t key_len; /* of a free one: the next free number + 1 */
    uint32_t value_len;
    uint32_t type;
};

enum heap_origin { HEAP_MALLOCED, HEAP_MAPPED, HEAP_ADOPTED };

struct heap_slab {
    char *base;     /* NULL: a free number, whose next free one is `live` */
    uint32_t units; /* its size */
    uint32_t used;  /* up to here there are blocks, live or free */
    uint32_t live;  /* units in live blocks */
    uint32_t origin;
};

/* Free blocks of about one size: the one freed last is taken first, as its memory is the nearest. */
struct heap_list {
    uint32_t *refs;
    uint32_t count, room;
};

enum { HEAP_LISTS = 144 };

struct heap {
    struct heap_slab *slabs;                   /* [0] is never used */
    struct heap_large *larges;                 /* NULL: none yet */
    struct heap_list *lists;                   /* HEAP_LISTS of them; NULL: none yet */
    uint64_t listed[(HEAP_LISTS + 63) / 64];   /* lists that are not empty */
    size_t slab_units, used_units, live_units; /* sums over the slabs */
    uint32_t slab_count, slab_room;
    uint32_t large_count, large_room;
    uint32_t free_slab, free_large; /* number of a free one (of large: + 1), 0: none */
    uint32_t current;               /* the slab that new blocks go to, 0: none */
    uint32_t victim, victim_at;     /* the slab being evacuated, 0: none, and how far */
    uint32_t seek;                  /* where the next victim is looked for */
    size_t live_bytes;              /* of keys and values in blocks */
    size_t large_bytes;             /* allocated for large entities */
    size_t list_bytes;
    size_t table_bytes; /* of the tables' places: the tables count them */
    void *map;          /* of the adopted slabs; the heap unmaps it when nothing lives in it */
    size_t map_len;
    size_t map_uses;
    struct pages_ahead ahead; /* of the next slab, once slabs are as large as they get */
};

void heap_init(struct heap *heap);

/* Gives everything back; as after heap_init. Where a table's places lie in the adopted mapping, they are gone
 * too. */
void heap_free(struct heap *heap);

/* Stores a copy. 0: out of memory, or 4 GB; nothing changed. type < HEAP_TYPES_MAX. */
uint32_t heap_add(struct heap *heap, uint32_t type, struct slice key, struct slice value);

/* Gives the entity another value, in its block or in a new one: the reference after that. 0: as heap_add. */
uint32_t heap_change(struct heap *heap, uint32_t ref, struct slice value);

void heap_remove(struct heap *heap, uint32_t ref);

/* Too much of the slabs' memory is not in live blocks: more than a third; or so much that what is held is more
 * than 1.375 times the keys and values, which is to stay below 1.5. No less than an eighth: for small entities,
 * whose blocks and places alone take that much, it would not help. */
static inline bool heap_is_sparse(const struct heap *heap) {
    size_t waste = heap->used_units - heap->live_units;
    if (waste * 8 <= heap->live_units + 8 * (4096 / HEAP_UNIT)) {
        return false;
    }
    size_t most = heap->live_bytes + heap->live_bytes / 4 + heap->live_bytes / 8;
    return waste * 3 > heap->live_units || heap->slab_units * HEAP_UNIT + heap->table_bytes > most;
}

/* Live blocks that should move because little lives around them, at most max; 0: none for now. Each is to be
 * moved before the next call. Bounded work. */
size_t heap_next(struct heap *heap, uint32_t *refs, size_t max);

/* The reference after the move, or ref where there is no memory to move to. */
uint32_t heap_move(struct heap *heap, uint32_t ref);

/* Bytes held from the system, for live blocks or not. */
size_t heap_resident(const struct heap *heap);

/* Adoption, into a heap after heap_init: the mapping, then its slabs in the order of their numbers from 1, and
 * its large entities from 0. base is at 8 bytes; units: what there is of the slab, all in blocks, of which
 * those marked free (with key_len 0) count as free; live: units of the others. base NULL (bytes NULL): the
 * number is free. heap_adopt_end is called at last, with the bytes of all keys and values. False: out of memory; heap_free undoes it.
 * heap_adopt_use counts one more user of the mapping (a table's places), which heap_unuse ends. */
void heap_adopt(struct heap *heap, void *map, size_t map_len);
bool heap_adopt_slab(struct heap *heap, char *base, uint32_t units, uint32_t live);
bool heap_adopt_large(struct heap *heap, uint32_t type, char *bytes, uint32_t key_len, uint32_t value_len);
void heap_adopt_end(struct heap *heap, size_t bytes);
void heap_adopt_use(struct heap *heap);
void heap_unuse(struct heap *heap);

/* Units of a block with a key and value of these lengths; more than HEAP_UNITS_MAX: a large entity. */
static inline size_t heap_units(size_t key_len, size_t value_len) {
    return (sizeof(struct heap_block) + key_len + value_len + HEAP_UNIT - 1) / HEAP_UNIT;
}

static inline uint32_t heap_mark(uint32_t type, uint32_t units) {
    return type << HEAP_MARK_TYPE_SHIFT | units;
}

/* For a reference below HEAP_LARGE. */
static inline struct heap_block *heap_block(const struct heap *heap, uint32_t ref) {
    const struct heap_slab *slab = &heap->slabs[ref >> HEAP_SLAB_BITS];
    return (struct heap_block *)(void *)(slab->base + (size_t)(ref & (HEAP_SLAB_UNITS - 1)) * HEAP_UNIT);
}

static inline struct slice heap_key(const struct heap *heap, uint32_t ref) {
    if (ref >= HEAP_LARGE) {
        const struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
        return slice_of(large->bytes, large->key_len);
    }
    const struct heap_block *block = heap_block(heap, ref);
    return slice_of(block->bytes, block->key_len);
}

static inline size_t heap_value_len(const struct heap *heap, uint32_t ref) {
    return ref >= HEAP_LARGE ? heap->larges[ref - HEAP_LARGE].value_len : heap_block(heap, ref)->value_len;
}

static inline struct slice heap_value(const struct heap *heap, uint32_t ref) {
    if (ref >= HEAP_LARGE) {
        const struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
        return slice_of(large->bytes + large->key_len, large->value_len);
    }
    const struct heap_block *block = heap_block(heap, ref);
    return slice_of(block->bytes + block->key_len, block->value_len);
}

/* Asks for the first `bytes` of a block, at most 256; ref may be 0. Always inlined: a function that does nothing
 * but prefetch is one that gcc takes for doing nothing, and leaves out. */
static inline __attribute__((always_inline)) void heap_touch(const struct heap *heap, uint32_t ref,
                                                             size_t bytes) {
    if (ref == 0 || ref >= HEAP_LARGE) {
        return;
    }
    const char *block = (const char *)heap_block(heap, ref);
    __builtin_prefetch(block, 1);
    if (bytes > 64) {
        __builtin_prefetch(block + 64, 1);
    }
    if (bytes > 128) {
        __builtin_prefetch(block + 128, 1);
    }
    if (bytes > 192) {
        __builtin_prefetch(block + 192, 1);
    }
}

static inline uint32_t heap_type(const struct heap *heap, uint32_t ref) {
    return ref >= HEAP_LARGE ? heap->larges[ref - HEAP_LARGE].type
                             : (heap_block(heap, ref)->mark & ~HEAP_MARK_FREE) >> HEAP_MARK_TYPE_SHIFT;
}

#endif
