/* The scanner, in all the forms that run on this machine, and what reads text that it has checked: json/scan.h,
 * scanner.h, read.h, text.h, compact.h, frame.h.
 * The whole input is a text. */
#include <string.h>

#include "fuzz.h"
#include "peer.h"
#include "strict.h"
#include "tree.h"
#include "json/compact.h"
#include "json/frame.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/scanner.h"
#include "json/text.h"

static void check_whole(struct slice text, const struct strict_verdict *verdict) {
    struct error e = {0};
    bool ok = json_check(text, &e);
    FUZZ_CHECK(ok == (verdict->end == STRICT_WHOLE), "json_check: %s at %zu; expected end %d at %zu",
               e.message, e.position, verdict->end, verdict->at);
    if (!ok) {
        enum error_code code = verdict->end == STRICT_CUT ? ERROR_CUT : ERROR_SYNTAX;
        FUZZ_CHECK(e.code == code && e.position == verdict->at,
                   "json_check: %s (%s) at %zu, expected %s at %zu", e.message, error_name(e.code),
                   e.position, error_name(code), verdict->at);
    }
    FUZZ_CHECK(json_check(text, NULL) == ok, "json_check without an error says something else");
}

static void check_value(struct slice text, unsigned depth, const struct strict_verdict *verdict) {
    const char *end = text.ptr + text.len;
    const char *at = text.ptr;
    struct json_fault fault = {0};
    enum json_status status = json_scan_value(&at, end, depth, &fault);
    FUZZ_CHECK((int)status == (int)verdict->end, "json_scan_value: %d (%s), expected %d", status,
               fault.reason ? fault.reason : "", verdict->end);
    const char *place = status == JSON_OK ? at : fault.at;
    FUZZ_CHECK(place == text.ptr + verdict->at, "json_scan_value: at %zd, expected %zu", place - text.ptr,
               verdict->at);
}

/* Each scanner takes what is valid, and nothing else. */
static void check_scanners(struct slice text, unsigned depth, const struct strict_verdict *verdict) {
    const struct json_scanner *scanner;
    for (size_t n = 0; (scanner = json_scanner_nth(n)); n++) {
        const char *behind = scanner->value(text.ptr, text.ptr + text.len, depth);
        const char *expected = verdict->end == STRICT_WHOLE ? text.ptr + verdict->at : NULL;
        FUZZ_CHECK(behind == expected, "%s: ends at %zd, expected %zd", scanner->name,
                   behind ? behind - text.ptr : -1, expected ? expected - text.ptr : -1);
    }
}

static void check_string_scanners(struct slice text, const struct strict_verdict *verdict) {
    const struct json_scanner *scanner;
    for (size_t n = 0; (scanner = json_scanner_nth(n)); n++) {
        bool escaped = false;
        const char *behind = scanner->string(text.ptr, text.ptr + text.len, &escaped);
        const char *expected = verdict->end == STRICT_WHOLE ? text.ptr + verdict->at : NULL;
        FUZZ_CHECK(behind == expected, "%s: a string ends at %zd, expected %zd", scanner->name,
                   behind ? behind - text.ptr : -1, expected ? expected - text.ptr : -1);
        FUZZ_CHECK(!behind || escaped == (memchr(text.ptr, '\\', verdict->at) != NULL), "%s: escaped",
                   scanner->name);
    }
}

static void check_string(struct slice text, const struct strict_verdict *verdict) {
    const char *at = text.ptr;
    struct json_fault fault = {0};
    bool escaped;
    enum json_status status = json_scan_string(&at, text.ptr + text.len, &escaped, &fault);
    FUZZ_CHECK((int)status == (int)verdict->end, "json_scan_string: %d, expected %d", status, verdict->end);
    const char *place = status == JSON_OK ? at : fault.at;
    FUZZ_CHECK(place == text.ptr + verdict->at, "json_scan_string: at %zd, expected %zu", place - text.ptr,
               verdict->at);
    if (status == JSON_OK) {
        FUZZ_CHECK(escaped == (memchr(text.ptr, '\\', verdict->at) != NULL), "json_scan_string: escaped");
    }
}

/* The value that the text begins with, alone and inside other containers. */
static void check_first(struct slice text) {
    while (text.len && memchr(" \t\r\n", text.ptr[0], 4)) {
        text = slice_of(text.ptr + 1, text.len - 1);
    }
    struct slice copy = fuzz_copy(text);
    struct strict_verdict verdict = strict_value(copy);
    check_value(copy, 0, &verdict);
    if (copy.len) {
        check_scanners(copy, 0, &verdict);
    }
    if (copy.len && copy.ptr[0] == '"') {
        check_string(copy, &verdict);
        check_string_scanners(copy, &verdict);
    }
    if (verdict.end == STRICT_WHOLE && verdict.deepest > 0) {
        unsigned room = JSON_DEPTH_MAX - (unsigned)verdict.deepest;
        check_value(copy, room, &verdict);
        check_scanners(copy, room, &verdict);
        const char *at = copy.ptr;
        struct json_fault fault;
        enum json_status status = json_scan_value(&at, copy.ptr + copy.len, room + 1, &fault);
        FUZZ_CHECK(status == JSON_BAD, "a value one level too deep: %d", status);
        struct strict_verdict refused = {.end = STRICT_BAD};
        check_scanners(copy, room + 1, &refused);
    }
    fuzz_drop(copy);
}

static void same_slice(struct slice got, struct slice expected, const char *what) {
    FUZZ_CHECK(got.ptr == expected.ptr && got.len == expected.len, "%s: got \"%.*s\", expected \"%.*s\"",
               what, (int)got.len, got.ptr, (int)expected.len, expected.ptr);
}

static void check_bytes(struct slice raw, struct slice bytes) {
    struct buf out;
    buf_init(&out, 1 << 20);
    FUZZ_CHECK(json_unquote(&out, raw), "json_unquote");
    FUZZ_CHECK(slice_equal(buf_slice(&out), bytes), "json_unquote of %.*s", (int)raw.len, raw.ptr);
    FUZZ_CHECK(json_string_is(raw, bytes), "json_string_is: %.*s is not what it stands for", (int)raw.len,
               raw.ptr);
    buf_append_byte(&out, 'x');
    FUZZ_CHECK(!json_string_is(raw, buf_slice(&out)), "json_string_is: %.*s is more", (int)raw.len, raw.ptr);
    if (bytes.len) {
        FUZZ_CHECK(!json_string_is(raw, slice_of(bytes.ptr, bytes.len - 1)), "json_string_is: %.*s is less",
                   (int)raw.len, raw.ptr);
    }
    buf_clear(&out);
    FUZZ_CHECK(json_quote(&out, bytes, NULL), "json_quote of what %.*s stands for", (int)raw.len, raw.ptr);
    struct tree_facts facts = {0};
    struct tree back = tree_read(buf_slice(&out), &facts);
    FUZZ_CHECK(strict_text(buf_slice(&out)).end == STRICT_WHOLE, "json_quote wrote %.*s", (int)out.len,
               out.ptr);
    FUZZ_CHECK(slice_equal(tree_slice(&back.text), bytes), "json_quote wrote %.*s", (int)out.len, out.ptr);
    tree_free(&back);
    buf_free(&out);
}

static void check_node(const struct tree *tree, const char *end);

static void check_members(const struct tree *tree, const char *end) {
    struct json_walk walk;
    struct slice name = {0};
    struct slice value;
    json_walk_open(&walk, tree->raw);
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_member *member = &tree->members[i];
        bool more = tree->kind == TREE_OBJECT ? json_walk_member(&walk, &name, &value)
                                              : json_walk_item(&walk, &value);
        FUZZ_CHECK(more, "the walk over %.*s ends after %zu", (int)tree->raw.len, tree->raw.ptr, i);
        same_slice(value, member->value.raw, "a walk's value");
        if (tree->kind == TREE_OBJECT) {
            struct slice bytes = tree_slice(&member->name);
            same_slice(name, member->raw, "a walk's name");
            check_bytes(name, bytes);
            same_slice(json_member(tree->raw, bytes), tree_find(tree, bytes)->value.raw, "json_member");
        }
        check_node(&member->value, end);
    }
    bool more = tree->kind == TREE_OBJECT ? json_walk_member(&walk, &name, &value)
                                          : json_walk_item(&walk, &value);
    FUZZ_CHECK(!more, "the walk over %.*s goes on", (int)tree->raw.len, tree->raw.ptr);
}

static void check_node(const struct tree *tree, const char *end) {
    static const enum json_kind kinds[] = {
        [TREE_NULL] = JSON_NULL,     [TREE_FALSE] = JSON_BOOLEAN, [TREE_TRUE] = JSON_BOOLEAN,
        [TREE_NUMBER] = JSON_NUMBER, [TREE_STRING] = JSON_STRING, [TREE_ARRAY] = JSON_ARRAY,
        [TREE_OBJECT] = JSON_OBJECT,
    };
    FUZZ_CHECK(json_kind_of(tree->raw) == kinds[tree->kind], "json_kind_of %.*s", (int)tree->raw.len,
               tree->raw.ptr);
    FUZZ_CHECK(json_skip_value(tree->raw.ptr, end) == tree->raw.ptr + tree->raw.len,
               "json_skip_value of %.*s", (int)tree->raw.len, tree->raw.ptr);
    if (tree->kind == TREE_STRING) {
        check_bytes(tree->raw, tree_slice(&tree->text));
    } else if (tree->kind == TREE_ARRAY || tree->kind == TREE_OBJECT) {
        check_members(tree, end);
    }
}

/* The same values, and no white space but in strings. */
static bool same_compact(const struct tree *tree, const struct tree *compact, size_t *len) {
    if (tree->kind != compact->kind || tree->count != compact->count) {
        return false;
    }
    if (tree->kind < TREE_ARRAY) {
        *len += compact->raw.len;
        return slice_equal(tree->raw, compact->raw);
    }
    *len += 2 + (tree->count ? tree->count - 1 : 0);
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_member *member = &compact->members[i];
        *len += tree->kind == TREE_OBJECT ? member->raw.len + 1 : 0;
        if (!slice_equal(tree->members[i].raw, member->raw) ||
            !same_compact(&tree->members[i].value, &member->value, len)) {
            return false;
        }
    }
    return true;
}

static void check_compact(struct slice text, const struct tree *tree) {
    struct buf out;
    struct tree_facts facts = {0};
    size_t len = 0;
    buf_init(&out, text.len);
    FUZZ_CHECK(json_compact(&out, text), "json_compact needs more room than the text");
    FUZZ_CHECK(strict_text(buf_slice(&out)).end == STRICT_WHOLE, "json_compact wrote %.*s", (int)out.len,
               out.ptr);
    struct tree compact = tree_read(buf_slice(&out), &facts);
    FUZZ_CHECK(same_compact(tree, &compact, &len) && len == out.len, "json_compact wrote %.*s", (int)out.len,
               out.ptr);
    tree_free(&compact);
    buf_free(&out);
}

/* Framed in front of a comma, at once and byte by byte. */
static void check_frame(struct slice value) {
    struct json_frame frame;
    size_t len = 0;
    char *message = fuzz_alloc(value.len + 1);
    memcpy(message, value.ptr, value.len);
    message[value.len] = ',';
    json_frame_init(&frame);
    FUZZ_CHECK(json_frame_find(&frame, message, message + value.len + 1, &len) && len == value.len,
               "json_frame_find: %zu bytes of %zu", len, value.len);
    json_frame_init(&frame);
    for (size_t seen = 0; seen <= value.len; seen++) {
        FUZZ_CHECK(!json_frame_find(&frame, message, message + seen, &len), "json_frame_find: ends at %zu",
                   len);
    }
    FUZZ_CHECK(json_frame_find(&frame, message, message + value.len + 1, &len) && len == value.len,
               "json_frame_find: %zu bytes of %zu, byte by byte", len, value.len);
    fuzz_drop(slice_of(message, value.len));
}

static void check_valid(struct slice text, const struct strict_verdict *verdict) {
    struct tree_facts facts = {0};
    struct tree tree = tree_read(text, &facts);
    peer_check(text, &tree, &facts, verdict);
    check_node(&tree, text.ptr + text.len);
    same_slice(json_trim(text), tree.raw, "json_trim");
    check_compact(text, &tree);
    check_frame(tree.raw);
    tree_free(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    struct slice text = fuzz_copy(fuzz_rest(&input));
    struct strict_verdict verdict = strict_text(text);
    check_whole(text, &verdict);
    check_first(text);
    if (verdict.end == STRICT_WHOLE) {
        check_valid(text, &verdict);
    }
    fuzz_drop(text);
    return 0;
}
