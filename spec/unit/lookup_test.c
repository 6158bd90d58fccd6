/* Looking up names beside the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/lookup.h"

struct seen {
    unsigned answers;
    size_t count;
    char first[LOOKUP_TEXT];
    struct error error;
};

static void on_answer(void *user, const struct lookup_answer *answer, const struct error *e) {
    struct seen *seen = user;
    seen->answers++;
    if (answer) {
        seen->count = answer->count;
        memcpy(seen->first, answer->addresses[0], LOOKUP_TEXT);
    } else {
        seen->error = *e;
    }
}

static bool is_seen(void *user) {
    return ((struct seen *)user)->answers > 0;
}

static void end(struct loop *loop) {
    struct error e;
    assert_true(loop_free(loop, &e));
}

static void test_found(void **state) {
    struct seen seen = {0};
    struct error e;
    struct loop *loop = loop_new(&e);
    (void)state;
    assert_non_null(lookup_start(loop, "localhost", on_answer, &seen, &e));
    assert_int_equal(seen.answers, 0);
    assert_true(loop_run_until(loop, is_seen, &seen));
    assert_true(seen.count > 0);
    assert_true(lookup_is_address(seen.first));
    end(loop);
    assert_int_equal(seen.answers, 1);
}

static void test_not_found(void **state) {
    struct seen seen = {0};
    struct error e;
    struct loop *loop = loop_new(&e);
    (void)state;
    assert_non_null(lookup_start(loop, "nohost.invalid", on_answer, &seen, &e));
    assert_true(loop_run_until(loop, is_seen, &seen));
    assert_int_equal(seen.error.code, ERROR_NETWORK);
    assert_non_null(strstr(seen.error.message, "the host \"nohost.invalid\" cannot be looked up: "));
    end(loop);
}

static void test_no_name(void **state) {
    char name[1024] = {0};
    struct seen seen = {0};
    struct error e;
    struct loop *loop = loop_new(&e);
    (void)state;
    memset(name, 'a', sizeof name - 1);
    assert_null(lookup_start(loop, name, on_answer, &seen, &e));
    assert_int_equal(e.code, ERROR_NETWORK);
    end(loop);
    assert_int_equal(seen.answers, 0);
}

static void test_cancelled(void **state) {
    struct seen seen = {0};
    struct error e;
    struct loop *loop = loop_new(&e);
    (void)state;
    lookup_cancel(lookup_start(loop, "localhost", on_answer, &seen, &e));
    lookup_cancel(NULL);
    end(loop);
    assert_int_equal(seen.answers, 0);
}

static void test_addresses(void **state) {
    (void)state;
    assert_true(lookup_is_address("127.0.0.1"));
    assert_true(lookup_is_address("::1"));
    assert_false(lookup_is_address("localhost"));
    assert_false(lookup_is_address("db.example"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),     cmocka_unit_test(test_not_found), cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_cancelled), cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
