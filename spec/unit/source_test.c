/* Files and pipes as sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder.h"

struct fixture {
    struct loop *loop;
    struct log log;
    struct recorder recorder;
    struct source_options options;
    char dir[32], path[64];
    int saved_stdin;
};

static void open_fixture(struct fixture *f) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    recorder_init(&f->recorder);
    strcpy(f->dir, "/tmp/weir-source-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/events", f->dir);
    f->saved_stdin = -1;
    f->options = (struct source_options){
        .loop = f->loop,
        .log = &f->log,
        .location = f->path,
        .format = SOURCE_AUTO,
        .sink = recorder_sink(&f->recorder),
    };
}

static void put(struct fixture *f, const char *text, size_t len) {
    int fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void put_text(struct fixture *f, const char *text) {
    put(f, text, strlen(text));
}

static void start(struct fixture *f) {
    struct error e = {0};
    f->recorder.source = source_open(&f->options, &e);
    if (!f->recorder.source) {
        fail_msg("%s", e.message);
    }
}

static void run(struct fixture *f) {
    start(f);
    assert_true(loop_run_until(f->loop, recorder_over, &f->recorder));
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    source_close(f->recorder.source);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    if (f->saved_stdin >= 0) {
        dup2(f->saved_stdin, STDIN_FILENO);
        close(f->saved_stdin);
    }
    buf_free(&f->recorder.text);
    unlink(f->path);
    rmdir(f->dir);
}

static void use_as_stdin(struct fixture *f, int fd) {
    f->saved_stdin = dup(STDIN_FILENO);
    dup2(fd, STDIN_FILENO);
    close(fd);
    f->options.location = "-";
}

struct wanted {
    struct recorder *recorder;
    const char *text;
};

static bool has_text(void *arg) {
    struct wanted *w = arg;
    return strcmp(recorder_text(w->recorder), w->text) == 0 || recorder_over(w->recorder);
}

/* Waits until the report so far is `text`. */
static void expect(struct fixture *f, const char *text) {
    struct wanted w = {&f->recorder, text};
    loop_run_until(f->loop, has_text, &w);
    assert_string_equal(recorder_text(&f->recorder), text);
}

static void test_whole_file(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    put_text(&f, "[1,\n2]");
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1,\n2]>6^$;EOF");
    assert_int_equal(f.recorder.format, SOURCE_AUTO);
    f.recorder.eofs = 0;
    source_seek(f.recorder.source, "3"); /* after the end too */
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_string_equal(recorder_text(&f.recorder), "<[1,\n2]>6^$;EOF<\n2]>6^$;EOF");
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "");
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), ">0^$;EOF");
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "one\ntwo");
    f.options.offset = "4";
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<two>7^$;EOF");
    close_fixture(&f);
}

static void test_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *location, *offset, *says;
    } cases[] = {
        {"/nonexistent/x", NULL, "No such file"},
        {"/", NULL, "is a directory"},
        {NULL, "99", "past the end"},
        {NULL, "1_a", "not a byte position"},
        {NULL, "99999999999999999999999", "not a byte position"},
        {"/dev/null", "5", "device"},
        {"", NULL, "no source"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct error e = {0};
        open_fixture(&f);
        put_text(&f, "{}\n");
        f.options.location = cases[i].location ? cases[i].location : f.path;
        f.options.offset = cases[i].offset;
        assert_null(source_open(&f.options, &e));
        if (!strstr(e.message, cases[i].says)) {
            fail_msg("case %zu: %s", i, e.message);
        }
        close_fixture(&f);
    }
}

static void pause_and_resume(struct recorder *r) {
    source_pause(r->source);
    source_resume(r->source);
}

static void test_large_file_with_pauses(void **state) {
    (void)state;
    enum { BYTES = 5 * 1024 * 1024 + 17 };
    char *text = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        text[i] = (char)('a' + i * 7 % 23);
    }
    struct fixture f;
    open_fixture(&f);
    put(&f, text, BYTES);
    f.recorder.on_bytes = pause_and_resume;
    run(&f);
    assert_int_equal(f.recorder.begins, 1);
    assert_int_equal(f.recorder.bytes, BYTES);
    assert_memory_equal(f.recorder.text.ptr + 1, text, BYTES);
    close_fixture(&f);
    free(text);
}

static void pause_for_good(struct recorder *r) {
    source_pause(r->source);
}

static void test_paused_file_hands_over_nothing(void **state) {
    (void)state;
    struct fixture f;
    char *text = calloc(1, 4 << 20);
    open_fixture(&f);
    put(&f, text, 4 << 20);
    f.recorder.on_bytes = pause_for_good;
    start(&f);
    assert_false(loop_run_until(f.loop, recorder_over, &f.recorder)); /* the loop runs dry */
    uint64_t seen = f.recorder.bytes;
    assert_true(seen > 0 && seen <= 512 * 1024);
    f.recorder.on_bytes = NULL;
    source_resume(f.recorder.source);
    assert_int_equal(f.recorder.bytes, seen);
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_int_equal(f.recorder.bytes, 4 << 20);
    close_fixture(&f);
    free(text);
}

static void test_follow(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    put_text(&f, " \n{1}\n{2");
    f.options.live = SOURCE_LIVE_AUTO;
    start(&f);
    expect(&f, "< \n{1}\n>6^;");
    assert_int_equal(f.recorder.format, SOURCE_LINES);
    put_text(&f, "}"); /* not a line yet: nothing is said */
    put_text(&f, "\n{3}\n{4");
    expect(&f, "< \n{1}\n>6^;<{2}\n{3}\n>14^;");
    put_text(&f, "}\n");
    expect(&f, "< \n{1}\n>6^;<{2}\n{3}\n>14^;<{4}\n>18^;");
    assert_int_equal(truncate(f.path, 3), 0);
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_non_null(strstr(f.recorder.error.message, "was cut to 3 bytes"));
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "");
    f.options.live = SOURCE_LIVE_AUTO;
    start(&f);
    expect(&f, ">0^;");
    assert_int_equal(unlink(f.path), 0);
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_non_null(strstr(f.recorder.error.message, "was removed"));
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "\n [1]");
    f.options.live = SOURCE_LIVE_AUTO;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "FAIL");
    assert_non_null(strstr(f.recorder.error.message, "one event a line"));
    close_fixture(&f);
}

static void close_now(struct recorder *r) {
    source_close(r->source);
    r->source = NULL;
}

static bool has_bytes(void *arg) {
    return ((struct recorder *)arg)->bytes > 0;
}

static void reject_now(struct recorder *r) {
    struct error why;
    error_set(&why, ERROR_SYNTAX, "broken");
    source_reject(r->source, &why);
}

static void seek_once(struct recorder *r) {
    r->on_bytes = NULL;
    source_seek(r->source, "0");
}

static void test_consumer_acts_within_bytes(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    put_text(&f, "{}\n");
    f.recorder.on_bytes = close_now;
    start(&f);
    assert_true(loop_run_until(f.loop, has_bytes, &f.recorder));
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "{}\n");
    f.recorder.on_bytes = reject_now;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<{}\nFAIL");
    assert_string_equal(f.recorder.error.message, "broken");
    close_fixture(&f);

    open_fixture(&f);
    put_text(&f, "{}\n");
    f.recorder.on_bytes = seek_once;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<{}\n<{}\n>3^$;EOF");
    close_fixture(&f);

    open_fixture(&f); /* before it began, and with a read under way */
    put_text(&f, "{}\n");
    start(&f);
    uv_run(loop_uv(f.loop), UV_RUN_NOWAIT);
    close_fixture(&f);
}

static void test_stdin_is_a_pipe(void **state) {
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct fixture f;
        int ends[2];
        open_fixture(&f);
        assert_int_equal(pipe(ends), 0);
        use_as_stdin(&f, ends[0]);
        f.options.live = live ? SOURCE_LIVE_AUTO : SOURCE_LIVE_NO;
        start(&f);
        assert_int_equal(write(ends[1], "{1}\n{2", 6), 6);
        expect(&f, live ? "<{1}\n>4^;" : "<{1}\n{2");
        source_pause(f.recorder.source);
        assert_int_equal(write(ends[1], "}", 1), 1);
        close(ends[1]);
        source_resume(f.recorder.source);
        assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
        assert_string_equal(recorder_text(&f.recorder),
                            live ? "<{1}\n>4^;<{2}>7^$;EOF" : "<{1}\n{2}>7^$;EOF");
        close_fixture(&f);
    }
}

static void test_stdin_array_is_one_chunk(void **state) {
    (void)state;
    struct fixture f;
    int ends[2];
    open_fixture(&f);
    assert_int_equal(pipe(ends), 0);
    use_as_stdin(&f, ends[0]);
    f.options.live = SOURCE_LIVE_AUTO;
    start(&f);
    assert_int_equal(write(ends[1], " ", 1), 1);
    assert_int_equal(write(ends[1], "\n[1,\n2]\n", 8), 8);
    close(ends[1]);
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_string_equal(recorder_text(&f.recorder), "< \n[1,\n2]\n>9^$;EOF");
    close_fixture(&f);
}

static void test_stdin_is_a_file_or_nothing(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    put_text(&f, "{1}\n{2}\n");
    int fd = open(f.path, O_RDONLY | O_CLOEXEC);
    char skipped[4];
    assert_int_equal(read(fd, skipped, 4), 4); /* as a shell's `read` does */
    use_as_stdin(&f, fd);
    f.options.live = SOURCE_LIVE_AUTO; /* standard input ends where the file does */
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<{2}\n>8^$;EOF");
    close_fixture(&f);

    open_fixture(&f);
    use_as_stdin(&f, open("/dev/null", O_RDONLY | O_CLOEXEC));
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), ">0^$;EOF");
    close_fixture(&f);
}

static void test_named_pipe_without_a_writer_yet(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    start(&f);
    uv_run(loop_uv(f.loop), UV_RUN_NOWAIT);
    int fd = open(f.path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "{}\n", 3), 3);
    close(fd);
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_string_equal(recorder_text(&f.recorder), "<{}\n>3^$;EOF");
    f.recorder.eofs = 0;
    source_seek(f.recorder.source, "0");
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    assert_non_null(strstr(f.recorder.error.message, "a pipe cannot be read again"));
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_large_file_with_pauses),
        cmocka_unit_test(test_paused_file_hands_over_nothing),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_consumer_acts_within_bytes),
        cmocka_unit_test(test_stdin_is_a_pipe),
        cmocka_unit_test(test_stdin_array_is_one_chunk),
        cmocka_unit_test(test_stdin_is_a_file_or_nothing),
        cmocka_unit_test(test_named_pipe_without_a_writer_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
