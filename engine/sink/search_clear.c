/* A reset: what is stored of this stream is deleted, one index or collection after another. */
#include <string.h>

#include "sink/search_parts.h"
#include "json/text.h"

static bool remember(struct search_sink *s, struct slice name, struct slice type) {
    (void)type;
    return json_unquote(&s->names, name) && buf_append_byte(&s->names, '\0');
}

static void clear_next(struct search_sink *s) {
    if (s->name_at < s->names.len) {
        s->dialect->clear_one(s, s->names.ptr + s->name_at);
    } else {
        search_bulk_next(s);
    }
}

void search_clear_done(struct search_sink *s) {
    s->name_at += strlen(s->names.ptr + s->name_at) + 1;
    clear_next(s);
}

void search_clear(struct search_sink *s) {
    buf_clear(&s->names);
    s->name_at = 0;
    search_list(s, remember, clear_next);
}
