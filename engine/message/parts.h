/* The parts of a message that could be an event: the raw values of the members that count, as they are
 * written. Of two members with one name the last counts, as in JSON.parse.
 *
 * A message is validated in full while it is cut up. Messages of one shape come in runs, so the courses
 * of those seen before are tried first (json/guess.h). */
#ifndef MESSAGE_PARTS_H
#define MESSAGE_PARTS_H

#include "base/slice.h"
#include "json/guess.h"
#include "json/scan.h"

enum part {
    PART_TYPE,
    PART_KEY,
    PART_VALUE,
    PART_OLD_VALUE,
    PART_HEADERS,
    PART_OFFSET,
    PART_OTHER, /* the name of a member that the published schema does not know */
    /* Members of headers, where that is an object: */
    PART_OPERATION,
    PART_CONTROL,
    PART_TXID,
    PART_TX_ID,
    PART_TIMESTAMP,
    PART_FROM,
    PART_HEADERS_OFFSET,
    PART_HEADERS_OTHER,
    PART_COUNT,
};

/* ptr NULL: absent. */
struct parts {
    struct slice of[PART_COUNT];
    bool escaped; /* some string of the message may have a backslash */
};

/* The message at *place, which must be an object (*place is on its brace); moves behind it. guess may be
 * NULL. */
enum json_status parts_scan(struct parts *parts, struct json_guess *guess, const char **place,
                            const char *end, struct json_fault *fault);

/* The same, where the message takes a course seen before: true. There is no line feed in it. */
bool parts_known(struct parts *parts, struct json_guess *guess, const char **place, const char *end);

/* For parts_scan. NULL: out of memory. */
struct json_guess *parts_guess_new(void);

#endif
