#include "base/plain.h"

#include <stdbool.h>
#include <stddef.h>

static size_t sequence_length(unsigned char first) {
    if (first < 0x80) {
        return 1;
    }
    return first >= 0xC2 && first < 0xE0   ? 2
           : (first & 0xF0) == 0xE0        ? 3
           : first >= 0xF0 && first < 0xF5 ? 4
                                           : 0;
}

/* Bytes of the character at `at`; 0: it is none. The NUL at the text's end continues nothing. */
static size_t character(const unsigned char *at) {
    size_t len = sequence_length(at[0]);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F);
    return overlong || beyond ? 0 : len;
}

static bool is_control(const unsigned char *at) {
    return (at[0] < 0x20 && at[0] != '\n' && at[0] != '\t') || at[0] == 0x7F ||
           (at[0] == 0xC2 && at[1] < 0xA0);
}

static void clean(char *text, bool controls) {
    unsigned char *at = (unsigned char *)text;
    while (*at) {
        size_t len = character(at);
        size_t replace = len == 0 ? 1 : controls && is_control(at) ? len : 0;
        for (size_t i = 0; i < replace; i++) {
            at[i] = '?';
        }
        at += replace ? replace : len;
    }
}

void plain_utf8(char *text) {
    clean(text, false);
}

void plain_text(char *text) {
    clean(text, true);
}
