/* What a node expects, in words. */
#include <string.h>

#include "state/schema_issue.h"
#include "state/schema_node.h"

/* Room that is left in a message for what follows a list. */
enum { LIST_MAX_BYTES = 300 };

static bool list_is_full(size_t start, struct buf *out) {
    if (out->len - start < LIST_MAX_BYTES) {
        return false;
    }
    buf_append_text(out, ", ...");
    return true;
}

static void append_value(const struct schema_value *value, struct buf *out) {
    switch (value->kind) {
    case JSON_STRING:
        schema_issue_quote_bytes(value->bytes, out);
        break;
    case JSON_NUMBER:
        schema_number_append(value->number, out);
        break;
    case JSON_BOOLEAN:
        buf_append_text(out, value->truth ? "true" : "false");
        break;
    default:
        buf_append_text(out, "null");
        break;
    }
}

void schema_node_values(const struct schema_node *node, struct buf *out) {
    size_t start = out->len;
    for (size_t i = 0; i < node->value_count && (i == 0 || !list_is_full(start, out)); i++) {
        buf_append_text(out, i > 0 ? ", " : "");
        append_value(&node->values[i], out);
    }
}

void schema_node_names(const struct schema_node *node, struct buf *out) {
    size_t start = out->len;
    for (size_t i = 0; i < node->field_count && (i == 0 || !list_is_full(start, out)); i++) {
        buf_append_text(out, i > 0 ? ", " : "");
        buf_append_slice(out, node->fields[i].name);
    }
}

/* "a string or a number"; what several options would say alike is said once. */
static void expect_options(const struct schema_node *node, struct buf *out) {
    size_t start = out->len;
    for (size_t i = 0; i < node->option_count && (i == 0 || !list_is_full(start, out)); i++) {
        struct buf option;
        buf_init(&option, 2 * LIST_MAX_BYTES);
        schema_node_expect(node->options[i], &option);
        struct slice text = buf_slice(&option);
        struct slice said = buf_slice(out);
        if (i == 0 || !memmem(said.ptr + start, said.len - start, text.ptr, text.len)) {
            buf_append_text(out, i > 0 ? " or " : "");
            buf_append_slice(out, text);
        }
        buf_free(&option);
    }
}

void schema_node_expect(const struct schema_node *node, struct buf *out) {
    static const char *const names[SCHEMA_KINDS] = {
        [SCHEMA_ANY] = "a value",
        [SCHEMA_STRING] = "a string",
        [SCHEMA_NUMBER] = "a number",
        [SCHEMA_INTEGER] = "an integer",
        [SCHEMA_BOOLEAN] = "a boolean",
        [SCHEMA_ENUM] = "one of ",
        [SCHEMA_ARRAY] = "an array",
        [SCHEMA_OBJECT] = "an object",
        [SCHEMA_RECORD] = "an object",
        [SCHEMA_TUPLE] = "an array",
        [SCHEMA_UNION] = "",
        [SCHEMA_TAGGED] = "an object",
        [SCHEMA_LAZY] = "",
    };
    if (node->kind != SCHEMA_ENUM || node->value_count != 1) {
        buf_append_text(out, names[node->kind]);
    }
    if (node->kind == SCHEMA_ENUM) {
        schema_node_values(node, out);
    }
    if (node->kind == SCHEMA_UNION) {
        expect_options(node, out);
    }
    if (node->kind == SCHEMA_LAZY) {
        schema_node_expect(node->item, out);
    }
    if (node->nullable) {
        buf_append_text(out, " or null");
    }
}
