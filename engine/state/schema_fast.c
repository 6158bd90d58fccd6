#include "state/schema_fast.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "state/schema_fast_scalar.h"
#include "state/schema_walk.h"
#include "json/read.h"

static const char *check(struct fast *f, const struct schema_node *node, const char *at);

/* Values that are named */

static const struct schema_value *find_string(const struct schema_node *node, struct slice bytes) {
    for (size_t i = 0; i < node->value_count; i++) {
        const struct schema_value *value = &node->values[i];
        if (value->bytes.len == bytes.len && value->kind == JSON_STRING &&
            memcmp(value->bytes.ptr, bytes.ptr, bytes.len) == 0) {
            return value;
        }
    }
    return NULL;
}

/* The value that the node names, or NULL; *at moves behind it. */
static const struct schema_value *find_value(const struct fast *f, const struct schema_node *node,
                                             const char **at) {
    const char *start = *at;
    *at = skip_value(f, start);
    struct slice value = slice_of(start, (size_t)(*at - start));
    if (*start == '"' && !memchr(start, '\\', value.len)) {
        return find_string(node, slice_of(start + 1, value.len - 2));
    }
    for (size_t i = 0; i < node->value_count; i++) {
        if (schema_value_is(&node->values[i], value)) {
            return &node->values[i];
        }
    }
    return NULL;
}

static const char *check_enum(const struct fast *f, const struct schema_node *node, const char *at) {
    return find_value(f, node, &at) ? at : NULL;
}

/* Containers */

/* Behind a value: on what is next, or behind the container's closing byte with *over true. */
static FAST_INLINE const char *go_on(const struct fast *f, const char *at, char closing, bool *over) {
    at = skip_space(at, f->end);
    if (*at == ',') {
        return skip_space(at + 1, f->end);
    }
    *over = *at == closing;
    return at + 1;
}

/* Behind the opening byte, as above. */
static inline const char *go_in(const struct fast *f, const char *at, char closing, bool *over) {
    at = skip_space(at + 1, f->end);
    *over = *at == closing;
    return at + *over;
}

static const char *check_array(struct fast *f, const struct schema_node *node, const char *at) {
    bool over;
    size_t count = 0;
    if (*at != '[') {
        return NULL;
    }
    for (at = go_in(f, at, ']', &over); !over; count++) {
        at = check(f, node->item, at);
        if (!at) {
            return NULL;
        }
        at = go_on(f, at, ']', &over);
    }
    return count_fits(node, count) ? at : NULL;
}

static const char *check_tuple(struct fast *f, const struct schema_node *node, const char *at) {
    bool over;
    size_t count = 0;
    if (*at != '[') {
        return NULL;
    }
    for (at = go_in(f, at, ']', &over); !over; count++) {
        const struct schema_node *place = count < node->option_count ? node->options[count] : node->item;
        at = place ? check(f, place, at) : NULL;
        if (!at) {
            return NULL;
        }
        at = go_on(f, at, ']', &over);
    }
    return count_fits(node, count) ? at : NULL;
}

/* From a member's name onto its value. */
static inline const char *skip_colon(const struct fast *f, const char *at) {
    at = skip_space(at, f->end);
    return skip_space(at + 1, f->end);
}

static const char *check_record(struct fast *f, const struct schema_node *node, const char *at) {
    bool over;
    if (*at != '{') {
        return NULL;
    }
    for (at = go_in(f, at, '}', &over); !over;) {
        at = node->names ? check(f, node->names, at) : skip_value(f, at);
        at = at ? check(f, node->item, skip_colon(f, at)) : NULL;
        if (!at) {
            return NULL;
        }
        at = go_on(f, at, '}', &over);
    }
    return at;
}

/* Objects */

/* The same for the last member of a text: nothing behind the text is read. */
static bool has_glue_near(const struct schema_field *field, const char *at, const char *end) {
    size_t len = field->glue_len;
    if (len == 0 || (size_t)(end - at) <= len) {
        return false;
    }
    if (len >= 8 && len <= 16) {
        return slice_eight_bytes(at) == slice_eight_bytes(field->glue) &&
               slice_eight_bytes(at + len - 8) == slice_eight_bytes(field->glue + len - 8);
    }
    return memcmp(at, field->glue, len) == 0;
}

/* Whether the member at `at` is the field's, with the colon right behind its name. */
static FAST_INLINE bool has_glue(const struct schema_field *field, const char *at, const char *end) {
#if defined(__SSE2__)
    if (FAST_LIKELY(end - at >= SCHEMA_GLUE_MAX)) {
        const __m128i *glue = (const __m128i *)(const void *)field->glue;
        const __m128i *text = (const __m128i *)(const void *)at;
        unsigned same = (unsigned)_mm_movemask_epi8(
            _mm_cmpeq_epi8(_mm_loadu_si128(glue), _mm_loadu_si128(text)));
        if (field->glue_len > 16) {
            same |= (unsigned)_mm_movemask_epi8(
                        _mm_cmpeq_epi8(_mm_loadu_si128(glue + 1), _mm_loadu_si128(text + 1)))
                    << 16;
        }
        return !(~same & field->glue_mask) && field->glue_len;
    }
#endif
    return has_glue_near(field, at, end);
}

/* A member that was not expected here: its field by name, NULL where there is none. *at moves onto the value,
 * or becomes NULL: its name has an escape. */
static struct schema_field *find_field(const struct fast *f, const struct schema_node *node,
                                       const char **at) {
    const char *start = *at + 1;
    const char *quote = find_quote(start, f->end);
    if (*quote != '"') {
        *at = NULL;
        return NULL;
    }
    *at = skip_colon(f, quote + 1);
    return schema_find_field(node, slice_of(start, (size_t)(quote - start)));
}

/* One that may be missing is, perhaps; otherwise it is looked up, and will be expected next time. */
static __attribute__((noinline)) const struct schema_field *find_unexpected(const struct fast *f,
                                                                            const struct schema_node *node,
                                                                            struct schema_field **hint,
                                                                            const char **at) {
    const struct schema_field *guess = __atomic_load_n(hint, __ATOMIC_RELAXED);
    struct schema_field *field = __atomic_load_n(&guess->next, __ATOMIC_RELAXED);
    if (has_glue(field, *at, f->end)) {
        *at = skip_space(*at + field->glue_len, f->end);
        return field;
    }
    field = find_field(f, node, at);
    if (field) {
        __atomic_store_n(hint, field, __ATOMIC_RELAXED);
    }
    return field;
}

/* From a member's name onto its value, with its field. hint: the one that should be it. */
static FAST_INLINE const struct schema_field *take_name(const struct fast *f, const struct schema_node *node,
                                                        struct schema_field **hint, const char **at) {
    const struct schema_field *field = __atomic_load_n(hint, __ATOMIC_RELAXED);
    if (FAST_LIKELY(has_glue(field, *at, f->end))) {
        *at = skip_space(*at + field->glue_len, f->end);
        return field;
    }
    return find_unexpected(f, node, hint, at);
}

/* What is not called, as most fields are one of these. */
static FAST_INLINE const char *check_field(struct fast *f, const struct schema_node *node, const char *at) {
    if (node->nullable && *at == 'n') {
        return at + 4;
    }
    switch (node->kind) {
    case SCHEMA_STRING:
        return check_string(f, node, at);
    case SCHEMA_NUMBER:
    case SCHEMA_INTEGER:
        return check_number(f, node, at);
    case SCHEMA_BOOLEAN:
        return check_boolean(at);
    default:
        return check(f, node, at);
    }
}

/* many: there are more fields than a word has bits. */
static FAST_INLINE const char *check_members(struct fast *f, const struct schema_node *node, const char *at,
                                             bool many) {
    uint64_t seen[SCHEMA_FIELD_WORDS];
    size_t words = many ? (node->field_count + 63) / 64 : 1;
    struct schema_field **hint = (struct schema_field **)&node->first;
    bool over;
    for (size_t i = 0; i < words; i++) {
        seen[i] = 0;
    }
    for (at = go_in(f, at, '}', &over); !over;) {
        const struct schema_field *field = take_name(f, node, hint, &at);
        if (FAST_LIKELY(field)) {
            uint64_t *word = &seen[many ? field->word : 0];
            hint = (struct schema_field **)&field->next;
            if (*word & field->bit) {
                return NULL;
            }
            *word |= field->bit;
            at = check_field(f, field->node, at);
        } else {
            at = at && !node->strict ? skip_value(f, at) : NULL;
        }
        if (!at) {
            return NULL;
        }
        at = go_on(f, at, '}', &over);
    }
    uint64_t missing = 0;
    for (size_t i = 0; i < words; i++) {
        missing |= node->required[i] & ~seen[i];
    }
    return missing ? NULL : at;
}

static const char *check_many_members(struct fast *f, const struct schema_node *node, const char *at) {
    return check_members(f, node, at, true);
}

static const char *check_object(struct fast *f, const struct schema_node *node, const char *at) {
    if (*at != '{') {
        return NULL;
    }
    if (FAST_LIKELY(node->field_count - 1 < 64)) {
        return check_members(f, node, at, false);
    }
    if (node->field_count > 0) {
        return check_many_members(f, node, at);
    }
    bool over;
    go_in(f, at, '}', &over);
    return over || !node->strict ? skip_value(f, at) : NULL;
}

/* Unions */

static enum json_kind kind_at(const char *at) {
    return json_kind_of(slice_of(at, 1));
}

static const char *check_union(struct fast *f, const struct schema_node *node, const char *at) {
    unsigned kind = 1U << kind_at(at);
    for (size_t i = 0; i < node->option_count; i++) {
        if (!(node->options[i]->accepts & kind)) {
            continue;
        }
        const char *behind = check(f, node->options[i], at);
        if (behind) {
            return behind;
        }
        uint64_t left = (uint64_t)(f->end - at);
        f->fuel = f->fuel > left ? f->fuel - left - 1 : 0;
        if (f->fuel == 0) {
            return NULL;
        }
    }
    return NULL;
}

/* The value of the tag, where it is the first member; otherwise wherever it is. A second tag is noticed by the
 * option, as it is one of its fields. */
static const struct schema_value *find_tag(const struct fast *f, const struct schema_node *node,
                                           const char *at) {
    const char *name = skip_space(at + 1, f->end);
    if (*name == '"' && (size_t)(f->end - name) > node->tag.len + 2 && name[node->tag.len + 1] == '"' &&
        memcmp(name + 1, node->tag.ptr, node->tag.len) == 0) {
        const char *value = skip_colon(f, name + node->tag.len + 2);
        return find_value(f, node, &value);
    }
    struct slice object = slice_of(at, (size_t)(skip_value(f, at) - at));
    const char *value = json_find_member(object, node->tag);
    return value ? find_value(f, node, &value) : NULL;
}

static const char *check_tagged(struct fast *f, const struct schema_node *node, const char *at) {
    const struct schema_value *tag = *at == '{' ? find_tag(f, node, at) : NULL;
    return tag ? check(f, node->options[tag->option], at) : NULL;
}

static const char *check_lazy(struct fast *f, const struct schema_node *node, const char *at) {
    if (!schema_room_take(&f->room, node->item)) {
        return NULL;
    }
    at = check(f, node->item, at);
    schema_room_give(&f->room, node->item);
    return at;
}

/* Recursion is bounded by SCHEMA_DEPTH_MAX and SCHEMA_ROOM, whatever the text. */
static const char *check(struct fast *f, const struct schema_node *node, const char *at) {
    if (node->nullable && *at == 'n') {
        return at + 4;
    }
    switch (node->kind) {
    case SCHEMA_ANY:
        return skip_value(f, at);
    case SCHEMA_STRING:
        return check_string(f, node, at);
    case SCHEMA_NUMBER:
    case SCHEMA_INTEGER:
        return check_number(f, node, at);
    case SCHEMA_BOOLEAN:
        return check_boolean(at);
    case SCHEMA_ENUM:
        return check_enum(f, node, at);
    case SCHEMA_ARRAY:
        return check_array(f, node, at);
    case SCHEMA_OBJECT:
        return check_object(f, node, at);
    case SCHEMA_RECORD:
        return check_record(f, node, at);
    case SCHEMA_TUPLE:
        return check_tuple(f, node, at);
    case SCHEMA_UNION:
        return check_union(f, node, at);
    case SCHEMA_TAGGED:
        return check_tagged(f, node, at);
    case SCHEMA_LAZY:
        return check_lazy(f, node, at);
    case SCHEMA_KINDS:
        break;
    }
    return NULL;
}

bool schema_fast_check(const struct schema_node *root, struct slice value) {
    struct fast f = {value.ptr + value.len, SCHEMA_FUEL + 64 * (uint64_t)value.len, SCHEMA_ROOM};
    return value.len > 0 && check(&f, root, value.ptr) != NULL;
}
