#include "cli/input.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/data.h"
#include "message/value.h"

enum {
    MESSAGE_MAX = 64 * 1024 * 1024,
    WINDOW_MORE = 4 * 1024 * 1024, /* what may still arrive after a pause */
};

/* What became of one look at the window. */
enum step { STEP_ON, STEP_MORE, STEP_OVER };

/* ---- ends ---- */

void input_close(struct input *input) {
    if (input->closed) {
        return;
    }
    input->closed = true;
    source_close(input->source);
    loop_cancel(input->o.loop, &input->task);
    buf_free(&input->window);
    buf_free(&input->refused);
}

static enum step finish(struct input *input, const struct error *e) {
    void *user = input->o.user;
    void (*over)(void *, const struct error *) = input->o.over;
    struct error copy = *e;
    input_close(input);
    over(user, &copy);
    return STEP_OVER;
}

static enum step finish_well(struct input *input) {
    struct error none = {0};
    return finish(input, &none);
}

/* ---- handing over ---- */

static const char *bytes_of(const struct input *input) {
    return input->window.ptr ? input->window.ptr : "";
}

static enum step hand_over(struct input *input, struct slice message) {
    switch (input->o.take(input->o.user, message)) {
    case INPUT_TAKEN:
        break;
    case INPUT_STOP:
        return STEP_OVER;
    case INPUT_LATER:
        input->paused = true;
        if (!buf_append_slice(&input->refused, message)) {
            struct error e;
            error_set(&e, ERROR_MEMORY, "%s: out of memory for a message of %zu bytes",
                      data_name(input->o.path), message.len);
            return finish(input, &e);
        }
        break;
    }
    return input->closed ? STEP_OVER : STEP_ON;
}

static enum step hand_over_again(struct input *input) {
    struct buf message = input->refused;
    buf_init(&input->refused, MESSAGE_MAX);
    enum step step = hand_over(input, buf_slice(&message));
    buf_free(&message);
    return step;
}

static uint64_t count_lines(const char *at, const char *end) {
    uint64_t count = 0;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        count++;
    }
    return count;
}

/* e's position counts from the byte at `start` of the window, which began at `at`. */
static enum step fail_at(struct input *input, const char *at, const char *start, struct error *e) {
    const char *place = start + e->position;
    uint64_t byte = input->slicer.position + e->position + 1;
    uint64_t line = input->lines + count_lines(at, place) + 1;
    error_context(e, "%s: line %" PRIu64 " (byte %" PRIu64 ")", data_name(input->o.path), line, byte);
    return finish(input, e);
}

static void explain_array(struct error *e) {
    size_t used = strlen(e->message);
    if (e->code == ERROR_CUT) {
        return;
    }
    snprintf(e->message + used, sizeof e->message - used,
             " (it starts with '[', so it is one array of messages; with --lines each line is a message)");
}

static enum step take_json(struct input *input) {
    struct error e;
    const char *window = bytes_of(input);
    const char *from = window + input->at;
    const char *at = from;
    enum slicer_status found = slicer_next(&input->slicer, &at, window + input->window.len, input->ended, &e);
    struct slice message = input->slicer.message;
    switch (found) {
    case SLICER_MESSAGE:
        input->lines += count_lines(from, at);
        input->at += (size_t)(at - from);
        return hand_over(input, message);
    case SLICER_MORE:
        input->lines += count_lines(from, at);
        input->at += (size_t)(at - from);
        return STEP_MORE;
    case SLICER_END:
        return finish_well(input);
    case SLICER_REFUSED:
        return fail_at(input, from, message.ptr, &e);
    case SLICER_BROKEN:
        explain_array(&e);
        return fail_at(input, from, at, &e);
    case SLICER_FAILED:
        break;
    }
    error_set(&e, ERROR_LIMIT, "a message is longer than %d MB", MESSAGE_MAX >> 20);
    return fail_at(input, from, at, &e);
}

static enum step take_line(struct input *input) {
    struct error e;
    const char *start = bytes_of(input) + input->at;
    size_t len = input->window.len - input->at;
    const char *newline = len > input->searched ? memchr(start + input->searched, '\n', len - input->searched)
                                                : NULL;
    if (newline) {
        len = (size_t)(newline + 1 - start);
    } else if (!input->ended) {
        input->searched = len;
    }
    if (len > MESSAGE_MAX) {
        error_set(&e, ERROR_LIMIT, "%s: line %llu is longer than %d MB", data_name(input->o.path),
                  (unsigned long long)input->lines + 1, MESSAGE_MAX >> 20);
        return finish(input, &e);
    }
    if (!newline && !input->ended) {
        return STEP_MORE;
    }
    if (len == 0) {
        return finish_well(input);
    }
    input->searched = 0;
    input->at += len;
    input->lines++;
    return hand_over(input, slice_of(start, len));
}

/* Bytes at the end that begin a character of UTF-8 and do not end it: 0 to 3. */
static size_t unfinished(struct slice text) {
    size_t most = text.len < 3 ? text.len : 3;
    for (size_t back = 1; back <= most; back++) {
        unsigned char byte = (unsigned char)text.ptr[text.len - back];
        if (byte >= 0xC0) {
            size_t needs = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return needs > back ? back : 0;
        }
        if (byte < 0x80) {
            return 0;
        }
    }
    return 0;
}

static enum step take_block(struct input *input) {
    struct slice all = slice_of(bytes_of(input) + input->at, input->window.len - input->at);
    bool whole = input->o.block && all.len >= input->o.block;
    if (!whole && !input->ended && input->o.block) {
        return STEP_MORE;
    }
    if (all.len == 0) {
        return input->ended ? finish_well(input) : STEP_MORE;
    }
    if (whole) {
        all.len = input->o.block;
    }
    /* What does not end at the end is no text. */
    bool last = input->ended && all.len == input->window.len - input->at;
    size_t left = input->o.text && !last ? unfinished(all) : 0;
    if (left == all.len) {
        if (!whole) {
            return STEP_MORE;
        }
        left = 0; /* a block smaller than a character */
    }
    all.len -= left;
    input->at += all.len;
    return hand_over(input, all);
}

static enum step take(struct input *input) {
    switch (input->o.kind) {
    case INPUT_JSON:
    case INPUT_JSON_LINES:
        return take_json(input);
    case INPUT_LINES:
        return take_line(input);
    case INPUT_BYTES:
        break;
    }
    return take_block(input);
}

/* Takes what there is. The last step may close the input, and free what holds it. */
static void drain(struct input *input) {
    if (input->paused) {
        return;
    }
    if (input->refused.len && (hand_over_again(input) == STEP_OVER || input->paused)) {
        return;
    }
    enum step step = STEP_ON;
    while (step == STEP_ON && !input->paused) {
        step = take(input);
    }
    if (step == STEP_OVER || input->closed) {
        return;
    }
    if (input->source_paused && !input->paused) {
        input->source_paused = false;
        source_resume(input->source);
    }
}

static void on_task(struct loop_task *task) {
    drain(task->owner);
}

void input_pause(struct input *input) {
    input->paused = true;
}

void input_resume(struct input *input) {
    if (input->paused && !input->closed) {
        input->paused = false;
        loop_defer(input->o.loop, &input->task);
    }
}

/* ---- what the source reports ---- */

static void on_begin(void *user, enum source_format format) {
    (void)user;
    (void)format;
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct input *input = user;
    struct error e;
    if (input->at) {
        buf_consume(&input->window, input->at);
        input->at = 0;
    }
    if (!buf_append(&input->window, ptr, len)) {
        buf_error(&input->window, &e, "what was read and not taken", NULL);
        finish(input, &e);
        return;
    }
    drain(input);
    if (!input->closed && input->paused && !input->source_paused) {
        input->source_paused = true;
        source_pause(input->source);
    }
}

static void on_end(void *user, const struct source_chunk *chunk) {
    (void)user;
    (void)chunk;
}

static void on_abort(void *user) {
    (void)user;
}

static void on_eof(void *user) {
    struct input *input = user;
    input->ended = true;
    drain(input);
}

static void on_fail(void *user, const struct error *e) {
    finish(user, e);
}

bool input_open(struct input *input, const struct input_options *options, struct error *e) {
    *input = (struct input){.o = *options, .task = {.run = on_task, .owner = input}};
    bool array = options->kind == INPUT_JSON;
    struct source_options o = {
        .loop = options->loop,
        .log = options->log,
        .location = options->path,
        .live = SOURCE_LIVE_NO,
        .format = SOURCE_LINES, /* what the bytes are is seen here */
        .sink = {.user = input,
                 .begin = on_begin,
                 .bytes = on_bytes,
                 .end = on_end,
                 .abort = on_abort,
                 .eof = on_eof,
                 .fail = on_fail},
    };
    buf_init(&input->window, (size_t)MESSAGE_MAX + WINDOW_MORE);
    buf_init(&input->refused, MESSAGE_MAX);
    slicer_init(&input->slicer, MESSAGE_MAX, value_decode, NULL);
    slicer_begin(&input->slicer, array ? SLICER_AUTO : SLICER_LINES);
    if (source_is_url(options->path)) {
        return error_set(e, ERROR_ARGUMENT, "%s: expected a file, or - for standard input", options->path);
    }
    input->source = source_open(&o, e);
    return input->source != NULL;
}
