/* Formulas: text -> expression, with the column of every mistake.
 *
 *   value = agg "(" metric [labels] ["per" unit] ")" | share "(" metric [labels] (>=|<=) number ")"
 *         | kpi "(" id ")" | (prev|same_last_year) "(" value ")" | if "(" cond ")" value else value
 *         | number | value (+|-|*|/) value | "(" value ")"
 *   labels = "{" label (=|!=|^=|in) string|list {"," ..} "}"
 *
 * The whole grammar is read; what this version cannot compute yet compiles to a formula whose
 * `not_built` names it. A formula never changes after it was compiled. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "kpi/unit.h"
#include "series/metric.h"
#include "store/query.h"

/* How a figure moves (the table at the head of figure-rules.md). */
enum figure_class { FIGURE_TOTAL, FIGURE_LEVEL, FIGURE_MEAN };

enum formula_op {
    FORMULA_NUMBER,
    FORMULA_CALL, /* a function over a metric's samples */
    FORMULA_ADD,
    FORMULA_SUBTRACT,
    FORMULA_MULTIPLY,
    FORMULA_DIVIDE,
    FORMULA_NOT_BUILT,
};

struct formula_function; /* kpi/formula_function.h */

struct formula_node {
    enum formula_op op;
    double number;                           /* FORMULA_NUMBER: in base units; FORMULA_CALL of a
                                                rate: the seconds it is per, of a percentile: its
                                                q, of a share: the boundary in metric_unit */
    bool at_least;                           /* FORMULA_CALL of a share: >=, else <= */
    const struct formula_function *function; /* FORMULA_CALL */
    struct unit metric_unit;                 /* FORMULA_CALL: of what the metric's samples are in */
    struct selector selector;                /* FORMULA_CALL; its kind is set when it is evaluated,
                                                unless the metric is declared */
    const struct metric_definition *metric;  /* FORMULA_CALL; NULL when not declared */
    const struct formula_node *left;
    const struct formula_node *right;
    size_t column; /* from 1 */
};

struct formula {
    const char *text;
    const struct formula_node *root;
    enum figure_class class;
    bool is_ratio;         /* a quotient of two additive aggregates */
    bool is_quotient;      /* it divides by a figure somewhere, so that it may be shown as "%" */
    bool is_count;         /* a total of countable things: nouns or no unit at all (STA-6) */
    struct unit unit;      /* what follows from the metrics' units; DIMENSION_ANY if nothing does */
    struct unit assumed;   /* what metrics without unit are taken to be in (formula_set_unit) */
    const char *not_built; /* NULL, or what this version cannot compute yet, as "prev()" */
    /* Defaults of STA-4: 30 where the denominator is a total of countable things, 20 for
     * percentiles, shares and scores, else 1. */
    double min_denominator;
    double min_count;
};

/* A text is at most this long and holds at most FORMULA_NODES_MAX parts. */
enum { FORMULA_TEXT_MAX = 4096, FORMULA_NODES_MAX = 256, FORMULA_DEPTH_MAX = 40 };

/* Compiles `text`; all memory is in `arena`, `metrics` is borrowed as long as the formula lives.
 * The error's text begins with "column N: ". Type rules (FIG-8) of declared metrics and units
 * (FIG-26) are checked here, those of undeclared metrics when evaluating. */
bool formula_parse(struct str text, const struct metric_table *metrics, struct arena *arena,
                   struct formula *out, struct error *err);

/* Once a KPI's unit is known: checks that the formula can be shown in it (FIG-26, FIG-27) and notes
 * it, since metrics without unit take any: hours pushed without unit are hours to a KPI in "h". */
bool formula_set_unit(struct formula *formula, const struct unit *unit, struct error *err);

/* Why a figure is null. */
enum null_reason {
    NULL_NOT,          /* it is not null */
    NULL_NEVER_SEEN,   /* a metric was never seen and is not declared */
    NULL_BEFORE_FIRST, /* the range lies before the metric's first sample or declaration */
    NULL_NO_SAMPLES,   /* avg, min, max of nothing */
    NULL_DIVISION_BY_ZERO,
    NULL_STALE,     /* a level older than its stale_after */
    NULL_AMBIGUOUS, /* two kinds under one name, or a function its kind does not have */
    NULL_NOT_BUILT,
    NULL_NOT_YET,   /* the range has not begun: nothing is known of it, not even silence */
    NULL_TOO_LARGE, /* more than a number can hold */
};

const char *null_reason_name(enum null_reason reason); /* "never_seen", ...; "none" */

/* The value of a formula over one range. `value` is in base units and means nothing when null. */
struct figure {
    bool is_null;
    double value;
    enum null_reason reason;
    char detail[160]; /* words for people: "metric 'faild' was never seen"; of a figure that is
                         not null: what left it (FIG-14), or empty */
    bool partial;     /* part of the range is not covered (FIG-11, FIG-31), or two senders wrote one
                         series of it (FIG-24) */
    double denominator; /* of a ratio: of its right side's root; NAN otherwise */
    double count;       /* samples behind it (weights counted); NAN where it makes no sense */
    bool stale;         /* a source is past its stale_after (FIG-12) */
    struct coverage coverage;
};

struct formula_range {
    wall_ms from, to; /* half open */
    wall_ms now;      /* an open range ends here: levels stand at min(now, to) */
    span_ms carry;    /* how long levels of metrics without stale_after carry on (FIG-13) */
    const struct metric_table *metrics;
    /* When the metric was first declared, WALL_NONE if never (FIG-11). May be NULL. */
    wall_ms (*declared_at)(struct str metric, void *arg);
    void *declared_arg;
};

/* False only when the store cannot be read. */
bool formula_evaluate(const struct formula *formula, struct read_txn *txn,
                      const struct formula_range *range, struct arena *arena, struct figure *out,
                      struct error *err);
