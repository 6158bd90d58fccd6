#include "stream/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream/feed.h"
#include "stream/kind.h"

enum { PIECE_BYTES = 256 * 1024 };

struct pipe {
    struct source base;
    struct loop *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tty_t tty;
    } uv;
    struct feed feed;
    struct loop_task wake; /* reading starts, or the end is reported, in a later turn */
    char *piece;
    char *name;
    int fd;
    int flags; /* the descriptor's before it was made non-blocking: others may share it */
    bool paused, finished, ended;
    struct error failure; /* to be reported by wake where it has a code */
};

/* Reports an error once; nothing is read any more. */
static void pipe_fail(struct pipe *p, const struct error *why) {
    struct error e = *why;
    uv_read_stop(&p->uv.stream);
    p->finished = true;
    p->feed.sink.fail(p->feed.sink.user, &e);
}

static void pipe_eof(struct pipe *p) {
    uv_read_stop(&p->uv.stream);
    p->ended = true;
    if (p->paused) {
        return; /* told when it goes on */
    }
    p->finished = true;
    if (feed_flush(&p->feed) == FEED_ON && feed_end(&p->feed, true, true) == FEED_ON) {
        p->feed.sink.eof(p->feed.sink.user);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct pipe *p = handle->data;
    *buf = uv_buf_init(p->piece, PIECE_BYTES);
}

static void on_bytes(struct pipe *p, size_t len) {
    struct error e;
    enum feed_result got = feed_bytes(&p->feed, p->piece, len, &e);
    if (got == FEED_ON && p->feed.by_line && p->feed.in_chunk) {
        got = feed_end(&p->feed, len < PIECE_BYTES, false);
    }
    if (got == FEED_FULL) {
        error_context(&e, "%s", p->name);
        pipe_fail(p, &e);
    }
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf) {
    (void)buf;
    struct pipe *p = stream->data;
    if (got == UV_EOF) {
        pipe_eof(p);
    } else if (got < 0) {
        struct error e;
        error_set(&e, ERROR_SYSTEM, "%s: cannot be read: %s", p->name, uv_strerror((int)got));
        pipe_fail(p, &e);
    } else if (got > 0) {
        on_bytes(p, (size_t)got);
    }
}

static void on_wake(struct loop_task *task) {
    struct pipe *p = task->owner;
    if (p->finished) {
        return;
    }
    if (p->failure.code != ERROR_NONE) {
        pipe_fail(p, &p->failure);
    } else if (p->paused) {
        return;
    } else if (p->ended) {
        pipe_eof(p);
    } else {
        int rc = uv_read_start(&p->uv.stream, on_alloc, on_read);
        if (rc != 0 && rc != UV_EALREADY) {
            struct error e;
            error_set(&e, ERROR_SYSTEM, "%s: cannot be read: %s", p->name, uv_strerror(rc));
            pipe_fail(p, &e);
        }
    }
}

/* ---- what source.h asks for ---- */

static void pipe_pause(struct source *source) {
    struct pipe *p = (struct pipe *)source;
    p->paused = true;
    uv_read_stop(&p->uv.stream);
}

static void pipe_resume(struct source *source) {
    struct pipe *p = (struct pipe *)source;
    p->paused = false;
    loop_defer(p->loop, &p->wake);
}

/* Fails in a later turn. */
static void pipe_doom(struct pipe *p, const struct error *why) {
    p->failure = *why;
    p->finished = false;
    p->feed.turn++;
    uv_read_stop(&p->uv.stream);
    loop_defer(p->loop, &p->wake);
}

static void pipe_seek(struct source *source, const char *offset) {
    struct pipe *p = (struct pipe *)source;
    struct error e;
    error_set(&e, ERROR_ARGUMENT, "%s: a pipe cannot be read again from offset %s: use a file", p->name,
              offset ? offset : "-1");
    pipe_doom(p, &e);
}

static void pipe_reject(struct source *source, const struct error *why) {
    pipe_doom((struct pipe *)source, why);
}

static void pipe_release(struct pipe *p) {
    feed_free(&p->feed);
    free(p->piece);
    free(p->name);
    free(p);
}

static void on_closed(uv_handle_t *handle) {
    pipe_release(handle->data);
}

static void pipe_close(struct source *source) {
    struct pipe *p = (struct pipe *)source;
    p->feed.turn++;
    p->finished = true;
    loop_cancel(p->loop, &p->wake);
    uv_read_stop(&p->uv.stream);
    if (p->uv.handle.type == UV_NAMED_PIPE) {
        fcntl(p->fd, F_SETFL, p->flags);
    }
    uv_close(&p->uv.handle, on_closed);
}

static const struct source_kind pipe_kind = {
    .pause = pipe_pause,
    .resume = pipe_resume,
    .seek = pipe_seek,
    .reject = pipe_reject,
    .close = pipe_close,
};

static bool pipe_start(struct pipe *p, struct error *e) {
    int rc;
    if (uv_guess_handle(p->fd) == UV_TTY) {
        rc = uv_tty_init(loop_uv(p->loop), &p->uv.tty, p->fd, 1);
        if (rc != 0) {
            close(p->fd);
            pipe_release(p);
            error_set(e, ERROR_SYSTEM, "cannot read from the terminal: %s", uv_strerror(rc));
            return false;
        }
        p->uv.handle.data = p;
        return true;
    }
    uv_pipe_init(loop_uv(p->loop), &p->uv.pipe, 0);
    p->uv.handle.data = p;
    rc = uv_pipe_open(&p->uv.pipe, p->fd);
    if (rc == 0 && !uv_is_readable(&p->uv.stream)) {
        rc = UV_EBADF;
    }
    if (rc != 0) {
        error_set(e, ERROR_SYSTEM, "%s: cannot be read: %s", p->name, uv_strerror(rc));
        if (uv_fileno(&p->uv.handle, &(uv_os_fd_t){0}) != 0) {
            close(p->fd);
        }
        uv_close(&p->uv.handle, on_closed);
        return false;
    }
    return true;
}

struct source *pipe_open(const struct source_options *options, int fd, struct error *e) {
    struct pipe *p = calloc(1, sizeof *p);
    bool lines = options->live != SOURCE_LIVE_NO && options->format != SOURCE_ARRAY;
    if (p) {
        p->name = strdup(strcmp(options->location, "-") == 0 ? "standard input" : options->location);
        p->piece = malloc(PIECE_BYTES);
        feed_init(&p->feed, options, lines, 0);
    }
    if (!p || !p->name || !p->piece) {
        error_set(e, ERROR_MEMORY, "out of memory for a source");
        close(fd);
        if (p) {
            pipe_release(p);
        }
        return NULL;
    }
    p->base.kind = &pipe_kind;
    p->loop = options->loop;
    p->fd = fd;
    p->flags = fcntl(fd, F_GETFL);
    p->wake = (struct loop_task){.run = on_wake, .owner = p};
    if (!pipe_start(p, e)) {
        return NULL;
    }
    loop_defer(p->loop, &p->wake);
    return &p->base;
}
