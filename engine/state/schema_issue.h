/* Writing issues down: where in the value, and the pieces that messages are made of. */
#ifndef STATE_SCHEMA_ISSUE_H
#define STATE_SCHEMA_ISSUE_H

#include "base/buf.h"
#include "base/slice.h"
#include "state/schema.h"

/* One step from a container to what is in it. Steps live on the stack of the check, each with the way to
 * its container, and become text only where an issue is reported. */
struct schema_step {
    const struct schema_step *parent; /* NULL: the value itself */
    struct slice name;                /* a member's; ptr NULL for an element */
    bool raw;                         /* name is JSON text with its quotes, otherwise its bytes */
    size_t index;                     /* an element's, from 0 */
};

/* Adds an issue about what the last step (NULL: the value itself) leads to. Returns where its message
 * goes, or NULL where there is nothing to write: issues is NULL, or full. */
struct buf *schema_issue_add(struct schema_issues *issues, const struct schema_step *last,
                             struct slice value);

/* Takes out the issues from `first` on that are about what the step leads to, or about a part of it. */
void schema_issue_drop(struct schema_issues *issues, size_t first, const struct schema_step *last);

/* Appends JSON text, cut to about 40 bytes. */
void schema_issue_quote(struct slice json, struct buf *out);

/* Appends bytes as a JSON string, cut likewise. */
void schema_issue_quote_bytes(struct slice bytes, struct buf *out);

/* Appends what JSON text is: "null", "a number (3)", "an array". */
void schema_issue_describe_value(struct slice json, struct buf *out);

#endif
