/* What a check looks up, worked out once a schema is complete. */
#include <stdlib.h>
#include <string.h>

#include "state/schema_node.h"

static int field_order(const void *a, const void *b) {
    return slice_compare(((const struct schema_field *)a)->name, ((const struct schema_field *)b)->name);
}

/* Names that JSON writes as they are. */
static bool is_plain_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            return false;
        }
    }
    return true;
}

static void make_glue(struct schema_field *field) {
    size_t len = field->name.len + 3;
    memset(field->glue, 0, sizeof field->glue);
    field->glue_len = 0;
    field->glue_mask = 0;
    if (len > SCHEMA_GLUE_MAX || !is_plain_name(field->name)) {
        return;
    }
    field->glue[0] = '"';
    memcpy(field->glue + 1, field->name.ptr, field->name.len);
    memcpy(field->glue + 1 + field->name.len, "\":", 2);
    field->glue_len = (uint32_t)len;
    field->glue_mask = len == 32 ? UINT32_MAX : (UINT32_C(1) << len) - 1;
}

static bool index_fields(struct schema_node *node, struct error *e) {
    size_t count = 4;
    node->places_shift = 62;
    while (count < node->field_count * 2) {
        count *= 2;
        node->places_shift--;
    }
    node->places_mask = count - 1;
    node->places = calloc(count, sizeof *node->places);
    if (!node->places) {
        return error_set(e, ERROR_MEMORY, "out of memory while building a schema");
    }
    /* In byte order, so that issues come in the same order on every run. */
    qsort(node->fields, node->field_count, sizeof *node->fields, field_order);
    for (size_t i = 0; i < node->field_count; i++) {
        struct schema_field *field = &node->fields[i];
        size_t at = schema_key_place(&field->key, node->places_shift);
        while (node->places[at]) {
            at = (at + 1) & node->places_mask;
        }
        node->places[at] = (uint16_t)(i + 1);
        make_glue(field);
        field->bit = UINT64_C(1) << (i % 64);
        field->word = (uint32_t)(i / 64);
        if (!field->node->optional) {
            node->required[i / 64] |= field->bit;
        }
        field->next = field; /* nothing is known yet */
    }
    node->first = node->fields;
    return true;
}

/* From -2^63 to below 2^63. */
static int64_t rounded_up(double real) {
    int64_t whole = (int64_t)real;
    return whole + ((double)whole < real);
}

static int64_t rounded_down(double real) {
    int64_t whole = (int64_t)real;
    return whole - ((double)whole > real);
}

/* The least integer that min allows; false: there is none. */
static bool find_least(const struct schema_node *node, int64_t *least) {
    bool over = node->over;
    *least = INT64_MIN;
    if (!node->has_min || (!node->min.whole && node->min.real < -0x1p63)) {
        return true;
    }
    if (!node->min.whole && node->min.real >= 0x1p63) {
        return false;
    }
    *least = node->min.whole ? node->min.integer : rounded_up(node->min.real);
    over = over && (node->min.whole || (double)*least == node->min.real);
    if (over && *least == INT64_MAX) {
        return false;
    }
    *least += over;
    return true;
}

static bool find_most(const struct schema_node *node, int64_t *most) {
    bool under = node->under;
    *most = INT64_MAX;
    if (!node->has_max || (!node->max.whole && node->max.real >= 0x1p63)) {
        return true;
    }
    if (!node->max.whole && node->max.real < -0x1p63) {
        return false;
    }
    *most = node->max.whole ? node->max.integer : rounded_down(node->max.real);
    under = under && (node->max.whole || (double)*most == node->max.real);
    if (under && *most == INT64_MIN) {
        return false;
    }
    *most -= under;
    return true;
}

static void find_bounds(struct schema_node *node) {
    bool least = find_least(node, &node->least);
    bool most = find_most(node, &node->most);
    if (!least || !most) {
        node->least = INT64_MAX;
        node->most = INT64_MIN;
    }
    /* A character has up to four bytes. */
    node->sure = node->least <= 0 ? 0 : node->least > INT64_MAX / 4 ? SIZE_MAX : 4 * (size_t)node->least - 3;
    node->rules = node->has_min || node->has_max || node->formats || node->text_count > 0 ||
                  node->multiple.digits;
}

/* As many elements as its places, or more where an item says what these have to be. */
static void count_places(struct schema_node *node) {
    size_t least = node->option_count;
    while (least > 0 && node->options[least - 1]->optional) {
        least--;
    }
    schema_node_min(node, schema_number_whole((int64_t)least));
    if (!node->item) {
        schema_node_max(node, schema_number_whole((int64_t)node->option_count));
    }
}

static bool find_kinds(struct schema_node *node, struct error *e);

/* What a node stands for: its options, or its target. */
static bool add_kinds(struct schema_node *node, const struct schema_node *part, struct error *e) {
    if (!find_kinds((struct schema_node *)part, e)) {
        return false;
    }
    node->accepts |= part->accepts;
    return true;
}

static bool add_kinds_of_parts(struct schema_node *node, struct error *e) {
    bool options = node->kind == SCHEMA_UNION || node->kind == SCHEMA_TAGGED;
    bool ok = node->kind != SCHEMA_LAZY || add_kinds(node, node->item, e);
    for (size_t i = 0; ok && options && i < node->option_count; i++) {
        ok = add_kinds(node, node->options[i], e);
    }
    return ok;
}

/* The kinds of JSON that can fit, a bit each, and whether what is lazy may be missing. Fails where a node stands for
 * itself. Recursion is bounded by the number of nodes. */
static bool find_kinds(struct schema_node *node, struct error *e) {
    static const unsigned kinds[SCHEMA_KINDS] = {
        [SCHEMA_ANY] = ~0U,
        [SCHEMA_STRING] = 1U << JSON_STRING,
        [SCHEMA_NUMBER] = 1U << JSON_NUMBER,
        [SCHEMA_INTEGER] = 1U << JSON_NUMBER,
        [SCHEMA_BOOLEAN] = 1U << JSON_BOOLEAN,
        [SCHEMA_ARRAY] = 1U << JSON_ARRAY,
        [SCHEMA_TUPLE] = 1U << JSON_ARRAY,
        [SCHEMA_OBJECT] = 1U << JSON_OBJECT,
        [SCHEMA_RECORD] = 1U << JSON_OBJECT,
        [SCHEMA_TAGGED] = 1U << JSON_OBJECT,
    };
    if (node->known) {
        return true;
    }
    if (node->open) {
        return error_set(e, ERROR_ARGUMENT,
                         "a lazy schema stands for itself: put it inside an object or an array");
    }
    node->open = true;
    if (!add_kinds_of_parts(node, e)) {
        return false;
    }
    node->open = false;
    node->known = true;
    node->accepts = node->kind == SCHEMA_TAGGED ? 0 : node->accepts; /* whatever its options are */
    node->accepts |= kinds[node->kind] | (node->nullable ? 1U << JSON_NULL : 0);
    for (size_t i = 0; node->kind == SCHEMA_ENUM && i < node->value_count; i++) {
        node->accepts |= 1U << node->values[i].kind;
    }
    node->optional = node->optional || (node->kind == SCHEMA_LAZY && node->item->optional);
    return true;
}

static bool is_whole(const struct schema_node *node, struct error *e) {
    bool needs_item = node->kind == SCHEMA_ARRAY || node->kind == SCHEMA_RECORD;
    bool needs_option = node->kind == SCHEMA_UNION || node->kind == SCHEMA_TAGGED;
    if ((needs_item && !node->item) || (needs_option && node->option_count == 0)) {
        return error_set(e, ERROR_ARGUMENT, "%s",
                         needs_item ? "an array or a record needs the schema of its items"
                                    : "a union needs an option");
    }
    if (node->kind == SCHEMA_LAZY && !node->item) {
        return error_set(e, ERROR_ARGUMENT, "a lazy schema needs a target");
    }
    return true;
}

static bool finish_node(struct schema_node *node, struct error *e) {
    if (node->kind == SCHEMA_TUPLE) {
        count_places(node);
    }
    find_bounds(node);
    return node->field_count == 0 || index_fields(node, e);
}

bool schema_finish(struct schema *schema, const struct schema_node *root, struct error *e) {
    for (struct schema_node *node = schema->nodes; node; node = node->next) {
        if (!is_whole(node, e)) {
            return false;
        }
    }
    for (struct schema_node *node = schema->nodes; node; node = node->next) {
        if (!find_kinds(node, e)) {
            return false;
        }
    }
    for (struct schema_node *node = schema->nodes; node; node = node->next) {
        if (!finish_node(node, e)) {
            return false;
        }
    }
    schema->root = root;
    return true;
}
