#include "readers.h"

#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "stream/base64.h"

enum { READERS = 8, OFFSET_MOST = 64 };

struct reader {
    bool sse;
    struct life *life; /* NULL: none */
    bool asked;        /* a request is under way */
    bool begun;        /* SSE: the head has come */
    bool closed;       /* it was told that the stream is */
    struct client client;
    struct buf told;          /* the stream's content from its start, as it is stored */
    size_t known;             /* so much of it is before the offset */
    char offset[OFFSET_MOST]; /* where to go on */
};

struct readers {
    struct world *world;
    struct reader all[READERS];
};

struct readers *readers_new(struct world *world) {
    struct readers *readers = calloc(1, sizeof *readers);
    if (!readers) {
        fail("out of memory");
    }
    readers->world = world;
    for (unsigned i = 0; i < READERS; i++) {
        readers->all[i].sse = i % 2 == 0;
        client_init(&readers->all[i].client);
        buf_init(&readers->all[i].told, SIZE_MAX);
    }
    return readers;
}

void readers_free(struct readers *readers) {
    for (unsigned i = 0; i < READERS; i++) {
        client_close(&readers->all[i].client);
        buf_free(&readers->all[i].told);
    }
    free(readers);
}

/* What it was told */

static void let_go(struct reader *reader) {
    reader->life = NULL;
    reader->closed = false;
    buf_clear(&reader->told);
}

static void tell(struct readers *readers, struct reader *reader, struct slice body) {
    size_t before = reader->told.len;
    content_add(&reader->told, reader->life->json, body);
    readers->world->totals.told += reader->told.len - before;
}

static void tell_place(struct reader *reader, struct slice offset, bool closed) {
    if (!offset.ptr || offset.len >= OFFSET_MOST) {
        life_fail(reader->life, "a live reader is told no offset");
    }
    memcpy(reader->offset, offset.ptr, offset.len);
    reader->offset[offset.len] = '\0';
    reader->known = reader->told.len;
    reader->closed = closed;
}

/* A request is over. */
static void end_request(struct reader *reader) {
    reader->asked = false;
    reader->life->under_way--;
}

static void hang_up(struct reader *reader) {
    if (reader->asked) {
        end_request(reader);
    }
    client_close(&reader->client);
}

/* Only of a stream that is deleted may there be nothing to say. */
static void expect_status(const struct reader *reader, int status) {
    if (status != 200 && status != 204 && reader->life->deleted == NO) {
        life_fail(reader->life, "a live reader is answered %d", status);
    }
}

/* Long-poll */

static void take_poll(struct readers *readers, struct reader *reader) {
    struct answer answer;
    if (!reader->asked || !client_answer(&reader->client, &answer)) {
        return;
    }
    expect_status(reader, answer.status);
    if (answer.status == 200) {
        tell(readers, reader, answer.body);
    }
    if (answer.status == 200 || answer.status == 204) {
        tell_place(reader, answer.offset, answer.closed);
    }
    client_drop(&reader->client);
    end_request(reader);
}

/* SSE, as HTTP/1.0 has it: without chunks */

/* The event's data: its lines without their names. */
static void data_of(struct buf *out, struct slice event) {
    const char *end = event.ptr + event.len;
    for (const char *line = event.ptr, *next; line < end; line = next + 1) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop : end;
        if (next - line >= 5 && memcmp(line, "data:", 5) == 0) {
            buf_append_text(out, out->len ? "\n" : "");
            buf_append(out, line + 5, (size_t)(next - line) - 5);
        }
    }
}

static void take_data(struct readers *readers, struct reader *reader, struct slice data) {
    struct buf bytes;
    struct error e;
    if (reader->life->json) {
        tell(readers, reader, data);
        return;
    }
    buf_init(&bytes, SIZE_MAX);
    if (!base64_decode(&bytes, data, &e)) {
        life_fail(reader->life, "a live reader: %s", e.message);
    }
    tell(readers, reader, buf_slice(&bytes));
    buf_free(&bytes);
}

static void take_control(struct reader *reader, struct slice data) {
    static const char name[] = "\"streamNextOffset\":\"";
    const char *at = memmem(data.ptr, data.len, name, sizeof name - 1);
    at = at ? at + sizeof name - 1 : NULL;
    const char *end = at ? memchr(at, '"', (size_t)(data.ptr + data.len - at)) : NULL;
    bool closed = memmem(data.ptr, data.len, "\"streamClosed\":true", 19);
    tell_place(reader, slice_of(end ? at : NULL, end ? (size_t)(end - at) : 0), closed);
}

static void take_event(struct readers *readers, struct reader *reader, struct slice event) {
    struct buf data;
    buf_init(&data, SIZE_MAX);
    data_of(&data, event);
    if (event.len > 11 && memcmp(event.ptr, "event: data", 11) == 0) {
        take_data(readers, reader, buf_slice(&data));
    } else if (event.len > 14 && memcmp(event.ptr, "event: control", 14) == 0) {
        take_control(reader, buf_slice(&data));
    }
    buf_free(&data);
}

/* Takes what is before `end` off; false: it is not all there. */
static bool take_part(struct buf *in, const char *end, struct slice *part) {
    const char *at = in->len ? memmem(in->ptr, in->len, end, strlen(end)) : NULL;
    *part = slice_of(in->ptr, at ? (size_t)(at - in->ptr) : 0);
    return at;
}

static void take_events(struct readers *readers, struct reader *reader) {
    struct buf *in = &reader->client.in;
    struct slice part;
    if (!reader->begun) {
        if (!take_part(in, "\r\n\r\n", &part)) {
            return;
        }
        expect_status(reader, atoi(part.ptr + strlen("HTTP/1.1 ")));
        reader->begun = true;
        buf_consume(in, part.len + 4);
    }
    while (take_part(in, "\n\n", &part)) {
        take_event(readers, reader, part);
        buf_consume(in, part.len + 2);
    }
}

/* Asking */

static struct life *choose(struct world *world) {
    struct life *life = world->slots[random_below(&world->random, SLOTS)];
    return life && life->created == YES && life->deleted == NO ? life : NULL;
}

static void ask(struct reader *reader, int port) {
    char path[160];
    if (reader->client.fd < 0) {
        client_connect(&reader->client, port);
    }
    snprintf(path, sizeof path, "%s?offset=%s&live=%s", reader->life->path, reader->offset,
             reader->sse ? "sse" : "long-poll");
    if (!reader->sse) {
        client_ask(&reader->client, "GET", path, "", slice_of("", 0));
    } else if (!buf_printf(&reader->client.out, "GET %s HTTP/1.0\r\n\r\n", path)) {
        fail("out of memory");
    }
    reader->begun = false;
    reader->asked = true;
    reader->life->under_way++;
}

static void ask_on(struct readers *readers, struct reader *reader, int port) {
    if (reader->life && reader->life->deleted != NO) {
        let_go(reader);
    }
    if (!reader->life) {
        reader->life = choose(readers->world);
        reader->known = 0;
        strcpy(reader->offset, "-1");
    }
    if (reader->life && !reader->closed) {
        ask(reader, port);
    }
}

/* False: the connection has ended. */
static bool take(struct readers *readers, struct reader *reader) {
    bool open = client_move(&reader->client);
    if (reader->sse) {
        take_events(readers, reader);
    } else {
        take_poll(readers, reader);
    }
    return open;
}

void readers_move(struct readers *readers, int port) {
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *reader = &readers->all[i];
        if (!reader->asked) {
            ask_on(readers, reader, port);
        }
        if (reader->asked && !take(readers, reader)) {
            hang_up(reader);
        }
    }
}

void readers_end(struct readers *readers) {
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *reader = &readers->all[i];
        while (reader->asked && take(readers, reader)) {
        }
        hang_up(reader);
    }
}

/* Checking */

/* The offset it was told last stands where it stood. */
static void check_place(const struct reader *reader, struct client *client, struct slice whole) {
    struct buf rest;
    bool closed;
    buf_init(&rest, SIZE_MAX);
    int status = content_read(client, reader->life, reader->offset, &rest, &closed);
    struct slice expected = slice_of(whole.ptr + reader->known, whole.len - reader->known);
    if (status != 200 || !slice_equal(buf_slice(&rest), expected)) {
        life_fail(reader->life,
                  "offset %s, told to a live reader, does not stand for byte %zu: %d, %zu bytes",
                  reader->offset, reader->known, status, rest.len);
    }
    buf_free(&rest);
}

static void check_reader(struct reader *reader, struct client *client) {
    struct buf stored;
    bool closed = false;
    buf_init(&stored, SIZE_MAX);
    int status = content_read(client, reader->life, "-1", &stored, &closed);
    bool there = status == 200 && stored.len >= reader->told.len &&
                 (reader->told.len == 0 || memcmp(stored.ptr, reader->told.ptr, reader->told.len) == 0);
    if (!there) {
        life_fail(reader->life, "a live reader was told %zu bytes that are not there: %d, %zu bytes",
                  reader->told.len, status, stored.len);
    }
    if (reader->closed && !closed) {
        life_fail(reader->life, "a live reader was told that it is closed");
    }
    check_place(reader, client, buf_slice(&stored));
    buf_free(&stored);
}

void readers_check(struct readers *readers, struct client *client) {
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *reader = &readers->all[i];
        if (!reader->life) {
            continue;
        }
        if (reader->life->deleted != NO) {
            let_go(reader);
            continue;
        }
        check_reader(reader, client);
        reader->told.len = reader->known; /* what came behind comes again */
        if (reader->closed || once_in(&readers->world->random, 4)) {
            let_go(reader);
        }
    }
}
