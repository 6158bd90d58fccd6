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
static BODY_INLINE bool body_fits(const struct guess_node *node, const char *at, const char *end, bool near) {
    bool same = near ? end - at >= node->len && memcmp(at, node->glue, node->len) == 0
                     : kernel_same(at, node->glue, node->len);
    if (!same || node->kind != GUESS_BARE) {
        return same;
    }
    return (!near || end - at > node->len) && body_starts_bare(at[node->len]);
}

/* Moves the node that *link names to the front of the list that *head starts. */
static inline void body_move_to_front(struct guess_node *nodes, uint16_t *head, uint16_t *link) {
    uint16_t index = *link;
    *link = nodes[index].next;
    nodes[index].next = *head;
    *head = index;
}

/* What was found to be a scalar's length, as something that can be known earlier.
 *
 * A scalar's end is found in some 20 cycles, and the next scalar cannot be looked for before: that is what a
 * walk takes its time for. But where scalars tend to be as long as the last one, the processor learns to
 * expect just that of the comparison here, and goes on with the number from memory while the search is still
 * under way. (The compiler must not see that both are the same.) */
static inline size_t body_expect(struct guess_node *node, size_t len) {
    size_t expected = node->scalar;
    size_t same = expected;
    __asm__("" : "+r"(same));
    if (len == expected) {
        return same;
    }
    if (expected != GUESS_VARIES) {
        node->scalar = (uint32_t)len;
        node->misses++;
    }
    return len;
}

struct body_walk {
    struct guess_node *nodes;
    struct guess_node *node; /* the last one taken */
    const char **places;     /* where the next one's is to be noted */
    bool escaped;
    struct kernel_marks marks;
};

/* Behind the scalar that a glue wants. near: the end may be nearer than BODY_MARGIN. */
static BODY_INLINE const char *body_scalar(struct body_walk *walk, const char *at, const char *end,
                                           bool near) {
    if (walk->node->kind == GUESS_BARE) {
        return body_bare(at, end);
    }
    if (!near) {
        uint64_t odd = kernel_odd(at, &walk->marks);
        if (BODY_LIKELY(odd)) {
            const char *behind = at + kernel_first(odd);
            return BODY_LIKELY(*behind == '"') ? behind : body_rest_of_text(behind, end, &walk->escaped);
        }
        at += KERNEL_BLOCK;
    }
    return body_text(at, end, &walk->marks, &walk->escaped);
}

/* One glue and what it wants behind it. */
static BODY_INLINE const char *body_step(struct body_walk *walk, const char *at, const char *end, bool near) {
    uint16_t *head = &walk->node->first;
    uint16_t *link = head;
    struct guess_node *node = &walk->nodes[*link];
    while (!body_fits(node, at, end, near)) {
        link = &node->next;
        node = &walk->nodes[*link];
    }
    if (link != head && node != walk->nodes) {
        body_move_to_front(walk->nodes, head, link);
    }
    walk->node = node;
    *walk->places++ = at;
    at += node->len;
    if (node->kind > GUESS_BARE) {
        return at;
    }
    const char *behind = body_scalar(walk, at, end, near);
    return behind ? at + body_expect(node, (size_t)(behind - at)) : NULL;
}

enum { BODY_MARGIN = GUESS_GLUE_MAX + 32 };

static const char *body_walk(struct guess_node *nodes, const char *at, const char *end, const char **places,
                             struct guess_way *way) {
    struct body_walk walk = {nodes, nodes, places, false, kernel_marks()};
    const char *near = end - at < BODY_MARGIN ? at : end - BODY_MARGIN;
    do {
        at = BODY_LIKELY(at < near) ? body_step(&walk, at, end, false) : body_step(&walk, at, end, true);
        if (!at || walk.node->kind == GUESS_NONE) {
            return NULL;
        }
    } while (walk.node->kind != GUESS_END);
    way->course = walk.node->course;
    way->escaped = walk.escaped;
    return at;
}

#endif
