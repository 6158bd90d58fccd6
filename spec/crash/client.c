#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "life.h"

enum { READ_AT_ONCE = 256 * 1024, ANSWER_LIMIT_S = 60 };

void client_init(struct client *client) {
    client->fd = -1;
    buf_init(&client->out, SIZE_MAX);
    buf_init(&client->in, SIZE_MAX);
}

void client_connect(struct client *client, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        fail("cannot connect to port %d: %s", port, strerror(errno));
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buf_clear(&client->in);
    buf_clear(&client->out);
}

void client_close(struct client *client) {
    if (client->fd >= 0) {
        close(client->fd);
    }
    buf_free(&client->in);
    buf_free(&client->out);
    client_init(client);
}

void client_ask(struct client *client, const char *method, const char *path, const char *fields,
                struct slice body) {
    bool made = buf_printf(&client->out, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n", method,
                           path, body.len, fields) &&
                buf_append_slice(&client->out, body);
    if (!made) {
        fail("out of memory");
    }
}

static bool has_ended(ssize_t moved) {
    return moved == 0 || (moved < 0 && errno != EAGAIN && errno != EINTR);
}

static bool receive(struct client *client) {
    for (;;) {
        if (!buf_reserve(&client->in, READ_AT_ONCE)) {
            fail("out of memory");
        }
        ssize_t got = recv(client->fd, client->in.ptr + client->in.len, READ_AT_ONCE, MSG_DONTWAIT);
        if (got <= 0) {
            return !has_ended(got);
        }
        client->in.len += (size_t)got;
    }
}

bool client_move(struct client *client) {
    bool open = true;
    if (client->out.len > 0) {
        ssize_t sent = send(client->fd, client->out.ptr, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        open = sent > 0 || !has_ended(sent);
        buf_consume(&client->out, sent > 0 ? (size_t)sent : 0);
    }
    return receive(client) && open;
}

/* A field's value; absent: it is not there. */
static struct slice field(struct slice head, const char *name) {
    size_t len = strlen(name);
    const char *line = head.ptr, *end = head.ptr + head.len;
    while (line < end) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (!next) {
            break;
        }
        if ((size_t)(next - line) > len + 2 && strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return slice_of(line + len + 2, (size_t)(next - line) - len - 2);
        }
        line = next + 2;
    }
    return slice_of(NULL, 0);
}

/* The length of the head; 0: it is not all there. */
static size_t head_len(const struct buf *in) {
    const char *end = in->len ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in->ptr) + 4 : 0;
}

bool client_answer(struct client *client, struct answer *answer) {
    size_t len = head_len(&client->in);
    if (len == 0) {
        return false;
    }
    struct slice head = slice_of(client->in.ptr, len);
    struct slice length = field(head, "Content-Length");
    answer->status = atoi(head.ptr + strlen("HTTP/1.1 "));
    answer->offset = field(head, "Stream-Next-Offset");
    answer->closed = slice_is(field(head, "Stream-Closed"), "true");
    answer->up_to_date = slice_is(field(head, "Stream-Up-To-Date"), "true");
    answer->body = slice_of(head.ptr + len, length.ptr ? strtoul(length.ptr, NULL, 10) : 0);
    return client->in.len - len >= answer->body.len;
}

void client_drop(struct client *client) {
    struct answer answer;
    if (client_answer(client, &answer)) {
        buf_consume(&client->in, (size_t)(answer.body.ptr - client->in.ptr) + answer.body.len);
    }
}

void client_get(struct client *client, const char *method, const char *path, struct answer *answer) {
    client_ask(client, method, path, "", slice_of("", 0));
    while (!client_answer(client, answer)) {
        struct pollfd ready = {.fd = client->fd, .events = POLLIN | (client->out.len ? POLLOUT : 0)};
        if (!client_move(client) && !client_answer(client, answer)) {
            fail("%s %s: the connection ended", method, path);
        }
        if (!client_answer(client, answer) && poll(&ready, 1, ANSWER_LIMIT_S * 1000) <= 0) {
            fail("%s %s: no answer in %d s", method, path, ANSWER_LIMIT_S);
        }
    }
}
