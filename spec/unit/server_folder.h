/* What a folder holds, as bytes and as text, and a small history to fill it with. Included by one file of a
 * program. */
#ifndef UNIT_SERVER_FOLDER_H
#define UNIT_SERVER_FOLDER_H

#include <fcntl.h>
#include <sys/stat.h>

#include "server/record.h"
#include "server_world.h"

#define TEXT "text/plain"
#define JSON "application/json"

static uint64_t random_state = 88172645463325252u;

static inline uint64_t random_below(uint64_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* Files as bytes */

struct bytes {
    char *ptr;
    size_t len;
};

static inline void name_of(const struct world *world, const char *name, char out[256]) {
    snprintf(out, 256, "%s/%s", world->folder, name);
}

static inline struct bytes load(const struct world *world, const char *name) {
    char path[256];
    struct stat about;
    name_of(world, name, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &about), 0);
    struct bytes bytes = {malloc((size_t)about.st_size + 1), (size_t)about.st_size};
    assert_int_equal(read(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
    return bytes;
}

static inline void store(const struct world *world, const char *name, const char *ptr, size_t len) {
    char path[256];
    name_of(world, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, ptr, len), len);
    close(fd);
}

static inline bool is_there(const struct world *world, const char *name) {
    char path[256];
    name_of(world, name, path);
    return access(path, F_OK) == 0;
}

#define JOURNAL "journal-0000000000000001"

/* Where the last record ends: zeros may follow. */
static inline size_t journal_end(const struct world *world) {
    struct bytes journal = load(world, JOURNAL);
    struct record record;
    size_t at = RECORD_FILE_HEADER;
    while (record_next(slice_of(journal.ptr, journal.len), 0, &at, &record) == RECORD_OK) {
    }
    free(journal.ptr);
    return at;
}

/* What all streams of a small set look like, as text. */
static const char paths[][8] = {"/a", "/b", "/fork", "/json", "/gone"};

static inline void describe(struct world *world, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct stream_info info;
        enum stream_status status = streams_head(world->set, slice_from(paths[i]), &info);
        len += (size_t)snprintf(out + len, size - len, "%s %s", paths[i], stream_status_name(status));
        if (status == STREAM_OK) {
            const char *text = read_all(world, paths[i]);
            assert_non_null(text);
            len += (size_t)snprintf(out + len, size - len, " %d %s", info.closed, text ? text : "");
        }
        len += (size_t)snprintf(out + len, size - len, "\n");
    }
    assert_true(len < size);
}

enum { STEPS = 13, DESCRIPTION = 1024 };

static inline void take_step(struct world *world, int step) {
    struct stream_append final = {
        .path = SLICE("/json"), .type = SLICE(JSON), .body = SLICE("[3]"), .close = true, .seq = SLICE("s1")};
    switch (step) {
    case 0:
        put(world, "/a", TEXT, "one");
        return;
    case 1:
        post(world, "/a", TEXT, "two");
        return;
    case 2:
        put(world, "/b", TEXT, NULL);
        return;
    case 3:
        post_as(world, "/b", "x", "p", 0, 0);
        return;
    case 4:
        fork_at(world, "/fork", "/a", token(3), -1);
        return;
    case 5:
        post(world, "/fork", TEXT, "forked");
        return;
    case 6:
        put(world, "/json", JSON, "[1,2]");
        return;
    case 7:
        post_as(world, "/b", "y", "p", 0, 1);
        return;
    case 8:
        world_append(world, &final);
        return;
    case 9:
        put(world, "/gone", TEXT, "soon");
        return;
    case 10:
        world_delete(world, "/gone");
        return;
    case 11:
        world_delete(world, "/a");
        return;
    default:
        post(world, "/fork", TEXT, "!");
        return;
    }
}

struct history {
    size_t ends[STEPS + 1]; /* of the journal */
    char states[STEPS + 1][DESCRIPTION];
};

static inline void make_history(struct world *world, struct history *history) {
    for (int step = 0; step <= STEPS; step++) {
        history->ends[step] = journal_end(world);
        describe(world, history->states[step], DESCRIPTION);
        if (step < STEPS) {
            take_step(world, step);
        }
    }
}

/* The last step that is whole in so many bytes. */
static inline int step_at(const struct history *history, size_t len) {
    int step = 0;
    while (step < STEPS && history->ends[step + 1] <= len) {
        step++;
    }
    return step;
}

/* False: it was refused. */
static inline bool try_open(struct world *world) {
    struct error e = {0};
    world->loop = loop_new(&e);
    world->set = streams_open(world->loop, &world->options, &e);
    if (!world->set) {
        assert_int_equal(e.code, ERROR_SYSTEM);
        assert_non_null(strstr(e.message, world->folder));
        loop_run_until(world->loop, world_never, NULL);
        assert_true(loop_free(world->loop, &e));
        world->loop = NULL;
    }
    return world->set;
}

/* The number of the index, once the journal before it is gone. */
static inline uint64_t index_of(const struct world *world, uint64_t most) {
    char name[64];
    for (uint64_t number = most; number > 0; number--) {
        snprintf(name, sizeof name, "index-%016llx", (unsigned long long)number);
        if (is_there(world, name)) {
            return number;
        }
    }
    return 0;
}

#endif
