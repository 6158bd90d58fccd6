#include "worker/runs.h"

static struct runs_slot *slot_behind(struct runs *runs, unsigned n) {
    return &runs->slots[(runs->front + n) % (RUNS_AHEAD + 1)];
}

static void lend(struct cutter *cutter, struct runs_slot *slot) {
    window_move(&cutter->window, &slot->lent);
}

static void work(void *user) {
    struct runs_slot *slot = user;
    struct cutter *cutter = slot->runs->cutter;
    lend(cutter, slot);
    cutter_cut_on(cutter, slot->run, slot->limit);
}

static void worked(void *user) {
    struct runs_slot *slot = user;
    slot->ready = true;
    slot->runs->on_ready(slot->runs->user);
}

void runs_init(struct runs *runs, struct cutter *cutter, void (*on_ready)(void *user), void *user) {
    *runs = (struct runs){.cutter = cutter, .on_ready = on_ready, .user = user};
    window_init(&runs->arrived, SIZE_MAX);
    for (unsigned i = 0; i <= RUNS_AHEAD; i++) {
        struct runs_slot *slot = &runs->slots[i];
        slot->runs = runs;
        slot->job = (struct beside_job){.work = work, .done = worked, .user = slot};
        window_init(&slot->lent, SIZE_MAX);
    }
}

void runs_free(struct runs *runs) {
    for (unsigned i = 0; i <= RUNS_AHEAD; i++) {
        run_free(runs->slots[i].run);
        runs->slots[i].run = NULL;
    }
    window_free(&runs->arrived);
}

static struct run *reserve(struct runs_slot *slot, size_t room) {
    if (!slot->run || slot->run->room < room) {
        struct run *grown = run_new(room);
        if (!grown) {
            return slot->run;
        }
        run_free(slot->run);
        slot->run = grown;
    }
    return slot->run;
}

struct run *runs_reserve(struct runs *runs, size_t room) {
    return reserve(slot_behind(runs, 0), room);
}

bool runs_begin(struct runs *runs, size_t room, uint64_t seed, struct cutter_limit limit) {
    if (!runs->beside || runs->ahead == RUNS_AHEAD) {
        return false;
    }
    struct runs_slot *slot = slot_behind(runs, runs->ahead + 1);
    if (!reserve(slot, room)) {
        return false;
    }
    slot->run->seed = seed;
    slot->limit = limit;
    slot->ready = false;
    window_move(&slot->lent, &runs->arrived);
    runs->ahead++;
    beside_start(runs->beside, &slot->job);
    return true;
}

const struct run *runs_next(struct runs *runs) {
    if (runs->ahead == 0) {
        return NULL;
    }
    struct runs_slot *slot = slot_behind(runs, 1);
    slot->ready = slot->ready || beside_take(runs->beside, &slot->job);
    return slot->ready ? slot->run : NULL;
}

/* Nothing of the front is in use any more, nor what only it still used. */
void runs_advance(struct runs *runs) {
    runs->front = (runs->front + 1) % (RUNS_AHEAD + 1);
    runs->ahead--;
    struct run *front = runs_front(runs);
    window_recycle(&runs->arrived, front->left);
    front->left = NULL;
    if (runs->ahead == 0) {
        window_move(&runs->cutter->window, &runs->arrived);
    }
}

/* The last one first: what has not begun must not begin when one before it is taken back. */
void runs_recall(struct runs *runs) {
    struct cutter *cutter = runs->cutter;
    for (unsigned n = runs->ahead; n > 0; n--) {
        beside_cancel(runs->beside, &slot_behind(runs, n)->job);
    }
    for (unsigned n = 1; n <= runs->ahead; n++) {
        struct runs_slot *slot = slot_behind(runs, n);
        lend(cutter, slot);
        window_keep(&cutter->window, slot->run->left); /* the front may still use them */
        slot->run->left = NULL;
        run_clear(slot->run);
    }
    runs->ahead = 0;
    window_move(&cutter->window, &runs->arrived);
}
