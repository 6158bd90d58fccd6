/* state/snapshot.h: whatever is in a file, a store never reads outside of it, and what it takes over can be read,
 * changed and written again. A file that nobody changed is taken over as it was written.
 *
 * Input: a byte of options, entities up to a 0xff, then patches: where (2 bytes), how (1 byte), with what. The
 * checksums are made right again, unless the options say otherwise: then a change must be found out. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "../unit/snapshot_seal.h"
#include "fuzz.h"
#include "state/snapshot.h"
#include "state/store.h"

enum { VALUE_MAX = 40000, ENTITIES = 64, PATCHES = 16, HEADER_USED = 144 };

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    memset(buffer, 0, length);
    return (ssize_t)length;
}

static void put(struct store *store, uint8_t type, uint8_t key, size_t len, char with) {
    static char value[VALUE_MAX];
    char name[8];
    char text[8];
    struct error e;
    memset(value, with, len);
    struct event event = {
        .kind = EVENT_CHANGE,
        .operation = with ? EVENT_UPSERT : EVENT_DELETE,
        .type = slice_of(name, (size_t)snprintf(name, sizeof name, "t%u", type)),
        .key = slice_of(text, (size_t)snprintf(text, sizeof text, "%u", key)),
        .value = slice_of(value, len),
    };
    FUZZ_CHECK(store_apply(store, &event, &e), "%s", e.message);
}

static void fill(struct store *store, struct slice bytes) {
    for (size_t i = 0; i + 2 < bytes.len && i < ENTITIES * 3; i += 3) {
        const unsigned char *at = (const unsigned char *)bytes.ptr + i;
        size_t len = at[2] < 250 ? at[2]
                                 : (size_t)at[2] * 100 + 7700; /* 250 and more: too long for a block */
        put(store, at[0] & 3, at[1], len, (char)(at[0] % 64 == 63 ? 0 : 'a' + at[0] % 26));
    }
}

static struct buf write_out(const struct store *store) {
    struct buf bytes;
    struct error e;
    uint64_t size;
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && snapshot_write(store, SLICE("{\"some\":\"text\"}"), fd, &size, &e), "%s",
               e.message);
    buf_init(&bytes, 1 << 26);
    FUZZ_CHECK(buf_reserve(&bytes, (size_t)size) && pread(fd, bytes.ptr, (size_t)size, 0) == (ssize_t)size,
               "the file cannot be read");
    bytes.len = (size_t)size;
    close(fd);
    return bytes;
}

/* NULL where it was refused. */
static struct store *read_in(struct slice bytes) {
    struct error e = {0};
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len, "no file");
    struct store *store = store_new(VALUE_MAX);
    struct snapshot *snapshot = snapshot_open(fd, &e);
    bool ok = snapshot && snapshot_load(snapshot, store, &e);
    close(fd);
    FUZZ_CHECK(ok || (e.code == ERROR_SYNTAX && *e.message), "%s", e.message);
    FUZZ_CHECK(ok || store_count(store, (struct slice){0}) == 0, "something was left in the store");
    if (!ok) {
        store_free(store);
    }
    return ok ? store : NULL;
}

/* Reads every byte of it. */
static void look(const struct store *store) {
    size_t types;
    size_t count = 0;
    size_t bytes = 0; /* so that they are read */
    struct slice *names = store_types(store, &types);
    for (size_t i = 0; i < types; i++) {
        size_t rows;
        struct store_row *row = store_rows(store, names[i], &rows);
        count += rows;
        for (size_t k = 0; k < rows; k++) {
            struct slice value = store_get(store, names[i], row[k].key);
            FUZZ_CHECK(value.ptr && value.len == row[k].value.len, "a row that is not found");
            bytes += XXH3_64bits(row[k].key.ptr, row[k].key.len) + XXH3_64bits(value.ptr, value.len);
        }
        free(row);
    }
    free(names);
    FUZZ_CHECK(count == store_count(store, (struct slice){0}), "%zu rows (%zx)", count, bytes);
}

/* A word of the used part of the header, of the index, or anywhere. */
static size_t place_of(const struct buf *bytes, size_t index, uint8_t how, size_t where) {
    switch (how & 3) {
    case 0:
        return where % HEADER_USED;
    case 1:
        return index + where % (bytes->len - index);
    default:
        return where % bytes->len;
    }
}

static void patch(struct buf *bytes, size_t index, struct fuzz_input *input) {
    static const uint32_t odd[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xF0000000, 0x20000, 2048};
    size_t where = (size_t)fuzz_byte(input) << 8;
    where |= fuzz_byte(input);
    uint8_t how = fuzz_byte(input);
    size_t at = place_of(bytes, index, how, where);
    char before[4];
    size_t len = how & 4 ? 1 : bytes->len - at < 4 ? 1 : 4;
    uint32_t word = how & 8 ? odd[fuzz_byte(input) % 8] : 0;
    memcpy(before, bytes->ptr + at, len);
    if (!(how & 8)) {
        memcpy(&word, before, len);
        word += (uint32_t)(int8_t)fuzz_byte(input);
    }
    memcpy(bytes->ptr + at, &word, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    uint8_t options = fuzz_byte(&input);
    struct slice entities = fuzz_part(&input);
    struct store *store = store_new(VALUE_MAX);
    fill(store, entities);
    struct buf bytes = write_out(store);
    struct buf original = write_out(store);
    bool sealed = !(options & 1);
    size_t index = (size_t)((const struct snapshot_header *)(const void *)original.ptr)->index.at;
    store_free(store);
    for (unsigned i = 0; i < PATCHES && input.at < input.end; i++) {
        patch(&bytes, index, &input);
    }
    bool same = slice_equal(buf_slice(&bytes), buf_slice(&original));
    if (sealed) {
        snapshot_seal(bytes.ptr, bytes.len);
    }
    if (options & 2 && bytes.len > options) {
        bytes.len -= options >> 2;
        same = same && options >> 2 == 0;
    }
    struct store *read = read_in(buf_slice(&bytes));
    FUZZ_CHECK(read || !same, "a file that nobody changed is refused");
    FUZZ_CHECK(!read || same || sealed, "a change was not found out");
    if (read) {
        struct buf again = write_out(read);
        FUZZ_CHECK(!same || slice_equal(buf_slice(&again), buf_slice(&original)), "it is written otherwise");
        look(read);
        fill(read, entities);
        fill(read, slice_of((const char *)data, size));
        look(read);
        buf_free(&again);
        store_free(read);
    }
    buf_free(&bytes);
    buf_free(&original);
    return 0;
}
