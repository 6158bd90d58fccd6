#include "state/schema_walk.h"

#include <stdlib.h>
#include <string.h>

#include "json/text.h"

/* What an object's check knows about its fields, a bit each. */
struct fields {
    uint64_t seen[SCHEMA_FIELD_WORDS];
    uint64_t bad[SCHEMA_FIELD_WORDS];
    struct slice *again; /* by field: the last value of those that came more than once; NULL: none did */
    size_t words;        /* in use of the above */
};

static bool bit_get(const uint64_t *bits, size_t index) {
    return bits[index / 64] >> (index % 64) & 1;
}

static void bit_put(uint64_t *bits, size_t index, bool on) {
    uint64_t bit = UINT64_C(1) << (index % 64);
    bits[index / 64] = on ? bits[index / 64] | bit : bits[index / 64] & ~bit;
}

static bool field_is(const struct schema_field *field, const struct schema_key *key, struct slice name) {
    return field->key.head == key->head && field->key.tail == key->tail && field->key.len == key->len &&
           (key->len <= 16 || slice_equal(field->name, name));
}

struct schema_field *schema_find_field(const struct schema_node *node, struct slice name) {
    if (node->field_count == 0) {
        return NULL;
    }
    struct schema_key key = schema_key_of(name);
    for (size_t at = schema_key_place(&key, node->places_shift); node->places[at];
         at = (at + 1) & node->places_mask) {
        struct schema_field *field = &node->fields[node->places[at] - 1];
        if (field_is(field, &key, name)) {
            return field;
        }
    }
    return NULL;
}

/* The index of the field of that name, or -1. */
static int index_of(const struct schema_node *node, struct slice name) {
    const struct schema_field *field = schema_find_field(node, name);
    return field ? (int)(field - node->fields) : -1;
}

/* The field's index; -1: no field has that name; -2: out of memory. */
static int find_index(const struct schema_node *node, struct slice raw, bool escaped) {
    if (!escaped) {
        return index_of(node, slice_of(raw.ptr + 1, raw.len - 2));
    }
    struct buf plain;
    buf_init(&plain, raw.len);
    int index = json_unquote(&plain, raw) ? index_of(node, buf_slice(&plain)) : -2;
    buf_free(&plain);
    return index;
}

static bool refuse_member(struct schema_walk *w, const struct schema_node *node,
                          const struct schema_step *step, struct slice raw, struct slice value) {
    struct schema_step member = {.parent = step, .name = raw, .raw = true};
    struct buf *message = schema_issue_add(w->issues, &member, value);
    if (message) {
        buf_append_text(message, node->field_count ? "is not allowed here, only " : "is not allowed here");
        schema_node_names(node, message);
    }
    return false;
}

/* A member that came before: its last value counts, and is checked when all have been seen. */
static bool keep_again(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                       struct fields *fields, size_t index, const char **at) {
    struct slice value = schema_walk_value(w, at);
    if (!fields->again) {
        fields->again = calloc(node->field_count, sizeof *fields->again);
        if (!fields->again) {
            return schema_walk_refuse_memory(w, step, value);
        }
    }
    fields->again[index] = value;
    return true;
}

static void check_again(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        struct fields *fields, size_t first_issue) {
    for (size_t i = 0; i < node->field_count; i++) {
        if (fields->again[i].ptr) {
            struct schema_step member = {.parent = step, .name = node->fields[i].name};
            const char *at = fields->again[i].ptr;
            schema_issue_drop(w->issues, first_issue, &member);
            bit_put(fields->bad, i, !schema_walk_node(w, node->fields[i].node, &member, &at));
        }
    }
}

static bool check_member(struct schema_walk *w, const struct schema_node *node,
                         const struct schema_step *step, struct fields *fields, const char **at) {
    bool escaped;
    struct slice raw = schema_walk_name(w, at, &escaped);
    int found = find_index(node, raw, escaped);
    if (found < 0) {
        struct slice value = schema_walk_value(w, at);
        return found == -2 ? schema_walk_refuse_memory(w, step, value)
                           : !node->strict || refuse_member(w, node, step, raw, value);
    }
    size_t index = (size_t)found;
    if (bit_get(fields->seen, index)) {
        return keep_again(w, node, step, fields, index, at);
    }
    struct schema_step member = {.parent = step, .name = node->fields[index].name};
    bit_put(fields->seen, index, true);
    if (!schema_walk_node(w, node->fields[index].node, &member, at)) {
        bit_put(fields->bad, index, true);
    }
    return true;
}

/* True where no field is bad and none is missing that is required. */
static bool check_fields(struct schema_walk *w, const struct schema_node *node,
                         const struct schema_step *step, const struct fields *fields) {
    bool ok = true;
    for (size_t word = 0; word < fields->words; word++) {
        uint64_t missing = node->required[word] & ~fields->seen[word];
        ok = ok && !missing && !fields->bad[word];
        for (; missing; missing &= missing - 1) {
            const struct schema_field *field = &node->fields[word * 64 + (size_t)__builtin_ctzll(missing)];
            struct schema_step member = {.parent = step, .name = field->name};
            schema_walk_refuse_missing(w, field->node, &member);
        }
    }
    return ok;
}

bool schema_object_check(struct schema_walk *w, const struct schema_node *node,
                         const struct schema_step *step, const char **at) {
    struct fields fields;
    size_t first_issue = w->issues ? w->issues->count : 0;
    bool ok = true;
    if (**at != '{') {
        return schema_walk_refuse(w, node, step, schema_walk_value(w, at));
    }
    fields.again = NULL;
    fields.words = (node->field_count + 63) / 64;
    memset(fields.seen, 0, fields.words * sizeof *fields.seen);
    memset(fields.bad, 0, fields.words * sizeof *fields.bad);
    for ((*at)++; schema_walk_next(w, at, '}');) {
        ok = check_member(w, node, step, &fields, at) && ok;
    }
    if (fields.again) {
        check_again(w, node, step, &fields, first_issue);
        free(fields.again);
    }
    return check_fields(w, node, step, &fields) && ok;
}
