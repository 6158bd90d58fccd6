/* What the files of the heap have in common: large entities (heap_large.c) and lists of free blocks
 * (heap_list.c). */
#ifndef STATE_HEAP_PARTS_H
#define STATE_HEAP_PARTS_H

#include "state/heap.h"

/* As heap_add, heap_remove and heap_change (which stays large, and is not adopted). */
uint32_t heap_large_add(struct heap *heap, uint32_t type, struct slice key, struct slice value);
void heap_large_remove(struct heap *heap, uint32_t ref);
bool heap_large_change(struct heap *heap, uint32_t ref, struct slice value);

/* A new number for a large entity. False: out of memory, or of numbers. */
bool heap_large_append(struct heap *heap, uint32_t *number);
void heap_large_free_number(struct heap *heap, uint32_t number);

enum { HEAP_LIST_EXACT = 64 }; /* below this many units each size has its list; above, sizes go up by 1/16 */

/* The list whose blocks have at least that size, of those that are not above `units`. */
static inline uint32_t heap_list_of(uint32_t units) {
    if (units < HEAP_LIST_EXACT) {
        return units;
    }
    uint32_t log = 31 - (uint32_t)__builtin_clz(units);
    return HEAP_LIST_EXACT + (log - 6) * 16 + (units >> (log - 4) & 15);
}

/* The least size that a list has, and that is not below `units`. */
static inline uint32_t heap_list_size(uint32_t units) {
    if (units < HEAP_LIST_EXACT) {
        return units;
    }
    uint32_t step = 1u << (31 - (uint32_t)__builtin_clz(units) - 4);
    return (units + step - 1) & ~(step - 1);
}

/* The first list from `list` on that is not empty, or HEAP_LISTS. */
uint32_t heap_list_next(const struct heap *heap, uint32_t list);

/* Makes room for another block in the list. False: out of memory. */
bool heap_list_grow(struct heap *heap, uint32_t number);

/* To be called when the list has become empty. */
void heap_list_emptied(struct heap *heap, uint32_t number);

/* Takes out a block that is listed. */
void heap_list_drop(struct heap *heap, struct heap_block *block);

/* Lists a free block. Where there is no memory for that, it stays out of the lists. */
static inline void heap_list_push(struct heap *heap, uint32_t ref, struct heap_block *block) {
    uint32_t number = heap_list_of(block->mark & HEAP_MARK_UNITS);
    if ((!heap->lists || heap->lists[number].count == heap->lists[number].room) &&
        !heap_list_grow(heap, number)) {
        return;
    }
    struct heap_list *list = &heap->lists[number];
    block->key_len = 1;
    memcpy(block->bytes, &list->count, sizeof list->count);
    list->refs[list->count++] = ref;
    heap->listed[number / 64] |= UINT64_C(1) << number % 64;
}

/* Takes out the block freed last, 0: none. */
static inline uint32_t heap_list_pop(struct heap *heap, uint32_t number) {
    if (!(heap->listed[number / 64] >> number % 64 & 1)) {
        return 0;
    }
    struct heap_list *list = &heap->lists[number];
    uint32_t ref = list->refs[--list->count];
    heap_block(heap, ref)->key_len = 0;
    if (list->count == 0) {
        heap_list_emptied(heap, number);
    }
    return ref;
}

void heap_list_free(struct heap *heap);

#endif
