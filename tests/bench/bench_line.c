/* The least that can be done with a StatsD line and still be right: find its end, read its number,
 * hash its name, look it up in one open table, update count, sum, least, largest and last value,
 * and for a timer one bucket of a histogram. Lines are looked up in groups, so that the memory
 * behind them is fetched together. What remains is the machine's own limit.
 *
 *   bench_line SERIES COUNTERS,TIMERS,GAUGES [ROUNDS]      prints nanoseconds a line */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../../tools/loadgen/payload.h"
#include "base/memory.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { GROUP = 16, LINES = 1 << 20, BUCKETS = 128, BUCKETS_AN_OCTAVE = 4 };

struct slot {
    uint32_t hash;
    uint32_t entry; /* + 1; 0: empty */
};

struct entry {
    const char *name;
    uint32_t name_len;
    uint32_t histogram; /* + 1; 0: none */
    double count, sum, least, largest, last;
};

struct line {
    const char *name;
    size_t name_len;
    uint32_t hash;
    double value;
    char type;
    struct entry *entry;
};

struct table {
    struct slot *slots;
    size_t mask;
    struct entry *entries;
    uint32_t count;
    char *names;
    size_t names_len;
    uint32_t (*histograms)[BUCKETS];
    uint32_t histogram_count;
};

static void *pages(size_t bytes)
{
    size_t huge = (size_t)2 << 20;
    void *at = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);

    if (at == NULL)
        abort();
    (void)madvise(at, bytes, MADV_HUGEPAGE);
    memset(at, 0, bytes);
    return at;
}

/* Digits with at most one point; nothing else comes here. */
static double read_number(const char *text, const char *end)
{
    static const double powers[] = {1, 10, 100, 1000, 10000};
    int64_t digits = 0;
    const char *point = NULL;

    for (; text < end; text++) {
        if (*text == '.')
            point = text;
        else
            digits = digits * 10 + (*text - '0');
    }
    return (double)digits / (point == NULL ? 1 : powers[end - point - 1]);
}

static struct line read_line(const char *text, const char *end)
{
    struct line line = {.name = text};
    const char *colon = memchr(text, ':', (size_t)(end - text));
    const char *bar = memchr(colon, '|', (size_t)(end - colon));

    line.name_len = (size_t)(colon - text);
    line.value = read_number(colon + 1, bar);
    line.type = bar[1];
    line.hash = (uint32_t)XXH3_64bits(text, line.name_len);
    return line;
}

static struct entry *make(struct table *table, struct slot *slot, const struct line *line)
{
    struct entry *entry = &table->entries[table->count++];
    char *name = table->names + table->names_len;

    memcpy(name, line->name, line->name_len);
    table->names_len += line->name_len;
    *slot = (struct slot){line->hash, table->count};
    *entry = (struct entry){.name = name,
                            .name_len = (uint32_t)line->name_len,
                            .histogram = line->type == 'm' ? ++table->histogram_count : 0,
                            .least = INFINITY,
                            .largest = -INFINITY};
    return entry;
}

/* The entry that has the line's hash; its name is not compared yet. */
static struct slot *find_hash(const struct table *table, const struct line *line, size_t *at)
{
    for (;; *at = (*at + 1) & table->mask) {
        struct slot *slot = &table->slots[*at];
        if (slot->entry == 0 || slot->hash == line->hash)
            return slot;
    }
}

static struct entry *find(struct table *table, const struct line *line)
{
    size_t at = line->hash & table->mask;

    for (;; at = (at + 1) & table->mask) {
        struct slot *slot = find_hash(table, line, &at);
        if (slot->entry == 0)
            return make(table, slot, line);
        struct entry *entry = &table->entries[slot->entry - 1];
        if (entry->name_len == line->name_len &&
            memcmp(entry->name, line->name, line->name_len) == 0)
            return entry;
    }
}

/* Fetches the entry that the line probably has. */
static void fetch(const struct table *table, struct line *line)
{
    size_t at = line->hash & table->mask;
    const struct slot *slot = find_hash(table, line, &at);

    line->entry = slot->entry == 0 ? NULL : &table->entries[slot->entry - 1];
    if (line->entry != NULL)
        __builtin_prefetch(line->entry, 1);
}

static void update(struct table *table, const struct line *line)
{
    struct entry *entry = find(table, line);

    entry->count += 1;
    entry->sum += line->value;
    entry->least = line->value < entry->least ? line->value : entry->least;
    entry->largest = line->value > entry->largest ? line->value : entry->largest;
    entry->last = line->value;
    if (entry->histogram == 0)
        return;
    int exponent = 0;
    double fraction = frexp(line->value, &exponent);
    unsigned bucket =
        (unsigned)((exponent + 8) * BUCKETS_AN_OCTAVE + (int)((fraction - 0.5) * 8)) % BUCKETS;
    table->histograms[entry->histogram - 1][bucket]++;
}

static void take(struct table *table, struct str lines)
{
    struct line group[GROUP];
    const char *at = lines.text;
    const char *end = lines.text + lines.len;

    while (at < end) {
        size_t count = 0;
        for (; count < GROUP && at < end; count++) {
            const char *newline = memchr(at, '\n', (size_t)(end - at));
            group[count] = read_line(at, newline);
            __builtin_prefetch(&table->slots[group[count].hash & table->mask]);
            at = newline + 1;
        }
        for (size_t i = 0; i < count; i++)
            fetch(table, &group[i]);
        for (size_t i = 0; i < count; i++) {
            if (group[i].entry != NULL)
                __builtin_prefetch(group[i].entry->name);
        }
        for (size_t i = 0; i < count; i++)
            update(table, &group[i]);
    }
}

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static unsigned long argument(const char *text)
{
    uint64_t value = 0;
    return str_parse_u64(str_of(text), &value) ? (unsigned long)value : 0;
}

int main(int argc, char **argv)
{
    struct payload_options options = {.mix = {.prefix = "bench", .seed = 1},
                                      .time = LOAD_TIME_NONE,
                                      .samples = LINES,
                                      .unit_bytes = 65536};
    struct payload payload;

    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_line SERIES COUNTERS,TIMERS,GAUGES [ROUNDS]\n");
        return 2;
    }
    struct str mix = str_of(argv[2]);
    options.mix.series = (uint32_t)argument(argv[1]);
    options.mix.distribution = LOAD_UNIFORM;
    for (int i = 0; i < LOAD_KINDS; i++) {
        uint64_t percent = 0;
        (void)str_parse_u64(str_split(&mix, ','), &percent);
        options.mix.percent[i] = (unsigned)percent;
    }
    if (options.mix.series == 0)
        return 2;
    payload_render(&payload, &options);
    size_t size = 64;
    while (size < (size_t)options.mix.series * 2)
        size *= 2;
    struct table table = {.slots = pages(size * sizeof(struct slot)),
                          .mask = size - 1,
                          .entries = pages((size_t)options.mix.series * sizeof(struct entry)),
                          .names = pages((size_t)options.mix.series * MIX_NAME_SIZE)};
    if (options.mix.percent[LOAD_TIMER] > 0)
        table.histograms = pages((size_t)options.mix.series * sizeof *table.histograms);
    take(&table, buf_view(&payload.bytes)); /* makes the series */
    unsigned long rounds = argc > 3 ? argument(argv[3]) : 8;
    double began = cpu_s();
    for (unsigned long i = 0; i < rounds; i++)
        take(&table, buf_view(&payload.bytes));
    double spent = cpu_s() - began;
    (void)printf("%.2f\n", spent / (double)rounds / LINES * 1e9);
    payload_fini(&payload);
    free(table.slots);
    free(table.entries);
    free(table.names);
    free(table.histograms);
    return 0;
}
