#include "sink/layout.h"

#include <stdlib.h>
#include <string.h>

#include "state/store.h"

struct layout_type {
    struct columns *columns; /* or NULL */
};

static bool read_settings(struct layout *layout, const struct sink_options *options, struct error *e) {
    const char *form = sink_setting(options, "layout");
    const char *prefix = sink_setting(options, "prefix");
    const char *key = sink_setting(options, "key");
    if (form && strcmp(form, "json") != 0 && strcmp(form, "columns") != 0) {
        return error_set(e, ERROR_ARGUMENT,
                         "%s: setting layout: expected \"json\" or \"columns\", got \"%s\"", options->name,
                         form);
    }
    layout->columns = form && strcmp(form, "columns") == 0;
    if (!table_check_prefix(prefix, e)) {
        return error_context(e, "%s", options->name);
    }
    if (key && (!layout->columns || !table_check_prefix(key, e) || !*key)) {
        return error_set(
            e, ERROR_ARGUMENT,
            "%s: setting key: expected the name of a column (ASCII letters, digits and \"_\") of "
            "layout \"columns\", got \"%s\"",
            options->name, key);
    }
    layout->prefix = strdup(prefix ? prefix : "");
    layout->key = key ? strdup(key) : NULL;
    if (!layout->prefix || (key && !layout->key)) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory", options->name);
    }
    return true;
}

bool layout_init(struct layout *layout, enum table_dialect dialect, const struct sink_options *options,
                 struct error *e) {
    *layout = (struct layout){
        .dialect = dialect,
        .schema = options->schema,
        .index = options->index,
        .user = options->schema_user,
    };
    strmap_init(&layout->types);
    return read_settings(layout, options, e);
}

static void drop_type(void *value) {
    struct layout_type *type = value;
    columns_free(type->columns);
    free(type);
}

void layout_free(struct layout *layout) {
    strmap_free(&layout->types, drop_type);
    free(layout->prefix);
    free(layout->key);
    *layout = (struct layout){0};
}

static bool make_columns(const struct layout *layout, struct slice name, struct columns **columns,
                         struct error *e) {
    const struct schema *schema = layout->columns && layout->schema ? layout->schema(layout->user, name)
                                                                    : NULL;
    struct slice indexes[STORE_INDEXES_MAX];
    struct columns_options options = {.dialect = layout->dialect, .key = layout->key, .indexes = indexes};
    *columns = NULL;
    if (!schema || !schema_has_properties(schema)) {
        return true;
    }
    while (options.index_count < STORE_INDEXES_MAX && layout->index &&
           layout->index(layout->user, name, options.index_count, &indexes[options.index_count])) {
        options.index_count++;
    }
    *columns = columns_new(schema, &options, e);
    return *columns;
}

bool layout_prepare_type(struct layout *layout, struct slice name, struct error *e) {
    if (!layout->columns || strmap_get(&layout->types, name)) {
        return true;
    }
    struct columns *columns;
    if (!make_columns(layout, name, &columns, e)) {
        return false;
    }
    struct layout_type *type = calloc(1, sizeof *type);
    if (type) {
        type->columns = columns;
        if (strmap_put(&layout->types, name, type)) {
            return true;
        }
    }
    free(type);
    columns_free(columns);
    return error_set(e, ERROR_MEMORY, "out of memory for the columns of a type");
}

bool layout_prepare(struct layout *layout, const struct sink_batch *batch, struct error *e) {
    struct slice last = {0};
    size_t count = layout->columns ? sink_batch_count(batch) : 0;
    for (size_t i = 0; i < count; i++) {
        struct sink_row row = sink_batch_row(batch, i);
        if ((row.op != SINK_PUT && row.op != SINK_DELETE) || (last.ptr && slice_equal(row.type, last))) {
            continue;
        }
        last = row.type;
        if (!layout_prepare_type(layout, row.type, e)) {
            return false;
        }
    }
    return true;
}

struct columns *layout_columns(const struct layout *layout, struct slice type) {
    const struct layout_type *found = layout->columns ? strmap_get(&layout->types, type) : NULL;
    return found ? found->columns : NULL;
}
