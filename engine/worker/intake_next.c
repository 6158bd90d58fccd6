/* The giving side of the intake: runs of events, and what stands between them. */
#include <stdlib.h>

#include "worker/intake_parts.h"

enum {
    VIEW_SMALL = 16 << 10,  /* bytes: what waits is decoded one by one, as in a live stream */
    VIEW_BESIDE = 48 << 10, /* bytes that are worth another thread */
    RUN_ONE = 1,
    RUN_SOME = 64,
    RUN_MANY = 2048,
};

/* ---- marks ---- */

static enum intake_status end_chunk(struct intake *intake, struct mark *mark) {
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
    if (intake->slicer.format == SLICER_LINES) {
        intake->lines += intake->slicer.line;
        intake->slicer.line = 0; /* a chunk without a body may follow */
    }
    return INTAKE_CHUNK;
}

static enum intake_status take_mark(struct intake *intake, struct error *e) {
    struct mark *mark = marks_first(&intake->marks);
    enum intake_status status = INTAKE_EMPTY;
    intake->in_body = false;
    switch (mark->kind) {
    case MARK_BEGIN:
        slicer_begin(&intake->slicer, mark->format);
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

/* The view up to the next mark. *last: the body ends there. */
static struct slice look(const struct intake *intake, bool *last) {
    const struct mark *mark = marks_first(&intake->marks);
    struct slice view = window_view(&intake->window);
    *last = false;
    if (mark && mark->at - intake->window.base <= view.len) {
        view.len = (size_t)(mark->at - intake->window.base);
        *last = mark->kind != MARK_ABORT && mark->kind != MARK_FAIL;
    }
    return view;
}

/* The run with room for at least so many events; its own are forgotten where it has to grow. NULL: out of
 * memory. */
static struct run *reserve(struct run **run, size_t room) {
    if (!*run || (*run)->room < room) {
        struct run *grown = run_new(room);
        if (!grown) {
            return *run;
        }
        run_free(*run);
        *run = grown;
    }
    return *run;
}

/* Messages that are still to be passed over: everything before them was, too. */
static uint64_t to_skip(const struct intake *intake) {
    return intake->skip > intake->taken ? intake->skip - intake->taken : 0;
}

/* What a decoded run says beside its events. */
static void note_run(struct intake *intake, const struct run *run) {
    intake->taken += run->skipped;
    intake->format = intake->slicer.format;
}

static bool decode_front(struct intake *intake, struct error *e) {
    bool last;
    struct slice view = look(intake, &last);
    struct run *run = reserve(&intake->front, view.len < VIEW_SMALL ? RUN_ONE : RUN_SOME);
    if (!run) {
        error_set(e, ERROR_MEMORY, "out of memory for events");
        intake_fail(intake, e);
        return false;
    }
    const char *at = view.ptr;
    run->seen = intake->window.base + view.len;
    run->seed = intake->seed;
    run_decode(run, &intake->slicer, &intake->decoder, to_skip(intake), &at, view.ptr + view.len, last);
    window_take(&intake->window, (size_t)(at - view.ptr));
    note_run(intake, run);
    return true;
}

/* ---- decoding on another thread ---- */

static void work(void *user) {
    struct intake *intake = user;
    run_decode(intake->back, &intake->slicer, &intake->decoder, intake->back_skip, &intake->back_at,
               intake->back_end, intake->back_last);
}

static void worked(void *user) {
    struct intake *intake = user;
    intake->back_ready = true;
    intake->ready(intake->user);
}

void intake_use_beside(struct intake *intake, struct loop *loop) {
    intake->beside = loop_beside(loop);
    intake->decoding = (struct beside_job){.work = work, .done = worked, .user = intake};
}

/* What comes behind the front. True: it is being decoded. */
static bool start_back(struct intake *intake) {
    bool last;
    struct slice view = look(intake, &last);
    if (!intake->beside || view.len < VIEW_BESIDE || !reserve(&intake->back, RUN_MANY)) {
        return false;
    }
    intake->back_at = view.ptr;
    intake->back_end = view.ptr + view.len;
    intake->back_last = last;
    intake->back_skip = to_skip(intake);
    intake->back->seen = intake->window.base + view.len;
    intake->back->seed = intake->seed;
    beside_start(intake->beside, &intake->decoding);
    return true;
}

/* The back becomes the front, whose events have all been given. */
static void swap_runs(struct intake *intake) {
    struct run *run = intake->back;
    intake->back = intake->front;
    intake->front = run;
    intake->back_ready = false;
    struct slice view = window_view(&intake->window);
    window_take(&intake->window, (size_t)(intake->back_at - view.ptr));
    note_run(intake, run);
}

/* Bytes, or the end of the chunk, have come since the front was decoded. */
static bool has_news(const struct intake *intake) {
    bool last;
    struct slice view = look(intake, &last);
    return intake->window.base + view.len > intake->front->seen || (last && !intake->front->last);
}

static bool is_at_mark(const struct intake *intake) {
    bool last;
    const struct mark *mark = marks_first(&intake->marks);
    return mark && mark->at == intake->window.base + look(intake, &last).len;
}

/* While the front is given, what follows it can be decoded, unless something stands between them. */
static void look_behind(struct intake *intake) {
    const struct run *front = intake->front;
    bool failed;
    if (front->count == 0 || front->barrier ||
        (front->word != SLICER_MESSAGE && front->word != SLICER_MORE)) {
        return;
    }
    if (front->word == SLICER_MORE && !has_news(intake) &&
        (is_at_mark(intake) || !window_join(&intake->window, &failed))) {
        return;
    }
    start_back(intake);
}

void intake_look_behind(struct intake *intake) {
    bool giving = intake->in_body && intake->front && intake->front->given < intake->front->count;
    if (giving && !intake->back_ready && !intake->decoding.busy) {
        look_behind(intake);
    }
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

/* What stands behind the front's events. INTAKE_EMPTY: it has been dealt with. */
static enum intake_status give_word(struct intake *intake, struct error *e) {
    struct run *front = intake->front;
    enum slicer_status word = front->word;
    front->word = SLICER_MESSAGE;
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

/* The view is used up. True: look again. */
static bool end_view(struct intake *intake, struct error *e) {
    bool failed;
    bool last;
    if (intake->front->word == SLICER_END) {
        intake->in_body = false;
        return true;
    }
    if (has_news(intake)) {
        return true;
    }
    if (is_at_mark(intake)) { /* an abort: the rest of the message will not come */
        window_take(&intake->window, look(intake, &last).len);
        intake->in_body = false;
        return true;
    }
    if (window_join(&intake->window, &failed)) {
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
        window_settle(&intake->window);
        run_free(intake->front);
        run_free(intake->back);
        intake->front = intake->back = NULL;
    }
    if (intake->paused && intake->source) {
        intake->paused = false;
        source_resume(intake->source);
    }
}

/* In a body, with nothing left to give. *wait: the other thread is at it. True: look again. */
static bool read_on(struct intake *intake, bool *wait, struct error *e) {
    window_release(&intake->window);
    if (intake->back_ready || beside_take(intake->beside, &intake->decoding)) {
        swap_runs(intake);
        look_behind(intake);
    } else if (intake->decoding.busy || start_back(intake)) {
        *wait = true;
        return false;
    } else if (!decode_front(intake, e)) {
        return false;
    }
    const struct run *front = intake->front;
    bool end = front->word == SLICER_MORE || front->word == SLICER_END;
    return front->count > 0 || !end || end_view(intake, e);
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
