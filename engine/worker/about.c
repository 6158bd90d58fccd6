#include "worker/about.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OFFSET_MAX = 1 << 20 };

static bool add_number(cJSON *object, const char *name, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool add_settings(cJSON *tree, const struct about *about) {
    cJSON *settings = cJSON_AddObjectToObject(tree, "settings");
    for (size_t i = 0; settings && i < ABOUT_SETTINGS && about->settings[i].name; i++) {
        if (!cJSON_AddStringToObject(settings, about->settings[i].name, about->settings[i].value)) {
            return false;
        }
    }
    return settings != NULL;
}

static bool add_mark(cJSON *tree, const struct place *place, const struct filemark *mark) {
    const char *format = place->format == SLICER_LINES ? "lines" : "array";
    cJSON *file = mark ? cJSON_AddObjectToObject(tree, "file") : NULL;
    return !mark || (cJSON_AddStringToObject(tree, "format", format) && file &&
                     add_number(file, "reached", mark->reached) && add_number(file, "head", mark->head) &&
                     add_number(file, "tail", mark->tail));
}

static bool add_resets(cJSON *tree, const struct reset_history *resets) {
    cJSON *object = cJSON_AddObjectToObject(tree, "resets");
    return object && reset_save(resets, object);
}

static bool add_time(cJSON *tree) {
    char text[32];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return cJSON_AddStringToObject(tree, "made", text) != NULL;
}

bool about_write(const struct about *about, const struct place *place, const struct filemark *mark,
                 const struct reset_history *resets, struct buf *out, struct error *e) {
    cJSON *tree = cJSON_CreateObject();
    bool ok = tree && cJSON_AddStringToObject(tree, "stream", about->stream) &&
              cJSON_AddStringToObject(tree, "source", about->source) && add_settings(tree, about) &&
              add_time(tree) && (!place->offset || cJSON_AddStringToObject(tree, "offset", place->offset)) &&
              add_number(tree, "skip", place->skip) &&
              (place->uncounted || add_number(tree, "sequence", place->sequence)) &&
              (!place->digested || add_number(tree, "digest", place->digest)) &&
              add_mark(tree, place, mark) && add_resets(tree, resets);
    char *text = ok ? cJSON_PrintUnformatted(tree) : NULL;
    ok = text && buf_append_text(out, text);
    cJSON_free(text);
    cJSON_Delete(tree);
    return ok || error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
}

/* ---- reading ---- */

static const char *text_of(const cJSON *object, const char *name) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool number_of(const cJSON *object, const char *name, uint64_t *number) {
    const char *text = text_of(object, name);
    char *end;
    if (!text || *text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && !*end;
}

static bool check_settings(const struct about *about, const cJSON *tree, struct error *e) {
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(tree, "settings");
    const char *source = text_of(tree, "source");
    if (!source || strcmp(source, about->source) != 0) {
        return error_set(e, ERROR_ARGUMENT, "it is of %s, and the stream is %s now",
                         source ? source : "nothing", about->source);
    }
    for (size_t i = 0; i < ABOUT_SETTINGS && about->settings[i].name; i++) {
        const char *then = text_of(settings, about->settings[i].name);
        if (!then || strcmp(then, about->settings[i].value) != 0) {
            return error_set(e, ERROR_ARGUMENT, "it was made with %s = %s, which is %s now",
                             about->settings[i].name, then ? then : "nothing", about->settings[i].value);
        }
    }
    return true;
}

static bool read_place(const cJSON *tree, bool file, struct about_told *told) {
    const char *offset = text_of(tree, "offset");
    const char *made = text_of(tree, "made");
    const char *format = text_of(tree, "format");
    const cJSON *mark = cJSON_GetObjectItemCaseSensitive(tree, "file");
    snprintf(told->made, sizeof told->made, "%s", made ? made : "");
    if (offset && (!buf_append_text(&told->offset, offset) || !buf_append_byte(&told->offset, '\0'))) {
        return false;
    }
    told->place.offset = offset ? told->offset.ptr : NULL;
    told->place.format = format && strcmp(format, "lines") == 0 ? SLICER_LINES : SLICER_ARRAY;
    told->place.uncounted = !number_of(tree, "sequence", &told->place.sequence) ||
                            told->place.sequence < told->place.skip;
    told->place.digested = !told->place.uncounted && number_of(tree, "digest", &told->place.digest);
    return number_of(tree, "skip", &told->place.skip) &&
           (!file ||
            (number_of(mark, "reached", &told->mark.reached) && number_of(mark, "head", &told->mark.head) &&
             number_of(mark, "tail", &told->mark.tail)));
}

bool about_read(const struct about *about, struct slice text, struct about_told *told,
                struct reset_history *resets, struct error *e) {
    *told = (struct about_told){0};
    buf_init(&told->offset, OFFSET_MAX);
    char *copy = slice_copy(text); /* paths are bytes, and need not be UTF-8 */
    cJSON *tree = copy ? cJSON_Parse(copy) : NULL;
    free(copy);
    bool ok = tree != NULL || error_set(e, ERROR_SYNTAX, "it is damaged: it does not say what it is of");
    ok = ok && check_settings(about, tree, e);
    if (ok && !read_place(tree, about->file, told)) {
        ok = error_set(e, ERROR_SYNTAX, "it is damaged: it does not say where to go on");
    }
    if (ok && !reset_restore(resets, cJSON_GetObjectItemCaseSensitive(tree, "resets"))) {
        ok = error_set(e, ERROR_MEMORY, "out of memory for a snapshot");
    }
    cJSON_Delete(tree);
    return ok;
}

void about_free(struct about_told *told) {
    buf_free(&told->offset);
}
