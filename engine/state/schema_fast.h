/* The quick check, for the files schema_*.c of this room and its tests: what nearly every value of a stream
 * takes. It says nothing of what is wrong, and stops at the first doubt. */
#ifndef STATE_SCHEMA_FAST_H
#define STATE_SCHEMA_FAST_H

#include <stdbool.h>

#include "base/slice.h"
#include "state/schema.h"
#include "state/schema_node.h"

/* True: the value fits, for sure. False: it does not, or it holds something (a member twice, an escape in a
 * name) that only schema_walk_node decides. value has no white space around it. */
bool schema_fast_check(const struct schema_node *root, struct slice value);

#endif
