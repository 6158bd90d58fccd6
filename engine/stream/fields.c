#include "stream/fields.h"

#include <stdlib.h>
#include <string.h>

static struct slice copy(char **at, struct slice s) {
    char *start = *at;
    if (s.len) {
        memcpy(start, s.ptr, s.len);
    }
    *at += s.len;
    return slice_of(start, s.len);
}

bool fields_copy(struct fields *fields, const struct http_field *list, size_t count, size_t extra,
                 struct error *e) {
    size_t bytes = (count + extra) * sizeof *list;
    for (size_t i = 0; i < count; i++) {
        bytes += list[i].name.len + list[i].value.len;
    }
    *fields = (struct fields){.list = malloc(bytes ? bytes : 1), .count = count, .own = count};
    if (!fields->list) {
        return error_set(e, ERROR_MEMORY, "out of memory for request headers");
    }
    char *at = (char *)(fields->list + count + extra);
    for (size_t i = 0; i < count; i++) {
        fields->list[i].name = copy(&at, list[i].name);
        fields->list[i].value = copy(&at, list[i].value);
    }
    return true;
}

void fields_free(struct fields *fields) {
    free(fields->list);
    *fields = (struct fields){0};
}

void fields_trim(struct fields *fields) {
    fields->count = fields->own;
}

void fields_put(struct fields *fields, const char *name, struct slice value) {
    struct http_response own = {.fields = fields->list, .field_count = fields->own};
    if (!http_field(&own, name).ptr) {
        fields->list[fields->count++] = (struct http_field){slice_from(name), value};
    }
}
