#include "base/real.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* The locale's point, which may take several bytes, becomes '.'. Returns the new length. */
static size_t fix_point(char *text, size_t len) {
    size_t to = 0;
    bool point = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e') {
            text[to++] = c;
        } else if (!point) {
            text[to++] = '.';
            point = true;
        }
    }
    return to;
}

size_t real_write(double real, char text[REAL_ROOM]) {
    size_t len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = (size_t)snprintf(text, REAL_ROOM, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    return isfinite(real) ? fix_point(text, len) : len;
}

/* The C locale is there without being made, so that there is nothing to keep. */
double real_read(const char *text) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) {
        return strtod(text, NULL);
    }
    double real = strtod_l(text, NULL, c);
    freelocale(c);
    return real;
}
