/* Arrays that grow as they are appended to. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stddef.h>
#include <stdlib.h>

/* Room for one more behind `count` items of `size` bytes: the array as it is, or a longer one in its place (twice as
 * long; at first `least`), of *room items. NULL: out of memory, and the array is what it was. */
static inline void *list_room(void *items, size_t count, size_t *room, size_t least, size_t size) {
    if (count < *room) {
        return items;
    }
    size_t more = *room ? *room * 2 : least;
    void *grown = realloc(items, more * size);
    if (grown) {
        *room = more;
    }
    return grown;
}

#endif
