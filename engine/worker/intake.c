#include "worker/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/url.h"

enum {
    HIGH_WATER = 1 << 20,   /* bytes waiting: the source is paused */
    ARRIVING_MAX = 8 << 20, /* what may still come after that, and one piece of the transfer */
    MARKS_MAX = 4096,       /* marks waiting: likewise */
    REJECTS_MAX = 3,        /* times that a broken chunk is read */
    RUN_LOW = INTAKE_RUN / 2,
    RUN_BYTES = 16 << 10, /* a view of so many is worth a run */
};

enum mark_kind { MARK_BEGIN, MARK_END, MARK_ABORT, MARK_EOF, MARK_FAIL };

struct intake_mark {
    uint64_t at; /* counted from the first byte ever */
    enum mark_kind kind;
    enum slicer_format format; /* BEGIN */
    char *offset;              /* END */
    bool up_to_date, closed;   /* END */
    struct error *error;       /* FAIL */
};

static void free_mark(struct intake_mark *mark) {
    free(mark->offset);
    free(mark->error);
}

static void drop_marks(struct intake *intake) {
    for (size_t i = 0; i < intake->mark_count; i++) {
        free_mark(&intake->marks[intake->mark_first + i]);
    }
    intake->mark_first = intake->mark_count = 0;
}

void intake_close(struct intake *intake) {
    if (intake->source) {
        source_close(intake->source);
        intake->source = NULL;
    }
    drop_marks(intake);
    free(intake->marks);
    intake->marks = NULL;
    intake->mark_room = 0;
    window_free(&intake->window);
    event_decoder_free(&intake->decoder);
    free(intake->run);
    intake->run = NULL;
    free(intake->location);
    free(intake->name);
    free(intake->offset);
    intake->location = intake->name = intake->offset = NULL;
}

static struct intake_mark *first_mark(const struct intake *intake) {
    return intake->mark_count ? &intake->marks[intake->mark_first] : NULL;
}

static void pop_mark(struct intake *intake) {
    free_mark(first_mark(intake));
    intake->mark_first++;
    intake->mark_count--;
}

/* Room for one more behind the last. */
static bool reserve_mark(struct intake *intake) {
    if (intake->mark_first + intake->mark_count < intake->mark_room) {
        return true;
    }
    if (intake->mark_first > intake->mark_room / 2) {
        memmove(intake->marks, intake->marks + intake->mark_first,
                intake->mark_count * sizeof *intake->marks);
        intake->mark_first = 0;
        return true;
    }
    size_t room = intake->mark_room ? intake->mark_room * 2 : 16;
    struct intake_mark *marks = realloc(intake->marks, room * sizeof *marks);
    if (!marks) {
        return false;
    }
    intake->marks = marks;
    intake->mark_room = room;
    return true;
}

bool intake_init(struct intake *intake, size_t message_max, void (*ready)(void *user), void *user) {
    *intake = (struct intake){.ready = ready, .user = user, .word = SLICER_MORE};
    window_init(&intake->window, message_max + HIGH_WATER + ARRIVING_MAX);
    event_decoder_init(&intake->decoder);
    slicer_init(&intake->slicer, message_max, event_decode, &intake->decoder);
    return reserve_mark(intake); /* from here on there is room for a last one */
}

static void pause_if_full(struct intake *intake) {
    bool full = intake->window.waiting > HIGH_WATER || intake->mark_count > MARKS_MAX;
    if (full && !intake->paused && intake->source) {
        intake->paused = true;
        source_pause(intake->source);
    }
}

/* Marks that cannot be kept are the end of the stream: there is no other way to say it. */
static void add_mark(struct intake *intake, struct intake_mark mark) {
    mark.at = intake_bytes(intake);
    if (!reserve_mark(intake)) {
        free_mark(&mark);
        if (intake->mark_count > 0) {
            intake->marks[intake->mark_first + intake->mark_count - 1].kind = MARK_FAIL;
        }
        return;
    }
    intake->marks[intake->mark_first + intake->mark_count++] = mark;
    pause_if_full(intake);
    intake->ready(intake->user);
}

static void fail_with(struct intake *intake, const struct error *e) {
    struct error *copy = malloc(sizeof *copy);
    if (copy) {
        *copy = *e;
    }
    add_mark(intake, (struct intake_mark){.kind = MARK_FAIL, .error = copy});
}

static void on_begin(void *user, enum source_format format) {
    static const enum slicer_format formats[] = {
        [SOURCE_ARRAY] = SLICER_ARRAY, [SOURCE_LINES] = SLICER_LINES, [SOURCE_AUTO] = SLICER_AUTO};
    add_mark(user, (struct intake_mark){.kind = MARK_BEGIN, .format = formats[format]});
}

static void arrived(struct intake *intake, bool kept) {
    struct error e;
    if (!kept) {
        bool full = intake->window.waiting + HIGH_WATER > intake->window.max;
        error_set(&e, full ? ERROR_LIMIT : ERROR_MEMORY,
                  full ? "the buffer of a stream is full (%zu bytes): raise limits.message"
                       : "out of memory for the buffer of a stream (%zu bytes waiting)",
                  intake->window.waiting);
        fail_with(intake, &e);
        return;
    }
    pause_if_full(intake);
    intake->ready(intake->user);
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct intake *intake = user;
    arrived(intake, window_append(&intake->window, ptr, len));
}

static void on_piece(void *user, struct piece *piece) {
    struct intake *intake = user;
    arrived(intake, window_give(&intake->window, piece));
}

static struct piece *on_spare(void *user) {
    return window_spare(&((struct intake *)user)->window);
}

static char *copy_text(struct slice text) {
    char *copy = malloc(text.len + 1);
    if (copy) {
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    return copy;
}

static void on_end(void *user, const struct source_chunk *chunk) {
    struct intake *intake = user;
    struct error e;
    char *offset = copy_text(chunk->offset);
    if (!offset) {
        error_set(&e, ERROR_MEMORY, "out of memory at the end of a chunk");
        fail_with(intake, &e);
        return;
    }
    add_mark(intake, (struct intake_mark){.kind = MARK_END,
                                          .offset = offset,
                                          .up_to_date = chunk->up_to_date,
                                          .closed = chunk->closed});
}

static void on_abort(void *user) {
    add_mark(user, (struct intake_mark){.kind = MARK_ABORT});
}

static void on_eof(void *user) {
    add_mark(user, (struct intake_mark){.kind = MARK_EOF});
}

static void on_fail(void *user, const struct error *e) {
    fail_with(user, e);
}

/* Of a file: the byte at which the present chunk starts. */
static uint64_t byte_position(const struct intake *intake) {
    return intake->offset && intake->offset[0] != '-' ? strtoull(intake->offset, NULL, 10) : 0;
}

static char *name_of(const char *location) {
    char shown[1024];
    if (source_is_url(location)) {
        url_redact(location, shown, sizeof shown);
        return strdup(shown);
    }
    return strdup(strcmp(location, "-") == 0 ? "standard input" : location);
}

bool intake_open(struct intake *intake, struct source_options *options, struct error *e) {
    options->sink = (struct source_sink){
        .user = intake,
        .begin = on_begin,
        .bytes = on_bytes,
        .piece = on_piece,
        .spare = on_spare,
        .end = on_end,
        .abort = on_abort,
        .eof = on_eof,
        .fail = on_fail,
    };
    intake->location = strdup(options->location);
    intake->name = name_of(options->location);
    intake->offset = options->offset ? strdup(options->offset) : NULL;
    if (!intake->location || !intake->name || (options->offset && !intake->offset)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a stream");
    }
    intake->from_start = byte_position(intake) == 0;
    intake->source = source_open(options, e);
    return intake->source != NULL;
}

/* Everything that is buffered belongs to a reading that is given up. */
static void forget(struct intake *intake) {
    drop_marks(intake);
    window_clear(&intake->window);
    intake->given = intake->decoded;
    intake->word = SLICER_MORE;
    intake->in_body = false;
}

bool intake_seek(struct intake *intake, const char *offset, struct error *e) {
    char *copy = strdup(offset);
    if (!copy) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory", intake->name);
    }
    forget(intake);
    free(intake->offset);
    intake->offset = copy;
    intake->skip = intake->taken = 0;
    intake->from_start = false;
    source_seek(intake->source, copy);
    return true;
}

bool intake_locate(const struct intake *intake, struct error *e) {
    uint64_t byte = byte_position(intake) + intake->position + e->position + 1;
    uint64_t line = intake->lines + intake->line;
    if (source_is_url(intake->location)) {
        return error_context(e, "%s: offset %s, message %llu", intake->name,
                             intake->offset ? intake->offset : "-1", (unsigned long long)intake->taken);
    }
    const char *name = intake->name;
    bool lines = intake->slicer.format == SLICER_LINES;
    if (lines && intake->from_start) {
        return error_context(e, "%s: line %llu (byte %llu)", name, (unsigned long long)line,
                             (unsigned long long)byte);
    }
    if (lines) {
        return error_context(e, "%s: byte %llu", name, (unsigned long long)byte);
    }
    return error_context(e, "%s: byte %llu (message %llu)", name, (unsigned long long)byte,
                         (unsigned long long)intake->taken);
}

/* The connection broke inside a chunk, or its bytes are no use: it will come again from its start. Of a
 * reading that broke while it was still passing over messages, the larger count holds. */
static void expect_again(struct intake *intake) {
    intake->skip = intake->taken > intake->skip ? intake->taken : intake->skip;
    intake->taken = 0;
}

/* Whether the source has ended the present chunk and gone on: it then no longer knows where this began. */
static bool source_is_ahead(const struct intake *intake) {
    for (size_t i = 0; i + 1 < intake->mark_count; i++) {
        if (intake->marks[intake->mark_first + i].kind == MARK_END) {
            return source_is_url(intake->location);
        }
    }
    return false;
}

/* As source_reject, for a chunk that the source has left. */
static void read_again(struct intake *intake, const struct error *why) {
    if (++intake->rejects < REJECTS_MAX) {
        source_seek(intake->source, intake->offset);
        return;
    }
    source_close(intake->source);
    intake->source = NULL;
    fail_with(intake, why);
}

/* The chunk's framing is broken. The source reads it again, or, when that is no use, fails. */
static void reject(struct intake *intake, struct error *e) {
    bool ahead = source_is_ahead(intake);
    intake->taken++; /* the message that could not be found counts for the report */
    intake_locate(intake, e);
    intake->taken--;
    forget(intake);
    expect_again(intake);
    if (ahead) {
        read_again(intake, e);
    } else {
        source_reject(intake->source, e);
    }
}

static enum intake_status end_chunk(struct intake *intake, struct intake_mark *mark) {
    free(intake->offset);
    intake->offset = mark->offset;
    mark->offset = NULL;
    intake->up_to_date = mark->up_to_date;
    intake->closed = mark->closed;
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
    struct intake_mark *mark = first_mark(intake);
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
        expect_again(intake);
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
    pop_mark(intake);
    return status;
}

/* The view up to the next mark. *last: the body ends there. */
static struct slice look(const struct intake *intake, bool *last) {
    const struct intake_mark *mark = first_mark(intake);
    struct slice view = window_view(&intake->window);
    *last = false;
    if (mark && mark->at - intake->window.base <= view.len) {
        view.len = (size_t)(mark->at - intake->window.base);
        *last = mark->kind != MARK_ABORT && mark->kind != MARK_FAIL;
    }
    return view;
}

/* Events are decoded ahead where there are many: what applies them can then fetch memory for several. */
static bool reserve_run(struct intake *intake) {
    size_t want = window_view(&intake->window).len >= RUN_BYTES ? INTAKE_RUN : 1;
    if (intake->run && intake->run->room >= want) {
        return true;
    }
    struct intake_run *run = realloc(intake->run, sizeof *run + want * sizeof *run->found);
    if (!run) {
        return intake->run;
    }
    run->room = want;
    intake->run = run;
    return true;
}

static void keep_found(struct intake *intake) {
    struct intake_found *found = &intake->run->found[intake->decoded++ & (intake->run->room - 1)];
    found->event = intake->decoder.event;
    found->position = intake->slicer.position;
    found->line = intake->slicer.line;
    /* What follows a control may depend on it, and unescaped names are overwritten by the next event. */
    intake->barrier = intake->decoder.unescaped || found->event.kind == EVENT_CONTROL;
}

static bool is_full(const struct intake *intake) {
    return intake->barrier || intake->word != SLICER_MORE ||
           intake->decoded - intake->given >= intake->run->room;
}

/* Decodes what there is to decode in the view. */
static enum slicer_status decode(struct intake *intake) {
    bool last;
    struct slice view = look(intake, &last);
    const char *at = view.ptr;
    const char *end = view.ptr + view.len;
    enum slicer_status word = SLICER_MESSAGE;
    while (!is_full(intake) && (word == SLICER_MESSAGE || word == SLICER_REFUSED)) {
        word = slicer_next(&intake->slicer, &at, end, last, &intake->run->why);
        bool whole = word == SLICER_MESSAGE || word == SLICER_REFUSED;
        if (whole && intake->taken < intake->skip) {
            intake->taken++; /* it was taken before; so was all that came before it */
        } else if (word == SLICER_MESSAGE) {
            keep_found(intake);
        } else if (word != SLICER_END) {
            intake->word = word; /* told when the events before it have been given */
        }
    }
    window_take(&intake->window, (size_t)(at - view.ptr));
    return word;
}

static enum intake_status give(struct intake *intake) {
    const struct intake_found *found = &intake->run->found[intake->given++ & (intake->run->room - 1)];
    intake->event = &found->event;
    intake->position = found->position;
    intake->line = found->line;
    intake->taken++;
    return INTAKE_EVENT;
}

static enum intake_status give_word(struct intake *intake, struct error *e) {
    enum slicer_status word = intake->word;
    intake->word = SLICER_MORE;
    intake->position = intake->slicer.position;
    intake->line = intake->slicer.line;
    *e = intake->run->why;
    if (word == SLICER_BROKEN) {
        reject(intake, e);
        return INTAKE_EMPTY;
    }
    intake->taken++; /* a message that cannot be taken counts for the report */
    if (word == SLICER_REFUSED) {
        return INTAKE_REFUSED;
    }
    intake_locate(intake, e);
    intake->taken--;
    return INTAKE_FAILED;
}

/* The view is used up. True: look again. */
static bool end_view(struct intake *intake, enum slicer_status word, struct error *e) {
    bool failed;
    bool last;
    struct slice rest = look(intake, &last);
    if (word == SLICER_END) {
        intake->in_body = false;
        return true;
    }
    const struct intake_mark *mark = first_mark(intake);
    if (mark && mark->at == intake->window.base + rest.len) {
        window_take(&intake->window, rest.len); /* an abort: the rest of the message will not come */
        intake->in_body = false;
        return true;
    }
    if (window_join(&intake->window, &failed)) {
        return true;
    }
    if (failed) {
        error_set(e, ERROR_MEMORY, "out of memory for a message");
        fail_with(intake, e);
    }
    return false;
}

static void settle(struct intake *intake) {
    if (intake->up_to_date) {
        window_settle(&intake->window);
        free(intake->run);
        intake->run = NULL;
    }
    if (intake->paused && intake->source) {
        intake->paused = false;
        source_resume(intake->source);
    }
}

/* In a body, with nothing decoded. True: look again. */
static bool read_on(struct intake *intake, struct error *e) {
    intake->barrier = false;
    if (!reserve_run(intake)) {
        error_set(e, ERROR_MEMORY, "out of memory for an event");
        fail_with(intake, e);
        return false;
    }
    enum slicer_status word = decode(intake);
    return intake->decoded != intake->given || intake->word != SLICER_MORE || end_view(intake, word, e);
}

enum intake_status intake_next(struct intake *intake, struct error *e) {
    for (;;) {
        enum intake_status status = INTAKE_EMPTY;
        bool go_on = true;
        if (intake->decoded != intake->given) {
            if (intake->decoded - intake->given == RUN_LOW && !is_full(intake)) {
                decode(intake);
            }
            return give(intake);
        }
        if (intake->word != SLICER_MORE) {
            status = give_word(intake, e);
        } else if (intake->in_body) {
            go_on = read_on(intake, e);
        } else if (first_mark(intake)) {
            status = take_mark(intake, e);
        } else {
            go_on = false;
        }
        if (status != INTAKE_EMPTY) {
            return status;
        }
        if (!go_on) {
            settle(intake);
            return INTAKE_EMPTY;
        }
    }
}
