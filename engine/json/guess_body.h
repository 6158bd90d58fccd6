/* The walk along a guess's tree, compiled for each kernel behind json/scan_body.h, whose strings and numbers
 * it uses. See json/scanner.h for what it promises. */
#ifndef JSON_GUESS_BODY_H
#define JSON_GUESS_BODY_H

#include "json/guess_node.h"

static inline bool body_starts_bare(char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n';
}

/* Whether the text goes on with this glue, and with what it wants behind it: one glue can be the start of
 * another, and then only this tells which of them it is. */
static BODY_INLINE bool body_fits(const struct guess_node *node, const char *at, const char *end) {
    bool same;
    if (BODY_LIKELY(end - at > GUESS_GLUE_MAX)) {
        same = kernel_same(at, node->glue, node->half) &&
               (node->len <= GUESS_HALF ||
                kernel_same(at + GUESS_HALF, node->glue + GUESS_HALF, (unsigned)node->len - GUESS_HALF));
    } else {
        same = end - at >= node->len && memcmp(at, node->glue, node->len) == 0;
    }
    if (!same || node->kind != GUESS_BARE) {
        return same;
    }
    return end - at > node->len && body_starts_bare(at[node->len]);
}

/* Moves the node that *link names to the front of the list that *head starts. */
static inline void body_move_to_front(struct guess_node *nodes, uint16_t *head, uint16_t *link) {
    uint16_t index = *link;
    *link = nodes[index].next;
    nodes[index].next = *head;
    *head = index;
}

static const char *body_walk(struct guess_node *nodes, const char *at, const char *end, const char **places,
                             unsigned *course) {
    uint16_t *head = &nodes->first;
    bool escaped;
    for (;;) {
        uint16_t *link = head;
        while (*link && !body_fits(&nodes[*link], at, end)) {
            link = &nodes[*link].next;
        }
        if (!*link) {
            return NULL;
        }
        struct guess_node *node = &nodes[*link];
        if (link != head) {
            body_move_to_front(nodes, head, link);
        }
        *places++ = at;
        at += node->len;
        head = &node->first;
        if (node->kind == GUESS_STRING) {
            at = body_text(at, end, &escaped);
        } else if (node->kind == GUESS_BARE) {
            at = body_bare(at, end);
        } else if (node->kind == GUESS_END) {
            *course = node->course;
            return at;
        }
        if (!at) {
            return NULL;
        }
    }
}

#endif
