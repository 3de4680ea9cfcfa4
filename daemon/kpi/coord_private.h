/* What the evaluator and coord share: the keys of the records that one writes and the other reads.
 */
#pragma once

#include "base/str.h"

enum { DECLARED_KEY_MAX = 400 };

/* RECORD_DECLARED's key: records have keys of at most 500 bytes, metrics may be longer. */
static inline struct str declared_key(struct str metric)
{
    if (metric.len > DECLARED_KEY_MAX)
        metric.len = DECLARED_KEY_MAX;
    return metric;
}
