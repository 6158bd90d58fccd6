#include "worker/run.h"

#include <stdlib.h>
#include <string.h>

#include "state/store.h"

enum { NAMES_BYTES = 64 << 10 }; /* for unescaped names; what does not fit ends the run */

struct run *run_new(size_t room) {
    struct run *run = malloc(sizeof *run + room * sizeof *run->events);
    if (run) {
        memset(run, 0, sizeof *run);
        run->room = room;
        run->word = SLICER_MESSAGE;
    }
    return run;
}

void run_free(struct run *run) {
    if (run) {
        free(run->names);
        free(run);
    }
}

void run_clear(struct run *run) {
    if (run) {
        run->count = run->given = run->names_len = 0;
        run->skipped = 0;
        run->barrier = false;
        run->word = SLICER_MESSAGE;
    }
}

static bool keep_name(struct run *run, struct slice *name, struct slice text) {
    if (name->ptr >= text.ptr && name->ptr < text.ptr + text.len) {
        return true; /* it stands in the message as it is */
    }
    if (name->len > NAMES_BYTES - run->names_len) {
        return false;
    }
    char *to = run->names + run->names_len;
    memcpy(to, name->ptr, name->len);
    run->names_len += name->len;
    name->ptr = to;
    return true;
}

/* Names in the decoder's own memory are good until it decodes the next message. False: they stay there. */
static bool keep_names(struct run *run, struct event *event) {
    if (!run->names) {
        run->names = malloc(NAMES_BYTES);
    }
    return run->names && keep_name(run, &event->type, event->text) &&
           (!event->key.ptr || keep_name(run, &event->key, event->text));
}

static void keep_event(struct run *run, const struct slicer *slicer, const struct event_decoder *decoder) {
    struct run_event *kept = &run->events[run->count++];
    kept->position = slicer->position;
    kept->line = slicer->line;
    run->barrier = kept->event.kind == EVENT_CONTROL || /* what follows may depend on it */
                   (decoder->unescaped && !keep_names(run, &kept->event));
    kept->hash = store_hash(run->seed, kept->event.key);
}

static void keep_word(struct run *run, const struct slicer *slicer, enum slicer_status word) {
    run->word = word;
    run->message = slicer->message;
    run->position = slicer->position;
    run->line = slicer->line;
}

void run_decode(struct run *run, struct slicer *slicer, struct event_decoder *decoder, uint64_t skip,
                const char **at, const char *end, bool last) {
    run_clear(run);
    run->last = last;
    while (run->word == SLICER_MESSAGE && !run->barrier && run->count < run->room) {
        decoder->event = &run->events[run->count].event;
        enum slicer_status word = slicer_next(slicer, at, end, last, &run->why);
        bool whole = word == SLICER_MESSAGE || word == SLICER_REFUSED;
        if (whole && run->skipped < skip) {
            run->skipped++;
        } else if (word == SLICER_MESSAGE) {
            keep_event(run, slicer, decoder);
        } else {
            keep_word(run, slicer, word);
        }
    }
    decoder->event = &decoder->own;
}
