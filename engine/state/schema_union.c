/* Values that may fit one of several schemas. */
#include <stdlib.h>

#include "state/schema_walk.h"

/* By the value's first byte, which tells its kind. */
static bool accepts(const struct schema_node *node, struct slice value) {
    return node->accepts >> json_kind_of(value) & 1;
}

/* Takes what one more look at the value costs. False: unions inside each other have used up all there is. */
static bool take_fuel(const struct schema_walk *w, struct slice value) {
    if (*w->fuel <= value.len) {
        *w->fuel = 0;
        return false;
    }
    *w->fuel -= value.len + 1;
    return true;
}

static bool option_fits(const struct schema_walk *w, const struct schema_node *option, struct slice value,
                        struct schema_issues *issues) {
    struct schema_walk own = *w;
    const char *at = value.ptr;
    own.issues = issues;
    return accepts(option, value) && take_fuel(w, value) && schema_walk_node(&own, option, NULL, &at);
}

static bool any_fits(const struct schema_walk *w, const struct schema_node *node, struct slice value) {
    for (size_t i = 0; i < node->option_count; i++) {
        if (option_fits(w, node->options[i], value, NULL)) {
            return true;
        }
    }
    return false;
}

/* "(1) id: is missing: expected a string": the first issue that the option has. */
static void append_reason(const struct schema_walk *w, const struct schema_node *option, struct slice value,
                          struct schema_issues *issues, struct buf *message) {
    schema_issues_clear(issues);
    if (!option_fits(w, option, value, issues) && issues->count > 0) {
        issues->count = 1;
        schema_issues_describe(issues, message);
    }
}

/* Where several options are of the value's kind, each of them tells what it has against it. */
static void append_reasons(const struct schema_walk *w, const struct schema_node *node, struct slice value,
                           struct buf *message) {
    struct schema_issues *issues = malloc(sizeof *issues);
    if (!issues) {
        return;
    }
    schema_issues_init(issues);
    size_t number = 0;
    for (size_t i = 0; i < node->option_count; i++) {
        if (accepts(node->options[i], value)) {
            buf_printf(message, "%s(%zu) ", number++ ? "; " : ": ", i + 1);
            append_reason(w, node->options[i], value, issues, message);
        }
    }
    schema_issues_free(issues);
    free(issues);
}

bool schema_union_check(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        const char **at) {
    const struct schema_node *only = NULL;
    size_t count = 0;
    for (size_t i = 0; i < node->option_count; i++) {
        bool possible = accepts(node->options[i], slice_of(*at, 1));
        only = possible ? node->options[i] : only;
        count += possible;
    }
    if (count == 1) {
        return schema_walk_node(w, only, step, at);
    }
    struct slice value = schema_walk_value(w, at);
    if (count == 0) {
        return schema_walk_refuse(w, node, step, value);
    }
    if (any_fits(w, node, value)) {
        return true;
    }
    struct buf *message = schema_issue_add(w->issues, step, value);
    if (message && *w->fuel == 0) {
        buf_append_text(message,
                        "could not be checked: there are too many ways to fit unions inside each other");
    } else if (message) {
        buf_append_text(message, "fits none of the options");
        append_reasons(w, node, value, message);
    }
    return false;
}

bool schema_union_check_tagged(struct schema_walk *w, const struct schema_node *node,
                               const struct schema_step *step, const char **at) {
    struct schema_step member = {.parent = step, .name = node->tag};
    const char *start = *at;
    struct slice value = schema_walk_value(w, at);
    if (*start != '{') {
        return schema_walk_refuse(w, node, step, value);
    }
    struct slice tag = json_member(value, node->tag);
    if (!tag.ptr) {
        struct buf *message = schema_issue_add(w->issues, &member, tag);
        if (message) {
            buf_append_text(message, "is missing: expected ");
            buf_append_text(message, node->value_count == 1 ? "" : "one of ");
            schema_node_values(node, message);
        }
        return false;
    }
    for (size_t i = 0; i < node->value_count; i++) {
        if (schema_value_is(&node->values[i], tag)) {
            return schema_walk_node(w, node->options[node->values[i].option], step, &start);
        }
    }
    return schema_scalar_refuse_value(w, node, &member, tag);
}
