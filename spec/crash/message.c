#include "message.h"

#include <stdio.h>

#include "random.h"

enum { ELEMENTS_MOST = 3, HEAD_MOST = 64 };

/* What a message is made of follows from its name. */
static struct random random_of(struct message message) {
    uint64_t seed = (uint64_t)message.stream << 40 ^ (uint64_t)message.writer << 32 ^ message.number;
    return (struct random){seed};
}

/* Few are long: longer than a frame of a stream's file, and so than what is written at once. */
static uint32_t length_of(struct random *random) {
    uint32_t kind = random_below(random, 1000);
    return random_below(random, kind == 0 ? 300000 : kind < 20 ? 5000 : 200);
}

static void put_padding(struct buf *out, struct random *random, uint32_t len, bool text) {
    if (!buf_reserve(out, len)) {
        return;
    }
    for (uint64_t i = 0, any = 0; i < len; i++, any >>= 8) {
        any = i % 8 ? any : random_next(random);
        out->ptr[out->len++] = (char)(text ? 'a' + any % 16 : any);
    }
}

static void put_json(struct buf *out, struct message message, const char *between, const char *behind) {
    struct random random = random_of(message);
    uint32_t count = 1 + random_below(&random, ELEMENTS_MOST);
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "{\"s\":%u,\"w\":%u,\"n\":%u,\"e\":%u,\"p\":\"", message.stream, message.writer,
                   message.number, i);
        put_padding(out, &random, length_of(&random), true);
        buf_append_text(out, "\"}");
        buf_append_text(out, i + 1 < count ? between : behind);
    }
}

static void put_binary(struct buf *out, struct message message) {
    struct random random = random_of(message);
    uint32_t len = length_of(&random);
    buf_printf(out, "CRSH %08x %08x %08x:", message.stream, message.writer, message.number);
    put_padding(out, &random, len, false);
}

void message_body(struct buf *out, bool json, struct message message) {
    if (json) {
        buf_append_byte(out, '[');
        put_json(out, message, ",", "]");
    } else {
        put_binary(out, message);
    }
}

/* Who wrote what begins here. */
static bool read_name(struct slice text, bool json, struct message *message) {
    char head[HEAD_MOST];
    size_t len = text.len < sizeof head - 1 ? text.len : sizeof head - 1;
    memcpy(head, text.ptr, len);
    head[len] = '\0';
    return sscanf(head, json ? "{\"s\":%u,\"w\":%u,\"n\":%u,\"e\":0," : "CRSH %8x %8x %8x:", &message->stream,
                  &message->writer, &message->number) == 3;
}

enum message_found message_read(struct slice stored, bool json, size_t *at, struct message *message) {
    struct slice rest = slice_of(stored.ptr + *at, stored.len - *at);
    struct buf expected;
    if (!read_name(rest, json, message)) {
        return rest.len < HEAD_MOST ? MESSAGE_CUT : MESSAGE_BAD;
    }
    buf_init(&expected, SIZE_MAX);
    if (json) {
        put_json(&expected, *message, ",\n", ",\n");
    } else {
        put_binary(&expected, *message);
    }
    size_t len = expected.len < rest.len ? expected.len : rest.len;
    enum message_found found = memcmp(expected.ptr, rest.ptr, len) != 0 ? MESSAGE_BAD
                               : len < expected.len                     ? MESSAGE_CUT
                                                                        : MESSAGE_WHOLE;
    *at += found == MESSAGE_WHOLE ? len : 0;
    buf_free(&expected);
    return found;
}
