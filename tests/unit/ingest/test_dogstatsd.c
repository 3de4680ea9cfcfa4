/* The rules D1 to D11 of wire-formats.md, each with the vectors it names. */
#include <stdio.h>

#include "ingest/dogstatsd.h"
#include "ingest/statsd.h"
#include "series/random.h"
#include "test.h"

enum { SAMPLES_MAX = 16 };

static size_t parse(struct str text, size_t step, struct sample *out, struct dogstatsd_line *line,
                    struct ledger *ledger)
{
    size_t count = 0;

    *line = dogstatsd_line_of(text);
    *ledger = (struct ledger){0};
    while (line->more) {
        assert_true(count + step <= SAMPLES_MAX);
        count += dogstatsd_parse(line, out + count, step, ledger);
    }
    return count;
}

static size_t append(char *out, size_t used, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static size_t append(char *out, size_t used, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(out + used, size - used, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && (size_t)len < size - used);
    return used + (size_t)len;
}

/* "c 1 *2 #a:b @1000": kind, value, weight, tags, time. */
static void describe(const struct sample *samples, size_t count, char *out, size_t size)
{
    static const char kinds[] = "?cgdus?";
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct sample *sample = &samples[i];
        used = append(out, used, size, "%s%c ", i == 0 ? "" : ", ", kinds[sample->kind]);
        if (sample->kind == METRIC_UNIQUE)
            used = append(out, used, size, "%.*s", STR_ARGS(sample->text));
        else
            used = append(out, used, size, "%.17g", sample->value);
        if (sample->weight != WEIGHT_ONE)
            used = append(out, used, size, " *%.17g", (double)sample->weight / (double)WEIGHT_ONE);
        if (sample->tag_style != TAGS_NONE)
            used = append(out, used, size, " #%.*s", STR_ARGS(sample->tags));
        if (sample->at != WALL_NONE)
            used = append(out, used, size, " @%lld", (long long)sample->at);
        assert_int_equal(sample->form, SAMPLE_VALUE); /* D6 */
    }
}

static void describe_rejected(const struct ledger *ledger, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < REJECT_REASON_COUNT; i++) {
        if (ledger->rejected[i] == 0)
            continue;
        used = append(out, used, size, "%s%s", used == 0 ? "" : " ",
                      reject_reason_name((enum reject_reason)i));
        if (ledger->rejected[i] > 1)
            used = append(out, used, size, "*%d", (int)ledger->rejected[i]);
    }
}

/* `samples` and `rejected` as described; `unknown` fields. */
struct line_case {
    const char *line;
    const char *samples;
    const char *rejected;
    unsigned unknown;
};

/* The short way says the same as the long one, or nothing. */
static void check_plain(const struct line_case *c, const struct sample *samples, size_t count)
{
    struct ledger ledger = {0};
    struct sample plain;
    char want[512];
    char got[512];

    if (!dogstatsd_parse_plain(str_of(c->line), &plain, &ledger)) {
        assert_int_equal(ledger.received, 0);
        return;
    }
    assert_int_equal(count, 1);
    assert_int_equal(ledger.received, 1);
    describe(samples, 1, want, sizeof want);
    describe(&plain, 1, got, sizeof got);
    assert_string_equal(got, want);
    assert_true(str_equal(plain.name, samples[0].name));
    assert_true(str_equal(plain.text, samples[0].text));
}

static void check_case(const struct line_case *c)
{
    for (size_t step = 1; step <= 4; step += 3) {
        struct sample samples[SAMPLES_MAX];
        struct dogstatsd_line line;
        struct ledger ledger;
        uint64_t rejected = 0;
        char got[512];

        size_t count = parse(str_of(c->line), step, samples, &line, &ledger);
        describe(samples, count, got, sizeof got);
        if (strcmp(got, c->samples) != 0)
            fail_msg("'%s': got samples '%s', want '%s'", c->line, got, c->samples);
        describe_rejected(&ledger, got, sizeof got);
        if (strcmp(got, c->rejected) != 0)
            fail_msg("'%s': got rejected '%s', want '%s'", c->line, got, c->rejected);
        if (line.unknown != c->unknown)
            fail_msg("'%s': %u unknown fields, want %u", c->line, line.unknown, c->unknown);
        for (int i = 0; i < REJECT_REASON_COUNT; i++)
            rejected += ledger.rejected[i];
        assert_int_equal(ledger.received, count + rejected);
        assert_int_equal(line.rejected, rejected);
        check_plain(c, samples, count);
    }
}

#define CHECK_CASES(cases)                                                                         \
    for (size_t case_index = 0; case_index < sizeof(cases) / sizeof *(cases); case_index++)        \
    check_case(&(cases)[case_index])

static void fields_come_in_any_order_and_unknown_ones_are_skipped(void **state) /* D1 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"daemon:666|g", "g 666", "", 0},
        {"daemon:666|c|@0.5|#a:b,c", "c 666 *2 #a:b,c", "", 0},
        {"daemon:666|c|#a:b,c|@0.5", "c 666 *2 #a:b,c", "", 0},
        {"daemon:666|c|c:abc|#a:b|T1657100430|@0.5", "c 666 *2 #a:b @1657100430000", "", 0},
        {"daemon:666|c|T1657100430|@0.5|e:x|#a:b|card:low|c:y", "c 666 *2 #a:b @1657100430000", "",
         0},
        {"daemon:666|g|m:test", "g 666", "", 1},
        {"daemon:666|g|m:test|#a:b|whatever|", "g 666 #a:b", "", 3},
        {"daemon:666|g|#a:1|#b:2", "g 666 #b:2", "", 0}, /* the last one counts */
        {"daemon:1|c|@0.5|@0.25", "c 1 *4", "", 0},
        {"daemon:666|g\r", "g 666", "", 0},
        {"", "", "", 0},
        {"\r", "", "", 0},
    };
    CHECK_CASES(cases);
}

static void several_values_share_type_rate_and_tags(void **state) /* D2 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:1:2:32|d", "d 1, d 2, d 32", "", 0},
        {"a:1:2|c|@0.5|#x:y", "c 1 *2 #x:y, c 2 *2 #x:y", "", 0},
        {"a:1:2|g|T1657100430", "g 1 @1657100430000, g 2 @1657100430000", "", 0},
        {"a:21::22|ms", "d 21, d 22", "", 0},
        {"a::1:|h", "d 1", "", 0},
        {"a::|g", "", "malformed", 0},
        {"a:::::|d|#t", "", "malformed", 0},
        {"a:1:x:3|c", "c 1, c 3", "bad_number", 0}, /* the others are not lost (S17) */
        {"a:1:2|c|@7", "", "bad_rate*2", 0},
        {"a:1:2|nope", "", "bad_type*2", 0},
    };
    CHECK_CASES(cases);
}

static void a_colon_is_part_of_the_value_of_a_set(void **state) /* D3 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"daemon:abc:def|s", "u abc:def", "", 0},
        {"daemon:abc|s|@0.5", "u abc", "", 0},
        {"daemon::|s", "u :", "", 0},
        {"daemon:|s", "", "malformed", 0},
        {"daemon:1:2|s|#a:b", "u 1:2 #a:b", "", 0},
    };
    CHECK_CASES(cases);
}

static void the_origin_is_known_and_changes_nothing(void **state) /* D4 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:1|c|c:83c0a99c0a54c0c187f461c7980e9b57", "c 1", "", 0},
        {"a:1|c|c:ci-0123,in-4026531835", "c 1", "", 0},
        {"a:1|c|e:it-false,cn-nginx", "c 1", "", 0},
        {"a:1|c|card:low", "c 1", "", 0},
        {"a:1|c|card:", "c 1", "", 0},
        {"a:1|c|c:", "c 1", "", 0},
        {"a:1|c|card", "c 1", "", 1},
        {"a:1|c|cardinality:x", "c 1", "", 1},
    };
    CHECK_CASES(cases);
}

static void a_time_is_whole_seconds_of_counts_and_gauges(void **state) /* D5 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:1|c|T1", "c 1 @1000", "", 0},
        {"a:1|g|T1657100430", "g 1 @1657100430000", "", 0},
        {"a:1|g|T9999999999", "g 1 @9999999999000", "", 0}, /* the shard's to reject */
        {"a:1|g|T9223372036854775", "g 1 @9223372036854775000", "", 0},
        {"a:1|g|T9223372036854776", "", "bad_time", 0},
        {"a:1|g|T99999999999999999999", "", "bad_time", 0},
        {"a:1|g|T0", "", "bad_time", 0},
        {"a:1|g|T-1", "", "bad_time", 0},
        {"a:1|g|T+1", "", "bad_time", 0},
        {"a:1|g|Tabc", "", "bad_time", 0},
        {"a:1|g|T", "", "bad_time", 0},
        {"a:1|g|T1.5", "", "bad_time", 0},
        {"a:1|h|T1657100430", "", "bad_time", 0},
        {"a:1|d|T1657100430", "", "bad_time", 0},
        {"a:1|ms|T1657100430", "", "bad_time", 0},
        {"a:x|s|T1657100430", "", "bad_time", 0},
        {"a:1:2|h|T1657100430", "", "bad_time*2", 0},
    };
    CHECK_CASES(cases);
}

static void a_sign_does_not_make_a_gauge_relative(void **state) /* D6 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:-10|g", "g -10", "", 0},
        {"a:+10|g", "g 10", "", 0},
        {"a:+10:-10|g", "g 10, g -10", "", 0},
        {"a:-3|ms", "d -3", "", 0}, /* nor a timer wrong (S6 is etsy's) */
        {"a:-3|h", "d -3", "", 0},
    };
    CHECK_CASES(cases);
}

static void tags_are_taken_as_they_are(void **state) /* D7 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"a:1|g|#bench", "g 1 #bench", "", 0},
        {"a:1|g|#", "g 1", "", 0},
        {"a:1|g|#|T1657100430", "g 1 @1657100430000", "", 0},
        {"a:1|g|#url:http://x:80/,b", "g 1 #url:http://x:80/,b", "", 0},
        {"a:1|g|#straße:größe", "g 1 #straße:größe", "", 0},
        {"a:1|g|#a:1,,b:2,", "g 1 #a:1,,b:2,", "", 0},
        {"a:1|g|#a:1=2;c", "g 1 #a:1=2;c", "", 0},
    };
    CHECK_CASES(cases);
}

static void a_name_is_all_before_the_first_colon(void **state) /* D8 */
{
    (void)state;
    static const char *const names[] = {"größe.x", "a b", "a;b=c", "a,b=c", "a#b=c", "a[b=c]", "/"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sample sample;
        struct dogstatsd_line line;
        struct ledger ledger;
        char text[64];
        (void)snprintf(text, sizeof text, "%s:1|c", names[i]);
        assert_int_equal(parse(str_of(text), 1, &sample, &line, &ledger), 1);
        assert_true(str_is(sample.name, names[i]));
        assert_int_equal(sample.tag_style, TAGS_NONE);
    }
}

static void what_must_fail_fails_and_what_must_pass_passes(void **state) /* D9 */
{
    (void)state;
    static const struct line_case cases[] = {
        {"daemon:666", "", "malformed", 0},
        {"daemon:666|", "", "malformed", 0},
        {"daemon:|g", "", "malformed", 0},
        {":666|g", "", "bad_name", 0},
        {"abc666|g", "", "malformed", 0},
        {"daemon:abc|g", "", "bad_number", 0},
        {"daemon:666|unknown", "", "bad_type", 0},
        {"daemon:666|g|@abc", "", "bad_rate", 0},
        {"daemon", "", "malformed", 0},
        {"|g", "", "malformed", 0},
        {":", "", "malformed", 0},
        {"a|b:1|c", "", "malformed", 0},
        {"daemon:666|m", "", "bad_type", 0},
        {"daemon:666|gg", "", "bad_type", 0},
        {"daemon:666|g |#a", "", "bad_type", 0},
        {"daemon:666||#a", "", "malformed", 0},
        {"daemon:inf|g", "", "bad_number", 0},
        {"daemon:NaN|g", "", "bad_number", 0},
        {"daemon:0x10|g", "", "bad_number", 0},
        {"daemon:1,5|g", "", "bad_number", 0},
        {"daemon:1|c|@0", "", "bad_rate", 0},
        {"daemon:1|c|@1.5", "", "bad_rate", 0},
        {"daemon:1|c|@-1", "", "bad_rate", 0},
        {"daemon:1|c|@", "", "bad_rate", 0},
        {"daemon:1e308|c|@0.1", "", "bad_number", 0},
        {"daemon:1e308|g|@0.1", "g 1e+308", "", 0}, /* a level is not weighed */
        {"daemon:666|g|#", "g 666", "", 0},
        {"daemon:666|g|#|T1657100430", "g 666 @1657100430000", "", 0},
        {"daemon:666|d|@1", "d 666", "", 0},
        {"daemon:.5e1|h|@2e-1", "d 5 *5", "", 0},
    };
    CHECK_CASES(cases);
}

/* --- events ------------------------------------------------------------------------------------
 */

struct event_case {
    const char *line;
    const char *title; /* NULL: malformed */
    const char *text;
    unsigned unknown;
};

static void an_event_is_cut_by_the_bytes_it_says(void **state) /* D10 */
{
    (void)state;
    static const struct event_case cases[] = {
        {"_e{10,9}:test title|test text", "test title", "test text", 0},
        {"_e{10,24}:test|title|test\\line1\\nline2\\nline3", "test|title",
         "test\\line1\\nline2\\nline3", 0},
        {"_e{5,0}:title|", "title", "", 0},
        {"_e{5,0}:title||t:error", "title", "", 0},
        {"_e{6,8}:größ|größer", "größ", "größer", 0}, /* bytes, not characters */
        {"_e{4,6}:größ|größer", NULL, NULL, 0},
        {"_e{1,1}:a|b\r", "a", "b", 0},
        {"_e{0,9}:|test text", NULL, NULL, 0},
        {"_e{10,9}:test title|test tex", NULL, NULL, 0},
        {"_e{10,9}:test title|test textx", NULL, NULL, 0},
        {"_e{10,0}:test title", NULL, NULL, 0},
        {"_e{10,9}test title|test text", NULL, NULL, 0},
        {"_e{10,9:test title|test text", NULL, NULL, 0},
        {"_e{10}:test title|test text", NULL, NULL, 0},
        {"_e{,9}:test title|test text", NULL, NULL, 0},
        {"_e{10,}:test title|test text", NULL, NULL, 0},
        {"_e{-1,9}:test title|test text", NULL, NULL, 0},
        {"_e{ 10,9}:test title|test text", NULL, NULL, 0},
        {"_e{10,9,1}:test title|test text", NULL, NULL, 0},
        {"_e{18446744073709551615,1}:a|b", NULL, NULL, 0},
        {"_e{1,18446744073709551615}:a|b", NULL, NULL, 0},
        {"_e{9223372036854775807,9223372036854775807}:a|b", NULL, NULL, 0},
        {"_e{99999999999999999999999,1}:a|b", NULL, NULL, 0},
        {"_e{", NULL, NULL, 0},
        {"_e{}:", NULL, NULL, 0},
        {"_e{1,1}:", NULL, NULL, 0},
        {"_e{1,1}:a", NULL, NULL, 0},
        {"_e{1,1}:a|", NULL, NULL, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct event_case *c = &cases[i];
        struct annotation event;
        enum reject_reason why = REJECT_NONE;
        uint32_t unknown = 0;
        assert_true(dogstatsd_is_event(str_of(c->line)));
        bool ok = dogstatsd_parse_event(str_of(c->line), &event, &unknown, &why);
        if (ok != (c->title != NULL))
            fail_msg("'%s' is %s", c->line, ok ? "an event" : "none");
        assert_int_equal(why, ok ? REJECT_NONE : REJECT_malformed);
        if (!ok)
            continue;
        if (!str_is(event.title, c->title) || !str_is(event.text, c->text))
            fail_msg("'%s': got '%.*s' and '%.*s'", c->line, STR_ARGS(event.title),
                     STR_ARGS(event.text));
        assert_int_equal(unknown, c->unknown);
    }
}

static struct annotation event_of(const char *line, unsigned want_unknown)
{
    struct annotation event;
    enum reject_reason why = REJECT_NONE;
    uint32_t unknown = 0;

    assert_true(dogstatsd_parse_event(str_of(line), &event, &unknown, &why));
    assert_int_equal(unknown, want_unknown);
    return event;
}

static void the_fields_of_an_event_are_all_optional(void **state) /* D10 */
{
    (void)state;
    struct annotation event = event_of("_e{1,1}:a|b", 0);
    assert_true(event.at == WALL_NONE);
    assert_int_equal(event.kind, ANNOTATION_INFO);
    assert_false(event.is_low);
    assert_int_equal(event.host.len + event.key.len + event.source.len + event.tags.len, 0);

    event = event_of("_e{1,1}:a|b|d:21|h:web1|k:deploy|p:low|s:jenkins|t:warning|#env:x,y|c:id|e:"
                     "x|card:low",
                     0);
    assert_int_equal(event.at, 21000);
    assert_int_equal(event.kind, ANNOTATION_WARNING);
    assert_true(event.is_low);
    assert_true(str_is(event.host, "web1"));
    assert_true(str_is(event.key, "deploy"));
    assert_true(str_is(event.source, "jenkins"));
    assert_true(str_is(event.tags, "env:x,y"));

    assert_int_equal(event_of("_e{1,1}:a|b|t:error", 0).kind, ANNOTATION_ERROR);
    assert_int_equal(event_of("_e{1,1}:a|b|t:success", 0).kind, ANNOTATION_SUCCESS);
    assert_int_equal(event_of("_e{1,1}:a|b|t:info|p:normal", 0).kind, ANNOTATION_INFO);
}

static void bad_fields_of_an_event_are_skipped(void **state) /* D10 */
{
    (void)state;
    struct annotation event = event_of("_e{1,1}:a|b|d:abc|p:urgent|t:fatal|x:y||h", 6);

    assert_true(event.at == WALL_NONE);
    assert_int_equal(event.kind, ANNOTATION_INFO);
    assert_false(event.is_low);
    event = event_of("_e{1,1}:a|b|d:-5|d:0|t:error", 2);
    assert_int_equal(event.kind, ANNOTATION_ERROR);
}

static void a_backslash_and_n_is_a_newline(void **state) /* D10 */
{
    (void)state;
    static const struct {
        const char *text, *want;
        size_t room;
    } cases[] = {
        {"a\\nb", "a\nb", 99}, {"\\n", "\n", 99},       {"\\", "\\", 99},
        {"a\\", "a\\", 99},    {"\\t", "\\t", 99},      {"", "", 99},
        {"abc\\nd", "abc", 3}, {"abc\\nd", "abc\n", 4}, {"abc", "", 0},
    };
    char out[100];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = dogstatsd_unescape(str_of(cases[i].text), out, cases[i].room);
        assert_true(str_is((struct str){out, len}, cases[i].want));
    }
}

/* --- service checks ----------------------------------------------------------------------------
 */

static void a_service_check_has_a_name_and_a_status(void **state) /* D11 */
{
    (void)state;
    static const struct {
        const char *line;
        int status; /* -1: none */
        enum reject_reason why;
    } cases[] = {
        {"_sc|agent.up|0", 0, REJECT_NONE},         {"_sc|agent.up|1\r", 1, REJECT_NONE},
        {"_sc|agent.up|2|", 2, REJECT_NONE},        {"_sc|agent.up|3|d:21", 3, REJECT_NONE},
        {"_sc|agent.up|4", -1, REJECT_bad_number},  {"_sc|agent.up|-1", -1, REJECT_bad_number},
        {"_sc|agent.up|00", -1, REJECT_bad_number}, {"_sc|agent.up|ok", -1, REJECT_bad_number},
        {"_sc|agent.up|", -1, REJECT_bad_number},   {"_sc|agent.up", -1, REJECT_malformed},
        {"_sc||0", -1, REJECT_malformed},           {"_sc|", -1, REJECT_malformed},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dogstatsd_check check;
        enum reject_reason why = REJECT_NONE;
        uint32_t unknown = 0;
        assert_true(dogstatsd_is_check(str_of(cases[i].line)));
        bool ok = dogstatsd_parse_check(str_of(cases[i].line), &check, &unknown, &why);
        if (ok != (cases[i].status >= 0) || why != cases[i].why)
            fail_msg("'%s': %s", cases[i].line, ok ? "a check" : reject_reason_name(why));
        if (ok) {
            assert_true(str_is(check.name, "agent.up"));
            assert_int_equal(check.status, cases[i].status);
        }
    }
}

static struct dogstatsd_check check_of(const char *line, unsigned want_unknown)
{
    struct dogstatsd_check check;
    enum reject_reason why = REJECT_NONE;
    uint32_t unknown = 0;

    assert_true(dogstatsd_parse_check(str_of(line), &check, &unknown, &why));
    assert_int_equal(unknown, want_unknown);
    return check;
}

static void the_message_of_a_check_goes_to_the_end_or_the_origin(void **state) /* D11 */
{
    (void)state;
    struct dogstatsd_check check = check_of("_sc|up|1|d:21|h:web1|#a:b,c|m:no answer|from: x|y", 0);
    assert_int_equal(check.at, 21000);
    assert_true(str_is(check.host, "web1"));
    assert_true(str_is(check.tags, "a:b,c"));
    assert_true(str_is(check.message, "no answer|from: x|y"));

    check = check_of("_sc|up|1|m:no answer|c:ci-1|e:x|card:low", 0);
    assert_true(str_is(check.message, "no answer"));
    check = check_of("_sc|up|1|m:|c:ci-1", 0);
    assert_int_equal(check.message.len, 0);
    check = check_of("_sc|up|1|m:", 0);
    assert_int_equal(check.message.len, 0);
    check = check_of("_sc|up|1|d:x|z:1|#t", 2);
    assert_true(check.at == WALL_NONE);
    assert_true(str_is(check.tags, "t"));
}

/* --- beside etsy's dialect ---------------------------------------------------------------------
 */

/* Lines that mean the same in both dialects. */
static size_t make_line(uint64_t *random, char *out, size_t size)
{
    static const char *const values[] = {"1", "0", "12.5", "1e3", ".5", "1.", "x", "inf", ""};
    static const char *const types[] = {"c", "ms", "h", "g", "c", "q"};
    static const char *const rates[] = {"", "", "|@0.5", "|@1", "|@0", "|@x", "|@.1"};
    static const char *const tags[] = {"", "|#a:b", "|#a:b,c", "|#", "|#a:b:c"};
    static const char *const origins[] = {"", "", "|c:abc", "|e:x", "|card:low"};
    bool packed = random_below(random, 3) == 0;
    size_t used = append(out, 0, size, "n%d:%s", (int)random_below(random, 10),
                         values[random_below(random, 9)]);

    for (size_t i = 0; packed && i < 1 + random_below(random, 3); i++)
        used = append(out, used, size, ":%s", values[random_below(random, 8)]);
    used = append(out, used, size, "|%s", types[random_below(random, 6)]);
    used = append(out, used, size, "%s", rates[random_below(random, 7)]);
    used = append(out, used, size, "%s", tags[random_below(random, 5)]);
    return append(out, used, size, "%s", origins[random_below(random, 5)]);
}

static void where_both_dialects_mean_the_same_they_say_the_same(void **state)
{
    (void)state;
    uint64_t random = 20261122;

    for (int round = 0; round < 20000; round++) {
        struct sample ours[SAMPLES_MAX];
        struct sample theirs[SAMPLES_MAX];
        struct ledger ledger;
        struct ledger other = {0};
        struct dogstatsd_line line;
        char text[200];
        char got[1000];
        char want[1000];

        struct str whole = {text, make_line(&random, text, sizeof text)};
        size_t count = parse(whole, SAMPLES_MAX, ours, &line, &ledger);
        struct statsd_line etsy = statsd_line_of(whole);
        size_t other_count = 0;
        while (etsy.more)
            other_count +=
                statsd_parse(&etsy, theirs + other_count, SAMPLES_MAX - other_count, &other);
        describe(ours, count, got, sizeof got);
        describe(theirs, other_count, want, sizeof want);
        if (strcmp(got, want) != 0 || memcmp(&ledger, &other, sizeof ledger) != 0)
            fail_msg("'%s': '%s' here, '%s' there", text, got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_in_any_order_and_unknown_ones_are_skipped),
        cmocka_unit_test(several_values_share_type_rate_and_tags),
        cmocka_unit_test(a_colon_is_part_of_the_value_of_a_set),
        cmocka_unit_test(the_origin_is_known_and_changes_nothing),
        cmocka_unit_test(a_time_is_whole_seconds_of_counts_and_gauges),
        cmocka_unit_test(a_sign_does_not_make_a_gauge_relative),
        cmocka_unit_test(tags_are_taken_as_they_are),
        cmocka_unit_test(a_name_is_all_before_the_first_colon),
        cmocka_unit_test(what_must_fail_fails_and_what_must_pass_passes),
        cmocka_unit_test(an_event_is_cut_by_the_bytes_it_says),
        cmocka_unit_test(the_fields_of_an_event_are_all_optional),
        cmocka_unit_test(bad_fields_of_an_event_are_skipped),
        cmocka_unit_test(a_backslash_and_n_is_a_newline),
        cmocka_unit_test(a_service_check_has_a_name_and_a_status),
        cmocka_unit_test(the_message_of_a_check_goes_to_the_end_or_the_origin),
        cmocka_unit_test(where_both_dialects_mean_the_same_they_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
