/* The scanners of this machine: the same functions, compiled from one body (json/scan_body.h) for each
 * set of vector instructions. They answer yes or no; json/exact.h tells what is wrong.
 *
 * Internal to the room, and for its tests, which hold all of them against each other. */
#ifndef JSON_SCANNER_H
#define JSON_SCANNER_H

#include <stdbool.h>
#include <stddef.h>

struct guess_node;
struct guess_way;

struct json_scanner {
    const char *name; /* "avx2"; NULL where the compiler had no such instructions: not to be used */

    /* Behind the value at `at`, which has no white space before it; NULL where json_exact_value says
     * anything but JSON_OK. Nothing outside [at, end) is read. */
    const char *(*value)(const char *at, const char *end, unsigned depth);

    /* Behind the string whose opening quote is at `at`, or NULL, as above. */
    const char *(*string)(const char *at, const char *end, bool *escaped);

    /* The first quote or backslash from `at` on, or `end`. */
    const char *(*quotes)(const char *at, const char *end);

    /* Behind the message at `at` if it takes a way of the tree from its root (nodes[0]) to a leaf, with the
     * places where its glues start, as many as the way has. NULL: it takes none. */
    const char *(*walk)(struct guess_node *nodes, const char *at, const char *end, const char **places,
                        struct guess_way *way);
};

/* To be run only on machines that have the instructions. */
extern const struct json_scanner json_scanner_avx2;
extern const struct json_scanner json_scanner_sse2;
extern const struct json_scanner json_scanner_neon;
extern const struct json_scanner json_scanner_portable;

/* Cheap: the compiler's runtime asked the processor before main, and this reads what it found. */
static inline bool json_scanner_has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && json_scanner_avx2.name;
#else
    return false;
#endif
}

/* The fastest one. */
static inline const struct json_scanner *json_scanner_best(void) {
#if defined(__x86_64__)
    return json_scanner_has_avx2() ? &json_scanner_avx2 : &json_scanner_sse2;
#elif defined(__aarch64__) && defined(__ARM_NEON)
    return &json_scanner_neon;
#else
    return &json_scanner_portable;
#endif
}

/* All that run here, the fastest first; NULL past the last. */
const struct json_scanner *json_scanner_nth(size_t n);

#endif
