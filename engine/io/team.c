#include "io/team.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { HELPERS_MAX = 3, SHARE = 16 }; /* SHARE: items taken at once */

struct team {
    uv_mutex_t lock;
    uv_cond_t news;   /* there is work, or all is over */
    uv_cond_t no_one; /* the last helper has left the work */
    uv_thread_t threads[HELPERS_MAX];
    unsigned wanted, started;
    unsigned at_it; /* helpers that have joined the work */
    bool open;      /* there is work that a helper may join */
    bool over;
    void (*item)(void *user, size_t i); /* the work under way */
    void *user;
    size_t count;
    atomic_size_t next; /* the first item that nobody has taken */
};

static void work(struct team *team) {
    for (;;) {
        size_t at = atomic_fetch_add(&team->next, SHARE);
        if (at >= team->count) {
            return;
        }
        size_t end = team->count - at < SHARE ? team->count : at + SHARE;
        for (; at < end; at++) {
            team->item(team->user, at);
        }
    }
}

static void help(void *arg) {
    struct team *team = arg;
    uv_mutex_lock(&team->lock);
    while (!team->over) {
        if (!team->open) {
            uv_cond_wait(&team->news, &team->lock);
            continue;
        }
        team->at_it++;
        uv_mutex_unlock(&team->lock);
        work(team);
        uv_mutex_lock(&team->lock);
        team->open = false; /* nothing is left to be taken */
        if (--team->at_it == 0) {
            uv_cond_signal(&team->no_one);
        }
    }
    uv_mutex_unlock(&team->lock);
}

static unsigned helpers_wanted(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 2) {
        return 0;
    }
    return processors > HELPERS_MAX ? HELPERS_MAX : (unsigned)processors - 1;
}

struct team *team_new(void) {
    struct team *team = calloc(1, sizeof *team);
    if (!team) {
        return NULL;
    }
    if (uv_mutex_init(&team->lock) != 0) {
        free(team);
        return NULL;
    }
    uv_cond_init(&team->news);
    uv_cond_init(&team->no_one);
    team->wanted = helpers_wanted();
    return team;
}

void team_free(struct team *team) {
    if (!team) {
        return;
    }
    uv_mutex_lock(&team->lock);
    team->over = true;
    uv_cond_broadcast(&team->news);
    uv_mutex_unlock(&team->lock);
    for (unsigned i = 0; i < team->started; i++) {
        uv_thread_join(&team->threads[i]);
    }
    uv_cond_destroy(&team->news);
    uv_cond_destroy(&team->no_one);
    uv_mutex_destroy(&team->lock);
    free(team);
}

/* Where a thread cannot be started, the work is done by fewer. */
static void start_threads(struct team *team) {
    while (team->started < team->wanted) {
        if (uv_thread_create(&team->threads[team->started], help, team) != 0) {
            team->wanted = team->started;
            return;
        }
        team->started++;
    }
}

void team_each(struct team *team, size_t count, void (*item)(void *user, size_t i), void *user) {
    start_threads(team);
    uv_mutex_lock(&team->lock);
    team->item = item;
    team->user = user;
    team->count = count;
    atomic_store(&team->next, 0);
    team->open = true;
    uv_cond_broadcast(&team->news);
    uv_mutex_unlock(&team->lock);
    work(team);
    uv_mutex_lock(&team->lock);
    team->open = false;
    while (team->at_it > 0) {
        uv_cond_wait(&team->no_one, &team->lock);
    }
    uv_mutex_unlock(&team->lock);
}
