#include "sink/claim.h"

enum { SINGLY = 4096 }; /* positions that go one by one before it is tried again to send several */

static uint64_t greater(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

uint64_t claim_epoch(const struct claim *claim) {
    return claim->last + 1;
}

bool claims_has(const struct claims *claims, uint64_t position, uint64_t part) {
    return claims_is_past(claims, position) ||
           (claims->known && position + 1 == claims->end && part <= claims->seq);
}

bool claims_is_past(const struct claims *claims, uint64_t position) {
    return claims->known && position + 1 < claims->end;
}

/* ---- making ---- */

bool claims_may_group(const struct claims *claims, uint64_t first) {
    return claims->known && claims->order == CLAIM_ORDER_KEPT && first >= claims->end &&
           claims->end >= claims->untaken && claims->end >= claims->singly;
}

struct claim claims_make(const struct claims *claims, uint64_t first, uint64_t last, uint64_t part) {
    struct claim claim = {.first = first, .last = last, .part = part};
    if (last > first) {
        claim.ordered = true;
        claim.order = claims->end;
    } else if (claims->order == CLAIM_ORDER_ASK && claims->untaken > 0 && part == 0) {
        claim.ordered = claim.asks = true;
        claim.order = claims->untaken - 1;
    } else if (first >= claims->untaken && part == 0) {
        claim.ordered = true;
        claim.order = greater(first, claims->singly); /* those before `singly` then need none */
    }
    return claim;
}

/* ---- learning ---- */

static void reach(struct claims *claims, uint64_t end, uint64_t seq) {
    if (!claims->known || end > claims->end || (end == claims->end && seq > claims->seq)) {
        claims->known = true;
        claims->end = end;
        claims->seq = seq;
    }
}

/* No number below the claim's, nor that one itself, will be taken from now on. */
static void take(struct claims *claims, const struct claim *claim) {
    if (claim->ordered) {
        claims->untaken = greater(claims->untaken, claim->order + 1);
    }
}

void claims_learn(struct claims *claims, const struct claim *claim, enum claim_answer answer,
                  uint64_t number) {
    switch (answer) {
    case CLAIM_STORED:
        take(claims, claim);
        reach(claims, claim_epoch(claim), claim->part);
        if (claim->asks) {
            claims->order = CLAIM_ORDER_IGNORED;
        }
        break;
    case CLAIM_BEFORE:
        reach(claims, claim_epoch(claim), greater(claim->part, number));
        break;
    case CLAIM_BEHIND: /* which also says why a number was taken, if one was */
        claims->singly = 0;
        reach(claims, number, 0);
        break;
    case CLAIM_TAKEN:
        take(claims, claim);
        if (claim->asks) {
            claims->order = CLAIM_ORDER_KEPT;
        } else if (claim->last > claim->first) {
            claims->singly = claims->end + SINGLY;
        }
        break;
    }
}
