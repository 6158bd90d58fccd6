/* weir-client-adapter: reads one JSON command a line from stdin and writes one JSON result a line to stdout.
 * A thin face over the reader and the writer, for the language-neutral client conformance suite. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapter.h"
#include "stream/producer.h"

enum { REPLY_MAX = 1 << 30 };

/* ---- what handlers ask for ---- */

const char *adapter_url(struct adapter *a, struct command *c) {
    struct slice path = command_text(c, "path");
    snprintf(a->url, sizeof a->url, "%s%s", a->server, path.ptr ? path.ptr : "");
    return a->url;
}

const char *adapter_type(struct adapter *a, struct command *c) {
    return strmap_get(&a->types, command_text(c, "path"));
}

void adapter_remember(struct adapter *a, struct slice path, struct slice type) {
    char *copy = type.ptr ? strndup(type.ptr, type.len) : NULL;
    if (copy && path.ptr) {
        free(strmap_remove(&a->types, path));
        strmap_put(&a->types, path, copy);
    } else {
        free(copy);
    }
}

uint64_t adapter_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool refresh(void *user, struct fields *fields, struct error *e) {
    struct adapter *a = user;
    for (const struct dynamic *d = a->dynamics; d; d = d->next) {
        bool ok = d->param ? fields_param(fields, slice_from(d->name), slice_from(d->value), e)
                           : fields_default(fields, d->name, slice_from(d->value), e);
        if (!ok) {
            return false;
        }
    }
    return true;
}

struct hooks adapter_hooks(struct adapter *a) {
    for (struct dynamic *d = a->dynamics; d; d = d->next) {
        if (d->kind == DYNAMIC_COUNTER) {
            snprintf(d->value, sizeof d->value, "%" PRIu64, ++d->counter);
        } else if (d->kind == DYNAMIC_TIMESTAMP) {
            snprintf(d->value, sizeof d->value, "%" PRIu64, adapter_milliseconds());
        }
    }
    return (struct hooks){.user = a, .refresh = refresh};
}

static void sent(struct adapter *a, const char *name, bool params) {
    bool any = false;
    for (const struct dynamic *d = a->dynamics; d; d = d->next) {
        if (d->param != params) {
            continue;
        }
        if (!any) {
            reply_name(&a->reply, name);
        }
        buf_append_byte(&a->reply, any ? ',' : '{');
        reply_string(&a->reply, slice_from(d->name));
        buf_append_byte(&a->reply, ':');
        reply_string(&a->reply, slice_from(d->value));
        any = true;
    }
    if (any) {
        buf_append_byte(&a->reply, '}');
    }
}

void adapter_sent(struct adapter *a) {
    sent(a, "headersSent", false);
    sent(a, "paramsSent", true);
}

static bool is_done(void *arg) {
    return *(bool *)arg;
}

void adapter_wait(struct adapter *a, bool *done) {
    loop_run_until(a->loop, is_done, done);
}

void adapter_fail(struct adapter *a, const char *type, const struct error *e, bool reading) {
    reply_error(&a->reply, type, e, NULL, reading);
}

/* ---- state ---- */

static void drop_dynamics(struct adapter *a) {
    while (a->dynamics) {
        struct dynamic *d = a->dynamics;
        a->dynamics = d->next;
        free(d);
    }
}

static void reset(struct adapter *a) {
    drop_dynamics(a);
    strmap_free(&a->types, free);
    strmap_free(&a->producers, produce_drop);
    strmap_init(&a->types);
    strmap_init(&a->producers);
}

static void run_init(struct adapter *a, struct command *c) {
    static const char *const features[] = {"batching",     "sse",        "longPoll",
                                           "auto",         "streaming",  "dynamicHeaders",
                                           "retryOptions", "batchItems", "strictZeroValidation"};
    struct slice url = command_text(c, "serverUrl");
    reset(a);
    snprintf(a->server, sizeof a->server, "%s", url.ptr ? url.ptr : "");
    reply_start(&a->reply, "init", true);
    reply_text(&a->reply, "clientName", SLICE("weir"));
    reply_text(&a->reply, "clientVersion", SLICE(WEIR_VERSION));
    reply_name(&a->reply, "features");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        buf_printf(&a->reply, "%s\"%s\":true", i ? "," : "{", features[i]);
    }
    buf_append_byte(&a->reply, '}');
}

static void run_shutdown(struct adapter *a, struct command *c) {
    (void)c;
    a->over = true;
    reply_start(&a->reply, "shutdown", true);
}

/* ---- dynamic values ---- */

static void set_dynamic(struct adapter *a, struct command *c, const char *type, bool param) {
    struct slice name = command_text(c, "name");
    struct slice kind = command_text(c, "valueType");
    struct slice initial = command_text(c, "initialValue");
    struct dynamic *d = a->dynamics;
    while (d && (d->param != param || !slice_is(name, d->name))) {
        d = d->next;
    }
    if (!d && (d = calloc(1, sizeof *d))) {
        d->next = a->dynamics;
        a->dynamics = d;
    }
    if (d) {
        d->param = param;
        d->counter = 0;
        d->kind = slice_is(kind, "counter")     ? DYNAMIC_COUNTER
                  : slice_is(kind, "timestamp") ? DYNAMIC_TIMESTAMP
                                                : DYNAMIC_TOKEN;
        snprintf(d->name, sizeof d->name, "%s", name.ptr ? name.ptr : "");
        snprintf(d->value, sizeof d->value, "%s", initial.ptr ? initial.ptr : "");
    }
    reply_start(&a->reply, type, true);
}

static void run_set_header(struct adapter *a, struct command *c) {
    set_dynamic(a, c, "set-dynamic-header", false);
}

static void run_set_param(struct adapter *a, struct command *c) {
    set_dynamic(a, c, "set-dynamic-param", true);
}

static void run_clear_dynamic(struct adapter *a, struct command *c) {
    (void)c;
    drop_dynamics(a);
    reply_start(&a->reply, "clear-dynamic", true);
}

/* ---- validate ---- */

/* The number under that name rounded down, so that 0.5 is no way around a limit; false: none. */
static bool whole(const struct command *c, const char *name, int64_t *value) {
    double number = 0;
    if (!command_number(c, name, &number)) {
        return false;
    }
    *value = number > 9e18 ? INT64_MAX : number < -9e18 ? INT64_MIN : (int64_t)number;
    *value -= (double)*value > number;
    return true;
}

static bool validate_retry(const struct command *target, struct error *e) {
    struct retry retry = retry_default();
    whole(target, "maxRetries", &retry.max_retries);
    bool first = whole(target, "initialDelayMs", &retry.first_ms);
    if (!whole(target, "maxDelayMs", &retry.max_ms) && first && retry.max_ms < retry.first_ms) {
        retry.max_ms = retry.first_ms;
    }
    command_number(target, "multiplier", &retry.multiplier);
    return retry_check(&retry, e);
}

static bool validate_producer(struct command *target, struct error *e) {
    struct producer_options options;
    producer_options_init(&options);
    options.id = command_text(target, "producerId").ptr;
    whole(target, "epoch", &options.epoch);
    whole(target, "maxBatchBytes", &options.max_batch_bytes);
    whole(target, "maxBatchItems", &options.max_batch_items);
    return producer_options_check(&options, e);
}

static void run_validate(struct adapter *a, struct command *c) {
    struct command target;
    bool ok = command_inside(c, "target", &target);
    struct slice name = command_text(&target, "target");
    if (ok && slice_is(name, "retry-options")) {
        ok = validate_retry(&target, &a->error);
    } else if (ok && slice_is(name, "idempotent-producer")) {
        ok = validate_producer(&target, &a->error);
    } else {
        error_set(&a->error, ERROR_ARGUMENT, "there is no such target");
        reply_error(&a->reply, "validate", &a->error, "NOT_SUPPORTED", false);
        command_free(&target);
        return;
    }
    if (ok) {
        reply_start(&a->reply, "validate", true);
    } else {
        adapter_fail(a, "validate", &a->error, false);
    }
    command_free(&target);
}

/* ---- lines ---- */

static const struct {
    const char *type;
    void (*run)(struct adapter *adapter, struct command *command);
} commands[] = {
    {"init", run_init},
    {"create", run_create},
    {"connect", run_connect},
    {"head", run_head},
    {"delete", run_delete},
    {"append", run_append},
    {"close", run_close},
    {"read", run_read},
    {"idempotent-append", run_produce},
    {"idempotent-append-batch", run_produce_batch},
    {"idempotent-close", run_produce_close},
    {"idempotent-detach", run_produce_detach},
    {"set-dynamic-header", run_set_header},
    {"set-dynamic-param", run_set_param},
    {"clear-dynamic", run_clear_dynamic},
    {"validate", run_validate},
    {"benchmark", run_benchmark},
    {"shutdown", run_shutdown},
};

static void run_line(struct adapter *a, struct slice line) {
    struct command c;
    struct slice type = {0};
    error_clear(&a->error);
    if (!command_init(&c, line, &a->error)) {
        adapter_fail(a, "init", &a->error, false);
        reply_end(&a->reply);
        return;
    }
    type = command_text(&c, "type");
    size_t i = 0;
    size_t count = sizeof commands / sizeof *commands;
    while (i < count && !slice_is(type, commands[i].type)) {
        i++;
    }
    if (i < count) {
        commands[i].run(a, &c);
    } else {
        error_set(&a->error, ERROR_ARGUMENT, "there is no command \"%.*s\"", (int)type.len,
                  type.ptr ? type.ptr : "");
        reply_error(&a->reply, type.ptr ? type.ptr : "init", &a->error, "NOT_SUPPORTED", false);
    }
    reply_end(&a->reply);
    command_free(&c);
}

static bool start(struct adapter *a) {
    a->loop = loop_new(&a->error);
    a->http = a->loop ? http_new(a->loop, &a->error) : NULL;
    if (!a->http) {
        fprintf(stderr, "weir-client-adapter: %s\n", a->error.message);
        return false;
    }
    a->log = (struct log){.file = stderr, .level = LOG_OFF};
    a->retry = (struct retry){.max_retries = 12, .first_ms = 50, .max_ms = 1500, .multiplier = 2};
    buf_init(&a->reply, REPLY_MAX);
    strmap_init(&a->types);
    strmap_init(&a->producers);
    return true;
}

static bool stop(struct adapter *a) {
    reset(a);
    strmap_free(&a->types, NULL);
    strmap_free(&a->producers, NULL);
    buf_free(&a->reply);
    http_free(a->http);
    if (!loop_free(a->loop, &a->error)) {
        fprintf(stderr, "weir-client-adapter: %s\n", a->error.message);
        return false;
    }
    return true;
}

int main(void) {
    static const struct adapter none;
    struct adapter a = none;
    char *line = NULL;
    size_t size = 0;
    ssize_t len = 0;
    if (!start(&a)) {
        return 1;
    }
    while (!a.over && (len = getline(&line, &size, stdin)) >= 0) {
        if (strspn(line, " \t\r\n") < (size_t)len) {
            run_line(&a, slice_of(line, (size_t)len));
        }
    }
    free(line);
    return stop(&a) ? 0 : 1;
}
