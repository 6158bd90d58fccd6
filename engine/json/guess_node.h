/* The tree of a guess (json/guess.h): shared by json/guess.c, which grows it, and json/guess_body.h, which
 * walks it. */
#ifndef JSON_GUESS_NODE_H
#define JSON_GUESS_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct json_guess;
struct json_scanner;

enum {
    GUESS_GLUE_MAX = 32,   /* what is compared at once */
    GUESS_STEPS_MAX = 250, /* glues of one message */
    GUESS_NODES_MAX = 1024,
    GUESS_BRANCHES_MAX = 16, /* ways on from one place */
};

/* The length of scalars that are not expected to be as long as the last one. */
#define GUESS_VARIES UINT32_MAX

/* What follows a glue. */
enum guess_kind {
    GUESS_STRING, /* a string's content; its quotes are the glues' */
    GUESS_BARE,   /* a number, true, false or null */
    GUESS_MORE,   /* nothing: the glue is longer than a node, and goes on in the next one */
    GUESS_END,    /* the end of the message */
    GUESS_NONE,   /* the root has no glue */
};

/* Nodes are named by their index. 0 is the root: it has no glue, so that it fits any text, and ends every
 * list. 64 bytes, a line of the cache. */
struct guess_node {
    char glue[GUESS_GLUE_MAX];
    uint16_t first;  /* the glues that may come next: a list, the one taken last in front */
    uint16_t next;   /* in the list that this node is in */
    uint16_t course; /* GUESS_END: which message's places */
    uint8_t len;
    uint8_t kind;
    uint32_t scalar; /* how long the last scalar behind it was; GUESS_VARIES */
    uint16_t misses; /* scalars that were not as long as the one before them */
    char unused[18];
};

/* What a walk found besides the places. */
struct guess_way {
    unsigned course;
    bool escaped; /* some string that is a value has a backslash */
};

/* json_guess_scan with one scanner, and without a view to whether guessing is worth it: for tests. */
bool json_guess_walk(struct json_guess *guess, const struct json_scanner *scanner, const char **at,
                     const char *end, struct slice *part, bool *escaped);

#endif
