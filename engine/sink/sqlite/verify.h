/* A SQLite file compared with a state, and made equal to it. For the files of this folder. */
#ifndef SINK_SQLITE_VERIFY_H
#define SINK_SQLITE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/sink.h"
#include "sink/sqlite/write.h"
#include "state/store.h"

struct sqlite_difference {
    enum sink_difference kind;
    struct slice type;
    struct store_row row;
    char *key; /* owned, where row.key is a part of it: EXTRA; or NULL */
};

struct verify_type {
    struct slice name;
    char *owned; /* the name, where it is not the state's; or NULL */
};

enum { VERIFY_DIFFERENCES = 64 };

/* Under way: differences are found by the step, so that they can be told on the loop's thread in between. */
struct sqlite_verifier {
    struct sqlite_writer *writer;
    const struct store *store;
    bool repair;
    uint64_t epoch;
    struct sqlite_difference differences[VERIFY_DIFFERENCES];
    size_t difference_count;
    uint64_t rows; /* of the state, compared so far */
    bool over;
    /* Private. */
    bool begun;
    struct verify_type *types; /* of the state, and those that only the file has */
    size_t type_count, type_at;
    struct sqlite_table now; /* the table under way: name (NULL: there is none) and columns */
    struct sqlite_table *to; /* where it is repaired: the same, to be written to */
    sqlite3_stmt *there;     /* the rows of it, or NULL */
    bool there_ready;        /* it stands on one that was not compared */
    bool open;
    uint32_t *order;
    size_t order_count, order_at;
};

void sqlite_verifier_init(struct sqlite_verifier *verifier, struct sqlite_writer *writer,
                          const struct store *store, bool repair, uint64_t epoch);

/* Goes on until there are VERIFY_DIFFERENCES, or all is compared (over), and committed where it was repaired.
 * DB_DONE, or it has failed with e. */
enum db_outcome sqlite_verifier_step(struct sqlite_verifier *verifier, struct error *e);

/* The differences have been told. */
void sqlite_verifier_told(struct sqlite_verifier *verifier);

/* Rolls back what is not over. */
void sqlite_verifier_free(struct sqlite_verifier *verifier);

#endif
