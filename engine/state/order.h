/* The byte order of a table's keys. */
#ifndef STATE_ORDER_H
#define STATE_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "state/table.h"

/* The references of all entities, those with the least keys first, as an array that the caller frees; good
 * until the next change. NULL: out of memory. */
uint32_t *order_of(const struct table *table);

/* Sorts references by the keys of their entities. False: out of memory, unchanged. */
bool order_sort(const struct heap *heap, uint32_t *refs, size_t count);

#endif
