#include "server/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "server/checkpoint.h"
#include "server/commit.h"
#include "server/files.h"

/* A fork of the index whose source may come later. */
struct link {
    struct stream *stream;
    uint64_t source;
};

struct recovery {
    struct streams *set;
    struct names ids;
    struct link *links;
    size_t link_count, link_places;
    char name[FOLDER_NAME]; /* the file being read */
    uint64_t batch;         /* of the last record read */
    struct error *e;
};

static bool damaged(const struct recovery *recovery, uint64_t at, const char *what) {
    return error_set(
        recovery->e, ERROR_SYSTEM,
        "%s/%s: at byte %llu: %s: the file is damaged; restore the folder, or cut this file there "
        "to lose what is behind it",
        recovery->set->folder->path, recovery->name, (unsigned long long)at, what);
}

static bool no_memory(const struct recovery *recovery) {
    return error_set(recovery->e, ERROR_MEMORY, "out of memory while reading %s/%s",
                     recovery->set->folder->path, recovery->name);
}

/* Ids */

static uint64_t hash_id(uint64_t id) {
    return id * UINT64_C(0x9E3779B97F4A7C15) >> 13;
}

static bool has_id(const void *value, const void *key) {
    return ((const struct stream *)value)->id == *(const uint64_t *)key;
}

static struct stream *find_id(const struct recovery *recovery, uint64_t id) {
    return names_find(&recovery->ids, hash_id(id), has_id, &id);
}

/* The index */

static bool later_link(struct recovery *recovery, struct stream *stream, uint64_t source) {
    struct link *links = list_room(recovery->links, recovery->link_count, &recovery->link_places, 64,
                                   sizeof *links);
    if (!links) {
        return false;
    }
    recovery->links = links;
    links[recovery->link_count++] = (struct link){stream, source};
    return true;
}

static bool take_writers(struct stream *stream, struct change *change) {
    struct change_writer named;
    bool any = change->writers > 0 || change->seq.ptr;
    if (any && !stream->writers) {
        stream->writers = writers_new();
    }
    if (any && !stream->writers) {
        return false;
    }
    while (change_writer_next(&change->rest, &named)) {
        struct writer *writer = writers_add(stream->writers, named.name);
        if (!writer) {
            return false;
        }
        writer->epoch = named.epoch;
        writer->seq = named.seq;
    }
    if (change->seq.ptr) {
        if (!writers_reserve_seq(stream->writers, change->seq.len)) {
            return false;
        }
        writers_set_seq(stream->writers, change->seq);
    }
    if (change->writer.name.ptr && stream->writers) {
        stream->writers->closer = writers_find(stream->writers, change->writer.name);
    }
    return true;
}

static bool take_state(struct recovery *recovery, struct change *change) {
    struct streams *set = recovery->set;
    struct stream *stream = stream_make(set, change, NULL, slice_of("", 0));
    if (!stream || !names_reserve(&recovery->ids) || !take_writers(stream, change) ||
        (change->source && !later_link(recovery, stream, change->source))) {
        if (stream) {
            stream_drop(stream);
        }
        return no_memory(recovery);
    }
    stream_enter(stream, change, slice_of("", 0));
    names_add(&recovery->ids, hash_id(stream->id), stream);
    stream->content.start = change->stored;
    stream->tail = stream->sealed = stream->staged = change->tail;
    stream->closed = stream->sealed_closed = stream->staged_closed;
    stream->file_end = change->file_end;
    stream->deleted = change->flags & CHANGE_DELETED;
    set->bytes += change->tail - change->position;
    if (stream->deleted) {
        expiry_remove(stream);
    }
    if (change->source) {
        stream->fork = malloc(sizeof *stream->fork);
        if (!stream->fork) {
            return no_memory(recovery);
        }
        *stream->fork = (struct fork){NULL, change->anchor, change->sub};
    }
    return true;
}

static bool link_forks(struct recovery *recovery) {
    for (size_t i = 0; i < recovery->link_count; i++) {
        struct link link = recovery->links[i];
        link.stream->fork->source = find_id(recovery, link.source);
        const struct stream *source = link.stream->fork->source;
        if (!source || source->id >= link.stream->id || link.stream->base > source->staged) {
            return damaged(recovery, 0, "a fork's source is missing");
        }
        link.stream->fork->source->forks++;
    }
    return true;
}

static bool take_states(struct recovery *recovery, struct slice text, uint64_t number) {
    size_t at = RECORD_FILE_HEADER;
    uint64_t found_number, count = 0;
    if (text.len < RECORD_FILE_HEADER || !record_file_number(text.ptr, &found_number) ||
        found_number != number) {
        return damaged(recovery, 0, "this is no index");
    }
    for (;;) {
        struct record record;
        struct change change;
        size_t start = at;
        if (record_next(text, number, &at, &record) != RECORD_OK) {
            return damaged(recovery, start, "the record is not whole");
        }
        if (record.kind == RECORD_END && record.number == count && record.meta.len == 8 && at == text.len) {
            recovery->set->last_id = record_get_u64(record.meta.ptr);
            return link_forks(recovery);
        }
        if (record.kind != RECORD_STATE || !change_decode(&record, &change) || change.tail != change.stored ||
            set_find(recovery->set, change.path)) {
            return damaged(recovery, start, "the record is not one of an index");
        }
        if (!take_state(recovery, &change)) {
            return false;
        }
        count++;
    }
}

static bool read_index(struct recovery *recovery, uint64_t number) {
    struct slice text;
    folder_name("index", number, recovery->name);
    if (!folder_map(recovery->set->folder, recovery->name, &text, recovery->e)) {
        return false;
    }
    bool read = take_states(recovery, text, number);
    folder_unmap(text);
    return read;
}

/* Journals */

static bool replay_create(struct recovery *recovery, const struct change *change, struct slice payload,
                          size_t at) {
    struct streams *set = recovery->set;
    struct stream *source = change->source ? find_id(recovery, change->source) : NULL;
    bool placed = change->source ? source && !source->gone && !source->deleted && source->id < change->id &&
                                       change->position <= source->staged
                                 : change->position == 0;
    if (!placed || set_find(set, change->path) || find_id(recovery, change->id)) {
        return damaged(recovery, at, "the stream cannot have been created here");
    }
    struct stream *stream = stream_make(set, change, source, payload);
    if (!stream || !names_reserve(&recovery->ids)) {
        if (stream) {
            stream_drop(stream);
        }
        return no_memory(recovery);
    }
    stream_enter(stream, change, payload);
    names_add(&recovery->ids, hash_id(stream->id), stream);
    commit_dirty(stream);
    return true;
}

static bool replay_append(struct recovery *recovery, const struct change *change, struct slice payload,
                          size_t at) {
    struct stream *stream = find_id(recovery, change->id);
    if (!stream || stream->gone || stream->deleted || stream->staged_closed ||
        stream->staged != change->position || payload.len > STREAM_POSITION_MAX - stream->staged) {
        return damaged(recovery, at, "the stream cannot have been appended to here");
    }
    commit_dirty(stream);
    return stream_apply(stream, change, payload) || no_memory(recovery);
}

static bool replay_delete(struct recovery *recovery, const struct change *change, size_t at) {
    struct stream *stream = find_id(recovery, change->id);
    if (!stream || stream->gone || stream->deleted) {
        return damaged(recovery, at, "the stream cannot have been deleted here");
    }
    commit_dirty(stream); /* which keeps what is gone, and so what `ids` points to */
    stream_remove(stream);
    return true;
}

static bool replay(struct recovery *recovery, const struct record *record, size_t at) {
    struct change change;
    if (!change_decode(record, &change)) {
        return damaged(recovery, at, "the record is not one of a journal");
    }
    recovery->batch = record->number;
    switch (record->kind) {
    case RECORD_CREATE:
        return replay_create(recovery, &change, record->payload, at);
    case RECORD_APPEND:
        return replay_append(recovery, &change, record->payload, at);
    case RECORD_DELETE:
        return replay_delete(recovery, &change, at);
    default:
        return damaged(recovery, at, "the record is not one of a journal");
    }
}

/* Whether a batch behind the one that is torn at `at` is there: it was written when that one was safe. */
static bool goes_on(const struct recovery *recovery, struct slice text, size_t at) {
    while (text.len - at > RECORD_HEADER) {
        const char *next = memmem(text.ptr + at + 1, text.len - at - 1, "WREC", 4);
        struct record record;
        if (!next) {
            return false;
        }
        at = (size_t)(next - text.ptr);
        size_t behind = at;
        if (record_next(text, JOURNAL_SEED, &behind, &record) == RECORD_OK &&
            record.number > recovery->batch + 1) {
            return true;
        }
    }
    return false;
}

/* The room that a journal has ahead. */
static bool only_zeros(struct slice bytes) {
    return bytes.len == 0 || (bytes.ptr[0] == 0 && memcmp(bytes.ptr, bytes.ptr + 1, bytes.len - 1) == 0);
}

static bool take_changes(struct recovery *recovery, struct slice text, bool last, size_t *end) {
    struct record record;
    enum record_found found;
    *end = RECORD_FILE_HEADER;
    while ((found = record_next(text, JOURNAL_SEED, end, &record)) == RECORD_OK) {
        if (!replay(recovery, &record, (size_t)(record.meta.ptr - text.ptr) - RECORD_HEADER)) {
            return false;
        }
    }
    bool torn = found == RECORD_BAD && !only_zeros(slice_of(text.ptr + *end, text.len - *end));
    if (torn && (!last || goes_on(recovery, text, *end))) {
        return damaged(recovery, *end, "the record is not whole");
    }
    if (torn && recovery->set->options.log) {
        log_write(recovery->set->options.log, LOG_INFO,
                  "%s/%s: the last write was not finished: its %zu bytes are cut off at byte %zu",
                  recovery->set->folder->path, recovery->name, text.len - *end, *end);
    }
    return true;
}

static bool read_journal(struct recovery *recovery, uint64_t number, bool last) {
    struct streams *set = recovery->set;
    struct journal *journal = &set->commit.journal;
    struct slice text;
    uint64_t found;
    size_t end;
    folder_name("journal", number, recovery->name);
    if (!folder_map(set->folder, recovery->name, &text, recovery->e)) {
        return false;
    }
    bool opened = true, read = true;
    /* Its header is safe before anything is written behind it. */
    if (last && (text.len < RECORD_FILE_HEADER || only_zeros(text))) {
        opened = journal_create(journal, set->folder, number, true);
    } else if (text.len < RECORD_FILE_HEADER || !record_file_number(text.ptr, &found) || found != number) {
        read = damaged(recovery, 0, "this is no journal");
    } else {
        read = take_changes(recovery, text, last, &end);
        opened = !read || !last || journal_resume(journal, set->folder, number, end);
    }
    folder_unmap(text);
    return read && (opened || error_set(recovery->e, ERROR_SYSTEM, "%s/%s: cannot write it: %s",
                                        set->folder->path, recovery->name, strerror(errno)));
}

static bool read_journals(struct recovery *recovery, uint64_t index) {
    struct streams *set = recovery->set;
    uint64_t first = 0, last = 0, wanted = index ? index : 1;
    if (!folder_range(set->folder, "journal", &first, &last)) {
        first = last = wanted;
        if (!journal_create(&set->commit.journal, set->folder, wanted, true)) {
            return error_set(recovery->e, ERROR_SYSTEM, "%s: cannot make a journal in it: %s",
                             set->folder->path, strerror(errno));
        }
        if (index) {
            return error_set(recovery->e, ERROR_SYSTEM, "%s: the journal is missing", set->folder->path);
        }
    } else {
        if (first > wanted || last < wanted) {
            return error_set(recovery->e, ERROR_SYSTEM, "%s: a journal is missing: number %llu",
                             set->folder->path, (unsigned long long)wanted);
        }
        for (uint64_t number = wanted; number <= last; number++) {
            if (!read_journal(recovery, number, number == last)) {
                return false;
            }
        }
    }
    checkpoint_known(set, index, first);
    return true;
}

/* Afterwards */

/* What was read is safe. */
static void settle(struct streams *set) {
    for (struct stream *stream = set->dirty; stream; stream = stream->next_dirty) {
        stream->tail = stream->sealed = stream->staged;
        stream->closed = stream->sealed_closed = stream->staged_closed;
        if (stream->gone) {
            stream->gone_safe = true;
            files_forget(stream);
        }
    }
}

static void sweep_folder(struct recovery *recovery, unsigned shard) {
    const struct folder *folder = recovery->set->folder;
    char path[FOLDER_NAME];
    snprintf(path, sizeof path, "streams/%02x", shard);
    int fd = openat(folder->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char *behind;
        uint64_t id = strtoull(entry->d_name, &behind, 16);
        if (strcmp(behind, ".log") == 0) {
            const struct stream *stream = find_id(recovery, id);
            if (!stream || stream->gone) {
                unlinkat(dirfd(dir), entry->d_name, 0);
            }
        }
    }
    closedir(dir);
}

/* Files of streams that are gone: a crash came before they were removed. */
static void sweep(struct recovery *recovery, uint64_t index) {
    const struct folder *folder = recovery->set->folder;
    char name[FOLDER_NAME];
    uint64_t first, last;
    for (unsigned shard = 0; shard < 256; shard++) {
        sweep_folder(recovery, shard);
    }
    folder_remove(folder, "index.new");
    if (index && folder_range(folder, "index", &first, &last)) {
        for (; first < index; first++) {
            folder_name("index", first, name);
            folder_remove(folder, name);
        }
    }
    if (index && folder_range(folder, "journal", &first, &last)) {
        for (; first < index; first++) {
            folder_name("journal", first, name);
            folder_remove(folder, name);
        }
    }
}

bool recover_folder(struct streams *set, struct error *e) {
    struct recovery recovery = {.set = set, .e = e};
    uint64_t first, index = 0;
    bool read = true;
    if (folder_range(set->folder, "index", &first, &index)) {
        read = read_index(&recovery, index);
    }
    read = read && read_journals(&recovery, index);
    if (read) {
        settle(set);
        sweep(&recovery, index);
        commit_number(set, recovery.batch + 1);
    }
    names_free(&recovery.ids);
    free(recovery.links);
    return read;
}
