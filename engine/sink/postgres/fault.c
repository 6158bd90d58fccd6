#include "sink/postgres/fault.h"

#include <string.h>

static bool is(const struct pg_failure *failure, const char *state) {
    return strncmp(failure->state, state, strlen(state)) == 0;
}

static bool is_any(const struct pg_failure *failure, const char *const *states) {
    for (; *states; states++) {
        if (is(failure, *states)) {
            return true;
        }
    }
    return false;
}

/* Classes and single states. Of connections: gone, refused, too many, starting, shutting down; a server that only
 * reads may be one that is about to take over. Of resources: disk, memory, locks. Of transactions: serialization,
 * deadlocks, a statement that was cancelled. Of names: somebody made the same table at the same time. */
static const char *const again[] = {"08",    "57P01", "57P02", "57P03", "57P05", "53",    "40",
                                    "55P03", "55006", "57014", "25P03", "25006", "25P02", "58030",
                                    "42P07", "42710", "72000", "XX000", NULL};

static const char *const of_a_row[] = {"22", "23", "54", "21000", "44000", "P0001", NULL};

enum pg_fault pg_fault_of(const struct pg_failure *failure) {
    if (failure->password || failure->tls) {
        return PG_FAULT_STOP;
    }
    if (failure->state[0] == '\0' || is_any(failure, again)) {
        return PG_FAULT_AGAIN;
    }
    return is_any(failure, of_a_row) ? PG_FAULT_ROW : PG_FAULT_STOP;
}

bool pg_fault_is_lock(const struct pg_failure *failure) {
    return is(failure, "55P03");
}

bool pg_fault_is_condition(const struct pg_failure *failure) {
    return is(failure, "22012");
}

void pg_fault_explain(const struct pg_failure *failure, struct error *e) {
    static const struct {
        const char *state, *text;
        enum error_code code;
        const char *says; /* a part of the message; NULL: any */
    } known[] = {
        {"28P01", "check the user and the password in the sink's url", ERROR_ARGUMENT, NULL},
        {"28", "check the user in the sink's url, and its sslmode where the server wants TLS", ERROR_ARGUMENT,
         NULL},
        {"3D000", "create that database first, or correct the sink's url", ERROR_ARGUMENT, NULL},
        {"42501", "grant it to the user of the sink's url", ERROR_SYSTEM, NULL},
        {"42P01", "restore it, or load everything again as docs/sinks/postgres.md says", ERROR_NOT_FOUND,
         NULL},
        {"42703", "restore the column, or load everything again as docs/sinks/postgres.md says",
         ERROR_NOT_FOUND, NULL},
        {"3F000", "create it, or correct the search_path", ERROR_NOT_FOUND, NULL},
        {"22", NULL, ERROR_SCHEMA, NULL},
        {"23502", "let the property be optional, since the rows that are there have no value for it",
         ERROR_SCHEMA, "contains null values"},
        {"23", NULL, ERROR_SCHEMA, NULL},
        {"54", NULL, ERROR_SCHEMA, NULL},
        {"P0001", NULL, ERROR_SCHEMA, NULL},
    };
    *e = failure->error;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (is(failure, known[i].state) &&
            (!known[i].says || strstr(failure->error.message, known[i].says))) {
            error_set(e, known[i].code, "%s (SQLSTATE %s)%s%s", failure->error.message, failure->state,
                      known[i].text ? ": " : "", known[i].text ? known[i].text : "");
            return;
        }
    }
    if (failure->tls) {
        error_set(e, ERROR_ARGUMENT, "%s: check sslmode and sslrootcert in the sink's url",
                  failure->error.message);
    } else if (failure->password) {
        error_set(e, ERROR_ARGUMENT, "%s: give one in the sink's url, by PGPASSWORD or by a password file",
                  failure->error.message);
    } else if (failure->state[0]) {
        error_set(e, e->code, "%s (SQLSTATE %s)", failure->error.message, failure->state);
    }
}
