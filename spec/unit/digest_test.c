/* The digest of a stream's messages: what must not change it, and what must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "worker/digest.h"

static uint64_t of(const char *const *messages) {
    struct event_decoder decoder;
    struct digest digest;
    event_decoder_init(&decoder);
    digest_init(&digest);
    for (; *messages; messages++) {
        struct error e;
        const char *at = *messages;
        bool ok = event_decode(&decoder, &at, at + strlen(at), &e) == MESSAGE_OK;
        digest_add(&digest, ok ? decoder.event : NULL);
    }
    assert_true(digest.known);
    uint64_t value = digest.value;
    digest_free(&digest);
    event_decoder_free(&decoder);
    return value;
}

#define OF(...) of((const char *const[]){__VA_ARGS__, NULL})
#define PUT(key, value, more)                                                                                \
    "{\"type\":\"t\",\"key\":\"" key "\",\"value\":" value ",\"headers\":{\"operation\":\"upsert\"" more "}" \
    "}"
#define GONE "{\"type\":\"t\",\"key\":\"a\",\"headers\":{\"operation\":\"delete\"}}"

static void test_says_the_same(void **state) {
    (void)state;
    uint64_t one = OF(PUT("a", "{\"n\":1}", ""), GONE);
    assert_true(one == OF(PUT("a", "{\"n\":1}", ",\"offset\":\"7\",\"txid\":\"x\""), GONE));
    assert_true(one == OF(PUT("\\u0061", "{\"n\":1}", ""), GONE));
    assert_true(OF(PUT("a", "{\r\n\"n\":1}", "")) == OF(PUT("a", "{\n\"n\":1}", "")));
}

static void test_says_something_else(void **state) {
    (void)state;
    const uint64_t all[] = {
        OF(PUT("a", "1", "")),
        OF(PUT("a", "2", "")),
        OF(PUT("b", "1", "")),
        OF(PUT("a", "1", ""), PUT("a", "1", "")),
        OF(GONE),
        OF(GONE, PUT("a", "1", "")),
        OF(PUT("a", "1", ""), GONE),
        OF("{}"),
        OF("{}", "{}"),
        OF("{\"headers\":{\"control\":\"reset\"}}"),
        OF("{\"headers\":{\"control\":\"snapshot-start\"}}"),
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(all[i] != all[j]);
        }
    }
}

static void test_text(void **state) {
    (void)state;
    char text[DIGEST_TEXT];
    uint64_t value;
    digest_format(UINT64_C(0x0123456789abcdef), text);
    assert_string_equal(text, "0123456789abcdef");
    assert_true(digest_parse(text, &value) && value == UINT64_C(0x0123456789abcdef));
    assert_false(digest_parse(NULL, &value));
    assert_false(digest_parse("123", &value));
    assert_false(digest_parse("0123456789abcdeg", &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says_the_same),
        cmocka_unit_test(test_says_something_else),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
