#include "state/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "state/snapshot_parts.h"
#include "state/snapshot_sum.h"
#include "state/store_parts.h"

static bool damaged(struct error *e, const char *what) {
    return error_set(e, ERROR_SYNTAX, "it is damaged: %s", what);
}

static bool map_file(struct snapshot *snapshot, int fd, struct error *e) {
    struct stat st;
    void *map = NULL;
    if (fstat(fd, &st) != 0) {
        error_set(e, ERROR_SYSTEM, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        error_set(e, ERROR_SYNTAX, "it is no file of a snapshot");
    } else if (st.st_size < SNAPSHOT_PAGE) {
        error_set(e, ERROR_SYNTAX, "it is damaged: it was cut short, to %lld bytes", (long long)st.st_size);
    } else {
        /* Written to by the store that takes it over: what is written stays in this process. */
        map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            error_set(e, ERROR_SYSTEM, "cannot be mapped: %s", strerror(errno));
            map = NULL;
        }
    }
    snapshot->map = map;
    snapshot->len = map ? (size_t)st.st_size : 0;
    snapshot->header = map;
    return map != NULL;
}

static bool check_header(const struct snapshot *snapshot, struct error *e) {
    const struct snapshot_header *header = snapshot->header;
    if (memcmp(header->magic, SNAPSHOT_MAGIC, sizeof header->magic) != 0) {
        return error_set(e, ERROR_SYNTAX, "it is no snapshot, or its start is damaged");
    }
    if (header->order == SNAPSHOT_ORDER_SWAPPED) {
        return error_set(e, ERROR_SYNTAX, "it was written on a machine of another byte order");
    }
    if (header->version != SNAPSHOT_VERSION) {
        return error_set(e, ERROR_SYNTAX, "its format has version %u, and this program reads version %d",
                         header->version, SNAPSHOT_VERSION);
    }
    if (header->order != SNAPSHOT_ORDER ||
        header->hash != snapshot_sum(header, offsetof(struct snapshot_header, hash))) {
        return damaged(e, "the header does not match its checksum");
    }
    if (header->size != snapshot->len) {
        return error_set(e, ERROR_SYNTAX, "it is damaged: it has %zu bytes, and was written with %llu",
                         snapshot->len, (unsigned long long)header->size);
    }
    return true;
}

/* The parts follow on each other and fill the file. */
static bool check_extents(const struct snapshot_header *header) {
    const struct snapshot_extent *const parts[] = {&header->places, &header->blocks, &header->larges,
                                                   &header->index};
    static const uint64_t units[] = {SNAPSHOT_PAGE, HEAP_UNIT, 8, 8};
    uint64_t at = SNAPSHOT_PAGE;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i]->at != at || parts[i]->len > header->size - at || parts[i]->len % units[i] != 0) {
            return false;
        }
        at += parts[i]->len;
    }
    return at == header->size;
}

/* Takes `count` things of `size` bytes from the index. */
static bool take(const char **at, uint64_t *left, uint64_t count, uint64_t size, const void *to) {
    uint64_t len = snapshot_round(count * size, 8); /* both have 32 bits at most */
    if (len > *left) {
        return false;
    }
    *(const void **)to = *at;
    *at += len;
    *left -= len;
    return true;
}

static bool take_index(struct snapshot *snapshot) {
    const struct snapshot_header *header = snapshot->header;
    const char *at = snapshot->map + header->index.at;
    uint64_t left = header->index.len;
    return take(&at, &left, header->about_len, 1, &snapshot->about) &&
           take(&at, &left, header->type_count, sizeof *snapshot->types, &snapshot->types) &&
           take(&at, &left, header->slab_count, sizeof *snapshot->slabs, &snapshot->slabs) &&
           take(&at, &left, header->large_count, sizeof *snapshot->larges, &snapshot->larges) &&
           take(&at, &left, header->piece_count, sizeof *snapshot->pieces, &snapshot->pieces) &&
           take(&at, &left, header->names_len, 1, &snapshot->names) && left == 0;
}

static struct slice name_of(const struct snapshot *snapshot, const struct snapshot_type *type) {
    return slice_of(snapshot->names + type->name_at, type->name_len);
}

static bool check_types(struct snapshot *snapshot) {
    const struct snapshot_header *header = snapshot->header;
    uint64_t left = header->places.len / sizeof(uint64_t);
    uint64_t *places = (uint64_t *)(void *)(snapshot->map + header->places.at);
    for (uint32_t i = 0; i < header->type_count; i++) {
        const struct snapshot_type *type = &snapshot->types[i];
        uint64_t count = type->place_count;
        if (type->name_at > header->names_len || type->name_len > header->names_len - type->name_at ||
            (i > 0 && slice_compare(name_of(snapshot, type - 1), name_of(snapshot, type)) >= 0)) {
            return false;
        }
        if (count == 0 || count > UINT64_C(1) << 32 || type->count == 0 || type->count > count ||
            count + table_spill((size_t)count) > left) {
            return false;
        }
        snapshot->places[i] = places;
        places += count + table_spill((size_t)count);
        left -= count + table_spill((size_t)count);
    }
    return left * sizeof(uint64_t) < SNAPSHOT_LARGE_PAGE;
}

static bool check_slabs(struct snapshot *snapshot) {
    const struct snapshot_header *header = snapshot->header;
    char *at = snapshot->map + header->blocks.at;
    uint64_t left = header->blocks.len / HEAP_UNIT;
    for (uint32_t i = 0; i < header->slab_count; i++) {
        uint32_t units = snapshot->slabs[i].units;
        if (units == 0 || units > HEAP_SLAB_UNITS || units > left) {
            return false;
        }
        snapshot->bases[i] = at;
        at += (size_t)units * HEAP_UNIT;
        left -= units;
    }
    return left == 0;
}

static bool check_larges(const struct snapshot *snapshot) {
    const struct snapshot_header *header = snapshot->header;
    uint64_t at = 0;
    for (uint32_t i = 0; i < header->large_count; i++) {
        const struct snapshot_large *large = &snapshot->larges[i];
        uint64_t len = (uint64_t)large->key_len + large->value_len;
        if (large->at != at || len > header->larges.len - at || large->type >= header->type_count ||
            heap_units(large->key_len, large->value_len) <= HEAP_UNITS_MAX) {
            return false;
        }
        at += len;
    }
    return header->larges.len - at < 8;
}

static bool check_index(struct snapshot *snapshot, struct error *e) {
    const struct snapshot_header *header = snapshot->header;
    if (!check_extents(header)) {
        return damaged(e, "its parts do not fill it");
    }
    if (header->index_hash != snapshot_sum(snapshot->map + header->index.at, header->index.len)) {
        return damaged(e, "the index does not match its checksum");
    }
    uint64_t pieces = snapshot_pieces(header->places.len) + snapshot_pieces(header->larges.len);
    if (header->about_len > SNAPSHOT_ABOUT_MAX || header->type_count >= HEAP_TYPES_MAX ||
        header->slab_count >= HEAP_SLABS_MAX || header->large_count > HEAP_LARGES_MAX ||
        header->piece_count != pieces || !take_index(snapshot)) {
        return damaged(e, "the index is not as it should be");
    }
    snapshot->places = calloc(header->type_count + 1, sizeof *snapshot->places);
    snapshot->bases = calloc(header->slab_count + 1, sizeof *snapshot->bases);
    if (!snapshot->places || !snapshot->bases) {
        return error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
    }
    return (check_types(snapshot) && check_slabs(snapshot) && check_larges(snapshot)) ||
           damaged(e, "the index is not as it should be");
}

static void free_parts(struct snapshot *snapshot) {
    free(snapshot->places);
    free(snapshot->bases);
    free(snapshot);
}

void snapshot_close(struct snapshot *snapshot) {
    if (!snapshot) {
        return;
    }
    if (snapshot->map) {
        munmap(snapshot->map, snapshot->len);
    }
    free_parts(snapshot);
}

struct snapshot *snapshot_open(int fd, struct error *e) {
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
        return NULL;
    }
    if (!map_file(snapshot, fd, e) || !check_header(snapshot, e) || !check_index(snapshot, e)) {
        snapshot_close(snapshot);
        return NULL;
    }
    return snapshot;
}

struct slice snapshot_about(const struct snapshot *snapshot) {
    return slice_of(snapshot->about, snapshot->header->about_len);
}

size_t snapshot_entities(const struct snapshot *snapshot) {
    size_t count = 0;
    for (uint32_t i = 0; i < snapshot->header->type_count; i++) {
        count += snapshot->types[i].count;
    }
    return count;
}

uint64_t snapshot_size(const struct snapshot *snapshot) {
    return snapshot->len;
}

/* ---- taking over ---- */

static void fill_types(const struct snapshot *snapshot, struct store_image_type *types) {
    for (uint32_t i = 0; i < snapshot->header->type_count; i++) {
        const struct snapshot_type *from = &snapshot->types[i];
        types[i] = (struct store_image_type){
            .name = name_of(snapshot, from),
            .places = snapshot->places[i],
            .place_count = from->place_count,
            .count = from->count,
            .bytes = from->bytes,
        };
    }
}

static void fill_slabs(const struct snapshot *snapshot, struct store_image_slab *slabs) {
    for (uint32_t i = 0; i < snapshot->header->slab_count; i++) {
        uint32_t units = snapshot->slabs[i].units;
        slabs[i] = (struct store_image_slab){snapshot->bases[i], units, units};
    }
}

static void fill_larges(const struct snapshot *snapshot, struct store_image_large *larges) {
    char *base = snapshot->map + snapshot->header->larges.at;
    for (uint32_t i = 0; i < snapshot->header->large_count; i++) {
        const struct snapshot_large *from = &snapshot->larges[i];
        larges[i] = (struct store_image_large){base + from->at, from->key_len, from->value_len, from->type};
    }
}

/* True: the mapping is the store's. */
static bool adopt(const struct snapshot *snapshot, struct store *store, struct error *e) {
    const struct snapshot_header *header = snapshot->header;
    struct store_image_type *types = calloc(header->type_count + 1, sizeof *types);
    struct store_image_slab *slabs = calloc(header->slab_count + 1, sizeof *slabs);
    struct store_image_large *larges = calloc(header->large_count + 1, sizeof *larges);
    bool ok = types && slabs && larges;
    if (ok) {
        fill_types(snapshot, types);
        fill_slabs(snapshot, slabs);
        fill_larges(snapshot, larges);
        struct store_image image = {
            .map = snapshot->map,
            .map_len = snapshot->len,
            .seed = header->seed,
            .types = types,
            .type_count = header->type_count,
            .slabs = slabs,
            .slab_count = header->slab_count,
            .larges = larges,
            .large_count = header->large_count,
        };
        ok = store_adopt(store, &image, e);
    } else {
        error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
    }
    free(types);
    free(slabs);
    free(larges);
    return ok;
}

bool snapshot_load(struct snapshot *snapshot, struct store *store, struct error *e) {
    bool ok = snapshot_check(snapshot, e) && adopt(snapshot, store, e);
    if (ok) {
        snapshot->map = NULL;
    }
    snapshot_close(snapshot);
    return ok;
}
