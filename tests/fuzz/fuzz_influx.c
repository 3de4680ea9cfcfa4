/* Bodies of line protocol from any bytes: every line is counted once, what is stored has valid
 * keys, and it does not matter in which pieces the bytes come. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/influx_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct influx_body *take(const struct influx_request *request, struct str bytes,
                                size_t piece)
{
    struct influx_body *body = influx_body_new(request);

    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        influx_body_take(body, (struct str){bytes.text + at, len});
    }
    influx_body_end(body);
    return body;
}

static void check(struct influx_body *body, const struct influx_request *request)
{
    struct buf words = BUF_EMPTY;
    struct buf list = BUF_EMPTY;
    uint64_t count = 0;
    wall_ms now = request->now_us / 1000;

    require(ledger_balances(&body->counts));
    require((influx_body_verdict(body, &words, &list) == 204) == (body->bad_lines == 0));
    require(words.len < 1024 && list.len < 16 * 1024);
    struct delta *delta = batch_take(body->batch);
    body->batch = NULL;
    for (size_t i = 0; i < delta->series_count; i++) {
        struct str key = delta->series[i].key;
        require(series_key_is_valid(key) && str_is_utf8(series_key_metric(key)));
        require(series_hash_equal(series_key_hash(key), delta->series[i].hash));
    }
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct aggregate *aggregate = &delta->cells[i].cell.aggregate;
        require(delta->cells[i].series < delta->series_count);
        require(isfinite(aggregate->min) && isfinite(aggregate->max));
        require(aggregate->last_at <= now + request->rules->max_future);
        require(aggregate->first_at >= now - request->rules->max_past);
        count += aggregate->count;
    }
    require(count == body->counts.stored * UINT64_C(65536));
    delta_free(delta);
    buf_fini(&words);
    buf_fini(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct batch_rules rules = {.series_max = 8,
                                      .max_future = MS_PER_HOUR,
                                      .max_past = INT64_C(1000) * MS_PER_DAY,
                                      .seed = 1};
    uint64_t arrival = 0;
    if (size < 2)
        return 0;
    const struct influx_request request = {.rules = &rules,
                                           .line_bytes_max = 200,
                                           .precision = (enum influx_precision)(data[0] % 6),
                                           .skip_single_field = data[0] >= 128,
                                           .now_us = INT64_C(1791788430000000),
                                           .last_arrival = &arrival};
    struct str bytes = {(const char *)data + 2, size - 2};

    struct influx_body *whole = take(&request, bytes, bytes.len + 1);
    struct influx_body *pieces = take(&request, bytes, (size_t)data[1] % 32 + 1);
    require(memcmp(&whole->counts, &pieces->counts, sizeof whole->counts) == 0);
    require(whole->line == pieces->line && whole->bad_lines == pieces->bad_lines);
    for (uint64_t i = 0; i < whole->bad_lines && i < INFLUX_SHOWN_MISTAKES; i++) {
        require(whole->shown[i].line == pieces->shown[i].line &&
                whole->shown[i].reason == pieces->shown[i].reason);
        require(strcmp(whole->shown[i].example, pieces->shown[i].example) == 0);
    }
    check(whole, &request);
    check(pieces, &request);
    influx_body_free(whole);
    influx_body_free(pieces);
    return 0;
}
