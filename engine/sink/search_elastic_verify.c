/* What search_verify.c asks of Elasticsearch: mappings, _mget, a scroll. */
#include "sink/search_verify.h"
#include "json/read.h"
#include "json/text.h"

static const char json_type[] = "application/json";

/* ---- rows ---- */

static void rows_came(struct search_sink *s, int status) {
    struct json_walk walk;
    struct slice item;
    struct slice docs = search_member(search_json(s), "docs");
    size_t i = 0;
    if (status == 404) { /* there is nothing of this type */
        docs = SLICE("[]");
    } else if (status != 200 || !docs.ptr || json_kind_of(docs) != JSON_ARRAY) {
        search_unexpected(s, "asked for documents", status);
        return;
    }
    for (json_walk_open(&walk, docs); i < s->verify->page && json_walk_item(&walk, &item); i++) {
        search_verify_compare(s, i, search_member(item, "_source"), false);
    }
    for (; i < s->verify->page; i++) {
        search_verify_compare(s, i, slice_of(NULL, 0), false);
    }
    search_verify_page(s);
}

/* A key that is no id was refused: for it stands one that is not there. */
static bool put_id(struct search_sink *s, struct slice key) {
    struct error ignored;
    bool is_fit = key.len > 0 && key.len <= s->dialect->id_max;
    return json_quote(&s->body, is_fit ? key : SLICE("\x01weir"), &ignored);
}

void search_elastic_ask_rows(struct search_sink *s) {
    search_begin(s, "POST", json_type);
    bool ok = buf_printf(&s->path, "/%s/_mget", search_verify_name(s)) &&
              buf_append_text(&s->body, "{\"ids\":[");
    for (size_t i = 0; ok && i < s->verify->page; i++) {
        ok = (i == 0 || buf_append_byte(&s->body, ',')) && put_id(s, search_verify_row(s, i).key);
    }
    search_send(s, ok && buf_append_text(&s->body, "]}"), rows_came);
}

/* ---- documents ---- */

static void scroll_ended(struct search_sink *s, int status) {
    (void)status;
    search_verify_scanned(s, false);
}

static void end_scroll(struct search_sink *s) {
    search_begin(s, "DELETE", json_type);
    search_send(
        s,
        buf_append_text(&s->path, "/_search/scroll") && buf_append_text(&s->body, "{\"scroll_id\":") &&
            buf_append_slice(&s->body, buf_slice(&s->verify->cursor)) && buf_append_byte(&s->body, '}'),
        scroll_ended);
}

/* False: memory, or an answer that is not what it should be. */
static bool take_hits(struct search_sink *s, struct slice hits, size_t *count) {
    struct json_walk walk;
    struct slice hit;
    struct buf key;
    bool ok = true;
    buf_init(&key, (size_t)1 << 20);
    for (json_walk_open(&walk, hits); ok && json_walk_item(&walk, &hit); (*count)++) {
        struct slice raw = search_member(hit, "_id");
        buf_clear(&key);
        ok = raw.ptr && json_kind_of(raw) == JSON_STRING && json_unquote(&key, raw);
        if (ok) {
            search_verify_found(s, buf_slice(&key));
        }
    }
    buf_free(&key);
    return ok;
}

static void scrolled(struct search_sink *s, int status) {
    struct search_verify *v = s->verify;
    struct slice answer = search_json(s);
    struct slice hits = search_member(search_member(answer, "hits"), "hits");
    struct slice id = search_member(answer, "_scroll_id");
    size_t count = 0;
    if (status == 404 && v->cursor.len == 0) {
        search_verify_scanned(s, false);
        return;
    }
    bool ok = status == 200 && hits.ptr && json_kind_of(hits) == JSON_ARRAY && id.ptr &&
              take_hits(s, hits, &count);
    buf_clear(&v->cursor);
    if (!ok || !buf_append_slice(&v->cursor, id)) {
        search_unexpected(s, "walked through documents", status);
    } else if (count > 0) {
        search_verify_scanned(s, true);
    } else {
        end_scroll(s);
    }
}

static void begin_scroll(struct search_sink *s) {
    search_begin(s, "POST", json_type);
    search_send(s,
                buf_printf(&s->path, "/%s/_search?scroll=5m", search_verify_name(s)) &&
                    buf_append_text(&s->body, "{\"size\":500,\"_source\":false,\"sort\":[\"_doc\"]}"),
                scrolled);
}

void search_elastic_scan(struct search_sink *s) {
    struct search_verify *v = s->verify;
    if (v->cursor.len == 0) {
        search_elastic_refresh(s, search_verify_name(s), begin_scroll);
        return;
    }
    search_begin(s, "POST", json_type);
    search_send(s,
                buf_append_text(&s->path, "/_search/scroll") &&
                    buf_append_text(&s->body, "{\"scroll\":\"5m\",\"scroll_id\":") &&
                    buf_append_slice(&s->body, buf_slice(&v->cursor)) && buf_append_byte(&s->body, '}'),
                scrolled);
}
