/* The thread beside the loop: the order of its work, what is taken or given up, and who keeps the loop alive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "io/loop.h"

struct piece {
    struct beside_job job;
    uv_sem_t *begun, *go; /* NULL: it does not wait */
    char name;
    char *worked, *done;
};

static void work(void *user) {
    struct piece *piece = user;
    if (piece->go) {
        uv_sem_post(piece->begun);
        uv_sem_wait(piece->go);
    }
    strncat(piece->worked, &piece->name, 1);
}

static void done(void *user) {
    struct piece *piece = user;
    strncat(piece->done, &piece->name, 1);
}

enum { PIECES = 4 };

struct world {
    struct loop *loop;
    struct beside *beside;
    uv_sem_t begun, go;
    char worked[2 * PIECES], done[2 * PIECES];
    struct piece pieces[PIECES]; /* a, b, c, d; the first waits for `go` */
};

static void start_world(struct world *world) {
    struct error e;
    *world = (struct world){.loop = loop_new(&e)};
    assert_non_null(world->loop);
    world->beside = loop_beside(world->loop);
    assert_non_null(world->beside);
    assert_ptr_equal(loop_beside(world->loop), world->beside);
    assert_int_equal(uv_sem_init(&world->begun, 0), 0);
    assert_int_equal(uv_sem_init(&world->go, 0), 0);
    for (int i = 0; i < PIECES; i++) {
        struct piece *piece = &world->pieces[i];
        *piece = (struct piece){.name = (char)('a' + i), .worked = world->worked, .done = world->done};
        piece->job = (struct beside_job){.work = work, .done = done, .user = piece};
    }
    world->pieces[0].begun = &world->begun;
    world->pieces[0].go = &world->go;
}

static void start_all(struct world *world) {
    for (int i = 0; i < PIECES; i++) {
        beside_start(world->beside, &world->pieces[i].job);
        assert_true(world->pieces[i].job.busy);
    }
    uv_sem_wait(&world->begun);
}

static bool never(void *arg) {
    (void)arg;
    return false;
}

/* Until nothing keeps it alive. */
static void run(struct world *world) {
    assert_false(loop_run_until(world->loop, never, NULL));
}

static void end_world(struct world *world) {
    struct error e = {0};
    assert_int_equal(loop_handles(world->loop), 0);
    assert_true(loop_free(world->loop, &e));
    uv_sem_destroy(&world->begun);
    uv_sem_destroy(&world->go);
}

static void test_works_in_the_order_of_starting(void **state) {
    (void)state;
    struct world world;
    start_world(&world);
    start_all(&world);
    assert_string_equal(world.worked, "");
    uv_sem_post(&world.go);
    run(&world);
    assert_string_equal(world.worked, "abcd");
    assert_string_equal(world.done, "abcd");
    for (int i = 0; i < PIECES; i++) {
        assert_false(world.pieces[i].job.busy);
    }
    end_world(&world);
}

static void test_gives_up_what_has_not_begun(void **state) {
    (void)state;
    struct world world;
    start_world(&world);
    start_all(&world);
    beside_cancel(world.beside, &world.pieces[1].job);
    beside_cancel(world.beside, &world.pieces[3].job);
    beside_cancel(world.beside, &world.pieces[3].job); /* nothing happens */
    uv_sem_post(&world.go);
    run(&world);
    assert_string_equal(world.worked, "ac");
    assert_string_equal(world.done, "ac");
    end_world(&world);
}

static void test_waits_for_what_is_under_way(void **state) {
    (void)state;
    struct world world;
    start_world(&world);
    start_all(&world);
    uv_sem_post(&world.go);
    beside_cancel(world.beside, &world.pieces[0].job);
    assert_int_equal(world.worked[0], 'a');
    assert_false(world.pieces[0].job.busy);
    run(&world);
    assert_string_equal(world.done, "bcd");
    end_world(&world);
}

static void test_takes_what_is_over_without_the_loop(void **state) {
    (void)state;
    struct world world;
    start_world(&world);
    assert_false(beside_take(world.beside, &world.pieces[0].job));
    start_all(&world);
    assert_false(beside_take(world.beside, &world.pieces[0].job));
    uv_sem_post(&world.go);
    beside_cancel(world.beside, &world.pieces[3].job);
    bool taken = false;
    for (int tries = 0; tries < 10000 && !taken; tries++) {
        taken = beside_take(world.beside, &world.pieces[0].job);
        uv_sleep(1);
    }
    assert_true(taken);
    assert_false(beside_take(world.beside, &world.pieces[0].job));
    run(&world);
    assert_string_equal(world.done, "bc");
    end_world(&world);
}

static void test_starts_again(void **state) {
    (void)state;
    struct world world;
    start_world(&world);
    struct piece *last = &world.pieces[3];
    for (int turn = 0; turn < 3; turn++) {
        beside_start(world.beside, &last->job);
        run(&world);
    }
    assert_string_equal(world.worked, "ddd");
    assert_string_equal(world.done, "ddd");
    end_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_in_the_order_of_starting),
        cmocka_unit_test(test_gives_up_what_has_not_begun),
        cmocka_unit_test(test_waits_for_what_is_under_way),
        cmocka_unit_test(test_takes_what_is_over_without_the_loop),
        cmocka_unit_test(test_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
