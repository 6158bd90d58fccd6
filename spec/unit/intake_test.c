/* worker/intake: what a source hands over, cut anywhere, broken off and begun again, with memory that fails.
 * The source is a device that is never read: the test says what a source would. Linked with its allocations
 * wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory.h"
#include "worker/intake.h"

struct fixture {
    struct loop *loop;
    struct intake intake;
    struct source_sink sink;
    struct buf seen; /* what the intake gave, as text */
    unsigned ready;
    bool over;
};

static void on_ready(void *user) {
    struct fixture *f = user;
    f->ready++;
}

static bool open_fixture_at(struct fixture *f, const char *location, const char *offset) {
    struct error e;
    long left = memory_left;
    memory_left = -1;
    *f = (struct fixture){.loop = loop_new(&e)};
    assert_non_null(f->loop);
    buf_init(&f->seen, 1 << 24);
    memory_left = left;
    struct source_options options = {.loop = f->loop, .location = location, .offset = offset};
    if (!intake_init(&f->intake, 1 << 20, on_ready, f) || !intake_open(&f->intake, &options, &e)) {
        return false;
    }
    f->sink = options.sink;
    return true;
}

static bool open_fixture(struct fixture *f, const char *offset) {
    return open_fixture_at(f, "/dev/null", offset);
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    intake_close(&f->intake);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    buf_free(&f->seen);
}

static void note(struct fixture *f, enum intake_status status, struct error *e) {
    const struct event *event = f->intake.event;
    switch (status) {
    case INTAKE_EMPTY:
        break;
    case INTAKE_EVENT:
        buf_append_slice(&f->seen, event->kind == EVENT_CHANGE ? event->key : SLICE("control"));
        buf_append_byte(&f->seen, ' ');
        break;
    case INTAKE_REFUSED:
        intake_locate(&f->intake, e);
        buf_printf(&f->seen, "(%s) ", e->message);
        break;
    case INTAKE_CHUNK:
        buf_printf(&f->seen, "|%s%s%s ", f->intake.offset, f->intake.up_to_date ? " up-to-date" : "",
                   f->intake.closed ? " closed" : "");
        break;
    case INTAKE_EOF:
        buf_printf(&f->seen, "eof");
        break;
    case INTAKE_FAILED:
        buf_printf(&f->seen, "failed: %s", e->message);
        break;
    }
}

/* Takes what there is. */
static void drain(struct fixture *f) {
    struct error e = {0};
    enum intake_status status;
    do {
        status = f->over ? INTAKE_EMPTY : intake_next(&f->intake, &e);
        long left = memory_left;
        memory_left = -1;
        note(f, status, &e);
        memory_left = left;
        f->over = f->over || status == INTAKE_EOF || status == INTAKE_FAILED;
    } while (status != INTAKE_EMPTY && !f->over);
}

static void expect(struct fixture *f, const char *text) {
    assert_true(buf_append_byte(&f->seen, '\0'));
    assert_string_equal(f->seen.ptr, text);
    f->seen.len = 0;
}

static void begin(struct fixture *f, enum source_format format) {
    f->sink.begin(f->sink.user, format);
}

/* From memory of its own, so that the sanitizer sees it where it is used later. */
static void bytes(struct fixture *f, const char *ptr, size_t len) {
    long left = memory_left;
    memory_left = -1;
    char *copy = malloc(len ? len : 1);
    memcpy(copy, ptr, len);
    memory_left = left;
    f->sink.bytes(f->sink.user, copy, len);
    free(copy);
}

static void text(struct fixture *f, const char *piece) {
    bytes(f, piece, strlen(piece));
}

static void end(struct fixture *f, const char *offset, bool up_to_date, bool closed) {
    struct source_chunk chunk = {.offset = slice_from(offset), .up_to_date = up_to_date, .closed = closed};
    f->sink.end(f->sink.user, &chunk);
}

static void eof(struct fixture *f) {
    f->sink.eof(f->sink.user);
}

#define DELETE(key) "{\"key\":\"" key "\",\"headers\":{\"operation\":\"delete\"}}"

static void gives_events_and_ends_of_chunks(void **state) {
    (void)state;
    struct fixture f;
    assert_true(open_fixture(&f, NULL));
    drain(&f);
    expect(&f, "");
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("a") "," DELETE("b") "]");
    drain(&f);
    expect(&f, "a b ");
    assert_true(f.ready > 0);
    end(&f, "5", false, false);
    begin(&f, SOURCE_LINES);
    text(&f, "{\"headers\":{\"control\":\"reset\"}}\n");
    end(&f, "6", true, false);
    end(&f, "6", true, true);
    eof(&f);
    drain(&f);
    expect(&f, "|5 control |6 up-to-date |6 up-to-date closed eof");
    assert_int_equal(intake_next(&f.intake, NULL), INTAKE_EOF);
    close_fixture(&f);
}

/* A data event of SSE is a body: several make a chunk. */
static void takes_several_bodies_in_a_chunk(void **state) {
    (void)state;
    struct fixture f;
    assert_true(open_fixture(&f, NULL));
    for (int i = 0; i < 3; i++) {
        begin(&f, SOURCE_ARRAY);
        text(&f, "[" DELETE("a") "]");
    }
    begin(&f, SOURCE_ARRAY);
    end(&f, "5", true, false);
    begin(&f, SOURCE_ARRAY);
    eof(&f);
    drain(&f);
    expect(&f, "a a a |5 up-to-date eof");
    close_fixture(&f);
}

static void says_where_it_is(void **state) {
    (void)state;
    struct fixture f;
    assert_true(open_fixture(&f, NULL));
    begin(&f, SOURCE_LINES);
    text(&f, DELETE("a") "\n\nx\n");
    end(&f, "48", false, false);
    end(&f, "48", true, false);
    begin(&f, SOURCE_LINES);
    text(&f, "\n{\"key\":\"b\",y}\n");
    end(&f, "63", true, false);
    begin(&f, SOURCE_LINES);
    text(&f, "z");
    eof(&f);
    drain(&f);
    expect(&f,
           "a (/dev/null: line 3 (byte 47): expected a value, found 'x') |48 |48 up-to-date "
           "(/dev/null: line 5 (byte 61): expected a member name in double quotes, found 'y') |63 up-to-date "
           "(/dev/null: line 6 (byte 64): expected a value, found 'z') eof");
    close_fixture(&f);

    assert_true(open_fixture(&f, NULL));
    begin(&f, SOURCE_AUTO);
    text(&f, "\n [ " DELETE("a") ", 1 , " DELETE("b") "]");
    eof(&f);
    drain(&f);
    expect(&f, "a (/dev/null: byte 51 (message 2): expected an event (an object), got number 1) b eof");
    close_fixture(&f);
}

static void fails_where_the_source_does(void **state) {
    (void)state;
    struct fixture f;
    struct error why;
    error_set(&why, ERROR_NETWORK, "the cable was cut");
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        assert_true(open_fixture(&f, NULL));
        begin(&f, SOURCE_ARRAY);
        if (with_bytes) {
            text(&f, "[" DELETE("a") ",{\"key\"");
        }
        (f.sink.fail)(f.sink.user, &why);
        drain(&f);
        expect(&f, with_bytes ? "a failed: the cable was cut" : "failed: the cable was cut");
        close_fixture(&f);
    }
}

static void forgets_the_message_that_broke_off(void **state) {
    (void)state;
    struct fixture f;
    assert_true(open_fixture(&f, NULL));
    for (int i = 0; i < 3; i++) {
        begin(&f, SOURCE_ARRAY);
        f.sink.abort(f.sink.user);
    }
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("a") "," DELETE("b") ",{\"key\":\"c\"");
    f.sink.abort(f.sink.user);
    drain(&f);
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("a"));
    f.sink.abort(f.sink.user);
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("a") "," DELETE("b") "," DELETE("c") "]");
    end(&f, "3", false, false);
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("d") "]");
    end(&f, "4", false, false);
    eof(&f);
    drain(&f);
    expect(&f, "a b c |3 d |4 eof");
    close_fixture(&f);
}

static void seeks(void **state) {
    (void)state;
    struct fixture f;
    struct error e;
    assert_true(open_fixture(&f, NULL));
    begin(&f, SOURCE_ARRAY);
    text(&f, "[" DELETE("a") "," DELETE("b") "]");
    end(&f, "5", true, false);
    assert_int_equal(intake_next(&f.intake, &e), INTAKE_EVENT);
    assert_true(intake_seek(&f.intake, "2", &e));
    assert_int_equal(intake_sequence(&f.intake), 1);
    drain(&f);
    expect(&f, "");
    assert_string_equal(f.intake.offset, "2");
    begin(&f, SOURCE_LINES);
    text(&f, DELETE("c") "\nx\n");
    end(&f, "9", true, false);
    drain(&f);
    expect(&f, "c (/dev/null: byte 48: expected a value, found 'x') |9 up-to-date ");
    assert_int_equal(intake_sequence(&f.intake), 3);
    close_fixture(&f);
}

/* While its buffer is full the source is paused: what is there stays there. */
static void pauses_a_source_that_is_ahead(void **state) {
    (void)state;
    enum { PIECE = 1 << 16 };
    char *piece = malloc(PIECE);
    struct fixture f;
    size_t fed = 0;
    assert_non_null(piece);
    memset(piece, '\n', PIECE);
    assert_true(open_fixture(&f, NULL));
    begin(&f, SOURCE_LINES);
    text(&f, DELETE("a") "\n");
    while (!f.intake.paused) {
        bytes(&f, piece, PIECE);
        fed += PIECE;
        assert_true(fed < 8 << 20);
    }
    assert_true(fed >= 1 << 20);
    drain(&f);
    assert_false(f.intake.paused);
    const struct window *window = &f.intake.cutter.window;
    assert_int_equal(window->waiting, 0);
    assert_true(!window->spare || window->spare->cap <= 1 << 20);
    assert_int_equal(intake_bytes(&f.intake), fed + strlen(DELETE("a")) + 1);
    expect(&f, "a ");
    /* So do chunks that are too many. */
    for (int i = 0; i < 5000; i++) {
        end(&f, "7", false, false);
    }
    assert_true(f.intake.paused);
    drain(&f);
    assert_false(f.intake.paused);
    close_fixture(&f);
    free(piece);
}

/* ---- at random ---- */

static unsigned pick(unsigned *seed, unsigned below) {
    return (unsigned)rand_r(seed) % below;
}

/* The messages of a chunk are numbered from `first`. */
static struct buf make_body(unsigned first, unsigned count, bool array, unsigned *seed) {
    static const char *const space[] = {"", "", " ", "\t", "\r"};
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_append_text(&body, array ? "[" : "");
    for (unsigned i = 0; i < count; i++) {
        buf_append_text(&body, space[pick(seed, 5)]);
        if (pick(seed, 10) == 0) {
            buf_printf(&body, "\"%u\"", first + i); /* no event */
        } else {
            buf_printf(&body,
                       "{\"key\":\"%u\",\"value\":\"\\\"]\xC3\xA9\",\"headers\":{\"operation\":\"insert\"}}",
                       first + i);
        }
        buf_append_text(&body, space[pick(seed, 5)]);
        buf_append_text(&body, !array ? "\n" : i + 1 < count ? "," : "");
    }
    buf_append_text(&body, array ? "]" : "");
    return body;
}

/* Feeds the first `len` bytes in pieces; now and then everything that is there is taken. */
static void feed(struct fixture *f, const struct buf *body, size_t len, unsigned *seed) {
    unsigned largest = 1 + pick(seed, 60);
    for (size_t at = 0; at < len;) {
        size_t take = 1 + pick(seed, largest);
        take = take < len - at ? take : len - at;
        bytes(f, body->ptr + at, take);
        at += take;
        if (pick(seed, 3) == 0) {
            drain(f);
        }
    }
}

/* Numbers of events and of refused messages, each once and in order. */
static void check_numbers(struct fixture *f, unsigned count) {
    assert_true(buf_append_byte(&f->seen, '\0'));
    const char *at = f->seen.ptr;
    for (unsigned i = 0; i < count;) {
        unsigned got;
        if (*at == '(') { /* "(... got string "7") " */
            assert_int_equal(sscanf(strstr(at, "got string"), "got string \"%u\"", &got), 1);
            at = strchr(at, ')');
            at = strchr(at + 1, ')'); /* the first is that of "(an object)" or of the place */
            at = strstr(at, "\") ") + 3;
        } else if (*at == '|') {
            at = strchr(at, ' ') + 1;
            continue;
        } else {
            assert_int_equal(sscanf(at, "%u", &got), 1);
            at = strchr(at, ' ') + 1;
        }
        assert_int_equal(got, i);
        i++;
    }
}

/* Chunks cut anywhere; connections that break anywhere, after which the chunk comes again from its start. */
/* Where a source does not stop, it is over; and what found no room is freed. */
static void fails_where_too_much_waits(void **state) {
    (void)state;
    enum { PIECE = 1 << 20, MOST = 11 };
    struct fixture f;
    assert_true(open_fixture(&f, NULL));
    begin(&f, SOURCE_LINES);
    for (int i = 0; i <= MOST; i++) {
        struct piece *piece = piece_new(PIECE, 0);
        assert_non_null(piece);
        memset(piece->bytes, 'x', PIECE);
        piece->end = PIECE;
        f.sink.piece(f.sink.user, piece);
    }
    assert_int_equal(intake_bytes(&f.intake), (uint64_t)MOST * PIECE);
    assert_int_equal(f.intake.marks.count, 2);
    const struct mark *mark = marks_at(&f.intake.marks, 1);
    assert_int_equal(mark->kind, MARK_FAIL);
    assert_string_equal(mark->error->message,
                        "the buffer of a stream is full (11534336 bytes): raise limits.message");
    close_fixture(&f);
}

static void random_chunks_are_cut_and_broken_off_anywhere(void **state) {
    (void)state;
    const char *wanted = getenv("WEIR_TEST_SEED");
    unsigned start = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 20240602;
    print_message("seeds from %u (WEIR_TEST_SEED)\n", start);
    for (unsigned i = 0; i < 300; i++) {
        unsigned seed = start + i;
        struct fixture f;
        unsigned sent = 0;
        char offset[24];
        assert_true(open_fixture(&f, NULL));
        for (unsigned chunk = 0; chunk < 5; chunk++) {
            bool array = pick(&seed, 2);
            unsigned count = pick(&seed, 6);
            struct buf body = make_body(sent, count, array, &seed);
            for (unsigned broken = pick(&seed, 4); broken > 1; broken--) {
                begin(&f, array ? SOURCE_ARRAY : SOURCE_LINES);
                feed(&f, &body, pick(&seed, (unsigned)body.len + 1), &seed);
                f.sink.abort(f.sink.user);
            }
            begin(&f, array ? SOURCE_ARRAY : SOURCE_LINES);
            feed(&f, &body, body.len, &seed);
            sent += count;
            snprintf(offset, sizeof offset, "%u", sent);
            if (pick(&seed, 2)) {
                drain(&f);
                assert_int_equal(intake_sequence(&f.intake), sent);
            }
            end(&f, offset, false, false);
            buf_free(&body);
        }
        eof(&f);
        drain(&f);
        assert_true(f.over);
        check_numbers(&f, sent);
        assert_int_equal(intake_sequence(&f.intake), sent);
        close_fixture(&f);
    }
}

/* ---- another thread ---- */

static unsigned next_random(unsigned *seed) {
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

/* Lines of every kind, about 100 bytes each. */
static void write_lines(struct buf *lines, unsigned *seed) {
    for (int i = 0; i < 20000; i++) {
        unsigned kind = next_random(seed) % 400;
        if (kind == 0) {
            buf_append_text(lines, "{\"headers\":{\"control\":\"snapshot-start\"}}\n");
        } else if (kind == 1) {
            buf_append_text(lines, "{\"key\":tru}\n");
        } else if (kind < 5) {
            buf_printf(lines, "{\"key\":\"\\u0041\\n%d\",\"headers\":{\"operation\":\"delete\"}}\n", i);
        } else {
            buf_printf(
                lines,
                "{\"type\":\"t%u\",\"key\":\"k%d\",\"value\":%.*s,\"headers\":{\"operation\":\"insert\"}}\n",
                kind % 3, i, (int)(kind % 60 + 1),
                "1234567890123456789012345678901234567890123456789012345678901");
        }
    }
}

static bool is_over(void *arg) {
    struct fixture *f = arg;
    drain(f);
    return f->over;
}

/* Hands the lines over in pieces and bytes of any size, in chunks, with one broken off and begun again. */
static void play_lines(struct fixture *f, struct slice lines, unsigned seed, bool together) {
    size_t at = 0;
    begin(f, SOURCE_LINES);
    while (at < lines.len) {
        size_t len = 1 + next_random(&seed) % 400000;
        len = len > lines.len - at ? lines.len - at : len;
        if (next_random(&seed) % 2) {
            struct piece *piece = piece_new(len + 100, next_random(&seed) % 100);
            assert_non_null(piece);
            memcpy(piece->bytes + piece->end, lines.ptr + at, len);
            piece->end += len;
            f->sink.piece(f->sink.user, piece);
        } else {
            bytes(f, lines.ptr + at, len);
        }
        at += len;
        if (together ? next_random(&seed) % 2 == 0 : true) {
            is_over(f);
            uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
        }
    }
}

static void finish_lines(struct fixture *f) {
    end(f, "9", true, true);
    eof(f);
    for (int turn = 0; turn < 100000 && !is_over(f); turn++) {
        uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    }
}

static void decodes_the_same_on_another_thread(void **state) {
    (void)state;
    unsigned seed = 99;
    char folder[] = "/tmp/weir-intake-XXXXXX";
    char quiet[64]; /* a source of which nothing ever comes */
    assert_non_null(mkdtemp(folder));
    snprintf(quiet, sizeof quiet, "%s/pipe", folder);
    assert_int_equal(mkfifo(quiet, 0600), 0);
    struct buf lines;
    buf_init(&lines, 1 << 24);
    write_lines(&lines, &seed);
    struct fixture alone;
    assert_true(open_fixture_at(&alone, quiet, NULL));
    play_lines(&alone, buf_slice(&lines), 1, false);
    finish_lines(&alone);
    assert_true(alone.over);
    for (unsigned round = 0; round < 20; round++) {
        struct fixture f;
        assert_true(open_fixture_at(&f, quiet, NULL));
        intake_use_beside(&f.intake, f.loop);
        play_lines(&f, buf_slice(&lines), round, true);
        if (round % 4 == 1) { /* broken off: it comes again, and what was given is passed over */
            f.sink.abort(f.sink.user);
            play_lines(&f, buf_slice(&lines), round + 100, true);
        }
        if (round % 4 == 2) { /* left for another place: nothing more comes of this one */
            struct error e;
            f.seen.len = 0;
            assert_true(intake_seek(&f.intake, "0", &e));
            finish_lines(&f);
            assert_true(f.seen.len > 0 && strncmp(f.seen.ptr, "k", 1) != 0);
        }
        if (round % 4 < 2) { /* otherwise closed in the middle of it */
            finish_lines(&f);
            assert_true(f.over);
            assert_int_equal(f.seen.len, alone.seen.len);
            assert_memory_equal(f.seen.ptr, alone.seen.ptr, alone.seen.len);
        }
        close_fixture(&f);
    }
    close_fixture(&alone);
    buf_free(&lines);
    unlink(quiet);
    rmdir(folder);
}

/* ---- memory ---- */

static const char *const whole =
    "a b (/dev/null: line 4 (byte 4): expected a value, found 'x') |3 c\xC3\xA9 |4 eof";

static void play(struct fixture *f) {
    begin(f, SOURCE_ARRAY);
    text(f, "[" DELETE("a") ",");
    drain(f);
    text(f, DELETE("b") "]");
    begin(f, SOURCE_LINES);
    text(f, "\n\n\nx\n");
    for (int i = 0; i < 20; i++) { /* more than there is room for at first */
        begin(f, SOURCE_LINES);
    }
    end(f, "3", false, false);
    begin(f, SOURCE_LINES);
    text(f, "{\"key\":\"\\u0063\xC3\xA9\",\"headers\":{\"operation\":\"delete\"}}");
    end(f, "4", false, false);
    eof(f);
    drain(f);
}

/* Each allocation fails once: what was given before stays right, and the end says why; or it was one that only
 * speed needs. */
static void survives_failing_memory(void **state) {
    (void)state;
    long failing = 0;
    for (bool complete = false; !complete; failing++) {
        struct fixture f;
        memory_left = failing;
        bool opened = open_fixture(&f, NULL);
        if (opened) {
            play(&f);
        }
        complete = memory_left >= 0;
        memory_left = -1;
        assert_true(buf_append_byte(&f.seen, '\0'));
        assert_true(opened || !complete);
        if (opened && strcmp(f.seen.ptr, whole) != 0) {
            assert_false(complete);
            const char *failed = strstr(f.seen.ptr, "failed: ");
            assert_non_null(failed);
            assert_non_null(strstr(failed, "out of memory"));
            assert_memory_equal(f.seen.ptr, whole, (size_t)(failed - f.seen.ptr));
        }
        assert_true(failing < 200);
        close_fixture(&f);
    }
    assert_true(failing > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_events_and_ends_of_chunks),
        cmocka_unit_test(takes_several_bodies_in_a_chunk),
        cmocka_unit_test(says_where_it_is),
        cmocka_unit_test(fails_where_the_source_does),
        cmocka_unit_test(forgets_the_message_that_broke_off),
        cmocka_unit_test(seeks),
        cmocka_unit_test(pauses_a_source_that_is_ahead),
        cmocka_unit_test(fails_where_too_much_waits),
        cmocka_unit_test(random_chunks_are_cut_and_broken_off_anywhere),
        cmocka_unit_test(decodes_the_same_on_another_thread),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
