/* state/schema.h: the quick check, the full one and a plain reading of the rules over a tree say the same of a
 * value, whatever was checked before it; and where a value does not fit there are issues, about parts of it.
 *
 * Input: a schema, as build reads it, up to 0xff; values, with 0xff between them. */
#include <stdlib.h>

#include "fuzz.h"
#include "state/schema_build.h"
#include "state/schema_fast.h"
#include "state/schema_walk.h"
#include "strict.h"
#include "tree.h"

enum { NODES_MAX = 48, CHILDREN_MAX = 5, DEPTH_MAX = 5, VALUES = 32, LIST_MAX = 4 };

static const char *const names[] = {"a",  "b", "type", "\xc3\xa9", "", "a name of more than thirty-two bytes",
                                    "\n", "c"};

/* What an enum may allow. */
static const char *const allowed[] = {"\"a\"", "\"\"", "1", "1.5", "true", "null", "\"\\u00e9\"", "-0"};

enum { NAMES = sizeof names / sizeof *names, ALLOWED = sizeof allowed / sizeof *allowed };

/* One node of the schema, as it was asked for. */
struct rule {
    enum schema_kind kind;
    bool optional, nullable, strict;
    bool has_min, has_max, over, under;
    long min, max;
    long multiple; /* 0: of none */
    int part;      /* enum schema_part, or -1 */
    size_t text;
    size_t values[LIST_MAX]; /* of an enum; of a SCHEMA_TAGGED, those that lead to each option */
    size_t value_count;
    const struct rule *children[CHILDREN_MAX]; /* of an object for the names in their order */
    size_t child_count;
    const struct rule *item, *names; /* item: of a SCHEMA_LAZY its target */
    struct schema_node *node;
};

struct building {
    struct fuzz_input *input;
    struct schema *schema;
    struct rule rules[NODES_MAX];
    size_t count;
};

static void must(bool ok, const struct error *e) {
    FUZZ_CHECK(ok, "building a schema: %s", e->message);
}

/* ---- building ---- */

static const struct rule *build(struct building *b, int depth);

static void build_bounds(struct building *b, struct rule *rule) {
    uint8_t options = fuzz_byte(b->input);
    bool number = rule->kind == SCHEMA_NUMBER || rule->kind == SCHEMA_INTEGER;
    rule->has_min = options & 1;
    rule->has_max = options & 2;
    rule->over = number && options & 4;
    rule->under = number && options & 8;
    rule->multiple = number && (options & 15) == 15 ? 1 + (options >> 4) : 0;
    rule->min = number ? (long)(options >> 4) - 4 : options >> 6;
    rule->max = rule->min + (options >> 4 & 7);
    if (rule->has_min) {
        schema_node_min(rule->node, schema_number_whole(rule->min));
    }
    if (rule->has_max) {
        schema_node_max(rule->node, schema_number_whole(rule->max));
    }
    if (rule->over) {
        schema_node_over(rule->node);
    }
    if (rule->under) {
        schema_node_under(rule->node);
    }
    if (rule->multiple) {
        schema_node_multiple(rule->node, schema_number_whole(rule->multiple));
    }
}

static void build_string(struct building *b, struct rule *rule) {
    struct error e;
    uint8_t options = fuzz_byte(b->input);
    build_bounds(b, rule);
    rule->part = options & 1 ? SCHEMA_STARTS + options / 2 % 3 : -1;
    rule->text = options / 8 % NAMES;
    if (rule->part >= 0) {
        must(schema_node_part(rule->node, (enum schema_part)rule->part, slice_from(names[rule->text]), &e),
             &e);
    }
}

static void add_allowed(struct rule *rule, size_t which) {
    struct error e;
    struct tree_facts facts = {0};
    struct tree tree = tree_read(slice_from(allowed[which]), &facts);
    bool ok = tree.kind == TREE_NULL     ? schema_node_null(rule->node, &e)
              : tree.kind == TREE_TRUE   ? schema_node_boolean(rule->node, true, &e)
              : tree.kind == TREE_NUMBER ? schema_node_number(rule->node, schema_number_read(tree.raw), &e)
                                         : schema_node_string(rule->node, tree_slice(&tree.text), &e);
    must(ok, &e);
    tree_free(&tree);
}

static void build_enum(struct building *b, struct rule *rule) {
    rule->value_count = 1 + fuzz_byte(b->input) % LIST_MAX;
    for (size_t i = 0; i < rule->value_count; i++) {
        rule->values[i] = fuzz_byte(b->input) % ALLOWED;
        add_allowed(rule, rule->values[i]);
    }
}

static void build_fields(struct building *b, struct rule *rule, int depth) {
    struct error e;
    rule->child_count = fuzz_byte(b->input) % (CHILDREN_MAX + 1);
    for (size_t i = 0; i < rule->child_count; i++) {
        rule->children[i] = build(b, depth + 1);
        must(schema_node_field(rule->node, slice_from(names[i]), rule->children[i]->node, &e), &e);
    }
}

static void build_options(struct building *b, struct rule *rule, int depth) {
    struct error e;
    rule->child_count = 1 + fuzz_byte(b->input) % 3;
    for (size_t i = 0; i < rule->child_count; i++) {
        rule->children[i] = build(b, depth + 1);
        must(schema_node_option(rule->node, rule->children[i]->node, &e), &e);
        if (rule->kind == SCHEMA_TAGGED) {
            rule->values[rule->value_count++] = i;
            add_allowed(rule, i);
        }
    }
    if (rule->kind == SCHEMA_TAGGED) {
        must(schema_node_tag(rule->node, SLICE("type"), &e), &e);
    }
}

static void build_item(struct building *b, struct rule *rule, int depth) {
    struct error e;
    rule->item = build(b, depth + 1);
    must(schema_node_item(rule->node, rule->item->node, &e), &e);
}

static void build_inside(struct building *b, struct rule *rule, int depth) {
    struct error e;
    switch (rule->kind) {
    case SCHEMA_STRING:
        build_string(b, rule);
        break;
    case SCHEMA_NUMBER:
    case SCHEMA_INTEGER:
        build_bounds(b, rule);
        break;
    case SCHEMA_ENUM:
        build_enum(b, rule);
        break;
    case SCHEMA_ARRAY:
        build_bounds(b, rule);
        build_item(b, rule, depth);
        break;
    case SCHEMA_OBJECT:
        build_fields(b, rule, depth);
        break;
    case SCHEMA_RECORD:
        build_item(b, rule, depth);
        if (fuzz_byte(b->input) & 1) {
            struct rule *name = &b->rules[b->count++];
            *name = (struct rule){.kind = SCHEMA_STRING, .node = schema_add(b->schema, SCHEMA_STRING, &e)};
            build_string(b, name);
            rule->names = name;
            must(schema_node_names_fit(rule->node, name->node, &e), &e);
        }
        break;
    case SCHEMA_TUPLE:
        build_options(b, rule, depth);
        if (fuzz_byte(b->input) & 1) {
            build_item(b, rule, depth);
        }
        break;
    case SCHEMA_UNION:
    case SCHEMA_TAGGED:
        build_options(b, rule, depth);
        break;
    case SCHEMA_LAZY:
        rule->item = &b->rules[fuzz_byte(b->input) % b->count];
        schema_node_target(rule->node, rule->item->node);
        break;
    default:
        break;
    }
}

/* A kind with its options, then what belongs to the kind. Where there is no room for more nodes: any. */
static const struct rule *build(struct building *b, int depth) {
    struct error e;
    uint8_t options = fuzz_byte(b->input);
    bool leaf = depth >= DEPTH_MAX || b->count + CHILDREN_MAX * DEPTH_MAX + 2 >= NODES_MAX;
    unsigned kind = options >= 240 ? SCHEMA_LAZY : options % SCHEMA_LAZY;
    struct rule *rule = &b->rules[b->count++];
    FUZZ_CHECK(b->count <= NODES_MAX, "the target needs more room for nodes");
    *rule = (struct rule){
        .kind = leaf && kind >= SCHEMA_ARRAY && kind != SCHEMA_LAZY ? SCHEMA_ANY : (enum schema_kind)kind};
    rule->node = schema_add(b->schema, rule->kind, &e);
    must(rule->node != NULL, &e);
    options = fuzz_byte(b->input);
    rule->optional = options & 1;
    rule->nullable = options & 2;
    rule->strict = rule->kind == SCHEMA_OBJECT && options & 4;
    if (rule->optional) {
        schema_node_optional(rule->node);
    }
    if (rule->nullable) {
        schema_node_nullable(rule->node);
    }
    if (rule->strict) {
        schema_node_strict(rule->node);
    }
    build_inside(b, rule, depth);
    return rule;
}

/* ---- the plain reading ---- */

static bool fits(const struct rule *rule, const struct tree *tree);

static bool may_miss(const struct rule *rule) {
    return rule->optional || (rule->kind == SCHEMA_LAZY && may_miss(rule->item));
}

static bool within(const struct rule *rule, long count) {
    return (!rule->has_min || count >= rule->min) && (!rule->has_max || count <= rule->max);
}

static bool string_fits(const struct rule *rule, struct slice bytes) {
    struct slice text = slice_from(names[rule->text]);
    long characters = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        characters += ((unsigned char)bytes.ptr[i] & 0xc0) != 0x80;
    }
    bool holds = rule->part < 0 || bytes.len >= text.len;
    if (holds && rule->part == SCHEMA_STARTS) {
        holds = memcmp(bytes.ptr, text.ptr, text.len) == 0;
    } else if (holds && rule->part == SCHEMA_ENDS) {
        holds = memcmp(bytes.ptr + bytes.len - text.len, text.ptr, text.len) == 0;
    } else if (holds && rule->part == SCHEMA_INCLUDES) {
        holds = memmem(bytes.ptr, bytes.len, text.ptr, text.len) != NULL;
    }
    return holds && within(rule, characters);
}

/* Digits alone are divided by hand, what has a point or an exponent only where it is an integer of 64 bits. */
static bool is_multiple(long of, struct slice raw) {
    struct schema_number number;
    long rest = 0;
    if (memchr(raw.ptr, 'e', raw.len) || memchr(raw.ptr, 'E', raw.len) || memchr(raw.ptr, '.', raw.len)) {
        enum schema_whole whole = schema_number_read_whole(raw, &number);
        return whole == SCHEMA_TOO_LARGE
                   ? schema_multiple_fits(schema_multiple_of(schema_number_whole(of)), raw)
                   : whole == SCHEMA_WHOLE && number.integer % of == 0;
    }
    for (size_t i = raw.ptr[0] == '-'; i < raw.len; i++) {
        rest = (rest * 10 + (raw.ptr[i] - '0')) % of;
    }
    return rest == 0;
}

/* By what state/schema_number.h reads; its comparing is exact for integers. */
static bool number_fits(const struct rule *rule, struct schema_number number, struct slice raw) {
    int low = schema_number_compare(number, schema_number_whole(rule->min));
    int high = schema_number_compare(number, schema_number_whole(rule->max));
    return (!rule->has_min || (rule->over ? low > 0 : low >= 0)) &&
           (!rule->has_max || (rule->under ? high < 0 : high <= 0)) &&
           (!rule->multiple || is_multiple(rule->multiple, raw));
}

static bool integer_fits(const struct rule *rule, struct slice raw) {
    struct schema_number number;
    return schema_number_read_whole(raw, &number) == SCHEMA_WHOLE && number_fits(rule, number, raw);
}

static bool is_allowed(size_t which, const struct tree *tree) {
    struct tree_facts facts = {0};
    struct tree value = tree_read(slice_from(allowed[which]), &facts);
    bool same = value.kind == tree->kind;
    if (same && value.kind == TREE_STRING) {
        same = slice_equal(tree_slice(&value.text), tree_slice(&tree->text));
    } else if (same && value.kind == TREE_NUMBER) {
        same = schema_number_compare(schema_number_read(value.raw), schema_number_read(tree->raw)) == 0;
    }
    tree_free(&value);
    return same;
}

static bool enum_fits(const struct rule *rule, const struct tree *tree) {
    for (size_t i = 0; i < rule->value_count; i++) {
        if (is_allowed(rule->values[i], tree)) {
            return true;
        }
    }
    return false;
}

/* Of a tuple: the places at its end may be missing that are optional. */
static bool elements_fit(const struct rule *rule, const struct tree *tree) {
    size_t least = rule->child_count;
    while (least > 0 && may_miss(rule->children[least - 1])) {
        least--;
    }
    for (size_t i = 0; i < tree->count; i++) {
        const struct rule *each = i < rule->child_count ? rule->children[i] : rule->item;
        if (!each || !fits(each, &tree->members[i].value)) {
            return false;
        }
    }
    return tree->count >= least;
}

static bool object_fits(const struct rule *rule, const struct tree *tree) {
    for (size_t i = 0; i < rule->child_count; i++) {
        const struct tree_member *member = tree_find(tree, slice_from(names[i]));
        if (member ? !fits(rule->children[i], &member->value) : !may_miss(rule->children[i])) {
            return false;
        }
    }
    for (size_t i = 0; rule->strict && i < tree->count; i++) {
        bool known = false;
        for (size_t n = 0; n < rule->child_count; n++) {
            known = known || slice_is(tree_slice(&tree->members[i].name), names[n]);
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

static bool record_fits(const struct rule *rule, const struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_member *member = &tree->members[i];
        if (!fits(rule->item, &member->value) ||
            (rule->names && !string_fits(rule->names, tree_slice(&member->name)))) {
            return false;
        }
    }
    return true;
}

static bool union_fits(const struct rule *rule, const struct tree *tree) {
    for (size_t i = 0; i < rule->child_count; i++) {
        if (fits(rule->children[i], tree)) {
            return true;
        }
    }
    return false;
}

static bool tagged_fits(const struct rule *rule, const struct tree *tree) {
    const struct tree_member *tag = tree_find(tree, SLICE("type"));
    for (size_t i = 0; tag && i < rule->child_count; i++) {
        if (is_allowed(rule->values[i], &tag->value)) {
            return fits(rule->children[i], tree);
        }
    }
    return false;
}

static bool fits(const struct rule *rule, const struct tree *tree) {
    if (rule->nullable && tree->kind == TREE_NULL) {
        return true;
    }
    switch (rule->kind) {
    case SCHEMA_STRING:
        return tree->kind == TREE_STRING && string_fits(rule, tree_slice(&tree->text));
    case SCHEMA_NUMBER:
        return tree->kind == TREE_NUMBER && number_fits(rule, schema_number_read(tree->raw), tree->raw);
    case SCHEMA_INTEGER:
        return tree->kind == TREE_NUMBER && integer_fits(rule, tree->raw);
    case SCHEMA_BOOLEAN:
        return tree->kind == TREE_TRUE || tree->kind == TREE_FALSE;
    case SCHEMA_ENUM:
        return enum_fits(rule, tree);
    case SCHEMA_ARRAY:
        return tree->kind == TREE_ARRAY && within(rule, (long)tree->count) && elements_fit(rule, tree);
    case SCHEMA_OBJECT:
        return tree->kind == TREE_OBJECT && object_fits(rule, tree);
    case SCHEMA_RECORD:
        return tree->kind == TREE_OBJECT && record_fits(rule, tree);
    case SCHEMA_TUPLE:
        return tree->kind == TREE_ARRAY && elements_fit(rule, tree);
    case SCHEMA_UNION:
        return union_fits(rule, tree);
    case SCHEMA_TAGGED:
        return tree->kind == TREE_OBJECT && tagged_fits(rule, tree);
    case SCHEMA_LAZY:
        return fits(rule->item, tree);
    default:
        return true;
    }
}

/* ---- against the checks ---- */

static void check_issues(const struct schema *schema, struct slice text, bool expected) {
    struct schema_issues issues;
    schema_issues_init(&issues);
    bool ok = schema_check(schema, text, &issues);
    FUZZ_CHECK(ok == expected && ok == (issues.count == 0),
               "with issues: %d, of which there are %zu; expected %d", ok, issues.count, expected);
    for (size_t i = 0; i < issues.count; i++) {
        struct slice value = issues.issues[i].value;
        struct slice message = buf_slice(&issues.issues[i].message);
        FUZZ_CHECK(!value.ptr || (value.ptr >= text.ptr && value.ptr + value.len <= text.ptr + text.len),
                   "issue %zu is about something else", i);
        FUZZ_CHECK(message.len > 0 && strict_utf8_end(message, true) == message.len, "issue %zu: %.*s", i,
                   (int)message.len, message.ptr);
    }
    schema_issues_free(&issues);
}

static bool check_fully(const struct rule *root, struct slice value) {
    uint64_t fuel = SCHEMA_FUEL;
    struct schema_walk walk = {.end = value.ptr + value.len, .fuel = &fuel, .room = SCHEMA_ROOM};
    const char *at = value.ptr;
    bool ok = schema_walk_node(&walk, root->node, NULL, &at);
    FUZZ_CHECK(at == walk.end, "the full check ends at %zd of %zu", at - value.ptr, value.len);
    return ok;
}

static void check_value(const struct schema *schema, const struct rule *root, struct slice text) {
    struct tree_facts facts = {0};
    struct tree tree = tree_read(text, &facts);
    bool expected = fits(root, &tree);
    bool full = check_fully(root, tree.raw);
    bool quick = schema_fast_check(root->node, tree.raw);
    FUZZ_CHECK(full == expected, "the full check says %d of %.*s, expected %d", full, (int)text.len, text.ptr,
               expected);
    FUZZ_CHECK(!quick || expected, "the quick check takes %.*s", (int)text.len, text.ptr);
    FUZZ_CHECK(schema_check(schema, text, NULL) == expected, "%.*s, expected %d", (int)text.len, text.ptr,
               expected);
    check_issues(schema, text, expected);
    tree_free(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct building b;
    struct error e;
    struct fuzz_input input = fuzz_open(data, size);
    struct slice description = fuzz_part(&input);
    struct fuzz_input rest = fuzz_open((const uint8_t *)description.ptr, description.len);
    b = (struct building){.input = &rest, .schema = schema_new()};
    FUZZ_CHECK(b.schema, "out of memory");
    const struct rule *root = build(&b, 0);
    bool whole = schema_finish(b.schema, root->node, &e);
    FUZZ_CHECK(whole || strstr(e.message, "stands for itself"), "building a schema: %s", e.message);
    for (int i = 0; whole && i < VALUES && input.at < input.end; i++) {
        struct slice text = fuzz_copy(fuzz_part(&input));
        if (strict_text(text).end == STRICT_WHOLE) {
            check_value(b.schema, root, text);
        }
        fuzz_drop(text);
    }
    schema_free(b.schema);
    return 0;
}
