#include "state/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SMALL_UNITS = 64,          /* up to here each size has its list; above, sizes go up by 1/16 */
    SLAB_UNITS_LEAST = 64,     /* 1 KB */
    SLAB_GROWTH = 16,          /* a new slab is this part of the heap */
    MAPPED_UNITS_LEAST = 1 << 14, /* slabs of 256 KB and more are mapped, so that they can be given back */
    PAGE_UNITS = 4096 / HEAP_UNIT,
    SLAB_BYTES = HEAP_SLAB_UNITS * HEAP_UNIT,
    LARGE_STEP = 4096,
    VICTIM_WINDOW = 1024, /* slabs among which the sparsest is looked for */
    POP_TRIES = 4,
};

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
    if (slab->origin == HEAP_MALLOCED) {
        free(slab->base);
    } else if (slab->origin == HEAP_MAPPED) {
        munmap(slab->base, (size_t)slab->units * HEAP_UNIT);
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
    free(heap->slabs);
    free(heap->larges);
    if (heap->map) {
        munmap(heap->map, heap->map_len);
    }
    heap_init(heap);
}

/* --- lists of free blocks --- */

struct links {
    uint32_t previous, next;
};

static struct links links_of(const struct heap_block *block) {
    struct links links;
    memcpy(&links, block->bytes, sizeof links);
    return links;
}

static void set_links(struct heap_block *block, uint32_t previous, uint32_t next) {
    struct links links = {previous, next};
    memcpy(block->bytes, &links, sizeof links);
}

static uint32_t units_of(const struct heap_block *block) {
    return block->mark & HEAP_MARK_UNITS;
}

/* The list whose blocks have at least `size` units, of those not above `units`. */
static uint32_t list_of(uint32_t units) {
    if (units < SMALL_UNITS) {
        return units;
    }
    uint32_t log = 31 - (uint32_t)__builtin_clz(units);
    return SMALL_UNITS + (log - 6) * 16 + (units >> (log - 4) & 15);
}

/* The least size that a list has, and that is not below `units`. */
static uint32_t round_up(uint32_t units) {
    if (units < SMALL_UNITS) {
        return units;
    }
    uint32_t step = 1u << (31 - (uint32_t)__builtin_clz(units) - 4);
    return (units + step - 1) & ~(step - 1);
}

static void list_push(struct heap *heap, uint32_t ref, struct heap_block *block) {
    uint32_t list = list_of(units_of(block));
    uint32_t next = heap->lists[list];
    block->key_len = 1;
    set_links(block, 0, next);
    if (next) {
        struct heap_block *behind = heap_block(heap, next);
        set_links(behind, ref, links_of(behind).next);
    } else {
        heap->listed[list / 64] |= UINT64_C(1) << list % 64;
    }
    heap->lists[list] = ref;
}

static void list_take(struct heap *heap, struct heap_block *block) {
    struct links links = links_of(block);
    block->key_len = 0;
    if (links.next) {
        struct heap_block *behind = heap_block(heap, links.next);
        set_links(behind, links.previous, links_of(behind).next);
    }
    if (links.previous) {
        struct heap_block *before = heap_block(heap, links.previous);
        set_links(before, links_of(before).previous, links.next);
        return;
    }
    uint32_t list = list_of(units_of(block));
    heap->lists[list] = links.next;
    if (!links.next) {
        heap->listed[list / 64] &= ~(UINT64_C(1) << list % 64);
    }
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

static void *map_memory(size_t bytes) {
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* The largest slabs lie at a multiple of their size, so that each can be one large page. */
static void *map_aligned(void) {
    char *map = map_memory(2 * (size_t)SLAB_BYTES);
    if (!map) {
        return NULL;
    }
    size_t before = -(uintptr_t)map & (SLAB_BYTES - 1);
    if (before > 0) {
        munmap(map, before);
    }
    munmap(map + before + SLAB_BYTES, SLAB_BYTES - before);
    madvise(map + before, SLAB_BYTES, MADV_HUGEPAGE);
    return map + before;
}

/* Allocates a slab for a heap of this size and a block of `least` units. */
static bool slab_allocate(struct heap_slab *slab, size_t heap_units_all, uint32_t least) {
    size_t units = heap_units_all / SLAB_GROWTH;
    units = units < SLAB_UNITS_LEAST ? SLAB_UNITS_LEAST : units;
    units = units < least ? least : units;
    if (units < MAPPED_UNITS_LEAST) {
        *slab = (struct heap_slab){.units = (uint32_t)units, .origin = HEAP_MALLOCED};
        slab->base = malloc(units * HEAP_UNIT);
    } else if (units < HEAP_SLAB_UNITS / 2) {
        units = (units + PAGE_UNITS - 1) / PAGE_UNITS * PAGE_UNITS;
        *slab = (struct heap_slab){.units = (uint32_t)units, .origin = HEAP_MAPPED};
        slab->base = map_memory(units * HEAP_UNIT);
    } else {
        *slab = (struct heap_slab){.units = HEAP_SLAB_UNITS, .origin = HEAP_MAPPED};
        slab->base = map_aligned();
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

static struct heap_block *block_at(const struct heap_slab *slab, uint32_t unit) {
    return (struct heap_block *)(void *)(slab->base + (size_t)unit * HEAP_UNIT);
}

/* What is left of the current slab becomes a free block, and another slab the current one. */
static bool next_slab(struct heap *heap, uint32_t least) {
    uint32_t number = slab_number(heap);
    struct heap_slab slab;
    if (!number || !slab_allocate(&slab, heap->slab_units, least)) {
        return false;
    }
    if (heap->current) {
        struct heap_slab *full = &heap->slabs[heap->current];
        uint32_t rest = full->units - full->used;
        if (rest > 0) {
            struct heap_block *block = block_at(full, full->used);
            *block = (struct heap_block){.mark = HEAP_MARK_FREE | rest};
            list_push(heap, heap->current << HEAP_SLAB_BITS | full->used, block);
            full->used = full->units;
            heap->used_units += rest;
        }
    }
    heap->free_slab = heap->slabs[number].live;
    heap->slabs[number] = slab;
    heap->slab_units += slab.units;
    heap->current = number;
    return true;
}

/* --- blocks --- */

/* A free block out of a list, or 0. Those of the victim are left out: they would have to move soon. */
static uint32_t pop(struct heap *heap, uint32_t list) {
    for (int tries = 0; tries < POP_TRIES && heap->lists[list]; tries++) {
        uint32_t ref = heap->lists[list];
        struct heap_block *block = heap_block(heap, ref);
        list_take(heap, block);
        if (ref >> HEAP_SLAB_BITS != heap->victim) {
            return ref;
        }
    }
    return 0;
}

/* The next list that is not empty, or HEAP_LISTS. */
static uint32_t next_list(const struct heap *heap, uint32_t list) {
    for (uint32_t word = list / 64; word < sizeof heap->listed / sizeof *heap->listed; word++) {
        uint64_t bits = heap->listed[word];
        if (word == list / 64) {
            bits &= UINT64_MAX << list % 64;
        }
        if (bits) {
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
        }
    }
    return HEAP_LISTS;
}

/* Units that are in blocks and not in live ones. */
static size_t waste(const struct heap *heap) {
    return heap->used_units - heap->live_units;
}

/* Gives `units` of the block to whoever asked, and the rest to a list. */
static void cut(struct heap *heap, uint32_t ref, struct heap_block *block, uint32_t units) {
    uint32_t rest = units_of(block) - units;
    if (rest > 0) {
        struct heap_block *behind = (struct heap_block *)(void *)((char *)block + (size_t)units * HEAP_UNIT);
        behind->mark = HEAP_MARK_FREE | rest;
        list_push(heap, ref + units, behind);
        block->mark = HEAP_MARK_FREE | units;
    }
}

/* A block of at least `units`, whose mark has its size. 0: out of memory. */
static uint32_t take(struct heap *heap, uint32_t units) {
    units = round_up(units);
    uint32_t ref = pop(heap, list_of(units));
    if (!ref && waste(heap) > heap->live_units / 16) {
        uint32_t list = next_list(heap, list_of(units) + 1);
        ref = list < HEAP_LISTS ? pop(heap, list) : 0;
        if (ref) {
            cut(heap, ref, heap_block(heap, ref), units);
        }
    }
    if (!ref) {
        struct heap_slab *slab = heap->current ? &heap->slabs[heap->current] : NULL;
        if (!slab || slab->units - slab->used < units) {
            if (!next_slab(heap, units)) {
                return 0;
            }
            slab = &heap->slabs[heap->current];
        }
        ref = heap->current << HEAP_SLAB_BITS | slab->used;
        heap_block(heap, ref)->mark = units;
        slab->used += units;
        heap->used_units += units;
    }
    uint32_t got = units_of(heap_block(heap, ref));
    heap->slabs[ref >> HEAP_SLAB_BITS].live += got;
    heap->live_units += got;
    return ref;
}

static void give(struct heap *heap, uint32_t ref) {
    uint32_t number = ref >> HEAP_SLAB_BITS;
    struct heap_slab *slab = &heap->slabs[number];
    struct heap_block *block = heap_block(heap, ref);
    uint32_t units = units_of(block);
    slab->live -= units;
    heap->live_units -= units;
    block->mark = HEAP_MARK_FREE | units;
    block->key_len = 0;
    if (number != heap->victim && slab->origin != HEAP_ADOPTED) {
        list_push(heap, ref, block);
    }
}

/* --- large entities --- */

static size_t large_room(size_t bytes) {
    return (bytes + LARGE_STEP - 1) / LARGE_STEP * LARGE_STEP;
}

static void large_number_free(struct heap *heap, uint32_t number) {
    heap->larges[number] = (struct heap_large){.key_len = heap->free_large};
    heap->free_large = number + 1;
}

static bool large_append(struct heap *heap, uint32_t *number) {
    if (heap->large_count == heap->large_room) {
        uint32_t room = heap->large_room ? heap->large_room * 2 : 4;
        struct heap_large *larges = realloc(heap->larges, room * sizeof *larges);
        if (!larges) {
            return false;
        }
        heap->larges = larges;
        heap->large_room = room;
    }
    if (heap->large_count == HEAP_LARGES_MAX) {
        return false;
    }
    *number = heap->large_count++;
    return true;
}

static bool large_number(struct heap *heap, uint32_t *number) {
    if (!heap->free_large) {
        return large_append(heap, number);
    }
    *number = heap->free_large - 1;
    heap->free_large = heap->larges[*number].key_len;
    return true;
}

static uint32_t large_add(struct heap *heap, uint32_t type, struct slice key, struct slice value) {
    uint32_t number;
    if (key.len > UINT32_MAX || value.len > UINT32_MAX || !large_number(heap, &number)) {
        return 0;
    }
    size_t room = large_room(key.len + value.len);
    char *bytes = malloc(room);
    if (!bytes) {
        large_number_free(heap, number);
        return 0;
    }
    memcpy(bytes, key.ptr, key.len);
    memcpy(bytes + key.len, value.ptr, value.len);
    heap->larges[number] = (struct heap_large){
        .bytes = bytes,
        .room = room,
        .key_len = (uint32_t)key.len,
        .value_len = (uint32_t)value.len,
        .type = type,
    };
    heap->large_bytes += room;
    return HEAP_LARGE + number;
}

static void large_remove(struct heap *heap, uint32_t ref) {
    struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
    if (large->room > 0) {
        free(large->bytes);
        heap->large_bytes -= large->room;
        large_number_free(heap, ref - HEAP_LARGE);
    } else {
        heap->large_bytes -= (size_t)large->key_len + large->value_len;
        large_number_free(heap, ref - HEAP_LARGE);
        heap_unuse(heap);
    }
}

/* In its own memory, when it stays large. */
static bool large_change(struct heap *heap, uint32_t ref, struct slice value) {
    struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
    size_t need = large->key_len + value.len;
    if (value.len > UINT32_MAX || large->room == 0) {
        return false;
    }
    if (need > large->room || need < large->room - large->room / 4) {
        size_t room = large_room(need);
        char *bytes = realloc(large->bytes, room);
        if (!bytes) {
            return false;
        }
        heap->large_bytes = heap->large_bytes - large->room + room;
        large->bytes = bytes;
        large->room = room;
    }
    memcpy(large->bytes + large->key_len, value.ptr, value.len);
    large->value_len = (uint32_t)value.len;
    return true;
}

/* --- entities --- */

uint32_t heap_add(struct heap *heap, uint32_t type, struct slice key, struct slice value) {
    size_t units = heap_units(key.len, value.len);
    if (units > HEAP_UNITS_MAX) {
        return large_add(heap, type, key, value);
    }
    uint32_t ref = take(heap, (uint32_t)units);
    if (ref) {
        struct heap_block *block = heap_block(heap, ref);
        block->mark = heap_mark(type, units_of(block));
        block->key_len = (uint16_t)key.len;
        block->value_len = (uint16_t)value.len;
        memcpy(block->bytes, key.ptr, key.len);
        memcpy(block->bytes + key.len, value.ptr, value.len);
    }
    return ref;
}

/* A block may be this much larger than it has to be. */
static bool fits(uint32_t has, size_t needs) {
    return needs <= has && has - needs <= has / 8;
}

uint32_t heap_change(struct heap *heap, uint32_t ref, struct slice value) {
    struct slice key = heap_key(heap, ref);
    size_t units = heap_units(key.len, value.len);
    if (ref >= HEAP_LARGE && units > HEAP_UNITS_MAX && heap->larges[ref - HEAP_LARGE].room > 0) {
        return large_change(heap, ref, value) ? ref : 0;
    }
    if (ref < HEAP_LARGE) {
        struct heap_block *block = heap_block(heap, ref);
        if (fits(units_of(block), units)) {
            memcpy(block->bytes + block->key_len, value.ptr, value.len);
            block->value_len = (uint16_t)value.len;
            return ref;
        }
    }
    uint32_t to = heap_add(heap, heap_type(heap, ref), key, value);
    if (to) {
        heap_remove(heap, ref);
    }
    return to;
}

void heap_remove(struct heap *heap, uint32_t ref) {
    if (ref >= HEAP_LARGE) {
        large_remove(heap, ref);
    } else {
        give(heap, ref);
    }
}

/* --- evacuation --- */

size_t heap_next(struct heap *heap, uint32_t *refs, size_t max) {
    (void)heap;
    (void)refs;
    (void)max;
    (void)slab_release;
    return 0;
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
    return heap->slab_units * HEAP_UNIT + heap->large_bytes + heap->slab_room * sizeof *heap->slabs +
           heap->large_room * sizeof *heap->larges;
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
        heap->slabs[number] = (struct heap_slab){base, units, units, live, HEAP_ADOPTED};
        heap->slab_units += units;
        heap->used_units += units;
        heap->live_units += live;
        heap_adopt_use(heap);
    }
    return number != 0;
}

bool heap_adopt_large(struct heap *heap, uint32_t type, char *bytes, uint32_t key_len, uint32_t value_len) {
    uint32_t number;
    if (!large_append(heap, &number)) {
        return false;
    }
    heap->larges[number] = (struct heap_large){bytes, 0, key_len, value_len, type};
    if (bytes) {
        heap->large_bytes += (size_t)key_len + value_len;
        heap_adopt_use(heap);
    }
    return true;
}

void heap_adopt_end(struct heap *heap) {
    for (uint32_t i = 1; i < heap->slab_count; i++) {
        if (!heap->slabs[i].base) {
            slab_number_free(heap, i);
        }
    }
    for (uint32_t i = 0; i < heap->large_count; i++) {
        if (!heap->larges[i].bytes) {
            large_number_free(heap, i);
        }
    }
    heap_unuse(heap);
}
