/* Connections of the client library that are refused, break, say nothing or nonsense. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "fake_kpid.h"

static void what_has_no_answer_is_sent_again_with_its_sequence(void **state)
{
    (void)state;
    const unsigned char producer[] = "0123456789abcdef";
    struct pair pair;
    Kpid__V1__Ack repeated = KPID__V1__ACK__INIT;

    pair_begin(&pair, (struct kpid_client_options){
                          .producer = producer, .epoch = 7, .token = "secret", .name = "test 1"});
    for (int i = 0; i < 3; i++)
        send_one(&pair);
    for (int round = 0; round < 2; round++) {
        kpid_client_work(pair.client);
        assert_true(fake_accept(&pair.fake));
        kpid_client_work(pair.client);
        const Kpid__V1__Hello *hello = fake_read(&pair.fake)->hello;
        assert_int_equal(hello->producer.len, 16);
        assert_memory_equal(hello->producer.data, producer, 16);
        assert_int_equal(hello->epoch, 7);
        assert_string_equal(hello->token, "secret");
        assert_string_equal(hello->client, "test 1");
        fake_welcome(&pair.fake, FRAME_MAX, 8);
        kpid_client_work(pair.client);
        assert_true(kpid_client_is_connected(pair.client));
        if (round == 1)
            break;
        for (uint64_t sequence = 1; sequence <= 3; sequence++)
            assert_int_equal(fake_next(&pair.fake), sequence);
        fake_ack(&pair.fake, 2, 1);
        fake_cut(&pair.fake);
        kpid_client_work(pair.client); /* the answer, then the end */
        kpid_client_work(pair.client);
        assert_false(kpid_client_is_connected(pair.client));
        fake_us += SECOND_US;
    }
    assert_int_equal(fake_next(&pair.fake), 1);
    assert_int_equal(fake_next(&pair.fake), 3);
    assert_int_equal(fake_next(&pair.fake), 0);
    repeated.sequence = 1;
    repeated.repeated = true;
    fake_ack_with(&pair.fake, &repeated);
    fake_ack(&pair.fake, 3, 1);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK);
    assert_int_equal(kpid_client_stats(pair.client).repeated, 1);
    assert_int_equal(kpid_client_stats(pair.client).stored, 2);
    assert_int_equal(kpid_client_stats(pair.client).resent, 2);
    assert_int_equal(kpid_client_stats(pair.client).connections, 2);
    pair_end(&pair);
}

static void a_kpid_that_is_away_is_called_ever_more_seldom(void **state)
{
    (void)state;
    struct pair pair;
    int last = 0;

    pair_begin(&pair, (struct kpid_client_options){0});
    fake_vanish(&pair.fake);
    send_one(&pair);
    assert_non_null(strstr(kpid_client_trouble(pair.client), "cannot connect: "));
    int least = 50;
    int most = 100;
    for (int i = 0; i < 12; i++) {
        last = kpid_client_timeout_ms(pair.client);
        assert_true(last >= least && last <= most);
        fake_us += (int64_t)last * 1000 - 1000;
        kpid_client_work(pair.client);
        assert_int_equal(kpid_client_timeout_ms(pair.client), 1);
        fake_us += 1000;
        kpid_client_work(pair.client);
        most = most * 2 > 10000 ? 10000 : most * 2;
        least = most / 2;
    }
    fake_listen(&pair.fake);
    fake_us += 10 * SECOND_US;
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(fake_next(&pair.fake), 1);
    pair_end(&pair);
}

static void a_kpid_that_says_nothing_is_left(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    assert_true(fake_accept(&pair.fake)); /* and no welcome */
    fake_us += 10 * SECOND_US;
    kpid_client_work(pair.client);
    assert_int_equal(kpid_client_fd(pair.client), -1);
    assert_string_equal(kpid_client_trouble(pair.client), "kpid does not answer");
    fake_cut(&pair.fake);
    fake_us += SECOND_US;
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(fake_next(&pair.fake), 1);
    fake_us += 59 * INT64_C(1000000);
    kpid_client_work(pair.client);
    assert_true(kpid_client_is_connected(pair.client));
    fake_us += SECOND_US;
    kpid_client_work(pair.client);
    assert_false(kpid_client_is_connected(pair.client));
    pair_end(&pair);
}

static void whoever_may_not_speak_is_told_and_loses_nothing(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    assert_true(fake_accept(&pair.fake));
    fake_error(&pair.fake, 0, KPID__V1__CODE__DENIED, 0);
    assert_int_equal(kpid_client_flush(pair.client, 60000), KPID_DENIED);
    assert_string_equal(kpid_client_trouble(pair.client), "kpid says: because of the test");
    fake_cut(&pair.fake);
    fake_us += SECOND_US;
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(fake_next(&pair.fake), 1);
    fake_ack(&pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK);
    pair_end(&pair);
}

static void a_kpid_that_is_full_of_connections_is_called_when_it_said(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    assert_true(fake_accept(&pair.fake));
    fake_error(&pair.fake, 0, KPID__V1__CODE__BUSY, 3000);
    kpid_client_work(pair.client);
    assert_int_equal(kpid_client_timeout_ms(pair.client), 3000);
    pair_end(&pair);
}

static void a_batch_that_ends_every_connection_is_found_and_refused(void **state)
{
    (void)state;
    enum { BATCHES = 5, WRONG = 3 };
    struct pair pair;
    uint64_t got = 0;
    bool stored[BATCHES + 1] = {false};

    pair_begin(&pair, (struct kpid_client_options){0});
    for (int i = 0; i < BATCHES; i++)
        send_one(&pair);
    for (int tries = 0; tries < 3; tries++) {
        greet(&pair, FRAME_MAX, 8);
        while ((got = fake_next(&pair.fake)) != 0 && got != WRONG) {
            if (tries > 0) { /* the first connection ends before there is any answer */
                stored[got] = true;
                fake_ack(&pair.fake, got, 1);
            }
            kpid_client_work(pair.client);
        }
        if (got == 0)
            break;
        fake_error(&pair.fake, 0, KPID__V1__CODE__MALFORMED, 0);
        kpid_client_work(pair.client);
        fake_cut(&pair.fake);
        fake_us += SECOND_US;
    }
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_REFUSED);
    for (uint64_t i = 1; i <= BATCHES; i++)
        assert_int_equal(stored[i], i != WRONG);
    assert_int_equal(kpid_client_stats(pair.client).refused, 1);
    pair_end(&pair);
}

static void whoever_does_not_speak_the_protocol_is_left(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } answers[] = {
        {"HTTP/1.1 400 Bad Request\r\n", 26}, /* a length of a gigabyte */
        {"\0\0\0\4\xff\xff\xff\xff", 8},
        {"\0\0\0\2\x0a\7", 6},                /* a message longer than its frame */
        {"\0\0\0\2\x0a\0\0\0\0\2\x0a\0", 12}, /* two welcomes */
    };

    for (size_t i = 0; i < TEST_COUNT(answers); i++) {
        struct pair pair;
        pair_begin(&pair, (struct kpid_client_options){0});
        send_one(&pair);
        assert_true(fake_accept(&pair.fake));
        kpid_client_work(pair.client);
        assert_int_equal(send(pair.fake.fd, answers[i].bytes, answers[i].len, MSG_NOSIGNAL),
                         answers[i].len);
        kpid_client_work(pair.client);
        assert_int_equal(kpid_client_fd(pair.client), -1);
        assert_int_equal(kpid_client_stats(pair.client).waiting, 1);
        pair_end(&pair);
    }
}

static void what_a_later_version_says_is_passed_over(void **state)
{
    (void)state;
    struct pair pair;

    pair_begin(&pair, (struct kpid_client_options){0});
    send_one(&pair);
    greet(&pair, FRAME_MAX, 8);
    assert_int_equal(send(pair.fake.fd, "\0\0\0\3\x7a\1x", 7, 0), 7);
    fake_ack(&pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(pair.client, 0), KPID_OK);
    pair_end(&pair);
}

static void tcp_is_spoken_too(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    struct pair pair;
    char text[64];

    pair_begin(&pair, (struct kpid_client_options){0});
    kpid_client_free(pair.client);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fake_vanish(&pair.fake);
    pair.fake.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(pair.fake.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(pair.fake.listener, 1), 0);
    assert_int_equal(getsockname(pair.fake.listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, sizeof text, "tcp:127.0.0.1:%u", ntohs(address.sin_port));
    pair.client = kpid_client_new(
        &(struct kpid_client_options){.address = text, .on_answer = on_answer, .arg = &pair});
    assert_non_null(pair.client);
    send_one(&pair);
    assert_true(fake_accept(&pair.fake));
    const Kpid__V1__ClientFrame *frame = NULL;
    while ((frame = fake_read(&pair.fake)) == NULL)
        kpid_client_work(pair.client);
    assert_int_equal(frame->kind_case, KPID__V1__CLIENT_FRAME__KIND_HELLO);
    fake_welcome(&pair.fake, FRAME_MAX, 8);
    kpid_client_wait(pair.client, 60000);
    while (fake_next(&pair.fake) == 0)
        kpid_client_work(pair.client);
    fake_ack(&pair.fake, 1, 1);
    assert_int_equal(kpid_client_flush(pair.client, 60000), KPID_OK);
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_answer_is_sent_again_with_its_sequence),
        cmocka_unit_test(a_kpid_that_is_away_is_called_ever_more_seldom),
        cmocka_unit_test(a_kpid_that_says_nothing_is_left),
        cmocka_unit_test(whoever_may_not_speak_is_told_and_loses_nothing),
        cmocka_unit_test(a_kpid_that_is_full_of_connections_is_called_when_it_said),
        cmocka_unit_test(a_batch_that_ends_every_connection_is_found_and_refused),
        cmocka_unit_test(whoever_does_not_speak_the_protocol_is_left),
        cmocka_unit_test(what_a_later_version_says_is_passed_over),
        cmocka_unit_test(tcp_is_spoken_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
