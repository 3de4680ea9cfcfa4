#include "ingest/room_queue.h"
#include "test.h"

enum { OWN = 0, HOSTILE = 7, GOOD = 300, OTHER = 301 };

static void of_one_peer_the_first_one_is_next(void **state)
{
    (void)state;
    struct room_queue queue;
    struct room_waiter waiters[5] = {{.place = OWN}};
    room_queue_init(&queue);

    assert_null(room_queue_next(&queue));
    for (size_t i = 0; i < TEST_COUNT(waiters); i++)
        room_queue_push(&queue, &waiters[i]);
    room_queue_remove(&queue, &waiters[1]); /* it has gone */
    assert_false(waiters[1].is_waiting);
    for (size_t i = 0; i < TEST_COUNT(waiters); i++) {
        if (i == 1)
            continue;
        assert_ptr_equal(room_queue_next(&queue), &waiters[i]);
        room_queue_remove(&queue, &waiters[i]);
        room_queue_hold(&queue, &waiters[i], 100);
    }
    assert_null(room_queue_next(&queue));
    for (size_t i = 0; i < TEST_COUNT(waiters); i++)
        room_queue_hold(&queue, &waiters[i], 0);
    assert_int_equal(queue.held[OWN], 0);
}

static void who_holds_little_comes_before_many_of_who_holds_much(void **state)
{
    (void)state;
    struct room_queue queue;
    struct room_waiter hostile[100] = {{.place = HOSTILE}};
    struct room_waiter good[2] = {{.place = GOOD}, {.place = GOOD}};
    room_queue_init(&queue);

    for (size_t i = 0; i < TEST_COUNT(hostile); i++) {
        hostile[i].place = HOSTILE;
        if (i < 16)
            room_queue_hold(&queue, &hostile[i], 1000);
        else
            room_queue_push(&queue, &hostile[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(good); i++)
        room_queue_push(&queue, &good[i]);
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        assert_ptr_equal(room_queue_next(&queue), &good[i]);
        room_queue_remove(&queue, &good[i]);
        room_queue_hold(&queue, &good[i], 2000);
    }
    assert_ptr_equal(room_queue_next(&queue), &hostile[16]);
}

static void equals_take_turns(void **state)
{
    (void)state;
    static const uint32_t places[] = {OWN, HOSTILE, GOOD, OTHER};
    struct room_queue queue;
    struct room_waiter waiters[TEST_COUNT(places)];
    unsigned turns[TEST_COUNT(places)] = {0};
    room_queue_init(&queue);

    for (size_t i = 0; i < TEST_COUNT(places); i++) {
        waiters[i] = (struct room_waiter){.place = places[i]};
        room_queue_push(&queue, &waiters[i]);
    }
    for (size_t turn = 0; turn < 10 * TEST_COUNT(places); turn++) { /* it waits again at once */
        struct room_waiter *next = room_queue_next(&queue);
        room_queue_remove(&queue, next);
        room_queue_push(&queue, next);
        turns[next - waiters]++;
    }
    for (size_t i = 0; i < TEST_COUNT(places); i++)
        assert_int_equal(turns[i], 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_one_peer_the_first_one_is_next),
        cmocka_unit_test(who_holds_little_comes_before_many_of_who_holds_much),
        cmocka_unit_test(equals_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
