#include "state/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/strmap.h"
#include "json/merge.h"

struct pending {
    uint64_t number;
    struct overlay_write write; /* type and key are the entity's; the value lies in bytes */
    struct overlay_entity *entity;
    struct pending *next; /* on the same entity, made later */
    char bytes[];
};

struct overlay_entity {
    struct overlay_type *type;
    struct slice key; /* in bytes */
    struct pending *first;
    struct buf seen; /* what patches left */
    char bytes[];
};

struct overlay_type {
    struct strmap entities; /* key -> struct overlay_entity */
    struct slice name;      /* in bytes */
    char bytes[];
};

struct overlay {
    struct strmap types;  /* name -> struct overlay_type */
    struct pending **all; /* by number */
    size_t count, room;
    uint64_t last;
    size_t value_max;
    struct buf spare;
};

static const char what[] = "writes that have not come back yet";

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory for %s", what);
}

struct overlay *overlay_new(size_t value_max) {
    struct overlay *overlay = calloc(1, sizeof *overlay);
    if (overlay) {
        strmap_init(&overlay->types);
        buf_init(&overlay->spare, value_max);
        overlay->value_max = value_max;
    }
    return overlay;
}

static void free_entity(void *value) {
    struct overlay_entity *entity = value;
    while (entity->first) {
        struct pending *next = entity->first->next;
        free(entity->first);
        entity->first = next;
    }
    buf_free(&entity->seen);
    free(entity);
}

static void free_type(void *value) {
    struct overlay_type *type = value;
    strmap_free(&type->entities, free_entity);
    free(type);
}

void overlay_free(struct overlay *overlay) {
    if (overlay) {
        strmap_free(&overlay->types, free_type);
        buf_free(&overlay->spare);
        free(overlay->all);
        free(overlay);
    }
}

size_t overlay_pending(const struct overlay *overlay) {
    return overlay->count;
}

/* ---- writes ---- */

static struct overlay_type *find_type(const struct overlay *overlay, struct slice name) {
    return overlay->count > 0 ? strmap_get(&overlay->types, name) : NULL;
}

static struct overlay_entity *find_entity(const struct overlay *overlay, struct slice type,
                                          struct slice key) {
    const struct overlay_type *found = find_type(overlay, type);
    return found ? strmap_get(&found->entities, key) : NULL;
}

static void copy(char *to, struct slice from) {
    if (from.len > 0) {
        memcpy(to, from.ptr, from.len);
    }
}

static struct overlay_type *need_type(struct overlay *overlay, struct slice name) {
    struct overlay_type *type = strmap_get(&overlay->types, name);
    if (type) {
        return type;
    }
    type = malloc(sizeof *type + name.len + 1);
    if (!type) {
        return NULL;
    }
    strmap_init(&type->entities);
    copy(type->bytes, name);
    type->name = slice_of(type->bytes, name.len);
    if (!strmap_put(&overlay->types, name, type)) {
        free(type);
        return NULL;
    }
    return type;
}

/* A type without entities goes. */
static void drop_empty_type(struct overlay *overlay, struct overlay_type *type) {
    if (type->entities.count == 0) {
        strmap_remove(&overlay->types, type->name);
        free_type(type);
    }
}

static struct overlay_entity *need_entity(const struct overlay *overlay, struct overlay_type *type,
                                          struct slice key) {
    struct overlay_entity *entity = strmap_get(&type->entities, key);
    if (entity) {
        return entity;
    }
    entity = malloc(sizeof *entity + key.len + 1);
    if (!entity) {
        return NULL;
    }
    *entity = (struct overlay_entity){.type = type};
    buf_init(&entity->seen, overlay->value_max);
    copy(entity->bytes, key);
    entity->key = slice_of(entity->bytes, key.len);
    if (!strmap_put(&type->entities, key, entity)) {
        free(entity);
        return NULL;
    }
    return entity;
}

static bool need_room(struct overlay *overlay) {
    struct pending **all = list_room(overlay->all, overlay->count, &overlay->room, 16, sizeof *all);
    overlay->all = all ? all : overlay->all;
    return all;
}

static struct pending *copy_write(const struct overlay_write *write) {
    struct pending *pending = malloc(sizeof *pending + write->value.len + 1);
    if (pending) {
        *pending = (struct pending){.write = *write};
        copy(pending->bytes, write->value);
        pending->write.value = slice_of(write->operation == EVENT_DELETE ? NULL : pending->bytes,
                                        write->value.len);
    }
    return pending;
}

static void put_last(struct overlay_entity *entity, struct pending *pending) {
    struct pending **last = &entity->first;
    while (*last) {
        last = &(*last)->next;
    }
    *last = pending;
    pending->entity = entity;
    pending->write.type = entity->type->name;
    pending->write.key = entity->key;
}

uint64_t overlay_add(struct overlay *overlay, const struct overlay_write *write, struct error *e) {
    if (overlay->count >= OVERLAY_WRITES_MAX) {
        error_set(e, ERROR_LIMIT, "%d writes are waiting to come back on the stream already",
                  OVERLAY_WRITES_MAX);
        return 0;
    }
    struct pending *pending = need_room(overlay) ? copy_write(write) : NULL;
    struct overlay_type *type = pending ? need_type(overlay, write->type) : NULL;
    struct overlay_entity *entity = type ? need_entity(overlay, type, write->key) : NULL;
    if (!entity) {
        if (type) {
            drop_empty_type(overlay, type);
        }
        free(pending);
        out_of_memory(e);
        return 0;
    }
    put_last(entity, pending);
    pending->number = ++overlay->last;
    overlay->all[overlay->count++] = pending;
    return pending->number;
}

/* Where the write of that number is, or would be. */
static size_t place_of(const struct overlay *overlay, uint64_t number) {
    size_t low = 0;
    size_t high = overlay->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (overlay->all[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct overlay *overlay, size_t place, uint64_t number) {
    return place < overlay->count && overlay->all[place]->number == number;
}

bool overlay_find(const struct overlay *overlay, uint64_t number, struct overlay_write *write) {
    size_t place = place_of(overlay, number);
    if (!is_at(overlay, place, number)) {
        return false;
    }
    *write = overlay->all[place]->write;
    return true;
}

static void unlink_pending(struct overlay *overlay, const struct pending *pending) {
    struct overlay_entity *entity = pending->entity;
    struct pending **at = &entity->first;
    while (*at != pending) {
        at = &(*at)->next;
    }
    *at = pending->next;
    if (!entity->first) {
        struct overlay_type *type = entity->type;
        strmap_remove(&type->entities, entity->key);
        free_entity(entity);
        drop_empty_type(overlay, type);
    }
}

bool overlay_remove(struct overlay *overlay, uint64_t number) {
    size_t place = place_of(overlay, number);
    if (!is_at(overlay, place, number)) {
        return false;
    }
    struct pending *pending = overlay->all[place];
    overlay->count--;
    memmove(&overlay->all[place], &overlay->all[place + 1],
            (overlay->count - place) * sizeof(struct pending *));
    unlink_pending(overlay, pending);
    free(pending);
    return true;
}

uint64_t overlay_confirm(struct overlay *overlay, uint64_t txid, struct slice type, struct slice key) {
    const struct overlay_entity *entity = find_entity(overlay, type, key);
    for (const struct pending *pending = entity ? entity->first : NULL; pending; pending = pending->next) {
        if (txid != 0 && pending->write.txid == txid) {
            uint64_t number = pending->number;
            overlay_remove(overlay, number);
            return number;
        }
    }
    return 0;
}

void overlay_confirm_all(struct overlay *overlay, const struct txids *txids) {
    for (size_t i = overlay->count; i-- > 0;) {
        const struct pending *pending = overlay->all[i];
        if (pending->write.txid != 0 && txids_has(txids, pending->write.txid)) {
            overlay_remove(overlay, pending->number);
        }
    }
}

/* ---- what readers see ---- */

/* The last write that does not build on what is below it; NULL: all do. */
static const struct pending *ground(const struct overlay_entity *entity) {
    const struct pending *found = NULL;
    for (const struct pending *pending = entity->first; pending; pending = pending->next) {
        found = pending->write.operation == EVENT_PATCH ? found : pending;
    }
    return found;
}

static bool merge(struct overlay *overlay, struct overlay_entity *entity, struct slice *value,
                  const struct pending *patch, struct error *e) {
    buf_clear(&overlay->spare);
    if (!json_merge_patch(&overlay->spare, *value, patch->write.value, e)) {
        return error_context(e, what);
    }
    struct buf merged = overlay->spare;
    overlay->spare = entity->seen;
    entity->seen = merged;
    *value = buf_slice(&entity->seen);
    return true;
}

static bool see(struct overlay *overlay, struct overlay_entity *entity, const struct store *store,
                struct slice *value, struct error *e) {
    const struct pending *base = ground(entity);
    *value = base ? base->write.value : store_get(store, entity->type->name, entity->key);
    for (const struct pending *patch = base ? base->next : entity->first; patch; patch = patch->next) {
        if (!merge(overlay, entity, value, patch, e)) {
            return false;
        }
    }
    return true;
}

enum overlay_answer overlay_get(struct overlay *overlay, const struct store *store, struct slice type,
                                struct slice key, struct slice *value, struct error *e) {
    struct overlay_entity *entity = find_entity(overlay, type, key);
    if (!entity) {
        return OVERLAY_NONE;
    }
    return see(overlay, entity, store, value, e) ? OVERLAY_VALUE : OVERLAY_FAILED;
}

static bool is_there(const struct overlay_entity *entity) {
    const struct pending *last = entity->first;
    while (last->next) {
        last = last->next;
    }
    return last->write.operation != EVENT_DELETE;
}

static size_t count_type(const struct overlay_type *type, const struct store *store) {
    size_t count = store_count(store, type->name);
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&type->entities, &at));) {
        count += is_there(entry->value);
        count -= store_get(store, type->name, entry->key).ptr != NULL;
    }
    return count;
}

size_t overlay_count(const struct overlay *overlay, const struct store *store, struct slice name) {
    if (name.ptr) {
        const struct overlay_type *type = find_type(overlay, name);
        return type ? count_type(type, store) : store_count(store, name);
    }
    size_t count = store_count(store, name);
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&overlay->types, &at));) {
        count += count_type(entry->value, store);
        count -= store_count(store, entry->key);
    }
    return count;
}

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

struct slice *overlay_types(const struct overlay *overlay, const struct store *store, size_t *count,
                            struct error *e) {
    size_t stored;
    struct slice *types = store_types(store, &stored);
    struct slice *all = types ? malloc((stored + overlay->types.count + 1) * sizeof *all) : NULL;
    size_t at = 0;
    *count = 0;
    for (size_t i = 0; all && i < stored; i++) {
        if (!find_type(overlay, types[i])) {
            all[(*count)++] = types[i];
        }
    }
    for (const struct strmap_entry *entry; all && (entry = strmap_next(&overlay->types, &at));) {
        if (count_type(entry->value, store) > 0) {
            all[(*count)++] = entry->key;
        }
    }
    free(types);
    if (!all) {
        out_of_memory(e);
        return NULL;
    }
    qsort(all, *count, sizeof *all, compare_names);
    return all;
}

static int compare_entities(const void *a, const void *b) {
    const struct overlay_entity *const *first = a;
    const struct overlay_entity *const *second = b;
    return slice_compare((*first)->key, (*second)->key);
}

static struct overlay_entity **sorted_entities(const struct overlay_type *type) {
    struct overlay_entity **sorted = malloc((type->entities.count + 1) * sizeof(struct overlay_entity *));
    size_t at = 0;
    size_t count = 0;
    for (const struct strmap_entry *entry; sorted && (entry = strmap_next(&type->entities, &at));) {
        sorted[count++] = entry->value;
    }
    if (sorted) {
        qsort(sorted, count, sizeof(struct overlay_entity *), compare_entities);
    }
    return sorted;
}

static bool fits(struct slice value, const struct store_condition *conditions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!field_is(field_of(value, conditions[i].field), &conditions[i].is)) {
            return false;
        }
    }
    return true;
}

/* Rows of the store and entities of the overlay, both in the order of their keys, on their way into one. */
struct merging {
    struct overlay *overlay;
    const struct store *store;
    const struct store_condition *conditions;
    size_t condition_count;
    struct store_row *rows;
    size_t count;
};

static bool take_entity(struct merging *merging, struct overlay_entity *entity, struct error *e) {
    struct slice value;
    if (!see(merging->overlay, entity, merging->store, &value, e)) {
        return false;
    }
    if (value.ptr && fits(value, merging->conditions, merging->condition_count)) {
        merging->rows[merging->count++] = (struct store_row){entity->key, value};
    }
    return true;
}

static bool merge_rows(struct merging *merging, const uint32_t *refs, size_t ref_count,
                       struct overlay_entity *const *entities, size_t entity_count, struct error *e) {
    size_t at = 0;
    for (size_t i = 0; i < ref_count; i++) {
        struct store_row row;
        store_row(merging->store, refs, ref_count, i, &row);
        while (at < entity_count && slice_compare(entities[at]->key, row.key) < 0) {
            if (!take_entity(merging, entities[at++], e)) {
                return false;
            }
        }
        if (at == entity_count || !slice_equal(entities[at]->key, row.key)) {
            merging->rows[merging->count++] = row;
        }
    }
    while (at < entity_count) {
        if (!take_entity(merging, entities[at++], e)) {
            return false;
        }
    }
    return true;
}

struct store_row *overlay_where(struct overlay *overlay, struct store *store, struct slice name,
                                const struct store_condition *conditions, size_t condition_count,
                                size_t *count, struct error *e) {
    static const struct overlay_type none;
    const struct overlay_type *type = find_type(overlay, name);
    type = type ? type : &none;
    size_t ref_count;
    uint32_t *refs = condition_count > 0 ? store_where(store, name, conditions, condition_count, &ref_count)
                                         : store_order(store, name, &ref_count);
    struct overlay_entity **entities = refs ? sorted_entities(type) : NULL;
    struct merging merging = {
        .overlay = overlay, .store = store, .conditions = conditions, .condition_count = condition_count};
    if (entities) {
        merging.rows = malloc((ref_count + type->entities.count + 1) * sizeof *merging.rows);
    }
    bool ok = merging.rows ? merge_rows(&merging, refs, ref_count, entities, type->entities.count, e)
                           : out_of_memory(e);
    free(refs);
    free(entities);
    if (!ok) {
        free(merging.rows);
        return NULL;
    }
    *count = merging.count;
    return merging.rows;
}
