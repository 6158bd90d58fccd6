#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "script/convert_inside.h"

/* Writes the digits so that they end before `end`; returns where they begin. */
static char *write_digits(char *end, lua_Unsigned number) {
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return end;
}

/* Moves what was written up to the room's end to its start. */
static size_t settle(char text[CONVERT_NUMBER_ROOM], const char *at) {
    size_t len = (size_t)(text + CONVERT_NUMBER_ROOM - at);
    memmove(text, at, len);
    return len;
}

size_t convert_write_integer(lua_Integer number, char text[CONVERT_NUMBER_ROOM]) {
    lua_Unsigned size = number < 0 ? 0 - (lua_Unsigned)number : (lua_Unsigned)number;
    char *at = write_digits(text + CONVERT_NUMBER_ROOM, size);
    if (number < 0) {
        *--at = '-';
    }
    return settle(text, at);
}

/* digits / unit, unit being a power of ten. */
static size_t write_decimal(bool minus, lua_Unsigned digits, lua_Unsigned unit,
                            char text[CONVERT_NUMBER_ROOM]) {
    /* A 1 in front keeps the fraction's zeros, and gives its place to the point. */
    lua_Unsigned fraction = unit > 1 ? unit + digits % unit : 10;
    char *at = write_digits(text + CONVERT_NUMBER_ROOM, fraction);
    *at = '.';
    at = write_digits(at, digits / unit);
    if (minus) {
        *--at = '-';
    }
    return settle(text, at);
}

/* Numbers with a few decimals, which is most of them: digits / unit that is the number, of at most 15
 * digits, is what %.15g would write too. 0 where the number is none of that kind. */
static size_t write_short(lua_Number number, char text[CONVERT_NUMBER_ROOM]) {
    static const double units[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double size = fabs(number);
    for (size_t i = 0; size >= 1e-4 && i < sizeof units / sizeof *units; i++) {
        double scaled = size * units[i];
        if (scaled >= 999999999999999.0) {
            return 0;
        }
        lua_Unsigned digits = (lua_Unsigned)(scaled + 0.5);
        if ((double)digits / units[i] == size) {
            return write_decimal(number < 0, digits, (lua_Unsigned)units[i], text);
        }
    }
    return 0;
}

size_t convert_write_float(lua_Number number, char text[CONVERT_NUMBER_ROOM]) {
    if (!isfinite(number)) {
        return 0;
    }
    size_t len = write_short(number, text);
    if (len > 0) {
        return len;
    }
    len = real_write(number, text);
    if (!memchr(text, '.', len) && !memchr(text, 'e', len)) {
        text[len++] = '.';
        text[len++] = '0';
    }
    return len;
}
