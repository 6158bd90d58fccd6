#include "stream/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/feed.h"
#include "stream/kind.h"
#include "stream/pipe.h"

enum { PIECE_BYTES = 512 * 1024, GAP_BYTES = 32 * 1024, LOOK_MS = 500 };

/* While one piece is handed over the next is read by the loop's other thread. A device may keep who reads it
 * waiting: that is left to libuv's pool. */
struct file {
    struct source base;
    struct loop *loop;
    struct beside *beside; /* NULL: libuv's pool reads */
    struct feed feed;
    char *name;
    int fd;
    bool seekable; /* a regular file; devices are read where they stand */
    bool follow;
    struct piece *filling; /* is read into, or will be; NULL: it must be found first */
    struct piece *full;    /* waits to be handed over */
    uint64_t read_at;      /* where the next read starts */
    struct beside_job read;
    uv_fs_t pool_read;
    uint64_t from;       /* where in the file it reads */
    ssize_t got;         /* what it has read; below 0: minus the system's number of an error */
    bool reading, stale; /* stale: what is being read is not wanted any more */
    bool at_end;
    uv_fs_event_t event; /* tells at once that a followed file has changed, and */
    bool watching;
    struct loop_timer look; /* looks now and then, where events are not to be had */
    struct loop_task wake;
    bool paused, finished, closing;
    unsigned handles;     /* open handles and the read: the memory goes with the last */
    struct error failure; /* to be reported by wake where it has a code */
};

static void on_read(void *user);
static void on_pool_read(uv_fs_t *request);

/* ---- ends ---- */

static void file_release(struct file *f) {
    if (f->fd >= 0) {
        close(f->fd);
    }
    piece_free(f->filling);
    piece_free(f->full);
    feed_free(&f->feed);
    free(f->name);
    free(f);
}

static void file_drop(struct file *f) {
    if (--f->handles == 0) {
        file_release(f);
    }
}

static void file_fail(struct file *f, const struct error *why) {
    struct error e = *why;
    f->finished = true;
    loop_timer_stop(&f->look);
    f->feed.sink.fail(f->feed.sink.user, &e);
}

/* Fails in a later turn. */
static void file_doom(struct file *f, const struct error *why) {
    f->failure = *why;
    f->finished = false;
    f->feed.turn++;
    loop_defer(f->loop, &f->wake);
}

/* ---- reading ahead ---- */

/* A piece to read into: a used one, or a new one. */
static bool find_piece(struct file *f) {
    const struct source_sink *sink = &f->feed.sink;
    if (f->filling) {
        return true;
    }
    struct piece *piece = sink->spare ? sink->spare(sink->user) : NULL;
    if (piece && piece->cap != PIECE_BYTES + GAP_BYTES) {
        piece_free(piece);
        piece = NULL;
    }
    f->filling = piece ? piece : piece_new(PIECE_BYTES + GAP_BYTES, GAP_BYTES);
    return f->filling;
}

static void read_piece(void *user) {
    struct file *f = user;
    f->got = pread(f->fd, f->filling->bytes + GAP_BYTES, PIECE_BYTES, (off_t)f->from);
    f->got = f->got < 0 ? -errno : f->got;
}

static void read_beside(struct file *f) {
    f->read = (struct beside_job){.work = read_piece, .done = on_read, .user = f};
    beside_start(f->beside, &f->read);
}

static bool read_in_pool(struct file *f) {
    struct error e;
    uv_buf_t buf = uv_buf_init(f->filling->bytes + GAP_BYTES, PIECE_BYTES);
    int64_t at = f->seekable ? (int64_t)f->from : -1;
    f->pool_read.data = f;
    int rc = uv_fs_read(loop_uv(f->loop), &f->pool_read, f->fd, &buf, 1, at, on_pool_read);
    if (rc != 0) {
        error_set(&e, ERROR_SYSTEM, "%s: cannot be read: %s", f->name, uv_strerror(rc));
        file_doom(f, &e);
    }
    return rc == 0;
}

static void start_read(struct file *f) {
    struct error e;
    if (f->reading || f->at_end || f->finished || f->closing || f->full) {
        return;
    }
    if (!find_piece(f)) {
        error_set(&e, ERROR_MEMORY, "%s: out of memory for reading it", f->name);
        file_doom(f, &e);
        return;
    }
    f->filling->start = GAP_BYTES;
    f->from = f->read_at;
    if (f->beside) {
        read_beside(f);
    } else if (!read_in_pool(f)) {
        return;
    }
    f->reading = true;
    f->handles++;
}

/* A file that is followed may only grow. */
static bool check_grown(struct file *f, struct error *e) {
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return error_set(e, ERROR_SYSTEM, "%s: %s", f->name, strerror(errno));
    }
    uint64_t at = f->feed.position + f->feed.held.len;
    if ((uint64_t)st.st_size < at) {
        return error_set(e, ERROR_SYSTEM,
                         "%s: was cut to %lld bytes while it was followed, and %" PRIu64
                         " had been read: start it again to read it from the beginning",
                         f->name, (long long)st.st_size, at);
    }
    if (st.st_nlink == 0 && (uint64_t)st.st_size == at) {
        return error_set(e, ERROR_SYSTEM, "%s: was removed while it was followed", f->name);
    }
    return true;
}

/* Everything that is there has been handed over. */
static void file_tail(struct file *f) {
    if (!f->follow) {
        if (feed_flush(&f->feed) == FEED_ON && feed_end(&f->feed, true, true) == FEED_ON) {
            f->finished = true;
            f->feed.sink.eof(f->feed.sink.user);
        }
        return;
    }
    struct error e;
    if (!check_grown(f, &e)) {
        file_fail(f, &e);
        return;
    }
    if (f->feed.told || feed_end(&f->feed, true, false) == FEED_ON) {
        loop_timer_start(&f->look, LOOK_MS);
    }
}

/* False: stop, for whatever reason. */
static bool hand_over(struct file *f) {
    struct error e;
    unsigned turn = f->feed.turn;
    struct piece *piece = f->full;
    f->full = NULL;
    start_read(f); /* before anybody has other work for the thread that reads */
    enum feed_result got = feed_piece(&f->feed, &piece, &e);
    piece_free(piece);
    if (turn != f->feed.turn) {
        return false;
    }
    if (got == FEED_FULL) {
        error_context(&e, "%s", f->name);
        file_fail(f, &e);
        return false;
    }
    return true;
}

/* The next piece is being read while one is handed over. */
static void deliver(struct file *f) {
    if (!f->paused && !f->finished && f->full && !hand_over(f)) {
        return;
    }
    start_read(f);
    if (f->at_end && !f->paused && !f->finished && !f->full && !f->closing) {
        file_tail(f);
    }
}

static void on_pool_read(uv_fs_t *request) {
    struct file *f = request->data;
    f->got = request->result;
    uv_fs_req_cleanup(request);
    on_read(f);
}

static void on_read(void *user) {
    struct file *f = user;
    ssize_t got = f->got;
    f->reading = false;
    if (f->closing) {
        file_drop(f);
        return;
    }
    f->handles--;
    if (f->stale) {
        f->stale = false;
        loop_defer(f->loop, &f->wake);
        return;
    }
    if (f->finished || f->failure.code != ERROR_NONE) {
        return;
    }
    if (got < 0) {
        struct error e;
        error_set(&e, ERROR_SYSTEM, "%s: cannot be read at byte %" PRIu64 ": %s", f->name, f->read_at,
                  uv_strerror((int)got));
        file_fail(f, &e);
        return;
    }
    if (got == 0) {
        f->at_end = true;
    } else {
        f->filling->end = f->filling->start + (size_t)got;
        f->full = f->filling;
        f->filling = NULL;
        f->read_at += (uint64_t)got;
    }
    deliver(f);
}

static void on_wake(struct loop_task *task) {
    struct file *f = task->owner;
    if (f->finished || f->stale) {
        return;
    }
    if (f->failure.code != ERROR_NONE) {
        struct error e = f->failure;
        error_clear(&f->failure);
        file_fail(f, &e);
        return;
    }
    deliver(f);
}

/* ---- following ---- */

static void look_again(struct file *f) {
    if (f->at_end && !f->finished && !f->reading && !f->closing) {
        f->at_end = false;
        loop_timer_stop(&f->look);
        start_read(f);
    }
}

static void on_look(struct loop_task *task) {
    look_again(task->owner);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status) {
    (void)name;
    (void)events;
    (void)status;
    look_again(event->data);
}

/* ---- what source.h asks for ---- */

static void file_pause(struct source *source) {
    ((struct file *)source)->paused = true;
}

static void file_resume(struct source *source) {
    struct file *f = (struct file *)source;
    f->paused = false;
    loop_defer(f->loop, &f->wake);
}

static bool check_position(struct file *f, const char *offset, uint64_t *position, struct error *e) {
    struct stat st;
    if (!feed_position(offset, position)) {
        return error_set(e, ERROR_ARGUMENT,
                         "%s: offset \"%s\" is not a byte position: expected a whole number", f->name,
                         offset);
    }
    if (*position == 0 && f->seekable) {
        return true;
    }
    if (!f->seekable) {
        return error_set(e, ERROR_ARGUMENT, "%s: a device cannot be read from offset %s", f->name,
                         offset ? offset : "-1");
    }
    if (fstat(f->fd, &st) != 0 || (uint64_t)st.st_size < *position) {
        return error_set(e, ERROR_ARGUMENT,
                         "%s: offset %" PRIu64 " is past the end of the file, which has %lld bytes", f->name,
                         *position, (long long)st.st_size);
    }
    return true;
}

static void file_seek(struct source *source, const char *offset) {
    struct file *f = (struct file *)source;
    struct error e;
    uint64_t position = 0;
    if (!check_position(f, offset, &position, &e)) {
        file_doom(f, &e);
        return;
    }
    f->feed.turn++;
    feed_reset(&f->feed, position);
    f->read_at = position;
    piece_free(f->full);
    f->full = NULL;
    f->at_end = false;
    f->finished = false;
    f->stale = f->reading;
    loop_timer_stop(&f->look);
    loop_defer(f->loop, &f->wake);
}

static void file_reject(struct source *source, const struct error *why) {
    file_doom((struct file *)source, why);
}

static void on_look_closed(struct loop_timer *timer) {
    file_drop(timer->task.owner);
}

static void on_event_closed(uv_handle_t *handle) {
    file_drop(handle->data);
}

static void file_close(struct source *source) {
    struct file *f = (struct file *)source;
    f->feed.turn++;
    f->finished = true;
    f->closing = true;
    loop_cancel(f->loop, &f->wake);
    if (f->reading && !f->beside) {
        uv_cancel((uv_req_t *)&f->pool_read);
    }
    if (f->watching) {
        uv_close((uv_handle_t *)&f->event, on_event_closed);
    }
    loop_timer_close(&f->look, on_look_closed);
}

static const struct source_kind file_kind = {
    .pause = file_pause,
    .resume = file_resume,
    .seek = file_seek,
    .reject = file_reject,
    .close = file_close,
};

/* ---- opening ---- */

static bool file_prepare(struct file *f, const struct source_options *o, const struct stat *st,
                         struct error *e) {
    uint64_t position = 0;
    f->seekable = S_ISREG(st->st_mode);
    f->beside = f->seekable ? loop_beside(f->loop) : NULL;
    bool standard = strcmp(o->location, "-") == 0;
    f->follow = f->seekable && !standard && o->live != SOURCE_LIVE_NO;
    if (f->follow && o->format == SOURCE_ARRAY) {
        return error_set(
            e, ERROR_ARGUMENT,
            "%s: a JSON array cannot be followed as it grows: use one event a line, or live = false",
            f->name);
    }
    bool start = !o->offset || !*o->offset || strcmp(o->offset, "-1") == 0;
    if (!start && !check_position(f, o->offset, &position, e)) {
        return false;
    }
    if (start && standard && f->seekable) {
        off_t here = lseek(f->fd, 0, SEEK_CUR); /* something may have read from it before us */
        position = here > 0 ? (uint64_t)here : 0;
    }
    f->read_at = position;
    feed_init(&f->feed, o, f->follow, position);
    f->feed.only_lines = f->follow;
    return true;
}

static void file_watch(struct file *f) {
    uv_fs_event_init(loop_uv(f->loop), &f->event);
    f->event.data = f;
    f->watching = true;
    f->handles++;
    /* Where it fails (no inotify watches left) the timer alone looks. */
    uv_fs_event_start(&f->event, on_event, f->name, 0);
}

/* Takes fd over. */
static struct source *regular_open(const struct source_options *o, int fd, const struct stat *st,
                                   struct error *e) {
    struct file *f = calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        error_set(e, ERROR_MEMORY, "out of memory for a source");
        return NULL;
    }
    f->base.kind = &file_kind;
    f->loop = o->loop;
    f->fd = fd;
    f->name = strdup(strcmp(o->location, "-") == 0 ? "standard input" : o->location);
    if (!f->name || !file_prepare(f, o, st, e)) {
        if (!f->name) {
            error_set(e, ERROR_MEMORY, "out of memory for a source");
        }
        file_release(f);
        return NULL;
    }
    f->wake = (struct loop_task){.run = on_wake, .owner = f};
    loop_timer_init(f->loop, &f->look, on_look, f);
    f->handles = 1;
    if (f->follow) {
        file_watch(f);
    }
    loop_defer(f->loop, &f->wake);
    return &f->base;
}

struct source *file_open(const struct source_options *options, struct error *e) {
    bool standard = strcmp(options->location, "-") == 0;
    const char *name = standard ? "standard input" : options->location;
    /* Not blocking: a FIFO without a writer would hold the loop up; files do not care. */
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                      : open(options->location, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_set(e, ERROR_SYSTEM, "%s: cannot be opened: %s", name, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        error_set(e, ERROR_SYSTEM, "%s: is a directory: expected a file of events", name);
        close(fd);
        return NULL;
    }
    if (uv_guess_handle(fd) == UV_FILE) {
        return regular_open(options, fd, &st, e);
    }
    uint64_t position = 0;
    if (!feed_position(options->offset, &position) || position > 0) {
        error_set(e, ERROR_ARGUMENT, "%s: a pipe cannot be read from offset %s", name, options->offset);
        close(fd);
        return NULL;
    }
    return pipe_open(options, fd, e);
}
