/* The claims of appends, in worlds of chance: workers that are killed and begin anew, several at once, requests that
 * arrive late, twice or after their sender's death, answers that are lost, others who write to the same stream. What
 * the stream then holds of each source is in order, each output once, and none is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sink/claim.h"

enum { POSITIONS = 48, WORKERS = 4, SOURCES = 2, NET_MAX = 64, STORED_MAX = 512, STEPS = 1500, WORLDS = 600 };

#define OTHERS UINT64_MAX /* a Stream-Seq of somebody else's, above all of ours */

/* What a world is like. */
struct nature {
    unsigned sources, workers;
    bool order_first;   /* the server looks at the Stream-Seq before it looks at the producer */
    bool order_ignored; /* or never */
    bool others;        /* now and then, somebody else appends with a Stream-Seq */
    bool moody;         /* workers do not agree on what a position makes */
    uint64_t large;     /* positions that make two outputs, too large for one append */
    uint64_t stride;    /* how far one position is from the next, in those that claims are made of; 0: 1 */
};

struct request {
    struct claim claim;
    uint64_t first, last;
    unsigned source;
    uint64_t outputs; /* the positions that made something, of those from first to last */
    bool whole;       /* everything that one position made; otherwise its part alone */
    unsigned sender, turn;
};

struct worker {
    unsigned source;
    struct claims claims;
    uint64_t makes; /* the positions that it makes something of */
    uint64_t at, part;
    bool split, waits;
    unsigned turn; /* which of its requests it waits for; it changes with each life, too */
    struct request request;
};

struct producer {
    bool known;
    uint64_t epoch, seq;
};

struct output {
    unsigned source;
    uint64_t position, part;
};

struct world {
    struct nature nature;
    uint64_t random;
    uint64_t makes, there[SOURCES]; /* there: positions that the source has by now */
    struct producer producers[SOURCES];
    bool ordered;
    uint64_t order; /* the last Stream-Seq */
    struct output stored[STORED_MAX];
    size_t stored_count;
    struct request net[NET_MAX];
    size_t net_count;
    struct worker workers[WORKERS];
    size_t groups; /* stored appends of several positions */
};

struct answer {
    int status;
    uint64_t number;
};

static uint64_t draw(struct world *w, uint64_t below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}

static bool chance(struct world *w, unsigned percent) {
    return draw(w, 100) < percent;
}

/* The position as the claims have it. */
static uint64_t claimed(const struct world *w, uint64_t position) {
    return position * (w->nature.stride ? w->nature.stride : 1);
}

static bool has_bit(uint64_t set, uint64_t position) {
    return position < POSITIONS && (set >> position & 1);
}

/* ---- the server ---- */

static struct answer judge_order(const struct world *w, const struct request *r) {
    bool refuses = r->claim.ordered && !w->nature.order_ignored && w->ordered && r->claim.order <= w->order;
    return (struct answer){.status = refuses ? 409 : 0};
}

static struct answer judge_producer(const struct producer *p, const struct claim *claim) {
    uint64_t epoch = claim_epoch(claim);
    if (!p->known || epoch > p->epoch) {
        assert_int_equal(claim->part, 0);
        return (struct answer){0};
    }
    if (epoch < p->epoch) {
        return (struct answer){403, p->epoch};
    }
    assert_true(claim->part <= p->seq + 1);
    return (struct answer){.status = claim->part <= p->seq ? 204 : 0, .number = p->seq};
}

static void store_output(struct world *w, unsigned source, uint64_t position, uint64_t part) {
    assert_true(w->stored_count < STORED_MAX);
    for (size_t i = w->stored_count; i > 0; i--) {
        const struct output *before = &w->stored[i - 1];
        if (before->source == source) {
            assert_true(before->position < position || (before->position == position && before->part < part));
            break;
        }
    }
    w->stored[w->stored_count++] = (struct output){source, position, part};
}

static struct answer serve(struct world *w, const struct request *r) {
    struct producer *p = &w->producers[r->source];
    if ((r->whole || r->last > r->first) && (r->outputs & w->nature.large)) {
        return (struct answer){.status = 413};
    }
    struct answer order = judge_order(w, r);
    if (w->nature.order_first && order.status) {
        return order;
    }
    struct answer answer = judge_producer(p, &r->claim);
    answer = answer.status ? answer : order;
    if (answer.status) {
        return answer;
    }
    *p = (struct producer){true, claim_epoch(&r->claim), r->claim.part};
    if (r->claim.ordered) {
        w->ordered = true;
        w->order = r->claim.order;
    }
    for (uint64_t at = r->first; at <= r->last; at++) {
        if (has_bit(r->outputs, at)) {
            store_output(w, r->source, at, r->claim.part);
        }
    }
    w->groups += r->last > r->first;
    return (struct answer){.status = 200};
}

/* ---- workers, which do what engine/sink/stream.c does ---- */

static bool is_large(const struct world *w, uint64_t position) {
    return has_bit(w->nature.large, position);
}

/* What comes next need not be sent. */
static bool is_stored(const struct world *w, const struct worker *worker) {
    bool several = !worker->split && is_large(w, worker->at);
    uint64_t position = claimed(w, worker->at);
    return several ? claims_is_past(&worker->claims, position)
                   : claims_has(&worker->claims, position, worker->part);
}

static void pass(struct world *w, struct worker *worker, uint64_t last) {
    worker->part++;
    if (worker->split && is_large(w, worker->at) && worker->part < 2) {
        return;
    }
    worker->at = last + 1;
    worker->part = 0;
    worker->split = false;
}

static uint64_t choose_last(struct world *w, const struct worker *worker) {
    uint64_t last = worker->at;
    if (!worker->split && claims_may_group(&worker->claims, claimed(w, worker->at))) {
        for (uint64_t p = last + 1; p < w->there[worker->source] && chance(w, 80); p++) {
            last = has_bit(worker->makes, p) && !is_large(w, p) && !is_large(w, worker->at) ? p : last;
        }
    }
    return last;
}

static void post(struct world *w, const struct request *r) {
    if (w->net_count < NET_MAX) {
        w->net[w->net_count++] = *r;
    }
}

static uint64_t between(uint64_t first, uint64_t last) {
    return ((UINT64_C(2) << last) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* Passes over what is stored and sends what is not. */
static void work(struct world *w, struct worker *worker) {
    uint64_t there = w->there[worker->source];
    while (worker->at < there && (!has_bit(worker->makes, worker->at) || is_stored(w, worker))) {
        if (has_bit(worker->makes, worker->at)) {
            pass(w, worker, worker->at);
        } else {
            worker->at++;
        }
    }
    if (worker->at >= there) {
        return;
    }
    uint64_t last = choose_last(w, worker);
    struct request *r = &worker->request;
    *r = (struct request){
        .claim = claims_make(&worker->claims, claimed(w, worker->at), claimed(w, last), worker->part),
        .first = worker->at,
        .last = last,
        .source = worker->source,
        .outputs = worker->makes & between(worker->at, last),
        .whole = !worker->split,
        .sender = (unsigned)(worker - w->workers),
        .turn = ++worker->turn,
    };
    worker->waits = true;
    post(w, r);
}

static void hear(struct world *w, struct worker *worker, const struct answer *answer) {
    static const struct {
        int status;
        enum claim_answer answer;
    } answers[] = {{200, CLAIM_STORED}, {204, CLAIM_BEFORE}, {403, CLAIM_BEHIND}, {409, CLAIM_TAKEN}};
    worker->waits = false;
    if (answer->status == 413) {
        assert_false(worker->split);
        worker->split = true;
        return;
    }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i].status == answer->status) {
            claims_learn(&worker->claims, &worker->request.claim, answers[i].answer, answer->number);
        }
    }
    if (answer->status != 409) {
        pass(w, worker, worker->request.last);
    }
}

static void live_anew(struct world *w, struct worker *worker) {
    *worker = (struct worker){
        .source = worker->source,
        .makes = w->nature.moody ? w->makes & w->random : w->makes,
        .at = chance(w, 50) ? 0 : draw(w, worker->at + 1), /* its last place */
        .turn = worker->turn + 1,
    };
}

/* ---- the world's course ---- */

static void deliver(struct world *w, bool calm) {
    size_t i = draw(w, w->net_count);
    struct request r = w->net[i];
    if (calm || !chance(w, 15)) { /* otherwise it will arrive once more */
        w->net[i] = w->net[--w->net_count];
    }
    struct answer answer = serve(w, &r);
    struct worker *worker = &w->workers[r.sender];
    if (!worker->waits || worker->turn != r.turn) {
        return;
    }
    if (calm || !chance(w, 20)) {
        hear(w, worker, &answer);
    } else {
        post(w, &r); /* the answer was lost */
    }
}

static void step(struct world *w) {
    struct worker *worker = &w->workers[draw(w, w->nature.workers)];
    switch (draw(w, 12)) {
    case 0:
        w->there[draw(w, w->nature.sources)] += draw(w, 4);
        break;
    case 1:
        if (chance(w, 25)) {
            live_anew(w, worker);
        }
        break;
    case 2:
        if (worker->waits) {
            post(w, &worker->request); /* it took too long: once more */
        }
        break;
    case 3:
        if (w->nature.others && chance(w, 10)) {
            w->ordered = true;
            w->order = OTHERS;
        }
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        if (w->net_count) {
            deliver(w, false);
        }
        break;
    default:
        if (!worker->waits) {
            work(w, worker);
        }
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        w->there[i] = w->there[i] < POSITIONS ? w->there[i] : POSITIONS;
    }
}

/* Nobody is killed any more, and everything arrives. */
static void settle(struct world *w) {
    for (unsigned i = 0; i < SOURCES; i++) {
        w->there[i] = POSITIONS;
    }
    for (unsigned i = 0; i < w->nature.workers; i++) {
        struct worker *worker = &w->workers[i];
        for (unsigned turn = 0; worker->waits || worker->at < POSITIONS; turn++) {
            assert_true(turn < 10000);
            if (!worker->waits) {
                work(w, worker);
            } else if (w->net_count) {
                deliver(w, true);
            } else {
                post(w, &worker->request);
            }
        }
    }
    while (w->net_count) {
        deliver(w, true);
    }
}

static void assert_complete(const struct world *w) {
    for (unsigned source = 0; source < w->nature.sources; source++) {
        size_t at = 0;
        for (uint64_t position = 0; position < POSITIONS; position++) {
            uint64_t parts = !has_bit(w->makes, position) ? 0 : is_large(w, position) ? 2 : 1;
            for (uint64_t part = 0; part < parts; part++, at++) {
                while (at < w->stored_count && w->stored[at].source != source) {
                    at++;
                }
                assert_true(at < w->stored_count);
                assert_int_equal(w->stored[at].position, position);
                assert_int_equal(w->stored[at].part, part);
            }
        }
    }
}

static size_t live_through(struct nature nature, uint64_t seed) {
    static struct world w;
    w = (struct world){.nature = nature, .random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    w.makes = ~UINT64_C(0);
    if (seed % 3 == 0) {
        w.makes = draw(&w, UINT64_MAX);
        w.makes |= draw(&w, UINT64_MAX);
    }
    for (unsigned i = 0; i < nature.workers; i++) {
        w.workers[i].source = i % nature.sources;
        live_anew(&w, &w.workers[i]);
        w.workers[i].at = 0;
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(&w);
    }
    settle(&w);
    if (!nature.moody) {
        assert_complete(&w);
    }
    return w.groups;
}

static size_t live_through_many(struct nature nature) {
    const char *many = getenv("WEIR_WORLDS");
    uint64_t worlds = many ? strtoull(many, NULL, 10) : WORLDS;
    size_t groups = 0;
    for (uint64_t seed = 1; seed <= worlds; seed++) {
        nature.order_first = seed % 2;
        groups += live_through(nature, seed);
    }
    return groups;
}

static void test_one_worker(void **state) {
    (void)state;
    assert_true(live_through_many((struct nature){.sources = 1, .workers = 1}) > WORLDS);
    assert_true(live_through_many((struct nature){.sources = 1, .workers = 1, .large = 0x210210}) > WORLDS);
}

static void test_several_at_once(void **state) {
    (void)state;
    assert_true(live_through_many((struct nature){.sources = 1, .workers = 3}) > WORLDS);
    live_through_many((struct nature){.sources = 1, .workers = 3, .large = 0x210210});
}

static void test_workers_that_do_not_agree(void **state) {
    (void)state;
    assert_true(live_through_many((struct nature){.sources = 1, .workers = 3, .moody = true}) > WORLDS);
    live_through_many((struct nature){.sources = 1, .workers = 1, .moody = true, .large = 0x210210});
}

static void test_several_sources(void **state) {
    (void)state;
    live_through_many((struct nature){.sources = 2, .workers = 2});
    live_through_many((struct nature){.sources = 2, .workers = 4});
    live_through_many((struct nature){.sources = 2, .workers = 4, .moody = true});
}

/* Positions so far apart that what was given up because of others is tried again. */
static void test_long_lives(void **state) {
    (void)state;
    live_through_many((struct nature){.sources = 2, .workers = 4, .stride = 500});
    live_through_many((struct nature){.sources = 1, .workers = 3, .moody = true, .stride = 5000});
    live_through_many((struct nature){.sources = 2, .workers = 4, .moody = true, .stride = 1000});
}

static void test_others_who_use_the_order(void **state) {
    (void)state;
    live_through_many((struct nature){.sources = 1, .workers = 2, .others = true});
    live_through_many((struct nature){.sources = 2, .workers = 4, .others = true});
}

static void test_a_server_without_order(void **state) {
    (void)state;
    assert_int_equal(live_through_many((struct nature){.sources = 1, .workers = 3, .order_ignored = true}),
                     0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_worker),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_workers_that_do_not_agree),
        cmocka_unit_test(test_several_sources),
        cmocka_unit_test(test_long_lives),
        cmocka_unit_test(test_others_who_use_the_order),
        cmocka_unit_test(test_a_server_without_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
