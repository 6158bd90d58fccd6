#include "server/commit.h"

#include <errno.h>
#include <string.h>

#include "server/checkpoint.h"
#include "server/files.h"

/* Memory that a batch keeps for the next one; room on the disk that is left for deletions, so that they can
 * make more. */
enum { BATCH_KEEPS = 4 * 1024 * 1024, ROOM_TO_DELETE = 64 * 1024, WARN_EVERY_MS = 60000 };

static void list_init(struct stream_wait *head) {
    head->next = head->prev = head;
}

static void wait_unlink(struct stream_wait *wait) {
    wait->next->prev = wait->prev;
    wait->prev->next = wait->next;
    wait->next = wait->prev = NULL;
    wait->batch = 0;
}

void stream_wait_cancel(struct stream_wait *wait) {
    if (wait->batch) {
        wait_unlink(wait);
    }
}

static void list_move(struct stream_wait *to, struct stream_wait *from) {
    list_init(to);
    if (from->next != from) {
        *to = *from;
        to->next->prev = to;
        to->prev->next = to;
        list_init(from);
    }
}

static void answer_all(struct stream_wait *head, enum stream_status failure) {
    while (head->next != head) {
        struct stream_wait *wait = head->next;
        wait_unlink(wait);
        if (failure != STREAM_OK) {
            set_answer(&wait->result, failure, NULL, "the data folder cannot be written to");
        }
        wait->done(wait, &wait->result);
    }
}

static struct stream *take_streams(struct batch *batch) {
    struct stream *list = batch->streams;
    batch->streams = NULL;
    return list;
}

/* What was sealed is safe: readers may see it. */
static void publish(struct stream *stream) {
    stream->tail = stream->sealed;
    stream->closed = stream->sealed_closed;
    if (stream->sealed_gone) { /* a deletion that waits for the next batch is not safe with this one */
        stream->gone_safe = true;
        files_forget(stream);
    }
    notify_changed(stream);
}

static void publish_all(struct stream *list, unsigned parity) {
    while (list) {
        struct stream *stream = list;
        list = stream->in_batch[parity];
        publish(stream);
        stream_drop(stream);
    }
}

static void drop_all(struct stream *list, unsigned parity) {
    while (list) {
        struct stream *stream = list;
        list = stream->in_batch[parity];
        stream_drop(stream);
    }
}

static void batch_clear(struct batch *batch) {
    buf_clear(&batch->bytes);
    buf_shrink(&batch->bytes, BATCH_KEEPS);
}

static void fail(struct streams *set, int error) {
    struct commit *commit = &set->commit;
    commit->failed = error;
    if (set->options.log) {
        log_write(
            set->options.log, LOG_ERROR,
            "%s: cannot write the journal: %s: no more writes are taken; make room or mend the disk, then "
            "start again",
            set->folder->path, strerror(error));
    }
    for (int i = 0; i < 2; i++) {
        struct batch *batch = &commit->batches[i];
        struct stream_wait waits;
        list_move(&waits, &batch->waits);
        drop_all(take_streams(batch), (unsigned)i);
        batch_clear(batch);
        answer_all(&waits, STREAM_FAILED);
    }
}

static void start(struct streams *set);

static void on_work(void *user) {
    struct streams *set = user;
    struct commit *commit = &set->commit;
    bool sync = set->options.fsync != STREAMS_FSYNC_NONE;
    bool written = journal_write(&commit->journal, buf_slice(&commit->flight->bytes), sync);
    commit->failed = written ? 0 : errno;
}

static void land(struct streams *set) {
    struct commit *commit = &set->commit;
    struct batch *batch = commit->flight;
    struct stream_wait waits;
    commit->flight = NULL;
    if (commit->failed) {
        checkpoint_abandon(set);
        fail(set, commit->failed);
        return;
    }
    list_move(&waits, &batch->waits);
    publish_all(take_streams(batch), batch->number % 2);
    batch_clear(batch);
    checkpoint_start(set);
    answer_all(&waits, STREAM_OK);
}

static void on_done(void *user) {
    land(user);
    start(user);
}

static void seal(struct batch *batch) {
    unsigned parity = batch->number % 2;
    for (struct stream *stream = batch->streams; stream; stream = stream->in_batch[parity]) {
        stream->sealed = stream->staged;
        stream->sealed_closed = stream->staged_closed;
        stream->sealed_gone = stream->gone;
    }
}

static bool is_empty(const struct batch *batch) {
    return batch->bytes.len == 0;
}

/* True: a batch is to be written. */
static bool take_off(struct streams *set) {
    struct commit *commit = &set->commit;
    struct batch *batch = commit->next;
    if (commit->flight || commit->failed || is_empty(batch)) {
        return false;
    }
    commit->flight = batch;
    commit->next = &commit->batches[(batch->number + 1) % 2];
    commit->next->number = batch->number + 1;
    commit->next_at = commit->journal.end + batch->bytes.len;
    seal(batch);
    checkpoint_prepare(set);
    return true;
}

static void start(struct streams *set) {
    if (!take_off(set) ||
        (set->options.fsync == STREAMS_FSYNC_BATCH && background_start(set->commit.background))) {
        return;
    }
    on_work(set);
    land(set);
    if (!is_empty(set->commit.next)) {
        loop_defer(set->loop, &set->commit.task); /* the rest of the loop has its turn first */
    }
}

static void on_task(struct loop_task *task) {
    start(task->owner);
}

bool commit_init(struct streams *set) {
    struct commit *commit = &set->commit;
    size_t most = set->options.max_pending + set->options.max_append * 2 + RECORD_HEADER;
    for (unsigned i = 0; i < 2; i++) {
        buf_init(&commit->batches[i].bytes, most);
        list_init(&commit->batches[i].waits);
    }
    commit_number(set, 1);
    commit->task = (struct loop_task){.run = on_task, .owner = set};
    commit->journal.fd = -1;
    buf_init(&commit->meta, 64 * 1024);
    if (set->folder) {
        commit->background = background_new(set->loop, on_work, on_done, set);
    }
    return !set->folder || commit->background;
}

void commit_number(struct streams *set, uint64_t number) {
    set->commit.next = &set->commit.batches[number % 2];
    set->commit.next->number = number;
}

void commit_close(struct streams *set) {
    struct commit *commit = &set->commit;
    struct stream_wait waits;
    bool under_way = commit->background && background_busy(commit->background);
    background_free(commit->background);
    commit->background = NULL;
    for (int i = 0; i < 2; i++) {
        list_move(&waits, &commit->batches[i].waits);
        while (waits.next != &waits) {
            wait_unlink(waits.next);
        }
    }
    if (under_way) {
        land(set);
    }
    while (take_off(set)) {
        on_work(set);
        land(set);
    }
    loop_cancel(set->loop, &commit->task);
    for (unsigned i = 0; i < 2; i++) {
        drop_all(take_streams(&commit->batches[i]), i);
        buf_free(&commit->batches[i].bytes);
    }
    buf_free(&commit->meta);
    journal_close(&commit->journal);
}

static uint64_t next_at(const struct commit *commit) {
    return commit->flight ? commit->next_at : commit->journal.end;
}

/* A full disk refuses many writes: they are not all logged. */
static void warn_of_full(struct streams *set, int error) {
    uint64_t now = uv_now(loop_uv(set->loop));
    if (set->options.log && now >= set->commit.warn_after) {
        set->commit.warn_after = now + WARN_EVERY_MS;
        log_write(set->options.log, LOG_WARN, "%s: no room for writes: %s: they are refused until there is",
                  set->folder->path, strerror(error));
    }
}

static bool has_room(struct streams *set, size_t len, bool deletes) {
    struct commit *commit = &set->commit;
    uint64_t end = next_at(commit) + commit->next->bytes.len + len;
    if (journal_reserve(&commit->journal, deletes ? end : end + ROOM_TO_DELETE)) {
        return true;
    }
    warn_of_full(set, errno);
    return false;
}

const char *commit_refusal(enum stream_status status) {
    return status == STREAM_FULL ? "the disk has no room for it: delete streams, or make room otherwise"
                                 : "the write cannot be taken now";
}

bool commit_switch(struct streams *set, struct journal *next) {
    struct commit *commit = &set->commit;
    if (!journal_reserve(next, next->end + commit->next->bytes.len + ROOM_TO_DELETE)) {
        return false;
    }
    journal_close(&commit->journal);
    commit->journal = *next;
    return true;
}

enum stream_status commit_prepare(struct streams *set, const struct change *change, struct slice payload) {
    struct commit *commit = &set->commit;
    if (!set->folder) {
        return STREAM_OK;
    }
    if (commit->failed) {
        return STREAM_FAILED;
    }
    struct buf *bytes = &commit->next->bytes;
    if (bytes->len > 0 && bytes->len + payload.len > set->options.max_pending) {
        return STREAM_BUSY;
    }
    buf_clear(&commit->meta);
    if (!change_encode(&commit->meta, change)) {
        return STREAM_FAILED;
    }
    size_t len = RECORD_HEADER + commit->meta.len + payload.len;
    if (!buf_reserve(bytes, len)) {
        return STREAM_FAILED;
    }
    if (!has_room(set, len, change->kind == RECORD_DELETE)) {
        return STREAM_FULL;
    }
    commit->change = *change;
    commit->payload = payload;
    return STREAM_OK;
}

void commit_dirty(struct stream *stream) {
    struct streams *set = stream->set;
    if (!stream->dirty) {
        stream->dirty = true;
        stream->next_dirty = set->dirty;
        set->dirty = stream_hold(stream);
    }
}

void commit_touch(struct stream *stream) {
    struct batch *batch = stream->set->commit.next;
    commit_dirty(stream);
    if (stream->batch != batch->number) {
        stream->batch = batch->number;
        stream->in_batch[batch->number % 2] = batch->streams;
        batch->streams = stream_hold(stream);
    }
}

void commit_add(struct stream *stream) {
    struct streams *set = stream->set;
    struct commit *commit = &set->commit;
    if (!set->folder) {
        stream->sealed = stream->staged;
        stream->sealed_closed = stream->staged_closed;
        publish(stream);
        return;
    }
    struct record record = {commit->change.kind, commit->change.flags, commit->next->number,
                            buf_slice(&commit->meta), commit->payload};
    (void)record_append(&commit->next->bytes, &record, JOURNAL_SEED); /* room was made */
    commit_touch(stream);
    if (!commit->flight) {
        loop_defer(set->loop, &commit->task);
    }
}

/* The batch that the stream's last change is in, where that is not safe yet. */
static struct batch *batch_of(const struct stream *stream) {
    const struct commit *commit = &stream->set->commit;
    if (stream->batch == commit->next->number) {
        return commit->next;
    }
    return commit->flight && stream->batch == commit->flight->number ? commit->flight : NULL;
}

enum stream_status commit_finish(struct stream *stream, struct stream_wait *wait,
                                 struct stream_result *result) {
    struct streams *set = stream->set;
    if (set->folder && set->options.fsync == STREAMS_FSYNC_ALWAYS) {
        start(set);
    }
    if (set->folder && set->commit.failed) {
        return set_answer(result, STREAM_FAILED, NULL, "the data folder cannot be written to");
    }
    struct batch *batch = set->folder ? batch_of(stream) : NULL;
    if (!batch) {
        return result->status;
    }
    if (wait) {
        struct stream_wait *head = &batch->waits;
        wait->result = *result;
        wait->batch = batch->number;
        wait->prev = head->prev;
        wait->next = head;
        head->prev->next = wait;
        head->prev = wait;
    }
    return STREAM_WAITING;
}

bool commit_waiting(const struct streams *set) {
    return set->folder && !set->commit.failed && (set->commit.flight || !is_empty(set->commit.next));
}
