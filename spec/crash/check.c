#include "check.h"

#include "content.h"

/* Whether the stream is there, against what is known of it. */
static bool check_presence(struct life *life, int status) {
    life->status = status;
    if (status == 200) {
        if (life->deleted == YES || life->created == NO) {
            life_fail(life, "it is there again");
        }
        life->created = YES;
        life->deleted = NO;
        return true;
    }
    if (life->created == YES && life->deleted == NO) {
        life_fail(life, "it is lost: %d", status);
    }
    if (life->created == ASKED && life->deleted == NO) {
        life->created = NO;
    }
    life->deleted = life->created == YES ? YES : NO;
    return false;
}

static void check_counts(const struct life *life, const struct counts *counts) {
    for (unsigned i = 0; i < WRITERS; i++) {
        uint32_t count = counts->of[i];
        const struct progress *w = &life->writers[i];
        if (count < w->there) {
            life_fail(life, "writer %u: message %u was acknowledged or read, and is lost", i, count);
        }
        if (count > w->sent) {
            life_fail(life, "writer %u: message %u was never sent, or refused", i, count - 1);
        }
    }
    if (counts->of[CREATOR] != life->writers[CREATOR].sent) {
        life_fail(life, "it was created without its content");
    }
}

static void check_closed(struct life *life, bool closed, const struct counts *counts) {
    if ((closed && life->closed == NO) || (!closed && life->closed == YES)) {
        life_fail(life, closed ? "it is closed, and nobody asked for that" : "it is open again");
    }
    if (closed ? counts->of[CLOSER] != life->writers[CLOSER].sent : counts->of[CLOSER] != 0) {
        life_fail(life, "the message that closes it and its end are not of one piece");
    }
    life->closed = closed ? YES : NO;
}

/* From here on it is known what is there. */
static void settle(struct life *life, const struct counts *counts) {
    for (unsigned i = 0; i < WRITERS; i++) {
        struct progress *w = &life->writers[i];
        w->sent = w->there = w->stored = counts->of[i];
        w->next = is_producer(i) ? w->acked : w->there;
    }
}

/* An offset that was given out still stands for what it stood for. */
static void check_offset(struct client *client, const struct life *life, const struct mark *mark,
                         struct slice whole, size_t behind) {
    struct buf rest;
    bool closed;
    buf_init(&rest, SIZE_MAX);
    int status = content_read(client, life, mark->offset, &rest, &closed);
    struct slice expected = slice_of(whole.ptr + behind, whole.len - behind);
    if (status != 200 || !slice_equal(buf_slice(&rest), expected)) {
        life_fail(life, "offset %s stands for another place than byte %zu of %zu: %d, %zu bytes",
                  mark->offset, behind, whole.len, status, rest.len);
    }
    buf_free(&rest);
}

static void check_content(struct world *world, struct client *client, struct life *life, struct slice stored,
                          bool closed) {
    const struct mark *mark = life_mark(life, &world->random);
    struct counts counts;
    size_t behind;
    if (life->source && life->fork.offset[0] && (!mark || once_in(&world->random, 2))) {
        mark = &life->fork;
    }
    content_check(life, stored, &counts, mark, &behind);
    check_counts(life, &counts);
    check_closed(life, closed, &counts);
    settle(life, &counts);
    life->bytes = stored.len;
    if (mark) {
        check_offset(client, life, mark, stored, behind);
    }
}

static void check_life(struct world *world, struct client *client, struct life *life) {
    struct buf stored;
    bool closed = false;
    buf_init(&stored, SIZE_MAX);
    if (check_presence(life, content_read(client, life, "-1", &stored, &closed))) {
        check_content(world, client, life, buf_slice(&stored), closed);
    }
    buf_free(&stored);
    life->under_way = 0;
}

/* What is deleted is gone, or only hidden as long as forks need it. */
static void check_deleted(const struct world *world, struct life *life) {
    int expected = life_is_held(world, life) ? 410 : 404;
    if (life->status != expected) {
        life_fail(life, "it is deleted: %d instead of %d", life->status, expected);
    }
    life->quiet_rounds += expected == 404;
}

static bool is_current(const struct world *world, const struct life *life) {
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        if (world->slots[slot] == life) {
            return true;
        }
    }
    return false;
}

void check_all(struct world *world, struct client *client) {
    world_tidy(world);
    for (size_t i = 0; i < world->count; i++) {
        struct life *life = world->lives[i];
        if (life->quiet_rounds < QUIET_ROUNDS && (life->created != NO || is_current(world, life))) {
            check_life(world, client, life);
        }
    }
    for (size_t i = 0; i < world->count; i++) {
        struct life *life = world->lives[i];
        if (life->quiet_rounds < QUIET_ROUNDS && life->deleted == YES) {
            check_deleted(world, life);
        } else if (life->created == NO) {
            life->quiet_rounds = QUIET_ROUNDS;
        }
    }
}
