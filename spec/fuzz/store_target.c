/* state/store.h: whatever changes are applied in whatever order, with memory that fails now and then, the store
 * holds what a plain list of entities holds, and finds by their members those that a look at all of them finds.
 *
 * Input: steps of a few bytes each, see run_step. The store's hashes are seeded with 0 here (getrandom is
 * wrapped), so that a finding comes again. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "memory.h"
#include "fuzz.h"
#include "state/store.h"
#include "tree.h"
#include "json/merge.h"

enum {
    TYPES = 4,
    KEYS = 1024,
    LONG_KEY = 1000,
    VALUE_MAX = 1 << 17,
    STEPS = 300,
    CHANGES = 8000,
    RUN = 32,
    FULL_CHECK = 100
};

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    memset(buffer, 0, length);
    return (ssize_t)length;
}

/* ---- the list ---- */

struct model {
    char *values[TYPES][KEYS];          /* terminated; NULL: no entity */
    unsigned least[TYPES], most[TYPES]; /* of the keys that ever had a value */
    size_t count, bytes;
};

/* Room for the longest key; the last few are long. */
static struct slice key_of(unsigned key, char out[static 40000]) {
    int len = snprintf(out, 16, "%u", key);
    if (key >= LONG_KEY) {
        size_t full = (size_t)(key - LONG_KEY + 1) * 1600;
        memset(out + len, 'k', full - (size_t)len);
        return slice_of(out, full);
    }
    return slice_of(out, (size_t)len);
}

static struct slice type_of(unsigned type) {
    static const char *const names[TYPES] = {"users", "messages", "t",
                                             "a type with a name that is rather long"};
    return slice_from(names[type % TYPES]);
}

static size_t key_len(unsigned key) {
    static char text[40000];
    return key_of(key, text).len;
}

static void model_put(struct model *model, unsigned type, unsigned key, char *value) {
    char *old = model->values[type][key];
    size_t name = key_len(key);
    model->count -= old != NULL;
    model->bytes -= old ? name + strlen(old) : 0;
    model->count += value != NULL;
    model->bytes += value ? name + strlen(value) : 0;
    free(old);
    model->values[type][key] = value;
    model->least[type] = key < model->least[type] ? key : model->least[type];
    model->most[type] = key >= model->most[type] ? key + 1 : model->most[type];
}

static void model_clear(struct model *model) {
    for (size_t i = 0; i < TYPES; i++) {
        for (unsigned k = model->least[i]; k < model->most[i]; k++) {
            free(model->values[i][k]);
            model->values[i][k] = NULL;
        }
        model->least[i] = KEYS;
        model->most[i] = 0;
    }
    model->count = model->bytes = 0;
}

/* ---- values ---- */

static const char *const patches[] = {
    "{}",
    "{\"a\":null}",
    "{\"b\":[1.0,null]}",
    "{\"a\":{\"b\":null,\"c\":2}}",
    "{\"\\u0061\":true}",
    "\"a string\"",
    "{\"d\":\"01234567890123456789012345678901234567890123456789\"}",
    "null",
};

/* Members that are looked for; of some there is more than one way to write them. */
static const char *const members[] = {
    "1",    "1.0",  "10e-1", "\"x\"", "\"\\u0078\"", "null", "true", "2",
    "-0.5", "\"\"", "[1]",   "{}",    "false",       "0",    "-0",   "9007199254740993",
};

enum { MEMBERS = sizeof members / sizeof *members };

/* A string, or an object, of about that many bytes. To be freed. */
static char *value_of(uint8_t kind, size_t len) {
    char *value = fuzz_alloc(len + 64);
    bool object = kind & 1;
    const char *member = members[kind / 2 % MEMBERS];
    int head = object ? snprintf(value, 64, "{\"u\":%s,\"a\":\"", member) : snprintf(value, 64, "\"");
    memset(value + head, 'a' + kind % 26, len);
    snprintf(value + head + len, 8, "%s", object ? "\"}" : "\"");
    return value;
}

static size_t take_size(struct fuzz_input *input) {
    uint8_t byte = fuzz_byte(input);
    return byte < 128 ? byte : byte < 192 ? (size_t)(byte - 127) * 100 : (size_t)(byte - 191) * 1600;
}

/* ---- both ---- */

struct play {
    struct store *store;
    struct model model;
    struct fuzz_input input;
    long failing; /* allocations until one fails in the next change; -1: none */
    unsigned changes;
};

static void check_entity(const struct play *play, unsigned type, unsigned key) {
    static char text[40000];
    const char *expected = play->model.values[type][key];
    struct slice got = store_get(play->store, type_of(type), key_of(key, text));
    FUZZ_CHECK(!got.ptr == !expected, "%u/%u is %s", type, key, got.ptr ? "there" : "missing");
    FUZZ_CHECK(!expected || slice_is(got, expected), "%u/%u: got %zu bytes %.*s, expected %zu: %.60s", type,
               key, got.len, (int)(got.len > 60 ? 60 : got.len), got.ptr, expected ? strlen(expected) : 0,
               expected);
}

/* What the change would leave; NULL: nothing. */
static char *outcome(const struct play *play, unsigned type, unsigned key, enum event_operation operation,
                     const char *value) {
    if (operation == EVENT_DELETE) {
        return NULL;
    }
    if (operation != EVENT_PATCH) {
        return strdup(value);
    }
    struct buf out;
    const char *old = play->model.values[type][key];
    buf_init(&out, VALUE_MAX * 2);
    bool ok = json_merge_patch(&out, slice_from(old), slice_from(value), NULL) && buf_append_byte(&out, '\0');
    FUZZ_CHECK(ok, "out of memory in the target itself");
    return out.ptr;
}

static void change(struct play *play, const struct store_place *place, unsigned type, unsigned key,
                   enum event_operation operation, const char *value) {
    static char text[40000];
    struct error e = {0};
    struct event event = {
        .kind = EVENT_CHANGE,
        .operation = operation,
        .type = type_of(type),
        .key = key_of(key, text),
        .value = slice_from(value),
    };
    if (play->changes++ >= CHANGES) {
        return;
    }
    char *after = outcome(play, type, key, operation, value);
    memory_left = play->failing;
    bool ok = place ? store_apply_at(play->store, place, &event, &e) : store_apply(play->store, &event, &e);
    bool failed = play->failing >= 0 && memory_left < 0;
    play->failing = memory_left;
    memory_left = -1;
    FUZZ_CHECK(ok || (failed && e.code == ERROR_MEMORY), "%s: %s", error_name(e.code), e.message);
    if (ok) {
        model_put(&play->model, type, key, after);
    } else {
        free(after);
        play->failing = -1;
    }
    check_entity(play, type, key);
}

static void check_rows(const struct play *play, unsigned type) {
    size_t count;
    size_t cursor = 0;
    size_t seen = 0;
    struct store_row row;
    struct store_row *rows = store_rows(play->store, type_of(type), &count);
    FUZZ_CHECK(rows, "no rows");
    FUZZ_CHECK(count == store_count(play->store, type_of(type)), "%zu rows of %zu", count,
               store_count(play->store, type_of(type)));
    size_t ordered;
    uint32_t *order = store_order(play->store, type_of(type), &ordered);
    FUZZ_CHECK(order && ordered == count, "an order of %zu, not %zu", ordered, count);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(i == 0 || slice_compare(rows[i - 1].key, rows[i].key) < 0, "the rows are not in order");
        store_row(play->store, order, count, i, &row);
        FUZZ_CHECK(row.key.ptr == rows[i].key.ptr && row.value.ptr == rows[i].value.ptr, "another order");
    }
    free(order);
    while (store_next(play->store, type_of(type), &cursor, &row)) {
        struct slice value = store_get(play->store, type_of(type), row.key);
        FUZZ_CHECK(value.ptr == row.value.ptr && value.len == row.value.len, "another value in a walk");
        seen++;
    }
    FUZZ_CHECK(seen == count, "a walk over %zu of %zu", seen, count);
    free(rows);
}

static void check_all(const struct play *play) {
    size_t types;
    size_t expected_types = 0;
    for (unsigned type = 0; type < TYPES; type++) {
        size_t count = 0;
        for (unsigned key = play->model.least[type]; key < play->model.most[type]; key++) {
            check_entity(play, type, key);
            count += play->model.values[type][key] != NULL;
        }
        FUZZ_CHECK(store_count(play->store, type_of(type)) == count, "%zu entities, expected %zu",
                   store_count(play->store, type_of(type)), count);
        expected_types += count > 0;
        check_rows(play, type);
    }
    struct slice *names = store_types(play->store, &types);
    FUZZ_CHECK(names && types == expected_types, "%zu types, expected %zu", types, expected_types);
    free(names);
    FUZZ_CHECK(store_count(play->store, (struct slice){0}) == play->model.count, "%zu in all, expected %zu",
               store_count(play->store, (struct slice){0}), play->model.count);
    FUZZ_CHECK(store_bytes(play->store) == play->model.bytes, "%zu bytes, expected %zu",
               store_bytes(play->store), play->model.bytes);
}

static unsigned take_key(struct fuzz_input *input) {
    unsigned high = fuzz_byte(input);
    return (high << 8 | fuzz_byte(input)) % KEYS;
}

static void one(struct play *play, uint8_t options) {
    unsigned type = options >> 6;
    unsigned key = take_key(&play->input);
    if ((options & 7) == 3) {
        change(play, NULL, type, key, EVENT_DELETE, NULL);
    } else if ((options & 7) == 4) {
        change(play, NULL, type, key, EVENT_PATCH, patches[fuzz_byte(&play->input) % 8]);
    } else {
        char *value = value_of(options >> 3, take_size(&play->input));
        change(play, NULL, type, key, (enum event_operation)(options % 3), value);
        free(value);
    }
}

/* Many keys in a row: values of one size, or deletes of every so many. */
static void many(struct play *play, uint8_t options) {
    unsigned type = options >> 6;
    unsigned key = take_key(&play->input);
    unsigned count = fuzz_byte(&play->input);
    unsigned step = 1 + fuzz_byte(&play->input) % 7;
    bool delete = options & 8;
    char *value = value_of(options >> 3, delete ? 0 : take_size(&play->input) % 3000);
    for (unsigned i = 0; i < count; i++) {
        change(play, NULL, type, (key + i * step) % LONG_KEY, delete ? EVENT_DELETE : EVENT_UPSERT,
               delete ? NULL : value);
    }
    free(value);
}

/* A run that is aimed at first: the keys may be the same, and their types new. */
static void run(struct play *play, uint8_t options) {
    static char text[40000];
    struct store_place places[RUN];
    unsigned types[RUN];
    unsigned keys[RUN];
    unsigned count = 1 + fuzz_byte(&play->input) % RUN;
    for (unsigned i = 0; i < count; i++) {
        types[i] = (options >> 6) ^ (i % 3 == 2);
        keys[i] = take_key(&play->input);
        uint64_t hash = store_hash(store_seed(play->store), key_of(keys[i], text));
        store_aim(play->store, type_of(types[i]), hash, &places[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        store_near(play->store, &places[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t byte = fuzz_byte(&play->input);
        bool delete = byte % 4 == 0;
        char *value = value_of(byte, byte);
        change(play, &places[i], types[i], keys[i], delete ? EVENT_DELETE : EVENT_INSERT,
               delete ? NULL : value);
        free(value);
    }
}

/* ---- look-ups ---- */

static const char *const fields[] = {"u", "a", "b", "d"};

/* What a member's text says; false: it is like nothing. */
static bool condition_of(const struct tree *member, struct field_value *value) {
    static const enum field_kind kinds[] = {
        [TREE_NULL] = FIELD_NULL,     [TREE_FALSE] = FIELD_FALSE,   [TREE_TRUE] = FIELD_TRUE,
        [TREE_NUMBER] = FIELD_NUMBER, [TREE_STRING] = FIELD_STRING,
    };
    if (member->kind == TREE_ARRAY || member->kind == TREE_OBJECT) {
        return false;
    }
    *value = (struct field_value){.kind = kinds[member->kind]};
    if (member->kind == TREE_NUMBER) {
        value->number = schema_number_read(member->raw);
    } else if (member->kind == TREE_STRING) {
        value->string = tree_slice(&member->text);
    }
    return true;
}

static bool is_like(const struct tree *member, const struct tree *other) {
    bool same = member->kind == other->kind && member->kind != TREE_ARRAY && member->kind != TREE_OBJECT;
    if (same && member->kind == TREE_NUMBER) {
        return schema_number_compare(schema_number_read(member->raw), schema_number_read(other->raw)) == 0;
    }
    return same && slice_equal(tree_slice(&member->text), tree_slice(&other->text));
}

static bool fits(struct slice text, const char *field, const struct tree *wanted) {
    struct tree_facts facts = {0};
    struct tree tree = tree_read(text, &facts);
    const struct tree_member *member = tree.kind == TREE_OBJECT ? tree_find(&tree, slice_from(field)) : NULL;
    bool like = member && is_like(&member->value, wanted);
    tree_free(&tree);
    return like;
}

/* Those that are found are those that fit. */
static void check_found(const struct play *play, unsigned type, const char *field, const struct tree *wanted,
                        const uint32_t *order, size_t count) {
    size_t expected = 0;
    for (unsigned key = play->model.least[type]; key < play->model.most[type]; key++) {
        const char *value = play->model.values[type][key];
        expected += value && fits(slice_from(value), field, wanted);
    }
    FUZZ_CHECK(count == expected, "%zu with %s = %.*s, expected %zu", count, field, (int)wanted->raw.len,
               wanted->raw.ptr, expected);
    for (size_t i = 0; i < count; i++) {
        struct store_row row;
        store_row(play->store, order, count, i, &row);
        FUZZ_CHECK(fits(row.value, field, wanted), "%.*s has no %s = %.*s", (int)row.value.len, row.value.ptr,
                   field, (int)wanted->raw.len, wanted->raw.ptr);
    }
}

static void look_up(struct play *play, unsigned type, const char *field, const char *text) {
    struct tree_facts facts = {0};
    struct tree wanted = tree_read(slice_from(text), &facts);
    struct store_condition condition = {.field = slice_from(field)};
    if (condition_of(&wanted, &condition.is)) {
        size_t count;
        memory_left = play->failing;
        uint32_t *order = store_where(play->store, type_of(type), &condition, 1, &count);
        memory_left = -1;
        FUZZ_CHECK(order || play->failing >= 0, "nothing came back");
        play->failing = -1;
        if (order) {
            check_found(play, type, field, &wanted, order, count);
        }
        free(order);
    }
    tree_free(&wanted);
}

static void add_index(struct play *play, unsigned type, const char *field) {
    struct error e = {0};
    memory_left = play->failing;
    bool ok = store_index(play->store, type_of(type), slice_from(field), &e);
    memory_left = -1;
    FUZZ_CHECK(ok || (play->failing >= 0 && e.code == ERROR_MEMORY), "%s", e.message);
    play->failing = -1;
}

static void other_step(struct play *play, uint8_t options) {
    uint8_t which;
    switch (options >> 3) {
    case 31:
        store_clear(play->store);
        model_clear(&play->model);
        break;
    case 30:
        which = fuzz_byte(&play->input);
        add_index(play, which % TYPES, fields[which / 4 % 4]);
        break;
    case 29:
        which = fuzz_byte(&play->input);
        look_up(play, which % TYPES, fields[which / 4 % 4], members[fuzz_byte(&play->input) % MEMBERS]);
        break;
    default:
        play->failing = options >> 3;
        break;
    }
}

static void run_step(struct play *play) {
    uint8_t options = fuzz_byte(&play->input);
    switch (options & 7) {
    case 5:
        many(play, options);
        break;
    case 6:
        run(play, options);
        break;
    case 7:
        other_step(play, options);
        break;
    default:
        one(play, options);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct play play;
    play.input = fuzz_open(data, size);
    play.failing = -1;
    play.changes = 0;
    model_clear(&play.model);
    play.store = store_new(VALUE_MAX);
    FUZZ_CHECK(play.store, "no store");
    for (int i = 0; i < STEPS && play.input.at < play.input.end; i++) {
        run_step(&play);
        if (i % FULL_CHECK == FULL_CHECK - 1) {
            check_all(&play);
        }
    }
    check_all(&play);
    for (unsigned type = 0; type < TYPES; type++) {
        look_up(&play, type, "u", members[size % MEMBERS]);
    }
    store_free(play.store);
    model_clear(&play.model);
    return 0;
}
