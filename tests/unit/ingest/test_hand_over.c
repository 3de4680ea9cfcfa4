/* A hand-over of more series than go into one delta, from several listeners: each delta counts what
 * it holds, and in the end each listener has what was sent to it. */
#include "base/queue.h"
#include "collector.h"

enum { SENDERS = 3, SERIES = 60000, LINES_EACH = 1000 };

/* A sink on a thread of its own, as the writer's is: what comes waits for it. */
struct sink {
    pthread_mutex_t lock;
    struct queue waiting;
    struct ledger of[SENDERS];
    struct ingest *ingest;
};

static bool has_room(void *arg)
{
    (void)arg;
    return true;
}

static bool post(struct delta *delta, void *arg)
{
    struct sink *sink = arg;

    (void)pthread_mutex_lock(&sink->lock);
    queue_push(&sink->waiting, &delta->message);
    (void)pthread_mutex_unlock(&sink->lock);
    return true;
}

static struct delta *take(struct sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    struct message *first = sink->waiting.count == 0 ? NULL : queue_take(&sink->waiting);
    (void)pthread_mutex_unlock(&sink->lock);
    return (struct delta *)first;
}

/* What the sink is done with, by what people are shown. */
static uint64_t settled_of(struct ingest *ingest)
{
    struct listener_facts facts[SENDERS];
    uint64_t settled = 0;

    assert_int_equal(ingest_listeners(ingest, facts, SENDERS), SENDERS);
    for (size_t i = 0; i < SENDERS; i++)
        settled += facts[i].handed_over;
    return settled;
}

/* It is done with some of a delta before all of it. */
static void settle(struct sink *sink, struct delta *delta)
{
    uint64_t before = settled_of(sink->ingest);
    uint64_t received = 0;
    uint64_t some = 0;

    expect_counted(delta);
    for (size_t i = 0; i < delta->ledger_count; i++) {
        uint64_t which = 0;
        struct str name = delta->ledgers[i].listener;
        assert_true(str_parse_u64((struct str){name.text + 1, name.len - 1}, &which));
        assert_true(which < SENDERS);
        ledger_merge(&sink->of[which], &delta->ledgers[i].counts);
        received += delta->ledgers[i].counts.received;
        some += ledger_take(&delta->ledgers[i].counts, 100).received;
    }
    delta->on_part(delta);
    assert_int_equal(settled_of(sink->ingest), before + some);
    delta->on_done(delta, NULL);
    assert_int_equal(settled_of(sink->ingest), before + received);
    delta_free(delta);
}

static uint64_t received_in_all(const struct sink *sink)
{
    uint64_t received = 0;

    for (size_t i = 0; i < SENDERS; i++)
        received += sink->of[i].received;
    return received;
}

struct sender {
    const char *listen;
    unsigned number;
};

/* New series, of which some come again, with lines that count as more than one and bad ones. */
static void *send_lines(void *arg)
{
    const struct sender *sender = arg;
    char *text = calloc(LINES_EACH, 64);
    int fd = dial(sender->listen);

    assert_non_null(text);
    for (unsigned i = 0; i < SERIES; i += LINES_EACH) {
        size_t len = 0;
        for (unsigned j = i; j < i + LINES_EACH; j++)
            len += (size_t)snprintf(text + len, 64, "m%u:1|%s\n",
                                    (j % 7 == 0 ? j / 2 : j) + (sender->number == 2 ? 0 : SERIES),
                                    j % 11 == 0   ? "bad"
                                    : j % 5 == 0  ? "c|@0.25"
                                    : j % 13 == 0 ? "ms|@0.5"
                                                  : "c");
        say_bytes(fd, text, len);
    }
    (void)close(fd);
    free(text);
    return NULL;
}

static void every_delta_of_a_large_hand_over_counts_what_it_holds(void **state)
{
    (void)state;
    struct listener_config listeners[SENDERS] = {
        listener_of(TRANSPORT_TCP, "127.0.0.1:0", "s0"),
        listener_of(TRANSPORT_TCP, "127.0.0.1:0", "s1"),
        listener_of(TRANSPORT_TCP, "127.0.0.1:0", "s2"),
    };
    struct ingest_config config = config_for(listeners, SENDERS);
    struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct ingest_options options = {
        .threads = 1,
        .seed = 42,
        .flush_every = 5,
        .sink = {.has_room = has_room, .post = post, .arg = &sink}};
    struct listener_facts facts[SENDERS];
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct error err = ERROR_EMPTY;
    const struct timespec pause = {.tv_nsec = 1000000};
    mono_ms until = clock_mono() + PATIENCE_S * 1000;

    config.shard_limits.series = 10 * SERIES;
    config.shard_limits.raw_keys = 10 * SERIES;
    queue_init(&sink.waiting);
    sink.ingest = ingest_start(&options, &config, &err);
    assert_non_null(sink.ingest);
    assert_int_equal(ingest_listeners(sink.ingest, facts, SENDERS), SENDERS);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){facts[i].listen, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_lines, &senders[i]), 0);
    }
    while (received_in_all(&sink) < SENDERS * SERIES && clock_mono() < until) {
        struct delta *delta = take(&sink);
        if (delta != NULL)
            settle(&sink, delta);
        else
            (void)nanosleep(&pause, NULL);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(sink.of[i].received, SERIES);
        assert_int_equal(sink.of[i].rejected[REJECT_bad_type], (SERIES + 10) / 11);
        assert_true(ledger_balances(&sink.of[i]));
    }
    assert_null(take(&sink));
    ingest_free(sink.ingest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_delta_of_a_large_hand_over_counts_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
