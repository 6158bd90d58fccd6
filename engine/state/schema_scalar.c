#include "state/schema_walk.h"

#include <string.h>

#include "state/schema_format.h"
#include "json/text.h"

/* "must be an email address, got "x"" */
static bool refuse_string(struct schema_walk *w, const struct schema_step *step, struct slice value,
                          const char *rule) {
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, rule);
        buf_append_text(message, ", got ");
        schema_issue_quote(value, message);
    }
    return false;
}

bool schema_text_fits(const struct schema_text *text, struct slice bytes) {
    struct slice part = text->bytes;
    switch (text->part) {
    case SCHEMA_STARTS:
        return bytes.len >= part.len && memcmp(bytes.ptr, part.ptr, part.len) == 0;
    case SCHEMA_ENDS:
        return bytes.len >= part.len && memcmp(bytes.ptr + bytes.len - part.len, part.ptr, part.len) == 0;
    case SCHEMA_INCLUDES:
        return memmem(bytes.ptr, bytes.len, part.ptr, part.len) != NULL;
    case SCHEMA_PATTERN:
        break;
    }
    return schema_pattern_finds(text->pattern, bytes);
}

static bool check_text(struct schema_walk *w, const struct schema_step *step, struct slice value,
                       struct slice bytes, const struct schema_text *text) {
    static const char *const words[] = {
        [SCHEMA_PATTERN] = "must match the pattern ",
        [SCHEMA_STARTS] = "must start with ",
        [SCHEMA_ENDS] = "must end with ",
        [SCHEMA_INCLUDES] = "must include ",
    };
    if (schema_text_fits(text, bytes)) {
        return true;
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, words[text->part]);
        schema_issue_quote_bytes(text->bytes, message);
        buf_append_text(message, ", got ");
        schema_issue_quote(value, message);
    }
    return false;
}

static bool check_formats(struct schema_walk *w, const struct schema_node *node,
                          const struct schema_step *step, struct slice value, struct slice bytes) {
    static const struct {
        enum schema_format format;
        bool (*fits)(struct slice text);
        const char *rule;
    } formats[] = {
        {SCHEMA_DATETIME, schema_format_datetime, "must be a date and time like 2024-05-01T10:00:00Z"},
        {SCHEMA_EMAIL, schema_format_email, "must be an email address"},
        {SCHEMA_URL, schema_format_url, "must be a URL like https://example.com"},
        {SCHEMA_UUID, schema_format_uuid, "must be a UUID like 2f4c9d0e-6a1b-4c3d-8e5f-0a1b2c3d4e5f"},
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (node->formats & formats[i].format && !formats[i].fits(bytes)) {
            ok = refuse_string(w, step, value, formats[i].rule);
        }
    }
    return ok;
}

/* bytes: what the string stands for. Every rule that it breaks is an issue. */
static bool check_rules(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        struct slice value, struct slice bytes) {
    bool ok = true;
    if (node->has_min || node->has_max) {
        ok = schema_walk_count(w, node, step, value, schema_format_length(bytes), "character");
    }
    ok = check_formats(w, node, step, value, bytes) && ok;
    for (size_t i = 0; i < node->text_count; i++) {
        ok = check_text(w, step, value, bytes, &node->texts[i]) && ok;
    }
    return ok;
}

bool schema_scalar_string(struct schema_walk *w, const struct schema_node *node,
                          const struct schema_step *step, const char **at) {
    bool escaped;
    if (**at != '"') {
        return schema_walk_refuse(w, node, step, schema_walk_value(w, at));
    }
    struct slice value = schema_walk_string(w, at, &escaped);
    if (!node->has_min && !node->has_max && !node->formats && !node->text_count) {
        return true;
    }
    if (!escaped) {
        return check_rules(w, node, step, value, slice_of(value.ptr + 1, value.len - 2));
    }
    struct buf plain;
    buf_init(&plain, value.len);
    bool ok = json_unquote(&plain, value) ? check_rules(w, node, step, value, buf_slice(&plain))
                                          : schema_walk_refuse_memory(w, step, value);
    buf_free(&plain);
    return ok;
}

static bool is_low(struct schema_number number, const struct schema_node *node) {
    return node->has_min && schema_number_compare(number, node->min) < (node->over ? 1 : 0);
}

static bool is_high(struct schema_number number, const struct schema_node *node) {
    return node->has_max && schema_number_compare(number, node->max) > (node->under ? -1 : 0);
}

bool schema_number_within(struct schema_number number, const struct schema_node *node) {
    return !is_low(number, node) && !is_high(number, node);
}

static bool check_multiple(struct schema_walk *w, const struct schema_node *node,
                           const struct schema_step *step, struct slice value) {
    if (schema_multiple_fits(node->multiple, value)) {
        return true;
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "must be a multiple of ");
        schema_number_append(node->multiple_of, message);
        buf_append_text(message, ", is ");
        schema_issue_quote(value, message);
    }
    return false;
}

static bool check_number_rules(struct schema_walk *w, const struct schema_node *node,
                               const struct schema_step *step, struct slice value,
                               struct schema_number number) {
    bool low = is_low(number, node);
    if (!low && !is_high(number, node)) {
        return check_multiple(w, node, step, value);
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "must be ");
        buf_append_text(message, low ? (node->over ? "more than " : "at least ")
                                     : (node->under ? "less than " : "at most "));
        schema_number_append(low ? node->min : node->max, message);
        buf_append_text(message, ", is ");
        schema_issue_quote(value, message);
    }
    return false;
}

bool schema_scalar_number(struct schema_walk *w, const struct schema_node *node,
                          const struct schema_step *step, const char **at) {
    struct slice value = schema_walk_value(w, at);
    if (json_kind_of(value) != JSON_NUMBER) {
        return schema_walk_refuse(w, node, step, value);
    }
    if (!node->has_min && !node->has_max) {
        return check_multiple(w, node, step, value);
    }
    return check_number_rules(w, node, step, value, schema_number_read(value));
}

bool schema_scalar_integer(struct schema_walk *w, const struct schema_node *node,
                           const struct schema_step *step, const char **at) {
    struct slice value = schema_walk_value(w, at);
    struct schema_number number;
    if (json_kind_of(value) != JSON_NUMBER) {
        return schema_walk_refuse(w, node, step, value);
    }
    switch (schema_number_read_whole(value, &number)) {
    case SCHEMA_FRACTION:
        return schema_walk_refuse(w, node, step, value);
    case SCHEMA_TOO_LARGE:
        return refuse_string(w, step, value, "must fit a 64-bit integer");
    default:
        return check_number_rules(w, node, step, value, number);
    }
}

bool schema_scalar_boolean(struct schema_walk *w, const struct schema_node *node,
                           const struct schema_step *step, const char **at) {
    struct slice value = schema_walk_value(w, at);
    return json_kind_of(value) == JSON_BOOLEAN || schema_walk_refuse(w, node, step, value);
}

bool schema_value_is(const struct schema_value *allowed, struct slice value) {
    enum json_kind kind = json_kind_of(value);
    if (allowed->kind != kind) {
        return false;
    }
    switch (kind) {
    case JSON_STRING:
        return json_string_is(value, allowed->bytes);
    case JSON_NUMBER:
        return schema_number_compare(schema_number_read(value), allowed->number) == 0;
    case JSON_BOOLEAN:
        return (value.ptr[0] == 't') == allowed->truth;
    default:
        return true;
    }
}

bool schema_scalar_enum(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        const char **at) {
    struct slice value = schema_walk_value(w, at);
    for (size_t i = 0; i < node->value_count; i++) {
        if (schema_value_is(&node->values[i], value)) {
            return true;
        }
    }
    return schema_scalar_refuse_value(w, node, step, value);
}

bool schema_scalar_refuse_value(struct schema_walk *w, const struct schema_node *node,
                                const struct schema_step *step, struct slice value) {
    enum json_kind kind = json_kind_of(value);
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, node->value_count == 1 ? "must be " : "must be one of ");
        schema_node_values(node, message);
        buf_append_text(message, node->kind == SCHEMA_ENUM && node->nullable ? " or null" : "");
        buf_append_text(message, ", got ");
        if (kind == JSON_ARRAY || kind == JSON_OBJECT) {
            schema_issue_describe_value(value, message);
        } else {
            schema_issue_quote(value, message);
        }
    }
    return false;
}
