/* Any bytes on a DogStatsD socket: every sample is counted once, and samples, events and service
 * checks point into the bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/dogstatsd.h"

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
    require_inside(sample->text, line);
    require((sample->tags.len == 0) == (sample->tag_style == TAGS_NONE));
    require(sample->form == SAMPLE_VALUE);
    require(sample->weight >= WEIGHT_ONE);
    require(isfinite(sample->value));
    require(isfinite(sample->value * ((double)sample->weight / (double)WEIGHT_ONE)));
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
    require(plain.kind == sample.kind && plain.form == sample.form && plain.at == sample.at);
    require(memcmp(&plain.value, &sample.value, sizeof plain.value) == 0);
    require(plain.weight == sample.weight && plain.tag_style == sample.tag_style);
    require(str_equal(plain.name, sample.name) && str_equal(plain.tags, sample.tags));
    require(str_equal(plain.text, sample.text));
}

static void check_metric(struct str line)
{
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
        check_metric(line);
    }
    return 0;
}
