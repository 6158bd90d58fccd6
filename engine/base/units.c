#include "base/units.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const double longest_ms = 366.0 * 24 * 3600 * 1000;

struct unit {
    const char *name;
    double factor;
};

/* Digits with at most one point: no sign, no exponent, no locale. */
static const char *take_number(const char *text, double *number) {
    double scale = 0;
    *number = 0;
    if (!isdigit((unsigned char)*text)) {
        return NULL;
    }
    for (; isdigit((unsigned char)*text) || (*text == '.' && scale == 0); text++) {
        if (*text == '.') {
            scale = 1;
        } else {
            *number = *number * 10 + (*text - '0');
            scale *= 10;
        }
    }
    if (scale > 0) {
        *number /= scale;
    }
    return text;
}

static bool take(const char *text, const struct unit *units, double *value) {
    double number;
    const char *unit = take_number(text, &number);
    if (!unit) {
        return false;
    }
    for (; units->name; units++) {
        if (strcasecmp(unit, units->name) == 0) {
            *value = number * units->factor;
            return true;
        }
    }
    return false;
}

bool units_duration(const char *text, uint64_t *ms) {
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    double value;
    if (!take(text, units, &value) || !(value <= longest_ms)) { /* endless digits give a NaN */
        return false;
    }
    *ms = (uint64_t)(value + 0.5);
    return true;
}

bool units_seconds(double seconds, uint64_t *ms) {
    if (!isfinite(seconds) || seconds < 0 || seconds * 1000 > longest_ms) {
        return false;
    }
    *ms = (uint64_t)(seconds * 1000 + 0.5);
    return true;
}

bool units_size(const char *text, size_t *bytes) {
    static const struct unit units[] = {{"", 1},         {"B", 1},        {"KB", 1024},
                                        {"MB", 1 << 20}, {"GB", 1 << 30}, {NULL, 0}};
    double value;
    if (!take(text, units, &value) || !(value <= 9e15)) {
        return false;
    }
    *bytes = (size_t)value;
    return true;
}
