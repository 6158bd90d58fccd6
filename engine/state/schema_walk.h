/* One check under way, for the files schema_*.c of this room only. Each function that checks a value gets
 * *at on the value's first byte and leaves it behind the last, whether the value fits or not: the text is
 * walked once. */
#ifndef STATE_SCHEMA_WALK_H
#define STATE_SCHEMA_WALK_H

#include "state/schema.h"
#include "state/schema_issue.h"
#include "state/schema_node.h"
#include "json/read.h"
#include "json/scan.h"

struct schema_walk {
    struct schema_issues *issues; /* or NULL */
    const char *end;              /* of the text */
    uint64_t *fuel;               /* what unions may still try */
    unsigned room;                /* for lazy nodes: see schema_room_take */
};

/* How much text the options of unions may walk over in one check, apart from 64 times the text itself, until it
 * is given up: unions inside each other multiply. In bytes; one option is one more. */
#define SCHEMA_FUEL (UINT64_C(16) << 20)

/* A check may go as deep as the text where a schema is in itself. It takes room for what a lazy node stands for,
 * as much as that may recurse up to lazy nodes in it, and gives it back behind it. False: there is no more. */
static inline bool schema_room_take(unsigned *room, const struct schema_node *target) {
    bool enough = *room >= target->height;
    *room -= enough ? target->height : 0;
    return enough;
}

static inline void schema_room_give(unsigned *room, const struct schema_node *target) {
    *room += target->height;
}

/* schema_check without the quick check; value has no white space around it. */
bool schema_walk_check(const struct schema *schema, struct slice value, struct schema_issues *issues);

/* The check of one kind; step leads to the value (NULL: it is the whole text). */
typedef bool schema_walk_kind(struct schema_walk *w, const struct schema_node *node,
                              const struct schema_step *step, const char **at);

/* Any node, by its kind. */
schema_walk_kind schema_walk_node;

/* One for each kind: schema_scalar.c, schema_object.c; the short ones are in schema.c. */
schema_walk_kind schema_scalar_string;
schema_walk_kind schema_scalar_number;
schema_walk_kind schema_scalar_integer;
schema_walk_kind schema_scalar_boolean;
schema_walk_kind schema_scalar_enum;
schema_walk_kind schema_object_check;
schema_walk_kind schema_union_check;
schema_walk_kind schema_union_check_tagged;

/* "must be one of "a", "b", got "c"", by a node's values. */
bool schema_scalar_refuse_value(struct schema_walk *w, const struct schema_node *node,
                                const struct schema_step *step, struct slice value);

/* True where the number is within the node's min and max. */
bool schema_number_within(struct schema_number number, const struct schema_node *node);

/* The field of an object that has these bytes as its name, or NULL. */
struct schema_field *schema_find_field(const struct schema_node *node, struct slice name);

/* True where a raw value is one that is allowed. */
bool schema_value_is(const struct schema_value *allowed, struct slice value);

/* True where the string's bytes hold what they have to. */
bool schema_text_fits(const struct schema_text *text, struct slice bytes);

/* Moves *at over any value and returns it. */
struct slice schema_walk_value(const struct schema_walk *w, const char **at);

/* Report an issue and return false: "expected a string, got a number (3)"; "is missing: expected a
 * string"; out of memory. */
bool schema_walk_refuse(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                        struct slice value);
bool schema_walk_refuse_missing(struct schema_walk *w, const struct schema_node *node,
                                const struct schema_step *step);
bool schema_walk_refuse_memory(struct schema_walk *w, const struct schema_step *step, struct slice value);

/* Holds a length to min and max: "must have at least 1 item, has 0". */
bool schema_walk_count(struct schema_walk *w, const struct schema_node *node, const struct schema_step *step,
                       struct slice value, size_t count, const char *unit);

static inline struct slice schema_walk_taken(const char *start, const char *at) {
    return slice_of(start, (size_t)(at - start));
}

/* The text has been validated, so that the scanner cannot refuse the string. */
static inline struct slice schema_walk_string(const struct schema_walk *w, const char **at, bool *escaped) {
    const char *start = *at;
    struct json_fault fault;
    (void)json_scan_string(at, w->end, escaped, &fault);
    return schema_walk_taken(start, *at);
}

/* A member's name, raw; *at moves onto the member's value. */
static inline struct slice schema_walk_name(const struct schema_walk *w, const char **at, bool *escaped) {
    struct slice name = schema_walk_string(w, at, escaped);
    *at = json_skip_space(*at, w->end) + 1; /* over the colon */
    *at = json_skip_space(*at, w->end);
    return name;
}

/* Inside a container: onto the next element or member. False at its end, with *at behind it. */
static inline bool schema_walk_next(const struct schema_walk *w, const char **at, char close) {
    *at = json_skip_space(*at, w->end);
    if (**at == ',') {
        *at = json_skip_space(*at + 1, w->end);
        return true;
    }
    if (**at == close) {
        (*at)++;
        return false;
    }
    return true;
}

#endif
