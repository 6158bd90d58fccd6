/* Events: a message that is a change or a control.
 *
 * Both the published State Protocol (STATE-PROTOCOL sections 4 and 5) and the RFC's first forms are
 * understood:
 *
 *     {type, key, value?, old_value?, headers: {operation, txid?, timestamp?, from?, offset?}}
 *     {key, value?, old_value?, headers: {operation, txId?}}          the type is the default one
 *     {headers: {control: "snapshot-start" | "snapshot-end" | "reset", offset?}}
 *     {type: "up-to-date" | "snapshot-start" | "snapshot-end" | "reset", offset?}     without a key
 *
 * A message is validated and cut into slices in one pass, without a tree. */
#ifndef MESSAGE_EVENT_H
#define MESSAGE_EVENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "message/message.h"
#include "json/guess.h"

enum event_kind { EVENT_CHANGE, EVENT_CONTROL };

enum event_operation { EVENT_INSERT, EVENT_UPDATE, EVENT_UPSERT, EVENT_DELETE, EVENT_PATCH };

enum event_control { EVENT_SNAPSHOT_START, EVENT_SNAPSHOT_END, EVENT_RESET, EVENT_UP_TO_DATE };

/* All slices lie in the message's text or in the decoder, and are good until the next decode. type and
 * key are what the JSON strings stand for; txid, timestamp, from and offset are raw JSON values (with
 * their quotes), as are value, old_value and headers. An absent one has ptr NULL. */
struct event {
    enum event_kind kind;
    enum event_operation operation; /* of a change */
    enum event_control control;     /* of a control */
    struct slice text;              /* the whole message */
    struct slice type;
    struct slice key;
    struct slice value;
    struct slice old_value;
    struct slice headers;
    struct slice txid;
    struct slice timestamp;
    struct slice from;
    struct slice offset;
};

struct event_decoder {
    struct slice default_type; /* for changes without a type; not owned */
    bool strict;               /* hold to the published schema: no other members, no upsert, no patch */
    bool key_optional;         /* a missing key is not refused here: the caller makes one */
    struct event *event;       /* the last one decoded: own, or where the caller has it put */
    struct event own;
    bool unescaped;           /* its type or key lies in type_text or key_text, not in the message */
    struct json_guess *guess; /* the shapes of the messages so far */
    struct buf type_text;     /* unescaped type and key, where they had escapes */
    struct buf key_text;
};

/* It has to stay where it is: it points into itself. */
void event_decoder_init(struct event_decoder *decoder);
void event_decoder_free(struct event_decoder *decoder);

/* A message_decode (message/message.h) for a struct event_decoder: on MESSAGE_OK its event is the message's.
 * On MESSAGE_REFUSED e->message names the field, what was expected and what was found, and event.text is
 * set. */
enum message_status event_decode(void *event_decoder, const char **at, const char *end, struct error *e);

/* Its message_known: messages of a shape seen before. */
bool event_known(void *event_decoder, const char **at, const char *end);

/* "insert", "update", "upsert", "delete", "patch". */
const char *event_operation_name(enum event_operation operation);

/* "snapshot-start", "snapshot-end", "reset", "up-to-date". */
const char *event_control_name(enum event_control control);

/* True where a change of this operation must have a value. */
bool event_needs_value(enum event_operation operation);

#endif
