#include "sink/redis/fault.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *code;
    enum redis_fault fault;
    const char *advice;
} known[] = {
    {"NOSCRIPT", REDIS_NO_SCRIPT, ""},
    {"MOVED", REDIS_MOVED, ""},
    {"ASK", REDIS_WAITS, "the cluster is moving the stream's slot"},
    {"TRYAGAIN", REDIS_WAITS, "the cluster is moving the stream's slot"},
    {"CLUSTERDOWN", REDIS_WAITS, "the cluster is down"},
    {"LOADING", REDIS_WAITS, "the server is loading its data"},
    {"BUSY", REDIS_WAITS, "a script of somebody is running for long"},
    {"MASTERDOWN", REDIS_WAITS, "the server is a replica without its master"},
    {"READONLY", REDIS_WAITS, "the server is a replica: the url must lead to the master"},
    {"NOREPLICAS", REDIS_WAITS, "the server lacks the replicas that min-replicas-to-write asks for"},
    {"OOM", REDIS_WAITS, "the server's memory is full: free some there, or raise maxmemory"},
    {"MISCONF", REDIS_WAITS, "the server cannot write to its disk: make room there"},
    {"NOAUTH", REDIS_FORBIDDEN, "the server wants a password: give it in the url"},
    {"WRONGPASS", REDIS_FORBIDDEN, "the user or the password in the url is wrong"},
    {"NOPERM", REDIS_FORBIDDEN, "the user in the url lacks a permission"},
    {"WRONGTYPE", REDIS_FOREIGN,
     "a key of this stream holds something else: remove it, or set another prefix"},
};

/* The code at the start, or where a script's error begins, behind ": " or ": -". */
static bool has_code(const char *text, const char *code) {
    size_t len = strlen(code);
    for (const char *at = text; (at = strstr(at, code)); at += len) {
        bool begins = at == text || at[-1] == '-' || (at[-1] == ' ' && at - text > 1 && at[-2] == ':');
        if (begins && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static size_t find(const char *text) {
    size_t count = sizeof known / sizeof *known;
    for (size_t i = 0; i < count; i++) {
        if (has_code(text, known[i].code)) {
            return i;
        }
    }
    return count;
}

enum redis_fault redis_fault_of(const char *text) {
    size_t i = find(text);
    if (i < sizeof known / sizeof *known) {
        return known[i].fault;
    }
    if (strstr(text, "invalid password") || strstr(text, "invalid username-password")) {
        return REDIS_FORBIDDEN;
    }
    return strstr(text, "max number of clients") ? REDIS_WAITS : REDIS_OTHER;
}

const char *redis_fault_advice(const char *text) {
    size_t i = find(text);
    return i < sizeof known / sizeof *known ? known[i].advice : "";
}
