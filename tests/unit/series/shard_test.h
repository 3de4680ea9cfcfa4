/* Samples for tests of the shard, and ways to look into its deltas. */
#pragma once

#include "series/shard.h"
#include "test.h"

/* 2026-10-12T09:00:00Z, a whole minute. */
static const int64_t NOW_US = INT64_C(1791795600000000);
static const wall_ms NOW = INT64_C(1791795600000);
static const struct shard_limits LIMITS = {.series = 1000,
                                           .raw_keys = 4000,
                                           .max_future = 10 * (span_ms)MS_PER_MINUTE,
                                           .max_past = 30 * (span_ms)MS_PER_DAY};

static inline struct sample sample_of(const char *name, enum metric_kind kind, double value)
{
    return (struct sample){.name = str_of(name),
                           .kind = kind,
                           .value = value,
                           .text = STR("text"),
                           .weight = WEIGHT_ONE,
                           .at = WALL_NONE};
}

static inline struct sample tagged(const char *name, const char *tags, double value)
{
    struct sample sample = sample_of(name, METRIC_COUNTER, value);
    sample.tags = str_of(tags);
    sample.tag_style = TAGS_COLON;
    return sample;
}

static inline enum reject_reason add_at(struct shard *shard, struct sample sample, int64_t now_us)
{
    struct ledger ledger = {.received = 1};
    enum reject_reason why = REJECT_REASON_COUNT;
    shard_add(shard, &sample, 1, now_us, &ledger, &why);
    assert_true(ledger_balances(&ledger));
    assert_int_equal(ledger.stored, why == REJECT_NONE);
    return why;
}

static inline void add(struct shard *shard, struct sample sample)
{
    assert_int_equal(add_at(shard, sample, NOW_US), REJECT_NONE);
}

/* The series with a key as series_key_format shows it; its index, which must be there. */
static inline uint32_t series_index(const struct delta *delta, const char *key)
{
    for (size_t i = 0; i < delta->series_count; i++) {
        struct buf text = BUF_EMPTY;
        series_key_format(&text, delta->series[i].key);
        bool found = str_is(buf_view(&text), key);
        buf_fini(&text);
        if (found)
            return (uint32_t)i;
    }
    fail_msg("no series %s", key);
    return 0;
}

static inline const struct delta_cell *cell_of(const struct delta *delta, const char *key,
                                               int64_t minute)
{
    uint32_t series = series_index(delta, key);
    const struct delta_cell *found = NULL;
    for (size_t i = 0; i < delta->cell_count; i++) {
        if (delta->cells[i].series == series && delta->cells[i].minute == minute) {
            assert_null(found); /* one cell a minute */
            found = &delta->cells[i];
        }
    }
    assert_non_null(found);
    return found;
}

static inline const struct aggregate *now_of(const struct delta *delta, const char *key)
{
    return &cell_of(delta, key, NOW / MS_PER_MINUTE)->cell.aggregate;
}

static inline double total_of_all(const struct delta *delta)
{
    double total = 0;
    for (size_t i = 0; i < delta->cell_count; i++)
        total += aggregate_sum(&delta->cells[i].cell.aggregate);
    return total;
}

static inline struct sample member_of(const char *name, const char *tags, const char *member)
{
    struct sample sample = tagged(name, tags, 0);
    sample.kind = METRIC_UNIQUE;
    sample.text = str_of(member);
    return sample;
}
