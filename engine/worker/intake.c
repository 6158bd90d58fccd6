#include "worker/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/url.h"
#include "worker/intake_parts.h"

enum {
    HIGH_WATER = 2 << 20,   /* bytes waiting: the source is paused */
    ARRIVING_MAX = 8 << 20, /* what may still come after that, and one piece of the transfer */
    MARKS_MAX = 4096,       /* marks waiting: likewise */
    LEAP = 1 << 16,         /* more events than are ever asked for ahead */
    REJECTS_MAX = 3,        /* times that a broken chunk is read */
};

/* Everything that is buffered belongs to a reading that is given up. */
static void forget(struct intake *intake) {
    runs_recall(&intake->runs);
    run_clear(intake->front);
    marks_clear(&intake->marks);
    window_clear(&intake->cutter.window);
    intake->cut = intake->arrived;
    intake->given += LEAP;
    intake->in_body = false;
}

void intake_close(struct intake *intake) {
    if (intake->source) {
        source_close(intake->source);
        intake->source = NULL;
    }
    forget(intake);
    marks_free(&intake->marks);
    cutter_free(&intake->cutter);
    runs_free(&intake->runs);
    intake->front = NULL;
    free(intake->location);
    free(intake->name);
    free(intake->offset);
    intake->location = intake->name = intake->offset = NULL;
}

static void on_run(void *user) {
    struct intake *intake = user;
    intake->ready(intake->user);
}

bool intake_init(struct intake *intake, size_t message_max, void (*ready)(void *user), void *user) {
    *intake = (struct intake){
        .window_max = message_max + HIGH_WATER + ARRIVING_MAX, .ready = ready, .user = user};
    cutter_init(&intake->cutter, message_max);
    runs_init(&intake->runs, &intake->cutter, on_run, intake);
    return marks_init(&intake->marks);
}

static void pause_if_full(struct intake *intake) {
    bool full = intake_waiting(intake) > HIGH_WATER || intake->marks.count > MARKS_MAX;
    if (full && !intake->paused && intake->source) {
        intake->paused = true;
        source_pause(intake->source);
    }
}

void intake_resume(struct intake *intake, size_t most) {
    if (intake->paused && intake->source && intake_waiting(intake) <= most) {
        intake->paused = false;
        source_resume(intake->source);
    }
}

static void add_mark(struct intake *intake, struct mark mark) {
    mark.at = intake_bytes(intake);
    marks_add(&intake->marks, mark);
    pause_if_full(intake);
    intake->ready(intake->user);
}

void intake_fail(struct intake *intake, const struct error *e) {
    struct error *copy = malloc(sizeof *copy);
    if (copy) {
        *copy = *e;
    }
    add_mark(intake, (struct mark){.kind = MARK_FAIL, .error = copy});
}

static void on_begin(void *user, enum source_format format) {
    static const enum slicer_format formats[] = {
        [SOURCE_ARRAY] = SLICER_ARRAY, [SOURCE_LINES] = SLICER_LINES, [SOURCE_AUTO] = SLICER_AUTO};
    add_mark(user, (struct mark){.kind = MARK_BEGIN, .format = formats[format]});
}

/* The window that takes what comes, as far as there is room for it beside what waits elsewhere. */
static struct window *arriving(struct intake *intake) {
    struct window *window = intake->runs.ahead ? &intake->runs.arrived : &intake->cutter.window;
    window->max = intake->window_max - (intake_waiting(intake) - window->waiting);
    return window;
}

static void arrived(struct intake *intake, size_t len, bool kept) {
    struct error e;
    if (!kept) {
        bool full = intake_waiting(intake) + HIGH_WATER > intake->window_max;
        error_set(&e, full ? ERROR_LIMIT : ERROR_MEMORY,
                  full ? "the buffer of a stream is full (%zu bytes): raise limits.message"
                       : "out of memory for the buffer of a stream (%zu bytes waiting)",
                  intake_waiting(intake));
        intake_fail(intake, &e);
        return;
    }
    intake->arrived += len;
    pause_if_full(intake);
    intake_look_behind(intake);
    intake->ready(intake->user);
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct intake *intake = user;
    arrived(intake, len, window_append(arriving(intake), ptr, len));
}

static void on_piece(void *user, struct piece *piece) {
    struct intake *intake = user;
    size_t len = piece_len(piece);
    arrived(intake, len, window_give(arriving(intake), piece));
}

static struct piece *on_spare(void *user) {
    struct intake *intake = user;
    struct piece *spare = window_spare(&intake->runs.arrived);
    return spare || intake->runs.ahead ? spare : window_spare(&intake->cutter.window);
}

static void on_end(void *user, const struct source_chunk *chunk) {
    struct intake *intake = user;
    struct error e;
    char *offset = slice_copy(chunk->offset);
    if (!offset) {
        error_set(&e, ERROR_MEMORY, "out of memory at the end of a chunk");
        intake_fail(intake, &e);
        return;
    }
    add_mark(intake, (struct mark){.kind = MARK_END,
                                   .offset = offset,
                                   .up_to_date = chunk->up_to_date,
                                   .closed = chunk->closed});
}

static void on_abort(void *user) {
    add_mark(user, (struct mark){.kind = MARK_ABORT});
}

static void on_eof(void *user) {
    add_mark(user, (struct mark){.kind = MARK_EOF});
}

static void on_fail(void *user, const struct error *e) {
    intake_fail(user, e);
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

bool intake_seek(struct intake *intake, const char *offset, struct error *e) {
    char *copy = strdup(offset);
    if (!copy) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory", intake->name);
    }
    forget(intake);
    free(intake->offset);
    intake->offset = copy;
    intake->base = intake_sequence(intake);
    intake->chunks++;
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
    bool lines = intake->format == SLICER_LINES;
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
void intake_expect_again(struct intake *intake) {
    intake->skip = intake->taken > intake->skip ? intake->taken : intake->skip;
    intake->taken = 0;
}

/* Whether the source has ended the present chunk and gone on: it then no longer knows where this began. */
static bool source_is_ahead(const struct intake *intake) {
    for (size_t i = 0; i + 1 < intake->marks.count; i++) {
        if (marks_at(&intake->marks, i)->kind == MARK_END) {
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
    intake_fail(intake, why);
}

/* The chunk's framing is broken. The source reads it again, or, when that is no use, fails. */
void intake_reject(struct intake *intake, struct error *e) {
    bool ahead = source_is_ahead(intake);
    intake->taken++; /* the message that could not be found counts for the report */
    intake_locate(intake, e);
    intake->taken--;
    forget(intake);
    intake_expect_again(intake);
    if (ahead) {
        read_again(intake, e);
    } else {
        source_reject(intake->source, e);
    }
}
