/* What the fuzzers of bodies that become points ask of what is stored. */
#pragma once

#include <math.h>
#include <stdlib.h>

#include "ingest/body.h"
#include "series/tally.h"

static const wall_ms NOW = INT64_C(1791788430000);

static const struct batch_rules RULES = {.series_max = 100,
                                         .max_future = MS_PER_HOUR,
                                         .max_past = INT64_C(100000) * MS_PER_DAY,
                                         .seed = 1};

enum { CACHE_BYTES = 1 << 20 }; /* full now and then */

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

static inline void require_points(const struct delta *delta)
{
    for (size_t i = 0; i < delta->series_count; i++) {
        require(series_key_is_valid(delta->series[i].key));
        require(series_hash_equal(delta->series[i].hash, series_key_hash(delta->series[i].key)));
    }
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        require(point->series < delta->series_count);
        require(point->at <= NOW + RULES.max_future && point->at >= NOW - RULES.max_past);
        require(point->start == WALL_NONE || point->start <= point->at);
        enum metric_kind kind = series_key_kind(delta->series[point->series].key);
        require((kind == METRIC_DISTRIBUTION) == (point->tally != NULL));
        require((point->form == POINT_LEVEL) == (kind == METRIC_GAUGE));
        if (point->tally == NULL)
            require(isfinite(point->value) &&
                    (point->form != POINT_CUMULATIVE || point->value >= 0));
    }
}

/* A request with a body of some format. */
struct fuzz_request {
    const struct body_format *format;
    const char *content_type;
    enum http_dialect dialect;
    size_t held_max;
    struct series_cache *cache; /* NULL is fine */
};

/* The body was taken: says what became of it, as bytes to compare. */
typedef void (*fuzz_taken_fn)(struct body *body, struct http_answer *answer, struct buf *out);

/* Takes a body in pieces; one that is refused is refused with words. */
static inline bool take_body(const struct fuzz_request *what, struct str bytes, size_t piece,
                             fuzz_taken_fn taken, struct buf *out)
{
    const struct http_head head = {.content_type = str_of(what->content_type)};
    uint64_t arrival = 0;
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 64 * 1024,
                                         .held_max = what->held_max,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival,
                                         .cache = what->cache};
    struct http_answer answer = {.dialect = what->dialect};
    struct error err = ERROR_EMPTY;
    struct body *body = what->format->open(&request, &answer);
    bool ok = true;

    require(body != NULL);
    for (size_t at = 0; ok && at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        ok = what->format->take(body, (struct str){bytes.text + at, len}, &err);
    }
    ok = ok && what->format->end(body, &err);
    if (ok) {
        require(ledger_balances(&body->counts));
        what->format->verdict(body, &answer);
        taken(body, &answer, out);
    } else {
        require(err.text[0] != '\0' && (err.kind == ERROR_INVALID || err.kind == ERROR_FULL));
        buf_text(out, err.text);
    }
    require(what->format->size_bytes(body) < 2 * what->held_max);
    what->format->close(body);
    http_answer_fini(&answer);
    return ok;
}

/* All that a batch became, as bytes to compare: series, points, cells. */
static inline void describe_delta(struct buf *out, const struct delta *delta)
{
    for (size_t i = 0; i < delta->series_count; i++)
        buf_block(out, delta->series[i].key);
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        buf_printf(out, "%u %d %lld %lld ", point->series, (int)point->form, (long long)point->at,
                   (long long)point->start);
        if (point->tally == NULL)
            buf_double(out, point->value);
        else
            tally_encode(point->tally, out);
    }
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        buf_printf(out, "%u %lld %llu ", cell->series, (long long)cell->minute,
                   (unsigned long long)cell->cell.aggregate.count);
        buf_double(out, aggregate_sum(&cell->cell.aggregate));
    }
}
