/* The table _sync_state: how far each stream has come in this file, and whose it is. For the files of this folder. */
#ifndef SINK_SQLITE_PLACE_H
#define SINK_SQLITE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/batch.h"
#include "sink/sqlite/db.h"

/* What the file holds of a stream. */
struct sqlite_place {
    bool known; /* something has been committed */
    struct sink_place place;
    uint64_t epoch;
};

void sqlite_place_free(struct sqlite_place *place);

/* Makes _sync_state and _sync_tables where they are missing; a table of that name that is another's is refused by
 * name. Within a transaction. */
enum db_outcome sqlite_place_prepare(const struct sqlite_db *db, struct error *e);

/* Reads the stream's row; without one, or without the table, epoch is 0. place was zero-initialised. */
enum db_outcome sqlite_place_read(const struct sqlite_db *db, struct sqlite_place *place, struct error *e);

/* Makes the epoch the stream's. Within a transaction. */
enum db_outcome sqlite_place_raise(const struct sqlite_db *db, uint64_t epoch, struct error *e);

/* The statement that sqlite_place_move runs. NULL with *outcome and e. */
sqlite3_stmt *sqlite_place_mover(const struct sqlite_db *db, enum db_outcome *outcome, struct error *e);

/* Moves the place, as long as the epoch is `epoch`. *moved false: it is not, and nothing changed. */
enum db_outcome sqlite_place_move(const struct sqlite_db *db, sqlite3_stmt *mover, uint64_t epoch,
                                  const struct sink_place *place, const char *stamp, bool *moved,
                                  struct error *e);

#endif
