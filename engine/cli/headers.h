/* The request headers that the user gives with -H: "Name: value", or "Name: @FILE" for a value that a
 * file holds. Such a file is read before every request, so that a token may be renewed meanwhile. */
#ifndef CLI_HEADERS_H
#define CLI_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "stream/fields.h"

enum { HEADERS_FILES_MAX = 32 };

struct headers {
    struct fields fields;                 /* those with a value of their own */
    const char *names[HEADERS_FILES_MAX]; /* those from files: the name's start in the option's text */
    const char *paths[HEADERS_FILES_MAX];
    size_t file_count;
};

void headers_init(struct headers *headers);
void headers_free(struct headers *headers);

/* Takes an option's text, which must outlive headers. Files are read once, to see that they can be. False
 * with e: ERROR_ARGUMENT where it is not a header; its message never shows the value. */
bool headers_add(struct headers *headers, const char *text, struct error *e);

/* hooks.refresh, with the headers as `user`: puts those from files. */
bool headers_refresh(void *user, struct fields *fields, struct error *e);

#endif
