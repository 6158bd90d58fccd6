/* A set of streams for tests: in memory or in a folder of its own, with a clock that tests turn, and
 * requests that wait for their answers. Included by one file of a program. */
#ifndef UNIT_SERVER_WORLD_H
#define UNIT_SERVER_WORLD_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/streams.h"

struct world {
    struct loop *loop;
    struct streams *set;
    struct streams_options options;
    struct stream_result result; /* of the last request */
    char folder[64];
    uint64_t now;
    char *text; /* of the last read */
};

static inline uint64_t world_clock(void *user) {
    return ((struct world *)user)->now;
}

static inline void world_open(struct world *world) {
    struct error e = {0};
    world->loop = loop_new(&e);
    assert_non_null(world->loop);
    world->set = streams_open(world->loop, &world->options, &e);
    if (!world->set) {
        print_error("%s\n", e.message);
    }
    assert_non_null(world->set);
}

static inline void world_begin(struct world *world, bool folder) {
    *world = (struct world){.now = 1000000};
    world->options.clock = world_clock;
    world->options.user = world;
    if (folder) {
        /* Where there is a file system in memory, syncing costs nothing. */
        strcpy(world->folder,
               access("/dev/shm", W_OK) == 0 ? "/dev/shm/weir-server-XXXXXX" : "/tmp/weir-server-XXXXXX");
        assert_non_null(mkdtemp(world->folder));
        world->options.folder = world->folder;
    }
    world_open(world);
}

static inline bool world_never(void *arg) {
    (void)arg;
    return false;
}

static inline void world_close(struct world *world) {
    struct error e = {0};
    streams_close(world->set);
    loop_run_until(world->loop, world_never, NULL);
    assert_int_equal(loop_handles(world->loop), 0);
    assert_true(loop_free(world->loop, &e));
    world->set = NULL;
    world->loop = NULL;
}

static inline void world_reopen(struct world *world) {
    world_close(world);
    world_open(world);
}

static inline int world_remove(const char *path, const struct stat *about, int type, struct FTW *walk) {
    (void)about;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void world_end(struct world *world) {
    if (world->set) {
        world_close(world);
    }
    if (world->folder[0]) {
        nftw(world->folder, world_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
    free(world->text);
    world->text = NULL;
}

/* Turns of the loop, until nothing waits and what changed was told. */
static inline bool world_settled(void *arg) {
    return !streams_busy(((struct world *)arg)->set);
}

static inline void world_settle(struct world *world) {
    loop_run_until(world->loop, world_settled, world);
    uv_run(loop_uv(world->loop), UV_RUN_NOWAIT);
}

struct world_answer {
    struct stream_wait wait;
    struct world *world;
    bool there;
};

static inline void world_on_done(struct stream_wait *wait, const struct stream_result *result) {
    struct world_answer *answer = wait->user;
    answer->world->result = *result;
    answer->there = true;
}

static inline bool world_answered(void *arg) {
    return ((struct world_answer *)arg)->there;
}

static inline enum stream_status world_wait(struct world *world, struct world_answer *answer,
                                            enum stream_status status) {
    if (status == STREAM_WAITING) {
        assert_true(loop_run_until(world->loop, world_answered, answer));
        return world->result.status;
    }
    assert_int_equal(status, world->result.status);
    return status;
}

#define WORLD_ANSWER(w)                                                                                      \
    { .wait = {.done = world_on_done}, .world = (w) }

static inline enum stream_status world_create(struct world *world, const struct stream_create *create) {
    struct world_answer answer = WORLD_ANSWER(world);
    answer.wait.user = &answer;
    return world_wait(world, &answer, streams_create(world->set, create, &answer.wait, &world->result));
}

static inline enum stream_status world_append(struct world *world, const struct stream_append *append) {
    struct world_answer answer = WORLD_ANSWER(world);
    answer.wait.user = &answer;
    return world_wait(world, &answer, streams_append(world->set, append, &answer.wait, &world->result));
}

static inline enum stream_status world_delete(struct world *world, const char *path) {
    struct world_answer answer = WORLD_ANSWER(world);
    answer.wait.user = &answer;
    return world_wait(world, &answer,
                      streams_delete(world->set, slice_from(path), &answer.wait, &world->result));
}

/* Shorter */

static inline enum stream_status put(struct world *world, const char *path, const char *type,
                                     const char *body) {
    struct stream_create create = {
        .path = slice_from(path), .type = slice_from(type), .body = slice_from(body)};
    return world_create(world, &create);
}

static inline enum stream_status fork_at(struct world *world, const char *path, const char *source,
                                         const char *offset, int64_t sub) {
    struct stream_create create = {.path = slice_from(path),
                                   .source = slice_from(source),
                                   .fork_offset = slice_from(offset),
                                   .has_fork_sub = sub >= 0,
                                   .fork_sub = sub >= 0 ? (uint64_t)sub : 0};
    return world_create(world, &create);
}

static inline enum stream_status post(struct world *world, const char *path, const char *type,
                                      const char *body) {
    struct stream_append append = {
        .path = slice_from(path), .type = slice_from(type), .body = slice_from(body)};
    return world_append(world, &append);
}

static inline enum stream_status post_as(struct world *world, const char *path, const char *body,
                                         const char *producer, uint64_t epoch, uint64_t seq) {
    struct stream_append append = {.path = slice_from(path),
                                   .type = slice_from("text/plain"),
                                   .body = slice_from(body),
                                   .producer = slice_from(producer),
                                   .epoch = epoch,
                                   .producer_seq = seq};
    return world_append(world, &append);
}

static inline enum stream_status close_stream(struct world *world, const char *path) {
    struct stream_append append = {.path = slice_from(path), .close = true};
    return world_append(world, &append);
}

static inline enum stream_status head(struct world *world, const char *path) {
    struct stream_info info;
    return streams_head(world->set, slice_from(path), &info);
}

static inline uint64_t tail_of(struct world *world, const char *path) {
    struct stream_info info;
    assert_int_equal(streams_head(world->set, slice_from(path), &info), STREAM_OK);
    return info.tail;
}

static inline struct stream *stream_at(struct world *world, const char *path) {
    struct stream *stream;
    assert_int_equal(streams_get(world->set, slice_from(path), &stream), STREAM_OK);
    return stream;
}

/* What a body holds, good until the next read. */
static inline const char *body_text(struct world *world, const struct stream_body *body) {
    size_t len = 0;
    free(world->text);
    world->text = malloc(body->len + 1);
    for (size_t i = 0; i < body->count; i++) {
        memcpy(world->text + len, body->pieces[i].ptr, body->pieces[i].len);
        len += body->pieces[i].len;
    }
    assert_int_equal(len, body->len);
    world->text[len] = '\0';
    return world->text;
}

/* All of a stream from a position on: one body must be enough. */
static inline const char *read_from(struct world *world, const char *path, uint64_t from) {
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(world, path), from, &body), STREAM_OK);
    assert_true(body.up_to_date);
    assert_int_equal(body.next, tail_of(world, path));
    const char *text = body_text(world, &body);
    stream_body_free(&body);
    return text;
}

static inline const char *read_all(struct world *world, const char *path) {
    return read_from(world, path, 0);
}

static inline const char *token(uint64_t position) {
    static char text[4][STREAM_OFFSET_SIZE];
    static int next;
    char *out = text[next++ % 4];
    stream_offset_format(position, out);
    return out;
}

#endif
