/* The tables of a stream's types in a SQLite file: found, made, held to their shape, and the statements that write to
 * them. For the files of this folder. */
#ifndef SINK_SQLITE_TABLE_H
#define SINK_SQLITE_TABLE_H

#include <stdbool.h>

#include "base/strmap.h"
#include "sink/layout.h"
#include "sink/sqlite/db.h"

struct sqlite_table {
    char *name;              /* not quoted; owned */
    struct columns *columns; /* of the layout; NULL: id, data, updated_at */
    sqlite3_stmt *put;       /* (1: key, 2: data, 3: updated_at), or (1: key, 2...: the columns) */
    sqlite3_stmt *del;       /* (1: key) */
};

struct sqlite_tables {
    const struct sqlite_db *db;
    const struct layout *layout;
    struct strmap types; /* to struct sqlite_table */
    bool fresh;          /* one of them was looked up, made or altered in the transaction under way */
};

void sqlite_tables_init(struct sqlite_tables *tables, const struct sqlite_db *db,
                        const struct layout *layout);

/* Forgets all that is known, and finalizes the statements. */
void sqlite_tables_clear(struct sqlite_tables *tables);

/* The transaction under way is over: what it made stays, or is forgotten. */
void sqlite_tables_settle(struct sqlite_tables *tables, bool committed);

/* The table of a type, ready to be written to. Where there is none: made (make), or *table is NULL. Within a
 * transaction. What is there already and is no table of this stream, or cannot be made to fit, is refused by name:
 * DB_FAILED; DB_REFUSED: no database has such a type. */
enum db_outcome sqlite_table_of(struct sqlite_tables *tables, struct slice type, bool make,
                                struct sqlite_table **table, struct error *e);

/* Where the file holds a table for the type: its name, as a string that the caller frees, otherwise NULL. */
enum db_outcome sqlite_table_name(const struct sqlite_db *db, struct slice type, char **name,
                                  struct error *e);

/* Calls take with each type that the file has a table for, in byte order; false: out of memory. Without _sync_tables
 * there are none. */
enum db_outcome sqlite_table_types(const struct sqlite_db *db, bool (*take)(void *user, struct slice type),
                                   void *user, struct error *e);

/* Deletes every row of every table of the stream. Within a transaction. */
enum db_outcome sqlite_table_clear_all(const struct sqlite_db *db, struct error *e);

#endif
