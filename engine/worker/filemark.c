#include "worker/filemark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { ENDS = 64 << 10 };

int filemark_open(const char *path, bool *regular) {
    struct stat st;
    *regular = stat(path, &st) == 0 && S_ISREG(st.st_mode); /* a pipe is not to be opened twice */
    return *regular ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
}

static bool hash_at(int fd, uint64_t at, size_t len, uint64_t *hash, struct error *e) {
    char *bytes = malloc(len + 1);
    size_t have = 0;
    ssize_t got = 1;
    while (bytes && have < len && got > 0) {
        got = pread(fd, bytes + have, len - have, (off_t)(at + have));
        have += got > 0 ? (size_t)got : 0;
    }
    bool ok = bytes && have == len;
    if (ok) {
        *hash = XXH3_64bits(bytes, len);
    } else if (bytes) {
        error_set(e, ERROR_SYSTEM, "the file cannot be read: %s", got < 0 ? strerror(errno) : "it was cut");
    } else {
        error_set(e, ERROR_MEMORY, "out of memory");
    }
    free(bytes);
    return ok;
}

bool filemark_take(int fd, uint64_t reached, struct filemark *mark, struct error *e) {
    size_t len = reached < ENDS ? (size_t)reached : ENDS;
    *mark = (struct filemark){.reached = reached};
    return hash_at(fd, 0, len, &mark->head, e) && hash_at(fd, reached - len, len, &mark->tail, e);
}

static bool compare(int fd, const struct filemark *mark, bool whole, struct error *e) {
    struct stat st;
    struct filemark now;
    if (fstat(fd, &st) != 0) {
        return error_set(e, ERROR_SYSTEM, "the file cannot be read: %s", strerror(errno));
    }
    if ((uint64_t)st.st_size < mark->reached) {
        return error_set(e, ERROR_ARGUMENT,
                         "the file has %lld bytes, and %llu had been read: it was cut or replaced",
                         (long long)st.st_size, (unsigned long long)mark->reached);
    }
    if (whole && (uint64_t)st.st_size != mark->reached) {
        return error_set(e, ERROR_ARGUMENT, "the file, a JSON array, has grown or was replaced");
    }
    if (!filemark_take(fd, mark->reached, &now, e)) {
        return false;
    }
    return (now.head == mark->head && now.tail == mark->tail) ||
           error_set(e, ERROR_ARGUMENT, "the file was replaced, or what had been read of it was changed");
}

bool filemark_check(const char *path, const struct filemark *mark, bool whole, struct error *e) {
    bool regular;
    int fd = filemark_open(path, &regular);
    if (fd < 0) {
        return error_set(e, ERROR_SYSTEM, "the file cannot be opened: %s",
                         regular ? strerror(errno) : "it is no regular file");
    }
    bool ok = compare(fd, mark, whole, e);
    close(fd);
    return ok;
}
