/* The table of a type: its name, its shape, and what is said to it in SQL.
 *
 *     layout json:     id text, data jsonb, updated_at timestamptz
 *     layout columns:  the key's column, and one for each property of the type's schema
 *
 * A type whose schema has no properties of its own, or that has none, is laid out as json in either. */
#ifndef SINK_POSTGRES_TABLE_H
#define SINK_POSTGRES_TABLE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "sink/columns.h"
#include "sink/postgres/link.h"

struct pg_table_options {
    const char *schema; /* of the database, not quoted */
    const char *stream;
    const char *prefix;      /* may be NULL */
    struct columns *columns; /* NULL: json. The table's from now on, also where it could not be made */
};

struct pg_table {
    struct slice type; /* owned */
    char *name;        /* NULL: not decided */
    char *quoted;      /* with its schema */
    struct columns *columns;
    unsigned attempt;
    bool registered; /* _sync_tables has it */
    bool ready;      /* it is there, and of the right shape */
    bool create;     /* it has to be made, with the rows that come first */
    bool gone;       /* it was there once, and is not */
    bool fresh;      /* it is made in the transaction under way: nothing is in it */
    char **changes;  /* statements that give it the right shape */
    size_t change_count;
};

/* NULL: out of memory. */
struct pg_table *pg_table_new(struct slice type, const struct pg_table_options *options);
void pg_table_free(struct pg_table *table);

/* What was found out about it is to be found out anew. */
void pg_table_forget(struct pg_table *table);

/* What had to be done about it has been committed. */
void pg_table_settled(struct pg_table *table);

/* Gives it a name: that of _sync_tables, or the next one that it may have. */
bool pg_table_named(struct pg_table *table, const char *name, const struct pg_table_options *options,
                    struct error *e);
bool pg_table_next_name(struct pg_table *table, const struct pg_table_options *options, struct error *e);

/* A statement of two parameters, a name and the schema, whose answer pg_table_examine understands. tables: the
 * quoted name of _sync_tables. */
bool pg_table_question(struct buf *sql, const char *tables);

/* Sets ready, create and changes. *taken: its name is something else's, and it needs the next one. False with e: it is
 * not as it has to be, and that cannot be changed. */
bool pg_table_examine(struct pg_table *table, const PGresult *answer, const struct pg_table_options *options,
                      bool *taken, struct error *e);

/* Columns with the key's: 2 or more. */
size_t pg_table_width(const struct pg_table *table);

/* Appends the SQL; false: out of memory. put takes an array of texts for each column (of jsonb for the second in layout
 * json), remove an array of keys. */
bool pg_table_sql_put(const struct pg_table *table, struct buf *sql);
bool pg_table_sql_remove(const struct pg_table *table, struct buf *sql);
bool pg_table_sql_copy(const struct pg_table *table, struct buf *sql);

/* Rows in which table and values differ: the key, and "m", "x" or "o" (missing, extra, other). from and to (may be
 * NULL) bound the keys that are asked for: "greater than", "at most" these parameters ("$3"). In the byte order of the keys. */
bool pg_table_sql_compare(const struct pg_table *table, const char *from, const char *to, struct buf *sql);

/* Keys in byte order, at most so many, behind $1 where `from` is true. */
bool pg_table_sql_extra(const struct pg_table *table, bool from, unsigned limit, struct buf *sql);

/* The cells of a row, pg_table_width of them, as texts; ptr NULL: null. scratch has room for them as
 * columns_cells says, numbers is 32 bytes a column. False with e: the row does not fit. */
struct pg_cells {
    struct slice *texts;
    struct column_cell *cells;
    char (*numbers)[32];
    size_t room;
    struct buf scratch;
};
bool pg_table_cells(const struct pg_table *table, struct slice key, struct slice value,
                    struct pg_cells *cells, struct error *e);
void pg_cells_init(struct pg_cells *cells, size_t max);
void pg_cells_free(struct pg_cells *cells);

/* Appends a name in quotes, with the schema in front where that is not NULL. */
bool pg_quote(struct buf *out, const char *schema, struct slice name);

#endif
