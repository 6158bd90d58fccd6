/* Work that several threads share. */
#include "io/team.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ITEMS = 1000 };

struct tally {
    atomic_uint calls[ITEMS];
    unsigned plain[ITEMS]; /* without a lock: seen when all have returned */
};

static void count(void *user, size_t i) {
    struct tally *tally = user;
    atomic_fetch_add(&tally->calls[i], 1);
    tally->plain[i]++;
}

static void each_item_is_done_once(void **state) {
    struct team *team = team_new();
    static struct tally tally;
    (void)state;
    assert_non_null(team);
    for (unsigned round = 1; round <= 200; round++) {
        team_each(team, ITEMS, count, &tally);
        for (size_t i = 0; i < ITEMS; i++) {
            assert_int_equal(atomic_load(&tally.calls[i]), round);
            assert_int_equal(tally.plain[i], round);
        }
    }
    team_free(team);
}

static void few_items_and_none(void **state) {
    struct team *team = team_new();
    static struct tally tally;
    (void)state;
    team_each(team, 0, count, &tally);
    team_each(team, 1, count, &tally);
    team_each(team, 17, count, &tally);
    assert_int_equal(tally.plain[0], 2);
    assert_int_equal(tally.plain[16], 1);
    assert_int_equal(tally.plain[17], 0);
    team_free(team);
}

static void freed_without_work(void **state) {
    (void)state;
    team_free(team_new());
    team_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_done_once),
        cmocka_unit_test(few_items_and_none),
        cmocka_unit_test(freed_without_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
