/* The loop: the order of tasks, timers, and what it says about handles that were left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "io/loop.h"

struct step {
    struct loop_task task;
    struct loop *loop;
    struct step *cancels, *defers;
    char name;
    char *log;
};

static void run_step(struct loop_task *task) {
    struct step *s = task->owner;
    strncat(s->log, &s->name, 1);
    if (s->cancels) {
        loop_cancel(s->loop, &s->cancels->task);
    }
    if (s->defers) {
        loop_defer(s->loop, &s->defers->task);
    }
}

static struct loop *new_loop(void) {
    struct error e;
    struct loop *loop = loop_new(&e);
    assert_non_null(loop);
    return loop;
}

static void end_loop(struct loop *loop) {
    struct error e = {0};
    assert_int_equal(loop_handles(loop), 0);
    assert_true(loop_free(loop, &e));
}

static bool never(void *arg) {
    (void)arg;
    return false;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the steps write to it */
static void make_steps(struct step *steps, size_t count, struct loop *loop, char *log) {
    for (size_t i = 0; i < count; i++) {
        steps[i] = (struct step){.loop = loop, .name = (char)('a' + i), .log = log};
        steps[i].task = (struct loop_task){.run = run_step, .owner = &steps[i]};
    }
}

static void test_tasks_run_in_order(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    struct step s[4];
    char log[32] = "";
    make_steps(s, 4, loop, log);
    loop_defer(loop, &s[2].task);
    loop_defer(loop, &s[0].task);
    loop_defer(loop, &s[1].task);
    loop_defer(loop, &s[0].task); /* queued already */
    loop_defer(loop, &s[3].task);
    loop_cancel(loop, &s[3].task);
    loop_cancel(loop, &s[3].task);
    assert_string_equal(log, ""); /* never within loop_defer */
    assert_false(loop_run_until(loop, never, NULL));
    assert_string_equal(log, "cab");
    end_loop(loop);
}

static void test_task_deferred_by_a_task_runs_in_the_next_turn(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    struct step s[3];
    char log[32] = "";
    make_steps(s, 3, loop, log);
    s[0].defers = &s[2];
    loop_defer(loop, &s[0].task);
    loop_defer(loop, &s[1].task);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    assert_string_equal(log, "ab");
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    assert_string_equal(log, "abc");
    end_loop(loop);
}

static void test_task_cancels_one_of_its_batch(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    struct step s[3];
    char log[32] = "";
    make_steps(s, 3, loop, log);
    s[0].cancels = &s[1];
    for (int i = 0; i < 3; i++) {
        loop_defer(loop, &s[i].task);
    }
    loop_run_until(loop, never, NULL);
    assert_string_equal(log, "ac");
    end_loop(loop);
}

static bool has_three(void *arg) {
    return strlen(arg) == 3;
}

static void test_self_deferring_task_does_not_starve_the_loop(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    struct step s[1];
    char log[32] = "";
    make_steps(s, 1, loop, log);
    s[0].defers = &s[0];
    loop_defer(loop, &s[0].task);
    assert_true(loop_run_until(loop, has_three, log));
    assert_string_equal(log, "aaa");
    loop_cancel(loop, &s[0].task);
    end_loop(loop);
}

struct ticks {
    struct loop_timer timer;
    unsigned runs, closes;
};

static void on_tick(struct loop_task *task) {
    ((struct ticks *)task->owner)->runs++;
}

static void on_closed(struct loop_timer *timer) {
    ((struct ticks *)timer->task.owner)->closes++;
}

static void test_timers(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    struct ticks t[3] = {0};
    for (int i = 0; i < 3; i++) {
        loop_timer_init(loop, &t[i].timer, on_tick, &t[i]);
    }
    assert_int_equal(loop_handles(loop), 3);
    uint64_t start = uv_hrtime();
    loop_timer_start(&t[0].timer, 60 * 1000);
    loop_timer_start(&t[0].timer, 20); /* replaces the delay */
    loop_timer_start(&t[1].timer, 1);
    loop_timer_stop(&t[1].timer);
    assert_false(loop_run_until(loop, never, NULL));
    assert_int_equal(t[0].runs, 1);
    assert_int_equal(t[1].runs, 0);
    assert_true(uv_hrtime() - start >= 19 * 1000000ULL);

    /* Stopped between its firing and its task. */
    loop_timer_start(&t[2].timer, 0);
    while (!t[2].timer.task.queued && t[2].runs == 0) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    unsigned before = t[2].runs;
    loop_timer_stop(&t[2].timer);
    loop_run_until(loop, never, NULL);
    assert_int_equal(t[2].runs, before);

    for (int i = 0; i < 3; i++) {
        loop_timer_close(&t[i].timer, on_closed);
        assert_int_equal(t[i].closes, 0);
    }
    end_loop(loop);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t[i].closes, 1);
    }
}

static void test_left_handles_are_named(void **state) {
    (void)state;
    struct loop *loop = new_loop();
    static uv_timer_t timer;
    static uv_idle_t idle;
    uv_timer_init(loop_uv(loop), &timer);
    uv_idle_init(loop_uv(loop), &idle);
    assert_int_equal(loop_handles(loop), 2);
    struct error e = {0};
    assert_false(loop_free(loop, &e));
    assert_int_equal(e.code, ERROR_SYSTEM);
    assert_non_null(strstr(e.message, "2 handles were left open"));
    assert_non_null(strstr(e.message, "timer"));
    assert_non_null(strstr(e.message, "idle"));
}

struct waker {
    struct loop *loop;
    volatile bool woken;
};

static void *wake_from_thread(void *arg) {
    struct waker *w = arg;
    __atomic_store_n(&w->woken, true, __ATOMIC_SEQ_CST);
    loop_wake(w->loop);
    return NULL;
}

static bool is_woken(void *arg) {
    struct waker *w = arg;
    return __atomic_load_n(&w->woken, __ATOMIC_SEQ_CST);
}

static void test_wake_from_another_thread(void **state) {
    (void)state;
    struct waker w = {.loop = new_loop()};
    struct ticks t = {0};
    loop_timer_init(w.loop, &t.timer, on_tick, &t);
    loop_timer_start(&t.timer, 100 * 1000); /* what it would wait for otherwise */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, &w), 0);
    assert_true(loop_run_until(w.loop, is_woken, &w));
    pthread_join(thread, NULL);
    assert_int_equal(t.runs, 0);
    loop_timer_close(&t.timer, NULL);
    end_loop(w.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_run_in_order),
        cmocka_unit_test(test_task_deferred_by_a_task_runs_in_the_next_turn),
        cmocka_unit_test(test_task_cancels_one_of_its_batch),
        cmocka_unit_test(test_self_deferring_task_does_not_starve_the_loop),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_left_handles_are_named),
        cmocka_unit_test(test_wake_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
