#include "worker/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { READABLE_MAX = 48, FOLDER_MODE = 0700, FILE_MODE = 0600 };

static const char lock_name[] = "lock";
static const char unfinished[] = ".snapshot.tmp";

struct datadir {
    char *path;
    int fd;
    int lock;
};

const char *datadir_path(const struct datadir *dir) {
    return dir->path;
}

void datadir_close(struct datadir *dir) {
    if (!dir) {
        return;
    }
    if (dir->lock >= 0) {
        close(dir->lock);
    }
    if (dir->fd >= 0) {
        close(dir->fd);
    }
    free(dir->path);
    free(dir);
}

static bool open_folder(struct datadir *dir, struct error *e) {
    if (mkdir(dir->path, FOLDER_MODE) != 0 && errno != EEXIST) {
        return error_set(e, ERROR_SYSTEM, "data: %s: the folder cannot be made: %s", dir->path,
                         strerror(errno));
    }
    dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir->fd >= 0 || error_set(e, ERROR_SYSTEM, "data: %s: cannot be opened: %s: expected a folder",
                                     dir->path, strerror(errno));
}

/* Who holds the lock, as far as the file tells. */
static bool is_locked(const struct datadir *dir, struct error *e) {
    char text[24] = "";
    ssize_t got = pread(dir->lock, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;
    return pid > 0
               ? error_set(e, ERROR_SYSTEM,
                           "data: %s: is in use by another worker (process %ld): give each its own folder",
                           dir->path, pid)
               : error_set(e, ERROR_SYSTEM, "data: %s: is in use by another worker: give each its own folder",
                           dir->path);
}

/* The lock goes with the process, however it ends. */
static bool take_lock(struct datadir *dir, struct error *e) {
    dir->lock = openat(dir->fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (dir->lock < 0) {
        return error_set(e, ERROR_SYSTEM, "data: %s/%s: cannot be opened: %s", dir->path, lock_name,
                         strerror(errno));
    }
    if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? is_locked(dir, e)
                                    : error_set(e, ERROR_SYSTEM, "data: %s/%s: cannot be locked: %s",
                                                dir->path, lock_name, strerror(errno));
    }
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(dir->lock, 0) != 0 || pwrite(dir->lock, text, (size_t)len, 0) != len) {
        return error_set(e, ERROR_SYSTEM, "data: %s/%s: cannot be written: %s", dir->path, lock_name,
                         strerror(errno));
    }
    return true;
}

static bool is_unfinished(const char *name) {
    size_t len = strlen(name);
    size_t suffix = strlen(unfinished);
    return len > suffix && strcmp(name + len - suffix, unfinished) == 0;
}

/* What a worker that was killed had begun. A failure costs nothing but room. */
static void clean(const struct datadir *dir) {
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (const struct dirent *entry; (entry = readdir(list));) {
        if (is_unfinished(entry->d_name)) {
            unlinkat(dir->fd, entry->d_name, 0);
        }
    }
    closedir(list);
}

struct datadir *datadir_open(const char *path, struct error *e) {
    struct datadir *dir = calloc(1, sizeof *dir);
    if (dir) {
        dir->fd = dir->lock = -1;
        dir->path = strdup(path);
    }
    if (!dir || !dir->path) {
        error_set(e, ERROR_MEMORY, "data: out of memory");
        datadir_close(dir);
        return NULL;
    }
    if (!open_folder(dir, e) || !take_lock(dir, e)) {
        datadir_close(dir);
        return NULL;
    }
    clean(dir);
    return dir;
}

static bool is_plain(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '.';
}

/* The end of a name tells more than its start, which may be a host or a long path. */
void datadir_name(const char *stream, const char *suffix, char name[DATADIR_NAME]) {
    size_t len = strlen(stream);
    uint64_t hash = XXH3_64bits(stream, len);
    const char *from = len > READABLE_MAX ? stream + len - READABLE_MAX : stream;
    char readable[READABLE_MAX + 1];
    size_t used = 0;
    for (; *from; from++) {
        bool plain = is_plain(*from) && !(used == 0 && *from == '.');
        if (plain || (used > 0 && readable[used - 1] != '_')) {
            readable[used++] = (char)(plain ? *from : '_');
        }
    }
    readable[used] = '\0';
    snprintf(name, DATADIR_NAME, "%s-%016" PRIx64 "%s.snapshot", used ? readable : "stream", hash, suffix);
}

int datadir_read(const struct datadir *dir, const char *name) {
    return openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static void unfinished_name(const char *name, char path[DATADIR_NAME + 8]) {
    snprintf(path, DATADIR_NAME + 8, "%s.tmp", name);
}

int datadir_begin(const struct datadir *dir, const char *name, struct error *e) {
    char path[DATADIR_NAME + 8];
    unfinished_name(name, path);
    unlinkat(dir->fd, path, 0);
    int fd = openat(dir->fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        error_set(e, ERROR_SYSTEM, "%s/%s: cannot be made: %s", dir->path, path, strerror(errno));
    }
    return fd;
}

void datadir_abandon(const struct datadir *dir, const char *name, int fd) {
    char path[DATADIR_NAME + 8];
    unfinished_name(name, path);
    close(fd);
    unlinkat(dir->fd, path, 0);
}

bool datadir_commit(const struct datadir *dir, const char *name, int fd, struct error *e) {
    char path[DATADIR_NAME + 8];
    unfinished_name(name, path);
    if (fsync(fd) != 0) {
        error_set(e, ERROR_SYSTEM, "%s/%s: cannot be synced: %s", dir->path, path, strerror(errno));
        datadir_abandon(dir, name, fd);
        return false;
    }
    if (renameat(dir->fd, path, dir->fd, name) != 0) {
        error_set(e, ERROR_SYSTEM, "%s/%s: cannot be put in its place: %s", dir->path, path, strerror(errno));
        datadir_abandon(dir, name, fd);
        return false;
    }
    close(fd);
    return fsync(dir->fd) == 0 ||
           error_set(e, ERROR_SYSTEM, "%s: the folder cannot be synced: %s", dir->path, strerror(errno));
}
