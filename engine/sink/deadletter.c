#include "sink/deadletter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/plain.h"
#include "io/url.h"
#include "stream/call.h"
#include "stream/producer.h"
#include "stream/source.h"
#include "json/text.h"

enum { LIMIT_MS = 10 * 60 * 1000, SHOWN_MAX = 256, LINE_KEEP = 1 << 20 };

#define LINE_MAX_BYTES ((size_t)1 << 30)

struct deadletter {
    struct deadletter_options o; /* target is the copy below */
    char *target;
    char shown[SHOWN_MAX];
    struct buf line;
    int fd;       /* of a file; -1 */
    bool checked; /* it is known to end with a whole line */

    bool is_stream;
    struct call *making; /* asks for the stream, or makes it: */
    struct buf held;     /* letters that came meanwhile, a line each */
    bool made;
    struct producer *producer; /* NULL before the first letter */
    bool waits;
    struct error failure; /* of the stream, for good */
};

/* ---- the text ---- */

/* As a JSON string; bytes that are not UTF-8 become question marks. */
static bool put_lossy(struct buf *line, const char *text) {
    size_t start = line->len;
    struct error bad;
    if (json_quote(line, slice_from(text), &bad)) {
        return true;
    }
    line->len = start;
    char *copy = strdup(text);
    if (copy) {
        plain_utf8(copy);
    }
    bool ok = copy && json_quote(line, slice_from(copy), &bad);
    free(copy);
    return ok;
}

static bool put_hex(struct buf *line, struct slice bytes) {
    static const char digits[] = "0123456789abcdef";
    bool ok = buf_append_byte(line, '"') && buf_reserve(line, bytes.len * 2 + 1);
    for (size_t i = 0; ok && i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        line->ptr[line->len++] = digits[byte >> 4];
        line->ptr[line->len++] = digits[byte & 15];
    }
    return ok && buf_append_byte(line, '"');
}

static bool put_text(struct buf *line, struct slice text) {
    size_t start = line->len;
    struct error bad;
    if (buf_append_text(line, ",\"event\":") && json_quote(line, text, &bad)) {
        return true;
    }
    line->len = start;
    return buf_append_text(line, ",\"bytes\":") && put_hex(line, text);
}

static bool put_member(struct buf *line, const char *name, const char *text) {
    return buf_append_text(line, name) && put_lossy(line, text);
}

static bool put_entry(struct buf *line, const struct deadletter_entry *entry) {
    char time[LOG_STAMP];
    log_stamp(time);
    return put_member(line, "{\"stream\":", entry->stream) &&
           (!entry->url || put_member(line, ",\"url\":", entry->url)) &&
           put_member(line, ",\"offset\":", entry->offset) &&
           buf_printf(line, ",\"index\":%" PRIu64, entry->index) &&
           (!entry->counted || buf_printf(line, ",\"sequence\":%" PRIu64, entry->sequence)) &&
           put_member(line, ",\"time\":", time) && put_member(line, ",\"reason\":", entry->reason) &&
           put_text(line, entry->text) && buf_append_byte(line, '}');
}

/* ---- a file ---- */

static bool system_error(const struct deadletter *d, const char *what, struct error *e) {
    return error_set(e, ERROR_SYSTEM, "%s: cannot %s the dead letter file: %s", d->target, what,
                     strerror(errno));
}

/* A new file's name must outlast a loss of power as what is written to it does. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd); /* not every file system can; then there is nothing better */
        close(fd);
    }
    free(folder);
}

static bool open_file(struct deadletter *d, struct error *e) {
    int fd = open(d->target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    if (fd < 0) {
        return system_error(d, "open", e);
    }
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0) {
        sync_folder(d->target);
    }
    if (d->fd >= 0) {
        close(d->fd);
    }
    d->fd = fd;
    d->checked = false;
    return true;
}

/* Its name means this file. */
static bool is_in_place(const struct deadletter *d) {
    struct stat named;
    struct stat held;
    return stat(d->target, &named) == 0 && fstat(d->fd, &held) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

/* Where files cannot be locked, nothing is: then nobody moves it, either. */
static void lock(const struct deadletter *d) {
    while (flock(d->fd, LOCK_EX) != 0 && errno == EINTR) {
    }
}

static bool lock_file(struct deadletter *d, struct error *e) {
    lock(d);
    while (!is_in_place(d)) {
        if (!open_file(d, e)) {
            return false;
        }
        lock(d);
    }
    return true;
}

/* A crash may have left half a line: it must not swallow the next one. */
static bool is_cut(const struct deadletter *d) {
    struct stat status;
    char last = '\n';
    if (fstat(d->fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        return false;
    }
    int fd = open(d->target, O_RDONLY | O_CLOEXEC);
    bool cut = fd >= 0 && pread(fd, &last, 1, status.st_size - 1) == 1 && last != '\n';
    if (fd >= 0) {
        close(fd);
    }
    return cut;
}

static bool put_bytes(const struct deadletter *d, const char *ptr, size_t len, struct error *e) {
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(d->fd, ptr + done, len - done);
        if (wrote < 0 && errno != EINTR) {
            return system_error(d, "write to", e);
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static bool write_line(struct deadletter *d, struct error *e) {
    if (!lock_file(d, e)) {
        return false;
    }
    bool ok = (d->checked || !is_cut(d) || put_bytes(d, "\n", 1, e)) &&
              put_bytes(d, d->line.ptr, d->line.len, e);
    d->checked = ok;
    if (ok && fdatasync(d->fd) != 0 && errno != EINVAL && errno != EROFS) {
        ok = system_error(d, "sync", e);
    }
    flock(d->fd, LOCK_UN);
    return ok;
}

/* ---- a stream ---- */

static void fail(struct deadletter *d, const struct error *e) {
    if (d->failure.code != ERROR_NONE) {
        return;
    }
    d->failure = *e;
    error_context(&d->failure, "dead letters");
    d->waits = false;
    d->o.settled(d->o.user, &d->failure);
}

static void on_stored(void *user, const struct producer_result *result, const struct error *e) {
    struct deadletter *d = user;
    (void)result;
    if (e->code != ERROR_NONE) {
        fail(d, e);
    } else if (producer_pending(d->producer) == 0) {
        d->waits = false;
        d->o.settled(d->o.user, NULL);
    }
}

static bool append(struct deadletter *d, struct slice letter, struct error *e) {
    return producer_append(d->producer, letter, on_stored, d, e);
}

static bool append_held(struct deadletter *d, struct error *e) {
    const char *at = d->held.ptr;
    const char *end = at + d->held.len;
    bool ok = true;
    while (ok && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        ok = append(d, slice_of(at, (size_t)(stop - at)), e);
        at = stop + 1;
    }
    buf_free(&d->held);
    return ok;
}

/* A stream that is there already, of another kind of life (409), may do all the same: the append will tell. */
static void on_made(void *user, const struct call_result *result, const struct error *e) {
    struct deadletter *d = user;
    struct error why;
    (void)result;
    d->making = NULL;
    if (e->code != ERROR_NONE && e->code != ERROR_CONFLICT) {
        fail(d, e);
        return;
    }
    d->made = true;
    if (!append_held(d, &why)) {
        fail(d, &why);
    }
}

static bool open_producer(struct deadletter *d, struct error *e) {
    struct producer_options o;
    producer_options_init(&o);
    o.loop = d->o.loop;
    o.http = d->o.http;
    o.log = d->o.log;
    o.url = d->target;
    o.fields = d->o.fields;
    o.field_count = d->o.field_count;
    o.ca_file = d->o.ca_file;
    o.hooks = d->o.hooks;
    o.linger_ms = 0;
    o.queue_max = LINE_MAX_BYTES;
    o.limit_ms = d->o.limit_ms;
    d->producer = producer_new(&o, e);
    return d->producer != NULL;
}

static bool make(struct deadletter *d, struct error *e) {
    struct call_options o = {
        .loop = d->o.loop,
        .http = d->o.http,
        .log = d->o.log,
        .kind = CALL_CREATE,
        .url = d->target,
        .fields = d->o.fields,
        .field_count = d->o.field_count,
        .ca_file = d->o.ca_file,
        .content_type = "application/json",
        .limit_ms = d->o.limit_ms,
        .hooks = d->o.hooks,
        .done = on_made,
        .user = d,
    };
    d->making = call_start(&o, e);
    return d->making != NULL;
}

static bool hold(struct deadletter *d, struct error *e) {
    if (!buf_append_slice(&d->held, buf_slice(&d->line)) || !buf_append_byte(&d->held, '\n')) {
        return buf_error(&d->held, e, "dead letters", NULL);
    }
    return d->making || make(d, e);
}

static bool send_letter(struct deadletter *d, struct error *e) {
    if (d->failure.code != ERROR_NONE) {
        *e = d->failure;
        return false;
    }
    if (!d->producer && !open_producer(d, e)) {
        return false;
    }
    d->waits = d->made ? append(d, buf_slice(&d->line), e) : hold(d, e);
    return d->waits;
}

/* ---- both ---- */

bool deadletter_write(struct deadletter *d, const struct deadletter_entry *entry, struct error *e) {
    struct buf *line = &d->line;
    buf_clear(line);
    buf_shrink(line, LINE_KEEP);
    if (!put_entry(line, entry) || (!d->is_stream && !buf_append_byte(line, '\n'))) {
        return buf_error(line, e, "a dead letter", NULL);
    }
    return d->is_stream ? send_letter(d, e) : write_line(d, e);
}

bool deadletter_waits(const struct deadletter *d) {
    return d && d->waits;
}

struct deadletter *deadletter_open(const struct deadletter_options *options, struct error *e) {
    struct deadletter *d = calloc(1, sizeof *d);
    char *target = strdup(options->target);
    if (!d || !target) {
        free(d);
        free(target);
        error_set(e, ERROR_MEMORY, "%s: out of memory", options->target);
        return NULL;
    }
    d->o = *options;
    d->o.limit_ms = options->limit_ms ? options->limit_ms : LIMIT_MS;
    d->target = target;
    d->fd = -1;
    d->is_stream = source_is_url(target);
    url_redact(target, d->shown, sizeof d->shown);
    buf_init(&d->line, LINE_MAX_BYTES);
    buf_init(&d->held, LINE_MAX_BYTES);
    if (!d->is_stream && !open_file(d, e)) {
        deadletter_close(d);
        return NULL;
    }
    return d;
}

void deadletter_close(struct deadletter *d) {
    if (!d) {
        return;
    }
    call_cancel(d->making);
    producer_free(d->producer);
    if (d->fd >= 0) {
        close(d->fd);
    }
    buf_free(&d->line);
    buf_free(&d->held);
    free(d->target);
    free(d);
}
