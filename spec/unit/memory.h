/* Allocations that can be made to fail, for tests linked with --wrap=malloc,--wrap=calloc,--wrap=realloc.
 * Included by one file of a program. */
#ifndef UNIT_MEMORY_H
#define UNIT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* How many allocations succeed before one fails; negative: all succeed. Volatile, because compilers take it
 * that malloc reads no variable of the program, and move what is written to one past it; atomic, because other
 * threads allocate, too. */
static volatile _Atomic long memory_left = -1;

/* Once one has failed, those behind it fail too, until memory_left is set. */
static volatile bool memory_stays_out;

/* One has failed since this was set to false. */
static volatile bool memory_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static bool memory_fails(void) {
    bool fails = memory_left >= 0 && memory_left-- == 0;
    if (fails) {
        memory_failed = true;
        memory_left = memory_stays_out ? 0 : -1;
    }
    return fails;
}

void *__wrap_malloc(size_t size) {
    return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size) {
    return memory_fails() ? NULL : __real_realloc(ptr, size);
}

#endif
