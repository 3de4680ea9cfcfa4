/* Any bytes on a StatsD socket: every sample is counted once and points into the bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/statsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_inside(struct str part, struct str whole)
{
    if (part.len == 0)
        return;
    uintptr_t at = (uintptr_t)part.text;
    uintptr_t begin = (uintptr_t)whole.text;
    require(at >= begin && part.len <= whole.len && at - begin <= whole.len - part.len);
}

static void check_sample(const struct sample *sample, struct str line)
{
    require(sample->name.len > 0);
    require_inside(sample->name, line);
    require_inside(sample->tags, line);
    require((sample->tags.len == 0) == (sample->tag_style == TAGS_NONE));
    require(sample->at == WALL_NONE);
    require(sample->weight >= WEIGHT_ONE);
    require(isfinite(sample->value));
    require(isfinite(sample->value * ((double)sample->weight / (double)WEIGHT_ONE)));
    if (sample->kind == METRIC_UNIQUE && str_is(sample->text, "0"))
        return; /* an empty member (S11) */
    require_inside(sample->text, line);
    require(sample->kind != METRIC_DISTRIBUTION || sample->value >= 0);
    require(sample->form == SAMPLE_VALUE || sample->kind == METRIC_GAUGE);
}

/* Parses a line through arrays of `max`; returns how many samples it has. */
static size_t parse(struct str text, size_t max, struct ledger *ledger)
{
    struct statsd_line line = statsd_line_of(text);
    struct sample samples[7];
    size_t count = 0;

    while (line.more) {
        size_t got = statsd_parse(&line, samples, max, ledger);
        require(got <= max);
        for (size_t i = 0; i < got; i++)
            check_sample(&samples[i], text);
        count += got;
    }
    return count;
}

/* What goes the short way is one sample, the same as by the long way. */
static void compare_ways(struct str text, size_t count)
{
    struct statsd_line line = statsd_line_of(text);
    struct ledger ledger = {0};
    struct sample plain;
    struct sample sample;

    if (statsd_parse_plain(text, &plain) == 0)
        return;
    check_sample(&plain, text);
    require(count == 1);
    require(statsd_parse(&line, &sample, 1, &ledger) == 1);
    require(plain.kind == sample.kind && plain.form == sample.form);
    require(memcmp(&plain.value, &sample.value, sizeof plain.value) == 0);
    require(plain.weight == sample.weight && plain.tag_style == sample.tag_style);
    require(str_equal(plain.name, sample.name) && str_equal(plain.tags, sample.tags));
    require(str_equal(plain.text, sample.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    while (rest.len > 0) {
        struct str line = str_split(&rest, '\n');
        struct ledger one_by_one = {0};
        struct ledger together = {0};
        uint64_t rejected = 0;
        size_t count = parse(line, 1, &one_by_one);

        for (int i = 0; i < REJECT_REASON_COUNT; i++)
            rejected += one_by_one.rejected[i];
        require(one_by_one.received == count + rejected);
        require(parse(line, 7, &together) == count);
        require(memcmp(&one_by_one, &together, sizeof together) == 0);
        compare_ways(line, count);
    }
    return 0;
}
