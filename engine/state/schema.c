#include "state/schema.h"

#include "state/schema_fast.h"
#include "state/schema_walk.h"

struct slice schema_walk_value(const struct schema_walk *w, const char **at) {
    const char *start = *at;
    bool escaped;
    if (*start == '"') {
        return schema_walk_string(w, at, &escaped);
    }
    *at = json_skip_value(start, w->end);
    return schema_walk_taken(start, *at);
}

bool schema_walk_refuse_memory(struct schema_walk *w, const struct schema_step *step, struct slice value) {
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "could not be checked: out of memory");
    }
    return false;
}

/* "expected a string, got a number (3)" */
bool schema_walk_refuse(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        struct slice value) {
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        buf_append_text(message, "expected ");
        schema_node_expect(node, message);
        buf_append_text(message, ", got ");
        schema_issue_describe_value(value, message);
    }
    return false;
}

bool schema_walk_refuse_missing(struct schema_walk *w, const struct schema_node *node,
                                const struct schema_step *step) {
    struct buf *message = schema_issue_add(w->issues, step, (struct slice){0});
    if (message) {
        buf_append_text(message, "is missing: expected ");
        schema_node_expect(node, message);
    }
    return false;
}

/* Lengths and counts: "must have at least 1 item, has 0". */
bool schema_walk_count(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                       struct slice value, size_t count, const char *unit) {
    struct schema_number has = schema_number_whole((int64_t)count);
    bool few = node->has_min && schema_number_compare(has, node->min) < 0;
    bool many = node->has_max && schema_number_compare(has, node->max) > 0;
    if (!few && !many) {
        return true;
    }
    struct schema_number bound = few ? node->min : node->max;
    bool exact = node->has_min && node->has_max && schema_number_compare(node->min, node->max) == 0;
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message) {
        bool one = schema_number_compare(bound, schema_number_whole(1)) == 0;
        buf_printf(message, "must have %s ", exact ? "exactly" : few ? "at least" : "at most");
        schema_number_append(bound, message);
        buf_printf(message, " %s%s, has %zu", unit, one ? "" : "s", count);
    }
    return false;
}

static bool check_any(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                      const char **at) {
    (void)node;
    (void)step;
    schema_walk_value(w, at);
    return true;
}

static bool check_array(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        const char **at) {
    const char *start = *at;
    struct schema_step each = {.parent = step};
    bool ok = true;
    if (*start != '[') {
        return schema_walk_refuse(w, node, step, schema_walk_value(w, at));
    }
    for ((*at)++; schema_walk_next(w, at, ']'); each.index++) {
        ok = schema_walk_node(w, node->item, &each, at) && ok;
    }
    return schema_walk_count(w, node, step, schema_walk_taken(start, *at), each.index, "item") && ok;
}

static bool check_record(struct schema_walk *w, const struct schema_node *node,
                         const struct schema_step *step, const char **at) {
    struct schema_step each = {.parent = step, .raw = true};
    bool escaped;
    bool ok = true;
    if (**at != '{') {
        return schema_walk_refuse(w, node, step, schema_walk_value(w, at));
    }
    for ((*at)++; schema_walk_next(w, at, '}');) {
        const char *name = *at;
        each.name = schema_walk_name(w, at, &escaped);
        ok = (!node->names || schema_walk_node(w, node->names, &each, &name)) && ok;
        ok = schema_walk_node(w, node->item, &each, at) && ok;
    }
    return ok;
}

static bool check_tuple(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        const char **at) {
    const char *start = *at;
    struct schema_step each = {.parent = step};
    bool ok = true;
    if (*start != '[') {
        return schema_walk_refuse(w, node, step, schema_walk_value(w, at));
    }
    for ((*at)++; schema_walk_next(w, at, ']'); each.index++) {
        const struct schema_node *place = each.index < node->option_count ? node->options[each.index]
                                                                          : node->item;
        if (place) {
            ok = schema_walk_node(w, place, &each, at) && ok;
        } else {
            schema_walk_value(w, at);
        }
    }
    return schema_walk_count(w, node, step, schema_walk_taken(start, *at), each.index, "item") && ok;
}

static bool check_lazy(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                       const char **at) {
    if (!schema_room_take(&w->room, node->item)) {
        struct buf *message = schema_issue_add(w->issues, step, schema_walk_value(w, at));
        if (message) {
            buf_append_text(message, "could not be checked: it is nested too deep");
        }
        return false;
    }
    bool ok = schema_walk_node(w, node->item, step, at);
    schema_room_give(&w->room, node->item);
    return ok;
}

/* Recursion is bounded by SCHEMA_DEPTH_MAX and SCHEMA_ROOM, whatever the text. */
bool schema_walk_node(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                      const char **at) {
    static schema_walk_kind *const kinds[SCHEMA_KINDS] = {
        [SCHEMA_ANY] = check_any,
        [SCHEMA_STRING] = schema_scalar_string,
        [SCHEMA_NUMBER] = schema_scalar_number,
        [SCHEMA_INTEGER] = schema_scalar_integer,
        [SCHEMA_BOOLEAN] = schema_scalar_boolean,
        [SCHEMA_ENUM] = schema_scalar_enum,
        [SCHEMA_ARRAY] = check_array,
        [SCHEMA_OBJECT] = schema_object_check,
        [SCHEMA_RECORD] = check_record,
        [SCHEMA_TUPLE] = check_tuple,
        [SCHEMA_UNION] = schema_union_check,
        [SCHEMA_TAGGED] = schema_union_check_tagged,
        [SCHEMA_LAZY] = check_lazy,
    };
    if (node->nullable && **at == 'n') {
        *at = json_skip_value(*at, w->end);
        return true;
    }
    return kinds[node->kind](w, node, step, at);
}

bool schema_walk_check(const struct schema *schema, struct slice value, struct schema_issues *issues) {
    uint64_t fuel = SCHEMA_FUEL + 64 * (uint64_t)value.len;
    struct schema_walk w = {
        .issues = issues, .end = value.ptr + value.len, .fuel = &fuel, .room = SCHEMA_ROOM};
    const char *at = value.ptr;
    if (issues) {
        schema_issues_clear(issues);
    }
    if (schema_walk_node(&w, schema->root, NULL, &at)) {
        return true;
    }
    /* Where the list was full and then issues were dropped from it, none may be left. */
    struct buf *message = issues && issues->count == 0 ? schema_issue_add(issues, NULL, value) : NULL;
    if (message) {
        buf_append_text(message, "has more issues than can be listed");
    }
    return false;
}

bool schema_check(const struct schema *schema, struct slice json, struct schema_issues *issues) {
    struct slice value = json_trim(json);
    if (!schema_fast_check(schema->root, value)) {
        return schema_walk_check(schema, value, issues);
    }
    if (issues) {
        schema_issues_clear(issues);
    }
    return true;
}

bool schema_check_missing(const struct schema *schema, struct schema_issues *issues) {
    struct schema_walk w = {.issues = issues};
    if (issues) {
        schema_issues_clear(issues);
    }
    return schema->root->optional || schema_walk_refuse_missing(&w, schema->root, NULL);
}
