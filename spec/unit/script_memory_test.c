/* script/memory: random blocks against their contents, that pages are used again, and allocations that fail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "script/memory.h"

int __real_posix_memalign(void **at, size_t align, size_t size);
int __wrap_posix_memalign(void **at, size_t align, size_t size);

int __wrap_posix_memalign(void **at, size_t align, size_t size) {
    return memory_fails() ? ENOMEM : __real_posix_memalign(at, align, size);
}

enum { BLOCKS = 3000, LARGEST = 3 * MEMORY_SMALL_MAX / 2 };

struct taken {
    unsigned char *at;
    size_t size;
    unsigned char mark;
};

static uint64_t random_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void check(const struct taken *block, size_t size) {
    assert_int_equal((uintptr_t)block->at % 16, 0);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(block->at[i], block->mark);
    }
}

static void fill(struct taken *block, uint64_t *seed) {
    block->mark = (unsigned char)random_next(seed);
    memset(block->at, block->mark, block->size);
}

/* Takes, gives back or resizes one; where memory fails, the block stays as it is. */
static void change(struct memory *memory, struct taken *block, uint64_t *seed) {
    size_t size = random_next(seed) % 3 == 0 ? 0 : 1 + random_next(seed) % LARGEST;
    unsigned char *at = memory_alloc(memory, block->at, block->size, size);
    if (!at && size > 0) {
        return;
    }
    size_t kept = block->size < size ? block->size : size;
    block->at = at;
    block->size = size;
    if (size > 0) {
        check(block, kept);
        fill(block, seed);
    }
}

static void give_all(struct memory *memory, struct taken *blocks) {
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].at) {
            check(&blocks[i], blocks[i].size);
            assert_null(memory_alloc(memory, blocks[i].at, blocks[i].size, 0));
        }
        blocks[i] = (struct taken){0};
    }
}

static void keeps_what_is_in_blocks(void **state) {
    (void)state;
    static struct taken blocks[BLOCKS];
    uint64_t seed = 88172645463325252u;
    struct memory *memory = memory_new();
    assert_non_null(memory);
    for (unsigned round = 0; round < 200000; round++) {
        change(memory, &blocks[random_next(&seed) % BLOCKS], &seed);
    }
    give_all(memory, blocks);
    memory_free(memory);
}

static void fails_without_harm(void **state) {
    (void)state;
    static struct taken blocks[BLOCKS];
    uint64_t seed = 2463534242u;
    for (long fail_at = 0; fail_at < 40; fail_at++) {
        memory_left = fail_at;
        struct memory *memory = memory_new();
        for (unsigned round = 0; memory && round < 2000; round++) {
            change(memory, &blocks[random_next(&seed) % BLOCKS], &seed);
            memory_left = memory_left < 0 ? (long)(random_next(&seed) % 20) : memory_left;
        }
        memory_left = -1;
        give_all(memory, blocks);
        memory_free(memory);
    }
}

/* Many small blocks, then many of another size: the first ones' pages are used again or given back. */
static void uses_pages_again(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    struct memory *memory = memory_new();
    assert_non_null(memory);
    size_t first = 0;
    for (size_t size = 100; size <= 2000; size += 100) {
        size_t count = COUNT * 100 / size;
        for (size_t i = 0; i < count; i++) {
            blocks[i] = memory_alloc(memory, NULL, 0, size);
            assert_non_null(blocks[i]);
        }
        first = first ? first : memory_resident(memory);
        assert_true(memory_resident(memory) <= first * 3 / 2 + (4u << 20));
        for (size_t i = 0; i < count; i++) {
            memory_alloc(memory, blocks[i], size, 0);
        }
        assert_true(memory_resident(memory) <= 4u << 20);
    }
    memory_free(memory);
    memory_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_in_blocks),
        cmocka_unit_test(fails_without_harm),
        cmocka_unit_test(uses_pages_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
