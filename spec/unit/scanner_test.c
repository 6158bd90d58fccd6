/* Every scanner of this machine against json/exact.h: the same answer and the same place, for texts of all
 * kinds, broken ones among them, at every place where they can be cut. The texts come from a seed, which is
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
#include "json/frame.h"
#include "json/scanner.h"

#include "texts.h"

enum { TEXT_MAX = 1 << 16 };

/* A copy of some bytes that ends where its memory ends, so that the sanitizer sees a read past it. */
struct copy {
    char *ptr;
    char *end;
};

static struct copy copy_of(const char *ptr, size_t len) {
    struct copy copy;
    copy.ptr = malloc(len ? len : 1);
    assert_non_null(copy.ptr);
    memcpy(copy.ptr, ptr, len);
    copy.end = copy.ptr + len;
    return copy;
}

static void print_bytes(const char *at, const char *end) {
    for (; at < end; at++) {
        bool plain = *at >= 0x20 && *at < 0x7f && *at != '\\';
        print_error(plain ? "%c" : "\\x%02x", (unsigned char)*at);
    }
    print_error("\n");
}

static void expect_same(const char *name, const char *found, const char *expected, struct copy text) {
    if (found != expected) {
        print_bytes(text.ptr, text.end);
        fail_msg("%s: %td, expected %td of %td bytes", name, found ? found - text.ptr : -1,
                 expected ? expected - text.ptr : -1, text.end - text.ptr);
    }
}

static const char *first_quote(struct copy text) {
    const char *at = text.ptr;
    while (at < text.end && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* All scanners on exactly these bytes. */
static void compare(const char *ptr, size_t len, unsigned depth) {
    struct copy text = copy_of(ptr, len);
    struct json_fault fault;
    const struct json_scanner *scanner;
    const char *place = text.ptr;
    bool ok = json_exact_value(&place, text.end, depth, &fault) == JSON_OK;
    for (size_t i = 0; (scanner = json_scanner_nth(i)); i++) {
        expect_same(scanner->name, scanner->value(text.ptr, text.end, depth), ok ? place : NULL, text);
        expect_same(scanner->name, scanner->quotes(text.ptr, text.end), first_quote(text), text);
    }
    if (len > 0 && *ptr == '"') {
        bool escaped;
        bool escaped_too;
        place = text.ptr;
        ok = json_exact_string(&place, text.end, &escaped, &fault) == JSON_OK;
        for (size_t i = 0; (scanner = json_scanner_nth(i)); i++) {
            const char *found = scanner->string(text.ptr, text.end, &escaped_too);
            expect_same(scanner->name, found, ok ? place : NULL, text);
            assert_true(!ok || escaped == escaped_too);
        }
    }
    free(text.ptr);
}

static void compare_cut_everywhere(const char *ptr, size_t len) {
    for (size_t cut = 0; cut <= len; cut++) {
        compare(ptr, cut, 0);
    }
}

static void has_the_scanners_of_its_processor(void **state) {
    (void)state;
    print_message("scanners:");
    size_t count = 0;
    for (const struct json_scanner *scanner; (scanner = json_scanner_nth(count)); count++) {
        print_message(" %s", scanner->name);
        assert_true(count > 0 || scanner == json_scanner_best());
    }
    print_message("\n");
    assert_true(count > 0);
}

/* One odd byte (or none) in a string, at every place and in strings of every length around a block's. */
static void finds_each_odd_byte(void **state) {
    (void)state;
    static const unsigned char odds[] = {'a', '"', '\\', 0, 0x1f, 0x20, 0x7f, 0x80, 0xc3, 0xff};
    char text[100];
    for (size_t len = 2; len <= 90; len++) {
        for (size_t at = 1; at < len - 1; at++) {
            for (size_t odd = 0; odd < sizeof odds; odd++) {
                memset(text, 'x', len);
                text[0] = text[len - 1] = '"';
                text[at] = (char)odds[odd];
                compare(text, len, 0);
                compare(text, len - 1, 0);
            }
        }
    }
}

/* Every sequence of four bytes that matter to UTF-8, somewhere in a string. */
static void judges_all_sequences(void **state) {
    (void)state;
    static const unsigned char bytes[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                          0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee,
                                          0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, '"',  '\\'};
    enum { COUNT = sizeof bytes };
    char text[100];
    for (unsigned n = 0; n < COUNT * COUNT * COUNT * COUNT; n++) {
        size_t at = 1 + n % 37;
        size_t len = at + 4 + n / COUNT % 41;
        memset(text, 'x', sizeof text);
        text[0] = '"';
        text[at] = (char)bytes[n % COUNT];
        text[at + 1] = (char)bytes[n / COUNT % COUNT];
        text[at + 2] = (char)bytes[n / COUNT / COUNT % COUNT];
        text[at + 3] = (char)bytes[n / COUNT / COUNT / COUNT];
        text[len - (n % 3 == 0 && len > at + 4)] = '"';
        compare(text, len + 1, 0);
    }
}

static void reads_long_text(void **state) {
    (void)state;
    static const char *const units[] = {
        "a",          "\xc3\xa9", "\xe2\x82\xac",        "\xf0\x9f\x98\x80",
        "ab\xc3\xa9", "\\n",      "\\u00e9\xe2\x82\xac", "plain text of a message and \xf0\x9f\x98\x80 "};
    char text[700];
    for (size_t unit = 0; unit < sizeof units / sizeof *units; unit++) {
        size_t len = 1;
        text[0] = '"';
        while (len < 300) {
            memcpy(text + len, units[unit], strlen(units[unit]));
            len += strlen(units[unit]);
        }
        text[len++] = '"';
        compare_cut_everywhere(text, len);
        for (size_t at = 1; at < len; at++) {
            char kept = text[at];
            for (unsigned bit = 1; bit < 256; bit *= 2) {
                text[at] = (char)((unsigned char)kept ^ bit);
                compare(text, len, 0);
            }
            text[at] = kept;
        }
    }
}

static void reads_numbers(void **state) {
    (void)state;
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "7",
                                          "-12",
                                          "0.5",
                                          "-0.25e10",
                                          "1e5",
                                          "1E+5",
                                          "1e-05",
                                          "01",
                                          "1.",
                                          "1.e5",
                                          "-",
                                          "-a",
                                          "1e",
                                          "1e+",
                                          "00",
                                          "0.29105633520521224",
                                          "1234567890123456789012345678901",
                                          "12345678901234567890123456789012",
                                          "123456789012345678901234567890123",
                                          "1234567890123456789012345678901.5",
                                          "123456789012345678901234567890.5",
                                          "12345678901234567890123456789e5",
                                          "123456789012345678901234567890e5",
                                          "1234567890123456789012345678901e5",
                                          "123456789012345678901234567890e+5",
                                          "12345678901234567890123456789e+5",
                                          "12345678901234567890123456789e+",
                                          "123456789012345678901234567890e-",
                                          "-1.23456789012345678901234567890123456789e+123",
                                          "1.5.5",
                                          "1e5e5",
                                          "1-1"};
    char text[200];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t behind = 0; behind < 40; behind++) {
            size_t len = (size_t)snprintf(text, sizeof text, "%s", numbers[i]);
            memset(text + len, ' ', behind);
            compare_cut_everywhere(text, len + behind);
            len = (size_t)snprintf(text, sizeof text, "[%s]", numbers[i]);
            memset(text + len, ',', behind);
            compare_cut_everywhere(text, len + behind);
        }
    }
}

static void counts_depth(void **state) {
    (void)state;
    char text[2 * 1003];
    for (size_t depth = JSON_DEPTH_MAX - 2; depth <= JSON_DEPTH_MAX + 2; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        compare(text, 2 * depth, 0);
        compare(text, 2 * depth - 1, 0);
        compare(text, 2 * depth, 1);
        compare(text, 8, JSON_DEPTH_MAX);
    }
    compare("[[]]", 4, JSON_DEPTH_MAX - 2);
    compare("[[]]", 4, JSON_DEPTH_MAX - 1);
    compare("1", 1, JSON_DEPTH_MAX);
}

static void agrees_on_random_texts(void **state) {
    (void)state;
    struct texts texts;
    char *text = malloc(TEXT_MAX);
    assert_non_null(text);
    texts_init(&texts);
    for (int round = 0; round < 1500; round++) {
        size_t len = texts_make(&texts, text, 60 + texts_below(&texts, 300));
        compare_cut_everywhere(text, len);
        for (int change = 0; change < 50; change++) {
            char kept[TEXTS_LONGEST];
            memcpy(kept, text, len);
            texts_mutate(&texts, text, len);
            compare(text, len, 0);
            memcpy(text, kept, len);
        }
    }
    free(text);
}

/* How long a message is, its text coming in pieces of at most `most` bytes; -1: no end was seen. */
static long frame_in_pieces(struct texts *texts, const char *text, size_t len, size_t most) {
    struct json_frame frame;
    json_frame_init(&frame);
    for (size_t have = 0; have < len;) {
        size_t found;
        have += 1 + texts_below(texts, most);
        have = have > len ? len : have;
        struct copy copy = copy_of(text, have);
        bool ends = json_frame_find(&frame, copy.ptr, copy.end, &found);
        free(copy.ptr);
        if (ends) {
            return (long)found;
        }
    }
    return -1;
}

static void frames_alike_in_any_pieces(void **state) {
    (void)state;
    struct texts texts;
    char text[TEXTS_LONGEST + 1];
    texts_init(&texts);
    for (int round = 0; round < 1000; round++) {
        size_t len = texts_make(&texts, text, texts_below(&texts, 300));
        text[len] = ',';
        assert_int_equal(frame_in_pieces(&texts, text, len + 1, 1), len);
        assert_int_equal(frame_in_pieces(&texts, text, len + 1, 100), len);
        texts_mutate(&texts, text, len);
        assert_int_equal(frame_in_pieces(&texts, text, len + 1, TEXTS_LONGEST),
                         frame_in_pieces(&texts, text, len + 1, 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_scanners_of_its_processor),
        cmocka_unit_test(finds_each_odd_byte),
        cmocka_unit_test(judges_all_sequences),
        cmocka_unit_test(reads_long_text),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(counts_depth),
        cmocka_unit_test(agrees_on_random_texts),
        cmocka_unit_test(frames_alike_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
