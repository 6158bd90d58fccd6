/* What types, keys and values look like: one shape for each set of data. */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include "out.h"
#include "random.h"

enum { SHAPE_TYPES = 4 };

struct shape {
    const char *name;
    const char *about;
    void (*type)(struct out *o, uint32_t type); /* 0 to SHAPE_TYPES - 1; as a JSON string, like the key */
    void (*key)(struct out *o, uint32_t type, uint32_t key);
    void (*value)(struct out *o, struct random *r, uint32_t type, uint32_t key);
    void (*headers)(struct out *o, struct random *r, const char *operation);
};

/* NULL where there is none of that name. */
const struct shape *shape_find(const char *name);

/* By number, for a list; NULL behind the last. */
const struct shape *shape_at(size_t index);

#endif
