/* The validating scanner: RFC 8259 in full, UTF-8 checked, depth capped, no tree.
 *
 * Every function takes a place in the text and its end, checks one thing, and moves the place behind
 * it. Three answers: it is right; it is wrong, with the reason and the byte; or the text ended while
 * it still was right, which is a mistake only where no more can follow (the caller knows).
 *
 * Text that has been scanned once may be read with json/read.h, which trusts it. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

/* Arrays and objects inside each other, counted from the text's first value. */
#define JSON_DEPTH_MAX 1000

enum json_status {
    JSON_OK,
    JSON_CUT, /* the text ended inside it */
    JSON_BAD,
};

struct json_fault {
    const char *at;     /* the byte that is wrong (JSON_BAD), or the end (JSON_CUT) */
    const char *reason; /* constant text: "expected ',' or '}'" */
};

static inline const char *json_skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) {
        at++;
    }
    return at;
}

/* One value of any kind, *place on its first byte (no white space before it), `depth` containers open
 * around it. A number is over where its last possible byte is: where the text ends right behind one,
 * the answer is JSON_OK. */
enum json_status json_scan_value(const char **place, const char *end, unsigned depth,
                                 struct json_fault *fault);

/* One string, *place on its opening quote. *escaped tells whether a backslash is in it. */
enum json_status json_scan_string(const char **place, const char *end, bool *escaped,
                                  struct json_fault *fault);

/* A whole text: one value with white space around it and nothing else. False with e (ERROR_SYNTAX or
 * ERROR_CUT, position in bytes from the text's start). */
bool json_check(struct slice text, struct error *e);

/* Fills e from a fault: "expected ',' or '}', found 'x'", with position. Always returns false. */
bool json_fault_error(enum json_status status, const struct json_fault *fault, const char *start,
                      const char *end, struct error *e);

#endif
