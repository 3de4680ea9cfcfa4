/* What the benchmarks of requests have in common: how often, against which limits, how long. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "bench_clock.h"
#include "series/batch.h"

enum { REQUEST = 2000, ROUNDS = 5, REQUESTS_MAX = 50 }; /* samples in one, and how many */
enum { CACHE_BYTES = 128 << 20 };

struct request {
    struct buf bytes;
    struct buf other; /* the same in another form: JSON, packed by snappy */
};

static struct request requests[REQUESTS_MAX];
static size_t request_count;

static inline const struct batch_rules *batch_rules_of_requests(void)
{
    static const struct batch_rules rules = {
        .series_max = 1000 * 1000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY, .seed = 42};
    return &rules;
}

/* Of a sample, in one round. `what` returns how many of a request's it has dealt with. */
static inline double round_ns(size_t (*what)(const struct request *request))
{
    double began = seconds_now();
    for (size_t r = 0; r < request_count; r++) {
        size_t got = what(&requests[r]);
        if (got != REQUEST) {
            (void)fprintf(stderr, "%zu samples were dealt with, not %d\n", got, REQUEST);
            exit(1);
        }
    }
    return (seconds_now() - began) * 1e9 / (double)(request_count * REQUEST);
}

static inline double best_ns(size_t (*what)(const struct request *request))
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double took = round_ns(what);
        best = took < best ? took : best;
    }
    return best;
}

static inline void forget_requests(void)
{
    for (size_t r = 0; r < request_count; r++) {
        buf_fini(&requests[r].bytes);
        buf_fini(&requests[r].other);
    }
}
