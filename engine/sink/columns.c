#include "sink/columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/schema_number.h"
#include "json/read.h"
#include "json/text.h"

enum { ORDER_MAX = 2048 };

const char *columns_kind_name(enum schema_shape kind) {
    static const char *const names[] = {
        [SCHEMA_SHAPE_TEXT] = "text",         [SCHEMA_SHAPE_INTEGER] = "integer",
        [SCHEMA_SHAPE_REAL] = "real",         [SCHEMA_SHAPE_BOOLEAN] = "boolean",
        [SCHEMA_SHAPE_DATETIME] = "datetime", [SCHEMA_SHAPE_JSON] = "json",
    };
    return names[kind];
}

/* Building */

static bool copy_slice(struct slice *to, struct slice from) {
    char *copy = malloc(from.len + 1);
    if (copy) {
        memcpy(copy, from.len > 0 ? from.ptr : "", from.len);
        copy[from.len] = '\0';
        *to = slice_of(copy, from.len);
    }
    return copy;
}

static bool is_taken(const struct columns *columns, enum table_dialect dialect, struct slice name) {
    bool taken = table_same(dialect, columns->key, name);
    for (size_t i = 0; i < columns->count && !taken; i++) {
        taken = table_same(dialect, columns->list[i].name, name);
    }
    return taken;
}

static bool is_indexed(const struct columns_options *options, struct slice property) {
    for (size_t i = 0; i < options->index_count; i++) {
        if (slice_equal(options->indexes[i], property)) {
            return true;
        }
    }
    return false;
}

/* The first of the names a property may have that is free; with one that is its own, those that come later cannot be
 * in its way but by intent, and have attempts of their own. */
static bool choose_name(const struct columns *columns, const struct columns_options *options,
                        struct slice property, struct slice *name) {
    struct buf text;
    bool found = false;
    buf_init(&text, TABLE_NAME_MAX * 2);
    for (unsigned attempt = 0; attempt < TABLE_ATTEMPTS && !found; attempt++) {
        found = table_column_name(options->dialect, property, attempt, &text) &&
                !is_taken(columns, options->dialect, buf_slice(&text));
    }
    found = found && copy_slice(name, buf_slice(&text));
    buf_free(&text);
    return found;
}

static bool add_column(struct columns *columns, const struct columns_options *options,
                       const struct schema_property *property) {
    struct column column = {
        .kind = property->shape,
        .nullable = property->may_miss,
        .index = is_indexed(options, property->name),
    };
    if (!choose_name(columns, options, property->name, &column.name)) {
        return false;
    }
    if (!copy_slice(&column.property, property->name)) {
        free((char *)column.name.ptr);
        return false;
    }
    columns->list[columns->count++] = column;
    return true;
}

static bool add_columns(struct columns *columns, const struct schema *schema,
                        const struct columns_options *options) {
    size_t count = schema_property_count(schema);
    if (!copy_slice(&columns->key, slice_from(options->key ? options->key : COLUMNS_KEY))) {
        return false;
    }
    columns->list = calloc(count + 1, sizeof *columns->list);
    columns->order = calloc(ORDER_MAX, sizeof *columns->order);
    if (!columns->list || !columns->order) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct schema_property property = schema_property(schema, i);
        if (slice_equal(property.name, columns->key)) {
            columns->key_property = i;
        } else if (!add_column(columns, options, &property)) {
            return false;
        }
    }
    return true;
}

struct columns *columns_new(const struct schema *schema, const struct columns_options *options,
                            struct error *e) {
    if (!schema_has_properties(schema)) {
        error_set(e, ERROR_ARGUMENT, "columns need the schema of an object");
        return NULL;
    }
    struct columns *columns = calloc(1, sizeof *columns);
    if (columns) {
        columns->key_property = SIZE_MAX;
    }
    if (!columns || !add_columns(columns, schema, options)) {
        columns_free(columns);
        error_set(e, ERROR_MEMORY, "out of memory for the columns of a schema");
        return NULL;
    }
    return columns;
}

void columns_free(struct columns *columns) {
    if (!columns) {
        return;
    }
    for (size_t i = 0; i < columns->count; i++) {
        free((char *)columns->list[i].name.ptr);
        free((char *)columns->list[i].property.ptr);
    }
    free(columns->list);
    free(columns->order);
    free((char *)columns->key.ptr);
    free(columns);
}

bool columns_equal(const struct columns *a, const struct columns *b) {
    bool equal = a->count == b->count && slice_equal(a->key, b->key) &&
                 (a->key_property == SIZE_MAX) == (b->key_property == SIZE_MAX);
    for (size_t i = 0; equal && i < a->count; i++) {
        const struct column *one = &a->list[i];
        const struct column *other = &b->list[i];
        equal = slice_equal(one->name, other->name) && slice_equal(one->property, other->property) &&
                one->kind == other->kind && one->nullable == other->nullable && one->index == other->index;
    }
    return equal;
}

/* Cells */

static bool refuse_kind(const struct column *column, struct slice value, struct error *e) {
    return error_set(e, ERROR_SCHEMA, "property %.*s: expected %s, got %s", (int)column->property.len,
                     column->property.ptr, columns_kind_name(column->kind),
                     json_kind_name(json_kind_of(value)));
}

/* What a string stands for: a part of the value where nothing in it is escaped. */
static bool take_text(struct slice raw, struct buf *scratch, struct slice *text) {
    *text = slice_of(raw.ptr + 1, raw.len - 2);
    if (raw.len == 2 || !memchr(text->ptr, '\\', text->len)) {
        return true;
    }
    /* The scratch has room for all of the value, and never moves. */
    size_t start = scratch->len;
    if (!json_unquote(scratch, raw)) {
        return false;
    }
    *text = slice_of(scratch->ptr + start, scratch->len - start);
    return true;
}

static bool take_string(const struct column *column, struct slice value, struct buf *scratch,
                        struct column_cell *cell, struct error *e) {
    if (json_kind_of(value) != JSON_STRING) {
        return refuse_kind(column, value, e);
    }
    if (!take_text(value, scratch, &cell->text)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a row's text");
    }
    char what[128];
    (void)snprintf(what, sizeof what, "property %.*s",
                   (int)(column->property.len < 64 ? column->property.len : 64), column->property.ptr);
    return table_check_text(cell->text, what, e);
}

static bool take_number(const struct column *column, struct slice value, struct column_cell *cell,
                        struct error *e) {
    struct schema_number number;
    cell->text = value;
    if (json_kind_of(value) != JSON_NUMBER) {
        return refuse_kind(column, value, e);
    }
    if (column->kind == SCHEMA_SHAPE_INTEGER) {
        cell->is.integer = 0;
        if (schema_number_read_whole(value, &number) != SCHEMA_WHOLE) {
            return error_set(e, ERROR_SCHEMA, "property %.*s: expected an integer of 64 bits, got %.*s",
                             (int)column->property.len, column->property.ptr,
                             (int)(value.len < 40 ? value.len : 40), value.ptr);
        }
        cell->is.integer = number.integer;
        return true;
    }
    number = schema_number_read(value);
    cell->is.real = number.whole ? (double)number.integer : number.real;
    return isfinite(cell->is.real) ||
           error_set(e, ERROR_SCHEMA, "property %.*s: %.*s is past what a float of 64 bits can be",
                     (int)column->property.len, column->property.ptr, (int)(value.len < 40 ? value.len : 40),
                     value.ptr);
}

static bool take_cell(const struct column *column, struct slice value, struct buf *scratch,
                      struct column_cell *cell, struct error *e) {
    enum json_kind kind = json_kind_of(value);
    *cell = (struct column_cell){.null = kind == JSON_NULL, .text = value};
    if (cell->null) {
        return true;
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_TEXT:
    case SCHEMA_SHAPE_DATETIME:
        return take_string(column, value, scratch, cell, e);
    case SCHEMA_SHAPE_INTEGER:
    case SCHEMA_SHAPE_REAL:
        return take_number(column, value, cell, e);
    case SCHEMA_SHAPE_BOOLEAN:
        cell->is.boolean = value.ptr[0] == 't';
        return kind == JSON_BOOLEAN || refuse_kind(column, value, e);
    default:
        return true;
    }
}

/* What a scalar has to be where it is the key: the same text. */
static bool check_key(const struct columns *columns, struct slice key, struct slice value,
                      struct buf *scratch, struct error *e) {
    struct slice text = value;
    if (json_kind_of(value) == JSON_STRING && !take_text(value, scratch, &text)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a row's text");
    }
    return slice_equal(text, key) || json_kind_of(value) == JSON_NULL ||
           error_set(e, ERROR_SCHEMA,
                     "property %.*s is not the key (%.*s), and both would be column %.*s: set `key` to the "
                     "name of another column for the key",
                     (int)columns->key.len, columns->key.ptr, (int)(text.len < 64 ? text.len : 64), text.ptr,
                     (int)columns->key.len, columns->key.ptr);
}

/* The places a member may have: of a column, of the key, of none. */
#define PLACE_KEY (UINT32_MAX - 1)
#define PLACE_NONE UINT32_MAX

/* The properties are in byte order. */
static uint32_t search(const struct columns *columns, struct slice name) {
    size_t from = 0;
    size_t to = columns->count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = slice_compare(columns->list[middle].property, name);
        if (order == 0) {
            return (uint32_t)middle;
        }
        from = order < 0 ? middle + 1 : from;
        to = order < 0 ? to : middle;
    }
    return columns->key_property != SIZE_MAX && slice_equal(columns->key, name) ? PLACE_KEY : PLACE_NONE;
}

static bool find_place(struct columns *columns, size_t member, struct slice raw, struct buf *scratch,
                       uint32_t *place) {
    struct slice name;
    if (!take_text(raw, scratch, &name)) {
        return false;
    }
    if (member < columns->order_count && columns->order[member] < columns->count &&
        slice_equal(columns->list[columns->order[member]].property, name)) {
        *place = columns->order[member];
        return true;
    }
    *place = search(columns, name);
    if (member < ORDER_MAX && member <= columns->order_count) {
        columns->order[member] = *place;
        columns->order_count += member == columns->order_count;
    }
    return true;
}

static bool check_missing(const struct columns *columns, const struct column_cell *cells, struct error *e) {
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *column = &columns->list[i];
        if (cells[i].null && !column->nullable) {
            return error_set(e, ERROR_SCHEMA, "property %.*s: is missing or null: expected %s",
                             (int)column->property.len, column->property.ptr,
                             columns_kind_name(column->kind));
        }
    }
    return true;
}

bool columns_cells(struct columns *columns, struct slice key, struct slice value, struct column_cell *cells,
                   struct buf *scratch, struct error *e) {
    struct json_walk walk;
    struct slice raw;
    struct slice member;
    value = json_trim(value);
    buf_clear(scratch);
    if (json_kind_of(value) != JSON_OBJECT) {
        return error_set(e, ERROR_SCHEMA, "expected an object, got %s", json_kind_name(json_kind_of(value)));
    }
    if (!buf_reserve(scratch, value.len)) {
        return buf_error(scratch, e, "the text of a row", "raise limits.sinkBatch");
    }
    for (size_t i = 0; i < columns->count; i++) {
        cells[i] = (struct column_cell){.null = true};
    }
    json_walk_open(&walk, value);
    for (size_t at = 0; json_walk_member(&walk, &raw, &member); at++) {
        uint32_t place;
        if (!find_place(columns, at, raw, scratch, &place)) {
            return error_set(e, ERROR_MEMORY, "out of memory for a row's text");
        }
        bool good = place == PLACE_NONE ? true
                    : place == PLACE_KEY
                        ? check_key(columns, key, member, scratch, e)
                        : take_cell(&columns->list[place], member, scratch, &cells[place], e);
        if (!good) {
            return false;
        }
    }
    return check_missing(columns, cells, e);
}
