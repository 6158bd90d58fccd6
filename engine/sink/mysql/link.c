#include "sink/mysql/link.h"

#include <errmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "io/poll.h"

enum call { CALL_NONE, CALL_LOOKUP, CALL_CONNECT, CALL_QUERY, CALL_STORE };

enum { LOOKUP_MS = 10 * 1000, CONNECT_S = 10, ANSWER_S = 90 };

static void drop_poll(struct my_link *link) {
    poll_close(link->poll);
    link->poll = NULL;
}

static void go_on(struct my_link *link, int ready);
static void connect_to(struct my_link *link);

static void on_poll(struct poll *poll, int status, int events) {
    int ready = status < 0 ? MYSQL_WAIT_READ : 0;
    ready |= events & UV_READABLE ? MYSQL_WAIT_READ : 0;
    ready |= events & UV_WRITABLE ? MYSQL_WAIT_WRITE : 0;
    go_on(poll->user, ready);
}

/* False: the loop cannot watch it. */
static bool watch(struct my_link *link) {
    int events = (link->wait & MYSQL_WAIT_READ ? UV_READABLE : 0) |
                 (link->wait & MYSQL_WAIT_WRITE ? UV_WRITABLE : 0);
    if (!link->poll) {
        link->poll = poll_new(link->loop, (int)mysql_get_socket(link->mysql), on_poll, link);
    }
    return link->poll && poll_for(link->poll, events);
}

static void note_failure(struct my_link *link, unsigned code, const char *message) {
    link->code = code;
    (void)snprintf(link->message, sizeof link->message, "%.*s", (int)sizeof link->message - 1, message);
    plain_text(link->message);
}

/* libmariadb tells why there is no connection by a bare number, and knows nothing of the host's name. */
static void note_no_connection(struct my_link *link, unsigned code) {
    const char *message = mysql_error(link->mysql);
    const char *number = strrchr(message, '(');
    int why = number ? (int)strtol(number + 1, NULL, 10) : 0;
    char text[sizeof link->message];
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", link->addresses.count ? link->address->host : "",
                   link->addresses.count ? ": " : "", message, why > 0 ? ": " : "",
                   why > 0 ? strerror(why) : "");
    note_failure(link, code, text);
}

static void on_task(struct loop_task *task) {
    struct my_link *link = task->owner;
    link->done(link->user);
}

static void finish(struct my_link *link) {
    link->call = CALL_NONE;
    loop_defer(link->loop, &link->task);
}

static void start_store(struct my_link *link) {
    link->call = CALL_STORE;
    link->wait = mysql_store_result_start(&link->result, link->mysql);
}

/* The library has an answer: of a query that worked, its rows are to be fetched. */
static void take_answer(struct my_link *link) {
    bool failed = link->call == CALL_CONNECT ? !link->connected
                  : link->call == CALL_QUERY ? link->rc != 0
                                             : !link->result && mysql_errno(link->mysql);
    if (failed) {
        unsigned code = mysql_errno(link->mysql);
        bool unreachable = code == CR_CONN_HOST_ERROR || code == CR_CONNECTION_ERROR;
        if (unreachable && link->at + 1 < link->addresses.count) {
            link->at++;
            connect_to(link);
            return;
        }
        if (unreachable) {
            note_no_connection(link, code);
        } else {
            note_failure(link, code ? code : CR_UNKNOWN_ERROR, mysql_error(link->mysql));
        }
    } else if (link->call == CALL_QUERY && mysql_field_count(link->mysql) > 0) {
        start_store(link);
        return;
    } else if (link->call == CALL_QUERY) {
        link->affected = mysql_affected_rows(link->mysql);
    }
    finish(link);
}

/* Waits for what the library wants, or hands on what it has. */
static void settle(struct my_link *link) {
    while (link->call != CALL_NONE) {
        if (link->wait) {
            if (link->wait & MYSQL_WAIT_TIMEOUT) {
                loop_timer_start(&link->timer, mysql_get_timeout_value_ms(link->mysql));
            }
            if (!(link->wait & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE)) || watch(link)) {
                return;
            }
            note_failure(link, CR_SERVER_LOST, "the connection cannot be watched");
            finish(link);
            return;
        }
        take_answer(link);
    }
}

static void go_on(struct my_link *link, int ready) {
    int fd = link->poll ? link->poll->fd : -1;
    loop_timer_stop(&link->timer);
    if (link->poll) {
        (void)poll_for(link->poll, 0);
    }
    switch (link->call) {
    case CALL_CONNECT:
        link->wait = mysql_real_connect_cont(&link->connected, link->mysql, ready);
        break;
    case CALL_QUERY:
        link->wait = mysql_real_query_cont(&link->rc, link->mysql, ready);
        break;
    case CALL_STORE:
        link->wait = mysql_store_result_cont(&link->result, link->mysql, ready);
        break;
    default:
        return;
    }
    /* While it connects, the library goes from one address of a host to the next. */
    if (fd >= 0 && link->wait && (int)mysql_get_socket(link->mysql) != fd) {
        drop_poll(link);
    }
    settle(link);
}

static void forget(struct my_link *link) {
    mysql_free_result(link->result);
    link->result = NULL;
    link->affected = 0;
    link->code = 0;
    link->message[0] = '\0';
}

static void on_timer(struct loop_task *task) {
    struct my_link *link = task->owner;
    if (link->call == CALL_LOOKUP) {
        char text[sizeof link->message];
        lookup_cancel(link->lookup);
        link->lookup = NULL;
        (void)snprintf(text, sizeof text, "the host \"%s\" was not looked up in time", link->address->host);
        note_failure(link, CR_UNKNOWN_HOST, text);
        finish(link);
    } else if (link->call != CALL_NONE) {
        go_on(link, MYSQL_WAIT_TIMEOUT);
    }
}

void my_link_init(struct my_link *link, struct loop *loop, const struct my_address *address,
                  void (*done)(void *user), void *user) {
    *link = (struct my_link){.loop = loop, .address = address, .done = done, .user = user};
    link->task = (struct loop_task){.run = on_task, .owner = link};
    loop_timer_init(loop, &link->timer, on_timer, link);
}

static void set_options(struct my_link *link) {
    const struct my_address *address = link->address;
    unsigned connect_s = CONNECT_S;
    unsigned answer_s = ANSWER_S;
    unsigned tcp = MYSQL_PROTOCOL_TCP;
    my_bool yes = 1;
    my_bool verify = (my_bool)(address->tls == MY_TLS_VERIFY);
    mysql_options(link->mysql, MYSQL_OPT_NONBLOCK, NULL);
    mysql_options(link->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(link->mysql, MYSQL_OPT_READ_TIMEOUT, &answer_s);
    mysql_options(link->mysql, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
    mysql_options(link->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (address->port && !address->socket) {
        mysql_options(link->mysql, MYSQL_OPT_PROTOCOL, &tcp);
    }
    if (address->tls != MY_TLS_OFF) {
        mysql_options(link->mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
        mysql_options(link->mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    }
    if (address->ca) {
        mysql_options(link->mysql, MYSQL_OPT_SSL_CA, address->ca);
    }
}

static void let_go(struct my_link *link) {
    drop_poll(link);
    if (link->mysql) {
        mysql_close(link->mysql);
        link->mysql = NULL;
    }
}

/* Begins a call, which `settle` waits for. */
static void connect_to(struct my_link *link) {
    const struct my_address *address = link->address;
    const char *host = link->addresses.count ? link->addresses.addresses[link->at]
                       : address->socket     ? NULL
                                             : address->host;
    let_go(link);
    link->mysql = mysql_init(NULL);
    if (!link->mysql) {
        note_failure(link, CR_OUT_OF_MEMORY, "out of memory");
        finish(link);
        return;
    }
    set_options(link);
    link->call = CALL_CONNECT;
    link->connected = NULL;
    link->wait = mysql_real_connect_start(&link->connected, link->mysql, host, address->user,
                                          address->password, address->database, address->port,
                                          address->socket, CLIENT_FOUND_ROWS);
}

static void on_looked_up(void *user, const struct lookup_answer *answer, const struct error *e) {
    struct my_link *link = user;
    link->lookup = NULL;
    loop_timer_stop(&link->timer);
    if (!answer) {
        note_failure(link, CR_UNKNOWN_HOST, e->message);
        finish(link);
        return;
    }
    if (link->address->tls != MY_TLS_VERIFY) {
        link->addresses = *answer;
    }
    connect_to(link);
    settle(link);
}

/* libmariadb takes its socket for "localhost", unless it is told a protocol. */
static bool has_name(const struct my_address *address) {
    return address->host && !address->socket && (address->port || strcmp(address->host, "localhost") != 0) &&
           !lookup_is_address(address->host);
}

void my_link_connect(struct my_link *link) {
    struct error e;
    my_link_drop(link);
    link->addresses.count = link->at = 0;
    if (!has_name(link->address)) {
        connect_to(link);
        settle(link);
        return;
    }
    link->call = CALL_LOOKUP;
    loop_timer_start(&link->timer, LOOKUP_MS);
    link->lookup = lookup_start(link->loop, link->address->host, on_looked_up, link, &e);
    if (!link->lookup) {
        note_failure(link, CR_UNKNOWN_HOST, e.message);
        finish(link);
    }
}

void my_link_query(struct my_link *link, struct slice sql) {
    forget(link);
    if (!link->mysql) {
        note_failure(link, CR_SERVER_GONE_ERROR, "there is no connection");
        finish(link);
        return;
    }
    link->call = CALL_QUERY;
    link->rc = 0;
    link->wait = mysql_real_query_start(&link->rc, link->mysql, sql.ptr, (unsigned long)sql.len);
    settle(link);
}

void my_link_drop(struct my_link *link) {
    forget(link);
    loop_cancel(link->loop, &link->task);
    loop_timer_stop(&link->timer);
    lookup_cancel(link->lookup);
    link->lookup = NULL;
    let_go(link);
    link->call = CALL_NONE;
}

void my_link_close(struct my_link *link, void (*closed)(struct loop_timer *timer)) {
    my_link_drop(link);
    loop_timer_close(&link->timer, closed);
}
