/* The state machine of one rule, pure: old state + what was seen -> new state, and an event or
 * none.
 *
 * States: inactive, pending (the condition holds, `for` has not passed), firing. Rules ALR-1 to
 * ALR-6 and ALR-12 of figure-rules.md. */
#pragma once

#include "base/buf.h"
#include "base/calendar.h"
#include "kpi/kpi.h"

enum alert_phase { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };

const char *alert_phase_name(enum alert_phase phase);

struct alert_state {
    enum alert_phase phase;
    wall_ms since;        /* pending or firing since; WALL_NONE while inactive */
    wall_ms clear_since;  /* firing: recovering since; WALL_NONE */
    wall_ms period_from;  /* the judged period when it became pending or firing */
    double value;         /* the figure then, base units; NAN when null */
    uint64_t fingerprint; /* of the rule then (ALR-12) */
    char alert_id[33];    /* names this firing, from pending to its end; empty while inactive */
    struct str hooks;     /* ids, each with a newline, that were told of the firing: they are told
                             of its end; empty until then. alert_state_decode's point into `bytes` */
};

#define ALERT_STATE_EMPTY                                                                          \
    {                                                                                              \
        ALERT_INACTIVE, WALL_NONE, WALL_NONE, WALL_NONE, 0, 0, "",                                 \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }

struct alert_input {
    enum truth when;
    enum truth recover; /* without `recover`: the opposite of `when` */
    bool restarts; /* the figure restarts each period and the rule does not run through (ALR-6) */
    wall_ms period_from; /* of the judged period now */
    double value;        /* NAN when null */
    span_ms for_ms;
    span_ms hold_ms;
    uint64_t fingerprint;
    wall_ms now;
};

enum alert_change {
    ALERT_NO_CHANGE,
    ALERT_STATE_CHANGED, /* to be stored, nothing to tell: pending began or was dropped */
    ALERT_FIRED,
    ALERT_RESOLVED,
    ALERT_ENDED_PERIOD, /* the period turned (ALR-6); the new period is judged by the next call */
    ALERT_ENDED_RULE,   /* the rule changed (ALR-12) */
};

/* What follows from `old` and what was seen. An alert that begins has an empty alert_id: the
 * caller, who has random numbers, fills it in. Every step is judged anew from the stored times, so
 * the time that kpid was down counts (ALR-4). */
enum alert_change alert_state_next(const struct alert_state *old, const struct alert_input *input,
                                   struct alert_state *out);

/* RECORD_ALERT_STATE: key the rule's id; value
 *   u8 version 2, u8 phase, i64 since, i64 clear_since, i64 period_from, f64 value,
 *   u64 fingerprint, block alert_id, block hooks
 * A rule that is inactive has no record. */
void alert_state_encode(const struct alert_state *state, struct buf *out);
bool alert_state_decode(struct str bytes, struct alert_state *out);
