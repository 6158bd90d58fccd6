#include "server/stamp.h"

#include <inttypes.h>
#include <stdio.h>

/* The end of the year 9999, behind which the format has no way to say it. */
static const int64_t last_ms = INT64_C(253402300799999);

/* Takes `count` digits off the front; -1 where they are not there. */
static int take_number(struct slice *text, unsigned count) {
    int number = 0;
    if (text->len < count) {
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9') {
            return -1;
        }
        number = number * 10 + (c - '0');
    }
    *text = slice_of(text->ptr + count, text->len - count);
    return number;
}

static bool take_byte(struct slice *text, const char *any) {
    if (text->len == 0 || !strchr(any, text->ptr[0])) {
        return false;
    }
    *text = slice_of(text->ptr + 1, text->len - 1);
    return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era = y / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* "2025-01-15", to days since 1970. */
static bool take_date(struct slice *text, int64_t *days) {
    int year = take_number(text, 4);
    bool ok = year >= 0 && take_byte(text, "-");
    int month = ok ? take_number(text, 2) : -1;
    ok = ok && month >= 1 && month <= 12 && take_byte(text, "-");
    int day = ok ? take_number(text, 2) : -1;
    if (!ok || day < 1 || day > days_in(year, month)) {
        return false;
    }
    *days = days_of(year, month, day);
    return true;
}

/* "10:30:00.5", to milliseconds of the day. A leap second counts as the next. */
static bool take_time(struct slice *text, int64_t *ms) {
    int hour = take_number(text, 2);
    bool ok = hour >= 0 && hour < 24 && take_byte(text, ":");
    int minute = ok ? take_number(text, 2) : -1;
    ok = ok && minute >= 0 && minute < 60 && take_byte(text, ":");
    int second = ok ? take_number(text, 2) : -1;
    if (!ok || second < 0 || second > 60) {
        return false;
    }
    *ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
    if (take_byte(text, ".")) {
        int scale = 100;
        int digit = take_number(text, 1);
        if (digit < 0) {
            return false;
        }
        for (; digit >= 0; digit = take_number(text, 1)) {
            *ms += digit * scale;
            scale /= 10;
        }
    }
    return true;
}

/* "Z" or "+01:00", in milliseconds ahead of UTC. */
static bool take_zone(struct slice *text, int64_t *ms) {
    *ms = 0;
    if (take_byte(text, "Zz")) {
        return true;
    }
    bool west = text->len && text->ptr[0] == '-';
    if (!take_byte(text, "+-")) {
        return false;
    }
    int hour = take_number(text, 2);
    bool ok = hour >= 0 && hour < 24 && take_byte(text, ":");
    int minute = ok ? take_number(text, 2) : -1;
    if (!ok || minute < 0 || minute > 59) {
        return false;
    }
    *ms = (hour * 60 + minute) * INT64_C(60000) * (west ? -1 : 1);
    return true;
}

bool stamp_parse(struct slice text, uint64_t *ms) {
    int64_t days;
    int64_t time;
    int64_t zone;
    bool ok = take_date(&text, &days) && take_byte(&text, "Tt ") && take_time(&text, &time) &&
              take_zone(&text, &zone) && text.len == 0;
    int64_t all = ok ? days * INT64_C(86400000) + time - zone : -1;
    if (all < 0 || all > last_ms) {
        return false;
    }
    *ms = (uint64_t)all;
    return true;
}

struct date {
    int year, month, day, weekday; /* a Sunday is 0 */
};

static struct date date_of(int64_t days) {
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * of_year + 2) / 153;
    struct date date = {.day = (int)(of_year - (153 * m + 2) / 5 + 1),
                        .month = (int)(m < 10 ? m + 3 : m - 9)};
    date.year = (int)(year_of_era + era * 400 + (date.month <= 2));
    date.weekday = (int)((days + 4) % 7);
    return date;
}

void stamp_format(uint64_t ms, char out[STAMP_SIZE]) {
    uint64_t s = ms / 1000;
    struct date date = date_of((int64_t)(s / 86400));
    unsigned of_day = (unsigned)(s % 86400);
    snprintf(out, STAMP_SIZE, "%04d-%02d-%02dT%02u:%02u:%02u.%03uZ", date.year, date.month, date.day,
             of_day / 3600, of_day / 60 % 60, of_day % 60, (unsigned)(ms % 1000));
}

void stamp_http(uint64_t s, char out[STAMP_HTTP_SIZE]) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct date date = date_of((int64_t)(s / 86400));
    unsigned of_day = (unsigned)(s % 86400);
    snprintf(out, STAMP_HTTP_SIZE, "%s, %02d %s %04d %02u:%02u:%02u GMT", days[date.weekday], date.day,
             months[date.month - 1], date.year, of_day / 3600, of_day / 60 % 60, of_day % 60);
}
