/* Time to live: a stream is over when it is asked for too late, and a sweep finds those nobody asks for. */
#include <stdlib.h>

#include "server/set.h"

/* How often the sweep looks, and at how many streams at once. */
enum { SWEEP_MS = 250, SWEEP_STREAMS = 5000, EXPIRING_LEAST = 64 };

bool stream_expired(const struct stream *stream) {
    if (!stream->has_ttl && !stream->has_expires) {
        return false;
    }
    uint64_t now = set_now(stream->set);
    return (stream->has_expires && now >= stream->expires_ms) ||
           (stream->has_ttl && !stream->watches && now >= stream->touched_ms &&
            now - stream->touched_ms >= stream->ttl_ms);
}

void stream_touch(struct stream *stream) {
    if (stream->has_ttl) {
        stream->touched_ms = set_now(stream->set);
    }
}

bool expiry_reserve(struct streams *set) {
    if (set->expiring_count < set->expiring_places) {
        return true;
    }
    uint32_t places = set->expiring_places ? set->expiring_places * 2 : EXPIRING_LEAST;
    struct stream **list = realloc(set->expiring, places * sizeof(struct stream *));
    if (!list) {
        return false;
    }
    set->expiring = list;
    set->expiring_places = places;
    return true;
}

static void on_sweep(struct loop_task *task);

static void sweep_later(struct streams *set) {
    if (!set->sweeping && set->expiring_count > 0) {
        set->sweeping = true;
        loop_timer_start(&set->sweep, SWEEP_MS);
    }
}

void expiry_add(struct stream *stream) {
    struct streams *set = stream->set;
    if (stream->has_ttl || stream->has_expires) {
        stream->expiring = set->expiring_count;
        set->expiring[set->expiring_count++] = stream;
        sweep_later(set);
    }
}

void expiry_remove(struct stream *stream) {
    struct streams *set = stream->set;
    if (stream->expiring != STREAM_UNLISTED) {
        struct stream *last = set->expiring[--set->expiring_count];
        set->expiring[stream->expiring] = last;
        last->expiring = stream->expiring;
        stream->expiring = STREAM_UNLISTED;
    }
}

static void on_sweep(struct loop_task *task) {
    struct streams *set = task->owner;
    set->sweeping = false;
    uint32_t looks = set->expiring_count < SWEEP_STREAMS ? set->expiring_count : SWEEP_STREAMS;
    for (; looks > 0 && set->expiring_count > 0; looks--) {
        if (set->expiring_at >= set->expiring_count) {
            set->expiring_at = 0;
        }
        struct stream *stream = set->expiring[set->expiring_at++];
        if (stream_expired(stream)) {
            stream_expire(stream);
        }
    }
    sweep_later(set);
}

void expiry_init(struct streams *set) {
    loop_timer_init(set->loop, &set->sweep, on_sweep, set);
    /* A sweep is no reason to go on for a loop that has nothing else to do. */
    uv_unref((uv_handle_t *)&set->sweep.uv);
}

void expiry_close(struct streams *set, void (*closed)(struct loop_timer *timer)) {
    loop_timer_close(&set->sweep, closed);
}
