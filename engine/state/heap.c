#include "state/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "state/heap_parts.h"
#include "state/pages.h"

enum {
    SLAB_UNITS_LEAST = 64,        /* 1 KB */
    SLAB_PART = 16,               /* a new slab is this part of the heap */
    MAPPED_UNITS_LEAST = 1 << 14, /* slabs of 256 KB and more are mapped, so that they can be given back */
    AHEAD_UNITS_LEAST = 20 << 16, /* from 20 MB on the next slab is made ready ahead */
    PAGE_UNITS = 4096 / HEAP_UNIT,
    VICTIM_WINDOW = 1024, /* slabs among which the emptiest is looked for */
    POP_TRIES = 4,
    STEPS_PER_MOVE = 4, /* blocks looked at for each that may move */
};

_Static_assert(HEAP_SLAB_UNITS *HEAP_UNIT == PAGES_HUGE, "the largest slab is one large page");

void heap_init(struct heap *heap) {
    *heap = (struct heap){0};
}

void heap_adopt_use(struct heap *heap) {
    heap->map_uses++;
}

void heap_unuse(struct heap *heap) {
    if (--heap->map_uses == 0) {
        munmap(heap->map, heap->map_len);
        heap->map = NULL;
    }
}

static void free_slab_memory(const struct heap_slab *slab) {
    size_t size = (size_t)slab->units * HEAP_UNIT;
    if (slab->origin == HEAP_MALLOCED) {
        free(slab->base);
    } else if (slab->origin == HEAP_MAPPED) {
        pages_unmap(slab->base, size);
    } else {
        pages_forget(slab->base, size);
    }
}

void heap_free(struct heap *heap) {
    for (uint32_t i = 1; i < heap->slab_count; i++) {
        if (heap->slabs[i].base) {
            free_slab_memory(&heap->slabs[i]);
        }
    }
    for (uint32_t i = 0; i < heap->large_count; i++) {
        if (heap->larges[i].room > 0) {
            free(heap->larges[i].bytes);
        }
    }
    pages_ahead_free(&heap->ahead);
    free(heap->slabs);
    free(heap->larges);
    heap_list_free(heap);
    if (heap->map) {
        munmap(heap->map, heap->map_len);
    }
    heap_init(heap);
}

/* --- slabs --- */

static void slab_number_free(struct heap *heap, uint32_t number) {
    heap->slabs[number] = (struct heap_slab){.live = heap->free_slab};
    heap->free_slab = number;
}

/* A new number for a slab; 0: out of memory, or of numbers. */
static uint32_t slab_append(struct heap *heap) {
    if (heap->slab_count == heap->slab_room) {
        uint32_t room = heap->slab_room ? heap->slab_room * 2 : 4;
        struct heap_slab *slabs = realloc(heap->slabs, room * sizeof *slabs);
        if (!slabs) {
            return 0;
        }
        heap->slabs = slabs;
        heap->slab_room = room;
    }
    if (heap->slab_count == 0) {
        heap->slabs[0] = (struct heap_slab){0};
        heap->slab_count = 1;
    }
    if (heap->slab_count == HEAP_SLABS_MAX) {
        return 0;
    }
    heap->slabs[heap->slab_count] = (struct heap_slab){0};
    return heap->slab_count++;
}

/* A free number, which stays free until it is taken off the chain. */
static uint32_t slab_number(struct heap *heap) {
    if (!heap->free_slab) {
        uint32_t number = slab_append(heap);
        if (number) {
            slab_number_free(heap, number);
        }
    }
    return heap->free_slab;
}

/* Allocates a slab for a block of `least` units. */
static bool slab_allocate(struct heap *heap, struct heap_slab *slab, uint32_t least) {
    size_t units = heap->slab_units / SLAB_PART;
    units = units < SLAB_UNITS_LEAST ? SLAB_UNITS_LEAST : units;
    units = units < least ? least : units;
    if (units < MAPPED_UNITS_LEAST) {
        *slab = (struct heap_slab){.units = (uint32_t)units, .origin = HEAP_MALLOCED};
        slab->base = malloc(units * HEAP_UNIT);
    } else if (units < HEAP_SLAB_UNITS / 2) {
        units = (units + PAGE_UNITS - 1) / PAGE_UNITS * PAGE_UNITS;
        *slab = (struct heap_slab){.units = (uint32_t)units, .origin = HEAP_MAPPED};
        slab->base = pages_map(units * HEAP_UNIT);
        if (slab->base) {
            pages_fill(slab->base, units * HEAP_UNIT);
        }
    } else {
        *slab = (struct heap_slab){.units = HEAP_SLAB_UNITS, .origin = HEAP_MAPPED};
        bool grows = !heap->victim && heap->slab_units > AHEAD_UNITS_LEAST;
        slab->base = grows ? pages_ahead_take(&heap->ahead) : pages_map(PAGES_HUGE);
    }
    return slab->base != NULL;
}

static void slab_release(struct heap *heap, uint32_t number) {
    struct heap_slab *slab = &heap->slabs[number];
    heap->slab_units -= slab->units;
    heap->used_units -= slab->used;
    free_slab_memory(slab);
    if (slab->origin == HEAP_ADOPTED) {
        heap_unuse(heap);
    }
    slab_number_free(heap, number);
}

static uint32_t units_of(const struct heap_block *block) {
    return block->mark & HEAP_MARK_UNITS;
}

static uint32_t reference(uint32_t number, uint32_t unit) {
    return number << HEAP_SLAB_BITS | unit;
}

/* What is left of the current slab becomes free blocks. */
static void leave_current(struct heap *heap) {
    uint32_t number = heap->current;
    struct heap_slab *slab = &heap->slabs[number];
    heap->used_units += slab->units - slab->used;
    while (slab->used < slab->units) {
        uint32_t rest = slab->units - slab->used;
        uint32_t units = rest < HEAP_UNITS_MAX ? rest : HEAP_UNITS_MAX;
        uint32_t ref = reference(number, slab->used);
        struct heap_block *block = heap_block(heap, ref);
        *block = (struct heap_block){.mark = HEAP_MARK_FREE | units};
        heap_list_push(heap, ref, block);
        slab->used += units;
    }
    heap->current = 0;
}

static bool next_slab(struct heap *heap, uint32_t least) {
    uint32_t number = slab_number(heap);
    struct heap_slab slab;
    if (!number || !slab_allocate(heap, &slab, least)) {
        return false;
    }
    if (heap->current) {
        leave_current(heap);
    }
    heap->free_slab = heap->slabs[number].live;
    heap->slabs[number] = slab;
    heap->slab_units += slab.units;
    heap->current = number;
    return true;
}

/* --- blocks --- */

/* Leaves `units` of a free block, and lists the rest as another one. */
static void cut(struct heap *heap, uint32_t ref, uint32_t units) {
    struct heap_block *block = heap_block(heap, ref);
    uint32_t rest = units_of(block) - units;
    if (rest > 0) {
        struct heap_block *behind = heap_block(heap, ref + units);
        *behind = (struct heap_block){.mark = HEAP_MARK_FREE | rest};
        heap_list_push(heap, ref + units, behind);
        block->mark = HEAP_MARK_FREE | units;
    }
}

/* A part of a larger free block. Only where there is much that is free: such cuts leave blocks of sizes that
 * nobody may ask for, while those that do fit come back soon. */
static uint32_t take_part(struct heap *heap, uint32_t units) {
    if (heap->used_units - heap->live_units <= heap->live_units / 16) {
        return 0;
    }
    uint32_t list = heap_list_next(heap, heap_list_of(units) + 1);
    uint32_t ref = list < HEAP_LISTS ? heap_list_pop(heap, list) : 0;
    if (!ref || ref >> HEAP_SLAB_BITS == heap->victim) {
        return 0;
    }
    cut(heap, ref, units);
    return ref;
}

static uint32_t take_new(struct heap *heap, uint32_t units) {
    if (!heap->current || heap->slabs[heap->current].units - heap->slabs[heap->current].used < units) {
        if (!next_slab(heap, units)) {
            return 0;
        }
    }
    struct heap_slab *slab = &heap->slabs[heap->current];
    uint32_t ref = reference(heap->current, slab->used);
    slab->used += units;
    heap->used_units += units;
    heap_block(heap, ref)->mark = units;
    return ref;
}

/* Where the block freed last does not do: there is none, or it lies in the victim, and would have to move
 * again. */
static __attribute__((noinline)) uint32_t take_other(struct heap *heap, uint32_t units) {
    uint32_t list = heap_list_of(units);
    for (int tries = 0; tries < POP_TRIES; tries++) {
        uint32_t ref = heap_list_pop(heap, list);
        if (ref && ref >> HEAP_SLAB_BITS != heap->victim) {
            return ref;
        }
    }
    uint32_t ref = take_part(heap, units);
    return ref ? ref : take_new(heap, units);
}

/* A block of at least `units`, whose mark has its size. 0: out of memory. */
static uint32_t take(struct heap *heap, uint32_t units) {
    units = heap_list_size(units);
    uint32_t ref = heap_list_pop(heap, heap_list_of(units));
    return ref && ref >> HEAP_SLAB_BITS != heap->victim ? ref : take_other(heap, units);
}

static void count_live(struct heap *heap, uint32_t ref, uint32_t units, size_t bytes) {
    heap->slabs[ref >> HEAP_SLAB_BITS].live += units;
    heap->live_units += units;
    heap->live_bytes += bytes;
}

static void give(struct heap *heap, uint32_t ref, struct heap_block *block) {
    uint32_t number = ref >> HEAP_SLAB_BITS;
    struct heap_slab *slab = &heap->slabs[number];
    uint32_t units = units_of(block);
    slab->live -= units;
    heap->live_units -= units;
    heap->live_bytes -= (size_t)block->key_len + block->value_len;
    block->mark = HEAP_MARK_FREE | units;
    block->key_len = 0;
    if (number != heap->victim && slab->origin != HEAP_ADOPTED) {
        heap_list_push(heap, ref, block);
    }
}

/* --- entities --- */

uint32_t heap_add(struct heap *heap, uint32_t type, struct slice key, struct slice value) {
    size_t units = heap_units(key.len, value.len);
    if (units > HEAP_UNITS_MAX) {
        return heap_large_add(heap, type, key, value);
    }
    uint32_t ref = take(heap, (uint32_t)units);
    if (ref) {
        struct heap_block *block = heap_block(heap, ref);
        count_live(heap, ref, units_of(block), key.len + value.len);
        block->mark = heap_mark(type, units_of(block));
        block->key_len = (uint16_t)key.len;
        block->value_len = (uint16_t)value.len;
        memcpy(block->bytes, key.ptr, key.len);
        memcpy(block->bytes + key.len, value.ptr, value.len);
    }
    return ref;
}

/* Another block for the entity in this one. */
static uint32_t change_block(struct heap *heap, uint32_t ref, struct heap_block *from, struct slice value,
                             uint32_t units) {
    uint32_t to = take(heap, units);
    if (!to) {
        return 0;
    }
    struct heap_block *block = heap_block(heap, to);
    uint32_t key_len = from->key_len;
    count_live(heap, to, units_of(block), key_len + value.len);
    block->mark = heap_mark(from->mark >> HEAP_MARK_TYPE_SHIFT, units_of(block));
    block->key_len = (uint16_t)key_len;
    block->value_len = (uint16_t)value.len;
    /* In words: blocks end with a whole one, and the value comes after. */
    for (uint32_t at = 0; at < key_len; at += 8) {
        memcpy(block->bytes + at, from->bytes + at, 8);
    }
    memcpy(block->bytes + key_len, value.ptr, value.len);
    give(heap, ref, from);
    return to;
}

/* From or to a large entity. */
static uint32_t change_kind(struct heap *heap, uint32_t ref, struct slice value) {
    uint32_t to = heap_add(heap, heap_type(heap, ref), heap_key(heap, ref), value);
    if (to) {
        heap_remove(heap, ref);
    }
    return to;
}

/* A block may be this much larger than it has to be. */
static bool fits(uint32_t has, size_t needs) {
    return has - needs <= has / 8; /* more than it has: a very large number */
}

uint32_t heap_change(struct heap *heap, uint32_t ref, struct slice value) {
    if (ref >= HEAP_LARGE) {
        const struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
        if (heap_units(large->key_len, value.len) <= HEAP_UNITS_MAX || large->room == 0) {
            return change_kind(heap, ref, value);
        }
        return heap_large_change(heap, ref, value) ? ref : 0;
    }
    struct heap_block *block = heap_block(heap, ref);
    size_t units = heap_units(block->key_len, value.len);
    if (fits(units_of(block), units)) {
        memcpy(block->bytes + block->key_len, value.ptr, value.len);
        heap->live_bytes = heap->live_bytes - block->value_len + value.len;
        block->value_len = (uint16_t)value.len;
        return ref;
    }
    return units > HEAP_UNITS_MAX ? change_kind(heap, ref, value)
                                  : change_block(heap, ref, block, value, (uint32_t)units);
}

void heap_remove(struct heap *heap, uint32_t ref) {
    if (ref >= HEAP_LARGE) {
        heap_large_remove(heap, ref);
    } else {
        give(heap, ref, heap_block(heap, ref));
    }
}

/* --- evacuation --- */

/* The slab with the largest part that is not live, of those in a window that moves on. */
static bool choose_victim(struct heap *heap) {
    double best = 0;
    uint32_t victim = 0;
    uint32_t count = heap->slab_count - 1 < VICTIM_WINDOW ? heap->slab_count - 1 : VICTIM_WINDOW;
    for (uint32_t i = 0; i < count; i++) {
        heap->seek = heap->seek + 1 < heap->slab_count ? heap->seek + 1 : 1;
        const struct heap_slab *slab = &heap->slabs[heap->seek];
        double waste = slab->base ? (double)(slab->used - slab->live) / slab->units : 0;
        if (waste > best) {
            best = waste;
            victim = heap->seek;
        }
    }
    if (victim && victim == heap->current) {
        leave_current(heap);
    }
    heap->victim = victim;
    heap->victim_at = 0;
    if (victim) {
        pages_ahead_free(&heap->ahead); /* it does not grow any more */
    }
    return victim != 0;
}

/* At the victim's end. Where something could not be moved it stays, to be chosen again. */
static void finish_victim(struct heap *heap) {
    uint32_t victim = heap->victim;
    heap->victim = 0;
    if (heap->slabs[victim].live == 0) {
        slab_release(heap, victim);
    }
}

size_t heap_next(struct heap *heap, uint32_t *refs, size_t max) {
    size_t count = 0;
    if (!heap->victim && !choose_victim(heap)) {
        return 0;
    }
    const struct heap_slab *slab = &heap->slabs[heap->victim];
    for (size_t steps = max * STEPS_PER_MOVE; steps > 0 && count < max && heap->victim_at < slab->used;
         steps--) {
        uint32_t ref = reference(heap->victim, heap->victim_at);
        struct heap_block *block = heap_block(heap, ref);
        heap->victim_at += units_of(block);
        if (!(block->mark & HEAP_MARK_FREE)) {
            refs[count++] = ref;
        } else if (block->key_len > 0) {
            heap_list_drop(heap, block);
        }
    }
    if (count == 0 && heap->victim_at == slab->used) {
        finish_victim(heap);
    }
    return count;
}

uint32_t heap_move(struct heap *heap, uint32_t ref) {
    uint32_t to = heap_add(heap, heap_type(heap, ref), heap_key(heap, ref), heap_value(heap, ref));
    if (!to) {
        return ref;
    }
    heap_remove(heap, ref);
    return to;
}

size_t heap_resident(const struct heap *heap) {
    return heap->slab_units * HEAP_UNIT + heap->large_bytes + heap->list_bytes + heap->table_bytes +
           heap->slab_room * sizeof *heap->slabs + heap->large_room * sizeof *heap->larges +
           (heap->ahead.pages ? PAGES_HUGE : 0);
}

/* --- adoption --- */

void heap_adopt(struct heap *heap, void *map, size_t map_len) {
    heap->map = map;
    heap->map_len = map_len;
    heap->map_uses = 1;
}

bool heap_adopt_slab(struct heap *heap, char *base, uint32_t units, uint32_t live) {
    uint32_t number = slab_append(heap);
    if (number && base) {
        struct heap_slab *slab = &heap->slabs[number];
        *slab = (struct heap_slab){.units = units, .used = units, .live = live, .origin = HEAP_ADOPTED};
        slab->base = base;
        heap->slab_units += units;
        heap->used_units += units;
        heap->live_units += live;
        heap_adopt_use(heap);
    }
    return number != 0;
}

bool heap_adopt_large(struct heap *heap, uint32_t type, char *bytes, uint32_t key_len, uint32_t value_len) {
    uint32_t number;
    if (!heap_large_append(heap, &number)) {
        return false;
    }
    struct heap_large *large = &heap->larges[number];
    *large = (struct heap_large){.key_len = key_len, .value_len = value_len, .type = type};
    large->bytes = bytes;
    if (bytes) {
        heap->large_bytes += (size_t)key_len + value_len;
        heap_adopt_use(heap);
    }
    return true;
}

void heap_adopt_end(struct heap *heap, size_t bytes) {
    heap->live_bytes = bytes - heap->large_bytes;
    for (uint32_t i = 1; i < heap->slab_count; i++) {
        if (!heap->slabs[i].base) {
            slab_number_free(heap, i);
        }
    }
    for (uint32_t i = 0; i < heap->large_count; i++) {
        if (!heap->larges[i].bytes) {
            heap_large_free_number(heap, i);
        }
    }
    heap_unuse(heap);
}
