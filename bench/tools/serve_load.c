/* Load for stream servers on loopback, with as little work as can be, so that the server is what is measured.
 *
 *     serve_load append  PORT PATH CONNECTIONS COUNT
 *         COUNT events, one each, over so many connections: the next when the last was answered.
 *         Prints "each=S count=N": the whole time by the number of events.
 *     serve_load catchup PORT PATH
 *         Reads the stream from its start to its tail, in the answers that the server makes of it.
 *         Prints "seconds=S bytes=N answers=N".
 *     serve_load sse     PORT PATH READERS EVENTS
 *         Appends events, each when all readers have the one before. The clock runs from before the request
 *         is sent to when the event arrives at a reader's socket, as the kernel notes it: how fast this
 *         process reads is not in it. The first tenth of the events warms up.
 *         Prints "p50=S p99=S max=S count=N", over all readers of all events.
 *
 * The stream is there, and of JSON. */
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

#include "clock.h"

enum {
    READ = 1 << 20,
    HEAD = 4096,
    BATCH = 256,     /* sockets looked at in one go */
    SILENCE = 30000, /* ms */
    COUNT_MAX = 10000000,
};

struct client {
    int fd;
    size_t len;
    char text[HEAD]; /* what has come, as far as it is looked at */
};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "serve_load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        die("out of memory");
    }
    return memory;
}

/* ---- sockets ---- */

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

static size_t receive(int fd, char *out, size_t room) {
    ssize_t got = recv(fd, out, room, 0);
    if (got <= 0) {
        errno = got < 0 ? errno : 0;
        die("the server ended a connection");
    }
    return (size_t)got;
}

static void watch(int poll, struct client *client) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        die("epoll");
    }
}

/* How many can be read. */
static int wait_for(int poll, struct epoll_event *events) {
    int ready;
    do {
        ready = epoll_wait(poll, events, BATCH, SILENCE);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        errno = 0;
        die("the server is silent");
    }
    return ready;
}

/* ---- requests and answers ---- */

static size_t make_post(char *out, size_t size, const char *path, const char *body) {
    int len = snprintf(out, size,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       path, strlen(body), body);
    if (len < 0 || (size_t)len >= size) {
        errno = 0;
        die("the path is too long");
    }
    return (size_t)len;
}

/* The value of a field, behind its colon and space; NULL: it is not there. `name` as "\nName: ". */
static const char *field(const char *head, const char *name) {
    const char *at = strcasestr(head, name);
    return at ? at + strlen(name) : NULL;
}

/* Takes what has come of the answer to an append. True: all of it, and the client is ready for the next. */
static bool take_answer(struct client *client) {
    client->len += receive(client->fd, client->text + client->len, HEAD - 1 - client->len);
    client->text[client->len] = '\0';
    if (!memmem(client->text, client->len, "\r\n\r\n", 4)) {
        return false;
    }
    if (strncmp(client->text, "HTTP/1.1 204 ", 13) != 0) { /* which has no body */
        errno = 0;
        fprintf(stderr, "%s\n", client->text);
        die("the server refused an append");
    }
    client->len = 0;
    return true;
}

/* ---- append ---- */

static void run_append(int port, const char *path, int connections, int count) {
    static const char body[] =
        "{\"type\":\"t\",\"key\":\"k\",\"value\":{\"n\":1,\"text\":\"an event of the usual size\"},"
        "\"headers\":{\"operation\":\"upsert\"}}";
    char text[HEAD];
    size_t len = make_post(text, sizeof text, path, body);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = allocate((size_t)connections, sizeof *clients);
    struct epoll_event events[BATCH];
    int sent = 0;
    int answered = 0;
    for (int i = 0; i < connections; i++) {
        clients[i].fd = dial(port);
        watch(poll, &clients[i]);
    }
    double start = clock_seconds();
    for (; sent < connections && sent < count; sent++) {
        send_all(clients[sent].fd, text, len);
    }
    while (answered < count) {
        int ready = wait_for(poll, events);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!take_answer(client)) {
                continue;
            }
            answered++;
            if (sent < count) {
                sent++;
                send_all(client->fd, text, len);
            }
        }
    }
    printf("each=%.9f count=%d\n", (clock_seconds() - start) / count, count);
    free(clients);
}

/* ---- catch-up ---- */

/* Reads up to the end of the head, which stays in `head`. Returns how much of the body came with it, now at
 * the begin of the buffer. */
static size_t read_head(int fd, char *buffer, char *head) {
    size_t len = 0;
    const char *end = NULL;
    while (!end) {
        len += receive(fd, buffer + len, READ - len);
        end = memmem(buffer, len, "\r\n\r\n", 4);
    }
    size_t head_len = (size_t)(end + 4 - buffer);
    if (head_len >= HEAD) {
        errno = 0;
        die("the head of an answer is too long");
    }
    memcpy(head, buffer, head_len);
    head[head_len] = '\0';
    memmove(buffer, buffer + head_len, len - head_len);
    return len - head_len;
}

static size_t read_length(int fd, char *buffer, size_t len, size_t total) {
    while (len < total) {
        len += receive(fd, buffer, READ);
    }
    return total;
}

/* A body in chunks, up to the last one. Only the end of each piece is looked at. */
static size_t read_chunked(int fd, char *buffer, size_t len) {
    static const char last[] = "\r\n0\r\n\r\n";
    enum { LAST = sizeof last - 1 };
    char tail[LAST] = {0};
    size_t body = 0;
    for (;;) {
        size_t some = len < LAST ? len : LAST;
        memmove(tail, tail + some, LAST - some);
        memcpy(tail + LAST - some, buffer + len - some, some);
        body += len;
        if (memcmp(tail, last, LAST) == 0) {
            return body;
        }
        len = receive(fd, buffer, READ);
    }
}

static void run_catchup(int port, const char *path) {
    char *buffer = allocate(1, READ);
    char head[HEAD];
    char text[HEAD];
    char offset[128] = "-1";
    size_t bytes = 0;
    int answers = 0;
    int fd = dial(port);
    double start = clock_seconds();
    do {
        int len = snprintf(text, sizeof text, "GET %s?offset=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path,
                           offset);
        send_all(fd, text, (size_t)len);
        size_t got = read_head(fd, buffer, head);
        const char *length = field(head, "\ncontent-length: ");
        bytes += length ? read_length(fd, buffer, got, strtoull(length, NULL, 10))
                        : read_chunked(fd, buffer, got);
        const char *next = field(head, "\nstream-next-offset: ");
        if (!next || sscanf(next, "%127[^\r]", offset) != 1) {
            errno = 0;
            fprintf(stderr, "%s\n", head);
            die("there is no next offset");
        }
        answers++;
    } while (!field(head, "\nstream-up-to-date: "));
    printf("seconds=%.9f bytes=%zu answers=%d\n", clock_seconds() - start, bytes, answers);
    free(buffer);
}

/* ---- SSE ---- */

static double seconds_of(const struct timespec *time) {
    return (double)time->tv_sec + (double)time->tv_nsec / 1e9;
}

/* The clock that the kernel notes arrivals by. */
static double wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return seconds_of(&now);
}

/* Receives, and gives the time at which the last of it arrived. The kernel begins to note that soon after it
 * is first asked to. */
static double receive_timed(struct client *client) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control;
    struct iovec piece = {client->text + client->len, HEAD - client->len};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(client->fd, &message, 0);
    if (got <= 0) {
        die("the server ended a reader's connection");
    }
    client->len += (size_t)got;
    const struct cmsghdr *noted = CMSG_FIRSTHDR(&message);
    struct timespec time;
    if (!noted || noted->cmsg_type != SCM_TIMESTAMPNS) {
        return wall_seconds();
    }
    memcpy(&time, CMSG_DATA(noted), sizeof time);
    return seconds_of(&time);
}

/* What comes is only looked at for the mark, which may lie over two pieces. */
static bool has_mark(struct client *client, const char *mark) {
    enum { KEPT = 64 };
    bool found = memmem(client->text, client->len, mark, strlen(mark)) != NULL;
    if (found) {
        client->len = 0;
    } else if (client->len > HEAD / 2) {
        memmove(client->text, client->text + client->len - KEPT, KEPT);
        client->len = KEPT;
    }
    return found;
}

/* A reader that the server had to wake for each event would take processor time from it. */
static void rest(void) {
    struct timespec a_while = {.tv_nsec = 500000};
    nanosleep(&a_while, NULL);
}

/* Until so many readers have the mark; their times since `start`, where `times` is given. */
static void gather(int poll, int readers, const char *mark, double start, double *times) {
    struct epoll_event events[BATCH];
    int have = 0;
    while (have < readers) {
        int ready = wait_for(poll, events);
        for (int i = 0; i < ready; i++) {
            double arrived = receive_timed(events[i].data.ptr);
            if (has_mark(events[i].data.ptr, mark)) {
                if (times) {
                    times[have] = arrived - start;
                }
                have++;
            }
        }
        if (ready < BATCH) {
            rest();
        }
    }
}

static void subscribe(int poll, int port, const char *path, struct client *clients, int readers) {
    enum { AT_ONCE = 100 }; /* fewer than servers let wait */
    char text[HEAD];
    int on = 1;
    int len = snprintf(text, sizeof text, "GET %s?offset=now&live=sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                       path);
    for (int i = 0, waiting = 0; i < readers; i++) {
        clients[i].fd = dial(port);
        setsockopt(clients[i].fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        watch(poll, &clients[i]);
        send_all(clients[i].fd, text, (size_t)len);
        if (++waiting == AT_ONCE || i == readers - 1) {
            gather(poll, waiting, "upToDate", 0, NULL);
            waiting = 0;
        }
    }
}

static int by_size(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void report(double *times, size_t count) {
    qsort(times, count, sizeof *times, by_size);
    printf("p50=%.9f p99=%.9f max=%.9f count=%zu\n", times[count / 2], times[count * 99 / 100],
           times[count - 1], count);
}

static void run_sse(int port, const char *path, int readers, int count) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = allocate((size_t)readers, sizeof *clients);
    struct client *writer = allocate(1, sizeof *writer);
    double *times = allocate((size_t)readers * (size_t)count, sizeof *times);
    int warm = count / 10;
    writer->fd = dial(port);
    subscribe(poll, port, path, clients, readers);
    for (int i = 0; i < count; i++) {
        char text[HEAD];
        char body[128];
        char mark[32];
        snprintf(mark, sizeof mark, "mark-%d-", i);
        snprintf(body, sizeof body, "{\"type\":\"t\",\"key\":\"%s\",\"headers\":{\"operation\":\"delete\"}}",
                 mark);
        size_t len = make_post(text, sizeof text, path, body);
        double start = wall_seconds();
        send_all(writer->fd, text, len);
        gather(poll, readers, mark, start, i < warm ? NULL : times + (size_t)(i - warm) * (size_t)readers);
        while (!take_answer(writer)) {
        }
    }
    report(times, (size_t)readers * (size_t)(count - warm));
    free(times);
    free(writer);
    free(clients);
}

/* ---- the command line ---- */

/* 1 to COUNT_MAX, or 0. */
static int number(const char *text) {
    char *end;
    long n = strtol(text, &end, 10);
    return *end == '\0' && n >= 1 && n <= COUNT_MAX ? (int)n : 0;
}

static void allow_sockets(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    const char *what = argc > 3 ? argv[1] : "";
    int port = argc > 3 ? number(argv[2]) : 0;
    int clients = argc == 6 ? number(argv[4]) : 0;
    int count = argc == 6 ? number(argv[5]) : 0;
    allow_sockets();
    if (port && clients && count && strcmp(what, "append") == 0) {
        run_append(port, argv[3], clients, count);
    } else if (port && argc == 4 && strcmp(what, "catchup") == 0) {
        run_catchup(port, argv[3]);
    } else if (port && clients && count && strcmp(what, "sse") == 0) {
        run_sse(port, argv[3], clients, count);
    } else {
        fputs("usage: serve_load append PORT PATH CONNECTIONS COUNT | catchup PORT PATH | "
              "sse PORT PATH READERS EVENTS\n",
              stderr);
        return 2;
    }
    return EXIT_SUCCESS;
}
