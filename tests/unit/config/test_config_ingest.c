/* Listeners: where they listen, that none is in the way of another, and who may open a socket. */
#include <stdio.h>
#include <stdlib.h>

#include "loading.h"

static void a_listener_has_its_address_however_it_is_written(void **state)
{
    (void)state;
    struct config *config = load_good(
        "server: { control: /run//kpid/./k.sock, http: { listen: \"http:localhost:8640\" } }\n"
        "ingest:\n"
        "  - { protocol: statsd, listen: \"udp:localhost:8125\" }\n"
        "  - { protocol: influx, listen: \"http:[0:0::1]:08086\" }\n"
        "  - { protocol: native, listen: \"unix:/run/./kpid//n.sock\", mode: 0620 }\n"
        "  - { protocol: statsd, listen: \"unixgram:/run/kpid/../x.sock\" }\n",
        "");
    const struct listener_config *listeners = config->ingest.listeners;

    assert_string_equal(config->control_path, "/run/kpid/k.sock");
    assert_string_equal(config->http.listen, "127.0.0.1:8640");
    assert_string_equal(listeners[0].name, "statsd udp:127.0.0.1:8125");
    assert_string_equal(listeners[0].address, "127.0.0.1:8125");
    assert_string_equal(listeners[1].name, "influx http:[::1]:8086");
    assert_string_equal(listeners[2].address, "/run/kpid/n.sock");
    assert_int_equal(listeners[2].mode, 0620);
    assert_string_equal(listeners[3].address, "/run/kpid/../x.sock");
    assert_int_equal(listeners[3].mode, 0660);
    config_free(config);
}

/* The default listeners leave its path to it. */
static void the_control_socket_may_be_called_ingest_sock(void **state)
{
    (void)state;
    struct config *config = load_good("server: { control: /run/kpid/./ingest.sock }", "");

    assert_int_equal(config->ingest.listener_count, 1);
    assert_string_equal(config->ingest.listeners[0].name, "statsd udp:127.0.0.1:8125");
    config_free(config);
}

/* What the start would refuse, whatever else is on the machine. */
static void addresses_that_no_socket_can_have_are_refused(void **state)
{
    static const char form[] = "  hint: as 127.0.0.1:8125 or [::1]:8125; no name but localhost is "
                               "looked up\n";
    static const struct {
        const char *listen;
        const char *says;
        const char *hint; /* NULL: `form` */
    } cases[] = {
        {"udp:kpi.example.org:1", "'kpi.example.org:1' is not an address with a port", NULL},
        {"udp:LOCALHOST:1", "'LOCALHOST:1' is not an address with a port", NULL},
        {"udp:[localhost]:1", "'[localhost]:1' is not an address with a port", NULL},
        {"udp:[127.0.0.1]:1", "'[127.0.0.1]:1' is not an address with a port", NULL},
        {"udp:::1:1", "'::1:1' is not an address with a port", NULL},
        {"udp::1", "':1' is not an address with a port", NULL},
        {"udp:[]:1", "'[]:1' is not an address with a port", NULL},
        {"udp:127.0.0.1", "'127.0.0.1' is not an address with a port", NULL},
        {"udp:127.0.0.1:", "'127.0.0.1:' is not an address with a port", NULL},
        {"udp:127.0.0.1:65536", "'127.0.0.1:65536' is not an address with a port", NULL},
        {"udp:127.0.0.1:-1", "'127.0.0.1:-1' is not an address with a port", NULL},
        {"udp:[::1%lo]:1", "'[::1%lo]:1' is not an address with a port", NULL},
        {"udp:[::ffff:0.0.0.0]:1", "'[::ffff:0.0.0.0]:1' is an address of IPv4 in the form of IPv6",
         "  hint: write 0.0.0.0:1\n"},
        {"udp:[::ffff:7f00:1]:8125",
         "'[::ffff:7f00:1]:8125' is an address of IPv4 in the form of IPv6",
         "  hint: write 127.0.0.1:8125\n"},
    };
    char text[200];
    char says[400];
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *hint = cases[i].hint == NULL ? form : cases[i].hint;
        (void)snprintf(text, sizeof text, "ingest: [ { protocol: statsd, listen: \"%s\" } ]",
                       cases[i].listen);
        (void)snprintf(says, sizeof says, "kpid.yaml:1:39: error: ingest[0].listen: %s\n%s",
                       cases[i].says, hint);
        expect_findings(text, says);
        (void)snprintf(text, sizeof text, "server: { http: { listen: \"%s\" } }",
                       cases[i].listen + strlen("udp:"));
        (void)snprintf(says, sizeof says, "kpid.yaml:1:27: error: server.http.listen: %s\n%s",
                       cases[i].says, hint);
        expect_findings(text, says);
    }
}

static void of_two_listeners_in_one_place_the_second_is_refused(void **state)
{
    static const struct {
        const char *first, *second; /* protocol and what it listens on */
        const char *says;           /* NULL: they get on */
    } cases[] = {
        {"statsd, listen: \"udp:127.0.0.1:1", "dogstatsd, listen: \"udp:127.0.0.1:1",
         "another listener has the address '127.0.0.1:1'\n  hint: it is 'statsd udp:127.0.0.1:1'\n"},
        {"statsd, listen: \"tcp:127.0.0.1:1", "influx, listen: \"http:127.0.0.1:1",
         "another listener has the address '127.0.0.1:1'\n  hint: it is 'statsd tcp:127.0.0.1:1'\n"},
        {"statsd, listen: \"udp:localhost:1", "statsd, listen: \"udp:127.0.0.1:00001",
         "another listener has the address '127.0.0.1:1'\n  hint: it is 'statsd udp:127.0.0.1:1'\n"},
        {"statsd, listen: \"udp:[::1]:1", "graphite, listen: \"udp:[0:0::1]:1",
         "another listener has the address '[::1]:1'\n  hint: it is 'statsd udp:[::1]:1'\n"},
        {"statsd, listen: \"udp:127.0.0.1:1",
         "statsd, allow: [ 10.0.0.0/8 ], listen: \"udp:0.0.0.0:1",
         "another listener has the port of '0.0.0.0:1'\n  hint: it is 'statsd udp:127.0.0.1:1'; "
         "0.0.0.0 and [::] are all addresses of this machine\n"},
        {"native, allow: [ 10.0.0.0/8 ], listen: \"tcp:[::]:1", "native, listen: \"tcp:[::1]:1",
         "another listener has the port of '[::1]:1'\n  hint: it is 'native tcp:[::]:1'; "
         "0.0.0.0 and [::] are all addresses of this machine\n"},
        {"statsd, listen: \"udp:127.0.0.1:0", "statsd, listen: \"udp:localhost:0",
         "another listener has the address '127.0.0.1:0'\n  hint: it is 'statsd udp:127.0.0.1:0'\n"},
        {"statsd, listen: \"unix:/a.sock", "statsd, listen: \"unixgram://./a.sock",
         "another listener has the address '/a.sock'\n  hint: it is 'statsd unix:/a.sock'\n"},
        {"statsd, listen: \"unix:a.sock", "statsd, listen: \"unix:./a.sock",
         "another listener has the address 'a.sock'\n  hint: it is 'statsd unix:a.sock'\n"},
        {"statsd, listen: \"unix:/b.sock", "native, listen: \"unix:/run//kpid/./k.sock",
         "the control socket has the path '/run/kpid/k.sock'\n"
         "  hint: server.control says where it is\n"},
        {"statsd, listen: \"udp:127.0.0.1:8640", "influx, listen: \"http:127.0.0.1:8640",
         "server.http has the port of '127.0.0.1:8640'\n  hint: it listens on '127.0.0.1:8640'\n"},
        {"statsd, listen: \"udp:127.0.0.1:1",
         "statsd, allow: [ 10.0.0.0/8 ], listen: \"tcp:0.0.0.0:8640",
         "server.http has the port of '0.0.0.0:8640'\n  hint: it listens on '127.0.0.1:8640'\n"},

        {"statsd, listen: \"udp:127.0.0.1:1", "statsd, listen: \"tcp:127.0.0.1:1", NULL},
        {"statsd, listen: \"udp:127.0.0.1:0", "graphite, listen: \"udp:127.0.0.1:0", NULL},
        {"statsd, listen: \"udp:127.0.0.1:1", "statsd, listen: \"udp:127.0.0.2:1", NULL},
        {"statsd, listen: \"udp:127.0.0.1:1", "statsd, listen: \"udp:127.0.0.1:2", NULL},
        {"statsd, allow: [ \"::1\" ], listen: \"udp:[::]:1",
         "statsd, allow: [ 10.0.0.0/8 ], listen: \"udp:0.0.0.0:1", NULL},
        {"statsd, listen: \"unix:/a", "statsd, listen: \"unix:/a/../b", NULL},
        {"statsd, listen: \"unix:/127.0.0.1:1", "statsd, listen: \"udp:127.0.0.1:1", NULL},
        {"statsd, listen: \"udp:127.0.0.1:8640", "statsd, listen: \"tcp:[::1]:8640", NULL},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char text[400];
        char says[400];
        (void)snprintf(
            text, sizeof text,
            "server: { control: /run/./kpid//k.sock, http: { listen: localhost:8640 } }\n"
            "ingest:\n  - { protocol: %s\" }\n  - { protocol: %s\" }\n",
            cases[i].first, cases[i].second);
        if (cases[i].says == NULL) {
            config_free(load_good(text, ""));
            continue;
        }
        size_t column = (size_t)(strchr(cases[i].second, '"') - cases[i].second);
        while (strchr(cases[i].second + column + 1, '"') != NULL)
            column = (size_t)(strchr(cases[i].second + column + 1, '"') - cases[i].second);
        (void)snprintf(says, sizeof says, "kpid.yaml:4:%zu: error: ingest[1].listen: %s",
                       column + 17, cases[i].says);
        expect_findings(text, says);
    }
}

static void permissions_are_those_of_a_file_that_somebody_may_write(void **state)
{
    static const struct {
        const char *listener;
        const char *says; /* after the place */
    } cases[] = {
        {"unix:/x\", mode: 0", "the permissions '0' let nobody speak\n"
                               "  hint: who may write to the socket's file may speak: as 0660\n"},
        {"unix:/x\", mode: '0000'", "the permissions '0000' let nobody speak\n"
                                    "  hint: who may write to the socket's file may speak: as "
                                    "0660\n"},
        {"unixgram:/x\", mode: 0555", "the permissions '0555' let nobody speak\n"
                                      "  hint: who may write to the socket's file may speak: as "
                                      "0660\n"},
        {"unix:/x\", mode: 1777", "'1777' are not permissions\n"
                                  "  hint: in octal up to 0777, as 0660\n"},
        {"unix:/x\", mode: \"7777\"", "'7777' are not permissions\n"
                                      "  hint: in octal up to 0777, as 0660\n"},
        {"unix:/x\", mode: 00660", "'00660' are not permissions\n"
                                   "  hint: in octal up to 0777, as 0660\n"},
        {"unix:/x\", mode: 0680", "'0680' are not permissions\n"
                                  "  hint: in octal up to 0777, as 0660\n"},
        {"unix:/x\", mode: rw-rw----", "'rw-rw----' are not permissions\n"
                                       "  hint: in octal up to 0777, as 0660\n"},
    };
    static const char *const addresses[] = {"udp:[::1]:1", "tcp:[::1]:1", "http:[::1]:1"};
    char text[200];
    char says[300];
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        (void)snprintf(text, sizeof text, "ingest: [ { protocol: statsd, listen: \"%s } ]",
                       cases[i].listener);
        (void)snprintf(says, sizeof says, "kpid.yaml:1:%zu: error: ingest[0].mode: %s",
                       (size_t)(strstr(text, "mode: ") - text) + 7, cases[i].says);
        expect_findings(text, says);
    }
    for (size_t i = 0; i < TEST_COUNT(addresses); i++) {
        (void)snprintf(text, sizeof text,
                       "ingest: [ { protocol: influx, mode: 0660, listen: \"%s\" } ]",
                       addresses[i]);
        expect_findings(text, "kpid.yaml:1:31: error: ingest[0].mode: mode is for Unix sockets; an "
                              "address has allow\n");
    }
    expect_findings("ingest: [ { protocol: statsd, listen: \"unix:/x\", users: [] } ]",
                    "kpid.yaml:1:50: error: ingest[0].users: an empty list lets nobody speak\n"
                    "  hint: leave it out, or name users as [ www-data ]\n");
    expect_findings("ingest: [ { protocol: statsd, listen: \"unix:/x\", users: [ \"\" ] } ]",
                    "kpid.yaml:1:59: error: ingest[0].users[0]: has no value\n");
    expect_findings("ingest: [ { protocol: statsd, listen: \"udp:[::1]:1\", allow: [ \"\" ] } ]",
                    "kpid.yaml:1:63: error: ingest[0].allow[0]: has no value\n");
}

static void there_are_no_more_listeners_than_kpid_has_room_for(void **state)
{
    struct buf text = BUF_EMPTY;
    (void)state;

    buf_text(&text, "ingest:\n");
    for (int i = 1; i <= INGEST_LISTENERS_MAX; i++)
        buf_printf(&text, "  - { protocol: statsd, listen: \"udp:127.0.0.1:%d\" }\n", i);
    buf_char(&text, '\0');
    struct config *config = load_good(text.bytes, "");
    assert_int_equal(config->ingest.listener_count, INGEST_LISTENERS_MAX);
    config_free(config);
    text.len--;
    for (int i = 1; i <= 3; i++) /* told once */
        buf_printf(&text, "  - { protocol: statsd, listen: \"tcp:127.0.0.1:%d\" }\n", i);
    buf_char(&text, '\0');
    expect_findings(text.bytes, "kpid.yaml:258:5: error: ingest[256]: there are more than 256 "
                                "listeners\n  hint: many senders can use one listener\n");
    buf_fini(&text);
}

/* What is commented out of the sample, but for what needs files or users. */
static void each_listener_of_the_sample_loads(void **state)
{
    enum { SAMPLE_BYTES_MAX = 1024 * 1024 };
    const char *end = strstr(__FILE__, "/tests/unit/");
    const char mark[] = "\n  # - { protocol: ";
    char path[4096];
    int count = 0;
    (void)state;

    assert_non_null(end);
    (void)snprintf(path, sizeof path, "%.*s/config/kpid.yaml", (int)(end - __FILE__), __FILE__);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *text = calloc(1, SAMPLE_BYTES_MAX + 1);
    assert_true(fread(text, 1, SAMPLE_BYTES_MAX, file) > 0 && feof(file));
    assert_int_equal(fclose(file), 0);
    for (const char *at = text; (at = strstr(at, mark)) != NULL; at++) {
        char one[300];
        (void)snprintf(one, sizeof one, "ingest:\n  %.*s\n", (int)strcspn(at + 5, "\n"), at + 5);
        if (strstr(one, "tls:") != NULL || strstr(one, "users:") != NULL)
            continue;
        config_free(load_good(one, ""));
        count++;
    }
    assert_true(count > 10);
    free(text);
}

static int set_environment(void **state)
{
    (void)state;
    return unsetenv("RUNTIME_DIRECTORY") | unsetenv("STATE_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_has_its_address_however_it_is_written),
        cmocka_unit_test(the_control_socket_may_be_called_ingest_sock),
        cmocka_unit_test(addresses_that_no_socket_can_have_are_refused),
        cmocka_unit_test(of_two_listeners_in_one_place_the_second_is_refused),
        cmocka_unit_test(permissions_are_those_of_a_file_that_somebody_may_write),
        cmocka_unit_test(there_are_no_more_listeners_than_kpid_has_room_for),
        cmocka_unit_test(each_listener_of_the_sample_loads),
    };
    return cmocka_run_group_tests(tests, set_environment, NULL);
}
