#include "state/schema_shape.h"

#include "state/schema_node.h"

/* No shape yet: of a literal null, which goes with any. */
enum { SHAPE_NONE = -1 };

/* The shape of what fits either of two. */
static int shape_join(int a, int b) {
    if (a == SHAPE_NONE || a == b) {
        return b;
    }
    if (b == SHAPE_NONE) {
        return a;
    }
    bool numbers = (a == SCHEMA_SHAPE_INTEGER || a == SCHEMA_SHAPE_REAL) &&
                   (b == SCHEMA_SHAPE_INTEGER || b == SCHEMA_SHAPE_REAL);
    bool texts = (a == SCHEMA_SHAPE_TEXT || a == SCHEMA_SHAPE_DATETIME) &&
                 (b == SCHEMA_SHAPE_TEXT || b == SCHEMA_SHAPE_DATETIME);
    return numbers ? SCHEMA_SHAPE_REAL : texts ? SCHEMA_SHAPE_TEXT : SCHEMA_SHAPE_JSON;
}

static int shape_of_value(const struct schema_value *value) {
    switch (value->kind) {
    case JSON_NULL:
        return SHAPE_NONE;
    case JSON_BOOLEAN:
        return SCHEMA_SHAPE_BOOLEAN;
    case JSON_NUMBER:
        return value->number.whole ? SCHEMA_SHAPE_INTEGER : SCHEMA_SHAPE_REAL;
    case JSON_STRING:
        return SCHEMA_SHAPE_TEXT;
    default:
        return SCHEMA_SHAPE_JSON;
    }
}

/* Unions may hold one another many times over: so many nodes are looked at, and no more. */
enum { SHAPE_FUEL = 4096 };

/* Recursion is bounded by SCHEMA_DEPTH_MAX and, by way of lazy nodes, by the fuel. */
static int shape_within(const struct schema_node *node, unsigned *fuel) {
    int shape = SHAPE_NONE;
    if (*fuel == 0) {
        return SCHEMA_SHAPE_JSON;
    }
    (*fuel)--;
    switch (node->kind) {
    case SCHEMA_STRING:
        return node->formats == SCHEMA_DATETIME ? SCHEMA_SHAPE_DATETIME : SCHEMA_SHAPE_TEXT;
    case SCHEMA_NUMBER:
        return SCHEMA_SHAPE_REAL;
    case SCHEMA_INTEGER:
        return SCHEMA_SHAPE_INTEGER;
    case SCHEMA_BOOLEAN:
        return SCHEMA_SHAPE_BOOLEAN;
    case SCHEMA_ENUM:
        for (size_t i = 0; i < node->value_count; i++) {
            shape = shape_join(shape, shape_of_value(&node->values[i]));
        }
        return shape;
    case SCHEMA_UNION:
        for (size_t i = 0; i < node->option_count; i++) {
            shape = shape_join(shape, shape_within(node->options[i], fuel));
        }
        return shape;
    case SCHEMA_LAZY:
        return shape_within(node->item, fuel);
    default:
        return SCHEMA_SHAPE_JSON;
    }
}

static enum schema_shape shape_of(const struct schema_node *node) {
    unsigned fuel = SHAPE_FUEL;
    int shape = shape_within(node, &fuel);
    return shape == SHAPE_NONE ? SCHEMA_SHAPE_JSON : (enum schema_shape)shape;
}

/* What the root stands for, unless that may be null. */
static const struct schema_node *root_of(const struct schema *schema) {
    const struct schema_node *root = schema->root;
    while (root && root->kind == SCHEMA_LAZY && !root->nullable) {
        root = root->item;
    }
    return root;
}

bool schema_has_properties(const struct schema *schema) {
    const struct schema_node *root = root_of(schema);
    return root && root->kind == SCHEMA_OBJECT && !root->nullable;
}

size_t schema_property_count(const struct schema *schema) {
    return root_of(schema)->field_count;
}

struct schema_property schema_property(const struct schema *schema, size_t i) {
    const struct schema_field *field = &root_of(schema)->fields[i];
    return (struct schema_property){
        .name = field->name,
        .shape = shape_of(field->node),
        .may_miss = field->node->optional || (field->node->accepts & 1U << JSON_NULL),
    };
}
