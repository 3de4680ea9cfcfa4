#include "series/batch.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
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
};

struct batch *batch_new(const struct batch_rules *rules)
{
    struct batch *batch = memory_zero(1, sizeof *batch);
    batch->rules = rules;
    batch->delta = delta_new();
    return batch;
}

static void free_but_delta(struct batch *batch)
{
    slots_fini(&batch->series);
    slots_fini(&batch->cells);
    free(batch->newest_cells);
    buf_fini(&batch->key);
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
    free_but_delta(batch);
    return delta;
}

size_t batch_size_bytes(const struct batch *batch)
{
    return sizeof *batch + delta_size_bytes(batch->delta) + slots_size_bytes(&batch->series) +
           slots_size_bytes(&batch->cells) + batch->newest_capacity * sizeof *batch->newest_cells +
           batch->key.capacity;
}

enum metric_kind batch_kind(const struct batch_rules *rules, struct str name,
                            enum metric_kind otherwise)
{
    const struct metric_definition *metric = metric_find(rules->metrics, name);
    return metric != NULL && metric->has_kind ? metric->kind : otherwise;
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

static enum reject_reason check(const struct batch *batch, const struct batch_sample *sample,
                                wall_ms now, enum metric_kind *kind)
{
    const struct metric_definition *metric = metric_find(batch->rules->metrics, sample->name);

    *kind = metric != NULL && metric->has_kind ? metric->kind : sample->kind;
    if (!metric_name_is_valid(sample->name))
        return REJECT_bad_name;
    if (!time_is_near(batch->rules, sample->at, now))
        return REJECT_bad_time;
    if (*kind == METRIC_UNIQUE)
        return REJECT_NONE;
    if (sample->is_text || !isfinite(sample->value))
        return REJECT_bad_number;
    if (*kind == METRIC_SCORE && !score_is_in_range(sample->value, metric))
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

static uint32_t series_new(struct batch *batch, uint32_t hash)
{
    struct str key = buf_view(&batch->key);
    size_t count = batch->delta->series_count;

    if (count == batch->newest_capacity) {
        batch->newest_capacity = count == 0 ? 8 : count * 2;
        batch->newest_cells =
            memory_grow(batch->newest_cells, batch->newest_capacity, sizeof *batch->newest_cells);
    }
    uint32_t place = delta_add_series(batch->delta, series_key_hash(key), key) + 1;
    batch->newest_cells[place - 1] = 0;
    slots_add(&batch->series, hash, place);
    return place;
}

static uint32_t series_of_key(struct batch *batch, size_t limit)
{
    uint64_t wide = XXH3_64bits_withSeed(batch->key.bytes, batch->key.len, batch->rules->seed);
    uint32_t hash = (uint32_t)(wide >> 32);
    uint32_t place = series_find(batch, hash);

    if (place == 0 && batch->delta->series_count < limit)
        place = series_new(batch, hash);
    return place;
}

/* The index of a series, + 1; 0 when there is no room for it. */
static uint32_t series_of(struct batch *batch, const struct batch_sample *sample,
                          enum metric_kind kind)
{
    series_key_write(&batch->key, kind, sample->name, sample->labels, sample->label_count);
    return series_of_key(batch, batch->rules->series_max);
}

/* The same of the series that takes what has no room. There may be one for each metric, so these
 * have a limit too (FIG-35). */
static uint32_t other_of(struct batch *batch, struct str name, enum metric_kind kind)
{
    const struct label other = {STR("__other__"), STR("true")};
    size_t limit = batch->rules->series_max;

    series_key_write(&batch->key, kind, name, &other, 1);
    return series_of_key(batch, limit <= SIZE_MAX / 2 ? limit * 2 : limit);
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

static struct cell *cell_of(struct batch *batch, uint32_t series, int64_t minute)
{
    struct delta_cell *cell = cell_at(batch, batch->newest_cells[series], series, minute);
    uint32_t place = 0;

    if (cell != NULL)
        return &cell->cell;
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
    return &cell->cell;
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

static void add_to_cell(struct batch *batch, struct cell *cell, const struct batch_sample *sample,
                        enum metric_kind kind, uint64_t arrival)
{
    size_t before = owned_bytes(cell);
    uint64_t weight = weight_of(sample, kind);

    if (kind == METRIC_UNIQUE) {
        if (cell->distinct == NULL)
            cell->distinct = distinct_new();
        distinct_add(cell->distinct, sample->text.text == NULL ? STR("") : sample->text);
        aggregate_add(&cell->aggregate, 0, weight, sample->at, arrival);
    } else if (metric_kind_counts_values(kind)) {
        cell_add_value(cell, sample->value + 0.0, weight, sample->at, arrival);
    } else {
        aggregate_add(&cell->aggregate, sample->value + 0.0, weight, sample->at, arrival);
    }
    batch->delta->sketch_bytes += owned_bytes(cell) - before;
}

enum reject_reason batch_add(struct batch *batch, const struct batch_sample *sample, wall_ms now,
                             uint64_t arrival)
{
    enum metric_kind kind = METRIC_UNTYPED;
    enum reject_reason reason = check(batch, sample, now, &kind);

    if (reason != REJECT_NONE)
        return reason;
    uint32_t series = series_of(batch, sample, kind);
    if (series == 0)
        series = other_of(batch, sample->name, kind);
    if (series == 0)
        return REJECT_series_limit;
    add_to_cell(batch, cell_of(batch, series - 1, minute_at(sample->at)), sample, kind, arrival);
    return REJECT_NONE;
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

static enum reject_reason add_as_sample(struct batch *batch, const struct batch_point *point,
                                        wall_ms now, uint64_t arrival)
{
    char text[STR_DOUBLE_SIZE];
    const struct batch_sample sample = {.name = point->name,
                                        .labels = point->labels,
                                        .label_count = point->label_count,
                                        .kind = point->kind,
                                        .value = point->value,
                                        .text = {text, str_format_double(point->value, text)},
                                        .at = point->at};
    return batch_add(batch, &sample, now, arrival);
}

/* Of the point itself; what it holds is looked at by who stores it. */
static enum reject_reason check_point(const struct batch *batch, const struct batch_point *point,
                                      wall_ms now)
{
    if (!metric_name_is_valid(point->name))
        return REJECT_bad_name;
    return time_is_near(batch->rules, point->at, now) ? REJECT_NONE : REJECT_bad_time;
}

/* Over the limit an increment still counts, in __other__; what counts up from a start cannot, since
 * there it would be one of many under one tracker. Its next point says it all (FIG-23). */
static enum reject_reason add_value_point(struct batch *batch, const struct batch_point *point,
                                          const struct batch_sample *sample, uint64_t arrival)
{
    struct delta_point out = {.form = form_of(sample->kind, point->form),
                              .at = point->at,
                              .start = point->start,
                              .arrival = arrival,
                              .value = sample->value + 0.0};

    if (!isfinite(out.value) || (out.form == POINT_CUMULATIVE && out.value < 0))
        return REJECT_bad_number;
    uint32_t series = series_of(batch, sample, sample->kind);
    if (series > 0) {
        out.series = series - 1;
        delta_add_point(batch->delta, &out);
        return REJECT_NONE;
    }
    if (out.form != POINT_CUMULATIVE)
        series = other_of(batch, sample->name, sample->kind);
    if (series == 0)
        return REJECT_series_limit;
    add_to_cell(batch, cell_of(batch, series - 1, minute_at(out.at)), sample, sample->kind,
                arrival);
    return REJECT_NONE;
}

static void add_tally_to_cell(struct batch *batch, struct cell *cell,
                              const struct delta_point *point)
{
    size_t before = owned_bytes(cell);
    struct cell counted = CELL_EMPTY;

    tally_cell(point->tally, point->at, point->arrival, &counted);
    cell_merge(cell, &counted);
    cell_fini(&counted);
    batch->delta->sketch_bytes += owned_bytes(cell) - before;
}

/* The same of a distribution. Takes the tally over. */
static enum reject_reason store_tally(struct batch *batch, const struct batch_sample *sample,
                                      struct delta_point *out)
{
    uint32_t series = series_of(batch, sample, sample->kind);

    if (series > 0) {
        out->series = series - 1;
        delta_add_point(batch->delta, out);
        batch->delta->sketch_bytes += tally_size_bytes(out->tally);
        return REJECT_NONE;
    }
    if (out->form != POINT_CUMULATIVE)
        series = other_of(batch, sample->name, sample->kind);
    if (series > 0)
        add_tally_to_cell(batch, cell_of(batch, series - 1, minute_at(out->at)), out);
    tally_free(out->tally);
    return series > 0 ? REJECT_NONE : REJECT_series_limit;
}

static enum reject_reason add_tally_point(struct batch *batch, const struct batch_point *point,
                                          const struct batch_sample *sample, uint64_t arrival)
{
    struct error ignored;
    struct delta_point out = {.form = point->form,
                              .at = point->at,
                              .start = point->start,
                              .arrival = arrival,
                              .tally = tally_new(point->buckets, &ignored)};

    return out.tally == NULL ? REJECT_bad_histogram : store_tally(batch, sample, &out);
}

enum reject_reason batch_add_point(struct batch *batch, const struct batch_point *point,
                                   wall_ms now, uint64_t arrival)
{
    struct batch_sample sample = {.name = point->name,
                                  .labels = point->labels,
                                  .label_count = point->label_count,
                                  .kind = batch_kind(batch->rules, point->name, point->kind),
                                  .value = point->value,
                                  .at = point->at};
    bool is_value = sample.kind == METRIC_COUNTER || sample.kind == METRIC_GAUGE ||
                    sample.kind == METRIC_UNTYPED;

    if (point->buckets == NULL && !is_value)
        return add_as_sample(batch, point, now, arrival);
    enum reject_reason reason = check_point(batch, point, now);
    if (reason != REJECT_NONE)
        return reason;
    if (point->buckets == NULL)
        return add_value_point(batch, point, &sample, arrival);
    if (point->form == POINT_LEVEL)
        return REJECT_unsupported;
    if (sample.kind == METRIC_DISTRIBUTION)
        return add_tally_point(batch, point, &sample, arrival);
    if (sample.kind != METRIC_COUNTER)
        return REJECT_unsupported;
    sample.value = point->buckets->sum;
    return point->buckets->has_sum ? add_value_point(batch, point, &sample, arrival)
                                   : REJECT_bad_histogram;
}
