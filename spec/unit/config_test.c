/* worker/config: what a file, the environment and the command line say, and which of them wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/config.h"

struct fixture {
    char dir[40], path[64], secret[64];
    struct config *config;
};

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void unset_all(void) {
    static const char *const names[] = {"WEIR_LOG",        "WEIR_LOG_FORMAT", "WEIR_HANDLER_LIMIT",
                                        "WEIR_SOURCE",     "WEIR_DATA",       "WEIR_SNAPSHOT_EVERY",
                                        "WEIR_TEST_NAME_A"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsetenv(names[i]);
    }
}

static int open_fixture(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->dir, "/tmp/weir-config-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/config.json", f->dir);
    snprintf(f->secret, sizeof f->secret, "%s/secret", f->dir);
    f->config = config_new();
    assert_non_null(f->config);
    unset_all();
    *state = f;
    return 0;
}

static int close_fixture(void **state) {
    struct fixture *f = *state;
    unset_all();
    config_free(f->config);
    unlink(f->path);
    unlink(f->secret);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void read_text(struct fixture *f, const char *text) {
    struct error e = {0};
    put(f->path, text);
    if (!config_read_file(f->config, f->path, &e)) {
        fail_msg("%s", e.message);
    }
}

/* What config_stream answers, and that it says where from. */
static const char *options_of(struct fixture *f, const char *name) {
    const char *origin = NULL;
    const char *options = config_stream(f->config, name, &origin);
    assert_true(!options || origin);
    return options;
}

static void has_defaults(void **state) {
    struct fixture *f = *state;
    struct error e;
    assert_true(config_read_environment(f->config, &e));
    read_text(f, " {} ");
    assert_null(config_source(f->config));
    assert_null(config_setting(f->config, "WEIR_TEST_NAME_A"));
    assert_null(options_of(f, "s"));
    assert_int_equal(config_log_level(f->config), LOG_INFO);
    assert_false(config_log_json(f->config));
    assert_int_equal(config_handler_limit(f->config), 60000);
    assert_null(config_data(f->config));
    assert_int_equal(config_snapshot_every(f->config), 60000);
    config_free(NULL);
}

static void later_places_win(void **state) {
    struct fixture *f = *state;
    struct error e;
    /* --set comes before the file here: the order of reading does not matter */
    assert_true(config_set(f->config, "B=from=the=line", &e));
    assert_true(config_set(f->config, "C=", &e));
    read_text(f, "{\"settings\":{\"WEIR_TEST_NAME_A\":\"file\",\"B\":\"file\",\"C\":\"file\",\"D\":\"file\"},"
                 "\"log\":{\"level\":\"error\",\"format\":\"json\"},\"limits\":{\"handler\":\"5s\"},\"data\":"
                 "\"file\",\"snapshotEvery\":\"3s\"}");
    assert_string_equal(config_setting(f->config, "WEIR_TEST_NAME_A"), "file");
    setenv("WEIR_TEST_NAME_A", "environment", 1);
    assert_string_equal(config_setting(f->config, "WEIR_TEST_NAME_A"), "environment");
    assert_true(config_set(f->config, "WEIR_TEST_NAME_A=line", &e));
    assert_string_equal(config_setting(f->config, "WEIR_TEST_NAME_A"), "line");
    assert_string_equal(config_setting(f->config, "B"), "from=the=line");
    assert_string_equal(config_setting(f->config, "C"), "");
    assert_string_equal(config_setting(f->config, "D"), "file");
    assert_int_equal(config_log_level(f->config), LOG_ERROR);
    assert_true(config_log_json(f->config));
    assert_int_equal(config_handler_limit(f->config), 5000);
    assert_string_equal(config_data(f->config), "file");
    assert_int_equal(config_snapshot_every(f->config), 3000);
    setenv("WEIR_LOG", "debug", 1);
    setenv("WEIR_LOG_FORMAT", "text", 1);
    setenv("WEIR_HANDLER_LIMIT", "1m", 1);
    setenv("WEIR_SOURCE", "events.json", 1);
    setenv("WEIR_DATA", "environment", 1);
    setenv("WEIR_SNAPSHOT_EVERY", "2s", 1);
    assert_true(config_read_environment(f->config, &e));
    assert_int_equal(config_log_level(f->config), LOG_DEBUG);
    assert_false(config_log_json(f->config));
    assert_int_equal(config_handler_limit(f->config), 60000);
    assert_string_equal(config_source(f->config), "events.json");
    assert_true(config_set_source(f->config, "-", &e));
    assert_string_equal(config_source(f->config), "-");
    assert_string_equal(config_data(f->config), "environment");
    assert_int_equal(config_snapshot_every(f->config), 2000);
    assert_true(config_set_data(f->config, "line", &e));
    assert_true(config_set_snapshot_every(f->config, "0s", &e));
    assert_string_equal(config_data(f->config), "line");
    assert_int_equal(config_snapshot_every(f->config), 0);
    config_forget_data(f->config);
    assert_null(config_data(f->config));
}

static void knows_which_settings_nobody_asks_for(void **state) {
    struct fixture *f = *state;
    struct error e;
    const char *origin;
    char wishes[64];
    read_text(f, "{\"settings\":{\"A\":\"file\",\"B\":\"file\"}}");
    assert_true(config_set(f->config, "C=line", &e));
    config_wishes(f->config, wishes, sizeof wishes);
    assert_string_equal(wishes, "");
    assert_non_null(config_setting(f->config, "A"));
    assert_null(config_setting(f->config, "WEIR_TEST_NAME_A"));
    assert_string_equal(config_unused_setting(f->config, 0, &origin), "C");
    assert_string_equal(origin, "--set ");
    assert_string_equal(config_unused_setting(f->config, 1, &origin), "B");
    assert_string_equal(origin, "the configuration: settings.");
    assert_null(config_unused_setting(f->config, 2, &origin));
    config_wishes(f->config, wishes, sizeof wishes);
    assert_string_equal(wishes, "A, WEIR_TEST_NAME_A");
    for (int name = 'a'; name <= 'z'; name++) { /* what a script makes up is not kept without end */
        const char text[] = {(char)name, '\0'};
        assert_null(config_setting(f->config, text));
    }
    config_wishes(f->config, wishes, 8);
    assert_string_equal(wishes, "A, WEIR");
    assert_non_null(config_setting(f->config, "B"));
    assert_non_null(config_setting(f->config, "C"));
    assert_null(config_unused_setting(f->config, 0, &origin));
}

static void merges_the_options_of_a_stream(void **state) {
    struct fixture *f = *state;
    struct error e;
    read_text(f, "{\"streams\":{\"*\":{\"onInvalid\":\"skip\",\"live\":false},\"chat\":{\"live\":\"sse\","
                 "\"url\":\"u\"}}}");
    assert_string_equal(options_of(f, "other"), "{\"onInvalid\":\"skip\",\"live\":false}");
    assert_string_equal(options_of(f, "chat"), "{\"onInvalid\":\"skip\",\"live\":\"sse\",\"url\":\"u\"}");
    /* a second file lies on top of the first, stream by stream */
    read_text(f, "{\"streams\":{\"chat\":{\"url\":\"v\"}}}");
    assert_string_equal(options_of(f, "chat"), "{\"onInvalid\":\"skip\",\"live\":false,\"url\":\"v\"}");
    assert_true(config_set_source(f->config, "w", &e));
    assert_true(config_set_on_invalid(f->config, "stop", &e));
    assert_string_equal(options_of(f, "chat"), "{\"live\":false,\"url\":\"w\",\"onInvalid\":\"stop\"}");
}

static void says_where_options_come_from(void **state) {
    struct fixture *f = *state;
    struct error e;
    const char *origin = NULL;
    char expected[300];
    read_text(f, "{\"streams\":{\"chat\":{\"url\":\"u\"},\"typo\":{\"live\":false}}}");
    assert_non_null(config_stream(f->config, "chat", &origin));
    snprintf(expected, sizeof expected, "%s: streams.chat", f->path);
    assert_string_equal(origin, expected);
    assert_string_equal(config_unused_stream(f->config), "typo");
    assert_true(config_set_source(f->config, "w", &e));
    assert_string_equal(options_of(f, "other"), "{\"url\":\"w\"}");
    assert_non_null(config_stream(f->config, "other", &origin));
    assert_string_equal(origin, "the command line");
    config_forget_source(f->config);
    assert_null(options_of(f, "other"));
    assert_non_null(options_of(f, "typo"));
    assert_null(config_unused_stream(f->config));
}

static void takes_secrets_from_files(void **state) {
    struct fixture *f = *state;
    char text[300];
    put(f->secret, "Bearer x\ny\r\n\n");
    snprintf(text, sizeof text,
             "{\"streams\":{\"s\":{\"headers\":{\"A\":\"plain\",\"Authorization\":{\"file\":\"%s\"}}}}}",
             f->secret);
    read_text(f, text);
    assert_string_equal(options_of(f, "s"),
                        "{\"headers\":{\"A\":\"plain\",\"Authorization\":\"Bearer x\\ny\"}}");
}

/* %s stands for the file's path. */
static void names_what_is_wrong(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "%s: byte 1: expected a value, found nothing"},
        {"{\"log\":{]}", "%s: byte 9: expected a member name in double quotes, found ']'"},
        {"{} x", "%s: byte 4: "},
        {"[]", "%s: expected an object, got an array"},
        {"{\"stream\":{}}", "%s: unknown key stream: expected streams, settings, log, limits, data or "
                            "snapshotEvery"},
        {"{\"data\":{}}", "%s: data: expected a string, got an object"},
        {"{\"data\":\"\"}", "%s: data: expected the path of a folder, got nothing"},
        {"{\"snapshotEvery\":\"x\"}", "%s: snapshotEvery: expected a duration (500ms, 30s, 5m), got x"},
        {"{\"streams\":[]}", "%s: streams: expected an object, got an array"},
        {"{\"streams\":{\"s\":\"url\"}}",
         "%s: streams.s: expected an object of stream options, got a string"},
        {"{\"streams\":{\"s\":{\"headers\":{\"A\":{\"path\":\"x\"}}}}}",
         "%s: streams.s.headers.A: expected a string or {\"file\": \"PATH\"}"},
        {"{\"streams\":{\"s\":{\"headers\":{\"A\":{\"file\":\"/no/such\"}}}}}",
         "%s: streams.s.headers.A: /no/such: cannot open it: No such file or directory"},
        {"{\"settings\":{\"A\":1}}", "%s: settings.A: expected a string, got a number"},
        {"{\"log\":{\"level\":\"loud\"}}",
         "%s: log.level: expected debug, info, warn, error or off, got loud"},
        {"{\"log\":{\"level\":null}}", "%s: log.level: expected a string, got null"},
        {"{\"log\":{\"format\":\"xml\"}}", "%s: log.format: expected text or json, got xml"},
        {"{\"log\":{\"colour\":\"red\"}}", "%s: log.colour: unknown key: expected level or format"},
        {"{\"limits\":{\"handler\":\"60\"}}",
         "%s: limits.handler: expected a duration (500ms, 30s, 5m), got 60"},
        {"{\"limits\":{\"memory\":\"1MB\"}}", "%s: limits.memory: unknown key: expected handler"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[400];
        struct error e = {0};
        put(f->path, rows[i].text);
        assert_false(config_read_file(f->config, f->path, &e));
        snprintf(expected, sizeof expected, "%s%s", f->path, rows[i].message + 2);
        if (strncmp(e.message, expected, strlen(expected)) != 0) {
            fail_msg("%s\nexpected: %s\ngot:      %s", rows[i].text, expected, e.message);
        }
    }
    struct error e;
    assert_false(config_read_file(f->config, "/no/such", &e));
    assert_string_equal(e.message, "/no/such: cannot open it: No such file or directory");
    assert_false(config_read_file(f->config, f->dir, &e));
    assert_non_null(strstr(e.message, "Is a directory"));
    assert_false(config_set(f->config, "A", &e));
    assert_string_equal(e.message, "--set: expected NAME=VALUE, got A");
    assert_false(config_set(f->config, "=B", &e));
    setenv("WEIR_HANDLER_LIMIT", "soon", 1);
    assert_false(config_read_environment(f->config, &e));
    assert_string_equal(e.message, "WEIR_HANDLER_LIMIT: expected a duration (500ms, 30s, 5m), got soon");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(has_defaults),
        TEST(later_places_win),
        TEST(knows_which_settings_nobody_asks_for),
        TEST(merges_the_options_of_a_stream),
        TEST(says_where_options_come_from),
        TEST(takes_secrets_from_files),
        TEST(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
