#include "stream/identity.h"

#include <stdio.h>
#include <sys/random.h>

bool identity_make(char text[IDENTITY_TEXT], struct error *e) {
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) {
        return error_set(e, ERROR_SYSTEM, "the system gave no random bytes");
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *at = text;
    for (unsigned i = 0; i < sizeof b; i++) {
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
    return true;
}
