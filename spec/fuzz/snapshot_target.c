/* state/snapshot.h: a store that was written comes back; a file in which any byte was changed is refused; and one
 * that was changed and whose checksums were mended after that is refused too, or gives a store that is sound.
 *
 * Input: how many entities, and three bytes for each (type, key, size of its value); options; edits of the file,
 * five bytes each, see edit. The mapping ends where the file does, for the sanitizers. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include "memory.h"
#include "fuzz.h"
#include "state/snapshot.h"
#include "state/snapshot_format.h"
#include "state/store.h"

#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_ADDRESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_ADDRESS 1
#endif
#endif
#ifdef FUZZ_ADDRESS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

enum {
    PAGE = 4096,
    TYPES = 4,
    ROWS_MAX = 512,
    PATCH_MAX = 1 << 16,
    EDITS = 16,
    HEADER_FIELDS = 144, /* the bytes of the header that say something */
    FILE_MAX = 1 << 22,
};

static const char about[] = "what the caller says";

/* ---- the system, wrapped ---- */

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    memset(buffer, 0, length);
    return (ssize_t)length;
}

static char *mapped; /* the one file that is mapped, and its length */
static size_t mapped_len;

static size_t whole_pages(size_t len) {
    return (len + PAGE - 1) / PAGE * PAGE;
}

/* A file's mapping with a page behind it that cannot be read. */
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
    if (fd < 0) {
        return __real_mmap(at, len, prot, flags, fd, offset);
    }
    FUZZ_CHECK(!mapped, "two files are mapped");
    size_t room = whole_pages(len);
    char *map = __real_mmap(NULL, room + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FUZZ_CHECK(map != MAP_FAILED, "out of memory in the target itself");
    FUZZ_CHECK(__real_mmap(map, len, prot, flags | MAP_FIXED, fd, offset) == map, "cannot map");
    ASAN_POISON_MEMORY_REGION(map + len, room - len);
    mapped = map;
    mapped_len = len;
    return map;
}

int __wrap_munmap(void *at, size_t len) {
    if (!mapped || at != mapped) {
        return __real_munmap(at, len);
    }
    FUZZ_CHECK(len == mapped_len, "%zu bytes of %zu are unmapped", len, mapped_len);
    ASAN_UNPOISON_MEMORY_REGION(mapped, whole_pages(len));
    mapped = NULL;
    return __real_munmap(at, whole_pages(len) + PAGE);
}

/* ---- what is in a store ---- */

struct row {
    struct slice type, key, value; /* copies */
};

struct content {
    struct row rows[ROWS_MAX];
    size_t count;
};

static void content_free(struct content *content) {
    for (size_t i = 0; i < content->count; i++) {
        fuzz_drop(content->rows[i].type);
        fuzz_drop(content->rows[i].key);
        fuzz_drop(content->rows[i].value);
    }
    content->count = 0;
}

/* Walks over everything, by every way there is. */
static void content_read(struct content *content, const struct store *store) {
    size_t types;
    size_t bytes = 0;
    struct slice *names = store_types(store, &types);
    FUZZ_CHECK(names, "no types");
    content->count = 0;
    for (size_t t = 0; t < types; t++) {
        size_t count;
        size_t cursor = 0;
        size_t seen = 0;
        struct store_row row;
        struct store_row *rows = store_rows(store, names[t], &count);
        FUZZ_CHECK(t == 0 || slice_compare(names[t - 1], names[t]) < 0, "types out of order");
        FUZZ_CHECK(rows && count == store_count(store, names[t]) && count > 0, "%zu rows", count);
        while (store_next(store, names[t], &cursor, &row)) {
            seen++;
        }
        FUZZ_CHECK(seen == count, "a walk over %zu of %zu", seen, count);
        for (size_t i = 0; i < count; i++) {
            struct slice value = store_get(store, names[t], rows[i].key);
            FUZZ_CHECK(i == 0 || slice_compare(rows[i - 1].key, rows[i].key) < 0, "rows out of order");
            FUZZ_CHECK(value.ptr == rows[i].value.ptr && value.len == rows[i].value.len, "not to be found");
            FUZZ_CHECK(content->count < ROWS_MAX, "more rows than were written");
            content->rows[content->count++] = (struct row){fuzz_copy(names[t]), fuzz_copy(rows[i].key),
                                                           fuzz_copy(value)};
            bytes += rows[i].key.len + value.len;
        }
        free(rows);
    }
    free(names);
    FUZZ_CHECK(store_count(store, (struct slice){0}) == content->count, "%zu rows in all", content->count);
    FUZZ_CHECK(store_bytes(store) == bytes, "%zu bytes, counted %zu", store_bytes(store), bytes);
}

static void content_same(const struct content *a, const struct content *b) {
    FUZZ_CHECK(a->count == b->count, "%zu rows, expected %zu", b->count, a->count);
    for (size_t i = 0; i < a->count; i++) {
        FUZZ_CHECK(slice_equal(a->rows[i].type, b->rows[i].type) &&
                       slice_equal(a->rows[i].key, b->rows[i].key) &&
                       slice_equal(a->rows[i].value, b->rows[i].value),
                   "row %zu is another one", i);
    }
}

static void put(struct store *store, struct slice type, struct slice key, struct slice value) {
    struct error e = {0};
    struct event event = {.operation = value.ptr ? EVENT_UPSERT : EVENT_DELETE};
    event.type = type;
    event.key = key;
    event.value = value;
    FUZZ_CHECK(store_apply(store, &event, &e), "%s", e.message);
    FUZZ_CHECK(slice_equal(store_get(store, type, key), value), "not what was put");
}

/* A value of about that many bytes, in a buffer of the target's. */
static struct slice value_of(size_t len) {
    static char text[1 << 17];
    memset(text, 'v', len + 1);
    text[0] = text[len + 1] = '"';
    return slice_of(text, len + 2);
}

static size_t size_of(uint8_t byte) {
    return byte < 200 ? byte : (size_t)(byte - 199) * 1200;
}

/* Every entity gets another value, is removed, or stays; some are new. */
static void change_all(struct store *store, const struct content *content) {
    for (size_t i = 0; i < content->count; i++) {
        const struct row *row = &content->rows[i];
        if (i % 3 == 0) {
            put(store, row->type, row->key, (struct slice){0});
        } else if (i % 3 == 1) {
            put(store, row->type, row->key, value_of(row->value.len + i % 7 * 40));
        }
        char key[32];
        snprintf(key, sizeof key, "new %zu", i);
        put(store, row->type, slice_from(key), value_of(i));
    }
    for (size_t i = 2; i < content->count; i += 3) {
        const struct row *row = &content->rows[i];
        FUZZ_CHECK(slice_equal(store_get(store, row->type, row->key), row->value), "row %zu has changed", i);
    }
    struct content after;
    content_read(&after, store);
    content_free(&after);
}

/* ---- the file ---- */

static struct store *build(struct fuzz_input *input) {
    struct store *store = store_new(PATCH_MAX);
    FUZZ_CHECK(store, "out of memory");
    unsigned count = fuzz_byte(input);
    for (unsigned i = 0; i < count; i++) {
        uint8_t options = fuzz_byte(input);
        char type[4] = {'t', (char)('0' + options % TYPES), '\0'};
        char key[64];
        snprintf(key, sizeof key, "%s%d", options & 32 ? "a key that is rather long, " : "",
                 fuzz_byte(input));
        size_t size = size_of(fuzz_byte(input));
        put(store, slice_from(type), slice_from(key), options & 16 ? (struct slice){0} : value_of(size));
    }
    return store;
}

/* The file's bytes, to be freed; the descriptor stays open. */
static char *write_out(const struct store *store, int fd, size_t *len) {
    struct error e = {0};
    uint64_t size = 0;
    FUZZ_CHECK(snapshot_write(store, slice_from(about), fd, &size, &e), "%s", e.message);
    FUZZ_CHECK(lseek(fd, 0, SEEK_END) == (off_t)size && size < FILE_MAX, "%llu bytes",
               (unsigned long long)size);
    char *bytes = fuzz_alloc(size);
    FUZZ_CHECK(pread(fd, bytes, size, 0) == (ssize_t)size, "cannot read it");
    *len = size;
    return bytes;
}

/* A part of the file by its number. */
static struct snapshot_extent part_of(const struct snapshot_header *header, unsigned part, size_t len) {
    switch (part) {
    case 0:
        return (struct snapshot_extent){0, HEADER_FIELDS};
    case 1:
        return header->index;
    case 2:
        return header->places;
    case 3:
        return header->blocks;
    case 4:
        return header->larges;
    default:
        return (struct snapshot_extent){0, len};
    }
}

static void add(char *at, size_t size, int8_t value) {
    uint64_t number = 0;
    memcpy(&number, at, size);
    number += (uint64_t)(int64_t)value;
    memcpy(at, &number, size);
}

/* Which part, where in it (two bytes), how, and with what. */
static void edit(struct fuzz_input *input, const struct snapshot_header *header, char *bytes, size_t len) {
    struct snapshot_extent part = part_of(header, fuzz_byte(input) % 6, len);
    size_t at = (size_t)fuzz_byte(input) << 8;
    at |= fuzz_byte(input);
    uint8_t how = fuzz_byte(input);
    uint8_t value = fuzz_byte(input);
    if (part.len < 16) {
        return;
    }
    size_t word = part.at + at % (part.len / 8) * 8;
    size_t half = part.at + at % (part.len / 4) * 4;
    char swap[8];
    switch (how % 7) {
    case 0:
        bytes[part.at + at % part.len] = (char)value;
        break;
    case 1:
        ((unsigned char *)bytes)[part.at + at % part.len] ^= (unsigned char)(1u << value % 8);
        break;
    case 2:
        add(bytes + half, 4, (int8_t)value);
        break;
    case 3:
        add(bytes + word, 8, (int8_t)value);
        break;
    case 4:
        memset(bytes + half, value & 1 ? 0xff : 0, 4);
        break;
    case 5:
        memset(bytes + word, value & 1 ? 0xff : 0, 8);
        break;
    default: /* two words change places */
        at = part.at + value % (part.len / 8) * 8;
        memcpy(swap, bytes + word, 8);
        memcpy(bytes + word, bytes + at, 8);
        memcpy(bytes + at, swap, 8);
        break;
    }
}

static bool inside(struct snapshot_extent part, size_t len) {
    return part.at <= len && part.len <= len - part.at;
}

static uint64_t hash(const char *bytes, uint64_t at, uint64_t len) {
    return XXH3_64bits(bytes + at, len);
}

/* The hashes that are in the index: of slabs and of pieces. */
static void mend_index(const struct snapshot_header *header, char *bytes, size_t len) {
    uint64_t types = header->index.at + snapshot_round(header->about_len, 8);
    uint64_t slabs = types + (uint64_t)header->type_count * sizeof(struct snapshot_type);
    uint64_t larges = slabs + (uint64_t)header->slab_count * sizeof(struct snapshot_slab);
    uint64_t pieces = larges + (uint64_t)header->large_count * sizeof(struct snapshot_large);
    if (pieces + (uint64_t)header->piece_count * 8 > len) {
        return;
    }
    uint64_t base = header->blocks.at;
    for (uint32_t i = 0; i < header->slab_count; i++) {
        struct snapshot_slab slab;
        char *at = bytes + slabs + i * sizeof slab;
        memcpy(&slab, at, sizeof slab);
        struct snapshot_extent part = {base, (uint64_t)slab.units * 16};
        if (inside(part, len)) {
            slab.hash = hash(bytes, part.at, part.len);
            memcpy(at, &slab, sizeof slab);
            base += part.len;
        }
    }
    const struct snapshot_extent parts[] = {header->places, header->larges};
    uint32_t piece = 0;
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t at = 0; inside(parts[i], len) && at < parts[i].len && piece < header->piece_count;
             piece++) {
            uint64_t left = parts[i].len - at;
            uint64_t size = left < SNAPSHOT_PIECE ? left : SNAPSHOT_PIECE;
            uint64_t sum = hash(bytes, parts[i].at + at, size);
            memcpy(bytes + pieces + piece * 8, &sum, 8);
            at += size;
        }
    }
}

/* All checksums, as far as they can be found. */
static void mend(char *bytes, size_t len) {
    struct snapshot_header header;
    memcpy(&header, bytes, sizeof header);
    mend_index(&header, bytes, len);
    if (inside(header.index, len)) {
        header.index_hash = hash(bytes, header.index.at, header.index.len);
    }
    memcpy(bytes, &header, sizeof header);
    header.hash = XXH3_64bits(bytes, offsetof(struct snapshot_header, hash));
    memcpy(bytes, &header, sizeof header);
}

/* ---- reading it ---- */

/* NULL where it is refused. failing: allocations until one fails. */
static struct store *load(int fd, long failing, struct error *e) {
    struct store *store = store_new(PATCH_MAX);
    FUZZ_CHECK(store, "out of memory");
    memory_left = failing;
    struct snapshot *snapshot = snapshot_open(fd, e);
    if (snapshot) {
        memory_left = -1; /* what it says is asked for without allocating */
        FUZZ_CHECK(snapshot_about(snapshot).len <= SNAPSHOT_ABOUT_MAX, "about %zu",
                   snapshot_about(snapshot).len);
        struct slice copy = fuzz_copy(snapshot_about(snapshot));
        fuzz_drop(copy);
        size_t entities = snapshot_entities(snapshot);
        memory_left = failing < 0 ? -1 : failing / 2;
        bool ok = snapshot_load(snapshot, store, e);
        memory_left = -1;
        FUZZ_CHECK(!ok || entities == store_count(store, (struct slice){0}), "%zu entities were told",
                   entities);
        if (ok) {
            return store;
        }
    }
    memory_left = -1;
    FUZZ_CHECK(!mapped, "it was refused and is still mapped");
    FUZZ_CHECK(store_count(store, (struct slice){0}) == 0, "it was refused and left entities");
    put(store, SLICE("t"), SLICE("k"), SLICE("1")); /* and the store can be used */
    store_free(store);
    return NULL;
}

static void check_loaded(int fd, const struct content *before, bool changed, bool mended) {
    static struct content after;
    struct error e = {0};
    struct store *store = load(fd, -1, &e);
    FUZZ_CHECK(store || e.code == ERROR_SYNTAX, "%s: %s", error_name(e.code), e.message);
    FUZZ_CHECK(changed || store, "what was written is refused: %s", e.message);
    FUZZ_CHECK(!changed || mended || !store, "a changed file is taken");
    if (store) {
        content_read(&after, store);
        if (!changed) {
            content_same(before, &after);
        }
        change_all(store, &after);
        content_free(&after);
        store_free(store);
        FUZZ_CHECK(!mapped, "a file stays mapped");
    }
}

/* Either it cannot be loaded for want of memory, or as if nothing had been. */
static void check_failing(int fd, long failing, const struct content *before) {
    static struct content after;
    struct error e = {0};
    struct store *store = load(fd, failing, &e);
    FUZZ_CHECK(store || e.code == ERROR_MEMORY, "%s: %s", error_name(e.code), e.message);
    if (store) {
        content_read(&after, store);
        content_same(before, &after);
        content_free(&after);
        store_free(store);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct content before;
    struct fuzz_input input = fuzz_open(data, size);
    struct store *store = build(&input);
    uint8_t options = fuzz_byte(&input);
    size_t len;
    int fd = memfd_create("snapshot", 0);
    FUZZ_CHECK(fd >= 0, "no file");
    char *bytes = write_out(store, fd, &len);
    content_read(&before, store);
    store_free(store);
    check_failing(fd, options >> 3, &before);

    struct slice original = fuzz_copy(slice_of(bytes, len));
    struct snapshot_header header;
    memcpy(&header, bytes, sizeof header);
    for (int i = 0; i < EDITS && input.at < input.end; i++) {
        edit(&input, &header, bytes, len);
    }
    bool mended = options & 1;
    if (mended) {
        mend(bytes, len);
    }
    bool changed = memcmp(bytes, original.ptr, len) != 0;
    if (changed && options & 2) { /* the file ends early */
        len -= len < 2 * PAGE ? 8 : PAGE;
    }
    FUZZ_CHECK(ftruncate(fd, (off_t)len) == 0 && pwrite(fd, bytes, len, 0) == (ssize_t)len,
               "cannot write it");
    check_loaded(fd, &before, changed, mended);
    content_free(&before);
    fuzz_drop(original);
    free(bytes);
    close(fd);
    return 0;
}
