/* Bodies of a push from any bytes: refused with words and a reason, or a delta whose keys are valid
 * and whose counts are those of its samples. */
#include <stdlib.h>
#include <string.h>

#include "ingest/push.h"

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
        require(aggregate->last_at <= rules->now + rules->batch->max_future);
        require(aggregate->first_at >= rules->now - rules->batch->max_past);
        count += aggregate->count;
    }
    require(count == push->samples * WEIGHT_ONE);
}

/* The same words, in whichever pieces it comes. */
static void check_pieces(struct str body, size_t piece, const struct push_rules *rules, bool taken,
                         const struct error *whole)
{
    struct batch *batch = batch_new(rules->batch);
    struct error err = ERROR_EMPTY;
    struct push_reader reader;
    bool ok = true;

    push_reader_init(&reader, 1);
    for (size_t at = 0; ok && at < body.len; at += piece) {
        size_t len = body.len - at < piece ? body.len - at : piece;
        ok = push_reader_take(&reader, (struct str){body.text + at, len}, rules, batch, &err);
    }
    ok = ok && push_reader_end(&reader, &err);
    require(ok == taken && strcmp(err.text, whole->text) == 0);
    push_reader_fini(&reader);
    batch_free(batch);
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

    const struct batch_rules batch_rules = {.metrics = &metrics,
                                            .series_max = 100,
                                            .max_future = MS_PER_HOUR,
                                            .max_past = 30 * (span_ms)MS_PER_DAY,
                                            .seed = 7};
    const struct push_rules rules = {
        .batch = &batch_rules, .calendar = calendar, .now = INT64_C(1791788430000)};
    const uint64_t arrival = UINT64_C(1791788430000000);
    struct push push;
    if (size < 1)
        return 0;
    struct str body = {(const char *)bytes + 1, size - 1};
    bool ok = push_parse(body, &rules, arrival, &push, &err);
    check_pieces(body, (size_t)bytes[0] % 32 + 1, &rules, ok, &err);
    if (ok) {
        check(&push, &rules);
        delta_free(push.delta);
    } else {
        require(push.delta == NULL && err.text[0] != '\0' && push.reason >= 0 &&
                push.reason < REJECT_REASON_COUNT);
    }
    return 0;
}
