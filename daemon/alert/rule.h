/* Rules: a condition on a KPI or target that becomes an alert. Part of a configuration. */
#pragma once

#include "base/buf.h"
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
    const char *text;    /* template of the firing message, see rule_text_check; NULL, or a template
                            with a field that is not built: "TITLE: FIGURE, target NUMBER (PERIOD)" */
    const char *action;  /* `do`: what to do; NULL without */
    const char *runbook; /* NULL without */
    const char *const *hooks; /* ids */
    size_t hook_count;
    const char *not_built; /* NULL, or why this version never fires it */
    uint64_t fingerprint;  /* rule_fingerprint's */
};

/* Two loads of a rule have one fingerprint as long as nothing changed that decides when it fires:
 * when, recover, for, the formula, what the target asks for, and the periods and calendar of both
 * (ALR-12). Words and hooks do not count. */
uint64_t rule_fingerprint(const struct rule *rule);

struct rule_set {
    const struct rule *rules;
    size_t count;
};

/* Fields of templates: {{name}}. One list gives the constants and the names. */
#define RULE_FIELDS(X)                                                                             \
    X(RULE, "rule")                                                                                \
    X(KPI, "kpi")                                                                                  \
    X(TITLE, "title")                                                                              \
    X(VALUE, "value")                                                                              \
    X(UNIT, "unit")                                                                                \
    X(TARGET, "target")                                                                            \
    X(EXPECTED, "expected")                                                                        \
    X(PACE, "pace")                                                                                \
    X(STATUS, "status")                                                                            \
    X(PERIOD, "period")                                                                            \
    X(SEVERITY, "severity")                                                                        \
    X(OWNER, "owner")                                                                              \
    X(DEFINE, "define")                                                                            \
    X(WHY, "why")                                                                                  \
    X(DO, "do")                                                                                    \
    X(RUNBOOK, "runbook")

enum rule_field {
#define RULE_FIELDS_CONSTANT(constant, name) RULE_FIELD_##constant,
    RULE_FIELDS(RULE_FIELDS_CONSTANT)
#undef RULE_FIELDS_CONSTANT
        RULE_FIELD_COUNT,
};

/* Whether a template can be rendered: every {{ is closed and names a field of the language; an
 * unknown one is an error with a hint. Length up to RULE_TEXT_MAX bytes. */
enum { RULE_TEXT_MAX = 2000 };
bool rule_text_check(struct str text, struct error *err);

/* The first field of the language that this version cannot fill, as "{{p_hit}}"; NULL when it fills
 * all of them. */
const char *rule_text_not_built(struct str text);

/* Writes a template that passed the check; `field_text` gives the text of each field. */
typedef void (*rule_field_fn)(enum rule_field field, struct buf *out, void *arg);
void rule_text_render(struct str text, rule_field_fn field_text, void *arg, struct buf *out);
