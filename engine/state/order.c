#include "state/order.h"

#include <stdlib.h>
#include <string.h>

/* Entities are sorted by 8 bytes of their keys at a time, by radix: first those behind what all keys begin
 * with, then within each run that has the same 8 bytes. So a key is looked at once or twice, and not with each
 * comparison: it lies somewhere in a large heap. */

enum {
    NEAR = 16,      /* so many keys ahead are asked for */
    SMALL_RUN = 24, /* sorted by comparing whole keys */
    DEEPEST = 16,   /* as are runs that would go on for longer than this */
    SAMPLES = 16,   /* keys from which the common beginning is guessed */
    DIGIT = 8,
};

struct item {
    uint64_t digit;
    uint32_t ref;
};

struct sorter {
    const struct heap *heap;
    struct item *spare; /* as many as are sorted */
};

static struct slice key_at(const struct sorter *sorter, const struct item *item) {
    return heap_key(sorter->heap, item->ref);
}

static int compare_keys(const void *a, const void *b, void *sorter) {
    return slice_compare(key_at(sorter, a), key_at(sorter, b));
}

/* How many bytes are the same, from `from` on, where they are known to be up to there. */
static size_t common(struct slice a, struct slice b, size_t from, size_t most) {
    size_t end = a.len < b.len ? a.len : b.len;
    end = end < most ? end : most;
    while (from < end && a.ptr[from] == b.ptr[from]) {
        from++;
    }
    return from;
}

/* The 8 bytes from `from` on as a number that sorts as they do; what is not there is 0. */
static uint64_t digit_of(struct slice key, size_t from) {
    uint64_t digit = 0;
    if (key.len >= from + DIGIT) {
        memcpy(&digit, key.ptr + from, DIGIT);
    } else if (key.len > from) {
        memcpy(&digit, key.ptr + from, key.len - from);
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    digit = __builtin_bswap64(digit);
#endif
    return digit;
}

/* The length of what all keys begin with, of which `from` bytes are known; fills in the digits behind it. */
static size_t read_digits(const struct sorter *sorter, struct item *items, size_t count, size_t from) {
    struct slice first = key_at(sorter, &items[0]);
    size_t same = first.len;
    for (size_t i = 1; i < SAMPLES; i++) {
        same = common(first, key_at(sorter, &items[i * (count - 1) / (SAMPLES - 1)]), from, same);
    }
    for (size_t guess = SIZE_MAX; guess != same;) {
        guess = same;
        for (size_t i = 0; i < count; i++) {
            if (i + NEAR < count) {
                heap_touch(sorter->heap, items[i + NEAR].ref, 1);
            }
            struct slice key = key_at(sorter, &items[i]);
            same = common(first, key, from, same);
            items[i].digit = digit_of(key, guess);
        }
    }
    return same;
}

/* Sorts by the digits, one byte after the other from the last, leaving out those that are all the same. */
static void sort_digits(const struct sorter *sorter, struct item *items, size_t count) {
    size_t starts[DIGIT][256] = {{0}};
    struct item *from = items;
    struct item *to = sorter->spare;
    for (size_t i = 0; i < count; i++) {
        for (unsigned byte = 0; byte < DIGIT; byte++) {
            starts[byte][items[i].digit >> 8 * byte & 0xFF]++;
        }
    }
    for (unsigned byte = 0; byte < DIGIT; byte++) {
        size_t *start = starts[byte];
        if (start[items[0].digit >> 8 * byte & 0xFF] == count) {
            continue;
        }
        for (size_t value = 0, sum = 0; value < 256; value++) {
            size_t n = start[value];
            start[value] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++) {
            to[start[from[i].digit >> 8 * byte & 0xFF]++] = from[i];
        }
        struct item *other = from;
        from = to;
        to = other;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof *items);
    }
}

static void sort(struct sorter *sorter, struct item *items, size_t count, size_t from, int depth);

/* Items with the same digit, whose keys are the same up to `from` where they are that long. */
static void sort_run(struct sorter *sorter, struct item *items, size_t count, size_t from, int depth) {
    for (size_t i = 0; i < count; i++) {
        if (key_at(sorter, &items[i]).len < from) { /* it ends where another one goes on with zeros */
            depth = DEEPEST;
        }
    }
    sort(sorter, items, count, from, depth + 1);
}

static void sort(struct sorter *sorter, struct item *items, size_t count, size_t from, int depth) {
    if (count <= SMALL_RUN || depth > DEEPEST) {
        qsort_r(items, count, sizeof *items, compare_keys, sorter);
        return;
    }
    from = read_digits(sorter, items, count, from) + DIGIT;
    sort_digits(sorter, items, count);
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && items[end].digit == items[start].digit; end++) {
        }
        if (end - start > 1) {
            sort_run(sorter, &items[start], end - start, from, depth);
        }
    }
}

bool order_sort(const struct heap *heap, uint32_t *refs, size_t count) {
    struct item *items = malloc((count + 1) * sizeof *items);
    struct sorter sorter = {heap, malloc((count + 1) * sizeof *items)};
    bool ok = items && sorter.spare;
    if (ok) {
        for (size_t i = 0; i < count; i++) {
            items[i] = (struct item){.ref = refs[i]};
        }
        sort(&sorter, items, count, 0, 0);
        for (size_t i = 0; i < count; i++) {
            refs[i] = items[i].ref;
        }
    }
    free(items);
    free(sorter.spare);
    return ok;
}

uint32_t *order_of(const struct table *table) {
    uint32_t *refs = malloc((table->count + 1) * sizeof *refs);
    size_t count = 0;
    for (size_t i = 0; refs && table->places && i < table_places(table); i++) {
        if (table->places[i]) {
            refs[count++] = (uint32_t)table->places[i];
        }
    }
    if (refs && !order_sort(table->heap, refs, count)) {
        free(refs);
        refs = NULL;
    }
    return refs;
}
