/* Whether two JSON texts mean the same: what a server gives back is not always written as it was sent. Pure. */
#ifndef SINK_SEARCH_SAME_H
#define SINK_SEARCH_SAME_H

#include <stdbool.h>

#include "base/slice.h"

/* Members in any order; numbers by their value as doubles; strings by what they stand for. Both are valid JSON without
 * white space around. False where memory runs out, too. */
bool search_same(struct slice a, struct slice b);

/* The same for a document as the server has it and the value that it was made of: members named weir_version are passed
 * over, with has_id those named id, too. A value that is no object is the document's member "value". */
bool search_same_document(struct slice document, struct slice value, bool has_id);

#endif
