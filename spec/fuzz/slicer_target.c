/* message/slicer.h: one text in one piece, in pieces that the fuzzer chooses and byte by byte gives the same
 * messages at the same places, and the same errors; and the messages are those that a plain reading finds.
 *
 * Input: format and decoder; the cap of a message (in 8 bytes; 0: none that matters); how it is cut (3 bytes);
 * the text. */
#include <stdio.h>

#include "fuzz.h"
#include "message/event.h"
#include "message/slicer.h"
#include "message/value.h"
#include "strict.h"
#include "tree.h"

enum { LOG_MAX = 1 << 22, MESSAGE_MAX = 1 << 20 };

struct feeding {
    enum slicer_format format;
    bool events; /* decoded as events; otherwise any value is a message */
    size_t message_max;
    struct slice text;
};

struct run {
    struct slicer slicer;
    struct event_decoder decoder;
    struct buf log;
    bool live;
};

static void record(struct run *run, enum slicer_status status, const struct error *e) {
    static const char *const names[] = {"message", "refused", "more", "end", "broken", "failed"};
    struct slicer *slicer = &run->slicer;
    buf_printf(&run->log, "%s", names[status]);
    if (status == SLICER_MESSAGE || status == SLICER_REFUSED) {
        buf_printf(&run->log, " %d @%d line %d [", (int)slicer->index, (int)slicer->position,
                   (int)slicer->line);
        buf_append_slice(&run->log, slicer->message);
        buf_append_byte(&run->log, ']');
    }
    if (status != SLICER_MESSAGE && status != SLICER_END) {
        buf_printf(&run->log, " %s @%d+%d: %s", error_name(e->code), (int)slicer->position, (int)e->position,
                   e->message);
    }
    buf_append_byte(&run->log, '\n');
}

/* Asks until the window holds nothing more; returns the bytes taken. */
static size_t ask(struct run *run, struct slice bytes, bool last) {
    struct slice window = fuzz_copy(bytes);
    const char *at = window.ptr;
    const char *end = at + window.len;
    enum slicer_status status = SLICER_MESSAGE;
    while (status == SLICER_MESSAGE || status == SLICER_REFUSED) {
        struct error e = {0};
        status = slicer_next(&run->slicer, &at, end, last, &e);
        FUZZ_CHECK(at >= window.ptr && at <= end, "the slicer left its window");
        if (status == SLICER_MESSAGE || status == SLICER_REFUSED) {
            struct slice message = run->slicer.message;
            FUZZ_CHECK(message.ptr >= window.ptr && message.ptr + message.len <= at, "a message outside");
        }
        if (status != SLICER_MORE) {
            record(run, status, &e);
        }
    }
    FUZZ_CHECK(status != SLICER_MORE || !last, "the slicer wants more than there is");
    FUZZ_CHECK(status != SLICER_END || last, "the slicer is at an end that was not told");
    run->live = status == SLICER_MORE;
    size_t taken = (size_t)(at - window.ptr);
    fuzz_drop(window);
    return taken;
}

/* late: the end is told after the last bytes, not with them. The log is the caller's. */
static struct buf feed(const struct feeding *feeding, struct fuzz_cut cut, bool late) {
    struct run run = {.live = true};
    size_t start = 0;
    size_t end = 0;
    buf_init(&run.log, LOG_MAX);
    event_decoder_init(&run.decoder);
    slicer_init(&run.slicer, feeding->message_max, feeding->events ? event_decode : value_decode,
                &run.decoder);
    slicer_begin(&run.slicer, feeding->format);
    while (run.live && end < feeding->text.len) {
        end += fuzz_cut_next(&cut, feeding->text.len - end);
        bool last = !late && end == feeding->text.len;
        start += ask(&run, slice_of(feeding->text.ptr + start, end - start), last);
    }
    if (run.live) {
        ask(&run, slice_of(feeding->text.ptr + start, end - start), true);
    }
    event_decoder_free(&run.decoder);
    return run.log;
}

/* ---- the plain reading ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One line of a log, up to where the message's status matters. */
struct expected {
    struct buf log;
    const char *start; /* of the text */
    size_t count;
};

static void expect(struct expected *expected, struct slice message, size_t line) {
    buf_printf(&expected->log, " %d @%d line %d [", (int)expected->count,
               (int)(message.ptr - expected->start), (int)line);
    buf_append_slice(&expected->log, message);
    buf_append_text(&expected->log, "]");
    expected->count++;
}

static void check_line(struct slice log, const struct feeding *feeding, struct slice line, size_t size) {
    if (feeding->events) {
        return;
    }
    struct strict_verdict verdict = strict_text(slice_of(line.ptr, size));
    bool valid = verdict.end == STRICT_WHOLE;
    const char *status = valid ? "message " : "refused ";
    FUZZ_CHECK(log.len > 8 && slice_equal(slice_of(log.ptr, 8), slice_from(status)), "expected %sfor %.*s",
               status, (int)line.len, line.ptr);
    if (!valid) {
        char place[64];
        snprintf(place, sizeof place, "+%zu: ", verdict.at);
        const char *behind = memmem(log.ptr, log.len, "] ", 2);
        FUZZ_CHECK(behind && memmem(log.ptr, log.len, place, strlen(place)),
                   "expected the error of %.*s at %zu", (int)line.len, line.ptr, verdict.at);
    }
}

/* Takes an entry for this message from the front of the log. */
static void take_entry(struct slice *log, struct slice entry) {
    const char *found = memmem(log->ptr, log->len, entry.ptr, entry.len);
    size_t status = sizeof "message" - 1; /* as long as "refused" */
    FUZZ_CHECK(found == log->ptr + status, "expected%.*s in front of\n%.*s", (int)entry.len, entry.ptr,
               (int)log->len, log->ptr);
    const char *end = memchr(found + entry.len, '\n', log->len - status - entry.len);
    FUZZ_CHECK(end, "a log without its last line end");
    log->len -= (size_t)(end + 1 - log->ptr);
    log->ptr = end + 1;
}

/* Every line that is not blank is a message, up to the first that is too long. */
static void check_lines(const struct feeding *feeding, struct slice log, struct slice text) {
    const char *end = text.ptr + text.len;
    struct expected expected = {.start = feeding->text.ptr};
    buf_init(&expected.log, LOG_MAX);
    size_t number = 0;
    for (const char *at = text.ptr; at < end; at++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        number++;
        if ((size_t)(stop - at) > feeding->message_max) {
            FUZZ_CHECK(log.len > 6 && memcmp(log.ptr, "failed", 6) == 0, "line %zu is not too long", number);
            buf_free(&expected.log);
            return;
        }
        const char *first = at;
        const char *last = stop;
        while (first < stop && is_space(*first)) {
            first++;
        }
        while (last > first && is_space(last[-1])) {
            last--;
        }
        if (first < last) {
            struct slice line = slice_of(first, (size_t)(last - first));
            buf_clear(&expected.log);
            expect(&expected, line, number);
            struct slice before = log;
            take_entry(&log, buf_slice(&expected.log));
            check_line(slice_of(before.ptr, before.len - log.len), feeding, line, (size_t)(stop - first));
        }
        at = stop;
    }
    FUZZ_CHECK(slice_is(log, "end\n"), "more than the lines: %.*s", (int)log.len, log.ptr);
    buf_free(&expected.log);
}

/* Where the text is a valid array, its elements are the messages. */
static void check_array(const struct feeding *feeding, struct slice log, struct slice text) {
    struct tree_facts facts = {0};
    if (feeding->format == SLICER_LINES || strict_text(text).end != STRICT_WHOLE) {
        return;
    }
    struct tree tree = tree_read(text, &facts);
    size_t line = 0;
    for (const char *at = text.ptr; at < tree.raw.ptr; at++) {
        line += *at == '\n';
    }
    struct expected expected = {.start = feeding->text.ptr};
    buf_init(&expected.log, LOG_MAX);
    bool fits = tree.kind == TREE_ARRAY;
    for (size_t i = 0; fits && i < tree.count; i++) {
        struct slice raw = tree.members[i].value.raw;
        fits = raw.len <= feeding->message_max;
        if (!fits) {
            FUZZ_CHECK(log.len > 6 && memcmp(log.ptr, "failed", 6) == 0, "message %zu is not too long", i);
            break;
        }
        buf_clear(&expected.log);
        expect(&expected, raw, line);
        take_entry(&log, buf_slice(&expected.log));
    }
    FUZZ_CHECK(!fits || slice_is(log, "end\n"), "more than the elements: %.*s", (int)log.len, log.ptr);
    buf_free(&expected.log);
    tree_free(&tree);
}

static void check_plainly(const struct feeding *feeding, const struct buf *log) {
    struct slice text = feeding->text;
    if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0) {
        text = slice_of(text.ptr + 3, text.len - 3);
    }
    const char *first = text.ptr;
    while (first < text.ptr + text.len && is_space(*first)) {
        first++;
    }
    bool array = first < text.ptr + text.len && *first == '[';
    if (feeding->format == SLICER_LINES) {
        check_lines(feeding, buf_slice(log), text);
    } else if (array) {
        check_array(feeding, buf_slice(log), text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    uint8_t options = fuzz_byte(&input);
    size_t max = (size_t)fuzz_byte(&input) * 8;
    struct fuzz_cut cut = fuzz_cut_of(&input);
    struct feeding feeding = {
        .format = (enum slicer_format)(options % 3),
        .events = options & 4,
        .message_max = max ? max : MESSAGE_MAX,
        .text = fuzz_copy(fuzz_rest(&input)),
    };
    struct buf whole = feed(&feeding, (struct fuzz_cut){0}, false);
    struct buf cut_up = feed(&feeding, cut, options & 8);
    struct buf bytes = feed(&feeding, (struct fuzz_cut){.largest = 1}, options & 16);
    fuzz_same(&whole, &cut_up, "in pieces");
    fuzz_same(&whole, &bytes, "byte by byte");
    check_plainly(&feeding, &whole);
    buf_free(&whole);
    buf_free(&cut_up);
    buf_free(&bytes);
    fuzz_drop(feeding.text);
    return 0;
}
