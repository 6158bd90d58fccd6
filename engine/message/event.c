#include "message/event.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "message/parts.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum {
    NAME_MAX_BYTES = 1 << 30, /* of an unescaped type or key: the cap of a message comes first */
    NAME_KEEP = 1 << 20,      /* bytes for one that stay allocated */
    NAME_SHORT = 32,
};

static const struct slice operation_names[] = {SLICE_INIT("insert"), SLICE_INIT("update"),
                                               SLICE_INIT("upsert"), SLICE_INIT("delete"),
                                               SLICE_INIT("patch")};
static const struct slice control_names[] = {SLICE_INIT("snapshot-start"), SLICE_INIT("snapshot-end"),
                                             SLICE_INIT("reset"), SLICE_INIT("up-to-date")};

const char *event_operation_name(enum event_operation operation) {
    return operation_names[operation].ptr;
}

const char *event_control_name(enum event_control control) {
    return control_names[control].ptr;
}

bool event_needs_value(enum event_operation operation) {
    return operation != EVENT_DELETE;
}

void event_decoder_init(struct event_decoder *decoder) {
    *decoder = (struct event_decoder){.default_type = SLICE("default"), .event = &decoder->own};
    buf_init(&decoder->type_text, NAME_MAX_BYTES);
    buf_init(&decoder->key_text, NAME_MAX_BYTES);
    decoder->guess = parts_guess_new(); /* without one it is only slower */
}

void event_decoder_free(struct event_decoder *decoder) {
    buf_free(&decoder->type_text);
    buf_free(&decoder->key_text);
    json_guess_free(decoder->guess);
    decoder->guess = NULL;
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

/* Names are short: a call costs more than looking. */
static inline bool has_escape(struct slice inside) {
    if (inside.len > NAME_SHORT) {
        return memchr(inside.ptr, '\\', inside.len);
    }
    bool found = false;
    for (size_t i = 0; i < inside.len; i++) {
        found |= inside.ptr[i] == '\\';
    }
    return found;
}

/* A raw JSON string with escapes to its bytes, by way of scratch. */
static bool unescape(struct event_decoder *decoder, struct slice raw, struct buf *scratch,
                     struct slice *out) {
    decoder->unescaped = true;
    buf_clear(scratch);
    buf_shrink(scratch, NAME_KEEP);
    if (!json_unquote(scratch, raw)) {
        return false;
    }
    *out = buf_slice(scratch);
    return true;
}

static enum message_status refuse_name(struct slice raw, const char *field, struct slice text,
                                       struct error *e) {
    if (raw.ptr[0] != '"') {
        return refuse(e, text, raw, "%s: expected a non-empty string, got %s %.*s", field,
                      json_kind_name(json_kind_of(raw)), shorten(raw), raw.ptr);
    }
    return refuse(e, text, raw, "%s: expected a non-empty string, got an empty one", field);
}

/* A member that must be a non-empty string. */
static inline enum message_status take_name(struct event_decoder *decoder, const struct parts *parts,
                                            enum part part, const char *field, struct buf *scratch,
                                            struct slice *out, struct error *e) {
    struct slice raw = parts->of[part];
    *out = slice_of(raw.ptr + 1, raw.len - 2);
    if (raw.ptr[0] != '"' || raw.len == 2) {
        return refuse_name(raw, field, decoder->event->text, e);
    }
    if (parts->escaped && has_escape(*out) && !unescape(decoder, raw, scratch, out)) {
        buf_error(scratch, e, field, NULL);
        return MESSAGE_FAILED;
    }
    return MESSAGE_OK;
}

static bool find_escaped(struct slice raw, const struct slice *names, int count, int *found) {
    for (int i = 0; raw.ptr && raw.ptr[0] == '"' && i < count; i++) {
        if (json_string_is(raw, names[i])) {
            *found = i;
            return true;
        }
    }
    return false;
}

/* Which of the names the raw value is. */
static inline bool find_name(struct slice raw, const struct slice *names, int count, int *found) {
    for (int i = 0; raw.ptr && i < count; i++) {
        if (raw.len == names[i].len + 2 && raw.ptr[1] == names[i].ptr[0] && raw.ptr[2] == names[i].ptr[1] &&
            raw.ptr[0] == '"' && memcmp(raw.ptr + 1, names[i].ptr, names[i].len) == 0) {
            *found = i;
            return true;
        }
    }
    return find_escaped(raw, names, count, found);
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
        return refuse(e, decoder->event->text, raw, "%sunknown member \"%s\" (strict)", where, member->name);
    }
    return refuse(e, decoder->event->text, raw, "%sunknown member %.*s (strict)", where, shorten(raw),
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
    const struct strict_member members[] = {{parts->of[PART_OTHER], NULL},
                                            {parts->of[PART_OFFSET], "offset"}};
    const struct strict_member headers[] = {{parts->of[PART_HEADERS_OTHER], NULL},
                                            {parts->of[PART_CONTROL], "control"},
                                            {parts->of[PART_TX_ID], "txId"},
                                            {parts->of[PART_FROM], "from"},
                                            {parts->of[PART_HEADERS_OFFSET], "offset"}};
    const struct event *event = decoder->event;
    if (!parts->of[PART_TYPE].ptr) {
        return refuse(e, event->text, event->text, "type is missing (strict)");
    }
    if (event->operation == EVENT_PATCH || event->operation == EVENT_UPSERT) {
        return refuse(e, event->text, parts->of[PART_OPERATION],
                      "headers.operation: %s is not in the State Protocol (strict)",
                      operation_names[event->operation].ptr);
    }
    enum message_status status = check_strict_members(decoder, members, 2, "", e);
    status = status == MESSAGE_OK ? check_strict_members(decoder, headers, 5, "headers: ", e) : status;
    status = status == MESSAGE_OK ? check_strict_text(parts->of[PART_TXID], "txid", event->text, e) : status;
    return status == MESSAGE_OK ? check_strict_text(parts->of[PART_TIMESTAMP], "timestamp", event->text, e)
                                : status;
}

static enum message_status check_strict_control(const struct event_decoder *decoder,
                                                const struct parts *parts, struct error *e) {
    const struct strict_member members[] = {
        {parts->of[PART_OTHER], NULL},    {parts->of[PART_OFFSET], "offset"},
        {parts->of[PART_TYPE], "type"},   {parts->of[PART_KEY], "key"},
        {parts->of[PART_VALUE], "value"}, {parts->of[PART_OLD_VALUE], "old_value"}};
    const struct strict_member headers[] = {{parts->of[PART_HEADERS_OTHER], NULL},
                                            {parts->of[PART_TXID], "txid"},
                                            {parts->of[PART_TX_ID], "txId"},
                                            {parts->of[PART_TIMESTAMP], "timestamp"},
                                            {parts->of[PART_FROM], "from"}};
    if (decoder->event->control == EVENT_UP_TO_DATE) {
        return refuse(e, decoder->event->text, parts->of[PART_CONTROL],
                      "headers.control: up-to-date is not in the State Protocol (strict)");
    }
    enum message_status status = check_strict_members(decoder, members, 6, "", e);
    return status == MESSAGE_OK ? check_strict_members(decoder, headers, 5, "headers: ", e) : status;
}

static enum message_status take_change(struct event_decoder *decoder, const struct parts *parts,
                                       struct error *e) {
    struct event *event = decoder->event;
    struct slice text = event->text;
    enum message_status status;
    int operation;
    if (!find_name(parts->of[PART_OPERATION], operation_names, 5, &operation)) {
        return refuse(e, text, parts->of[PART_OPERATION],
                      "headers.operation: expected insert, update, upsert, delete or patch, got %.*s",
                      shorten(parts->of[PART_OPERATION]), parts->of[PART_OPERATION].ptr);
    }
    event->kind = EVENT_CHANGE;
    event->operation = (enum event_operation)operation;
    event->type = decoder->default_type;
    if (parts->of[PART_TYPE].ptr) {
        status = take_name(decoder, parts, PART_TYPE, "type", &decoder->type_text, &event->type, e);
        if (status != MESSAGE_OK) {
            return status;
        }
    }
    if (parts->of[PART_KEY].ptr) {
        status = take_name(decoder, parts, PART_KEY, "key", &decoder->key_text, &event->key, e);
        if (status != MESSAGE_OK) {
            return status;
        }
    } else if (!decoder->key_optional) {
        return refuse(e, text, text, "key is missing: a change needs a non-empty string");
    }
    if (!parts->of[PART_VALUE].ptr && event_needs_value(event->operation)) {
        return refuse(e, text, text, "value is missing: %s needs one", operation_names[operation].ptr);
    }
    event->value = parts->of[PART_VALUE];
    event->old_value = parts->of[PART_OLD_VALUE];
    event->txid = parts->of[PART_TXID].ptr ? parts->of[PART_TXID] : parts->of[PART_TX_ID];
    event->timestamp = parts->of[PART_TIMESTAMP];
    event->from = parts->of[PART_FROM];
    event->offset = parts->of[PART_HEADERS_OFFSET];
    return decoder->strict ? check_strict_change(decoder, parts, e) : MESSAGE_OK;
}

static enum message_status take_control(struct event_decoder *decoder, struct slice name, const char *field,
                                        struct slice offset, struct error *e) {
    struct event *event = decoder->event;
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
    struct slice text = decoder->event->text;
    int control;
    decoder->event->headers = parts->of[PART_HEADERS];
    if (parts->of[PART_HEADERS].ptr && parts->of[PART_HEADERS].ptr[0] != '{') {
        return refuse(e, text, parts->of[PART_HEADERS], "headers: expected an object, got %.*s",
                      shorten(parts->of[PART_HEADERS]), parts->of[PART_HEADERS].ptr);
    }
    if (parts->of[PART_OPERATION].ptr) {
        return take_change(decoder, parts, e);
    }
    if (parts->of[PART_CONTROL].ptr) {
        enum message_status status = take_control(decoder, parts->of[PART_CONTROL], "headers.control",
                                                  parts->of[PART_HEADERS_OFFSET], e);
        return status == MESSAGE_OK && decoder->strict ? check_strict_control(decoder, parts, e) : status;
    }
    if (!parts->of[PART_KEY].ptr && !parts->of[PART_HEADERS].ptr && !decoder->strict &&
        find_name(parts->of[PART_TYPE], control_names, 4, &control)) {
        return take_control(decoder, parts->of[PART_TYPE], "type", parts->of[PART_OFFSET], e);
    }
    if (!parts->of[PART_HEADERS].ptr) {
        return refuse(e, text, text, "headers is missing: expected an object with operation or control");
    }
    return refuse(e, text, parts->of[PART_HEADERS], "headers: expected a member operation or control");
}

bool event_known(void *event_decoder, const char **at, const char *end) {
    struct event_decoder *decoder = event_decoder;
    struct parts parts;
    const char *behind = *at;
    if (!parts_known(&parts, decoder->guess, &behind, end)) {
        return false;
    }
    *decoder->event = (struct event){.text = slice_of(*at, (size_t)(behind - *at))};
    decoder->unescaped = false;
    if (take_parts(decoder, &parts, NULL) != MESSAGE_OK) {
        return false; /* it is decoded again, to say why */
    }
    *at = behind;
    return true;
}

enum message_status event_decode(void *event_decoder, const char **at, const char *end, struct error *e) {
    struct event_decoder *decoder = event_decoder;
    struct parts parts;
    struct json_fault fault;
    const char *start = *at;
    bool object = start < end && *start == '{';
    *decoder->event = (struct event){0};
    decoder->unescaped = false;
    enum json_status status = object ? parts_scan(&parts, decoder->guess, at, end, &fault)
                                     : json_scan_value(at, end, 0, &fault);
    if (status != JSON_OK) {
        json_fault_error(status, &fault, start, end, e);
        return status == JSON_CUT ? MESSAGE_CUT : MESSAGE_INVALID;
    }
    struct slice text = slice_of(start, (size_t)(*at - start));
    decoder->event->text = text;
    if (!object) {
        return refuse(e, text, text, "expected an event (an object), got %s %.*s",
                      json_kind_name(json_kind_of(text)), shorten(text), text.ptr);
    }
    return take_parts(decoder, &parts, e);
}
