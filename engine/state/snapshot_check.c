/* What a snapshot holds beside its index is compared with its checksums, and checked, in jobs that threads
 * take one after another: a piece of places or larges, or a slab with the places that its blocks belong to. A
 * slab is checked right after its checksum was made of it, while it is in the cache. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "state/snapshot_parts.h"
#include "state/snapshot_sum.h"
#include "state/store_parts.h"

enum { THREADS_FROM = 4 << 20 }; /* bytes of a file that are worth a second thread */

/* Of a job that failed, in the order in which they are told. */
enum fault { FAULT_CHECKSUM, FAULT_CONTENT };

struct totals {
    atomic_size_t count, bytes;
};

struct check {
    const struct snapshot *snapshot;
    struct totals *totals; /* by type */
    size_t jobs;
    atomic_size_t next;  /* the job that nobody has taken yet */
    atomic_size_t worst; /* the first job that failed * 2 + enum fault; SIZE_MAX: none */
};

/* ---- a walk over places, side by side with the blocks and larges they name ---- */

struct walk {
    const struct snapshot *snapshot;
    struct totals *totals;
    uint32_t slab;  /* from 0 */
    uint32_t units; /* of the slab */
    uint32_t unit;  /* of the next block */
    uint32_t large; /* the next one */
    uint32_t type;
    uint64_t place; /* in the type's */
};

/* The part of a walk that lies in one type: what changes with each place is kept out of memory. */
struct strip {
    const uint64_t *places;
    uint64_t place_count; /* homes */
    uint64_t seed;
    uint64_t run;  /* the places from here up to the present one are all taken */
    uint64_t last; /* the place before, 0: free */
    size_t count, bytes;
};

static uint64_t places_of(const struct snapshot *snapshot, uint32_t type) {
    uint64_t count = snapshot->types[type].place_count;
    return count + table_spill((size_t)count);
}

static bool start_walk(struct walk *walk, uint32_t slab, uint32_t units) {
    const struct snapshot *snapshot = walk->snapshot;
    walk->slab = slab;
    walk->units = units;
    if (slab == 0) {
        return true; /* at the first place of all */
    }
    const struct snapshot_slab *from = &snapshot->slabs[slab];
    walk->type = from->first_type;
    walk->place = from->first_place;
    walk->large = from->first_large;
    return walk->type < snapshot->header->type_count && walk->place < places_of(snapshot, walk->type);
}

static struct strip start_strip(const struct walk *walk) {
    struct strip strip = {
        .places = walk->snapshot->places[walk->type],
        .place_count = walk->snapshot->types[walk->type].place_count,
        .seed = walk->snapshot->header->seed,
        .run = walk->place,
    };
    while (strip.run > 0 && strip.places[strip.run - 1]) {
        strip.run--;
    }
    strip.last = strip.run < walk->place ? strip.places[walk->place - 1] : 0;
    return strip;
}

/* A key where a search finds it: see state/table.h. */
static bool check_key(const struct strip *strip, uint64_t at, uint64_t place, struct slice key) {
    struct table table = {.place_count = (size_t)strip->place_count};
    uint64_t hash = XXH3_64bits_withSeed(key.ptr, key.len, strip->seed);
    size_t home = table_home(&table, place);
    return hash >> 32 == place >> 32 && home <= at && home >= strip->run && place >> 32 >= strip->last >> 32;
}

/* Finds the block by its reference, not by where the one before it ends, so that the processor need not wait
 * for one to fetch the next. */
static bool take_block(struct walk *walk, uint32_t ref, struct slice *key, size_t *bytes) {
    uint32_t unit = ref & (HEAP_SLAB_UNITS - 1);
    if (ref >> HEAP_SLAB_BITS != walk->slab + 1 || unit >= walk->units) {
        return false;
    }
    const struct heap_block *block = (const void *)(walk->snapshot->bases[walk->slab] +
                                                    (size_t)unit * HEAP_UNIT);
    size_t need = heap_units(block->key_len, block->value_len);
    if (unit != walk->unit || need > HEAP_UNITS_MAX || need > walk->units - unit ||
        block->mark != heap_mark(walk->type, (uint32_t)need)) {
        return false;
    }
    walk->unit = unit + (uint32_t)need;
    *key = slice_of(block->bytes, block->key_len);
    *bytes += (size_t)block->key_len + block->value_len;
    return true;
}

static bool take_large(struct walk *walk, uint32_t ref, struct slice *key, size_t *bytes) {
    const struct snapshot *snapshot = walk->snapshot;
    if (ref != HEAP_LARGE + walk->large || walk->large >= snapshot->header->large_count ||
        snapshot->larges[walk->large].type != walk->type) {
        return false;
    }
    const struct snapshot_large *large = &snapshot->larges[walk->large++];
    *key = slice_of(snapshot->map + snapshot->header->larges.at + large->at, large->key_len);
    *bytes += (size_t)large->key_len + large->value_len;
    return true;
}

/* Up to the end of the type, or the first place that belongs to the next slab. False: not as it should be. */
static bool walk_strip(struct walk *walk) {
    struct strip strip = start_strip(walk);
    uint64_t end = places_of(walk->snapshot, walk->type);
    uint64_t at = walk->place;
    for (; at < end; at++) {
        uint64_t place = strip.places[at];
        uint32_t ref = (uint32_t)place;
        struct slice key;
        if (place == 0) {
            strip.run = at + 1;
        } else if (ref < HEAP_LARGE && walk->unit == walk->units) {
            break;
        } else if (!(ref < HEAP_LARGE ? take_block(walk, ref, &key, &strip.bytes)
                                      : take_large(walk, ref, &key, &strip.bytes)) ||
                   !check_key(&strip, at, place, key)) {
            return false;
        } else {
            strip.count++;
        }
        strip.last = place;
    }
    walk->place = at;
    atomic_fetch_add(&walk->totals[walk->type].count, strip.count);
    atomic_fetch_add(&walk->totals[walk->type].bytes, strip.bytes);
    return at < end || strip.last == 0; /* a search must end */
}

/* Where the slab's blocks are used up, the next one must begin, or the file end. */
static bool ends_well(const struct walk *walk) {
    const struct snapshot_header *header = walk->snapshot->header;
    if (walk->unit != walk->units) {
        return false;
    }
    if (walk->type == header->type_count) {
        return walk->large == header->large_count && walk->slab + 1 >= header->slab_count;
    }
    const struct snapshot_slab *next = &walk->snapshot->slabs[walk->slab + 1];
    return walk->slab + 1 < header->slab_count && next->first_type == walk->type &&
           next->first_place == walk->place && next->first_large == walk->large;
}

static bool walk_slab(struct walk *walk) {
    while (walk->type < walk->snapshot->header->type_count) {
        if (!walk_strip(walk)) {
            return false;
        }
        if (walk->place < places_of(walk->snapshot, walk->type)) {
            break;
        }
        walk->type++;
        walk->place = 0;
    }
    return ends_well(walk);
}

/* ---- jobs ---- */

struct extent {
    char *ptr;
    size_t len;
    uint64_t hash;
};

static struct extent piece_of(const struct snapshot *snapshot, const struct snapshot_extent *part,
                              uint64_t piece, uint64_t hash) {
    uint64_t at = piece * SNAPSHOT_PIECE;
    uint64_t left = part->len - at;
    return (struct extent){snapshot->map + part->at + at,
                           (size_t)(left < SNAPSHOT_PIECE ? left : SNAPSHOT_PIECE), hash};
}

/* The bytes of a job, pieces first: a slab is not told to be wrong where its places are damaged. */
static struct extent extent_of(const struct snapshot *snapshot, size_t job) {
    const struct snapshot_header *header = snapshot->header;
    size_t places = (size_t)snapshot_pieces(header->places.len);
    if (job < places) {
        return piece_of(snapshot, &header->places, job, snapshot->pieces[job]);
    }
    if (job < header->piece_count) {
        return piece_of(snapshot, &header->larges, job - places, snapshot->pieces[job]);
    }
    size_t slab = job - header->piece_count;
    if (slab >= header->slab_count) {
        return (struct extent){snapshot->map, 0, snapshot_sum(NULL, 0)}; /* places without a block */
    }
    return (struct extent){snapshot->bases[slab], (size_t)snapshot->slabs[slab].units * HEAP_UNIT,
                           snapshot->slabs[slab].hash};
}

static void fail(struct check *check, size_t job, enum fault fault) {
    size_t mine = job * 2 + fault;
    size_t worst = atomic_load(&check->worst);
    while (mine < worst && !atomic_compare_exchange_weak(&check->worst, &worst, mine)) {
    }
}

static void run_job(struct check *check, size_t job) {
    const struct snapshot *snapshot = check->snapshot;
    struct extent extent = extent_of(snapshot, job);
    if (snapshot_sum(extent.ptr, extent.len) != extent.hash) {
        fail(check, job, FAULT_CHECKSUM);
        return;
    }
    if (job < snapshot->header->piece_count) {
        return;
    }
    struct walk walk = {.snapshot = snapshot, .totals = check->totals};
    if (!start_walk(&walk, (uint32_t)(job - snapshot->header->piece_count),
                    (uint32_t)(extent.len / HEAP_UNIT)) ||
        !walk_slab(&walk)) {
        fail(check, job, FAULT_CONTENT);
    }
}

static void *run_jobs(void *arg) {
    struct check *check = arg;
    size_t job;
    while ((job = atomic_fetch_add(&check->next, 1)) < check->jobs &&
           atomic_load(&check->worst) == SIZE_MAX) {
        run_job(check, job);
    }
    return NULL;
}

static void run_all(struct check *check) {
    pthread_t thread;
    bool second = check->snapshot->len >= THREADS_FROM && sysconf(_SC_NPROCESSORS_ONLN) > 1 &&
                  pthread_create(&thread, NULL, run_jobs, check) == 0;
    run_jobs(check);
    if (second) {
        pthread_join(thread, NULL);
    }
}

static bool describe(const struct check *check, struct error *e) {
    const struct snapshot *snapshot = check->snapshot;
    size_t worst = atomic_load(&check->worst);
    if (worst != SIZE_MAX) {
        struct extent extent = extent_of(snapshot, worst / 2);
        size_t from = (size_t)(extent.ptr - snapshot->map);
        return error_set(e, ERROR_SYNTAX, "it is damaged: bytes %zu to %zu %s", from, from + extent.len,
                         worst % 2 == FAULT_CHECKSUM ? "do not match their checksum"
                                                     : "hold what no program of this version wrote");
    }
    for (uint32_t i = 0; i < snapshot->header->type_count; i++) {
        if (atomic_load(&check->totals[i].count) != snapshot->types[i].count ||
            atomic_load(&check->totals[i].bytes) != snapshot->types[i].bytes) {
            return error_set(e, ERROR_SYNTAX, "it is damaged: its counts are not those of its entities");
        }
    }
    return true;
}

bool snapshot_check(const struct snapshot *snapshot, struct error *e) {
    const struct snapshot_header *header = snapshot->header;
    size_t walks = header->slab_count ? header->slab_count : 1;
    struct check check = {.snapshot = snapshot, .jobs = header->piece_count + walks};
    check.totals = calloc(header->type_count + 1, sizeof *check.totals);
    if (!check.totals) {
        return error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
    }
    atomic_init(&check.next, 0);
    atomic_init(&check.worst, SIZE_MAX);
    run_all(&check);
    bool ok = describe(&check, e);
    free(check.totals);
    return ok;
}
