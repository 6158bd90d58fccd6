#include "sink/sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/kinds.h"

/* Those whose library was not found are named all the same. */
static const struct {
    const char *name;
    const struct sink_kind *kind; /* NULL: its library was not there */
    const char *package;
} kinds[] = {
    {"stream", &sink_stream, NULL},
#ifdef WEIR_SINK_SQLITE
    {"sqlite", &sink_sqlite, NULL},
#else
    {"sqlite", NULL, "libsqlite3-dev"},
#endif
#ifdef WEIR_SINK_POSTGRES
    {"postgres", &sink_postgres, NULL},
#else
    {"postgres", NULL, "libpq-dev"},
#endif
#ifdef WEIR_SINK_MYSQL
    {"mysql", &sink_mysql, NULL},
#else
    {"mysql", NULL, "libmariadb-dev"},
#endif
#ifdef WEIR_SINK_REDIS
    {"redis", &sink_redis, NULL},
#else
    {"redis", NULL, "libhiredis-dev"},
#endif
    {"search", &sink_search, NULL},
};

const struct sink_kind *sink_kind_named(const char *name, struct error *e) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0) {
            continue;
        }
        if (!kinds[i].kind) {
            error_set(
                e, ERROR_ARGUMENT,
                "weir was built without the sink \"%s\", since its library was not there: install %s and "
                "build it again",
                name, kinds[i].package);
        }
        return kinds[i].kind;
    }
    error_set(e, ERROR_ARGUMENT, "there is no sink \"%s\"", name);
    return NULL;
}

void *sink_new(size_t size, const struct sink_kind *kind, const struct sink_options *options,
               struct error *e) {
    struct sink *sink = calloc(1, size);
    if (sink) {
        sink->kind = kind;
        sink->host = options->host;
        sink->stream = strdup(options->stream);
        sink->name = strdup(options->name);
        if (sink->stream && sink->name) {
            return sink;
        }
        sink_release(sink);
        free(sink);
    }
    error_set(e, ERROR_MEMORY, "%s: out of memory for a sink", options->name);
    return NULL;
}

void sink_release(struct sink *sink) {
    free(sink->stream);
    free(sink->name);
    sink->stream = sink->name = NULL;
}

const char *sink_setting(const struct sink_options *options, const char *name) {
    for (size_t i = 0; i < options->setting_count; i++) {
        if (strcmp(options->settings[i].name, name) == 0) {
            return options->settings[i].value;
        }
    }
    return NULL;
}

void sink_commit(struct sink *sink, const struct sink_batch *batch) {
    sink->kind->commit(sink, batch);
}

void sink_verify(struct sink *sink, const struct store *store, bool repair) {
    sink->kind->verify(sink, store, repair);
}

void sink_close(struct sink *sink) {
    sink->kind->close(sink);
}

bool sink_may_commit(struct sink *sink, void (*then)(struct sink *sink)) {
    bool may = !sink->host.kept || sink->host.kept(sink->host.user);
    sink->held = may ? NULL : then;
    return may;
}

void sink_go_on(struct sink *sink) {
    void (*then)(struct sink *) = sink->held;
    sink->held = NULL;
    if (then) {
        then(sink);
    }
}

bool sink_fenced(const struct sink *sink, uint64_t found_epoch, struct error *e) {
    return error_set(e, ERROR_CONFLICT,
                     "%s: another worker has taken over stream %s (its epoch is %" PRIu64 ", ours %" PRIu64
                     "): this one stops; run one worker a stream and sink",
                     sink->name, sink->stream, found_epoch, sink->epoch);
}
