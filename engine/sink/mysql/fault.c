#include "sink/mysql/fault.h"

#include <stddef.h>

/* By number, since names are not the same in every version of the headers. */
static const unsigned short rows[] = {
    1048,                   /* a column cannot be null */
    1062,                   /* duplicate entry for another unique key */
    1138,                   /* invalid use of NULL */
    1153,                   /* longer than max_allowed_packet */
    1216, 1217, 1451, 1452, /* foreign keys */
    1264,                   /* out of range */
    1265,                   /* data truncated */
    1292,                   /* incorrect value of a type */
    1364,                   /* no default for a column */
    1366,                   /* incorrect text for a column */
    1367,                   /* illegal value while parsing */
    1406,                   /* data too long */
    1644,                   /* SIGNAL of a trigger */
    1690,                   /* out of range in an expression */
    3140,                   /* invalid JSON */
    3819, 4025,             /* CHECK */
};

static const unsigned short agains[] = {
    1020,                               /* the record has changed since it was read */
    1021, 1026, 1030, 1114,             /* the disk, or a table, is full; writing failed */
    1037, 1038, 1041,                   /* the server is short of memory */
    1040, 1203, 1226,                   /* too many connections */
    1053, 1077, 1079,                   /* it shuts down */
    1152, 1158, 1159, 1160, 1161, 1184, /* the connection broke */
    1180, 1181,                         /* committing or rolling back failed */
    1205, 1213, 1614,                   /* locks */
    1290, 1792, 1836,                   /* it is read only for now */
    1297, 1317, 1927, 3024, 3168,       /* for a moment; killed, interrupted */
};

static int is_one_of(unsigned code, const unsigned short *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (list[i] == code) {
            return 1;
        }
    }
    return 0;
}

/* The library's own. */
static int is_client(unsigned code) {
    return (code >= 2000 && code < 3000) || code >= 5000;
}

enum my_fault my_fault_of(unsigned code) {
    /* 2019: no such character set; 2049, 2054, 2059: no way to log in; 2026: TLS does not come about. */
    if (code == 2019 || code == 2049 || code == 2054 || code == 2058 || code == 2059 || code == 2026 ||
        code == 2008) {
        return MY_FAULT_STOP;
    }
    if (is_client(code) || is_one_of(code, agains, sizeof agains / sizeof *agains)) {
        return MY_FAULT_AGAIN;
    }
    return is_one_of(code, rows, sizeof rows / sizeof *rows) ? MY_FAULT_ROW : MY_FAULT_STOP;
}

enum error_code my_fault_code(unsigned code) {
    switch (my_fault_of(code)) {
    case MY_FAULT_ROW:
        return ERROR_SCHEMA;
    case MY_FAULT_AGAIN:
        return is_client(code) ? ERROR_NETWORK : ERROR_SYSTEM;
    default:
        return code == 2008 ? ERROR_MEMORY : ERROR_SYSTEM;
    }
}

const char *my_fault_advice(unsigned code) {
    switch (code) {
    case 1044:
    case 1142:
        return "; grant the user CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE and DELETE on the database";
    case 1045:
    case 1698:
        return "; check the user and the password in the sink's url (a user who has to use TLS needs tls=on "
               "or "
               "tls=verify there)";
    case 1049:
        return "; create the database first, or correct the sink's url";
    case 2002:
    case 2003:
        return "; is the server running there, and does it listen (bind-address, port, socket)?";
    case 2005:
        return "; check the host in the sink's url";
    case 2026:
        return "; check tls and ca in the sink's url";
    case 3159:
        return "; put tls=on or tls=verify into the sink's url";
    case 1146:
    case 1054:
        return "; it was dropped or altered by another program: let weir verify repair it, or delete the "
               "stream's rows "
               "of _sync_state and _sync_tables with its tables to have all filled anew";
    case 1290:
    case 1792:
    case 1836:
        return "; the url has to lead to a server that takes writes (read_only)";
    case 1153:
        return "; raise max_allowed_packet of the server";
    default:
        return "";
    }
}
