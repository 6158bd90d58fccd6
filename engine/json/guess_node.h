/* The tree of a guess (json/guess.h): shared by json/guess.c, which grows it, and json/guess_body.h, which
 * walks it. */
#ifndef JSON_GUESS_NODE_H
#define JSON_GUESS_NODE_H

#include <stdbool.h>
#include <stdint.h>

struct json_guess;
struct json_scanner;

enum {
    GUESS_GLUE_MAX = 64,
    GUESS_HALF = 32,       /* what is compared at once */
    GUESS_STEPS_MAX = 250, /* glues of one message */
    GUESS_NODES_MAX = 1024,
    GUESS_BRANCHES_MAX = 16, /* ways on from one place */
};

/* What follows a glue. */
enum guess_kind {
    GUESS_STRING, /* a string's content; its quotes are the glues' */
    GUESS_BARE,   /* a number, true, false or null */
    GUESS_MORE,   /* nothing: the glue is longer than a node, and goes on in the next one */
    GUESS_END,    /* the end of the message */
};

/* Nodes are named by their index. 0 is the root, which has no glue; as a link it means none. */
struct guess_node {
    char glue[GUESS_GLUE_MAX];
    uint8_t len;
    uint8_t half; /* the lesser of len and GUESS_HALF */
    uint8_t kind;
    uint16_t first;  /* the glues that may come next: a list, the one taken last in front */
    uint16_t next;   /* in the list that this node is in */
    uint16_t course; /* GUESS_END: which message's places */
};

/* json_guess_scan with one scanner, and without a view to whether guessing is worth it: for tests. */
bool json_guess_walk(struct json_guess *guess, const struct json_scanner *scanner, const char **at,
                     const char *end, const char **bound);

#endif
