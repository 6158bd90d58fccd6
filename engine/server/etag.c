#include "server/etag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void etag_format(uint32_t life, uint64_t id, const struct stream_body *body, char out[ETAG_SIZE]) {
    const char *end = body->closed ? ":c" : body->up_to_date ? ":u" : "";
    snprintf(out, ETAG_SIZE, "\"%" PRIx32 "-%" PRIx64 ":%" PRIu64 ":%" PRIu64 "%s\"", life, id, body->from,
             body->next, end);
}

static struct slice without_space(struct slice s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == ',')) {
        s = slice_of(s.ptr + 1, s.len - 1);
    }
    return s;
}

bool etag_matches(struct slice list, const char *etag) {
    size_t len = strlen(etag);
    for (list = without_space(list); list.len; list = without_space(list)) {
        if (list.ptr[0] == '*') {
            return true;
        }
        if (list.len > 2 && list.ptr[0] == 'W' && list.ptr[1] == '/') {
            list = slice_of(list.ptr + 2, list.len - 2);
        }
        if (list.len >= len && memcmp(list.ptr, etag, len) == 0) {
            return true;
        }
        const char *comma = memchr(list.ptr, ',', list.len); /* the tags made here hold none */
        size_t used = comma ? (size_t)(comma - list.ptr) : list.len;
        list = slice_of(list.ptr + used, list.len - used);
    }
    return false;
}
