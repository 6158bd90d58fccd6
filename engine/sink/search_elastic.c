/* Elasticsearch 7.10 and newer, and what speaks as it does.
 *
 *     PREFIX + TYPE             an alias of the index PREFIX + TYPE + "--1", whose mapping's _meta names stream and type
 *     PREFIX + weir-sync-state  an index: one document a stream, by its URL
 *
 * Rows are written with version_type=external and the version sequence + 1, deletions too: what is older than what is
 * there is answered with 409, and was stored before. weir_version holds the same number, so that a reset deletes what
 * is older than itself, and not what an earlier try has stored behind it. Rows go to the alias only: an index that
 * somebody removes is not made anew by the server with nothing in it. The place is written with if_seq_no and
 * if_primary_term. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "sink/search_name.h"
#include "sink/search_verify.h"
#include "json/read.h"
#include "json/text.h"

enum { ID_MAX_BYTES = 512, TRIES = 50 };

static const char json_type[] = "application/json";
static const char lines_type[] = "application/x-ndjson";

/* ---- the place document ---- */

/* "/PREFIXweir-sync-state/KIND/ID": the stream's URL, or a hash of it where it is too long for an id. */
static bool put_document_path(struct search_sink *s, const char *kind) {
    struct slice id = slice_from(s->sink.stream);
    char hash[40];
    if (id.len > ID_MAX_BYTES) {
        XXH128_hash_t sum = XXH3_128bits(id.ptr, id.len);
        snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, sum.high64, sum.low64);
        id = slice_from(hash);
    }
    return buf_printf(&s->path, "/%s" SEARCH_STATE_NAME "/%s/", s->prefix, kind) &&
           search_name_path(&s->path, id);
}

static void get_document(struct search_sink *s, search_then *then) {
    search_begin(s, "GET", NULL);
    search_send(s, put_document_path(s, "_doc"), then);
}

/* Takes the answer to get_document. False: the job has ended. */
static bool take_document(struct search_sink *s, int status) {
    struct slice answer = search_json(s);
    struct slice source = search_member(answer, "_source");
    s->has_document = s->has_place = false;
    if (status == 404) {
        return true;
    }
    if (status != 200 || !source.ptr) {
        search_unexpected(s, "asked for its place", status);
        return false;
    }
    s->seq_no = search_number(search_member(answer, "_seq_no"));
    s->primary_term = search_number(search_member(answer, "_primary_term"));
    return search_place_take(s, source);
}

/* Conditional: it replaces the document that was found, or is the first. */
static void put_document(struct search_sink *s, uint64_t epoch, uint64_t commit,
                         const struct sink_place *place, search_then *then) {
    search_begin(s, "PUT", json_type);
    bool ok = put_document_path(s, s->has_document ? "_doc" : "_create");
    if (s->has_document) {
        ok = ok && buf_printf(&s->path, "?if_seq_no=%" PRIu64 "&if_primary_term=%" PRIu64, s->seq_no,
                              s->primary_term);
    }
    ok = ok && buf_append_byte(&s->body, '{') && search_place_put(s, &s->body, epoch, commit, place) &&
         buf_append_byte(&s->body, '}');
    search_send(s, ok, then);
}

/* ---- opening ---- */

static void raised(struct search_sink *s, int status) {
    struct slice answer = search_json(s);
    if (status == 409 && s->tries++ < TRIES) {
        search_place_open(
            s); /* somebody else opens at this moment, or the answer to our own writing was lost */
        return;
    }
    if (status != 200 && status != 201) {
        search_unexpected(s, "wrote its epoch", status);
        return;
    }
    s->seq_no = search_number(search_member(answer, "_seq_no"));
    s->primary_term = search_number(search_member(answer, "_primary_term"));
    s->has_document = true;
    s->sink.epoch = s->found_epoch + 1;
    search_end(s);
}

static void raise_epoch(struct search_sink *s) {
    put_document(s, s->found_epoch + 1, 0, s->has_place ? &s->place : NULL, raised);
}

static void places_made(struct search_sink *s, int status) {
    bool is_there = search_string_is(search_member(search_member(search_json(s), "error"), "type"),
                                     "resource_already_exists_exception");
    if (status == 200 || (status == 400 && is_there)) {
        raise_epoch(s);
    } else {
        search_unexpected(s, "made an index for places", status);
    }
}

static void make_places(struct search_sink *s) {
    search_begin(s, "PUT", json_type);
    bool ok = buf_printf(&s->path, "/%s" SEARCH_STATE_NAME, s->prefix) &&
              buf_append_text(&s->body,
                              "{\"mappings\":{\"dynamic\":false,\"properties\":{"
                              "\"stream_url\":{\"type\":\"keyword\",\"ignore_above\":4096},"
                              "\"sequence\":{\"type\":\"long\"},\"synced_at\":{\"type\":\"date\"}}}}");
    search_send(s, ok, places_made);
}

/* ---- indices ---- */

/* The index is this stream's; *type: of which type (raw JSON). */
static bool is_own(const struct search_sink *s, struct slice index, struct slice *type) {
    struct slice meta = search_member(search_member(index, "mappings"), "_meta");
    return search_says_own(s, search_member(meta, "weir"), type);
}

static void alias_checked(struct search_sink *s, int status) {
    struct json_walk walk;
    struct slice name;
    struct slice index = {NULL, 0};
    struct slice answer = search_json(s);
    if (status != 200 || !answer.ptr || json_kind_of(answer) != JSON_OBJECT) {
        search_unexpected(s, "asked whose an index is", status);
        return;
    }
    json_walk_open(&walk, answer);
    bool has_one = json_walk_member(&walk, &name, &index);
    struct slice type;
    if (has_one && is_own(s, index, &type) && json_string_is(type, s->type->type)) {
        s->type->ready = true;
        search_bulk_next(s);
        return;
    }
    search_fail(s, ERROR_ARGUMENT,
                "the index \"%s--1\", or the alias \"%s\", is there already, and is not of type \"%.*s\" of "
                "stream %s: "
                "remove it, or set another prefix",
                s->type->name, s->type->name, (int)s->type->type.len, s->type->type.ptr, s->sink.stream);
}

static void prepared(struct search_sink *s, int status) {
    if (status == 200) {
        s->type->ready = true;
        search_bulk_next(s);
        return;
    }
    if (status != 400) {
        search_unexpected(s, "made an index", status);
        return;
    }
    search_begin(s, "GET", NULL); /* there is one already: whose? */
    search_send(s, buf_printf(&s->path, "/%s/_mapping", s->type->name), alias_checked);
}

static void prepare(struct search_sink *s) {
    search_begin(s, "PUT", json_type);
    bool ok = buf_printf(&s->path, "/%s--1", s->type->name) &&
              buf_printf(&s->body,
                         "{\"aliases\":{\"%s\":{}},\"mappings\":{\"_meta\":{\"weir\":", s->type->name) &&
              search_put_own(s) &&
              buf_append_text(&s->body, "},\"properties\":{\"weir_version\":{\"type\":\"long\"}}}}");
    search_send(s, ok, prepared);
}

/* ---- what there is ---- */

static void listed(struct search_sink *s, int status) {
    struct json_walk walk;
    struct slice name;
    struct slice index;
    struct slice answer = search_json(s);
    bool ok = true;
    if (status == 200 && answer.ptr && json_kind_of(answer) == JSON_OBJECT) {
        for (json_walk_open(&walk, answer); ok && json_walk_member(&walk, &name, &index);) {
            struct slice type;
            ok = !is_own(s, index, &type) || s->heard(s, name, type);
        }
    } else if (status != 404) {
        search_unexpected(s, "listed its indices", status);
        return;
    }
    search_listed(s, ok);
}

static void list(struct search_sink *s) {
    search_begin(s, "GET", NULL);
    search_send(s, buf_printf(&s->path, "/%s*/_mapping?filter_path=*.mappings._meta.weir", s->prefix),
                listed);
}

static void refreshed(struct search_sink *s, int status) {
    if (status == 200 || status == 404) {
        s->after_refresh(s);
    } else {
        search_unexpected(s, "refreshed an index", status);
    }
}

void search_elastic_refresh(struct search_sink *s, const char *name, void (*after)(struct search_sink *s)) {
    s->after_refresh = after;
    search_begin(s, "POST", NULL);
    search_send(s, buf_printf(&s->path, "/%s/_refresh", name), refreshed);
}

/* ---- a reset ---- */

static void cleared(struct search_sink *s, int status) {
    struct slice answer = search_json(s);
    struct slice failures = search_member(answer, "failures");
    bool is_whole = failures.ptr && json_kind_of(failures) == JSON_ARRAY && failures.len == 2;
    if (status == 409 ||
        (status == 200 && (!is_whole || search_number(search_member(answer, "version_conflicts"))))) {
        search_again(s, "not everything could be deleted for a reset");
    } else if (status == 200 || status == 404) {
        search_clear_done(s);
    } else {
        search_unexpected(s, "deleted what is stored, for a reset", status);
    }
}

static void delete_old(struct search_sink *s) {
    search_begin(s, "POST", json_type);
    search_send(s,
                buf_printf(&s->path, "/%s/_delete_by_query?conflicts=proceed&refresh=true",
                           s->names.ptr + s->name_at) &&
                    buf_printf(&s->body, "{\"query\":{\"range\":{\"weir_version\":{\"lte\":%" PRIu64 "}}}}",
                               s->plan.cleared_at + 1),
                cleared);
}

static void clear_one(struct search_sink *s, const char *name) {
    search_elastic_refresh(s, name, delete_old);
}

/* ---- rows ---- */

static bool put_source(struct buf *body, const struct sink_row *row) {
    return buf_append_byte(body, '{') && search_bulk_put_members(body, row, false) &&
           buf_append_text(body, "}\n");
}

static bool put(struct search_sink *s, const struct search_entry *entry, size_t in_request) {
    struct sink_row row = sink_batch_row(s->batch, entry->row);
    struct buf *body = &s->body;
    struct error ignored;
    size_t start = body->len;
    bool is_put = row.op == SINK_PUT;
    if (in_request > 0 && start + row.key.len + row.value.len > SEARCH_BODY_MAX) {
        return false;
    }
    bool ok = buf_printf(body, "{\"%s\":{\"_index\":\"%s\",\"_id\":", is_put ? "index" : "delete",
                         entry->type->name) &&
              json_quote(body, row.key, &ignored) &&
              buf_printf(body, ",\"version\":%" PRIu64 ",\"version_type\":\"external%s\"}}\n",
                         row.sequence + 1, s->repairing ? "_gte" : "") &&
              (!is_put || put_source(body, &row));
    if (!ok) {
        body->len = start;
    }
    return ok;
}

static enum search_outcome outcome_of(struct slice item, bool is_delete, struct slice *reason) {
    struct slice error = search_member(item, "error");
    struct slice type = search_member(error, "type");
    uint64_t status = search_number(search_member(item, "status"));
    *reason = error.ptr ? error : item;
    if (status / 100 == 2 || status == 409 || (status == 404 && is_delete && !error.ptr)) {
        return SEARCH_DONE;
    }
    if (search_string_is(type, "index_not_found_exception")) {
        return SEARCH_GONE;
    }
    if (status == 429 || status >= 500 || search_string_is(type, "cluster_block_exception")) {
        return SEARCH_AGAIN;
    }
    return SEARCH_REFUSED;
}

static void take_items(struct search_sink *s, struct slice items) {
    struct json_walk walk;
    struct slice item;
    for (json_walk_open(&walk, items); json_walk_item(&walk, &item) && s->from + s->outcome_at < s->to;) {
        struct json_walk inner;
        struct slice action;
        struct slice result = item;
        struct slice reason;
        if (json_kind_of(item) == JSON_OBJECT) {
            json_walk_open(&inner, item);
            json_walk_member(&inner, &action, &result);
        }
        const struct search_entry *entry;
        bool is_delete = search_bulk_row(s, s->from + s->outcome_at, &entry).op == SINK_DELETE;
        enum search_outcome outcome = outcome_of(result, is_delete, &reason);
        search_bulk_outcome(s, outcome, reason);
    }
}

static void sent(struct search_sink *s, int status) {
    struct slice answer = search_json(s);
    struct slice items = search_member(answer, "items");
    s->outcome_at = 0;
    if (status == 413) {
        search_bulk_split(s);
        return;
    }
    if (status != 200 || !items.ptr || json_kind_of(items) != JSON_ARRAY) {
        search_unexpected(s, "stored rows", status);
        return;
    }
    take_items(s, items);
    if (!s->ending.queued && s->from + s->outcome_at < s->to) {
        search_unexpected(s, "stored rows, and left some of them out", status);
        return;
    }
    search_bulk_next(s);
}

static void send_rows(struct search_sink *s) {
    s->content_type = lines_type;
    search_send(s,
                buf_append_text(&s->path,
                                "/_bulk?require_alias=true&filter_path=errors,items.*.status,"
                                "items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"),
                sent);
}

/* ---- the place, behind the rows ---- */

static void reach(struct search_sink *s);

/* Somebody has written the place: another worker, or we ourselves and the answer was lost. */
static void reach_found(struct search_sink *s, int status) {
    if (!take_document(s, status)) {
        return;
    }
    if (search_place_is_own(s) && s->found_commit == s->commits + 1) {
        s->commits++;
        search_end(s);
    } else if (search_place_is_own(s) && s->found_commit == s->commits && s->tries++ < TRIES) {
        reach(s);
    } else {
        search_place_refuse(s);
    }
}

static void reached(struct search_sink *s, int status) {
    if (status == 409 || status == 404) {
        get_document(s, reach_found);
        return;
    }
    if (status != 200 && status != 201) {
        search_unexpected(s, "wrote its place", status);
        return;
    }
    struct slice answer = search_json(s);
    s->seq_no = search_number(search_member(answer, "_seq_no"));
    s->primary_term = search_number(search_member(answer, "_primary_term"));
    s->commits++;
    search_end(s);
}

static void reach(struct search_sink *s) {
    put_document(s, s->sink.epoch, s->commits + 1, sink_batch_place(s->batch), reached);
}

const struct search_dialect search_elastic = {
    .name = "elasticsearch",
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
    .ask_rows = search_elastic_ask_rows,
    .scan = search_elastic_scan,
};
