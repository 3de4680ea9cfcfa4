#include <stdio.h>
#include <stdlib.h>

#include "series/random.h"
#include "series/series_key.h"
#include "test.h"

/* A key as golden_keys.txt writes it: bytes outside of printable ASCII, and '\', as \xNN. */
static struct buf key_text(struct str key)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.text[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\')
            buf_printf(&text, "\\x%02x", c);
        else
            buf_char(&text, (char)c);
    }
    return text;
}

static uint64_t hex_value(const char *text, size_t digits)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef";
        const char *digit = strchr(all, text[i]);
        assert_non_null(digit);
        value = value << 4 | (uint64_t)(digit - all);
    }
    return value;
}

static struct buf key_of_text(const char *text, size_t len)
{
    struct buf key = BUF_EMPTY;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\') {
            buf_char(&key, (char)hex_value(text + i + 2, 2));
            i += 3;
        } else {
            buf_char(&key, text[i]);
        }
    }
    return key;
}

struct key_case {
    enum metric_kind kind;
    const char *metric;
    enum tag_style style;
    const char *tags; /* NULL: OLD_LABELS */
};

/* What no tags make, but stores of earlier versions have: a label with an empty value. */
static const struct label OLD_LABELS[] = {{STR("flag"), STR_EMPTY},
                                          {STR("url"), STR("http://x:80/")}};

/* In the order of golden_keys.txt. */
static const struct key_case GOLDEN[] = {
    {METRIC_COUNTER, "signup", TAGS_NONE, ""},
    {METRIC_GAUGE, "signup", TAGS_NONE, ""},
    {METRIC_DISTRIBUTION, "request.duration", TAGS_COLON, "route:/a/b,method:GET,route:/a/b"},
    {METRIC_UNIQUE, "visitor", TAGS_COMMA, "plan=pro,country=DE"},
    {METRIC_SCORE, "nps", TAGS_SEMICOLON, "segment=smb;answer=web"},
    {METRIC_UNTYPED, "servers.web1.cpu", TAGS_NONE, ""},
    {METRIC_COUNTER, "bench", TAGS_NONE, NULL},
    {METRIC_COUNTER, "orders", TAGS_COLON, "__other__:true"},
    {METRIC_GAUGE, "temp\xc3\xa9rature", TAGS_COLON, "ville:Z\xc3\xbcrich"},
    {METRIC_COUNTER, "a b\\c", TAGS_COMMA, "b=1,a=2,ab=3,B=4"},
    {METRIC_COUNTER, "bench", TAGS_COLON, "flag,url:http://x:80/"},
};

static struct buf key_of_case(const struct key_case *one)
{
    struct label labels[LABELS_MAX];
    size_t count = 0;
    struct buf key = BUF_EMPTY;
    assert_true(labels_parse(str_of(one->tags), one->style, labels, &count));
    if (one->tags == NULL)
        series_key_write(&key, one->kind, str_of(one->metric), OLD_LABELS, TEST_COUNT(OLD_LABELS));
    else
        series_key_write(&key, one->kind, str_of(one->metric), labels, count);
    return key;
}

/* The folder of this file, then the name. */
static FILE *golden_open(void)
{
    char path[1024];
    const char *end = strrchr(__FILE__, '/');
    assert_non_null(end);
    (void)snprintf(path, sizeof path, "%.*s/golden_keys.txt", (int)(end - __FILE__), __FILE__);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    return file;
}

/* Names of series are in every store and on the network: this file never changes, it only grows.
 * Lines: 32 hex digits of the hash, a blank, the key. */
static void keys_and_their_hashes_are_those_of_the_golden_file(void **state)
{
    (void)state;
    FILE *file = golden_open();
    char line[2048];
    size_t number = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t len = strcspn(line, "\n");
        if (len == 0 || line[0] == '#')
            continue;
        assert_true(number < TEST_COUNT(GOLDEN));
        struct buf key = key_of_text(line + 33, len - 33);
        struct buf written = key_of_case(&GOLDEN[number]);
        struct buf shown = key_text(buf_view(&written));
        assert_int_equal(shown.len, len - 33);
        assert_memory_equal(shown.bytes, line + 33, shown.len);
        assert_true(series_key_is_valid(buf_view(&key)));
        struct series_hash hash = series_key_hash(buf_view(&key));
        assert_true(hash.high == hex_value(line, 16));
        assert_true(hash.low == hex_value(line + 16, 16));
        buf_fini(&key);
        buf_fini(&written);
        buf_fini(&shown);
        number++;
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(number, TEST_COUNT(GOLDEN));
}

static void tags_are_read_in_their_style(void **state)
{
    (void)state;
    static const struct {
        enum tag_style style;
        const char *tags;
        const char *expected; /* NULL: cannot be read */
    } cases[] = {
        {TAGS_NONE, "", ""},
        {TAGS_NONE, "a:1", NULL},
        {TAGS_COLON, "", ""},
        {TAGS_COLON, ",", ""},
        {TAGS_COLON, "bench", "bench=true;"}, /* D7 */
        {TAGS_COLON, "bench,bench:true", "bench=true;"},
        {TAGS_COLON, "b:2,a:1", "a=1;b=2;"},
        {TAGS_COLON, "a:1,,b:2,", "a=1;b=2;"},
        {TAGS_COLON, "a:1:2", "a=1:2;"},
        {TAGS_COLON, "a:", ""}, /* none, whatever the protocol */
        {TAGS_COLON, "a:,b:2,c:", "b=2;"},
        {TAGS_COLON, "a:,a:1", "a=1;"},
        {TAGS_COLON, ":", NULL},
        {TAGS_COLON, "a:1,a:1", "a=1;"},
        {TAGS_COLON, "a:1,a:2", NULL},
        {TAGS_COLON, "a,a:1", NULL},
        {TAGS_COLON, ":1", NULL},
        {TAGS_COLON, "a=1", "a=1=true;"},
        {TAGS_COMMA, "b=2,a=1", "a=1;b=2;"},
        {TAGS_COMMA, "a=1=2", "a=1=2;"},
        {TAGS_COMMA, "a", NULL},
        {TAGS_COMMA, "a=", NULL},
        {TAGS_COMMA, "=1", NULL},
        {TAGS_COMMA, "a=1,", NULL},
        {TAGS_COMMA, "a=1,,b=2", NULL},
        {TAGS_SEMICOLON, "b=2;a=1", "a=1;b=2;"},
        {TAGS_SEMICOLON, "a=1,b=2", "a=1,b=2;"},
        {TAGS_SEMICOLON, "a=1;a=2", NULL},
        {TAGS_SEMICOLON, ";a=1", NULL},
        {TAGS_COLON, "a:\x01", NULL},
        {TAGS_COLON, "a:\xff", NULL},
        {TAGS_COLON, "a\xff:1", NULL},
        {TAGS_COLON, "a\xff:", NULL},
        {TAGS_COLON, "\xff", NULL},
        {TAGS_COLON, "a:\xc3,b:\xbc", NULL}, /* each alone */
        {TAGS_COLON, "a:\xc3\xbc", "a=\xc3\xbc;"},
        {TAGS_COLON, "a:\xed\xa0\x80", NULL},
        {TAGS_COMMA, "a=\xff", NULL},
        {TAGS_COMMA, "\xff=1", NULL},
        {TAGS_SEMICOLON, "a=\xff", NULL},
        {TAGS_KEY, "a\x01\xff", NULL},
        {TAGS_KEY, "\xff\x01v", NULL},
        {TAGS_COLON, "ab:1,a:2,b:3,B:4", "B=4;a=2;ab=1;b=3;"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct label labels[LABELS_MAX];
        size_t count = 0;
        struct buf text = BUF_EMPTY;
        bool ok = labels_parse(str_of(cases[i].tags), cases[i].style, labels, &count);
        assert_int_equal(ok, cases[i].expected != NULL);
        for (size_t j = 0; ok && j < count; j++)
            buf_printf(&text, "%.*s=%.*s;", STR_ARGS(labels[j].name), STR_ARGS(labels[j].value));
        if (ok)
            assert_true(str_is(buf_view(&text), cases[i].expected));
        buf_fini(&text);
    }
    struct label labels[LABELS_MAX];
    size_t count = 0;
    assert_false(labels_parse(STR("a:\0b"), TAGS_COLON, labels, &count));
}

static void labels_have_limits(void **state)
{
    (void)state;
    struct label labels[LABELS_MAX];
    size_t count = 0;
    struct buf tags = BUF_EMPTY;
    for (int i = 0; i < LABELS_MAX; i++)
        buf_printf(&tags, "%sn%d:v", i == 0 ? "" : ",", i);
    assert_true(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));
    assert_int_equal(count, LABELS_MAX);
    buf_text(&tags, ",n0:v");
    assert_true(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));
    buf_text(&tags, ",more:v");
    assert_false(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));

    buf_clear(&tags);
    buf_text(&tags, "a:");
    while (tags.len < LABEL_BYTES_MAX)
        buf_char(&tags, 'v');
    assert_true(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));
    buf_char(&tags, 'v');
    assert_false(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));
    buf_fini(&tags);
}

static void any_order_of_tags_gives_one_key(void **state)
{
    (void)state;
    uint64_t seed = 30;
    struct series_hash first = {0, 0};
    for (int round = 0; round < 200; round++) {
        int order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        struct buf tags = BUF_EMPTY;
        struct buf key = BUF_EMPTY;
        struct label labels[LABELS_MAX];
        size_t count = 0;
        for (size_t i = 8; i > 1; i--) {
            size_t other = random_below(&seed, i);
            int swapped = order[i - 1];
            order[i - 1] = order[other];
            order[other] = swapped;
        }
        for (int i = 0; i < 8; i++)
            buf_printf(&tags, "%sname%d:value%d", i == 0 ? "" : ",", order[i], order[i]);
        assert_true(labels_parse(buf_view(&tags), TAGS_COLON, labels, &count));
        series_key_write(&key, METRIC_COUNTER, STR("m"), labels, count);
        struct series_hash hash = series_key_hash(buf_view(&key));
        if (round == 0)
            first = hash;
        assert_true(series_hash_equal(hash, first));
        buf_fini(&tags);
        buf_fini(&key);
    }
}

static void names_are_checked(void **state)
{
    (void)state;
    static char long_name[METRIC_NAME_MAX + 1];
    memset(long_name, 'n', sizeof long_name);
    assert_true(metric_name_is_valid(STR("a")));
    assert_true(metric_name_is_valid(STR("shop.orders/total count")));
    assert_true(metric_name_is_valid(STR("\xc3\xa9")));
    assert_true(metric_name_is_valid((struct str){long_name, METRIC_NAME_MAX}));
    assert_false(metric_name_is_valid((struct str){long_name, METRIC_NAME_MAX + 1}));
    assert_false(metric_name_is_valid(STR_EMPTY));
    assert_false(metric_name_is_valid(STR("a\tb")));
    assert_false(metric_name_is_valid(STR("a\0b")));
    assert_false(metric_name_is_valid(STR("a\x7f")));
    assert_true(metric_name_is_storable(STR("temp\xc3\xa9rature")));
    assert_false(metric_name_is_storable(STR("a\tb")));
    static const struct {
        struct str name;
        bool is_clean;
    } control[] = {{STR("a\xc2\x80"), false},
                   {STR("\xc2\x9f"
                        "a"),
                    false},
                   {STR("a\xc2\x85"
                        "b"),
                    false},
                   {STR("a\xc2\xa0"
                        "b"),
                    true},
                   {STR("a\xc3\x85"), true},
                   {STR("a\xe2\x82\x82"), true},
                   {STR("\xf0\x90\x82\x85"), true},
                   {STR("a\nb"), false}};
    for (size_t i = 0; i < TEST_COUNT(control); i++) {
        assert_int_equal(metric_name_is_clean(control[i].name), control[i].is_clean);
        assert_int_equal(metric_name_is_storable(control[i].name), control[i].is_clean);
    }
    assert_true(metric_name_is_valid(STR("a\xc2\x85"
                                         "b")));
    /* Those of earlier versions can be asked for, and there are no more of them. */
    assert_true(metric_name_is_valid(STR("a\xff")));
    assert_false(metric_name_is_storable(STR("a\xff")));
}

static void a_key_gives_back_what_it_was_made_of(void **state)
{
    (void)state;
    struct buf key = key_of_case(&GOLDEN[3]);
    struct str value = STR_EMPTY;
    struct label label;
    size_t at = 0;
    struct str view = buf_view(&key);
    assert_int_equal(series_key_kind(view), METRIC_UNIQUE);
    assert_true(str_is(series_key_metric(view), "visitor"));
    assert_true(series_key_label(view, STR("plan"), &value));
    assert_true(str_is(value, "pro"));
    assert_true(series_key_label(view, STR("country"), &value));
    assert_true(str_is(value, "DE"));
    assert_false(series_key_label(view, STR("pla"), &value));
    assert_false(series_key_label(view, STR("visitor"), &value));
    assert_true(series_key_next_label(view, &at, &label));
    assert_true(str_is(label.name, "country"));
    assert_true(series_key_next_label(view, &at, &label));
    assert_true(str_is(label.name, "plan"));
    assert_false(series_key_next_label(view, &at, &label));
    buf_fini(&key);
}

static void keys_are_shown_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        struct key_case key;
        const char *expected;
    } cases[] = {
        {{METRIC_COUNTER, "signup", TAGS_NONE, ""}, "signup"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "b:2,a"}, "s{a=\"true\",b=\"2\"}"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "a:\"\\\n"}, "s{a=\"\\\"\\\\\\n\"}"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "a:\r\t\x1b\x7f"}, "s{a=\"\\r\\t\\x1b\\x7f\"}"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "a:\xc3\xbc"}, "s{a=\"\xc3\xbc\"}"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "a:\xe2\x80\x8bx"}, "s{a=\"\\xe2\\x80\\x8bx\"}"},
        {{METRIC_COUNTER, "s", TAGS_COLON, "a b:1,c.d-e:2"}, "s{\"a b\"=\"1\",c.d-e=\"2\"}"},
        {{METRIC_COUNTER, "s", TAGS_COMMA, "a\"=1"}, "s{\"a\\\"\"=\"1\"}"},
        {{METRIC_COUNTER, "s p/x", TAGS_COMMA, "a=1"}, "\"s p/x\"{a=\"1\"}"},
        {{METRIC_COUNTER, "s p/x", TAGS_NONE, ""}, "\"s p/x\""},
        {{METRIC_COUNTER, "a:b-c.d_e", TAGS_NONE, ""}, "a:b-c.d_e"},
        {{METRIC_COUNTER, "temp\xc3\xa9rature", TAGS_NONE, ""}, "temp\xc3\xa9rature"},
        {{METRIC_COUNTER, "s\xe2\x80\xae", TAGS_NONE, ""}, "\"s\\xe2\\x80\\xae\""},
        /* of stores of earlier versions */
        {{METRIC_COUNTER, "s\xff", TAGS_NONE, ""}, "\"s\\xff\""},
        {{METRIC_COUNTER, "s", TAGS_NONE, NULL}, "s{flag=\"\",url=\"http://x:80/\"}"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf key = key_of_case(&cases[i].key);
        struct buf text = BUF_EMPTY;
        series_key_format(&text, buf_view(&key));
        assert_true(str_is(buf_view(&text), cases[i].expected));
        buf_fini(&text);
        buf_fini(&key);
    }
}

static void what_is_not_a_key_is_refused(void **state)
{
    (void)state;
    static const struct str bad[] = {
        {NULL, 0},
        {"\x01", 1},
        {"\x01m", 2},        /* no end of the metric */
        {"\x00m\x00", 3},    /* no kind */
        {"\x07m\x00", 3},    /* no such kind */
        {"\x01\x00", 2},     /* no metric */
        {"\x01m\nn\x00", 5}, /* a control character */
        {"\x01m\x00"
         "a\x01"
         "1",
         6}, /* no end of the value */
        {"\x01m\x00"
         "a\x00",
         5}, /* no value */
        {"\x01m\x00\x01"
         "1\x00",
         6}, /* no name */
        {"\x01m\x00"
         "b\x01"
         "1\x00"
         "a\x01"
         "1\x00",
         11}, /* not sorted */
        {"\x01m\x00"
         "a\x01"
         "1\x00"
         "a\x01"
         "2\x00",
         11}, /* a name twice */
        {"\x01m\x00"
         "a\x01\x01\x00",
         7}, /* 0x01 in a value */
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++)
        assert_false(series_key_is_valid(bad[i]));
    assert_true(series_key_is_valid((struct str){"\x01m\x00"
                                                 "a\x01\x00",
                                                 6}));
}

/* Every key that tags can make is valid, up to the limits; tags without a value, of which some are
 * among the others here, become longer. */
static void the_largest_key_is_valid(void **state)
{
    (void)state;
    static char name[METRIC_NAME_MAX];
    size_t largest = 0;
    int refused = 0;
    memset(name, 'n', sizeof name);
    for (int without = 0; without < LABELS_MAX; without++) {
        struct label labels[LABELS_MAX];
        size_t count = 0;
        struct buf tags = BUF_EMPTY;
        struct buf key = BUF_EMPTY;
        for (int i = 0; i < LABELS_MAX - 1; i++)
            buf_printf(&tags, i < without ? "t%02d," : "t%02d:v,", i);
        while (tags.len < LABEL_BYTES_MAX)
            buf_char(&tags, 'u');
        if (labels_parse(buf_view(&tags), TAGS_COLON, labels, &count)) {
            assert_int_equal(count, LABELS_MAX);
            series_key_write(&key, METRIC_GAUGE, (struct str){name, sizeof name}, labels, count);
            assert_true(series_key_is_valid(buf_view(&key)));
            largest = key.len > largest ? key.len : largest;
        } else {
            refused++;
        }
        buf_fini(&tags);
        buf_fini(&key);
    }
    assert_true(largest > 1 + METRIC_NAME_MAX + LABEL_BYTES_MAX + LABELS_MAX);
    assert_true(refused > 0);
}

static void damaged_keys_are_read_without_harm(void **state)
{
    (void)state;
    uint64_t seed = 31;
    for (int round = 0; round < 20000; round++) {
        struct buf key = key_of_case(&GOLDEN[random_below(&seed, TEST_COUNT(GOLDEN))]);
        struct buf text = BUF_EMPTY;
        struct label label;
        struct str value;
        size_t at = 0;
        size_t labels = 0;
        key.bytes[random_below(&seed, key.len)] = (char)random_below(&seed, 4);
        struct str view = {key.bytes, random_below(&seed, key.len + 1)};
        while (series_key_next_label(view, &at, &label))
            labels++;
        assert_true(labels <= view.len);
        (void)series_key_metric(view);
        (void)series_key_is_valid(view);
        (void)series_key_label(view, STR("plan"), &value);
        series_key_format(&text, view);
        buf_fini(&text);
        buf_fini(&key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_their_hashes_are_those_of_the_golden_file),
        cmocka_unit_test(tags_are_read_in_their_style),
        cmocka_unit_test(labels_have_limits),
        cmocka_unit_test(any_order_of_tags_gives_one_key),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_key_gives_back_what_it_was_made_of),
        cmocka_unit_test(keys_are_shown_as_people_write_them),
        cmocka_unit_test(what_is_not_a_key_is_refused),
        cmocka_unit_test(the_largest_key_is_valid),
        cmocka_unit_test(damaged_keys_are_read_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
