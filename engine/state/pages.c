#include "state/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    LARGE = 8 << 20, /* from here on a table is worth huge pages */
};

static size_t whole(size_t size) {
    return (size + PAGE - 1) / PAGE * PAGE;
}

static char *map(size_t size) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void pages_make_huge(void *at, size_t size) {
    madvise(at, size, MADV_HUGEPAGE);
}

/* More is mapped than asked for, and what lies before and behind the aligned part unmapped. */
static void *map_aligned(size_t size) {
    char *pages = map(size + PAGES_HUGE);
    if (!pages) {
        return NULL;
    }
    size_t before = -(uintptr_t)pages & (PAGES_HUGE - 1);
    if (before > 0) {
        munmap(pages, before);
    }
    munmap(pages + before + size, PAGES_HUGE - before);
    if (size >= LARGE) {
        pages_make_huge(pages + before, size);
    }
    return pages + before;
}

void *pages_map(size_t size) {
    if (size > SIZE_MAX - 2 * PAGES_HUGE) {
        return NULL;
    }
    return size < PAGES_HUGE ? map(whole(size)) : map_aligned(whole(size));
}

bool pages_fill(void *at, size_t size) {
#ifdef MADV_POPULATE_WRITE
    return madvise(at, whole(size), MADV_POPULATE_WRITE) == 0;
#else
    (void)at;
    (void)size;
    return false;
#endif
}

void pages_unmap(void *pages, size_t size) {
    munmap(pages, whole(size));
}

void pages_forget(void *at, size_t size) {
    size_t before = -(uintptr_t)at & (PAGE - 1);
    if (size > before) {
        madvise((char *)at + before, (size - before) / PAGE * PAGE, MADV_DONTNEED);
    }
}
