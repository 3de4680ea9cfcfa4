/* What the fuzzers of lines of text ask of what was parsed. */
#pragma once

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "series/ledger.h"
#include "series/sample.h"

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* A part that was read points into what it was read from. */
static inline void require_inside(struct str part, struct str whole)
{
    if (part.len == 0)
        return;
    uintptr_t at = (uintptr_t)part.text;
    uintptr_t begin = (uintptr_t)whole.text;
    require(at >= begin && part.len <= whole.len && at - begin <= whole.len - part.len);
}

/* What is so of every sample of a line of StatsD, whatever the dialect. */
static inline void require_sample(const struct sample *sample, struct str line)
{
    require(sample->name.len > 0);
    require_inside(sample->name, line);
    require_inside(sample->tags, line);
    require((sample->tags.len == 0) == (sample->tag_style == TAGS_NONE));
    require(sample->weight >= WEIGHT_ONE);
    require(isfinite(sample->value));
    require(isfinite(sample->value * ((double)sample->weight / (double)WEIGHT_ONE)));
}

/* Of the short way and of the long one. */
static inline void require_same_sample(const struct sample *one, const struct sample *other)
{
    require(one->kind == other->kind && one->form == other->form && one->at == other->at);
    require(memcmp(&one->value, &other->value, sizeof one->value) == 0);
    require(one->weight == other->weight && one->tag_style == other->tag_style);
    require(str_equal(one->name, other->name) && str_equal(one->tags, other->tags));
    require(str_equal(one->text, other->text));
}

/* Parses a line through arrays of `max`; returns how many samples it has. */
typedef size_t (*parse_fn)(struct str line, size_t max, struct ledger *ledger);

/* Every sample is counted once, one by one as together; returns how many are good. */
static inline size_t require_counted(struct str line, parse_fn parse)
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
    return count;
}
