#include "worker/config.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "json/scan.h"

enum { FILE_MAX = 16 << 20, HANDLER_LIMIT_MS = 60000, SNAPSHOT_EVERY_MS = 60000, WISHES_MAX = 24 };

struct config {
    cJSON *streams;  /* an object: name -> object */
    cJSON *settings; /* an object: name -> string, from the file */
    cJSON *sets;     /* likewise, from --set */
    char *source;
    char *on_invalid;
    char *data;
    char *stream_text; /* what config_stream answered last, and */
    char *origin;      /* where that came from */
    char *path;        /* of the file that was read last */
    cJSON *asked;      /* an object: the names that config_stream was asked for */
    cJSON *wishes;     /* likewise config_setting: all that are set, and WISHES_MAX others */
    size_t unset_wishes;
    enum log_level log_level;
    bool log_json;
    uint64_t handler_limit_ms;
    uint64_t snapshot_every_ms;
};

struct config *config_new(void) {
    struct config *config = calloc(1, sizeof *config);
    if (!config) {
        return NULL;
    }
    config->streams = cJSON_CreateObject();
    config->settings = cJSON_CreateObject();
    config->asked = cJSON_CreateObject();
    config->wishes = cJSON_CreateObject();
    config->sets = cJSON_CreateObject();
    config->log_level = LOG_INFO;
    config->handler_limit_ms = HANDLER_LIMIT_MS;
    config->snapshot_every_ms = SNAPSHOT_EVERY_MS;
    if (!config->streams || !config->settings || !config->asked || !config->wishes || !config->sets) {
        config_free(config);
        return NULL;
    }
    return config;
}

void config_free(struct config *config) {
    if (!config) {
        return;
    }
    cJSON_Delete(config->streams);
    cJSON_Delete(config->settings);
    cJSON_Delete(config->asked);
    cJSON_Delete(config->wishes);
    free(config->origin);
    free(config->path);
    cJSON_Delete(config->sets);
    free(config->source);
    free(config->on_invalid);
    free(config->data);
    cJSON_free(config->stream_text);
    free(config);
}

static bool replace_text(char **text, const char *value, struct error *e) {
    char *copy = strdup(value);
    if (!copy) {
        return error_set(e, ERROR_MEMORY, "out of memory");
    }
    free(*text);
    *text = copy;
    return true;
}

static bool read_file(const char *path, struct buf *text, struct error *e) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return error_set(e, ERROR_SYSTEM, "%s: cannot open it: %s", path, strerror(errno));
    }
    bool ok = true;
    size_t got = 1;
    while (ok && got > 0) {
        ok = buf_reserve(text, 4096) || buf_error(text, e, path, "is it a configuration file?");
        got = ok ? fread(text->ptr + text->len, 1, text->cap - text->len, file) : 0;
        text->len += got;
    }
    if (ok && ferror(file)) {
        ok = error_set(e, ERROR_SYSTEM, "%s: cannot read it: %s", path, strerror(errno));
    }
    fclose(file);
    return ok;
}

static const char *kind(const cJSON *item) {
    return cJSON_IsObject(item)   ? "an object"
           : cJSON_IsArray(item)  ? "an array"
           : cJSON_IsString(item) ? "a string"
           : cJSON_IsNumber(item) ? "a number"
           : cJSON_IsBool(item)   ? "a boolean"
                                  : "null";
}

/* The text of a file that holds a secret, without the line end; NULL with e. */
static cJSON *read_secret(const char *path, struct error *e) {
    struct buf text;
    cJSON *value = NULL;
    buf_init(&text, 1 << 16);
    if (read_file(path, &text, e)) {
        while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
            text.len--;
        }
        value = buf_append_byte(&text, '\0') ? cJSON_CreateString(text.ptr) : NULL;
        if (!value) {
            error_set(e, ERROR_MEMORY, "%s: out of memory", path);
        }
    }
    buf_free(&text);
    return value;
}

/* Headers given as {"file": "PATH"} get their values. */
static bool resolve_headers(const char *path, const char *stream, cJSON *headers, struct error *e) {
    cJSON *next;
    for (cJSON *header = headers ? headers->child : NULL; header; header = next) {
        next = header->next;
        if (!cJSON_IsObject(header)) {
            continue;
        }
        const cJSON *file = cJSON_GetObjectItemCaseSensitive(header, "file");
        if (!cJSON_IsString(file)) {
            return error_set(e, ERROR_ARGUMENT,
                             "%s: streams.%s.headers.%s: expected a string or {\"file\": \"PATH\"}", path,
                             stream, header->string);
        }
        cJSON *value = read_secret(file->valuestring, e);
        if (!value) {
            return error_context(e, "%s: streams.%s.headers.%s", path, stream, header->string);
        }
        char *name = strdup(header->string);
        bool ok = name && cJSON_ReplaceItemInObjectCaseSensitive(headers, name, value);
        free(name);
        if (!ok) {
            cJSON_Delete(value);
            return error_set(e, ERROR_MEMORY, "%s: out of memory", path);
        }
    }
    return true;
}

static bool take_streams(struct config *config, const char *path, cJSON *streams, struct error *e) {
    for (cJSON *stream = streams->child; stream; stream = stream->next) {
        if (!cJSON_IsObject(stream)) {
            return error_set(e, ERROR_ARGUMENT,
                             "%s: streams.%s: expected an object of stream options, got %s", path,
                             stream->string, kind(stream));
        }
        if (!resolve_headers(path, stream->string, cJSON_GetObjectItemCaseSensitive(stream, "headers"), e)) {
            return false;
        }
        cJSON *copy = cJSON_Duplicate(stream, true);
        cJSON_DeleteItemFromObjectCaseSensitive(config->streams, stream->string);
        if (!copy || !cJSON_AddItemToObject(config->streams, stream->string, copy)) {
            cJSON_Delete(copy);
            return error_set(e, ERROR_MEMORY, "%s: out of memory", path);
        }
    }
    return true;
}

static bool put_setting(cJSON *settings, const char *name, const char *value, struct error *e) {
    cJSON_DeleteItemFromObjectCaseSensitive(settings, name);
    return cJSON_AddStringToObject(settings, name, value) ||
           error_set(e, ERROR_MEMORY, "%s: out of memory", name);
}

static bool take_settings(struct config *config, const char *path, const cJSON *settings, struct error *e) {
    for (const cJSON *item = settings->child; item; item = item->next) {
        if (!cJSON_IsString(item)) {
            return error_set(e, ERROR_ARGUMENT, "%s: settings.%s: expected a string, got %s", path,
                             item->string, kind(item));
        }
        if (!put_setting(config->settings, item->string, item->valuestring, e)) {
            return false;
        }
    }
    return true;
}

static bool set_level(struct config *config, const char *where, const char *value, struct error *e) {
    return log_level_parse(value, &config->log_level) ||
           error_set(e, ERROR_ARGUMENT, "%s: expected debug, info, warn, error or off, got %s", where, value);
}

static bool set_format(struct config *config, const char *where, const char *value, struct error *e) {
    config->log_json = strcmp(value, "json") == 0;
    return config->log_json || strcmp(value, "text") == 0 ||
           error_set(e, ERROR_ARGUMENT, "%s: expected text or json, got %s", where, value);
}

static bool set_handler_limit(struct config *config, const char *where, const char *value, struct error *e) {
    return units_duration(value, &config->handler_limit_ms) ||
           error_set(e, ERROR_ARGUMENT, "%s: expected a duration (500ms, 30s, 5m), got %s", where, value);
}

static bool set_data(struct config *config, const char *where, const char *value, struct error *e) {
    return *value ? replace_text(&config->data, value, e)
                  : error_set(e, ERROR_ARGUMENT, "%s: expected the path of a folder, got nothing", where);
}

static bool set_snapshot_every(struct config *config, const char *where, const char *value, struct error *e) {
    return units_duration(value, &config->snapshot_every_ms) ||
           error_set(e, ERROR_ARGUMENT, "%s: expected a duration (500ms, 30s, 5m), got %s", where, value);
}

struct setter {
    const char *name;
    bool (*set)(struct config *config, const char *where, const char *value, struct error *e);
};

/* An object of strings, each with its own setter. */
static bool take_strings(struct config *config, const char *path, const cJSON *object,
                         const struct setter *setters, struct error *e) {
    for (const cJSON *item = object->child; item; item = item->next) {
        const struct setter *setter = setters;
        char where[512];
        while (setter->name && strcmp(setter->name, item->string) != 0) {
            setter++;
        }
        snprintf(where, sizeof where, "%s: %s.%s", path, object->string, item->string);
        if (!setter->name) {
            return error_set(e, ERROR_ARGUMENT, "%s: unknown key: expected %s%s%s", where, setters[0].name,
                             setters[1].name ? " or " : "", setters[1].name ? setters[1].name : "");
        }
        if (!cJSON_IsString(item)) {
            return error_set(e, ERROR_ARGUMENT, "%s: expected a string, got %s", where, kind(item));
        }
        if (!setter->set(config, where, item->valuestring, e)) {
            return false;
        }
    }
    return true;
}

static bool take_string(struct config *config, const char *path, const cJSON *item,
                        const struct setter *setter, struct error *e) {
    char where[512];
    snprintf(where, sizeof where, "%s: %s", path, item->string);
    if (!cJSON_IsString(item)) {
        return error_set(e, ERROR_ARGUMENT, "%s: expected a string, got %s", where, kind(item));
    }
    return setter->set(config, where, item->valuestring, e);
}

static bool take_section(struct config *config, const char *path, cJSON *section, struct error *e) {
    static const struct setter strings[] = {{"data", set_data}, {"snapshotEvery", set_snapshot_every}};
    static const struct setter log_setters[] = {{"level", set_level}, {"format", set_format}, {NULL, NULL}};
    static const struct setter limit_setters[] = {{"handler", set_handler_limit}, {NULL, NULL}, {NULL, NULL}};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        if (strcmp(section->string, strings[i].name) == 0) {
            return take_string(config, path, section, &strings[i], e);
        }
    }
    if (!cJSON_IsObject(section)) {
        return error_set(e, ERROR_ARGUMENT, "%s: %s: expected an object, got %s", path, section->string,
                         kind(section));
    }
    if (strcmp(section->string, "streams") == 0) {
        return take_streams(config, path, section, e);
    }
    if (strcmp(section->string, "settings") == 0) {
        return take_settings(config, path, section, e);
    }
    if (strcmp(section->string, "log") == 0) {
        return take_strings(config, path, section, log_setters, e);
    }
    if (strcmp(section->string, "limits") == 0) {
        return take_strings(config, path, section, limit_setters, e);
    }
    return error_set(e, ERROR_ARGUMENT,
                     "%s: unknown key %s: expected streams, settings, log, limits, data or snapshotEvery",
                     path, section->string);
}

static bool take_file(struct config *config, const char *path, struct slice text, struct error *e) {
    if (!json_check(text, e)) {
        size_t byte = e->position + 1;
        return error_context(e, "%s: byte %zu", path, byte);
    }
    cJSON *tree = cJSON_ParseWithLength(text.ptr, text.len);
    bool ok = tree != NULL;
    if (!ok) {
        error_set(e, ERROR_SYNTAX, "%s: cannot be read as JSON", path);
    } else if (!cJSON_IsObject(tree)) {
        ok = error_set(e, ERROR_ARGUMENT, "%s: expected an object, got %s", path, kind(tree));
    }
    for (cJSON *section = ok ? tree->child : NULL; ok && section; section = section->next) {
        ok = take_section(config, path, section, e);
    }
    cJSON_Delete(tree);
    return ok;
}

bool config_read_file(struct config *config, const char *path, struct error *e) {
    struct buf text;
    buf_init(&text, FILE_MAX);
    bool ok = read_file(path, &text, e) && take_file(config, path, buf_slice(&text), e) &&
              replace_text(&config->path, path, e);
    buf_free(&text);
    return ok;
}

bool config_read_environment(struct config *config, struct error *e) {
    static const struct setter variables[] = {
        {"WEIR_LOG", set_level},
        {"WEIR_LOG_FORMAT", set_format},
        {"WEIR_HANDLER_LIMIT", set_handler_limit},
        {"WEIR_DATA", set_data},
        {"WEIR_SNAPSHOT_EVERY", set_snapshot_every},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i].name);
        if (value && *value && !variables[i].set(config, variables[i].name, value, e)) {
            return false;
        }
    }
    const char *source = getenv("WEIR_SOURCE");
    return !source || !*source || config_set_source(config, source, e);
}

bool config_set(struct config *config, const char *assignment, struct error *e) {
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return error_set(e, ERROR_ARGUMENT, "--set: expected NAME=VALUE, got %s", assignment);
    }
    char *name = strndup(assignment, (size_t)(equals - assignment));
    bool ok = name ? put_setting(config->sets, name, equals + 1, e)
                   : error_set(e, ERROR_MEMORY, "out of memory");
    free(name);
    return ok;
}

bool config_set_source(struct config *config, const char *source, struct error *e) {
    return replace_text(&config->source, source, e);
}

bool config_set_on_invalid(struct config *config, const char *policy, struct error *e) {
    return replace_text(&config->on_invalid, policy, e);
}

bool config_set_data(struct config *config, const char *path, struct error *e) {
    return set_data(config, "--data", path, e);
}

void config_forget_data(struct config *config) {
    free(config->data);
    config->data = NULL;
}

const char *config_data(const struct config *config) {
    return config->data;
}

bool config_set_snapshot_every(struct config *config, const char *duration, struct error *e) {
    return set_snapshot_every(config, "--snapshot-every", duration, e);
}

uint64_t config_snapshot_every(const struct config *config) {
    return config->snapshot_every_ms;
}

const char *config_source(const struct config *config) {
    return config->source;
}

/* What lacks memory is not noted: it is told of as not asked for, which costs a line in the log. */
static void note_wish(struct config *config, const char *name) {
    bool set = cJSON_GetObjectItemCaseSensitive(config->sets, name) ||
               cJSON_GetObjectItemCaseSensitive(config->settings, name);
    if ((set || config->unset_wishes < WISHES_MAX) &&
        !cJSON_GetObjectItemCaseSensitive(config->wishes, name)) {
        config->unset_wishes += !set;
        cJSON_AddTrueToObject(config->wishes, name);
    }
}

const char *config_setting(struct config *config, const char *name) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config->sets, name));
    value = value ? value : getenv(name);
    note_wish(config, name);
    return value ? value : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config->settings, name));
}

const char *config_unused_setting(const struct config *config, size_t i, const char **origin) {
    const cJSON *const lists[] = {config->sets, config->settings};
    static const char *const origins[] = {"--set ", "the configuration: settings."};
    for (size_t list = 0; list < 2; list++) {
        for (const cJSON *item = lists[list]->child; item; item = item->next) {
            if (!cJSON_GetObjectItemCaseSensitive(config->wishes, item->string) && i-- == 0) {
                *origin = origins[list];
                return item->string;
            }
        }
    }
    return NULL;
}

void config_wishes(const struct config *config, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (const cJSON *wish = config->wishes->child; wish && used < size; wish = wish->next) {
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", wish->string);
    }
}

static void put_option(cJSON *options, const char *name, const char *value) {
    if (options && value) {
        cJSON_DeleteItemFromObjectCaseSensitive(options, name);
        cJSON_AddStringToObject(options, name, value);
    }
}

/* The options under "*", then those of the stream itself, then --source. */
static cJSON *merge_options(const struct config *config, const char *name) {
    const char *const names[] = {"*", name};
    cJSON *merged = cJSON_CreateObject();
    for (size_t i = 0; merged && i < 2; i++) {
        const cJSON *options = cJSON_GetObjectItemCaseSensitive(config->streams, names[i]);
        for (const cJSON *option = options ? options->child : NULL; option; option = option->next) {
            cJSON_DeleteItemFromObjectCaseSensitive(merged, option->string);
            cJSON_AddItemToObject(merged, option->string, cJSON_Duplicate(option, true));
        }
    }
    put_option(merged, "url", config->source);
    put_option(merged, "onInvalid", config->on_invalid);
    return merged;
}

/* "conf.json: streams.NAME", or the command line, where no file speaks of the stream. */
static bool note_origin(struct config *config, const char *name) {
    bool in_file = config->path &&
                   (cJSON_HasObjectItem(config->streams, name) || cJSON_HasObjectItem(config->streams, "*"));
    struct buf text;
    buf_init(&text, 1 << 16);
    bool ok = (in_file ? buf_printf(&text, "%s: streams.%s", config->path, name)
                       : buf_append_text(&text, "the command line")) &&
              buf_append_byte(&text, '\0');
    free(config->origin);
    config->origin = ok ? strdup(text.ptr) : NULL;
    buf_free(&text);
    return config->origin != NULL;
}

const char *config_stream(struct config *config, const char *name, const char **origin) {
    cJSON *merged = merge_options(config, name);
    cJSON_free(config->stream_text);
    config->stream_text = NULL;
    if (merged && merged->child && note_origin(config, name)) {
        config->stream_text = cJSON_PrintUnformatted(merged);
    }
    cJSON_Delete(merged);
    if (!cJSON_HasObjectItem(config->asked, name)) {
        cJSON_AddTrueToObject(config->asked, name);
    }
    *origin = config->origin;
    return config->stream_text;
}

const char *config_unused_stream(const struct config *config) {
    for (const cJSON *stream = config->streams->child; stream; stream = stream->next) {
        if (strcmp(stream->string, "*") != 0 &&
            !cJSON_GetObjectItemCaseSensitive(config->asked, stream->string)) {
            return stream->string;
        }
    }
    return NULL;
}

void config_forget_source(struct config *config) {
    free(config->source);
    config->source = NULL;
}

enum log_level config_log_level(const struct config *config) {
    return config->log_level;
}

bool config_log_json(const struct config *config) {
    return config->log_json;
}

uint64_t config_handler_limit(const struct config *config) {
    return config->handler_limit_ms;
}
