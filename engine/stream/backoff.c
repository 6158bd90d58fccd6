#include "stream/backoff.h"

#include <stdio.h>
#include <string.h>

enum { DAY_S = 24 * 60 * 60 };

void backoff_init(struct backoff *b, uint64_t first_ms, uint64_t max_ms, uint64_t seed) {
    *b = (struct backoff){.first_ms = first_ms, .max_ms = max_ms, .multiplier = 2, .random = seed};
    backoff_reset(b);
}

void backoff_reset(struct backoff *b) {
    b->ceiling_ms = b->first_ms < b->max_ms ? b->first_ms : b->max_ms;
}

/* splitmix64: any seed will do, also 0. */
static uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t backoff_next(struct backoff *b, uint64_t floor_ms) {
    uint64_t wait = random_next(&b->random) % (b->ceiling_ms + 1);
    double next = (double)b->ceiling_ms * b->multiplier;
    b->ceiling_ms = next < (double)b->max_ms ? (uint64_t)next : b->max_ms;
    return floor_ms + wait;
}

/* ---- Retry-After ---- */

static bool parse_seconds(struct slice field, uint64_t *seconds) {
    uint64_t value = 0;
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] < '0' || field.ptr[i] > '9') {
            return false;
        }
        value = value > DAY_S ? DAY_S : value * 10 + (uint64_t)(field.ptr[i] - '0');
    }
    *seconds = value;
    return field.len > 0;
}

static int month_of(const char *name) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;
    return at && (at - names) % 3 == 0 ? (int)(at - names) / 3 : -1;
}

/* The three forms, as sscanf reads them. */
enum { DATE_FORMS = 3, DATE_ALL = 6 };

/* What was read of the form at hand, and where it ended; 0: it is not this form. */
static int scan_date(const char *text, int form, struct tm *tm, char month[4]) {
    int end = 0;
    int got = 0;
    /* NOLINTBEGIN(cert-err34-c): the widths bound the numbers, the ranges are checked by the caller */
    if (form == 0) {
        got = sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &tm->tm_mday, month,
                     &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end);
    } else if (form == 1) {
        got = sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &tm->tm_mday, month,
                     &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end);
    } else {
        got = sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &tm->tm_mday, &tm->tm_hour,
                     &tm->tm_min, &tm->tm_sec, &tm->tm_year, &end);
    }
    /* NOLINTEND(cert-err34-c) */
    return got == DATE_ALL ? end : 0;
}

/* Two digits are the year of that ending which is at most fifty years ahead (RFC 9110 section 5.6.7). */
static int full_year(int year, time_t now) {
    struct tm today;
    gmtime_r(&now, &today);
    int this_year = today.tm_year + 1900;
    int full = this_year - this_year % 100 + year;
    return full > this_year + 50 ? full - 100 : full;
}

static bool parse_date(struct slice field, time_t now, time_t *when) {
    char text[40];
    char month[4];
    if (field.len >= sizeof text) {
        return false;
    }
    memcpy(text, field.ptr, field.len);
    text[field.len] = '\0';
    for (int form = 0; form < DATE_FORMS; form++) {
        struct tm tm = {0};
        int end = scan_date(text, form, &tm, month);
        if (end == 0 || (size_t)end != field.len || (tm.tm_mon = month_of(month)) < 0) {
            continue;
        }
        if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
            return false;
        }
        tm.tm_year = (form == 1 ? full_year(tm.tm_year, now) : tm.tm_year) - 1900;
        *when = timegm(&tm);
        return true;
    }
    return false;
}

bool backoff_retry_after(struct slice field, time_t now, uint64_t *ms) {
    uint64_t seconds = 0;
    time_t when = 0;
    if (!field.ptr) {
        return false;
    }
    if (!parse_seconds(field, &seconds)) {
        if (!parse_date(field, now, &when)) {
            return false;
        }
        seconds = when > now ? (uint64_t)(when - now) : 0;
    }
    *ms = (seconds > DAY_S ? DAY_S : seconds) * 1000;
    return true;
}
