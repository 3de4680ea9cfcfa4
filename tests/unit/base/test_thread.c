#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "test.h"

/* Somebody who calls a thread again and again, whether it runs or not. */
struct caller {
    struct thread *thread;
    pthread_t id;
    _Atomic bool ended;
    unsigned called;   /* by the caller */
    unsigned answered; /* of these */
    unsigned inside;   /* calls that run now */
};

static void on_call(void *arg)
{
    struct caller *caller = arg;
    assert_int_equal(caller->inside++, 0);
    caller->answered++;
    caller->inside--;
}

static void *call_on(void *arg)
{
    struct caller *caller = arg;

    while (!atomic_load(&caller->ended)) {
        caller->called++;
        thread_call(caller->thread, on_call, caller);
        if (caller->answered != caller->called)
            break;
    }
    return NULL;
}

static void a_call_runs_once_before_it_returns(void **state)
{
    struct error err = ERROR_EMPTY;
    struct thread *thread = thread_new("test", 4, NULL, NULL);
    struct caller caller = {.thread = thread};
    (void)state;

    thread_call(thread, on_call, &caller); /* it does not run yet */
    assert_int_equal(caller.answered, 1);
    assert_true(thread_start(thread, &err));
    thread_call(thread, on_call, &caller);
    assert_int_equal(caller.answered, 2);
    thread_stop(thread);
    thread_call(thread, on_call, &caller);
    assert_int_equal(caller.answered, 3);
    thread_free(thread);
    assert_int_equal(caller.answered, 3);
}

static void a_call_that_comes_with_the_stop_returns_too(void **state)
{
    struct error err = ERROR_EMPTY;
    (void)state;

    for (int round = 0; round < 300; round++) {
        struct thread *thread = thread_new("test", 4, NULL, NULL);
        struct caller caller = {.thread = thread};
        assert_true(thread_start(thread, &err));
        assert_int_equal(pthread_create(&caller.id, NULL, call_on, &caller), 0);
        thread_stop(thread);
        atomic_store(&caller.ended, true);
        assert_int_equal(pthread_join(caller.id, NULL), 0);
        assert_int_equal(caller.called, caller.answered);
        thread_free(thread);
        assert_int_equal(caller.called, caller.answered);
    }
}

/* Who changes what a thread has worked with after its end is alone with it. */
static void calls_to_a_thread_that_does_not_run_take_turns(void **state)
{
    struct thread *thread = thread_new("test", 4, NULL, NULL);
    struct caller caller = {.thread = thread};
    (void)state;

    assert_int_equal(pthread_create(&caller.id, NULL, call_on, &caller), 0);
    for (int i = 0; i < 1000; i++) {
        struct caller own = {.thread = thread};
        thread_call(thread, on_call, &own);
        assert_int_equal(own.answered, 1);
    }
    atomic_store(&caller.ended, true);
    assert_int_equal(pthread_join(caller.id, NULL), 0);
    assert_int_equal(caller.called, caller.answered);
    thread_free(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_once_before_it_returns),
        cmocka_unit_test(a_call_that_comes_with_the_stop_returns_too),
        cmocka_unit_test(calls_to_a_thread_that_does_not_run_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
