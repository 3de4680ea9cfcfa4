/* What a sample costs in a shard, beside a bare table that hashes, looks up and updates the same
 * keys in the same run: machines differ, the ratio does not. And what a series takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "series/shard.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NAME_SIZE = 40, SAMPLES = 1 << 22, BATCH = 64, BARE_GROUP = 16 };

/* The bare table: as little as can be done and still be right. */
struct bare_entry {
    uint64_t hash;
    double sum;
    uint64_t count;
    char name[NAME_SIZE];
};

struct bare_table {
    struct bare_entry *entries;
    size_t mask;
};

static struct bare_entry *bare_find(const struct bare_table *table, const char *name, uint64_t hash)
{
    size_t slot = hash & table->mask;
    for (;;) {
        struct bare_entry *entry = &table->entries[slot];
        if (entry->count == 0) {
            entry->hash = hash;
            memcpy(entry->name, name, NAME_SIZE);
            return entry;
        }
        if (entry->hash == hash && memcmp(entry->name, name, NAME_SIZE) == 0)
            return entry;
        slot = (slot + 1) & table->mask;
    }
}

static void bare_add(struct bare_table *table, const struct sample *samples, size_t count)
{
    uint64_t hashes[BARE_GROUP];
    for (size_t done = 0; done < count; done += BARE_GROUP) {
        for (size_t i = 0; i < BARE_GROUP; i++) {
            hashes[i] = XXH3_64bits(samples[done + i].name.text, samples[done + i].name.len);
            __builtin_prefetch(&table->entries[hashes[i] & table->mask], 1);
        }
        for (size_t i = 0; i < BARE_GROUP; i++) {
            struct bare_entry *entry = bare_find(table, samples[done + i].name.text, hashes[i]);
            entry->sum += samples[done + i].value;
            entry->count++;
        }
    }
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Names as a load generator makes them, padded so that the bare table compares a fixed size. */
static char *make_names(size_t series)
{
    char *names = memory_zero(series, NAME_SIZE);
    for (size_t i = 0; i < series; i++)
        (void)snprintf(names + i * NAME_SIZE, NAME_SIZE, "bench.dc1.host%03zu.api.cnt%07zu",
                       i % 1000, i);
    return names;
}

static void fill_batch(struct sample *batch, const char *names, size_t series, uint64_t *seed,
                       bool equal_values)
{
    for (size_t i = 0; i < BATCH; i++) {
        const char *name = names + next_random(seed) % series * NAME_SIZE;
        batch[i] = (struct sample){.name = str_of(name),
                                   .kind = METRIC_COUNTER,
                                   .value = equal_values ? 1 : (double)(i + 1),
                                   .weight = WEIGHT_ONE,
                                   .at = WALL_NONE};
    }
}

struct result {
    double shard_ns;
    double bare_ns;
    double take_ns; /* a sample, for deltas taken once every `series` samples */
    size_t bytes;   /* held just before the first delta is taken */
};

/* Both do the same batches in turns, so that the machine's moods hit both. */
static struct result measure(const char *names, size_t series, bool equal_values)
{
    const struct shard_limits limits = {.series = series,
                                        .raw_keys = series * 4,
                                        .max_future = MS_PER_MINUTE,
                                        .max_past = MS_PER_DAY};
    struct shard *shard = shard_new(&limits, NULL, 1);
    size_t slots = 1024;
    while (slots < series * 2)
        slots *= 2;
    struct bare_table bare = {memory_zero(slots, sizeof *bare.entries), slots - 1};
    struct sample *batch = memory_zero(BATCH, sizeof *batch);
    struct ledger ledger = {0};
    struct result result = {0};
    uint64_t seed = 1;
    const int64_t now_us = INT64_C(1791795600000000);
    size_t until_take = series;

    for (size_t i = 0; i < series; i++) { /* all known before the clock starts */
        batch[0] = (struct sample){.name = str_of(names + i * NAME_SIZE),
                                   .kind = METRIC_COUNTER,
                                   .value = 1,
                                   .weight = WEIGHT_ONE,
                                   .at = WALL_NONE};
        shard_add(shard, batch, 1, now_us, &ledger, NULL);
        struct bare_entry *entry = bare_find(&bare, batch[0].name.text,
                                             XXH3_64bits(batch[0].name.text, batch[0].name.len));
        entry->count++;
    }
    delta_free(shard_take_delta(shard));
    for (size_t done = 0; done < SAMPLES; done += BATCH) {
        fill_batch(batch, names, series, &seed, equal_values);
        double start = seconds_now();
        bare_add(&bare, batch, BATCH);
        double middle = seconds_now();
        shard_add(shard, batch, BATCH, now_us + (int64_t)done, &ledger, NULL);
        double end = seconds_now();
        result.bare_ns += (middle - start) * 1e9 / SAMPLES;
        result.shard_ns += (end - middle) * 1e9 / SAMPLES;
        if (until_take > BATCH) {
            until_take -= BATCH;
            continue;
        }
        until_take = series;
        if (result.bytes == 0)
            result.bytes = shard_size_bytes(shard);
        start = seconds_now();
        delta_free(shard_take_delta(shard));
        result.take_ns += (seconds_now() - start) * 1e9 / SAMPLES;
    }
    free(batch);
    free(bare.entries);
    shard_free(shard);
    return result;
}

int main(void)
{
    static const size_t sizes[] = {10000, 100000, 1000000};

    (void)printf("%-9s %-7s %12s %12s %8s %12s %14s\n", "series", "values", "shard ns", "bare ns",
                 "ratio", "delta ns", "bytes/series");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *names = make_names(sizes[i]);
        for (int equal_values = 1; equal_values >= 0; equal_values--) {
            struct result result = measure(names, sizes[i], equal_values);
            (void)printf("%-9zu %-7s %12.1f %12.1f %8.2f %12.1f %14.1f\n", sizes[i],
                         equal_values ? "equal" : "mixed", result.shard_ns, result.bare_ns,
                         result.bare_ns / result.shard_ns, result.take_ns,
                         (double)result.bytes / (double)sizes[i]);
        }
        free(names);
    }
    return 0;
}
