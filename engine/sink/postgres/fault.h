/* What follows from a failure: by its SQLSTATE, never by the text of its message. Pure. */
#ifndef SINK_POSTGRES_FAULT_H
#define SINK_POSTGRES_FAULT_H

#include "sink/postgres/link.h"

enum pg_fault {
    PG_FAULT_ROW,   /* a row that the database does not take: a value out of range, a constraint */
    PG_FAULT_AGAIN, /* waiting may mend it: a cut connection, a restart, a full disk, a lock, a deadlock */
    PG_FAULT_STOP,  /* only somebody can mend it: a table that was dropped, a password, a permission */
};

enum pg_fault pg_fault_of(const struct pg_failure *failure);

/* A lock was not to be had within lock_timeout. */
bool pg_fault_is_lock(const struct pg_failure *failure);

/* Division by zero: what the statements of sink/postgres/state.c raise where a condition does not hold. */
bool pg_fault_is_condition(const struct pg_failure *failure);

/* A code for the error, and what to do about it where that is known. */
void pg_fault_explain(const struct pg_failure *failure, struct error *e);

#endif
