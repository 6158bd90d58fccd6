#include "state/schema_walk.h"

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

static bool check_pattern(struct schema_walk *w, const struct schema_step *step, struct slice value,
                          struct slice bytes, struct slice pattern) {
    if (w->hooks && w->hooks->pattern && w->hooks->pattern(w->hooks->user, pattern, bytes)) {
        return true;
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "must match the pattern ");
        schema_issue_quote_bytes(pattern, message);
        buf_append_text(message, ", got ");
        schema_issue_quote(value, message);
    }
    return false;
}

/* bytes: what the string stands for. Every rule that it breaks is an issue. */
static bool check_rules(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        struct slice value, struct slice bytes) {
    bool ok = true;
    if (node->has_min || node->has_max) {
        ok = schema_walk_count(w, node, step, value, schema_format_length(bytes), "character");
    }
    if (node->formats & SCHEMA_DATETIME && !schema_format_datetime(bytes)) {
        ok = refuse_string(w, step, value, "must be a date and time like 2024-05-01T10:00:00Z");
    }
    if (node->formats & SCHEMA_EMAIL && !schema_format_email(bytes)) {
        ok = refuse_string(w, step, value, "must be an email address");
    }
    for (size_t i = 0; i < node->pattern_count; i++) {
        ok = check_pattern(w, step, value, bytes, node->patterns[i]) && ok;
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
    if (!node->has_min && !node->has_max && !node->formats && !node->pattern_count) {
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

static bool check_bounds(struct schema_walk *w, const struct schema_node *node,
                         const struct schema_step *step, struct slice value, struct schema_number number) {
    bool low = node->has_min && schema_number_compare(number, node->min) < 0;
    bool high = node->has_max && schema_number_compare(number, node->max) > 0;
    if (!low && !high) {
        return true;
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_printf(message, "must be at %s ", low ? "least" : "most");
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
        return true;
    }
    return check_bounds(w, node, step, value, schema_number_read(value));
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
        return check_bounds(w, node, step, value, number);
    }
}

bool schema_scalar_boolean(struct schema_walk *w, const struct schema_node *node,
                           const struct schema_step *step, const char **at) {
    struct slice value = schema_walk_value(w, at);
    return json_kind_of(value) == JSON_BOOLEAN || schema_walk_refuse(w, node, step, value);
}

static bool value_is(const struct schema_value *allowed, struct slice value, enum json_kind kind) {
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
    enum json_kind kind = json_kind_of(value);
    for (size_t i = 0; i < node->value_count; i++) {
        if (value_is(&node->values[i], value, kind)) {
            return true;
        }
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "must be ");
        schema_node_expect(node, message);
        buf_append_text(message, ", got ");
        if (kind == JSON_ARRAY || kind == JSON_OBJECT) {
            schema_issue_describe_value(value, message);
        } else {
            schema_issue_quote(value, message);
        }
    }
    return false;
}
