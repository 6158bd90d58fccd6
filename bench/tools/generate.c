/* Writes changes, one a line: the same for the same arguments, on every machine.
 *
 *     generate SHAPE EVENTS KEYS [--fill] [--marks] [--seed N]
 *
 * Each of the EVENTS draws one of 4 types and one of its KEYS. A key that is not there is inserted; of the
 * changes to one that is there, one in ten is a delete and the others are updates. --fill: before that, every
 * key is inserted once, in an order that is not that of the keys. --marks: a change of the type "mark" stands
 * between filling and the EVENTS, and another at the end. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "out.h"
#include "random.h"
#include "shapes.h"

enum { DELETE_ONE_IN = 10, SEED = 20260501 };

struct generator {
    const struct shape *shape;
    uint64_t events;
    uint32_t keys;
    bool fill, marks;
    struct random random;
    bool *live; /* by type, then key */
    struct out out;
};

static void put_change(struct generator *g, uint32_t type, uint32_t key, const char *operation, bool value) {
    struct out *o = &g->out;
    out_text(o, "{\"type\":");
    g->shape->type(o, type);
    out_text(o, ",\"key\":");
    g->shape->key(o, type, key);
    if (value) {
        out_text(o, ",\"value\":");
        g->shape->value(o, &g->random, type, key);
    }
    out_text(o, ",\"headers\":");
    g->shape->headers(o, &g->random, operation);
    out_text(o, "}\n");
}

static void put_mark(struct generator *g, const char *key) {
    if (g->marks) {
        out_text(&g->out, "{\"type\":\"mark\",\"key\":\"");
        out_text(&g->out, key);
        out_text(&g->out, "\",\"value\":0,\"headers\":{\"operation\":\"upsert\"}}\n");
    }
}

/* A walk in steps that have no divisor in common with the count meets every entity once. */
static void fill(struct generator *g) {
    uint64_t count = (uint64_t)g->keys * SHAPE_TYPES;
    uint64_t step = 2654435761U; /* a prime beyond any count that has a divisor in common with it */
    for (uint64_t i = 0, at = 0; i < count; i++, at = (at + step) % count) {
        g->live[at] = true;
        put_change(g, (uint32_t)(at / g->keys), (uint32_t)(at % g->keys), "insert", true);
    }
}

static void change(struct generator *g) {
    uint32_t type = random_below(&g->random, SHAPE_TYPES);
    uint32_t key = random_below(&g->random, g->keys);
    bool *live = &g->live[(size_t)type * g->keys + key];
    if (!*live) {
        *live = true;
        put_change(g, type, key, "insert", true);
    } else if (random_below(&g->random, DELETE_ONE_IN) == 0) {
        *live = false;
        put_change(g, type, key, "delete", false);
    } else {
        put_change(g, type, key, "update", true);
    }
}

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *number = n;
    return *text >= '0' && *text <= '9' && !*end && !errno && n >= least && n <= most;
}

static bool parse(struct generator *g, int argc, char **argv) {
    static const struct option options[] = {
        {"fill", no_argument, NULL, 'f'},
        {"marks", no_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    uint64_t keys = 0;
    g->random.state = SEED;
    for (int answer; (answer = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (answer == 'f') {
            g->fill = true;
        } else if (answer == 'm') {
            g->marks = true;
        } else if (answer != 's' || !read_number(optarg, 0, UINT64_MAX, &g->random.state)) {
            return false;
        }
    }
    if (argc - optind != 3 || !read_number(argv[optind + 1], 0, UINT64_MAX, &g->events) ||
        !read_number(argv[optind + 2], 1, UINT32_MAX / SHAPE_TYPES, &keys)) {
        return false;
    }
    g->shape = shape_find(argv[optind]);
    g->keys = (uint32_t)keys;
    return g->shape;
}

static int misuse(void) {
    fputs("usage: generate SHAPE EVENTS KEYS [--fill] [--marks] [--seed N]\n\n", stderr);
    const struct shape *shape;
    for (size_t i = 0; (shape = shape_at(i)); i++) {
        fprintf(stderr, "  %-10s %s\n", shape->name, shape->about);
    }
    return 2;
}

int main(int argc, char **argv) {
    static struct generator g;
    if (!parse(&g, argc, argv)) {
        return misuse();
    }
    g.live = calloc((size_t)g.keys * SHAPE_TYPES, sizeof *g.live);
    if (!g.live) {
        fputs("generate: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    if (g.fill) {
        fill(&g);
    }
    put_mark(&g, "filled");
    for (uint64_t i = 0; i < g.events; i++) {
        change(&g);
    }
    put_mark(&g, "changed");
    out_flush(&g.out);
    free(g.live);
    return EXIT_SUCCESS;
}
