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

static struct influx_body *take(const struct body_request *request, struct str bytes, size_t piece)
{
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err = ERROR_EMPTY;
    struct body *body = INFLUX_BODY_FORMAT.open(request, &answer);

    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        require(INFLUX_BODY_FORMAT.take(body, (struct str){bytes.text + at, len}, &err));
    }
    require(INFLUX_BODY_FORMAT.end(body, &err));
    return (struct influx_body *)body;
}

static void check(struct influx_body *influx, const struct body_request *request)
{
    struct body *body = &influx->body;
    struct http_answer answer = {.dialect = HTTP_INFLUX_1};
    uint64_t count = 0;
    wall_ms now = request->now_us / 1000;

    require(ledger_balances(&body->counts));
    INFLUX_BODY_FORMAT.verdict(body, &answer);
    require((answer.status == 204) == (influx->bad_lines == 0));
    require(answer.words.len < 1024 && answer.body.len < 16 * 1024);
    http_answer_fini(&answer);
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
    static const char *const queries[] = {"precision=ns", "precision=us", "precision=ms",
                                          "precision=s",  "precision=m",  "precision=h"};
    const struct http_head head = {.path =
                                       data[0] % 16 == 15 ? STR("/api/v3/write_lp") : STR("/write"),
                                   .query = str_of(queries[data[0] % 6])};
    const struct body_request request = {.head = &head,
                                         .rules = &rules,
                                         .line_bytes_max = 200,
                                         .skip_single_field = data[0] >= 128,
                                         .now_us = INT64_C(1791788430000000),
                                         .last_arrival = &arrival};
    struct str bytes = {(const char *)data + 2, size - 2};

    struct influx_body *whole = take(&request, bytes, bytes.len + 1);
    struct influx_body *pieces = take(&request, bytes, (size_t)data[1] % 32 + 1);
    require(memcmp(&whole->body.counts, &pieces->body.counts, sizeof whole->body.counts) == 0);
    require(whole->line == pieces->line && whole->bad_lines == pieces->bad_lines);
    for (uint64_t i = 0; i < whole->body.example_count; i++) {
        const struct body_example *one = &whole->body.examples[i];
        const struct body_example *other = &pieces->body.examples[i];
        require(one->place == other->place && one->reason == other->reason);
        require(strcmp(one->example, other->example) == 0);
    }
    check(whole, &request);
    check(pieces, &request);
    INFLUX_BODY_FORMAT.close(&whole->body);
    INFLUX_BODY_FORMAT.close(&pieces->body);
    return 0;
}
