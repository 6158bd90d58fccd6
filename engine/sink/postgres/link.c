#include "sink/postgres/link.h"

#include <stdlib.h>
#include <string.h>

#include "io/poll.h"
#include "sink/postgres/hosts.h"
#include "sink/postgres/reason.h"

enum { LOOKUP_MS = 10 * 1000, CONNECT_MS = 15 * 1000 };

enum state {
    LINK_CLOSED,
    LINK_LOOKING,
    LINK_CONNECTING,
    LINK_IDLE,
    LINK_SENDING,
    LINK_COPYING,
    LINK_WAITING
};

struct pg_link {
    struct pg_link_options o;
    char *url;
    struct pg_hosts *hosts; /* while they are looked up */
    size_t first;           /* which of their addresses is the first to be tried */
    PGconn *conn;
    struct poll *poll; /* of the socket; NULL: it is not watched */
    struct loop_task pump;
    struct loop_timer limit;
    enum state state;
    struct pg_round round;
    size_t sent, answered;
    bool in_answer; /* a result of the present statement has come, its end has not */
    bool readable;
    bool failed; /* failure holds what happened first */
    struct pg_failure failure;
};

/* ---- watching the socket ---- */

static void watch_close(struct pg_link *link) {
    poll_close(link->poll);
    link->poll = NULL;
}

static void on_poll(struct poll *poll, int status, int events) {
    struct pg_link *link = poll->user;
    link->readable = link->readable || status < 0 || (events & UV_READABLE);
    poll_for(poll, 0);
    loop_defer(link->o.loop, &link->pump);
}

static bool watch_for(struct pg_link *link, int events) {
    if (!link->poll) {
        link->poll = poll_new(link->o.loop, PQsocket(link->conn), on_poll, link);
    }
    return link->poll && poll_for(link->poll, events);
}

/* ---- failures ---- */

/* The first failure of a round is its reason; what follows comes of it. */
static void fail_cut(struct pg_link *link) {
    if (!link->failed || link->failure.state[0] == '\0') {
        pg_reason_read(&link->failure, link->conn ? PQerrorMessage(link->conn) : "out of memory");
        link->failure.statement = link->answered;
    }
    link->failed = true;
    link->failure.cut = true;
}

static void fail_result(struct pg_link *link, const PGresult *result, size_t statement) {
    if (link->failed) {
        return;
    }
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    link->failed = true;
    link->failure = (struct pg_failure){.statement = statement};
    snprintf(link->failure.state, sizeof link->failure.state, "%s", state ? state : "");
    error_set(&link->failure.error, ERROR_SYSTEM, "%s", message ? message : PQresultErrorMessage(result));
}

/* ---- the end of connecting, and of a round ---- */

void pg_link_close(struct pg_link *link) {
    watch_close(link);
    loop_cancel(link->o.loop, &link->pump);
    loop_timer_stop(&link->limit);
    pg_hosts_free(link->hosts);
    link->hosts = NULL;
    PQfinish(link->conn);
    link->conn = NULL;
    link->state = LINK_CLOSED;
}

/* The last thing that is done with a link in its turn: the callback may free it. */
static void finish(struct pg_link *link) {
    bool connecting = link->state == LINK_CONNECTING;
    struct pg_round round = link->round;
    struct pg_failure failure = link->failure;
    bool failed = link->failed;
    loop_timer_stop(&link->limit);
    watch_close(link);
    link->state = LINK_IDLE;
    if (failed && failure.cut) {
        pg_link_close(link);
    }
    if (!connecting) {
        round.done(round.user, failed ? &failure : NULL);
    } else if (failed) {
        link->o.broken(link->o.user, &failure);
    } else {
        link->o.connected(link->o.user);
    }
}

static void cut(struct pg_link *link) {
    fail_cut(link);
    finish(link);
}

/* One of the addresses does not answer, and keeps libpq from the others: the next attempt begins behind it. */
static void fail_connecting(struct pg_link *link) {
    const char *host = PQhost(link->conn);
    link->first++;
    error_set(&link->failure.error, ERROR_TIMEOUT, "no connection to \"%s\" within %.1f s", host ? host : "",
              (double)link->o.connect_max_ms / 1000);
}

static void on_limit(struct loop_task *task) {
    struct pg_link *link = task->owner;
    if (link->state == LINK_LOOKING) { /* names that have been answered are tried */
        loop_defer(link->o.loop, &link->pump);
        return;
    }
    fail_cut(link);
    link->failure.state[0] = '\0';
    if (link->state == LINK_CONNECTING) {
        fail_connecting(link);
    } else {
        error_set(&link->failure.error, ERROR_TIMEOUT, "no answer for %.1f s",
                  (double)link->o.answer_max_ms / 1000);
    }
    finish(link);
}

/* ---- connecting ---- */

static void ignore_notice(void *user, const PGresult *result) {
    (void)user;
    (void)result;
}

static void on_looked_up(void *user) {
    struct pg_link *link = user;
    loop_defer(link->o.loop, &link->pump);
}

void pg_link_open(struct pg_link *link) {
    pg_link_close(link);
    link->state = LINK_LOOKING;
    link->failed = link->in_answer = link->readable = false;
    link->failure = (struct pg_failure){.statement = PG_NO_STATEMENT};
    link->sent = link->answered = 0;
    link->hosts = pg_hosts_new(link->o.loop, link->url, on_looked_up, link, &link->failure.error);
    if (link->hosts && pg_hosts_pending(link->hosts)) {
        loop_timer_start(&link->limit, LOOKUP_MS);
    } else {
        loop_defer(link->o.loop, &link->pump);
    }
}

static void connected(struct pg_link *link) {
    link->first = 0;
    PQsetErrorVerbosity(link->conn, PQERRORS_DEFAULT);
    if (PQsetnonblocking(link->conn, 1) != 0) {
        cut(link);
        return;
    }
    finish(link);
}

/* The socket may be another one after each step. */
static void connect_step(struct pg_link *link) {
    if (!link->conn || PQstatus(link->conn) == CONNECTION_BAD) {
        cut(link);
        return;
    }
    /* libpq wants to be asked first when the socket can be written to. */
    bool first = !link->poll && !link->readable;
    PostgresPollingStatusType status = first ? PGRES_POLLING_WRITING : PQconnectPoll(link->conn);
    watch_close(link);
    if (status == PGRES_POLLING_OK) {
        connected(link);
    } else if (status == PGRES_POLLING_FAILED ||
               !watch_for(link, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE)) {
        link->failure.password = PQconnectionNeedsPassword(link->conn);
        cut(link);
    }
}

static void connect_begin(struct pg_link *link) {
    link->state = LINK_CONNECTING;
    link->conn = link->hosts ? pg_hosts_connect(link->hosts, link->first, &link->failure.error) : NULL;
    pg_hosts_free(link->hosts);
    link->hosts = NULL;
    if (!link->conn) {
        link->failed = link->failure.cut = true;
        finish(link);
        return;
    }
    PQsetErrorVerbosity(link->conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(link->conn, ignore_notice, NULL);
    loop_timer_start(&link->limit, link->o.connect_max_ms);
    connect_step(link);
}

/* ---- what comes ---- */

static void take_result(struct pg_link *link, const PGresult *result) {
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        if (!link->failed && link->round.answer) {
            link->round.answer(link->round.user, link->answered, result);
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break; /* because of one before */
    default:
        fail_result(link, result, link->in_answer ? link->answered : PG_NO_STATEMENT);
        break;
    }
}

/* Takes what has come. True: the round is over. */
static bool take_answers(struct pg_link *link) {
    while (!PQisBusy(link->conn)) {
        PGresult *result = PQgetResult(link->conn);
        if (!result) {
            if (!link->in_answer) {
                return false;
            }
            link->in_answer = false;
            link->answered++;
            if (link->round.copy) {
                return true;
            }
            continue;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN) {
            link->state = LINK_COPYING;
            PQclear(result);
            return false;
        }
        bool synced = status == PGRES_PIPELINE_SYNC;
        /* An error where every statement has been answered is one of the commit. */
        link->in_answer = !synced && link->answered < link->sent;
        if (!synced) {
            take_result(link, result);
        }
        PQclear(result);
        if (synced) {
            return true;
        }
    }
    return false;
}

/* ---- what leaves ---- */

void pg_link_send(struct pg_link *link, const char *sql, const struct pg_param *params, size_t count) {
    Oid *types = calloc(count + 1, sizeof *types);
    const char **values = calloc(count + 1, sizeof *values);
    int *lengths = calloc(count + 1, sizeof *lengths);
    int *formats = calloc(count + 1, sizeof *formats);
    bool ok = types && values && lengths && formats;
    for (size_t i = 0; ok && i < count; i++) {
        types[i] = params[i].type;
        values[i] = params[i].value;
        lengths[i] = (int)params[i].length;
        formats[i] = params[i].binary;
    }
    if (!ok || !PQsendQueryParams(link->conn, sql, (int)count, types, values, lengths, formats, 0)) {
        fail_cut(link);
    } else {
        link->sent++;
    }
    free(types);
    free(values);
    free(lengths);
    free(formats);
}

void pg_link_give_up(struct pg_link *link) {
    fail_cut(link);
}

/* The next statement, or the end of the round. */
static void send_next(struct pg_link *link) {
    bool more = link->round.next(link->round.user, link);
    if (link->failed && link->failure.cut) {
        return;
    }
    if (link->round.copy) {
        link->state = LINK_WAITING;
        return;
    }
    if (!more) {
        link->state = LINK_WAITING;
        if (!PQpipelineSync(link->conn)) {
            fail_cut(link);
        }
    }
}

static void copy_next(struct pg_link *link) {
    const char *piece = NULL;
    size_t length = 0;
    int rc = 0;
    if (link->round.copy(link->round.user, &piece, &length)) {
        rc = PQputCopyData(link->conn, piece, (int)length);
    } else if (link->failed && link->failure.cut) {
        return;
    } else {
        rc = PQputCopyEnd(link->conn, NULL);
        link->state = LINK_WAITING;
    }
    /* 0 is: no room. As a piece is only handed over when all others have left, that is out of memory. */
    if (rc != 1) {
        fail_cut(link);
    }
}

/* Hands over until the socket takes no more. False: the connection is cut. */
static bool send_all(struct pg_link *link, bool *blocked) {
    *blocked = false;
    for (;;) {
        int rc = PQflush(link->conn);
        if (rc != 0) {
            *blocked = rc > 0;
            return rc > 0;
        }
        if (link->state == LINK_SENDING) {
            send_next(link);
        } else if (link->state == LINK_COPYING) {
            copy_next(link);
        } else {
            return true;
        }
        if (link->failed && link->failure.cut) {
            return false;
        }
    }
}

static void exchange(struct pg_link *link) {
    bool blocked = false;
    if (link->readable) {
        link->readable = false;
        loop_timer_start(&link->limit, link->o.answer_max_ms);
        if (!PQconsumeInput(link->conn)) {
            take_answers(link); /* the reason, where the server told it before it hung up */
            cut(link);
            return;
        }
    }
    if (!send_all(link, &blocked)) {
        cut(link);
        return;
    }
    if (link->state == LINK_WAITING || link->state == LINK_SENDING) {
        if (take_answers(link)) {
            finish(link);
            return;
        }
        if (link->state == LINK_COPYING) { /* it has begun just now */
            loop_defer(link->o.loop, &link->pump);
            return;
        }
    }
    if (PQstatus(link->conn) == CONNECTION_BAD ||
        !watch_for(link, UV_READABLE | (blocked ? UV_WRITABLE : 0))) {
        cut(link);
    }
}

static void on_pump(struct loop_task *task) {
    struct pg_link *link = task->owner;
    if (link->state == LINK_LOOKING) {
        connect_begin(link);
    } else if (link->state == LINK_CONNECTING) {
        connect_step(link);
    } else if (link->state != LINK_CLOSED && link->state != LINK_IDLE) {
        exchange(link);
    }
}

void pg_link_run(struct pg_link *link, const struct pg_round *round) {
    link->round = *round;
    link->failed = link->in_answer = link->readable = false;
    link->failure = (struct pg_failure){.statement = PG_NO_STATEMENT};
    link->sent = link->answered = 0;
    link->state = LINK_SENDING;
    int rc = round->copy ? PQexitPipelineMode(link->conn) : PQenterPipelineMode(link->conn);
    if (rc != 1) {
        fail_cut(link);
        loop_timer_start(&link->limit, 0);
        return;
    }
    loop_timer_start(&link->limit, link->o.answer_max_ms);
    loop_defer(link->o.loop, &link->pump);
}

/* ---- life ---- */

bool pg_link_url_ok(const char *url) {
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    PQfreemem(message); /* it may quote a password */
    bool ok = options != NULL;
    PQconninfoFree(options);
    return ok;
}

struct pg_link *pg_link_new(const struct pg_link_options *options) {
    struct pg_link *link = calloc(1, sizeof *link);
    if (!link || !(link->url = strdup(options->url))) {
        free(link);
        return NULL;
    }
    link->o = *options;
    link->o.url = link->url;
    link->o.connect_max_ms = options->connect_max_ms ? options->connect_max_ms : CONNECT_MS;
    link->pump = (struct loop_task){.run = on_pump, .owner = link};
    loop_timer_init(options->loop, &link->limit, on_limit, link);
    return link;
}

static void link_closed(struct loop_timer *timer) {
    struct pg_link *link = timer->task.owner;
    free(link->url);
    free(link);
}

void pg_link_free(struct pg_link *link) {
    if (link) {
        pg_link_close(link);
        loop_timer_close(&link->limit, link_closed);
    }
}

bool pg_link_is_open(const struct pg_link *link) {
    return link->conn && link->state > LINK_CONNECTING && PQstatus(link->conn) == CONNECTION_OK;
}

const char *pg_link_setting(const struct pg_link *link, const char *name) {
    return link->conn ? PQparameterStatus(link->conn, name) : NULL;
}
