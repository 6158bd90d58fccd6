#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "server/access.h"
#include "server/cursor.h"
#include "server/faults.h"
#include "server/server_parts.h"
#include "server/tls.h"

enum { BACKLOG = 4096, TOKEN_MAX = 4096, ORIGIN_MAX = 256, COMMON_MAX = 4096 };

/* For the files of streams (files.c keeps 128 open), the journal, the loop, and whatever else the process has. */
enum { DESCRIPTORS_KEPT = 200 };

/* ---- small things that its parts ask for ---- */

uint64_t server_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t server_cursor(void) {
    return cursor_now(server_wall_ms());
}

uint64_t server_random(struct server *server) {
    server->random ^= server->random << 13;
    server->random ^= server->random >> 7;
    server->random ^= server->random << 17;
    return server->random;
}

uint64_t server_now(const struct server *server) {
    return loop_now(server->loop);
}

const char *server_url(const struct server *server) {
    return server->url;
}

size_t server_connections(const struct server *server) {
    return server->conn_count;
}

size_t server_most_connections(const struct server *server) {
    return server->options.max_connections;
}

bool server_is_built(struct error *e) {
#ifdef WEIR_LLHTTP
    (void)e;
    return true;
#else
    return error_set(e, ERROR_SYSTEM,
                     "this weir was built without llhttp: install node-llhttp (Debian) and build it again");
#endif
}

/* ---- options ---- */

static void or_default(uint64_t *value, uint64_t otherwise) {
    if (*value == 0) {
        *value = otherwise;
    }
}

/* Connections must not use up the descriptors that files need: without those no write is safe. */
static void cap_connections(struct server *server) {
    size_t *most = &server->options.max_connections;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || *most + DESCRIPTORS_KEPT <= limit.rlim_cur) {
        return;
    }
    size_t descriptors = (size_t)limit.rlim_cur;
    *most = descriptors > 2 * DESCRIPTORS_KEPT ? descriptors - DESCRIPTORS_KEPT : descriptors / 2;
}

/* One body has to have room, whatever is asked for. */
static void cap_bodies(struct server_options *o) {
    const size_t mb = 1024 * 1024;
    o->max_body = o->max_body ? o->max_body : 64 * mb;
    if (!o->max_input) {
        o->max_input = o->max_body > 256 * mb ? o->max_body : 256 * mb;
    }
    o->max_body = o->max_body < o->max_input ? o->max_body : o->max_input;
}

static void take_numbers(struct server *server, const struct server_options *given) {
    struct server_options *o = &server->options;
    *o = *given;
    or_default(&o->long_poll_ms, 30 * 1000);
    or_default(&o->sse_life_ms, 60 * 1000);
    or_default(&o->comment_ms, 15 * 1000);
    or_default(&o->idle_ms, 75 * 1000);
    or_default(&o->request_ms, 30 * 1000);
    cap_bodies(o);
    o->max_connections = o->max_connections ? o->max_connections : 10000;
    o->max_output = o->max_output ? o->max_output : (size_t)256 * 1024 * 1024;
    cap_connections(server);
    o->streams = (struct streams_options){0};
    o->host = o->token_file = o->tls_cert = o->tls_key = o->cors_origin = o->access_log = NULL;
}

/* The first line of the file. */
static bool token_read(struct buf *token, const char *path, struct error *e) {
    FILE *file = fopen(path, "re");
    if (!file) {
        return error_set(e, ERROR_SYSTEM, "--token-file %s: %s", path, strerror(errno));
    }
    bool ok = true;
    for (int c = fgetc(file); ok && c != EOF && c != '\n' && c != '\r'; c = fgetc(file)) {
        ok = c > 0x20 && c < 0x7f && buf_append_byte(token, (char)c);
    }
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error) {
        return error_set(e, ERROR_SYSTEM, "--token-file %s: %s", path, strerror(error));
    }
    if (!ok || token->len == 0) {
        return error_set(e, ERROR_SYSTEM,
                         "--token-file %s: expected a first line of 1 to %d visible ASCII characters", path,
                         TOKEN_MAX);
    }
    return true;
}

static bool origin_take(struct buf *origin, const char *given, struct error *e) {
    const char *text = given ? given : "*";
    if (strcmp(text, "none") == 0) {
        return true;
    }
    bool plain = strcmp(text, "*") == 0 || strncmp(text, "http://", 7) == 0 ||
                 strncmp(text, "https://", 8) == 0;
    for (const char *at = text; *at; at++) {
        plain = plain && *at > 0x20 && *at < 0x7f && *at != ',';
    }
    if (!plain || !buf_append_text(origin, text)) {
        return error_set(e, ERROR_ARGUMENT,
                         "--cors-origin: expected *, none, or one origin such as https://app.example");
    }
    return true;
}

static bool take_options(struct server *server, const struct server_options *o, struct error *e) {
    take_numbers(server, o);
    if ((o->tls_cert != NULL) != (o->tls_key != NULL)) {
        return error_set(e, ERROR_ARGUMENT, "--tls-cert and --tls-key belong together");
    }
    if (o->token_file && !token_read(&server->token, o->token_file, e)) {
        return false;
    }
    if (!origin_take(&server->origin, o->cors_origin, e)) {
        return false;
    }
    if (o->tls_cert) {
        server->tls = tls_context_new(o->tls_cert, o->tls_key, e);
        if (!server->tls) {
            return false;
        }
    }
    if (o->access_log) {
        server->access = access_open(server->loop, o->access_log, o->log, e);
        if (!server->access) {
            return false;
        }
    }
    if (o->faults) {
        server->faults = faults_new();
        if (!server->faults) {
            return error_set(e, ERROR_MEMORY, "out of memory");
        }
    }
    return true;
}

static bool open_streams(struct server *server, const struct server_options *o, struct error *e) {
    struct streams_options options = o->streams;
    if (options.max_append == 0) {
        options.max_append = server->options.max_body;
    }
    if (!options.log) {
        options.log = o->log;
    }
    server->streams = streams_open(server->loop, &options, e);
    return server->streams != NULL;
}

/* ---- listening ---- */

static bool port_of(const char *text, int *port) {
    *port = 0;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || at - text > 5) {
            return false;
        }
        *port = *port * 10 + (*at - '0');
    }
    return *text && *port <= 65535;
}

bool server_parse_listen(const char *text, char *host, size_t size, int *port, struct error *e) {
    const char *colon = strrchr(text, ':');
    bool bracket = colon && text[0] == '[' && colon > text + 2 && colon[-1] == ']';
    size_t skip = bracket ? 1 : 0;
    size_t len = colon ? (size_t)(colon - text) - 2 * skip : 0;
    if (len == 0 || len >= size || !port_of(colon + 1, port)) {
        return error_set(e, ERROR_ARGUMENT, "%s: expected HOST:PORT, such as 127.0.0.1:4437", text);
    }
    memcpy(host, text + skip, len);
    host[len] = '\0';
    return true;
}

bool server_is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static bool address_of(const struct server_options *o, struct sockaddr_storage *address, struct error *e) {
    const char *host = o->host ? o->host : "127.0.0.1";
    host = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (o->port < 0 || o->port > 65535) {
        return error_set(e, ERROR_ARGUMENT, "--listen: expected a port of 0 to 65535, not %d", o->port);
    }
    if (uv_ip4_addr(host, o->port, (struct sockaddr_in *)address) == 0 ||
        uv_ip6_addr(host, o->port, (struct sockaddr_in6 *)address) == 0) {
        return true;
    }
    return error_set(e, ERROR_ARGUMENT,
                     "--listen: expected a numeric address (127.0.0.1, ::1, 0.0.0.0), not %s", host);
}

void server_address(const struct sockaddr_storage *address, char *out, size_t size) {
    char host[64] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        uv_ip6_name(in6, host, sizeof host);
        snprintf(out, size, "[%s]:%d", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        uv_ip4_name(in, host, sizeof host);
        snprintf(out, size, "%s:%d", host, ntohs(in->sin_port));
    }
}

static void url_make(struct server *server) {
    struct sockaddr_storage address;
    int len = sizeof address;
    char where[64];
    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &len);
    server_address(&address, where, sizeof where);
    snprintf(server->url, sizeof server->url, "%s://%s", server->tls ? "https" : "http", where);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server *server = listener->data;
    if (status == 0) {
        conn_accept(server, listener);
    }
}

static bool listen_on(struct server *server, const struct server_options *o, struct error *e) {
    struct sockaddr_storage address;
    if (!address_of(o, &address, e)) {
        return false;
    }
    int rc = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    }
    if (rc != 0) {
        return error_set(e, ERROR_SYSTEM, "cannot listen on %s port %d: %s%s",
                         o->host ? o->host : "127.0.0.1", o->port, uv_strerror(rc),
                         rc == UV_EADDRINUSE ? " (another server runs there: choose another with --listen)"
                                             : "");
    }
    url_make(server);
    return true;
}

/* ---- the end ---- */

static void server_free(struct server *server) {
    void (*closed)(void *user) = server->closed;
    void *user = server->user;
    fan_free(server);
    block_drop(server->sse.data);
    block_drop(server->sse.control);
    block_drop(server->comment);
    buf_free(&server->scratch);
    buf_free(&server->common);
    buf_free(&server->token);
    buf_free(&server->origin);
    access_free(server->access);
    faults_free(server->faults);
    tls_context_free(server->tls);
    free(server);
    if (closed) {
        closed(user);
    }
}

static void on_handle_closed(uv_handle_t *handle);

/* Goes on with the end once nothing is left that could need what is freed next. */
static void settle(struct server *server) {
    if (!server->closing || server->conn_count || server->handles > 1) {
        return;
    }
    if (server->handles == 1) { /* the timer is the last */
        if (!uv_is_closing((uv_handle_t *)&server->grace)) {
            streams_close(server->streams);
            server->streams = NULL;
            uv_close((uv_handle_t *)&server->grace, on_handle_closed);
        }
        return;
    }
    server_free(server);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct server *server = handle->data;
    server->handles--;
    settle(server);
}

void server_conn_gone(struct server *server) {
    server->conn_count--;
    settle(server);
}

static void cut_off(struct server *server) {
    for (struct conn *conn = server->conns; conn;) {
        struct conn *next = conn->next;
        conn_close(conn);
        conn = next;
    }
}

static void on_grace(uv_timer_t *timer) {
    cut_off(timer->data);
}

void server_close(struct server *server, uint64_t grace_ms, void (*closed)(void *user), void *user) {
    if (server->closing) {
        if (grace_ms == 0) {
            cut_off(server);
        }
        return;
    }
    server->closing = true;
    server->closed = closed;
    server->user = user;
    uv_close((uv_handle_t *)&server->listener, on_handle_closed);
    if (grace_ms == 0) {
        cut_off(server);
        return;
    }
    uv_timer_start(&server->grace, on_grace, grace_ms, 0);
    for (struct conn *conn = server->conns; conn;) {
        struct conn *next = conn->next;
        if (conn->state == CONN_IDLE) {
            conn_close(conn);
        } else {
            conn_end(conn);
        }
        conn = next;
    }
}

/* libuv writes to a connection that the client has reset as to any other, and the signal of that would end
 * the process. A handler that somebody has put there may stay. */
static void ignore_pipe_signal(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
}

struct server *server_open(struct loop *loop, const struct server_options *options, struct error *e) {
    if (!server_is_built(e)) {
        return NULL;
    }
    struct server *server = calloc(1, sizeof *server);
    if (!server) {
        error_set(e, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    ignore_pipe_signal();
    server->loop = loop;
    server->random = server_wall_ms() | 1;
    if (getrandom(&server->life, sizeof server->life, GRND_NONBLOCK) < 0) {
        server->life = (uint32_t)uv_hrtime();
    }
    buf_init(&server->scratch, SERVER_SCRATCH_MAX + SERVER_READ);
    buf_init(&server->common, COMMON_MAX);
    buf_init(&server->token, TOKEN_MAX);
    buf_init(&server->origin, ORIGIN_MAX);
    uv_tcp_init(loop_uv(loop), &server->listener);
    uv_timer_init(loop_uv(loop), &server->grace);
    server->listener.data = server;
    server->grace.data = server;
    server->handles = 2;
    fan_init(server);
    if (!take_options(server, options, e) || !open_streams(server, options, e) ||
        !listen_on(server, options, e)) {
        server_close(server, 0, NULL, NULL);
        return NULL;
    }
    return server;
}
