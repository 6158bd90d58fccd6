/* A scanner that expects what it has seen before: most streams repeat a few shapes of messages.
 *
 * It remembers the glue between scalars: the text from the end of one scalar's content to the start of the
 * next one's, with brackets, commas, member names and the quotes of string values. What follows what is a
 * tree: a message is one way from its root to a leaf. On a way once learned from a valid message, only the
 * scalars have to be looked at; the glue needs to be compared, no more. So a message that is found to take
 * such a way is valid JSON, and every place that the way knows is where it was then.
 *
 * Names whose values change are not scalars here but shapes. A stream with ever new names cannot be guessed;
 * that is noticed, and costs a few hundred messages in many thousands. */
#ifndef JSON_GUESS_H
#define JSON_GUESS_H

#include <stdbool.h>

#include "base/slice.h"

struct json_guess;

/* Parts of a message that a caller can ask for. */
#define JSON_GUESS_PARTS_MAX 16

/* parts: how many the caller wants to know, at most JSON_GUESS_PARTS_MAX. NULL: out of memory. The caller
 * frees it; it allocates more when it learns (about 100 KB at most). */
struct json_guess *json_guess_new(unsigned parts);

/* NULL is fine. */
void json_guess_free(struct json_guess *guess);

/* Scans the message at *at (before `end`) along a way that was learned. True: it is valid JSON, as
 * json_scan_value with depth 0 would find, *at is behind it, part[i] is the part that it was in the message that
 * was learned (those that it did not have stay as they were), and *escaped tells whether some string that is a value in it has a
 * backslash. False: nothing is known, *at, part and *escaped are as they were. */
bool json_guess_scan(struct json_guess *guess, const char **at, const char *end, struct slice *part,
                     bool *escaped);

/* Remembers the way of a valid message [start, end), an object or array without white space around it; the
 * i-th part is part[i]: a raw value or a member's name (a string's quotes belong to it), or ptr NULL. Which
 * values these are must follow from brackets and names alone, not from scalars.
 * `limit` is the end of the window of bytes it lies in: what lies in its last 64 bytes is not learned, so
 * that a stream whose messages come one by one allocates nothing. Out of memory: it learns nothing. */
void json_guess_learn(struct json_guess *guess, const char *start, const char *end, const char *limit,
                      const struct slice *part);

#endif
