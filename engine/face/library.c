/* libweir: the public interface (weir.h) over the rooms. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "weir.h"
#include "worker/worker.h"

struct weir_worker {
    struct worker *worker;
    struct config *config;
    volatile sig_atomic_t interrupt;
};

const char *weir_version(void) {
    return WEIR_VERSION;
}

static int report(const struct error *e, weir_error *error) {
    if (error) {
        error->code = error_name(e->code);
        strncpy(error->message, e->message, sizeof error->message - 1);
        error->message[sizeof error->message - 1] = '\0';
    }
    return 0;
}

static bool configure(struct config *config, const weir_options *options, struct error *e) {
    return (!options || !options->config_file || config_read_file(config, options->config_file, e)) &&
           config_read_environment(config, e) &&
           (!options || !options->source || config_set_source(config, options->source, e));
}

weir_worker *weir_worker_new(const weir_options *options, weir_error *error) {
    struct error e;
    weir_worker *made = calloc(1, sizeof *made);
    struct config *config = config_new();
    if (!made || !config) {
        error_set(&e, ERROR_MEMORY, "out of memory");
        report(&e, error);
        free(made);
        config_free(config);
        return NULL;
    }
    made->config = config;
    struct worker_options inside = {
        .config = config, .once = options && options->once, .interrupt = &made->interrupt};
    if (configure(config, options, &e)) {
        made->worker = worker_new(&inside, &e);
    }
    if (!made->worker) {
        report(&e, error);
        weir_worker_free(made);
        return NULL;
    }
    return made;
}

int weir_worker_load(weir_worker *worker, const char *path, weir_error *error) {
    struct error e;
    return worker_load(worker->worker, path, &e) || report(&e, error);
}

int weir_worker_run(weir_worker *worker, weir_error *error) {
    struct error e;
    return worker_run(worker->worker, &e) || report(&e, error);
}

void weir_worker_interrupt(weir_worker *worker) {
    worker->interrupt = 1;
    worker_wake(worker->worker);
}

struct visitor {
    int (*visit)(void *user, const weir_entity *entity);
    void *user;
};

static int visit_type(const struct api_stream *stream, struct slice type, const struct visitor *visitor) {
    size_t count;
    int go_on = 1;
    uint32_t *order = store_order(stream->store, type, &count);
    for (size_t i = 0; order && go_on && i < count; i++) {
        struct store_row row;
        store_row(stream->store, order, count, i, &row);
        weir_entity entity = {
            .stream = stream->name,
            .type = type.ptr,
            .type_len = type.len,
            .key = row.key.ptr,
            .key_len = row.key.len,
            .value = row.value.ptr,
            .value_len = row.value.len,
        };
        go_on = visitor->visit(visitor->user, &entity);
    }
    go_on = order ? go_on : 0;
    free(order);
    return go_on;
}

int weir_worker_each(const weir_worker *worker, int (*visit)(void *user, const weir_entity *entity),
                     void *user) {
    struct visitor visitor = {visit, user};
    int go_on = 1;
    for (const struct api_stream *stream = worker_streams(worker->worker); stream && go_on;
         stream = stream->next) {
        size_t count;
        struct slice *types = store_types(stream->store, &count);
        go_on = types != NULL;
        for (size_t i = 0; go_on && i < count; i++) {
            go_on = visit_type(stream, types[i], &visitor);
        }
        free(types);
    }
    return go_on;
}

void weir_worker_free(weir_worker *worker) {
    if (worker) {
        worker_free(worker->worker, NULL);
        config_free(worker->config);
        free(worker);
    }
}
