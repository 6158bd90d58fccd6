#include "message/parts.h"

#include <string.h>

#include "json/read.h"

struct field {
    struct slice name;
    enum part part;
};

struct object {
    const struct field *fields;
    size_t count;
    enum part other; /* for the name of any other member */
};

static const struct field message_fields[] = {
    {SLICE_INIT("type"), PART_TYPE},       {SLICE_INIT("key"), PART_KEY},
    {SLICE_INIT("value"), PART_VALUE},     {SLICE_INIT("old_value"), PART_OLD_VALUE},
    {SLICE_INIT("headers"), PART_HEADERS}, {SLICE_INIT("offset"), PART_OFFSET},
};

static const struct field header_fields[] = {
    {SLICE_INIT("operation"), PART_OPERATION},
    {SLICE_INIT("control"), PART_CONTROL},
    {SLICE_INIT("txid"), PART_TXID},
    {SLICE_INIT("txId"), PART_TX_ID},
    {SLICE_INIT("timestamp"), PART_TIMESTAMP},
    {SLICE_INIT("from"), PART_FROM},
    {SLICE_INIT("offset"), PART_HEADERS_OFFSET},
};

static const struct object message_object = {message_fields, sizeof message_fields / sizeof *message_fields,
                                             PART_OTHER};
static const struct object headers_object = {header_fields, sizeof header_fields / sizeof *header_fields,
                                             PART_HEADERS_OTHER};

static enum part part_for(const struct object *object, struct slice name, bool escaped) {
    struct slice inside = slice_of(name.ptr + 1, name.len - 2);
    for (size_t i = 0; i < object->count; i++) {
        struct slice known = object->fields[i].name;
        if (escaped ? json_string_is(name, known) : slice_equal(inside, known)) {
            return object->fields[i].part;
        }
    }
    return object->other;
}

static enum json_status scan_object(struct parts *parts, const struct object *object, const char **place,
                                    const char *end, unsigned depth, struct json_fault *fault);

/* A member's value; the object under "headers" is cut up too. */
static enum json_status scan_member_value(struct parts *parts, enum part part, const char **at,
                                          const char *end, unsigned depth, struct json_fault *fault) {
    const char *start = *at;
    enum json_status status;
    if (part == PART_HEADERS) {
        for (unsigned i = PART_OPERATION; i < PART_COUNT; i++) {
            parts->of[i] = (struct slice){0};
        }
    }
    if (part == PART_HEADERS && *start == '{') {
        status = scan_object(parts, &headers_object, at, end, depth, fault);
    } else {
        status = json_scan_value(at, end, depth, fault);
    }
    if (status == JSON_OK && part != PART_OTHER && part != PART_HEADERS_OTHER) {
        parts->of[part] = slice_of(start, (size_t)(*at - start));
    }
    return status;
}

static enum json_status fail_at(const char *at, const char *end, const char *reason,
                                struct json_fault *fault) {
    if (at == end) {
        *fault = (struct json_fault){end, "the text ends in the middle of a value"};
        return JSON_CUT;
    }
    *fault = (struct json_fault){at, reason};
    return JSON_BAD;
}

/* A name and its colon; *place moves onto the value. */
static enum json_status scan_name(struct parts *parts, const struct object *object, const char **place,
                                  const char *end, enum part *part, struct json_fault *fault) {
    const char *at = *place;
    bool escaped;
    if (at == end || *at != '"') {
        return fail_at(at, end, "expected a member name in double quotes", fault);
    }
    enum json_status status = json_scan_string(&at, end, &escaped, fault);
    if (status != JSON_OK) {
        return status;
    }
    struct slice name = slice_of(*place, (size_t)(at - *place));
    *part = part_for(object, name, escaped);
    if (*part == object->other) {
        parts->of[*part] = name;
    }
    at = json_skip_space(at, end);
    if (at == end || *at != ':') {
        return fail_at(at, end, "expected ':' behind a member name", fault);
    }
    *place = json_skip_space(at + 1, end);
    return *place == end ? fail_at(end, end, NULL, fault) : JSON_OK;
}

/* *place is on the opening brace. */
static enum json_status scan_object(struct parts *parts, const struct object *object, const char **place,
                                    const char *end, unsigned depth, struct json_fault *fault) {
    const char *at = json_skip_space(*place + 1, end);
    if (at < end && *at == '}') {
        *place = at + 1;
        return JSON_OK;
    }
    for (;;) {
        enum part part;
        enum json_status status = scan_name(parts, object, &at, end, &part, fault);
        if (status == JSON_OK) {
            status = scan_member_value(parts, part, &at, end, depth + 1, fault);
        }
        if (status != JSON_OK) {
            return status;
        }
        at = json_skip_space(at, end);
        if (at < end && *at == '}') {
            *place = at + 1;
            return JSON_OK;
        }
        if (at == end || *at != ',') {
            return fail_at(at, end, "expected ',' or '}'", fault);
        }
        at = json_skip_space(at + 1, end);
    }
}

struct json_guess *parts_guess_new(void) {
    return json_guess_new(PART_COUNT);
}

bool parts_known(struct parts *parts, struct json_guess *guess, const char **place, const char *end) {
    *parts = (struct parts){.escaped = true};
    return guess && json_guess_scan(guess, place, end, parts->of, &parts->escaped);
}

enum json_status parts_scan(struct parts *parts, struct json_guess *guess, const char **place,
                            const char *end, struct json_fault *fault) {
    const char *start = *place;
    if (parts_known(parts, guess, place, end)) {
        return JSON_OK;
    }
    enum json_status status = scan_object(parts, &message_object, place, end, 0, fault);
    if (status == JSON_OK && guess && !memchr(start, '\n', (size_t)(*place - start))) {
        json_guess_learn(guess, start, *place, end, parts->of);
    }
    return status;
}
