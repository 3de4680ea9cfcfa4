/* What a rule of mapping costs: asked for a new name, by how many rules there are, and a name that
 * a shard knows, beside a shard without rules in the same run. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "bench_row.h"
#include "series/mapping.h"
#include "series/shard.h"

enum { NAME_SIZE = 64, NAMES = 1 << 14, ROUNDS = 501, RULES_MAX = 300, BATCH = 64 };

static const double NEW_NAME_BAR_NS = 100;
static const double KNOWN_NAME_BAR =
    1.05; /* times a shard without rules: nothing, as far as it can be told */

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

/* One name in ten meets no rule. */
static char *make_names(size_t rules)
{
    char *names = memory_zero(NAMES, NAME_SIZE);
    for (size_t i = 0; i < NAMES; i++)
        (void)snprintf(names + i * NAME_SIZE, NAME_SIZE, "%s%zu.host%zu.orders.web.cnt%zu",
                       i % 10 == 0 ? "other" : "shop", i % rules, i % 97, i);
    return names;
}

struct rules {
    char matches[RULES_MAX][NAME_SIZE];
    struct mapping_rule rules[RULES_MAX];
    struct mapping *mapping;
};

static struct rules *make_rules(size_t count)
{
    static const struct label labels[] = {{STR("channel"), STR("$2")}, {STR("host"), STR("$1")}};
    struct rules *made = memory_zero(1, sizeof *made);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(made->matches[i], NAME_SIZE, "shop%zu.host*.orders.*.**", i);
        made->rules[i] = (struct mapping_rule){
            .match = made->matches[i], .name = "orders.$3", .labels = labels, .label_count = 2};
    }
    made->mapping = mapping_new(made->rules, count);
    return made;
}

static void free_rules(struct rules *rules)
{
    mapping_free(rules->mapping);
    free(rules);
}

static void measure_new(size_t count)
{
    struct rules *rules = make_rules(count);
    char *names = make_names(count);
    struct mapped *mapped = memory_zero(1, sizeof *mapped);
    struct str *known = memory_zero(NAMES, sizeof *known); /* parsers say how long a name is */
    double ns[ROUNDS];
    char what[80];
    size_t hits = 0;

    for (size_t i = 0; i < NAMES; i++)
        known[i] = str_of(names + i * NAME_SIZE);
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds_now();
        for (size_t i = 0; i < NAMES; i++)
            hits += mapping_apply(rules->mapping, known[i], NULL, 0, mapped) == MAPPING_MAPPED;
        ns[round] = (seconds_now() - start) * 1e9 / NAMES;
    }
    if (hits == 0)
        abort();
    (void)snprintf(what, sizeof what, "mapping: a new name, %zu rules", count);
    bench_row(what, median(ns), "ns", NEW_NAME_BAR_NS, "");
    free(mapped);
    free(known);
    free(names);
    free_rules(rules);
}

/* CPU of one sample, all of one shard's samples of known names. */
static double add_all(struct shard *shard, const char *names)
{
    const int64_t now_us = INT64_C(1791795600000000);
    struct ledger ledger = {0};
    struct sample batch[BATCH];
    double start = seconds_now();

    for (size_t i = 0; i < NAMES; i += BATCH) {
        for (size_t j = 0; j < BATCH; j++)
            batch[j] = (struct sample){.name = str_of(names + (i + j) * NAME_SIZE),
                                       .kind = METRIC_COUNTER,
                                       .value = 1,
                                       .weight = WEIGHT_ONE,
                                       .at = WALL_NONE};
        shard_add(shard, batch, BATCH, now_us, &ledger, NULL);
    }
    if (ledger.stored != NAMES)
        abort();
    return (seconds_now() - start) * 1e9 / NAMES;
}

static void measure_known(size_t count)
{
    const struct shard_limits limits = {.series = NAMES,
                                        .raw_keys = (size_t)NAMES * 4,
                                        .max_future = MS_PER_MINUTE,
                                        .max_past = MS_PER_DAY};
    struct rules *rules = make_rules(count);
    const struct metric_table metrics = {.mapping = rules->mapping};
    struct shard *mapped = shard_new(&limits, &metrics, 1);
    struct shard *plain = shard_new(&limits, NULL, 1);
    char *names = make_names(count);
    double with[ROUNDS];
    double without[ROUNDS];
    char what[80];
    char beside[80];

    (void)add_all(mapped, names);
    (void)add_all(plain, names);
    for (int round = 0; round < ROUNDS; round++) {
        without[round] = add_all(plain, names);
        with[round] = add_all(mapped, names);
    }
    double bare = median(without);
    (void)snprintf(what, sizeof what, "mapping: a known name, %zu rules", count);
    (void)snprintf(beside, sizeof beside, "%.1f ns a sample without rules", bare);
    bench_row(what, median(with) / bare, "times", KNOWN_NAME_BAR, beside);
    free(names);
    shard_free(plain);
    shard_free(mapped);
    free_rules(rules);
}

int main(void)
{
    static const size_t counts[] = {1, 10, 100, RULES_MAX};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        measure_new(counts[i]);
    measure_known(100);
    return 0;
}
