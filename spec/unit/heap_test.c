/* state/heap under the store: random changes against a list, memory after many changes of all sizes, memory
 * that fails, and a store taken over from a mapping. Linked with its allocations wrapped. */
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
#include "state/store_parts.h"

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return memory_fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

/* What the store should hold: of each entity the length of its value, and what it is made of. */
enum { TYPES = 3, BATCH = 32, VALUE_MAX = 300000 };

static const char *const types[TYPES] = {"a", "type", "another type"};

struct expected {
    uint32_t len;
    unsigned char fill;
    bool there;
};

struct model {
    struct store *store;
    struct expected *entities;
    size_t keys;
    unsigned seed;
    char *value; /* VALUE_MAX bytes */
    size_t live; /* bytes of keys and values */
};

static unsigned number(struct model *model, unsigned below) {
    return (unsigned)rand_r(&model->seed) % below;
}

static struct slice type_of(size_t i) {
    return slice_from(types[i % TYPES]);
}

static struct slice key_of(size_t i, char key[40]) {
    return slice_of(key, (size_t)snprintf(key, 40, "%.*s%zu", (int)(i % 17), "a longer key than :", i));
}

static void model_init(struct model *model, size_t keys, unsigned seed) {
    *model = (struct model){.keys = keys, .seed = seed};
    model->store = store_new(VALUE_MAX);
    model->entities = calloc(keys, sizeof *model->entities);
    model->value = malloc(VALUE_MAX);
    assert_non_null(model->store);
    assert_non_null(model->entities);
    assert_non_null(model->value);
}

static void model_free(struct model *model) {
    store_free(model->store);
    free(model->entities);
    free(model->value);
}

/* The value's first and last bytes, and every 61st, say what it is. */
static bool has_value(struct slice value, const struct expected *expected) {
    if (!value.ptr || value.len != expected->len) {
        return false;
    }
    for (size_t i = 0; i < value.len; i += 61) {
        if ((unsigned char)value.ptr[i] != expected->fill) {
            return false;
        }
    }
    return value.len == 0 || (unsigned char)value.ptr[value.len - 1] == expected->fill;
}

static void check_entity(const struct model *model, size_t i) {
    char key[40];
    struct slice value = store_get(model->store, type_of(i), key_of(i, key));
    assert_int_equal(value.ptr != NULL, model->entities[i].there);
    if (value.ptr) {
        assert_true(has_value(value, &model->entities[i]));
    }
}

static void check_all(const struct model *model) {
    char key[40];
    size_t count = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < model->keys; i++) {
        check_entity(model, i);
        if (model->entities[i].there) {
            count++;
            bytes += key_of(i, key).len + model->entities[i].len;
        }
    }
    assert_int_equal(store_count(model->store, (struct slice){0}), count);
    assert_int_equal(store_bytes(model->store), bytes);
    assert_int_equal(bytes, model->live);
}

struct step {
    size_t i;
    struct expected next;
    struct event event;
    struct store_place place;
    char key[40];
};

static void plan(struct model *model, struct step *step, size_t i, size_t len, bool there) {
    step->i = i;
    step->next = (struct expected){(uint32_t)len, (unsigned char)number(model, 256), there};
    step->event = (struct event){.kind = EVENT_CHANGE,
                                 .operation = there ? EVENT_UPSERT : EVENT_DELETE,
                                 .type = type_of(i),
                                 .key = key_of(i, step->key)};
    if (there) {
        step->event.value = slice_of(model->value, len);
    }
}

/* False: out of memory, and nothing changed. */
static bool take_step(struct model *model, struct step *step, const struct store_place *place) {
    struct error e;
    struct expected *entity = &model->entities[step->i];
    memset(model->value, step->next.fill, step->next.len);
    long left = memory_left;
    bool ok = place ? store_apply_at(model->store, place, &step->event, &e)
                    : store_apply(model->store, &step->event, &e);
    if (!ok) {
        assert_int_equal(e.code, ERROR_MEMORY);
        assert_true(left >= 0);
        return false;
    }
    size_t key = step->event.key.len;
    model->live += step->next.there ? key + step->next.len : 0;
    model->live -= entity->there ? key + entity->len : 0;
    *entity = step->next;
    return true;
}

/* Lengths of values: mostly small ones, and of each kind that the heap treats in its own way. */
static size_t any_length(struct model *model) {
    switch (number(model, 40)) {
    case 0:
        return 0;
    case 1:
        return 31600 + number(model, 300);
    case 2:
        return 1000 + number(model, 30000);
    case 3:
        return 30000 + number(model, 100000);
    case 4:
        return number(model, 20) == 0 ? 200000 + number(model, 100000) : 70000;
    default:
        return number(model, 1u << (2 + number(model, 8)));
    }
}

static void run_batch(struct model *model) {
    struct step steps[BATCH];
    size_t count = 1 + number(model, BATCH);
    for (size_t s = 0; s < count; s++) {
        plan(model, &steps[s], number(model, (unsigned)model->keys), any_length(model), number(model, 4) > 0);
        uint64_t hash = store_hash(store_seed(model->store), steps[s].event.key);
        store_aim(model->store, steps[s].event.type, hash, &steps[s].place);
    }
    for (size_t s = 0; s < count; s++) {
        store_near(model->store, &steps[s].place);
    }
    for (size_t s = 0; s < count; s++) {
        struct slice old = store_get_at(model->store, &steps[s].place, steps[s].event.key);
        assert_int_equal(old.ptr != NULL, model->entities[steps[s].i].there);
        assert_true(take_step(model, &steps[s], &steps[s].place));
        check_entity(model, steps[s].i);
        if (number(model, 3000) == 0) { /* in the middle of a batch */
            if (number(model, 2) == 0) {
                store_clear(model->store);
            } else {
                struct store *like = store_like(model->store);
                store_free(model->store);
                model->store = like;
            }
            memset(model->entities, 0, model->keys * sizeof *model->entities);
            model->live = 0;
        }
    }
}

static void is_as_a_list(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct model model;
        model_init(&model, seed % 2 ? 60 : 900, seed);
        for (int batch = 0; batch < 400; batch++) {
            run_batch(&model);
            if (batch % 50 == 0) {
                check_all(&model);
            }
        }
        check_all(&model);
        model_free(&model);
    }
}

/* --- memory after many changes --- */

static size_t between(struct model *model, size_t least, size_t most) {
    return least + number(model, (unsigned)(most - least + 1));
}

/* `times` as many updates as there are keys, of lengths from least to most, some of them deletes. */
static void churn(struct model *model, double times, size_t least, size_t most) {
    size_t steps = (size_t)(times * (double)model->keys);
    for (size_t s = 0; s < steps; s++) {
        struct step step;
        size_t i = number(model, (unsigned)model->keys);
        plan(model, &step, i, between(model, least, most), number(model, 10) > 0);
        assert_true(take_step(model, &step, NULL));
    }
}

static void expect_bound(const struct model *model, const char *what) {
    size_t resident = store_resident(model->store);
    if (resident > model->live + model->live / 2) {
        fail_msg("%s: %zu bytes for %zu", what, resident, model->live);
    }
}

enum { CHURN_KEYS = 30000 };

static void memory_is_bounded_when_sizes_stay(void **state) {
    (void)state;
    struct model model;
    model_init(&model, CHURN_KEYS, 1);
    for (int i = 0; i < 10; i++) {
        churn(&model, 1, 120, 280);
        expect_bound(&model, "120 to 280");
    }
    check_all(&model);
    model_free(&model);
}

static void memory_is_bounded_when_all_grow(void **state) {
    (void)state;
    struct model model;
    model_init(&model, CHURN_KEYS, 2);
    for (size_t size = 120; size < 1200; size += 100) {
        churn(&model, 1, size, size + 60);
        expect_bound(&model, "growing");
    }
    check_all(&model);
    model_free(&model);
}

static void memory_is_bounded_when_all_shrink(void **state) {
    (void)state;
    struct model model;
    model_init(&model, CHURN_KEYS, 3);
    churn(&model, 3, 1100, 1200);
    for (size_t size = 1100; size > 100; size -= 100) {
        churn(&model, 1, size, size + 60);
        expect_bound(&model, "shrinking");
    }
    check_all(&model);
    model_free(&model);
}

static void memory_is_bounded_for_large_values(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 300, 4);
    for (int i = 0; i < 10; i++) {
        churn(&model, 1, 15000, 25000);
        churn(&model, 1, 25000, 100000);
        expect_bound(&model, "large");
    }
    check_all(&model);
    model_free(&model);
}

/* What most of the entities leave behind is given back, with nothing but a few changes of the others. */
static void memory_is_given_back(void **state) {
    (void)state;
    struct model model;
    model_init(&model, CHURN_KEYS, 5);
    churn(&model, 3, 150, 250);
    for (size_t i = 0; i < model.keys; i++) {
        struct step step;
        if (i % 50 != 0) {
            plan(&model, &step, i, 0, false);
            assert_true(take_step(&model, &step, NULL));
        }
    }
    expect_bound(&model, "after deletes");
    check_all(&model);
    model_free(&model);
}

static void idle_stores_are_small(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 1, 6);
    assert_true(store_resident(model.store) <= 1024);
    churn(&model, 1, 100, 100);
    assert_true(store_resident(model.store) <= 3072);
    model_free(&model);
}

/* --- memory that fails --- */

static void survives_failing_memory(void **state) {
    (void)state;
    size_t failures = 0;
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct model model;
        model_init(&model, 400, seed);
        for (int s = 0; s < 3000; s++) {
            struct step step;
            size_t len = s % 100 == 0 ? any_length(&model)
                                      : between(&model, seed * 10, seed * 20 + (unsigned)s / 5);
            plan(&model, &step, number(&model, 400), len, number(&model, 5) > 0);
            memory_left = s % 2 ? (long)number(&model, 2) : -1;
            bool ok = take_step(&model, &step, NULL);
            memory_left = -1;
            failures += !ok;
            check_entity(&model, step.i);
        }
        check_all(&model);
        model_free(&model);
    }
    assert_true(failures > 500);
}

/* --- a store taken over from a mapping --- */

struct image_builder {
    char *map;
    size_t size, used;
    struct store_image_slab slabs[64];
    size_t slab_count;
    struct store_image_large larges[400];
    size_t large_count;
};

static void *image_take(struct image_builder *builder, size_t size) {
    void *at = builder->map + builder->used;
    builder->used += (size + 15) / 16 * 16;
    assert_true(builder->used <= builder->size);
    return at;
}

enum { IMAGE_SLAB_UNITS = 4096 };

static uint32_t image_add(struct image_builder *builder, uint32_t type, struct slice key,
                          struct slice value) {
    size_t units = heap_units(key.len, value.len);
    if (units > HEAP_UNITS_MAX) {
        char *bytes = image_take(builder, key.len + value.len);
        memcpy(bytes, key.ptr, key.len);
        memcpy(bytes + key.len, value.ptr, value.len);
        builder->larges[builder->large_count] = (struct store_image_large){bytes, (uint32_t)key.len,
                                                                           (uint32_t)value.len, type};
        return HEAP_LARGE + (uint32_t)builder->large_count++;
    }
    if (builder->slab_count == 0 ||
        builder->slabs[builder->slab_count - 1].units + units > IMAGE_SLAB_UNITS) {
        builder->slabs[builder->slab_count++] = (struct store_image_slab){
            .base = image_take(builder, IMAGE_SLAB_UNITS * HEAP_UNIT)};
    }
    struct store_image_slab *slab = &builder->slabs[builder->slab_count - 1];
    struct heap_block *block = (void *)(slab->base + (size_t)slab->units * HEAP_UNIT);
    block->mark = heap_mark(type, (uint32_t)units);
    block->key_len = (uint16_t)key.len;
    block->value_len = (uint16_t)value.len;
    memcpy(block->bytes, key.ptr, key.len);
    memcpy(block->bytes + key.len, value.ptr, value.len);
    uint32_t ref = (uint32_t)builder->slab_count << HEAP_SLAB_BITS | slab->units;
    slab->units += (uint32_t)units;
    slab->live += (uint32_t)units;
    return ref;
}

static bool adopt_copy(const struct store *from, struct store *to, long failing) {
    struct image_builder builder = {.size = 64 << 20};
    struct store_image_type image_types[TYPES];
    builder.map = mmap(NULL, builder.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(builder.map != MAP_FAILED);
    for (size_t t = 0; t < from->type_count; t++) {
        const struct store_type *type = from->types[t];
        size_t count = table_places(&type->table);
        uint64_t *places = image_take(&builder, count * sizeof *places);
        for (size_t i = 0; i < count; i++) {
            uint32_t ref = (uint32_t)type->table.places[i];
            if (ref) {
                uint32_t to_ref = image_add(&builder, (uint32_t)t, heap_key(&from->heap, ref),
                                            heap_value(&from->heap, ref));
                places[i] = table_aim(type->table.places[i]) | to_ref;
            }
        }
        image_types[t] = (struct store_image_type){slice_of(type->name, type->name_len), places,
                                                   type->table.place_count, type->table.count,
                                                   type->table.bytes};
    }
    struct store_image image = {
        .map = builder.map,
        .map_len = builder.size,
        .seed = from->seed,
        .types = image_types,
        .type_count = from->type_count,
        .slabs = builder.slabs,
        .slab_count = builder.slab_count,
        .larges = builder.larges,
        .large_count = builder.large_count,
    };
    struct error e;
    memory_left = failing;
    bool ok = store_adopt(to, &image, &e);
    memory_left = -1;
    if (!ok) {
        assert_int_equal(e.code, ERROR_MEMORY);
        builder.map[0] = 1; /* still the caller's */
        munmap(builder.map, builder.size);
    }
    return ok;
}

static void takes_over_a_mapping(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 2000, 7);
    churn(&model, 3, 20, 300);
    for (int i = 0; i < 20; i++) {
        run_batch(&model);
    }
    struct store *copy = store_new(VALUE_MAX);
    long failing = 0;
    while (!adopt_copy(model.store, copy, failing)) {
        assert_int_equal(store_count(copy, (struct slice){0}), 0);
        failing++;
    }
    assert_true(failing > 5);
    store_free(model.store);
    model.store = copy;
    check_all(&model);
    for (int i = 0; i < 40; i++) {
        run_batch(&model);
        check_all(&model);
    }
    expect_bound(&model, "after adoption");
    churn(&model, 10, 1000, 2000);
    check_all(&model);
    expect_bound(&model, "after growth");
    model_free(&model);
}

static void drops_a_mapping(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 100, 8);
    churn(&model, 3, 20, 300);
    struct store *copy = store_new(VALUE_MAX);
    assert_true(adopt_copy(model.store, copy, -1));
    assert_int_equal(store_count(copy, (struct slice){0}), store_count(model.store, (struct slice){0}));
    store_clear(copy);
    assert_null(copy->heap.map);
    assert_true(adopt_copy(model.store, copy, -1));
    store_free(copy);
    model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_as_a_list),
        cmocka_unit_test(memory_is_bounded_when_sizes_stay),
        cmocka_unit_test(memory_is_bounded_when_all_grow),
        cmocka_unit_test(memory_is_bounded_when_all_shrink),
        cmocka_unit_test(memory_is_bounded_for_large_values),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(idle_stores_are_small),
        cmocka_unit_test(survives_failing_memory),
        cmocka_unit_test(takes_over_a_mapping),
        cmocka_unit_test(drops_a_mapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
