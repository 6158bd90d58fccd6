/* How the tables of a SQL sink are laid out, and where they are: its settings layout, prefix and key, and the columns
 * of each type.
 *
 * Columns are worked out on the loop's thread (layout_prepare), since schemas are asked for there; looked up they may
 * be from a thread that works for the sink while the loop's thread leaves the layout alone. */
#ifndef SINK_LAYOUT_H
#define SINK_LAYOUT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/strmap.h"
#include "sink/batch.h"
#include "sink/columns.h"
#include "sink/sink.h"

struct layout {
    enum table_dialect dialect;
    bool columns; /* false: id, data, updated_at */
    char *prefix; /* "" where there is none; owned */
    char *key;    /* owned; NULL: COLUMNS_KEY */
    /* Private. */
    struct strmap types; /* to struct layout_type */
    const struct schema *(*schema)(void *user, struct slice type);
    bool (*index)(void *user, struct slice type, size_t i, struct slice *field);
    void *user;
};

/* Reads the settings. False with e: one is wrong, or out of memory. layout_free it in any case. */
bool layout_init(struct layout *layout, enum table_dialect dialect, const struct sink_options *options,
                 struct error *e);
void layout_free(struct layout *layout);

/* Works out the columns of a type, or of all types in a batch, where that was not done before. False with e. */
bool layout_prepare_type(struct layout *layout, struct slice type, struct error *e);
bool layout_prepare(struct layout *layout, const struct sink_batch *batch, struct error *e);

/* The columns of a type that was prepared. NULL: its table has id, data and updated_at, since that is the layout, or
 * since the type has no schema, or none of an object. They belong to the layout. */
struct columns *layout_columns(const struct layout *layout, struct slice type);

#endif
