/* state/snapshot: stores written and taken over again, and changed afterwards; files that were damaged, cut, or
 * made by somebody who knows the format; memory that fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory.h"
#include "snapshot_seal.h"
#include "state/snapshot.h"
#include "state/store.h"

enum { PATCH_MAX = 1 << 20, VALUE_MAX = 100000 };

static uint64_t seed = 1;

static uint32_t draw(uint32_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % below);
}

/* ---- stores ---- */

static void put(struct store *store, struct slice type, struct slice key, struct slice value) {
    struct event event = {.kind = EVENT_CHANGE,
                          .operation = value.ptr ? EVENT_UPSERT : EVENT_DELETE,
                          .type = type,
                          .key = key,
                          .value = value};
    struct error e;
    assert_true(store_apply(store, &event, &e));
}

/* How long values are: mostly short, some too long for a block. */
static size_t draw_length(void) {
    switch (draw(200)) {
    case 0:
        return draw(VALUE_MAX);
    case 1:
        return 32700 + draw(80); /* about as long as a block can be */
    case 2:
    case 3:
    case 4:
        return draw(4000);
    default:
        return draw(60);
    }
}

/* The same changes to each of the stores. */
static void change_all(struct store *const *stores, size_t count, uint32_t changes, uint32_t keys,
                       bool larges) {
    static char bytes[VALUE_MAX];
    for (uint32_t i = 0; i < changes; i++) {
        char type[16];
        char key[200];
        int type_len = snprintf(type, sizeof type, "t%u", draw(5));
        int key_len = snprintf(key, sizeof key, "%u", draw(keys));
        key_len = draw(50) == 0 ? 0 : key_len;
        if (draw(20) == 0) {
            memset(key + key_len, 'k', (size_t)(180 - key_len));
            key_len = 180;
        }
        size_t len = larges ? draw_length() : draw(60);
        memset(bytes, 'a' + (int)draw(26), len);
        struct slice value = draw(4) == 0 ? (struct slice){0} : slice_of(bytes, len);
        for (size_t s = 0; s < count; s++) {
            put(stores[s], slice_of(type, (size_t)type_len), slice_of(key, (size_t)key_len), value);
        }
    }
}

/* The whole store as text: type{key=value;...}... in the order of bytes. */
static struct buf dump(const struct store *store) {
    struct buf out;
    size_t types;
    struct slice *names = store_types(store, &types);
    assert_non_null(names);
    buf_init(&out, 1 << 30);
    for (size_t t = 0; t < types; t++) {
        size_t rows;
        struct store_row *row = store_rows(store, names[t], &rows);
        assert_non_null(row);
        buf_append_slice(&out, names[t]);
        buf_append_byte(&out, '{');
        for (size_t i = 0; i < rows; i++) {
            struct slice value = store_get(store, names[t], row[i].key);
            assert_ptr_equal(value.ptr, row[i].value.ptr);
            buf_append_slice(&out, row[i].key);
            buf_append_byte(&out, '=');
            buf_append_slice(&out, row[i].value);
            buf_append_byte(&out, ';');
        }
        buf_append_byte(&out, '}');
        free(row);
    }
    free(names);
    return out;
}

static void expect_same(const struct store *a, const struct store *b) {
    struct buf left = dump(a);
    struct buf right = dump(b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.ptr ? left.ptr : "", right.ptr ? right.ptr : "", left.len);
    assert_int_equal(store_bytes(a), store_bytes(b));
    assert_int_equal(store_count(a, (struct slice){0}), store_count(b, (struct slice){0}));
    buf_free(&left);
    buf_free(&right);
}

/* ---- files ---- */

static int new_file(void) {
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int write_store(const struct store *store, const char *about) {
    uint64_t size;
    struct error e;
    int fd = new_file();
    if (!snapshot_write(store, slice_from(about), fd, &size, &e)) {
        fail_msg("%s", e.message);
    }
    assert_int_equal(size, lseek(fd, 0, SEEK_END));
    return fd;
}

static struct buf content_of(int fd) {
    struct buf out;
    size_t len = (size_t)lseek(fd, 0, SEEK_END);
    buf_init(&out, 1 << 30);
    assert_true(buf_reserve(&out, len + 1));
    assert_int_equal(pread(fd, out.ptr, len, 0), len);
    out.len = len;
    return out;
}

static int file_of(const char *bytes, size_t len) {
    int fd = new_file();
    assert_int_equal(pwrite(fd, bytes, len, 0), len);
    return fd;
}

/* NULL with e. */
static struct store *read_store(int fd, struct error *e) {
    struct snapshot *snapshot = snapshot_open(fd, e);
    struct store *store = store_new(PATCH_MAX);
    assert_non_null(store);
    if (snapshot && snapshot_load(snapshot, store, e)) {
        return store;
    }
    assert_int_equal(store_count(store, (struct slice){0}), 0);
    put(store, SLICE("still"), SLICE("good"), SLICE("1"));
    store_free(store);
    return NULL;
}

static struct store *reread(const struct store *store) {
    struct error e;
    int fd = write_store(store, "{}");
    struct store *again = read_store(fd, &e);
    if (!again) {
        fail_msg("%s", e.message);
    }
    close(fd);
    return again;
}

/* ---- tests ---- */

static void keeps_an_empty_store(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    struct store *again = reread(store);
    expect_same(store, again);
    put(again, SLICE("t"), SLICE("k"), SLICE("1"));
    put(store, SLICE("t"), SLICE("k"), SLICE("1"));
    expect_same(store, again);
    put(store, SLICE("t"), SLICE("k"), (struct slice){0}); /* a type without entities */
    struct store *third = reread(store);
    expect_same(store, third);
    store_free(store);
    store_free(again);
    store_free(third);
}

static void keeps_what_is_said_of_it(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    struct error e;
    put(store, SLICE("t"), SLICE("k"), SLICE("[1, 2]"));
    int fd = write_store(store, "said");
    struct snapshot *snapshot = snapshot_open(fd, &e);
    assert_non_null(snapshot);
    assert_true(slice_is(snapshot_about(snapshot), "said"));
    assert_int_equal(snapshot_entities(snapshot), 1);
    assert_int_equal(snapshot_size(snapshot), lseek(fd, 0, SEEK_END));
    snapshot_close(snapshot);
    snapshot_close(NULL);
    close(fd);
    store_free(store);
}

/* One that was read is written as it was read, byte for byte. */
static void writes_what_it_reads(void **state) {
    (void)state;
    struct error e;
    for (uint32_t round = 0; round < 12; round++) {
        struct store *store = store_new(PATCH_MAX);
        change_all(&store, 1, 1 + draw(3000), 1 + draw(2000), round % 2);
        int first = write_store(store, "{\"round\":1}");
        struct store *again = read_store(first, &e);
        assert_non_null(again);
        expect_same(store, again);
        int second = write_store(again, "{\"round\":1}");
        struct buf a = content_of(first);
        struct buf b = content_of(second);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.ptr, b.ptr, a.len);
        buf_free(&a);
        buf_free(&b);
        close(first);
        close(second);
        store_free(store);
        store_free(again);
    }
}

/* Changes reach a store that was taken over as they reach any other, and do not reach the file. */
static void goes_on_after_reading(void **state) {
    (void)state;
    struct error e;
    for (uint32_t round = 0; round < 8; round++) {
        struct store *stores[2] = {store_new(PATCH_MAX), NULL};
        uint32_t keys = 1 + draw(1500);
        bool larges = round % 2;
        change_all(stores, 1, 2000, keys, larges);
        int fd = write_store(stores[0], "{}");
        struct buf before = content_of(fd);
        for (unsigned times = 0; times < 3; times++) {
            stores[1] = read_store(fd, &e);
            assert_non_null(stores[1]);
            close(fd);
            change_all(stores, 2, times == 1 ? 20000 : 500, keys * 2, larges && times != 1);
            expect_same(stores[0], stores[1]);
            fd = write_store(stores[1], "{}");
            store_free(stores[1]);
        }
        stores[1] = read_store(fd, &e);
        assert_non_null(stores[1]);
        store_clear(stores[0]);
        store_clear(stores[1]);
        change_all(stores, 2, 500, keys, larges);
        expect_same(stores[0], stores[1]);
        store_free(stores[0]);
        store_free(stores[1]);
        close(fd);
        buf_free(&before);
    }
}

static void leaves_the_file_alone(void **state) {
    (void)state;
    struct error e;
    struct store *store = store_new(PATCH_MAX);
    change_all(&store, 1, 3000, 1000, true);
    int fd = write_store(store, "{}");
    struct buf before = content_of(fd);
    struct store *again = read_store(fd, &e);
    assert_non_null(again);
    change_all(&again, 1, 3000, 1000, true);
    struct buf after = content_of(fd);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.ptr, after.ptr, before.len);
    buf_free(&before);
    buf_free(&after);
    close(fd);
    store_free(store);
    store_free(again);
}

static void expect_refused(const char *bytes, size_t len, const char *why) {
    struct error e = {0};
    int fd = file_of(bytes, len);
    struct store *store = read_store(fd, &e);
    close(fd);
    assert_null(store);
    assert_int_equal(e.code, ERROR_SYNTAX);
    if (why && !strstr(e.message, why)) {
        fail_msg("expected \"%s\" in \"%s\"", why, e.message);
    }
}

/* Every byte of a file is covered by a checksum. */
static void refuses_damage(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    change_all(&store, 1, 400, 300, true);
    int fd = write_store(store, "{\"some\":\"text\"}");
    struct buf bytes = content_of(fd);
    close(fd);
    for (size_t i = 0; i < bytes.len; i += i < 4096 || i + 4096 > bytes.len ? 7 : 1 + draw(300)) {
        int bit = 1 << draw(8);
        bytes.ptr[i] = (char)(bytes.ptr[i] ^ bit);
        expect_refused(bytes.ptr, bytes.len, NULL);
        bytes.ptr[i] = (char)(bytes.ptr[i] ^ bit);
    }
    for (size_t len = 0; len < bytes.len; len += 1 + draw(2000)) {
        expect_refused(bytes.ptr, len, "it is damaged: it ");
    }
    expect_refused(bytes.ptr, bytes.len - 1, "bytes, and was written with");
    assert_true(buf_append_byte(&bytes, '\0'));
    expect_refused(bytes.ptr, bytes.len, "bytes, and was written with");
    buf_free(&bytes);
    store_free(store);
}

static void names_what_is_wrong(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    change_all(&store, 1, 2000, 300, true);
    int fd = write_store(store, "{}");
    struct buf bytes = content_of(fd);
    struct snapshot_header *header = (struct snapshot_header *)(void *)bytes.ptr;
    struct snapshot_header kept = *header;
    char why[80];
    close(fd);
    header->magic[0] = 'W';
    expect_refused(bytes.ptr, bytes.len, "it is no snapshot, or its start is damaged");
    *header = kept;
    header->version++;
    expect_refused(bytes.ptr, bytes.len, "its format has version 2, and this program reads version 1");
    *header = kept;
    header->order = SNAPSHOT_ORDER_SWAPPED;
    expect_refused(bytes.ptr, bytes.len, "it was written on a machine of another byte order");
    *header = kept;
    header->seed++;
    expect_refused(bytes.ptr, bytes.len, "the header does not match its checksum");
    snapshot_seal(bytes.ptr, bytes.len);
    expect_refused(bytes.ptr, bytes.len, "hold what no program of this version wrote");
    *header = kept;
    const struct snapshot_extent *const parts[] = {&kept.places, &kept.blocks, &kept.larges};
    for (size_t i = 0; i < 3; i++) {
        uint64_t at = parts[i]->at;
        bytes.ptr[at]++;
        snprintf(why, sizeof why, "it is damaged: bytes %llu to ", (unsigned long long)at);
        expect_refused(bytes.ptr, bytes.len, why);
        bytes.ptr[at]--;
    }
    bytes.ptr[kept.index.at]++;
    expect_refused(bytes.ptr, bytes.len, "the index does not match its checksum");
    buf_free(&bytes);
    store_free(store);
}

/* What a file with right checksums says is not believed either: it is refused, or harmless. */
static void survives_forgery(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    change_all(&store, 1, 600, 300, true);
    int fd = write_store(store, "{}");
    struct buf bytes = content_of(fd);
    struct buf forged;
    size_t accepted = 0;
    close(fd);
    buf_init(&forged, 1 << 30);
    const struct snapshot_header *header = (const struct snapshot_header *)(const void *)bytes.ptr;
    const size_t parts[] = {0, header->places.at, header->blocks.at, header->index.at};
    const size_t lens[] = {160, header->places.len, header->blocks.len, header->index.len};
    for (unsigned round = 0; round < 4000; round++) {
        struct error e;
        buf_clear(&forged);
        assert_true(buf_append_slice(&forged, buf_slice(&bytes)));
        unsigned part = draw(4);
        for (unsigned times = 0; times <= draw(3); times++) {
            size_t at = parts[part] + draw((uint32_t)lens[part]) / 4 * 4;
            static const uint32_t odd[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xF0000000, 0x20000};
            uint32_t word = draw(2) ? odd[draw(7)] : 0;
            memcpy(&word, forged.ptr + at, draw(2) ? sizeof word : 0);
            word += draw(3) - 1;
            memcpy(forged.ptr + at, &word, sizeof word);
        }
        snapshot_seal(forged.ptr, forged.len);
        fd = file_of(forged.ptr, forged.len);
        struct store *read = read_store(fd, &e);
        close(fd);
        if (read) {
            accepted++;
            change_all(&read, 1, 300, 300, true);
            struct buf text = dump(read);
            buf_free(&text);
            store_free(read);
        }
    }
    assert_true(accepted > 0); /* values may be anything */
    buf_free(&forged);
    buf_free(&bytes);
    store_free(store);
}

static void reports_a_full_disk(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    struct error e;
    uint64_t size;
    put(store, SLICE("t"), SLICE("k"), SLICE("1"));
    FILE *full = fopen("/dev/full", "r+");
    if (full) {
        assert_false(snapshot_write(store, SLICE("{}"), fileno(full), &size, &e));
        assert_int_equal(e.code, ERROR_SYSTEM);
        assert_string_equal(e.message, "cannot be written: No space left on device");
        fclose(full);
    }
    store_free(store);
}

static void refuses_other_files(void **state) {
    (void)state;
    struct error e;
    FILE *null = fopen("/dev/null", "r");
    assert_non_null(null);
    assert_null(snapshot_open(fileno(null), &e));
    assert_string_equal(e.message, "it is no file of a snapshot");
    fclose(null);
    expect_refused("", 0, "it was cut short, to 0 bytes");
    static const char zeros[8192];
    expect_refused(zeros, sizeof zeros, "it is no snapshot");
}

static void copes_without_memory(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    struct error e;
    change_all(&store, 1, 300, 200, true);
    int good = write_store(store, "{}");
    bool done = false;
    for (long fail = 0; !done; fail++) {
        uint64_t size;
        int fd = new_file();
        memory_left = fail;
        done = snapshot_write(store, SLICE("{}"), fd, &size, &e);
        memory_left = -1;
        assert_true(done || e.code == ERROR_MEMORY);
        close(fd);
    }
    done = false;
    for (long fail = 0; !done; fail++) {
        struct store *again = store_new(PATCH_MAX);
        memory_left = fail;
        struct snapshot *snapshot = snapshot_open(good, &e);
        done = snapshot && snapshot_load(snapshot, again, &e);
        memory_left = -1;
        if (done) {
            expect_same(store, again);
        } else {
            assert_int_equal(e.code, ERROR_MEMORY);
            assert_int_equal(store_count(again, (struct slice){0}), 0);
            put(again, SLICE("t"), SLICE("k"), SLICE("1"));
            assert_int_equal(store_count(again, (struct slice){0}), 1);
        }
        store_free(again);
    }
    close(good);
    store_free(store);
}

/* Enough for two threads, slabs over several pages, large pages. */
static void keeps_a_large_store(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    char key[24];
    char value[400];
    struct error e;
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < 60000; i++) {
        int len = snprintf(key, sizeof key, "key %u", i);
        put(store, i % 3 ? SLICE("a") : SLICE("b"), slice_of(key, (size_t)len),
            slice_of(value, 300 + draw(100)));
    }
    int fd = write_store(store, "{}");
    struct buf bytes = content_of(fd);
    struct store *again = read_store(fd, &e);
    assert_non_null(again);
    expect_same(store, again);
    close(fd);
    for (unsigned i = 0; i < 30; i++) {
        size_t at = ((size_t)draw(1 << 30) << 2) % bytes.len;
        bytes.ptr[at] ^= 1;
        expect_refused(bytes.ptr, bytes.len, "damaged");
        bytes.ptr[at] ^= 1;
    }
    buf_free(&bytes);
    store_free(store);
    store_free(again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_an_empty_store),  cmocka_unit_test(keeps_what_is_said_of_it),
        cmocka_unit_test(writes_what_it_reads),  cmocka_unit_test(goes_on_after_reading),
        cmocka_unit_test(leaves_the_file_alone), cmocka_unit_test(refuses_damage),
        cmocka_unit_test(names_what_is_wrong),   cmocka_unit_test(survives_forgery),
        cmocka_unit_test(reports_a_full_disk),   cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(copes_without_memory),  cmocka_unit_test(keeps_a_large_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
