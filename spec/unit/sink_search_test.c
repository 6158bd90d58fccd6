/* The sink "search" against a server that does what the documentation of Elasticsearch and of Typesense says
 * (spec/support/search.mjs). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "sink/search_name.h"
#include "sink/search_same.h"
#include "sink_seeded.h"
#include "json/read.h"
#include "json/text.h"

#define STREAM "http://h/v1/stream/{s}?x=1"

static const char *const dialects[] = {"elasticsearch", "typesense"};

struct server {
    char folder[DRIVE_PATH];
    char url[64];
    pid_t pid;
};

/* False: there is no node. */
static bool server_start(struct server *s, const char *key) {
    char parent[16];
    char out[120];
    drive_folder(s->folder);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(out, sizeof out, "%s/out", s->folder);
    s->pid = fork();
    if (s->pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        dup2(fd, STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int other = 3; other < 64; other++) {
            close(other);
        }
        execlp("node", "node", UNIT_SPEC "/support/search.mjs", "--parent", parent, key ? "--key" : NULL, key,
               NULL);
        _exit(127);
    }
    for (int i = 0; i < 6000; i++) {
        FILE *file = fopen(out, "r");
        bool ok = file && fscanf(file, "listening %63s", s->url) == 1;
        if (file) {
            fclose(file);
        }
        if (ok) {
            return true;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            return false;
        }
        drive_pause(10);
    }
    return false;
}

static void server_stop(struct server *s) {
    drive_kill(s->pid, SIGKILL);
    drive_remove(s->folder);
}

struct asking {
    struct buf answer;
    bool done;
    int status;
};

static void on_body(void *user, const char *ptr, size_t len) {
    struct asking *a = user;
    buf_append(&a->answer, ptr, len);
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    struct asking *a = user;
    a->done = true;
    a->status = e->code == ERROR_NONE ? response->status : 0;
}

static bool is_done(void *arg) {
    return ((struct asking *)arg)->done;
}

/* One request of the test's own: the answer, to be freed. */
static char *ask(struct drive *d, const struct server *s, const char *method, const char *path,
                 struct slice body) {
    struct asking a = {0};
    char url[256];
    struct error e;
    static const struct http_field fields[] = {{SLICE_INIT("Content-Type"), SLICE_INIT("application/json")}};
    buf_init(&a.answer, 64 << 20);
    snprintf(url, sizeof url, "%s%s", s->url, path);
    struct http_options options = {.method = method,
                                   .url = url,
                                   .fields = fields,
                                   .field_count = 1,
                                   .body = body,
                                   .on_body = on_body,
                                   .on_done = on_done,
                                   .user = &a};
    assert_non_null(http_start(d->http, &options, &e));
    assert_true(loop_run_until(d->loop, is_done, &a));
    assert_int_equal(a.status, 200);
    assert_true(buf_append_byte(&a.answer, '\0'));
    return a.answer.ptr;
}

static void order(struct drive *d, const struct server *s, const char *path, const char *body) {
    free(ask(d, s, "POST", path, slice_from(body)));
}

/* The documents that a state is, as JSON. */
static void put_expected(struct buf *out, const struct store *store, bool is_typesense) {
    size_t type_count;
    struct error e;
    struct slice *types = store_types(store, &type_count);
    buf_append_byte(out, '{');
    for (size_t t = 0; t < type_count; t++) {
        size_t count;
        struct store_row *rows = store_rows(store, types[t], &count);
        buf_append_text(out, t ? ",\"" : "\"");
        assert_true(search_name_type(out, "p-", types[t]));
        buf_append_text(out, "\":{");
        for (size_t i = 0; i < count; i++) {
            struct slice value = json_trim(rows[i].value);
            struct buf id;
            buf_init(&id, 1 << 20);
            if (is_typesense) {
                search_name_id(&id, rows[i].key);
            } else {
                buf_append_slice(&id, rows[i].key);
            }
            buf_append_text(out, i ? "," : "");
            assert_true(json_quote(out, buf_slice(&id), &e));
            buf_append_byte(out, ':');
            if (is_typesense) { /* its own id is the last: that one counts */
                buf_append(out, value.ptr, value.len - 1);
                buf_append_text(out, ",\"id\":");
                assert_true(json_quote(out, buf_slice(&id), &e));
                buf_append_byte(out, '}');
            } else {
                buf_append_slice(out, value);
            }
            buf_free(&id);
        }
        buf_append_byte(out, '}');
        free(rows);
    }
    buf_append_byte(out, '}');
    free(types);
}

static void expect_equal(struct drive *d, const struct server *s, bool is_typesense, uint64_t seed,
                         uint64_t count) {
    struct store *store = drive_state(seed, count);
    struct buf body;
    buf_init(&body, 64 << 20);
    put_expected(&body, store, is_typesense);
    char *answer = ask(d, s, "POST", "/_test/equals", buf_slice(&body));
    if (strcmp(answer, "{\"differences\":[]}") != 0) {
        fail_msg("%.1500s", answer);
    }
    free(answer);
    buf_free(&body);
    store_free(store);
}

static void begin(struct drive *d, const struct server *s, const char *dialect) {
    drive_init(d, STREAM);
    drive_set(d, "url", s->url);
    drive_set(d, "dialect", dialect);
    drive_set(d, "prefix", "p-");
}

static void must(struct drive *d, bool ok) {
    if (!ok) {
        fail_msg("%s", d->error.message);
    }
}

static void row(struct sink_batch *batch, const char *type, const char *key, const char *value,
                uint64_t sequence) {
    drive_row(batch, NULL, value ? SINK_PUT : SINK_DELETE, slice_from(type), slice_from(key),
              slice_from(value ? value : ""), sequence);
    struct sink_place place = {.offset = (char *)"o", .sequence = sequence + 1};
    sink_batch_reach(batch, &place);
}

/* ---- names ---- */

static void expect_name(const char *type, const char *start) {
    struct buf out;
    buf_init(&out, 1000);
    assert_true(search_name_type(&out, "", slice_from(type)));
    assert_true(out.len >= strlen(start));
    assert_memory_equal(out.ptr, start, strlen(start));
    bool is_hashed = start[strlen(start) - 1] == '-';
    assert_int_equal(out.len, strlen(start) + (is_hashed ? 32 : 0));
    buf_free(&out);
}

static void test_names(void **state) {
    (void)state;
    char value[300];
    memset(value, 'a', sizeof value);
    value[299] = '\0';
    expect_name("users", "users");
    expect_name("a.b-c_9", "a.b-c_9");
    expect_name("Users", "users--");
    expect_name("users--1", "users_1--");
    expect_name("_all", "all--");
    expect_name("..", "x--");
    expect_name("", "x--");
    expect_name("a,b*?c", "a_b_c--");
    expect_name("weir-sync-state", "weir_sync_state--");
    expect_name(value, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa--");
    assert_true(search_name_prefix("") && search_name_prefix("app-1_"));
    assert_false(search_name_prefix("_a") || search_name_prefix("a--b") || search_name_prefix("A"));
    struct buf id;
    struct buf back;
    buf_init(&id, 1000);
    buf_init(&back, 1000);
    assert_true(search_name_id(&id, SLICE("a/~b\xc3\xbc.-_Z")));
    assert_true(slice_is(buf_slice(&id), "a~2F~7Eb~C3~BC.-_Z"));
    assert_true(search_name_key(&back, buf_slice(&id)));
    assert_true(slice_is(buf_slice(&back), "a/~b\xc3\xbc.-_Z"));
    buf_free(&id);
    buf_free(&back);
}

/* ---- both dialects ---- */

static void test_stores(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        if (!server_start(&s, "geheim")) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        assert_false(drive_open(&d, "search"));
        drive_expect(&d, ERROR_ARGUMENT, "apiKey");
        drive_close(&d);
        drive_set(&d, "apiKey", "geheim");
        must(&d, drive_open(&d, "search"));
        assert_false(d.has_place);
        assert_int_equal(d.sink->epoch, 1);
        drive_close(&d);
        must(&d, drive_run(&d, "search", 21, 20));
        assert_int_equal(d.sink->epoch, 2);
        drive_close(&d);
        must(&d, drive_run(&d, "search", 21, 30));
        expect_equal(&d, &s, i == 1, 21, 30);
        drive_close(&d);
        d.read_only = true;
        must(&d, drive_open(&d, "search"));
        assert_int_equal(d.place.sequence, 30 * DRIVE_ROWS);
        assert_int_equal(d.place.skip, 29 % 3);
        assert_string_equal(d.place.offset, "off-29");
        assert_string_equal(d.place.notes, "{\"note\":29}");
        assert_int_equal(d.sink->epoch, 3);
        assert_true(drive_free(&d));
        server_stop(&s);
    }
}

/* Every kind of fault, again and again: nothing is missing, nothing is left over. */
static void test_endures_faults(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        order(&d, &s, "/_test/chaos", "{\"seed\":5,\"rate\":0.12}");
        must(&d, drive_run(&d, "search", 22, 25));
        order(&d, &s, "/_test/chaos", "null");
        expect_equal(&d, &s, i == 1, 22, 25);
        assert_true(drive_free(&d));
        server_stop(&s);
    }
}

static pid_t spawn_worker(const struct server *s, const char *dialect, uint64_t seed, uint64_t count) {
    pid_t pid = fork();
    if (pid == 0) {
        struct drive d;
        begin(&d, s, dialect);
        bool ok = drive_run(&d, "search", seed, count);
        if (!ok) {
            fprintf(stderr, "worker: %s\n", d.error.message);
        }
        _exit(ok ? 0 : 1);
    }
    return pid;
}

static void test_kills(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        uint64_t random = 17 + i;
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        for (unsigned k = 0; k < drive_kills(8); k++) {
            int status;
            pid_t pid = spawn_worker(&s, dialects[i], 23, 2000);
            drive_pause(20 + (unsigned)(drive_random(&random) % 60));
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        }
        must(&d, drive_open(&d, "search"));
        uint64_t count = (d.has_place ? d.place.sequence / DRIVE_ROWS : 0) + 5;
        drive_close(&d);
        must(&d, drive_run(&d, "search", 23, count));
        expect_equal(&d, &s, i == 1, 23, count);
        assert_true(drive_free(&d));
        server_stop(&s);
    }
}

static void test_fences(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive a;
        struct drive b;
        struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&a, &s, dialects[i]);
        begin(&b, &s, dialects[i]);
        must(&a, drive_open(&a, "search"));
        row(batch, "t", "k", "{\"v\":1}", 0);
        must(&a, drive_commit(&a, batch));
        must(&b, drive_open(&b, "search"));
        sink_batch_clear(batch);
        row(batch, "t", "k", "{\"v\":2}", 1);
        assert_false(drive_commit(&a, batch));
        drive_expect(&a, ERROR_CONFLICT, "another worker has taken over stream " STREAM);
        char *dump = ask(&a, &s, "GET", "/_test/dump", slice_of(NULL, 0));
        assert_non_null(strstr(dump, "\"v\":1"));
        free(dump);
        must(&b, drive_commit(&b, batch));
        assert_true(drive_free(&a));
        assert_true(drive_free(&b));
        sink_batch_free(batch);
        server_stop(&s);
    }
}

/* One row that does not fit: the host decides, the others are stored. */
static void test_refuses_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        char key[600];
        struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
        memset(key, 'k', sizeof key);
        key[599] = '\0';
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        must(&d, drive_open(&d, "search"));
        row(batch, "t", "a", "{\"v\":1}", 0);
        row(batch, "t", "b", "{\"v\":{}}", 1);
        row(batch, "t", key, "{\"v\":3}", 2);
        row(batch, "t", "", "{\"v\":4}", 3);
        row(batch, "t", "c", "5", 4);
        must(&d, drive_commit(&d, batch));
        assert_int_equal(d.refused, 3);
        char *dump = ask(&d, &s, "GET", "/_test/dump", slice_of(NULL, 0));
        assert_non_null(strstr(dump, "\"value\":5"));
        assert_null(strstr(dump, "{}"));
        free(dump);
        d.pass_refused = false;
        sink_batch_clear(batch);
        row(batch, "t", "b", "{\"v\":{}}", 5);
        assert_false(drive_commit(&d, batch));
        drive_expect(&d, ERROR_SCHEMA, "does not take t/b");
        assert_true(drive_free(&d));
        sink_batch_free(batch);
        server_stop(&s);
    }
}

/* Values of every size, in requests of a bounded one. */
static void test_bounds_requests(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
        char *value = malloc(1 << 20);
        if (!server_start(&s, NULL)) {
            skip();
        }
        memset(value, 'x', 1 << 20);
        memcpy(value, "{\"s\":\"", 6);
        memcpy(value + (1 << 20) - 3, "\"}", 3);
        begin(&d, &s, dialects[i]);
        must(&d, drive_open(&d, "search"));
        for (unsigned k = 0; k < 3000; k++) {
            char key[16];
            snprintf(key, sizeof key, "%u", k);
            row(batch, "t", key, k % 300 == 5 ? value : "{\"s\":\"\"}", k);
        }
        order(&d, &s, "/_test/faults", "[{\"match\":\"bulk|import\",\"status\":413,\"skip\":1}]");
        must(&d, drive_commit(&d, batch));
        char *requests = ask(&d, &s, "GET", "/_test/requests", slice_of(NULL, 0));
        unsigned count = 0;
        for (const char *at = requests; (at = strstr(at, i ? "/import" : "/_bulk")); at++) {
            count++;
        }
        assert_in_range(count, 6, 9);
        free(requests);
        free(value);
        assert_true(drive_free(&d));
        sink_batch_free(batch);
        server_stop(&s);
    }
}

/* What is there already and somebody else's, and what is removed behind the worker's back. */
static void test_names_what_others_did(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        must(&d, drive_open(&d, "search"));
        if (i == 0) {
            free(ask(&d, &s, "PUT", "/p-t--1", SLICE("{\"aliases\":{\"p-t\":{}}}")));
        }
        row(batch, i == 0 ? "t" : "weir", "k", "{\"v\":1}", 0);
        if (i == 0) {
            assert_false(drive_commit(&d, batch));
            drive_expect(&d, ERROR_ARGUMENT, "is there already");
            free(ask(&d, &s, "DELETE", "/_test/index/p-t--1", slice_of(NULL, 0)));
            drive_close(&d);
            must(&d, drive_open(&d, "search"));
        }
        must(&d, drive_commit(&d, batch));
        free(
            ask(&d, &s, "DELETE", i == 0 ? "/_test/index/p-t--1" : "/_test/index/p-weir", slice_of(NULL, 0)));
        sink_batch_clear(batch);
        row(batch, i == 0 ? "t" : "weir", "l", "{\"v\":1}", 1);
        assert_false(drive_commit(&d, batch));
        drive_expect(&d, ERROR_GONE, "was removed behind the worker's back");
        drive_close(&d);
        must(&d, drive_open(&d, "search"));
        free(ask(&d, &s, "DELETE", "/_test/index/p-weir-sync-state", slice_of(NULL, 0)));
        assert_false(drive_commit(&d, batch));
        drive_expect(&d, ERROR_GONE, "its place is no longer there");
        assert_true(drive_free(&d));
        sink_batch_free(batch);
        server_stop(&s);
    }
}

/* What somebody has changed is found, and put right. */
static void test_verifies(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct server s;
        struct drive d;
        struct store *store = drive_state(24, 30);
        if (!server_start(&s, NULL)) {
            skip();
        }
        begin(&d, &s, dialects[i]);
        must(&d, drive_run(&d, "search", 24, 30));
        must(&d, drive_verify(&d, store, false));
        assert_int_equal(d.missing + d.extra + d.other, 0);
        assert_int_equal(d.rows, store_count(store, slice_of(NULL, 0)));
        struct store_row row;
        size_t cursor = 0;
        assert_true(store_next(store, SLICE("users"), &cursor, &row));
        struct buf order_;
        struct error e;
        buf_init(&order_, 10000);
        buf_append_text(&order_, "{\"name\":\"p-users\",\"document\":null,\"id\":");
        struct buf id;
        buf_init(&id, 10000);
        assert_true(i ? search_name_id(&id, row.key) : buf_append_slice(&id, row.key));
        assert_true(json_quote(&order_, buf_slice(&id), &e) && buf_append_text(&order_, "}"));
        free(ask(&d, &s, "POST", "/_test/change", buf_slice(&order_)));
        order(&d, &s, "/_test/change",
              "{\"name\":\"p-users\",\"id\":\"more\",\"document\":{\"id\":\"more\",\"weir_version\":1}}");
        free(
            ask(&d, &s, "DELETE", i ? "/_test/index/p-types" : "/_test/index/p-types--1", slice_of(NULL, 0)));
        size_t lost = store_count(store, SLICE("types"));
        assert_true(lost > 0);
        for (int repair = 0; repair < 2; repair++) {
            must(&d, drive_verify(&d, store, repair));
            assert_int_equal(d.missing, 1 + lost);
            assert_int_equal(d.extra, 1);
            assert_int_equal(d.other, 0);
        }
        must(&d, drive_verify(&d, store, false));
        assert_int_equal(d.missing + d.extra + d.other, 0);
        expect_equal(&d, &s, i == 1, 24, 30);
        assert_true(drive_free(&d));
        buf_free(&order_);
        buf_free(&id);
        store_free(store);
        server_stop(&s);
    }
}

static void expect_same(const char *a, const char *b, bool same) {
    assert_int_equal(search_same(slice_from(a), slice_from(b)), same);
    assert_int_equal(search_same(slice_from(b), slice_from(a)), same);
}

static void test_same(void **state) {
    (void)state;
    expect_same("{\"a\":1.0,\"b\":[null,true]}", "{\"b\":[null,true],\"a\":1}", true);
    expect_same("\"\\u00e4\"", "\"\xc3\xa4\"", true);
    expect_same("{\"a\":1}", "{\"a\":1,\"b\":1}", false);
    expect_same("[1,2]", "[1]", false);
    expect_same("[]", "{}", false);
    expect_same("1", "2", false);
    expect_same("true", "false", false);
    expect_same("\"a\"", "\"b\"", false);
    assert_true(search_same_document(SLICE("{\"weir_version\":1,\"value\":[1]}"), SLICE(" [1.0]"), false));
    assert_true(search_same_document(SLICE("{\"id\":\"k\",\"a\":1}"), SLICE("{\"id\":7,\"a\":1}"), true));
    assert_false(search_same_document(SLICE("{\"id\":\"k\",\"a\":1}"), SLICE("{\"id\":7,\"a\":1}"), false));
    assert_false(search_same_document(SLICE("{\"value\":1,\"b\":2}"), SLICE("1"), false));
}

static void test_waits_for_so_long(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    if (!server_start(&s, NULL)) {
        skip();
    }
    begin(&d, &s, "elasticsearch");
    d.outage_limit_ms = 200;
    order(&d, &s, "/_test/faults", "[{\"match\":\".\",\"status\":503,\"count\":1000}]");
    assert_false(drive_open(&d, "search"));
    drive_expect(&d, ERROR_HTTP, "gave up after");
    assert_true(drive_free(&d));
    server_stop(&s);
}

static void test_settings(void **state) {
    (void)state;
    static const char *const wrong[][4] = {
        {"ftp://h", "elasticsearch", "", "url: expected"},
        {"http://h?x=1", "elasticsearch", "", "url: expected"},
        {"http://h", "solr", "", "dialect: expected"},
        {"http://h", "typesense", "a/b", "prefix: expected"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct drive d;
        drive_init(&d, STREAM);
        drive_set(&d, "url", wrong[i][0]);
        drive_set(&d, "dialect", wrong[i][1]);
        drive_set(&d, "prefix", wrong[i][2]);
        assert_false(drive_start(&d, "search"));
        drive_expect(&d, ERROR_ARGUMENT, wrong[i][3]);
        assert_true(drive_free(&d));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_endures_faults),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_refuses_rows),
        cmocka_unit_test(test_bounds_requests),
        cmocka_unit_test(test_names_what_others_did),
        cmocka_unit_test(test_verifies),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_waits_for_so_long),
        cmocka_unit_test(test_settings),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
