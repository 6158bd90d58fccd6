/* What search_verify.c asks of Typesense: the list of collections, and exports. */
#include <string.h>

#include "sink/search_name.h"
#include "sink/search_verify.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum { FILTER_BYTES = 2000 };

/* ---- lines of exports ---- */

/* The next one; ptr NULL: there is none. */
static struct slice next_line(const struct buf *answer, size_t *at) {
    while (*at < answer->len) {
        const char *start = answer->ptr + *at;
        const char *end = memchr(start, '\n', answer->len - *at);
        size_t len = end ? (size_t)(end - start) : answer->len - *at;
        *at += len + 1;
        struct slice line = json_trim(slice_of(start, len));
        if (line.len > 0) {
            return json_check(line, NULL) ? line : SLICE("{}");
        }
    }
    return slice_of(NULL, 0);
}

/* ---- rows ---- */

/* The document with this id, in whatever place it came. */
static struct slice find_line(const struct buf *answer, struct slice id) {
    struct slice line;
    for (size_t at = 0; (line = next_line(answer, &at)).ptr;) {
        struct slice raw = search_member(line, "id");
        if (raw.ptr && json_kind_of(raw) == JSON_STRING && json_string_is(raw, id)) {
            return line;
        }
    }
    return slice_of(NULL, 0);
}

static void rows_came(struct search_sink *s, int status) {
    struct search_verify *v = s->verify;
    struct buf id;
    bool ok = true;
    if (status != 200 && status != 404) {
        search_unexpected(s, "asked for documents", status);
        return;
    }
    buf_init(&id, (size_t)1 << 30);
    for (size_t i = 0; ok && i < v->page; i++) {
        buf_clear(&id);
        ok = search_name_id(&id, search_verify_row(s, i).key);
        if (ok) {
            bool is_there = status == 200;
            search_verify_compare(s, i, is_there ? find_line(&s->answer, buf_slice(&id)) : slice_of(NULL, 0),
                                  true);
        }
    }
    buf_free(&id);
    if (ok) {
        search_verify_page(s);
    } else {
        search_fail(s, ERROR_MEMORY, "out of memory while it was compared");
    }
}

/* As many rows as the filter, which is a part of the URL, may have. */
void search_typesense_ask_rows(struct search_sink *s) {
    struct search_verify *v = s->verify;
    search_begin(s, "GET", NULL);
    bool ok = buf_printf(&s->path, "/collections/%s/documents/export?filter_by=id:%%5B",
                         search_verify_name(s));
    size_t start = s->path.len;
    size_t i = 0;
    for (; ok && i < v->page && s->path.len - start < FILTER_BYTES; i++) {
        struct slice key = search_verify_row(s, i).key;
        bool is_fit = key.len > 0 && key.len <= FILTER_BYTES; /* what is not was refused */
        ok = (i == 0 || buf_append_text(&s->path, "%2C")) &&
             (is_fit ? search_name_id(&s->path, key) : buf_append_text(&s->path, "~"));
    }
    v->page = i;
    search_send(s, ok && buf_append_text(&s->path, "%5D"), rows_came);
}

/* ---- documents ---- */

static bool take_line(struct search_sink *s, struct slice line) {
    struct buf id;
    struct buf key;
    struct slice raw = search_member(line, "id");
    buf_init(&id, line.len + 1);
    buf_init(&key, line.len + 1);
    bool ok = raw.ptr && json_kind_of(raw) == JSON_STRING && json_unquote(&id, raw) &&
              search_name_key(&key, buf_slice(&id));
    if (ok) {
        search_verify_found(s, buf_slice(&key));
    }
    buf_free(&id);
    buf_free(&key);
    return ok;
}

static void scanned(struct search_sink *s, int status) {
    struct slice line;
    bool ok = status == 200 || status == 404;
    for (size_t at = 0; ok && status == 200 && (line = next_line(&s->answer, &at)).ptr;) {
        ok = take_line(s, line);
    }
    if (ok) {
        search_verify_scanned(s, false);
    } else {
        search_unexpected(s, "walked through documents", status);
    }
}

void search_typesense_scan(struct search_sink *s) {
    search_begin(s, "GET", NULL);
    search_send(
        s, buf_printf(&s->path, "/collections/%s/documents/export?include_fields=id", search_verify_name(s)),
        scanned);
}
