/* JSON as a tree, the plain way: for comparing, never for speed. Only for text that strict.h calls valid.
 *
 * Every node knows its text, so that it can be said not only what a value is but that it is the very one. */
#ifndef FUZZ_TREE_H
#define FUZZ_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum tree_kind { TREE_NULL, TREE_FALSE, TREE_TRUE, TREE_NUMBER, TREE_STRING, TREE_ARRAY, TREE_OBJECT };

/* What a string stands for: UTF-8, a lone surrogate as three bytes. Terminated, not counting that NUL. */
struct tree_bytes {
    char *ptr;
    size_t len;
};

struct tree {
    enum tree_kind kind;
    struct slice raw;       /* in the text, without white space around it */
    struct tree_bytes text; /* of a string */
    struct tree_member *members;
    size_t count; /* of an array's elements or an object's members, in the text's order */
};

struct tree_member {
    struct slice raw;       /* the name with its quotes; absent in an array */
    struct tree_bytes name; /* what it stands for */
    struct tree value;
};

/* What was met that cJSON does not take or cannot tell. */
struct tree_facts {
    bool lone_surrogate;
    bool nul; /* in a string */
};

/* The tree of a valid text; *facts are added to. To be given back with tree_free. */
struct tree tree_read(struct slice text, struct tree_facts *facts);
void tree_free(struct tree *tree);

/* The last member of that name, as JSON.parse has it; NULL: there is none. */
const struct tree_member *tree_find(const struct tree *object, struct slice name);

static inline struct slice tree_slice(const struct tree_bytes *bytes) {
    return slice_of(bytes->ptr, bytes->len);
}

#endif
