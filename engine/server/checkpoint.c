#include "server/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/commit.h"
#include "server/files.h"

/* With more files than this, one call makes the whole file system safe instead of one for each. One that failed
 * is tried again so much later at the earliest. */
enum { SYNC_EACH = 32, INDEX_BUFFER = 1024 * 1024, RETRY_MS = 5000 };

static const char new_index[] = "index.new"; /* until it is whole */

struct item {
    struct stream *stream;
    struct chunk **chunks; /* a reference each */
    uint32_t count;
    uint64_t from, to;        /* content */
    uint64_t file_end, grown; /* of the file: before, behind */
};

struct checkpoint {
    struct streams *set;
    struct background *background;
    bool prepared;
    struct item *items;
    size_t count, files;
    uint64_t *ids;     /* those whose state the old index does not know, sorted */
    struct buf states; /* RECORD_STATEs */
    size_t state_count;
    uint64_t last_id;
    uint64_t index;         /* the last one's number; 0: none */
    uint64_t first_journal; /* the oldest there is */
    uint64_t number;        /* of the one being made, and of the journal that goes on from it */
    uint64_t not_before;    /* in the loop's milliseconds */
    int error;
    const char *what; /* that failed */
};

/* Preparing */

static void release(struct checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->count; i++) {
        struct item *item = &checkpoint->items[i];
        for (uint32_t c = 0; c < item->count; c++) {
            chunk_drop(item->chunks[c]);
        }
        free(item->chunks);
        stream_drop(item->stream);
    }
    free(checkpoint->items);
    free(checkpoint->ids);
    checkpoint->items = NULL;
    checkpoint->ids = NULL;
    checkpoint->count = checkpoint->files = 0;
    checkpoint->prepared = false;
    buf_free(&checkpoint->states);
}

static bool take_chunks(struct item *item) {
    struct stream *stream = item->stream;
    const struct content *content = &stream->content;
    item->from = content->start;
    item->to = stream->staged;
    item->file_end = item->grown = stream->file_end;
    if (item->from == item->to) {
        return true;
    }
    item->grown = files_grown(stream, stream->file_end, item->to - item->from);
    item->chunks = malloc(content->count * sizeof(struct chunk *));
    if (!item->chunks) {
        return false;
    }
    for (; item->count < content->count; item->count++) {
        item->chunks[item->count] = chunk_hold(content->chunks[item->count]);
    }
    content_seal(&stream->content);
    return true;
}

static bool encode_writers(const struct writers *writers, struct buf *out, struct change *change) {
    if (!writers) {
        return true;
    }
    change->seq = writers->seq.len > 0 ? writers->seq : slice_of(NULL, 0);
    if (writers->closer) {
        change->writer.name = writer_name(writers->closer);
        change->writer.epoch = writers->closer->epoch;
        change->writer.seq = writers->closer->seq;
    }
    change->writers = writers->count;
    for (uint32_t i = 0; i < writers->count; i++) {
        const struct writer *writer = writers->list[i];
        struct change_writer named = {writer_name(writer), writer->epoch, writer->seq};
        if (!change_encode_writer(out, &named)) {
            return false;
        }
    }
    return true;
}

static uint8_t flags_of(const struct stream *stream) {
    return (uint8_t)((stream->staged_closed ? CHANGE_CLOSE : 0) | (stream->has_ttl ? CHANGE_TTL : 0) |
                     (stream->has_expires ? CHANGE_EXPIRES : 0) | (stream->deleted ? CHANGE_DELETED : 0));
}

static bool encode_state(struct checkpoint *checkpoint, const struct item *item) {
    const struct stream *stream = item->stream;
    struct buf writers, meta;
    struct change change = {
        .kind = RECORD_STATE,
        .flags = flags_of(stream),
        .id = stream->id,
        .position = stream->base,
        .path = stream_path(stream),
        .type = slice_of(stream->kind->bytes, stream->kind->len),
        .ttl_ms = stream->ttl_ms,
        .expires_ms = stream->expires_ms,
        .tail = stream->staged,
        .stored = item->to,
        .file_end = item->grown,
    };
    if (stream->fork) {
        change.source = stream->fork->source->id;
        change.anchor = stream->fork->anchor;
        change.sub = stream->fork->sub;
    }
    buf_init(&writers, RECORD_BODY_MAX);
    buf_init(&meta, RECORD_BODY_MAX);
    bool encoded = encode_writers(stream->writers, &writers, &change);
    change.rest = buf_slice(&writers);
    encoded = encoded && change_encode(&meta, &change);
    struct record record = {.kind = RECORD_STATE, .flags = change.flags, .meta = buf_slice(&meta)};
    encoded = encoded && record_append(&checkpoint->states, &record, checkpoint->number);
    buf_free(&writers);
    buf_free(&meta);
    checkpoint->state_count++;
    return encoded;
}

static bool take_stream(struct checkpoint *checkpoint, struct stream *stream) {
    struct item *item = &checkpoint->items[checkpoint->count];
    *item = (struct item){.stream = stream_hold(stream)};
    checkpoint->ids[checkpoint->count++] = stream->id;
    if (stream->gone) {
        return true;
    }
    if (!take_chunks(item) || !encode_state(checkpoint, item)) {
        return false;
    }
    checkpoint->files += item->from < item->to;
    return true;
}

static bool take_all(struct checkpoint *checkpoint, size_t count) {
    struct streams *set = checkpoint->set;
    checkpoint->items = malloc(count * sizeof *checkpoint->items);
    checkpoint->ids = malloc(count * sizeof *checkpoint->ids);
    checkpoint->state_count = 0;
    buf_init(&checkpoint->states, SIZE_MAX);
    if (!checkpoint->items || !checkpoint->ids) {
        return false;
    }
    for (struct stream *stream = set->dirty; stream; stream = stream->next_dirty) {
        if (!take_stream(checkpoint, stream)) {
            return false;
        }
    }
    return true;
}

static int compare_ids(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

void checkpoint_prepare(struct streams *set) {
    struct checkpoint *checkpoint = set->checkpoint;
    size_t count = 0;
    if (!checkpoint || set->closing || checkpoint->prepared || background_busy(checkpoint->background) ||
        set->commit.journal.end < set->options.checkpoint_bytes ||
        uv_now(loop_uv(set->loop)) < checkpoint->not_before) {
        return;
    }
    for (const struct stream *stream = set->dirty; stream; stream = stream->next_dirty) {
        count++;
    }
    checkpoint->number = set->commit.journal.number + 1;
    if (count == 0 || !take_all(checkpoint, count)) {
        release(checkpoint); /* memory is short: a later batch may have more luck */
        return;
    }
    checkpoint->prepared = true;
    checkpoint->last_id = set->last_id;
    while (set->dirty) {
        struct stream *stream = set->dirty;
        set->dirty = stream->next_dirty;
        stream->dirty = false;
        stream->flushing = true;
        stream_drop(stream);
    }
    qsort(checkpoint->ids, count, sizeof *checkpoint->ids, compare_ids);
}

/* Writing */

static bool fail(struct checkpoint *checkpoint, const char *what) {
    checkpoint->error = errno;
    checkpoint->what = what;
    return false;
}

static bool write_files(struct checkpoint *checkpoint) {
    bool each = checkpoint->files <= SYNC_EACH;
    bool sync = checkpoint->set->options.fsync != STREAMS_FSYNC_NONE;
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct item *item = &checkpoint->items[i];
        if (item->from < item->to &&
            !files_write(item->stream, item->chunks, item->from, item->to, item->file_end, each && sync)) {
            return fail(checkpoint, "write a stream's file");
        }
    }
    return each || !sync || syncfs(checkpoint->set->folder->fd) == 0 ||
           fail(checkpoint, "sync the streams' files");
}

struct output {
    int fd;
    uint64_t end;
    struct buf bytes;
    bool failed;
};

static void put(struct output *out, struct slice bytes) {
    if (out->failed) {
        return;
    }
    if (out->bytes.len > 0 && out->bytes.len + bytes.len > INDEX_BUFFER) {
        out->failed = !folder_write(out->fd, buf_slice(&out->bytes), out->end);
        out->end += out->bytes.len;
        buf_clear(&out->bytes);
    }
    out->failed = out->failed || !buf_append_slice(&out->bytes, bytes);
}

static void put_record(struct output *out, const struct record *record, uint64_t seed) {
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    out->failed = out->failed || !record_append(&bytes, record, seed);
    put(out, buf_slice(&bytes));
    buf_free(&bytes);
}

/* Copies the states of streams that did not change since the old index. */
static bool copy_old(struct checkpoint *checkpoint, struct output *out, uint64_t *count) {
    char name[FOLDER_NAME];
    struct slice old;
    struct record record;
    size_t at = RECORD_FILE_HEADER;
    if (!checkpoint->index) {
        return true;
    }
    folder_name("index", checkpoint->index, name);
    if (!folder_map(checkpoint->set->folder, name, &old, NULL)) {
        return fail(checkpoint, "read the old index");
    }
    enum record_found found = RECORD_BAD;
    while (old.len > at && (found = record_next(old, checkpoint->index, &at, &record)) == RECORD_OK &&
           record.kind != RECORD_END) {
        uint64_t id = record.meta.len >= 8 ? record_get_u64(record.meta.ptr) : 0;
        if (!bsearch(&id, checkpoint->ids, checkpoint->count, sizeof id, compare_ids)) {
            put_record(out, &record, checkpoint->number);
            ++*count;
        }
    }
    folder_unmap(old);
    errno = EIO;
    return found == RECORD_OK || fail(checkpoint, "read the old index");
}

static bool write_index(struct checkpoint *checkpoint) {
    char header[RECORD_FILE_HEADER], last_id[8];
    struct output out = {.fd = folder_file(checkpoint->set->folder, new_index, O_RDWR | O_CREAT | O_TRUNC)};
    if (out.fd < 0) {
        return fail(checkpoint, "make the new index");
    }
    buf_init(&out.bytes, SIZE_MAX);
    record_file_header(checkpoint->number, header);
    put(&out, slice_of(header, sizeof header));
    record_put_u64(last_id, checkpoint->last_id);
    struct record end = {RECORD_END, 0, checkpoint->state_count, slice_of(last_id, sizeof last_id), {"", 0}};
    bool copied = copy_old(checkpoint, &out, &end.number);
    put(&out, buf_slice(&checkpoint->states));
    put_record(&out, &end, checkpoint->number);
    bool written = copied && !out.failed && folder_write(out.fd, buf_slice(&out.bytes), out.end) &&
                   (checkpoint->set->options.fsync == STREAMS_FSYNC_NONE || fdatasync(out.fd) == 0);
    if (copied && !written) {
        fail(checkpoint, "write the new index");
    }
    buf_free(&out.bytes);
    close(out.fd);
    return written;
}

static bool rename_index(struct checkpoint *checkpoint) {
    const struct folder *folder = checkpoint->set->folder;
    char name[FOLDER_NAME];
    folder_name("index", checkpoint->number, name);
    return (renameat(folder->fd, new_index, folder->fd, name) == 0 && folder_sync(folder, name)) ||
           fail(checkpoint, "rename the new index");
}

static void remove_old(struct checkpoint *checkpoint) {
    const struct folder *folder = checkpoint->set->folder;
    char name[FOLDER_NAME];
    if (checkpoint->index) {
        folder_name("index", checkpoint->index, name);
        folder_remove(folder, name);
    }
    for (uint64_t journal = checkpoint->first_journal; journal < checkpoint->number; journal++) {
        folder_name("journal", journal, name);
        folder_remove(folder, name);
    }
    checkpoint->index = checkpoint->first_journal = checkpoint->number;
}

/* No index knows of what it wrote, which may be what a full disk is full of. */
static void undo(const struct checkpoint *checkpoint) {
    folder_remove(checkpoint->set->folder, new_index);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct item *item = &checkpoint->items[i];
        if (item->from < item->to) {
            files_cut(item->stream, item->file_end);
        }
    }
}

static void on_work(void *user) {
    struct checkpoint *checkpoint = user;
    checkpoint->error = 0;
    if (!write_files(checkpoint) || !write_index(checkpoint)) {
        undo(checkpoint);
    } else if (rename_index(checkpoint)) {
        remove_old(checkpoint);
    }
}

/* Afterwards */

static void give_back(struct checkpoint *checkpoint, bool done) {
    for (size_t i = 0; i < checkpoint->count; i++) {
        struct item *item = &checkpoint->items[i];
        struct stream *stream = item->stream;
        stream->flushing = false;
        if (!done) {
            commit_dirty(stream);
            continue;
        }
        stream->file_end = item->grown;
        if (stream->gone_safe) {
            files_forget(stream);
        } else if (!stream->gone) {
            content_forget(&stream->content, item->to);
        }
    }
    release(checkpoint);
}

static void on_done(void *user) {
    struct checkpoint *checkpoint = user;
    const struct streams *set = checkpoint->set;
    if (checkpoint->error) {
        checkpoint->not_before = uv_now(loop_uv(set->loop)) + RETRY_MS;
    }
    if (checkpoint->error && set->options.log) {
        log_write(set->options.log, LOG_WARN,
                  "%s: cannot %s: %s: the journal is kept, and this is tried again", set->folder->path,
                  checkpoint->what, strerror(checkpoint->error));
    }
    give_back(checkpoint, checkpoint->error == 0);
}

void checkpoint_abandon(struct streams *set) {
    struct checkpoint *checkpoint = set->checkpoint;
    if (checkpoint && checkpoint->prepared) {
        give_back(checkpoint, false);
    }
}

/* The journal before it is gone on with, and may be torn only as long as it is the last. */
static void discard_journal(const struct checkpoint *checkpoint) {
    char name[FOLDER_NAME];
    folder_name("journal", checkpoint->number, name);
    folder_remove(checkpoint->set->folder, name);
}

void checkpoint_start(struct streams *set) {
    struct checkpoint *checkpoint = set->checkpoint;
    struct journal next;
    if (!checkpoint || !checkpoint->prepared) {
        return;
    }
    bool sync = set->options.fsync != STREAMS_FSYNC_NONE;
    checkpoint->prepared = false;
    if (!journal_create(&next, set->folder, checkpoint->number, sync) || !commit_switch(set, &next)) {
        fail(checkpoint, "begin a new journal");
        journal_close(&next);
        discard_journal(checkpoint);
        on_done(checkpoint);
        return;
    }
    if (!background_start(checkpoint->background)) {
        on_work(checkpoint);
        on_done(checkpoint);
    }
}

bool checkpoint_init(struct streams *set) {
    struct checkpoint *checkpoint = set->checkpoint = calloc(1, sizeof *checkpoint);
    if (!checkpoint) {
        return false;
    }
    checkpoint->set = set;
    checkpoint->background = background_new(set->loop, on_work, on_done, checkpoint);
    return checkpoint->background;
}

void checkpoint_known(struct streams *set, uint64_t index, uint64_t first_journal) {
    set->checkpoint->index = index;
    set->checkpoint->first_journal = first_journal;
}

void checkpoint_end(struct streams *set) {
    struct checkpoint *checkpoint = set->checkpoint;
    if (checkpoint) {
        bool under_way = checkpoint->background && background_busy(checkpoint->background);
        background_free(checkpoint->background);
        if (under_way) {
            on_done(checkpoint);
        }
        checkpoint_abandon(set);
        while (set->dirty) {
            struct stream *stream = set->dirty;
            set->dirty = stream->next_dirty;
            stream->dirty = false;
            stream_drop(stream);
        }
        free(checkpoint);
        set->checkpoint = NULL;
    }
}
