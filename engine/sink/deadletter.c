#include "sink/deadletter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/plain.h"
#include "json/text.h"

struct deadletter {
    int fd;
    char *path;
    struct buf line;
};

static bool system_error(const char *path, const char *what, struct error *e) {
    return error_set(e, ERROR_SYSTEM, "%s: cannot %s the dead letter file: %s", path, what, strerror(errno));
}

struct deadletter *deadletter_open(const char *path, struct error *e) {
    struct deadletter *deadletter = calloc(1, sizeof *deadletter);
    char *copy = strdup(path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || !deadletter || !copy) {
        if (fd < 0) {
            system_error(path, "open", e);
        } else {
            error_set(e, ERROR_MEMORY, "%s: out of memory", path);
            close(fd);
        }
        free(deadletter);
        free(copy);
        return NULL;
    }
    *deadletter = (struct deadletter){.fd = fd, .path = copy};
    buf_init(&deadletter->line, (size_t)1 << 30);
    return deadletter;
}

void deadletter_close(struct deadletter *deadletter) {
    if (!deadletter) {
        return;
    }
    close(deadletter->fd);
    buf_free(&deadletter->line);
    free(deadletter->path);
    free(deadletter);
}

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

static bool put_entry(struct buf *line, const struct deadletter_entry *entry) {
    buf_clear(line);
    return buf_append_text(line, "{\"stream\":") && put_lossy(line, entry->stream) &&
           buf_append_text(line, ",\"offset\":") && put_lossy(line, entry->offset) &&
           buf_printf(line, ",\"index\":%llu,\"reason\":", (unsigned long long)entry->index) &&
           put_lossy(line, entry->reason) && put_text(line, entry->text) && buf_append_text(line, "}\n");
}

bool deadletter_write(struct deadletter *deadletter, const struct deadletter_entry *entry, struct error *e) {
    struct buf *line = &deadletter->line;
    if (!put_entry(line, entry)) {
        return buf_error(line, e, "a dead letter", "nothing: it is fixed");
    }
    for (size_t done = 0; done < line->len;) {
        ssize_t wrote = write(deadletter->fd, line->ptr + done, line->len - done);
        if (wrote < 0 && errno != EINTR) {
            return system_error(deadletter->path, "write to", e);
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    if (fdatasync(deadletter->fd) != 0 && errno != EINVAL && errno != EROFS) {
        return system_error(deadletter->path, "sync", e);
    }
    return true;
}
