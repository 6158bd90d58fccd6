#include "stream/sse.h"

#include <string.h>

enum { KEEP_BYTES = 16 * 1024, WINDOW = 1024 };

static const char bom[3] = {(char)0xef, (char)0xbb, (char)0xbf};

void sse_init(struct sse *sse, size_t max) {
    *sse = (struct sse){0};
    buf_init(&sse->data, (max ? max : SSE_EVENT_MAX) + 1); /* the last line's LF, which is cut off */
}

void sse_free(struct sse *sse) {
    buf_free(&sse->data);
}

static void drop_event(struct sse *sse) {
    buf_clear(&sse->data);
    buf_shrink(&sse->data, KEEP_BYTES);
    sse->type_len = 0;
    sse->given = false;
}

void sse_reset(struct sse *sse) {
    struct buf data = sse->data;
    *sse = (struct sse){.data = data};
    drop_event(sse);
}

static bool too_big(const struct sse *sse, struct error *e) {
    if (!sse->data.full) {
        return error_set(e, ERROR_MEMORY, "out of memory for an event of more than %zu bytes", sse->data.len);
    }
    return error_set(e, ERROR_LIMIT,
                     "an SSE event is larger than its cap of %zu bytes: append smaller batches",
                     sse->data.max - 1);
}

/* The name is over (at a colon, or at the line's end): what becomes of the value. */
static void name_done(struct sse *sse) {
    struct slice name = slice_of(sse->name, sse->name_len);
    sse->field = SSE_SKIP;
    if (slice_is(name, "data")) {
        sse->field = SSE_DATA;
    } else if (slice_is(name, "event")) {
        sse->field = SSE_TYPE;
        sse->type_len = 0;
    }
}

static void add_name(struct sse *sse, char byte) {
    if (sse->name_len < sizeof sse->name) {
        sse->name[sse->name_len++] = byte;
    }
}

static bool add_value(struct sse *sse, const char *ptr, size_t len) {
    if (sse->field == SSE_DATA) {
        return buf_append(&sse->data, ptr, len);
    }
    if (sse->field == SSE_TYPE) {
        size_t room = sizeof sse->type - sse->type_len;
        size_t take = len < room ? len : room;
        memcpy(sse->type + sse->type_len, ptr, take);
        sse->type_len += take;
    }
    return true;
}

/* The first CR or LF, or the end. Two searches in small windows: neither rescans what the other saw. */
static const char *line_end(const char *at, const char *end) {
    while (at < end) {
        size_t len = (size_t)(end - at) < WINDOW ? (size_t)(end - at) : WINDOW;
        const char *lf = memchr(at, '\n', len);
        const char *cr = memchr(at, '\r', lf ? (size_t)(lf - at) : len);
        if (cr || lf) {
            return cr ? cr : lf;
        }
        at += len;
    }
    return end;
}

enum line { LINE_PLAIN, LINE_EVENT, LINE_FULL };

/* A line has ended. */
static enum line end_line(struct sse *sse) {
    if (sse->state == SSE_LINE) { /* a blank one */
        if (sse->data.len == 0) {
            sse->type_len = 0;
            return LINE_PLAIN;
        }
        return LINE_EVENT;
    }
    if (sse->state == SSE_NAME) {
        name_done(sse);
    }
    sse->state = SSE_LINE;
    sse->name_len = 0;
    if (sse->field == SSE_DATA && !buf_append_byte(&sse->data, '\n')) {
        return LINE_FULL;
    }
    return LINE_PLAIN;
}

/* Bytes that look like a BOM but turn out not to be one are the start of a field's name. */
static void skip_bom(struct sse *sse, const char **at, const char *end) {
    while (*at < end && sse->bom < sizeof bom && **at == bom[sse->bom]) {
        sse->bom++;
        (*at)++;
    }
    if (sse->bom == sizeof bom || *at == end) {
        sse->state = sse->bom == sizeof bom ? SSE_LINE : SSE_BOM;
        return;
    }
    sse->state = sse->bom ? SSE_NAME : SSE_LINE;
    for (unsigned i = 0; i < sse->bom && i < sizeof bom; i++) {
        add_name(sse, bom[i]);
    }
}

/* The inside of a line: at is not at a line's end. False: the cap is reached. */
static bool take_inside(struct sse *sse, const char **at, const char *end) {
    switch (sse->state) {
    case SSE_LINE:
    case SSE_NAME:
        sse->state = SSE_NAME;
        if (**at == ':') {
            name_done(sse);
            sse->state = SSE_SPACE;
        } else {
            add_name(sse, **at);
        }
        (*at)++;
        return true;
    case SSE_SPACE:
        *at += **at == ' ';
        sse->state = SSE_VALUE;
        return true;
    default:
        break;
    }
    const char *stop = line_end(*at, end);
    bool ok = add_value(sse, *at, (size_t)(stop - *at));
    *at = stop;
    return ok;
}

static void give(struct sse *sse, struct sse_event *event) {
    event->data = slice_of(sse->data.ptr, sse->data.len - 1);
    event->type = sse->type_len ? slice_of(sse->type, sse->type_len) : SLICE("message");
    sse->given = true;
}

enum sse_result sse_next(struct sse *sse, struct slice *input, struct sse_event *event, struct error *e) {
    const char *at = input->ptr;
    const char *end = at + input->len;
    enum line line = LINE_PLAIN;
    bool fits = true;
    if (sse->given) {
        drop_event(sse);
    }
    if (sse->state == SSE_BOM) {
        skip_bom(sse, &at, end);
    }
    while (at < end && line == LINE_PLAIN && fits) {
        if (*at == '\n' && sse->after_cr) {
            at++;
            sse->after_cr = false;
        } else if (*at == '\n' || *at == '\r') {
            sse->after_cr = *at++ == '\r';
            line = end_line(sse);
        } else {
            sse->after_cr = false;
            fits = take_inside(sse, &at, end);
        }
    }
    *input = slice_of(at, (size_t)(end - at));
    if (line == LINE_EVENT) {
        give(sse, event);
        return SSE_EVENT;
    }
    if (line == LINE_FULL || !fits) {
        too_big(sse, e);
        return SSE_ERROR;
    }
    return SSE_MORE;
}
