#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/search_parts.h"
#include "json/read.h"
#include "json/text.h"

static bool put_text(struct buf *out, const char *name, const char *text) {
    struct error ignored;
    return !text || (buf_printf(out, ",\"%s\":", name) && json_quote(out, slice_from(text), &ignored));
}

/* Notes are kept as text: their members are nothing to search for. */
bool search_place_put(struct search_sink *s, struct buf *out, uint64_t epoch, uint64_t commit,
                      const struct sink_place *place) {
    char now[LOG_STAMP];
    log_stamp(now);
    bool ok = buf_printf(out, "\"layout\":1,\"epoch\":%" PRIu64 ",\"commit\":%" PRIu64, epoch, commit) &&
              put_text(out, "stream_url", s->sink.stream) && put_text(out, "owner", s->owner) &&
              put_text(out, "synced_at", now);
    return ok && (!place || (buf_printf(out, ",\"skip\":%" PRIu64 ",\"sequence\":%" PRIu64, place->skip,
                                        place->sequence) &&
                             put_text(out, "offset", place->offset) && put_text(out, "notes", place->notes)));
}

/* NULL: absent (*ok stays true), or memory. */
static char *take_text(struct slice document, const char *name, bool *ok) {
    struct slice value = search_member(document, name);
    if (!value.ptr || json_kind_of(value) != JSON_STRING) {
        return NULL;
    }
    struct buf text;
    buf_init(&text, value.len + 1);
    if (json_unquote(&text, value) && buf_append_byte(&text, '\0')) {
        return text.ptr;
    }
    buf_free(&text);
    *ok = false;
    return NULL;
}

bool search_place_take(struct search_sink *s, struct slice document) {
    bool ok = true;
    s->has_document = true;
    if (search_number(search_member(document, "layout")) != 1) {
        search_fail(s, ERROR_ARGUMENT,
                    "the place of stream %s is of a layout that this version of weir does not know: set "
                    "another prefix",
                    s->sink.stream);
        return false;
    }
    if (!search_string_is(search_member(document, "stream_url"), s->sink.stream)) {
        search_fail(s, ERROR_ARGUMENT,
                    "the document where the place of stream %s should be is another stream's",
                    s->sink.stream);
        return false;
    }
    struct slice sequence = search_member(document, "sequence");
    sink_place_free(&s->place);
    free(s->found_owner);
    s->place = (struct sink_place){
        .offset = take_text(document, "offset", &ok),
        .skip = search_number(search_member(document, "skip")),
        .sequence = search_number(sequence),
        .notes = take_text(document, "notes", &ok),
    };
    s->found_owner = take_text(document, "owner", &ok);
    s->has_place = sequence.ptr && json_kind_of(sequence) == JSON_NUMBER;
    s->found_epoch = search_number(search_member(document, "epoch"));
    s->found_commit = search_number(search_member(document, "commit"));
    if (!ok) {
        search_fail(s, ERROR_MEMORY, "out of memory for a place");
    }
    return ok;
}

bool search_place_is_own(struct search_sink *s) {
    bool is_owner = !s->owner || (s->found_owner && strcmp(s->owner, s->found_owner) == 0);
    return s->has_document && s->found_epoch == s->sink.epoch && is_owner;
}

void search_place_refuse(struct search_sink *s) {
    bool is_newer = s->found_epoch > s->sink.epoch ||
                    (s->found_epoch == s->sink.epoch &&
                     !search_place_is_own(s)); /* opened at the same moment */
    if (s->has_document && is_newer) {
        sink_fenced(&s->sink, s->found_epoch, &s->error);
        search_end(s);
        return;
    }
    search_fail(s, ERROR_GONE,
                "the server has lost what it had stored of stream %s: %s (an index that was removed, an "
                "older snapshot?). "
                "Start the worker again: it goes on from what is there",
                s->sink.stream,
                s->has_document ? "its place is older than ours" : "its place is no longer there");
}

/* ---- opening ---- */

static void open_found(struct search_sink *s, int status) {
    s->found_epoch = 0;
    if (!s->dialect->take_place(s, status)) {
        return;
    }
    if (s->read_only) {
        s->sink.epoch = s->found_epoch;
        search_end(s);
    } else if (s->has_document) {
        s->dialect->raise(s);
    } else {
        s->dialect->make_places(s);
    }
}

void search_place_open(struct search_sink *s) {
    s->dialect->ask_place(s, open_found);
}

/* ---- before the rows ---- */

static void checked(struct search_sink *s, int status) {
    if (!s->dialect->take_place(s, status)) {
        return;
    }
    if (search_place_is_own(s) && s->found_commit == s->commits) {
        search_bulk_begin(s);
    } else {
        search_place_refuse(s);
    }
}

void search_place_check(struct search_sink *s) {
    s->dialect->ask_place(s, checked);
}
