/* What an append has to say of itself so that it is stored once, whoever else sends the same or has sent it: which
 * Producer-Epoch, Producer-Seq and Stream-Seq, and whether it may hold what several positions made. sink/once.h says
 * what a position is; docs/decisions/0017 why this holds. Pure: no clock, no requests.
 *
 *     one position p         epoch p + 1    Stream-Seq p or above, or none where p is known to be taken
 *     positions a to b - 1   epoch b        Stream-Seq a, where everything before a, and nothing behind, is stored
 *
 * One position's append is the same whoever makes it: the epoch alone tells it from the others. Where one that holds
 * several is cut is its maker's choice. Two that were cut differently begin at the same place, so the server, which
 * takes a Stream-Seq above the last one only, has one of them. Nobody passes over a place without taking its number. */
#ifndef SINK_CLAIM_H
#define SINK_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

/* The server refuses what is not above its last Stream-Seq. Asked once, with an append that may be stored. */
enum claim_order { CLAIM_ORDER_ASK, CLAIM_ORDER_KEPT, CLAIM_ORDER_IGNORED };

/* What is known of the stream. Zero-initialise it. */
struct claims {
    bool known;       /* the server has said how far it is: */
    uint64_t end;     /* something of position end - 1 is stored, nothing behind; */
    uint64_t seq;     /* appends of that position, from 0: this one and those before */
    uint64_t untaken; /* each Stream-Seq below this one is taken */
    uint64_t singly;  /* others take numbers, too: until there, an append holds one position */
    enum claim_order order;
};

/* One append. */
struct claim {
    uint64_t first, last; /* the positions it holds the outputs of */
    uint64_t part;        /* of one position: its Producer-Seq */
    bool ordered;
    uint64_t order; /* the number in its Stream-Seq, if ordered */
    bool asks;      /* it is there to see whether the server refuses it for its Stream-Seq */
};

enum claim_answer {
    CLAIM_STORED, /* now */
    CLAIM_BEFORE, /* it was there: 204 */
    CLAIM_BEHIND, /* 403: something of a later epoch is stored, so this is, too */
    CLAIM_TAKEN,  /* 409, for its Stream-Seq: it is not stored */
};

/* An append that begins with this position, which has nothing stored, may hold later ones. */
bool claims_may_group(const struct claims *claims, uint64_t first);

/* The append of what positions first to last made. last > first: claims_may_group, and part is 0. */
struct claim claims_make(const struct claims *claims, uint64_t first, uint64_t last, uint64_t part);

/* What became of it. number: of CLAIM_BEHIND, the server's epoch; of CLAIM_BEFORE, its Producer-Seq. */
void claims_learn(struct claims *claims, const struct claim *claim, enum claim_answer answer,
                  uint64_t number);

/* That part of what the position made is known to be stored. */
bool claims_has(const struct claims *claims, uint64_t position, uint64_t part);

/* Something of a later position is known to be stored. */
bool claims_is_past(const struct claims *claims, uint64_t position);

uint64_t claim_epoch(const struct claim *claim);

#endif
