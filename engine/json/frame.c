#include "json/frame.h"

#include <string.h>

void json_frame_init(struct json_frame *frame) {
    *frame = (struct json_frame){0};
}

/* Inside a string: to the byte behind its closing quote, or the end. */
static const char *finish_string(struct json_frame *frame, const char *at, const char *end) {
    while (at < end) {
        if (frame->escaped) {
            frame->escaped = false;
        } else if (*at == '\\') {
            frame->escaped = true;
        } else if (*at == '"') {
            frame->in_string = false;
            return at + 1;
        }
        at++;
    }
    return at;
}

bool json_frame_find(struct json_frame *frame, const char *start, const char *end, size_t *len) {
    const char *at = start + frame->seen;
    while (at < end) {
        if (frame->in_string) {
            at = finish_string(frame, at, end);
            continue;
        }
        switch (*at) {
        case '"':
            frame->in_string = true;
            break;
        case '{':
        case '[':
            frame->depth++;
            break;
        case '}':
        case ']':
            if (frame->depth == 0) {
                *len = (size_t)(at - start);
                return true;
            }
            frame->depth--;
            break;
        case ',':
            if (frame->depth == 0) {
                *len = (size_t)(at - start);
                return true;
            }
            break;
        default:
            break;
        }
        at++;
    }
    frame->seen = (size_t)(at - start);
    return false;
}
