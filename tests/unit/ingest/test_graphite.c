/* The rules G1 to G8 and G13 of wire-formats.md, each with the vectors it names. */
#include <stdio.h>
#include <stdlib.h>

#include "ingest/graphite.h"
#include "series/shard.h"
#include "test.h"

static void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got '%.*s', want '%s'", STR_ARGS(got), want);
}

/* A copy of exactly the line's bytes, so that a read behind it is found. */
static struct str exactly(const char *line)
{
    size_t len = strlen(line);
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, line, len + 1);
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, copy, len);
    free(copy);
    return (struct str){exact, len};
}

static void release(struct str line)
{
    free((void *)(uintptr_t)line.text);
}

struct parsed {
    enum graphite_result result;
    enum reject_reason why;
    struct sample sample;
    struct ledger ledger;
};

static struct parsed parse(struct str line)
{
    struct parsed parsed = {.why = REJECT_NONE};

    parsed.result = graphite_parse(line, &parsed.sample, &parsed.ledger, &parsed.why);
    return parsed;
}

static void what_must_parse(void **state) /* G1, G3, G8 */
{
    static const struct {
        const char *line;
        const char *name;
        const char *tags;
        double value;
        wall_ms at;
    } cases[] = {
        {"a 1 2", "a", "", 1, 2000},
        {"local.random.diceroll 4 1791788430", "local.random.diceroll", "", 4, 1791788430000},
        {"a.b.c 1.5 1791788430.25", "a.b.c", "", 1.5, 1791788430250},
        {"a.b.c\t1.5\t1791788430", "a.b.c", "", 1.5, 1791788430000},
        {"  a.b.c \t  1.5   1791788430  ", "a.b.c", "", 1.5, 1791788430000},
        {"a.b.c 1.5 1791788430\r", "a.b.c", "", 1.5, 1791788430000},
        {"a -0 0", "a", "", 0, 0},
        {"a +1e3 1", "a", "", 1000, 1000},
        {"a .5 1", "a", "", 0.5, 1000},
        {"a 1. 1", "a", "", 1, 1000},
        {"a 1 -1", "a", "", 1, WALL_NONE},
        {"a 1 -1.0", "a", "", 1, WALL_NONE},
        {"a 1 1791788430000", "a", "", 1, INT64_C(1791788430000000)},
        {"a 1 1.7917884305e9", "a", "", 1, 1791788430500},
        {"a 1 0.0004", "a", "", 1, 0},
        {"a 1 -2", "a", "", 1, -2000},
        {"my.series;tag1=v1;tag2=v2 3 4", "my.series", "tag1=v1;tag2=v2", 3, 4000},
        {"disk.used;datacenter=dc1;rack=a1;server=web01 42 1791788430", "disk.used",
         "datacenter=dc1;rack=a1;server=web01", 42, 1791788430000},
        {"a;b=c 1 2", "a", "b=c", 1, 2000},
        {"sixteen.bytes.xx 1 2", "sixteen.bytes.xx", "", 1, 2000},
        {"fifteen.bytes.x;k=v 1 2", "fifteen.bytes.x", "k=v", 1, 2000},
        {"sixteen.bytes.xx;k=v 1 2", "sixteen.bytes.xx", "k=v", 1, 2000},
        {"seventeen.bytes.x;k=v 1 2", "seventeen.bytes.x", "k=v", 1, 2000},
        {"\xc3\xa4pfel.verkauft 7 1", "\xc3\xa4pfel.verkauft", "", 7, 1000},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str line = exactly(cases[i].line);
        struct parsed p = parse(line);
        if (p.result != GRAPHITE_SAMPLE)
            fail_msg("'%s' is %d, %d", cases[i].line, (int)p.result, (int)p.why);
        assert_str(p.sample.name, cases[i].name);
        assert_str(p.sample.tags, cases[i].tags);
        assert_int_equal(p.sample.tag_style, cases[i].tags[0] == '\0' ? TAGS_NONE : TAGS_SEMICOLON);
        assert_true(p.sample.value == cases[i].value);
        if (p.sample.at != cases[i].at)
            fail_msg("'%s' is at %lld", cases[i].line, (long long)p.sample.at);
        assert_int_equal(p.sample.kind, METRIC_UNTYPED); /* FIG-8 */
        assert_int_equal(p.sample.form, SAMPLE_VALUE);
        assert_int_equal(p.sample.weight, WEIGHT_ONE);
        assert_int_equal(p.ledger.received, 1);
        release(line);
    }
}

static void what_must_not_parse(void **state) /* G1 to G4, G8 */
{
    static const struct {
        const char *line;
        enum reject_reason why;
    } cases[] = {
        {"foo", REJECT_malformed},
        {"foo.bar 1", REJECT_malformed},
        {"1 2 foo.bar", REJECT_malformed},
        {"foo.bar foo bar", REJECT_bad_number},
        {"foo.bar 1 bar", REJECT_malformed},
        {"foo.bar 1 2 3", REJECT_malformed},
        {"foo.bar 1 N", REJECT_malformed},
        {"foo.bar 1 nan", REJECT_malformed},
        {"foo.bar 1 inf", REJECT_malformed},
        {"foo.bar 1 1e300", REJECT_bad_time},
        {"foo.bar 1 9999999999999999", REJECT_bad_time},
        {"foo.bar inf 1", REJECT_bad_number},
        {"foo.bar -Infinity 1", REJECT_bad_number},
        {"foo.bar 0x10 1", REJECT_bad_number},
        {"foo.bar 1,5 1", REJECT_bad_number},
        {"foo.bar 1_000 1", REJECT_bad_number},
        {"foo.bar 1e999 1", REJECT_bad_number},
        {"foo.bar nano 1", REJECT_bad_number},
        {";a=b 1 2", REJECT_bad_name},
        {"a; 1 2", REJECT_bad_tags},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str line = exactly(cases[i].line);
        struct parsed p = parse(line);
        if (p.result != GRAPHITE_REJECTED || p.why != cases[i].why)
            fail_msg("'%s' is %d, %d", cases[i].line, (int)p.result, (int)p.why);
        assert_int_equal(p.ledger.received, 1);
        assert_int_equal(p.ledger.rejected[cases[i].why], 1);
        release(line);
    }
}

static void nan_is_dropped_and_empty_lines_are_nothing(void **state) /* G2 */
{
    static const char *const nans[] = {"a nan 1", "a NaN 1", "a +NAN 1", "a -nan 1", "a nan -1"};
    static const char *const nothing[] = {"", " ", "\t \r", "\r"};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(nans); i++) {
        struct parsed p = parse(str_of(nans[i]));
        assert_int_equal(p.result, GRAPHITE_DROPPED);
        assert_int_equal(p.ledger.received, 1);
        assert_int_equal(p.ledger.dropped[DROP_not_finite], 1);
    }
    for (size_t i = 0; i < TEST_COUNT(nothing); i++) {
        struct str line = exactly(nothing[i]);
        struct parsed p = parse(line);
        assert_int_equal(p.result, GRAPHITE_NOTHING);
        assert_true(ledger_is_empty(&p.ledger));
        release(line);
    }
    assert_int_equal(parse(STR_EMPTY).result, GRAPHITE_NOTHING);
}

static void names_are_kept_as_they_were_sent(void **state) /* G7: cleaning is a relay's */
{
    static const char *const names[] = {".a..b.", "a b", "a/b:c#d", "..", "a!b"};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "%s 1 2", names[i]);
        struct parsed p = parse(str_of(line));
        if (strchr(names[i], ' ') != NULL) {
            assert_int_equal(p.why, REJECT_malformed); /* four words */
            continue;
        }
        assert_int_equal(p.result, GRAPHITE_SAMPLE);
        assert_str(p.sample.name, names[i]);
    }
    struct parsed p = parse(STR("a;k=..v:#x. 1 2"));
    assert_str(p.sample.tags, "k=..v:#x.");
}

/* --- what the shard makes of it --------------------------------------------------------------- */

static const int64_t NOW_US = INT64_C(1791788430000000);

static void add(struct shard *shard, const char *text, struct ledger *ledger)
{
    struct parsed p = parse(str_of(text));

    if (p.result == GRAPHITE_SAMPLE)
        shard_add(shard, &p.sample, 1, NOW_US, &p.ledger, NULL);
    assert_true(ledger_balances(&p.ledger));
    ledger_merge(ledger, &p.ledger);
}

static struct shard *new_shard(void)
{
    const struct shard_limits limits = {
        .series = 100, .raw_keys = 200, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY};
    return shard_new(&limits, NULL, 42);
}

static void tags_in_any_order_are_one_series_and_bad_ones_none(void **state) /* G8 */
{
    static const char *const bad[] = {
        "a;k 1 -1",    "a;k= 1 -1",   "a;=v 1 -1",         "a;k=1;k=2 1 -1", "a;k!=v 1 -1",
        "a;k^=v 1 -1", "a;k=~v 1 -1", "a;name=other 1 -1", "a;k=v; 1 -1",    "a;;k=v 1 -1"};
    (void)state;
    struct shard *shard = new_shard();
    struct ledger ledger = {0};

    add(shard, "disk.used;dc=1;rack=2 1 -1", &ledger);
    add(shard, "disk.used;rack=2;dc=1 2 -1", &ledger);
    assert_int_equal(ledger.stored, 2);
    assert_int_equal(shard_series_count(shard), 1);
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        add(shard, bad[i], &ledger);
    assert_int_equal(ledger.rejected[REJECT_bad_tags], TEST_COUNT(bad));
    assert_int_equal(shard_series_count(shard), 1);
    add(shard, "a;k=v~w=x 1 -1", &ledger); /* only the first '=' and '~' mean something */
    assert_int_equal(ledger.stored, 3);
    shard_free(shard);
}

static void milliseconds_for_seconds_are_rejected(void **state) /* G3, FIG-3 */
{
    (void)state;
    struct shard *shard = new_shard();
    struct ledger ledger = {0};

    add(shard, "a 1 1791788430000", &ledger);
    assert_int_equal(ledger.rejected[REJECT_bad_time], 1);
    add(shard, "a 1 1791788430", &ledger);
    assert_int_equal(ledger.stored, 1);
    shard_free(shard);
}

static void both_values_of_one_step_count(void **state) /* G13, FIG-8 */
{
    (void)state;
    struct shard *shard = new_shard();
    struct ledger ledger = {0};

    add(shard, "a 1.5 1791788400", &ledger);
    add(shard, "a 2.5 1791788400", &ledger);
    struct delta *delta = shard_take_delta(shard);
    assert_int_equal(delta->cell_count, 1);
    const struct aggregate *cell = &delta->cells[0].cell.aggregate;
    assert_true(aggregate_sum(cell) == 4);
    assert_true(cell->last == 2.5);
    assert_true(aggregate_count(cell) == 2);
    assert_int_equal(series_key_kind(delta->series[0].key), METRIC_UNTYPED);
    delta_free(delta);
    shard_free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_parse),
        cmocka_unit_test(what_must_not_parse),
        cmocka_unit_test(nan_is_dropped_and_empty_lines_are_nothing),
        cmocka_unit_test(names_are_kept_as_they_were_sent),
        cmocka_unit_test(tags_in_any_order_are_one_series_and_bad_ones_none),
        cmocka_unit_test(milliseconds_for_seconds_are_rejected),
        cmocka_unit_test(both_values_of_one_step_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
