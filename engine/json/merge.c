#include "json/merge.h"

#include <stdlib.h>

#include "base/list.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

/* Both texts are indexed once, the patch in full, the target only where the patch goes into it. Going
 * by json_walk at each level instead would read the innermost text once for each level around it.
 *
 * Recursion is as deep as the texts are: JSON_DEPTH_MAX levels, which the scanner has held them to. */

struct object;

struct member {
    struct slice raw;     /* the name with its quotes, in the text */
    struct slice name;    /* what it stands for: in the text, or allocated where it has escapes */
    struct slice value;   /* in the text */
    struct object *inner; /* the value's members where it is an object that was indexed */
    bool counts;          /* false: a later member has the same name, or the patch's was used */
};

struct object {
    struct member *members; /* in the order of the text */
    size_t count, room;
    struct member **sorted; /* those that count, by name */
    size_t distinct;
};

static void object_free(struct object *object) {
    if (!object) {
        return;
    }
    for (size_t i = 0; i < object->count; i++) {
        struct member *member = &object->members[i];
        if (member->name.ptr != member->raw.ptr + 1) {
            free((void *)member->name.ptr);
        }
        object_free(member->inner);
    }
    free(object->members);
    free(object->sorted);
    free(object);
}

static int compare_members(const void *left, const void *right) {
    const struct member *a = *(struct member *const *)left;
    const struct member *b = *(struct member *const *)right;
    int order = slice_compare(a->name, b->name);
    return order ? order : (a > b) - (a < b);
}

/* Fills sorted and finds the members that do not count. */
static bool object_sort(struct object *object) {
    if (object->count == 0) {
        return true;
    }
    object->sorted = malloc(object->count * sizeof(struct member *));
    if (!object->sorted) {
        return false;
    }
    bool ordered = true;
    for (size_t i = 0; i < object->count; i++) {
        object->sorted[i] = &object->members[i];
        ordered = ordered && (i == 0 || compare_members(&object->sorted[i - 1], &object->sorted[i]) < 0);
    }
    if (!ordered) {
        qsort(object->sorted, object->count, sizeof(struct member *), compare_members);
    }
    for (size_t i = 0; i < object->count; i++) {
        struct member *member = object->sorted[i];
        member->counts = i + 1 == object->count || !slice_equal(member->name, object->sorted[i + 1]->name);
        if (member->counts) {
            object->sorted[object->distinct++] = member;
        }
    }
    return true;
}

/* NULL where there is no such member. */
static struct member *object_find(const struct object *object, struct slice name) {
    size_t low = 0;
    size_t high = object->distinct;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(object->sorted[middle]->name, name);
        if (order == 0) {
            return object->sorted[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* A new member with its name set; NULL: out of memory. */
static struct member *object_add(struct object *object, struct slice raw) {
    struct member *members = list_room(object->members, object->count, &object->room, 8, sizeof *members);
    if (!members) {
        return NULL;
    }
    object->members = members;
    struct slice name = slice_of(raw.ptr + 1, raw.len - 2);
    if (memchr(name.ptr, '\\', name.len)) {
        struct buf plain;
        buf_init(&plain, raw.len);
        if (!json_unquote(&plain, raw)) {
            return NULL;
        }
        name = buf_slice(&plain);
    }
    struct member *member = &members[object->count++];
    *member = (struct member){.raw = raw, .name = name};
    return member;
}

/* Indexes the object at *place and moves behind it. With a guide only those inner objects are indexed
 * for which the guide has one too. NULL: out of memory. */
static struct object *object_read(const char **place, const char *end, const struct object *guide);

/* The member's value at *place; moves behind it. */
static bool read_value(struct member *member, const char **place, const char *end,
                       const struct object *guide) {
    const char *start = *place;
    if (*start == '{') {
        const struct member *twin = guide ? object_find(guide, member->name) : NULL;
        if (!guide || (twin && twin->inner)) {
            member->inner = object_read(place, end, twin ? twin->inner : NULL);
            member->value = slice_of(start, (size_t)(*place - start));
            return member->inner != NULL;
        }
    }
    *place = json_skip_value(start, end);
    member->value = slice_of(start, (size_t)(*place - start));
    return true;
}

static bool read_members(struct object *object, const char **place, const char *end,
                         const struct object *guide) {
    const char *at = json_skip_space(*place + 1, end);
    while (*at != '}') {
        const char *start = at;
        at = json_skip_value(at, end);
        struct member *member = object_add(object, slice_of(start, (size_t)(at - start)));
        if (!member) {
            return false;
        }
        at = json_skip_space(at, end) + 1; /* over the colon */
        at = json_skip_space(at, end);
        if (!read_value(member, &at, end, guide)) {
            return false;
        }
        at = json_skip_space(at, end);
        if (*at == ',') {
            at = json_skip_space(at + 1, end);
        }
    }
    *place = at + 1;
    return object_sort(object);
}

static struct object *object_read(const char **place, const char *end, const struct object *guide) {
    struct object *object = calloc(1, sizeof *object);
    if (object && !read_members(object, place, end, guide)) {
        object_free(object);
        return NULL;
    }
    return object;
}

static bool is_null(struct slice value) {
    return json_kind_of(value) == JSON_NULL;
}

static bool put_object(struct buf *out, struct object *target, struct object *patch);

/* A member of the result: the patch's part of it over the target's, either of which may be NULL. */
static bool put_member(struct buf *out, struct member *target, struct member *patch, bool *first) {
    bool ok = *first || buf_append_byte(out, ',');
    *first = false;
    ok = ok && buf_append_slice(out, target ? target->raw : patch->raw) && buf_append_byte(out, ':');
    if (ok && patch && patch->inner) {
        return put_object(out, target ? target->inner : NULL, patch->inner);
    }
    return ok && buf_append_slice(out, patch ? patch->value : target->value);
}

static bool put_targets(struct buf *out, struct object *target, struct object *patch, bool *first) {
    for (size_t i = 0; i < target->count; i++) {
        struct member *member = &target->members[i];
        if (!member->counts) {
            continue;
        }
        struct member *change = object_find(patch, member->name);
        if (change) {
            change->counts = false;
        }
        if (!(change && is_null(change->value)) && !put_member(out, member, change, first)) {
            return false;
        }
    }
    return true;
}

/* target may be NULL: nothing is there yet. */
static bool put_object(struct buf *out, struct object *target, struct object *patch) {
    bool first = true;
    if (!buf_append_byte(out, '{') || (target && !put_targets(out, target, patch, &first))) {
        return false;
    }
    for (size_t i = 0; i < patch->count; i++) {
        struct member *member = &patch->members[i];
        if (member->counts && !is_null(member->value) && !put_member(out, NULL, member, &first)) {
            return false;
        }
    }
    return buf_append_byte(out, '}');
}

bool json_merge_patch(struct buf *out, struct slice target, struct slice patch, struct error *e) {
    static const char *const what = "a merged value";
    static const char *const advice = "raise limits.message";
    patch = json_trim(patch);
    target = target.ptr ? json_trim(target) : target;
    if (json_kind_of(patch) != JSON_OBJECT) {
        return buf_append_slice(out, patch) || buf_error(out, e, what, advice);
    }
    size_t before = out->len;
    bool base = target.ptr && json_kind_of(target) == JSON_OBJECT;
    const char *at = patch.ptr;
    struct object *patch_object = object_read(&at, patch.ptr + patch.len, NULL);
    struct object *target_object = NULL;
    bool indexed = patch_object != NULL;
    if (indexed && base) {
        at = target.ptr;
        target_object = object_read(&at, target.ptr + target.len, patch_object);
        indexed = target_object != NULL;
    }
    bool ok = indexed && put_object(out, target_object, patch_object);
    if (!ok) {
        out->len = before;
        if (indexed) {
            buf_error(out, e, what, advice);
        } else {
            error_set(e, ERROR_MEMORY, "out of memory while a patch was merged");
        }
    }
    object_free(target_object);
    object_free(patch_object);
    return ok;
}
