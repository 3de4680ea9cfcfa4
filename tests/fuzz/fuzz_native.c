/* Any bytes as a frame of kpid's own protocol: a Hello or a batch, or words why not; the ledger
 * balances, and what is stored is such as may be stored. The first byte says which. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/native.h"
#include "ingest/native_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const wall_ms NOW = INT64_C(1791788430000);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_error(const struct native_error *error)
{
    struct buf out = BUF_EMPTY;

    require(error->code == NATIVE_MALFORMED || error->code == NATIVE_TOO_LARGE);
    require(error->words[0] != '\0');
    /* What was counted before is enough, or the count is wrong. */
    require(strstr(error->words, "more memory than was counted") == NULL);
    native_say_error(&out, error);
    require(native_frame_length((const unsigned char *)out.bytes) == out.len - NATIVE_LENGTH_SIZE);
    buf_fini(&out);
}

static void check_delta(const struct delta *delta, const struct batch_rules *rules)
{
    for (size_t i = 0; i < delta->series_count; i++) {
        require(series_key_is_valid(delta->series[i].key));
        require(series_hash_equal(delta->series[i].hash, series_key_hash(delta->series[i].key)));
    }
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        require(cell->series < delta->series_count);
        require(cell->minute <= (NOW + rules->max_future) / MS_PER_MINUTE);
        require(cell->minute >= (NOW - rules->max_past) / MS_PER_MINUTE - 1);
        require(cell->cell.aggregate.count > 0 || cell->changes != NULL);
        require(isfinite(cell->cell.aggregate.min) && isfinite(cell->cell.aggregate.max));
    }
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        require(point->series < delta->series_count);
        require(point->start == WALL_NONE || point->start <= point->at);
        require(isfinite(point->value) && point->tally == NULL);
        enum metric_kind kind = series_key_kind(delta->series[point->series].key);
        require(kind == METRIC_COUNTER);
        require(point->form == POINT_INCREMENT || point->value >= 0);
    }
}

static void take_batch(struct native_reader *reader, struct str bytes)
{
    static struct native_batch batch;
    const struct batch_rules rules = {.series_max = 100,
                                      .max_future = MS_PER_HOUR,
                                      .max_past = INT64_C(100000) * MS_PER_DAY,
                                      .seed = 1};
    uint64_t arrival = 0;
    const struct native_request request = {
        .rules = &rules, .held_max = 1 << 20, .now_us = NOW * 1000, .last_arrival = &arrival};
    struct native_error error;
    struct buf out = BUF_EMPTY;

    if (!native_read_batch(reader, bytes, &request, &batch, &error)) {
        require(batch.batch == NULL);
        check_error(&error);
        return;
    }
    require(batch.sequence > 0 && ledger_balances(&batch.counts));
    require(batch.example_count <= NATIVE_EXAMPLES);
    const struct native_ack ack = {.sequence = batch.sequence,
                                   .stored = batch.counts.stored,
                                   .examples = batch.examples,
                                   .example_count = batch.example_count};
    native_say_ack(&out, &ack);
    buf_fini(&out);
    struct delta *delta = batch_take(batch.batch);
    check_delta(delta, &rules);
    delta_free(delta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct native_reader *reader;
    struct native_hello hello;
    struct native_error error;

    if (size == 0)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    if (reader == NULL)
        reader = native_reader_new();
    if (data[0] % 4 > 0)
        take_batch(reader, bytes);
    else if (!native_read_hello(reader, bytes, &hello, &error))
        check_error(&error);
    else
        require(hello.token.len <= bytes.len && hello.client.len <= bytes.len);
    return 0;
}
