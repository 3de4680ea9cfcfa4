#include "series/batch.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "series/mapping.h"
#include "series/sample.h"
#include "series/slots.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

struct batch {
    const struct batch_rules *rules;
    struct delta *delta;
    struct slots series;    /* hash of a key -> index into the delta's series + 1 */
    struct slots cells;     /* hash of series and minute -> index into the delta's cells + 1 */
    uint32_t *newest_cells; /* of each series: the cell that was written last */
    size_t newest_capacity;
    struct buf key;
    struct mapped *mapped; /* of the name that is looked at; NULL until a rule matched one */
    uint64_t unwanted;
    struct series_cache *cache; /* NULL: none, or no longer */
    uint64_t number;            /* of the batch there */
};

struct batch *batch_new(const struct batch_rules *rules)
{
    struct batch *batch = memory_zero(1, sizeof *batch);
    batch->rules = rules;
    batch->delta = delta_new();
    delta_set_listener(batch->delta, rules->listener);
    return batch;
}

static void free_but_delta(struct batch *batch)
{
    slots_fini(&batch->series);
    slots_fini(&batch->cells);
    free(batch->newest_cells);
    buf_fini(&batch->key);
    free(batch->mapped);
    free(batch);
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    delta_free(batch->delta);
    free_but_delta(batch);
}

struct delta *batch_take(struct batch *batch)
{
    struct delta *delta = batch->delta;

    if (batch->cache != NULL && series_cache_is_at(batch->cache, batch->number))
        series_cache_set_extent(batch->cache,
                                (struct batch_extent){delta->series_count, delta->point_count});
    free_but_delta(batch);
    return delta;
}

size_t batch_size_bytes(const struct batch *batch)
{
    return sizeof *batch + delta_size_bytes(batch->delta) + slots_size_bytes(&batch->series) +
           slots_size_bytes(&batch->cells) + batch->newest_capacity * sizeof *batch->newest_cells +
           batch->key.capacity + (batch->mapped == NULL ? 0 : sizeof *batch->mapped);
}

uint64_t batch_unwanted(const struct batch *batch)
{
    return batch->unwanted;
}

static const struct mapping *mapping_of(const struct batch_rules *rules)
{
    return rules->metrics == NULL ? NULL : rules->metrics->mapping;
}

enum metric_kind batch_kind(const struct batch_rules *rules, struct str name,
                            enum metric_kind otherwise)
{
    struct mapped *mapped = NULL;

    if (mapping_of(rules) != NULL) {
        mapped = memory_zero(1, sizeof *mapped);
        if (mapping_apply(mapping_of(rules), name, NULL, 0, mapped) == MAPPING_MAPPED)
            name = mapped->name;
    }
    const struct metric_definition *metric = metric_find(rules->metrics, name);
    free(mapped);
    return metric != NULL && metric->has_kind ? metric->kind : otherwise;
}

/* A name and labels, which rules of mapping may change. */
struct called {
    struct str *name;
    const struct label **labels;
    size_t *count;
};

static enum mapping_verdict rename_series(struct batch *batch, const struct batch_memo *memo,
                                          const struct called *called)
{
    const struct mapping *mapping = mapping_of(batch->rules);

    if (memo->cached != NULL) { /* a rule may have matched */
        *called->name = cached_series_metric(memo->cached);
        return MAPPING_NONE;
    }
    if (mapping == NULL || (memo->is_known && memo->place != 0))
        return MAPPING_NONE; /* its series is known */
    if (batch->mapped == NULL)
        batch->mapped = memory_zero(1, sizeof *batch->mapped);
    enum mapping_verdict verdict =
        mapping_apply(mapping, *called->name, *called->labels, *called->count, batch->mapped);
    if (verdict == MAPPING_DROPPED)
        batch->unwanted++;
    if (verdict != MAPPING_MAPPED)
        return verdict;
    *called->name = batch->mapped->name;
    *called->labels = batch->mapped->labels;
    *called->count = batch->mapped->label_count;
    return verdict;
}

/* --- values and times ----------------------------------------------------------------------- */

static bool score_is_in_range(double value, const struct metric_definition *metric)
{
    const double exact_max = 9007199254740992.0; /* 2^53: larger doubles are all whole */

    if (value != floor(value) || fabs(value) > exact_max)
        return false;
    return metric == NULL || !metric->has_range ||
           ((int64_t)value >= metric->range_low && (int64_t)value <= metric->range_high);
}

/* FIG-3. */
static bool time_is_near(const struct batch_rules *rules, wall_ms at, wall_ms now)
{
    return at <= now + rules->max_future && at >= now - rules->max_past &&
           at / MS_PER_MINUTE >= INT32_MIN && at / MS_PER_MINUTE <= INT32_MAX;
}

/* What the series alone decides, found out once. */
static void look_up(const struct batch *batch, struct batch_memo *memo, struct str name,
                    enum metric_kind kind)
{
    if (memo->is_known)
        return;
    const struct metric_definition *metric = metric_find(batch->rules->metrics, name);
    *memo = (struct batch_memo){
        .is_known = true,
        .kind = metric != NULL && metric->has_kind ? metric->kind : kind,
        .metric = metric,
        .wrong = metric_name_is_clean(name) ? REJECT_NONE : REJECT_bad_name,
    };
}

static bool has_text(const struct batch_sample *sample)
{
    return sample->is_text || sample->text.text != NULL;
}

static enum reject_reason check(const struct batch *batch, const struct batch_sample *sample,
                                const struct batch_memo *memo, wall_ms now)
{
    if (memo->wrong != REJECT_NONE)
        return memo->wrong;
    if (!time_is_near(batch->rules, sample->at, now))
        return REJECT_bad_time;
    if (memo->kind == METRIC_UNIQUE)
        return has_text(sample) || isfinite(sample->value) ? REJECT_NONE : REJECT_bad_number;
    if (sample->is_text || !isfinite(sample->value))
        return REJECT_bad_number;
    if (memo->kind == METRIC_SCORE && !score_is_in_range(sample->value, memo->metric))
        return REJECT_out_of_range;
    return REJECT_NONE;
}

/* The minute that a time is in: rounded down. */
static int64_t minute_at(wall_ms at)
{
    return at / MS_PER_MINUTE - (at % MS_PER_MINUTE < 0 ? 1 : 0);
}

/* --- series and cells ----------------------------------------------------------------------- */

/* The index of the series that batch->key names, + 1; 0 when it is not there. */
static uint32_t series_find(const struct batch *batch, uint32_t hash)
{
    struct str key = buf_view(&batch->key);
    uint32_t at = slots_home(&batch->series, hash);
    uint32_t place = 0;

    while ((place = slots_next(&batch->series, hash, &at)) != 0) {
        if (str_equal(batch->delta->series[place - 1].key, key))
            return place;
    }
    return 0;
}

/* Its place. */
static uint32_t series_new(struct batch *batch, struct series_hash name, struct str key)
{
    size_t count = batch->delta->series_count;

    if (count == batch->newest_capacity) {
        batch->newest_capacity = count == 0 ? 8 : count * 2;
        batch->newest_cells =
            memory_grow(batch->newest_cells, batch->newest_capacity, sizeof *batch->newest_cells);
    }
    uint32_t place = delta_add_series(batch->delta, name, key) + 1;
    batch->newest_cells[place - 1] = 0;
    return place;
}

static uint32_t key_hash(const struct batch *batch, struct str key)
{
    return (uint32_t)(XXH3_64bits_withSeed(key.text, key.len, batch->rules->seed) >> 32);
}

static void enter(const struct batch *batch, struct cached_series *series, uint32_t place)
{
    series->batch = batch->number;
    series->place = place;
}

/* Another batch began, or the cache forgot: what it said of this one is lost, so all series go to
 * the batch's own table. */
static void leave_cache(struct batch *batch)
{
    batch->cache = NULL;
    slots_fini(&batch->series);
    for (size_t i = 0; i < batch->delta->series_count; i++)
        slots_add(&batch->series, key_hash(batch, batch->delta->series[i].key), (uint32_t)i + 1);
}

static bool has_cache(struct batch *batch)
{
    if (batch->cache != NULL && !series_cache_is_at(batch->cache, batch->number))
        leave_cache(batch);
    return batch->cache != NULL;
}

/* A series is in the cache, which says where the batch has it, or in the batch's own table: never
 * in both. What a full cache does not take stays out of it until the next batch. */
static uint32_t series_of_key(struct batch *batch, size_t limit, struct cached_series **cached)
{
    struct str key = buf_view(&batch->key);
    uint32_t hash = key_hash(batch, key);
    struct cached_series *known =
        has_cache(batch) ? series_cache_find_series(batch->cache, hash, key) : NULL;
    uint32_t place = 0;

    if (known == NULL)
        place = series_find(batch, hash);
    else if (known->batch == batch->number)
        place = known->place;
    *cached = known;
    if (place != 0 || batch->delta->series_count >= limit)
        return place;
    struct series_hash name = known == NULL ? series_key_hash(key) : known->hash;
    if (known == NULL && batch->cache != NULL)
        known = series_cache_add_series(batch->cache, hash, key, name);
    place = series_new(batch, name, key);
    if (known == NULL)
        slots_add(&batch->series, hash, place);
    else
        enter(batch, known, place);
    *cached = known;
    return place;
}

static bool is_full(const struct batch *batch, struct str metric, struct str key)
{
    const struct batch_rules *rules = batch->rules;

    return room_is_full(rules->room, metric, key) ||
           room_listener_is_full(rules->room, rules->listener, key);
}

/* The same of one that the cache knows; it is asked for as any other that is new to the batch. */
static uint32_t series_of_cached(struct batch *batch, struct cached_series *series)
{
    struct str key = {series->key, series->key_len};

    if (series->batch == batch->number)
        return series->place;
    if (batch->delta->series_count >= batch->rules->series_max ||
        is_full(batch, cached_series_metric(series), key))
        return 0;
    enter(batch, series, series_new(batch, series->hash, key));
    return series->place;
}

/* The index of a series, + 1; 0 when there is no room for it. */
static uint32_t series_of(struct batch *batch, const struct batch_sample *sample,
                          struct batch_memo *memo)
{
    if (memo->place != 0)
        return memo->place;
    if (memo->cached != NULL) {
        memo->place = series_of_cached(batch, memo->cached);
        return memo->place;
    }
    series_key_write(&batch->key, memo->kind, sample->name, sample->labels, sample->label_count);
    size_t limit =
        is_full(batch, sample->name, buf_view(&batch->key)) ? 0 : batch->rules->series_max;
    memo->place = series_of_key(batch, limit, &memo->cached);
    return memo->place;
}

/* The same of the series that takes what has no room. There may be one for each metric, so these
 * have a limit too (FIG-35). */
static uint32_t other_of(struct batch *batch, struct str name, enum metric_kind kind)
{
    const struct label other = {STR("__other__"), STR("true")};
    size_t limit = batch->rules->series_max;
    struct cached_series *cached = NULL;

    series_key_write(&batch->key, kind, name, &other, 1);
    return series_of_key(batch, limit <= SIZE_MAX / 2 ? limit * 2 : limit, &cached);
}

static uint32_t cell_hash(const struct batch *batch, uint32_t series, int64_t minute)
{
    const uint64_t pair[] = {series, (uint64_t)minute};
    return (uint32_t)(XXH3_64bits_withSeed(pair, sizeof pair, batch->rules->seed) >> 32);
}

static struct delta_cell *cell_at(const struct batch *batch, uint32_t place, uint32_t series,
                                  int64_t minute)
{
    if (place == 0)
        return NULL;
    struct delta_cell *cell = &batch->delta->cells[place - 1];
    return cell->series == series && cell->minute == minute ? cell : NULL;
}

static struct delta_cell *cell_of(struct batch *batch, uint32_t series, int64_t minute)
{
    struct delta_cell *cell = cell_at(batch, batch->newest_cells[series], series, minute);
    uint32_t place = 0;

    if (cell != NULL)
        return cell;
    uint32_t hash = cell_hash(batch, series, minute);
    uint32_t at = slots_home(&batch->cells, hash);
    while (cell == NULL && (place = slots_next(&batch->cells, hash, &at)) != 0)
        cell = cell_at(batch, place, series, minute);
    if (cell == NULL) {
        cell = delta_add_cell(batch->delta, series, minute);
        place = (uint32_t)batch->delta->cell_count;
        slots_add(&batch->cells, hash, place);
    }
    batch->newest_cells[series] = place;
    return cell;
}

static size_t owned_bytes(const struct cell *cell)
{
    return (cell->distinct == NULL ? 0 : distinct_size_bytes(cell->distinct)) +
           (cell->histogram == NULL ? 0 : histogram_size_bytes(cell->histogram));
}

/* A level is a level, however seldom it is sent (S7). */
static uint64_t weight_of(const struct batch_sample *sample, enum metric_kind kind)
{
    return sample->weight == 0 || kind == METRIC_GAUGE ? WEIGHT_ONE : sample->weight;
}

/* A gauge's change is a new value where the cell knows the level, else it is kept for the writer
 * (S7). False when the level would not be finite. */
static bool add_change(struct batch *batch, struct delta_cell *cell,
                       const struct batch_sample *sample, const struct metric_definition *metric,
                       uint64_t arrival)
{
    struct aggregate *aggregate = &cell->cell.aggregate;

    if (aggregate->count == 0) {
        struct gauge_changes *changes = delta_cell_changes(batch->delta, cell);
        size_t before = gauge_changes_size_bytes(changes);
        gauge_changes_begin(changes, metric);
        bool ok = gauge_changes_add(changes, sample->value, sample->at, arrival);
        batch->delta->sketch_bytes += gauge_changes_size_bytes(changes) - before;
        return ok;
    }
    /* Changes count in the order they come, whatever their times say. */
    wall_ms at = sample->at > aggregate->last_at ? sample->at : aggregate->last_at;
    double level = aggregate->last + sample->value;
    if (!isfinite(level))
        return false;
    aggregate_add(aggregate, metric_level(metric, level), WEIGHT_ONE, at, arrival);
    return true;
}

static void add_member(struct distinct *distinct, const struct batch_sample *sample)
{
    char text[STR_DOUBLE_SIZE];
    struct str member = sample->text.text == NULL ? STR("") : sample->text;

    if (!has_text(sample))
        member = (struct str){text, str_format_double(sample->value, text)};
    distinct_add(distinct, member);
}

static enum reject_reason add_to_cell(struct batch *batch, struct delta_cell *delta_cell,
                                      const struct batch_sample *sample, enum metric_kind kind,
                                      uint64_t arrival)
{
    struct cell *cell = &delta_cell->cell;
    uint64_t weight = weight_of(sample, kind);

    size_t before = owned_bytes(cell);
    if (kind == METRIC_UNIQUE) {
        if (cell->distinct == NULL)
            cell->distinct = distinct_new();
        add_member(cell->distinct, sample);
        aggregate_add(&cell->aggregate, 0, weight, sample->at, arrival);
    } else if (metric_kind_counts_values(kind)) {
        cell_add_value(cell, sample->value + 0.0, weight, sample->at, arrival);
    } else {
        aggregate_add(&cell->aggregate, sample->value + 0.0, weight, sample->at, arrival);
    }
    delta_cell->extra_weight += weight - WEIGHT_ONE;
    batch->delta->sketch_bytes += owned_bytes(cell) - before;
    return REJECT_NONE;
}

static enum reject_reason add_value_point(struct batch *batch, const struct batch_point *point,
                                          const struct batch_sample *sample,
                                          struct batch_memo *memo, uint64_t arrival);

/* A total: its difference to the last one counts, which the writer knows (FIG-23). */
static enum reject_reason add_total(struct batch *batch, struct batch_memo *memo,
                                    const struct batch_sample *sample, wall_ms now,
                                    uint64_t arrival)
{
    const struct batch_point point = {.form = POINT_CUMULATIVE,
                                      .at = sample->at,
                                      .start = WALL_NONE,
                                      .by_arrival = sample->at == now};
    struct batch_sample counted = *sample;

    counted.kind = memo->kind;
    return add_value_point(batch, &point, &counted, memo, arrival);
}

static enum reject_reason add_sample(struct batch *batch, struct batch_memo *memo,
                                     const struct batch_sample *sample, wall_ms now,
                                     uint64_t arrival)
{
    look_up(batch, memo, sample->name, sample->kind);
    enum reject_reason reason = check(batch, sample, memo, now);
    if (reason != REJECT_NONE)
        return reason;
    if (memo->kind == METRIC_COUNTER && memo->metric != NULL && memo->metric->counts_up)
        return add_total(batch, memo, sample, now, arrival);
    uint32_t series = series_of(batch, sample, memo);
    if (series == 0)
        series = other_of(batch, sample->name, memo->kind);
    if (series == 0)
        return REJECT_series_limit;
    struct delta_cell *cell = cell_of(batch, series - 1, minute_at(sample->at));
    if (sample->is_change && memo->kind == METRIC_GAUGE)
        return add_change(batch, cell, sample, memo->metric, arrival) ? REJECT_NONE
                                                                      : REJECT_bad_number;
    return add_to_cell(batch, cell, sample, memo->kind, arrival);
}

enum reject_reason batch_add_to(struct batch *batch, struct batch_memo *memo,
                                const struct batch_sample *sample, wall_ms now, uint64_t arrival)
{
    struct batch_sample mapped = *sample;
    const struct called called = {&mapped.name, &mapped.labels, &mapped.label_count};

    switch (rename_series(batch, memo, &called)) {
    case MAPPING_DROPPED:
        return REJECT_NONE;
    case MAPPING_TOO_BIG:
        return REJECT_bad_name;
    case MAPPING_NONE:
    case MAPPING_MAPPED:
        break;
    }
    return add_sample(batch, memo, &mapped, now, arrival);
}

enum reject_reason batch_add(struct batch *batch, const struct batch_sample *sample, wall_ms now,
                             uint64_t arrival)
{
    struct batch_memo memo = {.is_known = false};
    return batch_add_to(batch, &memo, sample, now, arrival);
}

/* --- points --------------------------------------------------------------------------------- */

/* What a point means for the kind of its metric. */
static enum delta_point_form form_of(enum metric_kind kind, enum delta_point_form form)
{
    if (kind == METRIC_GAUGE)
        return POINT_LEVEL;
    if (kind == METRIC_COUNTER)
        return form == POINT_LEVEL ? POINT_CUMULATIVE : form;
    return kind == METRIC_UNTYPED && form == POINT_CUMULATIVE ? POINT_LEVEL : form;
}

static bool is_value_kind(enum metric_kind kind)
{
    return kind == METRIC_COUNTER || kind == METRIC_GAUGE || kind == METRIC_UNTYPED;
}

/* What is no increment has no window, which has to be told exactly. */
static uint32_t ns_of(enum delta_point_form form, uint32_t ns)
{
    return form == POINT_INCREMENT ? ns : 0;
}

static enum reject_reason add_as_sample(struct batch *batch, struct batch_memo *memo,
                                        const struct batch_point *point, wall_ms now,
                                        uint64_t arrival)
{
    char text[STR_DOUBLE_SIZE];
    const struct batch_sample sample = {.name = point->name,
                                        .labels = point->labels,
                                        .label_count = point->label_count,
                                        .kind = point->kind,
                                        .value = point->value,
                                        .text = {text, str_format_double(point->value, text)},
                                        .at = point->at};
    return add_sample(batch, memo, &sample, now, arrival);
}

/* An increment without a time: there is nothing by which it could be a duplicate. */
static bool counts_each_time(enum delta_point_form form, const struct batch_point *point)
{
    return form == POINT_INCREMENT && point->by_arrival;
}

/* Of the point itself; what it holds is looked at by who stores it. */
static enum reject_reason check_point(const struct batch *batch, const struct batch_point *point,
                                      const struct batch_memo *memo, wall_ms now)
{
    if (memo->wrong != REJECT_NONE)
        return memo->wrong;
    return time_is_near(batch->rules, point->at, now) ? REJECT_NONE : REJECT_bad_time;
}

/* Over the limit an increment still counts, in __other__; what counts up from a start cannot, since
 * there it would be one of many under one tracker. Its next point says it all (FIG-23). */
static enum reject_reason add_value_point(struct batch *batch, const struct batch_point *point,
                                          const struct batch_sample *sample,
                                          struct batch_memo *memo, uint64_t arrival)
{
    struct delta_point out = {.form = form_of(sample->kind, point->form),
                              .at = point->at,
                              .start = point->start,
                              .arrival = arrival,
                              .value = sample->value + 0.0,
                              .by_arrival = point->by_arrival};

    out.at_ns = ns_of(out.form, point->at_ns) & DELTA_NS_MASK;
    out.start_ns = ns_of(out.form, point->start_ns) & DELTA_NS_MASK;
    if (!isfinite(out.value) || (out.form == POINT_CUMULATIVE && out.value < 0))
        return REJECT_bad_number;
    uint32_t series = series_of(batch, sample, memo);
    if (series > 0 && !counts_each_time(out.form, point)) {
        out.series = series - 1;
        delta_add_point(batch->delta, &out);
        return REJECT_NONE;
    }
    if (series == 0 && out.form != POINT_CUMULATIVE)
        series = other_of(batch, sample->name, sample->kind);
    if (series == 0)
        return REJECT_series_limit;
    return add_to_cell(batch, cell_of(batch, series - 1, minute_at(out.at)), sample, sample->kind,
                       arrival);
}

static void add_tally_to_cell(struct batch *batch, struct delta_cell *delta_cell,
                              const struct delta_point *point)
{
    struct cell *cell = &delta_cell->cell;
    size_t before = owned_bytes(cell);
    struct cell counted = CELL_EMPTY;

    tally_cell(point->tally, point->at, point->arrival, &counted);
    cell_merge(cell, &counted);
    delta_cell->extra_weight += counted.aggregate.count - WEIGHT_ONE; /* it is one sample */
    cell_fini(&counted);
    batch->delta->sketch_bytes += owned_bytes(cell) - before;
}

/* The same of a distribution. Takes the tally over. */
static enum reject_reason store_tally(struct batch *batch, const struct batch_point *point,
                                      const struct batch_sample *sample, struct batch_memo *memo,
                                      struct delta_point *out)
{
    uint32_t series = series_of(batch, sample, memo);

    if (series > 0 && !counts_each_time(out->form, point)) {
        out->series = series - 1;
        delta_add_point(batch->delta, out);
        batch->delta->sketch_bytes += tally_size_bytes(out->tally);
        return REJECT_NONE;
    }
    if (series == 0 && out->form != POINT_CUMULATIVE)
        series = other_of(batch, sample->name, sample->kind);
    if (series > 0)
        add_tally_to_cell(batch, cell_of(batch, series - 1, minute_at(out->at)), out);
    tally_free(out->tally);
    return series > 0 ? REJECT_NONE : REJECT_series_limit;
}

static enum reject_reason add_tally_point(struct batch *batch, const struct batch_point *point,
                                          const struct batch_sample *sample,
                                          struct batch_memo *memo, uint64_t arrival)
{
    struct error ignored;
    struct delta_point out = {.form = point->form,
                              .at = point->at,
                              .start = point->start,
                              .arrival = arrival,
                              .tally = tally_new(point->buckets, &ignored),
                              .by_arrival = point->by_arrival,
                              .at_ns = ns_of(point->form, point->at_ns) & DELTA_NS_MASK,
                              .start_ns = ns_of(point->form, point->start_ns) & DELTA_NS_MASK};

    return out.tally == NULL ? REJECT_bad_histogram : store_tally(batch, point, sample, memo, &out);
}

static enum reject_reason add_point(struct batch *batch, struct batch_memo *memo,
                                    const struct batch_point *point, wall_ms now, uint64_t arrival)
{
    look_up(batch, memo, point->name, point->kind);
    struct batch_sample sample = {.name = point->name,
                                  .labels = point->labels,
                                  .label_count = point->label_count,
                                  .kind = memo->kind,
                                  .value = point->value,
                                  .at = point->at};

    if (point->buckets == NULL && !is_value_kind(sample.kind))
        return add_as_sample(batch, memo, point, now, arrival);
    enum reject_reason reason = check_point(batch, point, memo, now);
    if (reason != REJECT_NONE)
        return reason;
    if (point->buckets == NULL)
        return add_value_point(batch, point, &sample, memo, arrival);
    if (point->form == POINT_LEVEL)
        return REJECT_unsupported;
    if (sample.kind == METRIC_DISTRIBUTION)
        return add_tally_point(batch, point, &sample, memo, arrival);
    if (sample.kind != METRIC_COUNTER)
        return REJECT_unsupported;
    sample.value = point->buckets->sum;
    return point->buckets->has_sum ? add_value_point(batch, point, &sample, memo, arrival)
                                   : REJECT_bad_histogram;
}

/* The most of all points: a value of a series that the cache knows, whose rules were asked. False:
 * it is one of the others. */
static bool add_known_value(struct batch *batch, struct batch_memo *memo,
                            const struct batch_point *point, wall_ms now, uint64_t arrival)
{
    struct delta_point out = {.form = form_of(memo->kind, point->form),
                              .at = point->at,
                              .start = point->start,
                              .arrival = arrival,
                              .value = point->value + 0.0,
                              .by_arrival = point->by_arrival};

    out.at_ns = ns_of(out.form, point->at_ns) & DELTA_NS_MASK;
    out.start_ns = ns_of(out.form, point->start_ns) & DELTA_NS_MASK;
    if (memo->wrong != REJECT_NONE || !is_value_kind(memo->kind) || !isfinite(out.value) ||
        (out.form == POINT_CUMULATIVE && out.value < 0) || counts_each_time(out.form, point) ||
        !time_is_near(batch->rules, out.at, now))
        return false;
    if (memo->place == 0)
        memo->place = series_of_cached(batch, memo->cached);
    if (memo->place == 0)
        return false;
    out.series = memo->place - 1;
    delta_add_point(batch->delta, &out);
    return true;
}

enum reject_reason batch_add_point_to(struct batch *batch, struct batch_memo *memo,
                                      const struct batch_point *point, wall_ms now,
                                      uint64_t arrival)
{
    if (memo->cached != NULL && point->buckets == NULL &&
        add_known_value(batch, memo, point, now, arrival))
        return REJECT_NONE;
    struct batch_point mapped = *point;
    const struct called called = {&mapped.name, &mapped.labels, &mapped.label_count};

    switch (rename_series(batch, memo, &called)) {
    case MAPPING_DROPPED:
        return REJECT_NONE;
    case MAPPING_TOO_BIG:
        return REJECT_bad_name;
    case MAPPING_NONE:
    case MAPPING_MAPPED:
        break;
    }
    return add_point(batch, memo, &mapped, now, arrival);
}

enum reject_reason batch_add_point(struct batch *batch, const struct batch_point *point,
                                   wall_ms now, uint64_t arrival)
{
    struct batch_memo memo = {.is_known = false};
    return batch_add_point_to(batch, &memo, point, now, arrival);
}

/* --- with a cache --------------------------------------------------------------------------- */

static size_t less(size_t a, size_t b)
{
    return a < b ? a : b;
}

void batch_use(struct batch *batch, struct series_cache *cache, size_t bytes)
{
    /* As sent, with its labels: whatever the last one had, this one reserves little more than what
     * it has itself. */
    enum { POINT_BYTES_MIN = 64 };

    batch->cache = cache;
    if (cache == NULL)
        return;
    batch->number = series_cache_begin(cache);
    const struct batch_extent last = series_cache_extent(cache);
    size_t series = less(last.series, bytes / POINT_BYTES_MIN);
    delta_reserve(batch->delta, series, 0);
    delta_reserve_points(batch->delta, less(last.points, bytes / POINT_BYTES_MIN));
    if (series > batch->newest_capacity) {
        batch->newest_capacity = series;
        batch->newest_cells = memory_grow(batch->newest_cells, series, sizeof *batch->newest_cells);
    }
}

static void recall(const struct cached_meaning *known, struct batch_memo *memo, unsigned char *note)
{
    *memo = (struct batch_memo){.is_known = true,
                                .kind = known->kind,
                                .metric = known->metric,
                                .wrong = REJECT_NONE,
                                .cached = known->series};
    *note = known->note;
}

bool batch_recall(struct batch *batch, struct spelling *spelling, struct batch_memo *memo,
                  unsigned char *note)
{
    struct cached_meaning known;

    if (!has_cache(batch) || !series_cache_find(batch->cache, spelling, &known))
        return false;
    recall(&known, memo, note);
    return true;
}

bool batch_recall_next(struct batch *batch, const struct spelling *spelling,
                       struct batch_memo *memo, unsigned char *note, size_t *len)
{
    struct cached_meaning known;

    if (!has_cache(batch) || !series_cache_find_next(batch->cache, spelling, &known, len))
        return false;
    recall(&known, memo, note);
    return true;
}

struct str batch_peek(struct batch *batch, const struct spelling *spelling)
{
    return has_cache(batch) ? series_cache_peek(batch->cache, spelling) : STR_EMPTY;
}

void batch_recall_peeked(struct batch *batch, struct batch_memo *memo, unsigned char *note)
{
    struct cached_meaning known;

    series_cache_take_next(batch->cache, &known);
    recall(&known, memo, note);
}

void batch_remember(struct batch *batch, const struct spelling *spelling,
                    const struct batch_memo *memo, unsigned char note)
{
    const struct cached_meaning meaning = {
        .series = memo->cached, .metric = memo->metric, .kind = memo->kind, .note = note};

    if (has_cache(batch) && batch_may_remember(memo))
        series_cache_add(batch->cache, spelling, &meaning);
}

uint64_t batch_context(struct batch *batch, struct str bytes)
{
    return has_cache(batch) ? series_cache_context(batch->cache, bytes) : 0;
}

uint64_t batch_find_context(struct batch *batch, struct str bytes)
{
    return has_cache(batch) ? series_cache_find_context(batch->cache, bytes) : 0;
}
