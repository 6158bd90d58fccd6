#include "sink/search_verify.h"

#include <stdlib.h>
#include <string.h>

#include "sink/search_name.h"
#include "sink/search_same.h"
#include "json/text.h"

enum { PAGE_ROWS = 200, PAGE_BYTES = 4 << 20 };
static const size_t wrong_max = (size_t)1 << 30;

void search_verify_free(struct search_verify *v) {
    if (v) {
        strmap_free(&v->known, NULL);
        buf_free(&v->cursor);
        sink_batch_free(v->wrong);
        free(v->types);
        free(v->order);
        free(v);
    }
}

static struct slice type_of(const struct search_verify *v) {
    return v->types[v->type];
}

const char *search_verify_name(struct search_sink *s) {
    struct search_type *type = search_types_get(&s->types, type_of(s->verify));
    return type ? type->name : "";
}

struct store_row search_verify_row(const struct search_sink *s, size_t i) {
    const struct search_verify *v = s->verify;
    struct store_row row;
    store_row(v->store, v->order, v->row_count, v->row + i, &row);
    return row;
}

/* ---- differences ---- */

static void differ(struct search_sink *s, enum sink_difference difference, const struct store_row *row) {
    struct search_verify *v = s->verify;
    if (s->sink.host.difference) {
        s->sink.host.difference(s->sink.host.user, &s->sink, difference, row, type_of(v));
    }
    struct sink_row wrong = {
        .op = difference == SINK_EXTRA ? SINK_DELETE : SINK_PUT,
        .type = type_of(v),
        .key = row->key,
        .value = row->value,
        .sequence = s->place.sequence ? s->place.sequence - 1 : 0,
        .offset = SLICE(""),
    };
    struct error e;
    if (v->repair && !sink_batch_add(v->wrong, &wrong, &e) && !s->ending.queued) {
        search_fail(s, e.code, "%s", e.message);
    }
}

void search_verify_compare(struct search_sink *s, size_t i, struct slice document, bool has_id) {
    struct store_row row = search_verify_row(s, i);
    if (!document.ptr) {
        differ(s, SINK_MISSING, &row);
    } else if (!search_same_document(document, row.value, has_id)) {
        differ(s, SINK_OTHER, &row);
    }
}

void search_verify_found(struct search_sink *s, struct slice key) {
    if (!store_get(s->verify->store, type_of(s->verify), key).ptr) {
        struct store_row row = {.key = key, .value = slice_of("", 0)};
        differ(s, SINK_EXTRA, &row);
    }
}

/* ---- what comes next ---- */

static void fail_memory(struct search_sink *s) {
    search_fail(s, ERROR_MEMORY, "out of memory while it was compared");
}

/* The next page of the present type, what the server has of it, or the next type. */
static void go_on(struct search_sink *s) {
    struct search_verify *v = s->verify;
    if (v->row < v->row_count) {
        size_t bytes = 0;
        for (v->page = 0; v->row + v->page < v->row_count && v->page < PAGE_ROWS && bytes < PAGE_BYTES;
             v->page++) {
            bytes += search_verify_row(s, v->page).value.len;
        }
        s->dialect->ask_rows(s);
        return;
    }
    if (v->more) {
        s->dialect->scan(s);
        return;
    }
    v->type++;
    if (v->type >= v->type_count) {
        search_end(s);
        return;
    }
    free(v->order);
    v->row = 0;
    v->more = true;
    buf_clear(&v->cursor);
    v->order = store_order(v->store, type_of(v), &v->row_count);
    v->rows += v->row_count;
    if (v->order || v->row_count == 0) {
        go_on(s);
    } else {
        fail_memory(s);
    }
}

static void repaired(struct search_sink *s) {
    sink_batch_clear(s->verify->wrong);
    s->batch = NULL;
    s->repairing = false;
    go_on(s);
}

static void repair_and_go_on(struct search_sink *s) {
    struct search_verify *v = s->verify;
    if (s->ending.queued) {
        return;
    }
    if (!v->repair || sink_batch_count(v->wrong) == 0) {
        go_on(s);
        return;
    }
    s->batch = v->wrong;
    s->repairing = true;
    s->after_rows = repaired;
    if (search_plan_make(&s->plan, &s->types, v->wrong, &s->error)) {
        search_bulk_begin(s);
    } else {
        search_end(s);
    }
}

void search_verify_page(struct search_sink *s) {
    s->verify->row += s->verify->page;
    outage_over(&s->outage, loop_now(s->loop));
    repair_and_go_on(s);
}

void search_verify_scanned(struct search_sink *s, bool more) {
    s->verify->more = more;
    outage_over(&s->outage, loop_now(s->loop));
    repair_and_go_on(s);
}

/* ---- types ---- */

static bool know(struct search_sink *s, struct slice name, struct slice type) {
    struct search_verify *v = s->verify;
    struct buf text;
    (void)name;
    buf_init(&text, type.len + 1);
    bool ok = json_unquote(&text, type) &&
              (strmap_get(&v->known, buf_slice(&text)) || strmap_put(&v->known, buf_slice(&text), v));
    buf_free(&text);
    return ok;
}

static bool list_types(struct search_verify *v) {
    size_t count;
    struct slice *own = store_types(v->store, &count);
    bool ok = own || count == 0;
    for (size_t i = 0; ok && i < count; i++) {
        ok = strmap_get(&v->known, own[i]) || strmap_put(&v->known, own[i], v);
    }
    free(own);
    v->types = ok ? calloc(v->known.count + 1, sizeof *v->types) : NULL;
    size_t at = 0;
    for (const struct strmap_entry *entry; v->types && (entry = strmap_next(&v->known, &at));) {
        v->types[v->type_count++] = entry->key;
    }
    v->type = SIZE_MAX; /* before the first */
    return v->types != NULL;
}

static void listed(struct search_sink *s) {
    if (list_types(s->verify)) {
        go_on(s);
    } else {
        fail_memory(s);
    }
}

/* ---- the job ---- */

static void verified(struct search_sink *s, const struct error *e) {
    uint64_t rows = s->verify ? s->verify->rows : 0;
    search_verify_free(s->verify);
    s->verify = NULL;
    s->repairing = false;
    s->batch = NULL;
    s->sink.host.verified(s->sink.host.user, &s->sink, rows, e);
}

/* What they are stored in may be gone: a repair makes it anew. */
static void forget_ready(struct search_types *types) {
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&types->map, &at));) {
        ((struct search_type *)entry->value)->ready = false;
    }
}

void search_verify(struct sink *sink, const struct store *store, bool repair) {
    struct search_sink *s = (struct search_sink *)sink;
    struct search_verify *v = s->verify = calloc(1, sizeof *v);
    s->end = verified;
    error_clear(&s->error);
    if (!v || !(v->wrong = sink_batch_new(wrong_max))) {
        fail_memory(s);
        return;
    }
    v->store = store;
    v->repair = repair && !s->read_only;
    strmap_init(&v->known);
    buf_init(&v->cursor, (size_t)1 << 20);
    forget_ready(&s->types);
    search_list(s, know, listed);
}
