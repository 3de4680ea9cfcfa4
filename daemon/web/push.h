/* The body of POST /api/v1/push -> the delta of one acknowledged batch.
 *
 *   {"samples":[{"name", "value", "labels":{name:value}, "type", "at", "id"}, ...]}
 *
 * `value` is a number or the text of one, for uniques the member's text. `type` is a metric kind; a
 * declared one beats it (FIG-8). Without both it is the only kind that the metric has so far, for
 * two kinds under one name have no figure, and else "untyped". `at` is ISO 8601, else the sample's
 * time is its arrival (FIG-3). With an `id` a push of one sample counts once, however often the
 * same body comes (store/identity.h). All or nothing: one bad sample refuses the body. Pure, on any
 * thread. */
#pragma once

#include "base/calendar.h"
#include "series/delta.h"
#include "series/ledger.h"
#include "series/metric.h"

enum { PUSH_SAMPLES_MAX = 10000, PUSH_MEMBER_MAX = 1024, PUSH_ID_MAX = 255 };

/* The only kind of a metric that is not declared; 0 when it has none or several. */
typedef enum metric_kind (*push_kind_fn)(struct str metric, void *arg);

struct push_rules {
    const struct metric_table *metrics; /* NULL is fine */
    push_kind_fn kind_of;               /* NULL is fine */
    void *kind_arg;
    const struct calendar *calendar; /* of times without an offset */
    span_ms max_future;
    span_ms max_past;
    wall_ms now;
    uint64_t arrival; /* of the first sample; each following one is one more */
};

struct push {
    struct delta *delta; /* owned by the caller; without ledger, answer and reply */
    size_t samples;
    enum reject_reason reason; /* why the body was refused */
};

/* When it returns false only `out->reason` is set. The error names the sample and the key. */
bool push_parse(struct str body, const struct push_rules *rules, struct push *out,
                struct error *err);
