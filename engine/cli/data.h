/* What one request is to carry: text of the command line, or a whole file. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum { DATA_MAX = 64 * 1024 * 1024 };

/* Reads a file ("-": standard input) to its end, DATA_MAX bytes at most. */
bool data_read(struct buf *out, const char *path, struct error *e);

/* False with e where text is not one JSON value: "NAME: line 2 (byte 17): expected ...". */
bool data_check_json(struct slice text, const char *name, struct error *e);

/* "standard input" for "-". */
const char *data_name(const char *path);

/* Puts "NAME: line L (byte B)" in front of e, whose position counts from the start of text. */
bool data_locate(struct slice text, const char *name, struct error *e);

#endif
