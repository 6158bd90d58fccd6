#include <stdlib.h>
#include <string.h>

#include "state/heap_parts.h"

enum { ROOM_LEAST = 8, ROOM_KEPT = 64 };

uint32_t heap_list_next(const struct heap *heap, uint32_t list) {
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

static bool resize(struct heap *heap, struct heap_list *list, uint32_t room) {
    uint32_t *refs = realloc(list->refs, room * sizeof *refs);
    if (!refs) {
        return false;
    }
    heap->list_bytes += ((size_t)room - list->room) * sizeof *refs;
    list->refs = refs;
    list->room = room;
    return true;
}

bool heap_list_grow(struct heap *heap, uint32_t number) {
    if (!heap->lists) {
        heap->lists = calloc(HEAP_LISTS, sizeof *heap->lists);
        if (!heap->lists) {
            return false;
        }
        heap->list_bytes = HEAP_LISTS * sizeof *heap->lists;
    }
    struct heap_list *list = &heap->lists[number];
    return list->count < list->room || resize(heap, list, list->room ? list->room * 2 : ROOM_LEAST);
}

void heap_list_emptied(struct heap *heap, uint32_t number) {
    struct heap_list *list = &heap->lists[number];
    heap->listed[number / 64] &= ~(UINT64_C(1) << number % 64);
    if (list->room > ROOM_KEPT) {
        heap->list_bytes -= list->room * sizeof *list->refs;
        free(list->refs);
        *list = (struct heap_list){0};
    }
}

void heap_list_drop(struct heap *heap, struct heap_block *block) {
    uint32_t list = heap_list_of(block->mark & HEAP_MARK_UNITS);
    struct heap_list *l = &heap->lists[list];
    uint32_t at;
    memcpy(&at, block->bytes, sizeof at);
    uint32_t last = l->refs[--l->count];
    l->refs[at] = last;
    memcpy(heap_block(heap, last)->bytes, &at, sizeof at);
    block->key_len = 0;
    if (l->count == 0) {
        heap_list_emptied(heap, list);
    } else if (l->room > ROOM_KEPT && l->count < l->room / 4) {
        resize(heap, l, l->room / 2);
    }
}

void heap_list_free(struct heap *heap) {
    for (uint32_t i = 0; heap->lists && i < HEAP_LISTS; i++) {
        free(heap->lists[i].refs);
    }
    free(heap->lists);
    heap->lists = NULL;
    heap->list_bytes = 0;
}
