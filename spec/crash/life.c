#include "life.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *format, va_list arguments) {
    printf("wrong: ");
    vprintf(format, arguments);
    printf("\n");
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    exit(1);
}

void life_fail(const struct life *life, const char *format, ...) {
    static const char *const words[] = {"no", "asked for", "yes"};
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    printf("stream %s, number %u: created %s, closed %s, deleted %s, forked from %s\n", life->path, life->id,
           words[life->created], words[life->closed], words[life->deleted],
           life->source ? life->source->path : "nothing");
    for (unsigned i = 0; i < WRITERS; i++) {
        const struct progress *w = &life->writers[i];
        if (w->sent > 0) {
            printf("  writer %u: %u have to be there, %u may be\n", i, w->there, w->sent);
        }
    }
    exit(1);
}

/* A path is used again where that is clear: no fork can keep what was there, and nothing is under way. */
static void name_it(struct life *life, const struct life *before, unsigned slot, struct random *random) {
    bool again = before && before->forks == 0 && before->under_way == 0 && before->created == YES &&
                 before->deleted == YES && once_in(random, 2);
    if (again) {
        memcpy(life->path, before->path, sizeof life->path);
    } else {
        snprintf(life->path, sizeof life->path, "/v1/stream/%u/%u", slot, life->id);
    }
}

struct life *life_new(struct world *world, unsigned slot) {
    struct life *life = calloc(1, sizeof *life);
    if (world->count == world->places) {
        world->places = world->places ? world->places * 2 : 256;
        world->lives = realloc(world->lives, world->places * sizeof(struct life *));
    }
    if (!life || !world->lives) {
        fail("out of memory");
    }
    life->id = ++world->last_id;
    life->json = once_in(&world->random, 2);
    name_it(life, world->slots[slot], slot, &world->random);
    if (world->slots[slot] && strcmp(world->slots[slot]->path, life->path) == 0) {
        world->slots[slot]->quiet_rounds = QUIET_ROUNDS; /* its path says nothing of it any more */
    }
    world->slots[slot] = life;
    world->lives[world->count++] = life;
    return life;
}

const struct mark *life_mark(struct life *life, struct random *random) {
    unsigned count = life->mark_count < MARKS ? life->mark_count : MARKS;
    return count ? &life->marks[random_below(random, count)] : NULL;
}

struct mark *life_add_mark(struct life *life) {
    return &life->marks[life->mark_count++ % MARKS];
}

bool life_is_held(const struct world *world, const struct life *life) {
    for (size_t i = 0; i < world->count; i++) {
        const struct life *fork = world->lives[i];
        if (fork->source == life && fork->created == YES &&
            (fork->deleted == NO || life_is_held(world, fork))) {
            return true;
        }
    }
    return false;
}

static bool is_needed(const struct world *world, const struct life *life) {
    bool needed = life->quiet_rounds < QUIET_ROUNDS;
    for (size_t f = 0; f < world->count; f++) {
        needed = needed || world->lives[f]->source == life;
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        needed = needed || world->slots[slot] == life;
    }
    return needed;
}

void world_tidy(struct world *world) {
    for (size_t i = 0; i < world->count; i++) {
        world->lives[i]->needed = is_needed(world, world->lives[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < world->count; i++) {
        struct life *life = world->lives[i];
        if (life->needed) {
            world->lives[kept++] = life;
        } else {
            free(life);
        }
    }
    world->count = kept;
}

void world_free(struct world *world) {
    for (size_t i = 0; i < world->count; i++) {
        free(world->lives[i]);
    }
    free(world->lives);
}
