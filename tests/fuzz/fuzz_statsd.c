/* Any bytes on a StatsD socket: every sample is counted once and points into the bytes. */
#include "fuzz_line.h"
#include "ingest/statsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sample(const struct sample *sample, struct str line)
{
    require_sample(sample, line);
    require(sample->at == WALL_NONE);
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
    require_same_sample(&plain, &sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    while (rest.len > 0) {
        struct str line = str_split(&rest, '\n');
        compare_ways(line, require_counted(line, parse));
    }
    return 0;
}
