#include "cli/data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "json/scan.h"

enum { PIECE_BYTES = 64 * 1024 };

const char *data_name(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static bool read_all(struct buf *out, int fd, const char *name, struct error *e) {
    for (;;) {
        if (!buf_reserve(out, PIECE_BYTES) && !buf_reserve(out, 1)) {
            return error_set(e, ERROR_LIMIT,
                             "%s: is longer than the %d MB that one request may have: weir append "
                             "sends it in pieces",
                             name, DATA_MAX >> 20);
        }
        ssize_t got = read(fd, out->ptr + out->len, out->cap - out->len);
        if (got < 0 && errno == EINTR) {
            return error_set(e, ERROR_INTERRUPTED, "interrupted");
        }
        if (got < 0) {
            return error_set(e, ERROR_SYSTEM, "%s: cannot be read: %s", name, strerror(errno));
        }
        if (got == 0) {
            return true;
        }
        out->len += (size_t)got;
    }
}

bool data_read(struct buf *out, const char *path, struct error *e) {
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == EINTR) {
        return error_set(e, ERROR_INTERRUPTED, "interrupted");
    }
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
