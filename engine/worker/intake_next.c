/* The giving side of the intake: runs of events, and what stands between them. */
#include <stdlib.h>

#include "worker/intake_parts.h"

enum {
    VIEW_SMALL = 16 << 10,  /* bytes: what waits is decoded one by one, as in a live stream */
    VIEW_BESIDE = 48 << 10, /* bytes that are worth another thread, */
    RUN_BYTES = 512 << 10,  /* and a further run */
    RUN_ONE = 1,
    RUN_SOME = 64,
    RUN_MANY = 2048,
    LOW_WATER = 1 << 20, /* bytes waiting: a source that was paused goes on */
};

/* ---- marks ---- */

static enum intake_status end_chunk(struct intake *intake, struct mark *mark) {
    struct slicer *slicer = &intake->cutter.slicer;
    free(intake->offset);
    intake->offset = mark->offset;
    mark->offset = NULL;
    intake->up_to_date = mark->up_to_date;
    intake->closed = mark->closed;
    intake->base += intake->taken;
    intake->chunks++;
    /* Read again, a chunk may have become two. */
    intake->skip = intake->skip > intake->taken ? intake->skip - intake->taken : 0;
    intake->taken = 0;
    intake->rejects = 0;
    if (slicer->format == SLICER_LINES) {
        intake->lines += slicer->line;
        slicer->line = 0; /* a chunk without a body may follow */
    }
    return INTAKE_CHUNK;
}

static enum intake_status take_mark(struct intake *intake, struct error *e) {
    struct mark *mark = marks_first(&intake->marks);
    enum intake_status status = INTAKE_EMPTY;
    intake->in_body = false;
    switch (mark->kind) {
    case MARK_BEGIN:
        cutter_begin(&intake->cutter, mark->format);
        intake->in_body = true;
        break;
    case MARK_END:
        status = end_chunk(intake, mark);
        break;
    case MARK_ABORT:
        intake_expect_again(intake);
        break;
    case MARK_EOF:
        return INTAKE_EOF; /* stays: it is the last word */
    case MARK_FAIL:
        if (mark->error) {
            *e = *mark->error;
        } else {
            error_set(e, ERROR_MEMORY, "%s: out of memory", intake->name);
        }
        return INTAKE_FAILED;
    }
    marks_pop(&intake->marks);
    return status;
}

/* ---- decoding ---- */

/* Up to the next mark. */
static struct cutter_limit limit_of(const struct intake *intake) {
    const struct mark *mark = marks_first(&intake->marks);
    return (struct cutter_limit){
        .at = mark ? mark->at : intake->arrived,
        .is_last = mark && mark->kind != MARK_ABORT && mark->kind != MARK_FAIL,
    };
}

/* Messages that are still to be passed over: everything before them was, too. */
static uint64_t to_skip(const struct intake *intake) {
    return intake->skip > intake->taken ? intake->skip - intake->taken : 0;
}

/* The front is a new run. */
static void note_front(struct intake *intake) {
    const struct run *front = intake->front = runs_front(&intake->runs);
    intake->cut = front->end;
    intake->taken += front->skipped;
    intake->format = front->format;
}

/* The cutter is this thread's, and everything it has said has been dealt with. */
static void take_cutter(struct intake *intake) {
    struct cutter *cutter = &intake->cutter;
    window_release(&cutter->window);
    cutter->skip = to_skip(intake);
    cutter->stopped = false;
}

static bool decode_front(struct intake *intake, struct error *e) {
    struct cutter_limit limit = limit_of(intake);
    size_t waiting = cutter_view(&intake->cutter, limit).len;
    struct run *run = runs_reserve(&intake->runs, waiting < VIEW_SMALL ? RUN_ONE : RUN_SOME);
    if (!run) {
        error_set(e, ERROR_MEMORY, "out of memory for events");
        intake_fail(intake, e);
        return false;
    }
    run->seed = intake->seed;
    cutter_cut(&intake->cutter, run, limit);
    note_front(intake);
    return true;
}

/* ---- decoding ahead ---- */

void intake_use_beside(struct intake *intake, struct loop *loop) {
    intake->runs.beside = loop_beside(loop);
}

/* Begins as many runs as there seem to be bytes for. True: there are some ahead. */
static bool begin_runs(struct intake *intake) {
    struct runs *runs = &intake->runs;
    struct cutter_limit limit = limit_of(intake);
    uint64_t bytes = limit.at - intake->cut;
    while (bytes >= VIEW_BESIDE + (uint64_t)runs->ahead * RUN_BYTES &&
           runs_begin(runs, RUN_MANY, intake->seed, limit)) {
    }
    return runs->ahead > 0;
}

/* Nothing stands between the front's events and those behind them. */
static bool is_open(const struct run *front) {
    return !front->barrier && (front->word == SLICER_MESSAGE || front->word == SLICER_MORE);
}

void intake_look_behind(struct intake *intake) {
    const struct run *front = intake->front;
    if (intake->in_body && front && front->given < front->count && is_open(front)) {
        begin_runs(intake);
    }
}

const struct run_event *intake_beyond(struct intake *intake, size_t n) {
    const struct run *next = is_open(intake->front) ? runs_next(&intake->runs) : NULL;
    return next && n < next->count && next->seed == intake->front->seed ? &next->events[n] : NULL;
}

/* ---- giving ---- */

static enum intake_status give(struct intake *intake) {
    const struct run_event *event = &intake->front->events[intake->front->given++];
    intake->event = &event->event;
    intake->position = event->position;
    intake->line = event->line;
    intake->given++;
    intake->taken++;
    return INTAKE_EVENT;
}

/* What ended the front is dealt with: what was begun behind it is empty, and what comes is begun anew. */
static void pass_stop(struct intake *intake) {
    runs_recall(&intake->runs);
    intake->front->barrier = false;
    intake->front->word = SLICER_MESSAGE;
}

/* What stands behind the front's events. INTAKE_EMPTY: it has been dealt with. */
static enum intake_status give_word(struct intake *intake, struct error *e) {
    struct run *front = intake->front;
    enum slicer_status word = front->word;
    pass_stop(intake);
    intake->position = front->position;
    intake->line = front->line;
    intake->refused = front->message;
    *e = front->why;
    if (word == SLICER_BROKEN) {
        intake_reject(intake, e);
        return INTAKE_EMPTY;
    }
    intake->taken++; /* a message that cannot be taken counts for the report */
    if (word == SLICER_REFUSED) {
        return INTAKE_REFUSED;
    }
    intake_locate(intake, e);
    return INTAKE_FAILED;
}

/* The view is used up, with nothing ahead. True: look again. */
static bool end_view(struct intake *intake, struct error *e) {
    struct window *window = &intake->cutter.window;
    struct cutter_limit limit = limit_of(intake);
    bool failed;
    if (intake->front->word == SLICER_END) {
        intake->in_body = false;
        return true;
    }
    if (cutter_has_news(&intake->cutter, limit)) {
        return true;
    }
    size_t left = cutter_view(&intake->cutter, limit).len;
    if (marks_first(&intake->marks) && window->base + left == limit.at) {
        window_take(window, left); /* an abort: the rest of the message will not come */
        intake->cut = window->base;
        intake->in_body = false;
        return true;
    }
    if (window_join(window, &failed)) {
        return true;
    }
    if (failed) {
        error_set(e, ERROR_MEMORY, "out of memory for a message");
        intake_fail(intake, e);
    }
    return false;
}

static void settle(struct intake *intake) {
    if (intake->up_to_date) {
        window_settle(&intake->cutter.window);
        runs_free(&intake->runs);
        intake->front = NULL;
    }
    intake_resume(intake, SIZE_MAX);
}

/* The next run becomes the front. False, *wait: the other thread is at it. */
static bool next_front(struct intake *intake, bool *wait, struct error *e) {
    struct runs *runs = &intake->runs;
    if (runs->ahead == 0) {
        take_cutter(intake);
        *wait = cutter_can_go_on(&intake->cutter, limit_of(intake)) && begin_runs(intake);
        return !*wait && decode_front(intake, e);
    }
    *wait = !runs_next(runs);
    if (!*wait) {
        runs_advance(runs);
        note_front(intake);
    }
    return !*wait;
}

/* In a body, with nothing left to give. *wait: the other thread is at it. True: look again. */
static bool read_on(struct intake *intake, bool *wait, struct error *e) {
    if (intake->front && !is_open(intake->front)) {
        pass_stop(intake);
    }
    if (!next_front(intake, wait, e)) {
        return false;
    }
    const struct run *front = intake->front;
    bool end = front->word == SLICER_MORE || front->word == SLICER_END;
    intake_look_behind(intake);
    intake_resume(intake, LOW_WATER);
    return front->count > 0 || intake->runs.ahead > 0 || !end || end_view(intake, e);
}

/* The next thing, where no event is left. *wait: nothing before the other thread is done. */
static enum intake_status next_thing(struct intake *intake, bool *again, bool *wait, struct error *e) {
    const struct run *front = intake->front;
    bool word = front && front->word != SLICER_MESSAGE && front->word != SLICER_MORE &&
                front->word != SLICER_END;
    *again = true;
    if (word) {
        return give_word(intake, e);
    }
    if (intake->in_body) {
        *again = read_on(intake, wait, e);
        return INTAKE_EMPTY;
    }
    if (marks_first(&intake->marks)) {
        return take_mark(intake, e);
    }
    *again = false;
    return INTAKE_EMPTY;
}

enum intake_status intake_next(struct intake *intake, struct error *e) {
    bool again = true;
    bool wait = false;
    while (again) {
        if (intake->front && intake->front->given < intake->front->count) {
            return give(intake);
        }
        enum intake_status status = next_thing(intake, &again, &wait, e);
        if (status != INTAKE_EMPTY) {
            return status;
        }
    }
    if (!wait) {
        settle(intake);
    }
    return INTAKE_EMPTY;
}
