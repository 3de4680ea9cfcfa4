#include "store/history.h"
#include "store/scan.h"

enum { SERIES = 12, ROUNDS = 8, QUERIES = 60 };

/* --- what a query gives --- */

struct row {
    size_t series;
    wall_ms from;
    struct cell cell;
};

struct rows {
    struct row *items;
    size_t count, capacity;
    size_t max; /* stop after so many; 0: never */
};

static void add_row(struct rows *rows, size_t series, wall_ms from, const struct cell *cell)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;
        rows->items = memory_grow(rows->items, rows->capacity, sizeof *rows->items);
    }
    rows->items[rows->count] = (struct row){series, from, CELL_EMPTY};
    cell_merge(&rows->items[rows->count++].cell, cell);
}

static bool take_row(size_t series, wall_ms from, const struct cell *cell, void *arg)
{
    struct rows *rows = arg;
    add_row(rows, series, from, cell);
    return rows->max == 0 || rows->count < rows->max;
}

static void rows_fini(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        cell_fini(&rows->items[i].cell);
    free(rows->items);
}

/* Bytes of a cell without its arrivals, which partitions do not keep. */
static void encode(struct cell *cell, struct buf *out)
{
    cell->aggregate.first_arrival = 0;
    cell->aggregate.last_arrival = 0;
    cell_encode(cell, out);
}

static void assert_rows_equal(struct rows *rows, struct rows *expected)
{
    assert_int_equal(rows->count, expected->count);
    for (size_t i = 0; i < rows->count; i++) {
        struct buf one = BUF_EMPTY;
        struct buf other = BUF_EMPTY;
        assert_int_equal(rows->items[i].series, expected->items[i].series);
        assert_int_equal(rows->items[i].from, expected->items[i].from);
        encode(&rows->items[i].cell, &one);
        encode(&expected->items[i].cell, &other);
        assert_true(str_equal(buf_view(&one), buf_view(&other)));
        buf_fini(&one);
        buf_fini(&other);
    }
}

/* --- brute force --- */

/* The steps of a query, and where the plan of the same range says that data is. */
struct brute {
    const struct history *history;
    const struct query *query;
    struct plan_range range;
    struct plan plan;
};

static int64_t brute_step(const struct brute *brute, int64_t minute)
{
    return brute->range.step == 0 ? 0 : (minute - brute->range.from) / brute->range.step;
}

static bool is_covered(const struct brute *brute, int64_t minute)
{
    for (size_t i = 0; i < brute->plan.count; i++) {
        const struct plan_segment *segment = &brute->plan.segments[i];
        int64_t quarter = quarter_of_minute(minute) * MINUTES_PER_QUARTER;
        if (minute < segment->from || minute >= segment->to)
            continue;
        return !segment->may_straddle ||
               brute_step(brute, quarter) == brute_step(brute, quarter + MINUTES_PER_QUARTER - 1);
    }
    return false;
}

static void brute_row(const struct brute *brute, const uint32_t *ids, size_t id_count,
                      size_t series, struct rows *out)
{
    int64_t steps = brute_step(brute, brute->range.to - 1) + 1;
    struct cell *cells = memory_zero((size_t)steps, sizeof *cells);

    for (size_t i = 0; i < brute->history->count; i++) {
        const struct history_sample *sample = &brute->history->samples[i];
        int64_t minute = history_minute(sample);
        if (minute < brute->range.from || minute >= brute->range.to || !is_covered(brute, minute))
            continue;
        for (size_t j = 0; j < id_count; j++) {
            struct cell one = CELL_EMPTY;
            if (ids[j] != sample->id)
                continue;
            history_take(sample, &one);
            cell_merge(&cells[brute_step(brute, minute)], &one);
            cell_fini(&one);
        }
    }
    for (int64_t i = 0; i < steps; i++) {
        if (cells[i].aggregate.count > 0)
            add_row(out, series, (brute->range.from + i * brute->range.step) * MS_PER_MINUTE,
                    &cells[i]);
        cell_fini(&cells[i]);
    }
    free(cells);
}

static unsigned levels_of(const struct plan *plan)
{
    static const unsigned bits[] = {COVERAGE_MINUTE, COVERAGE_QUARTER_HOUR, COVERAGE_DAY};
    unsigned levels = 0;

    for (size_t i = 0; i < plan->count; i++)
        levels |= bits[plan->segments[i].level];
    return levels;
}

/* `covered` becomes what a query should say that it read, but for the newest sample. */
static void brute_rows(const struct read_txn *txn, const struct history *history,
                       const struct query *query, struct rows *out, struct coverage *covered)
{
    struct arena arena = ARENA_EMPTY;
    struct brute brute = {.history = history, .query = query};
    uint32_t ids[2 * SERIES];
    struct kept kept;

    brute.range.from = plan_minute_of(query->from);
    brute.range.to = plan_minute_of(query->to - 1) + 1;
    brute.range.step = query->step / MS_PER_MINUTE;
    kept_of_rest(txn, &kept);
    MUST(plan_read(txn, &kept, &brute.range, &arena, &brute.plan, &err));
    covered->complete = brute.plan.complete;
    covered->levels = levels_of(&brute.plan);
    for (size_t i = 0; i < query->series_count; i++)
        ids[i] = query->series[i].id;
    if (query->merge_series)
        brute_row(&brute, ids, query->series_count, 0, out);
    for (size_t i = 0; !query->merge_series && i < query->series_count; i++)
        brute_row(&brute, &ids[i], 1, i, out);
    arena_fini(&arena);
}

/* --- histories --- */

/* Of every kind: with and without quarters, days, dropped levels, runs, partitions. */
static void make_history(struct history *history, uint64_t round, uint64_t *seed)
{
    static const unsigned folded[] = {80, 0, 100, 50};
    int64_t start = HISTORY_START / MINUTES_PER_QUARTER;

    memset(history, 0, sizeof *history);
    history->days = 6;
    history->quarter_window = round % 2 == 0 ? QUARTERS_PER_WEEK : 40;
    history->stages = round % 3 == 0 ? 1 : 4;
    for (enum mark mark = 0; mark < MARK_COUNT; mark++)
        history->marks[mark] = INT64_MIN;
    int64_t quartered = start + (int64_t)random_below(seed, 7 * 6) * QUARTERS_PER_WINDOW;
    if (round % 4 == 1)
        quartered = INT64_MIN;
    history->marks[MARK_QUARTERED] = quartered;
    history_make_days(history, quartered, round % 4 == 2 ? 1 : -1);
    history_make_samples(history, seed, SERIES - 2, 1500, folded[round % 4]);
    if (round >= 4 && quartered > start) {
        int64_t kept = start + (int64_t)random_below(seed, (uint64_t)(quartered - start));
        history->marks[MARK_KEPT_MINUTE] = kept * MINUTES_PER_QUARTER + (round % 2 == 0 ? 0 : 7);
        history->marks[MARK_KEPT_QUARTER] =
            start + (int64_t)random_below(seed, (uint64_t)(kept - start) + 1);
        history->marks[MARK_KEPT_DAY] = start + (int64_t)random_below(seed, 2) * QUARTERS_PER_DAY;
    }
}

static wall_ms random_instant(const struct history *history, uint64_t *seed)
{
    static const int64_t grids[] = {1, 15, 60, 1440, 1440};
    int64_t grid = grids[random_below(seed, TEST_COUNT(grids))];
    int64_t minutes = (history->days + 1) * 1440;
    int64_t minute =
        (int64_t)random_below(seed, (uint64_t)minutes) / grid * grid - 700 / grid * grid;
    return (HISTORY_START + minute) * MS_PER_MINUTE + (wall_ms)random_below(seed, 2) * 31000;
}

static void make_query(const struct history *history, uint64_t *seed, struct query_series *series,
                       struct query *out)
{
    static const int64_t steps[] = {0, 0, 1, 2, 7, 15, 30, 60, 97, 240, 1440, 1440, 2880, 10000};
    size_t count = 1 + random_below(seed, SERIES);

    for (size_t i = 0; i < count; i++)
        series[i] = (struct query_series){(uint32_t)i + 1, STR_EMPTY};
    if (random_below(seed, 4) == 0) { /* in no order, and some of them twice */
        for (size_t i = 0; i < count; i++)
            series[i].id = 1 + (uint32_t)random_below(seed, SERIES);
    }
    *out = (struct query){.series = series,
                          .series_count = count,
                          .from = random_instant(history, seed),
                          .to = random_instant(history, seed),
                          .step = steps[random_below(seed, TEST_COUNT(steps))] * MS_PER_MINUTE,
                          .merge_series = random_below(seed, 2) == 0};
    if (out->from > out->to) {
        wall_ms from = out->from;
        out->from = out->to;
        out->to = from;
    }
}

static void check_query(struct fixture *fixture, const struct history *history,
                        const struct query *query)
{
    struct read_txn *txn = read_begin(fixture);
    struct coverage coverage = COVERAGE_EMPTY;
    struct coverage covered = COVERAGE_EMPTY;
    struct rows rows = {.max = 0};
    struct rows expected = {.max = 0};

    MUST(scan_cells(txn, query, take_row, &rows, &coverage, &err));
    if (query->from < query->to)
        brute_rows(txn, history, query, &expected, &covered);
    assert_rows_equal(&rows, &expected);
    for (size_t i = 0; i < expected.count; i++) {
        if (expected.items[i].cell.aggregate.last_at > covered.newest)
            covered.newest = expected.items[i].cell.aggregate.last_at;
    }
    assert_int_equal(coverage.newest, covered.newest);
    assert_int_equal(coverage.levels, covered.levels);
    assert_int_equal(coverage.complete, covered.complete);
    rows_fini(&rows);
    rows_fini(&expected);
    read_txn_end(txn);
}

/* One store for each round. */
static void in_a_new_store(void (*check)(struct fixture *, struct history *, uint64_t, uint64_t *))
{
    struct history *history = memory_zero(1, sizeof *history);
    uint64_t seed = 3;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        void *state = NULL;
        assert_int_equal(fixture_setup(&state), 0);
        make_history(history, round, &seed);
        check(state, history, round, &seed);
        assert_int_equal(fixture_teardown(&state), 0);
    }
    free(history);
}

static void check_queries(struct fixture *fixture, struct history *history, uint64_t round,
                          uint64_t *seed)
{
    (void)round;
    history_write(history, fixture, 1);
    for (size_t i = 0; i < QUERIES; i++) {
        struct query_series series[SERIES];
        struct query query;
        make_query(history, seed, series, &query);
        check_query(fixture, history, &query);
    }
}

static void a_query_gives_what_brute_force_gives(void **state)
{
    (void)state;
    in_a_new_store(check_queries);
}

/* --- levels and times --- */

static void add_history_sample(struct history *history, uint32_t id, int64_t minute, int run)
{
    history->samples[history->count++] = (struct history_sample){
        .id = id, .at = (HISTORY_START + minute) * MS_PER_MINUTE, .value = 1, .run = run};
}

static struct history *empty_history(void)
{
    struct history *history = memory_zero(1, sizeof *history);

    history->days = 3;
    history->quarter_window = QUARTERS_PER_WEEK;
    history->stages = 1;
    for (enum mark mark = 0; mark < MARK_COUNT; mark++)
        history->marks[mark] = INT64_MIN;
    return history;
}

/* As make_history, but that the days of UTC are all there is of what is dropped. */
static void make_plain_history(struct history *history, uint64_t round, uint64_t *seed)
{
    int64_t *marks = history->marks;

    make_history(history, round, seed);
    history_make_days(history, marks[MARK_QUARTERED], -1);
    history->calendars[1].count = 0;
    marks[MARK_KEPT_DAY] = INT64_MIN;
    if (marks[MARK_KEPT_QUARTER] == INT64_MIN)
        return;
    marks[MARK_KEPT_QUARTER] -= marks[MARK_KEPT_QUARTER] % QUARTERS_PER_DAY;
    marks[MARK_KEPT_MINUTE] -= marks[MARK_KEPT_MINUTE] % MINUTES_PER_QUARTER;
}

/* Where the finest bucket begins that is kept around a minute, and its length. */
static int64_t finest_bucket(const struct history *history, int64_t minute, int64_t *from)
{
    int64_t width = MINUTES_PER_QUARTER;

    if (minute >= history->marks[MARK_KEPT_MINUTE])
        width = 1;
    else if (quarter_of_minute(minute) < history->marks[MARK_KEPT_QUARTER])
        width = 1440;
    *from = minute / width * width;
    return width;
}

/* In buckets of `width` minutes, of which one begins at `from` and holds `at`. */
static struct level_sample level_in_buckets(const struct history *history, uint32_t id, wall_ms at,
                                            int64_t from, int64_t width)
{
    struct level_sample first = {0, WALL_NONE};
    struct level_sample last = {0, WALL_NONE};
    struct level_sample before = {0, WALL_NONE};

    for (size_t i = 0; i < history->count; i++) {
        const struct history_sample *sample = &history->samples[i];
        const struct level_sample this = {sample->value, sample->at};
        int64_t minute = history_minute(sample);
        if (sample->id != id || minute >= from + width)
            continue;
        if (minute < from) {
            before = sample->at > before.at ? this : before;
            continue;
        }
        first = first.at == WALL_NONE || sample->at < first.at ? this : first;
        last = sample->at > last.at ? this : last;
    }
    if (last.at != WALL_NONE && last.at <= at)
        return last;
    return first.at != WALL_NONE && first.at <= at ? first : before;
}

static struct level_sample brute_level(const struct history *history, uint32_t id, wall_ms at)
{
    int64_t from = 0;
    int64_t width = finest_bucket(history, plan_minute_of(at), &from);
    return level_in_buckets(history, id, at, from, width);
}

/* As it would be if all minutes were kept. */
static struct level_sample true_level(const struct history *history, uint32_t id, wall_ms at)
{
    return level_in_buckets(history, id, at, plan_minute_of(at), 1);
}

static void check_levels(struct fixture *fixture, struct history *history, uint64_t round,
                         uint64_t *seed)
{
    struct query_series series[SERIES];
    struct level_sample found[SERIES];

    make_plain_history(history, round, seed);
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    for (uint32_t i = 0; i < SERIES; i++)
        series[i].id = i + 1;
    for (size_t i = 0; i < 4 * QUERIES; i++) {
        const struct history_sample *sample = &history->samples[random_below(seed, history->count)];
        wall_ms at = i % 2 == 0 ? random_instant(history, seed)
                                : sample->at + (wall_ms)random_below(seed, 3) - 1;
        struct coverage coverage = COVERAGE_EMPTY;
        const struct query_levels query = {series, SERIES, at, WALL_NONE};
        wall_ms newest = WALL_NONE;
        MUST(scan_levels(txn, &query, found, &coverage, &err));
        for (size_t j = 0; j < SERIES; j++) {
            struct level_sample expected = brute_level(history, series[j].id, at);
            if (found[j].at != expected.at)
                fail_msg("round %d, series %u at %lld: %lld, not %lld", (int)round, series[j].id,
                         (long long)at, (long long)found[j].at, (long long)expected.at);
            assert_same(found[j].value, expected.value);
            newest = found[j].at > newest ? found[j].at : newest;
        }
        assert_int_equal(coverage.newest, newest);
    }
    read_txn_end(txn);
}

static void a_level_is_what_brute_force_gives(void **state)
{
    (void)state;
    in_a_new_store(check_levels);
}

/* A calendar that has more days must not be read beside the day of another one: what lies between
 * the days of two calendars would be missed. */
static void levels_come_from_the_days_of_one_calendar(void **state)
{
    struct fixture *fixture = *state;
    struct history *history = empty_history();
    int64_t start = HISTORY_START / MINUTES_PER_QUARTER;
    /* One of 23 hours, so that a day back from the second is not the first one. */
    const struct day_bounds days[] = {{HISTORY_START / 1440 + 1, start + 92, start + 184},
                                      {HISTORY_START / 1440 + 2, start + 184, start + 280}};
    const struct query_series series = {.id = 1};
    struct coverage coverage = COVERAGE_EMPTY;
    struct level_sample found;

    history->marks[MARK_QUARTERED] = start + 3 * (int64_t)QUARTERS_PER_DAY;
    history->marks[MARK_KEPT_MINUTE] = HISTORY_START + 3 * 1440;
    history->marks[MARK_KEPT_QUARTER] = start + 3 * (int64_t)QUARTERS_PER_DAY;
    history_make_days(history, history->marks[MARK_QUARTERED], -1);
    history->calendars[0] = (struct plan_calendar){1, days, TEST_COUNT(days)};
    add_history_sample(history, 1, 180 * MINUTES_PER_QUARTER, -1);
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    const struct query_levels query = {
        &series, 1, (HISTORY_START + 200 * MINUTES_PER_QUARTER) * MS_PER_MINUTE, WALL_NONE};
    MUST(scan_levels(txn, &query, &found, &coverage, &err));
    assert_int_equal(found.at, (HISTORY_START + 180 * MINUTES_PER_QUARTER) * MS_PER_MINUTE);
    assert_int_equal(coverage.levels, COVERAGE_DAY);
    read_txn_end(txn);
    free(history);
}

/* --- what a level's coverage says --- */

/* A complete one is the truth, whatever was dropped; one that is not has a reason. */
static void check_level_coverage(struct fixture *fixture, struct history *history, uint64_t round,
                                 uint64_t *seed)
{
    size_t incomplete = 0;

    make_plain_history(history, round, seed);
    int64_t kept_quarter = history->marks[MARK_KEPT_QUARTER];
    if (kept_quarter != INT64_MIN && round % 2 == 0) /* whole days, from a day that is built */
        history->marks[MARK_KEPT_DAY] =
            kept_quarter - (int64_t)random_below(seed, 8) * QUARTERS_PER_DAY;
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    for (size_t i = 0; i < 4 * QUERIES; i++) {
        const struct history_sample *sample = &history->samples[random_below(seed, history->count)];
        wall_ms at = i % 2 == 0 ? random_instant(history, seed)
                                : sample->at + (wall_ms)random_below(seed, 3) - 1;
        const struct query_series series = {.id = 1 + (uint32_t)random_below(seed, SERIES)};
        struct coverage coverage = COVERAGE_EMPTY;
        struct level_sample found;
        int64_t from = 0;
        const struct query_levels query = {&series, 1, at, WALL_NONE};
        struct level_sample expected = true_level(history, series.id, at);
        MUST(scan_levels(txn, &query, &found, &coverage, &err));
        assert_int_equal(coverage.newest, found.at);
        incomplete += !coverage.complete;
        if (coverage.complete && found.at != expected.at)
            fail_msg("round %d: series %u at %lld is said to be complete: %lld, not %lld",
                     (int)round, series.id, (long long)at, (long long)found.at,
                     (long long)expected.at);
        if (!coverage.complete)
            assert_true(finest_bucket(history, plan_minute_of(at), &from) > 1 ||
                        history->marks[MARK_KEPT_DAY] != INT64_MIN);
    }
    if (history->marks[MARK_KEPT_MINUTE] == INT64_MIN)
        assert_int_equal(incomplete, 0);
    read_txn_end(txn);
}

static void a_level_that_is_said_to_be_complete_is_the_truth(void **state)
{
    (void)state;
    in_a_new_store(check_level_coverage);
}

static void what_was_dropped_before_a_level_counts_is_no_matter(void **state)
{
    struct fixture *fixture = *state;
    struct history *history = empty_history();
    const struct query_series series[] = {{.id = 1}, {.id = 2}};
    const int64_t days = 20;
    wall_ms start = HISTORY_START * MS_PER_MINUTE;

    history->marks[MARK_QUARTERED] = (HISTORY_START + days * 1440) / MINUTES_PER_QUARTER;
    history->marks[MARK_KEPT_MINUTE] = HISTORY_START + (days - 2) * 1440;
    history->marks[MARK_KEPT_QUARTER] = (HISTORY_START + 10 * 1440) / MINUTES_PER_QUARTER;
    history->marks[MARK_KEPT_DAY] = (HISTORY_START + 5 * 1440) / MINUTES_PER_QUARTER;
    history->days = days;
    history_make_days(history, history->marks[MARK_QUARTERED], -1);
    add_history_sample(history, 1, 15 * 1440, -1);
    add_history_sample(history, 2, 1440, -1); /* of a day that is dropped */
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    const struct {
        size_t first, count;
        wall_ms since;
        bool complete;
    } cases[] = {
        {0, 1, WALL_NONE, true}, /* nothing is missing since */
        {1, 1, WALL_NONE, false},
        {1, 1, start + 4 * (wall_ms)MS_PER_DAY, false},
        {1, 1, start + 5 * (wall_ms)MS_PER_DAY, true},
        {0, 2, WALL_NONE, false},
        {0, 2, start + 12 * (wall_ms)MS_PER_DAY, true},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct level_sample found[2];
        struct coverage coverage = COVERAGE_EMPTY;
        const struct query_levels query = {series + cases[i].first, cases[i].count,
                                           start + days * (wall_ms)MS_PER_DAY, cases[i].since};
        MUST(scan_levels(txn, &query, found, &coverage, &err));
        if (coverage.complete != cases[i].complete)
            fail_msg("case %zu", i);
        assert_int_equal(found[cases[i].count - 1].at == WALL_NONE,
                         cases[i].count + cases[i].first > 1);
    }
    for (size_t i = 0; i < TEST_COUNT(series); i++) {
        wall_ms first = 0;
        wall_ms last = 0;
        struct coverage of_first = COVERAGE_EMPTY;
        struct coverage of_last = COVERAGE_EMPTY;
        MUST(scan_times(txn, &(const struct scan_times){&series[i], 1, &first, NULL}, &of_first,
                        &err));
        MUST(scan_times(txn, &(const struct scan_times){&series[i], 1, NULL, &last}, &of_last,
                        &err));
        assert_false(of_first.complete);
        assert_int_equal(of_last.complete, i == 0);
        assert_int_equal(of_last.newest, last);
    }
    read_txn_end(txn);
    free(history);
}

static void check_times(struct fixture *fixture, struct history *history, uint64_t round,
                        uint64_t *seed)
{
    make_plain_history(history, round, seed);
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    for (size_t i = 0; i < QUERIES; i++) {
        struct query_series series[SERIES];
        size_t count = random_below(seed, 4);
        wall_ms first = WALL_NONE;
        wall_ms last = WALL_NONE;
        wall_ms found_first = 0;
        wall_ms found_last = 0;
        for (size_t j = 0; j < count; j++)
            series[j].id = 1 + (uint32_t)random_below(seed, SERIES);
        for (size_t j = 0; j < history->count * count; j++) {
            const struct history_sample *sample = &history->samples[j / count];
            if (sample->id != series[j % count].id)
                continue;
            first = first == WALL_NONE || sample->at < first ? sample->at : first;
            last = sample->at > last ? sample->at : last;
        }
        struct coverage coverage = COVERAGE_EMPTY;
        const struct scan_times times = {series, count, &found_first, &found_last};
        MUST(scan_times(txn, &times, &coverage, &err));
        assert_int_equal(found_first, first);
        assert_int_equal(found_last, last);
        assert_true(coverage.complete); /* days are kept for ever */
        assert_int_equal(coverage.newest, last);
    }
    read_txn_end(txn);
}

static void the_first_and_the_last_sample_of_a_metric_are_found(void **state)
{
    (void)state;
    in_a_new_store(check_times);
}

/* --- what changed --- */

static bool write_span(wall_ms from, wall_ms to, void *arg)
{
    buf_printf(arg, "[%lld,%lld) ", (long long)(from / MS_PER_MINUTE - HISTORY_START),
               (long long)(to / MS_PER_MINUTE - HISTORY_START));
    return true;
}

static void assert_changed(struct fixture *fixture, uint32_t id, uint64_t since,
                           const char *expected)
{
    struct read_txn *txn = read_begin(fixture);
    struct buf text = BUF_EMPTY;
    const struct query_series series = {.id = id};
    const struct query_changes changes = {&series, 1, since, 0, 0};

    MUST(query_changed(txn, &changes, write_span, &text, &err));
    if (!str_is(buf_view(&text), expected))
        fail_msg("series %u since %d: '%.*s', not '%s'", id, (int)since, STR_ARGS(buf_view(&text)),
                 expected);
    buf_fini(&text);
    read_txn_end(txn);
}

static void put_run(struct fixture *fixture, const struct history *history, int run,
                    uint64_t version)
{
    struct write_txn txn;
    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    history_write_run(history, &txn, run, version);
    MUST(write_txn_commit(&txn, &err));
}

static void what_changed_since_a_commit_is_told_by_versions(void **state)
{
    struct fixture *fixture = *state;
    struct history *history = empty_history();
    struct write_txn txn;

    add_history_sample(history, 1, 10, -1);
    add_history_sample(history, 1, 700, -1);
    add_history_sample(history, 2, 20, -1);
    history_write(history, fixture, 3);
    add_history_sample(history, 1, 31, 0);
    add_history_sample(history, 1, 44, 0);
    add_history_sample(history, 1, 45, 0);
    add_history_sample(history, 1, 2000, 0);
    add_history_sample(history, 2, 2000, 0);
    put_run(fixture, history, 0, 5);
    add_history_sample(history, 1, 33, 1);
    add_history_sample(history, 3, 33, 1);
    put_run(fixture, history, 1, 6);

    assert_changed(fixture, 1, 0, "[0,15) [30,60) [690,705) [1995,2010) ");
    assert_changed(fixture, 1, 3, "[30,60) [1995,2010) ");
    assert_changed(fixture, 1, 5, "[30,45) ");
    assert_changed(fixture, 1, 6, "");
    assert_changed(fixture, 2, 3, "[1995,2010) ");
    assert_changed(fixture, 2, 5, "");
    assert_changed(fixture, 3, 0, "[30,45) ");
    assert_changed(fixture, 4, 0, "");

    /* A fold takes the newer run into partitions. */
    struct history *folded = empty_history();
    folded->numbers = history->numbers;
    add_history_sample(folded, 3, 33, -1);
    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    MUST(parts_remove_run(&txn, &(struct run){.tier = 1, .number = 2}, &err));
    history_write_partition(folded, &txn,
                            &(struct partition){.level = LEVEL_MINUTE,
                                                .from = HISTORY_START,
                                                .to = HISTORY_START + MINUTES_PER_WINDOW,
                                                .version = 8},
                            false);
    MUST(write_txn_commit(&txn, &err));
    assert_changed(fixture, 3, 6, "[30,45) ");
    assert_changed(fixture, 3, 8, "");
    free(folded);
    free(history);
}

static void what_changed_in_levels_that_are_left_is_told_by_them(void **state)
{
    struct fixture *fixture = *state;
    struct history *history = empty_history();
    int64_t start = HISTORY_START / MINUTES_PER_QUARTER;

    history->marks[MARK_QUARTERED] = start + 3 * (int64_t)QUARTERS_PER_DAY;
    history->marks[MARK_KEPT_MINUTE] = HISTORY_START + 2 * 1440;
    history->marks[MARK_KEPT_QUARTER] = start + QUARTERS_PER_DAY;
    history_make_days(history, history->marks[MARK_QUARTERED], -1);
    history->calendars[1].count = 0;
    add_history_sample(history, 1, 100, -1);
    add_history_sample(history, 1, 1440 + 100, -1);
    add_history_sample(history, 1, 2 * 1440 + 100, -1);
    history_write(history, fixture, 3);
    assert_changed(fixture, 1, 2, "[0,1440) [1530,1545) [2970,2985) ");
    assert_changed(fixture, 1, 3, "");
    free(history);
}

struct period_text {
    const struct calendar *calendar;
    struct buf text;
    size_t left; /* stop after so many */
};

static bool write_period(const struct period *period, void *arg)
{
    struct period_text *out = arg;
    char label[CALENDAR_LABEL_SIZE];
    buf_printf(&out->text, "%s ", calendar_label(out->calendar, period, label));
    return --out->left > 0;
}

static void late_samples_say_which_closed_periods_they_changed(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *zone;
        enum period_kind kind;
        int64_t closed; /* minutes after the start, which is 2025-03-13 */
        size_t max;
        const char *expected;
        int64_t from, to; /* minutes after the start: what is asked for; both 0: all */
        int64_t reach;
    } cases[] = {
        {"UTC", PERIOD_DAY, 9 * 1440, 9, "2025-03-13 2025-03-14 2025-03-16 ", 0, 0, 0},
        {"UTC", PERIOD_DAY, 4 * 1440 - 1, 9, "2025-03-13 2025-03-14 ", 0, 0, 0},
        {"UTC", PERIOD_DAY, 9 * 1440, 2, "2025-03-13 2025-03-14 ", 0, 0, 0},
        {"UTC", PERIOD_HOUR, 9 * 1440, 9,
         "2025-03-13 00:00 2025-03-13 01:00 2025-03-14 23:00 2025-03-16 00:00 ", 0, 0, 0},
        {"UTC", PERIOD_WEEK, 9 * 1440, 9, "2025-W11 ", 0, 0, 0},
        {"UTC", PERIOD_MONTH, 9 * 1440, 9, "", 0, 0, 0},
        {"Asia/Tokyo", PERIOD_DAY, 9 * 1440, 9, "2025-03-13 2025-03-15 2025-03-16 ", 0, 0, 0},
        {"America/New_York", PERIOD_DAY, 9 * 1440, 9, "2025-03-12 2025-03-14 2025-03-15 ", 0, 0, 0},
        {"UTC", PERIOD_DAY, 9 * 1440, 9, "2025-03-14 2025-03-16 ", 120, 9 * 1440, 0},
        {"UTC", PERIOD_DAY, 9 * 1440, 9, "2025-03-13 2025-03-14 ", 0, 3 * 1440, 0},
        {"UTC", PERIOD_DAY, 4 * 1440 - 1, 9, "2025-03-14 ", 1440, 9 * 1440, 0},
        {"UTC", PERIOD_DAY, 1440, 9, "", 1440, 9 * 1440, 0}, /* nothing that has closed */
        {"UTC", PERIOD_DAY, 9 * 1440, 9, "2025-03-13 2025-03-14 2025-03-15 2025-03-16 2025-03-17 ",
         0, 0, 1440},
        {"UTC", PERIOD_DAY, 4 * 1440 - 1, 9, "2025-03-13 2025-03-14 2025-03-15 ", 0, 0, INT64_MAX},
        {"UTC", PERIOD_HOUR, 9 * 1440, 4,
         "2025-03-13 00:00 2025-03-13 01:00 2025-03-13 02:00 2025-03-14 23:00 ", 0, 0, 30},
    };
    struct history *history = empty_history();
    const struct query_series series = {.id = 1};

    add_history_sample(history, 1, 0, 0);
    add_history_sample(history, 1, 119, 0);
    add_history_sample(history, 1, 2 * 1440 - 1, 0);
    add_history_sample(history, 1, 3 * 1440 + 1, 0);
    put_run(fixture, history, 0, 1);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error error = ERROR_EMPTY;
        struct read_txn *txn = read_begin(fixture);
        struct calendar *calendar = calendar_new(str_of(cases[i].zone), 1, &error);
        struct period_text out = {calendar, BUF_EMPTY, cases[i].max};
        const span_ms reach =
            cases[i].reach == INT64_MAX ? INT64_MAX : cases[i].reach * MS_PER_MINUTE;
        const struct query_periods periods = {
            calendar, cases[i].kind, (HISTORY_START + cases[i].closed) * MS_PER_MINUTE, reach};
        struct query_changes changes = {&series, 1, 0, 0, 0};
        if (cases[i].from < cases[i].to) {
            changes.from = (HISTORY_START + cases[i].from) * MS_PER_MINUTE;
            changes.to = (HISTORY_START + cases[i].to) * MS_PER_MINUTE;
        }
        MUST(query_changed_periods(txn, &changes, &periods, write_period, &out, &err));
        if (!str_is(buf_view(&out.text), cases[i].expected))
            fail_msg("case %zu: '%.*s'", i, STR_ARGS(buf_view(&out.text)));
        buf_fini(&out.text);
        calendar_free(calendar);
        read_txn_end(txn);
    }
    free(history);
}

/* --- ends --- */

static void reading_stops_when_the_caller_has_enough(void **state)
{
    struct fixture *fixture = *state;
    static const span_ms steps[] = {0, MS_PER_MINUTE, MS_PER_HOUR};
    struct history *history = memory_zero(1, sizeof *history);
    struct query_series series[SERIES];
    uint64_t seed = 9;

    make_history(history, 0, &seed);
    history_write(history, fixture, 1);
    struct read_txn *txn = read_begin(fixture);
    for (uint32_t i = 0; i < SERIES; i++)
        series[i].id = i + 1;
    for (size_t i = 0; i < 2 * TEST_COUNT(steps); i++) {
        struct coverage coverage = COVERAGE_EMPTY;
        struct rows all = {.max = 0};
        struct rows some = {.max = 1};
        struct query query = {.series = series, .series_count = SERIES, .step = steps[i / 2]};
        query.from = HISTORY_START * MS_PER_MINUTE;
        query.to = query.from + history->days * MS_PER_DAY;
        query.merge_series = i % 2 == 0;
        MUST(scan_cells(txn, &query, take_row, &all, &coverage, &err));
        some.max = (all.count + 1) / 2;
        MUST(scan_cells(txn, &query, take_row, &some, &coverage, &err));
        assert_int_equal(some.count, some.max);
        for (size_t j = some.count; j < all.count; j++)
            cell_fini(&all.items[j].cell);
        all.count = some.count;
        assert_rows_equal(&some, &all);
        rows_fini(&all);
        rows_fini(&some);
    }
    read_txn_end(txn);
    free(history);
}

/* Turns over one bit of every value of a database. */
static void damage(struct fixture *fixture, enum database database)
{
    struct write_txn txn;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;

    MUST(write_txn_begin(fixture->store, NULL, &txn, &err));
    assert_int_equal(mdb_cursor_open(txn.reader.txn, fixture->store->databases[database], &cursor),
                     0);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        char *copy = memory_copy(value.mv_data, value.mv_size);
        copy[value.mv_size / 2] ^= 4;
        MDB_val damaged = {value.mv_size, copy};
        assert_int_equal(mdb_cursor_put(cursor, &key, &damaged, MDB_CURRENT), 0);
        free(copy);
    }
    mdb_cursor_close(cursor);
    txn.wrote = true;
    MUST(write_txn_commit(&txn, &err));
}

static void what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    static const enum database databases[] = {DATABASE_MINUTES, DATABASE_QUARTERS, DATABASE_DAYS,
                                              DATABASE_RUN, DATABASE_JOURNAL};
    struct history *history = memory_zero(1, sizeof *history);

    for (size_t i = 0; i < TEST_COUNT(databases); i++) {
        struct error err = ERROR_EMPTY;
        struct coverage coverage = COVERAGE_EMPTY;
        struct rows rows = {.max = 0};
        const struct query_series series[] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};
        struct query query = {.series = series, .series_count = 4, .merge_series = i % 2 == 0};
        uint64_t seed = 11;
        void *fixture = NULL;
        make_history(history, 0, &seed);
        assert_int_equal(fixture_setup(&fixture), 0);
        history_write(history, fixture, 1);
        damage(fixture, databases[i]);
        struct read_txn *txn = read_begin(fixture);
        query.from = (HISTORY_START + 60) * MS_PER_MINUTE;
        query.to = query.from + (history->days - 1) * MS_PER_DAY;
        assert_false(scan_cells(txn, &query, take_row, &rows, &coverage, &err));
        assert_int_equal(err.kind, ERROR_CORRUPT);
        const struct query_changes changes = {series, 4, 0, 0, 0};
        struct buf text = BUF_EMPTY;
        bool reads = databases[i] != DATABASE_QUARTERS && databases[i] != DATABASE_DAYS;
        assert_true(scan_changed(txn, &changes, write_span, &text, &err) != reads);
        buf_fini(&text);
        rows_fini(&rows);
        read_txn_end(txn);
        assert_int_equal(fixture_teardown(&fixture), 0);
    }
    free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_gives_what_brute_force_gives),
        cmocka_unit_test(a_level_is_what_brute_force_gives),
        STORE_TEST(levels_come_from_the_days_of_one_calendar),
        cmocka_unit_test(a_level_that_is_said_to_be_complete_is_the_truth),
        STORE_TEST(what_was_dropped_before_a_level_counts_is_no_matter),
        cmocka_unit_test(the_first_and_the_last_sample_of_a_metric_are_found),
        STORE_TEST(what_changed_since_a_commit_is_told_by_versions),
        STORE_TEST(what_changed_in_levels_that_are_left_is_told_by_them),
        STORE_TEST(late_samples_say_which_closed_periods_they_changed),
        STORE_TEST(reading_stops_when_the_caller_has_enough),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
