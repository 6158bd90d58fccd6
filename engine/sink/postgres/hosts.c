#include "sink/postgres/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "io/lookup.h"

enum { HOSTS_MAX = 16, LIST_MAX = 1 << 17 };

/* One entry of the list "host", and what belongs to it. */
struct entry {
    struct pg_hosts *hosts;
    char *host, *port; /* owned */
    struct lookup *lookup;
    struct lookup_answer answer; /* count 0: the entry is as libpq is to take it, or has none */
    bool is_name;
};

struct pg_hosts {
    const char *url;
    struct entry entries[HOSTS_MAX];
    size_t count, pending;
    void (*looked_up)(void *user);
    void *user;
    struct error error; /* of the last name that has no answer */
};

/* ---- what libpq would connect to ---- */

/* libpq tells what it has made of the URL, the environment and a service file once it has a connection; with a mode
 * that does not exist it makes one and goes no further. NULL: memory. */
static PQconninfoOption *effective_options(const char *url) {
    const char *const names[] = {"dbname", "sslmode", NULL};
    const char *const values[] = {url, "none of libpq's", NULL};
    PGconn *conn = PQconnectStartParams(names, values, 1);
    PQconninfoOption *options = conn ? PQconninfo(conn) : NULL;
    PQfinish(conn);
    return options;
}

static const char *value_of(const PQconninfoOption *options, const char *name) {
    for (; options->keyword; options++) {
        if (strcmp(options->keyword, name) == 0) {
            return options->val ? options->val : "";
        }
    }
    return "";
}

static size_t count_of(const char *list) {
    size_t count = 1;
    while ((list = strchr(list, ','))) {
        list++;
        count++;
    }
    return count;
}

/* Part i of a list; of a list of one, that one. */
static char *part_of(const char *list, size_t i) {
    for (; i > 0 && strchr(list, ','); i--) {
        list = strchr(list, ',') + 1;
    }
    return strndup(list, strcspn(list, ","));
}

static bool is_name(const char *host) {
    return *host && *host != '/' && *host != '@' && !lookup_is_address(host);
}

/* ---- looking up ---- */

static void on_answered(void *user, const struct lookup_answer *answer, const struct error *e) {
    struct entry *entry = user;
    struct pg_hosts *hosts = entry->hosts;
    entry->lookup = NULL;
    if (answer) {
        entry->answer = *answer;
    } else {
        hosts->error = *e;
    }
    if (--hosts->pending == 0) {
        hosts->looked_up(hosts->user);
    }
}

static bool start(struct pg_hosts *hosts, struct loop *loop, const PQconninfoOption *options) {
    const char *host = value_of(options, "host");
    const char *port = value_of(options, "port");
    size_t count = count_of(host);
    size_t ports = count_of(port);
    if (*value_of(options, "hostaddr") || count > HOSTS_MAX || (ports != 1 && ports != count)) {
        return true; /* nothing to look up; or so strange that libpq has to say so */
    }
    for (hosts->count = 0; hosts->count < count; hosts->count++) {
        struct entry *entry = &hosts->entries[hosts->count];
        entry->hosts = hosts;
        entry->host = part_of(host, hosts->count);
        entry->port = part_of(port, hosts->count);
        if (!entry->host || !entry->port) {
            hosts->count++;
            return false;
        }
        entry->is_name = is_name(entry->host);
        if (entry->is_name) {
            error_set(&hosts->error, ERROR_TIMEOUT, "the host \"%s\" was not looked up in time", entry->host);
            entry->lookup = lookup_start(loop, entry->host, on_answered, entry, &hosts->error);
            hosts->pending += entry->lookup != NULL;
        }
    }
    return true;
}

struct pg_hosts *pg_hosts_new(struct loop *loop, const char *url, void (*looked_up)(void *user), void *user,
                              struct error *e) {
    PQconninfoOption *options = effective_options(url);
    struct pg_hosts *hosts = options ? calloc(1, sizeof *hosts) : NULL;
    if (hosts) {
        hosts->url = url;
        hosts->looked_up = looked_up;
        hosts->user = user;
    }
    if (!hosts || !start(hosts, loop, options)) {
        pg_hosts_free(hosts);
        hosts = NULL;
        error_set(e, ERROR_MEMORY, "out of memory for a connection");
    }
    PQconninfoFree(options);
    return hosts;
}

void pg_hosts_free(struct pg_hosts *hosts) {
    for (size_t i = 0; hosts && i < hosts->count; i++) {
        lookup_cancel(hosts->entries[i].lookup);
        free(hosts->entries[i].host);
        free(hosts->entries[i].port);
    }
    free(hosts);
}

bool pg_hosts_pending(const struct pg_hosts *hosts) {
    return hosts->pending > 0;
}

/* ---- connecting ---- */

/* libpq's parameters of these names: lists of the same length, with commas. */
struct pairs {
    struct buf host, hostaddr, port;
};

/* What libpq is told as address of pair number i, and whose it is; NULL: there are fewer. */
static const char *address_at(const struct pg_hosts *hosts, size_t i, const struct entry **entry) {
    for (*entry = hosts->entries; *entry < hosts->entries + hosts->count; ++*entry) {
        size_t count = (*entry)->is_name ? (*entry)->answer.count : 1;
        if (i < count) {
            return (*entry)->is_name ? (*entry)->answer.addresses[i] : "";
        }
        i -= count;
    }
    return NULL;
}

static bool list_pairs(const struct pg_hosts *hosts, size_t first, size_t total, struct pairs *to) {
    bool ok = true;
    for (size_t i = 0; ok && i < total; i++) {
        const struct entry *entry;
        const char *address = address_at(hosts, (first + i) % total, &entry);
        const char *comma = i > 0 ? "," : "";
        ok = buf_printf(&to->host, "%s%s", comma, entry->host) &&
             buf_printf(&to->hostaddr, "%s%s", comma, address) &&
             buf_printf(&to->port, "%s%s", comma, entry->port);
    }
    return ok && buf_append_byte(&to->host, '\0') && buf_append_byte(&to->hostaddr, '\0') &&
           buf_append_byte(&to->port, '\0');
}

/* What stands before "dbname" holds where the URL does not say otherwise: a connection that is gone is noticed. */
static PGconn *connect_start(const char *url, const struct pairs *pairs) {
    const char *const names[] = {"fallback_application_name",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "tcp_user_timeout",
                                 "dbname",
                                 "client_encoding",
                                 pairs ? "host" : NULL,
                                 "hostaddr",
                                 "port",
                                 NULL};
    const char *const values[] = {"weir",
                                  "20",
                                  "10",
                                  "3",
                                  "45000",
                                  url,
                                  "UTF8",
                                  pairs ? pairs->host.ptr : NULL,
                                  pairs ? pairs->hostaddr.ptr : NULL,
                                  pairs ? pairs->port.ptr : NULL,
                                  NULL};
    return PQconnectStartParams(names, values, 1);
}

static PGconn *connect_to_pairs(const struct pg_hosts *hosts, size_t first, size_t total, struct error *e) {
    struct pairs pairs;
    buf_init(&pairs.host, LIST_MAX);
    buf_init(&pairs.hostaddr, LIST_MAX);
    buf_init(&pairs.port, LIST_MAX);
    PGconn *conn = list_pairs(hosts, first, total, &pairs) ? connect_start(hosts->url, &pairs) : NULL;
    buf_free(&pairs.host);
    buf_free(&pairs.hostaddr);
    buf_free(&pairs.port);
    if (!conn) {
        error_set(e, ERROR_MEMORY, "out of memory for a connection");
    }
    return conn;
}

static bool has_names(const struct pg_hosts *hosts) {
    for (size_t i = 0; i < hosts->count; i++) {
        if (hosts->entries[i].is_name) {
            return true;
        }
    }
    return false;
}

PGconn *pg_hosts_connect(const struct pg_hosts *hosts, size_t first, struct error *e) {
    const struct entry *entry;
    size_t total = 0;
    if (!has_names(hosts)) {
        PGconn *conn = connect_start(hosts->url, NULL);
        return conn ? conn : (error_set(e, ERROR_MEMORY, "out of memory for a connection"), NULL);
    }
    while (address_at(hosts, total, &entry)) {
        total++;
    }
    if (total > 0) {
        return connect_to_pairs(hosts, first, total, e);
    }
    error_set(e, hosts->error.code, "%s: check the host in the sink's url", hosts->error.message);
    return NULL;
}
