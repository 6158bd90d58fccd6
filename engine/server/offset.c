#include "server/offset.h"

#include <string.h>

enum { DIGITS = 16 };

static bool read_digits(const char *at, uint64_t *number) {
    *number = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(at[i] - '0');
    }
    return true;
}

bool stream_offset_parse(struct slice text, struct stream_offset *offset) {
    *offset = (struct stream_offset){STREAM_OFFSET_START, 0};
    if (!text.ptr || slice_is(text, "-1")) {
        return true;
    }
    if (slice_is(text, "now")) {
        offset->kind = STREAM_OFFSET_NOW;
        return true;
    }
    uint64_t front;
    if (text.len != STREAM_OFFSET_LEN || text.ptr[DIGITS] != '_' || !read_digits(text.ptr, &front) ||
        !read_digits(text.ptr + DIGITS + 1, &offset->position)) {
        return false;
    }
    offset->kind = STREAM_OFFSET_AT;
    if (front > 0) {
        offset->position = UINT64_MAX;
    }
    return true;
}

void stream_offset_format(uint64_t position, char out[STREAM_OFFSET_SIZE]) {
    memset(out, '0', STREAM_OFFSET_LEN);
    out[DIGITS] = '_';
    out[STREAM_OFFSET_LEN] = '\0';
    for (int i = STREAM_OFFSET_LEN - 1; i > DIGITS && position > 0; i--) {
        out[i] = (char)('0' + position % 10);
        position /= 10;
    }
}
