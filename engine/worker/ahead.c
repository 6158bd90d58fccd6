#include "worker/ahead.h"

#include <stdlib.h>

enum { NEAR_EVENTS = 16 }; /* how far ahead of the event at hand its entity is asked for */

void ahead_free(struct ahead *ahead) {
    free(ahead->places);
    *ahead = (struct ahead){0};
}

static bool reserve(struct ahead *ahead, size_t room) {
    if (ahead->room >= room) {
        return true;
    }
    struct store_place *places = realloc(ahead->places, room * sizeof *places);
    if (!places) {
        return false;
    }
    ahead->places = places;
    ahead->room = room;
    ahead->aimed = 0;
    return true;
}

static struct store_place *place_of(const struct ahead *ahead, uint64_t event) {
    return &ahead->places[event & (ahead->room - 1)];
}

static void aim(struct ahead *ahead, struct store *store, const struct event *event) {
    struct store_place *place = place_of(ahead, ahead->aimed++);
    if (event->kind == EVENT_CHANGE && event->key.ptr) {
        store_aim(store, event->type, event->key, place);
    } else {
        *place = (struct store_place){0};
    }
}

const struct store_place *ahead_place(struct ahead *ahead, struct store *store, const struct intake *intake) {
    uint64_t here = intake->given - 1;
    if (!reserve(ahead, intake->run->room)) {
        return NULL;
    }
    if (ahead->aimed <= here) {
        ahead->aimed = ahead->neared = here;
        aim(ahead, store, intake->event);
    }
    while (ahead->aimed < intake->decoded) {
        aim(ahead, store, intake_ahead(intake, ahead->aimed - intake->given));
    }
    for (; ahead->neared < ahead->aimed && ahead->neared < here + NEAR_EVENTS; ahead->neared++) {
        store_near(store, place_of(ahead, ahead->neared));
    }
    return place_of(ahead, here);
}
