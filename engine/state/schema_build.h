/* Building a schema, node by node, children before the node that holds them:
 *
 *     struct schema *schema = schema_new();
 *     struct schema_node *id = schema_add(schema, SCHEMA_STRING, e);
 *     struct schema_node *user = schema_add(schema, SCHEMA_OBJECT, e);
 *     schema_node_field(user, SLICE("id"), id, e);
 *     schema_finish(schema, user, e);
 *
 * The schema owns every node from schema_add on: whatever fails, schema_free is the only clean-up. A node
 * may be the child of several others, and by way of a SCHEMA_LAZY of itself. All bytes passed in are copied.
 * The functions that return bool fill e where they fail: ERROR_MEMORY, ERROR_LIMIT with the limit, or
 * ERROR_ARGUMENT where a part is missing. */
#ifndef STATE_SCHEMA_BUILD_H
#define STATE_SCHEMA_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "state/schema.h"
#include "state/schema_number.h"

#define SCHEMA_DEPTH_MAX 100    /* nodes inside each other, up to those that are lazy */
#define SCHEMA_ROOM 3000        /* by how many nodes a check may recurse: see schema_room_take */
#define SCHEMA_FIELDS_MAX 1024  /* of one object */
#define SCHEMA_VALUES_MAX 1024  /* of one enum */
#define SCHEMA_OPTIONS_MAX 1024 /* of one union, places of one tuple */
#define SCHEMA_NODES_MAX 65536  /* of one schema */

/* A new kind needs its row in the tables of schema.c (the check), schema_fast.c (the quick one) and
 * schema_expect.c (its name). */
enum schema_kind {
    SCHEMA_ANY,     /* whatever is JSON */
    SCHEMA_STRING,  /* min, max (characters), formats, patterns */
    SCHEMA_NUMBER,  /* min, max, multiple */
    SCHEMA_INTEGER, /* min, max, multiple */
    SCHEMA_BOOLEAN,
    SCHEMA_ENUM,   /* one of its values; a literal is an enum of one */
    SCHEMA_ARRAY,  /* item for each element; min, max (elements) */
    SCHEMA_OBJECT, /* fields; other members pass unless it is strict */
    SCHEMA_RECORD, /* item for each member's value; names for each name, as a string */
    SCHEMA_TUPLE,  /* an option for each place; item for the elements behind these, or none may follow */
    SCHEMA_UNION,  /* what fits one of its options */
    SCHEMA_TAGGED, /* an object whose member `tag` has one of its values: each has the option to fit */
    SCHEMA_LAZY,   /* its target, which may be a node that this one is in */
    SCHEMA_KINDS,  /* how many there are */
};

enum schema_format {
    SCHEMA_DATETIME = 1, /* see state/schema_format.h */
    SCHEMA_EMAIL = 2,
    SCHEMA_URL = 4,
    SCHEMA_UUID = 8,
};

/* What a string has to hold, apart from formats. */
enum schema_part {
    SCHEMA_PATTERN, /* a Lua pattern, to be found anywhere in it */
    SCHEMA_STARTS,  /* bytes at its start */
    SCHEMA_ENDS,
    SCHEMA_INCLUDES,
};

struct schema_node;

/* NULL: out of memory. */
struct schema *schema_new(void);

/* A node without rules. NULL with e: out of memory, or SCHEMA_NODES_MAX. */
struct schema_node *schema_add(struct schema *schema, enum schema_kind kind, struct error *e);

void schema_node_optional(struct schema_node *node); /* as a field: may be missing */
void schema_node_nullable(struct schema_node *node); /* null fits, too */
void schema_node_strict(struct schema_node *node);   /* an object refuses members that are no fields */
void schema_node_min(struct schema_node *node, struct schema_number least);
void schema_node_max(struct schema_node *node, struct schema_number most);
void schema_node_over(struct schema_node *node);  /* the min of a number does not belong to it */
void schema_node_under(struct schema_node *node); /* the max of a number does not belong to it */
void schema_node_multiple(struct schema_node *node, struct schema_number of); /* finite and above 0 */
void schema_node_format(struct schema_node *node, enum schema_format format); /* adds up */

/* What a string has to hold; several add up. */
bool schema_node_part(struct schema_node *node, enum schema_part part, struct slice bytes, struct error *e);

/* A value that an enum allows; of a SCHEMA_TAGGED, one that leads to the option added last. */
bool schema_node_string(struct schema_node *node, struct slice bytes, struct error *e);
bool schema_node_number(struct schema_node *node, struct schema_number number, struct error *e);
bool schema_node_boolean(struct schema_node *node, bool value, struct error *e);
bool schema_node_null(struct schema_node *node, struct error *e);

/* The child for an array's elements, a record's values, or what follows in a tuple. */
bool schema_node_item(struct schema_node *node, const struct schema_node *item, struct error *e);

/* What a SCHEMA_LAZY stands for; it need not be complete yet. A check that comes back to a node without having
 * gone into an array or an object would have no end: schema_finish refuses that. */
void schema_node_target(struct schema_node *node, const struct schema_node *target);

/* The child for a record's names. */
bool schema_node_names_fit(struct schema_node *node, const struct schema_node *names, struct error *e);

/* One more option of a union or place of a tuple. */
bool schema_node_option(struct schema_node *node, const struct schema_node *option, struct error *e);

/* The name of the member that tells the options of a SCHEMA_TAGGED apart. */
bool schema_node_tag(struct schema_node *node, struct slice name, struct error *e);

/* A member of an object; name is the bytes it stands for, given once. */
bool schema_node_field(struct schema_node *node, struct slice name, const struct schema_node *field,
                       struct error *e);

/* Makes root the node that schema_check starts from. Nothing may be added after that. */
bool schema_finish(struct schema *schema, const struct schema_node *root, struct error *e);

#endif
