/* json/guess against json/exact.h: a hit is a valid message, and its places are those that a reader who
 * looks at every byte finds. With every scanner of this machine. Random texts come from a seed, which is
 * printed and can be set by JSON_TEST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "json/exact.h"
#include "json/guess.h"
#include "json/guess_node.h"
#include "json/scanner.h"

#include "memory.h"
#include "texts.h"

/* The places asked for: start and end of these members' values, and of the name of the last other member. */
enum { TYPE, KEY, VALUE, HEADERS, OPERATION, TXID, OTHER, PARTS };

enum { ROOM = 200 }; /* bytes behind a message, for those that shall not be at the end of the window */

static void set_part(struct slice *parts, int part, const char *start, const char *end) {
    parts[part] = slice_of(start, (size_t)(end - start));
}

static int part_of(const char *name, const char *behind, bool headers) {
    static const char *const names[] = {"\"type\"",    "\"key\"",       "\"value\"",
                                        "\"headers\"", "\"operation\"", "\"txid\""};
    for (int i = headers ? OPERATION : TYPE; i < (headers ? OTHER : OPERATION); i++) {
        if ((size_t)(behind - name) == strlen(names[i]) && memcmp(name, names[i], strlen(names[i])) == 0) {
            return i;
        }
    }
    return OTHER;
}

/* The members of a valid object. */
static const char *read_object(const char *at, const char *end, bool headers, struct slice *parts) {
    struct json_fault fault;
    bool escaped;
    at = json_skip_space(at + 1, end);
    while (*at != '}') {
        const char *name = at;
        assert_int_equal(json_exact_string(&at, end, &escaped, &fault), JSON_OK);
        int part = part_of(name, at, headers);
        if (part == OTHER) {
            set_part(parts, OTHER, name, at);
        }
        at = json_skip_space(json_skip_space(at, end) + 1, end);
        const char *value = at;
        if (part == HEADERS) {
            set_part(parts, OPERATION, NULL, NULL);
            set_part(parts, TXID, NULL, NULL);
        }
        if (part == HEADERS && *at == '{') {
            at = read_object(at, end, true, parts);
        } else {
            assert_int_equal(json_exact_value(&at, end, 1, &fault), JSON_OK);
        }
        if (part != OTHER) {
            set_part(parts, part, value, at);
        }
        at = json_skip_space(at, end);
        at = *at == ',' ? json_skip_space(at + 1, end) : at;
    }
    return at + 1;
}

/* False: not valid. */
static bool read_message(const char **at, const char *end, struct slice *parts) {
    struct json_fault fault;
    const char *start = *at;
    memset(parts, 0, PARTS * sizeof *parts);
    if (json_exact_value(at, end, 0, &fault) != JSON_OK) {
        return false;
    }
    if (*start == '{') {
        assert_ptr_equal(read_object(start, end, false, parts), *at);
    }
    return true;
}

static struct json_guess *guess_new(void) {
    struct json_guess *guess = json_guess_new(PARTS);
    assert_non_null(guess);
    return guess;
}

/* With nothing behind the message that could be read. */
static char *copy_of(const char *text, size_t len) {
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

/* Learns the message if it is valid. */
static void learn(struct json_guess *guess, const char *text, size_t len) {
    struct slice parts[PARTS];
    const char *at = text;
    if (read_message(&at, text + len, parts)) {
        json_guess_learn(guess, text, at, at + ROOM, parts);
    }
}

/* Whether one of the parts is a string with a backslash. */
static bool has_escape(const struct slice *parts) {
    for (int i = 0; i < OTHER; i++) {
        struct slice part = parts[i];
        if (part.ptr && part.ptr[0] == '"' && memchr(part.ptr, '\\', part.len)) {
            return true;
        }
    }
    return false;
}

/* Guesses with every scanner; a hit must be what is there. How many scanners hit: all or none. */
static bool guesses(struct json_guess *guess, const char *text, size_t len, const char *end) {
    struct slice expected[PARTS];
    struct slice found[PARTS];
    const char *behind = text;
    bool valid = read_message(&behind, end, expected);
    size_t hits = 0;
    size_t count = 0;
    for (const struct json_scanner *scanner; (scanner = json_scanner_nth(count)); count++) {
        const char *at = text;
        bool escaped;
        memset(found, 0, sizeof found);
        if (!json_guess_walk(guess, scanner, &at, end, found, &escaped)) {
            assert_ptr_equal(at, text);
            continue;
        }
        hits++;
        if (!valid || at != behind || memcmp(found, expected, sizeof found) != 0) {
            fail_msg("%s is mistaken: %.*s", scanner->name, (int)len, text);
        }
        if (!escaped && has_escape(found)) {
            fail_msg("%s overlooks a backslash: %.*s", scanner->name, (int)len, text);
        }
    }
    assert_true(hits == 0 || hits == count);
    return hits > 0;
}

/* Once with its memory ending behind it, once with room. */
static bool guesses_exactly(struct json_guess *guess, const char *text, size_t len) {
    char *copy = copy_of(text, len);
    char *roomy = malloc(len + ROOM);
    assert_non_null(roomy);
    memcpy(roomy, text, len);
    memset(roomy + len, ' ', ROOM);
    bool hit = guesses(guess, copy, len, copy + len);
    assert_int_equal(guesses(guess, roomy, len, roomy + len + ROOM), hit);
    free(copy);
    free(roomy);
    return hit;
}

static const char *const messages[] = {
    "{\"type\":\"user\",\"key\":\"1\",\"value\":{\"name\":\"n\",\"age\":3,\"tags\":[\"a\",\"b\"]},"
    "\"headers\":{\"operation\":\"insert\",\"txid\":\"t\"}}",
    "{\"type\":\"user\",\"key\":\"2\",\"value\":{\"name\":\"n\",\"age\":3,\"tags\":[\"a\",\"b\",\"c\"]},"
    "\"headers\":{\"operation\":\"insert\",\"txid\":\"t\"}}",
    "{\"type\":\"user\",\"key\":\"2\",\"value\":{\"name\":\"n\",\"age\":null,\"tags\":[]},"
    "\"headers\":{\"operation\":\"insert\"}}",
    "{\"headers\":{\"operation\":\"delete\"},\"type\":\"user\",\"key\":\"2\"}",
    "{\"headers\":{\"operation\":\"delete\"},\"type\":\"user\",\"key\":\"2\",\"type\":\"other\"}",
    "{\"headers\":{\"operation\":\"delete\"},\"headers\":3,\"key\":\"2\"}",
    "{\"headers\":{\"operation\":\"delete\"},\"headers\":{\"txid\":3},\"key\":\"2\"}",
    "{\"value\":1,\"key\":2}",
    "{\"value\":-12.5e+3,\"key\":true}",
    "{\"value\":\"1\",\"key\":\"2\"}",
    "{\"value\":[1,2,[3,[],{}]],\"key\":{\"a\":[{\"b\":{}}]}}",
    "{ \"value\" : 1 ,\n\t\"key\" : \"2\" }",
    "{\"value\":\"\\u00e9\\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and so on, for more than one "
    "block\",\"k\xc3\xa9y\":2}",
    "{\"a name of some length, longer than the longest glue that one node can hold\":1,\"key\":\"2\"}",
    "{\"a name of some length, longer than the longest glue that one node can hold\":\"1\",\"key\":\"2\"}",
    "{\"value\":{\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\":{"
    "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmno"
    "pqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\":7}}}",
    "{}",
    "[]",
    "[[],{}]",
    "[1]",
    "[\"\",\"\"]",
    "{\"\":\"\"}",
};

enum { MESSAGES = sizeof messages / sizeof *messages };

static void guesses_what_it_learned(void **state) {
    (void)state;
    struct json_guess *guess = guess_new();
    for (size_t i = 0; i < MESSAGES; i++) {
        learn(guess, messages[i], strlen(messages[i]));
        for (size_t j = 0; j <= i; j++) {
            if (!guesses_exactly(guess, messages[j], strlen(messages[j]))) {
                fail_msg("not guessed: %s", messages[j]);
            }
        }
    }
    json_guess_free(guess);
}

static void guesses_other_scalars(void **state) {
    (void)state;
    static const char *const likes[] = {
        "{\"value\":\"\",\"key\":\"\\u12aF and a text that is longer than any block, with \xc3\xa9 in it\"}",
        "{\"value\":true,\"key\":false}",
        "{\"value\":null,\"key\":-0.0e-0}",
        "{\"value\":12345678901234567890123456789012345678901234567890,\"key\":0.29105633520521224}",
    };
    struct json_guess *guess = guess_new();
    learn(guess, "{\"value\":1,\"key\":2}", 19);
    learn(guess, "{\"value\":\"1\",\"key\":\"2\"}", 23);
    for (size_t i = 0; i < sizeof likes / sizeof *likes; i++) {
        assert_true(guesses_exactly(guess, likes[i], strlen(likes[i])));
    }
    json_guess_free(guess);
}

/* Every change of one byte: put in another, leave it out, put one in front; and every way to cut it. */
static void is_never_mistaken(void **state) {
    (void)state;
    static const char bytes[] = "\"\\{}[]:,-+.eE09tfna \n\x01\x7f\x80\xbf\xc3\xe2\xf0\xff";
    struct json_guess *guess = guess_new();
    char text[400];
    for (size_t i = 0; i < MESSAGES; i++) {
        learn(guess, messages[i], strlen(messages[i]));
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        size_t len = strlen(messages[i]);
        for (size_t at = 0; at < len; at++) {
            guesses_exactly(guess, messages[i], at);
            for (size_t byte = 0; byte < sizeof bytes; byte++) {
                memcpy(text, messages[i], len);
                text[at] = bytes[byte];
                guesses_exactly(guess, text, len);
                memmove(text + at + 1, messages[i] + at, len - at);
                guesses_exactly(guess, text, len + 1);
            }
            memcpy(text, messages[i], at);
            memcpy(text + at, messages[i] + at + 1, len - at - 1);
            guesses_exactly(guess, text, len - 1);
        }
    }
    json_guess_free(guess);
}

static void is_never_mistaken_at_random(void **state) {
    (void)state;
    struct texts texts;
    char text[TEXTS_LONGEST];
    char changed[TEXTS_LONGEST];
    size_t learned = 0;
    size_t hits = 0;
    texts_init(&texts);
    for (int round = 0; round < 200; round++) {
        struct json_guess *guess = guess_new();
        for (int message = 0; message < 10; message++) {
            size_t len = texts_make(&texts, text, texts_below(&texts, 300));
            learn(guess, text, len);
            learned += guesses_exactly(guess, text, len);
            for (int change = 0; change < 40; change++) {
                memcpy(changed, text, len);
                texts_mutate(&texts, changed, len);
                hits += guesses_exactly(guess, changed, len);
                if (change % 8 == 0) {
                    learn(guess, changed, len);
                }
            }
        }
        json_guess_free(guess);
    }
    print_message("%zu of 2000 learned, %zu of 80000 changed ones guessed\n", learned, hits);
    assert_true(learned > 1000 && hits > 1000);
}

static void learns_only_what_it_can_use(void **state) {
    (void)state;
    struct slice parts[PARTS] = {0};
    struct json_guess *guess = guess_new();
    static const char text[13 + ROOM] = "{\"key\":\"abc\"}";
    const char *end = text + 13;
    json_guess_learn(guess, text, end, end, parts);
    json_guess_learn(guess, text, end, end + 63, parts);
    assert_false(guesses(guess, text, 13, end));
    parts[0] = slice_of(text + 9, 1); /* inside a scalar */
    json_guess_learn(guess, text, end, end + 64, parts);
    parts[0] = slice_of(text + 8, 1); /* behind its opening quote */
    json_guess_learn(guess, text, end, end + 64, parts);
    parts[0] = (struct slice){0};
    json_guess_learn(guess, text + 7, end - 1, end + 64, parts); /* not a container */
    assert_false(guesses(guess, text, 13, end));
    learn(guess, text, 13);
    assert_true(guesses(guess, text, 13, end));
    json_guess_free(guess);
    json_guess_free(NULL);
}

static void works_without_parts(void **state) {
    (void)state;
    struct json_guess *guess = json_guess_new(0);
    assert_non_null(guess);
    static const char text[13 + ROOM] = "{\"key\":\"abc\"}";
    const char *at = text;
    bool escaped;
    json_guess_learn(guess, text, text + 13, text + sizeof text, NULL);
    assert_true(json_guess_scan(guess, &at, text + 13, NULL, &escaped));
    assert_ptr_equal(at, text + 13);
    json_guess_free(guess);
}

/* One message as its owner would have it: guessed, or scanned and learned. */
static bool take(struct json_guess *guess, const char *text, size_t len) {
    struct slice parts[PARTS] = {0};
    const char *at = text;
    bool escaped;
    if (json_guess_scan(guess, &at, text + len, parts, &escaped)) {
        struct slice expected[PARTS];
        const char *behind = text;
        assert_true(read_message(&behind, text + len, expected));
        assert_ptr_equal(at, behind);
        assert_memory_equal(parts, expected, sizeof parts);
        return true;
    }
    learn(guess, text, len);
    return false;
}

enum shape { FIRST, SECOND };

/* Messages of one shape; with new names in each, or always the same. How many were guessed. */
static size_t take_many(struct json_guess *guess, enum shape shape, size_t count, bool new_names) {
    static size_t serial;
    char text[200];
    size_t hits = 0;
    for (size_t i = 0; i < count; i++) {
        serial++;
        size_t name = new_names ? serial : 7;
        int len = shape == FIRST
                      ? snprintf(text, sizeof text, "{\"key\":\"1\",\"value\":{\"n%zu\":%zu,\"x\":[1,2]}}",
                                 name, serial)
                      : snprintf(text, sizeof text, "{\"n%zu\":\"%zu\",\"type\":[\"a\",\"b\"]}", name,
                                 serial);
        hits += take(guess, text, (size_t)len);
    }
    return hits;
}

static void gives_up_and_starts_anew(void **state) {
    (void)state;
    struct json_guess *guess = guess_new();
    assert_true(take_many(guess, FIRST, 1000, false) == 999);
    assert_true(take_many(guess, SECOND, 1000, false) >= 990);
    assert_true(take_many(guess, FIRST, 100000, true) == 0);
    assert_true(take_many(guess, FIRST, 300000, false) > 100000);
    assert_true(take_many(guess, SECOND, 10000, true) == 0);
    assert_true(take_many(guess, SECOND, 100000, false) > 50000);
    json_guess_free(guess);
}

/* More shapes than there is room for. */
static void bounds_what_it_keeps(void **state) {
    (void)state;
    struct json_guess *guess = guess_new();
    char text[2000];
    for (int round = 0; round < 3; round++) {
        for (size_t count = 0; count < 400; count++) {
            size_t len = 1;
            text[0] = '[';
            for (size_t i = 0; i < count; i++) {
                len += (size_t)snprintf(text + len, sizeof text - len, "%s%zu", i ? "," : "", i % 10);
            }
            text[len++] = ']';
            take(guess, text, len);
            guesses_exactly(guess, text, len);
        }
    }
    json_guess_free(guess);
}

static void survives_every_failing_allocation(void **state) {
    (void)state;
    bool failed = true;
    for (long left = 0; failed; left++) {
        memory_left = left;
        struct json_guess *guess = json_guess_new(PARTS);
        struct slice parts[PARTS];
        for (size_t i = 0; guess && i < MESSAGES; i++) {
            const char *end = messages[i] + strlen(messages[i]);
            memset(parts, 0, sizeof parts);
            json_guess_learn(guess, messages[i], end, end + ROOM, parts);
        }
        failed = memory_left < 0;
        memory_left = -1;
        for (size_t i = 0; guess && i < MESSAGES; i++) {
            const char *at = messages[i];
            bool escaped;
            bool hit = json_guess_scan(guess, &at, messages[i] + strlen(messages[i]), parts, &escaped);
            assert_true(hit || failed);
            learn(guess, messages[i], strlen(messages[i]));
        }
        json_guess_free(guess);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_what_it_learned),
        cmocka_unit_test(guesses_other_scalars),
        cmocka_unit_test(is_never_mistaken),
        cmocka_unit_test(is_never_mistaken_at_random),
        cmocka_unit_test(learns_only_what_it_can_use),
        cmocka_unit_test(works_without_parts),
        cmocka_unit_test(gives_up_and_starts_anew),
        cmocka_unit_test(bounds_what_it_keeps),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
