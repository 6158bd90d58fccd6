/* io/url.h: no secret in what is shown, and a query that holds what it was given, in order.
 *
 * Input: a number (which parameters are put in), the URL. */
#include <stdlib.h>
#include <strings.h>

#include "fuzz.h"
#include "io/url.h"

enum { OUT_MAX = 1 << 16, PARTS_MAX = 64 };

/* ---- shown ---- */

static bool is_secret(struct slice name) {
    static const char *const words[] = {"token", "key", "secret", "password", "auth", "sig"};
    char text[OUT_MAX];
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasestr(text, words[i])) {
            return true;
        }
    }
    return false;
}

/* Up to one of the bytes, or the end. */
static struct slice until(const char *at, const char *stops) {
    return slice_of(at, strcspn(at, stops));
}

static void redact_plainly(const char *url, struct buf *out) {
    const char *host = strstr(url, "://");
    if (host) {
        host += 3;
        buf_append(out, url, (size_t)(host - url));
        struct slice authority = until(host, "/?#");
        for (size_t i = 0; i < authority.len; i++) {
            url = authority.ptr[i] == '@' ? authority.ptr + i + 1 : i == 0 ? host : url;
        }
        url = authority.len ? url : host;
    }
    struct slice path = until(url, "?#");
    buf_append_slice(out, path);
    const char *at = path.ptr + path.len;
    while (*at && *at != '#') {
        buf_append_byte(out, *at++); /* '?' or '&' */
        struct slice part = until(at, "&#");
        struct slice name = until(at, "=&#");
        if (name.len < part.len && is_secret(name)) {
            buf_append_slice(out, name);
            buf_append_text(out, "=...");
        } else {
            buf_append_slice(out, part);
        }
        at += part.len;
    }
    buf_append_byte(out, '\0');
}

static void check_shown(const char *url) {
    struct buf expected;
    size_t sizes[] = {OUT_MAX, 1, 2, 16};
    buf_init(&expected, OUT_MAX * 2);
    redact_plainly(url, &expected);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *shown = fuzz_alloc(sizes[i]);
        url_redact(url, shown, sizes[i]);
        FUZZ_CHECK(strlen(shown) < sizes[i], "not terminated");
        expected.ptr[expected.len - 1 < sizes[i] - 1 ? expected.len - 1 : sizes[i] - 1] = '\0';
        FUZZ_CHECK(strcmp(shown, expected.ptr) == 0, "of %s\ngot      %s\nexpected %s", url, shown,
                   expected.ptr);
        free(shown);
        buf_clear(&expected);
        redact_plainly(url, &expected);
    }
    buf_free(&expected);
    (void)url_is_loopback(url);
}

/* ---- the query ---- */

static const struct url_param all_params[] = {
    {"offset", {"-1", 2}},
    {"live", {"long-poll", 9}},
    {"cursor", {"a b&c=\xc3\xa9\0%", 10}},
    {"live2", {NULL, 0}},
    {"", {"", 0}},
};

enum { PARAMS = sizeof all_params / sizeof *all_params };

/* The parts of a query, in its order. */
static size_t split(const char *at, struct slice *parts) {
    size_t count = 0;
    while (*at && *at != '#') {
        at++;
        struct slice part = until(at, "&#");
        if (part.len && count < PARTS_MAX) {
            parts[count++] = part;
        }
        at += part.len;
    }
    return count;
}

static struct slice name_of(struct slice part) {
    size_t len = 0;
    while (len < part.len && part.ptr[len] != '=') {
        len++;
    }
    return slice_of(part.ptr, len);
}

static const struct url_param *given(const struct url_param *params, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++) {
        if (slice_is(name, params[i].name)) {
            return &params[i];
        }
    }
    return NULL;
}

static bool decodes_to(struct slice text, struct slice value) {
    size_t used = 0;
    for (size_t i = 0; i < text.len; i++, used++) {
        char byte = text.ptr[i];
        if (byte == '%' && i + 2 < text.len) {
            char digits[3] = {text.ptr[i + 1], text.ptr[i + 2], '\0'};
            byte = (char)strtol(digits, NULL, 16);
            i += 2;
        }
        if (used >= value.len || byte != value.ptr[used]) {
            return false;
        }
    }
    return used == value.len;
}

static void check_query(const char *url, const struct url_param *params, size_t count) {
    struct slice before[PARTS_MAX];
    struct slice after[PARTS_MAX];
    struct buf out;
    buf_init(&out, OUT_MAX * 4);
    size_t plain = strcspn(url, "?#");
    if (!url_query(&out, url, params, count)) {
        buf_free(&out); /* more parameters than it takes */
        return;
    }
    FUZZ_CHECK(strlen(out.ptr) == out.len && !strchr(out.ptr + plain, '#'), "got %s", out.ptr);
    FUZZ_CHECK(strncmp(out.ptr, url, plain) == 0, "another path: %s", out.ptr);
    size_t old_count = split(url + plain, before);
    size_t new_count = split(out.ptr + plain, after);
    size_t next = 0; /* of those that stay, each in its order among those of one name */
    size_t seen = 0;
    for (size_t i = 0; i < new_count; i++) {
        struct slice name = name_of(after[i]);
        const struct url_param *param = given(params, count, name);
        FUZZ_CHECK(i == 0 || slice_compare(name_of(after[i - 1]), name) <= 0, "not in order: %s", out.ptr);
        if (param) {
            struct slice value = slice_of(name.ptr + name.len + 1, after[i].len - name.len - 1);
            FUZZ_CHECK(param->value.ptr && decodes_to(value, param->value), "%s: %s", param->name, out.ptr);
            seen++;
        } else {
            next++;
        }
    }
    size_t stay = 0;
    for (size_t i = 0; i < old_count; i++) {
        stay += !given(params, count, name_of(before[i]));
    }
    for (size_t i = 0; i < count; i++) {
        seen -= params[i].value.ptr != NULL;
    }
    FUZZ_CHECK(seen == 0 && next == stay, "of %s\ngot %s", url, out.ptr);
    struct buf again;
    buf_init(&again, OUT_MAX * 4);
    FUZZ_CHECK(url_query(&again, out.ptr, params, count), "refused: %s", out.ptr);
    fuzz_same(&out, &again, "the query of the query");
    buf_free(&again);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    uint8_t options = fuzz_byte(&input);
    struct slice text = fuzz_rest(&input);
    struct url_param params[PARAMS];
    size_t count = 0;
    if (text.len >= OUT_MAX) {
        return 0;
    }
    char *url = fuzz_alloc(text.len + 1);
    memcpy(url, text.ptr, text.len);
    url[text.len] = '\0';
    for (size_t i = 0; i < PARAMS - 1; i++) {
        if (options >> i & 1) {
            params[count++] = all_params[i];
        }
    }
    check_shown(url);
    check_query(url, params, count);
    free(url);
    return 0;
}
