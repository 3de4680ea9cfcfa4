/* The rules S1 to S17 of wire-formats.md, each with the vectors it names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/statsd.h"
#include "series/random.h"
#include "test.h"

enum { SAMPLES_MAX = 16 };

/* Parses a line through arrays of `step` samples, so that every line also tests going on. */
static size_t parse(struct str text, size_t step, struct sample *out, struct ledger *ledger)
{
    struct statsd_line line = statsd_line_of(text);
    size_t count = 0;

    *ledger = (struct ledger){0};
    while (line.more) {
        assert_true(count + step <= SAMPLES_MAX);
        count += statsd_parse(&line, out + count, step, ledger);
    }
    return count;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got '%.*s', want '%s'", STR_ARGS(got), want);
}

static uint64_t rejected_in_all(const struct ledger *ledger)
{
    uint64_t sum = 0;
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        sum += ledger->rejected[i];
    return sum;
}

/* What samples of a line look like, as text: "c 1 w1" and so on, joined by ", ". */
static void describe(const struct sample *samples, size_t count, char *out, size_t size)
{
    static const char kinds[] = "?cgdus?";
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct sample *sample = &samples[i];
        int len = 0;
        if (sample->kind == METRIC_UNIQUE)
            len = snprintf(out + used, size - used, "%su %.*s", i == 0 ? "" : ", ",
                           STR_ARGS(sample->text));
        else
            len = snprintf(out + used, size - used, "%s%c%s %.17g", i == 0 ? "" : ", ",
                           kinds[sample->kind], sample->form == SAMPLE_CHANGE ? "+" : "",
                           sample->value);
        used += (size_t)len;
        if (sample->weight != WEIGHT_ONE)
            used += (size_t)snprintf(out + used, size - used, " *%.17g",
                                     (double)sample->weight / (double)WEIGHT_ONE);
    }
}

/* `samples` as describe writes them; `rejected` as "reason" or "reason*2 other*1". */
struct line_case {
    const char *line;
    const char *samples;
    const char *rejected;
};

static void describe_rejected(const struct ledger *ledger, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < REJECT_REASON_COUNT; i++) {
        if (ledger->rejected[i] == 0)
            continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : " ",
                                 reject_reason_name((enum reject_reason)i));
        if (ledger->rejected[i] > 1)
            used += (size_t)snprintf(out + used, size - used, "*%d", (int)ledger->rejected[i]);
    }
}

static void check_case(const struct line_case *c, struct str line)
{
    for (size_t step = 1; step <= 4; step += 3) {
        struct sample samples[SAMPLES_MAX];
        struct ledger ledger;
        char got[512];
        size_t count = parse(line, step, samples, &ledger);
        describe(samples, count, got, sizeof got);
        if (strcmp(got, c->samples) != 0)
            fail_msg("'%s': got samples '%s', want '%s'", c->line, got, c->samples);
        describe_rejected(&ledger, got, sizeof got);
        if (strcmp(got, c->rejected) != 0)
            fail_msg("'%s': got rejected '%s', want '%s'", c->line, got, c->rejected);
        assert_int_equal(ledger.received, count + rejected_in_all(&ledger));
        assert_int_equal(ledger.stored, 0); /* the shard's to count */
    }
}

static void check_cases(const struct line_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_case(&cases[i], str_of(cases[i].line));
}

static void an_empty_line_counts_nothing_and_a_carriage_return_is_no_part_of_it(
    void **state) /* S1 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"", "", ""},
        {"\r", "", ""},
        {"a:1|c\r", "c 1", ""},
        {"a:1|c|@0.5\r", "c 1 *2", ""},
        {"a:1|c \r", "c 1", ""},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void values_repeat_with_types_of_their_own(void **state) /* S2 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"foo:1|c:200|ms", "c 1, d 200", ""},
        {"load:320|ms:200|ms|@0.1", "d 320, d 200 *10", ""},
        {"a:1|c|@0.1:2|c", "c 1 *10, c 2", ""},
        {"a:1|c|@0.1:2|c|@0.5:3|g", "c 1 *10, c 2 *2, g 3", ""},
        {"a:1|c:2|c:3|c:4|c:5|c", "c 1, c 2, c 3, c 4, c 5", ""},
        {"a:1|c:x|c:3|c", "c 1, c 3", "bad_number"},
        {"a:1|c:2:3|c", "c 1, c 3", "malformed"},
        {"a:1|c:2|c:", "c 1, c 2", "malformed"},
        {"a:1|c:2", "c 1", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void the_type_tells_repeated_packed_and_dogstatsd_lines_apart(void **state) /* S3 */
{
    (void)state;
    static const struct line_case cases[] = {
        /* a ':' in the type: repeated, and "c:3" is no container */
        {"a:1|c:2|c:3|c", "c 1, c 2, c 3", ""},
        {"a:1|c:2|c|c:3", "c 1", "malformed*2"},
        {"a:1:2|c:3|ms", "c 2, d 3", "malformed"},
        /* several ':' in the first field: packed */
        {"a:1:2:3|c", "c 1, c 2, c 3", ""},
        {"a:1:2|ms|@0.1", "d 1 *10, d 2 *10", ""},
        {"a:1:x:3|g|#k:v", "g 1, g 3", "bad_number"},
        {"a:21::22|h", "d 21, d 22", ""},
        {"a:1:|c", "c 1", ""},
        {"a::|c", "", "malformed"},
        {"a:1:2|x", "", "bad_type*2"},
        {"a:1:2|c|@7", "", "bad_rate*2"},
        {"a:+1:-1|g", "g+ 1, g+ -1", ""},
        {"a:1:2", "", "malformed"},
        /* else the fields are DogStatsD's */
        {"a:1|c|c:in-1234", "c 1", ""},
        {"a:1|c|#k:v|c:abc", "c 1", ""},
        {"a:1|c|@0.5|e:external|card:low|#k:v", "c 1 *2", ""},
        {"a:1|c|T1657100430", "", "malformed"},
        {"a:1|c|zz", "", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void a_line_without_name_value_or_type_is_rejected(void **state) /* S4 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"foo", "", "malformed"},      {"foo:", "", "malformed"},       {"foo:1", "", "malformed"},
        {"foo:1|", "", "malformed"},   {"foo:|g", "", "malformed"},     {"foo:|c", "", "malformed"},
        {"foo|c", "", "malformed"},    {"abc666|g", "", "malformed"},   {":", "", "bad_name"},
        {":1|c", "", "bad_name"},      {"|", "", "malformed"},          {"|c:1", "", "malformed"},
        {"foo:1|c|", "", "malformed"}, {"_sc|name|0", "", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void numbers_are_decimal_and_finite(void **state) /* S5 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:+10|c", "c 10", ""},
        {"a:-10|c", "c -10", ""},
        {"a:.5|c", "c 0.5", ""},
        {"a:1.|c", "c 1", ""},
        {"a:10e1|c", "c 100", ""},
        {"a:1e-2|c", "c 0.01", ""},
        {"a:0,345|c", "", "bad_number"},
        {"a:Infinity|c", "", "bad_number"},
        {"a:inf|c", "", "bad_number"},
        {"a:nan|c", "", "bad_number"},
        {"a:NaN|g", "", "bad_number"},
        {"a:0x10|c", "", "bad_number"},
        {"a:1e400|c", "", "bad_number"},
        {"a: 1|c", "", "bad_number"},
        {"a:1 |c", "", "bad_number"},
        {"a:--1|c", "", "bad_number"},
        {"a:1e|c", "", "bad_number"},
        {"a:abc|g", "", "bad_number"},
        {"a:1e308|c|@0.001", "", "bad_number"}, /* the sum would not be finite */
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void a_timer_is_not_negative(void **state) /* S6 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:-1|ms", "", "negative_timer"},
        {"a:-1|h", "", "negative_timer"},
        {"a:-0.0|ms", "d -0", ""},
        {"a:0|ms", "d 0", ""},
        {"a:3:-1:4|ms", "d 3, d 4", "negative_timer"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void a_sign_makes_a_gauge_relative_and_its_rate_says_nothing(void **state) /* S7 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"gd:-50|g", "g+ -50", ""},     {"gd:+4|g", "g+ 4", ""}, {"gd:0|g:-5|g", "g 0, g+ -5", ""},
        {"gd:333|g|@0.1", "g 333", ""}, {"gd:+4|c", "c 4", ""},  {"gd:1|g|@0", "", "bad_rate"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void a_rate_weighs_counters_and_timers_and_leaves_the_value_alone(void **state) /* S8 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:3|c|@0.1", "c 3 *10", ""},
        {"a:320|ms|@0.1", "d 320 *10", ""},
        {"a:1|c|@0.3", "c 1 *3.3333282470703125", ""}, /* 218453 / 65536 */
        {"a:1|c|@0.7", "c 1 *1.4285736083984375", ""}, /* 93623 / 65536 */
        {"a:member|s|@0.1", "u member", ""},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void a_rate_is_above_0_and_at_most_1(void **state) /* S9 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:1|c|@0", "", "bad_rate"},         {"a:1|c|@-1", "", "bad_rate"},
        {"a:1|c|@2", "", "bad_rate"},         {"a:1|c|@", "", "bad_rate"},
        {"a:1|c|@.", "", "bad_rate"},         {"a:1|c|@.1.", "", "bad_rate"},
        {"a:1|c|@2e-1", "c 1 *5", ""},        {"a:1|c|@1", "c 1", ""},
        {"a:1|c|@1.0000001", "", "bad_rate"}, {"a:1|c|@abc", "", "bad_rate"},
        {"a:1|c|@0.5|@0.5", "", "bad_rate"},  {"a:1|c|@1e-300", "", "bad_rate"},
        {"a:1|c|@1e-6", "c 1 *1000000", ""},  {"a:1|c|@nan", "", "bad_rate"},
        {"a:1|c|0.5", "", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void an_unknown_type_is_rejected_and_h_is_a_timer(void **state) /* S10, S12 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"x:5|h", "d 5", ""},        {"x:5|d", "", "bad_type"},
        {"x:5|m", "", "bad_type"},   {"x:5|C", "", "bad_type"},
        {"x:5|kv", "", "bad_type"},  {"x:5|unknown", "", "bad_type"},
        {"x:5|mss", "", "bad_type"}, {"x:5|G", "", "bad_type"},
        {"x:5| c ", "c 5", ""},      {"x:5|m:6|c", "c 6", "bad_type"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void etsys_server_counts_what_it_does_not_know(void **state) /* S10 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"x:5|d", "c 5", ""},          {"x:5|m", "c 5", ""},
        {"x:5|kv|@0.5", "c 5 *2", ""}, {"x:5|unknown|#a:b", "c 5", ""},
        {"x:5|h", "d 5", ""},          {"x:5|g", "g 5", ""},
        {"x:5|m:6|c", "c 5, c 6", ""}, {"x:5:6|d", "c 5, c 6", ""},
        {"x:-5|d", "c -5", ""},        {"x:5|", "", "malformed"},
        {"x:a|d", "", "bad_number"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct statsd_line line = statsd_line_of(str_of(cases[i].line));
        struct sample samples[SAMPLES_MAX];
        struct ledger ledger = {0};
        char got[256];
        size_t count = 0;
        line.unknown_as_counter = true;
        while (line.more)
            count += statsd_parse(&line, samples + count, SAMPLES_MAX - count, &ledger);
        describe(samples, count, got, sizeof got);
        assert_string_equal(got, cases[i].samples);
        describe_rejected(&ledger, got, sizeof got);
        assert_string_equal(got, cases[i].rejected);
    }
}

static void a_set_takes_any_text_up_to_a_colon(void **state) /* S11 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"u:abc|s", "u abc", ""},
        {"u:|s", "u 0", ""},
        {"u:765 or so#1|s", "u 765 or so#1", ""},
        {"u:nan|s", "u nan", ""},
        {"u:a|s:b|s", "u a, u b", ""},
        {"u:abc:def|s", "u def", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void names_stay_as_they_are(void **state) /* S13 */
{
    (void)state;
    static const char *const names[] = {"a",
                                        "a.b-c_d/e",
                                        "ends.in.dot.",
                                        "with space",
                                        "gr\xc3\xb6\xc3\x9f.e",
                                        "$x~!@%^&*()+={}<>?'\""};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        char text[100];
        struct sample samples[SAMPLES_MAX];
        struct ledger ledger;
        (void)snprintf(text, sizeof text, "%s:1|c", names[i]);
        assert_int_equal(parse(str_of(text), 1, samples, &ledger), 1);
        assert_str(samples[0].name, names[i]);
        assert_int_equal(samples[0].tag_style, TAGS_NONE);
        assert_int_equal(samples[0].at, WALL_NONE);
    }
}

static void every_style_of_tags_is_read(void **state) /* S14 */
{
    (void)state;
    static const struct {
        const char *line;
        enum tag_style style;
        const char *tags;
        size_t count;
    } cases[] = {
        {"name:1|c|#k:v,k2:v2", TAGS_COLON, "k:v,k2:v2", 1},
        {"name,k=v,k2=v2:1|c", TAGS_COMMA, "k=v,k2=v2", 1},
        {"name[k=v,k2=v2]:1|c", TAGS_COMMA, "k=v,k2=v2", 1},
        {"name#k=v,k2=v2:1|c", TAGS_COMMA, "k=v,k2=v2", 1},
        {"name;k=v;k2=v2:1|c", TAGS_SEMICOLON, "k=v;k2=v2", 1},
        {"name:1|c|#bench", TAGS_COLON, "bench", 1},
        {"name:1|c|#url:http://x/", TAGS_COLON, "url:http://x/", 1},
        {"name:1|c|#", TAGS_NONE, "", 1},
        {"name:1|c|#|@0.5", TAGS_NONE, "", 1},
        {"name:1|c|#k:v|@0.5", TAGS_COLON, "k:v", 1},
        {"name:1|c|@0.5|#k:v", TAGS_COLON, "k:v", 1},
        {"name:1|c:2|ms|#k:v", TAGS_COLON, "k:v", 2},
        {"name:1:2:3|c|#k:v", TAGS_COLON, "k:v", 3},
        {"name,k=v:1|c:2|c", TAGS_COMMA, "k=v", 2},
        {"name,k=a;b:1|c", TAGS_COMMA, "k=a;b", 1},
        {"name,:1|c", TAGS_NONE, "", 1},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct sample samples[SAMPLES_MAX];
        struct ledger ledger;
        size_t count = parse(str_of(cases[i].line), 1, samples, &ledger);
        if (count != cases[i].count)
            fail_msg("'%s' gives %zu samples", cases[i].line, count);
        for (size_t s = 0; s < count; s++) {
            assert_str(samples[s].name, "name");
            assert_str(samples[s].tags, cases[i].tags);
            assert_int_equal(samples[s].tag_style, cases[i].style);
        }
    }
}

static void mixed_and_broken_tags_are_one_rejected_sample(void **state) /* S14 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"name,k=v:1|c|#k2:v2", "", "bad_tags"},
        {"name;k=v:1|c|#k2:v2", "", "bad_tags"},
        {"name[k=v]:1|c|#k2:v2", "", "bad_tags"},
        {"name#k=v:1|c:2|c|#k2:v2", "", "bad_tags"},
        {"name,k=v;k2=v2:1|c", "", "bad_tags"},
        {"name;k=v,k2=v2:1|c", "", "bad_tags"},
        {"name,k=v#k2=v2:1|c", "", "bad_tags"},
        {"name[k=v:1|c", "", "bad_tags"},
        {"name[k=v]more:1|c", "", "bad_tags"},
        {"name:1|c|#k:v|#k2:v2", "", "bad_tags"},
        {",k=v:1|c", "", "bad_name"},
        {"[k=v]:1|c", "", "bad_name"},
    };
    check_cases(cases, TEST_COUNT(cases));
}

static void what_is_not_etsy_is_rejected_with_its_reason(void **state) /* D9, D10 on this dialect */
{
    (void)state;
    static const struct line_case cases[] = {
        {"_e{5,4}:title|text", "", "bad_type"},
        {"daemon:666|g|#", "g 666", ""},
        {"daemon:666|", "", "malformed"},
        {"\xff\xfe\x00", "", "malformed"},
    };
    check_cases(cases, TEST_COUNT(cases));
    check_case(&(struct line_case){"NUL", "", "bad_number"}, STR("a:1\0|c"));
    check_case(&(struct line_case){"NUL in a type", "", "bad_type"}, STR("a:1|c\0"));
}

static void the_reason_of_a_rejection_is_told(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    struct sample samples[4];
    struct statsd_line line = statsd_line_of(STR("a:x|c:2|c:3|y"));

    assert_int_equal(statsd_parse(&line, samples, 4, &ledger), 1);
    assert_false(line.more);
    assert_int_equal(line.rejected, 2);
    assert_int_equal(line.why, REJECT_bad_type);
}

static void a_line_of_very_many_values_is_parsed_in_parts(void **state)
{
    (void)state;
    enum { VALUES = 20000 };
    static char text[VALUES * 4 + 8];
    struct ledger ledger = {0};
    struct sample samples[64];
    size_t len = (size_t)sprintf(text, "a");
    size_t count = 0;

    for (int i = 0; i < VALUES; i++) {
        memcpy(text + len, ":1|c", 4);
        len += 4;
    }
    struct statsd_line line = statsd_line_of((struct str){text, len});
    while (line.more)
        count += statsd_parse(&line, samples, 64, &ledger);
    assert_int_equal(count, VALUES);
    assert_int_equal(ledger.received, VALUES);
}

/* --- the short way -----------------------------------------------------------------------------
 */

static void assert_same_text(struct str one, struct str other)
{
    assert_int_equal(one.len, other.len);
    if (one.len > 0)
        assert_ptr_equal(one.text, other.text);
}

/* Whether the line went the short way; then it is what the long way makes of it. */
static bool compare_ways(struct str text)
{
    struct sample samples[SAMPLES_MAX];
    struct sample plain;
    struct ledger ledger;
    const struct ledger one = {.received = 1};

    size_t len = statsd_parse_plain(text, &plain);
    if (len == 0)
        return false;
    assert_int_equal(len, text.len);
    assert_int_equal(parse(text, 1, samples, &ledger), 1);
    assert_memory_equal(&ledger, &one, sizeof ledger);
    assert_same_text(plain.name, samples[0].name);
    assert_same_text(plain.tags, samples[0].tags);
    assert_same_text(plain.text, samples[0].text);
    assert_int_equal(plain.tag_style, samples[0].tag_style);
    assert_int_equal(plain.kind, samples[0].kind);
    assert_int_equal(plain.form, samples[0].form);
    assert_memory_equal(&plain.value, &samples[0].value, sizeof plain.value);
    assert_int_equal(plain.weight, samples[0].weight);
    assert_int_equal(plain.at, samples[0].at);
    return true;
}

static void what_nearly_all_lines_are_goes_the_short_way(void **state)
{
    (void)state;
    static const char *const short_ones[] = {
        "a:1|c",
        "a:1|c\r",
        "orders:17|c",
        "shop.checkout.duration:120.5|ms",
        "shop.checkout.duration:120.5|ms|@0.1",
        "a.name.of.sixteen:1|h",
        "queue:+5|g",
        "queue:-5|g|@0.5",
        "signup:1|c|#plan:pro,region:eu",
        "signup:1|c|@0.25|#plan:pro:x\r",
    };
    static const char *const long_ones[] = {
        "",           "a",
        ":1|c",       "a:1",
        "a:|c",       "a:1|",
        "a:1|s",      "a:1|cs",
        "a:1:2|c",    "a:1|c:2|c",
        "a:1|ms:2|c", "a,k=v:1|c",
        "a[k=v]:1|c", "a:-1|ms",
        "a:1|c|@0",   "a:1|c|@0.1:2|c",
        "a:1|c|#",    "a:1|c|#a:b|@0.1",
        "a:1|c|c:id", "a:1e999|c",
        "a: 1|c",     "a:1|c |@0.1",
        "a:1|x",      "a:1|c|@0.1|@0.1",
    };

    for (size_t i = 0; i < TEST_COUNT(short_ones); i++) {
        if (!compare_ways(str_of(short_ones[i])))
            fail_msg("'%s' went the long way", short_ones[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(long_ones); i++) {
        if (compare_ways(str_of(long_ones[i])))
            fail_msg("'%s' went the short way", long_ones[i]);
    }
}

static void the_short_way_is_the_long_way(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",   "name.with.sixteen",
                                         ":",   "|",
                                         ":",   "|",
                                         "1",   "-2.5",
                                         "+7",  "c",
                                         "g",   "ms",
                                         "h",   "s",
                                         "@",   "#",
                                         "0.1", ",",
                                         ";",   "=",
                                         "k:v", "[",
                                         "]",   "\r",
                                         " ",   "1e3",
                                         "|c",  "|@",
                                         "|#",  "a:1|c"};
    enum { LINES = 200000, PIECES_MAX = 10, LINE_SIZE = 256 };
    uint64_t seed = 1;
    int went_short = 0;

    for (int i = 0; i < LINES; i++) {
        char text[LINE_SIZE];
        size_t len = 0;
        for (uint64_t n = random_below(&seed, PIECES_MAX); n > 0; n--) {
            const char *piece = pieces[random_below(&seed, TEST_COUNT(pieces))];
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", piece);
        }
        /* At the end of its memory, so that a sanitizer sees who reads on. */
        char *line = malloc(len + 1);
        assert_non_null(line);
        memcpy(line, text, len);
        line = realloc(line, len == 0 ? 1 : len);
        went_short += compare_ways((struct str){line, len});
        free(line);
    }
    assert_true(went_short > LINES / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_line_counts_nothing_and_a_carriage_return_is_no_part_of_it),
        cmocka_unit_test(values_repeat_with_types_of_their_own),
        cmocka_unit_test(the_type_tells_repeated_packed_and_dogstatsd_lines_apart),
        cmocka_unit_test(a_line_without_name_value_or_type_is_rejected),
        cmocka_unit_test(numbers_are_decimal_and_finite),
        cmocka_unit_test(a_timer_is_not_negative),
        cmocka_unit_test(a_sign_makes_a_gauge_relative_and_its_rate_says_nothing),
        cmocka_unit_test(a_rate_weighs_counters_and_timers_and_leaves_the_value_alone),
        cmocka_unit_test(a_rate_is_above_0_and_at_most_1),
        cmocka_unit_test(an_unknown_type_is_rejected_and_h_is_a_timer),
        cmocka_unit_test(etsys_server_counts_what_it_does_not_know),
        cmocka_unit_test(a_set_takes_any_text_up_to_a_colon),
        cmocka_unit_test(names_stay_as_they_are),
        cmocka_unit_test(every_style_of_tags_is_read),
        cmocka_unit_test(mixed_and_broken_tags_are_one_rejected_sample),
        cmocka_unit_test(what_is_not_etsy_is_rejected_with_its_reason),
        cmocka_unit_test(the_reason_of_a_rejection_is_told),
        cmocka_unit_test(a_line_of_very_many_values_is_parsed_in_parts),
        cmocka_unit_test(what_nearly_all_lines_are_goes_the_short_way),
        cmocka_unit_test(the_short_way_is_the_long_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
