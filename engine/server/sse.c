#include "server/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAME_HEAD = 10, FRAME_TAIL = 2 }; /* "0000abcd\r\n", "\r\n" */

/* A chunk whose bytes are being filled in. */
struct frame {
    struct block *block;
    char *at;
};

static bool frame_begin(struct frame *frame, size_t len) {
    if (len > UINT32_MAX) {
        return false;
    }
    frame->block = block_new(FRAME_HEAD + len + FRAME_TAIL);
    if (!frame->block) {
        return false;
    }
    char head[FRAME_HEAD + 1];
    snprintf(head, sizeof head, "%08x\r\n", (unsigned)len);
    memcpy(frame->block->bytes, head, FRAME_HEAD);
    frame->at = frame->block->bytes + FRAME_HEAD;
    return true;
}

static void frame_put(struct frame *frame, struct slice bytes) {
    if (bytes.len) {
        memcpy(frame->at, bytes.ptr, bytes.len);
        frame->at += bytes.len;
    }
}

static struct block *frame_end(struct frame *frame) {
    frame_put(frame, SLICE("\r\n"));
    return frame->block;
}

struct slice sse_bare(const struct block *block) {
    return slice_of(block->bytes + FRAME_HEAD, block->len - FRAME_HEAD - FRAME_TAIL);
}

/* ---- text ---- */

/* Without the space that may stand behind the colon, as other servers have it. A line that begins with a
 * space gets another in front, which readers take away. */
static const struct slice begin_data = SLICE_INIT("event: data\ndata:");
static const struct slice next_line = SLICE_INIT("\ndata:");

/* The place of the next line end in [at, end), or end. */
static const char *line_end(const char *at, const char *end, bool cr) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    const char *found = lf ? lf : end;
    const char *first = cr ? memchr(at, '\r', (size_t)(found - at)) : NULL;
    return first ? first : found;
}

/* What one pass over the lines of some pieces does with each run and each line end. */
struct lines {
    struct frame *frame; /* NULL: counts only */
    size_t len;
    bool cr;       /* look for CR too; there is none in JSON */
    bool after_cr; /* an LF now belongs to the CR before */
    bool begun;    /* the line has bytes */
};

static void lines_put(struct lines *lines, struct slice bytes) {
    lines->len += bytes.len;
    if (lines->frame) {
        frame_put(lines->frame, bytes);
    }
}

static void lines_run(struct lines *lines, struct slice run) {
    if (run.len == 0) {
        return;
    }
    if (!lines->begun && run.ptr[0] == ' ') {
        lines_put(lines, SLICE(" "));
    }
    lines->begun = true;
    lines_put(lines, run);
}

static void lines_take(struct lines *lines, struct slice piece) {
    const char *at = piece.ptr;
    const char *end = piece.ptr + piece.len;
    if (at < end && lines->after_cr && *at == '\n') {
        at++;
    }
    lines->after_cr = lines->after_cr && piece.len == 0;
    while (at < end) {
        const char *stop = line_end(at, end, lines->cr);
        lines_run(lines, slice_of(at, (size_t)(stop - at)));
        if (stop == end) {
            return;
        }
        lines_put(lines, next_line);
        lines->begun = false;
        bool cr = *stop == '\r';
        at = stop + 1;
        lines->after_cr = cr && at == end;
        if (cr && at < end && *at == '\n') {
            at++;
        }
    }
}

static size_t put_lines(struct frame *frame, const struct stream_body *body) {
    struct lines lines = {.frame = frame, .cr = true};
    for (size_t i = 0; i < body->count; i++) {
        lines_take(&lines, body->pieces[i]);
    }
    return lines.len;
}

/* ---- base64 ---- */

static size_t base64_len(size_t len) {
    return (len + 2) / 3 * 4;
}

static void put_group(struct frame *frame, const unsigned char *bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)bytes[0] << 16 | (count > 1 ? (uint32_t)bytes[1] << 8 : 0) |
                    (count > 2 ? bytes[2] : 0);
    frame->at[0] = digits[bits >> 18];
    frame->at[1] = digits[bits >> 12 & 63];
    frame->at[2] = (char)(count > 1 ? digits[bits >> 6 & 63] : '=');
    frame->at[3] = (char)(count > 2 ? digits[bits & 63] : '=');
    frame->at += 4;
}

/* Groups of three may lie over the ends of pieces. */
static void put_base64(struct frame *frame, const struct stream_body *body) {
    unsigned char group[3];
    size_t held = 0;
    for (size_t i = 0; i < body->count; i++) {
        const unsigned char *at = (const unsigned char *)body->pieces[i].ptr;
        size_t left = body->pieces[i].len;
        for (; left && held; left--) {
            group[held++] = *at++;
            if (held == 3) {
                put_group(frame, group, 3);
                held = 0;
            }
        }
        for (; left >= 3; left -= 3, at += 3) {
            put_group(frame, at, 3);
        }
        if (left > 0) { /* so nothing was held */
            held = left % 3;
            memcpy(group, at, held);
        }
    }
    if (held) {
        put_group(frame, group, held);
    }
}

/* ---- events ---- */

struct block *sse_data(const struct stream_body *body, bool base64) {
    struct frame frame;
    size_t len = base64 ? base64_len(body->len) : put_lines(NULL, body);
    if (!frame_begin(&frame, begin_data.len + len + 2)) {
        return NULL;
    }
    frame_put(&frame, begin_data);
    if (base64) {
        put_base64(&frame, body);
    } else {
        put_lines(&frame, body);
    }
    frame_put(&frame, SLICE("\n\n"));
    return frame_end(&frame);
}

static struct block *frame_text(const char *text, size_t len) {
    struct frame frame;
    if (!frame_begin(&frame, len)) {
        return NULL;
    }
    frame_put(&frame, slice_of(text, len));
    return frame_end(&frame);
}

struct block *sse_control(uint64_t next, uint64_t cursor, bool up_to_date, bool closed) {
    char text[256];
    char offset[STREAM_OFFSET_SIZE];
    char more[64] = "";
    stream_offset_format(next, offset);
    if (!closed) {
        snprintf(more, sizeof more, ",\"streamCursor\":\"%" PRIu64 "\"", cursor);
    }
    int len = snprintf(text, sizeof text, "event: control\ndata:{\"streamNextOffset\":\"%s\"%s%s%s}\n\n",
                       offset, more, up_to_date || closed ? ",\"upToDate\":true" : "",
                       closed ? ",\"streamClosed\":true" : "");
    return frame_text(text, (size_t)len);
}

struct block *sse_comment(void) {
    struct slice text = SLICE(": still here\n\n");
    return frame_text(text.ptr, text.len);
}

struct block *sse_event(struct slice type, struct slice data) {
    struct frame frame;
    struct stream_body body = {.count = 1, .len = data.len, .pieces = {data}};
    size_t len = put_lines(NULL, &body);
    if (!frame_begin(&frame, 7 + type.len + next_line.len + len + 2)) {
        return NULL;
    }
    frame_put(&frame, SLICE("event: "));
    frame_put(&frame, type);
    frame_put(&frame, next_line);
    put_lines(&frame, &body);
    frame_put(&frame, SLICE("\n\n"));
    return frame_end(&frame);
}
