/* Rules: a condition on a KPI or target that becomes an alert. Part of a configuration. */
#pragma once

#include "kpi/condition.h"
#include "kpi/kpi.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };

const char *severity_name(enum severity severity);

struct rule {
    const char *id;
    const struct kpi *kpi;
    const struct target *target; /* NULL: a rule on the KPI alone */
    struct condition when;
    bool has_recover;
    struct condition recover; /* ALR-5 */
    span_ms for_ms;           /* ALR-3 */
    span_ms hold_ms;          /* ALR-5 */
    enum severity severity;
    const char *text;   /* template with {{value}}; NULL: "TITLE: FIGURE, target NUMBER (PERIOD)" */
    const char *action; /* `do`: what to do; NULL without */
    const char *runbook;      /* NULL without */
    const char *const *hooks; /* ids */
    size_t hook_count;
    const char *not_built; /* NULL, or why this version never fires it */
    uint64_t fingerprint;  /* of when, recover, for and the formula (ALR-12) */
};

struct rule_set {
    const struct rule *rules;
    size_t count;
};
