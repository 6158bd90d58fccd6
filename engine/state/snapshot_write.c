#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "state/snapshot.h"
#include "state/snapshot_format.h"
#include "state/snapshot_sum.h"
#include "state/store_parts.h"

enum {
    SLAB_UNITS_LEAST = SNAPSHOT_PIECE / HEAP_UNIT,
    WRITE_CHUNK = SNAPSHOT_LARGE_PAGE, /* of bytes: the system can give such pages */
    LARGE_FROM = 16 << 20,             /* bytes of blocks */
    AHEAD = 12,                        /* places whose entities are asked for before they are needed */
};

static const uint64_t index_max = UINT64_C(1) << 36;

/* A part of the file that is written from its start to its end, and checked in pieces. */
struct part {
    uint64_t start, at; /* of the file; at: behind what was written */
    char *buf;
    size_t used;
    size_t piece; /* where in buf the present piece starts */
};

struct writer {
    int fd;
    struct error *e;
    const struct store *store;
    struct snapshot_header header;
    const struct store_type **types; /* those with entities, by name */
    uint64_t places_len;
    struct part places, blocks, larges;
    uint32_t slab_units; /* at most, of a slab */
    struct snapshot_slab slab;
    struct buf slabs, large_index, pieces, large_pieces, names, index;
    uint64_t large_len;
};

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
}

static bool write_at(struct writer *w, const char *ptr, size_t len, uint64_t at) {
    while (len > 0) {
        ssize_t put = pwrite(w->fd, ptr, len, (off_t)at);
        if (put < 0 && errno != EINTR) {
            return error_set(w->e, ERROR_SYSTEM, "cannot be written: %s", strerror(errno));
        }
        if (put > 0) {
            ptr += put;
            at += (uint64_t)put;
            len -= (size_t)put;
        }
    }
    return true;
}

static bool flush(struct writer *w, struct part *part, size_t len) {
    bool ok = write_at(w, part->buf, len, part->at);
    part->at += len;
    part->used -= len;
    memmove(part->buf, part->buf + len, part->used);
    return ok;
}

/* The end of a piece: its hash. Whole chunks are written, for which the system can take large pages. */
static bool end_piece(struct writer *w, struct part *part, uint64_t *hash) {
    *hash = snapshot_sum(part->buf + part->piece, part->used - part->piece);
    uint64_t whole = (part->at + part->used) / WRITE_CHUNK * WRITE_CHUNK;
    bool ok = whole <= part->at || flush(w, part, (size_t)(whole - part->at));
    part->piece = part->used;
    return ok;
}

static size_t piece_len(const struct part *part) {
    return part->used - part->piece;
}

/* ---- places and larges ---- */

static bool list_piece(struct writer *w, struct part *part, struct buf *pieces) {
    uint64_t hash;
    return end_piece(w, part, &hash) && (buf_append(pieces, &hash, sizeof hash) || out_of_memory(w->e));
}

static bool put_place(struct writer *w, uint64_t place) {
    struct part *part = &w->places;
    memcpy(part->buf + part->used, &place, sizeof place);
    part->used += sizeof place;
    return piece_len(part) < SNAPSHOT_PIECE || list_piece(w, part, &w->pieces);
}

static bool put_large_bytes(struct writer *w, const char *ptr, size_t len) {
    struct part *part = &w->larges;
    while (len > 0) {
        size_t room = SNAPSHOT_PIECE - piece_len(part);
        size_t take = len < room ? len : room;
        memcpy(part->buf + part->used, ptr, take);
        part->used += take;
        ptr += take;
        len -= take;
        if (take == room && !list_piece(w, part, &w->large_pieces)) {
            return false;
        }
    }
    return true;
}

/* Ends a part with zeros, up to a place in the file. */
static bool end_part(struct writer *w, struct part *part, struct buf *pieces, uint64_t end) {
    while (part->at + part->used < end) {
        uint64_t fill = end - part->at - part->used;
        size_t room = SNAPSHOT_PIECE - piece_len(part);
        fill = fill < room ? fill : room;
        memset(part->buf + part->used, 0, (size_t)fill);
        part->used += (size_t)fill;
        if (piece_len(part) == SNAPSHOT_PIECE && !list_piece(w, part, pieces)) {
            return false;
        }
    }
    return (piece_len(part) == 0 || list_piece(w, part, pieces)) && flush(w, part, part->used);
}

/* ---- blocks: slabs, each with its checksum ---- */

static bool end_slab(struct writer *w) {
    w->slab.units = (uint32_t)(piece_len(&w->blocks) / HEAP_UNIT);
    w->header.slab_count++;
    return end_piece(w, &w->blocks, &w->slab.hash) &&
           (buf_append(&w->slabs, &w->slab, sizeof w->slab) || out_of_memory(w->e));
}

/* Copies a block as it would be were it new. *ref: what names it in the file. */
static bool put_block(struct writer *w, const struct heap_block *block, uint32_t type, uint64_t place,
                      uint32_t *ref) {
    size_t len = (size_t)block->key_len + block->value_len;
    size_t units = heap_units(block->key_len, block->value_len);
    if (piece_len(&w->blocks) / HEAP_UNIT + units > w->slab_units) {
        if (!end_slab(w)) {
            return false;
        }
        w->slab = (struct snapshot_slab){
            .first_place = place, .first_type = type, .first_large = w->header.large_count};
    }
    uint32_t number = w->header.slab_count + 1;
    if (number >= HEAP_SLABS_MAX) {
        return error_set(w->e, ERROR_LIMIT, "the state is too large for a snapshot");
    }
    char *to = w->blocks.buf + w->blocks.used;
    struct heap_block head = {
        .mark = heap_mark(type, (uint32_t)units), .key_len = block->key_len, .value_len = block->value_len};
    memset(to + (units - 1) * HEAP_UNIT, 0, HEAP_UNIT);
    memcpy(to, &head, sizeof head);
    memcpy(to + sizeof head, block->bytes, len);
    *ref = number << HEAP_SLAB_BITS | (uint32_t)(piece_len(&w->blocks) / HEAP_UNIT);
    w->blocks.used += units * HEAP_UNIT;
    return true;
}

/* Its bytes are written when all blocks are. */
static bool put_large(struct writer *w, const struct heap_large *large, uint32_t type, uint32_t *ref) {
    struct snapshot_large entry = {
        .at = w->large_len, .key_len = large->key_len, .value_len = large->value_len, .type = type};
    w->large_len += (uint64_t)large->key_len + large->value_len;
    *ref = HEAP_LARGE + w->header.large_count++;
    return buf_append(&w->large_index, &entry, sizeof entry) || out_of_memory(w->e);
}

static void ask_for(const struct heap *heap, uint64_t place) {
    uint32_t ref = (uint32_t)place;
    if (ref && ref < HEAP_LARGE) {
        const char *block = (const char *)heap_block(heap, ref);
        __builtin_prefetch(block);
        __builtin_prefetch(block + 64);
        __builtin_prefetch(block + 128);
        __builtin_prefetch(block + 192);
    }
}

static bool put_table(struct writer *w, const struct table *table, uint32_t type) {
    const struct heap *heap = &w->store->heap;
    size_t count = table_places(table);
    for (size_t i = 0; i < count; i++) {
        uint32_t ref = (uint32_t)table->places[i];
        uint32_t put = 0;
        if (i + AHEAD < count) {
            ask_for(heap, table->places[i + AHEAD]);
        }
        if (ref >= HEAP_LARGE ? !put_large(w, &heap->larges[ref - HEAP_LARGE], type, &put)
                              : ref && !put_block(w, heap_block(heap, ref), type, i, &put)) {
            return false;
        }
        if (!put_place(w, (table->places[i] & ~(uint64_t)UINT32_MAX) | put)) {
            return false;
        }
    }
    return true;
}

static bool put_tables(struct writer *w) {
    for (uint32_t i = 0; i < w->header.type_count; i++) {
        if (!put_table(w, &w->types[i]->table, i)) {
            return false;
        }
    }
    return end_part(w, &w->places, &w->pieces, w->blocks.start) &&
           (piece_len(&w->blocks) == 0 || end_slab(w)) && flush(w, &w->blocks, w->blocks.used);
}

static bool put_larges(struct writer *w) {
    const struct heap *heap = &w->store->heap;
    for (uint32_t t = 0; w->header.large_count > 0 && t < w->header.type_count; t++) {
        const struct table *table = &w->types[t]->table;
        for (size_t i = 0; i < table_places(table); i++) {
            uint32_t ref = (uint32_t)table->places[i];
            const struct heap_large *large = ref >= HEAP_LARGE ? &heap->larges[ref - HEAP_LARGE] : NULL;
            if (large && !put_large_bytes(w, large->bytes, (size_t)large->key_len + large->value_len)) {
                return false;
            }
        }
    }
    return end_part(w, &w->larges, &w->large_pieces, snapshot_round(w->larges.at + w->larges.used, 8));
}

/* ---- what comes before and behind ---- */

static int compare_types(const void *a, const void *b) {
    const struct store_type *left = *(const struct store_type *const *)a;
    const struct store_type *right = *(const struct store_type *const *)b;
    return slice_compare(slice_of(left->name, left->name_len), slice_of(right->name, right->name_len));
}

static bool list_types(struct writer *w) {
    const struct store *store = w->store;
    w->types = calloc(store->type_count + 1, sizeof *w->types);
    if (!w->types) {
        return out_of_memory(w->e);
    }
    for (size_t i = 0; i < store->type_count; i++) {
        if (store->types[i]->table.count > 0) {
            w->types[w->header.type_count++] = store->types[i];
            w->places_len += table_places(&store->types[i]->table) * sizeof(uint64_t);
        }
    }
    qsort(w->types, w->header.type_count, sizeof *w->types, compare_types);
    return true;
}

/* Slabs that are small enough to be checked in the cache, and large enough for their number to be enough. */
static uint32_t slab_units(const struct store *store) {
    uint32_t units = SLAB_UNITS_LEAST;
    while (units < HEAP_SLAB_UNITS && store->heap.live_units / units > HEAP_SLABS_MAX / 2) {
        units *= 2;
    }
    return units;
}

/* Blocks begin with a large page where there are many. */
static uint64_t blocks_start(const struct writer *w) {
    uint64_t end = SNAPSHOT_PAGE + w->places_len;
    size_t blocks = w->store->heap.live_units * HEAP_UNIT;
    return snapshot_round(end, blocks >= LARGE_FROM ? WRITE_CHUNK : SNAPSHOT_PAGE);
}

/* Memory for a part of so many bytes: not more than a chunk and a piece. */
static struct part new_part(uint64_t start, uint64_t len, size_t piece) {
    size_t room = len < WRITE_CHUNK + piece ? (size_t)len : WRITE_CHUNK + piece;
    return (struct part){.start = start, .at = start, .buf = malloc(room + 1)};
}

static bool open_parts(struct writer *w) {
    const struct heap *heap = &w->store->heap;
    if (!list_types(w)) {
        return false;
    }
    w->slab_units = slab_units(w->store);
    uint64_t blocks = blocks_start(w);
    w->places = new_part(SNAPSHOT_PAGE, blocks - SNAPSHOT_PAGE, SNAPSHOT_PIECE);
    w->blocks = new_part(blocks, heap->live_units * HEAP_UNIT, (size_t)w->slab_units * HEAP_UNIT);
    w->larges = new_part(0, heap->large_bytes + 8, SNAPSHOT_PIECE);
    struct buf *const bufs[] = {&w->slabs,        &w->large_index, &w->pieces,
                                &w->large_pieces, &w->names,       &w->index};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        buf_init(bufs[i], (size_t)index_max);
    }
    return (w->places.buf && w->blocks.buf && w->larges.buf) || out_of_memory(w->e);
}

static void close_parts(struct writer *w) {
    struct buf *const bufs[] = {&w->slabs,        &w->large_index, &w->pieces,
                                &w->large_pieces, &w->names,       &w->index};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        buf_free(bufs[i]);
    }
    free(w->types);
    free(w->places.buf);
    free(w->blocks.buf);
    free(w->larges.buf);
}

static bool add_index(struct writer *w, struct slice part) {
    static const char zeros[8];
    size_t fill = (size_t)(snapshot_round(part.len, sizeof zeros) - part.len);
    return buf_append_slice(&w->index, part) && buf_append(&w->index, zeros, fill);
}

static bool add_types(struct writer *w) {
    for (uint32_t i = 0; i < w->header.type_count; i++) {
        const struct store_type *type = w->types[i];
        struct snapshot_type entry = {
            .place_count = type->table.place_count,
            .count = type->table.count,
            .bytes = type->table.bytes,
            .name_at = (uint32_t)w->names.len,
            .name_len = (uint32_t)type->name_len,
        };
        if (!buf_append(&w->index, &entry, sizeof entry) ||
            !buf_append(&w->names, type->name, type->name_len)) {
            return false;
        }
    }
    return w->names.len <= UINT32_MAX;
}

static bool put_index(struct writer *w, struct slice about) {
    struct snapshot_header *header = &w->header;
    w->index.len = 0;
    if (!add_index(w, about) || !add_types(w) || !add_index(w, buf_slice(&w->slabs)) ||
        !add_index(w, buf_slice(&w->large_index)) || !add_index(w, buf_slice(&w->pieces)) ||
        !add_index(w, buf_slice(&w->large_pieces)) || !add_index(w, buf_slice(&w->names))) {
        return out_of_memory(w->e);
    }
    header->about_len = (uint32_t)about.len;
    header->names_len = (uint32_t)w->names.len;
    header->piece_count = (uint32_t)((w->pieces.len + w->large_pieces.len) / sizeof(uint64_t));
    header->index = (struct snapshot_extent){w->larges.at, w->index.len};
    header->index_hash = snapshot_sum(w->index.ptr, w->index.len);
    return write_at(w, w->index.ptr, w->index.len, header->index.at);
}

static struct snapshot_extent extent_of(const struct part *part) {
    return (struct snapshot_extent){part->start, part->at - part->start};
}

/* Last, so that a file that was not finished has none. */
static bool put_header(struct writer *w) {
    struct snapshot_header *header = &w->header;
    memcpy(header->magic, SNAPSHOT_MAGIC, sizeof header->magic);
    header->version = SNAPSHOT_VERSION;
    header->order = SNAPSHOT_ORDER;
    header->seed = w->store->seed;
    header->size = header->index.at + header->index.len;
    header->places = extent_of(&w->places);
    header->blocks = extent_of(&w->blocks);
    header->larges = extent_of(&w->larges);
    header->hash = snapshot_sum(header, offsetof(struct snapshot_header, hash));
    return write_at(w, (const char *)header, sizeof *header, 0);
}

bool snapshot_write(const struct store *store, struct slice about, int fd, uint64_t *size, struct error *e) {
    struct writer w = {.fd = fd, .e = e, .store = store};
    if (about.len > SNAPSHOT_ABOUT_MAX) {
        return error_set(e, ERROR_LIMIT, "what is to be said of a snapshot is longer than %d bytes",
                         SNAPSHOT_ABOUT_MAX);
    }
    bool ok = open_parts(&w) && put_tables(&w);
    w.larges.start = w.larges.at = w.blocks.at;
    ok = ok && put_larges(&w) && put_index(&w, about) && put_header(&w);
    *size = w.header.size;
    close_parts(&w);
    return ok;
}
