/* kpid's own protocol over real sockets: what is answered when, and what the sink gets. */
#include <stdio.h>

#include "answer_scene.h"
#include "base/memory.h"
#include "ingest/native.h"
#include "ingest/native_connection.h"
#include "native_message.h"

enum { FRAME_MAX = 20000 };

static const char PRODUCER[] = "0123456789abcdef";

static struct message_of message; /* that is being made */

static int setup(void **state)
{
    const struct listener_config listener = {.protocol = PROTOCOL_NATIVE,
                                             .transport = TRANSPORT_TCP,
                                             .address = "127.0.0.1:0",
                                             .name = "native tcp"};
    (void)state;
    scene_init(&listener);
    memset(&message, 0, sizeof message);
    scene.config.frame_bytes_max = FRAME_MAX;
    return 0;
}

/* --- a client ---------------------------------------------------------------------------------
 */

static void put_length(struct buf *out, size_t len)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_u8(out, (uint8_t)(len >> shift));
}

static void put_frame(struct buf *out, struct str bytes)
{
    put_length(out, bytes.len);
    buf_str(out, bytes);
}

static void put_hello(struct buf *out, const char *producer, uint64_t epoch)
{
    struct buf hello = BUF_EMPTY;
    message_hello(producer, epoch, "", &hello);
    put_frame(out, buf_view(&hello));
    buf_fini(&hello);
}

/* A batch with one value of `hits`. */
static void put_batch(struct buf *out, uint64_t sequence, double value)
{
    struct buf batch = BUF_EMPTY;
    message_begin(&message, sequence);
    uint32_t series =
        message_series(&message, "hits", KPID__V1__KIND__COUNTER, KPID__V1__FORM__PLAIN);
    (void)message_value(&message, series, value);
    message_end(&message, &batch);
    put_frame(out, buf_view(&batch));
    buf_fini(&batch);
}

static void say_buf(int fd, struct buf *bytes)
{
    say_bytes(fd, bytes->bytes, bytes->len);
    buf_clear(bytes);
}

static void say_batch(int fd, uint64_t sequence, double value)
{
    struct buf out = BUF_EMPTY;
    put_batch(&out, sequence, value);
    say_buf(fd, &out);
    buf_fini(&out);
}

static bool read_exactly(int fd, uint8_t *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, PATIENCE_S * 1000), 1);
        ssize_t got = recv(fd, out + at, len - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

/* NULL: the connection has ended. */
static Kpid__V1__ServerFrame *read_frame(int fd)
{
    uint8_t bytes[16384];

    if (!read_exactly(fd, bytes, 4))
        return NULL;
    size_t len = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    assert_true(len <= sizeof bytes);
    assert_true(read_exactly(fd, bytes, len));
    Kpid__V1__ServerFrame *frame = kpid__v1__server_frame__unpack(NULL, len, bytes);
    assert_non_null(frame);
    return frame;
}

static void forget(Kpid__V1__ServerFrame *frame)
{
    kpid__v1__server_frame__free_unpacked(frame, NULL);
}

static void expect_welcome(int fd)
{
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_non_null(frame);
    assert_int_equal(frame->kind_case, KPID__V1__SERVER_FRAME__KIND_WELCOME);
    assert_int_equal(frame->welcome->frame_bytes_max, scene.config.frame_bytes_max);
    assert_int_equal(frame->welcome->batches_max, NATIVE_BATCHES_MAX);
    assert_memory_equal(frame->welcome->server, "kpid ", 5);
    forget(frame);
}

static void expect_ack(int fd, uint64_t sequence, uint64_t stored)
{
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_non_null(frame);
    assert_int_equal(frame->kind_case, KPID__V1__SERVER_FRAME__KIND_ACK);
    assert_int_equal(frame->ack->sequence, sequence);
    assert_int_equal(frame->ack->stored, stored);
    assert_false(frame->ack->repeated);
    forget(frame);
}

static void expect_error(int fd, uint64_t sequence, Kpid__V1__Code code, const char *words)
{
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_non_null(frame);
    assert_int_equal(frame->kind_case, KPID__V1__SERVER_FRAME__KIND_ERROR);
    if (frame->error->code != code || frame->error->sequence != sequence ||
        strstr(frame->error->message, words) == NULL)
        fail_msg("%d %d %s", (int)frame->error->sequence, frame->error->code,
                 frame->error->message);
    assert_true((frame->error->retry_after_ms > 0) == (code == KPID__V1__CODE__BUSY));
    forget(frame);
}

static void expect_end(int fd)
{
    assert_null(read_frame(fd));
    (void)close(fd);
}

/* A connection that has been welcomed. */
static int greet(const char *producer)
{
    struct buf out = BUF_EMPTY;
    int fd = dial(scene.listen);
    put_hello(&out, producer, 3);
    say_buf(fd, &out);
    expect_welcome(fd);
    buf_fini(&out);
    return fd;
}

/* --- answers ----------------------------------------------------------------------------------
 */

static void a_batch_is_answered_when_it_is_stored(void **state)
{
    (void)state;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 5);
    wait_posted(1);
    assert_int_equal(recv(fd, (char[1]){0}, 1, MSG_DONTWAIT), -1);
    release_all(STORE);
    expect_ack(fd, 1, 1);
    assert_true(collector_get(scene.collector, "hits").sum == 5);
    assert_int_equal(scene.identities[0].kind, IDENTITY_PRODUCER);
    assert_int_equal(scene.identities[0].epoch, 3);
    assert_int_equal(scene.identities[0].sequence, 1);
    assert_true(scene.identities[0].name.low == UINT64_C(0x3839616263646566));
    (void)close(fd);
}

static void answers_come_in_the_order_of_the_commits(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    start();
    set_mode(HOLD);
    int fd = dial(scene.listen);
    put_hello(&out, PRODUCER, 3); /* without waiting for the welcome */
    for (uint64_t i = 1; i <= 3; i++)
        put_batch(&out, i, 1);
    say_buf(fd, &out);
    expect_welcome(fd);
    wait_posted(3);
    for (uint64_t i = 3; i > 0; i--) {
        release_newest(STORE);
        expect_ack(fd, i, 1);
    }
    (void)close(fd);
    buf_fini(&out);
}

static void what_comes_beyond_the_window_waits_unread(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    for (uint64_t i = 1; i <= NATIVE_BATCHES_MAX + 3; i++)
        put_batch(&out, i, 1);
    say_buf(fd, &out);
    wait_posted(NATIVE_BATCHES_MAX);
    /* Another connection is served meanwhile, and one more batch goes on for each answer. */
    int other = greet(NULL);
    (void)close(other);
    assert_int_equal(posted(), NATIVE_BATCHES_MAX);
    release_newest(STORE);
    wait_posted(NATIVE_BATCHES_MAX + 1);
    expect_ack(fd, NATIVE_BATCHES_MAX, 1);
    set_mode(STORE);
    release_all(STORE);
    for (unsigned i = 0; i < NATIVE_BATCHES_MAX + 2; i++)
        forget(read_frame(fd));
    assert_true(collector_get(scene.collector, "hits").sum == NATIVE_BATCHES_MAX + 3);
    (void)close(fd);
    buf_fini(&out);
}

static void each_word_of_the_sink_has_its_answer(void **state)
{
    (void)state;
    start();
    int fd = greet(PRODUCER);
    set_mode(FAIL);
    say_batch(fd, 1, 1);
    expect_error(fd, 1, KPID__V1__CODE__BUSY, "nothing was stored");
    set_mode(TOO_OLD);
    say_batch(fd, 2, 1);
    expect_error(fd, 2, KPID__V1__CODE__TOO_OLD, "older than what is remembered");
    set_mode(REFUSE);
    say_batch(fd, 3, 1);
    expect_error(fd, 3, KPID__V1__CODE__BUSY, "too much waits");
    set_mode(REPEAT);
    say_batch(fd, 4, 1);
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_int_equal(frame->kind_case, KPID__V1__SERVER_FRAME__KIND_ACK);
    assert_true(frame->ack->repeated);
    assert_int_equal(frame->ack->stored, 0);
    forget(frame);
    set_mode(DUPLICATE);
    say_batch(fd, 5, 1);
    frame = read_frame(fd);
    assert_int_equal(frame->ack->stored, 0);
    assert_int_equal(frame->ack->dropped, 1);
    forget(frame);
    set_mode(STORE);
    say_batch(fd, 3, 1);
    expect_ack(fd, 3, 1);
    struct listener_facts facts = facts_of(scene.ingest, 0);
    assert_int_equal(facts.received, facts.handed_over);
    assert_int_equal(facts.received, 5); /* the refused one came to nothing */
    (void)close(fd);
}

static void an_answer_says_which_samples_were_rejected(void **state)
{
    struct buf out = BUF_EMPTY;
    struct buf batch = BUF_EMPTY;
    (void)state;
    start();
    int fd = greet(PRODUCER);
    message_begin(&message, 1);
    uint32_t good =
        message_series(&message, "hits", KPID__V1__KIND__COUNTER, KPID__V1__FORM__PLAIN);
    uint32_t bad =
        message_series(&message, "bad\n", KPID__V1__KIND__COUNTER, KPID__V1__FORM__PLAIN);
    (void)message_value(&message, good, 1);
    (void)message_value(&message, bad, 1);
    (void)message_value(&message, good, 2);
    message_end(&message, &batch);
    put_frame(&out, buf_view(&batch));
    say_buf(fd, &out);
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_int_equal(frame->ack->stored, 2);
    assert_int_equal(frame->ack->rejected, 1);
    assert_int_equal(frame->ack->n_examples, 1);
    assert_int_equal(frame->ack->examples[0]->sample, 1);
    assert_string_equal(frame->ack->examples[0]->reason, "bad_name");
    assert_true(strstr(frame->ack->examples[0]->message, "bad\\x0a") != NULL);
    forget(frame);
    (void)close(fd);
    buf_fini(&out);
    buf_fini(&batch);
}

static void without_a_producer_batches_have_no_identity(void **state)
{
    (void)state;
    start();
    int fd = greet(NULL);
    say_batch(fd, 1, 1);
    expect_ack(fd, 1, 1);
    say_batch(fd, 1, 1);
    expect_ack(fd, 1, 1);
    assert_int_equal(scene.identities[0].kind, IDENTITY_NONE);
    (void)close(fd);
}

static void a_bad_batch_is_refused_and_the_next_one_is_taken(void **state)
{
    struct buf out = BUF_EMPTY;
    struct buf batch = BUF_EMPTY;
    (void)state;
    start();
    int fd = greet(PRODUCER);
    message_begin(&message, 8);
    (void)message_value(&message, 0, 1); /* of a series that is not there */
    message_end(&message, &batch);
    put_frame(&out, buf_view(&batch));
    put_batch(&out, 9, 1);
    say_buf(fd, &out);
    expect_error(fd, 8, KPID__V1__CODE__MALFORMED, "sample 0");
    expect_ack(fd, 9, 1);
    collector_wait(scene.collector, 2);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_malformed], 1);
    (void)close(fd);
    buf_fini(&out);
    buf_fini(&batch);
}

/* --- what ends a connection --------------------------------------------------------------------
 */

static void garbage_is_answered_with_words(void **state)
{
    static const struct {
        struct str bytes;
        Kpid__V1__Code code;
        const char *words;
    } cases[] = {
        {STR("GET / HTTP/1.1\r\n\r\n"), KPID__V1__CODE__TOO_LARGE, "longer than"},
        {STR("\0\0\0\0"), KPID__V1__CODE__MALFORMED, "not a Hello"},
        {STR("\0\0\0\3abc"), KPID__V1__CODE__MALFORMED, "not one message"},
        {STR("\0\0\x10\1"), KPID__V1__CODE__TOO_LARGE, "longer than 4096"},
        {STR("\xff\xff\xff\xff"), KPID__V1__CODE__TOO_LARGE, "longer than"},
        {STR("\0\0\0\4\x12\2\x08\1"), KPID__V1__CODE__MALFORMED, "not a Hello"},
        {STR("\0\0\0\5\x0a\3\x0a\1x"), KPID__V1__CODE__MALFORMED, "16 bytes"},
    };
    (void)state;
    start();

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        int fd = dial(scene.listen);
        say_bytes(fd, cases[i].bytes.text, cases[i].bytes.len);
        expect_error(fd, 0, cases[i].code, cases[i].words);
        expect_end(fd);
    }
    assert_int_equal(posted(), 0);
}

/* What came before is answered first, and what is still being sent does not cut the words off. */
static void an_error_comes_after_the_answers_before_it(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    put_batch(&out, 1, 1);
    put_length(&out, FRAME_MAX + 1);
    for (int i = 0; i < 100000; i++)
        buf_text(&out, "0123456789");
    put_batch(&out, 2, 1);
    say_batch(fd, 7, 1);
    say_buf(fd, &out);
    wait_posted(2);
    release_all(STORE);
    expect_ack(fd, 7, 1);
    expect_ack(fd, 1, 1);
    expect_error(fd, 0, KPID__V1__CODE__TOO_LARGE, "a frame of 20001 bytes");
    expect_end(fd);
    assert_int_equal(posted(), 2);
    collector_wait(scene.collector, 3);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_too_long], 1);
    buf_fini(&out);
}

static void frames_may_come_byte_by_byte(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    start();
    put_hello(&out, PRODUCER, 1);
    put_batch(&out, 1, 4);
    put_batch(&out, 2, 4);
    int fd = dial(scene.listen);
    for (size_t i = 0; i < out.len; i++)
        say_bytes(fd, out.bytes + i, 1);
    expect_welcome(fd);
    expect_ack(fd, 1, 1);
    expect_ack(fd, 2, 1);
    (void)close(fd);
    buf_fini(&out);
}

static void a_client_that_says_no_more_is_answered_to_the_end(void **state)
{
    struct buf out = BUF_EMPTY;
    (void)state;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    put_batch(&out, 1, 4);
    put_length(&out, 9); /* and the beginning of one */
    say_buf(fd, &out);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    wait_posted(1);
    release_all(STORE);
    expect_ack(fd, 1, 1);
    expect_end(fd);
    collector_wait(scene.collector, 2);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_truncated], 1);
    buf_fini(&out);
}

static void a_client_that_goes_leaves_its_batch_to_the_sink(void **state)
{
    (void)state;
    scene.options.threads = 1;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 4);
    wait_posted(1);
    (void)close(fd);
    set_mode(STORE);
    fd = greet(PRODUCER);
    release_all(STORE);
    say_batch(fd, 2, 4);
    expect_ack(fd, 2, 1);
    assert_int_equal(collector_total(scene.collector).stored, 2);
    (void)close(fd);
}

/* --- deadlines --------------------------------------------------------------------------------
 */

static void a_frame_that_is_too_slow_ends_its_connection(void **state)
{
    (void)state;
    scene.config.request_timeout = 20;
    start();
    int fd = dial(scene.listen);
    say_bytes(fd, "\0\0", 2);
    expect_error(fd, 0, KPID__V1__CODE__BUSY, "took longer");
    expect_end(fd);
    scene.config.request_timeout = MS_PER_HOUR;
    struct error err = ERROR_EMPTY;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    fd = greet(PRODUCER);
    say_bytes(fd, "\0\0\0\7abc", 7);
    scene.config.request_timeout = 20;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    expect_error(fd, 0, KPID__V1__CODE__BUSY, "took longer");
    expect_end(fd);
}

static void who_says_nothing_is_let_go_of(void **state)
{
    (void)state;
    scene.config.idle_timeout = 20;
    start();
    int fd = greet(PRODUCER);
    expect_end(fd);
    scene.config.request_timeout = 20;
    struct error err = ERROR_EMPTY;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    fd = dial(scene.listen);
    expect_error(fd, 0, KPID__V1__CODE__BUSY, "took longer"); /* no Hello */
    expect_end(fd);
}

/* A client that never reads its answers is not read any more, and then let go of. */
static void answers_that_nobody_reads_do_not_pile_up(void **state)
{
    struct buf frame = BUF_EMPTY;
    struct buf batch = BUF_EMPTY;
    const int small = 4096;
    (void)state;
    scene.config.request_timeout = 100;
    start();
    int fd = greet(PRODUCER);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    message_begin(&message, 8);
    (void)message_value(&message, 0, 1);
    message_end(&message, &batch);
    for (int i = 0; i < 100; i++)
        put_frame(&frame, buf_view(&batch));
    bool open = true;
    for (int i = 0; i < 1000 * 1000 && open; i++)
        open = send(fd, frame.bytes, frame.len, MSG_NOSIGNAL) > 0;
    assert_false(open);
    (void)close(fd);
    buf_fini(&frame);
    buf_fini(&batch);
}

/* --- room -------------------------------------------------------------------------------------
 */

static void without_room_nothing_is_read(void **state)
{
    (void)state;
    scene.options.threads = 1;
    start();
    int fd = greet(PRODUCER);
    collector_set_room(scene.collector, false);
    say_batch(fd, 1, 4);
    int other = greet(PRODUCER); /* who says hello is welcome */
    assert_int_equal(posted(), 0);
    collector_set_room(scene.collector, true);
    expect_ack(fd, 1, 1);
    (void)close(fd);
    (void)close(other);
}

/* What is not answered holds some of it; what finds no room beside that has to come again. */
static void frames_share_a_budget(void **state)
{
    enum { BATCHES = 40 };
    struct buf out = BUF_EMPTY;
    unsigned stored = 0;
    (void)state;
    scene.options.threads = 1;
    scene.options.body_budget = 20000;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    for (uint64_t i = 1; i <= BATCHES; i++)
        put_batch(&out, i, 1);
    say_buf(fd, &out);
    Kpid__V1__ServerFrame *frame = read_frame(fd);
    assert_int_equal(frame->kind_case, KPID__V1__SERVER_FRAME__KIND_ERROR);
    assert_int_equal(frame->error->code, KPID__V1__CODE__BUSY);
    assert_true(frame->error->sequence > 1);
    assert_true(COUNTER_GET(ingest_body_bytes) <= scene.options.body_budget + FRAME_MAX);
    forget(frame);
    set_mode(STORE);
    release_all(STORE);
    for (unsigned i = 1; i < BATCHES; i++) {
        frame = read_frame(fd);
        stored += frame->kind_case == KPID__V1__SERVER_FRAME__KIND_ACK;
        forget(frame);
    }
    assert_true(collector_get(scene.collector, "hits").sum == stored);
    say_batch(fd, BATCHES + 1, 1);
    expect_ack(fd, BATCHES + 1, 1);
    (void)close(fd);
    buf_fini(&out);
}

/* A frame that is announced holds what has come of it, and nothing before. */
static void who_announces_much_and_says_little_holds_next_to_nothing(void **state)
{
    enum { SILENT = 40 };
    int silent[SILENT];
    (void)state;
    scene.options.threads = 1;
    scene.options.body_budget = 100000; /* five of these frames */
    start();
    for (int i = 0; i < SILENT; i++) {
        silent[i] = greet(PRODUCER);
        say_bytes(silent[i], "\0\0\x4e\x20\x12", 5); /* FRAME_MAX, and a byte */
    }
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 4);
    expect_ack(fd, 1, 1);
    assert_true(COUNTER_GET(ingest_body_bytes) < 10000);
    for (int i = 0; i < SILENT; i++)
        (void)close(silent[i]);
    (void)close(fd);
}

/* A batch of FRAME_MAX bytes, nearly, that says one value of `hits`: the rest are symbols. */
static void put_long_batch(struct buf *out, uint64_t sequence)
{
    enum { SYMBOLS = 17 };
    static char symbols[SYMBOLS][1000];
    struct buf batch = BUF_EMPTY;

    message_begin(&message, sequence);
    uint32_t series =
        message_series(&message, "hits", KPID__V1__KIND__COUNTER, KPID__V1__FORM__PLAIN);
    (void)message_value(&message, series, 1);
    for (int i = 0; i < SYMBOLS; i++) {
        memset(symbols[i], 'a' + i, sizeof symbols[i] - 1);
        (void)message_symbol(&message, symbols[i]);
    }
    message_end(&message, &batch);
    assert_true(batch.len > FRAME_MAX / 10 * 8 && batch.len <= FRAME_MAX);
    put_frame(out, buf_view(&batch));
    buf_fini(&batch);
}

/* Ten frames, of which two have room, stop in the midst of it: they give way to who goes on. */
static void of_frames_that_stop_midway_some_give_way(void **state)
{
    enum { HALVES = 10 };
    struct buf out = BUF_EMPTY;
    struct pollfd halves[HALVES];
    (void)state;
    scene.options.threads = 1;
    scene.options.body_budget = 80000;
    start();
    put_long_batch(&out, 1);
    for (int i = 0; i < HALVES; i++) {
        halves[i] = (struct pollfd){.fd = greet(NULL), .events = POLLIN};
        say_bytes(halves[i].fd, out.bytes, 12000);
    }
    int fd = greet(PRODUCER);
    say_bytes(fd, out.bytes, out.len);
    expect_ack(fd, 1, 1);
    assert_true(poll(halves, HALVES, PATIENCE_S * 1000) > 0);
    for (int i = 0; i < HALVES; i++) {
        if (halves[i].revents == 0) {
            (void)close(halves[i].fd);
            continue;
        }
        expect_error(halves[i].fd, 0, KPID__V1__CODE__BUSY, "others need the room");
        expect_end(halves[i].fd);
    }
    (void)close(fd);
    buf_fini(&out);
}

/* All of them wait for room that only they hold: each comes to its end, some by being told to come
 * again. */
static void frames_that_wait_for_each_other_come_to_an_end(void **state)
{
    enum { CLIENTS = 10 };
    struct buf out = BUF_EMPTY;
    int fds[CLIENTS];
    unsigned stored = 0;
    unsigned refused = 0;
    (void)state;
    scene.options.threads = 1;
    scene.options.body_budget = 80000;
    start();
    put_long_batch(&out, 1);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = greet(NULL);
        say_bytes(fds[i], out.bytes, 12000);
    }
    for (int i = 0; i < CLIENTS; i++)
        say_bytes(fds[i], out.bytes + 12000, out.len - 12000);
    for (int i = 0; i < CLIENTS; i++) {
        Kpid__V1__ServerFrame *frame = read_frame(fds[i]);
        assert_non_null(frame);
        bool is_ack = frame->kind_case == KPID__V1__SERVER_FRAME__KIND_ACK;
        assert_true(is_ack || frame->error->code == KPID__V1__CODE__BUSY);
        stored += is_ack;
        refused += !is_ack;
        forget(frame);
        (void)close(fds[i]);
    }
    assert_true(stored > 0);
    collector_wait(scene.collector, stored + refused);
    assert_int_equal(collector_total(scene.collector).rejected[REJECT_too_slow], refused);
    buf_fini(&out);
}

/* What an answer is going to show is kept as long as the batch. */
static void what_is_shown_of_rejected_samples_is_charged(void **state)
{
    struct buf out = BUF_EMPTY;
    struct buf batch = BUF_EMPTY;
    (void)state;
    start();
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    message_begin(&message, 1);
    uint32_t bad =
        message_series(&message, "bad\n", KPID__V1__KIND__COUNTER, KPID__V1__FORM__PLAIN);
    for (unsigned i = 0; i < NATIVE_EXAMPLES; i++)
        (void)message_value(&message, bad, 1);
    message_end(&message, &batch);
    put_frame(&out, buf_view(&batch));
    say_buf(fd, &out);
    wait_posted(1);
    assert_true(COUNTER_GET(ingest_body_bytes) >= NATIVE_EXAMPLES * sizeof(struct native_example));
    release_all(STORE);
    expect_ack(fd, 1, 0);
    (void)close(fd);
    buf_fini(&out);
    buf_fini(&batch);
}

/* --- ends -------------------------------------------------------------------------------------
 */

static void what_was_posted_is_answered_during_a_stop(void **state)
{
    (void)state;
    start_beside_stream();
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 4);
    wait_posted(1);
    stop_and_release();
    expect_ack(fd, 1, 1);
    expect_end(fd);
}

static void a_removed_listener_answers_what_it_has(void **state)
{
    struct error err = ERROR_EMPTY;
    (void)state;
    start();
    int idle = greet(PRODUCER);
    set_mode(HOLD);
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 4);
    wait_posted(1);
    scene.config.listener_count = 0;
    assert_true(ingest_reload(scene.ingest, &scene.config, &err));
    assert_int_equal(try_dial(scene.listen), -1);
    say_batch(fd, 2, 4);
    expect_end(idle);
    release_all(STORE);
    expect_ack(fd, 1, 1);
    assert_true(recv(fd, (char[1]){0}, 1, 0) <= 0);
    (void)close(fd);
    assert_int_equal(posted(), 1);
}

static void unix_sockets_speak_it_too(void **state)
{
    char path[100];
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/kpid-test-native-%d.sock", (int)getpid());
    scene.listener.transport = TRANSPORT_UNIX;
    scene.listener.address = path;
    start();
    int fd = greet(PRODUCER);
    say_batch(fd, 1, 4);
    expect_ack(fd, 1, 1);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_batch_is_answered_when_it_is_stored),
        CASE(answers_come_in_the_order_of_the_commits),
        CASE(what_comes_beyond_the_window_waits_unread),
        CASE(each_word_of_the_sink_has_its_answer),
        CASE(an_answer_says_which_samples_were_rejected),
        CASE(without_a_producer_batches_have_no_identity),
        CASE(a_bad_batch_is_refused_and_the_next_one_is_taken),
        CASE(garbage_is_answered_with_words),
        CASE(an_error_comes_after_the_answers_before_it),
        CASE(frames_may_come_byte_by_byte),
        CASE(a_client_that_says_no_more_is_answered_to_the_end),
        CASE(a_client_that_goes_leaves_its_batch_to_the_sink),
        CASE(a_frame_that_is_too_slow_ends_its_connection),
        CASE(who_says_nothing_is_let_go_of),
        CASE(answers_that_nobody_reads_do_not_pile_up),
        CASE(without_room_nothing_is_read),
        CASE(frames_share_a_budget),
        CASE(who_announces_much_and_says_little_holds_next_to_nothing),
        CASE(of_frames_that_stop_midway_some_give_way),
        CASE(frames_that_wait_for_each_other_come_to_an_end),
        CASE(what_is_shown_of_rejected_samples_is_charged),
        CASE(what_was_posted_is_answered_during_a_stop),
        CASE(a_removed_listener_answers_what_it_has),
        CASE(unix_sockets_speak_it_too),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
