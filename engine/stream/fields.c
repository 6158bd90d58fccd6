#include "stream/fields.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void fields_init(struct fields *fields) {
    *fields = (struct fields){0};
}

void fields_free(struct fields *fields) {
    for (size_t i = 0; i < fields->header_count; i++) {
        free((char *)fields->headers[i].name.ptr);
    }
    for (size_t i = 0; i < fields->param_count; i++) {
        free((char *)fields->params[i].name);
    }
    free(fields->headers);
    free(fields->params);
    *fields = (struct fields){0};
}

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory for a request's headers");
}

/* One allocation: the name, a NUL, the value. */
static char *join(struct slice name, struct slice value) {
    char *text = malloc(name.len + value.len + 1);
    if (!text) {
        return NULL;
    }
    if (name.len) {
        memcpy(text, name.ptr, name.len);
    }
    text[name.len] = '\0';
    if (value.len) {
        memcpy(text + name.len + 1, value.ptr, value.len);
    }
    return text;
}

static struct http_field *find_header(const struct fields *fields, struct slice name) {
    for (size_t i = 0; i < fields->header_count; i++) {
        struct slice have = fields->headers[i].name;
        if (have.len == name.len && strncasecmp(have.ptr, name.ptr, name.len) == 0) {
            return &fields->headers[i];
        }
    }
    return NULL;
}

/* Room for one more: powers of two, so that the count tells the capacity. False: out of memory. */
static bool grow(void **list, size_t count, size_t size) {
    if (count & (count - 1)) {
        return true;
    }
    void *more = realloc(*list, (count ? count * 2 : 1) * size);
    if (more) {
        *list = more;
    }
    return more != NULL;
}

bool fields_header(struct fields *fields, struct slice name, struct slice value, struct error *e) {
    struct http_field *field = find_header(fields, name);
    char *text = join(name, value);
    void *list = fields->headers;
    if (!text || (!field && !grow(&list, fields->header_count, sizeof *field))) {
        free(text);
        return out_of_memory(e);
    }
    fields->headers = list;
    if (field) {
        free((char *)field->name.ptr);
    } else {
        field = &fields->headers[fields->header_count++];
    }
    field->name = slice_of(text, name.len);
    field->value = slice_of(text + name.len + 1, value.len);
    return true;
}

bool fields_default(struct fields *fields, const char *name, struct slice value, struct error *e) {
    return find_header(fields, slice_from(name)) || fields_header(fields, slice_from(name), value, e);
}

bool fields_param(struct fields *fields, struct slice name, struct slice value, struct error *e) {
    struct url_param *param = NULL;
    for (size_t i = 0; i < fields->param_count && !param; i++) {
        param = slice_is(name, fields->params[i].name) ? &fields->params[i] : NULL;
    }
    char *text = join(name, value);
    void *list = fields->params;
    if (!text || (!param && !grow(&list, fields->param_count, sizeof *param))) {
        free(text);
        return out_of_memory(e);
    }
    fields->params = list;
    if (param) {
        free((char *)param->name);
    } else {
        param = &fields->params[fields->param_count++];
    }
    param->name = text;
    param->value = value.ptr ? slice_of(text + name.len + 1, value.len) : (struct slice){0};
    return true;
}

bool fields_headers(struct fields *fields, const struct http_field *list, size_t count, struct error *e) {
    for (size_t i = 0; i < count; i++) {
        if (!fields_header(fields, list[i].name, list[i].value, e)) {
            return false;
        }
    }
    return true;
}

bool fields_add(struct fields *fields, const struct fields *from, struct error *e) {
    if (!fields_headers(fields, from->headers, from->header_count, e)) {
        return false;
    }
    for (size_t i = 0; i < from->param_count; i++) {
        if (!fields_param(fields, slice_from(from->params[i].name), from->params[i].value, e)) {
            return false;
        }
    }
    return true;
}
