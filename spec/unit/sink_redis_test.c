/* The sink "redis" against a real server: what is stored and where, fencing, settings, passwords. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sink_redis_server.h"

/* Rows, place and names of keys, and that an opening finds them. */
static void test_stores(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    server_drive(&d, s.url);
    drive_must_open(&d);
    assert_false(d.has_place);
    assert_int_equal(d.sink->epoch, 1);
    drive_one_row(batch, "a{b} c", "k}\n", "{\"v\":1}", 7);
    drive_must_commit(&d, batch);
    assert_string_equal(server_ask(&s, "HGET %s %s", TAG "t:a%7Bb%7D%20c", "k}\n"), "{\"v\":1}");
    assert_string_equal(server_ask(&s, "HGET %s sequence", TAG "sync"), "8");
    assert_string_equal(server_ask(&s, "HGET %s notes", TAG "sync"), "nil");
    drive_close(&d);
    drive_must_open(&d);
    assert_true(d.has_place);
    assert_int_equal(d.place.sequence, 8);
    assert_string_equal(d.place.offset, "o");
    assert_null(d.place.notes);
    assert_int_equal(d.sink->epoch, 2);
    drive_one_row(batch, "a{b} c", "k}\n", NULL, 8);
    drive_must_commit(&d, batch);
    assert_string_equal(server_ask(&s, "DBSIZE"), "1"); /* but for the place nothing is left */
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    server_stop(&s);
}

/* Many batches of hostile names; every key has the one tag, and nothing else in braces. */
static void test_equals_the_state(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    server_start(&s, "no");
    server_drive(&d, s.url);
    assert_true(drive_run(&d, "redis", 1, 60));
    drive_expect_equal(&d, 1, 60);
    assert_true(d.rows > 0);
    redisReply *keys = redisCommand(s.c, "KEYS *");
    assert_true(keys->elements > 5);
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        assert_memory_equal(key, TAG, strlen(TAG));
        assert_null(strpbrk(key + strlen(TAG), "{} \n"));
    }
    freeReplyObject(keys);
    assert_true(drive_free(&d));
    server_stop(&s);
}

/* More than one call takes: staged, applied at once; what a dead worker has staged goes. */
static void test_stages_large_batches(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    struct store *store = store_new(1 << 20);
    char *value = malloc(400000);
    memset(value, 'x', 400000);
    value[0] = '"';
    server_start(&s, "no");
    server_drive(&d, s.url);
    drive_must_open(&d);
    for (unsigned i = 0; i < 60000; i++) {
        char key[32];
        size_t len = i % 1000 == 7 ? 300000 : 50 + i % 100;
        size_t key_len = (size_t)snprintf(key, sizeof key, "k%u", i % 40000);
        value[len - 1] = '"';
        enum sink_op op = i == 100 ? SINK_CLEAR : i % 11 == 3 ? SINK_DELETE : SINK_PUT;
        drive_row(batch, store, op, op == SINK_CLEAR ? SLICE("") : slice_from(i / 500 % 2 ? "a" : "b"),
                  slice_of(key, key_len), slice_of(value, len), i);
        value[len - 1] = 'x';
    }
    struct sink_place place = {.sequence = 60000};
    sink_batch_reach(batch, &place);
    server_ask(&s, "CONFIG RESETSTAT");
    drive_must_commit(&d, batch);
    assert_true(drive_verify(&d, store, false));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    assert_int_equal(d.rows, store_count(store, slice_of(NULL, 0)));
    assert_string_equal(server_ask(&s, "DBSIZE"), "4");
    assert_string_equal(server_ask(&s, "HEXISTS %s stage", TAG "sync"), "0");
    server_ask(&s, "HSET %s stage %s", TAG "sync", TAG "stage:1:2:1");
    server_ask(&s, "RPUSH %s x", TAG "stage:1:2:1");
    drive_close(&d);
    drive_must_open(&d);
    assert_null(d.place.offset);
    assert_string_equal(server_ask(&s, "DBSIZE"), "4");
    assert_true(drive_free(&d));
    free(value);
    store_free(store);
    sink_batch_free(batch);
    server_stop(&s);
}

static void test_fences(void **state) {
    (void)state;
    struct server s;
    struct drive a;
    struct drive b;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    server_drive(&a, s.url);
    server_drive(&b, s.url);
    drive_must_open(&a);
    drive_one_row(batch, "t", "k", "1", 0);
    drive_must_commit(&a, batch);
    drive_must_open(&b);
    drive_one_row(batch, "t", "k", "2", 1);
    assert_false(drive_commit(&a, batch));
    drive_expect(&a, ERROR_CONFLICT, "its epoch is 2, ours 1");
    assert_string_equal(server_ask(&s, "HGET %s k", TAG "t:t"), "1");
    drive_must_commit(&b, batch);
    assert_string_equal(server_ask(&s, "HGET %s k", TAG "t:t"), "2");
    assert_true(drive_free(&a));
    assert_true(drive_free(&b));
    sink_batch_free(batch);
    server_stop(&s);
}

/* A key that was removed, or that holds something else, stops the worker by name; a repair mends it. */
static void test_names_what_others_changed(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct store *store = drive_state(3, 5);
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    server_drive(&d, s.url);
    assert_true(drive_run(&d, "redis", 3, 5));
    server_ask(&s, "DEL %s", TAG "t:users");
    server_ask(&s, "HSET %s added 1", TAG "t:Users");
    server_ask(&s, "HSET %s more 1", TAG "t:more");
    server_ask(&s, "HSET %s more 1", TAG "types");
    drive_one_row(batch, "users", "k", "1", 200);
    assert_false(drive_commit(&d, batch));
    drive_expect(&d, ERROR_CONFLICT, TAG "t:users has 0 entities");
    assert_true(drive_verify(&d, store, false));
    assert_true(d.missing > 0);
    assert_int_equal(d.extra, 2);
    assert_true(drive_verify(&d, store, true));
    assert_true(d.missing > 0);
    assert_int_equal(d.extra, 2);
    assert_true(drive_verify(&d, store, false));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    drive_must_commit(&d, batch);
    server_ask(&s, "SET %s x", TAG "t:strings");
    drive_one_row(batch, "strings", "k", "1", 201);
    assert_false(drive_commit(&d, batch));
    drive_expect(&d, ERROR_ARGUMENT, TAG "t:strings is not weir's");
    drive_close(&d);
    server_ask(&s, "DEL %s", TAG "sync");
    assert_false(drive_open(&d, "redis"));
    drive_expect(&d, ERROR_ARGUMENT, TAG "types is not weir's");
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    store_free(store);
    server_stop(&s);
}

/* Nothing is changed, not even the epoch. */
static void test_reads_only(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct store *store = drive_state(3, 5);
    server_start(&s, "no");
    server_drive(&d, s.url);
    d.read_only = true;
    drive_must_open(&d);
    assert_false(d.has_place);
    assert_string_equal(server_ask(&s, "DBSIZE"), "0");
    drive_close(&d);
    d.read_only = false;
    assert_true(drive_run(&d, "redis", 3, 5));
    drive_close(&d);
    server_ask(&s, "CONFIG SET min-replicas-to-write 1"); /* no write would succeed */
    d.read_only = true;
    drive_must_open(&d);
    assert_true(d.has_place);
    assert_true(drive_verify(&d, store, true));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    assert_true(drive_free(&d));
    store_free(store);
    server_stop(&s);
}

/* ---- settings, passwords ---- */

static void test_settings(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"http://h", "begins neither"},
        {"rediss://h", "TLS"},
        {"redis://", "host is missing"},
        {"redis://h:x", "port is wrong"},
        {"redis://h/x", "number of the database"},
        {"redis://u@h", "user without a password"},
        {"unix://relative", "begins with"},
        {"unix:///s?x=1", "?db=N"},
        {"redis://[::1", "\"]\" is missing"},
    };
    struct drive d;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        server_drive(&d, wrong[i][0]);
        assert_false(drive_start(&d, "redis"));
        drive_expect(&d, ERROR_ARGUMENT, wrong[i][1]);
        assert_true(drive_free(&d));
    }
    server_drive(&d, "redis://localhost");
    drive_set(&d, "prefix", "a{b");
    assert_false(drive_start(&d, "redis"));
    drive_expect(&d, ERROR_ARGUMENT, "has a brace");
    assert_true(drive_free(&d));
}

static void test_passwords(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    char url[400];
    server_start(&s, "no");
    server_ask(&s, "ACL SETUSER default on >geheim%%1");
    server_drive(&d, s.url);
    assert_false(drive_open(&d, "redis"));
    drive_expect(&d, ERROR_ARGUMENT, "give it in the url");
    snprintf(url, sizeof url, "unix://:falsch@%s?db=2", s.socket);
    d.settings[0].value = url;
    drive_close(&d);
    assert_false(drive_open(&d, "redis"));
    drive_expect(&d, ERROR_ARGUMENT, "is wrong");
    assert_null(strstr(d.error.message, "falsch"));
    snprintf(url, sizeof url, "unix://default:geheim%%251@%s?db=2", s.socket);
    drive_close(&d);
    drive_must_open(&d);
    drive_close(&d);
    /* As little as will do: neither SCRIPT LOAD nor INFO. */
    server_ask(
        &s, "ACL SETUSER little on >x ~weir:* +evalsha +eval +hset +hdel +hget +hmget +hlen +hkeys +hincrby "
            "+type "
            "+exists +del +unlink +select +lrange +llen +rpush +auth +hscan");
    snprintf(url, sizeof url, "unix://little:x@%s?db=3", s.socket);
    assert_true(drive_run(&d, "redis", 2, 6));
    drive_expect_equal(&d, 2, 6);
    assert_true(drive_free(&d));
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_equals_the_state),
        cmocka_unit_test(test_stages_large_batches),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_names_what_others_changed),
        cmocka_unit_test(test_reads_only),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_passwords),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
