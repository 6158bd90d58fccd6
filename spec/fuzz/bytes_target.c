/* Bytes of any kind: stream/base64.h both ways, json/text.h (what is quoted comes back, what cannot be is refused
 * at its place), base/units.h.
 *
 * The whole input is what is decoded, quoted, read. */
#include <math.h>
#include <stdlib.h>

#include "base/units.h"
#include "fuzz.h"
#include "stream/base64.h"
#include "strict.h"
#include "tree.h"
#include "json/text.h"

enum { OUT_MAX = 1 << 20 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- base64 ---- */

/* False: it is not base64. */
static bool decode_plainly(struct slice text, struct buf *out) {
    struct buf solid;
    bool ok = true;
    buf_init(&solid, OUT_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\n' && text.ptr[i] != '\r') {
            buf_append_byte(&solid, text.ptr[i]);
        }
    }
    ok = solid.len % 4 == 0;
    for (size_t i = 0; ok && i < solid.len; i += 4) {
        unsigned long bits = 0;
        unsigned padding = 0;
        for (size_t j = 0; ok && j < 4; j++) {
            char c = solid.ptr[i + j];
            const char *digit = c ? strchr(digits, c) : NULL;
            padding += c == '=';
            ok = c == '=' ? i + 4 == solid.len && j >= 2 : digit && !padding;
            bits = bits * 64 + (digit && c != '=' ? (unsigned long)(digit - digits) : 0);
        }
        for (unsigned j = 0; ok && j < 3 - padding; j++) {
            buf_append_byte(out, (char)(unsigned char)(bits >> (16 - 8 * j)));
        }
    }
    buf_free(&solid);
    return ok;
}

static void check_decoding(struct slice text) {
    struct buf expected;
    struct buf got;
    struct error e = {0};
    buf_init(&expected, OUT_MAX);
    buf_init(&got, OUT_MAX);
    buf_append_text(&got, "..");
    bool ok = base64_decode(&got, text, &e);
    FUZZ_CHECK(ok == decode_plainly(text, &expected), "base64_decode: %s", ok ? "taken" : e.message);
    FUZZ_CHECK(ok || (e.code == ERROR_SYNTAX && got.len == 2), "%s: %s", error_name(e.code), e.message);
    FUZZ_CHECK(!ok || slice_equal(slice_of(got.ptr + 2, got.len - 2), buf_slice(&expected)), "base64_decode");
    buf_free(&expected);
    buf_free(&got);
}

static void check_both_ways(struct slice bytes) {
    struct buf text;
    struct buf back;
    buf_init(&text, OUT_MAX);
    buf_init(&back, OUT_MAX);
    for (size_t i = 0; i < bytes.len; i += 3) {
        unsigned long bits = 0;
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        for (size_t j = 0; j < 3; j++) {
            bits = bits * 256 + (j < have ? (unsigned char)bytes.ptr[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            const char *digit = j <= have ? &digits[bits >> (18 - 6 * j) & 63] : "=";
            buf_append_byte(&text, *digit);
        }
    }
    FUZZ_CHECK(base64_decode(&back, buf_slice(&text), NULL), "refused: %.*s", (int)text.len, text.ptr);
    FUZZ_CHECK(slice_equal(buf_slice(&back), bytes), "not what it was: %.*s", (int)text.len, text.ptr);
    buf_free(&text);
    buf_free(&back);
}

/* ---- JSON strings ---- */

/* The bytes of two surrogates in a row: they come back as the one character they stand for. */
static bool has_pair(struct slice bytes) {
    long before = 0;
    size_t len;
    for (size_t at = 0; at < bytes.len; at += len) {
        long code = strict_code_at(bytes, at, &len);
        if (code < 0 || (code >> 10 == 0xdc00 >> 10 && before >> 10 == 0xd800 >> 10)) {
            return code >= 0;
        }
        before = code;
    }
    return false;
}

static void check_quoting(struct slice bytes) {
    struct buf out;
    struct error e = {0};
    size_t end = strict_utf8_end(bytes, true);
    buf_init(&out, OUT_MAX);
    bool ok = json_quote(&out, bytes, &e);
    FUZZ_CHECK(ok == (end == bytes.len), "json_quote: %s", ok ? "taken" : e.message);
    FUZZ_CHECK(ok || (e.code == ERROR_SYNTAX && e.position == end), "%s at %zu, expected %zu", e.message,
               e.position, end);
    if (ok) {
        struct tree_facts facts = {0};
        FUZZ_CHECK(strict_text(buf_slice(&out)).end == STRICT_WHOLE, "wrote %.*s", (int)out.len, out.ptr);
        struct tree tree = tree_read(buf_slice(&out), &facts);
        struct buf back;
        buf_init(&back, OUT_MAX);
        FUZZ_CHECK(json_unquote(&back, buf_slice(&out)), "json_unquote");
        FUZZ_CHECK(slice_equal(buf_slice(&back), tree_slice(&tree.text)), "json_unquote of %.*s",
                   (int)out.len, out.ptr);
        FUZZ_CHECK(has_pair(bytes) || slice_equal(buf_slice(&back), bytes), "not what it was: %.*s",
                   (int)out.len, out.ptr);
        buf_free(&back);
        tree_free(&tree);
    }
    buf_free(&out);
}

/* ---- durations and sizes ---- */

static void check_units(struct slice bytes) {
    char *text = fuzz_alloc(bytes.len + 1);
    uint64_t ms = 0;
    size_t size = 0;
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    char *unit;
    double number = strtod(text, &unit);
    bool digit = text[0] >= '0' && text[0] <= '9';
    if (units_duration(text, &ms)) {
        FUZZ_CHECK(digit && ms <= 366ull * 24 * 3600 * 1000, "%s is %llu ms", text, (unsigned long long)ms);
        FUZZ_CHECK(strcmp(unit, "s") != 0 || fabs(number * 1000 - (double)ms) <= 1, "%s is %llu ms", text,
                   (unsigned long long)ms);
    }
    if (units_size(text, &size)) {
        FUZZ_CHECK(digit && size <= 9000000000000000, "%s is %zu bytes", text, size);
        FUZZ_CHECK(*unit || fabs(number - (double)size) <= 1, "%s is %zu bytes", text, size);
    }
    if (bytes.len >= sizeof number) {
        memcpy(&number, bytes.ptr, sizeof number);
        (void)units_seconds(number, &ms);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    struct slice bytes = fuzz_copy(fuzz_rest(&input));
    check_decoding(bytes);
    check_both_ways(bytes);
    check_quoting(bytes);
    check_units(bytes);
    fuzz_drop(bytes);
    return 0;
}
