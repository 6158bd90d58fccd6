#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/plain.h"

static const char *const names[] = {"debug", "info", "warn", "error", "off"};
static const char *const colors[] = {"\033[2m", "\033[36m", "\033[33m", "\033[31m", ""};

void log_init(struct log *log, FILE *file, enum log_level level) {
    const char *no_color = getenv("NO_COLOR");
    *log = (struct log){.file = file, .level = level};
    log->color = isatty(fileno(file)) && !(no_color && *no_color);
}

bool log_level_parse(const char *name, enum log_level *level) {
    for (int i = LOG_DEBUG; i <= LOG_OFF; i++) {
        if (strcmp(name, names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_stamp(char out[LOG_STAMP]) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(out, LOG_STAMP, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + used, LOG_STAMP - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static void put_json(FILE *file, const char *text) {
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            putc_unlocked('\\', file);
            putc_unlocked(byte, file);
        } else if (byte < 0x20) {
            fprintf(file, "\\u%04x", byte);
        } else {
            putc_unlocked(byte, file);
        }
    }
}

void log_write(const struct log *log, enum log_level level, const char *format, ...) {
    if (!log_wants(log, level)) {
        return;
    }
    char fixed[1024];
    char *text = NULL;
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int need = vsnprintf(fixed, sizeof fixed, format, args);
    va_end(args);
    if (need >= (int)sizeof fixed) {
        text = malloc((size_t)need + 1);
    }
    if (text) {
        vsnprintf(text, (size_t)need + 1, format, again);
    }
    va_end(again);

    char *line = text ? text : fixed;
    char when[LOG_STAMP];
    log_stamp(when);
    flockfile(log->file);
    if (log->json) {
        fprintf(log->file, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when, names[level]);
        plain_utf8(line);
        put_json(log->file, line);
        fputs("\"}\n", log->file);
    } else {
        fprintf(log->file, "%s %s%-5s%s ", when, log->color ? colors[level] : "", names[level],
                log->color ? "\033[0m" : "");
        plain_text(line);
        fputs(line, log->file);
        putc_unlocked('\n', log->file);
    }
    fflush(log->file);
    funlockfile(log->file);
    free(text);
}
