#include "state/schema_build.h"

#include <stdlib.h>
#include <string.h>

#include "state/schema_node.h"

struct schema *schema_new(void) {
    return calloc(1, sizeof(struct schema));
}

static void node_free(struct schema_node *node) {
    for (size_t i = 0; i < node->text_count; i++) {
        free((char *)node->texts[i].bytes.ptr);
        schema_pattern_free(node->texts[i].pattern);
    }
    for (size_t i = 0; i < node->value_count; i++) {
        free((char *)node->values[i].bytes.ptr);
    }
    for (size_t i = 0; i < node->field_count; i++) {
        free((char *)node->fields[i].name.ptr);
    }
    free((char *)node->tag.ptr);
    free(node->texts);
    free(node->options);
    free(node->values);
    free(node->fields);
    free(node->places);
    free(node);
}

void schema_free(struct schema *schema) {
    if (!schema) {
        return;
    }
    for (struct schema_node *node = schema->nodes; node;) {
        struct schema_node *next = node->next;
        node_free(node);
        node = next;
    }
    free(schema);
}

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory while building a schema");
}

struct schema_node *schema_add(struct schema *schema, enum schema_kind kind, struct error *e) {
    if (schema->node_count == SCHEMA_NODES_MAX) {
        error_set(e, ERROR_LIMIT,
                  "a schema has at most %d parts: make it smaller, and let "
                  "what is lazy give the same schema each time",
                  SCHEMA_NODES_MAX);
        return NULL;
    }
    struct schema_node *node = calloc(1, sizeof *node);
    if (!node) {
        out_of_memory(e);
        return NULL;
    }
    node->kind = kind;
    node->height = 1;
    node->next = schema->nodes;
    schema->nodes = node;
    schema->node_count++;
    return node;
}

void schema_node_optional(struct schema_node *node) {
    node->optional = true;
}

void schema_node_nullable(struct schema_node *node) {
    node->nullable = true;
}

void schema_node_strict(struct schema_node *node) {
    node->strict = true;
}

void schema_node_min(struct schema_node *node, struct schema_number least) {
    node->has_min = true;
    node->min = least;
}

void schema_node_max(struct schema_node *node, struct schema_number most) {
    node->has_max = true;
    node->max = most;
}

void schema_node_over(struct schema_node *node) {
    node->over = true;
}

void schema_node_under(struct schema_node *node) {
    node->under = true;
}

void schema_node_multiple(struct schema_node *node, struct schema_number of) {
    node->multiple_of = of;
    node->multiple = schema_multiple_of(of);
}

void schema_node_format(struct schema_node *node, enum schema_format format) {
    node->formats |= (unsigned)format;
}

/* The copy is never NULL, even of no bytes, so that it is not taken for an absent slice. */
static bool copy(struct slice bytes, struct slice *out, struct error *e) {
    char *ptr = malloc(bytes.len + 1);
    if (!ptr) {
        return out_of_memory(e);
    }
    if (bytes.len) {
        memcpy(ptr, bytes.ptr, bytes.len);
    }
    ptr[bytes.len] = '\0';
    *out = slice_of(ptr, bytes.len);
    return true;
}

/* Room for one more behind `count` elements of `size` bytes; grows at each power of two. */
static void *grown(void *array, size_t count, size_t size) {
    if (count & (count - 1)) {
        return array;
    }
    return realloc(array, (count ? count * 2 : 1) * size);
}

bool schema_node_part(struct schema_node *node, enum schema_part part, struct slice bytes, struct error *e) {
    struct schema_text *texts = grown(node->texts, node->text_count, sizeof *texts);
    if (!texts) {
        return out_of_memory(e);
    }
    node->texts = texts;
    struct schema_text *text = &texts[node->text_count];
    *text = (struct schema_text){.part = part};
    if (!copy(bytes, &text->bytes, e)) {
        return false;
    }
    node->text_count++;
    text->pattern = part == SCHEMA_PATTERN ? schema_pattern_new(bytes, e) : NULL;
    return part != SCHEMA_PATTERN || text->pattern;
}

static bool add_value(struct schema_node *node, struct schema_value value, struct error *e) {
    if (node->value_count == SCHEMA_VALUES_MAX) {
        return error_set(e, ERROR_LIMIT, "an enum has at most %d values", SCHEMA_VALUES_MAX);
    }
    struct schema_value *values = grown(node->values, node->value_count, sizeof *values);
    if (!values) {
        return out_of_memory(e);
    }
    node->values = values;
    if (value.kind == JSON_STRING && !copy(value.bytes, &value.bytes, e)) {
        return false;
    }
    value.option = node->option_count > 0 ? (uint32_t)node->option_count - 1 : 0;
    values[node->value_count++] = value;
    return true;
}

bool schema_node_string(struct schema_node *node, struct slice bytes, struct error *e) {
    return add_value(node, (struct schema_value){.kind = JSON_STRING, .bytes = bytes}, e);
}

bool schema_node_number(struct schema_node *node, struct schema_number number, struct error *e) {
    return add_value(node, (struct schema_value){.kind = JSON_NUMBER, .number = number}, e);
}

bool schema_node_boolean(struct schema_node *node, bool value, struct error *e) {
    return add_value(node, (struct schema_value){.kind = JSON_BOOLEAN, .truth = value}, e);
}

bool schema_node_null(struct schema_node *node, struct error *e) {
    return add_value(node, (struct schema_value){.kind = JSON_NULL}, e);
}

/* Children are complete when they get their parent, so that heights are known and rings form by lazy nodes only. */
static bool hold(struct schema_node *node, const struct schema_node *child, struct error *e) {
    if (child->height >= SCHEMA_DEPTH_MAX) {
        return error_set(e, ERROR_LIMIT, "a schema is at most %d levels deep", SCHEMA_DEPTH_MAX);
    }
    if (node->height <= child->height) {
        node->height = child->height + 1;
    }
    return true;
}

bool schema_node_item(struct schema_node *node, const struct schema_node *item, struct error *e) {
    if (!hold(node, item, e)) {
        return false;
    }
    node->item = item;
    return true;
}

void schema_node_target(struct schema_node *node, const struct schema_node *target) {
    node->item = target;
}

bool schema_node_names_fit(struct schema_node *node, const struct schema_node *names, struct error *e) {
    if (!hold(node, names, e)) {
        return false;
    }
    node->names = names;
    return true;
}

bool schema_node_option(struct schema_node *node, const struct schema_node *option, struct error *e) {
    size_t index = node->option_count;
    if (index == SCHEMA_OPTIONS_MAX) {
        return error_set(e, ERROR_LIMIT, "a union or tuple has at most %d parts", SCHEMA_OPTIONS_MAX);
    }
    if (!hold(node, option, e)) {
        return false;
    }
    const struct schema_node **options = grown(node->options, index, sizeof *options);
    if (!options) {
        return out_of_memory(e);
    }
    node->options = options;
    options[index] = option;
    node->option_count++;
    return true;
}

bool schema_node_tag(struct schema_node *node, struct slice name, struct error *e) {
    free((char *)node->tag.ptr);
    node->tag = (struct slice){0};
    return copy(name, &node->tag, e);
}

bool schema_node_field(struct schema_node *node, struct slice name, const struct schema_node *field,
                       struct error *e) {
    size_t index = node->field_count;
    if (index == SCHEMA_FIELDS_MAX) {
        return error_set(e, ERROR_LIMIT, "an object has at most %d fields", SCHEMA_FIELDS_MAX);
    }
    if (!hold(node, field, e)) {
        return false;
    }
    struct schema_field *fields = grown(node->fields, index, sizeof *fields);
    if (!fields) {
        return out_of_memory(e);
    }
    node->fields = fields;
    if (!copy(name, &fields[index].name, e)) {
        return false;
    }
    fields[index].key = schema_key_of(fields[index].name);
    fields[index].node = field;
    node->field_count++;
    return true;
}
