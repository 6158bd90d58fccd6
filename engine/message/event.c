#include "message/event.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum {
    NAME_MAX_BYTES = 1 << 30, /* of an unescaped type or key: the cap of a message comes first */
    NAME_KEEP = 1 << 20,      /* bytes for one that stay allocated */
};

static const char *const operation_names[] = {"insert", "update", "upsert", "delete", "patch"};
static const char *const control_names[] = {"snapshot-start", "snapshot-end", "reset", "up-to-date"};

const char *event_operation_name(enum event_operation operation) {
    return operation_names[operation];
}

const char *event_control_name(enum event_control control) {
    return control_names[control];
}

bool event_needs_value(enum event_operation operation) {
    return operation != EVENT_DELETE;
}

void event_decoder_init(struct event_decoder *decoder) {
    *decoder = (struct event_decoder){.default_type = SLICE("default")};
    buf_init(&decoder->type_text, NAME_MAX_BYTES);
    buf_init(&decoder->key_text, NAME_MAX_BYTES);
}

void event_decoder_free(struct event_decoder *decoder) {
    buf_free(&decoder->type_text);
    buf_free(&decoder->key_text);
}

/* A message under way. The raw values of the members that count, as they were found; of two members
 * with one name the last counts, as in JSON.parse. */
struct parts {
    struct slice type, key, value, old_value, headers, offset;
    struct slice other; /* the name of a member that the published schema does not know */
    struct slice operation, control, txid, tx_id, timestamp, from, headers_offset;
    struct slice headers_other;
};

struct field {
    const char *name;
    size_t at; /* the offset of its slice in struct parts */
};

#define FIELD(name, member)                                                                                  \
    { name, offsetof(struct parts, member) }

static const struct field message_fields[] = {
    FIELD("type", type),       FIELD("key", key),       FIELD("value", value), FIELD("old_value", old_value),
    FIELD("headers", headers), FIELD("offset", offset), FIELD(NULL, other),
};

static const struct field header_fields[] = {
    FIELD("operation", operation),
    FIELD("control", control),
    FIELD("txid", txid),
    FIELD("txId", tx_id),
    FIELD("timestamp", timestamp),
    FIELD("from", from),
    FIELD("offset", headers_offset),
    FIELD(NULL, headers_other),
};

static struct slice *part_for(struct parts *parts, const struct field *fields, struct slice name,
                              bool escaped) {
    const struct field *field = fields;
    for (; field->name; field++) {
        struct slice known = slice_from(field->name);
        if (escaped ? json_string_is(name, known)
                    : slice_equal(slice_of(name.ptr + 1, name.len - 2), known)) {
            break;
        }
    }
    return (struct slice *)(void *)((char *)parts + field->at);
}

static enum json_status scan_object(struct parts *parts, const struct field *fields, const char **place,
                                    const char *end, unsigned depth, struct json_fault *fault);

/* A member's value; the object under "headers" is cut up too. */
static enum json_status scan_member_value(struct parts *parts, struct slice *part, const char **at,
                                          const char *end, unsigned depth, struct json_fault *fault) {
    const char *start = *at;
    enum json_status status;
    if (part == &parts->headers) {
        parts->operation = parts->control = parts->txid = parts->tx_id = parts->timestamp = parts->from =
            parts->headers_offset = parts->headers_other = (struct slice){0};
    }
    if (part == &parts->headers && *start == '{') {
        status = scan_object(parts, header_fields, at, end, depth, fault);
    } else {
        status = json_scan_value(at, end, depth, fault);
    }
    if (status == JSON_OK && part != &parts->other && part != &parts->headers_other) {
        *part = slice_of(start, (size_t)(*at - start));
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

/* *place is on the opening brace. */
static enum json_status scan_object(struct parts *parts, const struct field *fields, const char **place,
                                    const char *end, unsigned depth, struct json_fault *fault) {
    const char *at = json_skip_space(*place + 1, end);
    enum json_status status;
    if (at < end && *at == '}') {
        *place = at + 1;
        return JSON_OK;
    }
    for (;;) {
        if (at == end || *at != '"') {
            return fail_at(at, end, "expected a member name in double quotes", fault);
        }
        const char *name = at;
        bool escaped;
        status = json_scan_string(&at, end, &escaped, fault);
        if (status != JSON_OK) {
            return status;
        }
        struct slice raw = slice_of(name, (size_t)(at - name));
        struct slice *part = part_for(parts, fields, raw, escaped);
        if (part == &parts->other || part == &parts->headers_other) {
            *part = raw;
        }
        at = json_skip_space(at, end);
        if (at == end || *at != ':') {
            return fail_at(at, end, "expected ':' behind a member name", fault);
        }
        at = json_skip_space(at + 1, end);
        if (at == end) {
            return fail_at(at, end, NULL, fault);
        }
        status = scan_member_value(parts, part, &at, end, depth + 1, fault);
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

/* The start of a JSON value, short enough for a message. */
static int shorten(struct slice value) {
    return value.len > 40 ? 40 : (int)value.len;
}

static enum message_status refuse(struct error *e, struct slice text, struct slice where, const char *format,
                                  ...) __attribute__((format(printf, 4, 5)));

static enum message_status refuse(struct error *e, struct slice text, struct slice where, const char *format,
                                  ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    error_set(e, ERROR_EVENT, "%s", message);
    if (e && where.ptr) {
        e->position = (size_t)(where.ptr - text.ptr);
    }
    return MESSAGE_REFUSED;
}

/* A raw JSON string to its bytes, by way of scratch where it has escapes. */
static bool plain_text(struct event_decoder *decoder, struct slice raw, struct buf *scratch,
                       struct slice *out) {
    struct slice inside = slice_of(raw.ptr + 1, raw.len - 2);
    if (!memchr(inside.ptr, '\\', inside.len)) {
        *out = inside;
        return true;
    }
    decoder->unescaped = true;
    buf_clear(scratch);
    buf_shrink(scratch, NAME_KEEP);
    if (!json_unquote(scratch, raw)) {
        return false;
    }
    *out = buf_slice(scratch);
    return true;
}

/* A member that must be a non-empty string. */
static enum message_status take_name(struct event_decoder *decoder, struct slice raw, const char *field,
                                     struct buf *scratch, struct slice *out, struct error *e) {
    struct slice text = decoder->event.text;
    if (raw.ptr[0] != '"') {
        return refuse(e, text, raw, "%s: expected a non-empty string, got %s %.*s", field,
                      json_kind_name(json_kind_of(raw)), shorten(raw), raw.ptr);
    }
    if (raw.len == 2) {
        return refuse(e, text, raw, "%s: expected a non-empty string, got an empty one", field);
    }
    if (!plain_text(decoder, raw, scratch, out)) {
        buf_error(scratch, e, field, "nothing: it is fixed");
        return MESSAGE_FAILED;
    }
    return MESSAGE_OK;
}

static bool find_name(struct slice raw, const char *const *names, int count, int *found) {
    for (int i = 0; i < count; i++) {
        if (raw.ptr && raw.ptr[0] == '"' && json_string_is(raw, slice_from(names[i]))) {
            *found = i;
            return true;
        }
    }
    return false;
}

struct strict_member {
    struct slice raw;
    const char *name;
};

/* The published schema allows no other members. */
static enum message_status refuse_member(const struct event_decoder *decoder,
                                         const struct strict_member *member, const char *where,
                                         struct error *e) {
    struct slice raw = member->raw;
    if (member->name) {
        return refuse(e, decoder->event.text, raw, "%sunknown member \"%s\" (strict)", where, member->name);
    }
    return refuse(e, decoder->event.text, raw, "%sunknown member %.*s (strict)", where, shorten(raw),
                  raw.ptr);
}

static enum message_status check_strict_text(struct slice raw, const char *field, struct slice text,
                                             struct error *e) {
    if (!raw.ptr || (raw.ptr[0] == '"' && raw.len > 2)) {
        return MESSAGE_OK;
    }
    return refuse(e, text, raw, "headers.%s: expected a non-empty string, got %.*s (strict)", field,
                  shorten(raw), raw.ptr);
}

static enum message_status check_strict_members(const struct event_decoder *decoder,
                                                const struct strict_member *members, size_t count,
                                                const char *where, struct error *e) {
    for (size_t i = 0; i < count; i++) {
        if (members[i].raw.ptr) {
            return refuse_member(decoder, &members[i], where, e);
        }
    }
    return MESSAGE_OK;
}

static enum message_status check_strict_change(const struct event_decoder *decoder, const struct parts *parts,
                                               struct error *e) {
    const struct strict_member members[] = {{parts->other, NULL}, {parts->offset, "offset"}};
    const struct strict_member headers[] = {{parts->headers_other, NULL},
                                            {parts->control, "control"},
                                            {parts->tx_id, "txId"},
                                            {parts->from, "from"},
                                            {parts->headers_offset, "offset"}};
    const struct event *event = &decoder->event;
    if (!parts->type.ptr) {
        return refuse(e, event->text, event->text, "type is missing (strict)");
    }
    if (event->operation == EVENT_PATCH || event->operation == EVENT_UPSERT) {
        return refuse(e, event->text, parts->operation,
                      "headers.operation: %s is not in the State Protocol (strict)",
                      operation_names[event->operation]);
    }
    enum message_status status = check_strict_members(decoder, members, 2, "", e);
    status = status == MESSAGE_OK ? check_strict_members(decoder, headers, 5, "headers: ", e) : status;
    status = status == MESSAGE_OK ? check_strict_text(parts->txid, "txid", event->text, e) : status;
    return status == MESSAGE_OK ? check_strict_text(parts->timestamp, "timestamp", event->text, e) : status;
}

static enum message_status check_strict_control(const struct event_decoder *decoder,
                                                const struct parts *parts, struct error *e) {
    const struct strict_member members[] = {{parts->other, NULL},    {parts->offset, "offset"},
                                            {parts->type, "type"},   {parts->key, "key"},
                                            {parts->value, "value"}, {parts->old_value, "old_value"}};
    const struct strict_member headers[] = {{parts->headers_other, NULL},
                                            {parts->txid, "txid"},
                                            {parts->tx_id, "txId"},
                                            {parts->timestamp, "timestamp"},
                                            {parts->from, "from"}};
    if (decoder->event.control == EVENT_UP_TO_DATE) {
        return refuse(e, decoder->event.text, parts->control,
                      "headers.control: up-to-date is not in the State Protocol (strict)");
    }
    enum message_status status = check_strict_members(decoder, members, 6, "", e);
    return status == MESSAGE_OK ? check_strict_members(decoder, headers, 5, "headers: ", e) : status;
}

static enum message_status take_change(struct event_decoder *decoder, const struct parts *parts,
                                       struct error *e) {
    struct event *event = &decoder->event;
    struct slice text = event->text;
    enum message_status status;
    int operation;
    if (!find_name(parts->operation, operation_names, 5, &operation)) {
        return refuse(e, text, parts->operation,
                      "headers.operation: expected insert, update, upsert, delete or patch, got %.*s",
                      shorten(parts->operation), parts->operation.ptr);
    }
    event->kind = EVENT_CHANGE;
    event->operation = (enum event_operation)operation;
    event->type = decoder->default_type;
    if (parts->type.ptr) {
        status = take_name(decoder, parts->type, "type", &decoder->type_text, &event->type, e);
        if (status != MESSAGE_OK) {
            return status;
        }
    }
    if (parts->key.ptr) {
        status = take_name(decoder, parts->key, "key", &decoder->key_text, &event->key, e);
        if (status != MESSAGE_OK) {
            return status;
        }
    } else if (!decoder->key_optional) {
        return refuse(e, text, text, "key is missing: a change needs a non-empty string");
    }
    if (!parts->value.ptr && event_needs_value(event->operation)) {
        return refuse(e, text, text, "value is missing: %s needs one", operation_names[operation]);
    }
    event->value = parts->value;
    event->old_value = parts->old_value;
    event->txid = parts->txid.ptr ? parts->txid : parts->tx_id;
    event->timestamp = parts->timestamp;
    event->from = parts->from;
    event->offset = parts->headers_offset;
    return decoder->strict ? check_strict_change(decoder, parts, e) : MESSAGE_OK;
}

static enum message_status take_control(struct event_decoder *decoder, struct slice name, const char *field,
                                        struct slice offset, struct error *e) {
    struct event *event = &decoder->event;
    int control;
    if (!find_name(name, control_names, 4, &control)) {
        return refuse(e, event->text, name, "%s: expected snapshot-start, snapshot-end or reset, got %.*s",
                      field, shorten(name), name.ptr);
    }
    if (offset.ptr && (offset.ptr[0] != '"' || offset.len == 2)) {
        return refuse(e, event->text, offset, "offset: expected a non-empty string, got %.*s",
                      shorten(offset), offset.ptr);
    }
    event->kind = EVENT_CONTROL;
    event->control = (enum event_control)control;
    event->offset = offset;
    return MESSAGE_OK;
}

static enum message_status take_parts(struct event_decoder *decoder, const struct parts *parts,
                                      struct error *e) {
    struct slice text = decoder->event.text;
    int control;
    decoder->event.headers = parts->headers;
    if (parts->headers.ptr && parts->headers.ptr[0] != '{') {
        return refuse(e, text, parts->headers, "headers: expected an object, got %.*s",
                      shorten(parts->headers), parts->headers.ptr);
    }
    if (parts->operation.ptr) {
        return take_change(decoder, parts, e);
    }
    if (parts->control.ptr) {
        enum message_status status = take_control(decoder, parts->control, "headers.control",
                                                  parts->headers_offset, e);
        return status == MESSAGE_OK && decoder->strict ? check_strict_control(decoder, parts, e) : status;
    }
    if (!parts->key.ptr && !parts->headers.ptr && !decoder->strict &&
        find_name(parts->type, control_names, 4, &control)) {
        return take_control(decoder, parts->type, "type", parts->offset, e);
    }
    if (!parts->headers.ptr) {
        return refuse(e, text, text, "headers is missing: expected an object with operation or control");
    }
    return refuse(e, text, parts->headers, "headers: expected a member operation or control");
}

enum message_status event_decode(void *event_decoder, const char **at, const char *end, struct error *e) {
    struct event_decoder *decoder = event_decoder;
    struct parts parts = {0};
    struct json_fault fault;
    const char *start = *at;
    bool object = start < end && *start == '{';
    decoder->event = (struct event){0};
    decoder->unescaped = false;
    enum json_status status = object ? scan_object(&parts, message_fields, at, end, 0, &fault)
                                     : json_scan_value(at, end, 0, &fault);
    if (status != JSON_OK) {
        json_fault_error(status, &fault, start, end, e);
        return status == JSON_CUT ? MESSAGE_CUT : MESSAGE_INVALID;
    }
    struct slice text = slice_of(start, (size_t)(*at - start));
    decoder->event.text = text;
    if (!object) {
        return refuse(e, text, text, "expected an event (an object), got %s %.*s",
                      json_kind_name(json_kind_of(text)), shorten(text), text.ptr);
    }
    return take_parts(decoder, &parts, e);
}
