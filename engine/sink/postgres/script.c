#include "sink/postgres/script.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/list.h"

void pg_script_init(struct pg_script *script) {
    *script = (struct pg_script){0};
    buf_init(&script->text, PG_SCRIPT_MAX);
}

void pg_script_free(struct pg_script *script) {
    buf_free(&script->text);
    free(script->items);
    script->items = NULL;
    script->count = script->room = 0;
}

void pg_script_clear(struct pg_script *script) {
    buf_clear(&script->text);
    script->count = script->sent = 0;
    script->failed = false;
}

static size_t keep(struct pg_script *script, struct slice text) {
    size_t at = script->text.len;
    if (!buf_append_slice(&script->text, text) || !buf_append_byte(&script->text, '\0')) {
        script->failed = true;
        return SIZE_MAX;
    }
    return at;
}

void pg_script_add(struct pg_script *script, int tag, const char *sql) {
    struct pg_script_item *items = list_room(script->items, script->count, &script->room, 16, sizeof *items);
    if (!items) {
        script->failed = true;
        return;
    }
    script->items = items;
    items[script->count++] = (struct pg_script_item){.sql = keep(script, slice_from(sql)), .tag = tag};
}

static void add_param(struct pg_script *script, size_t at) {
    if (script->failed) {
        return;
    }
    struct pg_script_item *item = &script->items[script->count - 1];
    item->params[item->count++] = at;
}

void pg_script_text(struct pg_script *script, const char *text) {
    add_param(script, text ? keep(script, slice_from(text)) : SIZE_MAX);
}

void pg_script_slice(struct pg_script *script, struct slice text) {
    add_param(script, keep(script, text));
}

void pg_script_number(struct pg_script *script, uint64_t number) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    pg_script_text(script, text);
}

bool pg_script_next(struct pg_script *script, struct pg_link *link) {
    if (script->sent == script->count) {
        return false;
    }
    const struct pg_script_item *item = &script->items[script->sent++];
    struct pg_param params[PG_SCRIPT_PARAMS];
    for (size_t i = 0; i < item->count; i++) {
        params[i] = pg_param_text(item->params[i] == SIZE_MAX ? NULL : script->text.ptr + item->params[i]);
    }
    pg_link_send(link, script->text.ptr + item->sql, params, item->count);
    return true;
}
