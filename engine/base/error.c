#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/plain.h"

bool error_set(struct error *e, enum error_code code, const char *format, ...) {
    if (!e) {
        return false;
    }
    e->code = code;
    e->status = 0;
    e->position = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    plain_text(e->message);
    return false;
}

bool error_context(struct error *e, const char *format, ...) {
    if (!e) {
        return false;
    }
    char context[ERROR_MESSAGE_MAX / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    size_t used = strlen(context);
    size_t kept = strlen(e->message);
    size_t room = sizeof e->message - used - sizeof ": ";
    kept = kept < room ? kept : room;
    memmove(e->message + used + 2, e->message, kept);
    memcpy(e->message, context, used);
    memcpy(e->message + used, ": ", 2);
    e->message[used + 2 + kept] = '\0';
    plain_text(e->message);
    return false;
}

void error_clear(struct error *e) {
    e->code = ERROR_NONE;
    e->status = 0;
    e->position = 0;
    e->message[0] = '\0';
}

const char *error_name(enum error_code code) {
    switch (code) {
    case ERROR_NONE:
        return "none";
    case ERROR_MEMORY:
        return "memory";
    case ERROR_LIMIT:
        return "limit";
    case ERROR_SYNTAX:
        return "syntax";
    case ERROR_CUT:
        return "cut";
    case ERROR_EVENT:
        return "event";
    case ERROR_SCHEMA:
        return "schema";
    case ERROR_SCRIPT:
        return "script";
    case ERROR_ARGUMENT:
        return "argument";
    case ERROR_SYSTEM:
        return "system";
    case ERROR_NETWORK:
        return "network";
    case ERROR_TIMEOUT:
        return "timeout";
    case ERROR_HTTP:
        return "http";
    case ERROR_NOT_FOUND:
        return "not-found";
    case ERROR_GONE:
        return "gone";
    case ERROR_CONFLICT:
        return "conflict";
    case ERROR_CLOSED:
        return "closed";
    case ERROR_INTERRUPTED:
        return "interrupted";
    }
    return "unknown";
}
