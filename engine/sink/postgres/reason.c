#include "sink/postgres/reason.h"

#include <stdio.h>
#include <string.h>

static bool is_state(const char *text) {
    for (size_t i = 0; i < 5; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z'))) {
            return false;
        }
    }
    return text[5] == ':';
}

/* The line of libpq's message that is about the last address that was tried, which is why it gave up. */
static const char *line_of(const char *message) {
    const char *line = message;
    for (const char *at = message; (at = strstr(at, "\nconnection to server ")); line = at) {
        at++;
    }
    return line;
}

void pg_reason_read(struct pg_failure *failure, const char *message) {
    char text[ERROR_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s", *message ? line_of(message) : "the connection was closed");
    text[strcspn(text, "\n")] = '\0';
    failure->state[0] = '\0';
    char *at = strstr(text, ":  ");
    if (at && is_state(at + 3)) {
        memcpy(failure->state, at + 3, 5);
        failure->state[5] = '\0';
        memmove(at + 2, at + 9, strlen(at + 9) + 1);
    }
    failure->tls = !failure->state[0] && (strstr(text, "certificate") || strstr(text, "SSL was required"));
    error_set(&failure->error, ERROR_NETWORK, "%s", text);
}
