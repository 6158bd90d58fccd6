#include "worker/reset.h"

#include <string.h>

#include "json/text.h"

enum {
    STAMP_MAX = 4096,
    FOLLOWED_MAX = 1000, /* different offsets that are remembered */
};

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
    static char followed;
    if (!reset->offset.ptr || !json_unquote(offset, reset->offset) || !buf_append_byte(offset, '\0') ||
        strlen(offset->ptr) != offset->len - 1 || !lies_before(history, reset->offset, offset->ptr, here)) {
        return RESET_GO_ON;
    }
    struct slice name = slice_of(offset->ptr, offset->len - 1);
    if (strmap_get(&history->followed, name)) {
        return RESET_PASS;
    }
    if (history->followed.count >= FOLLOWED_MAX || !strmap_put(&history->followed, name, &followed)) {
        error_set(e, ERROR_LIMIT, "more than %d resets to different offsets", FOLLOWED_MAX);
        return RESET_FAILED;
    }
    return RESET_FOLLOW;
}
