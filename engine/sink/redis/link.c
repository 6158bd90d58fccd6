#include "sink/redis/link.h"

#include <errno.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/lookup.h"
#include "io/poll.h"
#include "sink/redis/fault.h"

enum {
    CONNECT_MS = 10 * 1000, /* to connect, and for each command of the handshake */
    REPLY_MS = 120 * 1000,  /* for a reply to a command: a large batch keeps the server busy */
    SHA = 40,
    HOST = 256,
};

enum state { DOWN, RESOLVING, CONNECTING, AUTH, SELECT, LOAD, UP };

struct redis_link {
    struct loop *loop;
    const struct redis_address *address;
    const char *script;
    struct redis_link_host host;
    void (*freed)(void *user);
    enum state state;
    redisAsyncContext *ac;
    struct lookup *lookup;
    struct lookup_answer addresses; /* of the host; */
    size_t at;                      /* the one that is tried */
    struct loop_timer timer;        /* the limit of what is under way */
    struct loop_task failing;
    struct error error;
    bool again;
    struct redis_command *sent; /* waiting for its reply */
    bool with_text;             /* it was sent with the script's text */
    char sha[SHA + 1];          /* empty: SCRIPT LOAD is not allowed */
    char moved_host[HOST];      /* a node of the cluster; empty: where the URL leads */
    char moved_port[8];
};

/* ---- libuv for hiredis ---- */

static void on_poll(struct poll *poll, int status, int events) {
    if (status < 0) {
        events = UV_READABLE; /* reading finds out what it is */
    }
    if (events & UV_READABLE) {
        redisAsyncHandleRead(poll->user);
    }
    if (poll->user && (events & UV_WRITABLE)) { /* it may be closed by now */
        redisAsyncHandleWrite(poll->user);
    }
}

static void add_read(void *arg) {
    struct poll *poll = arg;
    poll_for(poll, poll->events | UV_READABLE);
}

static void del_read(void *arg) {
    struct poll *poll = arg;
    poll_for(poll, poll->events & ~UV_READABLE);
}

static void add_write(void *arg) {
    struct poll *poll = arg;
    poll_for(poll, poll->events | UV_WRITABLE);
}

static void del_write(void *arg) {
    struct poll *poll = arg;
    poll_for(poll, poll->events & ~UV_WRITABLE);
}

static void cleanup(void *arg) {
    poll_close(arg);
}

static bool poll_attach(struct loop *loop, redisAsyncContext *ac) {
    struct poll *poll = poll_new(loop, ac->c.fd, on_poll, ac);
    if (!poll) {
        return false;
    }
    ac->ev.data = poll;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    return true;
}

/* ---- going down ---- */

static const char *place_of(const struct redis_link *link, char *out, size_t size) {
    if (link->moved_host[0]) {
        snprintf(out, size, "Redis at %s:%s", link->moved_host, link->moved_port);
    } else if (link->address->host) {
        snprintf(out, size, "Redis at %s:%s", link->address->host, link->address->port);
    } else {
        snprintf(out, size, "Redis at %s", link->address->path);
    }
    return out;
}

/* hiredis calls nothing of ours for it any more. Legal within its callbacks: it frees it when they are over. */
static void drop_context(struct redis_link *link) {
    redisAsyncContext *ac = link->ac;
    link->ac = NULL;
    if (ac) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }
}

static void let_go(struct redis_link *link) {
    drop_context(link);
    lookup_cancel(link->lookup);
    link->lookup = NULL;
    link->state = DOWN;
    link->sent = NULL;
    loop_timer_stop(&link->timer);
    loop_cancel(link->loop, &link->failing);
}

static void run_failing(struct loop_task *task) {
    struct redis_link *link = task->owner;
    struct error e = link->error;
    let_go(link);
    link->host.down(link->host.user, &e, link->again);
}

/* Goes down at the next drain point, outside of hiredis. */
static void fail(struct redis_link *link, enum error_code code, bool again, const char *text) {
    char place[HOST + 32];
    if (!link->failing.queued) {
        error_set(&link->error, code, "%s: %s", place_of(link, place, sizeof place), text);
        link->again = again;
        loop_defer(link->loop, &link->failing);
    }
}

/* ---- replies ---- */

/* "MOVED 3999 127.0.0.1:6381"; without a host it is the one that answered. */
static bool take_moved(struct redis_link *link, const char *text) {
    const char *at = strstr(text, "MOVED ");
    at = at ? strchr(at + 6, ' ') : NULL;
    const char *colon = at ? strrchr(at, ':') : NULL;
    if (!colon || (!link->address->host && colon == at + 1)) {
        return false;
    }
    const char *host = at + 1;
    size_t len = (size_t)(colon - host);
    size_t digits = strspn(colon + 1, "0123456789");
    if (len >= HOST || digits == 0 || digits >= sizeof link->moved_port) {
        return false;
    }
    if (len == 0) {
        if (!link->moved_host[0]) {
            snprintf(link->moved_host, HOST, "%s", link->address->host);
        }
    } else {
        memcpy(link->moved_host, host, len);
        link->moved_host[len] = '\0';
    }
    memcpy(link->moved_port, colon + 1, digits);
    link->moved_port[digits] = '\0';
    return true;
}

static void put(struct redis_link *link, bool with_text);

static void take_error(struct redis_link *link, const char *text) {
    enum redis_fault fault = redis_fault_of(text);
    const char *advice = redis_fault_advice(text);
    char message[1024];
    snprintf(message, sizeof message, "%s%s%s%s", text, *advice ? " (" : "", advice, *advice ? ")" : "");
    switch (fault) {
    case REDIS_NO_SCRIPT:
        if (!link->with_text && link->sent) {
            put(link, true);
            return;
        }
        fail(link, ERROR_SYSTEM, false, message);
        return;
    case REDIS_MOVED:
        fail(link, ERROR_NETWORK, take_moved(link, text), message);
        return;
    case REDIS_WAITS:
        link->moved_host[0] = '\0';
        fail(link, ERROR_SYSTEM, true, message);
        return;
    case REDIS_FORBIDDEN:
    case REDIS_FOREIGN:
        fail(link, ERROR_ARGUMENT, false, message);
        return;
    default:
        fail(link, ERROR_SYSTEM, false, message);
    }
}

static void shake(struct redis_link *link);

static void take_handshake(struct redis_link *link, const redisReply *reply) {
    if (reply->type == REDIS_REPLY_ERROR) {
        if (link->state == LOAD && redis_fault_of(reply->str) == REDIS_FORBIDDEN) {
            link->sha[0] = '\0'; /* not allowed: the script goes along with each call */
        } else {
            take_error(link, reply->str);
            return;
        }
    } else if (link->state == LOAD && reply->type == REDIS_REPLY_STRING && reply->len == SHA) {
        memcpy(link->sha, reply->str, SHA + 1);
    }
    link->state++;
    shake(link);
}

static void on_reply(redisAsyncContext *ac, void *got, void *privdata) {
    struct redis_link *link = ac->data;
    (void)privdata;
    if (!link || !got) {
        return; /* the connection ends: on_disconnect says so */
    }
    const redisReply *reply = got;
    if (link->failing.queued) {
        return;
    }
    if (link->state != UP) {
        take_handshake(link, reply);
    } else if (reply->type == REDIS_REPLY_ERROR && !(link->sent && link->sent->may_fail)) {
        take_error(link, reply->str);
    } else {
        link->sent = NULL;
        loop_timer_stop(&link->timer);
        link->host.reply(link->host.user, reply);
    }
}

static void on_disconnect(const redisAsyncContext *ac, int status) {
    struct redis_link *link = ac->data;
    if (link) {
        link->ac = NULL;
        bool lost = status != REDIS_OK && ac->errstr && *ac->errstr;
        link->moved_host[0] = '\0';
        fail(link, ERROR_NETWORK, true, lost ? ac->errstr : "the connection was closed");
    }
}

/* ---- the handshake ---- */

static void command(struct redis_link *link, int count, const char *const *argv) {
    loop_timer_start(&link->timer, CONNECT_MS);
    if (redisAsyncCommandArgv(link->ac, on_reply, NULL, count, (const char **)argv, NULL) != REDIS_OK) {
        fail(link, ERROR_NETWORK, true, "the connection was closed");
    }
}

static void shake(struct redis_link *link) {
    const struct redis_address *address = link->address;
    if (link->state == AUTH) {
        if (address->password) {
            const char *argv[] = {"AUTH", address->user ? address->user : address->password,
                                  address->password};
            command(link, address->user ? 3 : 2, argv);
            return;
        }
        link->state++;
    }
    if (link->state == SELECT) {
        if (address->db) {
            char db[16];
            snprintf(db, sizeof db, "%u", address->db);
            const char *argv[] = {"SELECT", db};
            command(link, 2, argv);
            return;
        }
        link->state++;
    }
    if (link->state == LOAD) {
        const char *argv[] = {"SCRIPT", "LOAD", link->script};
        command(link, 3, argv);
        return;
    }
    loop_timer_stop(&link->timer);
    link->host.up(link->host.user);
}

/* ---- connecting ---- */

static void connect_to(struct redis_link *link, const char *ip);

/* This address does not answer. */
static void try_next(struct redis_link *link, enum error_code code, const char *why) {
    if (link->at + 1 < link->addresses.count) {
        link->at++;
        connect_to(link, link->addresses.addresses[link->at]);
        return;
    }
    link->moved_host[0] = '\0';
    fail(link, code, true, why);
}

static void on_connect(const redisAsyncContext *ac, int status) {
    struct redis_link *link = ac->data;
    if (!link) {
        return;
    }
    if (status != REDIS_OK) {
        link->ac = NULL; /* hiredis frees it by itself */
        try_next(link, ERROR_NETWORK, ac->c.errstr[0] ? ac->c.errstr : "no connection");
        return;
    }
    link->state = AUTH;
    shake(link);
}

/* ip NULL: the socket. */
static void connect_to(struct redis_link *link, const char *ip) {
    const char *port = link->moved_host[0] ? link->moved_port : link->address->port;
    redisAsyncContext *ac = ip ? redisAsyncConnect(ip, atoi(port))
                               : redisAsyncConnectUnix(link->address->path);
    link->state = CONNECTING;
    loop_timer_start(&link->timer, CONNECT_MS);
    if (!ac || ac->err || !poll_attach(link->loop, ac)) {
        char why[256];
        snprintf(why, sizeof why, "%s", ac && ac->err ? ac->errstr : "out of memory for a connection");
        if (ac) {
            redisAsyncFree(ac);
        }
        try_next(link, ERROR_NETWORK, why);
        return;
    }
    ac->data = link;
    link->ac = ac;
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect); /* asks for write events: only now may it be polled */
}

static void fail_lookup(struct redis_link *link, const struct error *e) {
    char text[ERROR_MESSAGE_MAX + 64];
    snprintf(text, sizeof text, "%s (check the host in the url)", e->message);
    link->moved_host[0] = '\0';
    fail(link, e->code, true, text);
}

static void on_looked_up(void *user, const struct lookup_answer *answer, const struct error *e) {
    struct redis_link *link = user;
    link->lookup = NULL;
    if (answer) {
        link->addresses = *answer;
        link->at = 0;
        connect_to(link, link->addresses.addresses[0]);
    } else {
        fail_lookup(link, e);
    }
}

static void look_up(struct redis_link *link) {
    struct error e;
    const char *host = link->moved_host[0] ? link->moved_host : link->address->host;
    link->state = RESOLVING;
    loop_timer_start(&link->timer, CONNECT_MS);
    link->lookup = lookup_start(link->loop, host, on_looked_up, link, &e);
    if (!link->lookup) {
        fail_lookup(link, &e);
    }
}

static void on_timer(struct loop_task *task) {
    struct redis_link *link = task->owner;
    if (link->state == CONNECTING) {
        drop_context(link);
        try_next(link, ERROR_TIMEOUT, "no connection within 10 s");
        return;
    }
    bool up = link->state == UP;
    if (!up) {
        link->moved_host[0] = '\0';
    }
    fail(link, ERROR_TIMEOUT, true,
         up                         ? "no reply for 120 s"
         : link->state == RESOLVING ? "its name was not looked up within 10 s"
                                    : "no answer within 10 s");
}

/* ---- what others call ---- */

struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address, const char *script,
                                  const struct redis_link_host *host) {
    struct redis_link *link = calloc(1, sizeof *link);
    if (link) {
        link->loop = loop;
        link->address = address;
        link->script = script;
        link->host = *host;
        link->failing = (struct loop_task){.run = run_failing, .owner = link};
        loop_timer_init(loop, &link->timer, on_timer, link);
    }
    return link;
}

static void on_timer_closed(struct loop_timer *timer) {
    struct redis_link *link = timer->task.owner;
    void (*freed)(void *) = link->freed;
    void *user = link->host.user;
    free(link);
    if (freed) {
        freed(user);
    }
}

void redis_link_free(struct redis_link *link, void (*freed)(void *user)) {
    let_go(link);
    link->freed = freed;
    loop_timer_close(&link->timer, on_timer_closed);
}

void redis_link_open(struct redis_link *link) {
    link->addresses.count = link->at = 0;
    if (link->address->path && !link->moved_host[0]) {
        connect_to(link, NULL);
    } else {
        look_up(link);
    }
}

/* Sends what is to be sent, by the script's hash where the server has it. */
static void put(struct redis_link *link, bool with_text) {
    struct redis_command *command_ = link->sent;
    struct slice head[2];
    size_t count = 0;
    link->with_text = with_text || !link->sha[0];
    if (!command_->is_plain) {
        head[count++] = slice_from(link->with_text ? "EVAL" : "EVALSHA");
        head[count++] = slice_from(link->with_text ? link->script : link->sha);
    }
    struct slice whole = redis_command_finish(command_, head, count, &link->error);
    if (!whole.ptr) {
        fail(link, link->error.code, false, "out of memory for a command");
        return;
    }
    loop_timer_start(&link->timer, REPLY_MS);
    if (!link->ac || redisAsyncFormattedCommand(link->ac, on_reply, NULL, whole.ptr, whole.len) != REDIS_OK) {
        fail(link, ERROR_NETWORK, true, "the connection was closed");
    }
}

void redis_link_send(struct redis_link *link, struct redis_command *command_) {
    link->sent = command_;
    put(link, false);
}

void redis_link_drop(struct redis_link *link) {
    let_go(link);
}

bool redis_link_is_up(const struct redis_link *link) {
    return link->state == UP && !link->failing.queued;
}

size_t redis_link_gap(const char *script) {
    return strlen(script) + 256;
}
