/* stream/sse.h: one text in one piece, in pieces and byte by byte gives the same events, and they are those
 * that a plain reading of the whole text finds (the WHATWG's text: lines first, then fields, then events).
 *
 * Input: the cap of an event's data (0: none that matters); how it is cut (3 bytes); the text. */
#include "fuzz.h"
#include "stream/sse.h"

enum { LOG_MAX = 1 << 22, DATA_MAX = 1 << 20, TYPE_MAX = 64 };

static void record(struct buf *log, struct slice type, struct slice data) {
    buf_printf(log, "event %zu ", type.len);
    buf_append_slice(log, type);
    buf_printf(log, " data %zu ", data.len);
    buf_append_slice(log, data);
    buf_append_byte(log, '\n');
}

/* ---- as the parser has it ---- */

/* False: the parser refused to go on. */
static bool feed_piece(struct sse *sse, struct slice bytes, struct buf *log) {
    struct slice piece = fuzz_copy(bytes);
    struct slice rest = piece;
    struct sse_event event;
    struct error e = {0};
    enum sse_result result;
    while ((result = sse_next(sse, &rest, &event, &e)) == SSE_EVENT) {
        FUZZ_CHECK(rest.ptr >= piece.ptr && rest.ptr + rest.len == piece.ptr + piece.len,
                   "the rest is not one");
        record(log, event.type, event.data);
    }
    FUZZ_CHECK(result == SSE_ERROR || rest.len == 0, "the parser wants more and left %zu bytes", rest.len);
    fuzz_drop(piece);
    if (result == SSE_ERROR) {
        FUZZ_CHECK(e.code == ERROR_LIMIT || e.code == ERROR_MEMORY, "%s: %s", error_name(e.code), e.message);
        buf_append_text(log, "full\n");
    }
    return result == SSE_MORE;
}

static void feed(struct sse *sse, struct slice text, struct fuzz_cut cut, struct buf *log) {
    bool ok = true;
    for (size_t at = 0; ok && at < text.len;) {
        size_t len = fuzz_cut_next(&cut, text.len - at);
        ok = feed_piece(sse, slice_of(text.ptr + at, len), log);
        at += len;
    }
}

/* ---- as one reads it ---- */

struct reading {
    struct buf data;
    char type[TYPE_MAX];
    size_t type_len;
    size_t max;
};

static void take_field(struct reading *r, struct slice name, struct slice value, bool whole) {
    if (slice_is(name, "data")) {
        buf_append_slice(&r->data, value);
        if (whole) {
            buf_append_byte(&r->data, '\n');
        }
    } else if (slice_is(name, "event")) {
        r->type_len = value.len < TYPE_MAX ? value.len : TYPE_MAX;
        memcpy(r->type, value.ptr, r->type_len);
    }
}

/* whole: its line end has come. */
static void take_line(struct reading *r, struct slice line, bool whole, struct buf *log) {
    if (line.len == 0) {
        if (whole && r->data.len) {
            struct slice type = r->type_len ? slice_of(r->type, r->type_len) : SLICE("message");
            record(log, type, slice_of(r->data.ptr, r->data.len - 1));
        }
        if (whole) {
            buf_clear(&r->data);
            r->type_len = 0;
        }
        return;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon) {
        if (whole) {
            take_field(r, line, slice_of(line.ptr, 0), true);
        }
        return;
    }
    const char *value = colon + 1;
    const char *end = line.ptr + line.len;
    value += value < end && *value == ' ';
    take_field(r, slice_of(line.ptr, (size_t)(colon - line.ptr)), slice_of(value, (size_t)(end - value)),
               whole);
}

static void read_plainly(struct slice text, size_t max, struct buf *log) {
    struct reading r = {.max = max};
    const char *at = text.ptr;
    const char *end = at + text.len;
    buf_init(&r.data, LOG_MAX);
    if (text.len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
        at += 3;
    }
    while (at < end) {
        const char *stop = at;
        while (stop < end && *stop != '\r' && *stop != '\n') {
            stop++;
        }
        take_line(&r, slice_of(at, (size_t)(stop - at)), stop < end, log);
        if (r.data.len > max + 1) { /* with the line end that is not part of the data */
            buf_append_text(log, "full\n");
            break;
        }
        at = stop + 1;
        if (stop < end && *stop == '\r' && at < end && *at == '\n') {
            at++;
        }
    }
    buf_free(&r.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    size_t max = fuzz_byte(&input);
    struct fuzz_cut cut = fuzz_cut_of(&input);
    struct slice text = fuzz_rest(&input);
    struct fuzz_cut cuts[] = {{0}, cut, {.largest = 1}};
    struct buf expected;
    struct sse sse;
    max = max ? max : DATA_MAX;
    buf_init(&expected, LOG_MAX);
    read_plainly(text, max, &expected);
    sse_init(&sse, max);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct buf log;
        buf_init(&log, LOG_MAX);
        feed(&sse, text, cuts[i], &log);
        fuzz_same(&expected, &log, "the events");
        sse_reset(&sse);
        buf_free(&log);
    }
    sse_free(&sse);
    buf_free(&expected);
    return 0;
}
