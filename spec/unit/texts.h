/* Random JSON texts, valid ones and broken ones, from a seed that is printed and can be set by
 * JSON_TEST_SEED. Included by one file of a program. */
#ifndef UNIT_TEXTS_H
#define UNIT_TEXTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXTS_LONGEST = 4096 };

struct texts {
    uint64_t random;
    char *at;
    char *soft_end; /* past it containers are closed */
};

static uint64_t texts_random(struct texts *texts) {
    texts->random ^= texts->random << 13;
    texts->random ^= texts->random >> 7;
    texts->random ^= texts->random << 17;
    return texts->random;
}

static size_t texts_below(struct texts *texts, size_t limit) {
    return (size_t)(texts_random(texts) >> 11) % limit;
}

static void texts_init(struct texts *texts) {
    const char *set = getenv("JSON_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    texts->random = set ? strtoull(set, NULL, 10) : (uint64_t)now.tv_sec * 1000003 ^ (uint64_t)now.tv_nsec;
    texts->random |= texts->random == 0;
    printf("JSON_TEST_SEED=%llu\n", (unsigned long long)texts->random);
}

static void texts_put(struct texts *texts, const char *text) {
    size_t len = strlen(text);
    memcpy(texts->at, text, len);
    texts->at += len;
}

static void texts_put_space(struct texts *texts) {
    static const char *const spaces[] = {" ", "\n", "\t", "\r\n", "  "};
    if (texts_below(texts, 12) == 0) {
        texts_put(texts, spaces[texts_below(texts, 5)]);
    }
}

static void texts_put_string(struct texts *texts) {
    static const char *const odd[] = {"\\n",
                                      "\\\"",
                                      "\\\\",
                                      "\\u00e9",
                                      "\\ud83d\\ude00",
                                      "\xc3\xa9",
                                      "\xe2\x82\xac",
                                      "\xf0\x9f\x98\x80",
                                      "\xed\x9f\xbf",
                                      "\x7f"};
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz 0123456789{}[]:,-./'ABCDEFGHIJKLMNOPQRSTU";
    bool oddly = texts_below(texts, 4) == 0;
    size_t parts = texts_below(texts, texts_below(texts, 8) == 0 ? 90 : 20);
    texts_put(texts, "\"");
    for (size_t i = 0; i < parts; i++) {
        if (oddly && texts_below(texts, 3) == 0) {
            texts_put(texts, odd[texts_below(texts, sizeof odd / sizeof *odd)]);
        } else {
            *texts->at++ = plain[texts_below(texts, sizeof plain - 1)];
        }
    }
    texts_put(texts, "\"");
}

static void texts_put_bare(struct texts *texts) {
    static const char *const bare[] = {"true", "false", "null", "0", "-0", "1.5", "-12e+3", "0.1E-7"};
    if (texts_below(texts, 2) == 0) {
        texts_put(texts, bare[texts_below(texts, 8)]);
        return;
    }
    *texts->at++ = (char)('1' + texts_below(texts, 9));
    for (size_t digits = texts_below(texts, 19); digits > 0; digits--) {
        *texts->at++ = (char)('0' + texts_below(texts, 10));
    }
    if (texts_below(texts, 2) == 0) {
        *texts->at++ = '.';
        for (size_t digits = 1 + texts_below(texts, 19); digits > 0; digits--) {
            *texts->at++ = (char)('0' + texts_below(texts, 10));
        }
    }
}

static void texts_put_value(struct texts *texts, unsigned depth);

static void texts_put_container(struct texts *texts, unsigned depth) {
    bool object = texts_below(texts, 3) > 0;
    texts_put(texts, object ? "{" : "[");
    texts_put_space(texts);
    size_t wanted = texts_below(texts, 8);
    for (size_t i = 0; i < wanted && texts->at < texts->soft_end; i++) {
        texts_put(texts, i > 0 ? "," : "");
        texts_put_space(texts);
        if (object) {
            texts_put_string(texts);
            texts_put_space(texts);
            texts_put(texts, ":");
            texts_put_space(texts);
        }
        texts_put_value(texts, depth + 1);
        texts_put_space(texts);
    }
    texts_put(texts, object ? "}" : "]");
}

static void texts_put_value(struct texts *texts, unsigned depth) {
    size_t kind = texts_below(texts, 10);
    if (depth == 0 || (kind < 3 && depth < 20)) {
        texts_put_container(texts, depth);
    } else if (kind < 7) {
        texts_put_string(texts);
    } else {
        texts_put_bare(texts);
    }
}

/* A valid container of about `size` bytes (at most 1000), at most TEXTS_LONGEST of them; its length. */
static size_t texts_make(struct texts *texts, char *text, size_t size) {
    texts->at = text;
    texts->soft_end = text + size;
    texts_put_value(texts, 0);
    return (size_t)(texts->at - text);
}

/* Changes a few bytes. */
static void texts_mutate(struct texts *texts, char *text, size_t len) {
    static const char special[] = "\"\\{}[]:,-+.eE0123456789tfn \n\x01\x80\xbf\xc3\xe2\xf0\xff";
    for (size_t i = 1 + texts_below(texts, 3); i > 0; i--) {
        char *at = text + texts_below(texts, len);
        switch (texts_below(texts, 3)) {
        case 0:
            *at = special[texts_below(texts, sizeof special - 1)];
            break;
        case 1:
            *at = (char)((unsigned char)*at ^ 1u << texts_below(texts, 8));
            break;
        default:
            *at = text[texts_below(texts, len)];
            break;
        }
    }
}

#endif
