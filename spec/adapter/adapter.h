/* What the parts of the adapter share. One command runs at a time: handlers run the loop until their
 * answer is there.
 *
 *     main.c     lines in, lines out; init, dynamic values, validate
 *     calls.c    create, connect, head, delete, append, close
 *     produce.c  the idempotent producer
 *     read.c     read
 *     bench.c    benchmark */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/strmap.h"
#include "command.h"
#include "io/http.h"
#include "io/loop.h"
#include "reply.h"
#include "stream/call.h"
#include "stream/hooks.h"

/* A header or parameter whose value is made anew for each append and read. */
struct dynamic {
    struct dynamic *next;
    bool param;
    char name[128];
    enum { DYNAMIC_COUNTER, DYNAMIC_TIMESTAMP, DYNAMIC_TOKEN } kind;
    uint64_t counter;
    char value[1024]; /* of the command under way; a token's, always */
};

struct adapter {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct retry retry;
    char server[1024];
    char url[4096];          /* of the command under way */
    struct strmap types;     /* path -> content type (char *) */
    struct strmap producers; /* "path|id|epoch" -> struct producer * */
    struct dynamic *dynamics;
    struct buf reply;
    struct error error;
    bool over;
};

/* ---- main.c ---- */

/* The URL of the command's path, in adapter->url. */
const char *adapter_url(struct adapter *adapter, struct command *command);
/* The remembered content type of the command's path, or NULL. */
const char *adapter_type(struct adapter *adapter, struct command *command);
void adapter_remember(struct adapter *adapter, struct slice path, struct slice type);
/* Gives the dynamic values their next value, and the hooks that send them. */
struct hooks adapter_hooks(struct adapter *adapter);
/* headersSent, paramsSent. */
void adapter_sent(struct adapter *adapter);
/* Runs the loop until *done. */
void adapter_wait(struct adapter *adapter, bool *done);
/* Answers with an error. */
void adapter_fail(struct adapter *adapter, const char *type, const struct error *e, bool reading);
uint64_t adapter_milliseconds(void);

/* One call, waited for: its result, with copies of what is asked for most. */
struct called {
    bool done;
    struct call_result result; /* slices are `text`'s; response is NULL */
    struct buf text;
    struct error error;
};
void called_run(struct adapter *adapter, struct call_options *options, struct called *called);
void called_free(struct called *called);

/* ---- the commands ---- */

void run_create(struct adapter *adapter, struct command *command);
void run_connect(struct adapter *adapter, struct command *command);
void run_head(struct adapter *adapter, struct command *command);
void run_delete(struct adapter *adapter, struct command *command);
void run_append(struct adapter *adapter, struct command *command);
void run_close(struct adapter *adapter, struct command *command);
void run_produce(struct adapter *adapter, struct command *command);
void run_produce_batch(struct adapter *adapter, struct command *command);
void run_produce_close(struct adapter *adapter, struct command *command);
void run_produce_detach(struct adapter *adapter, struct command *command);
void run_read(struct adapter *adapter, struct command *command);
void run_benchmark(struct adapter *adapter, struct command *command);
void produce_drop(void *producer);

#endif
