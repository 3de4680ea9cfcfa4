#include "ingest/peer_room.h"
#include "test.h"

#define NOW INT64_C(1000000)

enum { OWN = 0, HOSTILE = 7, GOOD = 300 };

static void who_was_idle_longest_of_the_peer_that_holds_most_gives_way(void **state)
{
    (void)state;
    struct peer_room room;
    struct peer_holder own = {.place = OWN};
    struct peer_holder good = {.place = GOOD};
    struct peer_holder hostile[3] = {{.place = HOSTILE}, {.place = HOSTILE}, {.place = HOSTILE}};
    peer_room_init(&room);

    assert_null(peer_room_find_idle(&room, NULL, NOW));
    peer_room_hold(&room, &good, 250, NOW);
    for (size_t i = 0; i < TEST_COUNT(hostile); i++)
        peer_room_hold(&room, &hostile[i], 100, NOW + 1);
    peer_room_hold(&room, &own, 200, NOW + 2);
    assert_int_equal(room.held, 750);

    assert_null(peer_room_find_idle(&room, NULL, NOW));
    assert_ptr_equal(peer_room_find_idle(&room, NULL, NOW + 1), &good);
    assert_null(peer_room_find_idle(&room, &good, NOW + 1)); /* who asks does not */
    assert_ptr_equal(peer_room_find_idle(&room, NULL, NOW + 3), &hostile[0]);
    peer_room_touch(&room, &hostile[0], NOW + 4);
    assert_ptr_equal(peer_room_find_idle(&room, NULL, NOW + 4), &hostile[1]);
    peer_room_hold(&room, &hostile[1], 0, NOW + 5);
    peer_room_hold(&room, &hostile[2], 10, NOW + 5); /* to hold less is no progress */
    assert_ptr_equal(peer_room_find_idle(&room, NULL, NOW + 4), &good);
    peer_room_touch(&room, &hostile[1], NOW + 6); /* holds nothing */
    assert_int_equal(room.held, 560);
}

static void only_who_holds_less_is_made_room_by_who_holds_most(void **state)
{
    (void)state;
    struct peer_room room;
    struct peer_holder hostile[4] = {
        {.place = HOSTILE}, {.place = HOSTILE}, {.place = HOSTILE}, {.place = HOSTILE}};
    struct peer_holder good = {.place = GOOD};
    struct peer_holder own = {.place = OWN};
    peer_room_init(&room);

    peer_room_hold(&room, &good, 1, NOW);
    for (size_t i = 0; i < TEST_COUNT(hostile); i++)
        peer_room_hold(&room, &hostile[i], 1, NOW);
    peer_room_touch(&room, &hostile[0], NOW + 1);
    assert_ptr_equal(peer_room_find_largest(&room, &good, 1), &hostile[1]);
    assert_ptr_equal(peer_room_find_largest(&room, &good, 2), &hostile[1]);
    assert_null(peer_room_find_largest(&room, &good, 3));
    assert_ptr_equal(peer_room_find_largest(&room, &own, 3), &hostile[1]);
    assert_null(peer_room_find_largest(&room, &hostile[0], 1)); /* its own peer's */
    for (size_t i = 0; i < TEST_COUNT(hostile); i++)
        peer_room_hold(&room, &hostile[i], 0, NOW + 2);
    assert_null(peer_room_find_largest(&room, &own, 1));
    assert_ptr_equal(peer_room_find_largest(&room, &own, 0), &good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_idle_longest_of_the_peer_that_holds_most_gives_way),
        cmocka_unit_test(only_who_holds_less_is_made_room_by_who_holds_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
