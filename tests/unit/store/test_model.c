/* The whole engine against a list of samples (model.h): every kind of query has to say what the
 * list says, whatever has happened to the store.
 *
 * KPID_MODEL_SEED=N lives another life than those below (tools/campaign model). */
#include "model.h"
#include "store/verify.h"

enum {
    ROUNDS = 160,
    CHECK_EVERY = 40,   /* rounds */
    QUERIES = 10,       /* of each check, three times as many at the end */
    STEPS_WANTED = 400, /* of a query: more are not asked for */
};

/* --- asking -------------------------------------------------------------------------------------
 */

/* Series that are wanted, and as a selector. */
struct question {
    struct selector selector;
    struct label_match matches[2];
    struct str values[2][2];
    bool wanted[SERIES];
};

static bool matches(const struct label_match *match, struct str value)
{
    bool equal = false;

    for (size_t i = 0; i < match->value_count; i++) {
        equal = equal || str_equal(value, match->values[i]);
        if (match->op == MATCH_PREFIX)
            return value.len >= match->values[i].len &&
                   memcmp(value.text, match->values[i].text, match->values[i].len) == 0;
    }
    return match->op == MATCH_NOT_EQUAL ? !equal : equal;
}

static void ask_random(struct model *model, struct question *out)
{
    static const char *const hosts[] = {"a", "b", "berlin", "", "none"};
    static const char *const plans[] = {"pro", "free", "", "p", "fr"};
    const struct series_facts *like = &all_series[below(model, SERIES)];

    *out = (struct question){.selector = {.metric = str_of(like->metric), .kind = like->kind}};
    out->selector.matches = out->matches;
    out->selector.match_count = below(model, 3);
    for (size_t i = 0; i < out->selector.match_count; i++) {
        const char *const *values = i == 0 ? hosts : plans;
        enum match_op op = (enum match_op)below(model, 4);
        out->values[i][0] = str_of(values[below(model, 5)]);
        out->values[i][1] = str_of(values[below(model, 5)]);
        out->matches[i] = (struct label_match){.label = i == 0 ? STR("host") : STR("plan"),
                                               .op = op,
                                               .values = out->values[i],
                                               .value_count = op == MATCH_IN ? 2 : 1};
    }
    for (unsigned i = 0; i < SERIES; i++) {
        const struct series_facts *facts = &all_series[i];
        out->wanted[i] = facts->kind == like->kind && strcmp(facts->metric, like->metric) == 0;
        for (size_t j = 0; j < out->selector.match_count; j++)
            out->wanted[i] = out->wanted[i] &&
                             matches(&out->matches[j], str_of(j == 0 ? facts->host : facts->plan));
    }
}

static unsigned series_of_key(struct str key)
{
    struct buf wanted = BUF_EMPTY;
    unsigned found = SERIES;

    for (unsigned i = 0; i < SERIES; i++) {
        write_key(&wanted, all_series[i].kind, all_series[i].metric, all_series[i].labels);
        if (str_equal(key, buf_view(&wanted)))
            found = i;
    }
    buf_fini(&wanted);
    return found;
}

static bool has_samples(const struct model *model, unsigned series)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->samples[i].series == series)
            return true;
    }
    return false;
}

/* All that are wanted and have samples, and no others. */
static struct query_series *expect_series(const struct model *model, struct read_txn *txn,
                                          const struct question *question, struct arena *arena,
                                          size_t *count)
{
    struct error err = ERROR_EMPTY;
    struct query_series *series = NULL;
    bool found[SERIES] = {false};

    assert_true(query_series(txn, &question->selector, arena, &series, count, &err));
    for (size_t i = 0; i < *count; i++) {
        unsigned number = series_of_key(series[i].key);
        assert_true(number < SERIES);
        assert_true(question->wanted[number]);
        assert_false(found[number]);
        found[number] = true;
        assert_true(i == 0 || series[i - 1].id < series[i].id);
    }
    for (unsigned i = 0; i < SERIES; i++)
        assert_true(found[i] == (question->wanted[i] && has_samples(model, i)));
    return series;
}

/* --- cells --------------------------------------------------------------------------------------
 */

struct check {
    const struct model *model;
    const struct query *query;
    bool wanted[SERIES]; /* of the row under way */
    const bool *asked;
    size_t last_row;
    wall_ms last_step;
    uint64_t samples; /* in all cells */
    wall_ms newest;
};

static int compare_doubles(const void *a, const void *b)
{
    double one = *(const double *)a;
    double other = *(const double *)b;
    return (one > other) - (one < other);
}

struct weighted_value {
    double value; /* first */
    uint64_t weight;
};

/* The value at rank ceil(q n), weights counted. */
static double exact_quantile(const struct weighted_value *values, size_t count, uint64_t total,
                             double q)
{
    double rank = q * (double)total;
    double so_far = 0;

    for (size_t i = 0; i < count; i++) {
        so_far += (double)values[i].weight;
        if (so_far >= rank)
            return values[i].value;
    }
    return values[count - 1].value;
}

static void expect_values(const struct cell *cell, struct weighted_value *values, size_t count)
{
    static const double quantiles[] = {0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
    uint64_t total = 0;

    qsort(values, count, sizeof *values, compare_doubles);
    for (size_t i = 0; i < count; i++)
        total += values[i].weight;
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        double found = 0;
        double exact = exact_quantile(values, count, total, quantiles[i]);
        assert_true(cell_quantile(cell, quantiles[i], &found));
        if (fabs(found - exact) > 0.01 * fabs(exact))
            fail_msg("quantile %g of %zu values is %.17g, not %.17g", quantiles[i], count, found,
                     exact);
    }
}

static void expect_members(const struct cell *cell, const double *members, size_t count)
{
    size_t different = 0;

    for (size_t i = 0; i < count; i++)
        different += i == 0 || members[i] != members[i - 1];
    assert_non_null(cell->distinct);
    double found = distinct_estimate(cell->distinct);
    if (different <= DISTINCT_SPARSE_MAX)
        assert_same(found, (double)different);
    else
        assert_true(fabs(found - (double)different) <= 0.03 * (double)different);
}

/* The samples of one step against its cell. */
static void expect_cell(const struct model *model, const struct model_sample *const *samples,
                        size_t count, const bool *wanted, const struct cell *cell)
{
    const struct aggregate *found = &cell->aggregate;
    struct weighted_value *values = memory_zero(count, sizeof *values);
    double *members = memory_zero(count, sizeof *members);
    const struct model_sample *first = samples[0];
    const struct model_sample *last = samples[0];
    enum metric_kind kind = all_series[first->series].kind;
    uint64_t weight = 0;
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        const struct model_sample *sample = samples[i];
        values[i] = (struct weighted_value){sample->value, sample->weight};
        members[i] = sample->member;
        weight += sample->weight;
        sum += sample->value * ((double)sample->weight / 65536);
        first = sample->at < first->at ? sample : first;
        last = sample->at > last->at ? sample : last;
    }
    if (found->count != weight || aggregate_sum(found) != sum)
        fail_msg("%s holds %g samples of %.17g, not %g of %.17g", all_series[first->series].metric,
                 aggregate_count(found), aggregate_sum(found), (double)weight / 65536, sum);
    qsort(values, count, sizeof *values, compare_doubles);
    qsort(members, count, sizeof *members, compare_doubles);
    assert_same(found->min, values[0].value);
    assert_same(found->max, values[count - 1].value);
    assert_int_equal(found->first_at, first->at);
    assert_int_equal(found->last_at, last->at);
    assert_true(tie_has(model, wanted, found->first_at, found->first, false));
    assert_true(tie_has(model, wanted, found->last_at, found->last, true));
    assert_true(cell->counts_values == metric_kind_counts_values(kind));
    if (cell->counts_values)
        expect_values(cell, values, count);
    if (kind == METRIC_UNIQUE)
        expect_members(cell, members, count);
    free(values);
    free(members);
}

static bool check_cell(size_t row, wall_ms from, const struct cell *cell, void *arg)
{
    struct check *check = arg;
    const struct query *query = check->query;
    const struct model *model = check->model;
    wall_ms to = query->step == 0 ? query->to : from + query->step;
    const struct model_sample **inside = memory_zero(model->count + 1, sizeof *inside);
    bool wanted[SERIES] = {false};
    size_t count = 0;

    assert_true(check->last_step == WALL_NONE || row > check->last_row ||
                (row == check->last_row && from > check->last_step));
    check->last_row = row;
    check->last_step = from;
    to = to < query->to ? to : query->to;
    for (unsigned i = 0; i < SERIES; i++)
        wanted[i] = check->asked[i];
    if (!query->merge_series) {
        memset(wanted, 0, sizeof wanted);
        wanted[series_of_key(query->series[row].key)] = true;
    }
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (wanted[sample->series] && sample->at >= from && sample->at < to)
            inside[count++] = sample;
    }
    if (count == 0)
        fail_msg("there is a cell where nothing was measured");
    expect_cell(model, inside, count, wanted, cell);
    check->samples += count;
    free(inside);
    return true;
}

static void expect_query(struct model *model, struct read_txn *txn, const struct query *query,
                         const bool *asked)
{
    struct error err = ERROR_EMPTY;
    struct coverage coverage = COVERAGE_EMPTY;
    struct check check = {.model = model, .query = query, .asked = asked, .last_step = WALL_NONE};
    uint64_t samples = 0;
    wall_ms newest = WALL_NONE;

    if (!query_cells(txn, query, check_cell, &check, &coverage, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (!asked[sample->series] || sample->at < query->from || sample->at >= query->to)
            continue;
        samples++;
        newest = sample->at > newest ? sample->at : newest;
    }
    assert_int_equal(check.samples, samples);
    assert_true(coverage.complete);
    assert_int_equal(coverage.newest, newest);
    model->levels |= coverage.levels;
}

/* A range that begins and ends anywhere: at civil days, quarters, minutes. */
static void random_range(struct model *model, struct query *query)
{
    static const wall_ms grains[] = {1, 5, 15, 60, 240, 1440};
    uint64_t way = below(model, 3);
    wall_ms length =
        (wall_ms)exp((double)below(model, 1000) / 1000 * log(LATE_MAX_MINUTES + 1440)) *
        MS_PER_MINUTE;

    query->from = model->now + 20 * (wall_ms)MS_PER_MINUTE - length;
    if (below(model, 2) == 0)
        query->from -= (wall_ms)below(model, (uint64_t)LATE_MAX_MINUTES) * MS_PER_MINUTE;
    query->to = query->from + length;
    if (way == 0) { /* civil days, weeks or months */
        const struct calendar *calendar = model->calendars[below(model, ZONES)];
        enum period_kind kind = PERIOD_DAY + (enum period_kind)below(model, 3);
        struct period first = calendar_period(calendar, kind, query->from);
        struct period last = calendar_period(calendar, kind, query->to);
        query->from = first.from;
        query->to = below(model, 2) == 0 ? first.to : last.to;
        query->step = 0;
        return;
    }
    wall_ms grain = grains[below(model, 6)] * MS_PER_MINUTE;
    query->from -= query->from % grain;
    query->to += grain - query->to % grain;
    query->step = below(model, 3) == 0 ? 0 : grain * (wall_ms)(1 + below(model, 4));
    if (query->step > 0 && (query->to - query->from) / query->step > STEPS_WANTED)
        query->step *= (query->to - query->from) / query->step / STEPS_WANTED + 1;
}

/* --- other questions ----------------------------------------------------------------------------
 */

static void expect_levels(struct model *model, struct read_txn *txn,
                          const struct query_series *series, size_t count)
{
    struct error err = ERROR_EMPTY;
    struct level_sample *found = memory_zero(count + 1, sizeof *found);
    wall_ms at = random_time(model);

    if (count > 0 && below(model, 3) > 0) { /* just before, at or after one of theirs */
        unsigned wanted = series_of_key(series[below(model, count)].key);
        size_t number = below(model, model->count);
        while (model->samples[number].series != wanted)
            number = (number + 1) % model->count;
        at = model->samples[number].at + (wall_ms)below(model, 3) - 1;
    }
    struct coverage coverage = COVERAGE_EMPTY;
    wall_ms newest = WALL_NONE;
    const struct query_levels query = {series, count, at, WALL_NONE};
    assert_true(query_levels(txn, &query, found, &coverage, &err));
    for (size_t i = 0; i < count; i++) {
        unsigned number = series_of_key(series[i].key);
        bool alone[SERIES] = {false};
        struct level_sample one = {0};
        wall_ms expected_at = WALL_NONE;
        double value = 0;
        struct coverage of_one = COVERAGE_EMPTY;
        bool expected = model_level(model, number, at, &expected_at, &value);
        assert_true(query_level(txn, series[i].id, at, &one, &of_one, &err));
        assert_true((one.at != WALL_NONE) == expected);
        assert_true(of_one.complete && of_one.newest == one.at);
        assert_int_equal(found[i].at, expected_at);
        newest = expected_at > newest ? expected_at : newest;
        if (!expected)
            continue;
        alone[number] = true;
        assert_int_equal(one.at, expected_at);
        assert_same(one.value, found[i].value);
        assert_true(tie_has(model, alone, one.at, one.value, true) ||
                    tie_has(model, alone, one.at, one.value, false));
    }
    assert_true(coverage.complete); /* all is kept */
    assert_int_equal(coverage.newest, newest);
    free(found);
}

static void expect_times(struct model *model, struct read_txn *txn, struct str metric)
{
    struct error err = ERROR_EMPTY;
    wall_ms first = INT64_MAX;
    wall_ms last = WALL_NONE;
    wall_ms found_first = 0;
    wall_ms found_last = 0;

    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        if (!str_is(metric, all_series[sample->series].metric))
            continue;
        first = sample->at < first ? sample->at : first;
        last = sample->at > last ? sample->at : last;
    }
    struct coverage coverage = COVERAGE_EMPTY;
    assert_true(query_metric_times(txn, metric, &found_first, &found_last, &coverage, &err));
    assert_true(coverage.complete && coverage.newest == last);
    assert_int_equal(found_first, last == WALL_NONE ? WALL_NONE : first);
    assert_int_equal(found_last, last);
}

struct said {
    wall_ms spans[8192][2];
    size_t count;
};

static bool hear_change(wall_ms from, wall_ms to, void *arg)
{
    struct said *said = arg;
    assert_true(from < to);
    assert_true(said->count == 0 || said->spans[said->count - 1][1] <= from);
    assert_true(said->count < sizeof said->spans / sizeof *said->spans);
    said->spans[said->count][0] = from;
    said->spans[said->count++][1] = to;
    return true;
}

/* Whatever came since a commit is in what changed since. */
static void expect_changes(struct model *model, struct read_txn *txn, const bool *wanted,
                           const struct query_series *series, size_t count)
{
    static struct said said;
    struct error err = ERROR_EMPTY;
    const struct query_changes changes = {
        .series = series, .series_count = count, .since = below(model, model->engine.commit + 1)};

    wall_ms oldest = 0;

    said.count = 0;
    assert_true(query_changed(txn, &changes, hear_change, &said, &err));
    assert_true(query_oldest_change(txn, changes.since, &oldest, &err));
    for (size_t i = 0; i < model->count; i++)
        assert_true(model->samples[i].commit <= changes.since || model->samples[i].at >= oldest);
    assert_true(query_oldest_change(txn, model->engine.commit, &oldest, &err));
    assert_int_equal(oldest, INT64_MAX);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_sample *sample = &model->samples[i];
        bool is_said = false;
        if (!wanted[sample->series] || sample->commit <= changes.since)
            continue;
        for (size_t j = 0; j < said.count && !is_said; j++)
            is_said = sample->at >= said.spans[j][0] && sample->at < said.spans[j][1];
        if (!is_said)
            fail_msg("a sample of commit %llu is not in what changed since %llu",
                     (unsigned long long)sample->commit, (unsigned long long)changes.since);
    }
}

static void hear_finding(const struct verify_finding *finding, void *arg)
{
    (void)arg;
    fail_msg("%s: %s: %s", finding->what, finding->where, finding->text);
}

static void check_all(struct model *model, size_t queries)
{
    struct error err = ERROR_EMPTY;
    struct arena arena = ARENA_EMPTY;
    struct verify_counts counts;
    const struct verify_options verify = {.on_finding = hear_finding, .read_rows = 500};
    struct read_txn *txn = read_txn_begin(model->engine.store, &err);

    for (size_t i = 0; i < queries; i++) {
        struct question question;
        struct query query = {.merge_series = below(model, 2) == 0};
        ask_random(model, &question);
        random_range(model, &query);
        query.series = expect_series(model, txn, &question, &arena, &query.series_count);
        expect_query(model, txn, &query, question.wanted);
        expect_levels(model, txn, query.series, query.series_count);
        expect_times(model, txn, question.selector.metric);
        expect_changes(model, txn, question.wanted, query.series, query.series_count);
        arena_reset(&arena);
    }
    read_txn_end(txn);
    arena_fini(&arena);
    if (!verify_store(model->engine.store, &verify, &counts, &err))
        fail_msg("%s", err.text);
}

/* --- lives --------------------------------------------------------------------------------------
 */

static void live(uint64_t seed)
{
    struct model model;

    model_begin(&model, seed);
    for (size_t round = 0; round < ROUNDS; round++) {
        model.now += (span_ms)below(&model, below(&model, 2) == 0 ? 8 * (uint64_t)MS_PER_HOUR
                                                                  : 15 * (uint64_t)MS_PER_MINUTE);
        commit_group(&model);
        if (round == ROUNDS / 2) {
            model.options.calendar_count = ZONES;
            upkeep_set_options(model.engine.upkeep, &model.options);
        }
        work(&model);
        if (round % CHECK_EVERY == CHECK_EVERY - 1)
            check_all(&model, QUERIES);
    }
    settle(&model);
    check_all(&model, QUERIES);
    model.now += 8 * (span_ms)MS_PER_DAY;
    engine_set_clock(&model.engine, model.now);
    settle(&model);
    check_all(&model, 3 * QUERIES);
    assert_int_equal(model.levels, COVERAGE_MINUTE | COVERAGE_QUARTER_HOUR | COVERAGE_DAY);
    model_end(&model);
}

static void every_query_says_what_the_list_of_samples_says(void **state)
{
    const char *seed = getenv("KPID_MODEL_SEED");
    (void)state;

    if (seed == NULL) {
        live(1);
        live(2);
        live(3);
        return;
    }
    live(strtoull(seed, NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_query_says_what_the_list_of_samples_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
