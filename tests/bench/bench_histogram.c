/* What a value costs in a histogram, beside a bare array of counts that is given the indexes, in
 * the same run: machines differ, the ratio does not. And what merging, reading and storing cost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "series/histogram.h"
#include "series/sample.h"

enum { VALUES = 4096, ROUNDS = 2000, WARM_UP = 500, INDEX_SPACE = 1 << 17, REPEATS = 20000 };

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double next_unit(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

static double next_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(next_unit(state)));
    return radius * cos(2 * M_PI * next_unit(state));
}

static void fill(double *values, size_t count, double sigma, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        values[i] = 0.02 * exp(sigma * next_normal(&seed));
}

static struct histogram *histogram_of(const double *values, size_t count, uint64_t weight)
{
    struct histogram *histogram = histogram_new();
    for (size_t i = 0; i < count; i++)
        histogram_add(histogram, values[i], weight);
    return histogram;
}

/* In turns, so that the machine's moods hit both. */
static void measure_add(const char *name, const double *values, uint64_t weight)
{
    uint64_t *bare = memory_zero((size_t)2 * INDEX_SPACE, sizeof *bare);
    int32_t *indexes = memory_zero(VALUES, sizeof *indexes);
    struct histogram *histogram = histogram_of(values, VALUES, weight);
    double histogram_ns = 0;
    double bare_ns = 0;

    for (size_t i = 0; i < VALUES; i++)
        indexes[i] = histogram_index(values[i], histogram_scale(histogram)) + INDEX_SPACE;
    for (int round = 0; round < WARM_UP + ROUNDS; round++) {
        double start = seconds_now();
        for (size_t i = 0; i < VALUES; i++) {
            bare[indexes[i]] += weight;
            __asm__ volatile("" ::: "memory");
        }
        double middle = seconds_now();
        for (size_t i = 0; i < VALUES; i++)
            histogram_add(histogram, values[i], weight);
        double end = seconds_now();
        if (round < WARM_UP)
            continue;
        bare_ns += (middle - start) * 1e9 / VALUES / ROUNDS;
        histogram_ns += (end - middle) * 1e9 / VALUES / ROUNDS;
    }
    (void)printf("%-28s %12.2f %12.2f %8.1f\n", name, histogram_ns, bare_ns,
                 histogram_ns / bare_ns);
    histogram_free(histogram);
    free(indexes);
    free(bare);
}

static void measure_size(double sigma, size_t count, uint64_t weight)
{
    double *values = memory_zero(count, sizeof *values);
    struct buf bytes = BUF_EMPTY;
    double found = 0;
    fill(values, count, sigma, 7);

    double start = seconds_now();
    struct histogram *histogram = histogram_of(values, count, weight);
    double built = (seconds_now() - start) * 1e9 / (double)count;
    fill(values, count, sigma, 8);
    struct histogram *other = histogram_of(values, count, weight);
    struct histogram *sum = histogram_copy(histogram);

    start = seconds_now();
    for (int i = 0; i < REPEATS; i++)
        histogram_merge(sum, other);
    double merge = (seconds_now() - start) * 1e6 / REPEATS;
    start = seconds_now();
    for (int i = 0; i < REPEATS; i++)
        (void)histogram_quantile(histogram, 0.5 + i % 50 * 0.01, 0, INFINITY, &found);
    double quantile = (seconds_now() - start) * 1e6 / REPEATS;
    start = seconds_now();
    for (int i = 0; i < REPEATS; i++) {
        buf_clear(&bytes);
        histogram_encode(histogram, &bytes);
    }
    double encode = (seconds_now() - start) * 1e6 / REPEATS;
    start = seconds_now();
    for (int i = 0; i < REPEATS; i++) {
        struct reader reader = reader_of(buf_view(&bytes));
        histogram_free(histogram_decode(&reader));
    }
    double decode = (seconds_now() - start) * 1e6 / REPEATS;
    (void)printf("%-6.1f %-9zu %-7s %9.1f %9.2f %9.2f %9.2f %9.2f %9zu %9zu\n", sigma, count,
                 weight == WEIGHT_ONE ? "1" : "10/3", built, merge, quantile, encode, decode,
                 histogram_size_bytes(histogram), bytes.len);
    buf_fini(&bytes);
    histogram_free(sum);
    histogram_free(other);
    histogram_free(histogram);
    free(values);
}

int main(void)
{
    static const size_t counts[] = {1, 10, 100, 1000, 100000};
    const uint64_t of_a_third = WEIGHT_ONE * 10 / 3;
    double *values = memory_zero(VALUES, sizeof *values);

    (void)printf("%-28s %12s %12s %8s\n", "add to a bucket that is there", "histogram ns",
                 "bare ns", "ratio");
    fill(values, VALUES, 1, 1);
    measure_add("log-normal, weight 1", values, WEIGHT_ONE);
    measure_add("log-normal, weight 10/3", values, of_a_third);
    fill(values, VALUES, 12, 1);
    measure_add("wide: a coarser scale", values, WEIGHT_ONE);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = i % 2 == 0 ? -values[i] : values[i];
    measure_add("both signs", values, WEIGHT_ONE);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = 0.25;
    measure_add("one value", values, WEIGHT_ONE);

    (void)printf("\nlog-normal latencies\n%-6s %-9s %-7s %9s %9s %9s %9s %9s %9s %9s\n", "sigma",
                 "values", "weight", "add ns", "merge us", "quant us", "enc us", "dec us", "memory",
                 "encoded");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        measure_size(0.5, counts[i], WEIGHT_ONE);
        measure_size(1, counts[i], WEIGHT_ONE);
    }
    measure_size(1, 1000, of_a_third);
    free(values);
    return 0;
}
