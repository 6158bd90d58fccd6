/* Between the pipeline and the sinks of its stream. */
#include <stdlib.h>
#include <string.h>

#include "worker/origin.h"
#include "worker/pipeline_parts.h"

/* ---- what the outlet says ---- */

static void opened(void *user) {
    struct pipeline *pipeline = user;
    struct error e;
    if (pipeline->end != PIPELINE_RUNNING) {
        return;
    }
    if (!pipeline_begin(pipeline, &e)) {
        pipeline_finish(pipeline, &e);
        return;
    }
    loop_defer(pipeline->loop, &pipeline->drain);
}

static void woken(void *user) {
    struct pipeline *pipeline = user;
    if (pipeline->end == PIPELINE_RUNNING) {
        loop_defer(pipeline->loop, &pipeline->drain);
    }
}

static void failed(void *user, const struct error *e) {
    struct pipeline *pipeline = user;
    struct error copy = *e;
    if (!strstr(copy.message, pipeline->stream->name)) {
        error_context(&copy, "%s", pipeline->stream->name);
    }
    pipeline_finish(pipeline, &copy);
}

static void audited(void *user) {
    pipeline_finish(user, NULL);
}

static const struct store *state(void *user) {
    const struct pipeline *pipeline = user;
    return pipeline->stream->store;
}

static bool refused(void *user, const struct sink_row *row, struct error *e) {
    struct pipeline *pipeline = user;
    struct event event = {.type = row->type, .key = row->key};
    if (row->op == SINK_PUT || row->op == SINK_DELETE) {
        refusal_name_entity(&event, e);
    }
    error_context(e, "%s: offset %.*s, message %llu", pipeline->stream->name, (int)row->offset.len,
                  row->offset.ptr, (unsigned long long)row->index + 1);
    loop_defer(pipeline->loop, &pipeline->drain); /* somebody may have to be asked */
    return refusal_of_row(&pipeline->refusal, row, e);
}

static bool kept(void *user) {
    const struct pipeline *pipeline = user;
    return !refusal_waits(&pipeline->refusal);
}

static const struct schema *schema_of(void *user, struct slice type) {
    const struct pipeline *pipeline = user;
    const struct api_type *known = api_stream_type(pipeline->stream, type);
    return known ? known->schema : NULL;
}

static bool index_of(void *user, struct slice type, size_t i, struct slice *field) {
    const struct pipeline *pipeline = user;
    return store_index_field(pipeline->stream->store, type, i, field);
}

/* ---- opening ---- */

static const char *start_of(const struct api_stream *stream) {
    return stream->offset ? stream->offset : source_is_url(stream->url) ? "-1" : "0";
}

static struct outlet *open_outlet(struct pipeline *pipeline, const struct pipeline_options *options,
                                  const char *origin, struct error *e) {
    const struct api_stream *stream = pipeline->stream;
    struct outlet_options outlet = {
        .loop = pipeline->loop,
        .http = options->source.http,
        .log = pipeline->log,
        .intake = &pipeline->intake,
        .name = stream->name,
        .stream = origin,
        .start = start_of(stream),
        .sinks = options->sinks,
        .sink_count = options->sink_count,
        .limits = options->limits,
        .outage_limit_ms = stream->outage_limit_ms,
        .schema = schema_of,
        .index = index_of,
        .schema_user = pipeline,
        .audit = options->audit,
        .host = {pipeline, opened, woken, failed, refused, kept, audited, state},
    };
    return outlet_new(&outlet, e);
}

bool sinks_open(struct pipeline *pipeline, const struct pipeline_options *options, struct error *e) {
    const struct api_stream *stream = pipeline->stream;
    if (stream->offset && strcmp(stream->offset, "now") == 0) {
        return error_set(
            e, ERROR_ARGUMENT,
            "%s: a stream with sinks cannot be read from offset \"now\", which is another one each "
            "time: give it a fixed offset, or none",
            stream->name);
    }
    char *origin = origin_of(stream->url);
    if (!origin) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for its sinks", stream->name);
    }
    pipeline->outlet = open_outlet(pipeline, options, origin, e);
    free(origin);
    return pipeline->outlet != NULL;
}

bool sinks_bound(struct pipeline *pipeline, struct checkpoint_bound *bound, struct error *e) {
    return outlet_bound(pipeline->outlet, &bound->sequence, &bound->sink, e);
}

bool sinks_start(struct pipeline *pipeline, const struct place *place, struct error *e) {
    return outlet_start(pipeline->outlet, pipeline->stream->store, place->digested ? &place->digest : NULL,
                        &pipeline->quiet_until, e);
}

/* ---- in the midst ---- */

/* Where a state that a reset began is complete depends on when the stream was read: until then the place is where it
 * began. */
static bool is_between_places(const struct pipeline *pipeline) {
    const struct rebuild *rebuild = &pipeline->rebuild;
    return pipeline->told_last || pipeline->bounds.held || (rebuild->building && !rebuild->snapshot);
}

bool sinks_go_on(struct pipeline *pipeline) {
    struct outlet *outlet = pipeline->outlet;
    if (!pipeline->begun) {
        return false;
    }
    if (is_between_places(pipeline)) {
        return true;
    }
    if (!outlet_handled(outlet)) {
        return false;
    }
    if (pipeline->checkpoint && checkpoint_is_due(pipeline->checkpoint) && !pipeline->rebuild.building &&
        !outlet_settled(outlet)) {
        outlet_flush(outlet); /* a snapshot is of a place that all sinks have */
        return false;
    }
    return true;
}

void sinks_note(struct pipeline *pipeline, enum intake_status status) {
    if (pipeline->outlet && (status == INTAKE_EVENT || status == INTAKE_REFUSED)) {
        outlet_note(pipeline->outlet, status == INTAKE_EVENT ? pipeline->intake.event : NULL);
    }
}

bool sinks_settle(struct pipeline *pipeline) {
    if (!outlet_settled(pipeline->outlet)) {
        outlet_flush(pipeline->outlet);
    }
    return outlet_settled(pipeline->outlet);
}

bool sinks_have(const struct pipeline *pipeline, struct place *place) {
    const struct outlet *outlet = pipeline->outlet;
    if (!outlet) {
        return true;
    }
    bool have = outlet_settled(outlet) && !outlet_has_failed(outlet) &&
                outlet_reached(outlet) == place->sequence && !place->uncounted;
    place->digested = have && outlet_digest(outlet, &place->digest);
    return have;
}

bool sinks_put(struct pipeline *pipeline, enum sink_op op, struct slice type, struct slice key,
               struct slice value, struct error *e) {
    return outlet_put(pipeline->outlet, op, type, key, value, e) || intake_locate(&pipeline->intake, e);
}

bool sinks_change(struct pipeline *pipeline, struct slice type, struct slice key, struct slice value,
                  struct error *e) {
    if (!pipeline->outlet || pipeline->rebuild.building) {
        return true;
    }
    return sinks_put(pipeline, value.ptr ? SINK_PUT : SINK_DELETE, type, key, value, e);
}

bool sinks_clear(struct pipeline *pipeline, struct error *e) {
    struct slice none = {0};
    return !pipeline->outlet || sinks_put(pipeline, SINK_CLEAR, none, none, none, e);
}

bool sinks_emit(struct pipeline *pipeline, const char *sink, struct slice event, struct error *e) {
    struct slice none = {0};
    if (!pipeline->outlet) {
        return error_set(e, ERROR_ARGUMENT, "%s: %s is not among its sinks", pipeline->stream->name, sink);
    }
    return sinks_put(pipeline, SINK_EMIT, none, slice_from(sink), event, e);
}

bool sinks_check_end(struct pipeline *pipeline, bool last, struct error *e) {
    bool file = !source_is_url(pipeline->stream->url);
    return !pipeline->outlet || outlet_check_end(pipeline->outlet, last || file, e);
}

void sinks_stop(struct pipeline *pipeline) {
    struct outlet *outlet = pipeline->outlet;
    if (!outlet) {
        return;
    }
    if (pipeline->begun && pipeline->handled.state == HANDLED_ALL && !is_between_places(pipeline)) {
        outlet_handled(outlet);
    }
    outlet_stop(outlet);
}
