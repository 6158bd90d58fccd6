#include "server/access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/background.h"

enum {
    LINES_MAX = 1024 * 1024, /* bytes that wait to be written */
    PATH_SHOWN = 2048,
    WAIT_MS = 500, /* for a pipe that nobody reads, before the work is given back */
};

struct access {
    struct background *background;
    const struct log *log;
    int fd;
    bool own;         /* it was opened here */
    bool whole;       /* a file takes all at once; of a pipe it is sure only of a little */
    bool failing;     /* that has been said */
    int error;        /* of the work: errno, or 0 */
    size_t lost;      /* lines */
    struct buf lines; /* that come meanwhile */
    struct buf out;   /* the work's */
};

/* ---- writing, on another thread ---- */

/* True: it is all written, or cannot be (error). False: it takes no more now. */
static bool write_out(struct access *access) {
    size_t done = 0;
    access->error = 0;
    while (done < access->out.len && !access->error) {
        struct pollfd ready = {.fd = access->fd, .events = POLLOUT};
        size_t len = access->out.len - done;
        len = access->whole || len < PIPE_BUF ? len : PIPE_BUF;
        int count = poll(&ready, 1, WAIT_MS);
        if (count == 0) {
            break;
        }
        ssize_t put = count > 0 ? write(access->fd, access->out.ptr + done, len) : -1;
        if (put > 0) {
            done += (size_t)put;
        } else if (errno != EINTR && errno != EAGAIN) {
            access->error = errno;
        }
    }
    buf_consume(&access->out, done);
    return access->out.len == 0 || access->error;
}

static void on_work(void *user) {
    write_out(user);
}

/* ---- on the loop's ---- */

static void count_lost(struct access *access) {
    for (size_t i = 0; i < access->out.len; i++) {
        access->lost += access->out.ptr[i] == '\n';
    }
    buf_clear(&access->out);
}

/* Behind the lines that were kept, when these are written. */
static void say_lost(struct access *access) {
    char stamp[LOG_STAMP];
    log_stamp(stamp);
    if (buf_printf(&access->lines, "%s # %zu requests are not in this log: it took no more\n", stamp,
                   access->lost)) {
        access->lost = 0;
    }
}

/* What became of the work. */
static void judge(struct access *access) {
    if (access->error) {
        count_lost(access);
        if (access->log && !access->failing) {
            log_write(access->log, LOG_WARN, "--access-log: cannot write: %s: requests are left out",
                      strerror(access->error));
        }
    } else if (access->out.len == 0 && access->lost > 0) {
        say_lost(access);
    }
    access->failing = access->error != 0;
}

/* What came meanwhile is next. */
static void turn(struct access *access) {
    if (access->out.len == 0) {
        struct buf empty = access->out;
        access->out = access->lines;
        access->lines = empty;
    }
}

static void start(struct access *access) {
    if (!background_busy(access->background)) {
        turn(access);
        if (access->out.len > 0) {
            (void)background_start(access->background); /* or with the next line */
        }
    }
}

static void on_done(void *user) {
    struct access *access = user;
    judge(access);
    start(access);
}

static void put_path(struct buf *out, struct slice target) {
    size_t end = out->len + PATH_SHOWN;
    for (size_t i = 0; i < target.len && target.ptr[i] != '?'; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (out->len >= end) {
            buf_append_text(out, "...");
            return;
        }
        if (c > 0x20 && c < 0x7f) {
            buf_append_byte(out, (char)c);
        } else {
            buf_printf(out, "%%%02X", c);
        }
    }
}

static void put_line(struct buf *out, const struct access_entry *entry) {
    char stamp[LOG_STAMP];
    log_stamp(stamp);
    buf_printf(out, "%s %s %s ", stamp, entry->address, entry->target.ptr ? entry->method : "-");
    if (entry->target.ptr) {
        put_path(out, entry->target);
    } else {
        buf_append_byte(out, '-');
    }
    if (entry->status) {
        buf_printf(out, " %d", entry->status);
    } else {
        buf_append_text(out, " -");
    }
    buf_printf(out, " %" PRIu64 " %" PRIu64 "\n", entry->bytes, entry->ms);
}

void access_add(struct access *access, const struct access_entry *entry) {
    size_t before = access->lines.len;
    if (access->lines.max - before > 2 * PATH_SHOWN && buf_reserve(&access->lines, 2 * PATH_SHOWN)) {
        put_line(&access->lines, entry);
    } else {
        access->lost++;
    }
    start(access);
}

/* ---- life ---- */

static bool open_file(struct access *access, const char *path, struct error *e) {
    struct stat status;
    access->own = strcmp(path, "-") != 0;
    /* A pipe without a reader is an error at once, and nothing to wait for. */
    access->fd = access->own ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0640)
                             : STDOUT_FILENO;
    if (access->fd < 0) {
        return error_set(e, ERROR_SYSTEM, "--access-log %s: %s", path, strerror(errno));
    }
    access->whole = fstat(access->fd, &status) == 0 && S_ISREG(status.st_mode);
    return true;
}

struct access *access_open(struct loop *loop, const char *path, const struct log *log, struct error *e) {
    struct access *access = calloc(1, sizeof *access);
    if (!access || !(access->background = background_new(loop, on_work, on_done, access))) {
        free(access);
        error_set(e, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    access->log = log;
    buf_init(&access->lines, LINES_MAX);
    buf_init(&access->out, LINES_MAX);
    if (!open_file(access, path, e)) {
        background_free(access->background);
        free(access);
        return NULL;
    }
    return access;
}

void access_free(struct access *access) {
    if (!access) {
        return;
    }
    background_free(access->background);
    if (write_out(access)) {
        judge(access);
        turn(access);
        write_out(access);
    }
    if (access->own) {
        close(access->fd);
    }
    buf_free(&access->lines);
    buf_free(&access->out);
    free(access);
}
