/* sink/mysql: addresses and SQL; and, with WEIR_TEST_MYSQL naming an empty database, what a stream does not reach:
 * comparing and mending, and being closed in the middle. spec/sink_mysql_spec.lua sets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mysql.h>

#include "sink/mysql/address.h"
#include "sink/mysql/fault.h"
#include "sink/mysql/sql.h"
#include "sink_drive.h"

static void addresses_are_taken_apart(void **state) {
    (void)state;
    struct my_address a;
    struct error e;
    assert_true(my_address_parse(&a, "mysql://us%40er:p%3Aa:ss@db.example.org:3307/ro%20om", &e));
    assert_string_equal(a.user, "us@er");
    assert_string_equal(a.password, "p:a:ss");
    assert_string_equal(a.host, "db.example.org");
    assert_string_equal(a.database, "ro om");
    assert_int_equal(a.port, 3307);
    assert_int_equal(a.tls, MY_TLS_OFF);
    my_address_free(&a);
    assert_true(my_address_parse(&a, "mariadb://[::1]:1/d?socket=/tmp/s&tls=on", &e));
    assert_string_equal(a.host, "::1");
    assert_string_equal(a.socket, "/tmp/s");
    assert_int_equal(a.tls, MY_TLS_ON);
    assert_null(a.user);
    my_address_free(&a);
    static const char *const wrong[] = {
        "",
        "http://host/d",
        "mysql://host",
        "mysql://host/",
        "mysql://host:0/d",
        "mysql://host:70000/d",
        "mysql://host/d?x=1",
        "mysql://host/d?tls=maybe",
        "mysql://a:secret%0@host/d",
        "mysql://a:secret%00@host/d",
        "mysql://[::1/d",
        "mysql://host/d/e",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(my_address_parse(&a, wrong[i], &e));
        assert_null(strstr(e.message, "secret"));
    }
}

static void texts_are_quoted(void **state) {
    (void)state;
    struct buf sql;
    buf_init(&sql, 1000);
    assert_true(my_sql_text(&sql, SLICE("'; DROP -- \\' ''")) && my_sql_name(&sql, SLICE("a`b")));
    assert_true(slice_is(buf_slice(&sql), "'''; DROP -- \\'' '''''`a``b`"));
    buf_free(&sql);
    assert_int_equal(my_fault_of(1213), MY_FAULT_AGAIN);
    assert_int_equal(my_fault_of(2013), MY_FAULT_AGAIN);
    assert_int_equal(my_fault_of(4025), MY_FAULT_ROW);
    assert_int_equal(my_fault_of(1045), MY_FAULT_STOP);
}

/* With a server */

static const char *server_url(void) {
    return getenv("WEIR_TEST_MYSQL");
}

static void ask(const char *sql) {
    struct my_address a;
    struct error e;
    assert_true(my_address_parse(&a, server_url(), &e));
    MYSQL *mysql = mysql_init(NULL);
    assert_non_null(mysql_real_connect(mysql, a.host, a.user, a.password, a.database, a.port, a.socket, 0));
    if (mysql_query(mysql, sql) != 0) {
        fail_msg("%s", mysql_error(mysql));
    }
    mysql_close(mysql);
    my_address_free(&a);
}

static void begin(struct drive *d) {
    drive_init(d, "http://host/stream");
    drive_set(d, "url", server_url());
    d->outage_limit_ms = 60 * 1000;
}

static void open_it(struct drive *d, bool read_only) {
    d->read_only = read_only;
    if (!drive_open(d, "mysql")) {
        fail_msg("%s", d->error.message);
    }
}

static void commit(struct drive *d) {
    if (!drive_flush(d)) {
        fail_msg("%s", d->error.message);
    }
}

static void verify(struct drive *d, const struct store *store, bool repair, const char *expected) {
    if (!drive_verify(d, store, repair)) {
        fail_msg("%s", d->error.message);
    }
    assert_string_equal(drive_text(&d->differences), expected);
}

static void a_database_is_compared_and_repaired(void **state) {
    (void)state;
    struct drive d;
    if (!server_url()) {
        skip();
    }
    struct store *store = store_new(1 << 20);
    begin(&d);
    open_it(&d, true);
    assert_false(d.has_place);
    drive_close(&d);
    open_it(&d, false);
    for (unsigned i = 0; i < 1203; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%u", i);
        drive_put_both(&d, store, "users", key, "{\"a\":\"it's\"}");
    }
    drive_put_both(&d, store, "rooms", "r", "1");
    commit(&d);
    verify(&d, store, false, "");
    assert_int_equal(d.rows, 1204);
    ask("DELETE FROM users WHERE id = 'k7'");
    ask("UPDATE users SET data = '1' WHERE id = 'k8'");
    ask("INSERT INTO users VALUES ('k9x', '1', now()), ('zz', '', now())");
    ask("DROP TABLE rooms");
    static const char all[] =
        "missing rooms/r\nmissing users/k7\nother users/k8\nextra users/k9x\nextra users/zz\n";
    verify(&d, store, false, all);
    verify(&d, store, true, all);
    verify(&d, store, false, "");
    drive_put(&d, "rooms", "r2", "1");
    drive_clear(&d);
    drive_put(&d, "rooms", "r3", "1");
    commit(&d);
    drive_close(&d);
    open_it(&d, true);
    assert_true(d.has_place);
    assert_int_equal(d.place.sequence, 1207);
    store_clear(store);
    drive_apply(store, EVENT_UPSERT, SLICE("rooms"), SLICE("r3"), SLICE("1"));
    verify(&d, store, false, "");
    store_free(store);
    assert_true(drive_free(&d));
}

static void closing_gives_up(void **state) {
    (void)state;
    struct drive d;
    if (!server_url()) {
        skip();
    }
    begin(&d);
    assert_true(drive_start(&d, "mysql"));
    drive_close(&d); /* before it has connected */
    open_it(&d, false);
    drive_put(&d, "users", "k", "1");
    drive_fresh(&d);
    sink_commit(d.sink, drive_reach(&d));
    drive_close(&d);
    assert_int_equal(d.committed, 0);
    d.settings[0].value = "mysql://127.0.0.1:1/x";
    d.outage_limit_ms = 200;
    assert_false(drive_open(&d, "mysql"));
    assert_non_null(strstr(d.error.message, "gave up after"));
    assert_true(drive_free(&d));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(texts_are_quoted),
        cmocka_unit_test(a_database_is_compared_and_repaired),
        cmocka_unit_test(closing_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
