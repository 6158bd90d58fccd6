/* The frame of a message: where it ends, found without judging what is in it.
 *
 * It serves where validating cannot: a message whose end has not arrived yet (so that its bytes are
 * looked at once more, not again with every piece that arrives), and one that is not valid (so that
 * reading goes on behind it). It counts brackets outside strings; nothing else. */
#ifndef JSON_FRAME_H
#define JSON_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct json_frame {
    size_t seen; /* bytes of the message looked at so far */
    size_t depth;
    bool in_string;
    bool escaped; /* the next byte is behind a backslash */
};

void json_frame_init(struct json_frame *frame);

/* start is the message's first byte; what was seen before is not looked at again, so the text may have
 * been moved and made longer since. The message ends before a ',' or ']' outside all of its own
 * brackets. True: *len is its length (with white space before the delimiter); false: not in [start, end). */
bool json_frame_find(struct json_frame *frame, const char *start, const char *end, size_t *len);

#endif
