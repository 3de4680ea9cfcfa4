#include "mix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

struct mix {
    const struct mix_options *options;
    uint64_t random;    /* state of splitmix64 */
    uint64_t taken;     /* samples so far */
    double *cumulative; /* Zipf: how likely a series up to this one is; else NULL */
};

static const uint64_t GOLDEN = UINT64_C(0x9E3779B97F4A7C15);

/* splitmix64 (Steele, Lea, Flood 2014): small, seedable, good enough for load. */
static uint64_t next_random(struct mix *mix)
{
    uint64_t z = (mix->random += GOLDEN);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static double *zipf_table(uint32_t count, double theta)
{
    double *cumulative = memory_zero(count, sizeof *cumulative);
    double sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        sum += pow(i + 1.0, -theta);
        cumulative[i] = sum;
    }
    for (uint32_t i = 0; i < count; i++)
        cumulative[i] /= sum;
    return cumulative;
}

struct mix *mix_new(const struct mix_options *options)
{
    struct mix *mix = memory_zero(1, sizeof *mix);

    mix->options = options;
    mix->random = options->seed * GOLDEN + 1;
    if (options->distribution == LOAD_ZIPF)
        mix->cumulative = zipf_table(options->series, options->theta);
    return mix;
}

void mix_free(struct mix *mix)
{
    if (mix == NULL)
        return;
    free(mix->cumulative);
    free(mix);
}

/* The first series whose cumulative weight is not below a random point. */
static uint32_t pick_by_weight(struct mix *mix)
{
    double point = (double)(next_random(mix) >> 11) * 0x1p-53;
    uint32_t low = 0;
    uint32_t high = mix->options->series - 1;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mix->cumulative[middle] < point)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t pick_series(struct mix *mix)
{
    uint64_t number = mix->taken++;

    if (mix->options->distribution == LOAD_ZIPF)
        return pick_by_weight(mix);
    if (mix->options->distribution == LOAD_UNIFORM)
        number = next_random(mix);
    return (uint32_t)(number % mix->options->series);
}

/* Counters 1 to 9, timers 0.1 to 999.9, gauges 0.01 to 9999.99. */
static int64_t pick_value(struct mix *mix, enum load_kind kind)
{
    uint64_t random = next_random(mix);

    if (kind == LOAD_COUNTER)
        return (int64_t)(1 + random % 9) * 100;
    if (kind == LOAD_TIMER)
        return (int64_t)(1 + random % 9999) * 10;
    return (int64_t)(1 + random % 999999);
}

struct mix_sample mix_next(struct mix *mix)
{
    uint32_t series = pick_series(mix);
    enum load_kind kind = mix_kind(mix->options, series);

    return (struct mix_sample){series, kind, pick_value(mix, kind)};
}

enum load_kind mix_kind(const struct mix_options *options, uint32_t series)
{
    unsigned point = (series * 2654435761U >> 7) % 100; /* spreads the kinds over the numbers */

    if (point < options->percent[LOAD_COUNTER])
        return LOAD_COUNTER;
    if (point < options->percent[LOAD_COUNTER] + options->percent[LOAD_TIMER])
        return LOAD_TIMER;
    return LOAD_GAUGE;
}

const char *mix_kind_name(enum load_kind kind)
{
    static const char *const names[LOAD_KINDS] = {"cnt", "tim", "gau"};
    return names[kind];
}

static size_t printed(int len)
{
    return len < 0 ? 0 : (size_t)len;
}

size_t mix_format_name(const struct mix_options *options, uint32_t series, char *out)
{
    return printed(snprintf(out, MIX_NAME_SIZE, "%s.dc1.host%03u.api.%s%07u", options->prefix,
                            series % 1000, mix_kind_name(mix_kind(options, series)), series));
}

size_t hundredths_format(int64_t hundredths, char *out)
{
    long long whole = hundredths / 100;
    int rest = (int)(hundredths % 100);

    if (rest == 0)
        return printed(snprintf(out, HUNDREDTHS_SIZE, "%lld", whole));
    if (rest % 10 == 0)
        return printed(snprintf(out, HUNDREDTHS_SIZE, "%lld.%d", whole, rest / 10));
    return printed(snprintf(out, HUNDREDTHS_SIZE, "%lld.%02d", whole, rest));
}
