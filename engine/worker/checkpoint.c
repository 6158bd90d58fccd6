#include "worker/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/snapshot.h"
#include "worker/about.h"
#include "worker/origin.h"

enum {
    REST = 20, /* times that a snapshot took, until the next one */
    ABOUT_MAX = 16 << 20,
};

struct checkpoint {
    struct checkpoint_options options;
    char name[DATADIR_NAME];
    char *stream; /* its name, for messages */
    char *source; /* the URL without secrets, or the absolute path */
    int file;     /* of a file that is read, to know it again; -1: none */
    struct about_told told;
    struct loop_timer timer;
    bool due;
    void (*watch)(void *user);
    void *user;

    struct buf offset; /* of the last snapshot; empty: there is none yet */
    uint64_t skip;

    uv_work_t work;
    bool committing; /* from uv_queue_work until libuv tells that it is done, and */
    bool settled;    /* what came of it has been told before */
    uv_sem_t done;   /* posted when it is done */
    int fd;
    bool committed;
    struct error failure;
    uint64_t began_ns;
    uint64_t written_ns; /* what writing took */
    uint64_t size;
};

bool checkpoint_possible(const char *location) {
    struct stat st;
    if (source_is_url(location)) {
        return true;
    }
    return strcmp(location, "-") != 0 && (stat(location, &st) != 0 || S_ISREG(st.st_mode));
}

const char *checkpoint_name(const struct checkpoint *checkpoint) {
    return checkpoint->name;
}

static bool is_file(const struct checkpoint *checkpoint) {
    return !source_is_url(checkpoint->options.stream->url);
}

static void free_checkpoint(struct loop_timer *timer) {
    struct checkpoint *checkpoint = timer->task.owner;
    if (checkpoint->file >= 0) {
        close(checkpoint->file);
    }
    about_free(&checkpoint->told);
    buf_free(&checkpoint->offset);
    free(checkpoint->stream);
    free(checkpoint->source);
    free(checkpoint);
}

static bool is_committed(void *arg) {
    const struct checkpoint *checkpoint = arg;
    return !checkpoint->committing;
}

void checkpoint_close(struct checkpoint *checkpoint) {
    if (!checkpoint) {
        return;
    }
    loop_run_until(checkpoint->options.loop, is_committed, checkpoint);
    loop_timer_close(&checkpoint->timer, free_checkpoint);
}

/* ---- when ---- */

static void rearm(struct checkpoint *checkpoint, uint64_t took_ns) {
    uint64_t rest = took_ns * REST / 1000000;
    uint64_t every = checkpoint->options.every_ms;
    checkpoint->due = false;
    if (every > 0) {
        loop_timer_start(&checkpoint->timer, rest > every ? rest : every);
    }
}

static void on_time(struct loop_task *task) {
    struct checkpoint *checkpoint = task->owner;
    checkpoint->due = true;
    if (checkpoint->watch) {
        checkpoint->watch(checkpoint->user);
    }
}

void checkpoint_watch(struct checkpoint *checkpoint, void (*due)(void *user), void *user) {
    checkpoint->watch = due;
    checkpoint->user = user;
}

bool checkpoint_is_due(const struct checkpoint *checkpoint) {
    return checkpoint->due;
}

/* ---- what it is of ---- */

static struct about about_of(const struct checkpoint *checkpoint) {
    const struct api_stream *stream = checkpoint->options.stream;
    struct about about = {
        .stream = stream->name,
        .source = checkpoint->source,
        .settings = {{"defaultType", stream->default_type ? stream->default_type : "default"},
                     {"strict", stream->strict ? "true" : "false"},
                     {"offset", stream->offset ? stream->offset : "-1"},
                     {"snapshot", stream->replace ? "replace" : "merge"}},
        .file = is_file(checkpoint),
    };
    if (checkpoint->options.variant) {
        about.settings[ABOUT_SETTINGS - 1].name = "options";
        about.settings[ABOUT_SETTINGS - 1].value = checkpoint->options.variant;
    }
    return about;
}

struct checkpoint *checkpoint_new(const struct checkpoint_options *options, struct error *e) {
    struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    char *source = origin_of(options->stream->url);
    char *stream = strdup(options->stream->name);
    if (!checkpoint || !source || !stream) {
        free(checkpoint);
        free(source);
        free(stream);
        error_set(e, ERROR_MEMORY, "%s: out of memory for snapshots", options->stream->name);
        return NULL;
    }
    bool regular;
    checkpoint->options = *options;
    checkpoint->source = source;
    checkpoint->stream = stream;
    checkpoint->fd = -1;
    checkpoint->file = is_file(checkpoint) ? filemark_open(options->stream->url, &regular) : -1;
    buf_init(&checkpoint->offset, ABOUT_MAX);
    datadir_name(options->stream->name, options->variant ? ".state" : "", checkpoint->name);
    loop_timer_init(options->loop, &checkpoint->timer, on_time, checkpoint);
    uv_unref((uv_handle_t *)&checkpoint->timer.uv); /* it keeps nothing going */
    rearm(checkpoint, 0);
    return checkpoint;
}

static bool is_news(const struct checkpoint *checkpoint, const struct place *place) {
    const char *offset = place->offset ? place->offset : "-1";
    return checkpoint->offset.len == 0 || !slice_is(buf_slice(&checkpoint->offset), offset) ||
           checkpoint->skip != place->skip;
}

static bool note(struct checkpoint *checkpoint, const struct place *place) {
    buf_clear(&checkpoint->offset);
    checkpoint->skip = place->skip;
    return buf_append_text(&checkpoint->offset, place->offset ? place->offset : "-1");
}

/* ---- loading ---- */

static bool check_file(const struct checkpoint *checkpoint, struct error *e) {
    const struct about_told *told = &checkpoint->told;
    bool array = told->place.format != SLICER_LINES;
    return !is_file(checkpoint) ||
           filemark_check(checkpoint->options.stream->url, &told->mark, array && told->place.skip == 0, e);
}

/* A state that a sink is behind cannot bring that sink on: what came in between is not in it. */
static bool check_bound(const struct checkpoint *checkpoint, const struct checkpoint_bound *bound,
                        struct error *e) {
    const struct place *place = &checkpoint->told.place;
    if (!bound) {
        return true;
    }
    if (place->uncounted) {
        return error_set(
            e, ERROR_ARGUMENT,
            "it does not say how many messages came before it, which sinks need: it was made by an "
            "earlier version, or goes back to one that was");
    }
    return place->sequence <= bound->sequence ||
           error_set(e, ERROR_ARGUMENT, "it is ahead of %s: message %llu of the stream, the sink is at %llu",
                     bound->sink, (unsigned long long)place->sequence, (unsigned long long)bound->sequence);
}

static bool take_over(struct checkpoint *checkpoint, int fd, const struct checkpoint_bound *bound,
                      struct store *store, struct reset_history *resets, struct error *e) {
    struct about about = about_of(checkpoint);
    struct snapshot *snapshot = snapshot_open(fd, e);
    if (!snapshot) {
        return false;
    }
    checkpoint->size = snapshot_size(snapshot);
    if (!about_read(&about, snapshot_about(snapshot), &checkpoint->told, resets, e) ||
        !check_file(checkpoint, e) || !check_bound(checkpoint, bound, e)) {
        snapshot_close(snapshot);
        return false;
    }
    return snapshot_load(snapshot, store, e);
}

/* What cannot be read for a reason that lies outside of the file may be readable the next time: it is not to
 * be thrown away. */
static enum checkpoint_found refuse(const struct checkpoint *checkpoint, struct error *e) {
    const struct checkpoint_options *options = &checkpoint->options;
    const char *folder = datadir_path(options->dir);
    if (e->code == ERROR_SYSTEM || e->code == ERROR_MEMORY) {
        error_context(e, "%s/%s", folder, checkpoint->name);
        return CHECKPOINT_FAILED;
    }
    log_write(
        options->log, LOG_WARN,
        "%s/%s: %s. The snapshot is not used: %s is read from its start, and the next snapshot replaces it",
        folder, checkpoint->name, e->message, checkpoint->stream);
    return CHECKPOINT_NONE;
}

static void tell_loaded(const struct checkpoint *checkpoint, const struct store *store, uint64_t since) {
    const struct checkpoint_options *options = &checkpoint->options;
    const struct place *place = &checkpoint->told.place;
    char skipped[48] = "";
    if (place->skip) {
        snprintf(skipped, sizeof skipped, ", message %llu", (unsigned long long)place->skip);
    }
    log_write(options->log, options->variant ? LOG_DEBUG : LOG_INFO,
              "%s: goes on from the snapshot of %s at offset %s%s: %zu entities, %.1f MB, %.1f ms",
              checkpoint->stream, checkpoint->told.made, place->offset ? place->offset : "-1", skipped,
              store_count(store, (struct slice){0}), (double)checkpoint->size / 1e6,
              (double)(uv_hrtime() - since) / 1e6);
}

enum checkpoint_found checkpoint_load(struct checkpoint *checkpoint, const struct checkpoint_bound *bound,
                                      struct store *store, struct reset_history *resets, struct place *place,
                                      struct error *e) {
    uint64_t since = uv_hrtime();
    int fd = datadir_read(checkpoint->options.dir, checkpoint->name);
    if (fd < 0 && errno == ENOENT) {
        return CHECKPOINT_NONE;
    }
    bool ok = fd >= 0 ? take_over(checkpoint, fd, bound, store, resets, e)
                      : error_set(e, ERROR_SYSTEM, "cannot be opened: %s", strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    if (!ok) {
        reset_free(resets);
        reset_init(resets);
        return refuse(checkpoint, e);
    }
    *place = checkpoint->told.place;
    note(checkpoint, place);
    tell_loaded(checkpoint, store, since);
    return CHECKPOINT_LOADED;
}

void checkpoint_explain(const struct checkpoint *checkpoint, struct error *e) {
    size_t used = strlen(e->message);
    if (e->code == ERROR_GONE || e->code == ERROR_NOT_FOUND || e->code == ERROR_HTTP) {
        snprintf(e->message + used, sizeof e->message - used,
                 "; it was to go on from the snapshot %s/%s: without that file it is read from its start",
                 datadir_path(checkpoint->options.dir), checkpoint->name);
    }
}

/* ---- saving ---- */

static bool describe(const struct checkpoint *checkpoint, const struct reset_history *resets,
                     const struct place *place, struct buf *out, struct error *e) {
    struct about about = about_of(checkpoint);
    struct filemark mark;
    if (is_file(checkpoint) && checkpoint->file < 0) {
        return error_set(e, ERROR_SYSTEM, "the file that is read cannot be opened");
    }
    if (is_file(checkpoint) && !filemark_take(checkpoint->file, place->reached, &mark, e)) {
        return false;
    }
    return about_write(&about, place, is_file(checkpoint) ? &mark : NULL, resets, out, e);
}

/* Into the file that is to take the last one's place. */
static bool write_aside(struct checkpoint *checkpoint, const struct store *store,
                        const struct reset_history *resets, const struct place *place, struct error *e) {
    const struct datadir *dir = checkpoint->options.dir;
    struct buf about;
    buf_init(&about, ABOUT_MAX);
    checkpoint->began_ns = uv_hrtime();
    checkpoint->fd = datadir_begin(dir, checkpoint->name, e);
    bool begun = checkpoint->fd >= 0;
    bool ok = begun && describe(checkpoint, resets, place, &about, e) &&
              snapshot_write(store, buf_slice(&about), checkpoint->fd, &checkpoint->size, e) &&
              note(checkpoint, place);
    if (begun && !ok) {
        error_context(e, "%s/%s.tmp", datadir_path(dir), checkpoint->name);
        datadir_abandon(dir, checkpoint->name, checkpoint->fd);
    }
    buf_free(&about);
    checkpoint->written_ns = uv_hrtime() - checkpoint->began_ns;
    return ok;
}

static void commit(uv_work_t *work) {
    struct checkpoint *checkpoint = work->data;
    checkpoint->committed = datadir_commit(checkpoint->options.dir, checkpoint->name, checkpoint->fd,
                                           &checkpoint->failure);
    uv_sem_post(&checkpoint->done);
}

static void tell_saved(const struct checkpoint *checkpoint) {
    log_write(checkpoint->options.log, LOG_DEBUG,
              "%s: snapshot at offset %.*s: %.1f MB, written in %.1f ms, synced after %.1f ms",
              checkpoint->stream, (int)checkpoint->offset.len, checkpoint->offset.ptr,
              (double)checkpoint->size / 1e6, (double)checkpoint->written_ns / 1e6,
              (double)(uv_hrtime() - checkpoint->began_ns) / 1e6);
}

static void tell_failed(struct checkpoint *checkpoint, const struct error *e) {
    buf_clear(&checkpoint->offset); /* what is there is of another place */
    log_write(checkpoint->options.log, LOG_WARN, "%s: no snapshot: %s. The one before stays, and it goes on",
              checkpoint->stream, e->message);
}

static void settle(struct checkpoint *checkpoint) {
    checkpoint->settled = true;
    if (checkpoint->committed) {
        tell_saved(checkpoint);
    } else {
        tell_failed(checkpoint, &checkpoint->failure);
    }
}

static void on_committed(uv_work_t *work, int status) {
    struct checkpoint *checkpoint = work->data;
    (void)status;
    checkpoint->committing = false;
    uv_sem_destroy(&checkpoint->done);
    if (!checkpoint->settled) {
        settle(checkpoint);
        rearm(checkpoint, uv_hrtime() - checkpoint->began_ns);
    }
}

void checkpoint_save(struct checkpoint *checkpoint, const struct store *store,
                     const struct reset_history *resets, const struct place *place) {
    struct error e;
    if (checkpoint->committing) {
        return;
    }
    if (!is_news(checkpoint, place)) {
        rearm(checkpoint, 0);
        return;
    }
    if (!write_aside(checkpoint, store, resets, place, &e)) {
        tell_failed(checkpoint, &e);
        rearm(checkpoint, checkpoint->written_ns);
        return;
    }
    checkpoint->due = false;
    checkpoint->committing = true;
    checkpoint->settled = false;
    checkpoint->work.data = checkpoint;
    uv_sem_init(&checkpoint->done, 0);
    uv_queue_work(loop_uv(checkpoint->options.loop), &checkpoint->work, commit, on_committed);
}

bool checkpoint_finish(struct checkpoint *checkpoint, const struct store *store,
                       const struct reset_history *resets, const struct place *place, struct error *e) {
    loop_timer_stop(&checkpoint->timer);
    if (checkpoint->committing && !checkpoint->settled) {
        uv_sem_wait(&checkpoint->done); /* without a turn of the loop, in which scripts might run */
        settle(checkpoint);
    }
    if (!is_news(checkpoint, place)) {
        return true;
    }
    bool ok = write_aside(checkpoint, store, resets, place, e) &&
              datadir_commit(checkpoint->options.dir, checkpoint->name, checkpoint->fd, e);
    if (!ok) {
        buf_clear(&checkpoint->offset);
        return error_context(e, "%s: no snapshot", checkpoint->stream);
    }
    tell_saved(checkpoint);
    rearm(checkpoint, 0);
    return true;
}
