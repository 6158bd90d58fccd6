/* A scripted HTTP server on the loop under test: the n-th request gets the n-th reply. Every request is
 * kept as text. For unit tests only. */
#ifndef UNIT_LOOPBACK_H
#define UNIT_LOOPBACK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/loop.h"

enum { LOOPBACK_KEPT = 400, LOOPBACK_TEXT = 4096 };

enum loopback_frame {
    LOOPBACK_SIZED,   /* Content-Length */
    LOOPBACK_CHUNKED, /* each written piece is one chunk */
};

struct reply {
    int status;         /* 0: the connection is dropped without an answer */
    const char *fields; /* "Name: value\r\n..." or NULL */
    const char *body;   /* or NULL */
    size_t body_len;    /* 0: strlen(body) */
    enum loopback_frame frame;
    size_t split;      /* bytes per write; 0: all at once */
    bool cut;          /* the connection is closed with the body sent, but one byte or its end missing */
    bool hold;         /* the response stays unfinished, the connection open */
    unsigned delay_ms; /* before the answer */
};

struct loopback {
    struct loop *loop;
    uv_tcp_t server;
    int port;
    const struct reply *replies; /* the last one is given again and again */
    size_t reply_count, request_count;
    char *requests[LOOPBACK_KEPT];
    struct loopback_peer *peers;
    size_t connections;
};

struct loopback_peer {
    struct loopback *owner;
    struct loopback_peer *next;
    uv_tcp_t tcp;
    struct loop_timer timer;
    unsigned handles;
    char in[1 << 16];
    size_t in_len;
    const struct reply *reply;
    char *out;
    size_t out_len, out_at;
    size_t split;
    bool closing;
};

struct loopback_write {
    uv_write_t req;
    struct loopback_peer *peer;
};

static inline void loopback_step(struct loopback_peer *peer);
static inline void loopback_look(struct loopback_peer *peer);

static inline void loopback_peer_drop(struct loopback_peer *peer) {
    if (--peer->handles == 0) {
        free(peer->out);
        free(peer);
    }
}

static inline void loopback_on_peer_closed(uv_handle_t *handle) {
    loopback_peer_drop(handle->data);
}

static inline void loopback_on_timer_closed(struct loop_timer *timer) {
    loopback_peer_drop(timer->task.owner);
}

static inline void loopback_peer_close(struct loopback_peer *peer) {
    if (peer->closing) {
        return;
    }
    peer->closing = true;
    for (struct loopback_peer **at = &peer->owner->peers; *at; at = &(*at)->next) {
        if (*at == peer) {
            *at = peer->next;
            break;
        }
    }
    uv_close((uv_handle_t *)&peer->tcp, loopback_on_peer_closed);
    loop_timer_close(&peer->timer, loopback_on_timer_closed);
}

static inline void loopback_put(struct loopback_peer *peer, const void *ptr, size_t len) {
    peer->out = realloc(peer->out, peer->out_len + len + 1);
    memcpy(peer->out + peer->out_len, ptr, len);
    peer->out_len += len;
}

/* The whole answer as bytes, chunk frames included. */
static inline void loopback_build(struct loopback_peer *peer) {
    const struct reply *r = peer->reply;
    size_t len = r->body ? (r->body_len ? r->body_len : strlen(r->body)) : 0;
    char head[LOOPBACK_TEXT];
    char size[64] = "Transfer-Encoding: chunked\r\n";
    if (r->frame == LOOPBACK_SIZED) {
        snprintf(size, sizeof size, "Content-Length: %zu\r\n", len + (r->cut || r->hold));
    }
    if (r->status == 204) {
        size[0] = '\0';
    }
    int used = snprintf(head, sizeof head, "HTTP/1.1 %d Status\r\n%s%s\r\n", r->status,
                        r->fields ? r->fields : "", size);
    loopback_put(peer, head, (size_t)used);
    if (r->frame == LOOPBACK_SIZED) {
        loopback_put(peer, r->body ? r->body : "", len);
    } else {
        size_t step = r->split ? r->split : len;
        for (size_t at = 0; at < len; at += step) {
            size_t piece = len - at < step ? len - at : step;
            used = snprintf(head, sizeof head, "%zx\r\n", piece);
            loopback_put(peer, head, (size_t)used);
            loopback_put(peer, r->body + at, piece);
            loopback_put(peer, "\r\n", 2);
        }
        if (!r->cut && !r->hold) {
            loopback_put(peer, "0\r\n\r\n", 5);
        }
    }
}

static inline void loopback_on_written(uv_write_t *req, int status) {
    struct loopback_write *write = (struct loopback_write *)req;
    struct loopback_peer *peer = write->peer;
    free(write);
    if (status != 0) {
        loopback_peer_close(peer);
    } else if (!peer->closing) {
        loop_timer_start(&peer->timer, peer->split ? 1 : 0); /* so that pieces arrive apart */
    }
}

static inline void loopback_on_timer(struct loop_task *task) {
    loopback_step(task->owner);
}

/* Sends the next piece, or ends the answer. */
static inline void loopback_step(struct loopback_peer *peer) {
    const struct reply *r = peer->reply;
    if (!r || peer->closing) {
        return;
    }
    if (r->status == 0) {
        loopback_peer_close(peer);
        return;
    }
    if (!peer->out) {
        loopback_build(peer);
        peer->split = r->split;
    }
    if (peer->out_at < peer->out_len) {
        struct loopback_write *write = calloc(1, sizeof *write);
        size_t left = peer->out_len - peer->out_at;
        size_t piece = peer->split && peer->split < left ? peer->split : left;
        uv_buf_t buf = uv_buf_init(peer->out + peer->out_at, (unsigned)piece);
        write->peer = peer;
        peer->out_at += piece;
        uv_write(&write->req, (uv_stream_t *)&peer->tcp, &buf, 1, loopback_on_written);
        return;
    }
    free(peer->out);
    peer->out = NULL;
    peer->out_at = peer->out_len = 0;
    peer->reply = NULL;
    if (r->cut) {
        loopback_peer_close(peer);
    } else {
        loopback_look(peer);
    }
}

static inline void loopback_request(struct loopback_peer *peer, size_t len) {
    struct loopback *lb = peer->owner;
    size_t n = lb->request_count++;
    if (n < LOOPBACK_KEPT) {
        lb->requests[n] = strndup(peer->in, len);
    }
    peer->reply = &lb->replies[n < lb->reply_count ? n : lb->reply_count - 1];
    memmove(peer->in, peer->in + len, peer->in_len - len);
    peer->in_len -= len;
    if (peer->reply->delay_ms) {
        loop_timer_start(&peer->timer, peer->reply->delay_ms);
    } else {
        loopback_step(peer);
    }
}

static inline void loopback_on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf) {
    (void)buf;
    struct loopback_peer *peer = stream->data;
    if (got < 0) {
        loopback_peer_close(peer);
        return;
    }
    peer->in_len += (size_t)got;
    loopback_look(peer);
}

/* A whole request, where none is being answered? */
static inline void loopback_look(struct loopback_peer *peer) {
    peer->in[peer->in_len] = '\0';
    char *end = strstr(peer->in, "\r\n\r\n");
    if (!end || peer->reply) {
        return;
    }
    size_t len = (size_t)(end + 4 - peer->in);
    char *size = strcasestr(peer->in, "\r\nContent-Length:");
    if (size && size < end) {
        len += strtoul(size + 17, NULL, 10);
    }
    if (peer->in_len >= len) {
        loopback_request(peer, len);
    }
}

static inline void loopback_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct loopback_peer *peer = handle->data;
    *buf = uv_buf_init(peer->in + peer->in_len, (unsigned)(sizeof peer->in - 1 - peer->in_len));
}

static inline void loopback_on_connection(uv_stream_t *server, int status) {
    struct loopback *lb = server->data;
    if (status != 0) {
        return;
    }
    struct loopback_peer *peer = calloc(1, sizeof *peer);
    peer->owner = lb;
    peer->next = lb->peers;
    lb->peers = peer;
    lb->connections++;
    peer->handles = 2;
    uv_tcp_init(loop_uv(lb->loop), &peer->tcp);
    peer->tcp.data = peer;
    loop_timer_init(lb->loop, &peer->timer, loopback_on_timer, peer);
    uv_accept(server, (uv_stream_t *)&peer->tcp);
    uv_tcp_nodelay(&peer->tcp, 1);
    uv_read_start((uv_stream_t *)&peer->tcp, loopback_on_alloc, loopback_on_read);
}

/* Listens on a free port of 127.0.0.1. */
static inline void loopback_open(struct loopback *lb, struct loop *loop, const struct reply *replies,
                                 size_t count) {
    struct sockaddr_in address;
    int len = sizeof address;
    *lb = (struct loopback){.loop = loop, .replies = replies, .reply_count = count};
    uv_tcp_init(loop_uv(loop), &lb->server);
    lb->server.data = lb;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&lb->server, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&lb->server, 16, loopback_on_connection);
    uv_tcp_getsockname(&lb->server, (struct sockaddr *)&address, &len);
    lb->port = ntohs(address.sin_port);
}

static inline void loopback_close(struct loopback *lb) {
    uv_close((uv_handle_t *)&lb->server, NULL);
    while (lb->peers) {
        loopback_peer_close(lb->peers);
    }
}

/* "EPOCH/SEQ BODY" of request n, an append of a producer; "" where it is none. */
static inline void loopback_append(const struct loopback *lb, size_t n, char *out, size_t size) {
    const char *request = n < lb->request_count ? lb->requests[n] : NULL;
    const char *epoch = request ? strcasestr(request, "\r\nProducer-Epoch: ") : NULL;
    const char *seq = request ? strcasestr(request, "\r\nProducer-Seq: ") : NULL;
    const char *body = request ? strstr(request, "\r\n\r\n") : NULL;
    out[0] = '\0';
    if (epoch && seq && body) {
        snprintf(out, size, "%lu/%lu %s", strtoul(epoch + 18, NULL, 10), strtoul(seq + 16, NULL, 10),
                 body + 4);
    }
}

/* The kept requests; call it after the loop is gone. */
static inline void loopback_free(struct loopback *lb) {
    for (size_t i = 0; i < LOOPBACK_KEPT; i++) {
        free(lb->requests[i]);
    }
}

#endif
