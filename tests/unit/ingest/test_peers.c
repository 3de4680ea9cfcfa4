#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/peers.h"
#include "test.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union address address_of(const char *text)
{
    union address out = {.v4 = {.sin_family = AF_INET, .sin_port = htons(4000)}};
    if (inet_pton(AF_INET, text, &out.v4.sin_addr) == 1)
        return out;
    out = (union address){.v6 = {.sin6_family = AF_INET6}};
    if (inet_pton(AF_INET6, text, &out.v6.sin6_addr) != 1) /* a Unix socket's peer has none */
        out.any.sa_family = AF_UNIX;
    return out;
}

struct scene {
    struct peers peers;
    struct peer_places places;
};

static int setup(void **state)
{
    struct scene *scene = memory_zero(1, sizeof *scene);
    scene->peers.seed = 7;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    peer_places_fini(&scene->places);
    free(scene);
    return 0;
}

static bool enter(struct scene *scene, int fd, const char *text, size_t limit)
{
    union address address = address_of(text);
    return peers_enter(&scene->peers, &scene->places, fd, &address.any, limit);
}

static void a_peer_has_so_many_and_another_its_own(void **state)
{
    struct scene *scene = *state;
    for (int fd = 10; fd < 13; fd++)
        assert_true(enter(scene, fd, "192.0.2.7", 3));
    assert_false(enter(scene, 13, "192.0.2.7", 3));
    assert_true(enter(scene, 14, "192.0.2.8", 3));
    peers_leave(&scene->peers, &scene->places, 11);
    peers_leave(&scene->peers, &scene->places, 11); /* once is enough */
    assert_true(enter(scene, 2000, "192.0.2.7", 3));
    assert_false(enter(scene, 2001, "::ffff:192.0.2.7", 3));
    peers_leave(&scene->peers, &scene->places, 2001);
    assert_false(enter(scene, 11, "192.0.2.7", 3));
    peers_leave(&scene->peers, &scene->places, 99999);
}

static void addresses_of_one_64_are_one_peer(void **state)
{
    struct scene *scene = *state;
    assert_true(enter(scene, 1, "2001:db8::1", 2));
    assert_true(enter(scene, 2, "2001:db8::2", 2));
    assert_false(enter(scene, 3, "2001:db8::ffff:1:2:3", 2));
    assert_true(enter(scene, 4, "2001:db8:0:1::1", 2));
}

static void the_machine_itself_is_not_limited(void **state)
{
    static const char *const own[] = {"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "unix"};
    struct scene *scene = *state;
    for (int i = 0; i < 50; i++)
        assert_true(enter(scene, i, own[i % 5], 1));
    for (int i = 0; i < 50; i++)
        peers_leave(&scene->peers, &scene->places, i);
    assert_true(enter(scene, 1, "10.0.0.1", 0)); /* no limit */
    assert_true(enter(scene, 2, "10.0.0.1", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_peer_has_so_many_and_another_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_one_64_are_one_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(the_machine_itself_is_not_limited, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
