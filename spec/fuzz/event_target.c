/* message/event.h: what the decoder finds in a message is what the rules say of its tree; and one decoder that
 * is used for all messages says the same of each as a decoder of its own, whether they come one by one or lie
 * in one window, as they do in a chunk (shapes are learned there).
 *
 * Input: options; messages, with 0xff between them. */
#include <stdarg.h>

#include "fuzz.h"
#include "message/event.h"
#include "peer.h"
#include "strict.h"
#include "tree.h"

enum { LOG_MAX = 1 << 22, MESSAGES = 64 };

/* ---- the rules ---- */

struct verdict {
    enum message_status status;
    const char *wrong; /* the place in the text, of a message that is refused */
    const char *field; /* what the reason begins with */
    struct event event;
};

struct rules {
    bool strict, key_optional;
    struct slice default_type;
    const struct tree *message;
    const struct tree *headers; /* NULL: absent */
    struct verdict verdict;
};

static const char *const operations[] = {"insert", "update", "upsert", "delete", "patch"};
static const char *const controls[] = {"snapshot-start", "snapshot-end", "reset", "up-to-date"};

static const struct tree *find(const struct tree *object, const char *name) {
    const struct tree_member *member = object ? tree_find(object, slice_from(name)) : NULL;
    return member ? &member->value : NULL;
}

static struct slice raw_of(const struct tree *tree) {
    return tree ? tree->raw : (struct slice){0};
}

static bool refuse(struct rules *rules, const char *wrong, const char *field) {
    rules->verdict.status = MESSAGE_REFUSED;
    rules->verdict.wrong = wrong;
    rules->verdict.field = field;
    return false;
}

static int index_of(const struct tree *tree, const char *const *names, int count) {
    for (int i = 0; tree && tree->kind == TREE_STRING && i < count; i++) {
        if (slice_is(tree_slice(&tree->text), names[i])) {
            return i;
        }
    }
    return -1;
}

/* Of the members that are not among the names the last; NULL: there is none. */
static const struct tree_member *stranger(const struct tree *object, const char *const *names) {
    for (size_t i = object->count; i > 0; i--) {
        const struct tree_member *member = &object->members[i - 1];
        bool known = false;
        for (size_t n = 0; names[n]; n++) {
            known = known || slice_is(tree_slice(&member->name), names[n]);
        }
        if (!known) {
            return member;
        }
    }
    return NULL;
}

/* Strict: nothing that is not in `known` (unknown: members with a meaning of their own, named for the place). */
static bool check_strangers(struct rules *rules, const struct tree *object, const char *const *known,
                            const char *const *unknown, const char *field) {
    const struct tree_member *other = stranger(object, known);
    if (other) {
        return refuse(rules, other->raw.ptr, field);
    }
    for (size_t i = 0; unknown[i]; i++) {
        const struct tree *value = find(object, unknown[i]);
        if (value) {
            return refuse(rules, value->raw.ptr, field);
        }
    }
    return true;
}

static const char *const message_names[] = {"type", "key", "value", "old_value", "headers", "offset", NULL};
static const char *const header_names[] = {"operation", "control", "txid",   "txId",
                                           "timestamp", "from",    "offset", NULL};

static bool check_strict_text(struct rules *rules, const char *name, const char *field) {
    const struct tree *value = find(rules->headers, name);
    bool ok = !value || (value->kind == TREE_STRING && value->raw.len > 2);
    return ok || refuse(rules, value->raw.ptr, field);
}

static bool check_strict_change(struct rules *rules, enum event_operation operation) {
    static const char *const message_not[] = {"offset", NULL};
    static const char *const headers_not[] = {"control", "txId", "from", "offset", NULL};
    if (!find(rules->message, "type")) {
        return refuse(rules, rules->message->raw.ptr, "type ");
    }
    if (operation == EVENT_PATCH || operation == EVENT_UPSERT) {
        return refuse(rules, find(rules->headers, "operation")->raw.ptr, "headers.operation: ");
    }
    return check_strangers(rules, rules->message, message_names, message_not, "unknown member ") &&
           check_strangers(rules, rules->headers, header_names, headers_not, "headers: unknown member ") &&
           check_strict_text(rules, "txid", "headers.txid: ") &&
           check_strict_text(rules, "timestamp", "headers.timestamp: ");
}

static bool check_strict_control(struct rules *rules, int control) {
    static const char *const message_not[] = {"offset", "type", "key", "value", "old_value", NULL};
    static const char *const headers_not[] = {"txid", "txId", "timestamp", "from", NULL};
    if (control == EVENT_UP_TO_DATE) {
        return refuse(rules, find(rules->headers, "control")->raw.ptr, "headers.control: ");
    }
    return check_strangers(rules, rules->message, message_names, message_not, "unknown member ") &&
           check_strangers(rules, rules->headers, header_names, headers_not, "headers: unknown member ");
}

/* type and key: a string that is not empty. */
static bool take_name(struct rules *rules, const struct tree *value, const char *field, struct slice *out) {
    if (value->kind != TREE_STRING || value->raw.len == 2) {
        return refuse(rules, value->raw.ptr, field);
    }
    *out = tree_slice(&value->text);
    return true;
}

static bool take_change(struct rules *rules, const struct tree *name) {
    struct event *event = &rules->verdict.event;
    const char *start = rules->message->raw.ptr;
    int operation = index_of(name, operations, 5);
    if (operation < 0) {
        return refuse(rules, name->raw.ptr, "headers.operation: ");
    }
    event->kind = EVENT_CHANGE;
    event->operation = (enum event_operation)operation;
    event->type = rules->default_type;
    const struct tree *type = find(rules->message, "type");
    if (type && !take_name(rules, type, "type: ", &event->type)) {
        return false;
    }
    const struct tree *key = find(rules->message, "key");
    if (key && !take_name(rules, key, "key: ", &event->key)) {
        return false;
    }
    if (!key && !rules->key_optional) {
        return refuse(rules, start, "key ");
    }
    event->value = raw_of(find(rules->message, "value"));
    if (!event->value.ptr && operation != EVENT_DELETE) {
        return refuse(rules, start, "value ");
    }
    event->old_value = raw_of(find(rules->message, "old_value"));
    event->txid = raw_of(find(rules->headers, "txid"));
    event->txid = event->txid.ptr ? event->txid : raw_of(find(rules->headers, "txId"));
    event->timestamp = raw_of(find(rules->headers, "timestamp"));
    event->from = raw_of(find(rules->headers, "from"));
    event->offset = raw_of(find(rules->headers, "offset"));
    return !rules->strict || check_strict_change(rules, event->operation);
}

static bool take_control(struct rules *rules, const struct tree *name, const struct tree *offset,
                         const char *field) {
    struct event *event = &rules->verdict.event;
    int control = index_of(name, controls, 4);
    if (control < 0) {
        return refuse(rules, name->raw.ptr, field);
    }
    if (offset && (offset->kind != TREE_STRING || offset->raw.len == 2)) {
        return refuse(rules, offset->raw.ptr, "offset: ");
    }
    event->kind = EVENT_CONTROL;
    event->control = (enum event_control)control;
    event->offset = raw_of(offset);
    return true;
}

static bool take_object(struct rules *rules) {
    const struct tree *message = rules->message;
    const struct tree *headers = find(message, "headers");
    const struct tree *type = find(message, "type");
    if (headers && headers->kind != TREE_OBJECT) {
        return refuse(rules, headers->raw.ptr, "headers: ");
    }
    rules->headers = headers;
    rules->verdict.event.headers = raw_of(headers);
    if (find(headers, "operation")) {
        return take_change(rules, find(headers, "operation"));
    }
    if (find(headers, "control")) {
        return take_control(rules, find(headers, "control"), find(headers, "offset"), "headers.control: ") &&
               (!rules->strict || check_strict_control(rules, (int)rules->verdict.event.control));
    }
    if (!find(message, "key") && !headers && !rules->strict && index_of(type, controls, 4) >= 0) {
        return take_control(rules, type, find(message, "offset"), "type: ");
    }
    if (!headers) {
        return refuse(rules, message->raw.ptr, "headers ");
    }
    return refuse(rules, headers->raw.ptr, "headers: ");
}

static void judge(struct rules *rules) {
    rules->verdict = (struct verdict){.status = MESSAGE_OK};
    rules->verdict.event.text = rules->message->raw;
    if (rules->message->kind != TREE_OBJECT) {
        refuse(rules, rules->message->raw.ptr, "expected an event");
    } else {
        take_object(rules);
    }
}

/* ---- against the decoder ---- */

static void same_raw(const char *name, struct slice got, struct slice expected) {
    FUZZ_CHECK(got.ptr == expected.ptr && got.len == expected.len, "%s: got \"%.*s\", expected \"%.*s\"",
               name, (int)got.len, got.ptr ? got.ptr : "", (int)expected.len,
               expected.ptr ? expected.ptr : "");
}

static void same_bytes(const char *name, struct slice got, struct slice expected) {
    FUZZ_CHECK(!got.ptr == !expected.ptr && slice_equal(got, expected), "%s: got \"%.*s\", expected \"%.*s\"",
               name, (int)got.len, got.ptr ? got.ptr : "", (int)expected.len,
               expected.ptr ? expected.ptr : "");
}

static void same_event(const struct event *got, const struct event *expected) {
    FUZZ_CHECK(got->kind == expected->kind && got->operation == expected->operation &&
                   got->control == expected->control,
               "got kind %d, operation %d, control %d; expected %d, %d, %d", got->kind, got->operation,
               got->control, expected->kind, expected->operation, expected->control);
    same_raw("text", got->text, expected->text);
    same_bytes("type", got->type, expected->type);
    same_bytes("key", got->key, expected->key);
    same_raw("value", got->value, expected->value);
    same_raw("old_value", got->old_value, expected->old_value);
    same_raw("headers", got->headers, expected->headers);
    same_raw("txid", got->txid, expected->txid);
    same_raw("timestamp", got->timestamp, expected->timestamp);
    same_raw("from", got->from, expected->from);
    same_raw("offset", got->offset, expected->offset);
}

static void check_refused(const struct event_decoder *decoder, const struct verdict *expected,
                          const struct error *e) {
    const char *text = expected->event.text.ptr;
    FUZZ_CHECK(e->code == ERROR_EVENT, "%s: %s", error_name(e->code), e->message);
    FUZZ_CHECK(strncmp(e->message, expected->field, strlen(expected->field)) == 0,
               "got \"%s\", expected \"%s...\"", e->message, expected->field);
    FUZZ_CHECK(e->position == (size_t)(expected->wrong - text), "%s: at %zu, expected %zu", e->message,
               e->position, (size_t)(expected->wrong - text));
    struct slice reason = slice_from(e->message);
    FUZZ_CHECK(strict_utf8_end(reason, false) == reason.len, "the reason is not UTF-8: %s", e->message);
    same_raw("the text refused", decoder->event->text, expected->event.text);
}

/* The decoder's word on the message that the text begins with, in a window that goes on to `end`. */
static void check_message(struct event_decoder *decoder, struct slice text, const char *end) {
    const char *at = text.ptr;
    struct error e = {0};
    enum message_status status = event_decode(decoder, &at, end, &e);
    struct strict_verdict verdict = strict_value(text);
    if (verdict.end != STRICT_WHOLE) {
        enum message_status expected = verdict.end == STRICT_CUT ? MESSAGE_CUT : MESSAGE_INVALID;
        FUZZ_CHECK(status == expected && e.position == verdict.at, "status %d at %zu, expected %d at %zu: %s",
                   status, e.position, expected, verdict.at, e.message);
        return;
    }
    struct slice value = slice_of(text.ptr, verdict.at);
    struct tree_facts facts = {0};
    struct tree tree = tree_read(value, &facts);
    struct rules rules = {decoder->strict, decoder->key_optional, decoder->default_type, &tree, NULL, {0}};
    judge(&rules);
    peer_check(value, &tree, &facts, &verdict);
    FUZZ_CHECK(status == rules.verdict.status, "status %d, expected %d: %s", status, rules.verdict.status,
               e.message);
    FUZZ_CHECK(at == text.ptr + verdict.at, "the message ends at %zd, expected %zu", at - text.ptr,
               verdict.at);
    if (status == MESSAGE_OK) {
        same_event(decoder->event, &rules.verdict.event);
    } else {
        check_refused(decoder, &rules.verdict, &e);
    }
    tree_free(&tree);
}

static void configure(struct event_decoder *decoder, uint8_t options) {
    event_decoder_init(decoder);
    decoder->strict = options & 1;
    decoder->key_optional = options & 2;
    if (options & 4) {
        decoder->default_type = SLICE("of its own");
    }
}

/* A message begins with no white space (the slicer passes it over). */
static struct slice next_message(struct fuzz_input *input) {
    struct slice text = fuzz_part(input);
    while (text.len && memchr(" \t\r\n", text.ptr[0], 4)) {
        text = slice_of(text.ptr + 1, text.len - 1);
    }
    return text;
}

/* Each message by itself: by a decoder of its own, and by one for all. */
static void check_apart(struct fuzz_input input, uint8_t options) {
    struct event_decoder shared;
    configure(&shared, options);
    for (int i = 0; i < MESSAGES && input.at < input.end; i++) {
        struct slice text = fuzz_copy(next_message(&input));
        const char *end = text.ptr + text.len;
        struct event_decoder own;
        configure(&own, options);
        check_message(&own, text, end);
        check_message(&shared, text, end);
        event_decoder_free(&own);
        fuzz_drop(text);
    }
    event_decoder_free(&shared);
}

/* All in one window, twice, so that there is something to recognize. A comma follows each: no message goes on
 * with one. */
static void check_together(struct fuzz_input input, uint8_t options) {
    struct event_decoder decoder;
    struct slice window = fuzz_copy(slice_of((const char *)input.at, (size_t)(input.end - input.at)));
    char *bytes = (char *)window.ptr;
    configure(&decoder, options);
    for (size_t i = 0; i < window.len; i++) {
        bytes[i] = (char)(input.at[i] == 0xff ? ',' : input.at[i]);
    }
    for (int round = 0; round < 2; round++) {
        struct fuzz_input rest = input;
        for (int i = 0; i < MESSAGES && rest.at < rest.end; i++) {
            struct slice text = next_message(&rest);
            size_t at = (size_t)((const uint8_t *)text.ptr - input.at);
            check_message(&decoder, slice_of(window.ptr + at, window.len - at), window.ptr + window.len);
        }
    }
    event_decoder_free(&decoder);
    fuzz_drop(window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    uint8_t options = fuzz_byte(&input);
    check_apart(input, options);
    check_together(input, options);
    return 0;
}
