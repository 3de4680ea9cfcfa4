/* From a change of an alert, or of a closed period, to the event that tells it: numbers, labels and
 * words. */
#pragma once

#include "alert/alert_state.h"
#include "alert/event.h"
#include "alert/rule.h"

/* What an event is made from. */
struct event_source {
    const struct rule *rule;
    const struct kpi_status *status;
    const struct target_status *target; /* the rule's own; NULL without */
    const struct alert_state *before; /* the state that the change ended; for firing the new one */
    struct period period;             /* the judged one */
    const struct figure *figure;      /* over it */
    wall_ms now;
};

/* Fills `out` for ALERT_FIRED, ALERT_RESOLVED, ALERT_ENDED_PERIOD or ALERT_ENDED_RULE, all but its
 * id. Texts are in `arena` or the configuration's. */
void event_describe(enum alert_change change, const struct event_source *source,
                    struct arena *arena, struct event *out);

/* The same for a restated period (FIG-30). */
void event_restated(const struct kpi_restatement *restatement, struct arena *arena,
                    struct event *out);
