#include "server/names.h"

#include <stdlib.h>

enum { NAMES_LEAST = 64 };

void names_free(struct names *names) {
    free(names->places);
    *names = (struct names){0};
}

static void put(struct names *names, uint64_t hash, void *value) {
    size_t mask = names->size - 1;
    size_t i = hash & mask;
    while (names->places[i].value) {
        i = (i + 1) & mask;
    }
    names->places[i] = (struct names_place){hash, value};
}

bool names_reserve(struct names *names) {
    if ((names->count + 1) * 4 <= names->size * 3) {
        return true;
    }
    struct names bigger = {.size = names->size ? names->size * 2 : NAMES_LEAST, .count = names->count};
    bigger.places = calloc(bigger.size, sizeof *bigger.places);
    if (!bigger.places) {
        return false;
    }
    for (size_t i = 0; i < names->size; i++) {
        if (names->places[i].value) {
            put(&bigger, names->places[i].hash, names->places[i].value);
        }
    }
    free(names->places);
    *names = bigger;
    return true;
}

void names_add(struct names *names, uint64_t hash, void *value) {
    put(names, hash, value);
    names->count++;
}

void *names_find(const struct names *names, uint64_t hash, bool (*is)(const void *value, const void *key),
                 const void *key) {
    size_t mask = names->size - 1;
    if (names->count == 0) {
        return NULL;
    }
    for (size_t i = hash & mask; names->places[i].value; i = (i + 1) & mask) {
        if (names->places[i].hash == hash && is(names->places[i].value, key)) {
            return names->places[i].value;
        }
    }
    return NULL;
}

/* Closes the gap at a place: whoever probed past it moves back. */
static void close_gap(struct names *names, size_t gap) {
    size_t mask = names->size - 1;
    for (size_t i = (gap + 1) & mask; names->places[i].value; i = (i + 1) & mask) {
        size_t home = names->places[i].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            names->places[gap] = names->places[i];
            names->places[i].value = NULL;
            gap = i;
        }
    }
}

void names_remove(struct names *names, uint64_t hash, const void *value) {
    size_t mask = names->size - 1;
    if (names->count == 0) {
        return;
    }
    size_t i = hash & mask;
    while (names->places[i].value && names->places[i].value != value) {
        i = (i + 1) & mask;
    }
    if (names->places[i].value) {
        names->places[i].value = NULL;
        names->count--;
        close_gap(names, i);
    }
}

void *names_next(const struct names *names, size_t *at) {
    while (*at < names->size) {
        void *value = names->places[(*at)++].value;
        if (value) {
            return value;
        }
    }
    return NULL;
}
