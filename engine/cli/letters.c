#include "cli/letters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/follow.h"
#include "stream/source.h"
#include "json/read.h"
#include "json/scan.h"

enum { PIECE_BYTES = 1 << 20, ROOM_FIRST = 64 };

#define DATA_BYTES_MAX ((size_t)1 << 30)

void letters_init(struct letters *letters, const char *location, const char *shown) {
    *letters = (struct letters){.location = location, .shown = shown, .fd = -1};
    letters->is_stream = source_is_url(location);
    buf_init(&letters->data, DATA_BYTES_MAX);
}

void letters_free(struct letters *letters) {
    if (letters->fd >= 0) {
        close(letters->fd);
    }
    buf_free(&letters->data);
    free(letters->items);
}

static bool system_error(const struct letters *letters, const char *what, struct error *e) {
    return error_set(e, ERROR_SYSTEM, "%s: %s: %s", letters->shown, what, strerror(errno));
}

/* ---- reading ---- */

/* From where the file stands to its end. */
static bool read_rest(const struct letters *letters, struct buf *out, struct error *e) {
    for (;;) {
        if (!buf_reserve(out, PIECE_BYTES) && !buf_reserve(out, 1)) {
            return buf_error(out, e, letters->shown, "retry a part of the file at a time");
        }
        ssize_t got = read(letters->fd, out->ptr + out->len, out->cap - out->len);
        if (got == 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return system_error(letters, "cannot be read", e);
        }
        out->len += got > 0 ? (size_t)got : 0;
    }
}

/* Not while a worker is at a line. */
static bool read_file(struct letters *letters, struct error *e) {
    letters->fd = open(letters->location, O_RDONLY | O_CLOEXEC);
    if (letters->fd < 0) {
        return system_error(letters, "cannot be opened", e);
    }
    flock(letters->fd, LOCK_SH);
    bool ok = read_rest(letters, &letters->data, e);
    flock(letters->fd, LOCK_UN);
    return ok;
}

static bool read_stream(struct letters *letters, struct client *client, struct error *e) {
    struct follow follow;
    follow_init(&follow);
    follow.into = &letters->data;
    bool ok = follow_run(&follow, client, e);
    follow_free(&follow);
    return ok;
}

static struct slice member(struct slice object, struct slice name, enum json_kind kind) {
    struct slice value = json_member(object, name);
    return value.ptr && json_kind_of(value) == kind ? value : (struct slice){0};
}

static void parse(struct letter *letter) {
    struct error bad;
    struct slice text = json_trim(letter->line);
    if (text.len == 0 || !json_check(text, &bad) || json_kind_of(text) != JSON_OBJECT) {
        return;
    }
    letter->stream = member(text, SLICE("stream"), JSON_STRING);
    letter->url = member(text, SLICE("url"), JSON_STRING);
    letter->event = member(text, SLICE("event"), JSON_STRING);
    letter->offset = member(text, SLICE("offset"), JSON_STRING);
    letter->index = member(text, SLICE("index"), JSON_NUMBER);
    letter->sequence = member(text, SLICE("sequence"), JSON_NUMBER);
    letter->is_bytes = !letter->event.ptr && member(text, SLICE("bytes"), JSON_STRING).ptr;
}

static bool add(struct letters *letters, size_t *room, struct slice line, uint64_t number) {
    if (letters->count == *room) {
        size_t wanted = *room ? *room * 2 : ROOM_FIRST;
        struct letter *grown = realloc(letters->items, wanted * sizeof *grown);
        if (!grown) {
            return false;
        }
        letters->items = grown;
        *room = wanted;
    }
    struct letter *letter = &letters->items[letters->count++];
    *letter = (struct letter){.line = line, .number = number};
    parse(letter);
    return true;
}

static bool split(struct letters *letters, struct error *e) {
    const char *at = letters->data.ptr;
    const char *end = at + letters->data.len;
    size_t room = 0;
    for (uint64_t number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline + 1 : end;
        struct slice line = slice_of(at, (size_t)(stop - at));
        if (json_trim(line).len > 0 && !add(letters, &room, line, number)) {
            return error_set(e, ERROR_MEMORY, "%s: out of memory for its letters", letters->shown);
        }
        at = stop;
    }
    return true;
}

bool letters_read(struct letters *letters, struct client *client, struct error *e) {
    return (letters->is_stream ? read_stream(letters, client, e) : read_file(letters, e)) &&
           split(letters, e);
}

bool letter_identity(const struct letter *letter, char id[ONCE_ID]) {
    struct buf place;
    struct buf text;
    buf_init(&place, DATA_BYTES_MAX);
    buf_init(&text, DATA_BYTES_MAX);
    bool counted = letter->sequence.ptr != NULL;
    bool ok = buf_append_slice(&place, letter->stream) && buf_append_byte(&place, ' ') &&
              buf_append_slice(&place, letter->url) && buf_append_byte(&place, ' ') &&
              buf_append_slice(&place, counted ? letter->sequence : letter->offset) &&
              (counted || (buf_append_byte(&place, ' ') && buf_append_slice(&place, letter->index))) &&
              buf_append_byte(&place, '\0') && buf_append_slice(&text, letter->event) &&
              buf_append_byte(&text, '\0');
    if (ok) {
        once_id(id, "weir-retry", place.ptr, text.ptr);
    }
    buf_free(&place);
    buf_free(&text);
    return ok;
}

/* ---- writing ---- */

static bool write_all(int fd, struct slice bytes) {
    for (size_t done = 0; done < bytes.len;) {
        ssize_t wrote = write(fd, bytes.ptr + done, bytes.len - done);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static bool is_in_place(const struct letters *letters) {
    struct stat named;
    struct stat held;
    return stat(letters->location, &named) == 0 && fstat(letters->fd, &held) == 0 &&
           named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

static bool gather_rest(const struct letters *letters, struct buf *rest, struct error *e) {
    for (size_t i = 0; i < letters->count; i++) {
        const struct letter *letter = &letters->items[i];
        if (!letter->done && !buf_append_slice(rest, letter->line)) {
            return buf_error(rest, e, letters->shown, NULL);
        }
    }
    bool cut = rest->len && rest->ptr[rest->len - 1] != '\n';
    return ((!cut || buf_append_byte(rest, '\n')) ||
            error_set(e, ERROR_MEMORY, "%s: out of memory", letters->shown)) &&
           read_rest(letters, rest, e); /* what a worker has written meanwhile */
}

/* A new file beside it, with the same mode, on the disk. */
static bool write_aside(const struct letters *letters, const char *aside, struct slice rest,
                        struct error *e) {
    struct stat status;
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return system_error(letters, "cannot write what is left beside it", e);
    }
    bool ok = fstat(letters->fd, &status) == 0 && fchmod(fd, status.st_mode & 07777) == 0 &&
              write_all(fd, rest) && fsync(fd) == 0;
    ok = ok || system_error(letters, "cannot write what is left beside it", e);
    close(fd);
    return ok;
}

/* So that after a crash of the machine the name means one of the two files. */
static void sync_folder(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static bool replace(const struct letters *letters, struct slice rest, struct error *e) {
    char path[PATH_MAX];
    char aside[PATH_MAX];
    if (!realpath(letters->location, path)) { /* a link stays one */
        return system_error(letters, "cannot be found", e);
    }
    if (snprintf(aside, sizeof aside, "%s.retry.tmp", path) >= (int)sizeof aside) {
        return error_set(e, ERROR_LIMIT, "%s: its path is too long", letters->shown);
    }
    bool ok = write_aside(letters, aside, rest, e) &&
              (rename(aside, path) == 0 || system_error(letters, "cannot be replaced", e));
    if (ok) {
        sync_folder(path);
    } else {
        unlink(aside);
    }
    return ok;
}

bool letters_keep_rest(const struct letters *letters, struct error *e) {
    struct buf rest;
    if (letters->is_stream) {
        return true;
    }
    buf_init(&rest, DATA_BYTES_MAX);
    flock(letters->fd, LOCK_EX);
    bool ok =
        is_in_place(letters) ||
        error_set(
            e, ERROR_SYSTEM,
            "%s: has been moved or replaced since it was read: what went through is still in it, and is "
            "stored once if it is retried again",
            letters->shown);
    ok = ok && gather_rest(letters, &rest, e) && replace(letters, buf_slice(&rest), e);
    flock(letters->fd, LOCK_UN);
    buf_free(&rest);
    return ok;
}
