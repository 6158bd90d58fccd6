#include "cli/unused.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { SCRIPT_MAX = 16 << 20, WISHES_MAX = 512 };

static void read_script(const char *path, struct buf *text) {
    FILE *file = fopen(path, "rb");
    size_t got = file ? 1 : 0;
    while (got > 0 && buf_reserve(text, 65536)) {
        got = fread(text->ptr + text->len, 1, text->cap - text->len, file);
        text->len += got;
    }
    if (file) {
        fclose(file);
    }
}

static bool is_part_of_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static bool has_word(struct slice text, const char *word) {
    size_t len = strlen(word);
    const char *end = text.ptr + text.len;
    const char *at = text.ptr;
    while (at && at < end && (at = memmem(at, (size_t)(end - at), word, len))) {
        if ((at == text.ptr || !is_part_of_word(at[-1])) && (at + len == end || !is_part_of_word(at[len]))) {
            return true;
        }
        at++;
    }
    return false;
}

/* The script has not asked for it by now, and does not speak of it, so that it will hardly ask later. */
static const char *next_setting(const struct config *config, struct slice script, size_t *i,
                                const char **origin) {
    const char *name;
    while ((name = config_unused_setting(config, (*i)++, origin)) && has_word(script, name)) {
    }
    return name;
}

typedef bool tell_one(void *user, const char *message);

/* Until one of them says that it is enough. */
static void tell(const struct config *config, const char *script, tell_one *one, void *user) {
    char wishes[WISHES_MAX];
    struct error e;
    struct buf text;
    const char *origin;
    const char *name;
    const char *stream = config_unused_stream(config);
    if (stream) {
        error_set(&e, ERROR_ARGUMENT,
                  "the configuration has options for the stream %s, which %s does not declare", stream,
                  script);
        if (!one(user, e.message)) {
            return;
        }
    }
    config_wishes(config, wishes, sizeof wishes);
    buf_init(&text, SCRIPT_MAX);
    read_script(script, &text);
    for (size_t i = 0; (name = next_setting(config, buf_slice(&text), &i, &origin));) {
        error_set(&e, ERROR_ARGUMENT, "%s%s: %s asks for no such setting: it asks for %s (weir.env)", origin,
                  name, script, *wishes ? wishes : "none");
        if (!one(user, e.message)) {
            break;
        }
    }
    buf_free(&text);
}

static bool warn(void *user, const char *message) {
    log_write(user, LOG_WARN, "%s", message);
    return true;
}

void unused_warn(const struct config *config, const char *script, const struct log *log) {
    tell(config, script, warn, (void *)log);
}

static bool fail(void *user, const char *message) {
    error_set(user, ERROR_ARGUMENT, "%s", message);
    return false;
}

bool unused_check(const struct config *config, const char *script, struct error *e) {
    error_clear(e);
    tell(config, script, fail, e);
    return e->code == ERROR_NONE;
}
