#include "server/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"

enum { OPEN_MAX_FILES = 128, CACHE_FRAMES = 64 };

struct frame {
    uint64_t position, at; /* of its content in the stream; of its record in the file */
    uint64_t len;
};

struct openfile {
    struct stream *stream;
    int fd;
    struct frame *frames; /* those found so far */
    size_t count, places;
    uint64_t scanned; /* up to here in the file */
    struct openfile *next, *prev;
};

struct cached {
    uint64_t id, used;
    struct chunk *chunk;
};

struct files {
    struct openfile used; /* the list's head: the one used last comes first */
    unsigned count;
    struct cached cache[CACHE_FRAMES];
    uint64_t clock;
};

bool files_init(struct streams *set) {
    set->files = calloc(1, sizeof *set->files);
    if (set->files) {
        set->files->used.next = set->files->used.prev = &set->files->used;
    }
    return set->files;
}

static void unlink_file(struct openfile *file) {
    file->next->prev = file->prev;
    file->prev->next = file->next;
}

static void put_first(struct files *files, struct openfile *file) {
    file->next = files->used.next;
    file->prev = &files->used;
    file->next->prev = file;
    files->used.next = file;
}

static void free_file(struct openfile *file) {
    close(file->fd);
    free(file->frames);
    free(file);
}

static void close_file(struct files *files, struct openfile *file) {
    unlink_file(file);
    files->count--;
    file->stream->file = NULL;
    free_file(file);
}

void files_close(struct stream *stream) {
    if (stream->file) {
        close_file(stream->set->files, stream->file);
    }
}

void files_free(struct streams *set) {
    struct files *files = set->files;
    if (files) {
        for (struct openfile *file = files->used.next, *next; file != &files->used; file = next) {
            next = file->next;
            file->stream->file = NULL;
            free_file(file);
        }
        for (int i = 0; i < CACHE_FRAMES; i++) {
            chunk_drop(files->cache[i].chunk);
        }
        free(files);
        set->files = NULL;
    }
}

void files_forget(struct stream *stream) {
    char name[FOLDER_NAME];
    if (stream->file_end > 0 && !stream->flushing) {
        folder_stream_name(stream->id, name);
        folder_remove(stream->set->folder, name);
        stream->file_end = 0;
    }
}

/* Opening */

static void complain(const struct stream *stream, uint64_t at, const char *what) {
    const struct streams *set = stream->set;
    char name[FOLDER_NAME];
    folder_stream_name(stream->id, name);
    if (set->options.log) {
        log_write(set->options.log, LOG_ERROR,
                  "%s/%s: at byte %llu: %s; the stream '%.*s' cannot be read there", set->folder->path, name,
                  (unsigned long long)at, what, (int)stream->path_len, stream->path);
    }
}

static struct openfile *open_file(struct stream *stream) {
    struct files *files = stream->set->files;
    char name[FOLDER_NAME];
    if (stream->file) {
        unlink_file(stream->file);
        put_first(files, stream->file);
        return stream->file;
    }
    if (files->count >= OPEN_MAX_FILES) {
        close_file(files, files->used.prev);
    }
    struct openfile *file = calloc(1, sizeof *file);
    folder_stream_name(stream->id, name);
    if (!file || (file->fd = folder_file(stream->set->folder, name, O_RDONLY)) < 0) {
        complain(stream, 0, file ? strerror(errno) : "out of memory");
        free(file);
        return NULL;
    }
    file->stream = stream;
    file->scanned = RECORD_FILE_HEADER;
    stream->file = file;
    files->count++;
    put_first(files, file);
    return file;
}

static bool add_frame(struct openfile *file, struct frame frame) {
    struct frame *frames = list_room(file->frames, file->count, &file->places, 4, sizeof *frames);
    if (!frames) {
        return false;
    }
    file->frames = frames;
    frames[file->count++] = frame;
    return true;
}

static uint64_t known_end(const struct openfile *file) {
    if (file->count == 0) {
        return file->stream->base;
    }
    const struct frame *last = &file->frames[file->count - 1];
    return last->position + last->len;
}

static bool read_all(int fd, char *out, size_t len, uint64_t at) {
    while (len > 0) {
        ssize_t got = pread(fd, out, len, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        out += got;
        len -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

/* Walks over headers until the frame at a position is known. */
static bool scan_to(struct openfile *file, uint64_t position) {
    const struct stream *stream = file->stream;
    while (known_end(file) <= position) {
        char header[RECORD_HEADER];
        struct record record;
        size_t body;
        if (file->scanned + RECORD_HEADER > stream->file_end ||
            !read_all(file->fd, header, sizeof header, file->scanned) ||
            !record_peek(header, &record, &body) || file->scanned + RECORD_HEADER + body > stream->file_end ||
            (record.kind == RECORD_FRAME && (record.number != known_end(file) || body > FILES_FRAME_MAX))) {
            complain(stream, file->scanned, "no record is where one should be");
            return false;
        }
        if (record.kind == RECORD_FRAME &&
            !add_frame(file, (struct frame){record.number, file->scanned, body})) {
            return false;
        }
        file->scanned += RECORD_HEADER + body;
    }
    return true;
}

static const struct frame *find_frame(const struct openfile *file, uint64_t position) {
    size_t low = 0, high = file->count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (position < file->frames[middle].position + file->frames[middle].len) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return &file->frames[low];
}

/* Frames */

static struct chunk *read_frame(struct openfile *file, const struct frame *frame) {
    struct chunk *chunk = chunk_new(frame->position, RECORD_HEADER + frame->len);
    struct record record;
    size_t at = 0;
    if (!chunk) {
        return NULL;
    }
    if (!read_all(file->fd, chunk->bytes, chunk->cap, frame->at) ||
        record_next(slice_of(chunk->bytes, chunk->cap), file->stream->id, &at, &record) != RECORD_OK ||
        record.payload.len != frame->len) {
        complain(file->stream, frame->at, "the record is damaged");
        chunk_drop(chunk);
        return NULL;
    }
    memmove(chunk->bytes, record.payload.ptr, frame->len);
    chunk->len = frame->len;
    return chunk;
}

static struct chunk *find_cached(struct files *files, uint64_t id, uint64_t position) {
    for (int i = 0; i < CACHE_FRAMES; i++) {
        struct cached *cached = &files->cache[i];
        if (cached->id == id && cached->chunk && position >= cached->chunk->position &&
            position < chunk_end(cached->chunk)) {
            cached->used = ++files->clock;
            return chunk_hold(cached->chunk);
        }
    }
    return NULL;
}

static void keep(struct files *files, uint64_t id, struct chunk *chunk) {
    struct cached *oldest = files->cache;
    for (int i = 1; i < CACHE_FRAMES; i++) {
        if (files->cache[i].used < oldest->used) {
            oldest = &files->cache[i];
        }
    }
    chunk_drop(oldest->chunk);
    *oldest = (struct cached){id, ++files->clock, chunk_hold(chunk)};
}

struct chunk *files_chunk(struct stream *stream, uint64_t position) {
    struct files *files = stream->set->files;
    struct chunk *chunk = find_cached(files, stream->id, position);
    if (chunk) {
        return chunk;
    }
    struct openfile *file = open_file(stream);
    if (!file || !scan_to(file, position) || file->count == 0) {
        return NULL;
    }
    chunk = read_frame(file, find_frame(file, position));
    if (chunk) {
        keep(files, stream->id, chunk);
    }
    return chunk;
}

/* Writing */

static bool make_head(const struct stream *stream, struct buf *out) {
    char header[RECORD_FILE_HEADER];
    struct buf meta;
    struct change change = {.kind = RECORD_HEAD,
                            .id = stream->id,
                            .path = stream_path(stream),
                            .type = slice_of(stream->kind->bytes, stream->kind->len)};
    buf_init(&meta, STREAM_PATH_MAX + STREAM_TYPE_MAX + 64);
    record_file_header(stream->id, header);
    bool made = buf_append(out, header, sizeof header) && change_encode(&meta, &change);
    struct record record = {.kind = RECORD_HEAD, .meta = buf_slice(&meta)};
    made = made && record_append(out, &record, stream->id);
    buf_free(&meta);
    return made;
}

static uint64_t head_len(const struct stream *stream) {
    return RECORD_FILE_HEADER + RECORD_HEADER + 8 + 4 + stream->path_len + 4 + stream->kind->len;
}

uint64_t files_grown(const struct stream *stream, uint64_t file_end, uint64_t len) {
    uint64_t frames = (len + FILES_FRAME_MAX - 1) / FILES_FRAME_MAX;
    return (file_end ? file_end : head_len(stream)) + len + frames * RECORD_HEADER;
}

/* Fills a frame's payload from chunks; *chunks moves on. */
static void gather(struct chunk *const **chunks, uint64_t position, char *out, size_t len) {
    while (len > 0) {
        const struct chunk *chunk = **chunks;
        uint64_t end = chunk_end(chunk);
        if (end <= position) {
            ++*chunks;
            continue;
        }
        size_t part = end - position < len ? (size_t)(end - position) : len;
        memcpy(out, chunk->bytes + (position - chunk->position), part);
        out += part;
        len -= part;
        position += part;
    }
}

static bool write_frames(int fd, const struct stream *stream, struct chunk *const *chunks, uint64_t from,
                         uint64_t to, uint64_t at) {
    uint64_t most = to - from < FILES_FRAME_MAX ? to - from : FILES_FRAME_MAX;
    char *bytes = malloc(RECORD_HEADER + most);
    bool written = bytes;
    while (written && from < to) {
        size_t len = to - from < FILES_FRAME_MAX ? (size_t)(to - from) : FILES_FRAME_MAX;
        gather(&chunks, from, bytes + RECORD_HEADER, len);
        struct record record = {.kind = RECORD_FRAME, .number = from};
        record.payload = slice_of(bytes + RECORD_HEADER, len);
        record_seal(bytes, &record, stream->id);
        written = folder_write(fd, slice_of(bytes, RECORD_HEADER + len), at);
        at += RECORD_HEADER + len;
        from += len;
    }
    free(bytes);
    return written;
}

void files_cut(const struct stream *stream, uint64_t file_end) {
    const struct folder *folder = stream->set->folder;
    char name[FOLDER_NAME];
    folder_stream_name(stream->id, name);
    if (!file_end) {
        folder_remove(folder, name);
        return;
    }
    int fd = folder_file(folder, name, O_RDWR);
    if (fd >= 0) {
        (void)!ftruncate(fd, (off_t)file_end); /* the next one that is written is cut first as well */
        close(fd);
    }
}

bool files_write(const struct stream *stream, struct chunk *const *chunks, uint64_t from, uint64_t to,
                 uint64_t file_end, bool sync) {
    const struct folder *folder = stream->set->folder;
    char name[FOLDER_NAME];
    struct buf head;
    buf_init(&head, 64 * 1024);
    folder_stream_name(stream->id, name);
    int fd = folder_file(folder, name, file_end ? O_RDWR : O_RDWR | O_CREAT | O_TRUNC);
    bool written = fd >= 0;
    uint64_t at = file_end;
    if (written && !file_end) {
        at = head_len(stream);
        written = make_head(stream, &head) && folder_write(fd, buf_slice(&head), 0);
    }
    /* A checkpoint that was not finished may have left more. */
    written = written && ftruncate(fd, (off_t)at) == 0 && write_frames(fd, stream, chunks, from, to, at) &&
              (!sync || (fdatasync(fd) == 0 && (file_end || folder_sync(folder, name))));
    int error = errno;
    buf_free(&head);
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return written;
}
