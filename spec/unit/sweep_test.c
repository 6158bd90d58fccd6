/* The whole way of a chunk's bytes into a store, into a file and back, with memory that fails: the 1st allocation,
 * the 2nd, and so on, once or from there on. What fails says so and has done nothing, and what is tried again goes
 * on from there, so that in the end everything is as if memory had never failed. Linked with its allocations (and
 * mmap) wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory.h"
#include "message/event.h"
#include "message/slicer.h"
#include "state/snapshot.h"
#include "state/store.h"
#include "stream/sse.h"

enum { MESSAGE_MAX = 1 << 20, PATCH_MAX = 1 << 20, TEXT_MAX = 1 << 24, PIECE = 700 };

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
    return memory_fails() ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);
}

/* Behind a failure that was told: there is memory again. */
static void recover(void) {
    assert_true(memory_failed);
    memory_left = -1;
}

/* ---- a chunk ---- */

/* Events of few shapes, some with escapes in their names, that grow, shrink, patch and delete, and controls. */
static struct buf chunk_of(size_t count, size_t size) {
    struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_append_byte(&text, '[');
    for (size_t i = 0; i < count; i++) {
        size_t key = i * 7 % (count / 3 + 1);
        const char *type = i % 5 ? "t" : i % 10 ? "\\u0074wo" : "\xC3\xA9";
        buf_append_text(&text, i ? ",\n" : "");
        if (i % 4 == 3) {
            buf_printf(&text, "{\"type\":\"%s\",\"key\":\"k%zu\",\"headers\":{\"operation\":\"delete\"}}",
                       type, key);
        } else if (i % 11 == 5) {
            buf_printf(
                &text,
                "{\"type\":\"%s\",\"key\":\"k\\u0031%zu\",\"value\":{\"a\":{\"b\":[%zu],\"\\n\":null}},"
                "\"headers\":{\"operation\":\"patch\"}}",
                type, key, i);
        } else if (i % 37 == 20) {
            buf_append_text(&text, "{\"headers\":{\"control\":\"snapshot-start\",\"offset\":\"1\"}}");
        } else {
            buf_printf(&text, "{\"type\":\"%s\",\"key\":\"k%zu\",\"value\":{\"n\":%zu,\"text\":\"", type, key,
                       i);
            for (size_t n = i * 13 % size + (i % 50 == 49 ? 40000 : 0); n > 0; n--) {
                buf_append_byte(&text, (char)('a' + n % 26));
            }
            buf_append_text(&text, "\"},\"headers\":{\"operation\":\"upsert\",\"txid\":\"1\"}}");
        }
    }
    assert_true(buf_append_byte(&text, ']'));
    return text;
}

/* ---- the way of its bytes ---- */

struct way {
    struct slicer slicer;
    struct event_decoder decoder;
    struct store *store;
};

static void open_way(struct way *way) {
    way->store = store_new(PATCH_MAX);
    if (!way->store) {
        recover();
        way->store = store_new(PATCH_MAX);
    }
    assert_non_null(way->store);
    event_decoder_init(&way->decoder);
    slicer_init(&way->slicer, MESSAGE_MAX, event_decode, &way->decoder);
    slicer_begin(&way->slicer, SLICER_ARRAY);
}

static void close_way(struct way *way) {
    event_decoder_free(&way->decoder);
    store_free(way->store);
}

static struct slice copy_of(struct slice bytes) {
    long left = memory_left;
    memory_left = -1;
    char *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr ? bytes.ptr : "", bytes.len);
    memory_left = left;
    return slice_of(copy, bytes.len);
}

/* What fails leaves the entity as it was, and is done the second time. */
static void apply(struct way *way, const struct event *event) {
    struct error e = {0};
    struct slice before = store_get(way->store, event->type, event->key);
    bool was_there = before.ptr != NULL;
    before = copy_of(before);
    if (!store_apply(way->store, event, &e)) {
        recover();
        struct slice after = store_get(way->store, event->type, event->key);
        assert_int_equal(e.code, ERROR_MEMORY);
        assert_int_equal(after.ptr != NULL, was_there);
        assert_true(!was_there || slice_equal(before, after));
        assert_true(store_apply(way->store, event, &e));
    }
    free((void *)before.ptr);
}

/* All messages of the window; returns the bytes taken. */
static size_t take(struct way *way, struct slice window, bool last) {
    const char *at = window.ptr;
    for (;;) {
        struct error e = {0};
        enum slicer_status status = slicer_next(&way->slicer, &at, window.ptr + window.len, last, &e);
        if (status == SLICER_MESSAGE) {
            if (way->decoder.event->kind == EVENT_CHANGE) {
                apply(way, way->decoder.event);
            }
        } else if (status == SLICER_FAILED) {
            assert_int_equal(e.code, ERROR_MEMORY);
            recover();
        } else {
            assert_int_equal(status, last ? SLICER_END : SLICER_MORE);
            return (size_t)(at - window.ptr);
        }
    }
}

static void go(struct way *way, struct slice text) {
    size_t start = 0;
    for (size_t end_at = 0; end_at < text.len;) {
        end_at = text.len - end_at > PIECE ? end_at + PIECE : text.len;
        start += take(way, slice_of(text.ptr + start, end_at - start), end_at == text.len);
    }
}

static struct buf dump(const struct store *store) {
    size_t types;
    struct buf out;
    struct slice *names = store_types(store, &types);
    assert_non_null(names);
    buf_init(&out, TEXT_MAX);
    for (size_t t = 0; t < types; t++) {
        size_t count;
        struct store_row *rows = store_rows(store, names[t], &count);
        assert_non_null(rows);
        for (size_t i = 0; i < count; i++) {
            buf_append_slice(&out, names[t]);
            buf_append_byte(&out, '/');
            buf_append_slice(&out, rows[i].key);
            buf_append_byte(&out, '=');
            buf_append_slice(&out, rows[i].value);
            buf_append_byte(&out, '\n');
        }
        free(rows);
    }
    free(names);
    return out;
}

static void assert_same(const struct buf *expected, const struct store *store) {
    struct buf got = dump(store);
    assert_int_equal(got.len, expected->len);
    assert_memory_equal(got.ptr, expected->ptr, got.len);
    buf_free(&got);
}

/* ---- into a file and back ---- */

/* A snapshot that cannot be written is written again; so is one that cannot be read. */
static void keep(struct way *way, const struct buf *expected) {
    struct error e = {0};
    uint64_t size;
    int fd = memfd_create("sweep", 0);
    assert_true(fd >= 0);
    if (!snapshot_write(way->store, SLICE("about"), fd, &size, &e)) {
        assert_int_equal(e.code, ERROR_MEMORY);
        recover();
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_true(snapshot_write(way->store, SLICE("about"), fd, &size, &e));
    }
    struct store *back = store_new(PATCH_MAX);
    if (!back) {
        recover();
        back = store_new(PATCH_MAX);
    }
    struct snapshot *snapshot = snapshot_open(fd, &e);
    if (!snapshot || !snapshot_load(snapshot, back, &e)) {
        assert_true(e.code == ERROR_MEMORY || e.code == ERROR_SYSTEM);
        recover();
        assert_int_equal(store_count(back, (struct slice){0}), 0);
        snapshot = snapshot_open(fd, &e);
        assert_non_null(snapshot);
        assert_true(snapshot_load(snapshot, back, &e));
    }
    memory_left = -1;
    assert_same(expected, back);
    store_free(back);
    close(fd);
}

/* ---- the sweep ---- */

static void once(struct slice text, const struct buf *expected, long at) {
    struct way way;
    memory_left = at;
    open_way(&way);
    go(&way, text);
    keep(&way, expected);
    assert_same(expected, way.store);
    close_way(&way);
}

/* Every `step`th allocation is tried, as far as there are some. Returns how many. */
static long sweep(struct slice text, const struct buf *expected, long step, bool stays_out) {
    long tried = 0;
    memory_stays_out = stays_out;
    do {
        memory_failed = false;
        once(text, expected, tried++ * step);
    } while (memory_failed);
    memory_stays_out = false;
    return tried - 1;
}

static void run_sweep(size_t count, size_t size, long step) {
    struct buf text = chunk_of(count, size);
    struct way way;
    open_way(&way);
    go(&way, buf_slice(&text));
    struct buf expected = dump(way.store);
    assert_true(expected.len > 1000);
    close_way(&way);
    long single = sweep(buf_slice(&text), &expected, step, false);
    long lasting = sweep(buf_slice(&text), &expected, step, true);
    print_message("%ld allocations failed once, %ld and all behind them\n", single, lasting);
    assert_true(single > 10 && lasting > 10);
    buf_free(&expected);
    buf_free(&text);
}

static void small_entities(void **state) {
    (void)state;
    run_sweep(300, 60, 1);
}

static void large_ones_that_are_mapped(void **state) {
    (void)state;
    run_sweep(1600, 16000, 31);
}

/* ---- SSE ---- */

static bool read_sse(long at) {
    static const char text[] = ": hi\nevent: data\ndata: 0123456789\ndata: 0123456789\n\n"
                               "data: a\n\nevent: control\ndata: {}\n\n";
    struct sse sse;
    struct sse_event event;
    struct error e = {0};
    size_t events = 0;
    bool failed = false;
    sse_init(&sse, 0);
    memory_left = at;
    struct slice rest = slice_of(text, sizeof text - 1);
    for (enum sse_result result; (result = sse_next(&sse, &rest, &event, &e)) != SSE_MORE;) {
        if (result == SSE_EVENT) {
            events++;
            continue;
        }
        assert_int_equal(e.code, ERROR_MEMORY);
        failed = true;
        events = 0;
        sse_reset(&sse); /* a new connection, from the start */
        rest = slice_of(text, sizeof text - 1);
    }
    memory_left = -1;
    assert_int_equal(events, 3);
    sse_free(&sse);
    return failed;
}

static void sse_starts_again(void **state) {
    (void)state;
    long at = 0;
    while (read_sse(at)) {
        at++;
    }
    assert_true(at > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_entities),
        cmocka_unit_test(large_ones_that_are_mapped),
        cmocka_unit_test(sse_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
