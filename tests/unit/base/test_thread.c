#include <event2/bufferevent.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void on_nothing(struct bufferevent *stream, void *arg)
{
    (void)stream;
    (void)arg;
}

/* A stream that is freed while libevent has still to call it back. */
static void what_was_put_off_is_done_before_the_loop_goes(void **state)
{
    struct thread *thread = thread_new("put-off", 4, NULL, NULL);
    int ends[2];
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    struct bufferevent *stream = bufferevent_socket_new(
        thread_base(thread), ends[0], BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    assert_non_null(stream);
    bufferevent_setcb(stream, on_nothing, NULL, NULL, NULL);
    bufferevent_trigger(stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
    bufferevent_free(stream);
    thread_free(thread);
    char byte;
    assert_int_equal(read(ends[1], &byte, 1), 0); /* it is closed */
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_runs_once_before_it_returns),
        cmocka_unit_test(a_call_that_comes_with_the_stop_returns_too),
        cmocka_unit_test(calls_to_a_thread_that_does_not_run_take_turns),
        cmocka_unit_test(what_was_put_off_is_done_before_the_loop_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
