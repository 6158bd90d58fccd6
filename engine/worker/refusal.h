/* What becomes of messages that are refused: the policies of onInvalid and onError, and the dead letters. */
#ifndef WORKER_REFUSAL_H
#define WORKER_REFUSAL_H

#include <stdint.h>

#include "base/log.h"
#include "script/api_stream.h"
#include "script/driver.h"
#include "sink/batch.h"
#include "sink/deadletter.h"
#include "worker/intake.h"

struct refusal_question;

struct refusal {
    struct api_stream *stream;
    const struct intake *intake; /* the message is the one it gave last */
    const struct log *log;
    struct deadletter *letters; /* opened when the first one is written */
    struct error failure;       /* of letters that were to be stored in a stream */
    void (*woken)(void *user);
    void *user;
    uint64_t passed_over;
    bool may_ask;                       /* onInvalid, the function, can be called */
    struct refusal_question *questions; /* about rows, in the order in which sinks refused them */
};

/* Borrows all of them. woken is called from a callback of the loop when refusal_waits says no after it said yes. */
void refusal_init(struct refusal *refusal, struct api_stream *stream, const struct intake *intake,
                  const struct log *log, void (*woken)(void *user), void *user);
void refusal_free(struct refusal *refusal);

/* "stop", "deadletter", "skip"; NULL: what the stream says. */
enum api_policy refusal_policy(const struct refusal *refusal, const char *decision);

/* Deals with a message; e says what is wrong with it. False: the work must stop, and e says why. */
bool refusal_pass_over(struct refusal *refusal, enum api_policy policy, struct slice text, struct error *e);

/* Keeps the message where the option deadletter says. */
bool refusal_keep(struct refusal *refusal, struct slice text, const char *reason, struct error *e);

/* A sink will not take a row; e says where and why. True: it is passed over, as the stream's onInvalid has it, and
 * e has been told of; or that function is to be asked, which refusal_waits is true of meanwhile. False: the work must
 * stop. */
bool refusal_of_row(struct refusal *refusal, const struct sink_row *row, struct error *e);

/* The next row to ask onInvalid, the function, about, as a message that was refused; good until it is asked again. False:
 * there is none. */
bool refusal_ask(struct refusal *refusal, struct driver_item *item);

/* What the function has said about that one. False: the work must stop, and e says why. */
bool refusal_answer(struct refusal *refusal, const char *decision, struct error *e);

/* Puts the place of that one in front of e's message. */
void refusal_locate(const struct refusal *refusal, struct error *e);

/* Nobody can be asked any more. True: somebody was to be, so that the rows are not dealt with. */
bool refusal_end(struct refusal *refusal);

/* A letter is on its way to a stream, or could not be stored, or the function is to be asked about a row: nothing more may be
 * handled, and the place is before its message. */
bool refusal_waits(const struct refusal *refusal);

/* False with e: a letter could not be stored, and the work must stop. */
bool refusal_holds(const struct refusal *refusal, struct error *e);

/* Puts "TYPE/KEY" in front of e's message, where they are known. event may be NULL. */
void refusal_name_entity(const struct event *event, struct error *e);

#endif
