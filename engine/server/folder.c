#include "server/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/record.h"

/* How much room a journal has ahead: filled with zeros; and reserved, which costs less. */
enum { FILL_LEAST = 64 * 1024, FILL_MOST = 4 * 1024 * 1024, RESERVE_MOST = 2 * FILL_MOST };

static const char *advice(int error) {
    switch (error) {
    case EACCES:
    case EPERM:
        return ": let this user read and write there, or name another folder";
    case EROFS:
        return ": name a folder on a file system that can be written to";
    case ENOTDIR:
        return ": name a folder, not a file";
    case ENOSPC:
    case EDQUOT:
        return ": make room there, or name another folder";
    default:
        return "";
    }
}

static bool fail(struct error *e, const char *path, const char *what) {
    return error_set(e, ERROR_SYSTEM, "%s: cannot %s: %s%s", path, what, strerror(errno), advice(errno));
}

static bool take_lock(struct folder *folder, struct error *e) {
    folder->lock = openat(folder->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (folder->lock < 0) {
        return fail(e, folder->path, "write the file 'lock' in it");
    }
    if (flock(folder->lock, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK) {
        return fail(e, folder->path, "lock it");
    }
    return error_set(e, ERROR_SYSTEM, "%s: another server uses this folder: stop it, or name another folder",
                     folder->path);
}

/* Makes every part of a path that is not there. */
static bool make_path(const char *path) {
    char *copy = strdup(path);
    if (!copy) {
        return false;
    }
    bool made = true;
    for (char *at = copy + 1; made && *at; at++) {
        if (*at == '/') {
            *at = '\0';
            made = mkdir(copy, 0700) == 0 || errno == EEXIST;
            *at = '/';
        }
    }
    made = made && (mkdir(copy, 0700) == 0 || errno == EEXIST);
    free(copy);
    return made;
}

struct folder *folder_open(const char *path, struct error *e) {
    struct folder *folder = malloc(sizeof *folder);
    if (!folder) {
        error_set(e, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    *folder = (struct folder){-1, -1, strdup(path)};
    bool opened = folder->path && path[0];
    if (!opened) {
        error_set(e, ERROR_ARGUMENT, "the data folder's name is empty");
    }
    if (opened && !make_path(path)) {
        opened = fail(e, path, "make the data folder");
    }
    if (opened && (folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        opened = fail(e, path, "open the data folder");
    }
    if (!opened || !take_lock(folder, e)) {
        folder_close(folder);
        return NULL;
    }
    return folder;
}

void folder_close(struct folder *folder) {
    if (folder) {
        if (folder->fd >= 0) {
            close(folder->fd);
        }
        if (folder->lock >= 0) {
            close(folder->lock);
        }
        free(folder->path);
        free(folder);
    }
}

void folder_name(const char *kind, uint64_t number, char out[FOLDER_NAME]) {
    snprintf(out, FOLDER_NAME, "%s-%016" PRIx64, kind, number);
}

void folder_stream_name(uint64_t id, char out[FOLDER_NAME]) {
    snprintf(out, FOLDER_NAME, "streams/%02x/%016" PRIx64 ".log", (unsigned)(id & 0xFF), id);
}

bool folder_number(const char *name, const char *kind, uint64_t *number) {
    size_t len = strlen(kind);
    if (strncmp(name, kind, len) != 0 || name[len] != '-' || strlen(name + len + 1) != 16 ||
        strspn(name + len + 1, "0123456789abcdef") != 16) {
        return false;
    }
    *number = strtoull(name + len + 1, NULL, 16);
    return true;
}

/* The folders that a stream's file is in. */
static bool make_between(const struct folder *folder, const char *name) {
    char path[FOLDER_NAME];
    for (const char *at = strchr(name, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(at - name), name);
        if (mkdirat(folder->fd, path, 0700) != 0 && errno != EEXIST) {
            return false;
        }
    }
    return true;
}

int folder_file(const struct folder *folder, const char *name, int flags) {
    int fd = openat(folder->fd, name, flags | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT && (flags & O_CREAT) && make_between(folder, name)) {
        fd = openat(folder->fd, name, flags | O_CLOEXEC, 0600);
    }
    return fd;
}

static bool sync_path(const struct folder *folder, const char *path) {
    int fd = openat(folder->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return synced;
}

bool folder_sync(const struct folder *folder, const char *name) {
    char path[FOLDER_NAME];
    for (const char *at = strchr(name, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(at - name), name);
        if (!sync_path(folder, path)) {
            return false;
        }
    }
    return fsync(folder->fd) == 0;
}

void folder_remove(const struct folder *folder, const char *name) {
    unlinkat(folder->fd, name, 0);
}

bool folder_map(const struct folder *folder, const char *name, struct slice *text, struct error *e) {
    char path[FOLDER_NAME];
    struct stat about;
    *text = slice_of("", 0);
    int fd = folder_file(folder, name, O_RDONLY);
    bool mapped = fd >= 0 && fstat(fd, &about) == 0;
    if (mapped && about.st_size > 0) {
        void *at = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        mapped = at != MAP_FAILED;
        *text = mapped ? slice_of(at, (size_t)about.st_size) : *text;
    }
    if (!mapped) {
        snprintf(path, sizeof path, "read '%.40s' in it", name);
        fail(e, folder->path, path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return mapped;
}

void folder_unmap(struct slice text) {
    if (text.len > 0) {
        munmap((void *)text.ptr, text.len);
    }
}

bool folder_range(const struct folder *folder, const char *kind, uint64_t *first, uint64_t *last) {
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    bool any = false;
    if (!dir) {
        return false;
    }
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        uint64_t number;
        if (folder_number(entry->d_name, kind, &number)) {
            *first = any && *first < number ? *first : number;
            *last = any && *last > number ? *last : number;
            any = true;
        }
    }
    closedir(dir);
    return any;
}

bool folder_write(int fd, struct slice bytes, uint64_t at) {
    while (bytes.len > 0) {
        ssize_t written = pwrite(fd, bytes.ptr, bytes.len, (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? EIO : errno;
            return false;
        }
        bytes = slice_of(bytes.ptr + written, bytes.len - (size_t)written);
        at += (uint64_t)written;
    }
    return true;
}

bool journal_create(struct journal *journal, const struct folder *folder, uint64_t number, bool sync) {
    char name[FOLDER_NAME], header[RECORD_FILE_HEADER];
    folder_name("journal", number, name);
    record_file_header(number, header);
    *journal = (struct journal){.fd = folder_file(folder, name, O_RDWR | O_CREAT | O_TRUNC),
                                .number = number};
    return journal->fd >= 0 && journal_write(journal, slice_of(header, sizeof header), sync) &&
           (!sync || folder_sync(folder, name));
}

bool journal_resume(struct journal *journal, const struct folder *folder, uint64_t number, uint64_t end) {
    char name[FOLDER_NAME];
    folder_name("journal", number, name);
    *journal = (struct journal){folder_file(folder, name, O_RDWR), number, end, end, end};
    return journal->fd >= 0 && ftruncate(journal->fd, (off_t)end) == 0 && fsync(journal->fd) == 0;
}

static bool allocate(const struct journal *journal, uint64_t end) {
    struct rlimit limit;
    int code;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur) {
        errno = EFBIG; /* not every file system looks at it here, but all do when it is written */
        return false;
    }
    do {
        code = fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->room,
                         (off_t)(end - journal->room));
    } while (code != 0 && errno == EINTR);
    return code == 0;
}

static bool says_full(int error) {
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

bool journal_reserve(struct journal *journal, uint64_t end) {
    if (end <= journal->room) {
        return true;
    }
    uint64_t more = end < FILL_LEAST ? FILL_LEAST : end < RESERVE_MOST ? end : RESERVE_MOST;
    if (allocate(journal, end + more)) {
        journal->room = end + more;
    } else if (!says_full(errno)) {
        journal->room = UINT64_MAX;
    } else if (allocate(journal, end)) {
        journal->room = end;
    } else {
        return false;
    }
    return true;
}

/* Zeros behind a position: as much again as there is, within limits. */
static void fill(struct journal *journal, uint64_t from) {
    uint64_t len = from < FILL_LEAST ? FILL_LEAST : from < FILL_MOST ? from : FILL_MOST;
    char *zeros = calloc(1, len);
    bool filled = zeros && folder_write(journal->fd, slice_of(zeros, len), from);
    journal->filled = filled ? from + len : from; /* no room: the next write finds out */
    free(zeros);
}

bool journal_write(struct journal *journal, struct slice bytes, bool sync) {
    uint64_t end = journal->end + bytes.len;
    if (!folder_write(journal->fd, bytes, journal->end)) {
        return false;
    }
    if (sync && end > journal->filled) {
        fill(journal, end);
    }
    if (sync && fdatasync(journal->fd) != 0) {
        return false;
    }
    journal->end = end;
    return true;
}

void journal_close(struct journal *journal) {
    if (journal->fd >= 0) {
        /* Where it cannot be cut, whoever reads it finds zeros, and stops there. */
        (void)!ftruncate(journal->fd, (off_t)journal->end);
        close(journal->fd);
        journal->fd = -1;
    }
}
