/* What a decoder says of one message. The slicer (message/slicer.h) finds messages in the bytes of a
 * chunk and asks a decoder about each. */
#ifndef MESSAGE_MESSAGE_H
#define MESSAGE_MESSAGE_H

#include <stdbool.h>

#include "base/error.h"

enum message_status {
    MESSAGE_OK,
    MESSAGE_CUT,     /* the bytes ended inside it */
    MESSAGE_INVALID, /* not valid JSON */
    MESSAGE_REFUSED, /* valid JSON, but not what the decoder takes */
    MESSAGE_FAILED,  /* memory or a cap: nothing is known about it */
};

/* Decodes the message at *at (its first byte). On OK and REFUSED *at moves behind it. On all but OK, e
 * is filled, with the position counted from the message's first byte. */
typedef enum message_status message_decode(void *decoder, const char **at, const char *end, struct error *e);

/* Decodes the message at *at where that can be done at first sight, and moves *at behind it: true. It is what
 * message_decode would answer MESSAGE_OK to, with no line feed in it. False: nothing is known. */
typedef bool message_known(void *decoder, const char **at, const char *end);

#endif
