/* What a number of MySQL's or MariaDB's errors means to a sink. Pure. */
#ifndef SINK_MYSQL_FAULT_H
#define SINK_MYSQL_FAULT_H

#include "base/error.h"

enum my_fault {
    MY_FAULT_ROW,   /* a row that the database does not take */
    MY_FAULT_AGAIN, /* waiting may mend it: a cut connection, a restart, a full disk, a lock */
    MY_FAULT_STOP,  /* only somebody can mend it */
};

enum my_fault my_fault_of(unsigned code);

/* A code for the error, and words to put behind the server's message ("" where there is nothing to say). */
enum error_code my_fault_code(unsigned code);
const char *my_fault_advice(unsigned code);

#endif
