#include "stream/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEEP_BYTES = 1024 * 1024 };

void feed_init(struct feed *feed, const struct source_options *options, bool by_line, uint64_t position) {
    *feed = (struct feed){.sink = options->sink, .format = options->format, .by_line = by_line};
    buf_init(&feed->held, FEED_LINE_MAX);
    feed_reset(feed, position);
}

void feed_free(struct feed *feed) {
    buf_free(&feed->held);
}

void feed_reset(struct feed *feed, uint64_t position) {
    buf_clear(&feed->held);
    feed->in_chunk = false;
    feed->told = false;
    feed->position = position;
    /* In the middle of a file the first byte says nothing. */
    feed->sniffed = feed->format != SOURCE_AUTO || position > 0;
}

bool feed_position(const char *offset, uint64_t *position) {
    *position = 0;
    if (!offset || !*offset || strcmp(offset, "-1") == 0) {
        return true;
    }
    uint64_t value = 0;
    for (const char *at = offset; *at; at++) {
        if (*at < '0' || *at > '9' || value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *position = value;
    return true;
}

/* The first byte decides whether there are lines to cut at. */
static void sniff(struct feed *feed, const char *ptr, size_t len) {
    for (size_t i = 0; i < len && !feed->sniffed; i++) {
        if (!strchr(" \t\r\n", ptr[i]) || !ptr[i]) {
            feed->sniffed = true;
            feed->by_line = feed->by_line && ptr[i] != '[';
        }
    }
}

static enum feed_result begin(struct feed *feed) {
    unsigned turn = feed->turn;
    feed->told = false;
    if (!feed->in_chunk) {
        feed->in_chunk = true;
        feed->sink.begin(feed->sink.user, feed->by_line ? SOURCE_LINES : feed->format);
    }
    return turn == feed->turn ? FEED_ON : FEED_LEFT;
}

/* Begins a chunk where none is under way. */
static enum feed_result hand_over(struct feed *feed, const char *ptr, size_t len) {
    if (len == 0) {
        return FEED_ON;
    }
    if (begin(feed) != FEED_ON) {
        return FEED_LEFT;
    }
    unsigned turn = feed->turn;
    feed->position += len;
    feed->sink.bytes(feed->sink.user, ptr, len);
    return turn == feed->turn ? FEED_ON : FEED_LEFT;
}

enum feed_result feed_flush(struct feed *feed) {
    enum feed_result got = hand_over(feed, feed->held.ptr, feed->held.len);
    if (got == FEED_ON) {
        buf_clear(&feed->held);
        buf_shrink(&feed->held, KEEP_BYTES);
    }
    return got;
}

static enum feed_result hold(struct feed *feed, const char *ptr, size_t len, struct error *e) {
    if (buf_append(&feed->held, ptr, len)) {
        return FEED_ON;
    }
    error_set(e, ERROR_LIMIT, "the line at byte %" PRIu64 " is longer than %d MB", feed->position,
              FEED_LINE_MAX / (1024 * 1024));
    return FEED_FULL;
}

enum feed_result feed_bytes(struct feed *feed, const char *ptr, size_t len, struct error *e) {
    sniff(feed, ptr, len);
    if (feed->only_lines && !feed->by_line) {
        error_set(e, ERROR_ARGUMENT,
                  "a JSON array cannot be followed as it grows: use one event a line, or live = false");
        return FEED_FULL;
    }
    if (!feed->by_line) {
        enum feed_result held = feed_flush(feed);
        return held == FEED_ON ? hand_over(feed, ptr, len) : held;
    }
    const char *last = memrchr(ptr, '\n', len);
    if (!last || !feed->sniffed) {
        return hold(feed, ptr, len, e);
    }
    size_t lines = (size_t)(last + 1 - ptr);
    enum feed_result got = feed_flush(feed);
    got = got == FEED_ON ? hand_over(feed, ptr, lines) : got;
    return got == FEED_ON ? hold(feed, ptr + lines, len - lines, e) : got;
}

enum feed_result feed_piece(struct feed *feed, struct piece **piece, struct error *e) {
    const char *ptr = (*piece)->bytes + (*piece)->start;
    size_t len = piece_len(*piece);
    sniff(feed, ptr, len);
    if (feed->by_line || feed->only_lines || feed->held.len > 0 || !feed->sink.piece) {
        return feed_bytes(feed, ptr, len, e);
    }
    if (begin(feed) != FEED_ON) {
        return FEED_LEFT;
    }
    unsigned turn = feed->turn;
    struct piece *given = *piece;
    *piece = NULL;
    feed->position += len;
    feed->sink.piece(feed->sink.user, given);
    return turn == feed->turn ? FEED_ON : FEED_LEFT;
}

enum feed_result feed_end(struct feed *feed, bool up_to_date, bool closed) {
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, feed->position);
    struct source_chunk chunk = {
        .offset = slice_of(text, (size_t)len),
        .up_to_date = up_to_date,
        .closed = closed,
    };
    unsigned turn = feed->turn;
    feed->in_chunk = false;
    feed->told = true;
    feed->sink.end(feed->sink.user, &chunk);
    return turn == feed->turn ? FEED_ON : FEED_LEFT;
}
