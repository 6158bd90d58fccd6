/* json/merge.h: what it writes is what RFC 7396's own function makes of the two trees, member by member, and
 * what the patch does not touch is there byte for byte.
 *
 * Input: the target, 0xff, the patch. Without 0xff: only a patch, and nothing to put it into. */
#include <stdlib.h>

#include "fuzz.h"
#include "strict.h"
#include "tree.h"
#include "json/merge.h"

enum { RESULT_MAX = 1 << 20 };

/* Both texts' members of one object: those that count, in the order the result has them. */
static bool counts(const struct tree *object, size_t i) {
    const struct tree_member *member = &object->members[i];
    return tree_find(object, tree_slice(&member->name)) == member;
}

static void check_merged(const struct tree *got, const struct tree *target, const struct tree *patch);

static void check_member(const struct tree *got, size_t *place, struct slice raw, const struct tree *target,
                         const struct tree *patch) {
    FUZZ_CHECK(*place < got->count, "%.*s is missing in %.*s", (int)raw.len, raw.ptr, (int)got->raw.len,
               got->raw.ptr);
    const struct tree_member *member = &got->members[(*place)++];
    FUZZ_CHECK(slice_equal(member->raw, raw), "expected %.*s, got %.*s", (int)raw.len, raw.ptr,
               (int)member->raw.len, member->raw.ptr);
    check_merged(&member->value, target, patch);
}

/* Of an object patch: the target's members in their order, then the patch's new ones. */
static void check_object(const struct tree *got, const struct tree *target, const struct tree *patch) {
    const struct tree none = {.kind = TREE_OBJECT};
    size_t place = 0;
    FUZZ_CHECK(got->kind == TREE_OBJECT, "expected an object, got %.*s", (int)got->raw.len, got->raw.ptr);
    target = target && target->kind == TREE_OBJECT ? target : &none;
    for (size_t i = 0; i < target->count; i++) {
        const struct tree_member *old = &target->members[i];
        const struct tree_member *change = tree_find(patch, tree_slice(&old->name));
        if (counts(target, i) && !(change && change->value.kind == TREE_NULL)) {
            check_member(got, &place, old->raw, &old->value, change ? &change->value : NULL);
        }
    }
    for (size_t i = 0; i < patch->count; i++) {
        const struct tree_member *change = &patch->members[i];
        bool is_new = !tree_find(target, tree_slice(&change->name));
        if (counts(patch, i) && is_new && change->value.kind != TREE_NULL) {
            check_member(got, &place, change->raw, NULL, &change->value);
        }
    }
    FUZZ_CHECK(place == got->count, "more members than expected: %.*s", (int)got->raw.len, got->raw.ptr);
}

/* patch NULL: the target is not touched. target NULL: there was none. */
static void check_merged(const struct tree *got, const struct tree *target, const struct tree *patch) {
    if (patch && patch->kind == TREE_OBJECT) {
        check_object(got, target, patch);
        return;
    }
    struct slice raw = patch ? patch->raw : target->raw;
    FUZZ_CHECK(slice_equal(got->raw, raw), "expected %.*s, got %.*s", (int)raw.len, raw.ptr,
               (int)got->raw.len, got->raw.ptr);
}

static struct buf merge(struct slice target, struct slice patch, size_t max, bool expected) {
    struct buf out;
    struct error e = {0};
    buf_init(&out, max + 2);
    buf_append_text(&out, "..");
    bool ok = json_merge_patch(&out, target, patch, &e);
    FUZZ_CHECK(ok == expected, "with room for %zu bytes: %s", max, e.message);
    FUZZ_CHECK(ok || (e.code == ERROR_LIMIT && out.len == 2), "%s, %zu bytes: %s", error_name(e.code),
               out.len, e.message);
    FUZZ_CHECK(memcmp(out.ptr, "..", 2) == 0, "what was there before is overwritten");
    return out;
}

static void check(struct slice target, struct slice patch) {
    struct tree_facts facts = {0};
    struct tree patch_tree = tree_read(patch, &facts);
    struct tree target_tree = {0};
    if (target.ptr) {
        target_tree = tree_read(target, &facts);
    }
    struct buf out = merge(target, patch, RESULT_MAX, true);
    struct slice text = slice_of(out.ptr + 2, out.len - 2);
    FUZZ_CHECK(strict_text(text).end == STRICT_WHOLE, "not valid: %.*s", (int)text.len, text.ptr);
    struct tree got = tree_read(text, &facts);
    check_merged(&got, target.ptr ? &target_tree : NULL, &patch_tree);
    struct buf fitting = merge(target, patch, text.len, true);
    struct buf short_of_one = merge(target, patch, text.len - 1, false);
    fuzz_same(&out, &fitting, "with just the room it needs");
    buf_free(&fitting);
    buf_free(&short_of_one);
    tree_free(&got);
    tree_free(&target_tree);
    tree_free(&patch_tree);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = fuzz_open(data, size);
    struct slice target = fuzz_part(&input);
    bool both = target.len < size;
    struct slice patch = fuzz_copy(both ? fuzz_rest(&input) : target);
    target = both ? fuzz_copy(target) : (struct slice){0};
    bool valid = strict_text(patch).end == STRICT_WHOLE;
    valid = valid && (!both || strict_text(target).end == STRICT_WHOLE);
    if (valid) {
        check(target, patch);
    }
    fuzz_drop(patch);
    fuzz_drop(target);
    return 0;
}
