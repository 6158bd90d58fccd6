#include "worker/pipelines.h"

#include <stdlib.h>
#include <string.h>

#include "script/lane.h"

static struct pipeline_options options_for(const struct pipelines_options *options,
                                           struct api_stream *stream) {
    return (struct pipeline_options){
        .stream = stream,
        .handlers = !options->no_handlers,
        .host = options->host,
        .source =
            {
                .loop = options->loop,
                .http = options->http,
                .log = options->log,
                .location = stream->url,
                .offset = stream->offset,
                .live = options->once ? SOURCE_LIVE_NO : stream->live,
                .format = SOURCE_AUTO,
                .fields = stream->fields,
                .field_count = stream->field_count,
                .ca_file = stream->ca_file,
                .first_limit_ms = stream->first_limit_ms,
                .outage_limit_ms = stream->outage_limit_ms,
                .hooks = api_hooks_of(&stream->hooks),
            },
    };
}

/* Two streams of one name would take turns in one file. */
static bool is_kept_already(const struct pipelines *pipelines, const struct checkpoint *checkpoint) {
    for (const struct pipelines_entry *entry = pipelines->first; entry; entry = entry->next) {
        if (entry->checkpoint &&
            strcmp(checkpoint_name(entry->checkpoint), checkpoint_name(checkpoint)) == 0) {
            return true;
        }
    }
    return false;
}

static bool open_checkpoint(const struct pipelines *pipelines, const struct api_stream *stream,
                            const struct pipelines_options *options, struct pipelines_entry *entry,
                            struct error *e) {
    if (!options->data) {
        return true;
    }
    if (!checkpoint_possible(stream->url)) {
        log_write(options->log, LOG_WARN,
                  "%s: no snapshot is kept of it: it cannot be read again from where it was left",
                  strcmp(stream->url, "-") == 0 ? "standard input" : stream->name);
        return true;
    }
    struct checkpoint_options kept = {
        .dir = options->data,
        .loop = options->loop,
        .log = options->log,
        .stream = stream,
        .variant = options->variant,
        .every_ms = config_snapshot_every(options->config),
    };
    entry->checkpoint = checkpoint_new(&kept, e);
    if (entry->checkpoint && is_kept_already(pipelines, entry->checkpoint)) {
        return error_set(e, ERROR_ARGUMENT,
                         "%s: two streams have this name: snapshots need a name for each (option name)",
                         stream->name);
    }
    return entry->checkpoint != NULL;
}

/* ---- sinks ---- */

static bool list_sinks(const struct api_stream *stream, const struct pipelines_options *options,
                       struct pipelines_entry *entry, struct pipeline_options *pipeline, struct error *e) {
    const struct api_sink_list *list = &stream->sinks;
    if (list->count == 0 || options->no_handlers) {
        return true;
    }
    entry->sinks = calloc(list->count, sizeof *entry->sinks);
    if (!entry->sinks) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for its sinks", stream->name);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct api_sink *sink = list->items[i];
        entry->sinks[i] = (struct outlet_sink){
            .kind = sink->kind,
            .name = sink->name,
            .settings = sink->settings,
            .setting_count = sink->setting_count,
            .emits = sink->emits,
        };
    }
    pipeline->audit = options->audit;
    pipeline->sinks = entry->sinks;
    pipeline->sink_count = list->count;
    pipeline->limits = (struct outlet_limits){
        .rows = list->rows,
        .bytes = list->bytes,
        .every_ms = list->delay_ms,
        .batch = list->batch_max,
    };
    return true;
}

/* ---- beginning and end ---- */

static void free_entry(struct pipelines_entry *entry) {
    checkpoint_close(entry->checkpoint);
    free(entry->sinks);
    free(entry);
}

bool pipelines_start(struct pipelines *pipelines, struct api_stream *stream,
                     const struct pipelines_options *options, struct error *e) {
    struct pipeline_options pipeline = options_for(options, stream);
    if (options->audit && stream->sinks.count == 0) {
        return true;
    }
    struct pipelines_entry *entry = calloc(1, sizeof *entry);
    struct pipelines_entry **last = &pipelines->first;
    if (!entry) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory", stream->name);
    }
    pipelines->loop = options->loop;
    if (list_sinks(stream, options, entry, &pipeline, e) &&
        open_checkpoint(pipelines, stream, options, entry, e)) {
        pipeline.checkpoint = entry->checkpoint;
        entry->pipeline = pipeline_new(&pipeline, e);
    }
    if (!entry->pipeline) {
        free_entry(entry);
        return false;
    }
    while (*last) {
        last = &(*last)->next;
    }
    *last = entry;
    return true;
}

void pipelines_stop(struct pipelines *pipelines) {
    for (struct pipelines_entry *entry = pipelines->first; entry; entry = entry->next) {
        pipeline_stop(entry->pipeline);
    }
}

bool pipelines_ended(const struct pipelines *pipelines) {
    for (const struct pipelines_entry *entry = pipelines->first; entry; entry = entry->next) {
        if (pipeline_ended(entry->pipeline) == PIPELINE_RUNNING) {
            return false;
        }
    }
    return true;
}

struct settling {
    struct pipelines *pipelines;
    struct loop_timer timer;
    bool late;
};

static bool is_settled(void *arg) {
    struct settling *settling = arg;
    bool settled = true;
    for (struct pipelines_entry *entry = settling->pipelines->first; entry; entry = entry->next) {
        settled = pipeline_settled(entry->pipeline) && settled;
    }
    return settled || settling->late;
}

static void give_up(struct loop_task *task) {
    struct settling *settling = task->owner;
    settling->late = true;
}

static void free_settling(struct loop_timer *timer) {
    free(timer->task.owner);
}

bool pipelines_settle(struct pipelines *pipelines, uint64_t limit_ms, struct error *e) {
    struct settling now = {.pipelines = pipelines};
    if (is_settled(&now)) {
        return true;
    }
    struct settling *settling = calloc(1, sizeof *settling);
    if (!settling) {
        return error_set(e, ERROR_MEMORY, "out of memory for the end");
    }
    settling->pipelines = pipelines;
    loop_timer_init(pipelines->loop, &settling->timer, give_up, settling);
    loop_timer_start(&settling->timer, limit_ms);
    loop_run_until(pipelines->loop, is_settled, settling);
    bool late = settling->late;
    loop_timer_close(&settling->timer, free_settling);
    return !late ||
           error_set(e, ERROR_TIMEOUT,
                     "a sink did not take in %llu s what was handled last: it is handled again next time",
                     (unsigned long long)limit_ms / 1000);
}

void pipelines_close(struct pipelines *pipelines) {
    for (struct pipelines_entry *entry = pipelines->first; entry; entry = entry->next) {
        pipeline_free(entry->pipeline);
        entry->pipeline = NULL;
    }
}

void pipelines_free(struct pipelines *pipelines) {
    while (pipelines->first) {
        struct pipelines_entry *entry = pipelines->first;
        pipelines->first = entry->next;
        free_entry(entry);
    }
}

void pipelines_counts(const struct pipelines *pipelines, struct pipeline_counts *counts) {
    *counts = (struct pipeline_counts){0};
    for (const struct pipelines_entry *entry = pipelines->first; entry; entry = entry->next) {
        const struct pipeline_counts *each = pipeline_counts(entry->pipeline);
        counts->events += each->events;
        counts->controls += each->controls;
        counts->rejected += each->rejected;
        counts->bytes += each->bytes;
        if (each->first_ns && (!counts->first_ns || each->first_ns < counts->first_ns)) {
            counts->first_ns = each->first_ns;
        }
        if (each->last_ns > counts->last_ns) {
            counts->last_ns = each->last_ns;
        }
    }
}
