#include "stream/writer.h"

#include <stdlib.h>

#include "stream/producer.h"

/* Who is told what became of an append. The producer answers in their order. */
struct append {
    struct append *next;
    writer_done *done;
    void *user;
};

struct writer {
    struct producer *producer;
    struct append *first, *last;
    bool closed, answering;
};

static void writer_release(struct writer *w) {
    while (w->first) {
        struct append *a = w->first;
        w->first = a->next;
        free(a);
    }
    free(w);
}

static void on_done(void *user, const struct producer_result *result, const struct error *e) {
    struct writer *w = user;
    struct append *a = w->first;
    w->first = a->next;
    w->last = w->first ? w->last : NULL;
    w->answering = true;
    a->done(a->user, result->offset, e);
    w->answering = false;
    free(a);
    if (w->closed) {
        writer_release(w);
    }
}

bool writer_append(struct writer *writer, struct slice body, writer_done *done, void *user, struct error *e) {
    struct append *a = malloc(sizeof *a);
    if (!a) {
        return error_set(e, ERROR_MEMORY, "out of memory for an append");
    }
    *a = (struct append){.done = done, .user = user};
    if (!producer_append(writer->producer, body, on_done, writer, e)) {
        free(a);
        return false;
    }
    *(writer->last ? &writer->last->next : &writer->first) = a;
    writer->last = a;
    return true;
}

size_t writer_pending(const struct writer *writer) {
    return producer_pending(writer->producer);
}

void writer_close(struct writer *writer) {
    if (!writer) {
        return;
    }
    writer->closed = true;
    producer_free(writer->producer);
    if (!writer->answering) {
        writer_release(writer);
    }
}

struct writer *writer_new(const struct writer_options *options, struct error *e) {
    struct producer_options o;
    producer_options_init(&o);
    o.loop = options->loop;
    o.http = options->http;
    o.log = options->log;
    o.url = options->url;
    o.content_type = options->content_type;
    o.fields = options->fields;
    o.field_count = options->field_count;
    o.ca_file = options->ca_file;
    o.linger_ms = 0;
    o.max_batch_items = 1;
    o.max_in_flight = 1;
    o.limit_ms = options->limit_ms;
    o.queue_max = options->queue_max;
    o.hooks = options->hooks;
    struct writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(e, ERROR_MEMORY, "out of memory for a writer");
        return NULL;
    }
    w->producer = producer_new(&o, e);
    if (!w->producer) {
        free(w);
        return NULL;
    }
    return w;
}
