/* One result line for the conformance runner: a JSON object, written field by field. */
#ifndef ADAPTER_REPLY_H
#define ADAPTER_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Starts {"type":type,"success":success. */
void reply_start(struct buf *reply, const char *type, bool success);
/* Adds a field; absent (ptr NULL) text is left out. Bytes that are not UTF-8 become U+FFFD. */
void reply_text(struct buf *reply, const char *name, struct slice value);
void reply_number(struct buf *reply, const char *name, double value);
void reply_bool(struct buf *reply, const char *name, bool value);
/* Adds ,"name": for a value that the caller writes. */
void reply_name(struct buf *reply, const char *name);
/* Appends a JSON string. */
void reply_string(struct buf *reply, struct slice value);

/* The whole result that an error is. code NULL: what follows from e. `reading`: a 400 is a bad offset. */
void reply_error(struct buf *reply, const char *command, const struct error *e, const char *code,
                 bool reading);

/* Ends the object and writes it to stdout as a line; U+2028 and U+2029 go as escapes. */
void reply_end(struct buf *reply);

#endif
