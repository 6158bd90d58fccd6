#include "cli/output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { GATHER_BYTES = 64 * 1024 };

void output_init(struct output *output) {
    *output = (struct output){0};
    buf_init(&output->buf, OUTPUT_MAX);
}

void output_free(struct output *output) {
    buf_free(&output->buf);
}

/* A write was not possible. True: it may be tried again. */
static bool may_go_on(struct output *output) {
    struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int why = errno;
    if ((why == EAGAIN || why == EWOULDBLOCK) && poll(&wait, 1, -1) >= 0) {
        return true;
    }
    if (why == EINTR || errno == EINTR) { /* of Ctrl-C and SIGTERM alone */
        return error_set(&output->e, ERROR_INTERRUPTED, "interrupted");
    }
    return error_set(&output->e, ERROR_SYSTEM, "cannot write to standard output: %s", strerror(why));
}

bool output_flush(struct output *output) {
    size_t done = 0;
    while (output->e.code == ERROR_NONE && done < output->buf.len) {
        ssize_t got = write(STDOUT_FILENO, output->buf.ptr + done, output->buf.len - done);
        if (got >= 0) {
            done += (size_t)got;
        } else if (!may_go_on(output)) {
            break;
        }
    }
    buf_clear(&output->buf);
    buf_shrink(&output->buf, GATHER_BYTES * 4);
    return output->e.code == ERROR_NONE;
}

bool output_settle(struct output *output) {
    return output->buf.len < GATHER_BYTES ? output->e.code == ERROR_NONE : output_flush(output);
}

bool output_write(struct output *output, const char *ptr, size_t len) {
    if (output->buf.len + len > OUTPUT_MAX / 2 && !output_flush(output)) {
        return false;
    }
    if (!buf_append(&output->buf, ptr, len)) {
        return error_set(&output->e, ERROR_MEMORY, "out of memory for standard output");
    }
    return output_settle(output);
}
