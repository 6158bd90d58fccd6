/* Log lines on stderr (or any FILE): one line each, time, level, text. A value, not a global: each
 * worker has its own. Secrets never get here: callers log names of headers, not their values. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdio.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log {
    FILE *file;
    enum log_level level; /* lines below it are dropped */
    bool color;
    bool json; /* one JSON object a line instead of text */
};

/* Writes to `file` (not owned) from `level` up; colour where the file is a terminal and NO_COLOR is
 * not set. */
void log_init(struct log *log, FILE *file, enum log_level level);

/* True where a line of this level would be written: ask before building an expensive one. */
static inline bool log_wants(const struct log *log, enum log_level level) {
    return level >= log->level && log->level != LOG_OFF;
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The time now in RFC 3339, as lines begin with it: "2025-01-15T10:30:00.000Z", with its NUL. */
enum { LOG_STAMP = 40 };
void log_stamp(char out[LOG_STAMP]);

/* "debug", "info", "warn", "error", "off" -> level; false where it is none of them. */
bool log_level_parse(const char *name, enum log_level *level);

#endif
