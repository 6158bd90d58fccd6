#include "script/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_ALIGN = 1 << 16,         /* a block tells its page */
    PAGE_BYTES = PAGE_ALIGN - 64, /* room for what malloc puts between two of them, so that they lie close */
    GRAIN = 16,
    SIZES = MEMORY_SMALL_MAX / GRAIN, /* blocks of GRAIN, 2 * GRAIN ... bytes */
    SPARES_MAX = 16,                  /* empty pages that are kept */
};

/* A block that is free. */
struct block {
    struct block *next;
};

/* The beginning of a page; its blocks follow. */
struct page {
    struct block *free;       /* given back */
    char *fresh;              /* from here on blocks were never taken */
    char *end;                /* where no further block fits */
    unsigned used;            /* blocks that are taken */
    unsigned size;            /* bytes of a block */
    bool full;                /* in no list */
    struct page *next, *prev; /* the pages of this size that have room; spares by next only */
};

enum { PAGE_HEAD = (sizeof(struct page) + GRAIN - 1) / GRAIN * GRAIN };

struct memory {
    struct page *pages[SIZES]; /* with room, by size */
    struct page *spares;
    unsigned spare_count;
    size_t page_count; /* spares included */
};

#if defined(__SANITIZE_ADDRESS__)
static const bool pooled = false;
#else
static const bool pooled = true;
#endif

struct memory *memory_new(void) {
    return calloc(1, sizeof(struct memory));
}

static void drop_page(struct memory *memory, struct page *page) {
    free(page);
    memory->page_count--;
}

void memory_free(struct memory *memory) {
    if (!memory) {
        return;
    }
    while (memory->spares) {
        struct page *page = memory->spares;
        memory->spares = page->next;
        drop_page(memory, page);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        while (memory->pages[i]) {
            struct page *page = memory->pages[i];
            memory->pages[i] = page->next;
            drop_page(memory, page);
        }
    }
    free(memory);
}

size_t memory_resident(const struct memory *memory) {
    return memory->page_count * PAGE_BYTES;
}

/* ---- pages ---- */

static unsigned index_of(size_t size) {
    return (unsigned)((size - 1) / GRAIN);
}

static struct page *page_of(void *block) {
    return (struct page *)((char *)block - ((uintptr_t)block & (PAGE_ALIGN - 1)));
}

static void link_page(struct memory *memory, struct page *page) {
    struct page **first = &memory->pages[index_of(page->size)];
    page->prev = NULL;
    page->next = *first;
    if (page->next) {
        page->next->prev = page;
    }
    *first = page;
    page->full = false;
}

static void unlink_page(struct memory *memory, struct page *page) {
    if (page->prev) {
        page->prev->next = page->next;
    } else {
        memory->pages[index_of(page->size)] = page->next;
    }
    if (page->next) {
        page->next->prev = page->prev;
    }
}

static struct page *new_page(struct memory *memory, unsigned index) {
    struct page *page = memory->spares;
    if (page) {
        memory->spares = page->next;
        memory->spare_count--;
    } else {
        void *room = NULL;
        if (posix_memalign(&room, PAGE_ALIGN, PAGE_BYTES) != 0) {
            return NULL;
        }
        page = room;
        memory->page_count++;
    }
    unsigned size = (index + 1) * GRAIN;
    char *first = (char *)page + PAGE_HEAD;
    *page = (struct page){.fresh = first, .size = size};
    page->end = first + (PAGE_BYTES - PAGE_HEAD) / size * size;
    link_page(memory, page);
    return page;
}

/* Nothing in it is used any longer. The last page of a size stays: it will be wanted again. */
static void empty_page(struct memory *memory, struct page *page) {
    if (!page->prev && !page->next) {
        return;
    }
    unlink_page(memory, page);
    if (memory->spare_count == SPARES_MAX) {
        drop_page(memory, page);
        return;
    }
    page->next = memory->spares;
    memory->spares = page;
    memory->spare_count++;
}

/* ---- blocks ---- */

static void *take_slowly(struct memory *memory, unsigned index) {
    struct page *page = memory->pages[index];
    while (page && !page->free && page->fresh == page->end) {
        unlink_page(memory, page);
        page->full = true;
        page = memory->pages[index];
    }
    if (!page) {
        page = new_page(memory, index);
    }
    if (!page) {
        return NULL;
    }
    page->used++;
    struct block *block = page->free;
    if (block) {
        page->free = block->next;
        return block;
    }
    char *fresh = page->fresh;
    page->fresh += page->size;
    return fresh;
}

static inline void *take(struct memory *memory, size_t size) {
    unsigned index = index_of(size);
    struct page *page = memory->pages[index];
    struct block *block = page ? page->free : NULL;
    if (!block) {
        return take_slowly(memory, index);
    }
    page->free = block->next;
    page->used++;
    return block;
}

static inline void give(struct memory *memory, void *at) {
    struct page *page = page_of(at);
    struct block *block = at;
    block->next = page->free;
    page->free = block;
    if (page->full) {
        link_page(memory, page);
    }
    if (--page->used == 0) {
        empty_page(memory, page);
    }
}

static bool is_small(size_t size) {
    return pooled && size <= MEMORY_SMALL_MAX;
}

static void release(struct memory *memory, void *block, size_t size) {
    if (is_small(size)) {
        give(memory, block);
    } else {
        free(block);
    }
}

static void *obtain(struct memory *memory, size_t size) {
    return is_small(size) ? take(memory, size) : malloc(size);
}

static void *resize(struct memory *memory, void *block, size_t old_size, size_t new_size) {
    if (is_small(old_size) && is_small(new_size) && index_of(old_size) == index_of(new_size)) {
        return block;
    }
    if (!is_small(old_size) && !is_small(new_size)) {
        return realloc(block, new_size);
    }
    void *moved = obtain(memory, new_size);
    if (!moved) { /* also where it shrinks: Lua 5.4 copes with that */
        return NULL;
    }
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    release(memory, block, old_size);
    return moved;
}

void *memory_alloc(void *memory, void *block, size_t old_size, size_t new_size) {
    if (new_size == 0) {
        if (block) {
            release(memory, block, old_size);
        }
        return NULL;
    }
    return block ? resize(memory, block, old_size, new_size) : obtain(memory, new_size);
}
