/* Wakes who watches a stream, once a turn for all that happened to it. */
#include "server/set.h"

static void take_off(struct stream *stream, struct stream_watch *watch) {
    if (watch->prev) {
        watch->prev->next = watch->next;
    } else {
        stream->watches = watch->next;
    }
    if (watch->next) {
        watch->next->prev = watch->prev;
    }
    if (stream->set->walk == watch) {
        stream->set->walk = watch->next;
    }
    watch->stream = NULL;
    watch->next = watch->prev = NULL;
}

void stream_watch_start(struct stream *stream, struct stream_watch *watch) {
    watch->stream = stream_hold(stream);
    watch->prev = NULL;
    watch->next = stream->watches;
    if (watch->next) {
        watch->next->prev = watch;
    }
    stream->watches = watch;
}

void stream_watch_stop(struct stream_watch *watch) {
    struct stream *stream = watch->stream;
    if (stream) {
        take_off(stream, watch);
        /* Its time to live begins when the last one leaves. */
        stream_touch(stream);
        stream_drop(stream);
    }
}

static void wake_all(struct stream *stream) {
    struct streams *set = stream->set;
    bool over = stream->deleted || stream->gone;
    set->walk = stream->watches;
    while (set->walk) {
        struct stream_watch *watch = set->walk;
        set->walk = watch->next;
        if (over) {
            stream_watch_stop(watch);
        }
        watch->wake(watch, over ? STREAM_EVENT_DELETED : STREAM_EVENT_CHANGED);
    }
}

static void on_task(struct loop_task *task) {
    struct streams *set = task->owner;
    struct stream *list = set->changed;
    set->changed = NULL;
    while (list) {
        struct stream *stream = list;
        list = stream->next_changed;
        stream->changed = false;
        wake_all(stream);
        stream_drop(stream);
    }
}

void notify_init(struct streams *set) {
    set->notify = (struct loop_task){.run = on_task, .owner = set};
}

void notify_changed(struct stream *stream) {
    struct streams *set = stream->set;
    if (!stream->watches || stream->changed) {
        return;
    }
    stream->changed = true;
    stream->next_changed = set->changed;
    set->changed = stream_hold(stream);
    loop_defer(set->loop, &set->notify);
}

void notify_close(struct streams *set) {
    loop_cancel(set->loop, &set->notify);
    while (set->changed) {
        struct stream *stream = set->changed;
        set->changed = stream->next_changed;
        stream->changed = false;
        stream_drop(stream);
    }
}
