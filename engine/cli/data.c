#include "cli/data.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "worker/interrupt.h"
#include "json/scan.h"

enum { PIECE_BYTES = 64 * 1024, LOOK_MS = 200 };

const char *data_name(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

/* Waits until there is something to be read, or the end. False: a signal came first. It may come just before the
 * wait, which therefore ends now and then. */
static bool wait_for_bytes(int fd, struct error *e) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (!*interrupt_flag()) {
        if (poll(&wait, 1, LOOK_MS) > 0) {
            return true;
        }
    }
    return error_set(e, ERROR_INTERRUPTED, "interrupted");
}

static bool read_all(struct buf *out, int fd, const char *name, struct error *e) {
    while (wait_for_bytes(fd, e)) {
        if (!buf_reserve(out, PIECE_BYTES) && !buf_reserve(out, 1)) {
            return error_set(e, ERROR_LIMIT,
                             "%s: is longer than the %d MB that one request may have: weir append "
                             "sends it in pieces",
                             name, DATA_MAX >> 20);
        }
        ssize_t got = read(fd, out->ptr + out->len, out->cap - out->len);
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            return error_set(e, ERROR_SYSTEM, "%s: cannot be read: %s", name, strerror(errno));
        }
        if (got == 0) {
            return true;
        }
        out->len += got > 0 ? (size_t)got : 0;
    }
    return false;
}

bool data_read(struct buf *out, const char *path, struct error *e) {
    bool standard = strcmp(path, "-") == 0;
    /* Not blocking: the writer of a FIFO is waited for where signals are seen. */
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return error_set(e, ERROR_SYSTEM, "%s: cannot be opened: %s", path, strerror(errno));
    }
    bool ok = read_all(out, fd, data_name(path), e);
    if (!standard) {
        close(fd);
    }
    return ok;
}

bool data_locate(struct slice text, const char *name, struct error *e) {
    size_t position = e->position < text.len ? e->position : text.len;
    unsigned long long line = 1;
    for (size_t i = 0; i < position; i++) {
        line += text.ptr[i] == '\n';
    }
    error_context(e, "%s: line %llu (byte %zu)", name, line, e->position + 1);
    return false;
}

bool data_check_json(struct slice text, const char *name, struct error *e) {
    return json_check(text, e) || data_locate(text, name, e);
}
