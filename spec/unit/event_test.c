/* message/event: every form of an event, and what is said about one that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "message/event.h"

static void put(struct buf *out, const char *name, struct slice part) {
    if (part.ptr) {
        buf_printf(out, " %s=", name);
        buf_append_slice(out, part);
    }
}

static void describe(const struct event *event, struct buf *out) {
    buf_append_text(out, event->kind == EVENT_CONTROL ? event_control_name(event->control)
                                                      : event_operation_name(event->operation));
    put(out, "type", event->type);
    put(out, "key", event->key);
    put(out, "value", event->value);
    put(out, "old", event->old_value);
    put(out, "txid", event->txid);
    put(out, "timestamp", event->timestamp);
    put(out, "from", event->from);
    put(out, "offset", event->offset);
}

/* The text lies in memory of its own, so that the sanitizer sees a read past it. */
static struct buf decode(struct event_decoder *decoder, struct slice text) {
    static const char *const names[] = {"ok", "cut", "invalid", "refused", "failed"};
    struct buf out;
    struct error e = {0};
    char *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    const char *at = copy;
    buf_init(&out, 1 << 24);
    enum message_status status = event_decode(decoder, &at, copy + text.len, &e);
    if (status == MESSAGE_OK) {
        assert_ptr_equal(decoder->event->text.ptr, copy);
        describe(decoder->event, &out);
    } else {
        buf_printf(&out, "%s @%d: %s", names[status], (int)e.position, e.message);
    }
    assert_true(status == MESSAGE_CUT || status == MESSAGE_INVALID || at == copy + text.len);
    free(copy);
    buf_append_byte(&out, '\0');
    return out;
}

struct row {
    const char *text;
    const char *expected;
};

static void check_rows(struct event_decoder *decoder, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct buf got = decode(decoder, slice_from(rows[i].text));
        if (strcmp(got.ptr, rows[i].expected) != 0) {
            fail_msg("%s\nexpected: %s\ngot:      %s", rows[i].text, rows[i].expected, got.ptr);
        }
        buf_free(&got);
    }
    event_decoder_free(decoder);
}

#define CHECK(decoder, rows) check_rows(decoder, rows, sizeof(rows) / sizeof *(rows))

static void takes_every_form(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":{\"a\":1.10},\"headers\":{\"operation\":\"insert\"}}",
         "insert type=t key=k value={\"a\":1.10}"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":[ ],\"old_value\":[1 , "
         "2],\"headers\":{\"operation\":\"update\","
         "\"txid\":\"x\",\"timestamp\":\"2025-01-01T00:00:00Z\",\"from\":\"f\",\"offset\":\"0_1\"}}",
         "update type=t key=k value=[ ] old=[1 , 2] txid=\"x\" timestamp=\"2025-01-01T00:00:00Z\" from=\"f\" "
         "offset=\"0_1\""},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":null,\"headers\":{\"operation\":\"upsert\"}}",
         "upsert type=t key=k value=null"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\"}}", "delete type=t key=k"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":null,\"headers\":{\"operation\":\"delete\"}}",
         "delete type=t key=k value=null"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":{},\"headers\":{\"operation\":\"patch\"}}",
         "patch type=t key=k value={}"},
        /* the RFC's first form */
        {"{\"key\":\"k\",\"value\":1,\"headers\":{\"operation\":\"insert\",\"txId\":\"x\"}}",
         "insert type=default key=k value=1 txid=\"x\""},
        /* controls of both forms */
        {"{\"headers\":{\"control\":\"snapshot-start\"}}", "snapshot-start"},
        {"{\"headers\":{\"control\":\"snapshot-end\",\"offset\":\"0_9\"}}", "snapshot-end offset=\"0_9\""},
        {"{\"headers\":{\"control\":\"reset\",\"offset\":\"0_9\"}}", "reset offset=\"0_9\""},
        {"{\"type\":\"up-to-date\"}", "up-to-date"},
        {"{\"type\":\"reset\",\"offset\":\"0_9\"}", "reset offset=\"0_9\""},
        {"{\"type\":\"snapshot-start\",\"more\":1}", "snapshot-start"},
        /* a type of that name is a type like any other where there is a key */
        {"{\"type\":\"reset\",\"key\":\"k\",\"value\":1,\"headers\":{\"operation\":\"insert\"}}",
         "insert type=reset key=k value=1"},
        /* unknown members */
        {"{\"x\":[{}],\"type\":\"t\",\"key\":\"k\",\"value\":1,\"headers\":{\"operation\":\"insert\",\"y\":{"
         "\"z\":0}}}",
         "insert type=t key=k value=1"},
    };
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    CHECK(&decoder, rows);
}

static void takes_members_in_any_order_and_the_last_of_two(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"headers\":{\"txid\":\"x\",\"operation\":\"insert\"},\"old_value\":0,\"value\":1,\"key\":\"k\","
         "\"type\":\"t\"}",
         "insert type=t key=k value=1 old=0 txid=\"x\""},
        {"{\"type\":\"s\",\"key\":\"j\",\"value\":1,\"headers\":{\"operation\":\"delete\"},\"type\":\"t\","
         "\"key\":\"k\","
         "\"value\":2,\"headers\":{\"operation\":\"update\"}}",
         "update type=t key=k value=2"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":1,\"headers\":{\"txid\":\"x\",\"operation\":\"delete\"},"
         "\"headers\":{\"operation\":\"insert\",\"operation\":\"upsert\"}}",
         "upsert type=t key=k value=1"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\"},\"headers\":1}",
         "refused @65: headers: expected an object, got 1"},
        /* escapes in names and in names of operations */
        {"{\"\\u0074ype\":\"\\u0074\",\"k\\u0065y\":\"\\uD83D\\uDE00\\n\",\"\\u0076alue\":\"\\u0000\","
         "\"header\\u0073\":{\"oper\\u0061tion\":\"ins\\u0065rt\"}}",
         "insert type=t key=\xF0\x9F\x98\x80\n value=\"\\u0000\""},
        {" {}", "invalid @0: expected a value, found byte 0x20"},
        {"{ \"type\" : \"t\" ,\n\"key\":\t\"k\",\"value\" :\r{ } , \"headers\" : { \"operation\" : "
         "\"insert\" } }",
         "insert type=t key=k value={ }"},
    };
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    CHECK(&decoder, rows);
}

#define EXPECTED_OPERATION "headers.operation: expected insert, update, upsert, delete or patch, got "

static void names_what_is_wrong(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", "cut @0: the text ends in the middle of a value"},
        {"12", "refused @0: expected an event (an object), got number 12"},
        {"[1]", "refused @0: expected an event (an object), got array [1]"},
        {"{}", "refused @0: headers is missing: expected an object with operation or control"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":1}",
         "refused @0: headers is missing: expected an object with operation or control"},
        {"{\"type\":\"nope\"}",
         "refused @0: headers is missing: expected an object with operation or control"},
        {"{\"headers\":{}}", "refused @11: headers: expected a member operation or control"},
        {"{\"headers\":null}", "refused @11: headers: expected an object, got null"},
        {"{\"headers\":{\"operation\":\"INSERT\"}}", "refused @24: " EXPECTED_OPERATION "\"INSERT\""},
        {"{\"headers\":{\"operation\":\"insert\\u0000\"}}",
         "refused @24: " EXPECTED_OPERATION "\"insert\\u0000\""},
        {"{\"headers\":{\"operation\":null}}", "refused @24: " EXPECTED_OPERATION "null"},
        {"{\"headers\":{\"control\":\"stop\"}}",
         "refused @22: headers.control: expected snapshot-start, snapshot-end or reset, got \"stop\""},
        {"{\"headers\":{\"control\":\"reset\",\"offset\":5}}",
         "refused @39: offset: expected a non-empty string, got 5"},
        {"{\"headers\":{\"control\":\"reset\",\"offset\":\"\"}}",
         "refused @39: offset: expected a non-empty string, got \"\""},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1}",
         "refused @0: key is missing: a change needs a non-empty string"},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1,\"key\":\"\"}",
         "refused @50: key: expected a non-empty string, got an empty one"},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1,\"key\":7}",
         "refused @50: key: expected a non-empty string, got number 7"},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1,\"key\":null}",
         "refused @50: key: expected a non-empty string, got null null"},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1,\"key\":\"k\",\"type\":\"\"}",
         "refused @61: type: expected a non-empty string, got an empty one"},
        {"{\"headers\":{\"operation\":\"insert\"},\"value\":1,\"key\":\"k\",\"type\":{}}",
         "refused @61: type: expected a non-empty string, got object {}"},
        {"{\"headers\":{\"operation\":\"update\"},\"key\":\"k\"}",
         "refused @0: value is missing: update needs one"},
        {"{\"headers\":{\"operation\":\"upsert\"},\"key\":\"k\"}",
         "refused @0: value is missing: upsert needs one"},
        {"{\"headers\":{\"operation\":\"patch\"},\"key\":\"k\"}",
         "refused @0: value is missing: patch needs one"},
        {"{\"a\" 1}", "invalid @5: expected ':' behind a member name, found '1'"},
        {"{\"a\":1 \"b\":2}", "invalid @7: expected ',' or '}', found '\"'"},
        {"{\"a\":1,}", "invalid @7: expected a member name in double quotes, found '}'"},
        {"{a:1}", "invalid @1: expected a member name in double quotes, found 'a'"},
        {"{\"a\":01}", "invalid @6: a number must not start with 0, found '1'"},
        {"{\"headers\":{\"operation\" \"x\"}}", "invalid @24: expected ':' behind a member name, found '\"'"},
        {"{\"headers\":{,}}", "invalid @12: expected a member name in double quotes, found ','"},
        {"{\"a\"", "cut @4: the text ends in the middle of a value"},
        {"{\"a\":", "cut @5: the text ends in the middle of a value"},
        {"{\"a\":1", "cut @6: the text ends in the middle of a value"},
        {"{\"a\":1,", "cut @7: the text ends in the middle of a value"},
        {"{\"headers\":{\"operation\":\"ins", "cut @28: the text ends in the middle of a value"},
    };
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    CHECK(&decoder, rows);
}

static void holds_to_the_published_schema_when_strict(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":1,\"old_value\":0,\"headers\":{\"operation\":\"update\","
         "\"txid\":\"x\","
         "\"timestamp\":\"2025-01-01T00:00:00Z\"}}",
         "update type=t key=k value=1 old=0 txid=\"x\" timestamp=\"2025-01-01T00:00:00Z\""},
        {"{\"headers\":{\"control\":\"reset\",\"offset\":\"5\"}}", "reset offset=\"5\""},
        {"{\"key\":\"k\",\"headers\":{\"operation\":\"delete\"}}", "refused @0: type is missing (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"x\":1,\"headers\":{\"operation\":\"delete\"}}",
         "refused @22: unknown member \"x\" (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"offset\":\"1\",\"headers\":{\"operation\":\"delete\"}}",
         "refused @31: unknown member \"offset\" (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\",\"y\":1}}",
         "refused @54: headers: unknown member \"y\" (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\",\"txId\":\"1\"}}",
         "refused @61: headers: unknown member \"txId\" (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\",\"txid\":1}}",
         "refused @61: headers.txid: expected a non-empty string, got 1 (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"delete\",\"timestamp\":\"\"}}",
         "refused @66: headers.timestamp: expected a non-empty string, got \"\" (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":{},\"headers\":{\"operation\":\"patch\"}}",
         "refused @56: headers.operation: patch is not in the State Protocol (strict)"},
        {"{\"type\":\"t\",\"key\":\"k\",\"value\":{},\"headers\":{\"operation\":\"upsert\"}}",
         "refused @56: headers.operation: upsert is not in the State Protocol (strict)"},
        {"{\"type\":\"t\",\"headers\":{\"control\":\"reset\"}}",
         "refused @8: unknown member \"type\" (strict)"},
        {"{\"headers\":{\"control\":\"reset\",\"txid\":\"1\"}}",
         "refused @37: headers: unknown member \"txid\" (strict)"},
        {"{\"headers\":{\"control\":\"up-to-date\"}}",
         "refused @22: headers.control: up-to-date is not in the State Protocol (strict)"},
        {"{\"type\":\"reset\"}",
         "refused @0: headers is missing: expected an object with operation or control"},
    };
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    decoder.strict = true;
    CHECK(&decoder, rows);
}

static void does_as_its_options_say(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"value\":1,\"headers\":{\"operation\":\"insert\"}}", "insert type=things value=1"},
        {"{\"type\":\"t\",\"key\":\"\",\"value\":1,\"headers\":{\"operation\":\"insert\"}}",
         "refused @18: key: expected a non-empty string, got an empty one"},
    };
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    decoder.default_type = SLICE("things");
    decoder.key_optional = true;
    CHECK(&decoder, rows);
}

static void append_many(struct buf *text, const char *piece, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_true(buf_append_text(text, piece));
    }
}

static struct buf nested(size_t levels) {
    struct buf text;
    buf_init(&text, 1 << 20);
    append_many(&text, "{\"type\":\"t\",\"key\":\"k\",\"headers\":{\"operation\":\"insert\"},\"value\":", 1);
    append_many(&text, "[", levels);
    append_many(&text, "]", levels);
    append_many(&text, "}", 1);
    return text;
}

static void bounds_depth(void **state) {
    (void)state;
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    struct buf text = nested(999);
    struct buf got = decode(&decoder, buf_slice(&text));
    assert_memory_equal(got.ptr, "insert type=t", 13);
    buf_free(&got);
    buf_free(&text);
    text = nested(1000);
    got = decode(&decoder, buf_slice(&text));
    assert_string_equal(got.ptr, "invalid @1062: nested deeper than 1000 levels, found '['");
    buf_free(&got);
    buf_free(&text);
    text = nested(2000);
    got = decode(&decoder, buf_slice(&text));
    assert_memory_equal(got.ptr, "invalid", 7);
    buf_free(&got);
    buf_free(&text);
    event_decoder_free(&decoder);
}

/* Only the cap of a message bounds them, with escapes or without. */
static void takes_long_keys(void **state) {
    (void)state;
    static const struct {
        const char *piece;
        size_t bytes; /* that it stands for */
    } rows[] = {{"abcd", 4}, {"\\u00e9\\n\\\\x", 5}};
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    for (size_t i = 0; i < 2; i++) {
        struct buf text;
        buf_init(&text, 64 << 20);
        append_many(&text, "{\"type\":\"t\",\"headers\":{\"operation\":\"delete\"},\"key\":\"", 1);
        append_many(&text, rows[i].piece, 1 << 20);
        append_many(&text, "\"}", 1);
        struct buf got = decode(&decoder, buf_slice(&text));
        assert_int_equal(got.len - 1, strlen("delete type=t key=") + (rows[i].bytes << 20));
        buf_free(&got);
        buf_free(&text);
        struct buf again = decode(&decoder,
                                  SLICE("{\"key\":\"\\u0061\",\"headers\":{\"operation\":\"delete\"}}"));
        assert_string_equal(again.ptr, "delete type=default key=a");
        assert_true(decoder.key_text.cap <= 1 << 20);
        buf_free(&again);
    }
    event_decoder_free(&decoder);
}

/* Each first part of an event is cut, and says so: nothing is taken for whole too early. */
static void every_first_part_is_cut(void **state) {
    (void)state;
    static const char text[] =
        "{\"type\":\"t\\u0041\",\"key\":\"\xF0\x9F\x98\x80\",\"value\":[-1.5e+3,true,null,{\"a\":{}}],"
        "\"headers\":{\"operation\":\"insert\",\"x\":[0]}}";
    struct event_decoder decoder;
    event_decoder_init(&decoder);
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct buf got = decode(&decoder, slice_of(text, len));
        if (strncmp(got.ptr, "cut", 3) != 0) {
            fail_msg("%.*s gives %s", (int)len, text, got.ptr);
        }
        buf_free(&got);
    }
    event_decoder_free(&decoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_form),
        cmocka_unit_test(takes_members_in_any_order_and_the_last_of_two),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(holds_to_the_published_schema_when_strict),
        cmocka_unit_test(does_as_its_options_say),
        cmocka_unit_test(bounds_depth),
        cmocka_unit_test(takes_long_keys),
        cmocka_unit_test(every_first_part_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
