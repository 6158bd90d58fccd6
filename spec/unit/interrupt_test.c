/* Ctrl-C that comes just before something is waited for: what waits then must see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/data.h"
#include "cli/output.h"
#include "worker/interrupt.h"

static struct interrupt_saved saved;

static int watch(void **state) {
    (void)state;
    interrupt_watch(NULL, &saved);
    return 0;
}

static int unwatch(void **state) {
    (void)state;
    interrupt_restore(&saved);
    return 0;
}

/* Puts one end of a pipe in the place of a standard stream; its own one, for give_back. */
static int replace(int standard, int end) {
    int own = dup(standard);
    dup2(end, standard);
    return own;
}

static void give_back(int standard, int own) {
    dup2(own, standard);
    close(own);
}

static void test_input(void **state) {
    (void)state;
    int ends[2];
    struct error e;
    struct buf out;
    assert_int_equal(pipe(ends), 0);
    int own = replace(STDIN_FILENO, ends[0]);
    buf_init(&out, DATA_MAX);
    raise(SIGINT);
    bool ok = data_read(&out, "-", &e);
    give_back(STDIN_FILENO, own);
    assert_false(ok);
    assert_int_equal(e.code, ERROR_INTERRUPTED);
    buf_free(&out);
    close(ends[0]);
    close(ends[1]);
}

static void test_output(void **state) {
    (void)state;
    int ends[2];
    struct output output;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], "full", 4) > 0) {
    }
    int own = replace(STDOUT_FILENO, ends[1]);
    output_init(&output);
    buf_append_text(&output.buf, "more");
    raise(SIGINT);
    bool ok = output_flush(&output);
    give_back(STDOUT_FILENO, own);
    assert_false(ok);
    assert_int_equal(output.e.code, ERROR_INTERRUPTED);
    output_free(&output);
    close(ends[0]);
    close(ends[1]);
}

static void test_client(void **state) {
    (void)state;
    struct client client = {0};
    struct error e;
    bool over = false;
    assert_true(client_open(&client, &e));
    raise(SIGINT);
    assert_true(*interrupt_flag());
    assert_false(client_run(&client, &over, &e));
    assert_int_equal(e.code, ERROR_INTERRUPTED);
    interrupt_watch(NULL, NULL);
    http_free(client.http);
    assert_true(loop_free(client.loop, &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_input, watch, unwatch),
        cmocka_unit_test_setup_teardown(test_output, watch, unwatch),
        cmocka_unit_test_setup_teardown(test_client, watch, unwatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
