/* server/recover.h: a journal whose records are whole (their checksums are right), whatever they say.
 *
 * The input is a list of records: kind, flags and number (a byte each), length of the meta (2 bytes, little
 * endian), length of the payload (1 byte), meta, payload. The last one may be cut short.
 *
 * A folder with that journal opens or is refused. What opened is read and written, closed, and opens again with
 * the same streams in it. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "server/change.h"
#include "server/streams.h"

enum { HEAD = 6 };

static bool next_record(struct slice *input, struct record *record) {
    if (input->len < HEAD) {
        return false;
    }
    const unsigned char *at = (const unsigned char *)input->ptr;
    size_t meta = at[3] | (size_t)at[4] << 8, payload = at[5];
    *record = (struct record){.kind = (enum record_kind)at[0], .flags = at[1], .number = at[2]};
    *input = slice_of(input->ptr + HEAD, input->len - HEAD);
    meta = meta < input->len ? meta : input->len;
    record->meta = slice_of(input->ptr, meta);
    *input = slice_of(input->ptr + meta, input->len - meta);
    payload = payload < input->len ? payload : input->len;
    record->payload = slice_of(input->ptr, payload);
    *input = slice_of(input->ptr + payload, input->len - payload);
    return true;
}

/* What is decoded is what was encoded, where it says anything. */
static void check_change(const struct record *record) {
    struct slice meta = fuzz_copy(record->meta);
    struct record copy = *record;
    struct change change;
    struct buf again;
    copy.meta = meta;
    buf_init(&again, 1 << 20);
    if (change_decode(&copy, &change)) {
        FUZZ_CHECK(change_encode(&again, &change), "a decoded change");
        FUZZ_CHECK(slice_equal(buf_slice(&again), meta), "%zu bytes became %zu", meta.len, again.len);
        struct change_writer writer;
        while (change_writer_next(&change.rest, &writer)) {
        }
    }
    buf_free(&again);
    fuzz_drop(meta);
}

static void make_journal(struct slice input, struct buf *journal) {
    char header[RECORD_FILE_HEADER];
    struct record record;
    record_file_header(1, header);
    buf_append(journal, header, sizeof header);
    while (next_record(&input, &record)) {
        check_change(&record);
        FUZZ_CHECK(record_append(journal, &record, 0), "%zu bytes", journal->len);
    }
}

static void store(const char *folder, struct slice bytes) {
    char path[128];
    snprintf(path, sizeof path, "%s/journal-0000000000000001", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len, "%s", path);
    close(fd);
}

static bool never(void *arg) {
    (void)arg;
    return false;
}

static uint64_t noon(void *user) {
    (void)user;
    return 1000000;
}

/* Reads and appends to the stream of each record that creates one. */
static void use(struct streams *set, struct slice input) {
    struct record record;
    struct change change;
    while (next_record(&input, &record)) {
        struct stream *stream;
        struct stream_body body;
        struct stream_result result;
        if (!change_decode(&record, &change) || change.kind != RECORD_CREATE ||
            streams_get(set, change.path, &stream) != STREAM_OK) {
            continue;
        }
        if (stream_read(stream, 0, &body) == STREAM_OK) {
            stream_body_free(&body);
        }
        struct stream_append append = {.path = change.path, .type = change.type, .body = SLICE("[1]")};
        streams_append(set, &append, NULL, &result);
    }
}

/* How many streams the folder has; SIZE_MAX: it was refused. */
static size_t run(const char *folder, struct slice input, bool uses) {
    struct error e = {0};
    struct streams_options options = {.folder = folder, .fsync = STREAMS_FSYNC_NONE, .clock = noon};
    struct loop *loop = loop_new(&e);
    struct streams *set = streams_open(loop, &options, &e);
    size_t count = SIZE_MAX;
    if (set) {
        count = streams_count(set);
        if (uses) {
            use(set, input);
            count = streams_count(set);
        }
        streams_close(set);
    }
    loop_run_until(loop, never, NULL);
    FUZZ_CHECK(loop_free(loop, &e), "%s", e.message);
    return count;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *walk) {
    (void)about;
    (void)type;
    (void)walk;
    return remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char folder[] = "/dev/shm/weir-journal-XXXXXX";
    struct slice input = slice_of((const char *)data, size);
    struct buf journal;
    FUZZ_CHECK(mkdtemp(folder), "%s", folder);
    buf_init(&journal, 1 << 24);
    make_journal(input, &journal);
    store(folder, buf_slice(&journal));
    size_t count = run(folder, input, true);
    if (count != SIZE_MAX) {
        FUZZ_CHECK(run(folder, input, false) == count, "%zu streams were there", count);
    }
    buf_free(&journal);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
