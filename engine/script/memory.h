/* Memory for one Lua state: a lua_Alloc. Lua makes many small blocks that do not live long, and says how large
 * each is when it gives it back. So blocks of one size lie together in pages, without headers, and to take or
 * give one is to take it from or put it on its page's list. Pages that are empty serve other sizes, or go back
 * to the system. Blocks over MEMORY_SMALL_MAX bytes come from malloc, as do all under the address sanitizer,
 * which is to see each of them.
 *
 * Not for several threads at once, as a Lua state is not. */
#ifndef SCRIPT_MEMORY_H
#define SCRIPT_MEMORY_H

#include <stddef.h>

struct memory;

#define MEMORY_SMALL_MAX 2048

/* NULL: out of memory. */
struct memory *memory_new(void);

/* After the Lua state: every block is gone by then. NULL is fine. */
void memory_free(struct memory *memory);

/* The lua_Alloc; memory is the struct memory. Blocks are aligned as malloc's are. */
void *memory_alloc(void *memory, void *block, size_t old_size, size_t new_size);

/* Bytes of the pages that it holds. */
size_t memory_resident(const struct memory *memory);

#endif
