/* cJSON as a third opinion. It is laxer than RFC 8259 (numbers such as 01, control characters, bytes that are
 * not UTF-8, white space), so that what it accepts says nothing; and it refuses some valid texts, which are
 * known exactly: lone surrogates, and, in some of its releases, numbers of more than 63 bytes. Strings end
 * for it at a NUL. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include "strict.h"
#include "tree.h"

/* cJSON takes this valid text (or refuses it for one of those reasons) and finds in it the values of tree. */
void peer_check(struct slice text, const struct tree *tree, const struct tree_facts *facts,
                const struct strict_verdict *verdict);

#endif
