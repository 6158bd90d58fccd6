#include "worker/ahead.h"

#include <stdlib.h>

enum {
    TOUCH_EVENTS = 80, /* how far ahead of the event at hand the events themselves are asked for, */
    AIM_EVENTS = 64,   /* how far ahead of the event at hand its part of the table is asked for */
    NEAR_EVENTS = 32,  /* and its entity */
};

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

static void aim(struct ahead *ahead, struct store *store, const struct event *event, uint64_t hash) {
    struct store_place *place = place_of(ahead, ahead->aimed++);
    if (event->kind == EVENT_CHANGE && event->key.ptr) {
        store_aim(store, event->type, hash, place);
    } else {
        *place = (struct store_place){0};
    }
}

/* Half of them at once, and not one with each event: what takes long in a store of gigabytes is to translate
 * addresses, of which the processor does several at a time only where little lies between them. */
static void near(struct ahead *ahead, const struct store *store, uint64_t end) {
    for (; ahead->neared < ahead->aimed && ahead->neared < end; ahead->neared++) {
        store_near(store, place_of(ahead, ahead->neared));
    }
}

const struct store_place *ahead_place(struct ahead *ahead, struct store *store, struct intake *intake) {
    uint64_t here = intake->given - 1;
    if (!reserve(ahead, intake->front->room > 1 ? AIM_EVENTS : 1)) {
        return NULL;
    }
    if (ahead->aimed <= here) {
        ahead->aimed = ahead->neared = here;
        aim(ahead, store, intake->event, store_hash(store_seed(store), intake->event->key));
    }
    const struct run_event *next;
    bool hashed = intake_seed(intake, store_seed(store));
    intake_touch(intake, TOUCH_EVENTS);
    while (ahead->aimed < here + ahead->room &&
           (next = intake_ahead(intake, (size_t)(ahead->aimed - intake->given)))) {
        aim(ahead, store, &next->event, hashed ? next->hash : store_hash(store_seed(store), next->event.key));
    }
    if (ahead->neared <= here + NEAR_EVENTS / 2) {
        near(ahead, store, here + NEAR_EVENTS);
    }
    return place_of(ahead, here);
}
