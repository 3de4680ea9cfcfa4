#include <stdio.h>

#include "series/bounded_test.h"
#include "test.h"
#include "web/cell_line.h"

#define AT           INT64_C(1740000000000) /* a whole minute, and a whole quarter of an hour before it */
#define MINUTE_OF_AT (AT / MS_PER_MINUTE)

static void write_key(struct buf *out, enum metric_kind kind, const char *metric, const char *tags)
{
    struct label labels[LABELS_MAX];
    size_t count = 0;

    assert_true(labels_parse(str_of(tags), TAGS_SEMICOLON, labels, &count));
    series_key_write(out, kind, str_of(metric), labels, count);
}

/* A line and back is the same cell to the bit. */
static void expect_round_trip(struct str key, const struct cell *cell)
{
    struct buf line = BUF_EMPTY;
    struct buf bytes = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct cell_line read;
    struct error err = ERROR_EMPTY;

    cell_line_write(&line, &(const struct export_cell){key, AT, MS_PER_MINUTE, cell});
    assert_int_equal(line.bytes[line.len - 1], '\n');
    if (!cell_line_read(buf_view(&line), &read, &err))
        fail_msg("%s: %.*s", err.text, (int)line.len, line.bytes);
    assert_true(str_equal(buf_view(&read.key), key));
    assert_int_equal(read.minute, MINUTE_OF_AT);
    cell_encode(cell, &bytes);
    cell_encode(&read.cell, &again);
    assert_true(str_equal(buf_view(&bytes), buf_view(&again)));
    cell_line_fini(&read);
    buf_fini(&line);
    buf_fini(&bytes);
    buf_fini(&again);
}

static void doubles_come_back_to_the_bit(void **state)
{
    static const double values[] = {0,      1,
                                    -1,     0.1,
                                    1e300,  -1e-300,
                                    1e20,   123456789012345680.0,
                                    5e-324, 1.7976931348623157e308,
                                    1.0 / 3};
    struct buf key = BUF_EMPTY;
    (void)state;

    write_key(&key, METRIC_GAUGE, "level", "a=b;c=d");
    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        for (size_t j = 0; j < TEST_COUNT(values); j++) {
            struct cell cell = CELL_EMPTY;
            aggregate_add(&cell.aggregate, values[i], WEIGHT_ONE, AT + 1, 17);
            aggregate_add(&cell.aggregate, values[j], WEIGHT_ONE / 3, AT + 59999, 18);
            expect_round_trip(buf_view(&key), &cell);
        }
    }
    buf_fini(&key);
}

static void counts_and_arrivals_of_any_size_come_back(void **state)
{
    static const uint64_t counts[] = {1, 65536, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    struct buf key = BUF_EMPTY;
    (void)state;

    write_key(&key, METRIC_COUNTER, "orders", "");
    for (size_t i = 0; i < TEST_COUNT(counts); i++) {
        struct cell cell = CELL_EMPTY;
        aggregate_add(&cell.aggregate, 2, counts[i], AT, counts[i]);
        expect_round_trip(buf_view(&key), &cell);
        cell.aggregate.first_arrival = 0; /* as of cells that were folded */
        cell.aggregate.last_arrival = 0;
        expect_round_trip(buf_view(&key), &cell);
    }
    buf_fini(&key);
}

static void sketches_come_back_to_the_bit(void **state)
{
    struct buf key = BUF_EMPTY;
    struct cell uniques = CELL_EMPTY;
    struct cell values = CELL_EMPTY;
    uint64_t seed = 1;
    char member[24];
    (void)state;

    write_key(&key, METRIC_UNIQUE, "visitors", "page=home");
    uniques.distinct = distinct_new();
    expect_round_trip(buf_view(&key), &uniques); /* a cell of uniques alone */
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(member, sizeof member, "visitor %d", i);
        distinct_add(uniques.distinct, str_of(member));
        if (i % 400 < 3)
            expect_round_trip(buf_view(&key), &uniques);
    }
    cell_fini(&uniques);

    buf_clear(&key);
    write_key(&key, METRIC_DISTRIBUTION, "latency", "");
    for (int i = 0; i < 300; i++) {
        cell_add_value(&values, i < 3 ? 7 : i * 1.37 - 50, WEIGHT_ONE, AT + i, (uint64_t)i + 1);
        expect_round_trip(buf_view(&key), &values);
    }
    for (uint64_t i = 0; i < 30; i++) { /* beside these, and alone */
        struct cell alone = CELL_EMPTY;
        add_between(&values, &seed, AT + 1, i);
        expect_round_trip(buf_view(&key), &values);
        add_between(&alone, &seed, AT + 1, i);
        expect_round_trip(buf_view(&key), &alone);
        cell_fini(&alone);
    }
    cell_fini(&values);
    buf_fini(&key);
}

static void names_that_are_no_text_come_back(void **state)
{
    static const char *const names[] = {"caf\xc3\xa9", "caf\xe9", "\xff\xfe", "with \"quotes\" \\"};
    struct cell cell = CELL_EMPTY;
    (void)state;

    aggregate_add(&cell.aggregate, 1, WEIGHT_ONE, AT, 1);
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        struct buf key = BUF_EMPTY;
        write_key(&key, METRIC_COUNTER, names[i], "a=b");
        expect_round_trip(buf_view(&key), &cell);
        buf_clear(&key);
        const struct label label = {STR("name"), str_of(names[i])};
        series_key_write(&key, METRIC_COUNTER, STR("orders"), &label, 1);
        expect_round_trip(buf_view(&key), &cell);
        buf_fini(&key);
    }
}

#define PLACE   "\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"1m\",\"from_ms\":1740000000000"
#define NUMBERS "\"count\":131072,\"sum\":3,\"sum_low\":0,\"min\":1,\"max\":2"
#define FIRST   "\"first\":1,\"first_at\":1740000000001,\"first_arrival\":0"
#define LAST    "\"last\":2,\"last_at\":1740000000002,\"last_arrival\":0"
#define GOOD    "{" PLACE "," NUMBERS "," FIRST "," LAST "}"

static bool reads(const char *line)
{
    struct cell_line read;
    struct error err = ERROR_EMPTY;
    bool ok = cell_line_read(str_of(line), &read, &err);

    if (!ok && (err.kind != ERROR_INVALID || err.text[0] == '\0'))
        fail_msg("'%s' is refused without words", line);
    cell_line_fini(&read);
    return ok;
}

static void what_is_no_cell_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "7",
        GOOD GOOD,
        "{" PLACE "}",
        "{" PLACE "," NUMBERS "," FIRST "}",
        "{" PLACE ",\"count\":0}",
        "{" PLACE ",\"count\":0.5}",
        "{" PLACE ",\"count\":\"18446744073709551616\"}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"distinct\":\"AA==\"}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"distinct\":\"A\"}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"distinct\":\"A===\"}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"distinct\":\"AA=A\"}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"distinct\":7}",
        "{" PLACE "," NUMBERS "," FIRST "," LAST ",\"counts_values\":true}",
        "{" PLACE "," NUMBERS ",\"first\":3,\"first_at\":1740000000001,\"first_arrival\":0," LAST
        "}",
        "{" PLACE "," NUMBERS ",\"first\":1,\"first_at\":1740000000003,\"first_arrival\":0," LAST
        "}",
        "{" PLACE "," NUMBERS ",\"first\":1,\"first_at\":1739999999999,\"first_arrival\":0," LAST
        "}",
        "{" PLACE "," NUMBERS "," FIRST ",\"last\":2,\"last_at\":1740000060000,\"last_arrival\":0}",
        "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"1m\",\"from_ms\":1739999700000," NUMBERS
        "," FIRST ",\"last\":2,\"last_at\":1740000600000,\"last_arrival\":0}",
        "{" PLACE "," NUMBERS "," FIRST ",\"last\":1e999,\"last_at\":1740000000002,"
        "\"last_arrival\":0}",
        "{\"key\":\"AAAA\",\"level\":\"1m\",\"from_ms\":1740000000000," NUMBERS "," FIRST "," LAST
        "}",
        "{\"metric\":\"m\",\"kind\":\"counter\",\"labels\":{\"\":\"x\"},\"level\":\"1m\","
        "\"from_ms\":1740000000000," NUMBERS "," FIRST "," LAST "}",
        "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"1m\",\"from_ms\":1740000000001," NUMBERS
        "," FIRST "," LAST "}",
        "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"1m\",\"from_ms\":9223372036854720000," NUMBERS
        "," FIRST "," LAST "}",
    };
    (void)state;

    assert_true(reads(GOOD));
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        if (reads(wrong[i]))
            fail_msg("'%s' is a cell", wrong[i]);
    }
}

#define DAY      "\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"day\",\"zone\":\"Europe/Berlin\""
#define DAY_FROM ",\"day\":\"2025-02-20\",\"from_ms\":1740006000000"
#define DAY_TO   ",\"to_ms\":1740092400000"
#define DAY_FULL                                                                                            \
    ",\"count\":131072,\"sum\":3,\"sum_low\":0,\"min\":1,\"max\":2,\"first\":1,\"first_at\":1740006000000," \
    "\"first_arrival\":0,\"last\":2,\"last_at\":1740092399999,\"last_arrival\":0}"

static void what_is_no_day_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{" DAY ",\"day\":\"2025-02-29\",\"from_ms\":1740006000000" DAY_TO DAY_FULL,
        "{" DAY ",\"day\":\"2025-2-20\",\"from_ms\":1740006000000" DAY_TO DAY_FULL,
        "{" DAY ",\"day\":\"2025-02-25\",\"from_ms\":1740006000000" DAY_TO DAY_FULL,
        "{" DAY ",\"day\":\"2025-02-20\",\"from_ms\":1740006000001" DAY_TO DAY_FULL,
        "{" DAY DAY_FROM ",\"to_ms\":1740006000000" DAY_FULL,
        "{" DAY DAY_FROM ",\"to_ms\":1740352500000" DAY_FULL,
        "{" DAY DAY_FROM ",\"to_ms\":1740091500000" DAY_FULL, /* its last sample is not in it */
        "{" DAY DAY_FROM DAY_TO "}",
        "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"day\"" DAY_FROM DAY_TO DAY_FULL,
        "{\"metric\":\"m\",\"kind\":\"counter\",\"level\":\"day\",\"zone\":\"\"" DAY_FROM DAY_TO
            DAY_FULL,
        "{\"zone\":\"Europe/Berlin\",\"first_day\":\"2025-02-20\"}",
        "{\"zone\":\"Europe/Berlin\",\"first_day\":\"2025-02-20\",\"last_day\":\"2025-02-19\"}",
        "{\"zone\":7,\"first_day\":\"2025-02-20\",\"last_day\":\"2025-02-21\"}",
        "{\"zone\":\"Europe/Berlin\",\"first_day\":\"0000-02-20\",\"last_day\":\"2025-02-21\"}",
        "{\"metric\":\"m\",\"hours_from_ms\":1740013200000,\"zones\":{}}", /* in no window */
        "{\"metric\":\"m\",\"hours_from_ms\":1739995200000,\"zones\":[]}",
        "{\"metric\":\"m\",\"hours_from_ms\":1739995200000,\"zones\":{\"\":null}}",
        "{\"metric\":\"m\",\"hours_from_ms\":1739995200000,\"zones\":{\"UTC\":1}}",
        "{\"metric\":\"\",\"hours_from_ms\":1739995200000,\"zones\":{}}",
        "{\"hours_from_ms\":1739995200000,\"zones\":{}}",
    };
    (void)state;

    assert_true(reads("{" DAY DAY_FROM DAY_TO DAY_FULL));
    assert_true(reads(
        "{\"zone\":\"Europe/Berlin\",\"first_day\":\"2024-02-29\",\"last_day\":\"2024-02-29\"}"));
    assert_true(
        reads("{\"metric\":\"m\",\"hours_from_ms\":1739995200000,\"zones\":{\"UTC\":null}}"));
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        if (reads(wrong[i]))
            fail_msg("'%s' is a line", wrong[i]);
    }
}

static void what_is_said_of_days_comes_back(void **state)
{
    const struct export_gap gaps[] = {{STR("Europe/Berlin"), WALL_NONE},
                                      {STR("Asia/Kathmandu"), AT - AT % (15 * MS_PER_MINUTE)}};
    const struct str names[] = {STR("orders"), STR("caf\xe9")};
    const struct export_zone zone = {STR("Asia/Kathmandu"), -1, 20000};
    struct buf line = BUF_EMPTY;
    struct cell_line read;
    struct error err = ERROR_EMPTY;
    (void)state;

    cell_line_write_zone(&line, &zone);
    assert_true(cell_line_read(buf_view(&line), &read, &err));
    assert_int_equal(read.kind, CELL_LINE_ZONE);
    assert_true(str_equal(read.zone.zone, zone.zone));
    assert_int_equal(read.zone.first, -1);
    assert_int_equal(read.zone.last, 20000);
    cell_line_fini(&read);
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        const struct export_metric metric = {names[i], AT - AT % (4 * MS_PER_HOUR), gaps,
                                             TEST_COUNT(gaps)};
        buf_clear(&line);
        cell_line_write_metric(&line, &metric);
        if (!cell_line_read(buf_view(&line), &read, &err))
            fail_msg("%s", err.text);
        assert_int_equal(read.kind, CELL_LINE_METRIC);
        assert_true(str_equal(read.metric.metric, names[i]));
        assert_int_equal(read.metric.hours_from, metric.hours_from);
        assert_int_equal(read.metric.gap_count, TEST_COUNT(gaps));
        for (size_t j = 0; j < TEST_COUNT(gaps); j++) {
            assert_true(str_equal(read.metric.gaps[j].zone, gaps[j].zone));
            assert_int_equal(read.metric.gaps[j].whole_from, gaps[j].whole_from);
        }
        cell_line_fini(&read);
    }
    buf_fini(&line);
}

static void a_quarter_of_an_hour_is_its_first_minute(void **state)
{
    struct cell_line read;
    struct error err = ERROR_EMPTY;
    struct buf key = BUF_EMPTY;
    struct buf line = BUF_EMPTY;
    struct cell cell = CELL_EMPTY;
    const wall_ms quarter = AT - AT % (15 * MS_PER_MINUTE);
    (void)state;

    write_key(&key, METRIC_COUNTER, "orders", "");
    aggregate_add(&cell.aggregate, 1, WEIGHT_ONE, quarter + 14 * MS_PER_MINUTE, 1);
    cell_line_write(&line, &(const struct export_cell){buf_view(&key), quarter,
                                                       (span_ms)15 * MS_PER_MINUTE, &cell});
    assert_true(cell_line_read(buf_view(&line), &read, &err));
    assert_int_equal(read.minute, quarter / MS_PER_MINUTE);
    cell_line_fini(&read);
    /* And as a minute again, from the store that took it. */
    buf_clear(&line);
    cell_line_write(&line,
                    &(const struct export_cell){buf_view(&key), quarter, MS_PER_MINUTE, &cell});
    assert_true(cell_line_read(buf_view(&line), &read, &err));
    assert_int_equal(read.minute, quarter / MS_PER_MINUTE);
    cell_line_fini(&read);
    buf_fini(&key);
    buf_fini(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_come_back_to_the_bit),
        cmocka_unit_test(counts_and_arrivals_of_any_size_come_back),
        cmocka_unit_test(sketches_come_back_to_the_bit),
        cmocka_unit_test(names_that_are_no_text_come_back),
        cmocka_unit_test(what_is_no_cell_is_refused),
        cmocka_unit_test(what_is_no_day_is_refused),
        cmocka_unit_test(what_is_said_of_days_comes_back),
        cmocka_unit_test(a_quarter_of_an_hour_is_its_first_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
