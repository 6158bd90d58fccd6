/* json/guess.h: what is taken for a message of a shape seen before is valid, ends there, and has the places that
 * a reader of the whole message finds; with every scanner of this machine. And what was just learned is
 * recognized.
 *
 * Input: how much of the window lies behind the messages; messages, with 0xff between them. */
#include "fuzz.h"
#include "strict.h"
#include "tree.h"
#include "json/guess.h"
#include "json/guess_node.h"
#include "json/scan.h"
#include "json/scanner.h"

enum { MESSAGES = 64, NAMES = 6, PARTS = NAMES + 1, MARGIN = 64 };

static const char *const names[NAMES] = {"type", "key", "value", "headers", "a", ""};

/* The last member of each of the names, and the name of the last other member: what the decoder of events asks
 * for too. */
static void find_parts(const struct tree *tree, struct slice part[static PARTS]) {
    memset(part, 0, PARTS * sizeof *part);
    if (tree->kind != TREE_OBJECT) {
        return;
    }
    for (size_t n = 0; n < NAMES; n++) {
        const struct tree_member *member = tree_find(tree, slice_from(names[n]));
        if (member) {
            part[n] = member->value.raw;
        }
    }
    for (size_t i = 0; i < tree->count; i++) {
        bool known = false;
        for (size_t n = 0; n < NAMES; n++) {
            known = known || slice_is(tree_slice(&tree->members[i].name), names[n]);
        }
        if (!known) {
            part[NAMES] = tree->members[i].raw;
        }
    }
}

struct expected {
    struct strict_verdict verdict;
    struct slice part[PARTS];
};

static void check_hit(const char *who, struct slice text, const char *behind, const struct slice *part,
                      bool escaped, const struct expected *expected) {
    FUZZ_CHECK(expected->verdict.end == STRICT_WHOLE, "%s takes what is not valid: %.*s", who, (int)text.len,
               text.ptr);
    FUZZ_CHECK(behind == text.ptr + expected->verdict.at, "%s: ends at %zd, expected %zu", who,
               behind - text.ptr, expected->verdict.at);
    for (size_t i = 0; i < PARTS; i++) {
        struct slice want = expected->part[i];
        FUZZ_CHECK(part[i].ptr == want.ptr && part[i].len == want.len,
                   "%s: part %zu is %zd, %zu bytes, expected %zd, %zu bytes", who, i,
                   part[i].ptr ? part[i].ptr - text.ptr : -1, part[i].len,
                   want.ptr ? want.ptr - text.ptr : -1, want.len);
        FUZZ_CHECK(escaped || i == NAMES || !want.ptr || want.ptr[0] != '"' ||
                       !memchr(want.ptr, '\\', want.len),
                   "%s: overlooks a backslash", who);
    }
}

/* True where the scanners know it; they do all, or none. */
static bool walk_all(struct json_guess *guess, struct slice text, const struct expected *expected) {
    const struct json_scanner *scanner;
    bool first = false;
    for (size_t n = 0; (scanner = json_scanner_nth(n)); n++) {
        struct slice part[PARTS] = {0};
        bool escaped;
        const char *at = text.ptr;
        bool hit = json_guess_walk(guess, scanner, &at, text.ptr + text.len, part, &escaped);
        FUZZ_CHECK(n == 0 || hit == first, "%s: %s, unlike %s", scanner->name, hit ? "knows it" : "does not",
                   json_scanner_nth(0)->name);
        FUZZ_CHECK(hit || at == text.ptr, "%s moved without a hit", scanner->name);
        if (hit) {
            check_hit(scanner->name, text, at, part, escaped, expected);
        }
        first = hit;
    }
    return first;
}

static void check_message(struct json_guess *guess, struct slice text) {
    struct tree_facts facts = {0};
    struct expected expected = {.verdict = strict_value(text)};
    struct tree tree = {0};
    if (expected.verdict.end == STRICT_WHOLE) {
        tree = tree_read(slice_of(text.ptr, expected.verdict.at), &facts);
        find_parts(&tree, expected.part);
    }
    struct slice part[PARTS] = {0};
    bool escaped;
    const char *at = text.ptr;
    const char *limit = text.ptr + text.len;
    (void)walk_all(guess, text, &expected);
    if (json_guess_scan(guess, &at, limit, part, &escaped)) {
        check_hit("the guess", text, at, part, escaped, &expected);
    } else if (expected.verdict.end == STRICT_WHOLE && tree.count > 0) {
        json_guess_learn(guess, text.ptr, text.ptr + expected.verdict.at, limit, expected.part);
        (void)walk_all(guess, text, &expected);
    }
    tree_free(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    size_t behind = fuzz_byte(&input) % (2 * MARGIN);
    struct json_guess *guess = json_guess_new(PARTS);
    FUZZ_CHECK(guess, "out of memory");
    for (int i = 0; i < MESSAGES && input.at < input.end; i++) {
        struct slice text = fuzz_part(&input);
        while (text.len && memchr(" \t\r\n", text.ptr[0], 4)) {
            text = slice_of(text.ptr + 1, text.len - 1);
        }
        if (text.len == 0) {
            continue;
        }
        /* A window of its own: one comma, which ends a number, and what else may follow. */
        char *window = fuzz_alloc(text.len + behind);
        memcpy(window, text.ptr, text.len);
        memset(window + text.len, ' ', behind);
        if (behind) {
            window[text.len] = ',';
        }
        check_message(guess, slice_of(window, text.len + behind));
        fuzz_drop(slice_of(window, text.len));
    }
    json_guess_free(guess);
    return 0;
}
