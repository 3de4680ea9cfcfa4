#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "ingest/access.h"
#include "test.h"

#define NOW INT64_C(1000000)

static struct sockaddr_in peer_of(uint32_t number)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(number)};
}

static struct network_address address_of(uint32_t number)
{
    const struct sockaddr_in peer = peer_of(number);
    struct network_address address;

    assert_true(network_address_of((const struct sockaddr *)&peer, &address));
    return address;
}

static void ten_wrong_tokens_in_a_minute_block_for_a_minute(void **state)
{
    struct attempts *attempts = attempts_new(1);
    struct network_address bad = address_of(1);
    struct network_address good = address_of(2);
    (void)state;

    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        assert_false(attempts_is_blocked(attempts, &bad, NOW + i));
        attempts_add_wrong(attempts, &bad, NOW + i);
    }
    assert_true(attempts_is_blocked(attempts, &bad, NOW + ATTEMPTS_MAX));
    assert_false(attempts_is_blocked(attempts, &good, NOW + ATTEMPTS_MAX));
    mono_ms last = NOW + ATTEMPTS_MAX - 1;
    assert_true(attempts_is_blocked(attempts, &bad, last + ATTEMPTS_MS - 1));
    assert_false(attempts_is_blocked(attempts, &bad, last + ATTEMPTS_MS));
    attempts_add_wrong(attempts, &bad, last + ATTEMPTS_MS); /* it counts anew */
    assert_false(attempts_is_blocked(attempts, &bad, last + ATTEMPTS_MS));
    attempts_free(attempts);
}

static void slow_mistakes_never_block(void **state)
{
    struct attempts *attempts = attempts_new(1);
    struct network_address peer = address_of(1);
    mono_ms now = NOW;
    (void)state;

    for (int i = 0; i < 100; i++, now += ATTEMPTS_MS / (ATTEMPTS_MAX - 1) + 1) {
        attempts_add_wrong(attempts, &peer, now);
        assert_false(attempts_is_blocked(attempts, &peer, now));
    }
    attempts_free(attempts);
}

static void any_number_of_senders_is_bounded_and_the_newest_are_known(void **state)
{
    struct attempts *attempts = attempts_new(1);
    struct network_address last = address_of(7);
    (void)state;

    for (uint32_t sender = 1000; sender < 21000; sender++) {
        struct network_address peer = address_of(sender);
        attempts_add_wrong(attempts, &peer, NOW + sender);
    }
    for (int i = 0; i < ATTEMPTS_MAX; i++)
        attempts_add_wrong(attempts, &last, NOW + 30000);
    assert_true(attempts_is_blocked(attempts, &last, NOW + 30000));
    attempts_free(attempts);
}

static void a_token_decides_who_may(void **state)
{
    struct token tokens[] = {{.name = "web", .role = ROLE_INGEST},
                             {.name = "eyes", .role = ROLE_VIEWER}};
    const struct token *found = NULL;
    struct attempts *attempts = attempts_new(1);
    const struct sockaddr_in peer = peer_of(1);
    (void)state;

    token_hash(STR("one"), tokens[0].hash);
    token_hash(STR("two"), tokens[1].hash);
    struct token_table *table = token_table_new(tokens, 2, NULL);
    struct access_request request = {(const struct sockaddr *)&peer, STR_EMPTY, RIGHT_SAMPLES};

    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_NO_TOKEN);
    assert_null(found);
    request.token = STR("one");
    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_GRANTED);
    assert_string_equal(found->name, "web");
    request.token = STR("two");
    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_NO_RIGHT);
    assert_string_equal(found->name, "eyes");
    request.token = STR("three");
    for (int i = 0; i < ATTEMPTS_MAX; i++)
        assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_WRONG);
    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_BLOCKED);
    request.token = STR("one"); /* nor is a right one looked at then that could be guessed */
    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_BLOCKED);
    assert_null(found);
    request.peer = NULL; /* a Unix socket's */
    assert_int_equal(access_check(table, attempts, &request, NOW, &found), ACCESS_GRANTED);
    assert_int_equal(atomic_load(&token_table_at(table, 0)->usage->requests), 2);
    token_table_release(table);
    attempts_free(attempts);
}

/* Others have the same address: of this machine, or behind one proxy. */
static void who_guesses_does_not_keep_others_of_its_address_out(void **state)
{
    enum { LENGTHS = 5 };
    static const struct {
        size_t length;
        bool gets_in;
    } cases[LENGTHS] = {{TOKEN_SECURE_MIN - 1, false},
                        {TOKEN_SECURE_MIN, true},
                        {TOKEN_TEXT_SIZE - 1, true},
                        {TOKEN_SECURE_MAX, true},
                        {TOKEN_SECURE_MAX + 1, false}};
    static const char text[TOKEN_SECURE_MAX + 2] = {'k', 'p', 'i', 'd', '_'};
    static const uint32_t addresses[] = {INADDR_LOOPBACK, 0x0a000001};
    struct token tokens[LENGTHS] = {{.role = ROLE_INGEST}};
    const struct token *found = NULL;
    (void)state;

    for (size_t i = 0; i < LENGTHS; i++) {
        tokens[i].role = ROLE_INGEST;
        (void)snprintf(tokens[i].name, sizeof tokens[i].name, "token%zu", i);
        token_hash((struct str){text, cases[i].length}, tokens[i].hash);
    }
    struct token_table *table = token_table_new(tokens, LENGTHS, NULL);
    for (size_t a = 0; a < TEST_COUNT(addresses); a++) {
        struct attempts *attempts = attempts_new(1);
        const struct sockaddr_in peer = peer_of(addresses[a]);
        const struct access_request wrong = {
            (const struct sockaddr *)&peer, STR("kpid_0123456789012345678901234567890123456789012"),
            RIGHT_SAMPLES};
        for (int i = 0; i < ATTEMPTS_MAX; i++)
            assert_int_equal(access_check(table, attempts, &wrong, NOW, &found), ACCESS_WRONG);
        for (size_t i = 0; i < LENGTHS; i++) {
            const struct access_request right = {
                wrong.peer, {text, cases[i].length}, RIGHT_SAMPLES};
            assert_int_equal(access_check(table, attempts, &right, NOW, &found),
                             cases[i].gets_in ? ACCESS_GRANTED : ACCESS_BLOCKED);
            assert_true((found != NULL) == cases[i].gets_in);
            assert_int_equal(access_check(table, attempts, &wrong, NOW + ATTEMPTS_MS - 1, &found),
                             ACCESS_BLOCKED);
            assert_null(found);
        }
        /* What was refused so was not counted: the minute ends. */
        assert_int_equal(access_check(table, attempts, &wrong, NOW + ATTEMPTS_MS, &found),
                         ACCESS_WRONG);
        attempts_free(attempts);
    }
    token_table_release(table);
}

static void a_refusal_has_words_and_a_hint(void **state)
{
    const struct token token = {.name = "web", .role = ROLE_INGEST};
    (void)state;

    for (int verdict = ACCESS_NO_TOKEN; verdict <= ACCESS_NO_RIGHT; verdict++) {
        struct error err = ERROR_EMPTY;
        access_explain((enum access_verdict)verdict, &token, &err);
        assert_int_equal(err.kind, ERROR_DENIED);
        assert_true(err.text[0] != '\0' && err.hint[0] != '\0');
        assert_non_null(access_verdict_name((enum access_verdict)verdict));
    }
}

static void a_token_is_found_wherever_clients_put_it(void **state) /* I25 */
{
    static const struct {
        const char *authorization;
        const char *query;
        const char *token;
    } cases[] = {
        {"", "", ""},
        {"", "db=x&precision=s", ""},
        {"Bearer kpid_abc", "", "kpid_abc"},
        {"bearer   kpid_abc ", "", "kpid_abc"},
        {"Token kpid_abc", "", "kpid_abc"},
        {"Token user:kpid_abc", "", "kpid_abc"},
        {"Token :kpid_abc", "", "kpid_abc"},
        {"token a:b:c", "", "b:c"},
        {"Basic dXNlcjprcGlkX2FiYw==", "", "kpid_abc"}, /* user:kpid_abc */
        {"Basic dXNlcjprcGlkX2FiYw", "", "kpid_abc"},
        {"Basic OmtwaWRfYWJj", "", "kpid_abc"}, /* :kpid_abc */
        {"Basic a3BpZF9hYmM=", "", "kpid_abc"}, /* without a user */
        {"", "u=me&p=kpid_abc", "kpid_abc"},
        {"", "p=a%2Bb+c", "a+b c"},
        {"Token x", "p=y", "x"}, /* the header is the more careful one */
        {"Basic !!!", "", "-"},
        {"Basic ", "", "-"},
        {"Bearer", "", "-"},
        {"Digest x", "", "-"},
        {"", "p=%zz", "-"},
        {"", "p=", ""},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf room = BUF_EMPTY;
        struct str token =
            access_token_of(str_of(cases[i].authorization), str_of(cases[i].query), &room);
        if (!str_is(token, cases[i].token))
            fail_msg("'%s' and '%s': '%.*s'", cases[i].authorization, cases[i].query,
                     STR_ARGS(token));
        buf_fini(&room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_wrong_tokens_in_a_minute_block_for_a_minute),
        cmocka_unit_test(slow_mistakes_never_block),
        cmocka_unit_test(any_number_of_senders_is_bounded_and_the_newest_are_known),
        cmocka_unit_test(a_token_decides_who_may),
        cmocka_unit_test(who_guesses_does_not_keep_others_of_its_address_out),
        cmocka_unit_test(a_refusal_has_words_and_a_hint),
        cmocka_unit_test(a_token_is_found_wherever_clients_put_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
