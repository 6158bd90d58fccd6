/* base/plain, and that errors and logs go through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/log.h"
#include "base/plain.h"

struct row {
    const char *text, *utf8, *plain;
};

static const struct row rows[] = {
    {"", "", ""},
    {"plain text", "plain text", "plain text"},
    {"a\tb\nc", "a\tb\nc", "a\tb\nc"},
    {"\x01\x1B[31m\x7F\r", "\x01\x1B[31m\x7F\r", "??[31m??"},
    {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
     "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
    {"\xC2\x80\xC2\x9B\xC2\xA0", "\xC2\x80\xC2\x9B\xC2\xA0", "????\xC2\xA0"},
    {"a\x80"
     "b\xBF",
     "a?b?", "a?b?"},
    {"\xC0\xAF\xC1\xBF", "????", "????"},
    {"\xE0\x9F\xBF \xE0\xA0\x80", "??? \xE0\xA0\x80", "??? \xE0\xA0\x80"},
    {"\xED\x9F\xBF \xED\xA0\x80 \xED\xBF\xBF", "\xED\x9F\xBF ??? ???", "\xED\x9F\xBF ??? ???"},
    {"\xF0\x8F\xBF\xBF \xF0\x90\x80\x80", "???? \xF0\x90\x80\x80", "???? \xF0\x90\x80\x80"},
    {"\xF4\x8F\xBF\xBF \xF4\x90\x80\x80", "\xF4\x8F\xBF\xBF ????", "\xF4\x8F\xBF\xBF ????"},
    {"\xF5\x80\x80\x80\xFF\xFE", "??????", "??????"},
    {"cut \xC3", "cut ?", "cut ?"},
    {"cut \xE2\x82", "cut ??", "cut ??"},
    {"cut \xF0\x9F\x98", "cut ???", "cut ???"},
    {"\xC3\xC3\xA9", "?\xC3\xA9", "?\xC3\xA9"},
    {"\xE2\x82~\xC3\xA9", "??~\xC3\xA9", "??~\xC3\xA9"},
};

static void replaces_what_must_not_be_shown(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* In memory of its own size: a character that is cut ends the text. */
        char *text = strdup(rows[i].text);
        plain_utf8(text);
        assert_string_equal(text, rows[i].utf8);
        strcpy(text, rows[i].text);
        plain_text(text);
        assert_string_equal(text, rows[i].plain);
        free(text);
    }
}

static void errors_are_plain(void **state) {
    (void)state;
    struct error e;
    error_set(&e, ERROR_EVENT, "got \"%.4s\"", "abc\xC3\xA9");
    assert_string_equal(e.message, "got \"abc?\"");
    error_context(&e, "file \xFF\x1B");
    assert_string_equal(e.message, "file ??: got \"abc?\"");
    /* What is cut at the end is cut at a character too. */
    char long_text[2 * ERROR_MESSAGE_MAX + 2] = "a";
    for (size_t i = 1; i < sizeof long_text - 1; i += 2) {
        memcpy(long_text + i, "\xC3\xA9", 2);
    }
    error_set(&e, ERROR_EVENT, "%s", long_text);
    assert_int_equal(strlen(e.message), ERROR_MESSAGE_MAX - 1);
    char copy[ERROR_MESSAGE_MAX];
    strcpy(copy, e.message);
    plain_utf8(copy);
    assert_string_equal(copy, e.message);
}

static void expect_logged(bool json, const char *text, const char *expected) {
    char *out = NULL;
    size_t len = 0;
    FILE *file = tmpfile();
    struct log log;
    assert_non_null(file);
    log_init(&log, file, LOG_INFO);
    log.json = json;
    log_write(&log, LOG_WARN, "%s", text);
    rewind(file);
    assert_true(getline(&out, &len, file) > 0);
    assert_non_null(strstr(out, expected));
    free(out);
    fclose(file);
}

static void logs_are_plain(void **state) {
    (void)state;
    expect_logged(false, "a\x1B\xC2\x9B\xC3~\xC3\xA9", "warn  a????~\xC3\xA9\n");
    expect_logged(true, "a\x1B\xC3~\xC3\xA9\"", "\"message\":\"a\\u001b?~\xC3\xA9\\\"\"}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_what_must_not_be_shown),
        cmocka_unit_test(errors_are_plain),
        cmocka_unit_test(logs_are_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
