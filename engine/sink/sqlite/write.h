/* A batch into a SQLite file, in one transaction with its place. For the files of this folder. */
#ifndef SINK_SQLITE_WRITE_H
#define SINK_SQLITE_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "sink/last.h"
#include "sink/sqlite/table.h"

/* A row that the file does not take. */
struct sqlite_refusal {
    size_t row; /* of the batch */
    enum error_code code;
    char *message; /* owned */
};

/* How many are found before the others of a batch are looked at. */
enum { WRITE_REFUSALS_MAX = 256 };

struct sqlite_writer {
    struct sqlite_db *db;
    struct sqlite_tables tables;
    struct sqlite_refusal refusals[WRITE_REFUSALS_MAX];
    size_t refusal_count;
    char stamp[LOG_STAMP]; /* the time of the transaction under way */
    /* Private. */
    sqlite3_stmt *mover;
    struct last last;
    bool each;      /* the batch has a row that is refused: rows of one key are written one after the other */
    uint64_t *skip; /* a bit for each row of the batch that is left out */
    size_t skip_words;
    struct column_cell *cells;
    size_t cell_room;
    struct buf scratch;
};

void sqlite_writer_init(struct sqlite_writer *writer, struct sqlite_db *db, const struct layout *layout);

/* Finalizes every statement; what is kept between batches stays. */
void sqlite_writer_reset(struct sqlite_writer *writer);
void sqlite_writer_free(struct sqlite_writer *writer);

/* The batch that comes next is another one. */
void sqlite_writer_next(struct sqlite_writer *writer);

/* Writes all of it. *fenced: nothing, since the epoch is another one, which is found there. DB_REFUSED: nothing, and refusals has rows that
 * are not taken; once the caller agrees to leave these out (sqlite_writer_skip), it may be tried again. */
enum db_outcome sqlite_writer_batch(struct sqlite_writer *writer, const struct sink_batch *batch,
                                    uint64_t *epoch, bool *fenced, struct error *e);

/* Leaves out the rows of refusals from now on, and forgets them. False: out of memory. */
bool sqlite_writer_skip(struct sqlite_writer *writer, const struct sink_batch *batch);

/* One row into its table, within a transaction. DB_REFUSED: as above, with e. */
enum db_outcome sqlite_writer_put(struct sqlite_writer *writer, struct sqlite_table *table, struct slice key,
                                  struct slice value, struct error *e);
enum db_outcome sqlite_writer_delete(struct sqlite_writer *writer, struct sqlite_table *table,
                                     struct slice key, struct error *e);

/* A row's cells (table->columns->count), good until it is asked again. DB_REFUSED with e: the value does not fit. */
enum db_outcome sqlite_writer_cells(struct sqlite_writer *writer, const struct sqlite_table *table,
                                    struct slice key, struct slice value, struct error *e);

#endif
