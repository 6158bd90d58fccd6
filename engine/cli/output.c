#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/interrupt.h"

enum { GATHER_BYTES = 64 * 1024, LOOK_MS = 200 };

void output_init(struct output *output) {
    *output = (struct output){0};
    buf_init(&output->buf, OUTPUT_MAX);
}

void output_free(struct output *output) {
    buf_free(&output->buf);
}

/* Waits until something can be written, or a write would say why not. False: a signal came first, Ctrl-C or
 * SIGTERM alone. It may come just before the wait, which therefore ends now and then. */
static bool wait_for_room(struct output *output) {
    struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
    for (;;) {
        bool interrupted = *interrupt_flag();
        int got = poll(&wait, 1, interrupted ? 0 : LOOK_MS);
        if (got > 0) {
            return true;
        }
        if (interrupted || (got < 0 && errno == EINTR)) {
            return error_set(&output->e, ERROR_INTERRUPTED, "interrupted");
        }
    }
}

/* The bytes that a write takes without waiting for a reader: a signal that comes while it waits would be
 * lost where some bytes had been written. */
static size_t most_at_once(void) {
    struct stat st;
    bool file = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    return file ? SSIZE_MAX : PIPE_BUF;
}

bool output_flush(struct output *output) {
    size_t done = 0;
    size_t most = output->buf.len > 0 ? most_at_once() : 0;
    while (output->e.code == ERROR_NONE && done < output->buf.len && wait_for_room(output)) {
        size_t left = output->buf.len - done;
        ssize_t got = write(STDOUT_FILENO, output->buf.ptr + done, left < most ? left : most);
        if (got >= 0) {
            done += (size_t)got;
        } else if (errno != EAGAIN && errno != EINTR) {
            error_set(&output->e, ERROR_SYSTEM, "cannot write to standard output: %s", strerror(errno));
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
