/* What becomes of lines of DogStatsD: samples, annotations, counts of drops (D10, D11, D14). */
#include <stdio.h>
#include <stdlib.h>

#include "ingest/dogstatsd_intake.h"
#include "ingest/intake.h"
#include "test.h"

#define NOW_MS INT64_C(1790000000000)
#define DAY_MS ((span_ms)MS_PER_DAY)

struct world {
    struct intake intake;
    struct ledger ledger;
    client_table_place clients;
    wall_ms now;
};

static int setup(void **state)
{
    const struct shard_limits limits = {
        .series = 1000, .raw_keys = 2000, .max_future = 600000, .max_past = 400 * DAY_MS};
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->intake.shard = shard_new(&limits, NULL, 1);
    world->intake.line_bytes_max = 65536;
    world->intake.max_future = limits.max_future;
    world->intake.max_past = limits.max_past;
    world->now = NOW_MS;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    free(atomic_load(&world->clients));
    intake_fini(&world->intake);
    shard_free(world->intake.shard);
    free(world);
    return 0;
}

#define INTAKE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* One datagram; the ledger is that of all so far. */
static void take_bytes(struct world *world, struct str bytes)
{
    intake_begin(&world->intake, &world->ledger,
                 (struct intake_dialect){.protocol = PROTOCOL_DOGSTATSD}, world->now * 1000);
    world->intake.clients = &world->clients;
    intake_packet(&world->intake, bytes);
    intake_end(&world->intake);
    assert_true(ledger_balances(&world->ledger));
}

static void take(struct world *world, const char *bytes)
{
    take_bytes(world, str_of(bytes));
}

/* The series of the delta as "kind name{labels} last", joined by newlines. */
static char *describe(struct world *world)
{
    struct delta *delta = shard_take_delta(world->intake.shard);
    struct buf text = BUF_EMPTY;

    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        struct str key = delta->series[cell->series].key;
        struct buf name = BUF_EMPTY;
        series_key_format(&name, key);
        buf_printf(&text, "%s%s %.*s %g", i == 0 ? "" : "\n",
                   metric_kind_name(series_key_kind(key)), STR_ARGS(buf_view(&name)),
                   cell->cell.aggregate.last);
        buf_fini(&name);
    }
    delta_free(delta);
    return buf_take_text(&text);
}

static void expect_series(struct world *world, const char *want)
{
    char *got = describe(world);
    assert_string_equal(got, want);
    free(got);
}

static void metrics_events_and_checks_may_share_a_datagram(void **state)
{
    struct world *world = *state;

    take(world, "a:1|g|#x:y\n_e{5,4}:title|text|t:error\n_sc|up|0\nbad\nb:2:3|g\n");
    assert_int_equal(world->ledger.received, 6);
    assert_int_equal(world->ledger.stored, 5);
    assert_int_equal(world->ledger.rejected[REJECT_malformed], 1);
    expect_series(world, "gauge a{x=\"y\"} 1\ngauge service_check.up 0\ngauge b 3");
    struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
    assert_non_null(notes);
    assert_int_equal(notes->annotation_count, 1);
    delta_free(notes);
    assert_null(dogstatsd_take_annotations(world->intake.notes));
}

static void an_event_is_an_annotation(void **state) /* D10 */
{
    struct world *world = *state;

    take(world, "_e{8,6}:re\\nlear|a\\nb\\nc"); /* the text is cut short: no event */
    assert_int_equal(world->ledger.rejected[REJECT_malformed], 1);
    take(world, "_e{9,7}:re\\nlease|a\\nb\\nc|h:web|k:key|s:ci|p:low|t:success|#env:prod");
    struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
    assert_non_null(notes);
    const struct annotation *event = &notes->annotations[0];
    assert_int_equal(notes->annotation_count, 1);
    assert_int_equal(event->at, NOW_MS);
    assert_true(str_is(event->title, "re\nlease"));
    assert_true(str_is(event->text, "a\nb\nc"));
    assert_int_equal(event->kind, ANNOTATION_SUCCESS);
    assert_true(event->is_low);
    assert_true(str_is(event->host, "web"));
    assert_true(str_is(event->tags, "env:prod"));
    delta_free(notes);
    assert_int_equal(world->ledger.received, 2);
    assert_int_equal(world->ledger.stored, 1);
}

static void a_long_event_is_cut(void **state)
{
    struct world *world = *state;
    struct buf line = BUF_EMPTY;

    buf_text(&line, "_e{2000,20000}:");
    for (int i = 0; i < 2000; i++)
        buf_char(&line, 't');
    buf_char(&line, '|');
    for (int i = 0; i < 10000; i++)
        buf_text(&line, "\\n");
    take_bytes(world, buf_view(&line));
    buf_fini(&line);
    struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
    assert_non_null(notes);
    struct str title = notes->annotations[0].title;
    struct str text = notes->annotations[0].text;
    assert_int_equal(title.len, ANNOTATION_TITLE_MAX);
    assert_int_equal(text.len, ANNOTATION_TEXT_MAX);
    assert_memory_equal(title.text + title.len - 4, "t...", 4);
    assert_memory_equal(text.text + text.len - 4, "\n...", 4);
    delta_free(notes);
}

static void an_event_has_the_time_it_says_unless_that_is_absurd(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *line;
        wall_ms at; /* 0: rejected */
    } cases[] = {
        {"_e{1,1}:a|b|d:1789999000", INT64_C(1789999000000)},
        {"_e{1,1}:a|b|d:1790000600", INT64_C(1790000600000)},
        {"_e{1,1}:a|b|d:1790000601", 0},
        {"_e{1,1}:a|b|d:1", 0},
        {"_e{1,1}:a|b|d:9223372036854775", 0},
        {"_e{1,1}:a|b|d:soon", NOW_MS},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        take(world, cases[i].line);
        struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
        if ((notes != NULL) != (cases[i].at != 0))
            fail_msg("'%s'", cases[i].line);
        if (notes != NULL)
            assert_int_equal(notes->annotations[0].at, cases[i].at);
        delta_free(notes);
    }
    assert_int_equal(world->ledger.rejected[REJECT_bad_time], 3);
}

static void events_are_bounded_in_a_minute_and_while_they_wait(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < EVENTS_PER_MINUTE_MAX + 5; i++)
        take(world, "_e{1,1}:a|b");
    assert_int_equal(world->ledger.stored, EVENTS_PER_MINUTE_MAX);
    assert_int_equal(world->ledger.dropped[DROP_event_limit], 5);
    for (int minute = 1; minute < 5; minute++) {
        world->now += MS_PER_MINUTE;
        for (int i = 0; i < EVENTS_PER_MINUTE_MAX; i++)
            take(world, "_e{1,1}:a|b");
    }
    assert_int_equal(world->ledger.stored, EVENTS_WAITING_MAX);
    struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
    assert_int_equal(notes->annotation_count, EVENTS_WAITING_MAX);
    delta_free(notes);
    world->now += MS_PER_MINUTE;
    take(world, "_e{1,1}:a|b");
    assert_int_equal(world->ledger.stored, EVENTS_WAITING_MAX + 1);
}

static void a_service_check_is_a_gauge(void **state) /* D11 */
{
    struct world *world = *state;

    take(world,
         "_sc|agent.up|2|h:web1|#env:prod,x|m:down\n_sc|b|1|#host:mine|h:other\n_sc|c|3|h:h");
    expect_series(world, "gauge service_check.agent.up{env=\"prod\",host=\"web1\",x=\"true\"} 2\n"
                         "gauge service_check.b{host=\"mine\"} 1\n"
                         "gauge service_check.c{host=\"h\"} 3");
    take(world, "_sc|agent.up|9\n_sc|agent.up");
    assert_int_equal(world->ledger.rejected[REJECT_bad_number], 1);
    assert_int_equal(world->ledger.rejected[REJECT_malformed], 1);
    assert_int_equal(world->ledger.received, 5);
    assert_int_equal(world->ledger.stored, 3);
}

/* What a check is called is asked for, as the names of all samples; what an event says is shown,
 * where such bytes are replaced. */
static void a_check_that_is_not_utf8_is_rejected_and_an_event_is_kept(void **state) /* D8, D10 */
{
    struct world *world = *state;

    take(world, "_sc|n\xff|2|m:down\n_sc|n|2|#a:\xff|m:down\n_sc|n|2|h:\xff|m:down");
    assert_int_equal(world->ledger.rejected[REJECT_bad_name], 1);
    assert_int_equal(world->ledger.rejected[REJECT_bad_tags], 2);
    assert_null(dogstatsd_take_annotations(world->intake.notes)); /* nothing changed */
    take(world, "_e{2,2}:a\xff|\xc3"
                "b|#t:\xff\n_sc|n|2|m:d\xff");
    assert_int_equal(world->ledger.stored, 2);
    struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
    assert_int_equal(notes->annotation_count, 2);
    assert_true(str_is(notes->annotations[0].title, "a\xff"));
    delta_free(notes);
    expect_series(world, "gauge service_check.n 2");
}

static void names_and_tags_of_checks_have_the_limits_of_all(void **state)
{
    struct world *world = *state;
    struct buf line = BUF_EMPTY;

    buf_text(&line, "_sc|");
    for (int i = 0; i < 30000; i++)
        buf_char(&line, 'n');
    buf_text(&line, "|1|h:");
    for (int i = 0; i < 30000; i++)
        buf_char(&line, 'h');
    take_bytes(world, buf_view(&line));
    assert_int_equal(
        world->ledger.rejected[REJECT_bad_name] + world->ledger.rejected[REJECT_bad_tags], 1);
    buf_clear(&line);
    buf_text(&line, "_sc|n|1|#t:");
    for (int i = 0; i < LABEL_BYTES_MAX; i++)
        buf_char(&line, 't');
    take_bytes(world, buf_view(&line));
    assert_int_equal(
        world->ledger.rejected[REJECT_bad_name] + world->ledger.rejected[REJECT_bad_tags], 2);
    buf_fini(&line);
    assert_int_equal(world->ledger.stored, 0);
}

/* A thousand checks in a datagram need more scratch than there is. */
static void many_checks_in_a_datagram_keep_their_names(void **state)
{
    struct world *world = *state;
    struct buf lines = BUF_EMPTY;

    for (int i = 0; i < 900; i++)
        buf_printf(&lines, "_sc|check%d|%d|h:host%d\n", i, i % 2, i);
    take_bytes(world, buf_view(&lines));
    buf_fini(&lines);
    assert_int_equal(world->ledger.stored, 900);
    struct delta *delta = shard_take_delta(world->intake.shard);
    assert_int_equal(delta->cell_count, 900);
    for (size_t i = 0; i < delta->cell_count; i++) {
        char name[40];
        char host[40];
        struct str value;
        struct str key = delta->series[delta->cells[i].series].key;
        (void)snprintf(name, sizeof name, "service_check.check%d", (int)i);
        (void)snprintf(host, sizeof host, "host%d", (int)i);
        assert_true(str_is(series_key_metric(key), name));
        assert_true(series_key_label(key, STR("host"), &value));
        assert_true(str_is(value, host));
        assert_true(delta->cells[i].cell.aggregate.last == (double)(i % 2));
    }
    delta_free(delta);
}

static void only_a_change_of_a_check_is_noted(void **state) /* D11 */
{
    struct world *world = *state;
    static const struct {
        const char *line;
        const char *title; /* NULL: none */
        enum annotation_kind kind;
    } steps[] = {
        {"_sc|up|0|#a:1|m:fine", NULL, 0},
        {"_sc|up|0|#a:1", NULL, 0},
        {"_sc|up|1|#a:1|m:slow", "up is warning", ANNOTATION_WARNING},
        {"_sc|up|1|#a:1|m:slower", NULL, 0},
        {"_sc|up|2|#a:1", "up is critical", ANNOTATION_ERROR},
        {"_sc|up|2|#a:2", "up is critical", ANNOTATION_ERROR}, /* another one */
        {"_sc|up|2|#a:1|h:web", "up is critical", ANNOTATION_ERROR},
        {"_sc|up|2|#a:1", NULL, 0},
        {"_sc|up|3|#a:1", "up is unknown", ANNOTATION_WARNING},
        {"_sc|up|0|#a:1", "up is ok", ANNOTATION_SUCCESS},
        {"_sc|up|0|#a:1", NULL, 0},
        {"_sc|up|2|#a:1|d:1", NULL, 0}, /* long ago: rejected */
    };

    for (size_t i = 0; i < TEST_COUNT(steps); i++) {
        take(world, steps[i].line);
        struct delta *notes = dogstatsd_take_annotations(world->intake.notes);
        if ((notes != NULL) != (steps[i].title != NULL))
            fail_msg("'%s' is %s", steps[i].line, notes != NULL ? "noted" : "not noted");
        if (notes != NULL) {
            assert_true(str_is(notes->annotations[0].title, steps[i].title));
            assert_int_equal(notes->annotations[0].kind, steps[i].kind);
            assert_true(str_is(notes->annotations[0].key, "up"));
        }
        delta_free(notes);
    }
    assert_int_equal(world->ledger.received, TEST_COUNT(steps)); /* a note is no sample */
    assert_int_equal(world->ledger.rejected[REJECT_bad_time], 1);
}

/* --- what clients dropped ----------------------------------------------------------------------
 */

#define GO "|c|#client:go,client_version:5.1.0,client_transport:udp"

static void drops_that_clients_tell_are_counted_by_client(void **state) /* D14 */
{
    struct world *world = *state;
    struct client_drops drops[4];

    assert_int_equal(client_drops_add(&world->clients, drops, 0, 4), 0);
    take(world, "datadog.dogstatsd.client.packets_dropped:3" GO
                "\ndatadog.dogstatsd.client.bytes_dropped:300" GO
                "\ndatadog.dogstatsd.client.packets_dropped_queue:3" GO /* in the total */
                "\ndatadog.dogstatsd.client.metric_dropped_on_receive:7" GO
                "\ndatadog.dogstatsd.client.packets_sent:99" GO
                "\ndatadog.dogstatsd.client.:1|c\ndatadog.dogstatsd.client:1|c");
    take(world, "datadog.dogstatsd.client.packets_dropped:1:2|c|@0.5|#client:py\n"
                "datadog.dogstatsd.client.packets_dropped:4" GO
                "\ndatadog.dogstatsd.client.packets_dropped:-4" GO
                "\ndatadog.dogstatsd.client.packets_dropped:1e300" GO
                "\ndatadog.dogstatsd.client.packets_dropped:5|g");
    assert_int_equal(client_drops_add(&world->clients, drops, 0, 4), 2);
    assert_string_equal(drops[0].name, "go");
    assert_string_equal(drops[0].version, "5.1.0");
    assert_string_equal(drops[0].transport, "udp");
    assert_int_equal(drops[0].packets, 7);
    assert_int_equal(drops[0].bytes, 300);
    assert_int_equal(drops[0].metrics, 7);
    assert_string_equal(drops[1].name, "py");
    assert_string_equal(drops[1].version, "");
    assert_int_equal(drops[1].packets, 6);
    /* They are metrics like any others, too. */
    assert_int_equal(world->ledger.stored, 13);
    /* Another thread's table of the same clients is added. */
    assert_int_equal(client_drops_add(&world->clients, drops, 2, 4), 2);
    assert_int_equal(drops[0].packets, 14);
}

static void clients_beyond_the_limit_are_one(void **state)
{
    struct world *world = *state;
    static struct client_drops drops[CLIENTS_MAX + 1];

    for (int i = 0; i < CLIENTS_MAX + 50; i++) {
        char line[200];
        (void)snprintf(line, sizeof line,
                       "datadog.dogstatsd.client.packets_dropped:1|c|#client:c%d,client_version:"
                       "a-version-that-is-longer-than-a-word-may-be",
                       i);
        take(world, line);
    }
    assert_int_equal(client_drops_add(&world->clients, drops, 0, CLIENTS_MAX + 1), CLIENTS_MAX + 1);
    assert_string_equal(drops[CLIENTS_MAX].name, "other");
    assert_int_equal(drops[CLIENTS_MAX].packets, 50);
    assert_int_equal(drops[CLIENTS_MAX - 1].packets, 1);
    assert_int_equal(strlen(drops[0].version), CLIENT_WORD_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTAKE_TEST(metrics_events_and_checks_may_share_a_datagram),
        INTAKE_TEST(an_event_is_an_annotation),
        INTAKE_TEST(a_long_event_is_cut),
        INTAKE_TEST(an_event_has_the_time_it_says_unless_that_is_absurd),
        INTAKE_TEST(events_are_bounded_in_a_minute_and_while_they_wait),
        INTAKE_TEST(a_service_check_is_a_gauge),
        INTAKE_TEST(a_check_that_is_not_utf8_is_rejected_and_an_event_is_kept),
        INTAKE_TEST(names_and_tags_of_checks_have_the_limits_of_all),
        INTAKE_TEST(many_checks_in_a_datagram_keep_their_names),
        INTAKE_TEST(only_a_change_of_a_check_is_noted),
        INTAKE_TEST(drops_that_clients_tell_are_counted_by_client),
        INTAKE_TEST(clients_beyond_the_limit_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
