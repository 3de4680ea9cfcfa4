#include "series/metric.h"

#include <stddef.h>

static const char *const KIND_NAMES[METRIC_KIND_MAX + 1] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_DISTRIBUTION] = "distribution",
    [METRIC_UNIQUE] = "unique",   [METRIC_SCORE] = "score", [METRIC_UNTYPED] = "untyped",
};

const struct metric_definition *metric_find(const struct metric_table *table, struct str name)
{
    return table == NULL ? NULL : table_find(&table->by_name, name);
}

const char *metric_kind_name(enum metric_kind kind)
{
    return (int)kind < METRIC_COUNTER || (int)kind > METRIC_KIND_MAX ? NULL : KIND_NAMES[kind];
}

bool metric_kind_parse(struct str text, enum metric_kind *out)
{
    for (int kind = METRIC_COUNTER; kind <= METRIC_KIND_MAX; kind++) {
        if (str_is(text, KIND_NAMES[kind])) {
            *out = (enum metric_kind)kind;
            return true;
        }
    }
    return false;
}
