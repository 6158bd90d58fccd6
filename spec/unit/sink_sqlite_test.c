/* sink/sqlite: rows, places, names, refusals and repairs, and what happens to the file behind its back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sink_drive.h"
#include "state/schema_build.h"

#define STREAM "http://host/v1/stream/room"

static char folder[64];
static char path[128];

static int set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", "/tmp/weir-sqlite-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/room.db", folder);
    return 0;
}

static int tear_down(void **state) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[160];
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    return rmdir(folder);
}

/* Another program at the file. Values with "|" between, rows with a line end behind. */
static int append_row(void *user, int count, char **values, char **names) {
    struct buf *out = user;
    (void)names;
    for (int i = 0; i < count; i++) {
        buf_printf(out, "%s%s", i > 0 ? "|" : "", values[i] ? values[i] : "NULL");
    }
    buf_append_byte(out, '\n');
    return 0;
}

static sqlite3 *open_other(void) {
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 1000);
    return other;
}

static const char *ask(const char *sql) {
    static char text[1 << 16];
    struct buf out;
    sqlite3 *other = open_other();
    char *message = NULL;
    buf_init(&out, sizeof text - 1);
    if (sqlite3_exec(other, sql, append_row, &out, &message) != SQLITE_OK) {
        buf_printf(&out, "failed: %s", message);
    }
    sqlite3_free(message);
    sqlite3_close(other);
    (void)snprintf(text, sizeof text, "%.*s", (int)out.len, out.ptr ? out.ptr : "");
    buf_free(&out);
    return text;
}

static void begin(struct drive *d) {
    drive_init(d, STREAM);
    drive_set(d, "path", path);
    d->outage_limit_ms = 60 * 1000;
}

/* With one more setting; NULL: none. */
static bool open_of(struct drive *d, const char *stream, const char *setting, const char *value) {
    d->stream = stream;
    d->setting_count = 1;
    if (setting) {
        drive_set(d, setting, value);
    }
    return drive_open(d, "sqlite");
}

static void open_with(struct drive *d, const char *setting, const char *value) {
    if (!open_of(d, STREAM, setting, value)) {
        fail_msg("%s", d->error.message);
    }
}

static void open_json(struct drive *d) {
    open_with(d, NULL, NULL);
}

static void commit(struct drive *d) {
    if (!drive_flush(d)) {
        fail_msg("%s", d->error.message);
    }
}

static void assert_said(const struct error *e, const char *part) {
    if (!strstr(e->message, part)) {
        fail_msg("expected \"%s\" in \"%s\"", part, e->message);
    }
}

static void rows_and_place_are_stored(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    assert_false(d.has_place);
    assert_int_equal(d.sink->epoch, 1);
    drive_put(&d, "users", "u1", "{\"name\":\"Ada\"}");
    drive_put(&d, "users", "u2", "{\"name\":\"Bo\"}");
    drive_put(&d, "users", "u1", "{\"name\": \"Ada L.\"}");
    drive_put(&d, "messages", "m1", "[1,\"\\u0000\"]");
    drive_delete(&d, "users", "u2");
    drive_delete(&d, "nobody", "x");
    drive_add(&d, SINK_EMIT, SLICE("out"), SLICE("derived"), SLICE("{}"));
    d.place.notes = strdup("{\"a\":1}");
    commit(&d);
    assert_string_equal(ask("SELECT id, data FROM users"), "u1|{\"name\": \"Ada L.\"}\n");
    assert_string_equal(ask("SELECT id, data FROM messages"), "m1|[1,\"\\u0000\"]\n");
    assert_string_equal(ask("SELECT stream_url, offset, skip, sequence, epoch, notes FROM _sync_state"),
                        STREAM "|0_0|7|7|1|{\"a\":1}\n");
    assert_string_equal(ask("SELECT count(*) FROM _sync_state WHERE synced_at LIKE '20__-__-__T%Z'"), "1\n");
    assert_string_equal(ask("SELECT type, table_name FROM _sync_tables ORDER BY 1"),
                        "messages|messages\nusers|users\n");
    drive_close(&d);
    open_json(&d);
    assert_true(d.has_place);
    assert_string_equal(d.place.offset, "0_0");
    assert_int_equal(d.place.sequence, 7);
    assert_string_equal(d.place.notes, "{\"a\":1}");
    assert_int_equal(d.sink->epoch, 2);
    /* Nothing but a place. */
    d.place.sequence = 9;
    commit(&d);
    assert_string_equal(ask("SELECT sequence, epoch FROM _sync_state"), "9|2\n");
    assert_true(drive_free(&d));
}

static void a_reset_clears_what_is_the_streams(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    assert_true(open_of(&d, "http://host/other", "prefix", "o_"));
    drive_put(&d, "users", "theirs", "1");
    commit(&d);
    drive_close(&d);
    open_json(&d);
    drive_put(&d, "users", "u1", "1");
    drive_put(&d, "messages", "m1", "1");
    commit(&d);
    drive_put(&d, "users", "u2", "2");
    drive_put(&d, "new", "n", "2");
    drive_clear(&d);
    drive_put(&d, "users", "u3", "3");
    commit(&d);
    assert_string_equal(ask("SELECT id FROM users"), "u3\n");
    assert_string_equal(ask("SELECT id FROM messages"), "");
    assert_string_equal(ask("SELECT id FROM o_users"), "theirs\n");
    assert_true(drive_free(&d));
}

static void hostile_names_break_nothing(void **state) {
    (void)state;
    static const char drop[] = "\"; DROP TABLE users; --";
    struct drive d;
    char longest[3000];
    memset(longest, 'y', sizeof longest);
    begin(&d);
    open_json(&d);
    const struct slice types[] = {
        SLICE("users"),
        slice_from(drop),
        SLICE("sqlite_master"),
        SLICE("_sync_state"),
        SLICE("USERS"),
        SLICE("uSERS"),
        SLICE(""),
        SLICE("x' OR 1=1"),
        SLICE("\xF0\x9F\x98\x80"),
        slice_of(longest, sizeof longest),
        SLICE("_sync_tables"),
        SLICE("select"),
    };
    size_t count = sizeof types / sizeof *types;
    for (size_t i = 0; i < count; i++) {
        drive_add(&d, SINK_PUT, types[i], types[(i + 1) % count], SLICE("\"'; DROP TABLE users; --\""));
        drive_add(&d, SINK_PUT, types[i], SLICE("'); DELETE FROM users; --"), SLICE("{}"));
    }
    commit(&d);
    assert_string_equal(ask("SELECT count(*), count(DISTINCT table_name) FROM _sync_tables"), "12|12\n");
    assert_string_equal(ask("SELECT count(*) FROM users"), "2\n");
    assert_string_equal(ask("SELECT count(*) FROM \"\"\"; DROP TABLE users; --\""), "2\n");
    /* The names are what they were after a restart. */
    drive_close(&d);
    open_json(&d);
    for (size_t i = 0; i < count; i++) {
        drive_add(&d, SINK_DELETE, types[i], types[(i + 1) % count], SLICE(""));
    }
    commit(&d);
    assert_string_equal(ask("SELECT count(*) FROM users"), "1\n");
    assert_string_equal(ask("SELECT count(*) FROM _sync_tables"), "12\n");
    assert_true(drive_free(&d));
}

static void what_is_no_text_is_refused(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    drive_add(&d, SINK_PUT, SLICE("users"), SLICE("a\0b"), SLICE("1"));
    drive_add(&d, SINK_PUT, SLICE("a\0b"), SLICE("k"), SLICE("1"));
    drive_add(&d, SINK_PUT, SLICE("users"), SLICE("\xED\xA0\x80"), SLICE("1"));
    drive_add(&d, SINK_DELETE, SLICE("users"), SLICE("a\0b"), SLICE(""));
    drive_put(&d, "users", "good", "1");
    commit(&d);
    assert_string_equal(ask("SELECT id FROM users"), "good\n");
    const char *refusals = drive_text(&d.refusals);
    assert_non_null(
        strstr(refusals, "users/\xED\xA0\x80: the sink: table \"users\": the key holds half of a"));
    assert_non_null(strstr(refusals, ": the type holds the character NUL"));
    d.pass_refused = false;
    drive_add(&d, SINK_PUT, SLICE("users"), SLICE("c\0d"), SLICE("1"));
    drive_put(&d, "users", "too", "1");
    assert_false(drive_flush(&d));
    assert_int_equal(d.error.code, ERROR_SCHEMA);
    assert_string_equal(ask("SELECT id FROM users"), "good\n");
    assert_true(drive_free(&d));
}

static void rows_that_the_database_refuses(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    drive_put(&d, "users", "u1", "1");
    commit(&d);
    ask("CREATE TRIGGER t1 BEFORE INSERT ON users WHEN new.data = 'abort' BEGIN SELECT RAISE(ABORT, 'no "
        "aborts'); END");
    ask("CREATE TRIGGER t2 BEFORE INSERT ON users WHEN new.data = 'rollback' BEGIN SELECT RAISE(ROLLBACK, "
        "'gone'); END");
    ask("CREATE UNIQUE INDEX i ON users(data)");
    drive_put(&d, "users", "u1", "2");
    drive_put(&d, "users", "u1", "abort");
    drive_put(&d, "users", "u2", "rollback");
    drive_put(&d, "users", "u3", "2");
    drive_put(&d, "users", "u4", "4");
    drive_put(&d, "users", "u4", "rollback");
    commit(&d);
    /* The row that was there before a refused one counts. */
    assert_string_equal(ask("SELECT id, data FROM users ORDER BY id"), "u1|2\nu4|4\n");
    const char *refusals = drive_text(&d.refusals);
    assert_string_equal(refusals,
                        "users/u1: the sink: table \"users\": no aborts\n"
                        "users/u2: the sink: table \"users\": gone\n"
                        "users/u3: the sink: table \"users\": UNIQUE constraint failed: users.data\n"
                        "users/u4: the sink: table \"users\": gone\n");
    assert_true(drive_free(&d));
}

static void a_newer_worker_takes_over(void **state) {
    (void)state;
    struct drive old;
    struct drive new;
    begin(&old);
    begin(&new);
    open_json(&old);
    open_json(&new);
    drive_put(&old, "users", "old", "1");
    assert_false(drive_flush(&old));
    assert_int_equal(old.error.code, ERROR_CONFLICT);
    assert_said(&old.error, "another worker has taken over stream " STREAM " (its epoch is 2, ours 1)");
    drive_put(&new, "users", "new", "1");
    commit(&new);
    assert_string_equal(ask("SELECT id FROM users"), "new\n");
    ask("DELETE FROM _sync_state");
    assert_false(drive_flush(&new));
    assert_said(&new.error, "was deleted by another program");
    assert_true(drive_free(&old));
    assert_true(drive_free(&new));
}

static void foreign_tables_are_left_alone(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    ask("CREATE TABLE Users (id TEXT PRIMARY KEY, password TEXT); INSERT INTO users VALUES ('a', 'b')");
    open_json(&d);
    drive_put(&d, "users", "u", "1");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "there is a table \"users\" already, which weir did not make");
    assert_string_equal(ask("SELECT * FROM users"), "a|b\n");
    assert_string_equal(ask("SELECT * FROM _sync_tables"), "");
    drive_put(&d, "other", "u", "1");
    commit(&d);
    drive_close(&d);
    assert_true(open_of(&d, "http://host/other", NULL, NULL));
    drive_put(&d, "other", "u", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "table \"other\" belongs to another stream (" STREAM ")");
    drive_close(&d);
    ask("DROP TABLE _sync_state; CREATE TABLE _sync_state (stream_url, offset, synced_at)");
    assert_false(open_of(&d, STREAM, NULL, NULL));
    assert_said(&d.error, "its table _sync_state was not made by weir");
    assert_true(drive_free(&d));
}

static void dropped_and_altered_tables_stop_it(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    drive_put(&d, "users", "u", "1");
    drive_put(&d, "rooms", "r", "1");
    commit(&d);
    ask("ALTER TABLE rooms RENAME COLUMN data TO datum");
    drive_put(&d, "rooms", "r", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "table \"rooms\" was dropped or altered by another program");
    ask("DROP TABLE users");
    drive_put(&d, "users", "u", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "table \"users\" was dropped or altered by another program: no such table");
    drive_close(&d);
    open_json(&d);
    drive_put(&d, "users", "u", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "table \"users\" is gone");
    drive_put(&d, "rooms", "r", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "table \"rooms\" does not fit: column \"datum\"");
    assert_true(drive_free(&d));
}

/* A lock that another process holds for a while. */
struct lock {
    sqlite3 *other;
    struct drive *drive;
};

static bool is_waiting(void *arg) {
    struct lock *lock = arg;
    if (lock->other && lock->drive->committed == 0) {
        static unsigned turns;
        if (++turns > 2) {
            sqlite3_exec(lock->other, "COMMIT", NULL, NULL, NULL);
            sqlite3_close(lock->other);
            lock->other = NULL;
        }
    }
    return drive_is_committed(lock->drive);
}

static void a_lock_is_waited_for(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    struct lock lock = {.other = open_other(), .drive = &d};
    assert_int_equal(sqlite3_exec(lock.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    drive_put(&d, "users", "u", "1");
    drive_fresh(&d);
    sink_commit(d.sink, drive_reach(&d));
    assert_true(loop_run_until(d.loop, is_waiting, &lock));
    assert_int_equal(d.error.code, ERROR_NONE);
    assert_string_equal(ask("SELECT id FROM users"), "u\n");
    /* One that stays. */
    drive_close(&d);
    d.outage_limit_ms = 300;
    open_json(&d);
    lock.other = open_other();
    assert_int_equal(sqlite3_exec(lock.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sink_batch_clear(d.batch);
    drive_put(&d, "users", "u", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "database is locked; gave up after");
    sqlite3_close(lock.other);
    assert_true(drive_free(&d));
}

static void put_much(struct drive *d, unsigned from) {
    static char value[20000];
    memset(value, 'x', sizeof value - 1);
    for (unsigned i = 0; i < 100; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%u", from + i);
        drive_put(d, "users", key, value);
    }
}

static void a_full_disk_is_waited_for(void **state) {
    (void)state;
    struct drive d;
    struct rlimit before;
    begin(&d);
    d.outage_limit_ms = 300;
    open_json(&d);
    drive_put(&d, "users", "first", "1");
    commit(&d);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = {.rlim_cur = 300000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    uint64_t sequence = d.place.sequence;
    put_much(&d, 0);
    bool committed = drive_flush(&d);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(committed);
    assert_said(&d.error, "gave up after");
    assert_string_equal(ask("SELECT id FROM users"), "first\n");
    d.place.sequence = sequence;
    put_much(&d, 0);
    commit(&d);
    assert_string_equal(ask("SELECT count(*) FROM users"), "101\n");
    assert_string_equal(ask("PRAGMA integrity_check"), "ok\n");
    assert_true(drive_free(&d));
}

static void a_file_that_goes_stops_it(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    drive_put(&d, "users", "u", "1");
    commit(&d);
    (void)unlink(path);
    drive_put(&d, "users", "u", "2");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "was removed or replaced while it was open");
    assert_true(drive_free(&d));
}

static void files_that_cannot_be_opened(void **state) {
    (void)state;
    struct drive d;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("this is no database, but long enough to be looked at as one ....................", file);
    (void)fclose(file);
    begin(&d);
    assert_false(open_of(&d, STREAM, NULL, NULL));
    assert_said(&d.error, "file is not a database; move the file away");
    drive_close(&d);
    d.settings[0].value = "/nowhere/at/all.db";
    assert_false(drive_open(&d, "sqlite"));
    assert_said(&d.error, "opening /nowhere/at/all.db: unable to open database file");
    drive_close(&d);
    d.settings[0].value = path;
    assert_false(open_of(&d, STREAM, "layout", "rows"));
    assert_said(&d.error, "setting layout: expected \"json\" or \"columns\", got \"rows\"");
    assert_false(open_of(&d, STREAM, "synchronous", "never"));
    assert_false(open_of(&d, STREAM, "prefix", "a\""));
    assert_false(open_of(&d, STREAM, "key", "k"));
    assert_true(drive_free(&d));
}

static void closing_gives_up_a_commit(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    open_json(&d);
    for (unsigned i = 0; i < 200000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%u", i);
        drive_put(&d, "users", key, "1");
    }
    drive_fresh(&d);
    sink_commit(d.sink, drive_reach(&d));
    drive_close(&d);
    assert_int_equal(d.committed, 0);
    assert_true(drive_free(&d));
}

/* Columns */

static struct schema *make_schema(bool more, enum schema_kind age, bool required) {
    struct error e;
    struct schema *schema = schema_new();
    struct schema_node *object = schema_add(schema, SCHEMA_OBJECT, &e);
    struct schema_node *nodes[5];
    static const enum schema_kind kinds[5] = {SCHEMA_STRING, SCHEMA_STRING, SCHEMA_BOOLEAN, SCHEMA_ANY,
                                              SCHEMA_NUMBER};
    static const char *const names[5] = {"id", "name", "done", "tags", "rate"};
    for (int i = 0; i < 5; i++) {
        nodes[i] = schema_add(schema, kinds[i], &e);
        if (i >= 2) {
            schema_node_optional(nodes[i]);
        }
        assert_true(schema_node_field(object, slice_from(names[i]), nodes[i], &e));
    }
    struct schema_node *number = schema_add(schema, age, &e);
    schema_node_nullable(number);
    assert_true(schema_node_field(object, SLICE("age"), number, &e));
    if (more) {
        struct schema_node *extra = schema_add(schema, SCHEMA_STRING, &e);
        if (!required) {
            schema_node_optional(extra);
        }
        assert_true(schema_node_field(object, SLICE("na\"me"), extra, &e));
    }
    assert_true(schema_finish(schema, object, &e));
    return schema;
}

static void columns_are_typed(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    struct schema *schema = make_schema(false, SCHEMA_INTEGER, false);
    d.schema = schema;
    d.index = "name";
    open_with(&d, "layout", "columns");
    drive_put(&d, "users", "u1",
              "{\"id\":\"u1\",\"name\":\"A\\nda\",\"age\":9007199254740993,\"done\":true,\"tags\":[1, "
              "2],\"rate\":2}");
    drive_put(&d, "users", "u2", "{\"id\":\"u2\",\"name\":\"1e3\",\"age\":null,\"tags\":1.0,\"beyond\":1}");
    drive_put(&d, "users", "u3", "{\"id\":\"u3\",\"name\":7,\"age\":1}");
    drive_put(&d, "users", "u4", "{\"id\":\"other\",\"name\":\"x\",\"age\":1}");
    commit(&d);
    assert_string_equal(
        ask("SELECT id, name, typeof(name), age, done, tags, typeof(tags), rate FROM users ORDER BY id"),
        "u1|A\nda|text|9007199254740993|1|[1, 2]|text|2.0\n"
        "u2|1e3|text|NULL|NULL|1.0|text|NULL\n");
    const char *refusals = drive_text(&d.refusals);
    assert_non_null(
        strstr(refusals, "users/u3: the sink: table \"users\": property name: expected text, got number"));
    assert_non_null(
        strstr(refusals, "users/u4: the sink: table \"users\": property id is not the key (other)"));
    assert_string_equal(
        ask("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%(\"name\")'"), "1\n");
    drive_put(&d, "users", "u1", "{\"id\":\"u1\",\"name\":\"B\",\"age\":null}");
    drive_delete(&d, "users", "u2");
    commit(&d);
    assert_string_equal(ask("SELECT * FROM users"), "u1|NULL|NULL|B|NULL|NULL\n");
    assert_true(drive_free(&d));
    schema_free(schema);
}

static void try_schema(struct drive *d, struct schema *schema, const char *value, const char *mistake) {
    d->schema = schema;
    open_with(d, "layout", "columns");
    drive_put(d, "users", "u1", value);
    bool committed = drive_flush(d);
    if (mistake) {
        assert_false(committed);
        assert_said(&d->error, mistake);
    } else if (!committed) {
        fail_msg("%s", d->error.message);
    }
    drive_close(d);
    schema_free(schema);
}

static void a_changed_schema_adds_columns(void **state) {
    (void)state;
    struct drive d;
    begin(&d);
    try_schema(&d, make_schema(false, SCHEMA_INTEGER, false), "{\"id\":\"u1\",\"name\":\"a\",\"age\":1}",
               NULL);
    try_schema(&d, make_schema(true, SCHEMA_INTEGER, true),
               "{\"id\":\"u1\",\"name\":\"a\",\"age\":1,\"na\\\"me\":\"\"}",
               "column \"na\"me\" is missing, and cannot be added");
    try_schema(&d, make_schema(true, SCHEMA_INTEGER, false),
               "{\"id\":\"u1\",\"name\":\"b\",\"age\":2,\"na\\\"me\":\"q\"}", NULL);
    assert_string_equal(ask("SELECT name, age, \"na\"\"me\" FROM users"), "b|2|q\n");
    try_schema(&d, make_schema(true, SCHEMA_STRING, false), "{\"id\":\"u1\",\"name\":\"c\",\"age\":\"3\"}",
               "column \"age\" has another type, expected TEXT");
    d.schema = NULL;
    open_json(&d);
    drive_put(&d, "users", "u1", "{}");
    assert_false(drive_flush(&d));
    assert_said(&d.error, "column \"name\" is NOT NULL without a default, but nothing fills it");
    drive_close(&d);
    assert_string_equal(ask("SELECT name, age FROM users"), "b|2\n");
    assert_true(drive_free(&d));
}

/* Comparing */

static void a_file_is_compared_and_repaired(void **state) {
    (void)state;
    struct drive d;
    struct store *store = store_new(1 << 20);
    begin(&d);
    open_json(&d);
    for (unsigned i = 0; i < 300; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "k%u", i);
        drive_put_both(&d, store, "users", key, "{\"a\":1}");
    }
    drive_put_both(&d, store, "rooms", "r", "1");
    commit(&d);
    assert_true(drive_verify(&d, store, false));
    assert_int_equal(d.rows, 301);
    assert_string_equal(drive_text(&d.differences), "");
    ask("DELETE FROM users WHERE id = 'k7'; UPDATE users SET data = '{\"a\": 1}' WHERE id = 'k8';"
        "INSERT INTO users VALUES ('k9x', '1', ''); DROP TABLE rooms");
    assert_true(drive_verify(&d, store, false));
    assert_string_equal(drive_text(&d.differences),
                        "missing rooms/r\nmissing users/k7\nother users/k8\nextra users/k9x\n");
    ask("UPDATE users SET data = '' WHERE id < 'k2'");
    assert_true(drive_verify(&d, store, true));
    assert_true(drive_verify(&d, store, false));
    assert_string_equal(drive_text(&d.differences), "");
    assert_string_equal(ask("SELECT count(*) FROM users UNION ALL SELECT count(*) FROM rooms"), "300\n1\n");
    /* It goes on as before. */
    drive_put(&d, "rooms", "r2", "1");
    commit(&d);
    drive_close(&d);
    d.read_only = true;
    open_json(&d);
    assert_true(d.has_place);
    assert_true(drive_verify(&d, store, false));
    assert_string_equal(drive_text(&d.differences), "extra rooms/r2\n");
    assert_string_equal(ask("SELECT epoch FROM _sync_state"), "1\n");
    store_free(store);
    assert_true(drive_free(&d));
}

static void columns_are_compared(void **state) {
    (void)state;
    struct drive d;
    struct store *store = store_new(1 << 20);
    struct schema *schema = make_schema(false, SCHEMA_INTEGER, false);
    static const char value[] =
        "{\"id\":\"u1\",\"name\":\"A\\nda\",\"age\":3,\"done\":true,\"tags\":[1, 2],\"rate\":2}";
    begin(&d);
    d.schema = schema;
    open_with(&d, "layout", "columns");
    drive_put_both(&d, store, "users", "u1", value);
    drive_apply(store, EVENT_UPSERT, SLICE("users"), SLICE("u2"),
                SLICE("{\"id\":\"u2\",\"name\":\"\",\"age\":null}"));
    commit(&d);
    assert_true(drive_verify(&d, store, true));
    assert_string_equal(drive_text(&d.differences), "missing users/u2\n");
    static const char *const changes[] = {"name = 'x'", "age = NULL", "done = 0", "tags = '[1,2]'",
                                          "rate = 2.5"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "UPDATE users SET %s WHERE id = 'u1'", changes[i]);
        assert_string_equal(ask(sql), "");
        assert_true(drive_verify(&d, store, true));
        assert_string_equal(drive_text(&d.differences), "other users/u1\n");
    }
    assert_true(drive_verify(&d, store, false));
    assert_string_equal(drive_text(&d.differences), "");
    store_free(store);
    assert_true(drive_free(&d));
    schema_free(schema);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rows_and_place_are_stored),      TEST(a_reset_clears_what_is_the_streams),
        TEST(hostile_names_break_nothing),    TEST(what_is_no_text_is_refused),
        TEST(rows_that_the_database_refuses), TEST(a_newer_worker_takes_over),
        TEST(foreign_tables_are_left_alone),  TEST(dropped_and_altered_tables_stop_it),
        TEST(a_lock_is_waited_for),           TEST(a_full_disk_is_waited_for),
        TEST(a_file_that_goes_stops_it),      TEST(files_that_cannot_be_opened),
        TEST(closing_gives_up_a_commit),      TEST(columns_are_typed),
        TEST(a_changed_schema_adds_columns),  TEST(a_file_is_compared_and_repaired),
        TEST(columns_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
