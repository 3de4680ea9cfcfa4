/* What a KPI and a target are, and the result of one evaluation.
 *
 * Definitions are part of a configuration: built once, read by any thread. `struct kpi_status` is
 * the arrow from the evaluator to the alerts and to people. Meaning: figure-rules.md FIG and STA.
 */
#pragma once

#include "base/calendar.h"
#include "kpi/formula.h"
#include "kpi/unit.h"
#include "schedule/schedule.h"

enum better { BETTER_UNSAID, BETTER_UP, BETTER_DOWN };

enum kpi_state { KPI_STATE_ACTIVE, KPI_STATE_DRAFT, KPI_STATE_PAUSED, KPI_STATE_RETIRED };

enum target_kind { TARGET_AT_LEAST, TARGET_AT_MOST };

struct target {
    const char *id;
    enum target_kind kind;
    double to;              /* base units */
    enum period_kind every; /* the period it recurs each */
    bool strict;            /* the edge itself misses (STA-15) */
    double tolerance;       /* base units, for levels and means (STA-5) */
    double on_track;        /* pace thresholds of totals: 0.95 and 0.75 (STA-6) */
    double at_risk;
    bool retired;
    const char *not_built; /* NULL, or why this version cannot judge it: its status is draft */
};

struct kpi {
    const char *id;
    const char *title;
    const char *define; /* NULL without; so are why and owner */
    const char *why;
    const char *owner;
    struct formula formula;
    struct unit unit; /* figures are shown and compared in it */
    enum better better;
    enum period_kind period;
    const struct calendar *calendar;
    enum kpi_state state;
    const char *draft_reason; /* NULL, or why it is a draft, as "not built yet: window" */
    span_ms settle;           /* FIG-29 */
    double min_denominator;   /* STA-4; 1 where nothing asks for more */
    double min_count;
    const struct target *targets;
    size_t target_count;
    const char *schedule; /* the id of the (first) one that evaluates it; NULL: none does */
};

struct kpi_set {
    const struct kpi *kpis; /* in the order of the configuration */
    size_t count;
    const struct metric_table *metrics;
};

const struct kpi *kpi_find(const struct kpi_set *set, struct str id);

/* In the order of STA-1, open ones before closed ones. Wire names by kpi_status_name. */
enum kpi_status_code {
    KPI_DRAFT,
    KPI_PAUSED,
    KPI_NO_TARGET,
    KPI_NO_DATA,
    KPI_INSUFFICIENT,
    KPI_TOO_EARLY,
    KPI_ON_TRACK,
    KPI_AT_RISK,
    KPI_BEHIND,
    KPI_EXCEEDING,
    KPI_SETTLING,
    KPI_HIT,
    KPI_PARTIAL,
    KPI_MISSED,
};

const char *kpi_status_name(enum kpi_status_code code); /* "on_track", ... */
bool kpi_status_parse(struct str name, enum kpi_status_code *out);

/* Three-valued (ALR-1): unknown starts and ends nothing. */
enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_UNKNOWN };

/* How one target stands. */
struct target_status {
    const struct target *target;
    enum kpi_status_code code;
    double expected;    /* base units; NAN where there is none */
    double pace;        /* NAN where there is none */
    struct period open; /* the target's own, which may be another one than the KPI's */
    struct figure open_figure;
    enum truth breached;  /* ALR-2 */
    struct period judged; /* the period `breached` speaks of: the open one, or the last one ended */
    struct figure judged_figure;
};

struct kpi_status {
    const struct kpi *kpi;
    wall_ms at;                /* `now` of the evaluation */
    struct period period;      /* the open one */
    struct figure figure;      /* over it */
    enum kpi_status_code code; /* the worst of the targets' (STA-2) */
    const char *reason;        /* words for draft, paused, no_data, insufficient; else NULL */
    const struct target_status *shown; /* the target that `code` comes from; NULL without */
    const struct target_status *targets;
    size_t target_count;
    struct period last; /* the period before, its figure and verdict against `shown` */
    struct figure last_figure;
    enum kpi_status_code last_code;
    bool restarts; /* the figure restarts with each period (ALR-6): totals and means */
};

/* A closed period whose figure, or verdict, is another one than was said: late samples have changed
 * it (FIG-30). */
struct kpi_restatement {
    const struct kpi *kpi;
    struct period period;
    wall_ms at;                  /* when it was seen */
    double old_value, new_value; /* base units; NAN: no value */
    const struct target *target; /* whose verdict is told; NULL without one */
    enum kpi_status_code old_code, new_code;
    bool is_newest; /* no later period of its kind has closed */
};

struct kpi_inputs {
    struct read_txn *txn;
    wall_ms now;
    const struct metric_table *metrics;
};

/* The status of one KPI at `now`, in `arena`. False only when the store cannot be read. Pure: the
 * same snapshot and `now` give the same status. */
bool kpi_evaluate(const struct kpi *kpi, const struct kpi_inputs *inputs, struct arena *arena,
                  struct kpi_status *out, struct error *err);

/* Whether the KPI is judged at all: not declared a draft, paused or retired, nor forced to be a
 * draft by what is not built. One of its targets may still be a draft. */
bool kpi_is_judged(const struct kpi *kpi);

/* Whether a figure has the base that its KPI asks for (STA-4); true of a null one. */
bool kpi_figure_is_sufficient(const struct kpi *kpi, const struct figure *figure);

/* One figure of a formula over one period of a calendar, as kpi_evaluate computes it. */
bool kpi_figure(const struct formula *formula, const struct period *period,
                const struct kpi_inputs *inputs, struct arena *arena, struct figure *out,
                struct error *err);

/* The status as JSON, the shape of `kpictl status --json` (design section 9): one object of "kpis".
 */
struct json;
/* "by" is empty: break-downs are not built yet; so is p_hit, which is null. Beside the agreed
 * fields stand "reason", "partial", "stale", "as_of" (the newest sample behind the figure) and
 * "last". */
void kpi_status_json(const struct kpi_status *status, struct json *json);
