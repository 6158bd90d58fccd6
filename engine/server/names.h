/* The streams by path, and (while a folder is read) by id: open addressing over hashes. */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct names_place {
    uint64_t hash;
    void *value; /* NULL: free */
};

struct names {
    struct names_place *places;
    size_t count;
    size_t size; /* a power of two, or 0 */
};

void names_free(struct names *names);

/* Makes room, so that the next names_add cannot fail. */
bool names_reserve(struct names *names);
void names_add(struct names *names, uint64_t hash, void *value);

/* The first value of that hash for which is(value, key) says true, or NULL. */
void *names_find(const struct names *names, uint64_t hash, bool (*is)(const void *value, const void *key),
                 const void *key);
void names_remove(struct names *names, uint64_t hash, const void *value);

/* Walks in no particular order: pass *at = 0 first; NULL at the end. */
void *names_next(const struct names *names, size_t *at);

#endif
