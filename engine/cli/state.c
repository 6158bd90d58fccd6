#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cli/command.h"
#include "cli/data.h"
#include "cli/output.h"
#include "cli/session.h"
#include "json/text.h"

static const char help[] =
    "Materializes SOURCE up to its tail and prints the state as one JSON object,\n"
    "{\"TYPE\":{\"KEY\":VALUE,...},...}: types and keys in byte order, values exactly as they were written.\n"
    "\n"
    "SOURCE is an http(s) URL of a stream, a file (a JSON array, or one event a line), or - for standard "
    "input.\n"
    "\n"
    "  --type T              only this type: {\"KEY\":VALUE,...}\n"
    "  --key K               only this entity of --type: its value; exit code 1 where there is none\n"
    "  --schema SCRIPT       check values against the schemas that SCRIPT declares\n"
    "  --on-invalid POLICY   stop (default): a message that is not valid ends it with exit code 1;\n"
    "                        skip: it is reported on stderr and passed over\n"
    "  --data DIR            keep a snapshot of the state and its offset in this folder, and go on from "
    "there\n"
    "                        the next time\n"
    "  --stats               one line on stderr: events, controls, rejected, entities, bytes, seconds\n";

struct arguments {
    const char *source, *type, *key, *schema, *data;
    const char *on_invalid; /* an option of weir.stream, as JSON */
    bool stats;
};

/* -1, or an exit code. */
static int parse(const struct command *command, int argc, char **argv, struct arguments *arguments) {
    static const struct option options[] = {
        {"type", required_argument, NULL, 't'},
        {"key", required_argument, NULL, 'k'},
        {"schema", required_argument, NULL, 'S'},
        {"stats", no_argument, NULL, 's'},
        {"on-invalid", required_argument, NULL, 'i'},
        {"data", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    arguments->on_invalid = "stop";
    for (int answer; (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        switch (answer) {
        case 't':
            arguments->type = optarg;
            break;
        case 'k':
            arguments->key = optarg;
            break;
        case 'S':
            arguments->schema = optarg;
            break;
        case 's':
            arguments->stats = true;
            break;
        case 'i':
            arguments->on_invalid = optarg;
            break;
        case 'd':
            arguments->data = optarg;
            break;
        default:
            return command_bad_option(command, answer, argv);
        }
    }
    if (strcmp(arguments->on_invalid, "stop") != 0 && strcmp(arguments->on_invalid, "skip") != 0) {
        return command_misuse(command, "--on-invalid: expected stop or skip, got %s", arguments->on_invalid);
    }
    if (optind != argc - 1) {
        return command_misuse(command, optind == argc ? "SOURCE is missing" : "more than one SOURCE");
    }
    int code = command_check_source(command, "SOURCE", argv[optind]);
    if (code >= 0) {
        return code;
    }
    if (arguments->data && !*arguments->data) {
        return command_misuse(command, "--data: expected the path of a folder, got nothing");
    }
    if (arguments->key && !arguments->type) {
        return command_misuse(command, "--key needs --type");
    }
    arguments->source = argv[optind];
    return -1;
}

/* Names are bytes that came out of JSON strings, so they can always be written as such. */
static bool put_name(struct output *output, struct slice name) {
    return json_quote(&output->buf, name, &output->e) && output_settle(output);
}

static bool put_text(struct output *output, const char *text) {
    return output_write(output, text, strlen(text));
}

static bool put_type(struct output *output, const struct store *store, struct slice type) {
    size_t count;
    uint32_t *order = store_order(store, type, &count);
    if (!order) {
        return error_set(&output->e, ERROR_MEMORY, "out of memory while sorting the state");
    }
    bool ok = put_text(output, "{");
    for (size_t i = 0; ok && i < count; i++) {
        struct store_row row;
        store_row(store, order, count, i, &row);
        ok = (i == 0 || put_text(output, ",")) && put_name(output, row.key) && put_text(output, ":") &&
             output_write(output, row.value.ptr, row.value.len);
    }
    free(order);
    return ok && put_text(output, "}");
}

static bool put_all(struct output *output, const struct store *store) {
    size_t count;
    struct slice *types = store_types(store, &count);
    if (!types) {
        return error_set(&output->e, ERROR_MEMORY, "out of memory while sorting the state");
    }
    bool ok = put_text(output, "{");
    for (size_t i = 0; ok && i < count; i++) {
        ok = (i == 0 || put_text(output, ",")) && put_name(output, types[i]) && put_text(output, ":") &&
             put_type(output, store, types[i]);
    }
    free(types);
    return ok && put_text(output, "}");
}

static bool put_entity(struct output *output, const struct store *store, const struct arguments *arguments) {
    struct slice value = store_get(store, slice_from(arguments->type), slice_from(arguments->key));
    if (!value.ptr) {
        return error_set(&output->e, ERROR_NOT_FOUND, "%s: there is no %s with the key %s", arguments->source,
                         arguments->type, arguments->key);
    }
    return output_write(output, value.ptr, value.len);
}

static int print(const struct store *store, const struct arguments *arguments) {
    struct output output;
    output_init(&output);
    bool ok = arguments->key    ? put_entity(&output, store, arguments)
              : arguments->type ? put_type(&output, store, slice_from(arguments->type))
                                : put_all(&output, store);
    ok = ok && put_text(&output, "\n") && output_flush(&output);
    output_free(&output);
    return ok ? EXIT_DONE : command_fail(&output.e);
}

static void print_stats(const struct session *session, const struct store *store) {
    struct pipeline_counts counts;
    worker_counts(session->worker, &counts);
    double seconds = counts.last_ns > counts.first_ns ? (double)(counts.last_ns - counts.first_ns) / 1e9 : 0;
    fprintf(stderr, "events=%llu controls=%llu rejected=%llu entities=%zu bytes=%llu seconds=%.6f\n",
            (unsigned long long)counts.events, (unsigned long long)counts.controls,
            (unsigned long long)counts.rejected, store_count(store, (struct slice){0}),
            (unsigned long long)counts.bytes, seconds);
}

/* What a snapshot's state depends on beside the stream: it must have been checked in the same way. */
static bool describe(const struct arguments *arguments, char *text, size_t size, struct error *e) {
    snprintf(text, size, "--on-invalid %s", arguments->on_invalid);
    if (!arguments->schema || !arguments->data) {
        return true;
    }
    struct buf script;
    buf_init(&script, DATA_MAX);
    bool ok = data_read(&script, arguments->schema, e);
    if (ok) {
        size_t used = strlen(text);
        snprintf(text + used, size - used, " --schema %016" PRIx64, XXH3_64bits(script.ptr, script.len));
    }
    buf_free(&script);
    return ok;
}

/* A worker's folder is not this command's: WEIR_DATA is for the worker. */
static bool configure(struct config *config, const struct arguments *arguments, struct error *e) {
    if (!config_read_environment(config, e)) {
        return false;
    }
    config_forget_data(config);
    return (!arguments->data || config_set_data(config, arguments->data, e)) &&
           config_set_source(config, arguments->source, e) &&
           config_set_on_invalid(config, arguments->on_invalid, e);
}

/* What is asked in Lua is asked in a lane, and here none runs. */
static bool check_schemas(const struct api_stream *stream, const char *script, struct error *e) {
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&stream->types, &at));) {
        const struct api_type *type = entry->value;
        if (type->foreign_schema) {
            return error_set(e, ERROR_ARGUMENT, "%s: the schema of %.*s %s: only weir run can check it",
                             script, (int)entry->key.len, entry->key.ptr,
                             type->schema ? "has a refine, default, strip or a part of another library"
                                          : "is not one of weir.schema");
        }
    }
    return true;
}

/* The script's stream with the source in the place of its url, or, without a script, one made for it. */
static bool declare(struct session *session, const struct arguments *arguments, struct error *e) {
    if (!arguments->schema) {
        return worker_declare(session->worker, arguments->source, e);
    }
    if (!worker_load(session->worker, arguments->schema, e)) {
        return false;
    }
    const struct api_stream *first = worker_streams(session->worker);
    if (!first || first->next) {
        return error_set(e, ERROR_SCRIPT, "%s declares %s: --schema needs a script that declares one",
                         arguments->schema, first ? "more than one stream" : "no stream");
    }
    return check_schemas(first, arguments->schema, e);
}

/* A stream's limits are raised in a script; without one, it is said how to give it. */
static int fail(const struct arguments *arguments, struct error *e) {
    struct error plain = *e;
    if (e->code == ERROR_LIMIT && !arguments->schema && strstr(e->message, "raise limits.")) {
        error_set(e, ERROR_LIMIT, "%s in the weir.stream of a script, and give that with --schema",
                  plain.message);
    }
    return command_fail(e);
}

static int work(const struct command *command, int argc, char **argv, struct session *session) {
    struct arguments arguments = {0};
    struct error e;
    int code = parse(command, argc, argv, &arguments);
    if (code >= 0) {
        return code;
    }
    char variant[80];
    struct worker_options options = {.once = true, .no_handlers = true, .variant = variant};
    if (!describe(&arguments, variant, sizeof variant, &e) || !configure(session->config, &arguments, &e) ||
        !session_start(session, options, &e) || !declare(session, &arguments, &e) ||
        !worker_run(session->worker, &e)) {
        return fail(&arguments, &e);
    }
    const struct store *store = worker_streams(session->worker)->store;
    code = print(store, &arguments);
    if (arguments.stats) {
        print_stats(session, store);
    }
    return code;
}

static int run(const struct command *command, int argc, char **argv) {
    return session_run(command, argc, argv, work);
}

const struct command command_state = {
    .name = "state",
    .usage = "SOURCE [--type T [--key K]] [--schema SCRIPT] [--on-invalid stop|skip] [--data DIR] [--stats]",
    .summary = "materialize a stream or file and print its state",
    .help = help,
    .run = run,
};
