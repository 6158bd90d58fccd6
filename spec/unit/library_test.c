/* The public interface, as a program that links libweir uses it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir.h"

static char folder[] = "/tmp/weir-library-XXXXXX";

static const char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    remove(path_of("events.jsonl"));
    remove(path_of("script.lua"));
    return rmdir(folder);
}

static void write_script(const char *body) {
    char script[1024];
    snprintf(script, sizeof script,
             "local weir = require 'weir'\n"
             "local stream = weir.stream { url = '%s/events.jsonl', name = 'events', live = false }\n%s\n",
             folder, body);
    write_file("script.lua", script);
}

static int collect(void *user, const weir_entity *entity) {
    char *text = user;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s %.*s/%.*s=%.*s;", entity->stream, (int)entity->type_len,
             entity->type, (int)entity->key_len, entity->key, (int)entity->value_len, entity->value);
    return 1;
}

static int stop_at_once(void *user, const weir_entity *entity) {
    (void)entity;
    ++*(int *)user;
    return 0;
}

static void test_runs_a_script_and_shows_its_state(void **state) {
    (void)state;
    weir_error error;
    char text[256] = "";
    int seen = 0;
    write_file("events.jsonl",
               "{\"type\":\"b\",\"key\":\"2\",\"value\":1.10,\"headers\":{\"operation\":\"insert\"}}\n"
               "{\"type\":\"a\",\"key\":\"1\",\"value\":[],\"headers\":{\"operation\":\"insert\"}}\n");
    write_script("stream:onChange(function(state, event) assert(state:has(event.type, event.key)) end)");
    weir_worker *worker = weir_worker_new(NULL, &error);
    assert_non_null(worker);
    assert_true(weir_worker_load(worker, path_of("script.lua"), &error));
    assert_true(weir_worker_run(worker, &error));
    assert_true(weir_worker_each(worker, collect, text));
    assert_string_equal(text, "events a/1=[];events b/2=1.10;");
    assert_false(weir_worker_each(worker, stop_at_once, &seen));
    assert_int_equal(seen, 1);
    weir_worker_free(worker);
}

static void test_names_what_went_wrong(void **state) {
    (void)state;
    weir_error error;
    write_file("events.jsonl", "nonsense\n");
    write_script("");
    weir_worker *worker = weir_worker_new(NULL, &error);
    assert_true(weir_worker_load(worker, path_of("script.lua"), &error));
    assert_false(weir_worker_run(worker, &error));
    assert_non_null(strstr(error.message, "events.jsonl: line 1"));
    weir_worker_free(worker);

    write_file("script.lua", "this is no Lua");
    worker = weir_worker_new(NULL, &error);
    assert_false(weir_worker_load(worker, path_of("script.lua"), &error));
    assert_string_equal(error.code, "script");
    assert_non_null(strstr(error.message, "script.lua:1:"));
    weir_worker_free(worker);

    weir_options options = {.config_file = "/there/is/no/such.json"};
    assert_null(weir_worker_new(&options, &error));
    assert_string_equal(error.code, "system");
}

static void *interrupt_later(void *worker) {
    weir_worker_interrupt(worker);
    return NULL;
}

static void test_is_interrupted_from_another_thread(void **state) {
    (void)state;
    weir_error error;
    pthread_t thread;
    write_file("script.lua", "local weir = require 'weir'\nweir.every(3600, function() end)\n");
    weir_worker *worker = weir_worker_new(NULL, &error);
    assert_true(weir_worker_load(worker, path_of("script.lua"), &error));
    pthread_create(&thread, NULL, interrupt_later, worker);
    assert_false(weir_worker_run(worker, &error));
    pthread_join(thread, NULL);
    assert_string_equal(error.code, "interrupted");
    weir_worker_free(worker);
}

static void *run_one(void *result) {
    weir_error error;
    weir_worker *worker = weir_worker_new(NULL, &error);
    int ok = worker && weir_worker_load(worker, path_of("script.lua"), &error) &&
             weir_worker_run(worker, &error);
    weir_worker_free(worker);
    *(int *)result = ok;
    return NULL;
}

static void test_workers_run_beside_each_other(void **state) {
    (void)state;
    enum { COUNT = 4 };
    pthread_t threads[COUNT];
    int ok[COUNT] = {0};
    write_file("events.jsonl",
               "{\"type\":\"a\",\"key\":\"1\",\"value\":1,\"headers\":{\"operation\":\"insert\"}}\n");
    write_script("stream:onChange(function() weir.sleep(0.01) end)");
    path_of("script.lua");
    for (int i = 0; i < COUNT; i++) {
        pthread_create(&threads[i], NULL, run_one, &ok[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_true(ok[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_a_script_and_shows_its_state),
        cmocka_unit_test(test_names_what_went_wrong),
        cmocka_unit_test(test_is_interrupted_from_another_thread),
        cmocka_unit_test(test_workers_run_beside_each_other),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
