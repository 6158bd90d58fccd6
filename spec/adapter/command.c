#include "command.h"

#include <stdlib.h>

#include "base/buf.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

struct memory {
    struct memory *next;
    struct buf text;
};

bool command_init(struct command *command, struct slice line, struct error *e) {
    *command = (struct command){.object = json_trim(line)};
    if (!json_check(line, e)) {
        return false;
    }
    return json_kind_of(command->object) == JSON_OBJECT ||
           error_set(e, ERROR_SYNTAX, "a command is a JSON object");
}

void command_free(struct command *command) {
    while (command->memory) {
        struct memory *m = command->memory;
        command->memory = m->next;
        buf_free(&m->text);
        free(m);
    }
}

struct slice command_raw(const struct command *command, const char *name) {
    struct slice value = json_member(command->object, slice_from(name));
    return value.ptr && json_kind_of(value) == JSON_NULL ? (struct slice){0} : value;
}

bool command_inside(struct command *command, const char *name, struct command *inside) {
    struct slice value = command_raw(command, name);
    *inside = (struct command){.object = value.ptr ? value : SLICE("{}"), .memory = NULL};
    return value.ptr && json_kind_of(value) == JSON_OBJECT;
}

struct slice command_unquote(struct command *command, struct slice string) {
    struct memory *m = calloc(1, sizeof *m);
    if (!m) {
        return (struct slice){0};
    }
    buf_init(&m->text, SIZE_MAX / 2);
    m->next = command->memory;
    command->memory = m;
    if (!json_unquote(&m->text, string) || !buf_append_byte(&m->text, '\0')) {
        return (struct slice){0};
    }
    return slice_of(m->text.ptr, m->text.len - 1);
}

struct slice command_text(struct command *command, const char *name) {
    struct slice value = command_raw(command, name);
    bool is = value.ptr && json_kind_of(value) == JSON_STRING;
    return is ? command_unquote(command, value) : (struct slice){0};
}

bool command_number(const struct command *command, const char *name, double *value) {
    struct slice raw = command_raw(command, name);
    char text[64];
    if (!raw.ptr || json_kind_of(raw) != JSON_NUMBER || raw.len >= sizeof text) {
        return false;
    }
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = '\0';
    *value = strtod(text, NULL);
    return true;
}

bool command_is_true(const struct command *command, const char *name) {
    return slice_is(command_raw(command, name), "true");
}

bool command_headers(struct command *command, const char *name, struct fields *fields, struct error *e) {
    struct slice object = command_raw(command, name);
    struct slice key;
    struct slice value;
    struct json_walk walk;
    if (!object.ptr || json_kind_of(object) != JSON_OBJECT) {
        return true;
    }
    for (json_walk_open(&walk, object); json_walk_member(&walk, &key, &value);) {
        if (json_kind_of(value) == JSON_STRING &&
            !fields_header(fields, command_unquote(command, key), command_unquote(command, value), e)) {
            return false;
        }
    }
    return true;
}
