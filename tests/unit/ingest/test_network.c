#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "ingest/network.h"
#include "test.h"

static struct network network_of(const char *text)
{
    struct network network;
    struct error err = ERROR_EMPTY;

    if (!network_parse(str_of(text), &network, &err))
        fail_msg("'%s': %s", text, err.text);
    return network;
}

static bool has(const char *network, const char *peer)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v4.sin_family = AF_INET};
    const struct network parsed = network_of(network);

    if (inet_pton(AF_INET, peer, &address.v4.sin_addr) != 1) {
        address.v6.sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, peer, &address.v6.sin6_addr), 1);
    }
    return network_list_has(&parsed, 1, &address.any);
}

static void a_network_has_the_addresses_that_begin_as_it_does(void **state)
{
    static const struct {
        const char *network;
        const char *peer;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"192.0.2.0/23", "192.0.3.255", true},
        {"192.0.2.0/23", "192.0.4.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/0", "::ffff:203.0.113.9", true},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:0:0/96", "10.1.2.3", true},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.1.2.3", false},
        {"::/0", "::ffff:10.1.2.3", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        if (has(cases[i].network, cases[i].peer) != cases[i].has)
            fail_msg("'%s' and '%s'", cases[i].network, cases[i].peer);
    }
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const cases[] = {"",
                                        "/",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0/8",
                                        "10.0.0.0/a",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8/8",
                                        "::/129",
                                        "::1/0x40",
                                        "localhost",
                                        "10.0.0.0 /8",
                                        "10.0.0.0/8 ",
                                        "any",
                                        "::g/8",
                                        "[::1]/128",
                                        "10.0.0.0/0008"};
    struct network network;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        if (network_parse(str_of(cases[i]), &network, &err))
            fail_msg("'%s' is taken", cases[i]);
        assert_non_null(strstr(err.text, "is not a network"));
    }
}

static void bits_beyond_the_network_are_a_mistake_with_the_right_one_beside_it(void **state)
{
    static const struct {
        const char *text;
        const char *right;
    } cases[] = {{"10.1.2.3/8", "10.0.0.0/8"},
                 {"192.0.2.255/31", "192.0.2.254/31"},
                 {"2001:db8::1/32", "2001:db8::/32"},
                 {"1.0.0.0/0", "0.0.0.0/0"}};
    struct network network;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        assert_false(network_parse(str_of(cases[i].text), &network, &err));
        if (strstr(err.hint, cases[i].right) == NULL)
            fail_msg("'%s': %s", cases[i].text, err.hint);
    }
}

static void who_has_no_address_is_in_no_network(void **state)
{
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    const struct network all[] = {network_of("0.0.0.0/0"), network_of("::/0")};
    (void)state;

    assert_false(network_list_has(all, 2, (const struct sockaddr *)&local));
    assert_false(network_list_has(all, 2, NULL));
}

static void a_sender_of_ipv6_is_its_first_half(void **state)
{
    struct network_address one = network_of("2001:db8::1").address;
    struct network_address two = network_of("2001:db8::ffff:2").address;
    struct network_address other = network_of("2001:db8:0:1::1").address;
    struct network_address v4 = network_of("192.0.2.1").address;
    (void)state;

    one = network_sender_of(&one);
    two = network_sender_of(&two);
    other = network_sender_of(&other);
    struct network_address same = network_sender_of(&v4);
    assert_memory_equal(&one, &two, sizeof one);
    assert_memory_not_equal(&one, &other, sizeof one);
    assert_memory_equal(&same, &v4, sizeof v4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_the_addresses_that_begin_as_it_does),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(bits_beyond_the_network_are_a_mistake_with_the_right_one_beside_it),
        cmocka_unit_test(who_has_no_address_is_in_no_network),
        cmocka_unit_test(a_sender_of_ipv6_is_its_first_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
