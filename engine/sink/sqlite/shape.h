/* The shape of one table: CREATE TABLE as its layout wants it, and a table that exists compared with that. For the
 * files of this folder. */
#ifndef SINK_SQLITE_SHAPE_H
#define SINK_SQLITE_SHAPE_H

#include "sink/columns.h"
#include "sink/sqlite/db.h"

enum { SHAPE_SQL_MAX = 1 << 20 };

/* columns NULL: id, data, updated_at. Makes the table and its indexes. */
enum db_outcome sqlite_shape_create(const struct sqlite_db *db, const char *table,
                                    const struct columns *columns, struct error *e);

/* Adds the columns and indexes that are missing, and refuses by name what cannot be changed, or a table that is not
 * there. */
enum db_outcome sqlite_shape_check(const struct sqlite_db *db, const char *table,
                                   const struct columns *columns, struct error *e);

/* SQL to write a row and to delete one, in `sql`, which is cleared. False: out of memory. */
bool sqlite_shape_put(const char *table, const struct columns *columns, struct buf *sql);
bool sqlite_shape_delete(const char *table, const struct columns *columns, struct buf *sql);

/* SELECT key and the other columns, in the order of the keys' bytes. */
bool sqlite_shape_select(const char *table, const struct columns *columns, struct buf *sql);

#endif
