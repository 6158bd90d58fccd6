#include "state/pages_ahead.h"

#include <stddef.h>

#include "state/pages.h"

enum {
    PAGE = 4096,
    SMALL = 64, /* the first so many have small pages: see pages_make_huge */
};

static void *touch(void *arg) {
    volatile char *pages = arg;
    if (!pages_fill(arg, PAGES_HUGE)) {
        for (size_t at = 0; at < PAGES_HUGE; at += PAGE) {
            pages[at] = 0;
        }
    }
    return NULL;
}

/* Where there is no thread or no memory, nothing is made ready. */
static void start(struct pages_ahead *ahead) {
    ahead->pages = pages_map(PAGES_HUGE);
    if (ahead->pages && ahead->taken > SMALL) {
        pages_make_huge(ahead->pages, PAGES_HUGE);
    }
    ahead->started = ahead->pages && pthread_create(&ahead->thread, NULL, touch, ahead->pages) == 0;
    if (ahead->pages && !ahead->started) {
        pages_unmap(ahead->pages, PAGES_HUGE);
        ahead->pages = NULL;
    }
}

static void *finish(struct pages_ahead *ahead) {
    void *pages = ahead->pages;
    if (ahead->started) {
        pthread_join(ahead->thread, NULL);
    }
    ahead->started = false;
    ahead->pages = NULL;
    return pages;
}

void *pages_ahead_take(struct pages_ahead *ahead) {
    void *pages = finish(ahead);
    if (!pages) {
        pages = pages_map(PAGES_HUGE);
    }
    if (pages) {
        ahead->taken++;
        start(ahead);
    }
    return pages;
}

void pages_ahead_free(struct pages_ahead *ahead) {
    void *pages = finish(ahead);
    if (pages) {
        pages_unmap(pages, PAGES_HUGE);
    }
}
