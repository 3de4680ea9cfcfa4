/* Any bytes on a DogStatsD socket: every sample is counted once, and samples, events and service
 * checks point into the bytes. */
#include "fuzz_line.h"
#include "ingest/dogstatsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sample(const struct sample *sample, struct str line)
{
    require_sample(sample, line);
    require_inside(sample->text, line);
    require(sample->form == SAMPLE_VALUE);
    require(sample->at == WALL_NONE || sample->at >= 1000);
    require(sample->at == WALL_NONE || sample->kind == METRIC_COUNTER ||
            sample->kind == METRIC_GAUGE);
}

static size_t parse(struct str text, size_t max, struct ledger *ledger)
{
    struct dogstatsd_line line = dogstatsd_line_of(text);
    struct sample samples[7];
    size_t count = 0;

    while (line.more) {
        size_t got = dogstatsd_parse(&line, samples, max, ledger);
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
    struct dogstatsd_line line = dogstatsd_line_of(text);
    struct ledger ledger = {0};
    struct sample plain;
    struct sample sample;

    if (!dogstatsd_parse_plain(text, &plain, &ledger)) {
        require(ledger.received == 0);
        return;
    }
    check_sample(&plain, text);
    require(count == 1 && ledger.received == 1);
    require(dogstatsd_parse(&line, &sample, 1, &ledger) == 1);
    require_same_sample(&plain, &sample);
}

static void check_event(struct str line)
{
    struct annotation event;
    uint32_t unknown = 0;
    enum reject_reason why = REJECT_NONE;
    char text[100];

    if (!dogstatsd_parse_event(line, &event, &unknown, &why)) {
        require(why != REJECT_NONE);
        return;
    }
    require(why == REJECT_NONE && event.title.len > 0);
    const struct str parts[] = {event.title, event.text,   event.host,
                                event.key,   event.source, event.tags};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        require_inside(parts[i], line);
    require(event.at == WALL_NONE || event.at >= 1000);
    require(event.kind < ANNOTATION_KIND_COUNT);
    require(dogstatsd_unescape(event.text, text, sizeof text) <= sizeof text);
}

static void check_check(struct str line)
{
    struct dogstatsd_check check;
    uint32_t unknown = 0;
    enum reject_reason why = REJECT_NONE;

    if (!dogstatsd_parse_check(line, &check, &unknown, &why)) {
        require(why != REJECT_NONE);
        return;
    }
    require(why == REJECT_NONE && check.name.len > 0 && check.status < CHECK_STATUS_COUNT);
    const struct str parts[] = {check.name, check.host, check.tags, check.message};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        require_inside(parts[i], line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    while (rest.len > 0) {
        struct str line = str_split(&rest, '\n');
        if (dogstatsd_is_event(line))
            check_event(line);
        else if (dogstatsd_is_check(line))
            check_check(line);
        compare_ways(line, require_counted(line, parse));
    }
    return 0;
}
