/* Errors are data: the caller passes a struct error in, whoever fails first fills it, and only the
 * faces (the command line, the Lua API) print or raise it. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_MEMORY,      /* an allocation failed */
    ERROR_LIMIT,       /* a cap was reached; the message names the cap and the option that raises it */
    ERROR_SYNTAX,      /* bytes that are not what their format says (JSON, SSE, a config file) */
    ERROR_CUT,         /* input that ended in the middle of something */
    ERROR_EVENT,       /* valid JSON that is not an event of the State Protocol */
    ERROR_SCHEMA,      /* a value that its schema or rule refuses */
    ERROR_SCRIPT,      /* a Lua error: the message holds the traceback */
    ERROR_ARGUMENT,    /* a wrong option, setting or argument */
    ERROR_SYSTEM,      /* the operating system said no: files, sockets */
    ERROR_NETWORK,     /* no connection, or one that broke */
    ERROR_TIMEOUT,     /* a wait reached its limit */
    ERROR_HTTP,        /* an HTTP status that ends the work; `status` holds it */
    ERROR_NOT_FOUND,   /* 404: no such stream */
    ERROR_GONE,        /* 410: the offset or the stream is no longer there */
    ERROR_CONFLICT,    /* 409 */
    ERROR_CLOSED,      /* the stream is closed: it takes no appends */
    ERROR_INTERRUPTED, /* Ctrl-C, SIGTERM, or a stop asked for by the program */
};

#define ERROR_MESSAGE_MAX 2048

struct error {
    enum error_code code;
    int status;      /* the HTTP status, or 0 */
    size_t position; /* bytes from the start of what was being read; 0 where it means nothing */
    char message[ERROR_MESSAGE_MAX];
};

/* Fills *e (which may be NULL) with a code and a printf-style message, cut to ERROR_MESSAGE_MAX with
 * what must not be shown replaced (base/plain.h). Always returns false, so that a function may end with
 * `return error_set(e, ...)`. Position and status become 0. */
bool error_set(struct error *e, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message that is there. Always returns false. */
bool error_context(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *e);

/* The code's name in lower case, as scripts see it: "network", "not-found". Never NULL. */
const char *error_name(enum error_code code);

#endif
