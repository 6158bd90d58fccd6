#include "sink/sqlite/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/sqlite/shape.h"

void sqlite_tables_init(struct sqlite_tables *tables, const struct sqlite_db *db,
                        const struct layout *layout) {
    *tables = (struct sqlite_tables){.db = db, .layout = layout};
    strmap_init(&tables->types);
}

static void drop_table(void *value) {
    struct sqlite_table *table = value;
    if (table) {
        sqlite3_finalize(table->put);
        sqlite3_finalize(table->del);
        free(table->name);
        free(table);
    }
}

void sqlite_tables_clear(struct sqlite_tables *tables) {
    strmap_free(&tables->types, drop_table);
    strmap_init(&tables->types);
    tables->fresh = false;
}

void sqlite_tables_settle(struct sqlite_tables *tables, bool committed) {
    bool fresh = tables->fresh;
    tables->fresh = false;
    if (fresh && !committed) {
        /* What was made is not there any more; rare enough to look all of them up again. */
        sqlite_tables_clear(tables);
    }
}

/* Names */

/* Runs a query with one or two texts; the first column of its first row is copied to *found (NULL: no row). */
static enum db_outcome ask(const struct sqlite_db *db, const char *sql, struct slice one, struct slice two,
                           char **found, struct error *e) {
    enum db_outcome outcome;
    *found = NULL;
    sqlite3_stmt *statement = sqlite_db_prepare(db, slice_from(sql), "table _sync_tables", &outcome, e);
    if (!statement) {
        return outcome;
    }
    sqlite_db_bind(statement, 1, one);
    if (two.ptr) {
        sqlite_db_bind(statement, 2, two);
    }
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *found = strdup(sqlite_db_text(statement, 0).ptr);
    }
    if (rc == SQLITE_ROW && !*found) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for the name of a table", db->name);
        outcome = DB_FAILED;
    } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        outcome = sqlite_db_failed(db, rc, e, "table _sync_tables");
    }
    sqlite3_finalize(statement);
    return outcome;
}

enum db_outcome sqlite_table_name(const struct sqlite_db *db, struct slice type, char **name,
                                  struct error *e) {
    return ask(db, "SELECT table_name FROM _sync_tables WHERE stream_url = ?1 AND type = ?2",
               slice_from(db->stream), type, name, e);
}

/* Whether a name is free: *mine is set where another type of this stream has it already. Anything else of that name
 * is refused. */
static enum db_outcome check_name(const struct sqlite_db *db, struct slice name, bool *mine,
                                  struct error *e) {
    char *owner;
    char *thing = NULL;
    *mine = false;
    enum db_outcome outcome = ask(db, "SELECT stream_url FROM _sync_tables WHERE table_name = ?1", name,
                                  (struct slice){0}, &owner, e);
    if (outcome == DB_DONE && owner) {
        *mine = strcmp(owner, db->stream) == 0;
        if (!*mine) {
            error_set(e, ERROR_CONFLICT,
                      "%s: table \"%.*s\" belongs to another stream (%s): use another file, or set a prefix",
                      db->name, (int)name.len, name.ptr, owner);
            outcome = DB_FAILED;
        }
    } else if (outcome == DB_DONE) {
        outcome = ask(db, "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE", name,
                      (struct slice){0}, &thing, e);
        if (thing) {
            error_set(e, ERROR_CONFLICT,
                      "%s: there is a %s \"%.*s\" already, which weir did not make: use another file, set a "
                      "prefix, or move it away",
                      db->name, thing, (int)name.len, name.ptr);
            outcome = DB_FAILED;
        }
    }
    free(owner);
    free(thing);
    return outcome;
}

static enum db_outcome choose_name(const struct sqlite_tables *tables, struct slice type, char **name,
                                   struct error *e) {
    enum db_outcome outcome = DB_DONE;
    struct buf text;
    *name = NULL;
    buf_init(&text, TABLE_NAME_MAX * 2);
    for (unsigned attempt = 0; attempt < TABLE_ATTEMPTS && outcome == DB_DONE && !*name; attempt++) {
        bool mine = true;
        if (table_name(TABLE_SQLITE, tables->layout->prefix, type, attempt, &text)) {
            outcome = check_name(tables->db, buf_slice(&text), &mine, e);
        }
        bool free_name = outcome == DB_DONE && !mine && buf_append_byte(&text, '\0');
        *name = free_name ? strdup(text.ptr) : NULL;
    }
    buf_free(&text);
    if (outcome == DB_DONE && !*name) {
        error_set(e, ERROR_CONFLICT, "%s: type \"%.*s\": no name for its table is free", tables->db->name,
                  (int)(type.len < 100 ? type.len : 100), type.ptr);
        outcome = DB_FAILED;
    }
    return outcome;
}

static enum db_outcome remember_name(const struct sqlite_db *db, struct slice type, const char *name,
                                     struct error *e) {
    static const char sql[] = "INSERT INTO _sync_tables (stream_url, type, table_name) VALUES (?1, ?2, ?3)";
    enum db_outcome outcome;
    sqlite3_stmt *statement = sqlite_db_prepare(db, slice_from(sql), "table _sync_tables", &outcome, e);
    if (!statement) {
        return outcome;
    }
    sqlite_db_bind(statement, 1, slice_from(db->stream));
    sqlite_db_bind(statement, 2, type);
    sqlite_db_bind(statement, 3, slice_from(name));
    int rc = sqlite3_step(statement);
    outcome = rc == SQLITE_DONE ? DB_DONE : sqlite_db_failed(db, rc, e, "table _sync_tables");
    sqlite3_finalize(statement);
    return outcome == DB_REFUSED ? DB_FAILED : outcome;
}

/* Tables */

static enum db_outcome prepare(const struct sqlite_db *db, struct sqlite_table *table, struct error *e) {
    enum db_outcome outcome = DB_DONE;
    char what[TABLE_NAME_MAX + 16];
    struct buf sql;
    (void)snprintf(what, sizeof what, "table \"%s\"", table->name);
    buf_init(&sql, SHAPE_SQL_MAX);
    if (!sqlite_shape_put(table->name, table->columns, &sql)) {
        error_set(e, ERROR_MEMORY, "%s: table \"%s\": out of memory for its SQL", db->name, table->name);
        outcome = DB_FAILED;
    } else {
        table->put = sqlite_db_prepare(db, buf_slice(&sql), what, &outcome, e);
    }
    if (outcome == DB_DONE && sqlite_shape_delete(table->name, table->columns, &sql)) {
        table->del = sqlite_db_prepare(db, buf_slice(&sql), what, &outcome, e);
    }
    buf_free(&sql);
    return outcome;
}

static enum db_outcome make_table(const struct sqlite_tables *tables, struct slice type,
                                  struct sqlite_table *table, struct error *e) {
    enum db_outcome outcome = choose_name(tables, type, &table->name, e);
    if (outcome == DB_DONE) {
        outcome = remember_name(tables->db, type, table->name, e);
    }
    return outcome == DB_DONE ? sqlite_shape_create(tables->db, table->name, table->columns, e) : outcome;
}

/* table->name stays NULL where there is none and none is made. */
static enum db_outcome open_table(struct sqlite_tables *tables, struct slice type, bool make,
                                  struct sqlite_table *table, struct error *e) {
    table->columns = layout_columns(tables->layout, type);
    enum db_outcome outcome = sqlite_table_name(tables->db, type, &table->name, e);
    if (outcome != DB_DONE || (!table->name && !make)) {
        return outcome;
    }
    outcome = table->name ? sqlite_shape_check(tables->db, table->name, table->columns, e)
                          : make_table(tables, type, table, e);
    return outcome == DB_DONE ? prepare(tables->db, table, e) : outcome;
}

enum db_outcome sqlite_table_of(struct sqlite_tables *tables, struct slice type, bool make,
                                struct sqlite_table **table, struct error *e) {
    *table = strmap_get(&tables->types, type);
    if (*table) {
        return DB_DONE;
    }
    if (!table_check_text(type, "the type", e)) {
        /* There can be no table of such a name, so that nothing has to be deleted from it. */
        return make ? DB_REFUSED : DB_DONE;
    }
    struct sqlite_table *opened = calloc(1, sizeof *opened);
    enum db_outcome outcome = DB_FAILED;
    tables->fresh = true;
    if (!opened) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for a table", tables->db->name);
        return outcome;
    }
    outcome = open_table(tables, type, make, opened, e);
    if (outcome == DB_DONE && opened->name && strmap_put(&tables->types, type, opened)) {
        *table = opened;
        return outcome;
    }
    if (outcome == DB_DONE && opened->name) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for a table", tables->db->name);
        outcome = DB_FAILED;
    }
    drop_table(opened);
    return outcome;
}

enum db_outcome sqlite_table_types(const struct sqlite_db *db, bool (*take)(void *user, struct slice type),
                                   void *user, struct error *e) {
    static const char probe[] = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    static const char sql[] = "SELECT type FROM _sync_tables WHERE stream_url = ?1 ORDER BY type";
    char *found;
    enum db_outcome outcome = ask(db, probe, SLICE("_sync_tables"), (struct slice){0}, &found, e);
    bool there = found;
    free(found);
    if (outcome != DB_DONE || !there) {
        return outcome;
    }
    sqlite3_stmt *types = sqlite_db_prepare(db, slice_from(sql), "table _sync_tables", &outcome, e);
    if (!types) {
        return outcome;
    }
    sqlite_db_bind(types, 1, slice_from(db->stream));
    int rc;
    while (outcome == DB_DONE && (rc = sqlite3_step(types)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW) {
            outcome = sqlite_db_failed(db, rc, e, "table _sync_tables");
        } else if (!take(user, sqlite_db_text(types, 0))) {
            error_set(e, ERROR_MEMORY, "%s: out of memory for its types", db->name);
            outcome = DB_FAILED;
        }
    }
    sqlite3_finalize(types);
    return outcome;
}

static enum db_outcome clear_table(const struct sqlite_db *db, struct slice name, struct error *e) {
    struct buf sql;
    int rc = SQLITE_NOMEM;
    buf_init(&sql, SHAPE_SQL_MAX);
    if (buf_append_text(&sql, "DELETE FROM ") && table_quote(TABLE_SQLITE, name, &sql) &&
        buf_append_byte(&sql, '\0')) {
        rc = sqlite3_exec(db->handle, sql.ptr, NULL, NULL, NULL);
    }
    buf_free(&sql);
    return rc == SQLITE_OK ? DB_DONE
                           : sqlite_db_failed(db, rc, e, "clearing table \"%.*s\"", (int)name.len, name.ptr);
}

enum db_outcome sqlite_table_clear_all(const struct sqlite_db *db, struct error *e) {
    static const char sql[] = "SELECT table_name FROM _sync_tables WHERE stream_url = ?1";
    enum db_outcome outcome;
    sqlite3_stmt *names = sqlite_db_prepare(db, slice_from(sql), "table _sync_tables", &outcome, e);
    if (!names) {
        return outcome;
    }
    sqlite_db_bind(names, 1, slice_from(db->stream));
    int rc;
    while (outcome == DB_DONE && (rc = sqlite3_step(names)) != SQLITE_DONE) {
        outcome = rc == SQLITE_ROW ? clear_table(db, sqlite_db_text(names, 0), e)
                                   : sqlite_db_failed(db, rc, e, "table _sync_tables");
    }
    sqlite3_finalize(names);
    return outcome == DB_REFUSED ? DB_FAILED : outcome;
}
