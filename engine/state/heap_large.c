#include <stdlib.h>
#include <string.h>

#include "state/heap_parts.h"

enum { LARGE_STEP = 4096 };

static size_t room_for(size_t bytes) {
    return (bytes + LARGE_STEP - 1) / LARGE_STEP * LARGE_STEP;
}

void heap_large_free_number(struct heap *heap, uint32_t number) {
    heap->larges[number] = (struct heap_large){.key_len = heap->free_large};
    heap->free_large = number + 1;
}

bool heap_large_append(struct heap *heap, uint32_t *number) {
    if (heap->large_count == HEAP_LARGES_MAX) {
        return false;
    }
    if (heap->large_count == heap->large_room) {
        uint32_t room = heap->large_room ? heap->large_room * 2 : 4;
        struct heap_large *larges = realloc(heap->larges, room * sizeof *larges);
        if (!larges) {
            return false;
        }
        heap->larges = larges;
        heap->large_room = room;
    }
    *number = heap->large_count++;
    return true;
}

static bool take_number(struct heap *heap, uint32_t *number) {
    if (!heap->free_large) {
        return heap_large_append(heap, number);
    }
    *number = heap->free_large - 1;
    heap->free_large = heap->larges[*number].key_len;
    return true;
}

uint32_t heap_large_add(struct heap *heap, uint32_t type, struct slice key, struct slice value) {
    uint32_t number;
    if (key.len > UINT32_MAX || value.len > UINT32_MAX || !take_number(heap, &number)) {
        return 0;
    }
    size_t room = room_for(key.len + value.len);
    char *bytes = malloc(room);
    if (!bytes) {
        heap_large_free_number(heap, number);
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

void heap_large_remove(struct heap *heap, uint32_t ref) {
    struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
    bool adopted = large->room == 0;
    if (adopted) {
        heap->large_bytes -= (size_t)large->key_len + large->value_len;
    } else {
        heap->large_bytes -= large->room;
        free(large->bytes);
    }
    heap_large_free_number(heap, ref - HEAP_LARGE);
    if (adopted) {
        heap_unuse(heap);
    }
}

bool heap_large_change(struct heap *heap, uint32_t ref, struct slice value) {
    struct heap_large *large = &heap->larges[ref - HEAP_LARGE];
    size_t need = large->key_len + value.len;
    if (value.len > UINT32_MAX) {
        return false;
    }
    if (need > large->room || need < large->room - large->room / 4) {
        size_t room = room_for(need);
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
