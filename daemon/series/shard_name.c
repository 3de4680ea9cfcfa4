/* What the series of a sample is called: as it was sent, or as a rule of mapping says. */
#include <stdlib.h>

#include "base/memory.h"
#include "series/mapping.h"
#include "series/shard_private.h"

static const struct mapping *mapping_of(const struct shard *shard)
{
    return shard->metrics == NULL ? NULL : shard->metrics->mapping;
}

enum reject_reason series_name_of(struct shard *shard, const struct sample *sample,
                                  struct series_name *out)
{
    *out = (struct series_name){.name = sample->name, .labels = out->sent};
    if (!metric_name_is_storable(sample->name))
        return REJECT_bad_name;
    if (!labels_parse(sample->tags, sample->tag_style, out->sent, &out->label_count))
        return REJECT_bad_tags;
    if (mapping_of(shard) == NULL)
        return REJECT_NONE;
    if (shard->mapped == NULL)
        shard->mapped = memory_zero(1, sizeof *shard->mapped);
    struct mapped *mapped = shard->mapped;
    switch (mapping_apply(mapping_of(shard), sample->name, out->sent, out->label_count, mapped)) {
    case MAPPING_TOO_BIG:
        return REJECT_bad_name;
    case MAPPING_DROPPED:
        out->is_unwanted = true;
        return REJECT_NONE;
    case MAPPING_MAPPED:
        out->name = mapped->name;
        out->labels = mapped->labels;
        out->label_count = mapped->label_count;
        return metric_name_is_clean(mapped->name) ? REJECT_NONE : REJECT_bad_name;
    case MAPPING_NONE:
        break;
    }
    return REJECT_NONE;
}

const struct metric_definition *definition_of(struct shard *shard, const struct sample *sample)
{
    struct series_name name;

    if (mapping_of(shard) == NULL)
        return metric_find(shard->metrics, sample->name);
    (void)series_name_of(shard, sample, &name);
    return metric_find(shard->metrics, name.name);
}
