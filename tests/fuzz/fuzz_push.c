/* Bodies of a push from any bytes: refused with words and a reason, or a delta whose keys are valid
 * and whose counts are those of its samples. */
#include <stdlib.h>

#include "web/push.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct push *push, const struct push_rules *rules)
{
    const struct delta *delta = push->delta;
    uint64_t count = 0;

    require(push->reason == REJECT_NONE && push->samples > 0 && push->samples <= PUSH_SAMPLES_MAX);
    for (size_t i = 0; i < delta->series_count; i++) {
        struct str key = delta->series[i].key;
        require(series_key_is_valid(key));
        require(series_hash_equal(series_key_hash(key), delta->series[i].hash));
    }
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct aggregate *aggregate = &delta->cells[i].cell.aggregate;
        require(delta->cells[i].series < delta->series_count);
        require(aggregate->last_at <= rules->now + rules->max_future);
        require(aggregate->first_at >= rules->now - rules->max_past);
        count += aggregate->count;
    }
    require(count == push->samples * WEIGHT_ONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct calendar *calendar;
    static struct metric_table metrics;
    static struct metric_definition visitors = {
        .name = "visitors", .has_kind = true, .kind = METRIC_UNIQUE};
    static struct metric_definition score = {.name = "score",
                                             .has_kind = true,
                                             .kind = METRIC_SCORE,
                                             .has_range = true,
                                             .range_high = 10};
    struct error err = ERROR_EMPTY;
    if (calendar == NULL) {
        calendar = calendar_new(STR("Europe/Berlin"), 1, &err);
        require(calendar != NULL && table_add(&metrics.by_name, STR("visitors"), &visitors) &&
                table_add(&metrics.by_name, STR("score"), &score));
    }

    const struct push_rules rules = {.metrics = &metrics,
                                     .calendar = calendar,
                                     .max_future = MS_PER_HOUR,
                                     .max_past = 30 * (span_ms)MS_PER_DAY,
                                     .now = INT64_C(1791788430000),
                                     .arrival = UINT64_C(1791788430000000)};
    struct push push;
    if (push_parse((struct str){(const char *)bytes, size}, &rules, &push, &err)) {
        check(&push, &rules);
        delta_free(push.delta);
    } else {
        require(push.delta == NULL && err.text[0] != '\0' && push.reason >= 0 &&
                push.reason < REJECT_REASON_COUNT);
    }
    return 0;
}
