#include "worker/reset.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "json/text.h"

enum {
    STAMP_MAX = 4096,
    FOLLOWED_MAX = 1000, /* different offsets that are remembered */
};

static const char followed; /* what stands for an offset that was followed */

void reset_init(struct reset_history *history) {
    *history = (struct reset_history){0};
    strmap_init(&history->followed);
    buf_init(&history->stamp, STAMP_MAX);
}

void reset_free(struct reset_history *history) {
    strmap_free(&history->followed, NULL);
    buf_free(&history->stamp);
}

void reset_note(struct reset_history *history, const struct event *change) {
    if (!change->offset.ptr) {
        history->unstamped = true;
        return;
    }
    buf_clear(&history->stamp);
    buf_append_slice(&history->stamp, change->offset);
}

/* Offsets grow in byte order, and "-1", the beginning, comes before all digits. */
static bool lies_before(const struct reset_history *history, struct slice named, const char *text,
                        const char *here) {
    if (history->stamp.len) {
        return slice_compare(named, buf_slice(&history->stamp)) < 0;
    }
    return history->unstamped || (here && strcmp(text, here) <= 0);
}

enum reset_course reset_decide(struct reset_history *history, const struct event *reset, const char *here,
                               struct buf *offset, struct error *e) {
    if (!reset->offset.ptr || !json_unquote(offset, reset->offset) || !buf_append_byte(offset, '\0') ||
        strlen(offset->ptr) != offset->len - 1 || !lies_before(history, reset->offset, offset->ptr, here)) {
        return RESET_GO_ON;
    }
    struct slice name = slice_of(offset->ptr, offset->len - 1);
    if (strmap_get(&history->followed, name)) {
        return RESET_PASS;
    }
    if (history->followed.count >= FOLLOWED_MAX || !strmap_put(&history->followed, name, (void *)&followed)) {
        error_set(e, ERROR_LIMIT, "more than %d resets to different offsets", FOLLOWED_MAX);
        return RESET_FAILED;
    }
    return RESET_FOLLOW;
}

bool reset_save(const struct reset_history *history, cJSON *object) {
    cJSON *list = cJSON_AddArrayToObject(object, "followed");
    size_t at = 0;
    char text[STAMP_MAX + 1];
    for (const struct strmap_entry *entry; list && (entry = strmap_next(&history->followed, &at));) {
        size_t len = entry->key.len < STAMP_MAX ? entry->key.len : STAMP_MAX;
        memcpy(text, entry->key.ptr, len);
        text[len] = '\0';
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(text))) {
            return false;
        }
    }
    memcpy(text, history->stamp.len ? history->stamp.ptr : "", history->stamp.len);
    text[history->stamp.len] = '\0';
    return list && cJSON_AddStringToObject(object, "stamp", text) &&
           cJSON_AddBoolToObject(object, "unstamped", history->unstamped);
}

bool reset_restore(struct reset_history *history, const cJSON *object) {
    const char *stamp = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "stamp"));
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "followed");
    history->unstamped = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "unstamped"));
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const char *offset = cJSON_GetStringValue(item);
        if (offset && history->followed.count < FOLLOWED_MAX &&
            !strmap_put(&history->followed, slice_from(offset), (void *)&followed)) {
            return false;
        }
    }
    buf_clear(&history->stamp);
    return !stamp || buf_append_text(&history->stamp, stamp);
}
