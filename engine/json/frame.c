#include "json/frame.h"

#include "json/scanner.h"

void json_frame_init(struct json_frame *frame) {
    *frame = (struct json_frame){0};
}

/* Inside a string: to the byte behind its closing quote, or the end. */
static const char *finish_string(struct json_frame *frame, const char *at, const char *end) {
    const struct json_scanner *scanner = json_scanner_best();
    while (at < end) {
        if (frame->escaped) {
            frame->escaped = false;
            at++;
            continue;
        }
        at = scanner->quotes(at, end);
        if (at < end && *at == '"') {
            frame->in_string = false;
            return at + 1;
        }
        frame->escaped = at < end;
        at += frame->escaped;
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
