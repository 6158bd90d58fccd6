#include "worker/cutter.h"

void cutter_init(struct cutter *cutter, size_t message_max) {
    *cutter = (struct cutter){0};
    window_init(&cutter->window, SIZE_MAX);
    event_decoder_init(&cutter->decoder);
    slicer_init(&cutter->slicer, message_max, event_decode, &cutter->decoder);
    cutter->slicer.known = event_known;
}

void cutter_free(struct cutter *cutter) {
    window_free(&cutter->window);
    event_decoder_free(&cutter->decoder);
}

void cutter_begin(struct cutter *cutter, enum slicer_format format) {
    slicer_begin(&cutter->slicer, format);
    cutter->spent = false;
}

struct slice cutter_view(const struct cutter *cutter, struct cutter_limit limit) {
    struct slice view = window_view(&cutter->window);
    uint64_t room = limit.at - cutter->window.base;
    view.len = view.len < room ? view.len : (size_t)room;
    return view;
}

static bool reaches(const struct cutter *cutter, struct slice view, struct cutter_limit limit) {
    return cutter->window.base + view.len == limit.at;
}

bool cutter_has_news(const struct cutter *cutter, struct cutter_limit limit) {
    struct slice view = cutter_view(cutter, limit);
    bool last = limit.is_last && reaches(cutter, view, limit);
    return !cutter->spent || cutter->window.base + view.len > cutter->seen || (last && !cutter->closed);
}

/* Where the run ends. */
static void end(const struct cutter *cutter, struct run *run) {
    run->end = cutter->window.base;
    run->format = cutter->slicer.format;
}

static void note(struct cutter *cutter, struct run *run) {
    cutter->skip -= run->skipped;
    cutter->stopped = run->barrier || (run->word != SLICER_MESSAGE && run->word != SLICER_MORE);
    cutter->spent = run->word == SLICER_MORE;
    cutter->closed = run->last;
    end(cutter, run);
}

void cutter_cut(struct cutter *cutter, struct run *run, struct cutter_limit limit) {
    struct slice view = cutter_view(cutter, limit);
    const char *at = view.ptr;
    cutter->seen = cutter->window.base + view.len;
    run_decode(run, &cutter->slicer, &cutter->decoder, cutter->skip, &at, view.ptr + view.len,
               limit.is_last && reaches(cutter, view, limit));
    window_take(&cutter->window, (size_t)(at - view.ptr));
    note(cutter, run);
}

bool cutter_can_go_on(const struct cutter *cutter, struct cutter_limit limit) {
    return cutter_has_news(cutter, limit) || !reaches(cutter, cutter_view(cutter, limit), limit);
}

/* What is left of the view and what comes behind it become one. False: nothing does, or there is no memory, which
 * whoever looks next will find, too. */
static bool join(struct cutter *cutter, struct cutter_limit limit) {
    bool failed;
    return !reaches(cutter, cutter_view(cutter, limit), limit) && window_join(&cutter->window, &failed);
}

void cutter_cut_on(struct cutter *cutter, struct run *run, struct cutter_limit limit) {
    run_clear(run);
    run->word = SLICER_MORE;
    end(cutter, run);
    bool more = !cutter->stopped && (cutter_has_news(cutter, limit) || join(cutter, limit));
    while (more) {
        cutter_cut(cutter, run, limit);
        more = run->count + run->skipped == 0 && run->word == SLICER_MORE && join(cutter, limit);
    }
    run->left = window_leave(&cutter->window);
}
