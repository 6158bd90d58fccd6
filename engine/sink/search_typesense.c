/* Typesense 26 and newer.
 *
 *     PREFIX + TYPE             a collection, whose metadata names stream and type
 *     PREFIX + weir-sync-state  a collection: one document a stream
 *
 * Rows are imported with action=upsert. There are no versions and no conditions: one request at a time keeps the order,
 * and the epoch is looked at before the rows and before the place are written. The id of a document is its key in
 * characters that need no encoding; weir_version is the row's sequence + 1, and what a reset finds all documents by. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "sink/search_name.h"
#include "sink/search_verify.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum { ID_MAX_BYTES = 512, OWNER = 40 };

static const char json_type[] = "application/json";
static const char lines_type[] = "text/plain";

/* ---- the place document ---- */

static void document_id(const struct search_sink *s, char out[OWNER]) {
    XXH128_hash_t sum = XXH3_128bits(s->sink.stream, strlen(s->sink.stream));
    snprintf(out, OWNER, "%016" PRIx64 "%016" PRIx64, sum.high64, sum.low64);
}

static void get_document(struct search_sink *s, search_then *then) {
    char id[OWNER];
    document_id(s, id);
    search_begin(s, "GET", NULL);
    search_send(s, buf_printf(&s->path, "/collections/%s" SEARCH_STATE_NAME "/documents/%s", s->prefix, id),
                then);
}

static bool take_document(struct search_sink *s, int status) {
    struct slice answer = search_json(s);
    s->has_document = s->has_place = false;
    if (status == 404) {
        return true;
    }
    if (status != 200 || !answer.ptr) {
        search_unexpected(s, "asked for its place", status);
        return false;
    }
    return search_place_take(s, answer);
}

static void put_document(struct search_sink *s, uint64_t epoch, uint64_t commit,
                         const struct sink_place *place, search_then *then) {
    char id[OWNER];
    document_id(s, id);
    search_begin(s, "POST", json_type);
    bool ok = buf_printf(&s->path, "/collections/%s" SEARCH_STATE_NAME "/documents?action=upsert",
                         s->prefix) &&
              buf_printf(&s->body, "{\"id\":\"%s\",", id) &&
              search_place_put(s, &s->body, epoch, commit, place) && buf_append_byte(&s->body, '}');
    search_send(s, ok, then);
}

/* ---- opening: write the epoch with a mark of our own, and look whether it stayed ---- */

static bool choose_owner(struct search_sink *s) {
    uint64_t random[2];
    s->owner = malloc(OWNER);
    if (!s->owner || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return false;
    }
    snprintf(s->owner, OWNER, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    return true;
}

static void looked(struct search_sink *s, int status) {
    if (!take_document(s, status)) {
        return;
    }
    if (search_place_is_own(s)) {
        search_end(s);
    } else {
        search_place_refuse(s);
    }
}

static void raised(struct search_sink *s, int status) {
    if (status != 200 && status != 201) {
        search_unexpected(s, "wrote its epoch", status);
        return;
    }
    s->sink.epoch = s->found_epoch + 1;
    get_document(s, looked);
}

static void raise_epoch(struct search_sink *s) {
    if (choose_owner(s)) {
        put_document(s, s->found_epoch + 1, 0, s->has_place ? &s->place : NULL, raised);
    } else {
        search_fail(s, ERROR_MEMORY, "out of memory for a sink");
    }
}

static void places_made(struct search_sink *s, int status) {
    if (status == 201 || status == 200 || status == 409) {
        raise_epoch(s);
    } else {
        search_unexpected(s, "made a collection for places", status);
    }
}

static void make_places(struct search_sink *s) {
    search_begin(s, "POST", json_type);
    search_send(s,
                buf_append_text(&s->path, "/collections") &&
                    buf_printf(&s->body,
                               "{\"name\":\"%s" SEARCH_STATE_NAME
                               "\",\"fields\":[{\"name\":\"epoch\",\"type\":\"int64\"}]}",
                               s->prefix),
                places_made);
}

/* ---- collections ---- */

/* The collection is this stream's; *type: of which type (raw JSON). */
static bool is_own(const struct search_sink *s, struct slice collection, struct slice *type) {
    return search_says_own(s, search_member(search_member(collection, "metadata"), "weir"), type);
}

static void prepared(struct search_sink *s, int status);

static void prepare_created(struct search_sink *s, int status) {
    if (status == 201 || status == 200) {
        s->type->ready = true;
        search_bulk_next(s);
    } else if (status == 409) { /* our own, whose answer was lost, or somebody else's */
        search_begin(s, "GET", NULL);
        search_send(s, buf_printf(&s->path, "/collections/%s", s->type->name), prepared);
    } else {
        search_unexpected(s, "made a collection", status);
    }
}

static void create(struct search_sink *s) {
    search_begin(s, "POST", json_type);
    bool ok =
        buf_append_text(&s->path, "/collections") &&
        buf_printf(
            &s->body,
            "{\"name\":\"%s\",\"enable_nested_fields\":true,\"fields\":[{\"name\":\".*\",\"type\":\"auto\"},"
            "{\"name\":\"weir_version\",\"type\":\"int64\"}],\"metadata\":{\"weir\":",
            s->type->name) &&
        search_put_own(s) && buf_append_text(&s->body, "}}");
    search_send(s, ok, prepare_created);
}

static void prepared(struct search_sink *s, int status) {
    struct slice type;
    if (status == 404) {
        create(s);
        return;
    }
    if (status != 200) {
        search_unexpected(s, "asked for a collection", status);
        return;
    }
    if (is_own(s, search_json(s), &type) && json_string_is(type, s->type->type)) {
        s->type->ready = true;
        search_bulk_next(s);
        return;
    }
    search_fail(s, ERROR_ARGUMENT,
                "the collection \"%s\" is there already, and its metadata does not say that it is of type "
                "\"%.*s\" of "
                "stream %s: remove it, or set another prefix",
                s->type->name, (int)s->type->type.len, s->type->type.ptr, s->sink.stream);
}

static void prepare(struct search_sink *s) {
    search_begin(s, "GET", NULL);
    search_send(s, buf_printf(&s->path, "/collections/%s", s->type->name), prepared);
}

/* ---- what there is ---- */

static void listed(struct search_sink *s, int status) {
    struct json_walk walk;
    struct slice collection;
    struct slice type;
    struct slice answer = search_json(s);
    bool ok = true;
    if (status != 200 || !answer.ptr || json_kind_of(answer) != JSON_ARRAY) {
        search_unexpected(s, "listed its collections", status);
        return;
    }
    for (json_walk_open(&walk, answer); ok && json_walk_item(&walk, &collection);) {
        struct slice name = search_member(collection, "name");
        bool named = name.ptr && json_kind_of(name) == JSON_STRING;
        ok = !named || !is_own(s, collection, &type) || s->heard(s, name, type);
    }
    search_listed(s, ok);
}

static void list(struct search_sink *s) {
    search_begin(s, "GET", NULL);
    search_send(s, buf_append_text(&s->path, "/collections"), listed);
}

/* ---- a reset ---- */

static void cleared(struct search_sink *s, int status) {
    if (status != 200 && status != 404) {
        search_unexpected(s, "deleted what is stored, for a reset", status);
        return;
    }
    search_clear_done(s);
}

static void clear_one(struct search_sink *s, const char *name) {
    search_begin(s, "DELETE", NULL);
    search_send(s,
                buf_append_text(&s->path, "/collections/") && search_name_path(&s->path, slice_from(name)) &&
                    buf_printf(&s->path,
                               "/documents?filter_by=weir_version:%%3C%%3D%" PRIu64 "&batch_size=1000",
                               s->plan.cleared_at + 1),
                cleared);
}

/* ---- rows ---- */

/* One collection a request; a deletion goes alone. */
static bool put(struct search_sink *s, const struct search_entry *entry, size_t in_request) {
    struct sink_row row = sink_batch_row(s->batch, entry->row);
    struct buf *body = &s->body;
    size_t start = body->len;
    if (in_request > 0) {
        const struct search_entry *first;
        bool is_import = search_bulk_row(s, s->from, &first).op == SINK_PUT;
        if (!is_import || row.op != SINK_PUT || first->type != entry->type ||
            start + row.key.len + row.value.len > SEARCH_BODY_MAX) {
            return false;
        }
    }
    if (row.op != SINK_PUT) {
        return true;
    }
    bool ok = buf_append_text(body, "{\"id\":\"") && search_name_id(body, row.key) &&
              buf_append_text(body, "\",") && search_bulk_put_members(body, &row, true) &&
              buf_append_text(body, "}\n");
    if (!ok) {
        body->len = start;
    }
    return ok;
}

static enum search_outcome outcome_of(struct slice line, struct slice *reason) {
    struct slice success = search_member(line, "success");
    uint64_t code = search_number(search_member(line, "code"));
    struct slice error = search_member(line, "error");
    *reason = error.ptr ? error : line;
    if (success.ptr && slice_is(success, "true")) {
        return SEARCH_DONE;
    }
    return code == 429 || code >= 500 ? SEARCH_AGAIN : SEARCH_REFUSED;
}

static void sent(struct search_sink *s, int status) {
    s->outcome_at = 0;
    if (status == 413) {
        search_bulk_split(s);
        return;
    }
    if (status == 404) {
        search_bulk_outcome(s, SEARCH_GONE, buf_slice(&s->answer));
        return;
    }
    if (status != 200) {
        search_unexpected(s, "imported rows", status);
        return;
    }
    const char *at = s->answer.ptr;
    const char *end = at + s->answer.len;
    while (at && at < end && s->from + s->outcome_at < s->to) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end ? line_end : end;
        struct slice line = json_trim(slice_of(at, (size_t)(line_end - at)));
        struct slice reason;
        if (line.len > 0) {
            bool is_json = json_check(line, NULL);
            enum search_outcome outcome = outcome_of(is_json ? line : slice_of(NULL, 0), &reason);
            search_bulk_outcome(s, outcome, is_json ? reason : line);
        }
        at = line_end + 1;
    }
    if (!s->ending.queued && s->from + s->outcome_at < s->to) {
        search_unexpected(s, "imported rows, and left some of them out", status);
        return;
    }
    search_bulk_next(s);
}

/* Gone already is as good. Whether the collection is there is found out by the next import. */
static void deleted(struct search_sink *s, int status) {
    s->outcome_at = 0;
    if (status != 200 && status != 404) {
        search_unexpected(s, "deleted a document", status);
        return;
    }
    search_bulk_outcome(s, SEARCH_DONE, SLICE(""));
    search_bulk_next(s);
}

static void send_rows(struct search_sink *s) {
    const struct search_entry *first;
    struct sink_row row = search_bulk_row(s, s->from, &first);
    bool ok = buf_printf(&s->path, "/collections/%s/documents/", first->type->name);
    if (row.op == SINK_PUT) {
        s->content_type = lines_type;
        search_send(s, ok && buf_append_text(&s->path, "import?action=upsert"), sent);
        return;
    }
    s->method = "DELETE";
    search_send(s, ok && search_name_id(&s->path, row.key), deleted);
}

/* ---- the place, behind the rows ---- */

static void reach_looked(struct search_sink *s, int status) {
    if (!take_document(s, status)) {
        return;
    }
    if (search_place_is_own(s) && s->found_commit == s->commits + 1) {
        s->commits++;
        search_end(s);
    } else {
        search_place_refuse(s);
    }
}

static void reached(struct search_sink *s, int status) {
    if (status != 200 && status != 201) {
        search_unexpected(s, "wrote its place", status);
        return;
    }
    get_document(s, reach_looked);
}

static void reach_checked(struct search_sink *s, int status) {
    if (!take_document(s, status)) {
        return;
    }
    if (search_place_is_own(s) && s->found_commit == s->commits) {
        put_document(s, s->sink.epoch, s->commits + 1, sink_batch_place(s->batch), reached);
    } else {
        search_place_refuse(s);
    }
}

static void reach(struct search_sink *s) {
    get_document(s, reach_checked);
}

const struct search_dialect search_typesense = {
    .name = "typesense",
    .id_max = ID_MAX_BYTES,
    .ask_place = get_document,
    .take_place = take_document,
    .make_places = make_places,
    .raise = raise_epoch,
    .prepare = prepare,
    .list = list,
    .clear_one = clear_one,
    .put = put,
    .send = send_rows,
    .reach = reach,
    .ask_rows = search_typesense_ask_rows,
    .scan = search_typesense_scan,
};
