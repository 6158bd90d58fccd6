/* Load for stream servers, on loopback: as little work as possible, so that the server is what is measured.
 *
 *     serve_load append  PORT CONNECTIONS COUNT   appends one event each, the next when the last was answered
 *     serve_load catchup PORT PATH                reads a stream from its start to its tail
 *     serve_load sse     PORT READERS EVENTS      readers of one stream, one event after another to all
 *
 * Prints one line of name=value. Fails with a message on standard error. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ = 1 << 20, HEAD = 4096 };

struct client {
    int fd;
    char text[HEAD]; /* what has come, as far as it is looked at */
    size_t len;
    size_t sent;
};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "serve_load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        die("cannot connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const char *text, size_t len) {
    while (len) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            die("cannot send");
        }
        text += sent;
        len -= (size_t)sent;
    }
}

static size_t request(char *out, size_t size, const char *method, const char *path, const char *body) {
    int len = snprintf(out, size,
                       "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       method, path, strlen(body), body);
    return (size_t)len;
}

/* An answer without a body, or with one that is chunked and empty. */
static bool is_answered(const char *text, size_t len) {
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end) {
        return false;
    }
    if (memcmp(text + 9, "20", 2) != 0) {
        errno = 0;
        fprintf(stderr, "%.*s\n", (int)len, text);
        die("the server refused");
    }
    bool chunked = memmem(text, (size_t)(end - text), "chunked", 7) != NULL;
    return !chunked || memmem(end, len - (size_t)(end - text), "\r\n0\r\n\r\n", 7);
}

static void ask(int fd, const char *method, const char *path, const char *body) {
    char text[HEAD];
    size_t len = request(text, sizeof text, method, path, body);
    send_all(fd, text, len);
    len = 0;
    do {
        ssize_t got = recv(fd, text + len, sizeof text - len, 0);
        if (got <= 0) {
            die("no answer");
        }
        len += (size_t)got;
    } while (!is_answered(text, len));
}

static void watch(int poll, struct client *client) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        die("epoll");
    }
}

/* ---- append ---- */

static void run_append(int port, int connections, int count) {
    static const char body[] =
        "{\"type\":\"t\",\"key\":\"k\",\"value\":{\"n\":1,\"text\":\"an event of the usual size\"},"
        "\"headers\":{\"operation\":\"upsert\"}}";
    static const char path[] = "/v1/stream/load";
    char text[HEAD];
    size_t len = request(text, sizeof text, "POST", path, body);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = calloc((size_t)connections, sizeof *clients);
    struct epoll_event events[64];
    int left = count;
    int answers = 0;
    ask(dial(port), "PUT", path, "");
    double start = now();
    for (int i = 0; i < connections; i++) {
        clients[i].fd = dial(port);
        watch(poll, &clients[i]);
        send_all(clients[i].fd, text, len);
        left--;
    }
    while (answers < count) {
        int ready = epoll_wait(poll, events, 64, 10000);
        if (ready <= 0) {
            die("the server is silent");
        }
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            ssize_t got = recv(client->fd, client->text + client->len, HEAD - client->len, 0);
            if (got <= 0) {
                die("a connection ended");
            }
            client->len += (size_t)got;
            if (!is_answered(client->text, client->len)) {
                continue;
            }
            client->len = 0;
            answers++;
            if (left > 0) {
                left--;
                send_all(client->fd, text, len);
            }
        }
    }
    double seconds = now() - start;
    printf("appends=%d connections=%d seconds=%.3f rate=%.0f\n", count, connections, seconds,
           count / seconds);
}

/* ---- catch-up ---- */

/* Reads one answer to its end, of either framing; the head stays in `head`. Returns the body's length. */
static size_t take_answer(int fd, char *buffer, char *head) {
    size_t len = 0;
    char *end = NULL;
    while (!end) {
        ssize_t got = recv(fd, buffer + len, READ - len, 0);
        if (got <= 0) {
            die("no answer");
        }
        len += (size_t)got;
        end = memmem(buffer, len, "\r\n\r\n", 4);
    }
    size_t head_len = (size_t)(end + 4 - buffer);
    memcpy(head, buffer, head_len < HEAD ? head_len : HEAD - 1);
    head[head_len < HEAD ? head_len : HEAD - 1] = '\0';
    const char *length = strcasestr(head, "content-length: ");
    size_t body = len - head_len;
    if (length) {
        size_t total = strtoull(length + 16, NULL, 10);
        while (body < total) {
            ssize_t got = recv(fd, buffer, READ, 0);
            if (got <= 0) {
                die("the answer was cut");
            }
            body += (size_t)got;
        }
        return total;
    }
    char tail[8] = {0};
    for (;;) {
        const char *from = len > 7 ? buffer + len - 7 : buffer;
        size_t some = len > 7 ? 7 : len;
        memmove(tail, tail + some, 7 - some);
        memcpy(tail + 7 - some, from, some);
        if (memcmp(tail, "\r\n0\r\n\r\n", 7) == 0) {
            return body;
        }
        ssize_t got = recv(fd, buffer, READ, 0);
        if (got <= 0) {
            die("the answer was cut");
        }
        len = (size_t)got;
        body += len;
    }
}

static void run_catchup(int port, const char *path) {
    char *buffer = malloc(READ);
    char head[HEAD];
    char text[HEAD];
    char offset[128] = "-1";
    size_t bytes = 0;
    int answers = 0;
    int fd = dial(port);
    double start = now();
    do {
        int len = snprintf(text, sizeof text, "GET %s?offset=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path,
                           offset);
        send_all(fd, text, (size_t)len);
        bytes += take_answer(fd, buffer, head);
        const char *next = strcasestr(head, "stream-next-offset: ");
        if (!next || sscanf(next + 20, "%127[^\r]", offset) != 1) {
            die("no next offset");
        }
        answers++;
    } while (!strcasestr(head, "stream-up-to-date"));
    double seconds = now() - start;
    printf("bytes=%zu answers=%d seconds=%.3f mb_per_s=%.0f\n", bytes, answers, seconds,
           (double)bytes / seconds / 1e6);
    free(buffer);
}

/* ---- SSE ---- */

static int by_size(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

/* What comes is only looked at for the mark; a mark may lie over two pieces. */
static bool has_mark(struct client *client, const char *mark) {
    ssize_t got = recv(client->fd, client->text + client->len, HEAD - client->len, 0);
    if (got <= 0) {
        die("a reader's connection ended");
    }
    client->len += (size_t)got;
    bool found = memmem(client->text, client->len, mark, strlen(mark)) != NULL;
    if (found) {
        client->len = 0;
    } else if (client->len > HEAD / 2) {
        memmove(client->text, client->text + client->len - 64, 64);
        client->len = 64;
    }
    return found;
}

/* Until `waited` readers have the mark; their times since `start`, where `times` is given. */
static void gather(int poll, int waited, const char *mark, double start, double *times) {
    struct epoll_event events[256];
    while (waited > 0) {
        int ready = epoll_wait(poll, events, 256, 20000);
        if (ready <= 0) {
            die("an event did not come");
        }
        for (int i = 0; i < ready; i++) {
            if (has_mark(events[i].data.ptr, mark)) {
                waited--;
                if (times) {
                    *times++ = now() - start;
                }
            }
        }
    }
}

static void run_sse(int port, int readers, int count) {
    static const char path[] = "/v1/stream/sse";
    char text[HEAD];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int writer = dial(port);
    struct client *clients = calloc((size_t)readers, sizeof *clients);
    double *times = malloc(sizeof *times * (size_t)readers * (size_t)count);
    ask(writer, "PUT", path, "");
    int len = snprintf(text, sizeof text, "GET %s?offset=now&live=sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                       path);
    for (int i = 0; i < readers; i++) {
        clients[i].fd = dial(port);
        watch(poll, &clients[i]);
        send_all(clients[i].fd, text, (size_t)len);
    }
    gather(poll, readers, "upToDate", 0, NULL);
    for (int i = 0; i < count; i++) {
        char body[128];
        char mark[32];
        snprintf(mark, sizeof mark, "mark-%d-", i);
        snprintf(body, sizeof body, "{\"type\":\"t\",\"key\":\"%s\",\"headers\":{\"operation\":\"delete\"}}",
                 mark);
        double start = now();
        ask(writer, "POST", path, body);
        gather(poll, readers, mark, start, times + (size_t)i * (size_t)readers);
    }
    size_t total = (size_t)readers * (size_t)count;
    qsort(times, total, sizeof *times, by_size);
    printf("readers=%d events=%d p50_ms=%.2f p99_ms=%.2f max_ms=%.2f\n", readers, count,
           times[total / 2] * 1e3, times[total * 99 / 100] * 1e3, times[total - 1] * 1e3);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int port = argc > 3 ? atoi(argv[2]) : 0;
    if (argc == 5 && strcmp(argv[1], "append") == 0) {
        run_append(port, atoi(argv[3]), atoi(argv[4]));
    } else if (argc == 4 && strcmp(argv[1], "catchup") == 0) {
        run_catchup(port, argv[3]);
    } else if (argc == 5 && strcmp(argv[1], "sse") == 0) {
        run_sse(port, atoi(argv[3]), atoi(argv[4]));
    } else {
        fputs(
            "usage: serve_load append PORT CONNECTIONS COUNT | catchup PORT PATH | sse PORT READERS EVENTS\n",
            stderr);
        return 2;
    }
    return 0;
}
